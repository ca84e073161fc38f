"""Apply a trained binary predictor to the held-out rows, and check its ONNX export there."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.parameters import near_matches
from augury.pipelines.evaluation.binary_holdout import (
    DECISION_PREFIX,
    SCORE_PREFIX,
    THRESHOLD,
    BinaryEvaluation,
    week_of,
)
from augury.predictors.matrix_predictor import DATE, MatrixPredictor, held_out_rows

WEEK = "week"
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
        ``date``, ``week`` is its Monday.

    Raises:
        UserError: A column that a parameter names does not exist, or a row has no baselines.
    """
    table = _held_out(features_matrix, evaluation.row_id)
    if DATE in table.columns and WEEK not in table.columns:
        table = table.assign(**{WEEK: week_of(table[DATE])})
    for name in (evaluation.row_id, evaluation.target, *evaluation.columns()):
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
        }
    )
    return predictions.merge(
        _aligned(predictions_baselines, evaluation.row_id, predictions["row_id"]),
        on="row_id",
        how="left",
        validate="one_to_one",
    )


def _held_out(features_matrix: Any, row_id: str) -> pd.DataFrame:
    """Rows in the order of their ids: Spark has none."""
    return engines.to_pandas(held_out_rows(features_matrix)).sort_values(row_id, ignore_index=True)


def _aligned(baselines: pd.DataFrame, row_id: str, rows: pd.Series) -> pd.DataFrame:
    columns = [name for name in map(str, baselines.columns) if name.startswith((SCORE_PREFIX, DECISION_PREFIX))]
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
