"""Compiled caches that prefetched blocks share with read ones, and the duel of policies on sampled copies; needs numba.

A policy issues the proposals whose source was useful often enough. Each policy runs in a ghost cache: it holds ids
only, of a sample of the blocks, at a size reduced alike. The real cache follows the policy whose ghost misses
demonstrably less than the ghost without prefetching; where none does, it prefetches nothing.
"""

from typing import Any

import numba
import numpy as np

from augury.predictors.access_tables import mixed
from augury.predictors.cache_state import (
    COUNT,
    FIRST,
    FREE,
    HEAD,
    ISSUED,
    LAST,
    LATE,
    MISSES,
    PENDING,
    READ,
    TAIL,
    UNUSED,
    USED,
    WAITING,
    WASTED,
)
from augury.predictors.compiled_parts import inner
from augury.predictors.compiled_sources import digest


@inner(error_model="numpy")
def _locate(keys: Any, chain: Any, heads: Any, block: Any) -> int:
    place = heads[np.int64((mixed(block) >> np.uint64(8)) & np.uint64(heads.shape[0] - 1))]
    while place >= 0:
        if keys[place] == block:
            return place
        place = chain[place]
    return -1


@inner(error_model="numpy")
def _detach(previous: Any, following: Any, marks: Any, place: int) -> None:
    before, after = previous[place], following[place]
    if before >= 0:
        following[before] = after
    else:
        marks[HEAD] = after
    if after >= 0:
        previous[after] = before
    else:
        marks[TAIL] = before
    marks[COUNT] -= 1


@inner(error_model="numpy")
def _attach(previous: Any, following: Any, marks: Any, place: int) -> None:
    previous[place], following[place] = -1, marks[HEAD]
    if marks[HEAD] >= 0:
        previous[marks[HEAD]] = place
    else:
        marks[TAIL] = place
    marks[HEAD] = place
    marks[COUNT] += 1


@inner(error_model="numpy")
def _forget(keys: Any, chain: Any, heads: Any, kinds: Any, marks: Any, place: int) -> None:
    head = np.int64((mixed(keys[place]) >> np.uint64(8)) & np.uint64(heads.shape[0] - 1))
    if heads[head] == place:
        heads[head] = chain[place]
    else:
        at = heads[head]
        while chain[at] != place:
            at = chain[at]
        chain[at] = chain[place]
    kinds[place] = FREE
    chain[place] = marks[UNUSED]
    marks[UNUSED] = place


@inner(error_model="numpy")
def _place(keys: Any, chain: Any, heads: Any, marks: Any, block: Any) -> int:
    """Take an empty place for a block; there always is one."""
    place = marks[UNUSED]
    marks[UNUSED] = chain[place]
    head = np.int64((mixed(block) >> np.uint64(8)) & np.uint64(heads.shape[0] - 1))
    keys[place] = block
    chain[place] = heads[head]
    heads[head] = place
    return place


@inner(error_model="numpy")
def _make_room(caches: Any, k: int, capacity: int) -> int:
    """Give up the block read longest ago if the cache is full; returns its source if it was never read, or -1."""
    marks = caches.marks[k]
    if marks[COUNT] < capacity:
        return -1
    place = marks[TAIL]
    wasted = -1
    if caches.kinds[k, place] == WAITING:
        wasted = caches.sources[k, place]
        caches.totals[k, WASTED] += 1
    _detach(caches.previous[k], caches.following[k], marks, place)
    _forget(caches.keys[k], caches.chain[k], caches.heads[k], caches.kinds[k], marks, place)
    return wasted


@inner(error_model="numpy")
def _read(caches: Any, k: int, block: Any, capacity: int, outcome: Any) -> bool:
    """Read a block through a cache.

    Args:
        caches: Changed in place.
        k: Which cache.
        block: What is read.
        capacity: Most blocks held.
        outcome: Filled with the source of a prefetch that was useful now, and of one that was in vain; -1: none.

    Returns:
        Whether the cache held it.
    """
    outcome[0] = outcome[1] = -1
    keys, chain, heads, kinds = caches.keys[k], caches.chain[k], caches.heads[k], caches.kinds[k]
    previous, following, marks = caches.previous[k], caches.following[k], caches.marks[k]
    place = _locate(keys, chain, heads, block)
    if place >= 0 and kinds[place] != PENDING:
        if kinds[place] == WAITING:
            outcome[0] = caches.sources[k, place]
            caches.totals[k, USED] += 1
            kinds[place] = READ
        if marks[HEAD] != place:
            _detach(previous, following, marks, place)
            _attach(previous, following, marks, place)
        return True
    caches.totals[k, MISSES] += 1
    if place >= 0:
        # It was on its way: read all the same, so the prefetch was in vain
        caches.totals[k, LATE] += 1
        outcome[1] = caches.sources[k, place]
    wasted = _make_room(caches, k, capacity)
    if outcome[1] < 0:
        outcome[1] = wasted
    if place < 0:
        place = _place(keys, chain, heads, marks, block)
    kinds[place] = READ
    _attach(previous, following, marks, place)
    return False


