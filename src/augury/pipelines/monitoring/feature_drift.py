"""Which features, and whether the score, have moved away from what the champion was trained on."""

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.metrics.calibration import log_odds
from augury.metrics.distribution_shift import Floats, Reference, effective_rows, expected_index
from augury.parameters import near_matches
from augury.pipelines.monitoring.replay import DriftLimits, ReplayMonitoring, last_days
from augury.predictors.matrix_predictor import MASKED, WEIGHT, MatrixPredictor, training_rows

SCORE = "score"
HISTOGRAM_BINS = 40
STATES = ("drift", "watch", "stable", "restless")


def measure_drift(
    predictor: MatrixPredictor,
    features_matrix: Any,
    report_features: dict[str, Any],
    predictions_replay: pd.DataFrame,
    monitoring: ReplayMonitoring,
    seed: int,
) -> dict[str, Any]:
    """Compare every feature of the replayed days with the training rows, and the score with earlier held-out rows.

    Training rows count with their weights, so that the sampling is undone; rows whose history was masked are left out.
    The model is surer of the rows that it was fitted to than of any others, so the score is compared with held-out
    rows of earlier days where there are any. What had left its training range on those days already, such as a count
    that grows or an average of the day, says nothing about the replayed ones: it is called restless.

    Args:
        predictor: The champion.
        features_matrix: The feature table, any engine.
        report_features: With ``features``, the names of the numeric features.
        predictions_replay: What ``replay_days`` returned.
        monitoring: Bins, limits, and how many reference rows are enough.
        seed: Seed of the sample where there are more.

    Returns:
        JSON-ready: ``features``, rows of ``feature, psi, psi_before, ks, state, mean_reference, mean_replay,
        missing_reference, missing_replay``, largest PSI first but the restless ones last, with ``psi_before`` that of
        the earlier held-out rows (None without any) and the state ``drift``, ``watch``, ``stable`` or ``restless``;
        ``score``, the same of the
        probability with a ``histogram`` over its log-odds and ``compared_with``; ``counts`` by state; ``limits``;
        ``rows_reference``, ``rows_effective``, ``rows_before``, ``rows_replay``; ``psi_by_chance``, the index to
        expect where nothing moved.

    Raises:
        UserError: There are no training rows, or a clock is no feature.
    """
    names = [str(name) for name in report_features["features"]]
    for clock in monitoring.clocks:
        if clock not in names:
            raise UserError(
                f"Parameter 'monitoring.clocks': there is no feature '{clock}'. {near_matches(clock, names)}"
            )
    replayed, earlier = last_days(features_matrix, monitoring)
    rows = engines.to_pandas(nw.from_native(replayed).select(names).to_native())
    reference = _reference_rows(features_matrix, names, monitoring, seed)
    if reference.empty:
        raise UserError("Dataset 'features_matrix': there is no row of the split 'train' to compare with.")
    weights = reference[WEIGHT].to_numpy(dtype=np.float64)
    limits = monitoring.limits
    before = _sampled(earlier, monitoring, seed)
    features = [
        _moved(
            name,
            _numbers(reference, name),
            _numbers(rows, name),
            _numbers(before, name),
            weights,
            monitoring,
            restless=name in monitoring.clocks,
        )
        for name in names
    ]
    features.sort(key=lambda row: (row["state"] == "restless", -row["psi"], row["feature"]))
    states = [row["state"] for row in features]
    return {
        "features": features,
        "score": _score_drift(predictor, reference, before, predictions_replay, monitoring),
        "counts": {state: states.count(state) for state in STATES},
        "limits": limits.model_dump(mode="json"),
        "rows_reference": len(reference),
        "rows_effective": effective_rows(weights),
        "rows_before": len(before),
        "rows_replay": len(rows),
        "psi_by_chance": expected_index(monitoring.drift_bins, effective_rows(weights), len(rows)),
    }


