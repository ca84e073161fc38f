"""Tuning: training rows -> the best parameters of a model, what was tried, and a report."""

from collections.abc import Collection
from typing import Any

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Tuning of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def food_waste() -> Pipeline:
    """The classifier of the pair."""
    from augury.pipelines.tuning import boosted_pair_search

    return _tuning(
        "food_waste",
        boosted_pair_search.tune_waste,
        ["features_matrix", "report_features"],
    )


def pdf_memory() -> Pipeline:
    """The recipe in force."""
    from augury.pipelines.tuning import boosted_trees_search

    return _tuning("pdf_memory", boosted_trees_search.tune_bounded_regression, ["features_train", "report_features"])


def query_cost() -> Pipeline:
    """The classifier's trees."""
    from augury.pipelines.tuning import boosted_classifier_search

    return _tuning(
        "query_cost",
        boosted_classifier_search.tune_query_cost,
        ["features_matrix", "report_features", "report_data"],
    )


def taxonomy() -> Pipeline:
    """A member of the text classifier."""
    from augury.pipelines.tuning import text_search

    return _tuning(
        "taxonomy",
        text_search.tune_taxonomy,
        ["features_texts", "features_codes", "tokenizer", "params:features"],
    )


def recommendation() -> Pipeline:
    """A recommender, or the members of a blend."""
    from augury.pipelines.tuning import recommender_search

    return _tuning("recommendation", recommender_search.tune_recommender, ["features_matrix", "primary_items"])


def compression() -> Pipeline:
    """The regressors of the chooser."""
    from augury.pipelines.tuning import codec_choice_search

    return _tuning(
        "compression",
        codec_choice_search.tune_codec_choice,
        ["features_train", "report_features", "params:contexts"],
    )


def deduplication() -> Pipeline:
    """Sketch, bands and threshold."""
    from augury.pipelines.tuning import minhash_search

    return _tuning(
        "deduplication",
        minhash_search.tune_near_duplicates,
        ["features_train", "features_train_pairs", "params:sketch"],
    )


def prefetch() -> Pipeline:
    """The mixture and its gate."""
    from augury.pipelines.tuning import prefetch_search

    return _tuning("prefetch", prefetch_search.tune_prefetch, ["features_accesses"])


def peer_selection() -> Pipeline:
    """How fast the selector learns and forgets."""
    from augury.pipelines.tuning import peer_search

    return _tuning("peer_selection", peer_search.tune_peer_selection, ["features_train"])


def gossip_tuning() -> Pipeline:
    """The trees of the missed share."""
    from augury.pipelines.tuning import response_surface_search

    return _tuning("gossip_tuning", response_surface_search.tune_gossip, ["features_rounds"])


def _tuning(namespace: str, tune: Any, rows: list[str]) -> Pipeline:
    """Search, plots and report; instantiated once per namespace.

    Args:
        namespace: Name of the predictor.
        tune: The node that searches.
        rows: Its first inputs: rows, and parameters of what they were made with.

    Returns:
        The pipeline.
    """
    from augury.pipelines.tuning import tuning_plots, tuning_report

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
