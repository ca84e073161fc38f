"""Event-driven push gossip, compiled; importing it needs numba.

A round: one peer that is not away knows a message and sends it to ``fanout`` of its links; whoever hears it for the
first time, within ``ttl`` hops, does the same. Events are taken from a heap in the order of their time, so that the hop
count of a peer is the one of the copy that came first, which need not have come over the fewest hops.
"""

from typing import Any

import numba
import numpy as np

MESSAGES, DUPLICATES, COVERAGE, P95_MS, PRESENT = range(5)
"""Columns of what :func:`simulate` returns."""

MOST_LOSS = 0.95

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


@numba.njit(cache=True, nogil=True, inline="always")
def _uniform(state: Any) -> float:
    """Next number of SplitMix64 in [0, 1): a generator whose whole state is one integer, so each round has its own."""
    state[0] += _INCREMENT
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    mixed = mixed ^ (mixed >> np.uint64(31))
    return float(mixed >> np.uint64(11)) * _UNIT


@numba.njit(cache=True, nogil=True)
def _push(times: Any, nodes: Any, hops: Any, size: int, time: float, node: int, hop: int) -> int:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if times[parent] <= time:
            break
        times[place], nodes[place], hops[place] = times[parent], nodes[parent], hops[parent]
        place = parent
    times[place], nodes[place], hops[place] = time, node, hop
    return size + 1


@numba.njit(cache=True, nogil=True)
def _drop_first(times: Any, nodes: Any, hops: Any, size: int) -> int:
    size -= 1
    time, node, hop = times[size], nodes[size], hops[size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and times[child + 1] < times[child]:
            child += 1
        if times[child] >= time:
            break
        times[place], nodes[place], hops[place] = times[child], nodes[child], hops[child]
        place = child
    times[place], nodes[place], hops[place] = time, node, hop
    return size


@numba.njit(cache=True, nogil=True)
def simulate(
    neighbours: Any,
    delays_ms: Any,
    loss_factors: Any,
    degrees: Any,
    loss: Any,
    churn: Any,
    copy_ms: Any,
    fanout: Any,
    ttl: Any,
    seeds: Any,
) -> Any:
    """Play rounds in one network.

    Args:
        neighbours: int32 (peers, links): whom each peer knows; only the first ``degrees[i]`` of row i count.
        delays_ms: float32 (peers, links): one-way delay of each link.
        loss_factors: float32 (peers, links): what the round's mean loss is multiplied by on this link.
        degrees: int32 (peers,).
        loss: float64 (rounds,): mean share of copies that are lost.
        churn: float64 (rounds,): share of peers that are away; copies to them are sent in vain.
        copy_ms: float64 (rounds,): how long a peer takes to send one copy; copies leave one after the other.
        fanout: int64 (rounds,): links that a peer sends to, never back to where the message came from.
        ttl: int64 (rounds,): hops after which a message is not sent on.
        seeds: uint64 (rounds,): a round depends on its own seed alone.

    Returns:
        float64 (rounds, 5): copies sent; copies that arrived where the message was known; share of the present peers
        that know it at last; 95th percentile of the time at which those other than the first heard it (0 if nobody
        did); present peers.
    """
    peers, links = neighbours.shape
    rounds = len(seeds)
    result = np.zeros((rounds, 5))
    away = np.zeros(peers, np.bool_)
    best = np.empty(peers)
    known = np.zeros(peers, np.bool_)
    parent = np.empty(peers, np.int32)
    order = np.empty((peers, links), np.int32)
    for node in range(peers):
        for place in range(links):
            order[node, place] = place
    events = peers * (1 + min(links, int(fanout.max()) if rounds else 0)) + 1
    times = np.empty(events)
    nodes = np.empty(events, np.int32)
    hops = np.empty(events, np.int32)
    arrivals = np.empty(peers)
    state = np.zeros(1, np.uint64)
    for number in range(rounds):
        state[0] = seeds[number]
        present = 0
        source = min(int(_uniform(state) * peers), peers - 1)
        for node in range(peers):
            away[node] = node != source and _uniform(state) < churn[number]
            present += not away[node]
            best[node] = np.inf
            known[node] = False
            parent[node] = -1
        best[source] = 0.0
        size = _push(times, nodes, hops, 0, 0.0, source, 0)
        messages, delivered, reached = 0, 0, 0
        while size > 0:
            time, node, hop = times[0], nodes[0], hops[0]
            size = _drop_first(times, nodes, hops, size)
            if known[node]:
                continue
            known[node] = True
            if node != source:
                arrivals[reached] = time
                reached += 1
            if hop >= ttl[number]:
                continue
            degree, sent = degrees[node], 0
            own = order[node]
            for place in range(degree):
                if sent >= fanout[number]:
                    break
                other = min(place + int(_uniform(state) * (degree - place)), degree - 1)
                own[place], own[other] = own[other], own[place]
                link = own[place]
                target = neighbours[node, link]
                if target == parent[node]:
                    continue
                sent += 1
                lost = min(loss[number] * loss_factors[node, link], MOST_LOSS)
                if _uniform(state) < lost or away[target]:
                    continue
                delivered += 1
                arrival = time + sent * copy_ms[number] + delays_ms[node, link]
                if not known[target] and arrival < best[target]:
                    best[target] = arrival
                    parent[target] = node
                    size = _push(times, nodes, hops, size, arrival, target, hop + 1)
            messages += sent
            for place in range(degree):  # a round must not depend on those before it
                own[place] = place
        result[number, MESSAGES] = messages
        result[number, DUPLICATES] = delivered - reached
        result[number, COVERAGE] = (reached + 1) / present
        result[number, PRESENT] = present
        if reached:
            early = np.sort(arrivals[:reached])
            result[number, P95_MS] = early[int(np.ceil(0.95 * reached)) - 1]
    return result
