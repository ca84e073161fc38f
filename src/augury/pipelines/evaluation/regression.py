"""Judging a regression, with or without safe upper bounds, on held-out rows.

The predictions frame has one row per held-out row: ``row_id``, ``group`` (rows of one group share
it), ``actual``, ``predicted``, any number of ``upper_<level>`` columns (``upper_95``: the bound
that 95 % of the rows should stay under), ``baseline_<name>`` columns and the slice columns that the
parameters name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.metrics.bootstrap import (
    Floats,
    Sums,
    bootstrap_intervals,
    ends,
    share_interval,
    weighted_median,
)
from augury.metrics.metrics_mapping import json_number, with_facts
from augury.parameters import Parameters
from augury.pipelines.evaluation.holdout import (
    OTHER,
    group_codes,
    numeric_column,
    require_columns,
    slice_labels,
)
from augury.pipelines.evaluation.safe_bounds import bound_metrics, ratio, wasted

BOUND_COLUMN = re.compile(r"upper_(?P<level>\d+(?:\.\d+)?)")
BASELINE_PREFIX = "baseline_"


class RegressionEvaluation(Parameters):
    """How a regression is judged."""

    bootstrap_replicates: int = Field(
        default=1000,
        ge=0,
        description="Resamples per interval; 0 leaves all bootstrap intervals out.",
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")
    retry_factor: float = Field(
        default=2.0,
        gt=1,
        allow_inf_nan=False,
        description="Allocation of the first retry after a failure, as a multiple of the bound; doubled from there on.",
    )
    slices: list[str] = Field(default_factory=list, description="Columns by whose values the metrics are broken down.")
    min_slice_rows: int = Field(default=20, ge=1, description="Slices with fewer rows are merged into '(other)'.")
    unit: str = Field(default="MB", description="Unit of the predicted quantity, for labels.")


@dataclass(frozen=True)
class RegressionHoldout:
    """The checked columns of a predictions frame, each of shape ``(rows,)``."""

    actual: Floats
    predicted: Floats
    groups: np.ndarray[Any, np.dtype[np.int64]]
    bounds: Mapping[str, Floats]
    """Level as in the column name, such as ``"95"`` -> bounds; levels ascend."""
    baselines: Mapping[str, Floats]


def read_holdout(predictions: pd.DataFrame) -> RegressionHoldout:
    """Check a predictions frame and take its columns.

    Args:
        predictions: The frame that the module's docstring describes.

    Returns:
        The columns as arrays.

    Raises:
        UserError: A column is missing or breaks a rule. Where there are bounds, ``actual`` must be
            >= 0 and bounds > 0: they are allocations.
    """
    require_columns(predictions, ["row_id", "group", "actual", "predicted"])
    matches = [BOUND_COLUMN.fullmatch(str(column)) for column in predictions.columns]
    levels = sorted((match["level"] for match in matches if match), key=float)
    for level in levels:
        if not 0 < float(level) < 100:
            raise UserError(f"Predictions: column 'upper_{level}': a level lies between 0 and 100, as in 'upper_95'.")
    baselines = [str(column) for column in predictions.columns if str(column).startswith(BASELINE_PREFIX)]
    require_columns(predictions, [*(f"upper_{level}" for level in levels), *baselines])
    return RegressionHoldout(
        actual=numeric_column(predictions, "actual", minimum=0 if levels else None),
        predicted=numeric_column(predictions, "predicted"),
        groups=group_codes(predictions),
        bounds={level: numeric_column(predictions, f"upper_{level}", minimum=0, exclusive=True) for level in levels},
        baselines={name.removeprefix(BASELINE_PREFIX): numeric_column(predictions, name) for name in baselines},
    )


def point_metrics(actual: Floats, predicted: Floats) -> dict[str, float | None]:
    """Errors of a point prediction.

    Args:
        actual: True values, shape ``(rows,)``, at least one row.
        predicted: Predictions, shape ``(rows,)``.

    Returns:
        ``mae``, ``rmse`` and ``bias`` (mean of predicted - actual) in the unit of ``actual``;
        ``r2``; ``mape_pct`` and ``median_ape_pct`` in percent of the actual value, over the rows
        whose actual value is not zero; ``n_zero_actual``, the number of rows left out there. A
        metric that is undefined (R2 of a constant, MAPE of zeros) is None.
    """
    from sklearn.metrics import (
        mean_absolute_error,
        mean_absolute_percentage_error,
        r2_score,
        root_mean_squared_error,
    )

    relative = actual != 0
    ape = np.abs(predicted[relative] / actual[relative] - 1)
    return {
        "mae": json_number(mean_absolute_error(actual, predicted)),
        "rmse": json_number(root_mean_squared_error(actual, predicted)),
        "r2": json_number(r2_score(actual, predicted)) if np.ptp(actual) > 0 else None,
        "mape_pct": (
            json_number(100 * mean_absolute_percentage_error(actual[relative], predicted[relative]))
            if relative.any()
            else None
        ),
        "median_ape_pct": json_number(100 * np.median(ape)) if len(ape) else None,
        "bias": json_number(np.mean(predicted - actual)),
        "n_zero_actual": int((~relative).sum()),
    }


@dataclass
class _Bootstrap:
    """Collects what :func:`bootstrap_intervals` needs."""

    actual: Floats
    contributions: dict[str, Floats] = field(default_factory=dict)
    statistics: dict[str, Callable[[Sums], Floats]] = field(default_factory=dict)
    row_statistics: dict[str, Callable[[Floats], float]] = field(default_factory=dict)

    def mean(self, name: str, values: Floats, per: str = "rows") -> None:
        """Add a metric that is a sum over rows by another sum."""
        self.contributions[name] = values
        self.statistics[name] = lambda sums: sums[name] / sums[per]

    def add_point(self, predicted: Floats) -> None:
        """Add the metrics of :func:`point_metrics`."""
        # Centred, so that the variance as a difference of two sums does not lose its digits.
        centred = self.actual - self.actual.mean()
        error = predicted - self.actual
        relative = self.actual != 0
        ape = np.abs(np.divide(error, self.actual, out=np.zeros_like(error), where=relative))
        self.contributions |= {
            "centred": centred,
            "centred_squared": centred**2,
            "squared": error**2,
            "relative": relative.astype(np.float64),
        }
        self.mean("mae", np.abs(error))
        self.mean("bias", error)
        self.mean("mape_pct", 100 * ape, per="relative")
        self.statistics["rmse"] = lambda sums: np.sqrt(sums["squared"] / sums["rows"])
        self.statistics["r2"] = _r2
        median = weighted_median(100 * ape[relative])
        self.row_statistics["median_ape_pct"] = lambda weights: median(weights[relative])

    def add_bound(self, bound: Floats, level: str, retry_factor: float) -> None:
        """Add those metrics of :func:`bound_metrics` that are ratios of sums.

        Not the worst shortfall: no resample is worse than the worst row seen, so the interval of a
        maximum would be a false comfort.
        """
        self.contributions["used"] = self.actual
        self.mean(f"allocation_ratio_{level}", bound, per="used")
        self.mean(f"wastage_{level}", wasted(self.actual, bound, retry_factor), per="used")
        self.mean(f"mean_over_allocation_{level}", np.maximum(bound - self.actual, 0))

    def intervals(
        self,
        groups: np.ndarray[Any, np.dtype[np.int64]],
        evaluation: RegressionEvaluation,
        seed: int,
    ) -> dict[str, list[float]]:
        """Resample."""
        return bootstrap_intervals(
            self.contributions,
            self.statistics,
            groups,
            replicates=evaluation.bootstrap_replicates,
            confidence=evaluation.confidence,
            seed=seed,
            row_statistics=self.row_statistics,
        )


def _r2(sums: Sums) -> Floats:
    total = sums["centred_squared"] - sums["centred"] ** 2 / sums["rows"]
    # A resample of equal values has no R2; rounding leaves a tiny total instead of zero.
    return np.where(total > 1e-12 * sums["centred_squared"], 1 - sums["squared"] / total, np.nan)


def evaluate_regression(
    predictions: pd.DataFrame, evaluation: RegressionEvaluation, facts: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Compute all metrics of the model on the held-out rows.

    Args:
        predictions: The frame that the module's docstring describes.
        evaluation: How to judge.
        facts: What else to record, with ``n_train`` at least; nested mappings become
            ``outer_inner``.
        seed: Seed of the model and of the resampling.

    Returns:
        A metrics mapping: the facts, ``n_test``, ``n_test_groups``, ``seed``, ``unit``,
        ``confidence``, those of :func:`point_metrics`, those of :func:`bound_metrics` for every
        level, and ``intervals``: grouped bootstrap, but for ``under_rate`` and ``coverage`` those
        of :func:`~augury.metrics.bootstrap.share_interval`. A single group has none.

    Raises:
        UserError: The frame breaks a rule, ``n_train`` is not among the facts, or a fact
            contradicts a computed value.
    """
    holdout = read_holdout(predictions)
    computed: dict[str, Any] = {
        "n_test": len(holdout.actual),
        "n_test_groups": len(np.unique(holdout.groups)),
        "seed": seed,
        "unit": evaluation.unit,
        "confidence": evaluation.confidence,
        **point_metrics(holdout.actual, holdout.predicted),
    }
    bootstrap = _Bootstrap(holdout.actual)
    bootstrap.add_point(holdout.predicted)
    for level, bound in holdout.bounds.items():
        computed |= bound_metrics(holdout.actual, bound, level, evaluation.retry_factor)
        bootstrap.add_bound(bound, level, evaluation.retry_factor)
    intervals = bootstrap.intervals(holdout.groups, evaluation, seed)
    for level, bound in holdout.bounds.items():
        under = share_interval(bound < holdout.actual, holdout.groups, evaluation.confidence)
        if under is not None:
            intervals[f"under_rate_{level}"] = under
            intervals[f"coverage_{level}"] = [1 - under[1], 1 - under[0]]
    return with_facts(facts, computed, intervals)


