"""How any regression with upper bounds is judged."""

from kedro.pipeline import Node

from augury.pipelines.evaluation.wiring.report import gates_node, importances_node, judge_node


def bounded_regression_nodes() -> list[Node]:
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
        judge_node(),
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
        importances_node(),
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
        gates_node(),
    ]
