"""XGBoost's trees of ``query_cost``: their input, their bytes and their sums."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.predictors.query_vocabulary import QueryVocabulary

TEMPLATE_SEEN = "template_seen"
"""The feature that is 0 for a query whose template was never seen."""


def trees_matrix(table: pd.DataFrame, numbers: Sequence[str], vocabulary: QueryVocabulary) -> np.ndarray:
    """Build the trees' input.

    Args:
        table: With ``terms`` and the numeric features.
        numbers: Numeric features in order.
        vocabulary: Terms in order.

    Returns:
        Dense float32 array of shape (rows, numbers + terms), NaN where a number is missing.
    """
    matrix = np.empty((len(table), len(numbers) + len(vocabulary)), dtype=np.float32)
    matrix[:, : len(numbers)] = table[list(numbers)].to_numpy(dtype=np.float32)
    matrix[:, len(numbers) :] = vocabulary.indicators(table["terms"].tolist())
    return matrix


def open_booster(booster: bytes, threads: int = 1) -> Any:
    """Open XGBoost's trees; executes no code from them.

    Args:
        booster: UBJSON.
        threads: Of predictions. More than one costs a single row milliseconds.

    Returns:
        A ``Booster``.

    Raises:
        UserError: The bytes are no booster.
    """
    import xgboost

    try:
        engine = xgboost.Booster(model_file=bytearray(booster))
    except xgboost.core.XGBoostError as error:
        raise UserError(f"The trees of query_cost are damaged: {str(error).splitlines()[-1]}") from None
    engine.set_param({"nthread": threads})
    return engine


def booster_margin(engine: Any, matrix: np.ndarray) -> np.ndarray:
    """Sums of leaves, float32 of shape (rows,); a row's sum does not depend on the other rows."""
    return np.asarray(engine.inplace_predict(matrix, predict_type="margin", validate_features=False))


def booster_contributions(engine: Any, matrix: np.ndarray) -> np.ndarray:
    """Shares of the features in each row's margin (SHAP values of trees), float32 of shape (rows, columns); no bias."""
    import xgboost

    return np.asarray(engine.predict(xgboost.DMatrix(matrix), pred_contribs=True))[:, :-1]


def bare_booster(booster: Any) -> bytes:
    """A booster's trees in UBJSON, without attributes and feature names, which the specification holds."""
    for name in booster.attributes():
        booster.set_attr(**{name: None})
    booster.feature_names = None
    booster.feature_types = None
    return bytes(booster.save_raw("ubj"))
