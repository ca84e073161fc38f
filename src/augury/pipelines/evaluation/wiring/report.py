"""Nodes that the judgement of every predictor ends with."""

from collections.abc import Callable

from kedro.pipeline import Node


def judge_node() -> Node:
    """Metrics against gates."""
    from augury.pipelines.evaluation import gates

    return Node(gates.judge, inputs=["report_metrics", "params:gates"], outputs="report_gates", name="judge")


def report_node(function: Callable[..., str], output: str, reports: tuple[str, ...], plots: tuple[str, ...]) -> Node:
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


def importances_node() -> Node:
    """What a model of features says matters."""
    from augury.pipelines.evaluation import regression_report

    return Node(
        regression_report.plot_trained_importances,
        inputs="report_training",
        outputs="plot_importances",
        name="plot_importances",
    )


def curves_node() -> Node:
    """What training went through."""
    from augury.pipelines.evaluation import training_curves

    return Node(training_curves.plot_curves, inputs="curves", outputs="plot_curves", name="plot_curves")


def gates_node() -> Node:
    """The end of a run whose gates are enforced and not met, after its report is written."""
    from augury.pipelines.evaluation import gates

    return Node(
        gates.enforce_gates,
        inputs=["report_gates", "params:gates", "report"],
        outputs=None,
        name="enforce_gates",
    )
