"""Expanding-window folds of time-ordered rows, with a gap between what is learned and what is judged."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

SMALLEST_TRAIN_SHARE = 0.2
"""With five folds this gives training windows of 20, 36, 52, 68 and 84 % of the rows, as scikit-learn's split does."""


def expanding_folds(
    times: Any, folds: int, gap_days: float = 0.0, min_train_share: float = SMALLEST_TRAIN_SHARE
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide rows by time: every fold is judged on a block of rows and trained on those that are old enough.

    The rows behind the first `min_train_share` are cut into blocks of about equal size. Rows of the same time are never
    torn apart. A fold trains on all rows that are earlier than its block by more than the gap, because outcomes that
    came to be known during the gap would not have been known to a model trained at the start of the block.

    Args:
        times: When each row happened: datetimes, or anything that pandas reads as such; any order.
        folds: Blocks to judge.
        gap_days: Days before a block that are left out of its training.
        min_train_share: Share of the rows, the oldest, that are never judged.

    Returns:
        Per fold, from the oldest to the newest: positions of the rows to train on and of the rows to judge, both
        ascending. Folds without rows on one side are left out, so there may be fewer than asked for, or none.
    """
    moments = pd.to_datetime(pd.Series(np.asarray(times))).to_numpy().astype("datetime64[us]").astype(np.int64)
    if folds < 1 or not len(moments):
        return []
    ordered = np.sort(moments)
    places = len(ordered) * (min_train_share + (1 - min_train_share) * np.arange(folds + 1) / folds)
    starts = ordered[np.minimum(np.round(places).astype(np.int64), len(ordered) - 1)]
    starts[-1] = ordered[-1] + 1
    gap = round(gap_days * 86_400e6)
    found = []
    for first, end in itertools.pairwise(starts.tolist()):
        train, judged = np.flatnonzero(moments < first - gap), np.flatnonzero((moments >= first) & (moments < end))
        if len(train) and len(judged):
            found.append((train, judged))
    return found
