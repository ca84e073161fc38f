"""Evaluation: trained predictor + held-out rows -> metrics, gates, plots, report."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble
from augury.pipelines.evaluation.wiring.binary import binary_nodes, validated_binary_nodes
from augury.pipelines.evaluation.wiring.bounded_regression import bounded_regression_nodes
from augury.pipelines.evaluation.wiring.multilabel import multilabel_nodes
from augury.pipelines.evaluation.wiring.policies import policy_nodes
from augury.pipelines.evaluation.wiring.ranking import ranking_nodes
from augury.pipelines.evaluation.wiring.report import curves_node


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Evaluation of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def pdf_memory() -> Pipeline:
    """A regression with upper bounds."""
    return Pipeline(bounded_regression_nodes(), inputs=set(), namespace="pdf_memory", tags=["evaluation", "tracked"])


def query_cost() -> Pipeline:
    """A binary predictor whose misses cost a hundred times its false alarms."""
    shown = ("source", "data", "zero_cost", "sampling", "parity")
    return Pipeline(binary_nodes(shown), inputs=set(), namespace="query_cost", tags=["evaluation", "tracked"])


def food_waste() -> Pipeline:
    """A binary predictor with days until the event, judged in full."""
    shown = ("data",)
    return Pipeline(validated_binary_nodes(shown), inputs=set(), namespace="food_waste", tags=["evaluation", "tracked"])


def taxonomy() -> Pipeline:
    """A classifier of texts into several codes."""
    return Pipeline(multilabel_nodes(), inputs=set(), namespace="taxonomy", tags=["evaluation", "tracked"])


def recommendation() -> Pipeline:
    """A recommender, judged by the full ranking; the protocol with sampled negatives stands beside it."""
    shown = ("data", "features", "training")
    return Pipeline(ranking_nodes(shown), inputs=set(), namespace="recommendation", tags=["evaluation", "tracked"])


def compression() -> Pipeline:
    """A chooser of codecs, by what its choices cost; and its regressors and dictionaries in themselves."""
    from augury.pipelines.evaluation import codec_accuracy, codec_costs

    judged = ["params:evaluation", "params:seed"]
    own = [
        Node(
            codec_costs.replay_codecs,
            inputs=["predictor", "features_holdout", "predictions_baselines"],
            outputs="predictions_holdout",
            name="predict_holdout",
        ),
        Node(
            codec_costs.check_codec_export,
            inputs=["predictor", "features_holdout"],
            outputs="report_facts",
            name="check_export",
        ),
        Node(
            codec_accuracy.evaluate_outcomes,
            inputs=["predictor", "features_holdout", "report_training"],
            outputs="report_outcomes",
            name="evaluate_outcomes",
        ),
        Node(
            codec_accuracy.evaluate_links,
            inputs=["predictions_holdout", *judged],
            outputs="report_links",
            name="evaluate_links",
        ),
        Node(
            codec_accuracy.evaluate_dictionaries,
            inputs=["dictionary_gains", *judged],
            outputs="report_dictionaries",
            name="evaluate_dictionaries",
        ),
        curves_node(),
    ]
    parts = ("links", "outcomes", "dictionaries")
    nodes = policy_nodes(own, parts, shown=("data", "training"), plots=("curves",))
    return Pipeline(nodes, inputs=set(), namespace="compression", tags=["evaluation", "tracked"])


def deduplication() -> Pipeline:
    """Bytes that the held-out blocks take, and the pairs that are found among them."""
    from augury.pipelines.evaluation import delta_costs, near_duplicates

    own = [
        Node(
            delta_costs.store_holdout,
            inputs=["predictor", "features_holdout", "features_pairs"],
            outputs=["predictions_holdout", "report_facts"],
            name="store_holdout",
        ),
        Node(
            near_duplicates.judge_near_duplicates,
            inputs=[
                "predictor",
                "features_holdout",
                "features_pairs",
                "report_training",
                "params:retrieval",
                "params:evaluation",
                "params:seed",
            ],
            outputs="report_near_duplicates",
            name="judge_near_duplicates",
        ),
        Node(
            near_duplicates.plot_recall_precision,
            inputs="report_near_duplicates",
            outputs="plot_recall_precision",
            name="plot_recall_precision",
        ),
        Node(
            near_duplicates.plot_banding,
            inputs="report_near_duplicates",
            outputs="plot_banding",
            name="plot_banding",
        ),
    ]
    return Pipeline(
        policy_nodes(
            own,
            parts=("near_duplicates",),
            shown=("data", "features", "training"),
            plots=("recall_precision", "banding"),
        ),
        namespace="deduplication",
        tags=["evaluation", "tracked"],
    )


def prefetch() -> Pipeline:
    """Prefetching, judged by what a cache misses."""
    from augury.pipelines.evaluation import cache_misses, prefetch_plots

    own = [
        Node(
            cache_misses.replay_holdout,
            inputs=["predictor", "features_holdout", "features_accesses", "params:evaluation", "params:seed"],
            outputs=["predictions_holdout", "report_hits", "report_prefetches", "report_facts"],
            name="replay_holdout",
        ),
        Node(prefetch_plots.plot_hits, inputs="report_hits", outputs="plot_hits", name="plot_hits"),
        curves_node(),
    ]
    nodes = policy_nodes(own, ("hits", "prefetches"), ("data", "features", "training"), ("hits", "curves"))
    return Pipeline(nodes, inputs=set(), namespace="prefetch", tags=["evaluation", "tracked"])


def peer_selection() -> Pipeline:
    """A policy that is judged by the latency of the peers it takes; and what its log tells of others."""
    from augury.pipelines.evaluation import peer_costs, peer_off_policy, peer_plots

    judged = ["predictor", "features_candidates", "params:judgement"]
    own = [
        Node(
            peer_costs.replay_holdout,
            inputs=[
                "predictor",
                "features_holdout",
                "features_candidates",
                "predictions_baselines",
                "report_training",
                "params:judgement",
                "params:seed",
            ],
            outputs=["predictions_holdout", "report_facts"],
            name="replay_holdout",
        ),
        Node(peer_costs.judge_probes, inputs=[*judged, "params:seed"], outputs="report_probes", name="judge_probes"),
        Node(
            peer_costs.judge_periods,
            inputs=["predictor", "features_train", "features_candidates", "params:judgement", "params:seed"],
            outputs="report_periods",
            name="judge_periods",
        ),
        Node(peer_costs.judge_calibration, inputs=judged, outputs="report_calibration", name="judge_calibration"),
        Node(
            peer_off_policy.judge_off_policy,
            inputs=[*judged, "params:seed"],
            outputs="report_off_policy",
            name="judge_off_policy",
        ),
        Node(peer_plots.plot_periods, inputs="report_periods", outputs="plot_periods", name="plot_periods"),
        Node(
            peer_plots.plot_calibration,
            inputs="report_calibration",
            outputs="plot_calibration",
            name="plot_calibration",
        ),
        curves_node(),
    ]
    parts = ("probes", "periods", "calibration", "off_policy")
    nodes = policy_nodes(own, parts, ("data", "features", "training"), ("periods", "calibration", "curves"))
    return Pipeline(nodes, inputs=set(), namespace="peer_selection", tags=["evaluation", "tracked"])


def gossip_tuning() -> Pipeline:
    """What the tuner's choices come to in held-out networks."""
    from augury.pipelines.evaluation import gossip_costs, gossip_coverage, gossip_plots

    own = [
        Node(
            gossip_costs.predict_gossip_holdout,
            inputs=["predictor", "features_holdout", "features_outcomes", "predictions_baselines"],
            outputs="predictions_holdout",
            name="predict_holdout",
        ),
        Node(
            gossip_costs.gossip_facts,
            inputs=["predictor", "features_holdout"],
            outputs="report_facts",
            name="check_export",
        ),
        Node(
            gossip_coverage.judge_coverage,
            inputs=[
                "predictions_holdout",
                "predictor",
                "params:judgement",
                "params:evaluation",
                "params:seed",
            ],
            outputs="report_coverage",
            name="judge_coverage",
        ),
        Node(
            gossip_coverage.judge_corrections,
            inputs=["predictor", "features_later", "features_holdout", "features_outcomes", "params:judgement"],
            outputs="report_corrections",
            name="judge_corrections",
        ),
        Node(
            gossip_plots.plot_surface,
            inputs=["predictor", "features_holdout", "features_outcomes", "params:judgement"],
            outputs="plot_surface",
            name="plot_surface",
        ),
        Node(
            gossip_plots.plot_coverage,
            inputs=["predictions_holdout", "predictor"],
            outputs="plot_coverage",
            name="plot_coverage",
        ),
        Node(gossip_plots.plot_learning, inputs="report_folds", outputs="plot_learning", name="plot_learning"),
        curves_node(),
    ]
    return Pipeline(
        policy_nodes(
            own,
            parts=("coverage", "corrections", "folds"),
            shown=("data", "training"),
            plots=("surface", "coverage", "learning", "curves"),
        ),
        namespace="gossip_tuning",
        tags=["evaluation", "tracked"],
    )
