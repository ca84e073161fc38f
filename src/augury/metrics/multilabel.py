"""All metrics of predicted label sets on one set of rows, with intervals from one set of resamples.

Labels may form a tree (a Dewey code implies the class above it). Sets of labels are boolean matrices, rows by labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.metrics.binary import Judged, Resampling
from augury.metrics.bootstrap import CountStatistics, Floats, Sums, bootstrap_samples, percentile_intervals
from augury.metrics.calibration import resampled_calibration_error
from augury.metrics.label_ranking import (
    PRECISION_MACRO,
    PRECISION_MICRO,
    LabelRanking,
    resampled_macro,
    top_label_sums,
)
from augury.metrics.metrics_mapping import json_number
from augury.metrics.ranking import Bools, Codes, named

MICRO = ("micro_precision", "micro_recall", "micro_f1")
MACRO = ("macro_precision", "macro_recall", "macro_f1")
SAMPLE = ("sample_precision", "sample_recall", "sample_f1")
SETS = ("subset_accuracy", "hamming_loss", "labels_per_row", "predicted_per_row")
OF_ORACLE = "micro_f1_of_oracle"
ORACLE = "oracle_micro_f1"


@dataclass(frozen=True)
class LabelTree:
    """Which label lies above which.

    Attributes:
        parents: Place of each label's parent, -1 for none, shape ``(labels,)``.
        levels: Depth of each label, 0 for one without a parent, shape ``(labels,)``.
    """

    parents: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int64]

    @classmethod
    def flat(cls, labels: int) -> "LabelTree":
        """Labels of which none lies above another."""
        return cls(np.full(labels, -1, dtype=np.int64), np.zeros(labels, dtype=np.int64))

    def closed(self, sets: Bools) -> Bools:
        """Add the ancestors of every label in a set."""
        full = sets.copy()
        # From the deepest level up: a parent that was added hands on to its own
        for level in range(int(self.levels.max(initial=0)), 0, -1):
            below = np.flatnonzero((self.levels == level) & (self.parents >= 0))
            np.logical_or.at(full.T, self.parents[below], full.T[below])
        return full

    def specific(self, sets: Bools) -> Bools:
        """Leave out every label of which a descendant is in the set, too."""
        closed = self.closed(sets)
        above = np.zeros_like(sets)
        below = np.flatnonzero(self.parents >= 0)
        np.logical_or.at(above.T, self.parents[below], closed.T[below])
        return sets & ~above


@dataclass(frozen=True)
class LabelRows:
    """Rows to be judged."""

    actual: Bools
    """Which labels each row has, shape ``(rows, labels)``."""
    groups: npt.NDArray[np.int64]
    """Rows of one group are drawn together, shape ``(rows,)``."""
    outside: npt.NDArray[np.int64]
    """How many further labels each row has that no column stands for: nobody can find them, shape ``(rows,)``."""
    tree: LabelTree

    def __len__(self) -> int:
        return len(self.actual)

    def where(self, inside: Bools) -> "LabelRows":
        """The rows of a mask."""
        return LabelRows(self.actual[inside], self.groups[inside], self.outside[inside], self.tree)


@dataclass(frozen=True)
class LabelAnswer:
    """What somebody says of the rows."""

    predicted: Bools
    """Which labels were assigned, shape ``(rows, labels)``."""
    probability: Floats | None = None
    """Shape ``(rows, labels)``; None: there are decisions alone."""

    def where(self, inside: Bools) -> "LabelAnswer":
        """The rows of a mask."""
        probability = None if self.probability is None else self.probability[inside]
        return LabelAnswer(self.predicted[inside], probability)


@dataclass(frozen=True)
class Oracle:
    """What somebody would say who knows how the rows were made; each of shape ``(rows,)``."""

    found: Floats
    """Labels of the oracle that the row has."""
    called: Floats
    """Labels of the oracle."""
    known: Bools
    """Whether there is an oracle for the row."""

    def where(self, inside: Bools) -> "Oracle":
        """The rows of a mask."""
        return Oracle(self.found[inside], self.called[inside], self.known[inside])


@dataclass(frozen=True)
class Depth:
    """What is computed beside the metrics of sets.

    Attributes:
        precision_at: The k of precision@k.
        ndcg_at: The k of nDCG@k.
        bins: Bins of the calibration error.
        over_labels: Whether metrics that are means over labels, average precision and the calibration error are wanted.
    """

    precision_at: tuple[int, ...] = (1, 3, 5)
    ndcg_at: tuple[int, ...] = (5,)
    bins: int = 15
    over_labels: bool = True


def judge_labels(
    rows: LabelRows,
    answers: Mapping[str, LabelAnswer],
    depth: Depth,
    resampling: Resampling,
    oracle: Oracle | None = None,
) -> dict[str, Judged]:
    """Judge one or several models on the same rows and the same resamples.

    Args:
        rows: The rows; there may be none.
        answers: Name -> what it says; the first is the model that the others are compared with.
        depth: What is computed.
        resampling: How intervals are made.
        oracle: Beside which the first is set, on the rows that it knows.

    Returns:
        By name, with intervals:

        - ``micro_precision, micro_recall, micro_f1``: of all pairs of row and label together; labels outside count as
          missed.
        - ``sample_precision, sample_recall, sample_f1``: means over rows, 0 for an empty set.
        - ``macro_precision, macro_recall, macro_f1``: means over the labels that any row has.
        - ``hierarchical_precision, hierarchical_recall, hierarchical_f1``: micro, with the ancestors of every label
          added on both sides [1]_; equal to the micro ones where sets hold their ancestors already.
        - ``specific_f1``: micro F1 of the labels without a descendant in their set: parents that come for free do not
          count.
        - ``f1_level_<level>``: micro F1 of the labels of one level.
        - ``subset_accuracy`` (rows whose set is exactly right), ``hamming_loss`` (wrong pairs by all pairs),
          ``labels_per_row``, ``predicted_per_row``.
        - With probabilities ``precision_at_<k>``, ``ndcg_at_<k>``, ``brier`` (mean over pairs),
          ``average_precision_micro``, ``average_precision_macro``, ``ece`` (of all pairs, in bins of equal mass).
        - Of all but the first ``micro_f1_above`` and ``macro_f1_above``: by how much the first one's lies above theirs,
          paired.
        - Of the first, with an oracle, ``oracle_micro_f1`` and ``micro_f1_of_oracle``, its own micro F1 by the
          oracle's, both on the rows that the oracle knows.

        What is undefined on the rows is None. Resamples draw the few rows of a rare label several times or not at all,
        which moves means over labels: those of the resamples are shifted to the value itself.

        .. [1] S. Kiritchenko, S. Matwin, R. Nock and A. F. Famili, "Learning and evaluation in the presence of class
           hierarchies", Canadian AI 2006.
    """
    codes, labels = pd.factorize(rows.groups, sort=True)
    codes = codes.astype(np.int64)
    judged = [_Judgement(f"{name} ", rows, answer, depth, codes) for name, answer in answers.items()]
    if judged and oracle is not None and oracle.known.any():
        judged[0].beside(oracle, rows)
    if not len(rows):
        return {name: Judged(dict.fromkeys(one.names()), {}) for name, one in zip(answers, judged, strict=True)}
    samples = bootstrap_samples(
        {name: values for one in judged for name, values in one.contributions.items()},
        {name: function for one in judged for name, function in one.statistics.items()},
        codes,
        replicates=resampling.replicates,
        seed=resampling.seed,
        count_statistics=[function for one in judged for function in one.counted],
    )
    totals = np.ones((1, len(labels)))
    found: dict[str, Judged] = {}
    for place, (name, one) in enumerate(zip(answers, judged, strict=True)):
        values = one.values(totals)
        if samples:
            for metric in (*MACRO, PRECISION_MACRO):
                _recentre(samples, f"{name} {metric}", values.get(metric))
        own = {metric: samples[f"{name} {metric}"] for metric in values if samples}
        for metric in ("micro_f1", "macro_f1") if place else ():
            if metric in values:
                first = next(iter(answers))
                values[f"{metric}_above"] = _less(found[first].values[metric], values[metric])
                if samples:
                    own[f"{metric}_above"] = samples[f"{first} {metric}"] - samples[f"{name} {metric}"]
        intervals = percentile_intervals(own, resampling.confidence)
        plain = {metric: json_number(value) for metric, value in values.items()}
        defined = {key: ends for key, ends in intervals.items() if plain.get(key) is not None}
        found[name] = Judged(plain, defined, one.support)
    return found


def _recentre(samples: dict[str, Floats], name: str, value: float | None) -> None:
    if name in samples and value is not None and np.isfinite(samples[name]).any():
        samples[name] = np.clip(samples[name] - np.nanmean(samples[name]) + value, 0.0, 1.0)


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def f1_of(found: Floats, called: Floats, true: Floats) -> Floats:
    """F1 of counts: 2 x found / (called + true); NaN where there is neither."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * found / (called + true), dtype=np.float64)


