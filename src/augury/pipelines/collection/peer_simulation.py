"""Simulate a network whose latencies are of low rank: drifting pairs, noise, time-outs, nodes that come and go.

The logarithm of a latency is a mean, a bias of the client, a bias of the peer and the product of their positions, a
deviation of the pair that stays, a random walk of the pair, load of the peer that comes and goes, and noise. All
candidates of every request are measured, so the best choice of each is known; one of them is marked as chosen,
uniformly at random, with its propensity.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors import fetch_columns as fc

SIMULATED = "simulated"
FIRST_MS = 1_767_225_600_000
"""2026-01-01."""
PSEUDONYM = 24
SIZES = (4_096, 16_384, 65_536, 262_144)


class PeerSimulation(Parameters):
    """The network to simulate."""

    clients: int = Field(default=40, ge=2)
    peers: int = Field(default=60, ge=3)
    requests: int = Field(default=6_000, ge=10)
    candidates: int = Field(default=5, ge=2, le=8)
    median_ms: float = Field(default=80.0, gt=0)
    rank: int = Field(default=3, ge=1, le=32, description="dimensions of the positions")
    spread: float = Field(
        default=0.6, ge=0, description="standard deviation of the product of positions, in logarithms"
    )
    bias: float = Field(default=0.25, ge=0, description="of the biases of clients and of peers")
    pair: float = Field(default=0.15, ge=0, description="of a pair's own lasting deviation")
    drift: float = Field(default=0.25, ge=0, description="of a pair's random walk, over the whole time")
    noise: float = Field(default=0.2, ge=0, description="of single answers")
    shocks: float = Field(default=0.3, ge=0, description="of the load of a peer, which lasts for a while")
    timeouts: float = Field(default=0.002, ge=0, lt=1, description="share of fetches that fail")
    flaky: float = Field(default=0.1, ge=0, le=1, description="share of peers of which many more fail")
    flaky_timeouts: float = Field(default=0.15, ge=0, lt=1, description="share of fetches from those that fail")
    joins: float = Field(
        default=0.15, ge=0, le=0.5, description="share of peers that come later on, and that leave early"
    )
    hours: float = Field(default=72.0, gt=0, description="length of the log")


def simulate_fetches(collection: PeerSimulation, seed: int) -> pd.DataFrame:
    """Simulate fetches.

    Args:
        collection: The network.
        seed: Seed.

    Returns:
        Columns of the event ``peer_fetch``: one row per candidate, outcomes of all candidates, in the order of time.
    """
    random = np.random.default_rng(seed)
    c, p, n, k = collection.clients, collection.peers, collection.requests, collection.candidates
    moment = np.sort(random.random(n))
    client = random.integers(0, c, n)
    alive_from, alive_until = _lives(p, k, collection.joins, random)
    there = (alive_from <= moment[:, None]) & (moment[:, None] <= alive_until)
    peer = np.argsort(np.where(there, random.random((n, p)), np.inf), axis=1)[:, :k]
    mean = _lasting(collection, random)
    walk = _walk(moment, client, peer, (c, p), collection.drift, random)
    load = _shocks(moment, peer, collection.shocks, random)
    log_ms = mean[client[:, None], peer] + walk + load + random.normal(0, collection.noise, (n, k))
    fails = np.where(random.random(p) < collection.flaky, collection.flaky_timeouts, collection.timeouts)
    ok = random.random((n, k)) >= fails[peer]
    size = random.choice(SIZES, n)
    rtt = np.round(np.exp(log_ms) * 16) / 16
    mbps = 8e-3 * size[:, None] / (rtt * 3)
    chosen = np.arange(k) == random.integers(0, k, n)[:, None]
    in_flight = random.poisson(np.exp(load) - 0.5 * np.minimum(np.exp(load), 1))
    names = {
        role: np.array([_pseudonym(role, number) for number in range(count)]) for role, count in (("c", c), ("p", p))
    }
    flat = {
        fc.TS: np.repeat((FIRST_MS + moment * collection.hours * 3_600_000).astype(np.int64) // 1000 * 1000, k),
        fc.REQUEST: np.repeat([_pseudonym("r", number) for number in range(n)], k),
        fc.CLIENT: np.repeat(names["c"][client], k),
        fc.PEER: names["p"][peer].ravel(),
        fc.CHOSEN: chosen.ravel().astype(np.int64),
        fc.PROPENSITY: np.full(n * k, 1 / k),
        "size": np.repeat(size, k),
        fc.RTT: np.where(ok, np.maximum(rtt, 1 / 16), np.nan).ravel(),
        "throughput_mbps": np.where(ok, np.round(mbps, 3), np.nan).ravel(),
        fc.OK: ok.ravel().astype(np.float64),
        fc.IN_FLIGHT: in_flight.ravel().astype(np.int64),
        fc.ORIGIN: SIMULATED,
    }
    return pd.DataFrame(flat)


def latency_cube(
    clients: int, peers: int, rounds: int, rank: int = 3, pair: float = 0.15, noise: float = 0.016, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Round-trip times of a low-rank network that is measured again and again, in ms.

    Args:
        clients: Rows of a round.
        peers: Columns of a round.
        rounds: How often everything is measured.
        rank: Dimensions of the positions.
        pair: Standard deviation of a pair's own deviation, in logarithms.
        noise: Of single measurements, in logarithms: nearly their coefficient of variation.
        seed: Seed.

    Returns:
        Shape ``(rounds, clients, peers)``.
    """
    random = np.random.default_rng(seed)
    collection = PeerSimulation(clients=clients, peers=peers, rank=rank, pair=pair, spread=0.5, median_ms=100.0)
    mean = _lasting(collection, random)
    return np.exp(mean + random.normal(0, noise, (rounds, clients, peers)))


