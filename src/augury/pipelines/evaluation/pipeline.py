"""Evaluation: trained predictor + held-out rows -> metrics, gates, plots, report."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.evaluation import (
    binary,
    binary_plots,
    binary_predictions,
    binary_report,
    gates,
    regression,
    regression_plots,
    regression_predictions,
    regression_report,
)


def create_pipeline() -> Pipeline:
    """Evaluation of all predictors, one namespace each."""
    return pdf_memory() + query_cost()


def pdf_memory() -> Pipeline:
    """A regression with upper bounds."""
    return Pipeline(_bounded_regression(), inputs=set(), namespace="pdf_memory", tags=["evaluation", "tracked"])


def query_cost() -> Pipeline:
    """A binary predictor whose misses cost a hundred times its false alarms."""
    shown = ("source", "data", "zero_cost", "sampling", "parity")
    return Pipeline(_binary(shown), inputs=set(), namespace="query_cost", tags=["evaluation", "tracked"])


def _bounded_regression() -> list[Node]:
    """Judgement of any bounded regression; instantiated once per namespace."""
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
    judged = ["predictions_holdout", "report_facts", "params:evaluation"]
    curves = {
        "roc": binary_plots.plot_roc,
        "precision_recall": binary_plots.plot_precision_recall,
        "routing": binary_plots.plot_routing,
        "cost": binary_plots.plot_cost,
        "scores": binary_plots.plot_scores,
        "periods": binary_plots.plot_periods,
    }
    plots = (*curves, "reliability", "baselines", "slices", "importances")
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
        Node(binary.evaluate_binary, inputs=[*judged, "params:seed"], outputs="report_metrics", name="evaluate"),
        Node(
            binary.compare_baselines,
            inputs=[*judged, "params:seed"],
            outputs="report_baselines",
            name="compare_baselines",
        ),
        Node(binary.evaluate_slices, inputs=[*judged, "params:seed"], outputs="report_slices", name="evaluate_slices"),
        _judge(),
        *(
            Node(function, inputs=judged, outputs=f"plot_{name}", name=f"plot_{name}")
            for name, function in curves.items()
        ),
        Node(
            binary_plots.plot_reliability,
            inputs=["predictions_holdout", "params:evaluation"],
            outputs="plot_reliability",
            name="plot_reliability",
        ),
        Node(
            binary_plots.plot_baselines,
            inputs=["report_baselines", "params:evaluation"],
            outputs="plot_baselines",
            name="plot_baselines",
        ),
        Node(
            binary_plots.plot_slices,
            inputs=["report_slices", "params:evaluation"],
            outputs="plot_slices",
            name="plot_slices",
        ),
        _plot_importances(),
        Node(
            binary_report.binary_report,
            inputs={
                "predictor": "predictor",
                "metrics": "report_metrics",
                "gates": "report_gates",
                "baselines": "report_baselines",
                "slices": "report_slices",
                "evaluation": "params:evaluation",
                **{f"plot_{name}": f"plot_{name}" for name in plots},
                **{f"report_{name}": f"report_{name}" for name in shown_reports},
            },
            outputs="report",
            name="report",
        ),
        _enforce_gates(),
    ]


def _judge() -> Node:
    return Node(gates.judge, inputs=["report_metrics", "params:gates"], outputs="report_gates", name="judge")


def _plot_importances() -> Node:
    return Node(
        regression_report.plot_trained_importances,
        inputs="report_training",
        outputs="plot_importances",
        name="plot_importances",
    )


def _enforce_gates() -> Node:
    return Node(
        gates.enforce_gates,
        inputs=["report_gates", "params:gates", "report"],
        outputs=None,
        name="enforce_gates",
    )
