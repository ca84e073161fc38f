"""Judging a binary predictor on held-out rows: on all of them, on named subsets, on slices, and beside baselines."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.binary import (
    LOG_LOSS_BELOW,
    ROC_AUC_ABOVE,
    Contender,
    FurtherMetrics,
    Judged,
    compare_binary,
    judge_binary,
)
from augury.metrics.bootstrap import Floats, ends
from augury.metrics.decisions import COST
from augury.metrics.metrics_mapping import SUPPORT, with_facts
from augury.metrics.ranking import Bools
from augury.pipelines.evaluation.binary_holdout import (
    BinaryHoldout,
    main_name,
    main_rows,
    read_holdout,
    selected,
    subset_masks,
    thresholds_of,
)
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.event_days import days_errors
from augury.pipelines.evaluation.holdout import OTHER, slice_labels

MODEL = "model"
PERIOD = re.compile(r"\d{4}-\d\d(-\d\d)?")
SLICE_METRICS = ("prevalence", "roc_auc", "pr_auc", "ece")
SLICE_DECISIONS = ("recall", "precision", "positive_share", COST)
SLICE_DAYS = ("days_n", "days_mae")


def evaluate_binary(
    predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation, seed: int
) -> dict[str, Any]:
    """Compute all metrics of the model on the main rows and on every subset.

    Args:
        predictions: The frame that the docstring of ``binary_holdout`` describes.
        facts: What else to record: ``n_train`` at least, and ``threshold``, operating point -> threshold; nested
            mappings become ``outer_inner``.
        evaluation: How to judge.
        seed: Seed of the model and of the resampling.

    Returns:
        A metrics mapping: the facts, ``n_test``, ``n_test_groups``, ``seed``, ``unit`` (the positive class),
        ``confidence``, ``cost_ratio``; the metrics of :func:`~augury.metrics.binary.judge_binary` on the main rows
        without a prefix, with ``roc_auc_above_<rival>``; the same on each subset as ``<subset>_<metric>``;
        ``intervals``; and, where asked for, ``support``: metric -> the rows that it rests on, where those are not all
        rows of the main ones or the subset. What is undefined on its rows (a subset without positives) is None.

    Raises:
        UserError: The frame breaks a rule, a parameter names what is not there, or ``n_train`` is not among the facts.
    """
    holdout = read_holdout(predictions, evaluation)
    thresholds = thresholds_of(facts, evaluation)
    main = main_name(evaluation)
    values: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    support: dict[str, int] = {}
    for name, inside in subset_masks(predictions, evaluation).items():
        prefix = "" if name == main else f"{name}_"
        judged = _judge(holdout.where(inside), thresholds, evaluation, seed, further=True)
        values |= {f"{prefix}{metric}": value for metric, value in judged.values.items()}
        intervals |= {f"{prefix}{metric}": interval for metric, interval in judged.intervals.items()}
        rows = int(inside.sum())
        support |= {f"{prefix}{metric}": judged.support.get(metric, rows) for metric in judged.values}
    computed = {
        "n_test": values.pop("n"),
        "n_test_groups": values.pop("groups"),
        "seed": seed,
        "unit": evaluation.positive_class,
        "confidence": evaluation.confidence,
        "cost_ratio": evaluation.cost_ratio,
        **values,
    }
    metrics = with_facts(facts, computed, intervals)
    whole = int(computed["n_test"])
    narrow = {name: rows for name, rows in support.items() if rows != whole and metrics.get(name) is not None}
    return metrics | {SUPPORT: narrow} if evaluation.support else metrics


def _judge(
    holdout: BinaryHoldout,
    thresholds: Mapping[str, float],
    evaluation: BinaryEvaluation,
    seed: int,
    *,
    further: bool,
) -> Judged:
    def scores(names: list[str]) -> dict[str, Floats]:
        found = {name: holdout.baselines[name].score for name in names}
        return {name: score for name, score in found.items() if score is not None}

    return judge_binary(
        holdout.rows,
        thresholds,
        evaluation.cost_ratio,
        evaluation.calibration_bins,
        evaluation.resampling(seed),
        scores(evaluation.rivals) if further else {},
        FurtherMetrics(evaluation.goodness_of_fit, tuple(evaluation.top_k), scores(evaluation.probabilities))
        if further
        else FurtherMetrics(),
    )


def compare_baselines(
    predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation, seed: int
) -> list[dict[str, Any]]:
    """Set the model beside the baselines, on the same rows and resamples, on the main rows and on every subset.

    Args:
        predictions: The frame that the docstring of ``binary_holdout`` describes.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How to judge.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows by subset, the main rows first; in each the model at its chosen operating point, at the others,
        then the oracles, then the baselines in the frame's order: ``subset, model, kind`` (``model``,
        ``operating_point``, ``oracle`` or ``baseline``), ``n, positives``, ``roc_auc``, ``roc_auc_above`` (the model's
        ROC-AUC less this one's, with a paired interval), ``pr_auc``; where there are probabilities to compare,
        ``log_loss``, ``log_loss_below`` (how far the model's lies below this one's, paired) and ``brier``; ``nec``,
        ``recall``, ``precision``, ``f1``, ``positive_share``; ``_lower`` and
        ``_upper`` where there are intervals. A baseline has the metrics that its columns allow, the others are None.
    """
    holdout = read_holdout(predictions, evaluation)
    thresholds = thresholds_of(facts, evaluation)
    rows: list[dict[str, Any]] = []
    for subset, inside in subset_masks(predictions, evaluation).items():
        part = holdout.where(inside)
        contenders, kinds = _contenders(part, thresholds, evaluation)
        found = compare_binary(part.rows, contenders, evaluation.cost_ratio, evaluation.resampling(seed))
        size = {"n": len(part.rows), "positives": int(part.rows.actual.sum())}
        for name, judged in found.items():
            row = {"subset": subset, "model": name, "kind": kinds[name], **size, **_with_ends(judged)}
            # The same score at another threshold has no lead to speak of
            leads = [lead for lead in (ROC_AUC_ABOVE, LOG_LOSS_BELOW) if lead in row]
            itself = dict.fromkeys(key for lead in leads for key in (lead, *ends(lead, None)))
            rows.append(row | itself if kinds[name] in ("model", "operating_point") else row)
    return rows


def _contenders(
    holdout: BinaryHoldout, thresholds: Mapping[str, float], evaluation: BinaryEvaluation
) -> tuple[dict[str, Contender], dict[str, str]]:
    contenders: dict[str, Contender] = {}
    kinds: dict[str, str] = {}
    chosen = evaluation.operating_point
    probability = holdout.rows.probability
    for point, threshold in thresholds.items():
        name = MODEL if point == chosen else f"{MODEL} at {point}"
        contenders[name] = Contender(probability, probability >= threshold, bool(evaluation.probabilities))
        kinds[name] = "model" if point == chosen else "operating_point"
    oracles = [name for name in evaluation.oracles if name in holdout.baselines]
    ordered = [*oracles, *(name for name in holdout.baselines if name not in oracles)]
    contenders |= {name: holdout.baselines[name] for name in ordered}
    return contenders, kinds | {name: "oracle" if name in oracles else "baseline" for name in ordered}


WITH_ENDS = ("roc_auc", ROC_AUC_ABOVE, "pr_auc", "log_loss", LOG_LOSS_BELOW, "brier", COST, "recall", "positive_share")


def _with_ends(judged: Judged) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in judged.values.items():
        row[name] = value
        if name in WITH_ENDS:
            row |= ends(name, judged.intervals.get(name))
    return row


def evaluate_slices(
    predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation, seed: int
) -> list[dict[str, Any]]:
    """Break the metrics down by the values of the slice columns.

    Args:
        predictions: The frame that the docstring of ``binary_holdout`` describes.
        facts: With ``threshold``, operating point -> threshold; the chosen one is used.
        evaluation: How to judge; ``sliced`` says which rows are broken down.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows by slice column and value, days, weeks and months in their order, else the largest slice first,
        and ``(other)`` last: ``slice, value, n, groups, positives``, then ``prevalence, roc_auc, pr_auc, ece, recall,
        precision, positive_share, nec``, each with ``_lower`` and ``_upper``; where days are judged, ``days_n`` (rows
        with a day) and ``days_mae``, too.
    """
    holdout = read_holdout(predictions, evaluation)
    thresholds = thresholds_of(facts, evaluation)
    chosen = evaluation.operating_point
    inside = sliced_rows(predictions, evaluation)
    rows: list[dict[str, Any]] = []
    for column in evaluation.slices:
        labels = slice_labels(predictions.loc[inside, column], evaluation.min_slice_rows)
        sizes = labels.value_counts()
        for label in sorted(sizes.index, key=lambda label: _place(label, sizes[label])):
            chosen_rows = np.flatnonzero(inside)[(labels == label).to_numpy()]
            mask = np.zeros(len(predictions), dtype=bool)
            mask[chosen_rows] = True
            judged = _judge(holdout.where(mask), {chosen: thresholds[chosen]}, evaluation, seed, further=False)
            rows.append({"slice": column, "value": label, **_slice_row(judged, chosen)})
            if evaluation.days is not None:
                errors = days_errors(predictions[mask], holdout.rows.groups[mask], evaluation.resampling(seed))
                rows[-1] |= {name: errors.values[name] for name in SLICE_DAYS}
                rows[-1] |= ends("days_mae", errors.intervals.get("days_mae"))
    return rows


def _place(label: str, rows: int) -> tuple[bool, int, str]:
    return label == OTHER, 0 if PERIOD.fullmatch(label) else -rows, label


def sliced_rows(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> Bools:
    """Mark the rows that are broken down: those of ``sliced``, or else the main rows."""
    if evaluation.sliced is None:
        return main_rows(predictions, evaluation)
    return selected(predictions, evaluation.sliced)


def _slice_row(judged: Judged, point: str) -> dict[str, Any]:
    row: dict[str, Any] = {name: judged.values[name] for name in ("n", "groups", "positives")}
    sources = {name: name for name in SLICE_METRICS} | {name: f"{name}_{point}" for name in SLICE_DECISIONS}
    sources = {name: source for name, source in sources.items() if source in judged.values}
    for name, source in sources.items():
        row |= {name: judged.values[source], **ends(name, judged.intervals.get(source))}
    return row
