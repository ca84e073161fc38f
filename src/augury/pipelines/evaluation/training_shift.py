"""How far the held-out rows have moved away from the training rows, feature by feature."""

from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.metrics.distribution_shift import Reference, expected_index
from augury.metrics.metrics_mapping import json_number
from augury.parameters import near_matches
from augury.pipelines.evaluation.binary_holdout import main_rows, selected
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation, ShiftCheck
from augury.predictors.matrix_predictor import held_out_rows, training_rows

SCORE = "probability"
STATES = ("drift", "watch", "stable", "excluded")


def measure_shift(
    features_matrix: Any,
    report_features: dict[str, Any],
    predictions_oof: pd.DataFrame,
    predictions_holdout: pd.DataFrame,
    evaluation: BinaryEvaluation,
) -> dict[str, Any]:
    """Compare every feature and the score of the main rows with those of the training rows.

    Args:
        features_matrix: The feature table with its ``split``, any engine.
        report_features: With ``features``, the names of the numeric features.
        predictions_oof: With ``probability`` of training rows, predicted by models that were not fitted to them: a
            model is surer of rows that it was fitted to.
        predictions_holdout: The frame that the docstring of ``binary_holdout`` describes.
        evaluation: How to compare; without ``shift`` nothing is.

    Returns:
        JSON-ready: ``metrics``: ``score_psi``, the population stability index (PSI) of the score, and
        ``moved_features``, the share of features with the state ``drift``, those excluded aside; ``features``, rows of
        ``feature, psi, ks, state, mean_training, mean_held_out, missing_training, missing_held_out``, the largest PSI
        first but excluded ones last, with the Kolmogorov-Smirnov distance ``ks`` and the state ``drift``, ``watch``,
        ``stable`` or ``excluded``; PSI (None where a side has no value) and distance are of the known values, because a
        small share of missing ones that disappears would make the index large; ``score``, the same of the probability;
        ``counts`` by state; ``limits``; ``rows_training``, ``rows_held_out``; ``psi_by_chance``, the index to expect
        where nothing has moved.

    Raises:
        UserError: An excluded name fits no feature, or there are no training rows.
    """
    check = evaluation.shift
    if check is None:
        return {"metrics": {}, "intervals": {}, "features": [], "score": None, "counts": {}}
    names = [str(name) for name in report_features["features"]]
    excluded = _excluded(names, check)
    training = engines.to_pandas(training_rows(features_matrix))
    held_out = engines.to_pandas(held_out_rows(features_matrix))
    held_out = held_out[selected(held_out, evaluation.main)]
    if training.empty:
        raise UserError("Dataset 'features_matrix': there is no row of the split 'train' to compare with.")
    rows = [_moved(name, training[name], held_out[name], check, excluded=name in excluded) for name in names]
    rows.sort(key=lambda row: (row["state"] == "excluded", -(row["psi"] or 0.0), row["feature"]))
    states = [row["state"] for row in rows]
    counts = {state: states.count(state) for state in STATES}
    judged = len(rows) - counts["excluded"]
    main = main_rows(predictions_holdout, evaluation)
    score = _moved(SCORE, predictions_oof[SCORE], predictions_holdout.loc[main, SCORE], check, excluded=False)
    return {
        "metrics": {"score_psi": score["psi"], "moved_features": counts["drift"] / judged if judged else 0.0},
        "intervals": {},
        "features": rows,
        "score": score | {"rows_training": len(predictions_oof), "compared_with": "predictions out of fold"},
        "counts": counts,
        "limits": check.model_dump(mode="json", exclude={"bins", "excluded"}),
        "rows_training": len(training),
        "rows_held_out": len(held_out),
        "psi_by_chance": expected_index(check.bins, len(training), len(held_out)),
    }


def _excluded(names: list[str], check: ShiftCheck) -> set[str]:
    found: set[str] = set()
    for pattern in check.excluded:
        fitting = {name for name in names if fnmatchcase(name, pattern)}
        if not fitting:
            raise UserError(
                f"Parameter 'evaluation.shift.excluded': no feature is called '{pattern}'. "
                f"{near_matches(pattern, names)}"
            )
        found |= fitting
    return found


def _moved(name: str, training: pd.Series, held_out: pd.Series, check: ShiftCheck, *, excluded: bool) -> dict[str, Any]:
    here, there = (values.to_numpy(dtype=np.float64, na_value=np.nan) for values in (training, held_out))
    missing = [float(np.isnan(values).mean()) for values in (here, there)]
    known = [values[~np.isnan(values)] for values in (here, there)]
    psi, ks = None, None
    if all(map(len, known)):
        reference = Reference(known[0], np.ones(len(known[0])), check.bins)
        psi, ks = reference.stability_index(known[1]), reference.distance(known[1])
    return {
        "feature": name,
        "psi": psi,
        "ks": ks,
        "state": "excluded" if excluded else _state(psi or 0.0, abs(missing[0] - missing[1]), check),
        "mean_training": _mean(known[0]),
        "mean_held_out": _mean(known[1]),
        "missing_training": missing[0],
        "missing_held_out": missing[1],
    }


def _state(psi: float, missing: float, check: ShiftCheck) -> str:
    if psi >= check.psi_drift or missing >= check.missing_drift:
        return "drift"
    return "watch" if psi >= check.psi_watch or missing >= check.missing_watch else "stable"


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return json_number(known.mean()) if len(known) else None
