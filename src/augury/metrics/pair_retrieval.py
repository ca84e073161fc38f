"""How many of the truly similar pairs are found, and how many of the found ones are truly similar."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

PAIR = ["row", "reference"]


def with_truth(found: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Pairs that were found or are known to be similar, side by side.

    Args:
        found: ``row``, ``reference``, ``similarity`` (estimated).
        truth: ``row``, ``reference``, ``jaccard`` (exact): complete from some similarity on, so that a found pair that
            is missing here is known to be less similar.

    Returns:
        ``row``, ``reference``, ``similarity`` (-1 where it was not found), ``jaccard`` (0 where it is not known).
    """
    return truth[[*PAIR, "jaccard"]].merge(found, on=PAIR, how="outer").fillna({"similarity": -1.0, "jaccard": 0.0})


def recall(pairs: pd.DataFrame, least_jaccard: float, threshold: float) -> float:
    """Share of the pairs of at least a Jaccard similarity that are found; NaN where there is none.

    Args:
        pairs: What :func:`with_truth` returned.
        least_jaccard: Exact similarity of a relevant pair.
        threshold: Least estimate of a pair that counts as found.
    """
    relevant = pairs["jaccard"].to_numpy() >= least_jaccard
    return _share(pairs["similarity"].to_numpy()[relevant] >= threshold)


def precision(pairs: pd.DataFrame, least_jaccard: float, threshold: float) -> float:
    """Share of the found pairs that have at least a Jaccard similarity; NaN where none is found."""
    taken = pairs["similarity"].to_numpy() >= threshold
    return _share(pairs["jaccard"].to_numpy()[taken] >= least_jaccard)


def best_threshold(
    pairs: pd.DataFrame, least_jaccard: float, target_recall: float, target_precision: float
) -> tuple[float, dict[str, Any]]:
    """The threshold in the middle of those that reach both targets, or else the one nearest to them.

    Args:
        pairs: What :func:`with_truth` returned.
        least_jaccard: Exact similarity of a relevant pair.
        target_recall: Wanted recall.
        target_precision: Wanted precision.

    Returns:
        The threshold, and ``recall`` and ``precision`` there.
    """
    grid = np.round(np.arange(-0.1, 0.0501, 0.005) + least_jaccard, 4)
    grid = grid[(grid >= 0) & (grid <= 1)]
    rows = [(recall(pairs, least_jaccard, value), precision(pairs, least_jaccard, value)) for value in grid]
    short = np.array(
        [
            max(target_recall - found, 0) + max(target_precision - exact, 0)
            if np.isfinite(found) and np.isfinite(exact)
            else np.inf
            for found, exact in rows
        ]
    )
    good = np.flatnonzero(short == short.min())
    place = int(good[len(good) // 2])
    return float(grid[place]), {"recall": rows[place][0], "precision": rows[place][1]}


def _share(values: npt.NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
