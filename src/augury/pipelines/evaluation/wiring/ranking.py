"""How any recommender is judged."""

from kedro.pipeline import Node

from augury.pipelines.evaluation.wiring.report import curves_node, gates_node, judge_node, report_node


def ranking_nodes(shown_reports: tuple[str, ...]) -> list[Node]:
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
        judge_node(),
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
        curves_node(),
        report_node(ranking_report.ranking_report, "report", shown_reports, plots),
        gates_node(),
    ]
