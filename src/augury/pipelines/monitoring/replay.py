"""Offline replay: how the champion would have done on the last days, as they came."""

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.metrics.binary import BinaryRows, Judged, Resampling, combined_groups, judge_binary
from augury.metrics.bootstrap import ends
from augury.metrics.metrics_mapping import INTERVALS
from augury.parameters import Parameters, near_matches
from augury.predictors.matrix_predictor import DATE, SPLIT, MatrixPredictor, held_out_rows

DAY_METRICS = ("prevalence", "mean_probability", "roc_auc", "pr_auc", "ece")
DAY_DECISIONS = ("recall", "precision", "positive_share", "nec")


class DriftLimits(Parameters):
    """From where on a distribution counts as moved.

    The customary reading of the population stability index (PSI) is: below 0.1 stable, up to 0.25 worth a look, above
    it moved. The Kolmogorov-Smirnov distance (KS) is the largest difference of the two distribution functions.
    """

    psi_watch: float = Field(default=0.1, gt=0, description="PSI from which on a feature is worth a look.")
    psi_drift: float = Field(default=0.25, gt=0, description="PSI from which on a feature has moved.")
    ks_watch: float = Field(default=0.1, gt=0, le=1, description="KS from which on a feature is worth a look.")
    ks_drift: float = Field(default=0.2, gt=0, le=1, description="KS from which on a feature has moved.")
    moved_share: float = Field(default=0.2, ge=0, le=1, description="Share of moved features that raises an alarm.")
    cost: float = Field(default=1.0, gt=0, description="Normalised expected cost above which an alarm is raised.")
    bias: float = Field(
        default=2.0,
        gt=1,
        description="Mean probability by share of positives above which, or below whose inverse, an alarm is raised.",
    )


class ReplayMonitoring(Parameters):
    """What is replayed, and how it is judged."""

    days: int = Field(default=14, ge=1, description="How many of the last days are replayed.")
    row_id: str = Field(default="row_id", description="Column of the feature table that identifies a row.")
    target: str = Field(default="target", description="Column of the feature table that holds the outcome.")
    positive_class: str = Field(default="positive", description="What a positive row is called, in one word.")
    group_columns: list[str] = Field(
        default=["group"], min_length=1, description="Rows that agree in these columns are drawn together."
    )
    weight_column: str | None = Field(
        default=None, description="Size of a row, for the weighted recall; a missing or negative size counts as 0."
    )
    cost_ratio: float = Field(
        default=100.0, gt=0, allow_inf_nan=False, description="Cost of a missed positive in units of a false alarm."
    )
    operating_point: str = Field(default="cost_optimal", description="The operating point that days are judged at.")
    calibration_bins: int = Field(default=15, ge=2, description="Bins of the calibration errors.")
    bootstrap_replicates: int = Field(default=1000, ge=0, description="Resamples per interval.")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")
    drift_bins: int = Field(default=10, ge=2, description="Bins of the PSI: quantiles of the training rows.")
    reference_rows: int = Field(
        default=100_000, ge=100, description="Training rows that distributions are compared with; more are sampled."
    )
    clocks: list[str] = Field(
        default_factory=list,
        description="Features that move with time by their nature: restless, whatever they did before.",
    )
    limits: DriftLimits = Field(default_factory=DriftLimits, description="From where on something is said.")


def replay_days(predictor: MatrixPredictor, features_matrix: Any, monitoring: ReplayMonitoring) -> pd.DataFrame:
    """Apply the champion to the last days.

    Args:
        predictor: The champion.
        features_matrix: The feature table with its ``split`` and ``date``, any engine; sampled training rows are no
            natural days and are left out.
        monitoring: How many days.

    Returns:
        One row per row of these days, in the order of day and row id: ``row_id``, ``date``, ``split``, ``actual``,
        ``probability``, ``weight`` (NaN without a weight column) and the group columns.

    Raises:
        UserError: There is no row outside of training, or a column is missing.
    """
    table = engines.to_pandas(last_days(features_matrix, monitoring)[0])
    needed = [monitoring.row_id, monitoring.target, DATE, *monitoring.group_columns]
    needed += [name for name in (monitoring.weight_column,) if name is not None]
    for name in needed:
        if name not in table.columns:
            raise UserError(
                f"Parameters of 'monitoring': the feature table has no column '{name}'. "
                f"{near_matches(name, map(str, table.columns))}"
            )
    table = table.sort_values([DATE, monitoring.row_id], ignore_index=True)
    weight = np.nan if monitoring.weight_column is None else table[monitoring.weight_column].astype(np.float64)
    groups = {name: table[name] for name in monitoring.group_columns if name != DATE}
    return pd.DataFrame(
        {
            "row_id": table[monitoring.row_id],
            DATE: table[DATE],
            SPLIT: table[SPLIT],
            "actual": table[monitoring.target].astype(np.int64),
            "probability": predictor.predict_matrix(table)["probability"].to_numpy(dtype=np.float64),
            "weight": weight,
            **groups,
        }
    )


