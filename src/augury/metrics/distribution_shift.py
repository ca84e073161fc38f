"""How far a distribution has moved: population stability index and Kolmogorov-Smirnov distance, with weights."""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SMALLEST_SHARE = 1e-6
"""An empty bin would make the index infinite."""


class Reference:
    """A distribution that others are compared with, sorted once.

    Missing values (NaN) are a bin of their own in the index, and are left out of the distance.
    """

    def __init__(self, values: Floats, weights: Floats, bins: int) -> None:
        """Sort and bin.

        Args:
            values: Shape ``(rows,)``; NaN where missing.
            weights: How many rows each stands for, > 0, shape ``(rows,)``.
            bins: Bins of the index. They are quantiles; where there are no more distinct values than bins, every value
                has one of its own.
        """
        known = ~np.isnan(values)
        order = np.argsort(values[known], kind="stable")
        self._values = values[known][order]
        self._reached = np.cumsum(weights[known][order])
        self._edges = _edges(self._values, self._reached, bins)
        self._shares = self._binned(values, weights)

    def stability_index(self, values: Floats) -> float:
        """Population stability index of other rows.

        Args:
            values: Shape ``(rows,)``, at least one row; NaN where missing.

        Returns:
            Sum over bins of (q - p) x log(q / p), with p the reference's share and q the other's; shares are at least
            :data:`SMALLEST_SHARE`.
        """
        there = np.maximum(self._binned(values, np.ones(len(values))), SMALLEST_SHARE)
        here = np.maximum(self._shares, SMALLEST_SHARE)
        return float(((there - here) * np.log(there / here)).sum())

    def distance(self, values: Floats) -> float | None:
        """Kolmogorov-Smirnov distance of other rows.

        Args:
            values: Shape ``(rows,)``; NaN where missing.

        Returns:
            The largest difference of the distribution functions; None where one side has no value at all.
        """
        other = np.sort(values[~np.isnan(values)])
        if not len(other) or not len(self._values):
            return None
        places = np.unique(np.concatenate([self._values, other]))
        reached = np.concatenate([[0.0], self._reached])[np.searchsorted(self._values, places, side="right")]
        there = np.searchsorted(other, places, side="right") / len(other)
        return float(np.abs(reached / self._reached[-1] - there).max())

    @property
    def bins(self) -> int:
        """Bins of the index, that of missing values among them."""
        return len(self._shares)

    def _binned(self, values: Floats, weights: Floats) -> Floats:
        # NaN sorts behind every edge, which is the last bin but one; it has the last
        places = np.where(np.isnan(values), len(self._edges) + 1, np.searchsorted(self._edges, values, side="left"))
        return np.bincount(places, weights=weights, minlength=len(self._edges) + 2) / weights.sum()


def _edges(values: Floats, reached: Floats, bins: int) -> Floats:
    """Upper ends of all bins but the last."""
    if not len(values):
        return np.empty(0)
    distinct = np.unique(values)
    if len(distinct) <= bins:
        # A smaller value than any known one must not share the bin of the smallest
        return np.concatenate([[np.nextafter(distinct[0], -np.inf)], distinct])
    wanted = reached[-1] * np.arange(1, bins) / bins
    quantiles = values[np.minimum(np.searchsorted(reached, wanted, side="left"), len(values) - 1)]
    return np.unique(quantiles)


def effective_rows(weights: Floats) -> float:
    """How many rows of weight 1 tell as much as these weighted ones (Kish)."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def expected_index(bins: int, reference_rows: float, rows: float) -> float:
    """The stability index that chance alone makes where nothing has moved.

    Args:
        bins: Bins.
        reference_rows: Rows, or effective rows, of the reference.
        rows: Rows compared with it.

    Returns:
        The mean of its distribution, a scaled chi-squared one.
    """
    if not reference_rows or not rows:
        return math.inf
    return (bins - 1) * (1 / reference_rows + 1 / rows)
