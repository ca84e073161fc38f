"""Promoted or kept, and why: one decision for every task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from augury.errors import GateFailure, UserError
from augury.pipelines.promotion.rules import PromotionRules
from augury.predictors.predictor_version import PredictorVersion

Verdict: TypeAlias = Literal[
    "promoted", "kept", "inconclusive", "failed_gates", "incompatible", "no_champion", "no_challenger"
]

PROMOTED: Verdict = "promoted"
FAILED_GATES: Verdict = "failed_gates"
PASSED = "passed"


class Incompatible(UserError):
    """A model cannot predict the rows that both are compared on."""


@dataclass(frozen=True)
class Comparison:
    """Both models on the same rows."""

    rows: int
    groups: int
    metric: str
    """Name of the main metric; smaller is better."""
    main: Mapping[str, float | None]
    """``champion``, ``challenger``, ``improvement``, ``lower``."""
    metrics: Mapping[str, Mapping[str, float | None]]
    """The same of all metrics."""
    worse: Mapping[str, str]
    """Metric that must not get worse but did -> a sentence with its numbers."""
    perhaps_worse: Mapping[str, str]
    """The same of metrics of which only the bound says so."""


def decide(
    champion: PredictorVersion | None,
    challenger: PredictorVersion | None,
    compare: Callable[[Any, Any], Comparison],
    rules: PromotionRules,
    decided_at: str,
) -> dict[str, Any]:
    """Decide whether the challenger takes the champion's place.

    Args:
        champion: The champion; None if there is none.
        challenger: The challenger; None if there is none.
        compare: Takes the predictors of champion and challenger; raises :class:`Incompatible` where one of them cannot
            predict the rows.
        rules: When it does.
        decided_at: The time.

    Returns:
        The decision, JSON-ready: ``verdict``, ``reason`` (one sentence), ``decided_at``; ``challenger`` and
        ``champion``: model, version, origin and the verdict of the gates, or None; ``holdout``: rows and groups, and
        ``metrics``: by metric ``champion``, ``challenger``, ``improvement``, ``lower``, both None where nothing was
        compared; ``main``: those of the main metric with its name; ``rules``.
    """
    if challenger is not None and champion is not None and challenger.version == champion.version:
        challenger = None
    comparison, obstacle = None, None
    if challenger is not None and champion is not None:
        try:
            comparison = compare(_usable(champion, "champion"), _usable(challenger, "challenger"))
        except Incompatible as error:
            obstacle = str(error)
    verdict, reason = _verdict(champion, challenger, comparison, obstacle, rules)
    return {
        "verdict": verdict,
        "reason": reason,
        "decided_at": decided_at,
        "challenger": _described(challenger),
        "champion": _described(champion),
        "holdout": None if comparison is None else {"rows": comparison.rows, "groups": comparison.groups},
        "main": None if comparison is None else {"metric": comparison.metric, **comparison.main},
        "metrics": None if comparison is None else {name: dict(found) for name, found in comparison.metrics.items()},
        "rules": rules.model_dump(mode="json"),
    }


def enforce_promotion(report_promotion: dict[str, Any], promotion: dict[str, str]) -> None:
    """Fail the run if gates are enforced and the challenger missed one.

    Args:
        report_promotion: The decision with its rules.
        promotion: Where the aliases are now. It is not read: taking it makes this step run after the decision was
            recorded.

    Raises:
        GateFailure: The decision's reason.
    """
    if report_promotion["rules"]["enforce"] and report_promotion["verdict"] == FAILED_GATES:
        raise GateFailure(report_promotion["reason"])


def carry_out(report_promotion: dict[str, Any]) -> dict[str, Any]:
    """Hand a decision that is on disk to the registry, which moves the aliases last."""
    return report_promotion


def _usable(version: PredictorVersion, role: str) -> Any:
    if version.predictor is None:
        raise Incompatible(f"the {role}, version {version.version}, cannot be loaded: {version.problem}")
    return version.predictor


def _verdict(
    champion: PredictorVersion | None,
    challenger: PredictorVersion | None,
    comparison: Comparison | None,
    obstacle: str | None,
    rules: PromotionRules,
) -> tuple[Verdict, str]:
    if challenger is None:
        return "no_challenger", "no version is newer than the champion and waits for promotion; train one first"
    if challenger.gates != PASSED:
        return FAILED_GATES, _gates_missed(challenger)
    if challenger.predictor is None:
        return "incompatible", f"the challenger cannot be loaded: {challenger.problem}"
    if champion is None:
        if rules.on_no_champion == "keep":
            return "no_champion", "there is no champion to compare with, and the first one is to be set by hand"
        return PROMOTED, "the gates pass, and there is no champion yet"
    if comparison is None:
        if rules.on_incompatible == "keep":
            return "incompatible", f"they cannot be compared: {obstacle}"
        return PROMOTED, f"the gates pass, and the champion cannot be compared: {obstacle}"
    return _compared(comparison, rules)


def _compared(comparison: Comparison, rules: PromotionRules) -> tuple[Verdict, str]:
    main = comparison.main
    improvement, lower = main["improvement"], main["lower"]
    assert improvement is not None
    numbers = (
        f"{comparison.metric} {main['champion']:.6g} -> {main['challenger']:.6g} on {comparison.rows:,} rows, "
        f"improvement {improvement:.3g}"
    )
    if improvement <= rules.min_improvement:
        return "kept", f"{numbers}, not above {rules.min_improvement:g}"
    if comparison.worse:
        return "kept", "; ".join([numbers, *comparison.worse.values()])
    if lower is None:
        return "inconclusive", (
            f"{numbers}; no bound can be given with {comparison.groups} groups of rows (at least {rules.min_groups})"
        )
    bound = f"lower bound {lower:.3g} at {rules.confidence:.4g}"
    if lower <= rules.min_improvement:
        return "inconclusive", f"{numbers}, but {bound} is not above {rules.min_improvement:g}"
    if comparison.perhaps_worse:
        return "inconclusive", "; ".join([f"{numbers}, {bound}", *comparison.perhaps_worse.values()])
    return PROMOTED, f"{numbers}, {bound} is above {rules.min_improvement:g}"


def _gates_missed(challenger: PredictorVersion) -> str:
    version = f"version {challenger.version}"
    if challenger.gates == "not_judged":
        return f"the gates of {version} were never judged; run the pipeline 'evaluation'"
    verdict = "are inconclusive" if challenger.gates == "inconclusive" else "failed"
    return f"gates of {version} {verdict}: {', '.join(challenger.failed_gates) or 'unknown'}"


def _described(version: PredictorVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {**version.facts(), "gates": version.gates, "failed_gates": version.failed_gates}
