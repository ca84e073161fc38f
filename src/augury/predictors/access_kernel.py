"""Compiled: the online mixture takes one access after another; importing it needs numba."""

from typing import Any

import numba
import numpy as np

from augury.predictors.access_experts import follow_stream, level, to_front
from augury.predictors.access_mixture import mix, propose, propose_slot, score
from augury.predictors.access_proposals import list_issues
from augury.predictors.access_state import (
    ABSENT,
    ACCESSES,
    AHEAD,
    ASSOCIATION,
    DELTA,
    EXPERTS,
    EXTERNAL,
    FORGOT,
    LARGEST,
    NEW,
    NEXT_LARGEST,
    RECENCY,
    SEQUENTIAL,
    TOP,
    UNKNOWN,
)
from augury.predictors.access_tables import claim, context, count, find, learn, mixed
from augury.predictors.access_vocabulary import is_known, know
from augury.predictors.compiled_parts import inner
from augury.predictors.compiled_sources import digest

FEWEST_NEW = 64
"""New ids after which it is judged whether ids are numbered by first appearance."""
BY_APPEARANCE = 0.9
"""Share of new ids that are the largest so far plus one, from which on they are."""


@inner(error_model="numpy")
def _counted_ranks(state: Any, slots: Any, block: Any, ranks: Any) -> None:
    """Ranks by counts alone: of the first order, and of the longest context with back-off."""
    shift = 0
    for order in range(2, -1, -1):
        slot = slots[order]
        if slot < 0:
            continue
        counts, successors = state.ppm_counts[order, slot], state.ppm_successors[order, slot]
        place, number = -1, 0
        for i in range(counts.shape[0]):
            if counts[i] == 0:
                break
            number += 1
            if successors[i] == block:
                place = i
        if place >= 0:
            rank = 1
            for i in range(number):
                if counts[i] > counts[place] or (counts[i] == counts[place] and i < place):
                    rank += 1
            if order == 0:
                ranks[EXPERTS + 1] = rank
            if ranks[EXPERTS + 2] == 255 and rank + shift <= TOP:
                ranks[EXPERTS + 2] = rank + shift
        shift += number


@inner(error_model="numpy")
def _delta_key(trail: Any) -> Any:
    """Key of the last two distances."""
    return mixed(np.int64(mixed(trail[0] - trail[1]) ^ mixed(trail[1] - trail[2] + 77)))


@inner(error_model="numpy")
def _learn(state: Any, rules: Any, session: int, block: Any, known: bool, slots: Any, keys: Any, now: Any) -> None:
    """Note what followed the contexts that ended before this access."""
    history, length = state.history[session], state.lengths[session]
    if known:
        for order in range(3):
            if length > order and rules.enabled[order]:
                if slots[order] < 0:
                    slots[order] = claim(
                        state.ppm_keys[order], state.ppm_stamps[order], state.ppm_counts[order], keys[order], now
                    )
                count(state.ppm_successors[order], state.ppm_counts[order], slots[order], block)
        if rules.enabled[ASSOCIATION]:
            for back in range(1, min(rules.window, length)):
                if history[back] != block and history[back] != UNKNOWN:
                    learn(
                        state.near_keys, state.near_stamps, state.near_successors, state.near_counts,
                        mixed(history[back]), block, now,
                    )  # fmt: skip
    trail = state.trail[session]
    if rules.enabled[DELTA] and length > 2:
        learn(
            state.delta_keys, state.delta_stamps, state.delta_successors, state.delta_counts,
            _delta_key(trail), block - trail[0], now,
        )  # fmt: skip
    hit = 0
    for i in range(state.shown[session]):
        if state.recent[session, i] == block:
            hit = 1 + (i > 0)
            break
    state.recency_hit[session] = hit
    state.shown[session] = to_front(state.recent[session], state.shown[session], block)
    for i in range(min(length, history.shape[0] - 1), 0, -1):
        history[i] = history[i - 1]
    history[0] = block if known else UNKNOWN
    trail[2], trail[1], trail[0] = trail[1], trail[0], block
    state.lengths[session] = min(length + 1, history.shape[0])


