"""Inference: the champion (or the local predictor) + new rows -> predictions."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import PREDICTORS
from augury.pipelines.inference import new_rows


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Inference of all predictors, or of those that are named; one namespace each."""
    return sum((_inference(name) for name in PREDICTORS if not predictors or name in predictors), Pipeline([]))


def _inference(predictor: str) -> Pipeline:
    node = Node(
        new_rows.predict_new_rows,
        inputs=["serving", "new_rows", "provenance", "params:inference"],
        outputs=["predictions_new", "report_inference"],
        name="predict_new_rows",
    )
    return Pipeline([node], inputs={"provenance"}, namespace=predictor, tags="inference")
