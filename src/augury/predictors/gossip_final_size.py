"""Who is missed however far a message may go: exactly in small networks, with present peers that vary in all."""

import numpy as np
import numpy.typing as npt

from augury.predictors.gossip_states import Floats

MOST_PEERS = 64
"""Up to here the chain is followed; beyond, a deterministic epidemic is near enough."""

LEAST_MISS = 1e-4
"""Smallest expected share of peers that do not hear a message; logarithms are taken of it."""

_FINAL_STEPS = 60
_DIE_OUT_STEPS = 6
_FEW = 5
_ROWS_AT_ONCE = 128
_LEAST_WEIGHT = 1e-5
_LEAST_HIT_LOG = float(np.log(1e-9))


def copies_sent(others: Floats, fanout: Floats) -> tuple[Floats, Floats]:
    """Copies that the first peer sends, and every later one: not back to where it came from."""
    return np.minimum(fanout, others), np.minimum(fanout, np.maximum(others - 1, 0))


def log_not_hit(others: Floats, loss: Floats, copies: Floats) -> Floats:
    """Logarithm of the probability that one copy does not reach a certain peer.

    Of one peer's copies no two go to the same: a copy counts for a bit more than one that is drawn on its own.
    """
    several = np.maximum(copies, 1)
    missed = np.log1p(-np.minimum(several * (1 - loss) / others, 1 - 1e-9)) / several
    return np.asarray(np.maximum(missed, _LEAST_HIT_LOG))


def die_out(others: Floats, loss: Floats, churn: Floats, first: Floats, later: Floats) -> Floats:
    """Probability that a round ends at once because its first copies are all lost; a branching process' fixed point."""
    success = (1 - loss) * (1 - churn)
    dies = np.zeros_like(others)
    for _ in range(_DIE_OUT_STEPS):
        dies = np.power(1 - success + success * dies, later)
    dies = np.power(1 - success + success * dies, first)
    # Of five peers, the first one's copies are most there is: the first step has already counted those that are lost
    return np.where(others < _FEW, 0, dies)


def final_miss(peers: Floats, loss: Floats, churn: Floats, fanout: Floats) -> Floats:
    """Share of the present peers that do not hear a message of any number of hops, if it does not die out at once.

    The final size of the epidemic: the fixed point of "who is missed by the copies of all that are not".
    """
    others = np.maximum(peers - 1, 1)
    present = 1 + others * (1 - churn)
    first, later = copies_sent(others, fanout)
    hit = log_not_hit(others, loss, later)
    unaware = np.zeros_like(present)
    for _ in range(_FINAL_STEPS):
        unaware = np.exp(hit * (first + later * (present - 1) * (1 - unaware)))
    return np.asarray(np.clip(unaware * (present - 1) / present, LEAST_MISS, 1.0))


def finite_size(peers: Floats, loss: Floats, churn: Floats, fanout: Floats) -> Floats:
    """What chance adds to the share that is missed: the factor between few peers and a deterministic epidemic.

    Where everybody is known to everybody, as in networks of up to :data:`MOST_PEERS`, the final size is a Markov chain
    of two numbers: peers that have sent, and peers that do not know (as Lefevre and Picard's for the Reed-Frost
    epidemic, 1990). In larger networks only the number of present peers is averaged over, by three points.

    Args:
        peers: Shape (rows,).
        loss: Share of copies that are lost.
        churn: Share of peers that are away, each on its own.
        fanout: Copies.

    Returns:
        Factors, shape (rows,).
    """
    table = np.column_stack([peers, loss, churn, fanout])
    rows, back = np.unique(table, axis=0, return_inverse=True)
    n, lost, away, copies = rows.T
    others = np.maximum(n - 1, 1)
    dies = die_out(others, lost, away, *copies_sent(others, copies))
    plain = 1 - (1 - dies) * (1 - final_miss(n, lost, away, copies))
    sd = np.sqrt(away * (1 - away) / others)
    found = np.zeros_like(plain)
    for weight, shift in ((1 / 6, -np.sqrt(3)), (2 / 3, 0.0), (1 / 6, np.sqrt(3))):
        moved = np.clip(away + shift * sd, 0, 0.99)
        found += weight * (1 - (1 - dies) * (1 - final_miss(n, lost, moved, copies)))
    for size in np.unique(n[n <= MOST_PEERS]):
        places = np.flatnonzero(n == size)
        for start in range(0, len(places), _ROWS_AT_ONCE):
            part = places[start : start + _ROWS_AT_ONCE]
            found[part] = _chain(int(size), lost[part], away[part], copies[part].astype(int))
    factor = np.maximum(found, LEAST_MISS) / np.maximum(plain, LEAST_MISS)
    return np.asarray(factor[back.reshape(-1)])


def _chain(peers: int, loss: Floats, churn: Floats, fanout: npt.NDArray[np.int64]) -> Floats:
    """Expected share of the present peers that is missed, shape (rows,)."""
    from scipy.stats import binom

    others = peers - 1
    most = min(int(fanout.max()), others)
    present = np.arange(others + 1)
    share = binom.pmf(present[None], others, (1 - churn)[:, None])
    share = np.where(share > _LEAST_WEIGHT, share, 0)  # row by row: an answer must not depend on other rows
    kept = np.flatnonzero(share.any(axis=0))
    first = _newly_informed(others, others, most, np.minimum(fanout, others), loss)
    later = _newly_informed(max(others - 1, 0), others, most, np.minimum(fanout, max(others - 1, 0)), loss)
    # [rows, others that are present, of them those that do not know]
    state = np.zeros((len(loss), len(kept), others + 1))
    for place, count in enumerate(kept.tolist()):
        for new in range(min(most, count) + 1):
            state[:, place, count - new] = first[:, count, new]
    missed = np.zeros((len(loss), len(kept)))
    for sent in range(1, others + 1):
        # All that know have sent: the round is over
        unaware = kept + 1 - sent
        over = np.flatnonzero(unaware >= 0)
        missed[:, over] += state[:, over, unaware[over]] * unaware[over]
        state[:, over, unaware[over]] = 0
        moved = np.zeros_like(state)
        for new in range(most + 1):
            moved[..., : others + 1 - new] += state[..., new:] * later[:, None, new:, new]
        state = moved
    return np.asarray((missed / (kept + 1) * share[:, kept]).sum(axis=1))


def _newly_informed(pool: int, most_unaware: int, most: int, copies: npt.NDArray[np.int64], loss: Floats) -> Floats:
    """Probability that one peer's copies, no two to the same of a pool, tell so many that did not know.

    Shape (rows, unaware peers, newly informed peers).
    """
    from scipy.stats import binom, hypergeom

    arrived = np.arange(most + 1)
    unaware = np.minimum(np.arange(most_unaware + 1), pool)
    table = hypergeom.pmf(arrived[None, None], pool, unaware[:, None, None], np.minimum(arrived, pool)[None, :, None])
    several = binom.pmf(arrived[None], copies[:, None], (1 - loss)[:, None])
    return np.einsum("rd,udj->ruj", np.nan_to_num(several), np.nan_to_num(table))
