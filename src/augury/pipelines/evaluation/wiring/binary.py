"""How any binary predictor is judged."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node

from augury.pipelines.evaluation.wiring.report import gates_node, importances_node, judge_node, report_node


def binary_nodes(shown_reports: tuple[str, ...]) -> list[Node]:
    """Judgement of any binary predictor that scores a feature table; instantiated once per namespace.

    Args:
        shown_reports: Reports of earlier stages that get a section of the page.
    """
    from augury.pipelines.evaluation import binary_plots, binary_report

    curves = _curves() | {"routing": binary_plots.plot_routing, "cost": binary_plots.plot_cost}
    plots = (*curves, "reliability", "baselines", "slices", "importances")
    return [
        *_binary_metrics("report_metrics"),
        judge_node(),
        *_binary_plots(curves),
        importances_node(),
        report_node(binary_report.binary_report, "report", shown_reports, plots),
        gates_node(),
    ]


def validated_binary_nodes(shown_reports: tuple[str, ...]) -> list[Node]:
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
        judge_node(),
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
        report_node(binary_report.binary_report, "report", reports, plots),
        report_node(binary_report.binary_text_report, "validation_report", reports, ()),
        Node(
            gates.enforce_gates,
            inputs=["report_gates", "params:gates", "report", "validation_report"],
            outputs=None,
            name="enforce_gates",
        ),
    ]


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


def _curves() -> dict[str, Callable[..., Any]]:
    """Plots of the predictions themselves that every binary predictor has."""
    from augury.pipelines.evaluation import binary_plots

    return {
        "roc": binary_plots.plot_roc,
        "precision_recall": binary_plots.plot_precision_recall,
        "scores": binary_plots.plot_scores,
        "periods": binary_plots.plot_periods,
    }


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
