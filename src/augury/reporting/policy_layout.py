"""What a report shows of a policy's metrics, under which words."""

import re

from augury.reporting.report_layout import Label, Layout

_COST = "What the choices cost ({unit})"
_RIVALS = "Beside plain rules"
_ORACLE = "Beside the best choices"
_CHOICES = "Choices"
_FURTHER = "Further metrics"
_RIVAL = r"(?P<rival>(?!best_baseline$)\w+)"

_LABELS = [
    Label("cost", "Mean cost by case", section=_COST, headline="mean cost, {unit}"),
    Label("cost_best_baseline", "of the best baseline", section=_COST),
    Label("cost_oracle", "of the best choices", section=_COST),
    Label("best_baseline", "The best baseline", "text", section=_RIVALS),
    Label(
        "saving_over_best_baseline",
        "Saved of the best baseline's cost",
        "share",
        section=_RIVALS,
        headline="saved of the best rule's cost",
    ),
    Label("cost_over_best_baseline", "Cost / the best baseline's", "score", section=_RIVALS),
    Label(f"saving_over_{_RIVAL}", "Saved of the cost of {rival}", "share", section=_RIVALS),
    Label("cost_over_oracle", "Cost / that of the best choices", "score", section=_ORACLE, headline="cost / oracle's"),
    Label("regret", "Regret, avoidable cost / that of the best choices", "share", section=_ORACLE),
    Label("regret_best_baseline", "Regret of the best baseline", "share", section=_ORACLE),
    Label("regret_over_best_baseline", "Regret / the best baseline's", "score", section=_ORACLE),
    Label(f"regret_over_{_RIVAL}", "Regret / that of {rival}", "score", section=_ORACLE),
    Label("accuracy", "Cases with the best choice", "share", section=_CHOICES),
    Label("macro_precision", "Precision, mean of choices", "share", section=_CHOICES),
    Label("macro_recall", "Recall, mean of choices", "share", section=_CHOICES),
    Label("macro_f1", "F1, mean of choices", "score", section=_CHOICES),
    Label(r"decision_us_(?P<what>\w+)", "Microseconds by decision, {what}", section="Decision time"),
    Label(r"onnx_(?P<fact>\w+)", "{fact}", section="ONNX export"),
    Label(r"export_(?P<fact>\w+)", "{fact}", section="ONNX export"),
]
_FACTS = ("n_train", "n_train_groups", "n_test", "n_test_groups", "seed", "unit", "confidence")
"""What the page shows at its top."""


def _all_others(labels: list[Label]) -> str:
    """A pattern of the names that no label matches: what one predictor alone is judged by."""
    known = "|".join(
        re.sub(r"\(\?P<\w+>", "(?:", pattern) for pattern in (*(label.pattern for label in labels), *_FACTS)
    )
    return rf"(?!(?:{known})$)(?P<name>\w+)"


POLICY = Layout(
    metrics=[*_LABELS, Label(_all_others(_LABELS), "{name}", section=_FURTHER)],
    baselines=[
        Label("model", "policy", "text"),
        Label("cost", "mean cost, {unit}"),
        Label("saving", "saved by the model", "share"),
        Label("cost_over_oracle", "cost / oracle's", "score"),
        Label("cheaper", "cases: model cheaper", "share"),
        Label("dearer", "cases: model dearer", "share"),
        Label("accuracy", "best choice", "share"),
    ],
    slices=[
        Label("slice", "slice", "text"),
        Label("n", "cases"),
        Label("groups", "groups"),
        Label("cost", "mean cost, {unit}"),
        Label("best_baseline", "best baseline here", "text"),
        Label("saving_over_best_baseline", "saved of its cost", "share"),
        Label("regret", "regret", "share"),
        Label("regret_over_best_baseline", "regret / that baseline's", "score"),
        Label("accuracy", "best choice", "share"),
    ],
)
"""Policies: task ``policy: ...``."""