@inner(error_model="numpy")
def _arrive(caches: Any, k: int, capacity: int, now: Any) -> int:
    """Put the prefetches that are due into a cache; returns the source of one that had to give way unread, or -1."""
    marks, queue = caches.marks[k], caches.queue[k]
    found = -1
    while marks[FIRST] != marks[LAST]:
        slot = marks[FIRST] % queue.shape[0]
        if queue[slot, 2] > now:
            break
        marks[FIRST] += 1
        place = queue[slot, 0]
        if caches.kinds[k, place] != PENDING or caches.stamps[k, place] != queue[slot, 1]:
            continue
        wasted = _make_room(caches, k, capacity)
        if wasted >= 0:
            found = wasted
        caches.kinds[k, place] = WAITING
        _attach(caches.previous[k], caches.following[k], marks, place)
    return found


@inner(error_model="numpy")
def _prefetch(caches: Any, k: int, block: Any, source: int, due: Any) -> bool:
    """Fetch a block ahead unless the cache holds it, or it is on its way, or too many are."""
    marks, queue = caches.marks[k], caches.queue[k]
    if marks[LAST] - marks[FIRST] >= queue.shape[0]:
        return False
    keys, chain, heads = caches.keys[k], caches.chain[k], caches.heads[k]
    if _locate(keys, chain, heads, block) >= 0:
        return False
    place = _place(keys, chain, heads, marks, block)
    caches.kinds[k, place] = PENDING
    caches.sources[k, place] = source
    caches.stamps[k, place] = marks[LAST]
    slot = marks[LAST] % queue.shape[0]
    queue[slot, 0], queue[slot, 1], queue[slot, 2] = place, marks[LAST], due
    marks[LAST] += 1
    caches.totals[k, ISSUED] += 1
    return True


@inner(error_model="numpy")
def step(
    ghosts: Any, real: Any, duel: Any, rules: Any, block: Any, issued: Any, sources: Any, number: int, wanted: Any
) -> int:
    """Serve one access in the ghosts and in the real cache, then prefetch by the policy in force.

    Args:
        ghosts: One cache per policy; the first prefetches nothing.
        real: The first cache follows the policy in force; a second, if there is one, never prefetches.
        duel: Changed in place.
        rules: See :class:`Rules`.
        block: The access.
        issued: Proposals.
        sources: The bucket of each.
        number: How many there are.
        wanted: Filled with the places, among the proposals, of those that were issued.

    Returns:
        How many were issued.
    """
    outcome = np.empty(2, np.int64)
    state = duel.state
    state[2] += 1
    now = np.int64(state[2])
    policies = rules.thresholds.shape[0] + 1
    for k in range(1, policies):
        ended = _arrive(ghosts, k, rules.ghost_capacity, now)
        if k == 1 and ended >= 0:
            _judge(duel, ended, False)
    _arrive(real, 0, rules.capacity, now)
    if np.int64((mixed(block) >> np.uint64(40)) & np.uint64(65535)) < rules.sampled:
        plain = _read(ghosts, 0, block, rules.ghost_capacity, outcome)
        state[1] = state[1] * rules.keep + (0 if plain else 1)
        for k in range(1, policies):
            wasted = ghosts.totals[k, WASTED] + ghosts.totals[k, LATE]
            hit = _read(ghosts, k, block, rules.ghost_capacity, outcome)
            duel.better[k] = duel.better[k] * rules.keep + (1 if hit and not plain else 0)
            duel.worse[k] = duel.worse[k] * rules.keep + (1 if plain and not hit else 0)
            wasted = ghosts.totals[k, WASTED] + ghosts.totals[k, LATE] - wasted
            duel.wasted[k] = duel.wasted[k] * rules.keep + wasted
            if k == 1:
                if outcome[0] >= 0:
                    _judge(duel, outcome[0], True)
                if outcome[1] >= 0:
                    _judge(duel, outcome[1], False)
        _decide(duel, rules, policies)
    for k in range(real.keys.shape[0]):
        _read(real, k, block, rules.capacity, outcome)
    return _issue(ghosts, real, duel, rules, issued, sources, number, wanted, now, policies)


