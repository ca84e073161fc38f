"""How any policy is judged: by what its choices cost."""

from kedro.pipeline import Node

from augury.pipelines.evaluation.wiring.report import gates_node, judge_node, report_node


def policy_nodes(
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
        judge_node(),
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
        report_node(
            policy_report.policy_report,
            "report",
            (*parts, *shown),
            ("costs", "slices", "choices", *plots),
        ),
        gates_node(),
    ]