def row_f1(actual: Bools, predicted: Bools, outside: Codes | None = None) -> Floats:
    """F1 of each row's set, shape ``(rows,)``; 0 where both sets are empty.

    Args:
        actual: Shape ``(rows, labels)``.
        predicted: Shape ``(rows, labels)``.
        outside: How many further labels each row has, shape ``(rows,)``; None: none.
    """
    found = (actual & predicted).sum(axis=1)
    both = actual.sum(axis=1) + predicted.sum(axis=1) + (0 if outside is None else outside)
    return np.divide(2.0 * found, both, out=np.zeros(len(actual)), where=both > 0)


@dataclass
class _Judgement:
    """What one model adds to which sum, and the metrics that are functions of the sums or of group counts."""

    prefix: str
    rows: LabelRows
    answer: LabelAnswer
    depth: Depth
    codes: Codes
    contributions: dict[str, Floats] = field(default_factory=dict)
    statistics: dict[str, Callable[[Sums], Floats]] = field(default_factory=dict)
    counted: list[CountStatistics] = field(default_factory=list)
    support: dict[str, int] = field(default_factory=dict)
    counted_names: list[str] = field(default_factory=list)
    ranking: LabelRanking | None = None

    def __post_init__(self) -> None:
        rows, predicted, depth = self.rows, self.answer.predicted, self.depth
        tree, actual = rows.tree, rows.actual
        found, called, true = self.counts("micro", actual, predicted, rows.outside)
        self.ratio("micro_precision", "micro found", "micro called")
        self.ratio("micro_recall", "micro found", "micro true")
        with np.errstate(divide="ignore", invalid="ignore"):
            self.mean("sample_precision", np.where(called > 0, found / called, 0.0))
            self.mean("sample_recall", np.where(true > 0, found / true, 0.0))
        self.mean("sample_f1", row_f1(actual, predicted, rows.outside))
        full = tree.closed(actual), tree.closed(predicted)
        self.counts("hierarchical", *full, rows.outside)
        self.ratio("hierarchical_precision", "hierarchical found", "hierarchical called")
        self.ratio("hierarchical_recall", "hierarchical found", "hierarchical true")
        self.counts("specific", tree.specific(actual), tree.specific(predicted), rows.outside)
        for level in range(int(tree.levels.max(initial=-1)) + 1):
            inside = tree.levels == level
            self.counts(f"level {level}", actual[:, inside], predicted[:, inside], f1=f"f1_level_{level}")
        wrong = (actual != predicted).sum(axis=1) + rows.outside
        self.mean("subset_accuracy", (wrong == 0).astype(np.float64))
        self.mean("hamming_loss", wrong / max(actual.shape[1], 1))
        self.mean("labels_per_row", true)
        self.mean("predicted_per_row", called)
        if self.depth.over_labels:
            self.count(resampled_macro(actual, predicted, self.codes) if len(rows) else None, MACRO)
        if self.answer.probability is not None:
            self.probabilities(self.answer.probability.astype(np.float64), depth)

    def probabilities(self, probability: Floats, depth: Depth) -> None:
        actual = self.rows.actual
        for name, values in top_label_sums(
            actual, probability, self.rows.outside, depth.precision_at, depth.ndcg_at
        ).items():
            self.mean(name, values)
        self.mean("brier", ((probability - actual) ** 2).mean(axis=1))
        if not depth.over_labels:
            return
        self.count(None, (PRECISION_MICRO, PRECISION_MACRO, "ece"))
        if len(self.rows):
            self.ranking = LabelRanking(actual, probability, self.codes)
            self.count(self.ranking.resampled, ())
            pairs = np.repeat(self.codes, actual.shape[1])
            self.count(resampled_calibration_error(actual.ravel(), probability.ravel(), depth.bins, pairs), ())

    def counts(
        self, name: str, actual: Bools, predicted: Bools, outside: Codes | None = None, f1: str | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Add found, called and true labels of each row, and the F1 of their sums."""
        parts = (actual & predicted).sum(axis=1), predicted.sum(axis=1), actual.sum(axis=1)
        found, called, true = (part.astype(np.float64) for part in parts)
        true = true if outside is None else true + outside
        keys = [f"{self.prefix}{name} {part}" for part in ("found", "called", "true")]
        self.contributions |= dict(zip(keys, (found, called, true), strict=True))
        self.statistics[f"{self.prefix}{f1 or f'{name}_f1'}"] = lambda sums: f1_of(*(sums[key] for key in keys))
        return found, called, true

    def ratio(self, name: str, above: str, below: str) -> None:
        """Add a metric that is one sum by another."""
        one, other = f"{self.prefix}{above}", f"{self.prefix}{below}"
        self.statistics[f"{self.prefix}{name}"] = lambda sums: sums[one] / sums[other]

    def mean(self, name: str, values: Floats) -> None:
        """Add a metric that is a mean over rows."""
        key = f"{self.prefix}{name}"
        self.contributions[key] = values
        self.statistics[key] = lambda sums: sums[key] / sums["rows"]

    def count(self, function: CountStatistics | None, names: Sequence[str]) -> None:
        """Add metrics that are functions of group counts; without rows there are but their names."""
        self.counted_names += names
        if function is not None:
            self.counted.append(lambda counts: named(self.prefix, function(counts)))

    def beside(self, oracle: Oracle, rows: LabelRows) -> None:
        """Add how far this model comes on the rows that an oracle knows."""
        known = oracle.known
        parts = {
            "oracle found": np.where(known, oracle.found, 0.0),
            "oracle called": np.where(known, oracle.called, 0.0),
            "known found": np.where(known, self.contributions[f"{self.prefix}micro found"], 0.0),
            "known called": np.where(known, self.contributions[f"{self.prefix}micro called"], 0.0),
            "known true": np.where(known, self.contributions[f"{self.prefix}micro true"], 0.0),
        }
        self.contributions |= {f"{self.prefix}{name}": values for name, values in parts.items()}

        def of(sums: Sums, who: str) -> Floats:
            keys = (f"{who} found", f"{who} called", "known true")
            return f1_of(*(sums[f"{self.prefix}{key}"] for key in keys))

        self.statistics[f"{self.prefix}{ORACLE}"] = lambda sums: of(sums, "oracle")
        self.statistics[f"{self.prefix}{OF_ORACLE}"] = lambda sums: of(sums, "known") / of(sums, "oracle")
        self.support = dict.fromkeys((ORACLE, OF_ORACLE), int(known.sum()))

    def names(self) -> list[str]:
        """The names of all metrics."""
        return [*(name.removeprefix(self.prefix) for name in self.statistics), *self.counted_names]

    def values(self, totals: Floats) -> dict[str, float | None]:
        """The metrics of the rows themselves."""
        sums = {name: np.array([values.sum()]) for name, values in self.contributions.items()}
        sums["rows"] = np.array([float(len(self.rows))])
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {name: float(function(sums)[0]) for name, function in self.statistics.items()}
            for counted in self.counted:
                found |= {name: float(values[0]) for name, values in counted(totals).items()}
        plain: dict[str, float | None] = {name.removeprefix(self.prefix): value for name, value in found.items()}
        # Resamples see rounded scores, the rows themselves exact ones
        return plain | ({} if self.ranking is None else dict(self.ranking.metrics()))
