"""Evaluation: trained predictor + held-out rows -> metrics, gates, plots, report."""

from collections.abc import Callable, Collection
from typing import Any

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Evaluation of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def pdf_memory() -> Pipeline:
    """A regression with upper bounds."""
    return Pipeline(_bounded_regression(), inputs=set(), namespace="pdf_memory", tags=["evaluation", "tracked"])


def query_cost() -> Pipeline:
    """A binary predictor whose misses cost a hundred times its false alarms."""
    shown = ("source", "data", "zero_cost", "sampling", "parity")
    return Pipeline(_binary(shown), inputs=set(), namespace="query_cost", tags=["evaluation", "tracked"])


def food_waste() -> Pipeline:
    """A binary predictor with days until the event, judged in full."""
    shown = ("data",)
    return Pipeline(_validation(shown), inputs=set(), namespace="food_waste", tags=["evaluation", "tracked"])


def taxonomy() -> Pipeline:
    """A classifier of texts into several codes."""
    return Pipeline(_multilabel(), inputs=set(), namespace="taxonomy", tags=["evaluation", "tracked"])


def recommendation() -> Pipeline:
    """A recommender, judged by the full ranking; the protocol with sampled negatives stands beside it."""
    shown = ("data", "features", "training")
    return Pipeline(_ranking(shown), inputs=set(), namespace="recommendation", tags=["evaluation", "tracked"])


def compression() -> Pipeline:
    """A chooser of codecs, by what its choices cost; and its regressors and dictionaries in themselves."""
    from augury.pipelines.evaluation import codec_accuracy, codec_costs, training_curves

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
        Node(training_curves.plot_curves, inputs="curves", outputs="plot_curves", name="plot_curves"),
    ]
    parts = ("links", "outcomes", "dictionaries")
    nodes = _policies(own, parts, shown=("data", "training"), plots=("curves",))
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
        _policies(
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
        _plot_curves(),
    ]
    nodes = _policies(own, ("hits", "prefetches"), ("data", "features", "training"), ("hits", "curves"))
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
        _plot_curves(),
    ]
    parts = ("probes", "periods", "calibration", "off_policy")
    nodes = _policies(own, parts, ("data", "features", "training"), ("periods", "calibration", "curves"))
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
        _plot_curves(),
    ]
    return Pipeline(
        _policies(
            own,
            parts=("coverage", "corrections", "folds"),
            shown=("data", "training"),
            plots=("surface", "coverage", "learning", "curves"),
        ),
        namespace="gossip_tuning",
        tags=["evaluation", "tracked"],
    )


def _bounded_regression() -> list[Node]:
    """Judgement of any bounded regression; instantiated once per namespace."""
    from augury.pipelines.evaluation import regression, regression_plots, regression_predictions, regression_report

    judged = ["predictions_holdout", "params:evaluation"]
    return [
        Node(
            regression_predictions.predict_holdout,
            inputs=[
                "predictor",
                "features_holdout",
                "predictions_baselines",
                "report_features",
                "params:evaluation",
            ],
            outputs="predictions_holdout",
            name="predict_holdout",
        ),
        Node(
            regression_predictions.check_export,
            inputs=["predictor", "features_holdout"],
            outputs="report_facts",
            name="check_export",
        ),
        Node(
            regression.evaluate_regression,
            inputs=[*judged, "report_facts", "params:seed"],
            outputs="report_metrics",
            name="evaluate",
        ),
        Node(
            regression.compare_baselines,
            inputs=[*judged, "params:seed"],
            outputs="report_baselines",
            name="compare_baselines",
        ),
        Node(
            regression.evaluate_slices,
            inputs=[*judged, "params:seed"],
            outputs="report_slices",
            name="evaluate_slices",
        ),
        _judge(),
        Node(
            regression_plots.plot_predicted_vs_actual,
            inputs=judged,
            outputs="plot_actual",
            name="plot_actual",
        ),
        Node(regression_plots.plot_bounds, inputs=judged, outputs="plot_bounds", name="plot_bounds"),
        Node(
            regression_plots.plot_residuals,
            inputs=judged,
            outputs="plot_residuals",
            name="plot_residuals",
        ),
        Node(
            regression_plots.plot_baselines,
            inputs=["report_baselines", "params:evaluation"],
            outputs="plot_baselines",
            name="plot_baselines",
        ),
        Node(
            regression_plots.plot_slices,
            inputs=["report_slices", "params:evaluation"],
            outputs="plot_slices",
            name="plot_slices",
        ),
        _plot_importances(),
        Node(
            regression_report.regression_report,
            inputs=[
                "predictor",
                "report_data",
                "report_metrics",
                "report_gates",
                "report_baselines",
                "report_slices",
                "plot_actual",
                "plot_bounds",
                "plot_residuals",
                "plot_baselines",
                "plot_importances",
                "plot_slices",
            ],
            outputs="report",
            name="report",
        ),
        _enforce_gates(),
    ]


