"""Simulated telemetry of gossip: logged rounds with random actions, and states of which every action's outcome is known.

A simulation, and said to be one: networks are drawn (``gossip_network``), rounds are played (``gossip_kernel``).
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.collection.gossip_network import Network, simulated_map, simulated_wide
from augury.predictors.gossip_states import MESSAGE_CLASSES, ActionGrid, Codes, Floats, GossipCost, present_peers

PARTS = ("choice", "judge")
"""Evaluated states are played twice, by different seeds: one part chooses the oracle's action, the other judges."""

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
MOST_PEERS_OF_MAPS = 900
_ROUNDS_AT_ONCE = 20_000


class GossipCollection(Parameters):
    """Networks, rounds and states."""

    networks: int = Field(default=60, ge=2)
    rounds: int = Field(default=4_000, ge=1, description="logged rounds of all networks together")
    states: int = Field(default=3, ge=1, description="evaluated states of each network")
    repeats: int = Field(default=60, ge=1, description="rounds per action of a state, and by each part of the seeds")
    promising: int = Field(default=12, ge=0, description="actions of a state that the part 'choice' plays more often")
    promising_repeats: int = Field(default=240, ge=1, description="further rounds of each of them")
    cost: GossipCost = Field(default=GossipCost(), description="by which actions are promising")
    peers: tuple[int, int] = Field(default=(4, 3_000), description="smallest and largest network, even in logarithm")
    links: int = Field(default=40, ge=1, description="others that a peer knows at the most")
    loss: tuple[float, float] = (0.0, 0.4)
    churn: tuple[float, float] = (0.0, 0.3)
    drift: float = Field(default=0.15, ge=0, description="step of loss and churn between rounds, of their range")
    loss_spread: float = Field(default=0.5, ge=0, le=1, description="loss of a link: the mean times 1 +- this")
    explore: float = Field(default=1.0, gt=0, le=1, description="share of rounds with a random action; others: default")
    default: tuple[int, int] = (6, 10)
    actions: ActionGrid = ActionGrid()
    copy_ms: dict[str, float] = {"control": 0.02, "small": 0.1, "medium": 1.0, "large": 5.0}


def collect_rounds(collection: GossipCollection, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate telemetry.

    Args:
        collection: What to simulate.
        seed: Seed of everything.

    Returns:
        Logged rounds with the columns of the event ``gossip_round``; and the evaluated states, see
        :func:`evaluate_states`.
    """
    from tqdm import tqdm

    _check_classes(collection.copy_ms)
    random = np.random.default_rng([seed, 0])
    networks = simulated_networks(collection, seed)
    logged, evaluated = [], []
    counts = np.diff(np.linspace(0, collection.rounds, collection.networks + 1).round().astype(int))
    for number, network in enumerate(tqdm(networks, total=collection.networks, desc="gossip", unit="network")):
        logged.append(log_rounds(network, int(counts[number]), collection, int(random.integers(2**62))))
        states = draw_states(network, collection.states, collection, int(random.integers(2**62)))
        evaluated.append(evaluate_states(network, states, collection, int(random.integers(2**62))))
    return pd.concat(logged, ignore_index=True), pd.concat(evaluated, ignore_index=True)


def simulated_networks(collection: GossipCollection, seed: int) -> Iterable[Network]:
    """Networks in turn: peers in regions of the world, and one operator's map."""
    random = np.random.default_rng([seed, 1])
    low, high = np.log(collection.peers[0]), np.log(collection.peers[1])
    # Sizes in strata, so that few networks cover the range too
    sizes = np.exp(
        low + (high - low) * (random.permutation(collection.networks) + random.random()) / collection.networks
    )
    for number, size in enumerate(np.maximum(sizes.round().astype(int), 2).tolist()):
        name = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=12).hexdigest()
        wide = number % 2 == 0 or size > MOST_PEERS_OF_MAPS
        draw = simulated_wide if wide else simulated_map
        yield draw(name, size, collection.links, collection.loss_spread, seed * 100_003 + 2 * number)


