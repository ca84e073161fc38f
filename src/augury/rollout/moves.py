"""Moves of a rollout: one stage on, back in one step, off and on; and what a challenger has to show for them."""

import math
from datetime import UTC, datetime
from typing import Any

from augury.errors import UserError
from augury.rollout.evidence import Evidence
from augury.rollout.sequential import always_valid_interval
from augury.rollout.state import Move, RolloutFile, RolloutSettings, RolloutState

QUANTILE = 0.99
LEAST_FOR_ALARM = 200
"""Decisions of the challenger from which on its failures and times may end the rollout by themselves."""


def advance(
    file: RolloutFile,
    *,
    gates: list[dict[str, Any]] | None = None,
    champion: str | None = None,
    challenger: str | None = None,
    settings: RolloutSettings | None = None,
    force: str | None = None,
) -> RolloutState:
    """Move one stage on.

    Args:
        file: The rollout.
        gates: To begin: the judged gates of the challenger, all of which must have passed.
        champion: To begin: which version decides until now.
        challenger: To begin: which version is rolled out.
        settings: To begin: what it has to show; the defaults where None.
        force: Why the move is made whatever was shown; recorded.

    Returns:
        The new state.

    Raises:
        UserError: The challenger has not shown what it has to, or it decides for everyone already.
    """
    with file.changed() as state:
        if state.stage == "full" and challenger is None:
            raise UserError(
                f"The rollout of {file.predictor} is complete: the challenger decides for everyone. Let the "
                "application load it as its champion; then name the next challenger to begin anew."
            )
        begins = state.stage in ("offline", "full")
        if begins:
            missing = _gates_missing(gates)
            if settings is not None:
                state.settings = settings
            state.champion, state.challenger = champion, challenger
            # Other units try what is new than the last time
            state.salt = RolloutState(predictor=file.predictor).salt
        else:
            missing = shortcomings(state)
        if missing and force is None:
            raise UserError(f"{file.predictor} stays in stage '{state.words}': {'; '.join(missing)}.")
        reason = "all that was asked for was shown" if not missing else f"forced: {force} ({'; '.join(missing)})"
        _move(state, "advance", 1 if begins else state.place + 1, reason)
    return state


def rollback(file: RolloutFile, reason: str) -> RolloutState:
    """Let the champion decide for everyone again, from any stage, in one move.

    Raises:
        UserError: There is nothing to roll back.
    """
    with file.changed() as state:
        if state.stage == "offline":
            raise UserError(f"Nothing of {file.predictor} is rolled out: there is nothing to roll back.")
        _move(state, "rollback", 0, reason)
    return state


def stop(file: RolloutFile, reason: str) -> RolloutState:
    """Let the rule decide for everyone; the stage is kept."""
    with file.changed() as state:
        state.stopped = True
        _move(state, "stop", state.place, reason)
    return state


def resume(file: RolloutFile, reason: str) -> RolloutState:
    """Let models decide again after :func:`stop`.

    Raises:
        UserError: A file beside the state still says stop.
    """
    if file.stop_file.exists():
        raise UserError(f"'{file.stop_file}' says stop: remove it first.")
    with file.changed() as state:
        state.stopped = False
        _move(state, "resume", state.place, reason)
    return state


def shortcomings(state: RolloutState) -> list[str]:
    """What the challenger lacks for the next stage, a phrase each."""
    rules, side = state.settings, state.evidence.challenger
    missing = []
    if side.decisions < rules.least_decisions:
        missing.append(f"{side.decisions:,} of {rules.least_decisions:,} decisions were seen")
    missing += _guardrails(state)
    if state.stage == "canary" and rules.needs_costs:
        seen = min(state.evidence.champion.costs.n, side.costs.n)
        if seen < rules.least_costs:
            missing.append(f"{seen:,} of {rules.least_costs:,} costs on either side were seen")
        interval = cost_interval(state)
        most = rules.margin * abs(state.evidence.champion.costs.mean)
        if interval is not None and interval[1] > most:
            missing.append(
                f"it may cost up to {interval[1]:.4g} more than the champion, and {most:.4g} more is what it may cost"
            )
    return missing


def alarms(state: RolloutState) -> list[str]:
    """Why the rollout has to be rolled back at once, a phrase each."""
    if state.stage == "offline":
        return []
    rules, side = state.settings, state.evidence.challenger
    found = []
    if side.decisions >= LEAST_FOR_ALARM:
        # A single bad moment among few decisions is no alarm: what must be too large is the lower bound
        failures, slow = sum(side.failures.values()), side.slower_than(rules.most_p99_us)
        if _least_share(failures, side.decisions) > rules.most_failures:
            found.append(f"the rule had to step in for {failures:,} of {side.decisions:,} decisions")
        if _least_share(slow, side.decisions) > 1 - QUANTILE:
            found.append(f"{slow:,} of {side.decisions:,} decisions took more than {rules.most_p99_us:g} microseconds")
    interval = cost_interval(state)
    most = rules.margin * abs(state.evidence.champion.costs.mean)
    if state.stage == "canary" and interval is not None and interval[0] > most:
        found.append(f"it costs at least {interval[0]:.4g} more than the champion")
    return found


def cost_interval(state: RolloutState) -> tuple[float, float] | None:
    """How much more a decision of the challenger costs, see :mod:`augury.rollout.sequential`."""
    rules, evidence = state.settings, state.evidence
    return always_valid_interval(
        evidence.champion.costs, evidence.challenger.costs, rules.tau * rules.cost_scale, rules.alpha
    )


def take_in(file: RolloutFile, seen: Evidence, epoch: int) -> RolloutState:
    """Add what a process has seen, and roll back where that is alarming.

    Args:
        file: The rollout.
        seen: What it has seen since it last told.
        epoch: In which epoch; what belongs to an earlier one is dropped.

    Returns:
        The new state.
    """
    with file.changed(durable=False) as state:
        if state.epoch == epoch:
            state.evidence.merge(seen)
            found = alarms(state)
            if found:
                _move(state, "rollback", 0, f"by itself: {'; '.join(found)}")
    return state


def _least_share(hits: int, decisions: int) -> float:
    """Lower end of Wilson's interval for a share, 99 % on one side."""
    z = 2.326
    share, spread = hits / decisions, z * z / decisions
    return (share + spread / 2 - z * math.sqrt((share * (1 - share) + spread / 4) / decisions)) / (1 + spread)


def _guardrails(state: RolloutState) -> list[str]:
    rules, side = state.settings, state.evidence.challenger
    found = []
    if side.failure_rate > rules.most_failures:
        worst = ", ".join(f"{name} {times:,}" for name, times in sorted(side.failures.items()))
        found.append(f"the rule had to step in for {side.failure_rate:.3%} of its decisions ({worst})")
    p99 = side.quantile_us(QUANTILE)
    if p99 is not None and p99 > rules.most_p99_us:
        found.append(f"the 99th percentile of its decision time is {p99:,.0f} microseconds")
    return found


def _gates_missing(gates: list[dict[str, Any]] | None) -> list[str]:
    if not gates:
        return ["its gates were never judged"]
    failed = [str(row.get("metric")) for row in gates if not row.get("passed")]
    return [f"gates were not passed: {', '.join(failed)}"] if failed else []


def _move(state: RolloutState, move: str, place: int, reason: str) -> None:
    before = state.words
    state.place = place
    state.history.append(
        Move(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            move=move,
            before=before,
            after="stopped" if state.stopped else state.words,
            reason=reason,
            evidence=state.evidence,
        )
    )
    state.epoch += 1
    state.evidence = Evidence()
