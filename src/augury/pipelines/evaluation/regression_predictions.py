"""Apply a trained bounded regression to the holdout, and check its ONNX export there."""

from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.parameters import near_matches
from augury.pipelines.evaluation.regression import RegressionEvaluation
from augury.predictors.bounded_regression import BoundedRegression, tree_engine
from augury.predictors.feature_specification import FeatureSpecification

ONNX_TOLERANCE = 1e-5


def predict_holdout(
    predictor: BoundedRegression,
    features_holdout: Any,
    predictions_baselines: pd.DataFrame,
    features: dict[str, Any],
    evaluation: RegressionEvaluation,
) -> pd.DataFrame:
    """Predict the held-out rows as a service would: from the raw input columns alone.

    Args:
        predictor: The trained predictor.
        features_holdout: Held-out rows, any engine.
        predictions_baselines: `row_id` and one `baseline_<name>` column per baseline.
        features: A :class:`~augury.predictors.feature_specification.FeatureSpecification` as JSON.
        evaluation: Names the slice columns.

    Returns:
        One row per held-out row: `row_id`, `group`, `actual`, `predicted`, `upper_<level>`, baselines, slice columns.

    Raises:
        UserError: A slice column does not exist.
    """
    specification = FeatureSpecification.model_validate(features)
    table = engines.to_pandas(features_holdout).sort_values(specification.row_id, ignore_index=True)
    for name in evaluation.slices:
        if name not in table.columns:
            raise UserError(
                f"Parameter '{specification.predictor}.evaluation.slices': there is no column '{name}'. "
                f"{near_matches(name, table.columns)}"
            )
    given = [column.name for column in specification.inputs]
    predictions = predictor.predict(table[given])
    predictions.insert(0, "row_id", table[specification.row_id])
    predictions.insert(1, "group", table[specification.group])
    predictions.insert(2, "actual", table[specification.target])
    predictions[list(evaluation.slices)] = table[list(evaluation.slices)]
    return predictions.merge(predictions_baselines, on="row_id", how="left", validate="one_to_one")


def check_export(predictor: BoundedRegression, features_holdout: Any) -> dict[str, Any]:
    """Compare the ONNX graph with the predictor on every held-out row.

    Args:
        predictor: The trained predictor with its export.
        features_holdout: Held-out rows, any engine.

    Returns:
        Facts for the metrics: rows and groups trained on, rows compared, the largest relative difference over all
        outputs.

    Raises:
        ValueError: The export differs by more than :data:`ONNX_TOLERANCE`, or there is none.
    """
    table = engines.to_pandas(features_holdout)
    expected = predictor.predict(table)
    if predictor.onnx is None:
        raise ValueError("The predictor has no ONNX export.")
    specification = predictor.specification
    outputs = tree_engine(predictor.onnx).run(
        list(expected.columns),
        {
            specification.category: table[[specification.category]].to_numpy(dtype=object),
            "numbers": table[list(specification.numbers)].to_numpy(dtype=np.float64),
        },
    )
    exported = np.column_stack(outputs)
    difference = float(np.max(np.abs(exported - expected.to_numpy()) / expected.to_numpy()))
    if difference > ONNX_TOLERANCE:
        raise ValueError(f"The ONNX export differs from the model by up to {difference:.2g} (relative) on the holdout.")
    return {
        "n_train": predictor.metadata.data.rows,
        "n_train_groups": predictor.metadata.data.groups,
        "onnx_rows": len(table),
        "onnx_max_relative_difference": difference,
    }
