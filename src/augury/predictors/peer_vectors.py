"""The low-rank prior of ``peer_selection``: vectors of clients and peers, learned online; importing it needs numba.

The prior of a pair is ``mean + bias(client) + bias(peer) + <factors(client), factors(peer)>`` of log latency.

With ``step: history``, a vector is the posterior mean given the last answers that it had part in and what is known of
the other sides' vectors, their covariances included: one coordinate of a variational Bayesian matrix factorisation
[1]_. Each new answer pays for looking through ``effort`` old ones: first those of its own client and peer, then those
of others in their turn, as every vector that moves says something new about its neighbours. That makes the first
answers of a new client or peer count at once, for all. An answer far off its expectation weighs less.

With ``step: gradient``, each answer moves its two vectors by one plain step (the peer of this family in the
literature); it needs no memory and learns much slower.

.. [1] Y. J. Lim, Y. W. Teh, "Variational Bayesian approach to movie rating prediction", KDD Cup and Workshop 2007.
"""

from typing import Any

import numpy as np

from augury.predictors.compiled_parts import inner
from augury.predictors.peer_tables import (
    CREDIT,
    MEAN,
    NOISE,
    NOISE_WEIGHT,
    PRIOR_ERROR,
    PRIOR_WEIGHT,
    TURN,
)

WORST_ERRORS = 3.0
"""Errors are clipped at this many standard deviations: one answer that took a minute must not turn a vector round."""
OUTLYING = 2.0
"""From this many standard deviations on, an answer weighs the less the farther off it is (Huber)."""
FIRST_NOISE, FIRST_NOISE_WEIGHT = 0.3, 60.0
"""Variance of an answer around its prior that is assumed at first, and how many looks through a history it is worth."""
FORGET_NOISE = 0.99
OFTEN = 16
"""Up to this many answers, a vector is found again with each; with k times as many, with every k-th."""
MOST_TURNS = 64
"""Others' vectors that one answer may pay for."""
MOST_CREDIT = 1000.0

compiled = inner(nogil=True)


@compiled
def prior_of(tables: Any, knobs: Any, c: int, p: int) -> float:
    """Log latency that is expected of a pair as a member of its client and of its peer."""
    d = knobs.factors
    found = tables.totals[MEAN] + tables.client[c, d] + tables.peer[p, d]
    for f in range(d):
        found += tables.client[c, f] * tables.peer[p, f]
    return float(found)


@compiled
def doubt(tables: Any, knobs: Any, c: int, p: int) -> float:
    """Standard deviation of what is not known of the prior of a pair; 0 with plain gradient steps, which keep none."""
    if knobs.gradient:
        return 0.0
    d, found = knobs.factors, 0.0
    for f in range(d + 1):
        u = tables.client[c, f] if f < d else 1.0
        v = tables.peer[p, f] if f < d else 1.0
        for h in range(d + 1):
            found += tables.client_covariance[c, f, h] * v * (tables.peer[p, h] if h < d else 1.0)
            found += tables.peer_covariance[p, f, h] * u * (tables.client[c, h] if h < d else 1.0)
    return float(np.sqrt(max(found, 0.0)))


