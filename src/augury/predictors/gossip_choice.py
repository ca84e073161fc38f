"""From expected outcomes to an action: the cheapest that holds the floor; and how fast an action may change."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from augury.errors import UserError
from augury.predictors.gossip_states import ActionGrid, Codes, Floats, GossipCost
from augury.predictors.gossip_surface import Outcomes, monotone

MINUTE_S = 60.0


class Choice(NamedTuple):
    """Chosen actions, shape (states,), and what is expected of them."""

    action: Codes
    coverage: Floats
    coverage_lower: Floats
    messages: Floats
    p95_ms: Floats
    cost: Floats


def choose(outcomes: Outcomes, grid: ActionGrid, cost: GossipCost) -> Choice:
    """Take the cheapest action whose coverage holds the floor at its lower bound.

    Args:
        outcomes: What the surface expects, shape (states, actions).
        grid: The actions.
        cost: Floor and weights.

    Returns:
        The choice. Where no action holds the floor, it is the one whose lower bound is greatest; of equal ones the
        cheapest.
    """
    miss, upper = monotone(outcomes.miss, grid), monotone(outcomes.miss_upper, grid)
    expected = cost.of(1 - miss, outcomes.messages, outcomes.p95_ms)
    allowed = upper <= 1 - cost.floor
    least = upper.min(axis=1, keepdims=True)
    candidates = np.where(allowed.any(axis=1, keepdims=True), allowed, upper <= least * (1 + 1e-9))
    action = np.where(candidates, expected, np.inf).argmin(axis=1)
    taken = np.arange(len(action)), action
    return Choice(
        action,
        1 - miss[taken],
        1 - np.maximum(upper[taken], miss[taken]),
        outcomes.messages[taken],
        outcomes.p95_ms[taken],
        expected[taken],
    )


@dataclass
class StepLimiter:
    """Follows proposals in steps: within ``every_s`` seconds fanout and ttl move by ``most`` each at the most.

    A network that many peers tune at once must not swing. The clock is the caller's.
    """

    fanout: int = 6
    ttl: int = 10
    most: int = 1
    every_s: float = MINUTE_S
    _moved_at: float | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.most < 1 or self.every_s < 0:
            raise UserError(f"Steps must be at least 1 and their time at least 0, not {self.most} and {self.every_s}.")

    def follow(self, fanout: int, ttl: int, now_s: float) -> tuple[int, int]:
        """Move towards a proposal.

        Args:
            fanout: Proposed.
            ttl: Proposed.
            now_s: Time of any clock that does not run backwards.

        Returns:
            What is in force now.
        """
        if (fanout, ttl) == (self.fanout, self.ttl):
            return fanout, ttl
        if self._moved_at is not None and now_s - self._moved_at < self.every_s:
            return self.fanout, self.ttl
        self._moved_at = now_s
        self.fanout += int(np.clip(fanout - self.fanout, -self.most, self.most))
        self.ttl += int(np.clip(ttl - self.ttl, -self.most, self.most))
        return self.fanout, self.ttl
