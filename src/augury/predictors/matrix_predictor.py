"""Predictors that score rows of a feature table, and the parts of such a table, for every stage that applies them."""

from typing import Any, Protocol

import narwhals.stable.v2 as nw
import pandas as pd

from augury.predictors.contract import Metadata

SPLIT = "split"
TRAIN = "train"
WEIGHT = "weight"
DATE = "date"
MASKED = "masked"
"""Optional column: whether a training row's features were computed as if nothing were known of its past."""


class MatrixPredictor(Protocol):
    """A binary predictor that can be applied to rows whose features are known already."""

    metadata: Metadata

    @property
    def operating_points(self) -> dict[str, float]:
        """Name -> the smallest probability that is called positive."""

    def predict_matrix(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Columns of the feature table in, ``probability`` out, row by row."""

    def compare_onnx(self, matrix: pd.DataFrame) -> dict[str, Any]:
        """Numbers, possibly nested, with ``rows`` and ``max_difference`` (of probabilities) at least."""


def training_rows(matrix: Any) -> Any:
    """The rows that were sampled for training; native frame in and out, any engine."""
    return nw.from_native(matrix).filter(nw.col(SPLIT) == TRAIN).to_native()


def held_out_rows(matrix: Any) -> Any:
    """The rows that no model was fitted to, as they come; native frame in and out, any engine."""
    return nw.from_native(matrix).filter(nw.col(SPLIT) != TRAIN).to_native()
