"""Whether decisions differ between named groups: demographic parity and equalised odds, with fairlearn.

Groups may differ because their outcomes differ. So the share of positives and the calibration of every group stand
beside the differences of decisions: a model that is right in every group cannot have equal rates where the shares of
positives are not equal.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.binary import BinaryRows, Judged, Resampling
from augury.metrics.bootstrap import Floats, Sums, bootstrap_intervals, ends, share_interval
from augury.metrics.metrics_mapping import json_number
from augury.metrics.ranking import Bools
from augury.parameters import near_matches
from augury.pipelines.evaluation.binary_holdout import main_rows, read_holdout, thresholds_of
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.holdout import slice_labels

RATES = ("selection_rate", "recall", "false_positive_rate")
PARITY, ODDS, CALIBRATION = "demographic_parity", "equalized_odds", "calibration_gap_difference"
DIFFERENCES = (f"{PARITY}_difference", f"{PARITY}_ratio", f"{ODDS}_difference", f"{ODDS}_ratio", CALIBRATION)


def judge_fairness(
    predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation, seed: int
) -> dict[str, Any]:
    """Compare decisions between the groups of every column.

    Args:
        predictions: The frame that the docstring of ``binary_holdout`` describes.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How to judge; without ``fairness`` nothing is.
        seed: Seed of the resampling.

    Returns:
        JSON-ready: ``metrics`` and ``intervals``, each ``<name>`` of the column where it is worst and, where there are
        several, ``<name>_<column>`` of every column: ``demographic_parity_difference`` and ``_ratio`` (largest and
        smallest share of rows called positive), ``equalized_odds_difference`` and ``_ratio`` (the worse of recall and
        false positive rate) and ``calibration_gap_difference`` (largest less smallest of mean probability less share of
        positives); None with fewer than two groups, the odds also where a group lacks a class; ``groups``, rows of
        ``column, group, n, positives, prevalence, selection_rate, recall, false_positive_rate, mean_probability,
        calibration_gap``, with the ends of intervals; ``operating_point`` and ``threshold``. Chance makes the largest
        of several differences larger, and drawing again does so a second time: the intervals of differences err
        upwards.

    Raises:
        UserError: The predictor has no such operating point.
    """
    check = evaluation.fairness
    if check is None:
        return {"metrics": {}, "intervals": {}, "groups": []}
    thresholds = thresholds_of(facts, evaluation)
    if check.operating_point not in thresholds:
        raise UserError(
            f"Parameter 'evaluation.fairness.operating_point': the predictor has no operating point "
            f"'{check.operating_point}'. {near_matches(check.operating_point, thresholds)}"
        )
    threshold = thresholds[check.operating_point]
    inside = main_rows(predictions, evaluation)
    rows = read_holdout(predictions, evaluation).rows.where(inside)
    resampling = evaluation.resampling(seed)
    metrics: dict[str, float | None] = {}
    intervals: dict[str, list[float]] = {}
    groups: list[dict[str, Any]] = []
    for column in check.columns:
        labels = slice_labels(predictions.loc[inside, column], check.min_rows).to_numpy(dtype=str)
        found, by_group = compare_groups(rows, rows.probability >= threshold, labels, resampling)
        metrics |= {f"{name}_{column}": value for name, value in found.values.items()}
        intervals |= {f"{name}_{column}": interval for name, interval in found.intervals.items()}
        groups += [{"column": column, **group} for group in by_group]
    worst = {name: _worst(name, metrics, check.columns) for name in DIFFERENCES}
    worst_metrics = {name: None if column is None else metrics[f"{name}_{column}"] for name, column in worst.items()}
    worst_intervals = {
        name: intervals[f"{name}_{column}"] for name, column in worst.items() if f"{name}_{column}" in intervals
    }
    several = len(check.columns) > 1
    return {
        "metrics": worst_metrics | (metrics if several else {}),
        "intervals": worst_intervals | (intervals if several else {}),
        "groups": groups,
        "operating_point": check.operating_point,
        "threshold": threshold,
    }


def _worst(name: str, metrics: Mapping[str, float | None], columns: list[str]) -> str | None:
    known = {column: value for column in columns if (value := metrics[f"{name}_{column}"]) is not None}
    if not known:
        return None
    choose = min if name.endswith("_ratio") else max
    return choose(known, key=lambda column: known[column])


def compare_groups(
    rows: BinaryRows, decided: Bools, labels: npt.NDArray[np.str_], resampling: Resampling
) -> tuple[Judged, list[dict[str, Any]]]:
    """Compare decisions between the groups of one column.

    Args:
        rows: At least one row.
        decided: Whether each row is called positive, shape ``(rows,)``.
        labels: The group of each row, shape ``(rows,)``.
        resampling: How intervals are made.

    Returns:
        The differences, and a row for every group; see :func:`judge_fairness`.
    """
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    rates = dict(zip(RATES, (selection_rate, true_positive_rate, false_positive_rate), strict=True))
    frame = MetricFrame(metrics=rates, y_true=rows.actual, y_pred=decided, sensitive_features=labels)
    names = [str(name) for name in frame.by_group.index]
    groups = [_group_row(rows.where(labels == name), decided[labels == name], name, resampling) for name in names]
    values: dict[str, float | None] = dict.fromkeys(DIFFERENCES)
    if len(names) < 2:
        return Judged(values, {}), groups
    # fairlearn takes the rate of no rows for 0
    both = all(0 < group["positives"] < group["n"] for group in groups)
    for kind, spread in (("difference", frame.difference()), ("ratio", frame.ratio())):
        odds = [float(spread[name]) for name in RATES[1:]]
        values[f"{PARITY}_{kind}"] = json_number(spread[RATES[0]])
        values[f"{ODDS}_{kind}"] = json_number(max(odds) if kind == "difference" else min(odds)) if both else None
    gaps = [group["calibration_gap"] for group in groups]
    values[CALIBRATION] = max(gaps) - min(gaps)
    codes = np.searchsorted(np.array(names), labels)
    intervals = bootstrap_intervals(
        _contributions(rows, decided, codes, len(names)),
        {name: _resampled(name, len(names)) for name in DIFFERENCES},
        rows.groups,
        replicates=resampling.replicates,
        confidence=resampling.confidence,
        seed=resampling.seed,
    )
    return Judged(values, {name: ends for name, ends in intervals.items() if values[name] is not None}), groups


def _group_row(rows: BinaryRows, decided: Bools, name: str, resampling: Resampling) -> dict[str, Any]:
    actual = rows.actual
    gap = float(rows.probability.mean() - actual.mean())
    row: dict[str, Any] = {"group": name, "n": len(rows), "positives": int(actual.sum())}
    everyone = np.ones(len(rows), dtype=bool)
    shares = {"prevalence": (actual, everyone), RATES[0]: (decided, everyone)}
    shares |= {RATES[1]: (decided, actual), RATES[2]: (decided, ~actual)}
    for metric, (hits, among) in shares.items():
        some = bool(among.any())
        row[metric] = float(hits[among].mean()) if some else None
        interval = share_interval(hits[among], rows.groups[among], resampling.confidence) if some else None
        row |= ends(metric, interval)
    return {**row, "mean_probability": float(rows.probability.mean()), "calibration_gap": gap}


def _contributions(rows: BinaryRows, decided: Bools, codes: npt.NDArray[np.int64], groups: int) -> dict[str, Floats]:
    of_rows = {
        "n": np.ones(len(rows)),
        "called": decided,
        "positives": rows.actual,
        "found": decided & rows.actual,
        "gap": rows.probability - rows.actual,
    }
    return {
        f"{name} {group}": np.where(codes == group, values, 0.0)
        for name, values in of_rows.items()
        for group in range(groups)
    }


def _resampled(name: str, groups: int) -> Callable[[Sums], Floats]:
    """A difference as a function of sums; NaN where a group was not drawn, or lacks a class that is needed."""

    def statistic(sums: Sums) -> Floats:
        n, called, positives, found, gap = (
            np.stack([sums[f"{total} {group}"] for group in range(groups)])
            for total in ("n", "called", "positives", "found", "gap")
        )
        if name == CALIBRATION:
            return np.ptp(gap / n, axis=0)
        parity = name.startswith(PARITY)
        rates = [called / n] if parity else [found / positives, (called - found) / (n - positives)]
        if name.endswith("_ratio"):
            return np.min([rate.min(axis=0) / rate.max(axis=0) for rate in rates], axis=0)
        return np.max([np.ptp(rate, axis=0) for rate in rates], axis=0)

    return statistic
