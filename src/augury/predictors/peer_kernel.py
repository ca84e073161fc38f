"""The compiled loops of ``peer_selection``: predict a candidate, learn from an answer; importing it needs numba.

On top of the low-rank prior of a pair (:mod:`augury.predictors.peer_vectors`), five signals are blended by a recursive
ridge regression that starts as the plain rule ``n / (n + k)`` and leaves it only as far as the answers say: the pair's
own mean, the mean of the mirrored pair (A to B when asked for B to A), fast means of the latest errors of the peer and
of the client, and the requests in flight.

A failure says nothing of how fast a peer answers when it does. It is counted by itself, and a candidate's score is the
expectation over both: an answer after its latency, or a failure after what failures take.
"""

from typing import Any

import numba
import numpy as np

from augury.predictors.compiled_sources import digest
from augury.predictors.peer_tables import (
    ANSWERS,
    BLEND_STRENGTH,
    COUNT,
    ERROR,
    ERROR_WEIGHT,
    FAILED,
    FAILED_WEIGHT,
    FAILURE,
    FAILURE_WEIGHT,
    LOAD,
    MEAN,
    MIRROR_N,
    MIRROR_X,
    MIRROR_XX,
    MIRROR_XY,
    MIRROR_Y,
    MIRROR_YY,
    PRIOR_ERROR,
    PRIOR_WEIGHT,
    SIGNALS,
)
from augury.predictors.peer_vectors import WORST_ERRORS, compiled, doubt, learn_vectors, prior_of

MEAN_MEMORY = 1000.0
PEER_STRENGTH = 5.0
FORGET_BLEND = 0.9999
FORGET_PEER = 0.99
FORGET_ERROR = 0.999
FORGET_FAILURE = 0.99
FAILURE_STRENGTH = 10.0
SOLVE_EVERY = 16
MIRROR_LEAST = 30
MIRROR_CORRELATION = 0.3
OTHER_SIDE = 2.0
"""How much more variance a mirrored observation has than an own one."""


@compiled
def expected_error(tables: Any) -> float:
    """Variance of an answer around its prediction, over the whole network."""
    return tables.totals[ERROR] / tables.totals[ERROR_WEIGHT] if tables.totals[ERROR_WEIGHT] > 20 else 1.0


@compiled
def mirrors(tables: Any, knobs: Any) -> bool:
    """Whether both directions of a pair resemble each other."""
    if knobs.mirror != 2:
        return bool(knobs.mirror == 1)
    t = tables.totals
    n = t[MIRROR_N]
    if n < MIRROR_LEAST:
        return False
    xx = t[MIRROR_XX] - t[MIRROR_X] ** 2 / n
    yy = t[MIRROR_YY] - t[MIRROR_Y] ** 2 / n
    xy = t[MIRROR_XY] - t[MIRROR_X] * t[MIRROR_Y] / n
    return bool(xy > 0 and xy * xy > MIRROR_CORRELATION**2 * xx * yy)


@compiled
def look_up(tables: Any, knobs: Any, c: int, p: int, load: float, signals: Any) -> tuple[float, float]:
    """Predict a pair; ``signals`` receives the row of the regression.

    Returns:
        The prior and the prediction, both of log latency.
    """
    prior = prior_of(tables, knobs, c, p)
    n, k = tables.weight[c, p], knobs.prior_weight
    signals[0] = (tables.total[c, p] - n * prior) / (n + k)
    signals[1] = 0.0
    back_c, back_p = tables.peer_as_client[p], tables.client_as_peer[c]
    if knobs.mirror and back_c >= 0 and back_p >= 0:
        m = tables.weight[back_c, back_p]
        signals[1] = (tables.total[back_c, back_p] - m * prior) / (m + 1.0) * k / (n + k)
    signals[2] = tables.peer_shock[p]
    signals[3] = tables.client_shock[c]
    signals[4] = np.log1p(load)
    mean = prior
    for i in range(SIGNALS):
        mean += tables.blend[i] * signals[i]
    return prior, mean


