"""What the online mixture of experts knows: arrays of fixed size, and what never changes during a run."""

from typing import Any, NamedTuple

import numpy as np

PPM_1, PPM_2, PPM_3, SEQUENTIAL, DELTA, ASSOCIATION, RECENCY, EXTERNAL = range(8)
EXPERT_NAMES = ("ppm_1", "ppm_2", "ppm_3", "sequential", "delta", "association", "recency", "gru")
EXPERTS = len(EXPERT_NAMES)
RANKED = (*EXPERT_NAMES, "mixture", "markov_1", "ppm_3_back_off")
"""Whose ranks are counted: each expert, the mixture, and two plain rules that only count."""
BUCKETS = 256
ABSENT = 240
"""First bucket of "the expert proposes others"."""
CANDIDATES = 64
"""Most candidates for the next access; with ten proposals of each expert there is room for more than there ever are."""
TOP = 10
AHEAD = 4
"""Blocks of a stream that are candidates for the next access."""
WEIGHT_SETS = 16
ISSUES = 24
"""Most blocks that are proposed for prefetching after one access."""
SOURCES = 64
"""Buckets of proposals to prefetch: where they come from, how deep, how likely."""
SUCCESSORS, NEAR_SUCCESSORS = 6, 8
STREAMS = 16
HISTORY = 16
UNKNOWN = -(2**62)
"""Stands in contexts for every block outside the vocabulary."""
FIRST_RATE, FIRST_WEIGHT = 0.02, 0.3

ACCESSES, LARGEST, NEW, NEXT_LARGEST, KNOWN, OLDEST, NEWEST, FORGOT, OUTSIDE = range(9)
"""Places in ``State.counters``."""


class Rules(NamedTuple):
    """What does not change during a run."""

    ordered: int
    """1: neighbouring ids are neighbours; 0: they are not; -1: find out while running."""
    lookahead: int
    window: int
    rate: float
    slowest: float
    enabled: Any
    """Which experts may propose, shape ``(EXPERTS,)``, 0 or 1."""
    vocabulary: int
    forget: int
    """1: a new id takes the place of the one seen longest ago; 0: it stays unknown."""


class State(NamedTuple):
    """All that is learned. The first axis is that of PPM's orders, sessions or experts, where there is one."""

    ppm_keys: Any
    ppm_stamps: Any
    ppm_successors: Any
    ppm_counts: Any
    delta_keys: Any
    delta_stamps: Any
    delta_successors: Any
    delta_counts: Any
    near_keys: Any
    near_stamps: Any
    near_successors: Any
    near_counts: Any
    history: Any
    """Words of a session, the last first; ``UNKNOWN`` for blocks outside the vocabulary."""
    trail: Any
    """The last blocks themselves, whether known or not."""
    lengths: Any
    streams: Any
    """Last block, stride, run, last use of each stream; shape ``(4, STREAMS)``."""
    recent: Any
    shown: Any
    recency_hit: Any
    bucket_rate: Any
    bucket_seen: Any
    weights: Any
    """Per set: a weight per expert, the bias, how often the set was used."""
    candidates: Any
    sizes: Any
    buckets: Any
    absent: Any
    chances: Any
    sets: Any
    known_keys: Any
    known_next: Any
    known_order: Any
    known_heads: Any
    counters: Any


def new_state(contexts: int, vocabulary: int, sessions: int) -> State:
    """An empty state.

    Args:
        contexts: Contexts of each order that are remembered; rounded up to a power of two.
        vocabulary: Blocks that are remembered.
        sessions: Sequences that are told apart.

    Returns:
        The state; :func:`table_bytes` says what it takes.
    """
    places, near, deltas = power_of_two(contexts), power_of_two(contexts // 2), power_of_two(contexts // 4)

    def table(*shape: int, successors: int) -> tuple[Any, Any, Any, Any]:
        return (
            np.zeros(shape, np.uint64),
            np.zeros(shape, np.int64),
            np.zeros((*shape, successors), np.int64),
            np.zeros((*shape, successors), np.uint8),
        )

    weights = np.full((WEIGHT_SETS, EXPERTS + 2), FIRST_WEIGHT, np.float32)
    weights[:, EXPERTS:] = 0
    counters = np.zeros(OUTSIDE + 1, np.int64)
    counters[OLDEST] = counters[NEWEST] = -1
    return State(
        *table(3, places, successors=SUCCESSORS),
        *table(deltas, successors=SUCCESSORS),
        *table(near, successors=NEAR_SUCCESSORS),
        history=np.zeros((sessions, HISTORY), np.int64),
        trail=np.zeros((sessions, 3), np.int64),
        lengths=np.zeros(sessions, np.int64),
        streams=np.zeros((4, STREAMS), np.int64),
        recent=np.zeros((sessions, TOP), np.int64),
        shown=np.zeros(sessions, np.int64),
        recency_hit=np.zeros(sessions, np.int64),
        bucket_rate=np.full((EXPERTS, BUCKETS), FIRST_RATE, np.float32),
        bucket_seen=np.zeros((EXPERTS, BUCKETS), np.float32),
        weights=weights,
        candidates=np.zeros((sessions, CANDIDATES), np.int64),
        sizes=np.zeros(sessions, np.int64),
        buckets=np.zeros((sessions, CANDIDATES, EXPERTS), np.int16),
        absent=np.zeros((sessions, EXPERTS), np.int16),
        chances=np.zeros((sessions, CANDIDATES), np.float32),
        sets=np.zeros(sessions, np.int64),
        known_keys=np.zeros(vocabulary, np.int64),
        known_next=np.zeros(vocabulary, np.int32),
        known_order=np.zeros((2, vocabulary), np.int32),
        known_heads=np.full(power_of_two(vocabulary), -1, np.int32),
        counters=counters,
    )


def table_bytes(state: NamedTuple) -> int:
    """Memory of all arrays of a state in bytes."""
    return sum(array.nbytes for array in state)


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number, and at least 4."""
    return 1 << max(int(number) - 1, 3).bit_length()
