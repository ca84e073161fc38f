"""How well probabilities order the labels of each row and the rows of each label."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from augury.metrics.bootstrap import CELLS_AT_ONCE, CountStatistics, Floats
from augury.metrics.ranking import Bools, Codes

PRECISION_MICRO = "average_precision_micro"
PRECISION_MACRO = "average_precision_macro"
LEVELS_OF_SCORES = 1000
"""Distinct scores of pairs that are true which a resampled micro average precision looks at."""


def top_label_sums(
    actual: Bools,
    probability: Floats,
    outside: Codes,
    precision_sizes: Sequence[int],
    gain_sizes: Sequence[int],
) -> dict[str, Floats]:
    """What each row adds to the metrics of its most probable labels.

    Args:
        actual: Which labels each row has, shape ``(rows, labels)``.
        probability: Shape ``(rows, labels)``; of labels with equal ones, the first comes first.
        outside: How many further labels each row has that no column stands for, shape ``(rows,)``.
        precision_sizes: The k of precision@k.
        gain_sizes: The k of nDCG@k.

    Returns:
        Shape ``(rows,)`` each: ``precision_at_<k>``, the share of the k most probable labels that the row has;
        ``ndcg_at_<k>``, the sum of 1 / log2(1 + place) over those of them that it has, by the largest sum that it
        could have with all its labels [1]_; 0 for a row without labels.

        .. [1] K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20 (2002).
    """
    deepest = max([*precision_sizes, *gain_sizes], default=0)
    order = np.argsort(-probability, axis=1, kind="stable")[:, :deepest]
    hits = np.take_along_axis(actual, order, axis=1).astype(np.float64)
    found: dict[str, Floats] = {f"precision_at_{size}": hits[:, :size].sum(axis=1) / size for size in precision_sizes}
    discounts = 1 / np.log2(np.arange(2, deepest + 2))
    best = np.concatenate([[0.0], np.cumsum(discounts)])
    labels = actual.sum(axis=1) + outside
    for size in gain_sizes:
        width = min(size, hits.shape[1])
        gained = hits[:, :width] @ discounts[:width]
        ideal = best[np.minimum(labels, size)]
        found[f"ndcg_at_{size}"] = np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0)
    return found


class LabelRanking:
    """Rows sorted by the score of each label once, to be weighed by group counts again and again.

    Average precision depends on the rows without a label only through how many lie at or above each score of a row that
    has it. So every label shrinks to a few places, and the places of all labels, one below the other, make one sparse
    table of places by groups: a replicate costs a product with it and a running sum.
    """

    def __init__(self, actual: Bools, score: Floats, codes: Codes) -> None:
        """Sort.

        Args:
            actual: Which labels each row has, shape ``(rows, labels)``.
            score: Finite; larger means that it has it, shape ``(rows, labels)``.
            codes: Number of each row's group, from 0, without gaps.
        """
        self._groups = int(codes.max(initial=0)) + 1
        self._labels = _Places(
            ((actual[:, label], score[:, label]) for label in np.flatnonzero(actual.any(axis=0))), codes, self._groups
        )
        pairs = actual.ravel(), score.ravel()
        self._exact = _average_precision(*pairs)
        coarse = _coarse(*pairs)
        self._shift = self._exact - _average_precision(pairs[0], coarse)
        self._pairs = _Places([(pairs[0], coarse)], np.repeat(codes, actual.shape[1]), self._groups)

    def metrics(self) -> dict[str, float]:
        """The metrics of the sample itself, see :meth:`resampled`; NaN where no row has a label."""
        return {
            PRECISION_MICRO: self._exact,
            PRECISION_MACRO: float(self._labels.average_precision(np.ones((1, self._groups)))[0]),
        }

    def resampled(self, counts: Floats) -> Mapping[str, Floats]:
        """The metrics in resamples.

        Args:
            counts: How often each group was drawn, shape ``(replicates, groups)``.

        Returns:
            ``average_precision_micro``, that of all pairs of row and label together, and ``average_precision_macro``,
            the mean over the labels that any drawn row has; shape ``(replicates,)``, NaN where no drawn row has any.
        """
        return {
            PRECISION_MICRO: self._pairs.average_precision(counts) + self._shift,
            PRECISION_MACRO: self._labels.average_precision(counts),
        }


def label_precisions(actual: Bools, score: Floats) -> Floats:
    """Average precision of every label, shape ``(labels,)``; NaN for a label that no row has."""
    return np.array([_average_precision(actual[:, label], score[:, label]) for label in range(actual.shape[1])])


class _Places:
    """The distinct scores of the rows that have a label, of one label after the other."""

    def __init__(self, labels: object, codes: Codes, groups: int) -> None:
        from scipy.sparse import csr_array

        starts = [0]
        positives: list[tuple[Codes, Codes]] = []
        negatives: list[tuple[Codes, Codes]] = []
        for actual, score in labels:  # type: ignore[attr-defined]
            scores = np.unique(score[actual])
            place = np.searchsorted(scores, score, side="right") - 1
            above = ~actual & (place >= 0)  # a row below all that have the label changes nothing
            positives.append((place[actual] + starts[-1], codes[actual]))
            negatives.append((place[above] + starts[-1], codes[above]))
            starts.append(starts[-1] + len(scores))
        self._starts = np.array(starts[:-1], dtype=np.int64)
        self._ends = np.array(starts[1:], dtype=np.int64)
        self._count = starts[-1]

        def table(parts: list[tuple[Codes, Codes]]) -> object:
            places, at = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
            return csr_array((np.ones(len(places)), (places, at)), shape=(self._count, groups))

        if self._count:
            self._positives, self._negatives = table(positives), table(negatives)

    def average_precision(self, counts: Floats) -> Floats:
        """The mean over the labels with positives, shape ``(replicates,)``."""
        if not self._count:
            return np.full(len(counts), np.nan)
        block = max(1, CELLS_AT_ONCE // self._count)
        return np.concatenate([self._block(counts[at : at + block].T) for at in range(0, len(counts), block)])

    def _block(self, counts: Floats) -> Floats:
        positives: Floats = self._positives @ counts  # type: ignore[operator]
        found = self._from_above(positives)
        called = found + self._from_above(self._negatives @ counts)  # type: ignore[operator]
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        gained = np.add.reduceat(positives * precision, self._starts, axis=0)
        total = np.add.reduceat(positives, self._starts, axis=0)
        defined = total > 0
        by_label = np.divide(gained, total, out=np.zeros_like(gained), where=defined)
        with np.errstate(invalid="ignore"):
            mean: Floats = by_label.sum(axis=0) / np.where(defined.any(axis=0), defined.sum(axis=0), np.nan)
        return mean

    def _from_above(self, values: Floats) -> Floats:
        """Running sums from each label's highest score down; counts are whole numbers, so differences are exact."""
        running = np.cumsum(values[::-1], axis=0)[::-1]
        after = np.vstack([running, np.zeros((1, values.shape[1]))])[self._ends]
        return running - np.repeat(after, self._ends - self._starts, axis=0)