@inner(error_model="numpy")
def _judge(duel: Any, source: int, useful: bool) -> None:
    duel.useful[source, 1] += 1
    if useful:
        duel.useful[source, 0] += 1
    if duel.useful[source, 1] >= 1000:
        duel.useful[source, 0] *= 0.5
        duel.useful[source, 1] *= 0.5


@inner(error_model="numpy")
def _decide(duel: Any, rules: Any, policies: int) -> None:
    """The policy with the largest gain that is no accident; none if there is none."""
    best, largest = 0, 0.0
    for k in range(1, policies):
        better, worse = duel.better[k], duel.worse[k]
        gain = better - worse - rules.price * duel.wasted[k]
        sure = rules.certainty * np.sqrt(better + worse + 1.0)
        if k != duel.state[0]:
            gain *= 0.95
        if gain > largest and better - worse > max(sure, rules.margin * duel.state[1]):
            best, largest = k, gain
    duel.state[0] = best


@inner(error_model="numpy")
def _issue(
    ghosts: Any, real: Any, duel: Any, rules: Any, issued: Any, sources: Any, number: int, wanted: Any, now: Any,
    policies: int,
) -> int:  # fmt: skip
    due = now + rules.delay
    done = 0
    force = np.int64(duel.state[0])
    counted = np.zeros(policies, np.int64)
    for i in range(number):
        block, source = issued[i], sources[i]
        worth = (duel.useful[source, 0] + 0.5) / (duel.useful[source, 1] + 2.0)
        if np.int64((mixed(block) >> np.uint64(40)) & np.uint64(65535)) < rules.sampled:
            for k in range(1, policies):
                good = worth >= rules.thresholds[k - 1]
                if k == 1 and not good:
                    # The first policy goes on trying what has not been useful, now and then
                    duel.state[3] = (duel.state[3] * 1103515245 + 12345) % 2147483648
                    good = duel.state[3] < 2147483648 / 32
                if good and counted[k] < rules.budget and _prefetch(ghosts, k, block, source, due):
                    counted[k] += 1
        allowed = force > 0 and done < rules.budget and worth >= rules.thresholds[force - 1]
        if allowed and _prefetch(real, 0, block, source, due):
            wanted[done] = i
            done += 1
    return done


def _entries(version: int) -> Any:
    """The functions that are called from outside, compiled once for each state of these modules."""

    @numba.njit(cache=True, nogil=True, error_model="numpy")
    def step_all(
        ghosts: Any,
        real: Any,
        duel: Any,
        rules: Any,
        blocks: Any,
        issued: Any,
        sources: Any,
        numbers: Any,
        history: Any,
        wanted: Any,
    ) -> int:
        """Serve accesses; returns how many prefetches were issued after the last one.

        ``history`` gets the totals of the real caches after each access, shape ``(n, caches, TOTALS)``; ``wanted`` the
        places, among the last access's proposals, of those that were issued.
        """
        done = 0
        for i in range(blocks.shape[0]):
            done = step(ghosts, real, duel, rules, blocks[i], issued[i], sources[i], numbers[i], wanted)
            for k in range(real.totals.shape[0]):
                for j in range(real.totals.shape[1]):
                    history[i, k, j] = real.totals[k, j]
        return done if version else 0

    @numba.njit(cache=True, nogil=True, error_model="numpy")
    def serve_plain(
        real: Any, capacity: int, delay: int, start: int, blocks: Any, issued: Any, numbers: Any, history: Any
    ) -> int:
        """Serve accesses from number ``start`` on without a gate: all proposals are issued; see ``step_all``."""
        outcome = np.empty(2, np.int64)
        for i in range(blocks.shape[0]):
            _arrive(real, 0, capacity, start + i)
            _read(real, 0, blocks[i], capacity, outcome)
            for j in range(numbers[i]):
                _prefetch(real, 0, issued[i, j], 0, start + i + delay)
            for j in range(real.totals.shape[1]):
                history[i, 0, j] = real.totals[0, j]
        return version

    return step_all, serve_plain


step_all, serve_plain = _entries(digest("access_tables", "cache_state", "ghost_caches"))
