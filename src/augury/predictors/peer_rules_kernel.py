"""The compiled loop of :mod:`~augury.predictors.peer_rules`; importing it needs numba."""

from typing import Any

import numba
import numpy as np

RANDOM, LAST, EWMA, EPSILON, BETA, UCB, LINEAR = 0, 1, 2, 3, 4, 5, 6
FEATURES = 7
FAILURE = 3.0
SOLVE_EVERY = 16


@numba.njit(cache=True, nogil=True)
def replay_rules(
    rule: int,
    clients: int,
    peers: int,
    start: Any,
    client: Any,
    peer: Any,
    latency: Any,
    ok: Any,
    logged: Any,
    rate: float,
    epsilon: float,
    exploration: float,
    ridge: float,
    probes: int,
    seed: int,
    chosen: Any,
) -> None:
    """See :func:`augury.predictors.peer_rules.replay_rule`; ``chosen`` receives the chosen row of each request."""
    np.random.seed(seed)
    mean, last, count = np.zeros((clients, peers)), np.zeros((clients, peers)), np.zeros((clients, peers))
    won = np.zeros((clients, peers))
    client_mean, client_count, middle = np.zeros(clients), np.zeros(clients), np.zeros(clients)
    peer_mean, peer_count = np.zeros(peers), np.zeros(peers)
    all_mean, all_count, spread = 0.0, 0.0, 1.0
    gram, moment = np.eye(FEATURES) * ridge, np.zeros(FEATURES)
    weights: Any = np.zeros(FEATURES)
    root: Any = np.eye(FEATURES)
    inverse: Any = np.eye(FEATURES) / ridge
    for r in range(len(client)):
        c, first = client[r], start[r]
        size = start[r + 1] - first
        scores, x = np.empty(size), np.zeros((size, FEATURES))
        drawn = weights.copy()
        if rule == LINEAR:
            drawn = weights + exploration * spread * (np.dot(root, np.random.standard_normal(FEATURES)))
        explore = rule == RANDOM or (rule == EPSILON and np.random.random() < epsilon)
        centre = client_mean[c] if client_count[c] > 0 else all_mean
        for j in range(size):
            p = peer[first + j]
            seen = count[c, p] > 0
            if explore:
                scores[j] = np.random.random()
            elif rule == LAST:
                scores[j] = last[c, p] if seen else centre
            elif rule in (EWMA, EPSILON):
                scores[j] = mean[c, p] if seen else centre
            elif rule == BETA:
                scores[j] = -np.random.beta(1 + won[c, p], 1 + count[c, p] - won[c, p])
            else:
                of_peer = peer_mean[p] if peer_count[p] > 0 else all_mean
                x[j, 0] = 1.0
                x[j, 1] = centre - all_mean
                x[j, 2] = of_peer - all_mean
                x[j, 3] = (mean[c, p] - all_mean) if seen else 0.0
                x[j, 4] = (last[c, p] - all_mean) if seen else 0.0
                x[j, 5] = 1.0 if seen else 0.0
                x[j, 6] = (of_peer - all_mean) / (1 + count[c, p])
                scores[j] = np.dot(drawn, x[j])
                if rule == UCB:
                    scores[j] -= exploration * spread * np.sqrt(max(np.dot(x[j], np.dot(inverse, x[j])), 0.0))
            # Equals are told apart by chance
            scores[j] += 1e-9 * np.random.random()
        order = np.argsort(scores)
        best, asked = order[0], min(probes, size)
        for q in range(1, asked):
            if latency[first + order[q]] < latency[first + best]:
                best = order[q]
        chosen[r] = first + best
        for q in range(asked if logged[r] < 0 else 1):
            row = first + order[q] if logged[r] < 0 else logged[r]
            p = peer[row]
            y = np.log(latency[row]) if latency[row] > 0 else all_mean
            if not ok[row]:
                y = max(y, all_mean + FAILURE * spread)
            if all_count == 0:
                all_mean = y
            if rule in (UCB, LINEAR):
                z = x[row - first]
                for a in range(FEATURES):
                    moment[a] += z[a] * (y - all_mean)
                    for b in range(FEATURES):
                        gram[a, b] += z[a] * z[b]
                if r % SOLVE_EVERY == 0:
                    inverse = np.ascontiguousarray(np.linalg.inv(gram))
                    weights = np.dot(inverse, moment)
                    root = np.linalg.cholesky(inverse)
            # The median of a client's answers: a step towards each, as long as all others
            if client_count[c] == 0:
                middle[c] = y
            faster = y < middle[c]
            middle[c] += 0.05 * spread * np.sign(y - middle[c])
            won[c, p] += 1.0 if faster and ok[row] else 0.0
            mean[c, p] = y if count[c, p] == 0 else mean[c, p] + rate * (y - mean[c, p])
            last[c, p] = y
            count[c, p] += 1
            client_count[c] += 1
            peer_count[p] += 1
            all_count += 1
            client_mean[c] += (y - client_mean[c]) / client_count[c]
            peer_mean[p] += (y - peer_mean[p]) / peer_count[p]
            spread += (abs(y - all_mean) * 1.25 - spread) / min(all_count, 1000.0)
            all_mean += (y - all_mean) / all_count