def _average_precision(actual: Bools, score: Floats) -> float:
    if not actual.any():
        return float("nan")
    places = _Places([(actual, score)], np.zeros(len(actual), dtype=np.int64), 1)
    return float(places.average_precision(np.ones((1, 1)))[0])


def _coarse(actual: Bools, score: Floats) -> Floats:
    """Scores rounded to so many levels that each holds about equally many pairs that are true."""
    distinct = np.unique(score[actual])
    if len(distinct) <= LEVELS_OF_SCORES:
        return score
    edges = np.unique(np.quantile(score[actual], np.linspace(0, 1, LEVELS_OF_SCORES + 1)[1:-1]))
    return np.searchsorted(edges, score, side="right").astype(np.float64)


def curve_points(actual: Bools, score: Floats, most: int) -> tuple[Floats, Floats]:
    """Recall and precision of pairs over all thresholds.

    Args:
        actual: Shape ``(rows, labels)``.
        score: Shape ``(rows, labels)``.
        most: How many points there are at most; they are even in recall.

    Returns:
        Recall and precision, from the highest threshold down; empty where nothing is true.
    """
    flat, scores = actual.ravel(), score.ravel()
    total = int(flat.sum())
    if not total:
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(flat[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of pairs with equal scores
    reached, _ = np.unique(np.searchsorted(found[last], np.linspace(1, total, most)), return_index=True)
    at = last[np.minimum(reached, len(last) - 1)]
    return found[at] / total, found[at] / (at + 1.0)


def resampled_macro(actual: Bools, predicted: Bools, codes: Codes) -> CountStatistics:
    """Prepare the means over labels for resamples.

    Args:
        actual: Which labels each row has, shape ``(rows, labels)``.
        predicted: Which ones were assigned to it, shape ``(rows, labels)``.
        codes: Number of each row's group, from 0, without gaps.

    Returns:
        A function of group counts, shape ``(replicates, groups)``: ``macro_precision`` (0 for a label that was never
        assigned), ``macro_recall`` and ``macro_f1``, each the mean over the labels that any drawn row has; NaN where
        none has any.
    """
    from scipy.sparse import csr_array

    groups = int(codes.max(initial=0)) + 1
    width = actual.shape[1]

    def table(members: Bools) -> object:
        rows, labels = np.nonzero(members)
        return csr_array((np.ones(len(rows)), (labels, codes[rows])), shape=(width, groups))

    tables = [table(members) for members in (actual & predicted, predicted, actual)]

    def block(counts: Floats) -> Floats:
        found, called, true = (table @ counts for table in tables)  # type: ignore[operator]
        there = true > 0
        parts = [
            np.divide(found, called, out=np.zeros_like(found), where=called > 0),
            np.divide(found, true, out=np.zeros_like(found), where=there),
            np.divide(2 * found, called + true, out=np.zeros_like(found), where=there),
        ]
        labels = np.where(there.any(axis=0), there.sum(axis=0), np.nan)
        return np.array([np.where(there, part, 0.0).sum(axis=0) / labels for part in parts])

    def means(counts: Floats) -> dict[str, Floats]:
        size = max(1, CELLS_AT_ONCE // max(width, 1))
        edges = [*range(0, len(counts), size), len(counts)]
        blocks = [block(counts[start:end].T) for start, end in itertools.pairwise(edges)]
        return dict(zip(("macro_precision", "macro_recall", "macro_f1"), np.concatenate(blocks, axis=1), strict=True))

    return means
