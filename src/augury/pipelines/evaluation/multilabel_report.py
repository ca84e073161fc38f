"""The report of a classifier of texts into codes: gathers what the other nodes of the stage produced."""

from collections.abc import Mapping
from typing import Any

from augury.metrics.metrics_mapping import INTERVALS
from augury.metrics.multilabel import OF_ORACLE, ORACLE
from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation
from augury.predictors import Predictor
from augury.reporting.multilabel_layout import CODES, CONFUSIONS
from augury.reporting.report import render_page, report_content, titled
from augury.reporting.report_layout import format_interval, format_value
from augury.reporting.report_tables import MOST_ROWS, Section, section_of_json, table_of_rows

PLOT_PREFIX = "plot_"
REPORT_PREFIX = "report_"
PLOT_TITLES = {
    "baselines": "Model and baselines",
    "levels": "Level by level",
    "codes": "Every code",
    "confusions": "Which code instead of which",
    "precision_recall": "Precision and recall",
    "reliability": "Are the probabilities right?",
    "slices": "Where it is worse",
    "curves": "Learning curve",
}
REPORT_TITLES = {
    "data": "What was kept and what was left out",
    "features": "Codes and tokens",
    "training": "How it was trained",
}


def multilabel_report(
    predictor: Predictor,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    codes: list[dict[str, Any]],
    confusions: list[dict[str, Any]],
    evaluation: MultilabelEvaluation,
    **parts: Any,
) -> str:
    """Render the report of one predictor.

    Args:
        predictor: For its metadata.
        metrics: A metrics mapping.
        gates: Judged gates.
        baselines: The model beside the baselines.
        slices: Metrics by length, number of codes, origin and main class.
        codes: Metrics by code.
        confusions: Which code was assigned instead of which.
        evaluation: How the predictor was judged.
        **parts: ``plot_<name>``: figures; ``report_<name>``: JSON objects of other parts or stages, each of which
            becomes a section. Those that :data:`PLOT_TITLES` and :data:`REPORT_TITLES` name come first, in that order.

    Returns:
        A self-contained HTML page.
    """
    metadata = predictor.metadata.model_dump(mode="json")
    content = report_content(
        metadata["predictor"],
        metrics,
        gates,
        baselines,
        slices,
        metadata,
        _notes(metrics, evaluation),
        [
            *_code_sections(codes, confusions, evaluation),
            *(section_of_json(title, part) for title, part in titled(parts, REPORT_PREFIX, REPORT_TITLES).items()),
        ],
    )
    return render_page(content, titled(parts, PLOT_PREFIX, PLOT_TITLES))


def _notes(metrics: Mapping[str, Any], evaluation: MultilabelEvaluation) -> list[str]:
    notes = [
        f"Codes imply the codes above them, on both sides. Intervals: {evaluation.bootstrap_replicates:,} resamples of "
        f"groups of near-duplicate texts ({evaluation.group_column}). Means over codes are over those that any judged "
        "text has.",
    ]
    best = metrics.get(ORACLE)
    if best is not None:
        of_best = metrics.get(OF_ORACLE)
        interval = format_interval((metrics.get(INTERVALS) or {}).get(OF_ORACLE), "share", of_best)
        notes.append(
            f"The oracle, which knows what each text was made from but not the noise in its codes, has a micro F1 of "
            f"{format_value(best, 'score')}: nobody can be expected to do better. This model reaches "
            f"{format_value(of_best, 'share')} of it{f' ({interval})' if interval else ''}."
        )
    outside = metrics.get("unmodelled_share")
    if outside:
        notes.append(
            f"{format_value(outside, 'share')} of the codes of the judged texts are unknown to the model, too rare in "
            "the training texts; they count as missed."
        )
    rows, difference = metrics.get("onnx_rows"), metrics.get("onnx_max_difference")
    if rows is not None and difference is not None:
        notes.append(f"The ONNX export was compared on {rows:,} texts; largest difference {difference:.1g}.")
    return notes


def _code_sections(
    codes: list[dict[str, Any]], confusions: list[dict[str, Any]], evaluation: MultilabelEvaluation
) -> list[Section]:
    judged = [row for row in codes if row["judged"]]
    weakest = sorted(judged, key=lambda row: (row["f1"] or 0.0, row["code"]))[: evaluation.weakest]
    frequent = sorted(codes, key=lambda row: (-row["support"], row["code"]))[:MOST_ROWS]
    frequent.sort(key=lambda row: row["code"])
    some = "" if len(frequent) == len(codes) else f" The {len(frequent)} most frequent of {len(codes):,} are shown."
    parts = [
        (
            "Weakest codes",
            table_of_rows("Weakest codes", weakest, CODES, ""),
            f"Of the {len(judged):,} codes that at least {evaluation.min_support} judged texts have.",
        ),
        (
            "Confused codes",
            table_of_rows("Confused codes", confusions, CONFUSIONS, ""),
            "Pairs of one level; a text with several wrong codes counts as a part for each.",
        ),
        ("Code by code", table_of_rows("Code by code", frequent, CODES, ""), f"In the order of the codes.{some}"),
    ]
    return [Section(title, [table], note) for title, table, note in parts if table is not None]
