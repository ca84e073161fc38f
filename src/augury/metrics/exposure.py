"""What a recommender shows of a catalogue: how much of it, how evenly, and how popular it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.metrics.bootstrap import Floats
from augury.metrics.top_k import Codes


def exposures(lists: Sequence[Codes], k: int, n_items: int) -> npt.NDArray[np.int64]:
    """How often each item is among the first ``k`` of a list, shape ``(n_items,)``."""
    shown = [items[:k] for items in lists]
    together = np.concatenate(shown) if shown else np.zeros(0, dtype=np.int64)
    return np.bincount(together.astype(np.int64), minlength=n_items)


def gini(counts: npt.NDArray[Any]) -> float:
    """How unequal counts are: 0 where all are equal, towards 1 where one has all; NaN where there is nothing.

    Examples:
        >>> gini(np.array([3, 3, 3])), gini(np.array([0, 0, 0, 8]))
        (0.0, 0.75)
    """
    total, size = float(counts.sum()), len(counts)
    if total <= 0:
        return float("nan")
    weights = 2 * np.arange(1, size + 1) - size - 1
    return float((weights * np.sort(counts)).sum() / (size * total))


def popularity_percentiles(interactions: npt.NDArray[Any]) -> Floats:
    """The share of items that are less popular than each one, equally popular ones counted half.

    Args:
        interactions: Training interactions of each item, shape ``(items,)``.

    Returns:
        Within 0 and 1, with the mean 0.5; shape ``(items,)``.

    Examples:
        >>> popularity_percentiles(np.array([5, 1, 9, 1])).tolist()
        [0.625, 0.25, 0.875, 0.25]
    """
    middle = pd.Series(interactions).rank(method="average").to_numpy(dtype=np.float64)
    return np.asarray((middle - 0.5) / max(len(middle), 1))


def mean_of_lists(values: Floats, lists: Sequence[Codes], k: int) -> Floats:
    """The mean value of the first ``k`` items of each list, shape ``(lists,)``; NaN for an empty list."""
    sizes = np.array([min(len(items), k) for items in lists], dtype=np.int64)
    together = np.concatenate([items[:k] for items in lists]) if len(lists) else np.zeros(0, dtype=np.int64)
    sums = np.bincount(
        np.repeat(np.arange(len(sizes)), sizes), weights=values[together.astype(np.int64)], minlength=len(sizes)
    )
    return np.divide(sums, sizes, out=np.full(len(sizes), np.nan), where=sizes > 0)
