"""Evaluation: trained predictor + held-out rows -> metrics, gates, plots, report."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.evaluation import (
    gates,
    regression,
    regression_plots,
    regression_predictions,
    regression_report,
)


def create_pipeline() -> Pipeline:
    """Evaluation of all predictors, one namespace each."""
    return pdf_memory()


def pdf_memory() -> Pipeline:
    """A regression with upper bounds."""
    return Pipeline(_bounded_regression(), inputs=set(), namespace="pdf_memory", tags=["evaluation", "tracked"])


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
        Node(
            gates.judge,
            inputs=["report_metrics", "params:gates"],
            outputs="report_gates",
            name="judge",
        ),
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
        Node(
            regression_report.plot_trained_importances,
            inputs="report_training",
            outputs="plot_importances",
            name="plot_importances",
        ),
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
        Node(
            gates.enforce_gates,
            inputs=["report_gates", "params:gates", "report"],
            outputs=None,
            name="enforce_gates",
        ),
    ]
