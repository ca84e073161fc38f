"""Tabular Q-learning on logged rounds: the original's, with its mistakes, and a repaired one."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.gossip_states import ActionGrid, Codes, Floats, GossipCost

LEAST_BANDWIDTH = 0.1


class QLearning(Parameters):
    """How a table of values is learned from a log."""

    reward: Literal["coverage_per_message", "cost"] = Field(
        default="cost", description="what a round is worth: coverage / messages per node, or less what it costs"
    )
    next_state: Literal["same", "observed"] = Field(
        default="observed", description="where a round leads to: nowhere, as the original has it, or what came next"
    )
    gamma: float = Field(default=0.95, ge=0, lt=1)
    learning_rate: float = Field(default=0.1, ge=0, le=1, description="0: the mean of all visits")
    sweeps: int = Field(default=20, ge=1, description="times that the log is gone through")
    loss_edges: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    churn_edges: tuple[float, ...] = (0.1, 0.2)
    peers_edges: tuple[float, ...] = (30, 200)


class QTable(NamedTuple):
    """Learned values."""

    values: Floats
    """(states, actions)"""
    visits: Codes
    """(states, actions): rounds seen, times the sweeps."""


ORIGINAL = QLearning(reward="coverage_per_message", next_state="same")


def state_cells(table: pd.DataFrame, settings: QLearning) -> Codes:
    """Cell of each row's state, shape (rows,)."""
    cell = np.zeros(len(table), dtype=np.int64)
    for name in ("loss", "churn", "peers"):
        edges = np.asarray(getattr(settings, f"{name}_edges"))
        cell = cell * (len(edges) + 1) + np.searchsorted(edges, table[name].to_numpy(dtype=np.float64), side="right")
    return cell


def learn_q_table(rounds: pd.DataFrame, grid: ActionGrid, cost: GossipCost, settings: QLearning) -> QTable:
    """Learn from logged rounds.

    Args:
        rounds: ``network``, ``ts``, the state, ``fanout``, ``ttl``, ``coverage``, ``messages_per_node``, ``p95_ms``.
        grid: The actions.
        cost: What outcomes cost.
        settings: How to learn.

    Returns:
        The table. The state after a round is that of the network's next one.
    """
    from augury.pipelines.model_training.q_learning_kernel import sweep

    rounds = rounds.sort_values(["network", "ts"], kind="stable")
    states = state_cells(rounds, settings)
    actions = grid.place(rounds["fanout"].to_numpy(), rounds["ttl"].to_numpy())
    coverage, messages, delay = (
        rounds[name].to_numpy(dtype=np.float64) for name in ("coverage", "messages_per_node", "p95_ms")
    )
    if settings.reward == "cost":
        rewards = -cost.of(coverage, messages, delay)
    else:
        rewards = coverage / np.maximum(messages, LEAST_BANDWIDTH)
    networks = rounds["network"].astype(str).to_numpy()
    following = states.copy()
    if settings.next_state == "observed":
        following[:-1] = np.where(networks[1:] == networks[:-1], states[1:], -1)
        following[-1:] = -1
    cells = int(np.prod([len(getattr(settings, f"{name}_edges")) + 1 for name in ("loss", "churn", "peers")]))
    values = np.zeros((cells, len(grid.pairs)))
    visits = np.zeros(values.shape, dtype=np.int64)
    for _ in range(settings.sweeps):
        sweep(values, visits, states, actions, rewards, following, settings.gamma, settings.learning_rate)
    return QTable(values, visits)


def greedy_actions(table: QTable, states: pd.DataFrame, settings: QLearning, default: int) -> Codes:
    """The best visited action of each state; the default where none was visited."""
    cells = state_cells(states, settings)
    seen = table.visits[cells] > 0
    best = np.where(seen, table.values[cells], -np.inf).argmax(axis=1)
    return np.where(seen.any(axis=1), best, default)
