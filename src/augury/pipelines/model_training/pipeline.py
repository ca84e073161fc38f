"""Model training: feature tables -> trained predictors."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.model_training import (
    boosted_classifier,
    boosted_pair,
    boosted_trees,
    codec_baselines,
    codec_choice,
    collaborative_filtering,
    query_baselines,
    recommender_baselines,
    regression_baselines,
    tabular_baselines,
    text_baselines,
    text_classifier,
)


def create_pipeline() -> Pipeline:
    """Model training of all predictors, one namespace each."""
    return sum((predictor() for predictor in PREDICTORS), Pipeline([]))


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


def taxonomy() -> Pipeline:
    """The classifier of texts; and the rules that it has to beat."""
    return Pipeline(
        [
            Node(
                text_classifier.train_taxonomy,
                inputs=[
                    "features_texts",
                    "features_codes",
                    "tokenizer",
                    "report_features",
                    "report_data",
                    "params:features",
                    "best_params",
                    "params:model",
                    "params:seed",
                    "training_checkpoints",
                    "provenance",
                ],
                outputs=["predictor", "curves", "report_training"],
                name="train",
            ),
            Node(
                text_baselines.predict_text_baselines,
                inputs=[
                    "features_texts",
                    "features_codes",
                    "tokenizer",
                    "params:features",
                    "params:baselines",
                    "params:seed",
                ],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="taxonomy",
        tags=["model_training", "tracked"],
    )


def recommendation() -> Pipeline:
    """The recommender; and the ones that it has to beat."""
    return Pipeline(
        [
            Node(
                collaborative_filtering.train_recommender,
                inputs=[
                    "features_matrix",
                    "features_negatives",
                    "primary_users",
                    "primary_items",
                    "report_data",
                    "best_params",
                    "params:model",
                    "params:seed",
                    "training_checkpoints",
                    "provenance",
                ],
                outputs=["predictor", "curves", "report_training"],
                name="train",
            ),
            Node(
                recommender_baselines.rank_recommender_baselines,
                inputs=[
                    "features_matrix",
                    "features_negatives",
                    "primary_items",
                    "params:baselines",
                    "params:seed",
                ],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="recommendation",
        tags=["model_training", "tracked"],
    )


def compression() -> Pipeline:
    """The chooser of codecs; and the rules that it has to beat."""
    return Pipeline(
        [
            Node(
                codec_choice.train_codec_choice,
                inputs=[
                    "features_train",
                    "report_features",
                    "best_params",
                    "params:model",
                    "params:contexts",
                    "params:seed",
                    "provenance",
                ],
                outputs=["predictor", "curves", "report_training"],
                name="train",
            ),
            Node(
                codec_baselines.predict_codec_baselines,
                inputs=[
                    "features_train",
                    "features_holdout",
                    "report_features",
                    "params:contexts",
                    "params:baselines",
                ],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="compression",
        tags=["model_training", "tracked"],
    )


def deduplication() -> Pipeline:
    """Deduplication: which stored blocks resemble a new one."""
    return Pipeline([])


def prefetch() -> Pipeline:
    """Prefetch: which blocks are read next."""
    return Pipeline([])


def peer_selection() -> Pipeline:
    """Peer selection: which peer serves a block."""
    return Pipeline([])


def gossip_tuning() -> Pipeline:
    """Gossip tuning: which fanout and hop limit for a state of the network."""
    return Pipeline([])


PREDICTORS = (
    pdf_memory,
    query_cost,
    food_waste,
    taxonomy,
    recommendation,
    compression,
    deduplication,
    prefetch,
    peer_selection,
    gossip_tuning,
)
