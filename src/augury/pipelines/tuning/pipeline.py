"""Tuning: training rows -> the best parameters of a model, what was tried, and a report."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from augury.pipelines.tuning import (
    boosted_classifier_search,
    boosted_pair_search,
    boosted_trees_search,
    codec_choice_search,
    recommender_search,
    text_search,
    tuning_plots,
    tuning_report,
)


def create_pipeline() -> Pipeline:
    """Tuning of all predictors, one namespace each."""
    return sum((predictor() for predictor in PREDICTORS), Pipeline([]))


def food_waste() -> Pipeline:
    """The classifier of the pair."""
    return _tuning(
        "food_waste",
        boosted_pair_search.tune_waste,
        ["features_matrix", "report_features"],
    )


def pdf_memory() -> Pipeline:
    """The recipe in force."""
    return _tuning("pdf_memory", boosted_trees_search.tune_bounded_regression, ["features_train", "report_features"])


def query_cost() -> Pipeline:
    """The classifier's trees."""
    return _tuning(
        "query_cost",
        boosted_classifier_search.tune_query_cost,
        ["features_matrix", "report_features", "report_data"],
    )


def taxonomy() -> Pipeline:
    """A member of the text classifier."""
    return _tuning(
        "taxonomy",
        text_search.tune_taxonomy,
        ["features_texts", "features_codes", "tokenizer", "params:features"],
    )


def recommendation() -> Pipeline:
    """A recommender, or the members of a blend."""
    return _tuning("recommendation", recommender_search.tune_recommender, ["features_matrix", "primary_items"])


def compression() -> Pipeline:
    """The regressors of the chooser."""
    return _tuning(
        "compression",
        codec_choice_search.tune_codec_choice,
        ["features_train", "report_features", "params:contexts"],
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


def _tuning(namespace: str, tune: Any, rows: list[str]) -> Pipeline:
    """Search, plots and report; instantiated once per namespace.

    Args:
        namespace: Name of the predictor.
        tune: The node that searches.
        rows: Its first inputs: rows, and parameters of what they were made with.

    Returns:
        The pipeline.
    """
    return Pipeline(
        [
            Node(
                tune,
                inputs=[*rows, "params:model", "params:tuning", "params:seed", "tuning_studies"],
                outputs=["best_params", "tuning_trials", "report_tuning"],
                name="tune",
            ),
            Node(
                tuning_plots.plot_history,
                inputs=["tuning_trials", "report_tuning"],
                outputs="plot_tuning_history",
                name="plot_tuning_history",
            ),
            Node(
                tuning_plots.plot_parameter_importance,
                inputs="report_tuning",
                outputs="plot_tuning_importance",
                name="plot_tuning_importance",
            ),
            Node(
                tuning_plots.plot_slices,
                inputs=["tuning_trials", "report_tuning"],
                outputs="plot_tuning_slices",
                name="plot_tuning_slices",
            ),
            Node(
                tuning_report.tuning_report,
                inputs=[
                    "best_params",
                    "tuning_trials",
                    "report_tuning",
                    "plot_tuning_history",
                    "plot_tuning_importance",
                    "plot_tuning_slices",
                    "params:seed",
                    "provenance",
                ],
                outputs="tuning_report",
                name="tuning_report",
            ),
        ],
        inputs={"provenance"},
        namespace=namespace,
        tags=["tuning", "tracked"],
    )


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