def compare_baselines(predictions: pd.DataFrame, evaluation: RegressionEvaluation, seed: int) -> list[dict[str, Any]]:
    """Set the model beside its own bounds and the baselines, on the same rows.

    Args:
        predictions: The frame that the module's docstring describes.
        evaluation: How to judge.
        seed: Seed of the resampling; all rows share the resamples, so the interval of ``mae_ratio``
            is a paired one.

    Returns:
        JSON-ready rows, the model first, then its bounds, then the baselines in the frame's order:
        ``model, kind`` (``model``, ``bound`` or ``baseline``), ``mae, mae_lower, mae_upper, rmse,
        r2, mape_pct, median_ape_pct, under_rate, allocation_ratio, mae_ratio`` (its MAE by the
        model's: above 1 the model is better), ``mae_ratio_lower, mae_ratio_upper``.
    """
    holdout = read_holdout(predictions)
    candidates = [("model", "model", holdout.predicted)]
    candidates += [(f"bound {level} %", "bound", bound) for level, bound in holdout.bounds.items()]
    candidates += [(name, "baseline", values) for name, values in holdout.baselines.items()]
    bootstrap = _Bootstrap(holdout.actual)
    for index, (_, _, values) in enumerate(candidates):
        bootstrap.mean(f"mae {index}", np.abs(values - holdout.actual))
        if index:
            bootstrap.mean(f"ratio {index}", np.abs(values - holdout.actual), per="mae 0")
    intervals = bootstrap.intervals(holdout.groups, evaluation, seed)
    used = float(holdout.actual.sum())
    rows: list[dict[str, Any]] = []
    for index, (name, kind, values) in enumerate(candidates):
        found = point_metrics(holdout.actual, values)
        mae = found["mae"] or 0.0
        base = mae if not rows else rows[0]["mae"]
        rows.append(
            {
                "model": name,
                "kind": kind,
                "mae": mae,
                **ends("mae", intervals.get(f"mae {index}")),
                **{key: found[key] for key in ("rmse", "r2", "mape_pct", "median_ape_pct")},
                "under_rate": float(np.mean(values < holdout.actual)),
                "allocation_ratio": ratio(float(values.sum()), used),
                "mae_ratio": ratio(mae, base),
                **ends("mae_ratio", intervals.get(f"ratio {index}")),
            }
        )
    return rows