def _reference_rows(features_matrix: Any, names: list[str], monitoring: ReplayMonitoring, seed: int) -> pd.DataFrame:
    frame = nw.from_native(training_rows(features_matrix))
    present = frame.collect_schema().names()
    if MASKED in present:
        frame = frame.filter(~nw.col(MASKED))
    # What the champion needs for its score beside the features, such as terms of a text, is not known here
    return _sampled(frame.to_native(), monitoring, seed)


def _sampled(native: Any, monitoring: ReplayMonitoring, seed: int) -> pd.DataFrame:
    """All rows, or about as many as the parameters allow, drawn by their ids."""
    frame = nw.from_native(native)
    rows = int(engines.to_pandas(frame.select(nw.len()).to_native()).to_numpy()[0, 0])
    if rows > monitoring.reference_rows:
        drawn = nw.from_native(engines.hash_uniform(native, monitoring.row_id, seed, "drift_draw"))
        frame = drawn.filter(nw.col("drift_draw") < monitoring.reference_rows / rows).drop("drift_draw")
    return engines.to_pandas(frame.to_native()).sort_values(monitoring.row_id, ignore_index=True)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(dtype=np.float64)


def _moved(
    name: str,
    here: Floats,
    there: Floats,
    before: Floats,
    weights: Floats,
    monitoring: ReplayMonitoring,
    *,
    restless: bool = False,
) -> dict[str, Any]:
    limits = monitoring.limits
    compared = Reference(here, weights, monitoring.drift_bins)
    psi, ks = compared.stability_index(there), compared.distance(there)
    earlier = compared.stability_index(before) if len(before) else None
    if earlier is not None and _state(earlier, compared.distance(before), limits) == "drift":
        restless = True
    return {
        "feature": name,
        "psi": psi,
        "psi_before": earlier,
        "ks": ks,
        "state": "restless" if restless else _state(psi, ks, limits),
        "mean_reference": _mean(here, weights),
        "mean_replay": _mean(there, np.ones(len(there))),
        "missing_reference": float(weights[np.isnan(here)].sum() / weights.sum()),
        "missing_replay": float(np.isnan(there).mean()),
    }


def _state(psi: float, ks: float | None, limits: DriftLimits) -> str:
    if psi >= limits.psi_drift or (ks is not None and ks >= limits.ks_drift):
        return "drift"
    if psi >= limits.psi_watch or (ks is not None and ks >= limits.ks_watch):
        return "watch"
    return "stable"


def _mean(values: Floats, weights: Floats) -> float | None:
    known = np.isfinite(values)
    return float(np.average(values[known], weights=weights[known])) if known.any() else None


def _score_drift(
    predictor: MatrixPredictor,
    training: pd.DataFrame,
    held_out: pd.DataFrame,
    predictions_replay: pd.DataFrame,
    monitoring: ReplayMonitoring,
) -> dict[str, Any]:
    table = training if held_out.empty else held_out
    weights = table[WEIGHT].to_numpy(dtype=np.float64) if held_out.empty else np.ones(len(table))
    here = predictor.predict_matrix(table)["probability"].to_numpy(dtype=np.float64)
    there = predictions_replay["probability"].to_numpy(dtype=np.float64)
    moved = _moved(SCORE, here, there, np.empty(0), weights, monitoring)
    odds = [log_odds(values) for values in (here, there)]
    edges = np.linspace(min(map(np.min, odds)) - 0.1, max(map(np.max, odds)) + 0.1, HISTOGRAM_BINS + 1)
    shares = [
        np.histogram(values, bins=edges, weights=weight)[0] / weight.sum()
        for values, weight in zip(odds, (weights, np.ones(len(there))), strict=True)
    ]
    return {
        **moved,
        "compared_with": "training rows" if held_out.empty else "held-out rows of earlier days",
        "rows_reference": len(table),
        "histogram": {
            "edges": edges.tolist(),
            "reference": shares[0].tolist(),
            "replay": shares[1].tolist(),
        },
    }
