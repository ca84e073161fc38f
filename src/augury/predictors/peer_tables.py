"""What is known of clients and peers: the arrays behind ``peer_selection``, and how they grow."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SIGNALS = 5
"""Columns that are blended with the prior: own pair, mirrored pair, shock of the peer, shock of the client, load."""
LOAD = 4

MEAN, COUNT, ERROR, ERROR_WEIGHT, PRIOR_ERROR, PRIOR_WEIGHT = 0, 1, 2, 3, 4, 5
MIRROR_N, MIRROR_X, MIRROR_Y, MIRROR_XX, MIRROR_YY, MIRROR_XY = 6, 7, 8, 9, 10, 11
ANSWERS = 12
FAILED, FAILED_WEIGHT, FAILURE, FAILURE_WEIGHT = 13, 14, 15, 16
NOISE, NOISE_WEIGHT, TURN, CREDIT = 17, 18, 19, 20
TOTALS = 21
"""Running numbers of the whole network, whose places the names above are."""
LARGEST_PAIRS = 64_000_000
FIRST_FACTOR = 0.1
UNKNOWN = ""
"""Id of the first client and of the first peer: they stand for all that nobody has met yet, and learn nothing."""


class PeerSettings(Parameters):
    """How latencies are learned and peers ranked. All is in logarithms, so no value depends on the unit of latency."""

    factors: int = Field(default=4, ge=1, le=64, description="d of the low-rank prior")
    step: str = Field(
        default="history",
        pattern="^(history|gradient)$",
        description="gradient: plain SGD; history: vectors are found again and again from the last answers of each",
    )
    memory: int = Field(default=256, ge=1, le=4096, description="answers that are kept of each client and of each peer")
    forget: float = Field(
        default=0.999, gt=0, le=1, description="weight that an answer keeps in a vector with each newer one of it"
    )
    effort: int = Field(default=96, ge=0, le=1000, description="kept answers that are looked through for each new one")
    spread: float = Field(default=0.5, gt=0, description="variance of a factor before anything was seen")
    bias_spread: float = Field(default=0.1, gt=0, description="variance of a bias before anything was seen")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="of plain SGD")
    regularisation: float = Field(default=0.02, ge=0, description="of plain SGD")
    prior_weight: float = Field(
        default=1.0, gt=0, description="k: observations that the prior is worth; a pair weighs n / (n + k)"
    )
    decay: float = Field(default=0.9, gt=0, le=1, description="of a pair's older observations with each new one")
    shock: float = Field(default=0.05, ge=0, le=1, description="rate of the fast means of peers and clients")
    mirror: str = Field(
        default="auto",
        pattern="^(auto|always|never)$",
        description="whether the way from A to B says something of the way from B to A; auto: if it is seen to do so",
    )
    risk: float = Field(
        default=0.5, ge=0, description="weight of half the variance: 1 ranks by expected latency, 0 by the median"
    )
    optimism: float = Field(
        default=0.2, ge=0, description="a pair that was never asked is ranked by this many standard deviations better"
    )
    blend: bool = Field(default=True, description="learn how much each signal counts; false: the pair's n / (n + k)")
    load: float = Field(default=1.0, ge=0, description="first exponent of 1 + requests in flight, against herding")
    failure: float = Field(
        default=3.0,
        ge=0,
        description="a failure takes at least this many standard deviations, each 1 or more, above the mean",
    )


class Knobs(NamedTuple):
    """The settings as the compiled loops take them."""

    factors: int
    gradient: bool
    forget: float
    effort: int
    spread: float
    bias_spread: float
    learning_rate: float
    regularisation: float
    prior_weight: float
    decay: float
    shock: float
    mirror: int
    risk: float
    optimism: float
    blend: bool
    failure: float


class Tables(NamedTuple):
    """Arrays of ``c`` clients and ``p`` peers; the compiled loops change them in place."""

    weight: Floats
    """Shape ``(c, p)``: decayed number of observations of a pair."""
    total: Floats
    """Shape ``(c, p)``: their decayed sum of log latencies."""
    squares: Floats
    """Shape ``(c, p)``: decayed sum of squared errors of prediction."""
    failed: Floats
    """Shape ``(c, p)``: decayed number of failures."""
    client: Floats
    """Shape ``(c, d + 1)``: factors, and the bias last."""
    peer: Floats
    """Shape ``(p, d + 1)``."""
    client_covariance: Floats
    """Shape ``(c, d + 1, d + 1)``."""
    peer_covariance: Floats
    """Shape ``(p, d + 1, d + 1)``."""
    client_answers: Floats
    """Shape ``(c, memory, 3)``: ring of a client's last answers: the peer, the log latency, the weight."""
    peer_answers: Floats
    """Shape ``(p, memory, 3)``: as well, with the client."""
    client_kept: Floats
    """Shape ``(c,)``: answers that were put into the ring so far."""
    peer_kept: Floats
    """Shape ``(p,)``."""
    client_seen: Floats
    """Shape ``(c,)``: observations."""
    peer_seen: Floats
    """Shape ``(p,)``."""
    client_shock: Floats
    """Shape ``(c,)``: fast mean of the latest errors."""
    peer_shock: Floats
    """Shape ``(p,)``."""
    peer_error: Floats
    """Shape ``(p, 2)``: decayed sum of squared errors, and its weight."""
    peer_failed: Floats
    """Shape ``(p, 2)``: decayed number of failures, and of fetches."""
    client_as_peer: Integers
    """Shape ``(c,)``: the peer with the client's id; -1: none."""
    peer_as_client: Integers
    """Shape ``(p,)``."""
    gram: Floats
    """Shape ``(SIGNALS, SIGNALS)``: of the regression that blends the signals."""
    moment: Floats
    """Shape ``(SIGNALS,)``."""
    blend: Floats
    """Shape ``(SIGNALS,)``: its coefficients."""
    totals: Floats
    """Shape ``(TOTALS,)``."""


