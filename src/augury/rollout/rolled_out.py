"""Two models and a rule behind one question."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from augury.errors import UserError
from augury.rollout.evidence import Evidence
from augury.rollout.moves import take_in
from augury.rollout.shares import place_of
from augury.rollout.state import RolloutFile, RolloutState
from augury.rollout.time_limit import TimeLimit

logger = logging.getLogger(__name__)

Arm = Literal["champion", "challenger"]
Policy = Callable[[Mapping[str, Any]], Any]

CHAMPION: Arm = "champion"
CHALLENGER: Arm = "challenger"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen, and by whom."""

    choice: Any
    arm: Arm | None
    """Whose turn it was; None where the kill switch is on. What the decision costs counts for this side, even where the
    rule had to step in: a model that fails is no better for it."""
    fell_back: str | None
    """Why the rule decided; None where it did not."""
    epoch: int
    """Of the rollout."""


@dataclass(frozen=True, slots=True)
class _Adopted:
    """What every decision needs of a state."""

    state: RolloutState
    share: float
    salt: bytes
    in_shadow: bool

    @classmethod
    def of(cls, state: RolloutState) -> "_Adopted":
        return cls(state, state.share, bytes.fromhex(state.salt), state.stage == "shadow")


class RolledOut:
    """Decides by champion, challenger or rule, as the rollout's state says at this moment.

    It is safe from many threads, and any number of processes may share a state. Nothing that a model does reaches the
    caller: an exception, no answer in time, or a choice that is refused counts as a failure, and the rule decides.
    """

    def __init__(
        self,
        champion: Policy | None,
        challenger: Policy | None,
        rule: Policy,
        state: RolloutFile,
        *,
        admissible: Callable[[Any, Mapping[str, Any]], bool] | None = None,
        timeout_s: float | None = None,
        flush_s: float = 5.0,
    ) -> None:
        """Put both models and the rule together.

        Args:
            champion: The model in force; None where there is none yet, and the rule is what is in force.
            challenger: The model that is to take its place; None outside a rollout.
            rule: Decides without a model and must not fail, see :mod:`augury.rollout.fallback_rules`.
            state: Where the rollout is.
            admissible: Says whether a model's choice can be carried out at all; None: any but None can.
            timeout_s: After how many seconds a model's answer is not waited for; costs a change of threads per
                decision, some 20 microseconds. None: it is waited for, and the guardrail on the time judges it.
            flush_s: How often what was seen is added to the state; a process that is killed loses that much.
        """
        self._policies = {CHAMPION: champion, CHALLENGER: challenger}
        self._rule = rule
        self._file = state
        self._admissible = admissible
        self._limit = None if timeout_s is None else TimeLimit(timeout_s)
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._seen = Evidence()
        self._epoch = state.current().epoch
        self._adopted = _Adopted.of(state.current())
        self._flushed = time.monotonic()

    def decide(self, unit: str, features: Mapping[str, Any]) -> Decision:
        """Decide.

        Args:
            unit: What always gets the same side during a stage: a pseudonymous id of a block, client or network.
            features: What the models and the rule decide by.

        Returns:
            The decision.
        """
        state = self._file.current()
        if state.stopped or self._file.stopped_from_outside():
            return Decision(self._rule(features), None, "stopped", state.epoch)
        adopted = self._adopted
        if adopted.state is not state:
            adopted = self._adopted = _Adopted.of(state)
        arm = CHAMPION
        if (
            adopted.share > 0
            and self._policies[CHALLENGER] is not None
            and place_of(unit, adopted.salt) < adopted.share
        ):
            arm = CHALLENGER
        choice, failure, microseconds = self._ask(arm, features)
        shadow = None
        if adopted.in_shadow and self._policies[CHALLENGER] is not None:
            shadow = self._ask(CHALLENGER, features)
        with self._lock:
            if state.epoch != self._epoch:
                # What belongs to the stage before was seen under other shares
                self._seen, self._epoch = Evidence(), state.epoch
            seen = self._seen
            (seen.champion if arm == CHAMPION else seen.challenger).count(microseconds, failure)
            if shadow is not None:
                other, its_failure, its_microseconds = shadow
                seen.challenger.count(its_microseconds, its_failure)
                seen.compared += 1
                seen.agreed += bool(its_failure is None and failure is None and _same(choice, other))
            due = time.monotonic() - self._flushed >= self._flush_s
        if due:
            self.flush()
        return Decision(choice, arm, failure, state.epoch)

    def observe(self, decision: Decision, cost: float) -> None:
        """Report what a decision cost.

        Costs of the same unit resemble each other, and the interval takes them for independent: report one number per
        unit, such as the mean of a while.

        Args:
            decision: What :meth:`decide` returned; one of an earlier stage does not count any more.
            cost: Lower is better.
        """
        with self._lock:
            if decision.arm is not None and decision.epoch == self._epoch:
                side = self._seen.champion if decision.arm == CHAMPION else self._seen.challenger
                side.costs.add(float(cost))

    def flush(self) -> None:
        """Add what was seen to the state now. Problems with the file are logged: decisions go on."""
        with self._lock:
            seen, epoch = self._seen, self._epoch
            self._seen, self._flushed = Evidence(), time.monotonic()
        if not (
            seen.champion.decisions or seen.challenger.decisions or seen.champion.costs.n or seen.challenger.costs.n
        ):
            return
        try:
            take_in(self._file, seen, epoch)
        except UserError as error:
            logger.warning("%s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush before the application ends."""
        self.flush()

    def _ask(self, arm: Arm, features: Mapping[str, Any]) -> tuple[Any, str | None, float]:
        """A model's choice or, where it fails, the rule's; why it failed; and how long that took."""
        policy = self._policies[arm]
        begun = time.perf_counter_ns()
        choice, failure = None, None
        if policy is None:
            choice = self._rule(features)
        else:
            try:
                choice = policy(features) if self._limit is None else self._limit.call(policy, features)
                if choice is None or (self._admissible is not None and not self._admissible(choice, features)):
                    failure = "inadmissible"
            except Exception as error:  # whatever a model does, the application goes on
                failure = "timeout" if isinstance(error, TimeoutError) else type(error).__name__
            if failure is not None:
                choice = self._rule(features)
        return choice, failure, (time.perf_counter_ns() - begun) / 1000


def _same(first: Any, second: Any) -> bool:
    with contextlib.suppress(Exception):  # arrays, or choices that cannot be compared
        return bool(first == second)
    return False
