"""The response surface: what fanout and hops do in a state, as theory corrected by boosted trees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.predictors.gossip_final_size import LEAST_MISS, final_miss, finite_size
from augury.predictors.gossip_mean_field import MeanField, mean_field
from augury.predictors.gossip_states import ActionGrid, Floats
from augury.predictors.lightgbm_trees import open_booster, sums_of_leaves

FEATURES = (
    "log_expected_miss",
    "log_excess_of_hops",
    "fanout",
    "ttl",
    "reproduction",
    "log_peers",
    "loss",
    "churn",
    "log_rtt_spread",
    "copy_share",
    "spare_hops",
    "clustering",
)
"""Columns of the trees' matrix."""

MISS_CONSTRAINTS = (1, 1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0)
"""The share that does not hear it rises with the expected one and falls with fanout and hops."""

MESSAGES, DELAY = "messages", "delay"
MOST_CLUSTERING = 2.0
LARGEST_LOG = 6.0
"""Trees change an expectation by no more than this logarithm."""


class Outcomes(NamedTuple):
    """Expected outcomes of every action in every state, shape (states, actions)."""

    miss: Floats
    miss_upper: Floats
    """Upper confidence bound of the share that does not hear it."""
    messages: Floats
    """Per present peer."""
    p95_ms: Floats


class Theory(NamedTuple):
    """Expectations before any tree, shape (rows,), and the trees' matrix."""

    miss: Floats
    messages: Floats
    p95_ms: Floats
    matrix: npt.NDArray[np.float64]
    """(rows, features), values of float32: ONNX' trees compare in it."""
    clustering: Floats
    """How much more do not hear it if links are fast in clusters, as a logarithm, 0 to 2."""


@dataclass(frozen=True)
class Bound:
    """How far the share that does not hear a message may lie above its estimate, as a logarithm."""

    z: float
    """Standard deviations that the bound lies above the estimate."""
    base: float
    """Standard deviation between networks that states do not tell apart."""
    clustered: float
    """What is added to it for every unit of what clusters of fast links would change."""
    residual: float
    """Standard deviation between states of one network that trees do not tell apart."""

    def between(self, clustering: Floats) -> Floats:
        """Standard deviation between networks, of the shape that is given."""
        return self.base + self.clustered * clustering


def theory_of(
    states: pd.DataFrame, fanout: npt.NDArray[Any], ttl: npt.NDArray[Any], copy_ms: Mapping[str, float]
) -> Theory:
    """Expectations and features of rows.

    Args:
        states: What :func:`~augury.predictors.gossip_states.complete_states` returned, one row per round.
        fanout: Shape (rounds,).
        ttl: Shape (rounds,).
        copy_ms: Message class -> time to send one copy.

    Returns:
        Theory; every row depends on itself alone.
    """
    peers, loss, churn, p50, p95 = (
        states[name].to_numpy(dtype=np.float64) for name in ("peers", "loss", "churn", "rtt_p50_ms", "rtt_p95_ms")
    )
    fanout, ttl = np.asarray(fanout, dtype=np.float64), np.asarray(ttl, dtype=np.float64)
    copy: Floats = np.asarray(states["message_class"].map(copy_ms), dtype=np.float64)
    expected: MeanField = mean_field(peers, loss, churn, p50, p95, copy, fanout, ttl)
    even = mean_field(peers, loss, churn, p50, p95, copy, fanout, ttl, near_share=0)
    clustering = np.clip(np.log(expected.miss / even.miss), 0, MOST_CLUSTERING)
    excess = np.log(expected.miss) - np.log(final_miss(peers, loss, churn, fanout))
    chance = finite_size(peers, loss, churn, fanout)
    miss = np.clip(expected.miss * chance, LEAST_MISS, 1)
    matrix = np.column_stack(
        [
            np.log(miss),
            excess,
            fanout,
            ttl,
            expected.reproduction,
            np.log(peers),
            loss,
            churn,
            np.log(p95 / p50),
            copy / p50,
            ttl - expected.hops,
            clustering,
        ]
    )
    return Theory(
        miss,
        expected.messages,
        expected.p95_ms,
        matrix.astype(np.float32).astype(np.float64),
        clustering,
    )