def _binary(shown_reports: tuple[str, ...]) -> list[Node]:
    """Judgement of any binary predictor that scores a feature table; instantiated once per namespace.

    Args:
        shown_reports: Reports of earlier stages that get a section of the page.
    """
    from augury.pipelines.evaluation import binary_plots, binary_report

    curves = _curves() | {"routing": binary_plots.plot_routing, "cost": binary_plots.plot_cost}
    plots = (*curves, "reliability", "baselines", "slices", "importances")
    return [
        *_binary_metrics("report_metrics"),
        _judge(),
        *_binary_plots(curves),
        _plot_importances(),
        _binary_report(binary_report.binary_report, "report", shown_reports, plots),
        _enforce_gates(),
    ]


def _validation(shown_reports: tuple[str, ...]) -> list[Node]:
    """Judgement of a binary predictor that also says when; with folds, fairness, shift, known truth, contributions.

    Args:
        shown_reports: Reports of earlier stages that get a section of the page.
    """
    from augury.pipelines.evaluation import (
        binary_report,
        contributions,
        event_days,
        fairness,
        fold_stability,
        gates,
        gathered_metrics,
        known_truth,
        training_shift,
        validation_plots,
        weak_slices,
    )

    judged = ["predictions_holdout", "report_facts", "params:evaluation", "params:seed"]
    parts = ("truth", "days", "weak_slices", "folds", "fairness", "shift")
    curves = _curves() | {"confusion": validation_plots.plot_confusion}
    drawn_parts = {
        "folds": validation_plots.plot_folds,
        "fairness": validation_plots.plot_fairness,
        "shift": validation_plots.plot_shift,
    }
    plots = (*curves, *drawn_parts, "reliability", "baselines", "slices", "days", "importances", "shap")
    reports = (*parts, *shown_reports)
    return [
        *_binary_metrics("report_classification"),
        Node(known_truth.compare_with_truth, inputs=judged, outputs="report_truth", name="compare_with_truth"),
        Node(
            event_days.judge_days,
            inputs=["predictions_holdout", "params:evaluation", "params:seed"],
            outputs="report_days",
            name="judge_days",
        ),
        Node(
            weak_slices.find_weak_slices,
            inputs=["report_slices", "report_classification", "params:evaluation"],
            outputs="report_weak_slices",
            name="find_weak_slices",
        ),
        Node(fold_stability.judge_folds, inputs="report_training", outputs="report_folds", name="judge_folds"),
        Node(fairness.judge_fairness, inputs=judged, outputs="report_fairness", name="judge_fairness"),
        Node(
            training_shift.measure_shift,
            inputs=[
                "features_matrix",
                "report_features",
                "predictions_oof",
                "predictions_holdout",
                "params:evaluation",
            ],
            outputs="report_shift",
            name="measure_shift",
        ),
        Node(
            gathered_metrics.gather_metrics,
            inputs=["report_classification", *(f"report_{name}" for name in parts)],
            outputs="report_metrics",
            name="gather_metrics",
        ),
        _judge(),
        Node(
            contributions.explain_holdout,
            inputs=["predictor", "features_matrix", "params:evaluation"],
            outputs="predictions_shap",
            name="explain_holdout",
        ),
        *_binary_plots(curves),
        *(
            Node(function, inputs=f"report_{name}", outputs=f"plot_{name}", name=f"plot_{name}")
            for name, function in drawn_parts.items()
        ),
        Node(
            validation_plots.plot_days,
            inputs=["predictions_holdout", "params:evaluation"],
            outputs="plot_days",
            name="plot_days",
        ),
        Node(
            validation_plots.plot_top_importances,
            inputs="report_training",
            outputs="plot_importances",
            name="plot_importances",
        ),
        Node(contributions.plot_contributions, inputs="predictions_shap", outputs="plot_shap", name="plot_shap"),
        _binary_report(binary_report.binary_report, "report", reports, plots),
        _binary_report(binary_report.binary_text_report, "validation_report", reports, ()),
        Node(
            gates.enforce_gates,
            inputs=["report_gates", "params:gates", "report", "validation_report"],
            outputs=None,
            name="enforce_gates",
        ),
    ]


