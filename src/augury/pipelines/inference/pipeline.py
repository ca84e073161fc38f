"""Inference: the champion (or the local predictor) + new rows -> predictions."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.inference import new_rows

PREDICTORS = ("pdf_memory", "query_cost", "food_waste", "taxonomy", "recommendation", "compression")


def create_pipeline() -> Pipeline:
    """Inference of all predictors, one namespace each."""
    return sum((_inference(predictor) for predictor in PREDICTORS), Pipeline([]))


def _inference(predictor: str) -> Pipeline:
    node = Node(
        new_rows.predict_new_rows,
        inputs=["serving", "new_rows", "provenance", "params:inference"],
        outputs=["predictions_new", "report_inference"],
        name="predict_new_rows",
    )
    return Pipeline([node], inputs={"provenance"}, namespace=predictor, tags="inference")
