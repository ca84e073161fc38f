"""Model training: feature tables -> trained predictors."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.model_training import boosted_trees, regression_baselines


def create_pipeline() -> Pipeline:
    """Model training of all predictors, one namespace each."""
    return pdf_memory()


def pdf_memory() -> Pipeline:
    """Prior, trees and margins; and the naive rules they are compared with."""
    return Pipeline(
        [
            Node(
                boosted_trees.train_bounded_regression,
                inputs=[
                    "features_train",
                    "report_features",
                    "params:model",
                    "params:seed",
                    "provenance",
                ],
                outputs=["predictor", "report_training"],
                name="train",
            ),
            Node(
                regression_baselines.predict_baselines,
                inputs=["features_train", "features_holdout", "report_features", "params:seed"],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="pdf_memory",
        tags=["model_training", "tracked"],
    )
