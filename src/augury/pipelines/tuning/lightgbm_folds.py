"""Folds of a LightGBM search, binned once and shared by all trials."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class BinnedFold:
    """Rows of a fold, in the bins of the rows that are fitted."""

    fitted: Any
    """A constructed ``lightgbm.Dataset``."""
    stopping: Any | None
    """The same with the bins of the first; None: all rounds are made."""
    judged: np.ndarray
    """Matrix of the rows that the fit is scored on."""
    target: np.ndarray
    """Their target."""


def bin_fold(
    matrix: np.ndarray,
    target: np.ndarray,
    fitted: np.ndarray,
    stopping: np.ndarray | None,
    judged: np.ndarray,
    params: Mapping[str, Any],
) -> BinnedFold:
    """Bin a fold.

    The bins know the fitted rows only. Every later fit reads them and none changes them, so that threads can share
    them; ``feature_pre_filter`` has to be off where ``min_data_in_leaf`` differs between fits.

    Args:
        matrix: Shape (rows, features).
        target: Shape (rows,).
        fitted: Positions of the rows to fit to.
        stopping: Positions of the rows that stop a fit; None or empty: there are none.
        judged: Positions of the rows that a fit is scored on.
        params: LightGBM's, of which those of the bins count.

    Returns:
        The fold.
    """
    import lightgbm

    data = lightgbm.Dataset(matrix[fitted], target[fitted], params=dict(params)).construct()
    watched = None
    if stopping is not None and len(stopping):
        watched = data.create_valid(matrix[stopping], target[stopping], params=dict(params)).construct()
        watched.data = None
    data.data = None  # only the bins are needed
    return BinnedFold(data, watched, np.ascontiguousarray(matrix[judged]), target[judged])


def fit_and_predict(
    fold: BinnedFold, params: Mapping[str, Any], rounds: int, patience: int, raw: bool = True, every: int = 5
) -> np.ndarray:
    """Fit to a fold and predict its judged rows.

    Args:
        fold: The fold.
        params: LightGBM's; those of the bins must be the ones that the fold was binned with.
        rounds: Trees at most.
        patience: Rounds without progress on the stopping rows that end the fit.
        raw: Whether to return sums of leaves rather than the objective's own scale.
        every: Rounds from one look at the stopping rows to the next: looking costs a sixth of a fit if done each time.

    Returns:
        float64 of shape (judged rows,).
    """
    import lightgbm

    booster = lightgbm.Booster(dict(params), fold.fitted)
    best, best_loss = rounds, np.inf
    if fold.stopping is not None:
        booster.add_valid(fold.stopping, "stopping")
    for round_ in range(1, rounds + 1):
        finished = booster.update()
        if fold.stopping is not None and (round_ % every == 0 or finished or round_ == rounds):
            loss = booster.eval_valid()[0][2]
            if loss < best_loss:
                best, best_loss = round_, loss
            elif round_ - best >= patience:
                break
        if finished:
            break
    return np.asarray(booster.predict(fold.judged, raw_score=raw, num_iteration=best, num_threads=1))
