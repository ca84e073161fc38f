"""Caches, ghosts and the state of their duel: arrays of fixed size, and what never changes during a run."""

from typing import Any, NamedTuple

import numpy as np

from augury.predictors.access_state import SOURCES, power_of_two

FREE, READ, WAITING, PENDING = range(4)
"""States of a place: empty, holds a block that was read, holds one prefetched and not yet read, prefetch under way."""
HEAD, TAIL, COUNT, UNUSED, FIRST, LAST = range(6)
MISSES, USED, WASTED, LATE, ISSUED = range(5)
TOTALS = ("misses", "used", "wasted", "late", "issued")
ALL_BLOCKS = 65_536
MOST_UNDER_WAY = 256
FIRST_RANDOM = 12_345


class Caches(NamedTuple):
    """Some caches of one size; first axis: cache, second: place (or hash head, or waiting prefetch)."""

    keys: Any
    chain: Any
    previous: Any
    following: Any
    kinds: Any
    sources: Any
    stamps: Any
    heads: Any
    marks: Any
    """``HEAD`` (most recently read), ``TAIL``, ``COUNT`` of blocks, first ``UNUSED`` place, ends of the queue."""
    queue: Any
    """Prefetches under way: place, stamp, when due; third axis."""
    totals: Any
    """``MISSES``, ``USED``, ``WASTED``, ``LATE``, ``ISSUED`` so far."""


class Duel(NamedTuple):
    """What the ghosts have shown."""

    useful: Any
    """Per source: decayed useful prefetches, and all that ended."""
    better: Any
    worse: Any
    wasted: Any
    state: Any
    """0: policy in force (0: none); 1: decayed misses of the first ghost; 2: accesses; 3: random state."""


class DuelRules(NamedTuple):
    """What does not change."""

    capacity: int
    ghost_capacity: int
    sampled: int
    """Of 65,536 blocks, how many the ghosts see."""
    delay: int
    thresholds: Any
    budget: int
    keep: float
    margin: float
    certainty: float
    price: float


def new_caches(number: int, capacity: int, under_way: int) -> Caches:
    """Empty caches.

    Args:
        number: How many.
        capacity: Most blocks that each holds.
        under_way: Most prefetches that are under way at once.
    """
    places = capacity + under_way + 1
    chain = np.empty((number, places), np.int32)
    chain[:] = np.arange(1, places + 1)
    chain[:, -1] = -1
    marks = np.zeros((number, LAST + 1), np.int64)
    marks[:, [HEAD, TAIL]] = -1
    return Caches(
        keys=np.zeros((number, places), np.int64),
        chain=chain,
        previous=np.full((number, places), -1, np.int32),
        following=np.full((number, places), -1, np.int32),
        kinds=np.zeros((number, places), np.uint8),
        sources=np.zeros((number, places), np.uint8),
        stamps=np.zeros((number, places), np.int64),
        heads=np.full((number, power_of_two(2 * places)), -1, np.int32),
        marks=marks,
        queue=np.zeros((number, under_way, 3), np.int64),
        totals=np.zeros((number, len(TOTALS)), np.int64),
    )


def new_duel(policies: int) -> Duel:
    """A duel in which nothing has been shown yet.

    Args:
        policies: How many there are beside the one that prefetches nothing.
    """
    return Duel(
        useful=np.zeros((SOURCES, 2)),
        better=np.zeros(policies + 1),
        worse=np.zeros(policies + 1),
        wasted=np.zeros(policies + 1),
        state=np.array([0.0, 0.0, 0.0, FIRST_RANDOM]),
    )