def _lasting(collection: PeerSimulation, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Mean log latency of every pair."""
    c, p, r = collection.clients, collection.peers, collection.rank
    positions = random.normal(size=(c, r)) @ random.normal(size=(r, p)) / np.sqrt(r)
    biases = random.normal(0, collection.bias, (c, 1)) + random.normal(0, collection.bias, (1, p))
    own = random.normal(0, collection.pair, (c, p))
    return np.asarray(np.log(collection.median_ms) + collection.spread * positions + biases + own)


def _lives(peers: int, candidates: int, share: float, random: np.random.Generator) -> tuple[Any, Any]:
    """When each peer comes and goes, from 0 to 1; enough of them are there all the time."""
    start, end = np.zeros(peers), np.ones(peers)
    changing = min(int(peers * share), max(0, (peers - candidates) // 2))
    order = random.permutation(peers)
    start[order[:changing]] = random.uniform(0.1, 0.9, changing)
    end[order[changing : 2 * changing]] = random.uniform(0.1, 0.9, changing)
    return start, end


def _walk(
    moment: Any, client: Any, peer: Any, shape: tuple[int, int], scale: float, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A smooth walk of every pair: a wave of a period and phase of its own."""
    phase, period = random.uniform(0, 2 * np.pi, shape), random.uniform(0.5, 2.0, shape)
    rows = client[:, None]
    return np.asarray(scale * np.sqrt(2) * np.sin(phase[rows, peer] + 2 * np.pi * moment[:, None] / period[rows, peer]))


def _shocks(moment: Any, peer: Any, scale: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Load of each peer: a level that is drawn anew in each of a hundred spells."""
    spells = 100
    level = np.abs(random.normal(0, scale, (spells, int(peer.max()) + 1)))
    return np.asarray(level[np.minimum((moment * spells).astype(int), spells - 1)[:, None], peer])


def _pseudonym(role: str, number: int) -> str:
    return hashlib.blake2b(f"{role}{number}".encode(), digest_size=PSEUDONYM // 2).hexdigest()
