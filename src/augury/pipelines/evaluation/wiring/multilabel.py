"""How any classifier of texts into several codes is judged."""

from kedro.pipeline import Node

from augury.pipelines.evaluation.wiring.report import curves_node, gates_node, judge_node


def multilabel_nodes() -> list[Node]:
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
        judge_node(),
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
        curves_node(),
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
        gates_node(),
    ]