@compiled
def variance_of(tables: Any, c: int, p: int) -> float:
    """Variance of a pair's answers around their prediction, drawn towards the peer's and the network's."""
    peer = tables.peer_error[p, 0] + PEER_STRENGTH * expected_error(tables)
    peer /= tables.peer_error[p, 1] + PEER_STRENGTH
    found: float = (tables.squares[c, p] + PEER_STRENGTH * peer) / (tables.weight[c, p] + PEER_STRENGTH)
    return found


@compiled
def failure_rate(tables: Any, c: int, p: int) -> float:
    """Probability of a failure: the pair's share, drawn towards the peer's, which is drawn towards the network's."""
    t = tables.totals
    everywhere = t[FAILED] / t[FAILED_WEIGHT] if t[FAILED_WEIGHT] > 0 else 0.0
    peer = (tables.peer_failed[p, 0] + FAILURE_STRENGTH * everywhere) / (tables.peer_failed[p, 1] + FAILURE_STRENGTH)
    found: float = (tables.failed[c, p] + FAILURE_STRENGTH * peer) / (
        tables.weight[c, p] + tables.failed[c, p] + FAILURE_STRENGTH
    )
    return found


@compiled
def judge(tables: Any, knobs: Any, c: int, p: int, load: float, signals: Any) -> tuple[float, float]:
    """Score of a pair, lower is better, and the expected log of what it takes."""
    _, mean = look_up(tables, knobs, c, p, load, signals)
    # The mean of a log-normal latency grows with its variance
    score = mean + knobs.risk * 0.5 * variance_of(tables, c, p)
    if knobs.optimism > 0:
        own = knobs.prior_weight / (knobs.prior_weight + tables.weight[c, p])
        score -= knobs.optimism * own * doubt(tables, knobs, c, p)
    t = tables.totals
    if t[FAILURE_WEIGHT] > 0:
        rate = failure_rate(tables, c, p)
        failure = max(t[FAILURE] / t[FAILURE_WEIGHT], mean)
        score = np.log((1 - rate) * np.exp(score) + rate * np.exp(max(failure, score)))
        mean += rate * (failure - mean)
    return score, mean


@compiled
def judge_all(tables: Any, knobs: Any, c: int, peers: Any, loads: Any, scores: Any, means: Any) -> None:
    """Score the candidates of one request, lower is better, and predict their log latencies."""
    signals = np.empty(SIGNALS)
    for j in range(len(peers)):
        scores[j], means[j] = judge(tables, knobs, c, peers[j], loads[j], signals)


@compiled
def learn_blend(tables: Any, signals: Any, target: float, doubt: float, first_load: float) -> None:
    """One step of the ridge regression of what the prior leaves over; outliers weigh less."""
    gram, moment = tables.gram, tables.moment
    for a in range(SIGNALS):
        for b in range(SIGNALS):
            gram[a, b] = FORGET_BLEND * gram[a, b] + doubt * signals[a] * signals[b]
        gram[a, a] += (1 - FORGET_BLEND) * BLEND_STRENGTH
        moment[a] = FORGET_BLEND * moment[a] + doubt * signals[a] * target
    moment[0] += (1 - FORGET_BLEND) * BLEND_STRENGTH
    moment[LOAD] += (1 - FORGET_BLEND) * BLEND_STRENGTH * first_load
    if tables.totals[ANSWERS] % SOLVE_EVERY == 0:
        tables.blend[:] = np.linalg.solve(gram, moment)


