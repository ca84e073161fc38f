"""What came of every action in evaluated states, and what the best one would have been."""

from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.predictors.gossip_states import PREDICTOR, ActionGrid, Codes, Floats, GossipCost, present_peers

CHOSEN_BY, JUDGED = "choice", "judge"
"""Parts of the outcomes, played by different seeds: the oracle chooses by the one, all are judged by the other. An
oracle that chose by what judges it would seem better than any action is."""


def action_name(fanout: Any, ttl: Any) -> str:
    """What an action is called: ``fanout/ttl``."""
    return f"{int(fanout)}/{int(ttl)}"


def outcomes_on_grid(outcomes: pd.DataFrame, cases: pd.Series, grid: ActionGrid, seeds: str) -> Floats:
    """Known outcomes in the order of cases and actions.

    Args:
        outcomes: One row per case, part of the seeds and action.
        cases: Names of the cases, each once.
        grid: The actions.
        seeds: Which part.

    Returns:
        Coverage, messages per node and p95 (ms), shape (cases, actions, 3).

    Raises:
        UserError: An outcome is missing.
    """
    rows = outcomes[outcomes["seeds"] == seeds]
    place = pd.Index(cases).get_indexer(rows["case"])
    inside = place >= 0
    inside &= rows["fanout"].isin(grid.fanouts).to_numpy() & rows["ttl"].isin(grid.ttls).to_numpy()
    rows, place = rows[inside], place[inside]
    table = np.full((len(cases), len(grid.pairs), 3), np.nan)
    values = rows[["coverage", "messages_per_node", "p95_ms"]].to_numpy(dtype=np.float64)
    table[place, grid.place(rows["fanout"].to_numpy(), rows["ttl"].to_numpy())] = values
    missing = np.isnan(table).any(axis=(1, 2))
    if missing.any():
        raise UserError(
            f"{PREDICTOR}: of {int(missing.sum())} of {len(cases)} states the outcome of an action is not known "
            f"(seeds '{seeds}'), for example of '{cases.to_numpy()[missing][0]}'."
        )
    return table


def oracle_actions(outcomes: pd.DataFrame, cases: pd.Series, grid: ActionGrid, cost: GossipCost) -> Codes:
    """The cheapest action of every case by the part of the seeds that does not judge, shape (cases,)."""
    known = outcomes_on_grid(outcomes, cases, grid, CHOSEN_BY)
    return np.asarray(cost.of(known[..., 0], known[..., 1], known[..., 2]).argmin(axis=1), dtype=np.int64)


def floor_oracle_actions(outcomes: pd.DataFrame, cases: pd.Series, grid: ActionGrid, cost: GossipCost) -> Codes:
    """As :func:`oracle_actions`, among the actions that hold the floor; where none does, the one that covers most."""
    known = outcomes_on_grid(outcomes, cases, grid, CHOSEN_BY)
    costs, coverage = cost.of(known[..., 0], known[..., 1], known[..., 2]), known[..., 0]
    holds = coverage >= cost.floor
    cheapest = np.where(holds, costs, np.inf).argmin(axis=1)
    return np.asarray(np.where(holds.any(axis=1), cheapest, coverage.argmax(axis=1)), dtype=np.int64)


def reachable(outcomes: pd.DataFrame, cases: pd.Series, grid: ActionGrid, floor: float) -> Any:
    """Whether an action holds the floor, by the mean of both parts; shape (cases,)."""
    both = [outcomes_on_grid(outcomes, cases, grid, seeds)[..., 0] for seeds in (CHOSEN_BY, JUDGED)]
    return np.mean(both, axis=0).max(axis=1) >= floor


def messages_per_node(messages: pd.Series, peers: pd.Series, churn: pd.Series) -> Floats:
    """Copies sent per present peer."""
    return np.asarray(messages.to_numpy(dtype=np.float64) / present_peers(peers, churn))
