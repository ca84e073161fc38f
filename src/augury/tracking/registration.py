"""What a registered version says of itself: where it came from, how it was judged."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from augury.predictors.predictor_version import FAILED_GATES_TAG, GATES_TAG
from augury.tracking.flattening import flat_metrics

GateVerdict: TypeAlias = Literal["passed", "failed", "inconclusive", "not_judged"]

DIGEST_TAG = "augury.model"
METRIC_PREFIX = "augury.metric."

MAIN_METRICS = ("n_test", "log_loss", "roc_auc", "mae", "rmse", "r2", "saving_over_best_baseline", "cost_over_oracle")
"""Metrics that become tags wherever a report has them; so do those that are limited by a gate."""


def origin_tags(facts: Any) -> dict[str, str]:
    """Describe where a model came from.

    Args:
        facts: The predictor's ``Metadata``.

    Returns:
        Tags of a version whose gates are not judged yet; ``augury.model`` identifies the model, whichever run it is
        met in.
    """
    tags = {
        "augury.predictor": facts.predictor,
        "augury.family": facts.family,
        "augury.data_fingerprint": facts.data.fingerprint,
        "augury.rows": str(facts.data.rows),
        "augury.trained_at": facts.created_at,
        "augury.version": facts.versions.get("augury"),
        "augury.git_commit": facts.git_commit,
        DIGEST_TAG: model_digest(facts),
        GATES_TAG: gate_verdict(None),
    }
    return {key: value for key, value in tags.items() if value is not None}


def model_digest(facts: Any) -> str:
    """Identify a model by its metadata: what it was trained on, with which parameters, and when."""
    return hashlib.sha256(facts.model_dump_json().encode()).hexdigest()


def judgement_tags(gates: Iterable[Mapping[str, Any]] | None, metrics: Mapping[str, Any] | None) -> dict[str, str]:
    """Describe how a model was judged.

    Args:
        gates: Rows of ``report_gates``; None where no gates were judged.
        metrics: The metrics mapping; None where there is none.

    Returns:
        Tags of a version: the verdict of the gates and the names of those that were not passed, and the main metrics;
        nothing about what was not judged.
    """
    rows = None if gates is None else list(gates)
    limited = [str(row.get("metric")) for row in rows or []]
    flat = flat_metrics(metrics or {})
    tags = {
        f"{METRIC_PREFIX}{name}": f"{flat[name]:.6g}"
        for name in dict.fromkeys([*MAIN_METRICS, *limited])
        if name in flat
    }
    if rows is not None:
        missed = [name for name, row in zip(limited, rows, strict=True) if not _passed(row)]
        tags |= {GATES_TAG: gate_verdict(rows), FAILED_GATES_TAG: ", ".join(missed)}
    return tags


def gate_verdict(rows: Iterable[Mapping[str, Any]] | None) -> GateVerdict:
    """Sum up the rows of ``report_gates``.

    Args:
        rows: One row per gate: ``passed``, and where a gate has three answers, ``verdict``.

    Returns:
        ``failed`` if a gate failed, else ``inconclusive`` if one was, else ``passed``; ``not_judged`` without rows.
    """
    if rows is None:
        return "not_judged"
    missed = [row for row in rows if not _passed(row)]
    if any(row.get("verdict") != "inconclusive" for row in missed):
        return "failed"
    return "inconclusive" if missed else "passed"


def gate_summary(rows: Iterable[Mapping[str, Any]] | None) -> str:
    """Sum up the rows of ``report_gates`` in one line.

    Args:
        rows: See :func:`gate_verdict`.

    Returns:
        The verdict, and of each gate that was not passed its name, value, interval and rule.

    Examples:
        >>> gate_summary([{"metric": "r2", "value": 0.851, "rule": ">= 0.88", "passed": False}])
        'failed: r2 0.851 (must be >= 0.88)'
    """
    known = None if rows is None else list(rows)
    missed = [_told(row) for row in known or [] if not _passed(row)]
    verdict = gate_verdict(known).replace("_", " ")
    return f"{verdict}: {'; '.join(missed)}" if missed else verdict


def _told(row: Mapping[str, Any]) -> str:
    value, lower, upper = row.get("value"), row.get("lower"), row.get("upper")
    shown = "without a value" if value is None else f"{value:.4g}"
    interval = "" if lower is None or upper is None else f", {lower:.4g} to {upper:.4g}"
    unsure = "inconclusive, " if row.get("verdict") == "inconclusive" else ""
    return f"{row.get('metric')} {shown}{interval} ({unsure}must be {row.get('rule')})"


def _passed(row: Mapping[str, Any]) -> bool:
    return bool(row.get("passed"))
