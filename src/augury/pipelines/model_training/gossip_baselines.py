"""The rules that the tuner of gossip has to beat."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.model_training.response_surface import ResponseSurfaceModel
from augury.pipelines.model_training.tabular_q_learning import ORIGINAL, QLearning, greedy_actions, learn_q_table
from augury.predictors.gossip_outcomes import CHOSEN_BY, JUDGED, outcomes_on_grid
from augury.predictors.gossip_states import PREDICTOR, ActionGrid, GossipCost

TRAIN, HOLDOUT = "train", "holdout"
Floats = npt.NDArray[np.float64]


class GossipBaselines(Parameters):
    """The rules."""

    default: tuple[int, int] = Field(default=(6, 10), description="fanout and ttl of networks that nobody tunes")
    floor_share: float = Field(
        default=0.95, ge=0, le=1, description="states in which 'best_fixed_at_floor' has to hold the floor"
    )
    most_loss: float = Field(default=0.3, ge=0, lt=1, description="up to this loss a state counts for that")
    q_learning: QLearning = QLearning()
    q_learning_original: QLearning = ORIGINAL


def choose_gossip_baselines(
    features_rounds: Any,
    features_states: Any,
    features_outcomes: Any,
    model: ResponseSurfaceModel,
    baselines: GossipBaselines,
) -> pd.DataFrame:
    """Let every rule choose for all held-out states.

    Args:
        features_rounds: Observed rounds of the training networks.
        features_states: Evaluated states: ``case``, ``split``, the state.
        features_outcomes: What came of every action in them.
        model: For actions and cost.
        baselines: The rules.

    Returns:
        One row per rule and held-out state: ``policy``, ``case``, ``fanout``, ``ttl``. ``best_fixed`` is the pair that
        costs least in the training networks' evaluated states, all seeds: more than its 2,000 logged rounds could say.
        ``best_fixed_at_floor`` is the cheapest that holds the floor as often as the tuner is asked to.

    Raises:
        UserError: There is no evaluated state of training networks.
    """
    rounds, states, outcomes = (
        engines.to_pandas(frame) for frame in (features_rounds, features_states, features_outcomes)
    )
    grid, cost = model.actions, model.cost
    asked = states[states["split"] == HOLDOUT].reset_index(drop=True)
    default = grid.nearest(*baselines.default)
    known = states[states["split"] == TRAIN]
    mean = mean_outcomes(known, outcomes, grid)
    chosen = {
        "default": np.full(len(asked), default),
        "best_fixed": np.full(len(asked), cheapest_pair(mean, known["loss"], cost)),
        "best_fixed_at_floor": np.full(
            len(asked), cheapest_pair(mean, known["loss"], cost, baselines.floor_share, baselines.most_loss)
        ),
    }
    for name, settings in (
        ("q_learning_original", baselines.q_learning_original),
        ("q_learning", baselines.q_learning),
    ):
        chosen[name] = greedy_actions(learn_q_table(rounds, grid, cost, settings), asked, settings, default)
    pairs = grid.pairs
    return pd.concat(
        [
            pd.DataFrame({"policy": name, "case": asked["case"], "fanout": pairs[rows, 0], "ttl": pairs[rows, 1]})
            for name, rows in chosen.items()
        ],
        ignore_index=True,
    )


def best_fixed(
    states: pd.DataFrame,
    outcomes: pd.DataFrame,
    grid: ActionGrid,
    cost: GossipCost,
    floor_share: float = 0.0,
    most_loss: float = 1.0,
) -> int:
    """Row of the pair that costs least in all of some evaluated states together.

    Args:
        states: Evaluated states: ``case``, ``loss``.
        outcomes: What came of every action in them.
        grid: The actions.
        cost: Floor and weights.
        floor_share: See :func:`cheapest_pair`.
        most_loss: See :func:`cheapest_pair`.

    Raises:
        UserError: There is no state.
    """
    return cheapest_pair(mean_outcomes(states, outcomes, grid), states["loss"], cost, floor_share, most_loss)


def mean_outcomes(states: pd.DataFrame, outcomes: pd.DataFrame, grid: ActionGrid) -> Floats:
    """What came of every action, the mean of both parts of the seeds.

    Args:
        states: Evaluated states: ``case``.
        outcomes: What came of every action in them.
        grid: The actions.

    Returns:
        Coverage, messages per node and p95 (ms), shape (states, actions, 3).

    Raises:
        UserError: There is no state, or an outcome is missing.
    """
    if states.empty:
        raise UserError(
            f"{PREDICTOR}: no evaluated state is of a training network; the best fixed pair cannot be chosen. Evaluate "
            f"more networks or lower {PREDICTOR}.split.holdout_share."
        )
    known = [outcomes_on_grid(outcomes, states["case"], grid, seeds) for seeds in (CHOSEN_BY, JUDGED)]
    return np.asarray(np.mean(known, axis=0))


def cheapest_pair(
    mean: Floats, losses: pd.Series, cost: GossipCost, floor_share: float = 0.0, most_loss: float = 1.0
) -> int:
    """Row of the pair that costs least in all states together.

    Args:
        mean: What :func:`mean_outcomes` returned.
        losses: Of the same states.
        cost: Floor and weights.
        floor_share: Only pairs count that hold the floor in this share of the states in which any pair does; if none
            does so often, those that do so most often.
        most_loss: For that share only states count with a loss up to this.
    """
    holds = mean[..., 0] >= cost.floor
    asked = holds.any(axis=1) & (losses <= most_loss).to_numpy()
    share = holds[asked].mean(axis=0) if asked.any() else np.ones(mean.shape[1])
    costs = cost.of(mean[..., 0], mean[..., 1], mean[..., 2]).sum(axis=0)
    return int(np.where(share >= min(floor_share, share.max()), costs, np.inf).argmin())