@compiled
def learn_vectors(tables: Any, knobs: Any, c: int, p: int, y: float, noisier: float) -> None:
    """Learn the vectors of a client and a peer from an answer.

    Args:
        tables: Changed in place.
        knobs: Settings.
        c: Client.
        p: Peer.
        y: Log latency.
        noisier: How much more variance than an own answer it has.
    """
    if knobs.gradient:
        _descend(tables, knobs, c, p, y, noisier)
        return
    size = tables.client_answers.shape[1]
    row = tables.client_answers[c, int(tables.client_kept[c]) % size]
    row[0], row[1], row[2] = p, y, 1 / noisier
    row = tables.peer_answers[p, int(tables.peer_kept[p]) % size]
    row[0], row[1], row[2] = c, y, 1 / noisier
    tables.client_kept[c] += 1
    tables.peer_kept[p] += 1
    t = tables.totals
    t[CREDIT] = min(t[CREDIT] + knobs.effort, MOST_CREDIT)
    for role in range(2):
        place = c if role == 0 else p
        kept = int(tables.client_kept[c] if role == 0 else tables.peer_kept[p])
        if kept % (1 + min(kept, size) // OFTEN) == 0:
            t[CREDIT] -= _find_again(tables, knobs, role, place)
    for _ in range(MOST_TURNS):
        if t[CREDIT] <= 0:
            break
        t[TURN] += 1
        # Those of place 0 stand for the unknown, and learn nothing
        role, turn = int(t[TURN]) % 2, int(t[TURN]) // 2
        others = len(tables.client_kept if role == 0 else tables.peer_kept) - 1
        place = 1 + turn % others
        if (tables.client_kept[place] if role == 0 else tables.peer_kept[place]) > 0:
            t[CREDIT] -= _find_again(tables, knobs, role, place)


@compiled
def _descend(tables: Any, knobs: Any, c: int, p: int, y: float, noisier: float) -> None:
    """One step of plain stochastic gradient descent."""
    d = knobs.factors
    u, v, t = tables.client[c], tables.peer[p], tables.totals
    noise = t[PRIOR_ERROR] / t[PRIOR_WEIGHT] if t[PRIOR_WEIGHT] > 0 else 1.0
    worst = WORST_ERRORS * np.sqrt(noise)
    error = min(max(y - prior_of(tables, knobs, c, p), -worst), worst)
    rate = knobs.learning_rate / noisier
    for f in range(d):
        a, b = u[f], v[f]
        u[f] += rate * (error * b - knobs.regularisation * a)
        v[f] += rate * (error * a - knobs.regularisation * b)
    # A mean of the first answers, then a slow one
    u[d] += max(rate, 1 / (tables.client_seen[c] + 3)) * (error - knobs.regularisation * u[d])
    v[d] += max(rate, 1 / (tables.peer_seen[p] + 3)) * (error - knobs.regularisation * v[d])


@compiled
def _find_again(tables: Any, knobs: Any, role: int, place: int) -> int:
    """Find the vector of a client (role 0) or of a peer (role 1) again from its last answers.

    Of an answer ``y``, the prior is ``<u, v> + own bias + other's bias``; ``v`` and the other's bias are known up to a
    covariance, which adds to the precision of ``u`` what their products are expected to hold.

    Returns:
        How many answers were looked through.
    """
    d = knobs.factors
    wide = d + 1
    if role == 0:
        mine, others, answers, kept = (
            tables.client[place],
            tables.peer,
            tables.client_answers[place],
            tables.client_kept,
        )
        covariance, their_covariances = tables.client_covariance[place], tables.peer_covariance
    else:
        mine, others, answers, kept = tables.peer[place], tables.client, tables.peer_answers[place], tables.peer_kept
        covariance, their_covariances = tables.peer_covariance[place], tables.client_covariance
    t = tables.totals
    noise = (t[NOISE] + FIRST_NOISE * FIRST_NOISE_WEIGHT) / (t[NOISE_WEIGHT] + FIRST_NOISE_WEIGHT)
    precision, moment = np.zeros((wide, wide)), np.zeros(wide)
    # What the other side's vector is multiplied by: own factors, and 1 for its bias; expected products
    products, x = np.ones((wide, wide)), np.ones(wide)
    for f in range(d):
        precision[f, f] = 1 / knobs.spread
        products[f, d] = products[d, f] = mine[f]
        for h in range(d):
            products[f, h] = mine[f] * mine[h] + covariance[f, h]
    precision[d, d] = 1 / knobs.bias_spread
    size, last = len(answers), int(kept[place]) - 1
    count = min(last + 1, size)
    age, squares, weights = 1.0, 0.0, 0.0
    for back in range(count):
        answer = answers[(last - back) % size]
        other = int(answer[0])
        v, theirs = others[other], their_covariances[other]
        target = answer[1] - t[MEAN] - v[d]
        error = target - mine[d]
        for f in range(d):
            x[f] = v[f]
            error -= v[f] * mine[f]
        unsure = 0.0
        for f in range(wide):
            for h in range(wide):
                unsure += covariance[f, h] * x[f] * x[h] + products[f, h] * theirs[f, h]
        weight = answer[2] * age * min(1.0, OUTLYING * np.sqrt(noise + unsure) / max(abs(error), 1e-12))
        squares += weight * (error * error + unsure)
        weights += weight
        weight /= noise
        for f in range(d):
            moment[f] += weight * (x[f] * target - theirs[f, d])
            for h in range(d):
                precision[f, h] += weight * (x[f] * x[h] + theirs[f, h])
            precision[f, d] += weight * x[f]
            precision[d, f] += weight * x[f]
        moment[d] += weight * target
        precision[d, d] += weight
        age *= knobs.forget
    _invert(precision, covariance)
    for f in range(wide):
        mine[f] = 0.0
        for h in range(wide):
            mine[f] += covariance[f, h] * moment[h]
    t[NOISE] = FORGET_NOISE * t[NOISE] + squares / weights
    t[NOISE_WEIGHT] = FORGET_NOISE * t[NOISE_WEIGHT] + 1
    return count


@compiled
def _invert(matrix: Any, inverse: Any) -> None:
    """Gauss-Jordan inverse of a positive definite matrix, which is used up; small ones cost LAPACK more in calls."""
    n = len(matrix)
    inverse[:] = 0.0
    for i in range(n):
        inverse[i, i] = 1.0
    for i in range(n):
        pivot = 1 / matrix[i, i]
        for j in range(n):
            matrix[i, j] *= pivot
            inverse[i, j] *= pivot
        for k in range(n):
            if k != i:
                factor = matrix[k, i]
                for j in range(n):
                    matrix[k, j] -= factor * matrix[i, j]
                    inverse[k, j] -= factor * inverse[i, j]
