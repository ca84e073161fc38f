"""Model training: feature tables -> trained predictors."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.model_training import (
    boosted_classifier,
    boosted_pair,
    boosted_trees,
    query_baselines,
    regression_baselines,
    tabular_baselines,
)


def create_pipeline() -> Pipeline:
    """Model training of all predictors, one namespace each."""
    return pdf_memory() + query_cost() + food_waste()


def pdf_memory() -> Pipeline:
    """Prior, trees and margins; and the naive rules they are compared with."""
    return Pipeline(
        [
            Node(
                boosted_trees.train_bounded_regression,
                inputs=[
                    "features_train",
                    "report_features",
                    "best_params",
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


def query_cost() -> Pipeline:
    """Classifier, regression beside it, calibration, operating points; and the rules they have to beat."""
    return Pipeline(
        [
            Node(
                boosted_classifier.train_query_cost,
                inputs=[
                    "features_matrix",
                    "features_history",
                    "report_features",
                    "report_zero_cost",
                    "report_data",
                    "best_params",
                    "params:model",
                    "params:seed",
                    "provenance",
                ],
                outputs=["predictor", "report_training"],
                name="train",
            ),
            Node(
                query_baselines.predict_baselines,
                inputs=[
                    "features_matrix",
                    "features_keys",
                    "primary_sampled",
                    "report_features",
                    "params:baselines",
                    "params:seed",
                ],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="query_cost",
        tags=["model_training", "tracked"],
    )


def food_waste() -> Pipeline:
    """Classifier and regressor of days, calibrated forward in time; and the models that they have to beat."""
    return Pipeline(
        [
            Node(
                boosted_pair.train_waste,
                inputs=[
                    "features_matrix",
                    "primary_purchases",
                    "report_features",
                    "report_data",
                    "best_params",
                    "params:model",
                    "params:seed",
                    "provenance",
                ],
                outputs=["predictor", "predictions_oof", "report_training"],
                name="train",
            ),
            Node(
                tabular_baselines.predict_baselines,
                inputs=["features_matrix", "report_features", "params:baselines", "params:seed"],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="food_waste",
        tags=["model_training", "tracked"],
    )