def _multilabel() -> list[Node]:
    """Judgement of any classifier of texts into codes; instantiated once per namespace."""
    from augury.pipelines.evaluation import (
        multilabel,
        multilabel_plots,
        multilabel_predictions,
        multilabel_report,
        multilabel_table_plots,
    )

    judged = ["predictions_holdout", "features_codes"]
    shown = ("data", "features", "training")
    of_predictions = {
        "precision_recall": multilabel_plots.plot_precision_recall,
        "reliability": multilabel_plots.plot_reliability,
    }
    of_tables = {
        "baselines": multilabel_table_plots.plot_baselines,
        "levels": multilabel_table_plots.plot_levels,
        "codes": multilabel_table_plots.plot_codes,
        "slices": multilabel_table_plots.plot_slices,
    }
    tables = {
        "baselines": "report_baselines",
        "levels": "report_baselines",
        "codes": "report_codes",
        "slices": "report_slices",
    }
    plots = (*of_predictions, *of_tables, "confusions", "curves")
    return [
        Node(
            multilabel_predictions.predict_texts_holdout,
            inputs=["predictor", "primary_texts", "predictions_baselines", "params:evaluation"],
            outputs="predictions_holdout",
            name="predict_holdout",
        ),
        Node(
            multilabel_predictions.check_text_export,
            inputs=["predictor", "primary_texts", "predictions_holdout", "params:evaluation"],
            outputs="report_facts",
            name="check_export",
        ),
        Node(
            multilabel.evaluate_multilabel,
            inputs=[*judged, "report_facts", "params:evaluation", "params:seed"],
            outputs="report_metrics",
            name="evaluate",
        ),
        Node(
            multilabel.compare_baselines,
            inputs=[*judged, "params:evaluation", "params:seed"],
            outputs="report_baselines",
            name="compare_baselines",
        ),
        Node(
            multilabel.evaluate_slices,
            inputs=[*judged, "params:evaluation", "params:seed"],
            outputs="report_slices",
            name="evaluate_slices",
        ),
        Node(
            multilabel.evaluate_codes,
            inputs=[*judged, "report_facts", "params:evaluation"],
            outputs="report_codes",
            name="evaluate_codes",
        ),
        Node(
            multilabel.confusion_pairs,
            inputs=[*judged, "params:evaluation"],
            outputs="report_confusions",
            name="confusion_pairs",
        ),
        _judge(),
        *(
            Node(function, inputs=[*judged, "params:evaluation"], outputs=f"plot_{name}", name=f"plot_{name}")
            for name, function in of_predictions.items()
        ),
        *(
            Node(function, inputs=[tables[name], "params:evaluation"], outputs=f"plot_{name}", name=f"plot_{name}")
            for name, function in of_tables.items()
        ),
        Node(
            multilabel_table_plots.plot_confusions,
            inputs="report_confusions",
            outputs="plot_confusions",
            name="plot_confusions",
        ),
        _plot_curves(),
        Node(
            multilabel_report.multilabel_report,
            inputs={
                "predictor": "predictor",
                "metrics": "report_metrics",
                "gates": "report_gates",
                "baselines": "report_baselines",
                "slices": "report_slices",
                "codes": "report_codes",
                "confusions": "report_confusions",
                "evaluation": "params:evaluation",
                **{f"plot_{name}": f"plot_{name}" for name in plots},
                **{f"report_{name}": f"report_{name}" for name in shown},
            },
            outputs="report",
            name="report",
        ),
        _enforce_gates(),
    ]


