"""The rules that ``peer_selection`` has to beat, replayed on the same requests by the same rules of the game.

``ewma_greedy`` is the strong plain one: the smallest exponentially weighted mean of a pair's log latencies, a pair that
was never asked counting as its client's mean. ``last_rtt`` takes the smallest last answer. The bandits are those of the
literature: Beta-Thompson per pair [1]_ (a success is an answer faster than the client's median so far), LinUCB [2]_ and
linear Thompson sampling [3]_ over seven shared features, epsilon-greedy over the means.

.. [1] O. Chapelle and L. Li, "An empirical evaluation of Thompson sampling", NeurIPS 2011.
.. [2] L. Li et al., "A contextual-bandit approach to personalized news article recommendation", WWW 2010.
.. [3] S. Agrawal and N. Goyal, "Thompson sampling for contextual bandits with linear payoffs", ICML 2013.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.predictors.peer_requests import Requests

Rule = Literal["random", "last_rtt", "ewma_greedy", "epsilon_greedy", "beta_thompson", "lin_ucb", "lin_thompson"]
RULES: tuple[str, ...] = get_args(Rule)


class RuleSettings(Parameters):
    """Settings of the rules."""

    rate: float = Field(default=0.3, gt=0, le=1, description="weight of the newest answer in exponential means")
    epsilon: float = Field(default=0.1, ge=0, le=1, description="share of random choices of epsilon_greedy")
    exploration: float = Field(default=0.3, ge=0, description="alpha of lin_ucb, scale of lin_thompson")
    ridge: float = Field(default=1.0, gt=0, description="of the linear ones")


def replay_rule(
    rule: str, requests: Requests, settings: RuleSettings, seed: int, probes: int = 1
) -> npt.NDArray[np.int64]:
    """Decide request after request by a rule that begins with nothing and learns from its own answers.

    Args:
        rule: One of :data:`RULES`.
        requests: Requests; a request whose log says what was chosen is learned from by that, as nothing else is known.
        settings: Settings.
        seed: Of the draws.
        probes: How many of the best are measured before one is chosen.

    Returns:
        The chosen row of each request, shape ``(r,)``.

    Raises:
        UserError: There is no such rule.
    """
    from augury.predictors.peer_rules_kernel import replay_rules

    if rule not in RULES:
        raise UserError(f"There is no rule '{rule}' for peers. {near_matches(rule, RULES)}")
    chosen = np.empty(len(requests.client), dtype=np.int64)
    replay_rules(
        RULES.index(rule),
        len(requests.clients),
        len(requests.peers),
        requests.start,
        requests.client,
        requests.peer,
        requests.latency,
        requests.ok,
        learned_rows(requests),
        settings.rate,
        settings.epsilon,
        settings.exploration,
        settings.ridge,
        probes,
        seed,
        chosen,
    )
    return chosen


def learned_rows(requests: Requests) -> npt.NDArray[np.int64]:
    """Rows whose answers are learned from: the logged ones where not all outcomes are known, else one's own (-1)."""
    if requests.measured:
        return np.full(len(requests.client), -1, dtype=np.int64)
    return requests.logged
