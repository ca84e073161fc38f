"""Compiled: what could be prefetched after an access; importing it needs numba."""

from typing import Any

import numpy as np

from augury.predictors.access_experts import level
from augury.predictors.access_state import ACCESSES, ASSOCIATION, ISSUES
from augury.predictors.access_tables import context, find
from augury.predictors.compiled_parts import inner

LIKELIEST = 8
"""Candidates for the next access that may be prefetched."""


@inner(error_model="numpy")
def _chance_level(p: Any) -> int:
    """Of a probability: eight steps, finer where it is small."""
    if p < 0.02:
        return 0
    if p < 0.05:
        return 1
    if p < 0.1:
        return 2
    if p < 0.2:
        return 3
    if p < 0.3:
        return 4
    if p < 0.5:
        return 5
    return 6 if p < 0.8 else 7


@inner(error_model="numpy")
def _depth_level(depth: int) -> int:
    if depth <= 2:
        return 0
    if depth <= 4:
        return 1
    return 2 if depth <= 8 else 3


@inner(error_model="numpy")
def list_issues(
    state: Any, rules: Any, session: int, best: int, stream: int, run: int, issued: Any, sources: Any
) -> int:
    """List what could be prefetched: the likeliest next, what follows it if that comes true, the stream's next."""
    number, size = 0, state.sizes[session]
    if size == 0:
        return 0
    chances, candidates = state.chances[session], state.candidates[session]
    taken = np.zeros(size, np.bool_)
    for _ in range(LIKELIEST):
        top = -1
        for i in range(size):
            if not taken[i] and (top < 0 or chances[i] > chances[top]):
                top = i
        if top < 0 or chances[top] < 0.01:
            break
        taken[top] = True
        issued[number] = candidates[top]
        near = state.buckets[session, top, ASSOCIATION] >= 0
        sources[number] = _chance_level(chances[top]) + (8 if near else 0)
        number += 1
    # A chain of the likeliest, by the longest context that is known
    chance = chances[best]
    first, second, third = candidates[best], state.history[session, 0], state.history[session, 1]
    length = min(state.lengths[session] + 1, 3)
    for depth in range(2, rules.lookahead + 1):
        if chance < 0.05 or number >= ISSUES - 4:
            break
        top, rate = 0, np.float32(0)
        for order in range(length - 1, -1, -1):
            slot = find(
                state.ppm_keys[order], state.ppm_stamps[order], context(order, first, second, third),
                state.counters[ACCESSES],
            )  # fmt: skip
            if slot < 0:
                continue
            counts = state.ppm_counts[order, slot]
            total, options = 0, 0
            for i in range(counts.shape[0]):
                if counts[i] == 0:
                    break
                total += counts[i]
                options += 1
            seen = min(level(total - 1), 5)
            for i in range(options):
                worth = state.bucket_rate[order, (i * 6 + seen) * 5 + counts[i] * 4 // total]
                if worth > rate:
                    rate = worth
                    top = state.ppm_successors[order, slot, i]
            break
        if rate == 0:
            break
        chance *= rate
        issued[number] = top
        sources[number] = 16 + 8 * _depth_level(depth) + _chance_level(chance)
        number += 1
        first, second, third = top, first, second
    if run > 0:
        for ahead in range(1, rules.lookahead + 1):
            if number >= ISSUES:
                break
            issued[number] = state.trail[session, 0] + ahead * state.streams[1, stream]
            sources[number] = 48 + 4 * _depth_level(ahead) + min(level(run) - 1, 3)
            number += 1
    return number
