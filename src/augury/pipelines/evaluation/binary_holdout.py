"""The held-out predictions of a binary predictor: how they are judged, and their checked columns.

The predictions frame has one row per held-out row: ``row_id``, ``actual`` (0 or 1), ``probability``, the columns that
the parameters name (groups, subsets, slices, weight, period), and of each baseline ``baseline_<name>`` (a score: larger
means positive, not necessarily a probability), ``decision_<name>`` (0 or 1), or both.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from augury.errors import UserError
from augury.metrics.binary import BinaryRows, Contender, Resampling, combined_groups, metric_names
from augury.metrics.bootstrap import Floats
from augury.metrics.ranking import Bools
from augury.parameters import Parameters, near_matches
from augury.pipelines.evaluation.holdout import numeric_column, require_columns

SCORE_PREFIX = "baseline_"
DECISION_PREFIX = "decision_"
SUBSET_NAME = re.compile(r"[a-z][a-z0-9_]*")
THRESHOLD = "threshold"
MAIN = "main"

Value = bool | int | float | str
Selection = dict[str, Value | list[Value]]


class BinaryEvaluation(Parameters):
    """How a binary predictor is judged."""

    row_id: str = Field(default="row_id", description="Column of the feature table that identifies a row.")
    target: str = Field(default="target", description="Column of the feature table that holds the outcome.")
    positive_class: str = Field(default="positive", description="What a positive row is called, in one word.")
    main: Selection = Field(
        default={"split": "test"},
        description="Which rows the metrics without a prefix are about: column -> value, or list of values.",
    )
    subsets: dict[str, Selection] = Field(
        default_factory=dict,
        description="Further rows, chosen like 'main'; their metrics are called <subset>_<metric>.",
    )
    group_columns: list[str] = Field(
        default=["group"], min_length=1, description="Rows that agree in these columns are drawn together."
    )
    cost_ratio: float = Field(
        default=100.0, gt=0, allow_inf_nan=False, description="Cost of a missed positive in units of a false alarm."
    )
    operating_point: str = Field(
        default="cost_optimal", description="The predictor's operating point that tables and plots show first."
    )
    rivals: list[str] = Field(
        default_factory=list,
        description="Baselines for which 'roc_auc_above_<baseline>' is a metric, so that a gate can limit it.",
    )
    weight_column: str | None = Field(
        default=None, description="Size of a row, for the weighted recall; a missing or negative size counts as 0."
    )
    calibration_bins: int = Field(default=15, ge=2, description="Bins of the calibration errors.")
    slices: list[str] = Field(default_factory=list, description="Columns by whose values the metrics are broken down.")
    sliced: Selection | None = Field(
        default=None, description="Which rows are broken down and drawn over time; null: those of 'main'."
    )
    min_slice_rows: int = Field(default=200, ge=1, description="Slices with fewer rows are merged into '(other)'.")
    period_column: str | None = Field(default="date", description="Column of days, for the plot over time.")
    bootstrap_replicates: int = Field(
        default=1000, ge=0, description="Resamples per interval; 0 leaves all bootstrap intervals out."
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Coverage of every interval.")

    @field_validator("subsets")
    @classmethod
    def _named_apart(cls, subsets: dict[str, Selection]) -> dict[str, Selection]:
        metrics = [*metric_names({"": 0.0}, {"": np.zeros(0)}, weighted=True), "n_test", "threshold_"]
        for name in subsets:
            if not SUBSET_NAME.fullmatch(name):
                raise ValueError(f"subset '{name}': a name has lower-case letters, digits and underscores")
            if name == MAIN or any(metric == name or metric.startswith(f"{name}_") for metric in metrics):
                raise ValueError(f"subset '{name}': the metrics of the main rows are called so; choose another name")
        return subsets

    def resampling(self, seed: int) -> Resampling:
        """How intervals are made."""
        return Resampling(self.bootstrap_replicates, self.confidence, seed)

    def columns(self) -> list[str]:
        """The columns of the feature table that the parameters name, each once, without row id and target."""
        chosen = [self.main, *self.subsets.values(), self.sliced or {}]
        names = [*self.group_columns, *(column for selection in chosen for column in selection), *self.slices]
        names += [name for name in (self.weight_column, self.period_column) if name is not None]
        return list(dict.fromkeys(names))


@dataclass(frozen=True)
class BinaryHoldout:
    """The checked columns of a predictions frame."""

    rows: BinaryRows
    baselines: Mapping[str, Contender]

    def where(self, inside: Bools) -> "BinaryHoldout":
        """The rows of a mask."""
        baselines = {
            name: Contender(
                None if baseline.score is None else baseline.score[inside],
                None if baseline.decided is None else baseline.decided[inside],
            )
            for name, baseline in self.baselines.items()
        }
        return BinaryHoldout(self.rows.where(inside), baselines)


def read_holdout(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> BinaryHoldout:
    """Check a predictions frame and take its columns.

    Args:
        predictions: The frame that the module's docstring describes.
        evaluation: Names further columns.

    Returns:
        The columns as arrays.

    Raises:
        UserError: A column is missing or breaks a rule, or a rival is no baseline with a score.
    """
    require_columns(predictions, ["row_id", "actual", "probability", *evaluation.columns()])
    probability = numeric_column(predictions, "probability", minimum=0)
    if (probability > 1).any():
        worst = int(np.argmax(probability))
        raise UserError(
            f"Predictions: column 'probability' must be <= 1; row_id {predictions['row_id'].iloc[worst]!r} has "
            f"{probability[worst]:g}."
        )
    baselines = _baselines(predictions)
    scored = [name for name, baseline in baselines.items() if baseline.score is not None]
    for rival in evaluation.rivals:
        if rival not in scored:
            raise UserError(
                f"Parameter 'evaluation.rivals': there is no baseline '{rival}' with a score. "
                f"{near_matches(rival, scored)}"
            )
    rows = BinaryRows(
        _flags(predictions, "actual"),
        probability,
        combined_groups(predictions, evaluation.group_columns),
        None if evaluation.weight_column is None else _weights(predictions, evaluation.weight_column),
    )
    return BinaryHoldout(rows, baselines)


def selected(predictions: pd.DataFrame, selection: Mapping[str, Any]) -> Bools:
    """Mark the rows of a selection.

    Args:
        predictions: The predictions frame.
        selection: Column -> value or list of values; all must fit.

    Returns:
        A mask, shape ``(rows,)``.
    """
    inside = np.ones(len(predictions), dtype=bool)
    for column, wanted in selection.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        inside &= predictions[column].isin(values).to_numpy(dtype=bool)
    return inside


def main_rows(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> Bools:
    """Mark the rows that the metrics without a prefix are about.

    Raises:
        UserError: There are none.
    """
    inside = selected(predictions, evaluation.main)
    if not inside.any():
        there = [f"{name}: {', '.join(sorted(map(str, predictions[name].unique()))[:8])}" for name in evaluation.main]
        raise UserError(
            f"Parameter 'evaluation.main': no held-out row has {evaluation.main}; there are {'; '.join(there)}."
        )
    return inside


def subset_masks(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> dict[str, Bools]:
    """The main rows under the name that their selection suggests, then every subset."""
    named = {name: selected(predictions, selection) for name, selection in evaluation.subsets.items()}
    return {main_name(evaluation): main_rows(predictions, evaluation)} | named


def main_name(evaluation: BinaryEvaluation) -> str:
    """What tables and plots call the main rows: the values that choose them, such as ``test``."""
    parts = [value for value in evaluation.main.values() if isinstance(value, str)]
    name = " ".join(parts) if parts and len(parts) == len(evaluation.main) else MAIN
    return name if name not in evaluation.subsets else MAIN


def thresholds_of(facts: Mapping[str, Any], evaluation: BinaryEvaluation) -> dict[str, float]:
    """The operating points that the facts carry, the chosen one first.

    Args:
        facts: With ``threshold``: operating point -> the smallest probability that is called positive.
        evaluation: Names the chosen one.

    Returns:
        Operating point -> threshold.

    Raises:
        UserError: The chosen one is not among them.
    """
    points = {str(name): float(value) for name, value in (facts.get(THRESHOLD) or {}).items()}
    chosen = evaluation.operating_point
    if chosen not in points:
        raise UserError(
            f"Parameter 'evaluation.operating_point': the predictor has no operating point '{chosen}'. "
            f"{near_matches(chosen, points)}"
        )
    return {chosen: points[chosen]} | points


def week_of(days: pd.Series) -> pd.Series:
    """The Monday of each day's week, as text; None for a missing day."""

    def monday(day: Any) -> str:
        date = datetime.date.fromisoformat(str(day)[:10])
        return str(date - datetime.timedelta(days=date.weekday()))

    return days.map({day: monday(day) for day in days.dropna().unique()})


