"""What somebody should know about the last days without reading the report."""

from typing import Any

from augury.pipelines.monitoring.replay import ReplayMonitoring


def raise_alarms(
    report_replay: dict[str, Any], report_drift: dict[str, Any], monitoring: ReplayMonitoring
) -> list[dict[str, Any]]:
    """Compare the replay with its limits.

    Args:
        report_replay: What ``judge_replay`` returned.
        report_drift: What ``measure_drift`` returned.
        monitoring: The limits.

    Returns:
        JSON-ready rows ``metric, value, lower, upper, rule, passed``: the normalised expected cost at the chosen
        operating point, the bias of the probabilities, the PSI of the score, and the share of features that moved
        (restless ones aside). A value that could not be computed does not pass.
    """
    metrics, limits = report_replay["metrics"], monitoring.limits
    cost = f"nec_{monitoring.operating_point}"
    counts = report_drift["counts"]
    judged = sum(counts.values()) - counts["restless"]
    checks = [
        (cost, metrics[cost], None, limits.cost),
        ("bias", metrics["bias"], 1 / limits.bias, limits.bias),
        ("score_psi", report_drift["score"]["psi"], None, limits.psi_drift),
        ("moved_features", counts["drift"] / judged if judged else 0.0, None, limits.moved_share),
    ]
    rows = []
    for name, value, smallest, largest in checks:
        lower, upper = metrics["intervals"].get(name) or (None, None)
        rule = f"<= {largest:g}" if smallest is None else f">= {smallest:g} and <= {largest:g}"
        within = value is not None and value <= largest and (smallest is None or value >= smallest)
        rows.append(
            {"metric": name, "value": value, "lower": lower, "upper": upper, "rule": rule, "passed": bool(within)}
        )
    return rows
