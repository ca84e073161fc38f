"""How much the tuner of gossip depends on the networks and the number of rounds it saw: folds of training networks."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury import engines
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training.gossip_baselines import TRAIN, best_fixed
from augury.pipelines.model_training.response_surface import FEWEST_ROUNDS, ResponseSurfaceModel, fit_tuner
from augury.predictors.contract import DataFacts
from augury.predictors.gossip_outcomes import JUDGED, oracle_actions, outcomes_on_grid
from augury.predictors.gossip_states import PREDICTOR

PROVENANCE: dict[str, Any] = {"versions": {}, "git_commit": None, "created_at": ""}


class GossipValidation(Parameters):
    """How the folds are made."""

    folds: int = Field(default=4, ge=0, description="groups of networks; below 2: no validation")
    sizes: tuple[int, ...] = Field(default=(250, 500, 1_000), description="logged rounds of the learning curve")
    most_loss: float = Field(default=0.3, description="coverage is judged in states up to this loss")


class Fold(NamedTuple):
    """Rounds to learn from, and states to be judged by."""

    rounds: pd.DataFrame
    known_states: pd.DataFrame
    """Of the networks that are learned from."""
    states: pd.DataFrame


def grouped_network_folds(rounds: pd.DataFrame, states: pd.DataFrame, folds: int, seed: int) -> Iterator[Fold]:
    """Divide training networks; none is on both sides of a fold.

    Args:
        rounds: Logged rounds of training networks.
        states: Evaluated states of training networks.
        folds: How many; not more than there are evaluated networks.
        seed: Of the division.

    Yields:
        Folds that can be judged.
    """
    names = sorted(states["network"].unique(), key=lambda name: hashlib.blake2b(f"{seed}/{name}".encode()).digest())
    count = min(folds, len(names))
    for number in range(count if count > 1 else 0):
        outer = set(names[number::count])
        inner = rounds[~rounds["network"].isin(outer)]
        judged = states["network"].isin(outer)
        if len(inner) >= FEWEST_ROUNDS:
            yield Fold(inner, states[~judged], states[judged].reset_index(drop=True))


def validate_gossip_tuner(
    features_rounds: Any,
    features_states: Any,
    features_outcomes: Any,
    best_params: dict[str, Any],
    model: ResponseSurfaceModel,
    validation: GossipValidation,
    seed: int,
) -> dict[str, Any]:
    """Train on some training networks and judge on the others, with all rounds and with few.

    Args:
        features_rounds: Logged rounds of training networks.
        features_states: Evaluated states; only those of training networks are looked at.
        features_outcomes: What came of every action.
        best_params: What tuning found.
        model: Parameters.
        validation: Folds and sizes.
        seed: Seed.

    Returns:
        ``metrics`` (``cv_<metric>_mean``, ``cv_<metric>_sd``) and ``tables``: each fold, and the learning curve.
        Metrics are the regret, the saving over the best fixed pair of the fold's other networks, and the share of
        states whose coverage is at the floor.
    """
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    rounds, states, outcomes = (
        engines.to_pandas(frame) for frame in (features_rounds, features_states, features_outcomes)
    )
    folds = list(grouped_network_folds(rounds, states[states["split"] == TRAIN], validation.folds, seed))
    if not folds:
        return {"metrics": {}, "tables": {}}
    largest = min(len(fold.rounds) for fold in folds)
    sizes = [*(size for size in sorted(validation.sizes) if size < largest and size >= FEWEST_ROUNDS), None]
    found: list[dict[str, Any]] = []
    fixed = [best_fixed(fold.known_states, outcomes, model.actions, model.cost) for fold in folds]
    work = [(size, number) for size in sizes for number in range(len(folds))]
    for size, number in tqdm(work, desc="validation", unit="fit"):
        fold = folds[number]
        part = fold.rounds if size is None else fold.rounds.sample(size, random_state=seed).sort_index()
        row = judge_fold(part, fold, outcomes, fixed[number], model, validation.most_loss, seed)
        found.append({"rounds": len(part), "all": size is None, "fold": number + 1, **row})
    table = pd.DataFrame(found)
    names = ["regret", "saving_over_best_fixed", "coverage_share"]
    final = table[table["all"]]
    metrics = {}
    for name in names:
        metrics[f"cv_{name}_mean"] = float(final[name].mean())
        metrics[f"cv_{name}_sd"] = float(final[name].std(ddof=1)) if len(final) > 1 else 0.0
    table["rounds"] = np.where(table["all"], int(final["rounds"].mean()), table["rounds"])
    curve = table.groupby("rounds")[names].agg(["mean", "std"])
    curve.columns = pd.Index(["_".join(map(str, pair)) for pair in curve.columns])
    return {
        "metrics": metrics,
        "tables": {
            "Folds of training networks": _records(final.drop(columns="all")),
            "Learning curve (folds)": _records(curve.reset_index()),
        },
    }


def judge_fold(
    rounds: pd.DataFrame,
    fold: Fold,
    outcomes: pd.DataFrame,
    fixed: int,
    model: ResponseSurfaceModel,
    most_loss: float,
    seed: int,
) -> dict[str, float]:
    """Train on rounds, judge on the fold's states, beside one fixed pair."""
    facts = DataFacts(fingerprint="", rows=len(rounds), groups=0, origin={})
    tuner, _ = fit_tuner(rounds, model, seed, facts, PROVENANCE)
    played = tuner.replay(fold.states, features_outcomes=outcomes)
    rows = np.arange(len(fold.states))
    known = outcomes_on_grid(outcomes, fold.states["case"], model.actions, JUDGED)
    costs = model.cost.of(known[..., 0], known[..., 1], known[..., 2])
    oracle = costs[rows, oracle_actions(outcomes, fold.states["case"], model.actions, model.cost)].sum()
    total = played["cost"].sum()
    asked = (fold.states["loss"] <= most_loss).to_numpy()
    held = (played["coverage"] >= model.cost.floor).to_numpy()[asked]
    return {
        "states": len(fold.states),
        "regret": float(total / oracle - 1),
        "saving_over_best_fixed": float(1 - total / costs[:, fixed].sum()),
        "coverage_share": float(held.mean()) if len(held) else 1.0,
    }


def _records(table: pd.DataFrame) -> Sequence[dict[str, Any]]:
    rows: Any = table.round(4).replace({np.nan: None}).to_dict("records")
    return [dict(row) for row in rows]
