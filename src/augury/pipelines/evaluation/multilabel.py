"""Judging a classifier of texts into several codes: on all held-out texts, on slices, by code, and beside baselines."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.metrics.binary import Judged
from augury.metrics.bootstrap import ends
from augury.metrics.label_ranking import label_precisions
from augury.metrics.metrics_mapping import SUPPORT, json_number, with_facts
from augury.metrics.multilabel import OF_ORACLE, ORACLE, judge_labels
from augury.metrics.ranking import Bools
from augury.pipelines.evaluation.holdout import OTHER, slice_labels
from augury.pipelines.evaluation.multilabel_holdout import MultilabelHoldout, read_holdout
from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation
from augury.pipelines.evaluation.multilabel_predictions import THRESHOLDS

MODEL = "model"
LEADS = ("micro_f1", "macro_f1")
SLICE_METRICS = ("micro_f1", "sample_f1", "micro_precision", "micro_recall", "specific_f1")
MOST_CODES_SLICED = 3
"""Texts with at least so many specific codes are one slice."""


def evaluate_multilabel(
    predictions: pd.DataFrame,
    features_codes: pd.DataFrame,
    facts: dict[str, Any],
    evaluation: MultilabelEvaluation,
    seed: int,
) -> dict[str, Any]:
    """Compute all metrics of the model.

    Args:
        predictions: The frame that the docstring of ``multilabel_holdout`` describes.
        features_codes: The codes that the model knows, in the order of its outputs.
        facts: What else to record: ``n_train`` at least; ``thresholds`` are left out.
        evaluation: How to judge.
        seed: Seed of the model and of the resampling.

    Returns:
        A metrics mapping: the facts, ``n_test``, ``n_test_groups``, ``n_codes``, ``n_codes_judged`` (those that any
        judged text has), ``unmodelled_share`` (of the codes of the judged texts, those that the model does not know),
        ``seed``, ``unit``, ``confidence``; the metrics of :func:`~augury.metrics.multilabel.judge_labels`, with
        ``micro_f1_above_<rival>`` and ``macro_f1_above_<rival>`` (the oracle's are None where nobody knows how the
        texts were made); ``intervals`` and ``support``: what the oracle's metrics rest on, where it does not know all
        texts.

    Raises:
        UserError: The frame breaks a rule, a parameter names what is not there, or ``n_train`` is not among the facts.
    """
    holdout = read_holdout(predictions, features_codes, evaluation)
    rivals = list(holdout.baselines) if evaluation.rivals is None else evaluation.rivals
    answers = {name: answer for name, answer in holdout.answers.items() if name in (MODEL, *rivals)}
    rows = holdout.rows
    found = judge_labels(rows, answers, evaluation.depth(), evaluation.resampling(seed), holdout.oracle)
    own = found[MODEL]
    values, intervals = dict(own.values), dict(own.intervals)
    for lead in LEADS:
        for rival in rivals:
            values[f"{lead}_above_{rival}"] = found[rival].values[f"{lead}_above"]
            if f"{lead}_above" in found[rival].intervals:
                intervals[f"{lead}_above_{rival}"] = found[rival].intervals[f"{lead}_above"]
    computed = {
        "n_test": len(rows),
        "n_test_groups": len(np.unique(rows.groups)),
        "n_codes": len(holdout.codes.names),
        "n_codes_judged": int(rows.actual.any(axis=0).sum()),
        "unmodelled_share": float(rows.outside.sum() / max(rows.outside.sum() + rows.actual.sum(), 1)),
        "seed": seed,
        "unit": "text",
        "confidence": evaluation.confidence,
        **values,
        **{name: values.get(name) for name in (ORACLE, OF_ORACLE)},
    }
    plain = {name: value for name, value in facts.items() if name != THRESHOLDS}
    narrow = {name: count for name, count in own.support.items() if count != len(rows)}
    return with_facts(plain, computed, intervals) | {SUPPORT: narrow}


def compare_baselines(
    predictions: pd.DataFrame, features_codes: pd.DataFrame, evaluation: MultilabelEvaluation, seed: int
) -> list[dict[str, Any]]:
    """Set the model beside the baselines, on the same texts and resamples.

    Args:
        predictions: The frame that the docstring of ``multilabel_holdout`` describes.
        features_codes: The codes that the model knows.
        evaluation: How to judge.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows, the model first, then the baselines in the frame's order: ``model, kind`` (``model`` or
        ``baseline``), ``n`` and the metrics of :func:`~augury.metrics.multilabel.judge_labels`, each with ``_lower``
        and ``_upper``; those that a baseline without probabilities lacks are None.
    """
    holdout = read_holdout(predictions, features_codes, evaluation)
    found = judge_labels(holdout.rows, holdout.answers, evaluation.depth(), evaluation.resampling(seed))
    names = list(dict.fromkeys(name for judged in found.values() for name in judged.values))
    rows: list[dict[str, Any]] = []
    for name, judged in found.items():
        kind = MODEL if name == MODEL else "baseline"
        row: dict[str, Any] = {"model": name, "kind": kind, "n": len(holdout.rows)}
        for metric in names:
            row |= {metric: judged.values.get(metric), **ends(metric, judged.intervals.get(metric))}
        rows.append(row)
    return rows


def evaluate_codes(
    predictions: pd.DataFrame, features_codes: pd.DataFrame, facts: dict[str, Any], evaluation: MultilabelEvaluation
) -> list[dict[str, Any]]:
    """Judge every code.

    Args:
        predictions: The frame that the docstring of ``multilabel_holdout`` describes.
        features_codes: The codes that the model knows.
        facts: With ``thresholds``, code -> threshold.
        evaluation: Says which texts are judged.

    Returns:
        JSON-ready rows in the order of the codes: ``code, label, parent, level, n_train`` (training texts), ``support``
        (judged texts that have it), ``called`` (those that were given it), ``found``, ``precision``, ``recall``,
        ``f1``, ``average_precision``, ``threshold``, ``judged``: whether it has the support that ``min_support`` asks
        for. What is undefined is None.
    """
    holdout = read_holdout(predictions, features_codes, evaluation)
    codes, actual, predicted = holdout.codes, holdout.rows.actual, holdout.model.predicted
    support, called, found = (members.sum(axis=0) for members in (actual, predicted, actual & predicted))
    probability = holdout.model.probability
    precisions = np.full(len(codes.names), np.nan) if probability is None else label_precisions(actual, probability)
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = {
            "precision": found / called,
            "recall": found / support,
            "f1": 2 * found / (support + called),
            "average_precision": precisions,
        }
    thresholds = facts.get(THRESHOLDS) or {}
    return [
        {
            "code": name,
            "label": codes.labels[place],
            "parent": None if codes.tree.parents[place] < 0 else codes.names[codes.tree.parents[place]],
            "level": int(codes.tree.levels[place]),
            "n_train": int(codes.texts[place]),
            "support": int(support[place]),
            "called": int(called[place]),
            "found": int(found[place]),
            **{metric: json_number(values[place]) for metric, values in measured.items()},
            "threshold": json_number(thresholds.get(name)),
            "judged": bool(support[place] >= evaluation.min_support),
        }
        for place, name in enumerate(codes.names)
    ]


def confusion_pairs(
    predictions: pd.DataFrame, features_codes: pd.DataFrame, evaluation: MultilabelEvaluation
) -> list[dict[str, Any]]:
    """Find out which code was assigned instead of which.

    Args:
        predictions: The frame that the docstring of ``multilabel_holdout`` describes.
        features_codes: The codes that the model knows.
        evaluation: How many pairs are listed.

    Returns:
        JSON-ready rows, the most frequent pair first: ``code, label, instead, instead_label, level``, ``texts`` (how
        often the code was missed and the other wrongly assigned; where several were, each counts as its share),
        ``share`` (of the texts that have the code). A missed code is paired with wrong codes of its own level alone.
    """
    holdout = read_holdout(predictions, features_codes, evaluation)
    codes, actual, predicted = holdout.codes, holdout.rows.actual, holdout.model.predicted
    support = actual.sum(axis=0)
    rows: list[dict[str, Any]] = []
    for level in np.unique(codes.tree.levels):
        places = np.flatnonzero(codes.tree.levels == level)
        counts = _confused(actual[:, places], predicted[:, places])
        missed, wrong = np.nonzero(counts)
        for one, other in zip(places[missed], places[wrong], strict=True):
            texts = float(counts[np.searchsorted(places, one), np.searchsorted(places, other)])
            rows.append(
                {
                    "code": codes.names[one],
                    "label": codes.labels[one],
                    "instead": codes.names[other],
                    "instead_label": codes.labels[other],
                    "level": int(level),
                    "texts": round(texts, 6),
                    "share": texts / float(support[one]),
                }
            )
    rows.sort(key=lambda row: (-row["texts"], row["code"], row["instead"]))
    return rows[: evaluation.confusions]


def _confused(actual: Bools, predicted: Bools) -> npt.NDArray[np.float64]:
    missed, wrong = actual & ~predicted, predicted & ~actual
    some = wrong.sum(axis=1, keepdims=True)
    weights = np.divide(wrong, some, out=np.zeros(wrong.shape), where=some > 0)
    return np.asarray(missed.T.astype(np.float64) @ weights)


def evaluate_slices(
    predictions: pd.DataFrame, features_codes: pd.DataFrame, evaluation: MultilabelEvaluation, seed: int
) -> list[dict[str, Any]]:
    """Break the metrics down by length, number of codes, origin and main class of the texts.

    Args:
        predictions: The frame that the docstring of ``multilabel_holdout`` describes.
        features_codes: The codes that the model knows.
        evaluation: Where another length begins, and from how many texts on a slice is one of its own.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows by slice and value: ``slice`` (``words``, ``codes``: specific codes of the text, ``origin``,
        ``class``: codes without a parent; a text with two is in both), ``value, n, groups``, then ``micro_f1,
        sample_f1, micro_precision, micro_recall, specific_f1, precision_at_1``, each with ``_lower`` and ``_upper``.
    """
    holdout = read_holdout(predictions, features_codes, evaluation)
    rows = []
    for name, values in _by_text(holdout, evaluation).items():
        labels = slice_labels(values, evaluation.min_slice_rows)
        order = {label: place for place, label in enumerate(dict.fromkeys(sorted(labels, key=_number)))}
        for label in sorted(order, key=lambda label: (label == OTHER, order[label])):
            rows.append(_slice(holdout, (labels == label).to_numpy(), name, label, evaluation, seed))
    tree = holdout.codes.tree
    for place in np.flatnonzero(tree.levels == 0) if tree.levels.max(initial=0) > 0 else ():
        inside = holdout.rows.actual[:, place]
        if inside.sum() >= evaluation.min_slice_rows:
            rows.append(_slice(holdout, inside, "class", holdout.codes.shown(int(place)), evaluation, seed))
    return rows


def _by_text(holdout: MultilabelHoldout, evaluation: MultilabelEvaluation) -> dict[str, pd.Series]:
    edges = evaluation.length_edges
    names = [f"below {edges[0]}", *(f"{low} to {high - 1}" for low, high in itertools.pairwise(edges))]
    names.append(f"{edges[-1]} and more")
    places = np.searchsorted(edges, holdout.frame["text_length"].to_numpy(), side="right")
    specific = holdout.codes.tree.specific(holdout.rows.actual).sum(axis=1) + holdout.rows.outside
    counts = np.minimum(specific, MOST_CODES_SLICED)
    several = {number: str(number) for number in range(MOST_CODES_SLICED)} | {
        MOST_CODES_SLICED: f"{MOST_CODES_SLICED} and more"
    }
    return {
        "words": pd.Series(np.array(names, dtype=object)[places]),
        "codes": pd.Series(counts).map(several),
        "origin": holdout.frame["origin"].astype(str),
    }


def _number(label: str) -> tuple[int, str]:
    """Ranges of numbers in their order; 'below' comes before all others."""
    first = label.split()[0]
    return (-1 if first == "below" else int(first) if first.isdigit() else 0), label


def _slice(
    holdout: MultilabelHoldout, inside: Bools, name: str, value: str, evaluation: MultilabelEvaluation, seed: int
) -> dict[str, Any]:
    rows = holdout.rows.where(inside)
    depth, resampling = evaluation.depth(over_labels=False), evaluation.resampling(seed)
    judged: Judged = judge_labels(rows, {MODEL: holdout.model.where(inside)}, depth, resampling)[MODEL]
    row: dict[str, Any] = {"slice": name, "value": value, "n": len(rows), "groups": len(np.unique(rows.groups))}
    for metric in (*SLICE_METRICS, f"precision_at_{evaluation.precision_at[0]}"):
        row |= {metric: judged.values.get(metric), **ends(metric, judged.intervals.get(metric))}
    return row
