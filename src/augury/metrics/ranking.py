"""How well a score puts positives before negatives, for the whole sample and for thousands of resamples at once."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from augury.metrics.bootstrap import CELLS_AT_ONCE, Floats

Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]


class Ranking:
    """Labels sorted by score once, to be weighed by group counts again and again.

    Both metrics depend on the negatives only through how many lie above, at and below each score that a positive has.
    So the rows shrink to two sparse tables, places by groups, and a replicate costs a product with them and a running
    sum over the places, neither a sort nor a pass over the rows.

    Attributes:
        groups: Number of groups.
    """

    def __init__(self, actual: Bools, score: Floats, codes: Codes | None = None) -> None:
        """Sort.

        Args:
            actual: Whether each row is positive, shape ``(rows,)``.
            score: Finite; larger means positive, shape ``(rows,)``.
            codes: Number of each row's group, 0 to ``groups`` - 1; None: all rows in one group.
        """
        from scipy.sparse import csr_array

        codes = np.zeros(len(actual), dtype=np.int64) if codes is None else codes
        self.groups = int(codes.max(initial=0)) + 1
        scores = np.unique(score[actual])
        self._places = len(scores)
        first = np.searchsorted(scores, score, side="left")
        # 2k: between the k-th score of a positive and the one before it; 2k + 1: at it
        place = first + np.searchsorted(scores, score, side="right")

        def table(rows: Bools, places: Codes, count: int) -> object:
            where = (places[rows], codes[rows])
            return csr_array((np.ones(len(where[0])), where), shape=(count, self.groups))

        self._positives = table(actual, first, self._places)
        self._negatives = table(~actual, place, 2 * self._places + 1)

    def resampled(self, counts: Floats) -> dict[str, Floats]:
        """Both metrics in resamples.

        Args:
            counts: How often each group was drawn, shape ``(replicates, groups)``.

        Returns:
            ``roc_auc``, the probability that a positive has a larger score than a negative, ties counting half, and
            ``pr_auc``, average precision: the sum over thresholds of the gain in recall times the precision there.
            Each has shape ``(replicates,)``; NaN where a resample lacks one class.
        """
        block = max(1, CELLS_AT_ONCE // (2 * self._places + 1))
        parts = [self._block(counts[start : start + block].T) for start in range(0, len(counts), block)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def metrics(self) -> dict[str, float]:
        """Both metrics of the sample itself; NaN where it lacks one class."""
        return {name: float(values[0]) for name, values in self.resampled(np.ones((1, self.groups))).items()}

    def _block(self, counts: Floats) -> dict[str, Floats]:
        positives: Floats = self._positives @ counts  # type: ignore[operator]
        negatives: Floats = self._negatives @ counts  # type: ignore[operator]
        all_positives, all_negatives = positives.sum(axis=0), negatives.sum(axis=0)
        tied = negatives[1::2]
        below = np.cumsum(negatives, axis=0)[:-1:2]
        found = np.cumsum(positives[::-1], axis=0)[::-1]
        selected = found + all_negatives - below
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.divide(found, selected, out=np.zeros_like(found), where=selected > 0)
            both = np.where(all_negatives > 0, all_positives, np.nan)
            return {
                "roc_auc": (positives * (below + tied / 2)).sum(axis=0) / (both * all_negatives),
                "pr_auc": (positives * precision).sum(axis=0) / both,
            }


class TopRows:
    """How many positives are among the rows with the largest scores, in the sample and in resamples."""

    def __init__(
        self,
        actual: Bools,
        score: Floats,
        sizes: Sequence[int],
        codes: Codes | None = None,
        places: Codes | None = None,
    ) -> None:
        """Sort.

        Args:
            actual: Whether each row is positive, shape ``(rows,)``, at least one row.
            score: Larger comes first, shape ``(rows,)``.
            sizes: How many rows are taken, >= 1 each.
            codes: Number of each row's group; None: all rows in one group.
            places: Of rows with equal scores, the one with the smaller place comes first, shape ``(rows,)``; None: the
                order given.
        """
        codes = np.zeros(len(actual), dtype=np.int64) if codes is None else codes
        ties = np.arange(len(actual)) if places is None else places
        order = np.lexsort((ties, -score))
        self._sizes = tuple(sizes)
        self._hits, self._codes = actual[order].astype(np.float64), codes[order]
        self._positives = np.bincount(codes, weights=actual)
        self._rows = np.bincount(codes).astype(np.float64)

    def resampled(self, counts: Floats) -> dict[str, Floats]:
        """Both metrics for every size.

        Args:
            counts: How often each group was drawn, shape ``(replicates, groups)``.

        Returns:
            ``precision_at_<size>``, the share of positives among the rows taken, and ``recall_at_<size>``, the share of
            all positives that are among them; each of shape ``(replicates,)``; NaN where there are fewer rows, or no
            positive to find.
        """
        names = [f"{metric}_at_{size}" for metric in ("precision", "recall") for size in self._sizes]
        found = {name: np.full(len(counts), np.nan) for name in names}
        total, positives = counts @ self._rows, counts @ self._positives
        for size in self._sizes:
            enough = total >= size
            hits = self._found(counts[enough], size)
            found[f"precision_at_{size}"][enough] = hits / size
            with np.errstate(divide="ignore", invalid="ignore"):
                found[f"recall_at_{size}"][enough] = hits / positives[enough]
        return found

    def metrics(self) -> dict[str, float]:
        """Both metrics of the sample itself."""
        ones = np.ones((1, len(self._rows)))
        return {name: float(values[0]) for name, values in self.resampled(ones).items()}

    def taken(self, size: int) -> tuple[Bools, Codes]:
        """Whether each of the rows taken is positive, and its group."""
        return self._hits[:size] > 0, self._codes[:size]

    def _found(self, counts: Floats, size: int) -> Floats:
        """Positives among the first rows, rows counted as often as they were drawn."""
        found = np.zeros(len(counts))
        missing = np.full(len(counts), float(size))
        start = 0
        # Nearly all replicates are complete after somewhat more than as many rows as are taken
        step = max(min(size + 4 * math.isqrt(size), CELLS_AT_ONCE // max(len(counts), 1)), 64)
        while missing.any():
            part = slice(start, start + step)
            short = np.flatnonzero(missing)
            drawn = counts[np.ix_(short, self._codes[part])]
            before = np.cumsum(drawn, axis=1) - drawn
            used = np.clip(missing[short, None] - before, 0, drawn)
            found[short] += used @ self._hits[part]
            missing[short] -= used.sum(axis=1)
            start += step
        return found


def threshold_counts(actual: Bools, score: Floats) -> tuple[Floats, Floats, Floats]:
    """What every threshold would select.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``.
        score: Shape ``(rows,)``.

    Returns:
        The distinct scores, falling; how many positives and how many negatives have at least that score.
    """
    order = np.argsort(-score, kind="stable")
    ordered, hits = score[order], actual[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    found = np.cumsum(hits)[last].astype(np.float64)
    return ordered[last], found, last + 1.0 - found


def named(prefix: str, values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Put a prefix before every name."""
    return {f"{prefix}{name}": array for name, array in values.items()}
