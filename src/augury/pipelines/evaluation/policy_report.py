"""The report of a policy: gathers what the other nodes of the stage produced."""

from typing import Any

from augury.metrics.metrics_mapping import INTERVALS
from augury.pipelines.evaluation.policy_holdout import BEST_BASELINE
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.predictors import Predictor
from augury.reporting.report import render_page, report_content, titled
from augury.reporting.report_layout import format_value
from augury.reporting.report_tables import Section, section_of_json

PLOT_PREFIX = "plot_"
REPORT_PREFIX = "report_"
PLOT_TITLES = {
    "costs": "What the choices cost, beside plain rules",
    "slices": "Where it saves, and where it does not",
    "choices": "Which choice is made",
    "curves": "Training curves",
}
REPORT_TITLES = {
    "choices": "Choices",
    "data": "What was kept and what was left out",
    "features": "Features",
    "training": "Training",
}


def policy_report(
    predictor: Predictor,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    evaluation: PolicyEvaluation,
    **parts: Any,
) -> str:
    """Render the report of one policy.

    Args:
        predictor: For its metadata.
        metrics: A metrics mapping, all parts together.
        gates: Judged gates.
        baselines: The model beside the baselines and the oracle.
        slices: Metrics per slice.
        evaluation: How the policy was judged.
        **parts: ``plot_<name>``: figures; ``report_<name>``: JSON objects, each of which becomes a section: of parts of
            this evaluation their ``tables``, of other stages all that they say.

    Returns:
        A self-contained HTML page.
    """
    metadata = predictor.metadata.model_dump(mode="json")
    sections = (_section(title, part) for title, part in titled(parts, REPORT_PREFIX, REPORT_TITLES).items())
    content = report_content(
        metadata["predictor"],
        metrics,
        gates,
        baselines,
        slices,
        metadata,
        _notes(metrics, baselines, evaluation),
        [section for section in sections if section.tables],
    )
    return render_page(content, titled(parts, PLOT_PREFIX, PLOT_TITLES))


def _section(title: str, part: dict[str, Any]) -> Section:
    # The metrics of a part stand among all the others
    return section_of_json(title, part.get("tables", {}) if "metrics" in part else part)


def _notes(metrics: dict[str, Any], baselines: list[dict[str, Any]], evaluation: PolicyEvaluation) -> list[str]:
    best = metrics[BEST_BASELINE]
    notes = [
        f"Costs are in {evaluation.unit}, lower is better; ratios are those of sums over cases. Intervals: "
        f"{evaluation.bootstrap_replicates:,} resamples of groups, the same for all policies.",
        f"The best of {sum(row['kind'] == 'baseline' for row in baselines)} baselines, '{best}', was found on these "
        "very cases, which favours it: nobody could have chosen it beforehand.",
    ]
    interval = (metrics.get(INTERVALS) or {}).get("saving_over_best_baseline")
    if interval and interval[0] <= 0 <= interval[1]:
        notes.append(f"The cases do not tell whether the model costs less than '{best}'.")
    elif interval and interval[1] < 0:
        notes.append(f"The model costs more than '{best}': use that instead.")
    if "cost_over_oracle" not in metrics:
        notes.append("What the best choices would have cost is not known here.")
    elif metrics["cost_over_oracle"] is not None:
        if metrics["cost_over_oracle"] < 1:
            notes.append(
                "The model costs less than the oracle, so the oracle is no bound here: look at how it was found."
            )
        notes.append(
            f"The oracle knows what came of every choice. Of what '{best}' costs more than it, the model still costs "
            f"{format_value(metrics['regret_over_best_baseline'], 'share')}."
        )
    return notes
