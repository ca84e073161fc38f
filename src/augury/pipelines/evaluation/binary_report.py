"""The report of a binary predictor: gathers what the other nodes of the stage produced."""

from collections.abc import Mapping
from typing import Any

from augury.metrics.binary import RANKING_METRICS, ROC_AUC_ABOVE, WEIGHTED_RECALL
from augury.metrics.bootstrap import ends
from augury.metrics.decisions import decision_metrics
from augury.metrics.metrics_mapping import INTERVALS
from augury.pipelines.evaluation.binary_holdout import THRESHOLD, main_name
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.validation_sections import SECTIONS
from augury.predictors import Predictor
from augury.reporting.report import render_page, report_content, titled
from augury.reporting.report_layout import BINARY, Label
from augury.reporting.report_tables import Section, section_of_json, table_of_rows
from augury.reporting.text_report import render_text

PLOT_PREFIX = "plot_"
REPORT_PREFIX = "report_"
PLOT_TITLES = {
    "baselines": "Model and baselines",
    "cost": "What a threshold costs",
    "routing": "Recall by share called positive",
    "periods": "Over time",
    "reliability": "Are the probabilities right?",
    "roc": "ROC curves",
    "precision_recall": "Precision and recall",
    "confusion": "Confusion matrices",
    "scores": "Probabilities by class",
    "days": "Days until the event",
    "slices": "Where it is worse",
    "fairness": "Decisions by group",
    "folds": "Cross-validation",
    "shift": "Held-out beside training rows",
    "importances": "What the model looks at",
    "shap": "What moves single probabilities",
}
REPORT_TITLES = {
    "source": "Where the rows come from",
    "data": "What was kept and what was left out",
    "zero_cost": "What needs no model",
    "sampling": "How training rows were drawn",
    "parity": "Training and serving compute the same features",
}
_SCORE_COLUMNS = [
    Label("subset", "subset", "text"),
    Label("n", "rows"),
    Label("positives", "{unit}"),
    Label("prevalence", "share {unit}", "share"),
    Label("roc_auc", "ROC-AUC", "score"),
    Label(r"roc_auc_above_(?P<rival>\w+)", "lead on {rival}", "score"),
    Label("pr_auc", "PR-AUC", "score"),
    Label("ece", "calibration error", "score"),
    Label("brier", "Brier score", "score"),
]
_DECISION_COLUMNS = [
    Label("subset", "subset", "text"),
    Label("recall", "recall", "share"),
    Label("fnr", "missed", "share"),
    Label("precision", "precision", "share"),
    Label("f1", "F1", "score"),
    Label("positive_share", "called {unit}", "share"),
    Label("nec", "cost / none", "score"),
    Label("weighted_recall", "recall by size", "share"),
    Label("fpr", "false positive rate", "share"),
    Label("false_omission_rate", "{unit} among the others", "share"),
]


def binary_report(
    predictor: Predictor,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    evaluation: BinaryEvaluation,
    **parts: Any,
) -> str:
    """Render the report of one predictor.

    Args:
        predictor: For its metadata.
        metrics: A metrics mapping.
        gates: Judged gates.
        baselines: The model beside the baselines, on the main rows and on every subset.
        slices: Metrics per slice.
        evaluation: How the predictor was judged.
        **parts: ``plot_<name>``: figures; ``report_<name>``: JSON objects of other parts or stages, each of which
            becomes a section. Those that :data:`PLOT_TITLES`, :data:`~.validation_sections.SECTIONS` and
            :data:`REPORT_TITLES` name come first, in that order.

    Returns:
        A self-contained HTML page.
    """
    content = _content(predictor, metrics, gates, baselines, slices, evaluation, parts)
    return render_page(content, titled(parts, PLOT_PREFIX, PLOT_TITLES))


def binary_text_report(
    predictor: Predictor,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    evaluation: BinaryEvaluation,
    **parts: Any,
) -> str:
    """Write the report of one predictor as text.

    Args:
        predictor: See :func:`binary_report`, as for all arguments.
        metrics: A metrics mapping.
        gates: Judged gates.
        baselines: The model beside the baselines.
        slices: Metrics per slice.
        evaluation: How the predictor was judged.
        **parts: ``report_<name>``: JSON objects.

    Returns:
        The tables of the page as aligned text.
    """
    return render_text(_content(predictor, metrics, gates, baselines, slices, evaluation, parts))


