"""The response surface: what fanout and hops do in a state, as theory corrected by boosted trees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.predictors.gossip_differences import COORDINATES, functions_of
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


MOST_EXPECTED = 0.1
"""Rounds that are expected to miss more say how an epidemic dies, not what the actions in question miss: with them, the
surface of a network's own rounds was up to a sixth below what pairs near the floor really miss."""

DIED = 0.5
"""Where few are expected to be missed, a round that misses more than this ended at its start."""

LEAST_CHANCE = 0.01
"""Where it is less probable that theory's share of rounds ended at their start so often, something else is wrong."""

FEW_PEERS = 20
"""Up to here rounds are not told apart: where one peer is much, so are those that end at their start."""

_MOST_DYING = 0.9
_COORDINATES = [FEATURES.index(name) for name in COORDINATES]


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
    dies: Floats
    """What rounds that end at their start contribute to ``miss``."""

    @property
    def spread(self) -> Floats:
        """What all other rounds contribute to it: networks differ in this."""
        return self.miss - self.dies


class Observation(NamedTuple):
    """Rounds beside what is expected of them, shape (rounds,)."""

    missed: Floats
    """Share of peers, comparable with ``Theory.spread``."""
    counts: npt.NDArray[np.bool_]
    """Rounds that did not end at their start."""
    near: npt.NDArray[np.bool_]
    """Those among them that speak of actions that few are missed by."""


class Differences(NamedTuple):
    """How networks may differ in rows, in standard deviations of log(missed share)."""

    columns: Floats
    """Of each parameter of a network (``gossip_differences``), shape (rows, parameters)."""
    rest: Floats
    """Variance that no parameter tells, shape (rows,)."""


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
    """Standard deviation of a network's own function, which differs from action to action and state to state."""

    def differences(self, theory: Theory) -> Differences:
        """How far networks may lie from what is expected, row by row."""
        columns, rest = functions_of(theory.matrix[:, _COORDINATES])
        between = self.base + self.clustered * theory.clustering
        return Differences(np.column_stack([between, self.residual * columns]), self.residual**2 * rest)


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
        np.where(peers > FEW_PEERS, np.minimum(expected.dies, _MOST_DYING * miss), 0),
    )


def observe(missed: Floats, theory: Theory, networks: npt.NDArray[Any]) -> Observation:
    """Tell rounds that ended at their start from those that spread.

    One that ends at once misses all, and weighs as much as hundred others; how often that happens depends on the first
    peer's copies only, which theory knows. The others' misses vary by a fraction of that: they say much more of a
    network without it. A network in which more rounds miss most peers than chance explains is another matter: all of
    its rounds are taken as they are.

    Args:
        missed: Share of the present peers, shape (rounds,).
        theory: Of these rounds.
        networks: Of each round, shape (rounds,).
    """
    from scipy.special import gammainc

    apart = (theory.spread <= MOST_EXPECTED) & (theory.dies > 0)
    died = apart & (missed > DIED)
    _, codes = np.unique(networks.astype(str), return_inverse=True)
    found, expected = (np.bincount(codes, weights=values) for values in (died, np.where(apart, theory.dies, 0)))
    chance = np.where(found > 0, gammainc(np.maximum(found, 1), expected), 1)  # of a Poisson number of so many or more
    apart &= (chance >= LEAST_CHANCE)[codes]
    counts = ~(apart & died)
    values = np.where(apart, missed * (1 - theory.dies), np.maximum(missed - theory.dies, 0))
    return Observation(values, counts, counts & (theory.spread <= MOST_EXPECTED))


def observe_rounds(rounds: pd.DataFrame, theory: Theory) -> Observation:
    """:func:`observe` rounds with ``network`` and ``coverage``."""
    return observe(1 - rounds["coverage"].to_numpy(dtype=np.float64), theory, rounds["network"].to_numpy())


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
        return np.clip(theory.dies + self.spread(theory), LEAST_MISS / 100, 1)

    def spread(self, theory: Theory) -> Floats:
        """The part of it that does not come of rounds that end at their start."""
        logs = np.mean([self.factors(name, theory.matrix) for name in self.miss_names], axis=0)
        return np.asarray(theory.spread * np.exp(logs))

    def outcomes(
        self, theory: Theory, actions: int, bound: Bound, effect: Floats | None = None, doubt: Floats | None = None
    ) -> Outcomes:
        """Predict every action.

        Args:
            theory: What :func:`on_grid` returned.
            actions: How many there are.
            bound: How cautious the bound is.
            effect: Parameters of each state's network, shape (states, parameters); see ``gossip_corrections``. None:
                zeros.
            doubt: A factor of their covariance (such as Cholesky's), shape (states, parameters, parameters). None:
                nothing is known of the networks.

        Returns:
            Outcomes.
        """
        shape = (-1, actions)
        logs = np.stack([self.factors(name, theory.matrix) for name in self.miss_names])
        differences = bound.differences(theory)
        columns = differences.columns.reshape(*shape, differences.columns.shape[1])
        centre = (np.log(theory.spread) + logs.mean(axis=0)).reshape(shape)
        if effect is not None:
            centre = centre + np.einsum("sap,sp->sa", columns, effect)
        spread = logs.std(axis=0, ddof=1).reshape(shape) if self.members > 1 else np.zeros_like(centre)
        own = np.sum((columns if doubt is None else columns @ doubt) ** 2, axis=2)
        doubted = np.exp(bound.z * np.sqrt(spread**2 + own + differences.rest.reshape(shape)))
        miss = theory.dies.reshape(shape) + np.exp(centre)
        return Outcomes(
            np.clip(miss, LEAST_MISS / 100, 1),
            np.clip(miss * doubted, LEAST_MISS / 100, 1),  # rounds that end at their start are doubted no less
            (theory.messages * np.exp(self.factors(MESSAGES, theory.matrix))).reshape(shape),
            (theory.p95_ms * np.exp(self.factors(DELAY, theory.matrix))).reshape(shape),
        )


def monotone(miss: Floats, grid: ActionGrid) -> Floats:
    """Let no action miss less than one with more of both; shape (states, actions) as given."""
    table = miss.reshape(-1, len(grid.fanouts), len(grid.ttls))
    for axis in (1, 2):
        table = np.flip(np.maximum.accumulate(np.flip(table, axis), axis=axis), axis)
    return table.reshape(miss.shape)
