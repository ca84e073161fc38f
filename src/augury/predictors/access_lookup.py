"""What the online mixture would say next, read off its tables without changing them; no compiled code."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from augury.predictors.access_state import (
    ABSENT,
    AHEAD,
    ASSOCIATION,
    EXPERTS,
    RECENCY,
    SEQUENTIAL,
    TOP,
    Rules,
    State,
)

_ALL = 2**64 - 1
WAYS = 4


def propose_next(state: State, rules: Rules, words: Sequence[int], k: int) -> list[tuple[int, float]]:
    """The likeliest next blocks after some accesses.

    The experts of contexts, associations, streams and recency are asked; what a running mixture also knows of the
    moment (the streams of others, whether the last access was a repetition) is not there.

    Args:
        state: What was learned; stays as it is.
        rules: Of the same mixture.
        words: The last accesses, the last first; at least one.
        k: How many.

    Returns:
        Blocks and their probabilities, the best first; fewer than ``k`` where nothing is known.
    """
    proposals: dict[int, dict[int, int]] = {}
    absent = [ABSENT] * EXPERTS
    longest = 0
    for order in range(min(3, len(words))):
        if rules.enabled[order]:
            table = state.ppm_keys[order], state.ppm_successors[order], state.ppm_counts[order]
            if _propose_slot(proposals, absent, order, table, context(order, words)):
                longest = order + 1
    if rules.enabled[ASSOCIATION]:
        table = state.near_keys, state.near_successors, state.near_counts
        _propose_slot(proposals, absent, ASSOCIATION, table, mixed(words[0]))
    if rules.enabled[RECENCY]:
        for place, block in enumerate(dict.fromkeys(words[:TOP])):
            proposals.setdefault(block, {}).setdefault(RECENCY, place)
    run = 0
    if rules.ordered != 0 and rules.enabled[SEQUENTIAL] and len(words) > 1:
        stride = words[0] - words[1]
        run = int(len(words) > 2 and words[1] - words[2] == stride and stride != 0)
        for ahead in range(1, AHEAD + 1 if run else 1):
            proposals.setdefault(words[0] + ahead * stride, {}).setdefault(SEQUENTIAL, (ahead - 1) * 8 + run)
        absent[SEQUENTIAL] = ABSENT + run
    weights = state.weights[longest + 4 * run]
    found = []
    for block, buckets in proposals.items():
        total = float(weights[EXPERTS])
        for expert in np.flatnonzero(rules.enabled):
            rate = float(state.bucket_rate[expert, buckets.get(int(expert), absent[expert])])
            rate = min(max(rate, 1e-4), 1 - 1e-4)
            total += float(weights[expert]) * float(np.log(rate / (1 - rate)))
        found.append((block, 1 / (1 + float(np.exp(-np.clip(total, -30, 30))))))
    found.sort(key=lambda pair: -pair[1])
    return found[:k]


def _propose_slot(
    proposals: dict[int, dict[int, int]], absent: list[int], expert: int, table: tuple[Any, Any, Any], key: int
) -> bool:
    keys, successors, counts = table
    sets = len(keys) // WAYS - 1
    base = ((key >> 17) & sets) * WAYS
    found = np.flatnonzero(keys[base : base + WAYS] == np.uint64(key))
    if not len(found):
        return False
    slot = base + int(found[0])
    known = [int(number) for number in counts[slot] if number]
    total = sum(known)
    seen = min(level(total - 1), 5)
    for rank, number in enumerate(known):
        bucket = (rank * 6 + seen) * 5 + number * 4 // total
        proposals.setdefault(int(successors[slot, rank]), {}).setdefault(expert, bucket)
    absent[expert] = ABSENT + (1 + seen if len(known) == 1 else 8 + seen)
    return True


def mixed(value: int) -> int:
    """See :func:`augury.predictors.access_tables.mixed`."""
    h = (value + 0x9E3779B97F4A7C15) & _ALL
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _ALL
    return (h ^ (h >> 31)) | 1


def context(order: int, words: Sequence[int]) -> int:
    """See :func:`augury.predictors.access_tables.context`."""
    h = mixed(words[0])
    if order > 0:
        h = mixed(h ^ ((words[1] * 0x9E3779B97F4A7C15) & _ALL))
    if order > 1:
        h = mixed(h ^ ((words[2] * 0xC2B2AE3D27D4EB4F) & _ALL))
    return h


def level(value: int) -> int:
    """See :func:`augury.predictors.access_experts.level`."""
    return min((value + 1).bit_length() - 1, 7)
