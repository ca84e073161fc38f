"""The held-out predictions of a binary predictor: how they are judged, and their checked columns.

The predictions frame has one row per held-out row: ``row_id``, ``actual`` (0 or 1), ``probability``, the columns that
the parameters name (groups, subsets, slices, weight, period), and of each baseline ``baseline_<name>`` (a score: larger
means positive, not necessarily a probability), ``decision_<name>`` (0 or 1), or both. Where days until the event are
judged, it has ``actual_days`` (NaN where the event did not happen), ``predicted_days``, ``predicted_days_lower`` and
``predicted_days_upper``, and ``days_<name>`` of baselines; where rows are simulated, the columns that ``truth`` names.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.binary import BinaryRows, Contender, combined_groups
from augury.metrics.bootstrap import Floats
from augury.metrics.ranking import Bools
from augury.parameters import near_matches
from augury.pipelines.evaluation.binary_parameters import MAIN, BinaryEvaluation
from augury.pipelines.evaluation.holdout import numeric_column, require_columns

SCORE_PREFIX = "baseline_"
DECISION_PREFIX = "decision_"
DAYS_PREFIX = "days_"
ACTUAL_DAYS = "actual_days"
PREDICTED_DAYS = "predicted_days"
THRESHOLD = "threshold"


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
                baseline.probabilistic,
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
        UserError: A column is missing or breaks a rule, a rival is no baseline with a score, or one of
            ``probabilities`` is none.
    """
    require_columns(predictions, ["row_id", "actual", "probability", *evaluation.columns()])
    probability = _probabilities(predictions, "probability")
    baselines = _baselines(predictions, evaluation)
    scored = [name for name, baseline in baselines.items() if baseline.score is not None]
    for parameter, names in (("rivals", evaluation.rivals), ("probabilities", evaluation.probabilities)):
        for name in names:
            if name not in scored:
                raise UserError(
                    f"Parameter 'evaluation.{parameter}': there is no baseline '{name}' with a score. "
                    f"{near_matches(name, scored)}"
                )
    rows = BinaryRows(
        _flags(predictions, "actual"),
        probability,
        combined_groups(predictions, evaluation.group_columns),
        None if evaluation.weight_column is None else _weights(predictions, evaluation.weight_column),
        _places(predictions["row_id"]) if evaluation.top_k else None,
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


def month_of(days: pd.Series) -> pd.Series:
    """Year and month of each day, as text; None for a missing day."""
    return days.map({day: str(day)[:7] for day in days.dropna().unique()})


def _baselines(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> dict[str, Contender]:
    found: dict[str, dict[str, str]] = {}
    for column in map(str, predictions.columns):
        for prefix in (SCORE_PREFIX, DECISION_PREFIX):
            if column.startswith(prefix):
                found.setdefault(column.removeprefix(prefix), {})[prefix] = column
    require_columns(predictions, [column for columns in found.values() for column in columns.values()])
    baselines: dict[str, Contender] = {}
    for name, columns in found.items():
        oracle = name in evaluation.oracles
        if oracle and any(predictions[column].isna().any() for column in columns.values()):
            continue  # the truth is known of some rows only; contenders are compared on all
        probabilistic = SCORE_PREFIX in columns and (oracle or name in evaluation.probabilities)
        take = _probabilities if probabilistic else numeric_column
        baselines[name] = Contender(
            take(predictions, columns[SCORE_PREFIX]) if SCORE_PREFIX in columns else None,
            _flags(predictions, columns[DECISION_PREFIX]) if DECISION_PREFIX in columns else None,
            probabilistic,
        )
    return baselines


def _probabilities(predictions: pd.DataFrame, column: str) -> Floats:
    values = numeric_column(predictions, column, minimum=0)
    if (values > 1).any():
        worst = int(np.argmax(values))
        raise UserError(
            f"Predictions: column '{column}' must be <= 1; row_id {predictions['row_id'].iloc[worst]!r} has "
            f"{values[worst]:g}."
        )
    return values


def _places(row_ids: pd.Series) -> npt.NDArray[np.int64]:
    """Rank of each row's id: an order that does not depend on that of the frame."""
    return row_ids.astype(str).rank(method="first").to_numpy().astype(np.int64)


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
