"""All metrics of a binary predictor on one set of rows, with intervals from one set of resamples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.metrics.bootstrap import (
    CountStatistics,
    Floats,
    Sums,
    bootstrap_samples,
    percentile_intervals,
    share_interval,
)
from augury.metrics.calibration import (
    calibration_metrics,
    log_losses,
    resampled_calibration_error,
    resampled_calibration_line,
    resampled_debiased_error,
)
from augury.metrics.decisions import COST, decision_metrics, rates
from augury.metrics.goodness_of_fit import GOODNESS_OF_FIT, goodness_of_fit, log_loss_skill
from augury.metrics.metrics_mapping import json_number
from augury.metrics.ranking import Bools, Ranking, TopRows, named

ROW_METRICS = ("n", "groups", "positives", "prevalence", "mean_probability")
RANKING_METRICS = ("roc_auc", "pr_auc")
CALIBRATION_METRICS = (
    "brier",
    "log_loss",
    "ece",
    "ece_width",
    "ece_l2_debiased",
    "calibration_slope",
    "calibration_in_the_large",
)
WEIGHTED_RECALL = "weighted_recall"
ROC_AUC_ABOVE = "roc_auc_above"
LOG_LOSS_BELOW = "log_loss_below"
PROBABILITY_METRICS = ("log_loss", LOG_LOSS_BELOW, "brier")
TOP_METRICS = ("precision", "recall")
MISSING = "(missing)"


@dataclass(frozen=True)
class Resampling:
    """How intervals are made."""

    replicates: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class BinaryRows:
    """Rows to be judged; every array has shape ``(rows,)``."""

    actual: Bools
    probability: Floats
    groups: npt.NDArray[np.int64]
    """Rows of one group are drawn together."""
    weights: Floats | None = None
    """Size of each row, for the weighted recall: finite and >= 0."""
    places: npt.NDArray[np.int64] | None = None
    """Of rows with equal probabilities, the one with the smaller place comes first among the top rows."""

    def __len__(self) -> int:
        return len(self.actual)

    def where(self, inside: Bools) -> "BinaryRows":
        """The rows of a mask."""
        weights = None if self.weights is None else self.weights[inside]
        places = None if self.places is None else self.places[inside]
        return BinaryRows(self.actual[inside], self.probability[inside], self.groups[inside], weights, places)


def combined_groups(frame: pd.DataFrame, columns: list[str]) -> npt.NDArray[np.int64]:
    """Number the combinations of some columns in the order of their labels; a missing value is a label too.

    Args:
        frame: Any frame.
        columns: At least one column.

    Returns:
        The number of each row's combination, shape ``(rows,)``.
    """
    labels = frame[columns].astype(object)
    texts = labels.where(labels.notna(), MISSING).astype(str)
    return texts.groupby(columns, sort=True).ngroup().to_numpy().astype(np.int64)


@dataclass(frozen=True)
class Judged:
    """Metric name -> value, None where it is undefined, and ``[lower, upper]`` where there is an interval."""

    values: dict[str, float | None]
    intervals: dict[str, list[float]]
    support: dict[str, int] = field(default_factory=dict)
    """Metric name -> the rows that it rests on, where those are not all rows."""


@dataclass(frozen=True)
class FurtherMetrics:
    """What :func:`judge_binary` computes when asked."""

    goodness_of_fit: bool = False
    """The tests of :func:`~augury.metrics.goodness_of_fit.goodness_of_fit`, and intervals of the skill, the calibration
    line and the debiased calibration error."""
    top_k: tuple[int, ...] = ()
    """How many rows with the largest probabilities are taken for ``precision_at_<k>`` and ``recall_at_<k>``."""
    probabilities: Mapping[str, Floats] = field(default_factory=dict)
    """Name -> probability of another model, for ``log_loss_below_<name>``."""


NOTHING_FURTHER = FurtherMetrics()


def judge_binary(
    rows: BinaryRows,
    thresholds: Mapping[str, float],
    cost_ratio: float | None,
    bins: int,
    resampling: Resampling,
    rivals: Mapping[str, Floats] | None = None,
    further: FurtherMetrics = NOTHING_FURTHER,
) -> Judged:
    """Compute all metrics of a model on some rows.

    Args:
        rows: The rows; there may be none, or of one class only.
        thresholds: Operating point -> the smallest probability that is called positive.
        cost_ratio: Cost of a missed positive in units of a false alarm; None: no metric is a cost.
        bins: Bins of the calibration errors.
        resampling: How intervals are made.
        rivals: Name -> score of another model, shape ``(rows,)``.
        further: Further metrics.

    Returns:
        ``n, groups, positives, prevalence, mean_probability``; those of
        :class:`~augury.metrics.ranking.Ranking` and :func:`~augury.metrics.calibration.calibration_metrics`; for each
        operating point those of :func:`~augury.metrics.decisions.rates` as ``<metric>_<point>`` and, with weights,
        ``weighted_recall_<point>``, the share of the positives' weight that was found; for each rival
        ``roc_auc_above_<rival>``, the model's ROC-AUC less the rival's, and ``log_loss_below_<name>``, the log loss of
        another model less this one's. Intervals are grouped bootstrap, with the same
        resamples for the rivals; plain shares have those of :func:`~augury.metrics.bootstrap.share_interval`, which
        stay honest where nothing was missed.
    """
    values: dict[str, float | None] = dict.fromkeys(
        metric_names(thresholds, rivals or {}, rows.weights is not None, cost_ratio, further)
    )
    codes, labels = pd.factorize(rows.groups, sort=True)
    values |= {"n": len(rows), "groups": len(labels), "positives": int(rows.actual.sum())}
    if not len(rows):
        return Judged(values, {})
    intervals: dict[str, list[float]] = {}
    support: dict[str, int] = {}

    def share(name: str, hits: Bools, among: Bools) -> None:
        support[name] = int(among.sum())
        found = share_interval(hits[among], codes[among], resampling.confidence)
        if found is not None:
            intervals[name] = found

    everyone = np.ones(len(rows), dtype=bool)
    values |= {"prevalence": float(rows.actual.mean()), "mean_probability": float(rows.probability.mean())}
    share("prevalence", rows.actual, everyone)
    model = Ranking(rows.actual, rows.probability, codes)
    ranked = model.metrics()
    values |= ranked | calibration_metrics(rows.actual, rows.probability, bins)
    sums = _Sums(rows)
    sums.mean("mean_probability", rows.probability)
    sums.mean("brier", (rows.probability - rows.actual) ** 2)
    losses = log_losses(rows.actual, rows.probability)
    sums.mean("log_loss", losses)
    for name, other_probability in further.probabilities.items():
        gain = log_losses(rows.actual, other_probability) - losses
        values[f"{LOG_LOSS_BELOW}_{name}"] = float(gain.mean())
        sums.mean(f"{LOG_LOSS_BELOW}_{name}", gain)
    for point, threshold in thresholds.items():
        decided = rows.probability >= threshold
        values |= sums.decisions(decided, cost_ratio, f"_{point}")
        share(f"recall_{point}", decided, rows.actual)
        share(f"fnr_{point}", ~decided, rows.actual)
        share(f"precision_{point}", rows.actual, decided)
        share(f"fpr_{point}", decided, ~rows.actual)
        share(f"positive_share_{point}", decided, everyone)
        share(f"false_omission_rate_{point}", rows.actual, ~decided)
    others = {name: Ranking(rows.actual, score, codes) for name, score in (rivals or {}).items()}
    counted: list[CountStatistics] = [
        model.resampled,
        resampled_calibration_error(rows.actual, rows.probability, bins, codes),
        *(ranking_statistics(other, f"{name} ") for name, other in others.items()),
    ]
    if further.goodness_of_fit:
        values |= goodness_of_fit(rows.actual, rows.probability, resampling.seed)
        sums.statistics["log_loss_skill"] = lambda totals: log_loss_skill(
            totals["log_loss"] / totals["rows"], totals["positives"] / totals["rows"]
        )
        counted += [
            resampled_debiased_error(rows.actual, rows.probability, bins, codes),
            resampled_calibration_line(rows.actual, rows.probability, codes),
        ]
    sizes = [size for size in further.top_k if size <= len(rows)]
    if sizes:
        top = TopRows(rows.actual, rows.probability, sizes, codes, rows.places)
        values |= top.metrics()
        counted.append(top.resampled)
        for size in sizes:
            hits, members = top.taken(size)
            support[f"precision_at_{size}"] = size
            support[f"recall_at_{size}"] = int(rows.actual.sum())
            found_share = share_interval(hits, members, resampling.confidence)
            if found_share is not None:
                intervals[f"precision_at_{size}"] = found_share
    samples = sums.samples(codes, resampling, counted)
    for name, other in others.items():
        values[f"{ROC_AUC_ABOVE}_{name}"] = ranked["roc_auc"] - other.metrics()["roc_auc"]
        if samples:
            samples[f"{ROC_AUC_ABOVE}_{name}"] = samples["roc_auc"] - samples[f"{name} roc_auc"]
    found = percentile_intervals(samples, resampling.confidence)
    values = {name: json_number(value) for name, value in values.items()}
    merged = {**found, **intervals}
    return Judged(
        values,
        {name: merged[name] for name, value in values.items() if value is not None and name in merged},
        {name: count for name, count in support.items() if count != len(rows)},
    )


def metric_names(
    thresholds: Mapping[str, float],
    rivals: Mapping[str, Floats],
    weighted: bool,
    cost_ratio: float | None = 1.0,
    further: FurtherMetrics = NOTHING_FURTHER,
) -> list[str]:
    """The names that :func:`judge_binary` gives, in their order."""
    of_points = [*decision_metrics(cost_ratio), *([WEIGHTED_RECALL] if weighted else [])]
    return [
        *ROW_METRICS,
        *RANKING_METRICS,
        *CALIBRATION_METRICS,
        *(GOODNESS_OF_FIT if further.goodness_of_fit else ()),
        *(f"{name}_{point}" for point in thresholds for name in of_points),
        *(f"{name}_at_{size}" for size in further.top_k for name in TOP_METRICS),
        *(f"{ROC_AUC_ABOVE}_{rival}" for rival in rivals),
        *(f"{LOG_LOSS_BELOW}_{name}" for name in further.probabilities),
    ]


@dataclass(frozen=True)
class Contender:
    """A model or a rule to be set beside others: a score, decisions, or both, each of shape ``(rows,)``."""

    score: Floats | None
    decided: Bools | None
    probabilistic: bool = False
    """Whether the score is a probability."""


def compare_binary(
    rows: BinaryRows, contenders: Mapping[str, Contender], cost_ratio: float | None, resampling: Resampling
) -> dict[str, Judged]:
    """Judge contenders on the same rows and the same resamples.

    Args:
        rows: The rows; there may be none. Their probability is not used.
        contenders: Name -> contender; the first, which has a score, is what the others are compared with.
        cost_ratio: Cost of a missed positive in units of a false alarm; None: no metric is a cost.
        resampling: How intervals are made.

    Returns:
        By contender: ``roc_auc``, ``pr_auc`` and ``roc_auc_above``, how far the first one's ROC-AUC lies above its own
        (None for the first), all None without a score; where any score is a probability, ``log_loss``, ``brier`` and
        ``log_loss_below``, how far the first one's log loss lies below its own, None for those that are none; ``nec``,
        ``recall``, ``precision``, ``f1`` and ``positive_share``, all None without decisions; intervals of all but
        precision and F1.
    """
    some = any(contender.probabilistic for contender in contenders.values())
    of_decisions_alone = (*((COST,) if cost_ratio is not None else ()), "recall", "precision", "f1", "positive_share")
    of_probabilities = PROBABILITY_METRICS if some else ()
    names = (*RANKING_METRICS, ROC_AUC_ABOVE, *of_probabilities, *of_decisions_alone)
    if not len(rows):
        return {name: Judged(dict.fromkeys(names), {}) for name in contenders}
    codes, _ = pd.factorize(rows.groups, sort=True)
    first = next(iter(contenders))
    sums = _Sums(rows)
    found: dict[str, dict[str, float | None]] = {}
    rankings: dict[int, tuple[str, Ranking]] = {}
    owners: dict[str, str] = {}
    """Of contenders that are one score at several thresholds, the one whose ranking is resampled."""
    for name, contender in contenders.items():
        values: dict[str, float | None] = dict.fromkeys(names)
        if contender.score is not None:
            if id(contender.score) not in rankings:
                rankings[id(contender.score)] = name, Ranking(rows.actual, contender.score, codes)
            owners[name], ranking = rankings[id(contender.score)]
            values |= ranking.metrics()
            if name != first:
                values[ROC_AUC_ABOVE] = _difference(found[first]["roc_auc"], values["roc_auc"])
            if contender.probabilistic:
                values |= sums.probabilities(contender.score, f" {name}", f" {first}")
        if contender.decided is not None:
            of_decisions = sums.decisions(contender.decided, cost_ratio, f" {name}")
            values |= {metric: of_decisions[f"{metric} {name}"] for metric in of_decisions_alone}
        found[name] = values
    counted = [ranking_statistics(ranking, f"{name} ") for name, ranking in rankings.values()]
    samples = sums.samples(codes, resampling, counted)
    for name, owner in owners.items():
        samples |= {f"{name} {metric}": samples[f"{owner} {metric}"] for metric in RANKING_METRICS if samples}
    return {
        name: _contender(values, contenders[name], name, first, rows, codes, samples, resampling)
        for name, values in found.items()
    }


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _contender(
    values: dict[str, float | None],
    contender: Contender,
    name: str,
    first: str,
    rows: BinaryRows,
    codes: npt.NDArray[np.int64],
    samples: Mapping[str, Floats],
    resampling: Resampling,
) -> Judged:
    own: dict[str, Floats] = {}
    if samples and contender.score is not None:
        own |= {metric: samples[f"{name} {metric}"] for metric in RANKING_METRICS}
        own |= {metric: samples[f"{metric} {name}"] for metric in PROBABILITY_METRICS if f"{metric} {name}" in samples}
        if name != first:
            own[ROC_AUC_ABOVE] = samples[f"{first} roc_auc"] - own["roc_auc"]
    if samples and contender.decided is not None and COST in values:
        own[COST] = samples[f"{COST} {name}"]
    intervals: dict[str, list[float] | None] = dict(percentile_intervals(own, resampling.confidence))
    if contender.decided is not None:
        hits = contender.decided
        intervals["recall"] = share_interval(hits[rows.actual], codes[rows.actual], resampling.confidence)
        intervals["positive_share"] = share_interval(hits, codes, resampling.confidence)
    defined = {metric: json_number(value) for metric, value in values.items()}
    return Judged(
        defined,
        {metric: ends for metric, ends in intervals.items() if ends is not None and defined[metric] is not None},
    )


def ranking_statistics(ranking: Ranking, prefix: str) -> CountStatistics:
    """The metrics of a ranking in resamples, under names with a prefix."""
    return lambda counts: named(prefix, ranking.resampled(counts))


class _Sums:
    """Collects what each row adds to which sum, and the metrics that are functions of those sums."""

    def __init__(self, rows: BinaryRows) -> None:
        self.rows = rows
        self.contributions: dict[str, Floats] = {"positives": rows.actual.astype(np.float64)}
        self.statistics: dict[str, Callable[[Sums], Floats]] = {}

    def mean(self, name: str, values: Floats, per: str = "rows") -> None:
        """Add a metric that is a sum over rows by another sum."""
        self.contributions[name] = values
        self.statistics[name] = lambda sums: sums[name] / sums[per]

    def probabilities(self, probability: Floats, suffix: str, first: str) -> dict[str, float]:
        """Add metrics of a probability, beside one that was added before or is this one itself."""
        losses = log_losses(self.rows.actual, probability)
        self.mean(f"log_loss{suffix}", losses)
        squared = (probability - self.rows.actual) ** 2
        self.mean(f"brier{suffix}", squared)
        values = {"log_loss": float(losses.mean()), "brier": float(squared.mean())}
        if suffix != first and f"log_loss{first}" in self.contributions:
            gain = losses - self.contributions[f"log_loss{first}"]
            self.mean(f"{LOG_LOSS_BELOW}{suffix}", gain)
            values[LOG_LOSS_BELOW] = float(gain.mean())
        return values

    def decisions(self, decided: Bools, cost_ratio: float | None, suffix: str) -> dict[str, float | None]:
        """Add metrics of decisions; returns their values in the sample itself."""
        actual, weights = self.rows.actual, self.rows.weights
        found, alarms = f"found{suffix}", f"alarms{suffix}"
        self.contributions |= {
            found: (decided & actual).astype(np.float64),
            alarms: (decided & ~actual).astype(np.float64),
        }

        def metric(name: str) -> Callable[[Sums], Floats]:
            return lambda sums: rates(
                sums[found], sums[alarms], sums["positives"], sums["rows"] - sums["positives"], cost_ratio
            )[name]

        resampled = ("f1",) if cost_ratio is None else ("f1", COST)
        self.statistics |= {f"{name}{suffix}": metric(name) for name in resampled}
        positives = int(actual.sum())
        values: dict[str, float | None] = {
            f"{name}{suffix}": float(value)
            for name, value in rates(
                (decided & actual).sum(), (decided & ~actual).sum(), positives, len(actual) - positives, cost_ratio
            ).items()
        }
        if weights is not None:
            self.contributions["weight"] = np.where(actual, weights, 0.0)
            self.mean(f"{WEIGHTED_RECALL}{suffix}", np.where(actual & decided, weights, 0.0), per="weight")
            total = float(weights[actual].sum())
            values[f"{WEIGHTED_RECALL}{suffix}"] = float(weights[actual & decided].sum()) / total if total else None
        return values

    def samples(
        self, codes: npt.NDArray[np.int64], resampling: Resampling, counted: list[CountStatistics]
    ) -> dict[str, Floats]:
        """Resample."""
        return bootstrap_samples(
            self.contributions,
            self.statistics,
            codes,
            replicates=resampling.replicates,
            seed=resampling.seed,
            count_statistics=counted,
        )
