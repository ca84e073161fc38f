"""Compiled hash tables of bounded size: what followed a context, most recent first; importing it needs numba.

A table has ``2**bits`` slots in sets of four. A slot holds a context's key and up to ``S`` successors in the order in
which they were last seen, with counts. A full set gives up the slot that was used longest ago, so memory never grows.
"""

from typing import Any

import numpy as np

from augury.predictors.compiled_parts import inner

WAYS = 4
COUNT_LIMIT = 255
"""Counts of a slot are halved when one reaches it."""


@inner(error_model="numpy")
def mixed(value: Any) -> Any:
    """Scramble 64 bits (the finaliser of SplitMix64, Steele et al. 2014); never 0, which marks an empty slot."""
    h = np.uint64(value) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (h ^ (h >> np.uint64(31))) | np.uint64(1)


@inner(error_model="numpy")
def find(keys: Any, stamps: Any, key: Any, now: Any) -> int:
    """The slot of a key, marked as used now; -1 if there is none."""
    sets = np.uint64(keys.shape[0] // WAYS - 1)
    base = np.int64((key >> np.uint64(17)) & sets) * WAYS
    for way in range(base, base + WAYS):
        if keys[way] == key:
            stamps[way] = now
            return way
    return -1


@inner(error_model="numpy")
def claim(keys: Any, stamps: Any, counts: Any, key: Any, now: Any) -> Any:
    """A slot for a key that has none: an empty one of its set, or the one used longest ago."""
    sets = np.uint64(keys.shape[0] // WAYS - 1)
    base = np.int64((key >> np.uint64(17)) & sets) * WAYS
    chosen: Any = base
    for way in range(base, base + WAYS):
        if keys[way] == np.uint64(0):
            chosen = way
            break
        if stamps[way] < stamps[chosen]:
            chosen = way
    keys[chosen] = key
    stamps[chosen] = now
    counts[chosen, :] = 0
    return chosen


@inner(error_model="numpy")
def count(successors: Any, counts: Any, slot: int, block: Any) -> None:
    """Count a successor and put it first; a full slot drops the last or the last but one, whichever is rarer."""
    size = counts.shape[1]
    place = -1
    for i in range(size):
        if counts[slot, i] == 0:
            break
        if successors[slot, i] == block:
            place = i
            break
    number = 1
    if place < 0:
        place = size - 1
        for i in range(size):
            if counts[slot, i] == 0:
                place = i
                break
        else:
            if counts[slot, size - 2] < counts[slot, size - 1]:
                place = size - 2
    else:
        number = counts[slot, place] + 1
        if number >= COUNT_LIMIT:
            number >>= 1
            for i in range(size):
                if counts[slot, i] > 1:
                    counts[slot, i] >>= 1
    for i in range(place, 0, -1):
        successors[slot, i] = successors[slot, i - 1]
        counts[slot, i] = counts[slot, i - 1]
    successors[slot, 0] = block
    counts[slot, 0] = number


@inner(error_model="numpy")
def learn(keys: Any, stamps: Any, successors: Any, counts: Any, key: Any, block: Any, now: Any) -> None:
    """Count what followed a context."""
    slot = find(keys, stamps, key, now)
    if slot < 0:
        slot = claim(keys, stamps, counts, key, now)
    count(successors, counts, slot, block)


@inner(error_model="numpy")
def context(order: int, first: Any, second: Any, third: Any) -> Any:
    """Key of the context of the last ``order + 1`` words."""
    h = mixed(first)
    if order > 0:
        h = mixed(np.int64(h ^ (np.uint64(second) * np.uint64(0x9E3779B97F4A7C15))))
    if order > 1:
        h = mixed(np.int64(h ^ (np.uint64(third) * np.uint64(0xC2B2AE3D27D4EB4F))))
    return h