def evaluate_slices(predictions: pd.DataFrame, evaluation: RegressionEvaluation, seed: int) -> list[dict[str, Any]]:
    """Break the metrics down by the values of the slice columns.

    Args:
        predictions: The frame that the module's docstring describes.
        evaluation: How to judge; names the slice columns and the smallest slice.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows by slice column and value, the largest slice first and ``(other)`` last:
        ``slice, value, n, groups, mae, mae_lower, mae_upper, mape_pct``, and for every level
        ``under_rate_<level>`` with ``_lower`` and ``_upper`` (Wilson, by groups: see
        :func:`~augury.metrics.bootstrap.share_interval`) and
        ``allocation_ratio_<level>``.
    """
    holdout = read_holdout(predictions)
    require_columns(predictions, evaluation.slices)
    rows: list[dict[str, Any]] = []
    for column in evaluation.slices:
        labels = slice_labels(predictions[column], evaluation.min_slice_rows)
        sizes = labels.value_counts()
        for label in sorted(sizes.index, key=lambda label: (label == OTHER, -sizes[label], label)):
            inside = (labels == label).to_numpy()
            rows.append({"slice": column, "value": label, **_one_slice(holdout, inside, evaluation, seed)})
    return rows


def _one_slice(
    holdout: RegressionHoldout,
    inside: np.ndarray[Any, np.dtype[np.bool_]],
    evaluation: RegressionEvaluation,
    seed: int,
) -> dict[str, Any]:
    actual, groups = holdout.actual[inside], holdout.groups[inside]
    found = point_metrics(actual, holdout.predicted[inside])
    bootstrap = _Bootstrap(actual)
    bootstrap.mean("mae", np.abs(holdout.predicted[inside] - actual))
    row: dict[str, Any] = {
        "n": len(actual),
        "groups": len(np.unique(groups)),
        "mae": found["mae"],
        **ends("mae", bootstrap.intervals(groups, evaluation, seed).get("mae")),
        "mape_pct": found["mape_pct"],
    }
    for level, bounds in holdout.bounds.items():
        bound = bounds[inside]
        under = bound < actual
        name = f"under_rate_{level}"
        row |= {
            name: float(under.mean()),
            **ends(name, share_interval(under, groups, evaluation.confidence)),
            f"allocation_ratio_{level}": ratio(float(bound.sum()), float(actual.sum())),
        }
    return row