def _ranking(shown_reports: tuple[str, ...]) -> list[Node]:
    """Judgement of any recommender; instantiated once per namespace.

    Args:
        shown_reports: Reports of earlier stages that get a section of the page.
    """
    from augury.pipelines.evaluation import ranking, ranking_plots, ranking_predictions, ranking_report

    plots = ("baselines", "sizes", "ranks", "popularity", "slices", "curves")
    return [
        Node(
            ranking_predictions.predict_ranking_holdout,
            inputs=[
                "predictor",
                "features_matrix",
                "features_negatives",
                "primary_users",
                "primary_items",
                "predictions_baselines",
                "params:evaluation",
            ],
            outputs="predictions_holdout",
            name="predict_holdout",
        ),
        Node(
            ranking_predictions.check_ranking_export,
            inputs=["predictor", "features_matrix", "params:evaluation", "params:seed"],
            outputs="report_facts",
            name="check_export",
        ),
        Node(
            ranking.evaluate_ranking,
            inputs=["predictions_holdout", "primary_items", "report_facts", "params:evaluation", "params:seed"],
            outputs="report_metrics",
            name="evaluate",
        ),
        Node(
            ranking.compare_baselines,
            inputs=["predictions_holdout", "primary_items", "params:evaluation", "params:seed"],
            outputs="report_baselines",
            name="compare_baselines",
        ),
        Node(
            ranking.evaluate_slices,
            inputs=["predictions_holdout", "params:evaluation", "params:seed"],
            outputs="report_slices",
            name="evaluate_slices",
        ),
        _judge(),
        Node(
            ranking_plots.plot_sizes,
            inputs=["predictions_holdout", "report_metrics", "params:evaluation"],
            outputs="plot_sizes",
            name="plot_sizes",
        ),
        Node(
            ranking_plots.plot_popularity,
            inputs=["predictions_holdout", "primary_items", "params:evaluation"],
            outputs="plot_popularity",
            name="plot_popularity",
        ),
        Node(
            ranking_plots.plot_ranks,
            inputs=["predictions_holdout", "params:evaluation"],
            outputs="plot_ranks",
            name="plot_ranks",
        ),
        Node(
            ranking_plots.plot_baselines,
            inputs=["report_baselines", "params:evaluation"],
            outputs="plot_baselines",
            name="plot_baselines",
        ),
        Node(
            ranking_plots.plot_slices,
            inputs=["report_slices", "params:evaluation"],
            outputs="plot_slices",
            name="plot_slices",
        ),
        _plot_curves(),
        _binary_report(ranking_report.ranking_report, "report", shown_reports, plots),
        _enforce_gates(),
    ]


def _policies(
    own: list[Node], parts: tuple[str, ...] = (), shown: tuple[str, ...] = (), plots: tuple[str, ...] = ()
) -> list[Node]:
    """Judgement of any policy by what its choices cost; instantiated once per namespace.

    Args:
        own: What only this predictor has: nodes that write ``predictions_holdout`` (see ``policy_holdout``),
            ``report_facts`` and all that `parts` and `plots` name.
        parts: Further judgements ``report_<part>``, each with ``metrics`` and, where it has them, ``intervals``,
            ``support`` and ``tables``, which the page shows.
        shown: Reports of earlier stages that get a section of the page.
        plots: Further figures ``plot_<name>``.
    """
    from augury.pipelines.evaluation import gathered_metrics, policies, policy_choices, policy_plots, policy_report

    parts = ("choices", *parts)
    return [
        *own,
        Node(
            policies.evaluate_policies,
            inputs=["predictions_holdout", "report_facts", "params:evaluation", "params:seed"],
            outputs="report_policies",
            name="evaluate",
        ),
        Node(
            policies.compare_baselines,
            inputs=["predictions_holdout", "params:evaluation", "params:seed"],
            outputs="report_baselines",
            name="compare_baselines",
        ),
        Node(
            policies.evaluate_slices,
            inputs=["predictions_holdout", "params:evaluation", "params:seed"],
            outputs="report_slices",
            name="evaluate_slices",
        ),
        Node(
            policy_choices.judge_choices,
            inputs=["predictions_holdout", "params:evaluation"],
            outputs="report_choices",
            name="judge_choices",
        ),
        Node(
            gathered_metrics.gather_metrics,
            inputs=["report_policies", *(f"report_{name}" for name in parts)],
            outputs="report_metrics",
            name="gather_metrics",
        ),
        _judge(),
        Node(
            policy_plots.plot_costs,
            inputs=["report_baselines", "params:evaluation"],
            outputs="plot_costs",
            name="plot_costs",
        ),
        Node(
            policy_plots.plot_slices,
            inputs=["report_slices", "params:evaluation"],
            outputs="plot_slices",
            name="plot_slices",
        ),
        Node(policy_plots.plot_choices, inputs="report_choices", outputs="plot_choices", name="plot_choices"),
        _binary_report(
            policy_report.policy_report,
            "report",
            (*parts, *shown),
            ("costs", "slices", "choices", *plots),
        ),
        _enforce_gates(),
    ]