@inner(error_model="numpy")
def _propose_all(
    state: Any, rules: Any, session: int, block: Any, span: Any, stream: int, ordered: bool, external: Any
) -> int:
    """Let all experts propose; returns the length of the longest context that is known."""
    candidates, buckets, absent = state.candidates[session], state.buckets[session], state.absent[session]
    enabled, history, length, now = rules.enabled, state.history[session], state.lengths[session], state.counters[0]
    size, longest = 0, 0
    absent[:] = ABSENT
    for order in range(3):
        if length > order and enabled[order]:
            key = context(order, history[0], history[1], history[2])
            slot = find(state.ppm_keys[order], state.ppm_stamps[order], key, now)
            if slot >= 0:
                longest = order + 1
                size = propose_slot(
                    candidates, buckets, absent, size, order,
                    state.ppm_successors[order], state.ppm_counts[order], slot, 0, 8,
                )  # fmt: skip
    if enabled[ASSOCIATION] and history[0] != UNKNOWN:
        slot = find(state.near_keys, state.near_stamps, mixed(block), now)
        if slot >= 0:
            size = propose_slot(
                candidates, buckets, absent, size, ASSOCIATION, state.near_successors, state.near_counts, slot, 0, 8
            )
    if enabled[RECENCY]:
        for i in range(state.shown[session]):
            bucket = i + TOP * state.recency_hit[session]
            size = propose(candidates, buckets, size, RECENCY, state.recent[session, i], bucket)
    if enabled[EXTERNAL]:
        for i in range(min(external.shape[0], TOP)):
            size = propose(candidates, buckets, size, EXTERNAL, external[i], i)
    if state.counters[FORGOT]:
        size = _keep_known(state, candidates, buckets, size)
    if ordered and enabled[SEQUENTIAL]:
        run = level(state.streams[2, stream])
        for j in range(1, AHEAD + 1):
            bucket = (j - 1) * 8 + run + (32 if span > 1 else 0)
            size = propose(candidates, buckets, size, SEQUENTIAL, block + j * state.streams[1, stream], bucket)
        absent[SEQUENTIAL] = ABSENT + run
    if ordered and enabled[DELTA] and length > 2:
        slot = find(state.delta_keys, state.delta_stamps, _delta_key(state.trail[session]), now)
        if slot >= 0:
            size = propose_slot(
                candidates, buckets, absent, size, DELTA, state.delta_successors, state.delta_counts, slot, block, 4
            )
    state.sizes[session] = size
    return longest


@inner(error_model="numpy")
def _keep_known(state: Any, candidates: Any, buckets: Any, size: int) -> int:
    """Drop candidates that the vocabulary has forgotten since."""
    kept = 0
    for i in range(size):
        if is_known(state, candidates[i]):
            candidates[kept] = candidates[i]
            for e in range(EXPERTS):
                buckets[kept, e] = buckets[i, e]
            kept += 1
    return kept


@inner(error_model="numpy")
def observe(
    state: Any,
    rules: Any,
    session: int,
    block: Any,
    span: Any,
    external: Any,
    ranks: Any,
    issued: Any,
    sources: Any,
) -> int:
    """Take one access.

    Args:
        state: Changed in place.
        rules: See :class:`~augury.predictors.access_state.Rules`.
        session: Number of the session, whose accesses form a sequence.
        block: What was read.
        span: How many blocks the request covers; 1 if unknown.
        external: Proposals of a model outside, the best first, shape ``(k,)``; they count for the access after this.
        ranks: Filled with the ranks that the block had; shape ``(len(RANKED),)``; 255: not among the first ten.
        issued: Filled with what could be prefetched now; shape ``(ISSUES,)``.
        sources: Filled with the bucket of each.

    Returns:
        How many blocks could be prefetched.
    """
    counters, history = state.counters, state.history[session]
    counters[ACCESSES] += 1
    now = counters[ACCESSES]
    score(state, rules, session, block, ranks)
    slots, keys = np.empty(3, np.int64), np.empty(3, np.uint64)
    for order in range(3):
        slots[order] = -1
        if state.lengths[session] > order:
            keys[order] = context(order, history[0], history[1], history[2])
            slots[order] = find(state.ppm_keys[order], state.ppm_stamps[order], keys[order], now)
    _counted_ranks(state, slots, block, ranks)
    known = know(state, rules, block)
    if now == 1 or block > counters[LARGEST]:
        counters[LARGEST] = block
    if rules.ordered >= 0:
        ordered = rules.ordered == 1
    else:
        ordered = counters[NEW] >= FEWEST_NEW and counters[NEXT_LARGEST] < BY_APPEARANCE * counters[NEW]
    _learn(state, rules, session, block, known, slots, keys, now)
    stream = follow_stream(state.streams, block, span, now)
    longest = _propose_all(state, rules, session, block, span, stream, ordered, external)
    run = state.streams[2, stream] if ordered and rules.enabled[SEQUENTIAL] else 0
    chosen = longest + 4 * (run > 0) + 8 * (state.recency_hit[session] > 0)
    state.sets[session] = chosen
    best = mix(
        state.buckets[session], state.absent[session], state.bucket_rate, state.weights[chosen], rules.enabled,
        state.sizes[session], state.chances[session],
    )  # fmt: skip
    return list_issues(state, rules, session, best, stream, run, issued, sources)


def _entry(version: int) -> Any:
    """The function that is called from outside, compiled once for each state of these modules."""

    @numba.njit(cache=True, nogil=True, error_model="numpy")
    def observe_all(
        state: Any,
        rules: Any,
        sessions: Any,
        blocks: Any,
        spans: Any,
        external: Any,
        ranks: Any,
        issued: Any,
        sources: Any,
        numbers: Any,
    ) -> int:
        """Take many accesses; see :func:`observe`, each argument with a leading axis of accesses."""
        for i in range(blocks.shape[0]):
            numbers[i] = observe(
                state, rules, sessions[i], blocks[i], spans[i], external[i], ranks[i], issued[i], sources[i]
            )
        return version

    return observe_all


observe_all = _entry(
    digest("access_experts", "access_kernel", "access_mixture", "access_proposals", "access_state", "access_tables",
           "access_vocabulary")
)  # fmt: skip