@compiled
def take_in(tables: Any, knobs: Any, first_load: float, c: int, p: int, latency: float, ok: bool, load: float) -> None:
    """Learn from one answer, or count a failure and what it took: at least some deviations above the mean.

    Args:
        tables: Changed in place.
        knobs: Settings.
        first_load: First exponent of the load.
        c: Client.
        p: Peer.
        latency: In any one unit; NaN where a failure tells none.
        ok: Whether the fetch came to its end.
        load: Requests that the peer had in flight.
    """
    t = tables.totals
    t[ANSWERS] += 1
    variance = expected_error(tables)
    deviation = np.sqrt(variance)
    tables.failed[c, p] *= knobs.decay
    tables.peer_failed[p, 0] *= FORGET_FAILURE
    tables.peer_failed[p, 1] = FORGET_FAILURE * tables.peer_failed[p, 1] + 1
    t[FAILED] *= FORGET_ERROR
    t[FAILED_WEIGHT] = FORGET_ERROR * t[FAILED_WEIGHT] + 1
    if not ok:
        tables.failed[c, p] += 1
        tables.peer_failed[p, 0] += 1
        t[FAILED] += 1
        # Before the first answer, nothing says what is long
        took = t[MEAN] + knobs.failure * max(deviation, 1.0) if t[COUNT] > 0 else -np.inf
        if latency > 0:
            took = max(took, np.log(latency))
        if took > -np.inf:
            t[FAILURE] = FORGET_FAILURE * t[FAILURE] + took
            t[FAILURE_WEIGHT] = FORGET_FAILURE * t[FAILURE_WEIGHT] + 1
        return
    y = np.log(latency)
    signals = np.empty(SIGNALS)
    prior, mean = look_up(tables, knobs, c, p, load, signals)
    if t[COUNT] == 0:
        t[MEAN] = y
        prior += y
        mean += y
    error = y - mean
    clipped = min(max(error, -WORST_ERRORS * deviation), WORST_ERRORS * deviation)
    if knobs.blend:
        learn_blend(tables, signals, y - prior, 1.0 / max(1.0, abs(error) / (2 * deviation)), first_load)
    # What is left when the load is taken away belongs to the pair
    y -= tables.blend[LOAD] * signals[LOAD]
    slow = prior + tables.blend[0] * signals[0] + tables.blend[1] * signals[1]
    late = min(max(y - slow, -WORST_ERRORS * deviation), WORST_ERRORS * deviation)
    tables.peer_shock[p] += knobs.shock * (late - tables.peer_shock[p])
    tables.client_shock[c] += knobs.shock * (late - tables.client_shock[c])
    both = mirrors(tables, knobs)
    back_c, back_p = tables.peer_as_client[p], tables.client_as_peer[c]
    if back_c >= 0 and back_p >= 0 and tables.weight[c, p] == 0 and tables.weight[back_c, back_p] > 0:
        x = tables.total[back_c, back_p] / tables.weight[back_c, back_p] - t[MEAN]
        z = y - t[MEAN]
        t[MIRROR_N] += 1
        t[MIRROR_X] += x
        t[MIRROR_Y] += z
        t[MIRROR_XX] += x * x
        t[MIRROR_YY] += z * z
        t[MIRROR_XY] += x * z
    square = clipped * clipped
    tables.squares[c, p] = knobs.decay * tables.squares[c, p] + square
    tables.peer_error[p, 0] = FORGET_PEER * tables.peer_error[p, 0] + square
    tables.peer_error[p, 1] = FORGET_PEER * tables.peer_error[p, 1] + 1
    t[ERROR] = FORGET_ERROR * t[ERROR] + square
    t[ERROR_WEIGHT] = FORGET_ERROR * t[ERROR_WEIGHT] + 1
    left = min(max(y - prior, -WORST_ERRORS * deviation), WORST_ERRORS * deviation)
    t[PRIOR_ERROR] = FORGET_ERROR * t[PRIOR_ERROR] + left * left
    t[PRIOR_WEIGHT] = FORGET_ERROR * t[PRIOR_WEIGHT] + 1
    t[COUNT] += 1
    t[MEAN] += (y - t[MEAN]) / min(t[COUNT], MEAN_MEMORY)
    tables.weight[c, p] = knobs.decay * tables.weight[c, p] + 1
    tables.total[c, p] = knobs.decay * tables.total[c, p] + y
    tables.client_seen[c] += 1
    tables.peer_seen[p] += 1
    learn_vectors(tables, knobs, c, p, y, 1.0)
    if both and back_c >= 0 and back_p >= 0:
        learn_vectors(tables, knobs, back_c, back_p, y, OTHER_SIDE)