def log_rounds(network: Network, rounds: int, collection: GossipCollection, seed: int) -> pd.DataFrame:
    """Play rounds in which loss and churn drift and actions are drawn at random.

    Args:
        network: Where.
        rounds: How many, a minute apart.
        collection: Ranges and actions.
        seed: Seed.

    Returns:
        Rows of ``gossip_round``: loss and churn are those of their minute, the propensity is the probability with which
        the action was drawn.
    """
    random = np.random.default_rng(seed)
    pairs = collection.actions.pairs
    default = collection.actions.nearest(*collection.default)
    explored = random.random(rounds) < collection.explore
    action = np.where(explored, random.integers(0, len(pairs), rounds), default)
    uniform = collection.explore / len(pairs)
    table = pd.DataFrame(
        {
            "ts": START_MS + MINUTE_MS * np.arange(rounds),
            "network": network.name,
            "peers": network.peers,
            "loss": _walk(random, rounds, collection.loss, collection.drift),
            "churn": _walk(random, rounds, collection.churn, collection.drift),
            "rtt_p50_ms": round(network.rtt_p50_ms, 3),
            "rtt_p95_ms": round(network.rtt_p95_ms, 3),
            "message_class": random.choice(MESSAGE_CLASSES, rounds),
            "fanout": pairs[action, 0],
            "ttl": pairs[action, 1],
        }
    )
    found = play(network, table, table[["fanout", "ttl"]].to_numpy(), collection.copy_ms, random)
    table["messages"] = found[:, 0].astype(np.int64)
    table["duplicates"] = found[:, 1].astype(np.int64)
    table["coverage"] = found[:, 2].round(6)
    table["p95_ms"] = found[:, 3].round(3)
    table["policy"] = "uniform" if collection.explore == 1 else "explore"
    table["propensity"] = np.where(action == default, uniform + (1 - collection.explore), uniform)
    return table


def draw_states(network: Network, states: int, collection: GossipCollection, seed: int) -> pd.DataFrame:
    """Draw states of a network evenly from the ranges."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "state": [f"{network.name}-{number}" for number in range(states)],
            "network": network.name,
            "peers": network.peers,
            "loss": random.uniform(*collection.loss, states).round(4),
            "churn": random.uniform(*collection.churn, states).round(4),
            "rtt_p50_ms": round(network.rtt_p50_ms, 3),
            "rtt_p95_ms": round(network.rtt_p95_ms, 3),
            "message_class": random.choice(MESSAGE_CLASSES, states),
        }
    )


def evaluate_states(network: Network, states: pd.DataFrame, collection: GossipCollection, seed: int) -> pd.DataFrame:
    """Play every action in every state, by two parts of seeds that have nothing in common.

    The part that the oracle chooses by plays the cheapest actions of its first rounds more often: of 77 noisy means the
    smallest one is seldom the best action, and an oracle that errs would flatter everybody beside it.

    Args:
        network: Where.
        states: What :func:`draw_states` returned.
        collection: Actions and repeats.
        seed: Seed.

    Returns:
        One row per state, part and action: the state, ``seeds``, ``fanout``, ``ttl``, ``rounds``, and the means of
        ``messages``, ``duplicates``, ``coverage``, ``p95_ms``.
    """
    pairs = collection.actions.pairs
    parts = []
    for number, part in enumerate(PARTS):
        random = np.random.default_rng([seed, number])
        repeated = states.loc[states.index.repeat(len(pairs))].reset_index(drop=True)
        actions = np.tile(pairs, (len(states), 1))
        means = mean_outcomes(network, repeated, actions, collection.repeats, collection.copy_ms, random)
        counts = np.full(len(repeated), collection.repeats)
        if part == PARTS[0] and collection.promising:
            rows = _promising(repeated, means, collection)
            again = collection.promising_repeats
            further = mean_outcomes(network, repeated.iloc[rows], actions[rows], again, collection.copy_ms, random)
            means[rows] = (means[rows] * collection.repeats + further * again) / (collection.repeats + again)
            counts[rows] += again
        repeated["seeds"], repeated["fanout"], repeated["ttl"] = part, actions[:, 0], actions[:, 1]
        repeated["rounds"] = counts
        for place, name in enumerate(("messages", "duplicates", "coverage", "p95_ms")):
            repeated[name] = means[:, place].astype(np.float32)
        parts.append(repeated)
    return pd.concat(parts, ignore_index=True)


def _promising(states: pd.DataFrame, means: Floats, collection: GossipCollection) -> Codes:
    """Rows of each state's cheapest actions so far."""
    messages = means[:, 0] / present_peers(states["peers"], states["churn"])
    costs = collection.cost.of(means[:, 2], messages, means[:, 3]).reshape(-1, len(collection.actions.pairs))
    most = min(collection.promising, costs.shape[1])
    cheapest = np.argsort(costs, axis=1, kind="stable")[:, :most]
    return np.asarray((cheapest + np.arange(len(costs))[:, None] * costs.shape[1]).ravel(), dtype=np.int64)


