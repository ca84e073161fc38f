"""Apply a trained binary predictor to the held-out rows, and check its ONNX export there."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.parameters import near_matches
from augury.pipelines.evaluation.binary_holdout import (
    ACTUAL_DAYS,
    DAYS_PREFIX,
    DECISION_PREFIX,
    PREDICTED_DAYS,
    SCORE_PREFIX,
    THRESHOLD,
    month_of,
    week_of,
)
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.predictors.matrix_predictor import DATE, MatrixPredictor, held_out_rows

WEEK = "week"
MONTH = "month"
ONNX_TOLERANCE = 1e-6


def predict_holdout(
    predictor: MatrixPredictor,
    features_matrix: Any,
    predictions_baselines: pd.DataFrame,
    evaluation: BinaryEvaluation,
) -> pd.DataFrame:
    """Predict the held-out rows.

    Args:
        predictor: The trained predictor.
        features_matrix: The feature table with its ``split``, any engine; rows of ``train`` are left out.
        predictions_baselines: The rows' ids, and ``baseline_<name>`` and ``decision_<name>`` of every baseline.
        evaluation: Names row id, target and the columns to carry along.

    Returns:
        The frame that the docstring of ``binary_holdout`` describes, in the order of the row ids. Where there is a
        ``date``, ``week`` is its Monday and ``month`` its year and month.

    Raises:
        UserError: A column that a parameter names does not exist, or a row has no baselines.
    """
    table = _held_out(features_matrix, evaluation.row_id)
    periods = {WEEK: week_of, MONTH: month_of} if DATE in table.columns else {}
    table = table.assign(**{name: of(table[DATE]) for name, of in periods.items() if name not in table.columns})
    days = [] if evaluation.days is None else [evaluation.days.column]
    truth = [] if evaluation.truth is None else evaluation.truth.columns()
    for name in (evaluation.row_id, evaluation.target, *evaluation.columns(), *days):
        if name not in table.columns:
            raise UserError(
                f"Parameters of 'evaluation': the feature table has no column '{name}'. "
                f"{near_matches(name, map(str, table.columns))}"
            )
    scored = predictor.predict_matrix(table)
    predictions = pd.DataFrame(
        {
            "row_id": table[evaluation.row_id],
            "actual": table[evaluation.target].astype(np.int64),
            "probability": scored["probability"].to_numpy(dtype=np.float64),
            **{name: table[name] for name in evaluation.columns()},
            **{name: table[name].astype(np.float64) for name in truth if name in table.columns},
            **_days(table, scored, evaluation),
        }
    )
    return predictions.merge(
        _aligned(predictions_baselines, evaluation.row_id, predictions["row_id"]),
        on="row_id",
        how="left",
        validate="one_to_one",
    )


def _days(table: pd.DataFrame, scored: pd.DataFrame, evaluation: BinaryEvaluation) -> dict[str, Any]:
    days = evaluation.days
    if days is None:
        return {}
    answer = {PREDICTED_DAYS: days.column, f"{PREDICTED_DAYS}_lower": days.lower, f"{PREDICTED_DAYS}_upper": days.upper}
    for name in answer.values():
        if name not in scored.columns:
            raise UserError(
                f"Parameters of 'evaluation.days': the predictor's answer has no column '{name}'. "
                f"{near_matches(name, map(str, scored.columns))}"
            )
    predicted = {ours: scored[theirs].to_numpy(dtype=np.float64) for ours, theirs in answer.items()}
    return {ACTUAL_DAYS: table[days.column].to_numpy(dtype=np.float64), **predicted}


def _held_out(features_matrix: Any, row_id: str) -> pd.DataFrame:
    """Rows in the order of their ids: Spark has none."""
    return engines.to_pandas(held_out_rows(features_matrix)).sort_values(row_id, ignore_index=True)


def _aligned(baselines: pd.DataFrame, row_id: str, rows: pd.Series) -> pd.DataFrame:
    prefixes = (SCORE_PREFIX, DECISION_PREFIX, DAYS_PREFIX)
    columns = [name for name in map(str, baselines.columns) if name.startswith(prefixes)]
    missing = ~rows.isin(baselines[row_id])
    if columns and missing.any():
        raise UserError(
            f"Dataset 'predictions_baselines': {int(missing.sum())} of {len(rows)} held-out rows are missing, for "
            f"example {row_id} {rows[missing].iloc[0]!r}; run model_training again."
        )
    return baselines[[row_id, *columns]].rename(columns={row_id: "row_id"})


def check_export(predictor: MatrixPredictor, features_matrix: Any, evaluation: BinaryEvaluation) -> dict[str, Any]:
    """Compare the ONNX export with the predictor on every held-out row.

    Args:
        predictor: The trained predictor with its export.
        features_matrix: The feature table, any engine.
        evaluation: Names the row id.

    Returns:
        Facts for the metrics: rows and groups trained on, ``threshold`` (operating point -> threshold), and what the
        predictor says of its export as ``onnx_<name>``.

    Raises:
        ValueError: Probabilities differ by more than :data:`ONNX_TOLERANCE`.
    """
    found = predictor.compare_onnx(_held_out(features_matrix, evaluation.row_id))
    if not found["max_difference"] <= ONNX_TOLERANCE:
        raise ValueError(
            f"The ONNX export differs from the model by up to {found['max_difference']:.2g} on the held-out rows."
        )
    return {
        "n_train": predictor.metadata.data.rows,
        "n_train_groups": predictor.metadata.data.groups,
        THRESHOLD: dict(predictor.operating_points),
        **dict(_flat("onnx", found)),
    }


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}_{key}", inner)
    else:
        yield name, value