def last_days(features_matrix: Any, monitoring: ReplayMonitoring) -> tuple[Any, Any]:
    """Part the held-out rows into the days that are replayed and those before them.

    Args:
        features_matrix: The feature table, any engine.
        monitoring: How many days.

    Returns:
        Both parts, native frames; the second may be empty.

    Raises:
        UserError: There is no row outside of training.
    """
    natural = nw.from_native(held_out_rows(features_matrix))
    days = sorted(engines.to_pandas(natural.select(DATE).unique().to_native())[DATE])[-monitoring.days :]
    if not days:
        raise UserError("Dataset 'features_matrix': all rows are of the split 'train'; there is no day to replay.")
    return natural.filter(nw.col(DATE) >= days[0]).to_native(), natural.filter(nw.col(DATE) < days[0]).to_native()


def judge_replay(
    predictor: MatrixPredictor, predictions_replay: pd.DataFrame, monitoring: ReplayMonitoring, seed: int
) -> dict[str, Any]:
    """Judge the replayed days, together and one by one.

    Args:
        predictor: For its operating points and its account of the training data.
        predictions_replay: What :func:`replay_days` returned.
        monitoring: How to judge.
        seed: Seed of the resampling.

    Returns:
        ``metrics``: a metrics mapping over all days, with those of :func:`~augury.metrics.binary.judge_binary`,
        ``n_train``, ``n_test``, ``first_day``, ``last_day``, ``threshold_<point>`` and ``bias`` (mean probability by
        share of positives); ``days``: JSON-ready rows with ``day, split, n, groups, positives``, then
        ``prevalence, mean_probability, roc_auc, pr_auc, ece, recall, precision, positive_share, nec`` at the chosen
        operating point, each with ``_lower`` and ``_upper``. What is undefined on its rows is None.

    Raises:
        UserError: The predictor has no such operating point.
    """
    points = predictor.operating_points
    chosen = monitoring.operating_point
    if chosen not in points:
        raise UserError(
            f"Parameter 'monitoring.operating_point': the predictor has no operating point '{chosen}'. "
            f"{near_matches(chosen, points)}"
        )
    thresholds = {chosen: points[chosen]} | points
    rows = _rows(predictions_replay, monitoring)
    resampling = Resampling(monitoring.bootstrap_replicates, monitoring.confidence, seed)
    total = judge_binary(rows, thresholds, monitoring.cost_ratio, monitoring.calibration_bins, resampling)
    dates = predictions_replay[DATE].to_numpy()
    days = []
    for day in np.unique(dates):
        inside = dates == day
        judged = judge_binary(
            rows.where(inside),
            {chosen: points[chosen]},
            monitoring.cost_ratio,
            monitoring.calibration_bins,
            resampling,
        )
        split = predictions_replay.loc[inside, SPLIT].iloc[0]
        days.append({"day": str(day), "split": str(split), **_day(judged, chosen)})
    return {"metrics": _mapping(predictor, total, thresholds, monitoring, days, seed), "days": days}


def _mapping(
    predictor: MatrixPredictor,
    total: Judged,
    thresholds: dict[str, float],
    monitoring: ReplayMonitoring,
    days: list[dict[str, Any]],
    seed: int,
) -> dict[str, Any]:
    values = dict(total.values)
    prevalence, probability = values["prevalence"], values["mean_probability"]
    return {
        "n_train": predictor.metadata.data.rows,
        "n_train_groups": predictor.metadata.data.groups,
        "n_test": values.pop("n"),
        "n_test_groups": values.pop("groups"),
        "seed": seed,
        "unit": monitoring.positive_class,
        "confidence": monitoring.confidence,
        "cost_ratio": monitoring.cost_ratio,
        "first_day": days[0]["day"],
        "last_day": days[-1]["day"],
        **{f"threshold_{name}": threshold for name, threshold in thresholds.items()},
        **values,
        "bias": probability / prevalence if probability is not None and prevalence else None,
        INTERVALS: total.intervals,
    }


def _day(judged: Judged, point: str) -> dict[str, Any]:
    row: dict[str, Any] = {name: judged.values[name] for name in ("n", "groups", "positives")}
    sources = {name: name for name in DAY_METRICS} | {name: f"{name}_{point}" for name in DAY_DECISIONS}
    for name, source in sources.items():
        row |= {name: judged.values[source], **ends(name, judged.intervals.get(source))}
    return row


def _rows(predictions: pd.DataFrame, monitoring: ReplayMonitoring) -> BinaryRows:
    weights = predictions["weight"].to_numpy(dtype=np.float64)
    return BinaryRows(
        predictions["actual"].to_numpy() == 1,
        predictions["probability"].to_numpy(dtype=np.float64),
        combined_groups(predictions, monitoring.group_columns),
        None if monitoring.weight_column is None else np.where(weights > 0, weights, 0.0),
    )
