"""Tuning of ``gossip_tuning``: Poisson deviance of the missed share in training networks that a fold did not see."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.response_surface import (
    FEWEST_ROUNDS,
    ResponseSurfaceModel,
    missed_of,
    rounds_theory,
)
from augury.pipelines.model_training.surface_trees import fit_factors
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.training_split import describe_model
from augury.predictors.gossip_states import PREDICTOR
from augury.predictors.gossip_surface import MISS_CONSTRAINTS
from augury.predictors.lightgbm_trees import open_booster, sums_of_leaves

METRIC = "miss_deviance"
LEAST = 1e-6


class GossipSearch(SearchSettings):
    """How the response surface is tuned."""

    delta: float | None = Field(default=0.002, ge=0, description="see SearchSettings")
    folds: int = Field(default=4, ge=2, description="groups of networks")


class ResponseSurfaceProblem:
    """Weighted Poisson deviance of one round's missed share, on networks that the fit did not see."""

    direction: Direction = "minimize"

    def __init__(self, rounds: pd.DataFrame, model: ResponseSurfaceModel, folds: int, seed: int) -> None:
        """Divide the networks.

        Args:
            rounds: Logged rounds of training networks.
            model: Parameters as they are.
            folds: How many groups.
            seed: Of groups and fits.

        Raises:
            UserError: There are fewer networks than folds, or too few rounds.
        """
        names = np.unique(rounds["network"].astype(str))
        if len(names) < folds:
            raise UserError(
                f"{PREDICTOR}: {len(names)} networks are too few for {folds} folds; bring more or lower "
                f"{PREDICTOR}.tuning.folds."
            )
        self.predictor, self.metric, self.rows = PREDICTOR, METRIC, len(rounds)
        self._model, self._seed = model, seed
        order = np.random.default_rng(seed).permutation(len(names))
        group = pd.Series(order % folds, index=names)
        side = group.loc[rounds["network"].astype(str)].to_numpy()
        self._folds = [(rounds[side != fold], rounds[side == fold]) for fold in range(folds)]
        if min(len(inner) for inner, _ in self._folds) < FEWEST_ROUNDS:
            raise UserError(f"{PREDICTOR}: a fold has fewer than {FEWEST_ROUNDS} rounds to learn from; bring more.")
        self.fold_costs = [float(len(inner)) for inner, _ in self._folds]
        self.fingerprint: dict[str, str] = {"data": fingerprint(rounds), "model": describe_model(model)}

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        inner, outer = self._folds[fold]
        model = with_values(self._model, parameters)
        known = missed_of(inner, rounds_theory(inner, model), model)
        text, _ = fit_factors(known, model.miss, self._seed, MISS_CONSTRAINTS)
        held = missed_of(outer, rounds_theory(outer, model), model)
        factors = np.exp(sums_of_leaves(open_booster(text, "a trial"), held.matrix))
        expected, missed = np.clip(held.expected * factors, LEAST, 1), np.maximum(held.values, 0)
        parts = np.where(missed > 0, missed * np.log(np.maximum(missed, LEAST) / expected), 0) - (missed - expected)
        return float(2 * (held.weight * parts).sum() / (held.weight * held.expected).sum())


def tune_gossip(
    features_rounds: Any,
    model: ResponseSurfaceModel,
    tuning: GossipSearch,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune the trees of the missed share.

    Args:
        features_rounds: Logged rounds of training networks.
        model: Parameters as they are: the first trial.
        tuning: How to search, and where.
        seed: Seed of folds, fits and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`.

    Raises:
        UserError: The space does not fit the model, or the rounds do not suffice.
    """
    space = SearchSpace(PREDICTOR, model, tuning.space, tuning.fixed)
    problem = ResponseSurfaceProblem(engines.to_pandas(features_rounds), space.model, tuning.folds, seed)
    return outcome(problem, space, tuning, seed, search(problem, space, tuning, seed, studies))
