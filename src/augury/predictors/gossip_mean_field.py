"""What theory expects of push gossip: a mean-field epidemic in time, limited by hops."""

from typing import NamedTuple

import numpy as np

from augury.predictors.gossip_final_size import LEAST_MISS, copies_sent, die_out, log_not_hit
from augury.predictors.gossip_states import Floats

STEPS_PER_DELAY = 4
"""Steps of time in the mean delay of a link."""

KERNEL_STEPS = 20
HORIZON_STEPS = 72

PLACES = 8
"""Points of the queue of one peer's copies."""

NEAR_SHARE = 0.2
"""Share of the links that are taken to lead to somebody near by: networks are clustered, and two quantiles hide it."""

NEAR_SPEED = 8.0
"""How many times faster those are. Both were chosen on simulated networks."""

_CHUNK = 1_024
"""Rows at a time: what is on its way then fits into the processor's cache."""


class MeanField(NamedTuple):
    """Expected outcomes of rounds, all of shape (rounds,)."""

    miss: Floats
    """Share of the present peers that do not hear the message."""
    messages: Floats
    """Copies sent per present peer."""
    p95_ms: Floats
    """When 95 % of those who hear it have heard it."""
    hops: Floats
    """Mean hops of those who hear it."""
    reproduction: Floats
    """Present peers that a peer's copies reach."""
    dies: Floats
    """Probability that the round ends at once because its first copies are all lost; part of ``miss``."""


def mean_field(
    peers: Floats,
    loss: Floats,
    churn: Floats,
    rtt_p50_ms: Floats,
    rtt_p95_ms: Floats,
    copy_ms: Floats,
    fanout: Floats,
    ttl: Floats,
    near_share: float = NEAR_SHARE,
) -> MeanField:
    """Follow the copies through time: each goes to one of the others at random and takes a log-normal delay.

    The share that does not know the message shrinks with every copy that arrives (Kermack-McKendrick in discrete time;
    Demers et al., Epidemic algorithms for replicated database maintenance, 1987). Copies are told apart by their hops,
    because the copy that comes first, and not the one over the fewest hops, decides whether a peer passes it on. A
    round whose first copies are all lost dies out: the smallest fixed point of the branching process it starts as.

    Args:
        peers: Size of the network, shape (rounds,).
        loss: Share of copies that are lost.
        churn: Share of peers that are away.
        rtt_p50_ms: Median round-trip time of the links, above 0.
        rtt_p95_ms: Their 95th percentile.
        copy_ms: How long a peer takes to send one copy.
        fanout: Peers that each one sends to.
        ttl: Hops.
        near_share: Share of the copies that are :data:`NEAR_SPEED` times faster: a message that runs through a cluster
            over fast links has used up its hops before it gets out.

    Returns:
        The expectation, in plain arithmetic of each row alone.
    """
    columns = [
        np.asarray(column, dtype=np.float64)
        for column in (peers, loss, churn, rtt_p50_ms, rtt_p95_ms, copy_ms, fanout, ttl)
    ]
    parts = [
        _follow(near_share, *(column[start : start + _CHUNK] for column in columns))
        for start in range(0, len(peers), _CHUNK)
    ]
    if not parts:
        return MeanField(*(np.empty(0) for _ in MeanField._fields))
    return MeanField(*(np.concatenate(found) for found in zip(*parts, strict=True)))


def _follow(
    near: float,
    peers: Floats,
    loss: Floats,
    churn: Floats,
    p50: Floats,
    p95: Floats,
    copy_ms: Floats,
    fanout: Floats,
    ttl: Floats,
) -> MeanField:
    others = np.maximum(peers - 1, 1)
    present = 1 + others * (1 - churn)
    first, later = copies_sent(others, fanout)
    hit = log_not_hit(others, loss, later)
    kernel, step_ms = _delays(near, p50, p95, copy_ms, fanout)
    most = int(ttl.max())
    hop = np.arange(most + 1)[:, None]
    passes_on = hop < ttl
    underway = np.zeros((HORIZON_STEPS + KERNEL_STEPS, most + 1, len(peers)))
    unaware = present - 1
    sent = first.copy()
    hops, curve = np.zeros_like(present), np.empty((HORIZON_STEPS, len(peers)))
    if most:
        underway[:KERNEL_STEPS, 1] = kernel * first
    for step in range(HORIZON_STEPS):
        arriving = underway[step]
        copies = arriving.sum(axis=0)
        reached = -unaware * np.expm1(copies * hit)
        unaware = unaware - reached
        curve[step] = unaware
        fresh = arriving * (reached / np.maximum(copies, 1e-300))
        hops += (hop * fresh).sum(axis=0)
        emitted = np.where(passes_on, fresh * later, 0)
        sent += emitted.sum(axis=0)
        underway[step + 1 : step + 1 + KERNEL_STEPS, 1:] += kernel[:, None] * emitted[:-1]
    heard = np.maximum(present - 1 - unaware, 1e-9)
    late = (curve > present - 1 - 0.95 * heard).sum(axis=0)
    dies = die_out(others, loss, churn, first, later)
    return MeanField(
        np.clip(1 - (1 - dies) * (1 - unaware / present), LEAST_MISS, 1.0),
        np.maximum(sent * (1 - dies) / present, 1e-3),
        (late + 1) * step_ms,
        hops / heard,
        later * (1 - loss) * (1 - churn),
        dies,
    )


def _delays(near: float, p50: Floats, p95: Floats, copy_ms: Floats, fanout: Floats) -> tuple[Floats, Floats]:
    """Share of copies by their delay in steps, shape (steps, rounds), and the length of a step (ms)."""
    from scipy.special import ndtr

    median = np.maximum(p50 / 2, 1e-3)
    width = np.maximum(np.log(np.maximum(p95 / 2, median * 1.0001) / median) / 1.6449, 0.05)
    step = (median * np.exp(np.minimum(width, 1.0) ** 2 / 2) + copy_ms * (fanout + 1) / 2) / STEPS_PER_DELAY
    edges = (np.arange(1, KERNEL_STEPS)[:, None] + 0.5) * step
    below = np.zeros_like(edges)
    for place in range(PLACES):
        # Copies leave one after the other: where sending takes longer than the way, the first ones run ahead
        queue = copy_ms * (0.5 + (place + 0.5) / PLACES * fanout)
        relative = np.log(np.maximum(edges - queue, 1e-9) / median)
        below += (1 - near) * ndtr(relative / width) + near * ndtr((relative + np.log(NEAR_SPEED)) / width)
    below /= PLACES
    shares = np.diff(np.vstack([np.zeros_like(median), below, np.ones_like(median)]), axis=0)
    return shares, step
