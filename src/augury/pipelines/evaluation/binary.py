"""Judging a binary predictor on held-out rows: on all of them, on named subsets, on slices, and beside baselines."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.binary import (
    ROC_AUC_ABOVE,
    Contender,
    Judged,
    compare_binary,
    judge_binary,
)
from augury.metrics.bootstrap import ends
from augury.metrics.metrics_mapping import with_facts
from augury.metrics.ranking import Bools
from augury.pipelines.evaluation.binary_holdout import (
    BinaryEvaluation,
    BinaryHoldout,
    main_name,
    main_rows,
    read_holdout,
    selected,
    subset_masks,
    thresholds_of,
)
from augury.pipelines.evaluation.holdout import OTHER, slice_labels

MODEL = "model"
DAY = re.compile(r"\d{4}-\d\d-\d\d")
SLICE_METRICS = ("prevalence", "roc_auc", "pr_auc", "ece")
SLICE_DECISIONS = ("recall", "precision", "positive_share", "nec")


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
        without a prefix, with ``roc_auc_above_<rival>``; the same on each subset as ``<subset>_<metric>``; and
        ``intervals``. What is undefined on its rows (a subset without positives) is None.

    Raises:
        UserError: The frame breaks a rule, a parameter names what is not there, or ``n_train`` is not among the facts.
    """
    holdout = read_holdout(predictions, evaluation)
    thresholds = thresholds_of(facts, evaluation)
    main = main_name(evaluation)
    values: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    for name, inside in subset_masks(predictions, evaluation).items():
        prefix = "" if name == main else f"{name}_"
        judged = _judge(holdout.where(inside), thresholds, evaluation, seed, evaluation.rivals)
        values |= {f"{prefix}{metric}": value for metric, value in judged.values.items()}
        intervals |= {f"{prefix}{metric}": interval for metric, interval in judged.intervals.items()}
    computed = {
        "n_test": values.pop("n"),
        "n_test_groups": values.pop("groups"),
        "seed": seed,
        "unit": evaluation.positive_class,
        "confidence": evaluation.confidence,
        "cost_ratio": evaluation.cost_ratio,
        **values,
    }
    return with_facts(facts, computed, intervals)


def _judge(
    holdout: BinaryHoldout,
    thresholds: Mapping[str, float],
    evaluation: BinaryEvaluation,
    seed: int,
    rivals: list[str],
) -> Judged:
    scores = {name: holdout.baselines[name].score for name in rivals}
    return judge_binary(
        holdout.rows,
        thresholds,
        evaluation.cost_ratio,
        evaluation.calibration_bins,
        evaluation.resampling(seed),
        {name: score for name, score in scores.items() if score is not None},
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
        then the baselines in the frame's order: ``subset, model, kind`` (``model``, ``operating_point`` or
        ``baseline``), ``n, positives``, ``roc_auc``, ``roc_auc_above`` (the model's ROC-AUC less this one's, with a
        paired interval), ``pr_auc``, ``nec``, ``recall``, ``precision``, ``f1``, ``positive_share``; ``_lower`` and
        ``_upper`` where there are intervals. A baseline has the metrics that its columns allow, the others are None.
    """
    holdout = read_holdout(predictions, evaluation)
    thresholds = thresholds_of(facts, evaluation)
    rows: list[dict[str, Any]] = []
    for subset, inside in subset_masks(predictions, evaluation).items():
        part = holdout.where(inside)
        contenders, kinds = _contenders(part, thresholds, evaluation.operating_point)
        found = compare_binary(part.rows, contenders, evaluation.cost_ratio, evaluation.resampling(seed))
        size = {"n": len(part.rows), "positives": int(part.rows.actual.sum())}
        for name, judged in found.items():
            row = {"subset": subset, "model": name, "kind": kinds[name], **size, **_with_ends(judged)}
            # The same score at another threshold has no lead to speak of
            itself = dict.fromkeys((ROC_AUC_ABOVE, *ends(ROC_AUC_ABOVE, None)))
            rows.append(row if kinds[name] == "baseline" else row | itself)
    return rows


def _contenders(
    holdout: BinaryHoldout, thresholds: Mapping[str, float], chosen: str
) -> tuple[dict[str, Contender], dict[str, str]]:
    contenders: dict[str, Contender] = {}
    kinds: dict[str, str] = {}
    for point, threshold in thresholds.items():
        name = MODEL if point == chosen else f"{MODEL} at {point}"
        contenders[name] = Contender(holdout.rows.probability, holdout.rows.probability >= threshold)
        kinds[name] = "model" if point == chosen else "operating_point"
    kinds |= dict.fromkeys(holdout.baselines, "baseline")
    return contenders | dict(holdout.baselines), kinds


WITH_ENDS = ("roc_auc", ROC_AUC_ABOVE, "pr_auc", "nec", "recall", "positive_share")


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
        JSON-ready rows by slice column and value, days and weeks in their order, else the largest slice first, and
        ``(other)`` last: ``slice, value, n,
        groups, positives``, then ``prevalence, roc_auc, pr_auc, ece, recall, precision, positive_share, nec``, each
        with ``_lower`` and ``_upper``.
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
            judged = _judge(holdout.where(mask), {chosen: thresholds[chosen]}, evaluation, seed, [])
            rows.append({"slice": column, "value": label, **_slice_row(judged, chosen)})
    return rows


def _place(label: str, rows: int) -> tuple[bool, int, str]:
    return label == OTHER, 0 if DAY.fullmatch(label) else -rows, label


def sliced_rows(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> Bools:
    """Mark the rows that are broken down: those of ``sliced``, or else the main rows."""
    if evaluation.sliced is None:
        return main_rows(predictions, evaluation)
    return selected(predictions, evaluation.sliced)


def _slice_row(judged: Judged, point: str) -> dict[str, Any]:
    row: dict[str, Any] = {name: judged.values[name] for name in ("n", "groups", "positives")}
    sources = {name: name for name in SLICE_METRICS} | {name: f"{name}_{point}" for name in SLICE_DECISIONS}
    for name, source in sources.items():
        row |= {name: judged.values[source], **ends(name, judged.intervals.get(source))}
    return row
