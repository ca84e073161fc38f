"""Simulated rows know what is true: how close a model comes to the best possible forecast, and whether it knows more.

The generator tells two probabilities of every row: the observable one, given all that a predictor could know, which no
honest model can beat in the long run; and the full one, given latent traits as well. A model that ranks better than the
full one by several standard errors has seen outcomes: that is a leak.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.binary import BinaryRows, ranking_statistics
from augury.metrics.bootstrap import Floats, Sums, bootstrap_samples, percentile_intervals
from augury.metrics.calibration import log_losses
from augury.metrics.goodness_of_fit import log_loss_skill
from augury.metrics.metrics_mapping import json_number
from augury.metrics.oracle import oracle_metrics
from augury.metrics.ranking import Ranking
from augury.pipelines.evaluation.binary_holdout import main_rows, read_holdout, thresholds_of
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation

MODEL, ORACLE, OBSERVABLE = "model", "oracle", "observable oracle"
COMPARED = ("roc_auc", "log_loss_skill")
TRUTH_METRICS = (
    "log_loss_skill_of_oracle",
    "roc_auc_below_oracle",
    "roc_auc_above_oracle_z",
    "probability_error",
)


def compare_with_truth(
    predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation, seed: int
) -> dict[str, Any]:
    """Set the model beside the true probabilities of simulated rows.

    Args:
        predictions: The frame that the docstring of ``binary_holdout`` describes.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How to judge; without ``truth``, or without rows of known truth, nothing is.
        seed: Seed of the resampling; model and oracles share the resamples.

    Returns:
        JSON-ready: ``metrics`` and ``intervals`` on the main rows whose truth is known: ``truth_rows``, their number;
        ``log_loss_skill_of_oracle``, the model's log-loss skill by that of the observable oracle;
        ``roc_auc_below_oracle``, the observable oracle's ROC-AUC less the model's; ``roc_auc_above_oracle_z``, the
        model's ROC-AUC less the full oracle's, in standard errors of that difference (above 3: a leak);
        ``probability_error``, mean distance of the model's probability from the observable one. None where the truth
        is not known. ``contenders``: rows of ``model, n, roc_auc, log_loss, log_loss_skill, brier``, and
        ``precision_<point>`` and ``recall_<point>``, of the model and the oracles on the outcomes as they were drawn;
        and for the oracles, as ``<oracle>, expected``, what they tend to over all outcomes that could have been drawn.
    """
    empty = {"metrics": {"truth_rows": 0, **dict.fromkeys(TRUTH_METRICS)}, "intervals": {}, "contenders": []}
    truth = evaluation.truth
    if truth is None or not {truth.probability, truth.observable_probability} <= set(predictions.columns):
        return empty
    columns = {ORACLE: truth.probability, OBSERVABLE: truth.observable_probability}
    known = predictions[list(columns.values())].notna().all(axis=1).to_numpy() & main_rows(predictions, evaluation)
    rows = read_holdout(predictions, evaluation).rows.where(known)
    if not len(rows):
        return empty
    scores = {MODEL: rows.probability}
    scores |= {name: predictions.loc[known, column].to_numpy(np.float64) for name, column in columns.items()}
    points = thresholds_of(facts, evaluation)
    samples = _samples(rows, scores, evaluation, seed)
    realised = {name: _realised(rows, score, points) for name, score in scores.items()}
    metrics, intervals = _compare(scores, realised, samples, evaluation)
    table = [{"model": name, "n": len(rows), **found} for name, found in realised.items()]
    table += [{"model": f"{name}, expected", "n": len(rows), **_expected(scores[name], points)} for name in columns]
    return {"metrics": {"truth_rows": len(rows), **metrics}, "intervals": intervals, "contenders": table}


def _realised(rows: BinaryRows, score: Floats, points: dict[str, float]) -> dict[str, float | None]:
    found = {
        "roc_auc": Ranking(rows.actual, score).metrics()["roc_auc"],
        "log_loss": float(log_losses(rows.actual, score).mean()),
        "log_loss_skill": float(log_loss_skill(log_losses(rows.actual, score).mean(), rows.actual.mean())),
        "brier": float(((score - rows.actual) ** 2).mean()),
    }
    for point, threshold in points.items():
        called = score >= threshold
        hits = int((called & rows.actual).sum())
        found[f"precision_{point}"] = hits / int(called.sum()) if called.any() else np.nan
        found[f"recall_{point}"] = hits / int(rows.actual.sum()) if rows.actual.any() else np.nan
    return {name: json_number(value) for name, value in found.items()}


def _expected(probability: Floats, points: dict[str, float]) -> dict[str, float | None]:
    found = oracle_metrics(probability, tuple(points.values()))
    expected = {name: found[name] for name in ("roc_auc", "log_loss", "log_loss_skill", "brier")}
    for point, threshold in points.items():
        for metric in ("precision", "recall"):
            expected[f"{metric}_{point}"] = found[f"{metric}_at_{threshold:g}"]
    return {name: json_number(value) for name, value in expected.items()}


def _samples(rows: BinaryRows, scores: dict[str, Floats], evaluation: BinaryEvaluation, seed: int) -> dict[str, Floats]:
    codes, _ = pd.factorize(rows.groups, sort=True)

    def skill(name: str) -> Callable[[Sums], Floats]:
        return lambda sums: log_loss_skill(sums[name] / sums["rows"], sums["positives"] / sums["rows"])

    losses = {name: log_losses(rows.actual, score) for name, score in scores.items()}
    distance = np.abs(scores[MODEL] - scores[OBSERVABLE])
    return bootstrap_samples(
        losses | {"positives": rows.actual.astype(np.float64), "distance": distance},
        {f"{name} skill": skill(name) for name in scores} | {"distance": lambda sums: sums["distance"] / sums["rows"]},
        codes,
        replicates=evaluation.bootstrap_replicates,
        seed=seed,
        count_statistics=[
            ranking_statistics(Ranking(rows.actual, score, codes), f"{name} ") for name, score in scores.items()
        ],
    )


def _compare(
    scores: dict[str, Floats],
    realised: dict[str, dict[str, float | None]],
    samples: dict[str, Floats],
    evaluation: BinaryEvaluation,
) -> tuple[dict[str, float | None], dict[str, list[float]]]:
    auc, skill = ({name: _number(found[metric]) for name, found in realised.items()} for metric in COMPARED)
    above = auc[MODEL] - auc[ORACLE]
    values = {
        "log_loss_skill_of_oracle": skill[MODEL] / skill[OBSERVABLE] if skill[OBSERVABLE] > 0 else np.nan,
        "roc_auc_below_oracle": auc[OBSERVABLE] - auc[MODEL],
        "probability_error": float(np.abs(scores[MODEL] - scores[OBSERVABLE]).mean()),
    }
    found: dict[str, Floats] = {}
    z = 0.0 if above == 0 else np.nan
    if samples:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {
                "log_loss_skill_of_oracle": samples[f"{MODEL} skill"] / samples[f"{OBSERVABLE} skill"],
                "roc_auc_below_oracle": samples[f"{OBSERVABLE} roc_auc"] - samples[f"{MODEL} roc_auc"],
                "probability_error": samples["distance"],
            }
        spread = float(np.nanstd(samples[f"{MODEL} roc_auc"] - samples[f"{ORACLE} roc_auc"]))
        z = above / spread if spread > 0 else z
    metrics = {name: json_number(value) for name, value in (values | {"roc_auc_above_oracle_z": z}).items()}
    intervals = percentile_intervals(found, evaluation.confidence)
    return (
        {name: metrics[name] for name in TRUTH_METRICS},
        {name: interval for name, interval in intervals.items() if metrics[name] is not None},
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else value
