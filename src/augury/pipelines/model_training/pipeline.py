"""Model training: feature tables -> trained predictors."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Model training of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def pdf_memory() -> Pipeline:
    """Prior, trees and margins; and the naive rules they are compared with."""
    from augury.pipelines.model_training import boosted_trees, regression_baselines

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
    from augury.pipelines.model_training import boosted_classifier, query_baselines

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
    from augury.pipelines.model_training import boosted_pair, tabular_baselines

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
    from augury.pipelines.model_training import text_baselines, text_classifier

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
    from augury.pipelines.model_training import collaborative_filtering, recommender_baselines

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
    from augury.pipelines.model_training import codec_baselines, codec_choice

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
    """Bands, threshold and rules of deltas, and the index of the training's blocks."""
    from augury.pipelines.model_training import minhash_lsh

    return Pipeline(
        [
            Node(
                minhash_lsh.train_near_duplicates,
                inputs=[
                    "features_train",
                    "features_train_pairs",
                    "report_data",
                    "best_params",
                    "params:sketch",
                    "params:model",
                    "params:seed",
                    "provenance",
                ],
                outputs=["predictor", "report_training"],
                name="train",
            ),
        ],
        inputs={"provenance"},
        namespace="deduplication",
        tags=["model_training", "tracked"],
    )


def prefetch() -> Pipeline:
    """The online mixture, its gate, and a GRU where it is asked for."""
    from augury.pipelines.model_training import online_mixture

    return Pipeline(
        [
            Node(
                online_mixture.train_prefetcher,
                inputs=[
                    "features_accesses",
                    "primary_accesses",
                    "report_features",
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
        ],
        inputs={"provenance"},
        namespace="prefetch",
        tags=["model_training", "tracked"],
    )


def peer_selection() -> Pipeline:
    """The selector that lived through the training period; and the plain rules that did, and went on."""
    from augury.pipelines.model_training import peer_selector

    return Pipeline(
        [
            Node(
                peer_selector.train_peer_selector,
                inputs=["features_train", "report_data", "best_params", "params:model", "params:seed", "provenance"],
                outputs=["predictor", "curves", "report_training"],
                name="train",
            ),
            Node(
                peer_selector.replay_peer_baselines,
                inputs=["features_train", "features_candidates", "params:baselines", "params:seed"],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="peer_selection",
        tags=["model_training", "tracked"],
    )


def gossip_tuning() -> Pipeline:
    """The response surface; its folds; and the rules that it has to beat."""
    from augury.pipelines.model_training import gossip_baselines, gossip_validation, response_surface

    return Pipeline(
        [
            Node(
                response_surface.train_gossip_tuner,
                inputs=[
                    "features_rounds",
                    "report_data",
                    "best_params",
                    "params:model",
                    "params:seed",
                    "provenance",
                ],
                outputs=["predictor", "curves", "report_training"],
                name="train",
            ),
            Node(
                gossip_validation.validate_gossip_tuner,
                inputs=[
                    "features_rounds",
                    "features_states",
                    "features_outcomes",
                    "best_params",
                    "params:model",
                    "params:validation",
                    "params:seed",
                ],
                outputs="report_folds",
                name="validate",
            ),
            Node(
                gossip_baselines.choose_gossip_baselines,
                inputs=[
                    "features_rounds",
                    "features_states",
                    "features_outcomes",
                    "params:model",
                    "params:baselines",
                ],
                outputs="predictions_baselines",
                name="predict_baselines",
            ),
        ],
        inputs={"provenance"},
        namespace="gossip_tuning",
        tags=["model_training", "tracked"],
    )
