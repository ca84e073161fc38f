"""The update of tabular Q-learning, compiled; importing it needs numba."""

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def sweep(
    values: Any, visits: Any, states: Any, actions: Any, rewards: Any, following: Any, gamma: float, rate: float
) -> None:
    """Go through logged steps once, in their order.

    Args:
        values: float64 (states, actions): changed in place.
        visits: int64 (states, actions): steps so far; changed in place.
        states: int64 (steps,).
        actions: int64 (steps,).
        rewards: float64 (steps,).
        following: int64 (steps,): the state after it; -1 where the log ends.
        gamma: Discount.
        rate: Learning rate; 0: one over the number of visits, the mean.
    """
    for step in range(len(states)):
        state, action = states[step], actions[step]
        visits[state, action] += 1
        ahead = 0.0
        if following[step] >= 0 and gamma > 0:
            ahead = -np.inf
            for other in range(values.shape[1]):
                if visits[following[step], other] > 0:
                    ahead = max(ahead, values[following[step], other])
            if ahead == -np.inf:
                ahead = 0.0
        share = rate if rate > 0 else 1.0 / visits[state, action]
        values[state, action] += share * (rewards[step] + gamma * ahead - values[state, action])
