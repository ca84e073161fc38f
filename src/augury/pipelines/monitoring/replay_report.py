"""The report of a replay."""

from typing import Any

from augury.pipelines.monitoring.replay import ReplayMonitoring
from augury.predictors import Predictor
from augury.reporting.report import render_report
from augury.reporting.report_layout import Label
from augury.reporting.report_tables import Section, table_of_rows

MOST_FEATURES = 60
_FEATURE_COLUMNS = [
    Label("feature", "feature", "text"),
    Label("state", "state", "text"),
    Label("psi", "PSI", "score"),
    Label("psi_before", "PSI before", "score"),
    Label("ks", "KS", "score"),
    Label("mean_reference", "mean, training"),
    Label("mean_replay", "mean, replayed"),
    Label("missing_reference", "missing, training", "share"),
    Label("missing_replay", "missing, replayed", "share"),
]


def replay_report(
    predictor: Predictor,
    report_replay: dict[str, Any],
    report_drift: dict[str, Any],
    alarms: list[dict[str, Any]],
    monitoring: ReplayMonitoring,
    days: Any,
    calibration: Any,
    drift: Any,
    score: Any,
) -> str:
    """Render the report of a replay.

    Args:
        predictor: The champion, for its metadata.
        report_replay: What ``judge_replay`` returned.
        report_drift: What ``measure_drift`` returned.
        alarms: What ``raise_alarms`` returned.
        monitoring: How it was judged.
        days: Figure, metrics by day.
        calibration: Figure, expected and observed by day.
        drift: Figure, features that moved.
        score: Figure, distribution of the score.

    Returns:
        A self-contained HTML page.
    """
    metadata = predictor.metadata.model_dump(mode="json")
    metrics = report_replay["metrics"]
    rows = [{"slice": "day", "value": row["day"], **row} for row in report_replay["days"]]
    plots = {
        "Day by day": days,
        "Expected and observed": calibration,
        "Which features have moved": drift,
        "Has the score moved?": score,
    }
    return render_report(
        f"{metadata['predictor']}: replay of {metrics['first_day']} to {metrics['last_day']}",
        metrics,
        alarms,
        [],
        rows,
        plots,
        metadata,
        _notes(report_replay, report_drift, monitoring),
        [_drift_section(report_drift)],
        gate_word="limit",
    )


def _notes(report_replay: dict[str, Any], report_drift: dict[str, Any], monitoring: ReplayMonitoring) -> list[str]:
    days, limits = report_replay["days"], monitoring.limits
    counts = report_drift["counts"]
    notes = [
        f"The champion on {len(days)} days of rows as they came"
        + (f" (fewer than the {monitoring.days} asked for)" if len(days) < monitoring.days else "")
        + f", judged with hindsight; a missed {monitoring.positive_class} row costs {monitoring.cost_ratio:g} false "
        "alarms.",
        f"A feature has moved where its PSI reaches {limits.psi_drift:g} or its KS distance {limits.ks_drift:g}; it is "
        f"worth a look from {limits.psi_watch:g} or {limits.ks_watch:g}; chance alone makes a PSI of about "
        f"{report_drift['psi_by_chance']:.1g}. Moved: {counts['drift']}, worth a look: {counts['watch']}, stable: "
        f"{counts['stable']}, restless: {counts['restless']} (they had moved before these days already and raise no "
        "alarm).",
        f"Features are compared with {report_drift['rows_reference']:,} training rows (weighted; they tell as much as "
        f"{report_drift['rows_effective']:,.0f} unweighted ones), the score with "
        f"{report_drift['score']['rows_reference']:,} {report_drift['score']['compared_with']}.",
    ]
    if monitoring.clocks:
        notes.append(f"Restless by their nature: {', '.join(monitoring.clocks)}.")
    return notes


def _drift_section(report_drift: dict[str, Any]) -> Section:
    rows = [report_drift["score"] | {"psi_before": None}, *report_drift["features"]]
    table = table_of_rows("Drift", rows[:MOST_FEATURES], _FEATURE_COLUMNS, "", strong_first=True)
    left_out = len(rows) - MOST_FEATURES
    note = "The score, then features by PSI, restless ones last"
    note += f"; the last {left_out} are left out." if left_out > 0 else "."
    return Section("Has anything moved?", [] if table is None else [table], note)