def on_grid(states: pd.DataFrame, grid: ActionGrid, copy_ms: Mapping[str, float]) -> Theory:
    """Theory of every action in every state; rows are states x actions, action by action within a state."""
    pairs = grid.pairs
    repeated = states.loc[states.index.repeat(len(pairs))] if states.index.is_unique else _repeat(states, len(pairs))
    return theory_of(repeated, np.tile(pairs[:, 0], len(states)), np.tile(pairs[:, 1], len(states)), copy_ms)


def _repeat(states: pd.DataFrame, times: int) -> pd.DataFrame:
    return states.iloc[np.repeat(np.arange(len(states)), times)]


class Surface:
    """Trees on theory: of the miss several, fitted to resampled networks, of messages and delay one each."""

    def __init__(self, trees: Mapping[str, str], members: int) -> None:
        """Keep the trees.

        Args:
            trees: LightGBM's text format by name: ``miss_0`` ..., ``messages``, ``delay``.
            members: How many of the miss.
        """
        self.trees = dict(trees)
        self.members = members
        self._open: dict[str, Any] = {}

    @property
    def miss_names(self) -> Sequence[str]:
        """Names of the trees of the miss."""
        return [f"miss_{number}" for number in range(self.members)]

    def factors(self, name: str, matrix: npt.NDArray[np.float64]) -> Floats:
        """Logarithm of what the expectation is multiplied by, shape (rows,)."""
        if name not in self._open:
            self._open[name] = open_booster(self.trees[name], f"'{name}'")
        return np.clip(sums_of_leaves(self._open[name], matrix), -LARGEST_LOG, LARGEST_LOG)

    def miss(self, theory: Theory) -> Floats:
        """Expected share that does not hear the message, row by row and without a bound; shape (rows,)."""
        logs = np.mean([self.factors(name, theory.matrix) for name in self.miss_names], axis=0)
        return np.asarray(np.clip(theory.miss * np.exp(logs), LEAST_MISS / 100, 1))

    def outcomes(
        self, theory: Theory, actions: int, bound: Bound, effect: Floats | float = 0.0, doubt: Floats | float = 1.0
    ) -> Outcomes:
        """Predict every action.

        Args:
            theory: What :func:`on_grid` returned.
            actions: How many there are.
            bound: How cautious the bound is.
            effect: How far each state's network differs from others, in standard deviations between networks, shape
                (states,); see ``gossip_corrections``.
            doubt: Standard deviation of that, shape (states,): 1 where nothing is known of the network.

        Returns:
            Outcomes.
        """
        shape = (-1, actions)
        logs = np.stack([self.factors(name, theory.matrix) for name in self.miss_names])
        between = bound.between(theory.clustering).reshape(shape)
        centre = (np.log(theory.miss) + logs.mean(axis=0)).reshape(shape)
        centre = centre + between * np.broadcast_to(np.asarray(effect, dtype=np.float64), (len(centre),))[:, None]
        spread = logs.std(axis=0, ddof=1).reshape(shape) if self.members > 1 else np.zeros_like(centre)
        own = between * np.broadcast_to(np.asarray(doubt, dtype=np.float64), (len(centre),))[:, None]
        upper = centre + bound.z * np.sqrt(spread**2 + own**2 + bound.residual**2)
        return Outcomes(
            np.clip(np.exp(centre), LEAST_MISS / 100, 1),
            np.clip(np.exp(upper), LEAST_MISS / 100, 1),
            (theory.messages * np.exp(self.factors(MESSAGES, theory.matrix))).reshape(shape),
            (theory.p95_ms * np.exp(self.factors(DELAY, theory.matrix))).reshape(shape),
        )


def monotone(miss: Floats, grid: ActionGrid) -> Floats:
    """Let no action miss less than one with more of both; shape (states, actions) as given."""
    table = miss.reshape(-1, len(grid.fanouts), len(grid.ttls))
    for axis in (1, 2):
        table = np.flip(np.maximum.accumulate(np.flip(table, axis), axis=axis), axis)
    return table.reshape(miss.shape)