def _entries(version: int) -> Any:
    """The functions that are called from outside, compiled once for each state of these modules."""
    entry = numba.njit(cache=True, nogil=True)

    @entry
    def rank(tables: Any, knobs: Any, c: int, peers: Any, loads: Any, scores: Any, means: Any) -> int:
        """See :func:`judge_all`."""
        judge_all(tables, knobs, c, peers, loads, scores, means)
        return version

    @entry
    def rank_all(tables: Any, knobs: Any, client: Any, peer: Any, load: Any, scores: Any, means: Any) -> int:
        """:func:`judge` candidates that each name their client; all arrays are of shape ``(rows,)``."""
        signals = np.empty(SIGNALS)
        for row in range(len(peer)):
            scores[row], means[row] = judge(tables, knobs, client[row], peer[row], load[row], signals)
        return version

    @entry
    def learn(tables: Any, knobs: Any, first_load: float, c: int, p: int, latency: float, ok: bool, load: float) -> int:
        """See :func:`take_in`."""
        take_in(tables, knobs, first_load, c, p, latency, ok, load)
        return version

    return rank, rank_all, learn


VERSION = digest("peer_kernel", "peer_tables", "peer_vectors")

rank, rank_all, learn = _entries(VERSION)


def _replay(version: int) -> Any:
    """The loop over requests. A compiled function in its closure would be another one in every process.

    What is kept on disk is looked up by the closure: with :func:`rank` and :func:`learn` in it, every process would
    compile the loop anew.
    """

    @numba.njit(cache=True, nogil=True)
    def replay(
        tables: Any,
        knobs: Any,
        first_load: float,
        start: Any,
        client: Any,
        peer: Any,
        latency: Any,
        ok: Any,
        load: Any,
        logged: Any,
        probes: int,
        chosen: Any,
        predicted: Any,
    ) -> int:
        """Decide request after request, learning from nothing but the answers of what was asked.

        Args:
            tables: Changed in place.
            knobs: Settings.
            first_load: First exponent of the load.
            start: Row of the first candidate of each request, shape ``(r + 1,)``.
            client: Of each request, shape ``(r,)``.
            peer: Of each candidate, shape ``(rows,)``.
            latency: Of each candidate, what it costs to wait for it.
            ok: Of each candidate.
            load: Of each candidate, requests in flight.
            logged: Of each request, the row whose answer is learned from; -1: the one that is chosen here.
            probes: How many of the best are measured before one is chosen; 1: none.
            chosen: Receives the chosen row of each request.
            predicted: Receives the predicted log latency of each candidate.
        """
        # The entries, not what they call: those are found on disk where another process has compiled them
        for r in range(len(client)):
            first, last = start[r], start[r + 1]
            scores = np.empty(last - first)
            rank(tables, knobs, client[r], peer[first:last], load[first:last], scores, predicted[first:last])
            order = np.argsort(scores)
            best = order[0]
            asked = min(probes, last - first)
            for q in range(1, asked):
                if latency[first + order[q]] < latency[first + best]:
                    best = order[q]
            chosen[r] = first + best
            for q in range(1 if logged[r] >= 0 else asked):
                row = logged[r] if logged[r] >= 0 else first + order[q]
                learn(tables, knobs, first_load, client[r], peer[row], latency[row], ok[row], load[row])
        return version

    return replay


replay = _replay(VERSION)
