"""One metrics mapping from the parts of a judgement, for gates, report and tracking."""

from collections.abc import Mapping
from typing import Any

from augury.metrics.metrics_mapping import INTERVALS, NESTED, SUPPORT


def gather_metrics(report_main: dict[str, Any], *reports: dict[str, Any]) -> dict[str, Any]:
    """Put the metrics of all parts together.

    Args:
        report_main: The metrics mapping of the task itself.
        *reports: Parts, each with ``metrics`` and, where it has them, ``intervals`` and ``support``.

    Returns:
        A metrics mapping, that of the task first.

    Raises:
        ValueError: Two parts have a metric of the same name.
    """
    gathered = {name: value for name, value in report_main.items() if name not in NESTED}
    nested: dict[str, dict[str, Any]] = {name: dict(report_main.get(name) or {}) for name in NESTED}
    for report in reports:
        metrics: Mapping[str, Any] = report["metrics"]
        twice = sorted(set(gathered) & set(metrics))
        if twice:
            raise ValueError(f"Metrics with the same name in two parts of the judgement: {', '.join(twice)}.")
        gathered |= metrics
        for name in NESTED:
            nested[name] |= report.get(name) or {}
    if SUPPORT not in report_main:
        del nested[SUPPORT]
    return gathered | {INTERVALS: nested.pop(INTERVALS), **nested}