def mean_outcomes(
    network: Network,
    states: pd.DataFrame,
    actions: Codes,
    repeats: int,
    copy_ms: dict[str, float],
    random: np.random.Generator,
) -> Floats:
    """Means of rounds, one row per row of states and actions: messages, duplicates, coverage, p95 (ms).

    Messages are scaled to the expected number of present peers, which is all that a telemetry row tells.
    """
    found = np.empty((len(states), 4))
    step = max(_ROUNDS_AT_ONCE // repeats, 1)
    for start in range(0, len(states), step):
        rows = states.iloc[start : start + step]
        often = rows.loc[rows.index.repeat(repeats)]
        played = play(network, often, np.repeat(actions[start : start + step], repeats, axis=0), copy_ms, random)
        # Copies per peer that is really there: rounds with fewer present peers send fewer copies
        played[:, 0] *= present_peers(often["peers"], often["churn"]) / played[:, 4]
        found[start : start + step] = played[:, :4].reshape(len(rows), repeats, 4).mean(axis=1)
    return found


def play(
    network: Network,
    states: pd.DataFrame,
    actions: npt.NDArray[Any],
    copy_ms: dict[str, float],
    random: np.random.Generator,
) -> Floats:
    """Play one round per row; see :func:`~augury.pipelines.collection.gossip_kernel.simulate`."""
    from augury.pipelines.collection.gossip_kernel import simulate

    return np.asarray(
        simulate(
            network.neighbours,
            network.delays_ms,
            network.loss_factors,
            network.degrees,
            states["loss"].to_numpy(dtype=np.float64),
            states["churn"].to_numpy(dtype=np.float64),
            states["message_class"].map(copy_ms).to_numpy(dtype=np.float64),
            np.ascontiguousarray(actions[:, 0], dtype=np.int64),
            np.ascontiguousarray(actions[:, 1], dtype=np.int64),
            random.integers(0, 2**63, len(states)).astype(np.uint64),
        )
    )


def _walk(random: np.random.Generator, steps: int, limits: Sequence[float], drift: float) -> Floats:
    """A random walk that is reflected at both ends of a range."""
    low, high = limits
    # Unfolded, a reflected walk is a walk on a line on which the range lies there and back again
    place = (random.random() + np.cumsum(random.normal(0, drift, steps))) % 2
    return np.asarray((low + (high - low) * np.where(place > 1, 2 - place, place)).round(4))


def _check_classes(copy_ms: dict[str, float]) -> None:
    if missing := sorted(set(MESSAGE_CLASSES) - set(copy_ms)):
        raise UserError(f"Parameter 'gossip_tuning.collection.copy_ms' has no time for: {', '.join(missing)}.")
