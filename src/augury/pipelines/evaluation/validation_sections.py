"""The parts of a validation as sections of a report, in words and tables."""

from collections.abc import Callable
from typing import Any

from augury.reporting.report_layout import Label, format_value
from augury.reporting.report_tables import Section, Table, table_of_rows

MOST_FEATURES = 25

_FOLD_COLUMNS = [
    Label("fold", "fold", "text"),
    Label("rows", "rows"),
    Label("positives", "{unit}"),
    Label("roc_auc", "ROC-AUC", "score"),
    Label("log_loss", "log loss", "score"),
    Label("pr_auc", "PR-AUC", "score"),
    Label("average_precision", "PR-AUC", "score"),
    Label("brier", "Brier", "score"),
    Label("rounds", "trees"),
    Label("best_iteration", "trees"),
]
_TRUTH_COLUMNS = [
    Label("model", "forecast", "text"),
    Label("roc_auc", "ROC-AUC", "score"),
    Label("log_loss", "log loss", "score"),
    Label("log_loss_skill", "skill", "share"),
    Label("brier", "Brier", "score"),
    Label(r"precision_(?P<point>\w+)", "precision, {point}", "share"),
    Label(r"recall_(?P<point>\w+)", "recall, {point}", "share"),
]
_DAYS_COLUMNS = [
    Label("model", "forecast", "text"),
    Label("n", "rows"),
    Label("mae", "mean abs. error"),
    Label("rmse", "RMSE"),
    Label("median_ae", "median abs. error"),
    Label("mae_ratio", "mean error / model's"),
]
_FAIRNESS_COLUMNS = [
    Label("group", "group", "text"),
    Label("n", "rows"),
    Label("positives", "{unit}"),
    Label("prevalence", "share {unit}", "share"),
    Label("mean_probability", "mean probability", "share"),
    Label("calibration_gap", "gap", "score"),
    Label("selection_rate", "called {unit}", "share"),
    Label("recall", "recall", "share"),
    Label("false_positive_rate", "false positives", "share"),
]
_SHIFT_COLUMNS = [
    Label("feature", "feature", "text"),
    Label("state", "state", "text"),
    Label("psi", "PSI", "score"),
    Label("ks", "KS", "score"),
    Label("mean_training", "mean, training"),
    Label("mean_held_out", "mean, held out"),
    Label("missing_training", "missing, training", "share"),
    Label("missing_held_out", "missing, held out", "share"),
]
_WEAK_COLUMNS = [
    Label("slice", "slice", "text"),
    Label("n", "rows"),
    Label("positives", "{unit}"),
    Label("roc_auc", "ROC-AUC", "score"),
    Label("shortfall", "below the whole", "score"),
    Label("p_holm", "p (Holm)", "score"),
]


def folds_section(report: dict[str, Any], unit: str) -> Section:
    """The folds of the cross-validation, in the order of time."""
    rows = [{"fold": str(number), **fold} for number, fold in enumerate(report["folds"], 1)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    complete = [{name: row.get(name) for name in names} for row in rows]
    note = "Forward chaining: every fold is predicted by a model that was fitted to the time before it."
    return _section("Cross-validation", [table_of_rows("Folds", complete, _FOLD_COLUMNS, unit)], note)


def truth_section(report: dict[str, Any], unit: str) -> Section:
    """The model beside what the generator of simulated rows knows."""
    note = (
        "The rows are simulated, so their true probabilities are known. The observable oracle knows all that a "
        "predictor could know: no forecast is better in the long run. The oracle also knows latent traits: a model "
        "above it has seen outcomes. 'Expected': over all outcomes that could have been drawn."
    )
    table = table_of_rows("Beside the truth", report["contenders"], _TRUTH_COLUMNS, unit, strong_first=True)
    return _section("Beside the best possible forecast", [table], note, after_baselines=True)


def days_section(report: dict[str, Any], unit: str) -> Section:
    """Errors of the days until the event, beside simple rules."""
    note = "Days until the event, on the held-out rows where it happened."
    table = table_of_rows("Days", report["contenders"], _DAYS_COLUMNS, unit, strong_first=True)
    return _section("Days until the event", [table], note, after_baselines=True)


def weak_slices_section(report: dict[str, Any], unit: str) -> Section:
    """The slices that are worse than the whole, and the worst one in any case."""
    rows = [row for place, row in enumerate(report["slices"]) if row["weak"] or place == 0]
    shown = [{**row, "slice": f"{row['slice']} = {row['value']}"} for row in rows]
    weak = sum(row["weak"] for row in rows)
    note = f"{weak} of {len(report['slices'])} slices rank worse than the whole by more than chance (Holm, 5 %)."
    return _section("Weak slices", [table_of_rows("Weak slices", shown, _WEAK_COLUMNS, unit)], note)


def fairness_section(report: dict[str, Any], unit: str) -> Section:
    """Decisions by group, a table for every column."""
    tables = []
    for column in dict.fromkeys(row["column"] for row in report["groups"]):
        rows = [{**row, "group": f"{column} = {row['group']}"} for row in report["groups"] if row["column"] == column]
        tables.append(table_of_rows(f"By {column}", rows, _FAIRNESS_COLUMNS, unit))
    note = (
        f"At the operating point {report.get('operating_point')}. Where the shares of {unit} rows differ between "
        "groups, a model that is right in each of them cannot call equally many of each; the gap is mean probability "
        "less share."
    )
    return _section("Fairness", tables, note)


def shift_section(report: dict[str, Any], unit: str) -> Section:
    """Features and score of the held-out rows beside the training rows."""
    score = [] if report["score"] is None else [report["score"]]
    rows = [*score, *report["features"][:MOST_FEATURES]]
    counts = ", ".join(f"{count} {state}" for state, count in report["counts"].items())
    note = (
        f"{report.get('rows_held_out', 0):,} held-out rows beside {report.get('rows_training', 0):,} training rows; "
        f"features by state: {counts}. PSI by chance alone: {format_value(report.get('psi_by_chance'), 'score')}. "
        "The probability is compared with predictions out of fold. Excluded features move by their nature."
    )
    return _section("Held-out beside training rows", [table_of_rows("Shift", rows, _SHIFT_COLUMNS, unit)], note)


def _section(title: str, tables: list[Table | None], note: str, *, after_baselines: bool = False) -> Section:
    kept = [table for table in tables if table is not None]
    return Section(title, kept, note, after="baselines" if after_baselines else "slices")


SECTIONS: dict[str, Callable[[dict[str, Any], str], Section]] = {
    "truth": truth_section,
    "days": days_section,
    "weak_slices": weak_slices_section,
    "folds": folds_section,
    "fairness": fairness_section,
    "shift": shift_section,
}
"""Report of a part -> how it is shown, in the order of the page."""
