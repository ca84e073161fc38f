"""Serves any predictor through MLflow: the code file of every logged model.

MLflow runs this file when it loads a model, beside a copy of the package and the predictor's own
files. Nothing in the package imports it, hence the import of MLflow at module level.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from augury.predictors import load_predictor


class PredictorModel(PythonModel):
    """A predictor behind MLflow's interface."""

    def load_context(self, context: Any) -> None:
        """Load the predictor from the model's files.

        Args:
            context: MLflow's context; ``artifacts["predictor"]`` is the predictor's folder.
        """
        self._predictor = load_predictor(Path(context.artifacts["predictor"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict a frame.

        Args:
            context: MLflow's context, not needed any more.
            model_input: Rows with the columns of the predictor's input schema.
            params: Not used; part of MLflow's interface.

        Returns:
            One row of predictions per input row.
        """
        del context, params
        predictions: pd.DataFrame = self._predictor.predict(model_input)
        return predictions


set_model(PredictorModel())
