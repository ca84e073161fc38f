"""Compiled: what experts propose, what that was worth so far, and how it is mixed; importing it needs numba.

A proposal falls into a bucket (its rank, how often the context was seen, with what share). The bucket's hit rate so far
is what the proposal is worth, and a logistic regression learned online weighs the experts' opinions: the mixing of PAQ
(Mahoney 2005), over candidates instead of bits.
"""

from typing import Any

import numpy as np

from augury.predictors.access_experts import level
from augury.predictors.access_state import ABSENT, CANDIDATES, EXPERTS, TOP
from augury.predictors.compiled_parts import inner

LEVELS = 4096
_p = (np.arange(LEVELS) + 0.5) / LEVELS
LOGITS = np.log(_p / (1 - _p)).astype(np.float32)


@inner(error_model="numpy")
def _logit(p: Any) -> Any:
    return LOGITS[int(p * np.float32(LEVELS - 1))]


@inner(error_model="numpy")
def propose(candidates: Any, buckets: Any, size: int, expert: int, block: Any, bucket: int) -> int:
    """Note a proposal; returns how many candidates there are now."""
    for i in range(size):
        if candidates[i] == block:
            if buckets[i, expert] < 0:
                buckets[i, expert] = bucket
            return size
    if size == CANDIDATES:
        return size
    candidates[size] = block
    for e in range(EXPERTS):
        buckets[size, e] = -1
    buckets[size, expert] = bucket
    return size + 1


@inner(error_model="numpy")
def propose_slot(
    candidates: Any,
    buckets: Any,
    absent: Any,
    size: int,
    expert: int,
    successors: Any,
    counts: Any,
    slot: int,
    offset: Any,
    most: int,
) -> int:
    """Propose a slot's successors; bucket: rank by recency, sightings of the context, share of this one."""
    total, number = 0, 0
    for i in range(counts.shape[1]):
        if counts[slot, i] == 0:
            break
        total += counts[slot, i]
        number += 1
    seen = min(level(total - 1), 5)
    for i in range(min(number, most)):
        share = counts[slot, i] * 4 // total
        bucket = (i * 6 + seen) * 5 + share
        size = propose(candidates, buckets, size, expert, successors[slot, i] + offset, bucket)
    absent[expert] = ABSENT + (1 + seen if number == 1 else 8 + seen)
    return size


@inner(error_model="numpy")
def _rank(chances: Any, buckets: Any, size: int, place: int) -> int:
    """Place of a candidate among all, from 1; 255 if it is not one of the first ten."""
    rank = 1
    for i in range(size):
        if chances[i] > chances[place] or (chances[i] == chances[place] and i < place):
            rank += 1
    return rank if rank <= TOP else 255


@inner(error_model="numpy")
def score(state: Any, rules: Any, session: int, block: Any, ranks: Any) -> None:
    """Compare the access with what was proposed, and learn from it.

    ``ranks``: the block's rank by each expert, by the mixture, by counts alone (order 1; back-off); 255: not there.
    """
    size = state.sizes[session]
    ranks[:] = 255
    if size == 0:
        return
    candidates, buckets, chances = state.candidates[session], state.buckets[session], state.chances[session]
    weights = state.weights[state.sets[session]]
    place = -1
    for i in range(size):
        if candidates[i] == block:
            place = i
            break
    if place >= 0:
        ranks[EXPERTS] = _rank(chances, buckets, size, place)
        for e in range(EXPERTS):
            own = buckets[place, e]
            if own < 0:
                continue
            rank = 1
            for i in range(size):
                other = buckets[i, e]
                if other >= 0 and i != place and state.bucket_rate[e, other] > state.bucket_rate[e, own]:
                    rank += 1
            ranks[e] = rank if rank <= TOP else 255
    # The regression first: with the rates that the prediction was made of
    weights_seen = weights[EXPERTS + 1] + np.float32(1)
    weights[EXPERTS + 1] = weights_seen
    rate = np.float32(max(rules.slowest, rules.rate / np.sqrt(weights_seen)))
    for i in range(size):
        error = (np.float32(1) if i == place else np.float32(0)) - chances[i]
        if abs(error) < np.float32(0.002):
            continue
        step = rate * error
        for e in range(EXPERTS):
            if rules.enabled[e] == 0:
                continue
            bucket = buckets[i, e]
            if bucket < 0:
                bucket = state.absent[session, e]
            weights[e] += step * _logit(state.bucket_rate[e, bucket])
        weights[EXPERTS] += step
    for e in range(EXPERTS):
        if rules.enabled[e] == 0:
            continue
        missing, hit = 0, False
        for i in range(size):
            bucket = buckets[i, e]
            if bucket < 0:
                missing += 1
                hit = hit or i == place
                continue
            seen = state.bucket_seen[e, bucket]
            target = np.float32(1) if i == place else np.float32(0)
            state.bucket_rate[e, bucket] += (target - state.bucket_rate[e, bucket]) / (seen + np.float32(1.5))
            if seen < np.float32(500):
                state.bucket_seen[e, bucket] = seen + np.float32(1)
        if missing:
            bucket = state.absent[session, e]
            seen = state.bucket_seen[e, bucket]
            share = (np.float32(1) if hit else np.float32(0)) / np.float32(missing)
            state.bucket_rate[e, bucket] += (share - state.bucket_rate[e, bucket]) / (seen + np.float32(1.5))
            if seen < np.float32(500):
                state.bucket_seen[e, bucket] = seen + np.float32(1)


@inner(error_model="numpy")
def mix(buckets: Any, absent: Any, rates: Any, weights: Any, enabled: Any, size: int, chances: Any) -> int:
    """Fill in the candidates' chances; returns the place of the likeliest."""
    missing = np.float32(weights[EXPERTS])
    own = np.empty(EXPERTS, np.float32)
    for e in range(EXPERTS):
        own[e] = weights[e] * _logit(rates[e, absent[e]]) if enabled[e] else np.float32(0)
        missing += own[e]
    best = 0
    for i in range(size):
        total = missing
        for e in range(EXPERTS):
            bucket = buckets[i, e]
            if bucket >= 0:
                total += weights[e] * _logit(rates[e, bucket]) - own[e]
        chances[i] = np.float32(1) / (np.float32(1) + np.exp(-total))
        if chances[i] > chances[best]:
            best = i
    return best