def _curves() -> dict[str, Callable[..., Any]]:
    """Plots of the predictions themselves that every binary predictor has."""
    from augury.pipelines.evaluation import binary_plots

    return {
        "roc": binary_plots.plot_roc,
        "precision_recall": binary_plots.plot_precision_recall,
        "scores": binary_plots.plot_scores,
        "periods": binary_plots.plot_periods,
    }


def _binary_metrics(metrics: str) -> list[Node]:
    """Predictions of the held-out rows, and what they are worth.

    Args:
        metrics: Name of the metrics mapping.
    """
    from augury.pipelines.evaluation import binary, binary_predictions

    judged = ["predictions_holdout", "report_facts", "params:evaluation", "params:seed"]
    return [
        Node(
            binary_predictions.predict_holdout,
            inputs=["predictor", "features_matrix", "predictions_baselines", "params:evaluation"],
            outputs="predictions_holdout",
            name="predict_holdout",
        ),
        Node(
            binary_predictions.check_export,
            inputs=["predictor", "features_matrix", "params:evaluation"],
            outputs="report_facts",
            name="check_export",
        ),
        Node(binary.evaluate_binary, inputs=judged, outputs=metrics, name="evaluate"),
        Node(binary.compare_baselines, inputs=judged, outputs="report_baselines", name="compare_baselines"),
        Node(binary.evaluate_slices, inputs=judged, outputs="report_slices", name="evaluate_slices"),
    ]


def _binary_plots(curves: dict[str, Callable[..., Any]]) -> list[Node]:
    """Plots of predictions, baselines and slices.

    Args:
        curves: Name -> plot of the predictions at their operating points.
    """
    from augury.pipelines.evaluation import binary_plots

    drawn: dict[str, tuple[Callable[..., Any], str]] = {
        "reliability": (binary_plots.plot_reliability, "predictions_holdout"),
        "baselines": (binary_plots.plot_baselines, "report_baselines"),
        "slices": (binary_plots.plot_slices, "report_slices"),
    }
    return [
        *(
            Node(
                function,
                inputs=["predictions_holdout", "report_facts", "params:evaluation"],
                outputs=f"plot_{name}",
                name=f"plot_{name}",
            )
            for name, function in curves.items()
        ),
        *(
            Node(function, inputs=[rows, "params:evaluation"], outputs=f"plot_{name}", name=f"plot_{name}")
            for name, (function, rows) in drawn.items()
        ),
    ]


def _binary_report(function: Callable[..., str], output: str, reports: tuple[str, ...], plots: tuple[str, ...]) -> Node:
    """A report, as a page or as text.

    Args:
        function: What writes it.
        output: Its name, the node's too.
        reports: JSON objects that get a section.
        plots: What is drawn.
    """
    return Node(
        function,
        inputs={
            "predictor": "predictor",
            "metrics": "report_metrics",
            "gates": "report_gates",
            "baselines": "report_baselines",
            "slices": "report_slices",
            "evaluation": "params:evaluation",
            **{f"plot_{name}": f"plot_{name}" for name in plots},
            **{f"report_{name}": f"report_{name}" for name in reports},
        },
        outputs=output,
        name=output,
    )


def _judge() -> Node:
    from augury.pipelines.evaluation import gates

    return Node(gates.judge, inputs=["report_metrics", "params:gates"], outputs="report_gates", name="judge")


def _plot_importances() -> Node:
    from augury.pipelines.evaluation import regression_report

    return Node(
        regression_report.plot_trained_importances,
        inputs="report_training",
        outputs="plot_importances",
        name="plot_importances",
    )


def _plot_curves() -> Node:
    from augury.pipelines.evaluation import training_curves

    return Node(training_curves.plot_curves, inputs="curves", outputs="plot_curves", name="plot_curves")


def _enforce_gates() -> Node:
    from augury.pipelines.evaluation import gates

    return Node(
        gates.enforce_gates,
        inputs=["report_gates", "params:gates", "report"],
        outputs=None,
        name="enforce_gates",
    )