def _content(
    predictor: Predictor,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    evaluation: BinaryEvaluation,
    parts: Mapping[str, Any],
) -> dict[str, Any]:
    metadata = predictor.metadata.model_dump(mode="json")
    main = main_name(evaluation)
    own = {
        name: show(parts[f"{REPORT_PREFIX}{name}"], evaluation.positive_class)
        for name, show in SECTIONS.items()
        if f"{REPORT_PREFIX}{name}" in parts
    }
    others = {key: part for key, part in parts.items() if key.removeprefix(REPORT_PREFIX) not in own}
    return report_content(
        metadata["predictor"],
        metrics,
        gates,
        [row for row in baselines if row["subset"] == main],
        slices,
        metadata,
        _notes(metrics, evaluation, main),
        [
            *_subset_sections(metrics, evaluation, main),
            *_baseline_sections(baselines, evaluation),
            *own.values(),
            *(section_of_json(title, part) for title, part in titled(others, REPORT_PREFIX, REPORT_TITLES).items()),
        ],
    )


def _notes(metrics: dict[str, Any], evaluation: BinaryEvaluation, main: str) -> list[str]:
    notes = [
        f"All metrics are about rows as they come, at their natural prevalence; those without a name are of the rows "
        f"'{main}'. Intervals: {evaluation.bootstrap_replicates:,} resamples of groups "
        f"({' x '.join(evaluation.group_columns)}); plain shares have Wilson intervals that take groups as dependent.",
    ]
    if evaluation.cost_ratio is not None:
        notes.append(
            f"A missed {evaluation.positive_class} row costs {evaluation.cost_ratio:g} false alarms. "
            "'Cost / none' is the cost by that of the cheaper of calling every row positive and calling none: above 1, "
            "the model is worse than no model."
        )
    rows, difference = metrics.get("onnx_rows"), metrics.get("onnx_max_difference")
    if rows is not None and difference is not None:
        notes.append(f"The ONNX export was compared on {rows:,} rows; largest difference {difference:.1g}.")
    return notes


def _subset_sections(metrics: dict[str, Any], evaluation: BinaryEvaluation, main: str) -> list[Section]:
    """All subsets in one table of scores, and in one of decisions per operating point."""
    if not evaluation.subsets:
        return []
    unit = evaluation.positive_class
    intervals = metrics.get(INTERVALS) or {}
    prefixes = {main: "", **{name: f"{name}_" for name in evaluation.subsets}}

    def row(prefix: str, names: list[str], suffix: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in names:
            key = f"{prefix}{name}{suffix}"
            found |= {name: metrics.get(key), **ends(name, intervals.get(key))}
        return found

    def size(prefix: str) -> dict[str, Any]:
        return {"n": metrics.get(f"{prefix}n" if prefix else "n_test"), "positives": metrics.get(f"{prefix}positives")}

    rivals = [f"{ROC_AUC_ABOVE}_{rival}" for rival in evaluation.rivals]
    score_rows = [
        {"subset": name, **size(prefix), **row(prefix, ["prevalence", *RANKING_METRICS, *rivals, "ece", "brier"])}
        for name, prefix in prefixes.items()
    ]
    tables = [table_of_rows("Scores by subset", score_rows, _SCORE_COLUMNS, unit)]
    decisions = [
        *decision_metrics(evaluation.cost_ratio),
        *([] if evaluation.weight_column is None else [WEIGHTED_RECALL]),
    ]
    for point in (name.removeprefix(f"{THRESHOLD}_") for name in metrics if name.startswith(f"{THRESHOLD}_")):
        rows = [
            {"subset": f"{name}, {point}", **row(prefix, decisions, f"_{point}")} for name, prefix in prefixes.items()
        ]
        tables.append(table_of_rows(f"Decisions by subset at {point}", rows, _DECISION_COLUMNS, unit))
    return [Section("By subset", [table for table in tables if table is not None], after="baselines")]


def _baseline_sections(baselines: list[dict[str, Any]], evaluation: BinaryEvaluation) -> list[Section]:
    sections = []
    for subset in evaluation.subsets:
        rows = [row for row in baselines if row["subset"] == subset]
        table = table_of_rows(
            f"Baselines, {subset}", rows, BINARY.baselines, evaluation.positive_class, strong_first=True
        )
        if table is not None:
            note = f"{rows[0]['n']:,} rows, {rows[0]['positives']:,} {evaluation.positive_class}."
            sections.append(Section(f"Beside the baselines: {subset}", [table], note, after="baselines"))
    return sections