BLEND_STRENGTH = 300.0
"""Weight of the blend that one starts with, in observations of unit variance."""


def knobs(settings: PeerSettings) -> Knobs:
    """The settings as the compiled loops take them."""
    return Knobs(
        factors=settings.factors,
        gradient=settings.step == "gradient",
        forget=settings.forget,
        effort=settings.effort,
        spread=settings.spread,
        bias_spread=settings.bias_spread,
        learning_rate=settings.learning_rate,
        regularisation=settings.regularisation,
        prior_weight=settings.prior_weight,
        decay=settings.decay,
        shock=settings.shock,
        mirror={"never": 0, "always": 1, "auto": 2}[settings.mirror],
        risk=settings.risk,
        optimism=settings.optimism,
        blend=settings.blend,
        failure=settings.failure,
    )


def empty_tables(settings: PeerSettings) -> Tables:
    """Tables of a network without clients and peers."""
    wide = settings.factors + 1
    start = np.array([1.0, 0.0, 0.0, 0.0, settings.load])
    gram = np.eye(SIGNALS) * BLEND_STRENGTH
    none = np.zeros(0, dtype=np.int64)
    pairs, sums = np.zeros((0, 0)), np.zeros((0, 2))
    vectors, covariances, numbers = np.zeros((0, wide)), np.zeros((0, wide, wide)), np.zeros(0)
    answers = np.zeros((0, settings.memory, 3))
    return Tables(
        weight=pairs, total=pairs, squares=pairs, failed=pairs, client=vectors, peer=vectors,
        client_covariance=covariances, peer_covariance=covariances, client_answers=answers, peer_answers=answers,
        client_kept=numbers, peer_kept=numbers, client_seen=numbers, peer_seen=numbers,
        client_shock=numbers, peer_shock=numbers, peer_error=sums, peer_failed=sums, client_as_peer=none,
        peer_as_client=none, gram=gram, moment=gram @ start, blend=start, totals=np.zeros(TOTALS),
    )  # fmt: skip


def grown_tables(
    tables: Tables, clients: Sequence[str], peers: Sequence[str], settings: PeerSettings, seed: int
) -> Tables:
    """Make room for new clients and peers, of which nothing is known but that they are like the others.

    Args:
        tables: Tables of the first of them.
        clients: Ids of all clients, the known ones first in their order.
        peers: Ids of all peers, the known ones first.
        settings: Settings.
        seed: Of the small random factors, which depend on the place of a client or peer alone; the first of each,
            :data:`UNKNOWN`, has none.

    Returns:
        New tables; those given stay as they are.

    Raises:
        UserError: There would be more pairs than memory is meant to hold.
    """
    if len(clients) * len(peers) > LARGEST_PAIRS:
        raise UserError(
            f"peer_selection: {len(clients):,} clients and {len(peers):,} peers are {len(clients) * len(peers):,} "
            f"pairs; at most {LARGEST_PAIRS:,} are kept. Train one selector per group of clients, such as a region."
        )
    wide = settings.factors + 1
    # Of the covariances, factors begin at the spread that they are drawn to have room for, biases at theirs
    first = np.diag([settings.spread] * settings.factors + [settings.bias_spread])
    known = (len(tables.client_seen), len(tables.peer_seen))
    grown = {}
    for role, (old, names) in enumerate(zip(known, (clients, peers), strict=True)):
        side = ("client", "peer")[role]
        more = len(names) - old
        draw = np.zeros((more, wide))
        for place in range(max(old, 1), len(names)):
            draw[place - old, :-1] = np.random.default_rng([seed, role, place]).normal(0, FIRST_FACTOR, wide - 1)
        grown[side] = np.concatenate([getattr(tables, side), draw])
        grown[f"{side}_covariance"] = np.concatenate(
            [getattr(tables, f"{side}_covariance"), np.broadcast_to(first, (more, wide, wide))]
        )
        for name in (f"{side}_answers", f"{side}_kept", f"{side}_seen", f"{side}_shock"):
            table = getattr(tables, name)
            grown[name] = np.concatenate([table, np.zeros((more, *table.shape[1:]))])
    for name in ("weight", "total", "squares", "failed"):
        table = np.zeros((len(clients), len(peers)))
        table[: known[0], : known[1]] = getattr(tables, name)
        grown[name] = table
    for name in ("peer_error", "peer_failed"):
        grown[name] = np.concatenate([getattr(tables, name), np.zeros((len(peers) - known[1], 2))])
    grown["client_as_peer"] = _places(clients, peers)
    grown["peer_as_client"] = _places(peers, clients)
    return copied(tables._replace(**grown))


def copied(tables: Tables) -> Tables:
    """Tables of their own: what is learned into them stays there.

    All are in the order of C, for which alone the loops are compiled once.
    """
    return tables_from(tables._asdict())


def tables_from(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Tables:
    """Tables from copies of arrays by name.

    Raises:
        KeyError: One is missing.
    """
    own: dict[str, Any] = {name: np.array(arrays[name], order="C") for name in Tables._fields}
    return Tables(**own)


def _places(names: Sequence[str], others: Sequence[str]) -> Integers:
    index = {name: place for place, name in enumerate(others)}
    return np.array([index.get(name, -1) for name in names], dtype=np.int64)