def _baselines(predictions: pd.DataFrame) -> dict[str, Contender]:
    found: dict[str, dict[str, str]] = {}
    for column in map(str, predictions.columns):
        for prefix in (SCORE_PREFIX, DECISION_PREFIX):
            if column.startswith(prefix):
                found.setdefault(column.removeprefix(prefix), {})[prefix] = column
    require_columns(predictions, [column for columns in found.values() for column in columns.values()])
    return {
        name: Contender(
            numeric_column(predictions, columns[SCORE_PREFIX]) if SCORE_PREFIX in columns else None,
            _flags(predictions, columns[DECISION_PREFIX]) if DECISION_PREFIX in columns else None,
        )
        for name, columns in found.items()
    }


def _flags(predictions: pd.DataFrame, column: str) -> Bools:
    if pd.api.types.is_bool_dtype(predictions[column]) and not predictions[column].isna().any():
        return predictions[column].to_numpy(dtype=bool)
    values = numeric_column(predictions, column)
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        example = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"Predictions: column '{column}' must be 0 or 1; {int(wrong.sum())} of {len(values)} rows break this, for "
            f"example row_id {predictions['row_id'].iloc[example]!r}: {values[example]:g}."
        )
    return values == 1


def _weights(predictions: pd.DataFrame, column: str) -> Floats:
    values = pd.to_numeric(predictions[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values) & (values > 0), values, 0.0)
