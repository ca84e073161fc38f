"""Judging the predicted days until the event on the rows where it happened."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.binary import Judged, Resampling
from augury.metrics.bootstrap import (
    Floats,
    bootstrap_samples,
    ends,
    percentile_intervals,
    share_interval,
    weighted_median,
)
from augury.metrics.metrics_mapping import json_number
from augury.pipelines.evaluation.binary_holdout import (
    ACTUAL_DAYS,
    DAYS_PREFIX,
    PREDICTED_DAYS,
    main_rows,
    read_holdout,
)
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation

LOWER, UPPER = f"{PREDICTED_DAYS}_lower", f"{PREDICTED_DAYS}_upper"
ERRORS = ("mae", "rmse", "median_ae")
MODEL, ORACLE = "model", "oracle"


def judge_days(predictions: pd.DataFrame, evaluation: BinaryEvaluation, seed: int) -> dict[str, Any]:
    """Judge the days until the event beside simple rules and, where it is known, the true median.

    Args:
        predictions: The frame that the docstring of ``binary_holdout`` describes.
        evaluation: How to judge; without ``days`` nothing is.
        seed: Seed of the resampling; all contenders share the resamples.

    Returns:
        JSON-ready: ``metrics``, ``intervals`` and ``support`` of :func:`days_errors` on the main rows with a day, with
        ``days_mae_ratio_to_<baseline>``, the model's mean absolute error by that of a baseline (paired interval); and
        ``contenders``, rows of ``model, kind`` (``model``, ``oracle`` or ``baseline``), ``n, mae, rmse, median_ae,
        mae_ratio`` (its error by the model's), with the ends of intervals.

    Raises:
        UserError: A prediction is missing on a row where the event happened.
    """
    if evaluation.days is None:
        return {"metrics": {}, "intervals": {}, "support": {}, "contenders": []}
    holdout = read_holdout(predictions, evaluation)
    inside = main_rows(predictions, evaluation) & predictions[ACTUAL_DAYS].notna().to_numpy()
    rows, groups = predictions[inside], holdout.rows.groups[inside]
    resampling = evaluation.resampling(seed)
    judged = days_errors(rows, groups, resampling)
    contenders = _contenders(rows, evaluation)
    table = _compare(rows[ACTUAL_DAYS].to_numpy(dtype=np.float64), contenders, groups, resampling)
    values, intervals = dict(judged.values), dict(judged.intervals)
    for row in table:
        ratio = row["mae_ratio"]
        if row["kind"] == "baseline" and ratio:
            name = f"days_mae_ratio_to_{row['model']}"
            values[name] = 1 / ratio
            lower, upper = row["mae_ratio_lower"], row["mae_ratio_upper"]
            if lower and upper:
                intervals[name] = [1 / upper, 1 / lower]
    support = {name: int(judged.values["days_n"] or 0) for name in values if name != "days_n"}
    return {"metrics": values, "intervals": intervals, "support": support, "contenders": table}


def days_errors(predictions: pd.DataFrame, groups: npt.NDArray[np.int64], resampling: Resampling) -> Judged:
    """Errors of the predicted days on the rows where the event happened.

    Args:
        predictions: Rows; those without an actual day are left out.
        groups: Rows of one group are drawn together, shape ``(rows,)``.
        resampling: How intervals are made.

    Returns:
        ``days_n``; ``days_mae``, ``days_rmse`` and ``days_median_ae`` in days, with bootstrap intervals;
        ``days_coverage``, the share of actual days within the predicted bounds, with Wilson's; ``days_width``, the
        median width of the bounds. None without rows.

    Raises:
        UserError: A prediction is missing there.
    """
    there = predictions[ACTUAL_DAYS].notna().to_numpy()
    rows, codes = predictions[there], groups[there]
    names = (*(f"days_{name}" for name in ERRORS), "days_coverage", "days_width")
    if rows.empty:
        return Judged({"days_n": 0, **dict.fromkeys(names)}, {})
    actual, predicted, lower, upper = (_complete(rows, name) for name in (ACTUAL_DAYS, PREDICTED_DAYS, LOWER, UPPER))
    error = np.abs(predicted - actual)
    covered = (lower <= actual) & (actual <= upper)
    values = {f"days_{name}": value for name, value in _errors(error).items()}
    values |= {"days_coverage": float(covered.mean()), "days_width": float(np.median(upper - lower))}
    samples = bootstrap_samples(
        {"error": error, "squared": error**2},
        {
            "days_mae": lambda sums: sums["error"] / sums["rows"],
            "days_rmse": lambda sums: np.sqrt(sums["squared"] / sums["rows"]),
        },
        codes,
        replicates=resampling.replicates,
        seed=resampling.seed,
        row_statistics={"days_median_ae": weighted_median(error)},
    )
    intervals = percentile_intervals(samples, resampling.confidence)
    share = share_interval(covered, codes, resampling.confidence)
    return Judged(
        {"days_n": len(rows)} | {name: json_number(value) for name, value in values.items()},
        intervals | ({} if share is None else {"days_coverage": share}),
    )


def _errors(error: Floats) -> dict[str, float]:
    return {
        "mae": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "median_ae": float(np.median(error)),
    }


def _complete(rows: pd.DataFrame, column: str) -> Floats:
    values = rows[column].to_numpy(dtype=np.float64)
    broken = ~np.isfinite(values)
    if broken.any():
        example = rows["row_id"].iloc[int(np.flatnonzero(broken)[0])]
        raise UserError(
            f"Predictions: column '{column}' must be finite where '{ACTUAL_DAYS}' is known; {int(broken.sum())} of "
            f"{len(rows)} rows break this, for example row_id {example!r}."
        )
    return values


def _contenders(rows: pd.DataFrame, evaluation: BinaryEvaluation) -> dict[str, tuple[str, Floats]]:
    """Name -> kind and days; the truth only where every row has it."""
    found = {MODEL: (MODEL, _complete(rows, PREDICTED_DAYS))}
    truth = "" if evaluation.truth is None else evaluation.truth.median_days
    if truth in rows.columns and len(rows) and rows[truth].notna().all():
        found[ORACLE] = (ORACLE, _complete(rows, truth))
    for column in map(str, rows.columns):
        if column.startswith(DAYS_PREFIX):
            found[column.removeprefix(DAYS_PREFIX)] = ("baseline", _complete(rows, column))
    return found


def _compare(
    actual: Floats, contenders: dict[str, tuple[str, Floats]], groups: npt.NDArray[np.int64], resampling: Resampling
) -> list[dict[str, Any]]:
    if not len(actual):
        return []
    errors = {name: np.abs(days - actual) for name, (_, days) in contenders.items()}
    samples = bootstrap_samples(
        errors,
        {name: lambda sums, name=name: sums[name] / sums["rows"] for name in errors},  # type: ignore[misc]
        groups,
        replicates=resampling.replicates,
        seed=resampling.seed,
    )
    table: list[dict[str, Any]] = []
    for name, (kind, _) in contenders.items():
        found = _errors(errors[name])
        own: dict[str, Floats] = {}
        if samples:
            with np.errstate(divide="ignore", invalid="ignore"):
                own = {"mae": samples[name], "mae_ratio": samples[name] / samples[MODEL]}
        intervals = percentile_intervals(own, resampling.confidence)
        base = float(errors[MODEL].mean())
        ratio = json_number(found["mae"] / base) if base else None
        table.append(
            {
                "model": name,
                "kind": kind,
                "n": len(actual),
                "mae": found["mae"],
                **ends("mae", intervals.get("mae")),
                "rmse": found["rmse"],
                "median_ae": found["median_ae"],
                "mae_ratio": None if kind == MODEL else ratio,
                **ends("mae_ratio", None if kind == MODEL else intervals.get("mae_ratio")),
            }
        )
    return table
