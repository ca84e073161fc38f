"""Boosted trees that correct an expectation, with the loss of every iteration."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.gossip_states import Floats
from augury.predictors.gossip_surface import FEATURES

TRAINING, VALIDATION = "training_loss", "validation_loss"


class SurfaceTrees(Parameters):
    """Boosted trees that correct an expectation; LightGBM's Poisson loss, so that means stay means."""

    rounds: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    num_leaves: int = Field(default=4, ge=2, le=256)
    min_data_in_leaf: int = Field(default=20, ge=1)
    lambda_l2: float = Field(default=5.0, ge=0)


class Observed(NamedTuple):
    """What trees are fitted to, one row per round."""

    matrix: npt.NDArray[np.float64]
    """(rounds, features)"""
    values: Floats
    expected: Floats
    """Above 0."""
    weight: Floats

    def rows(self, chosen: npt.NDArray[Any]) -> "Observed":
        """Some of them."""
        return Observed(*(part[chosen] for part in self))


def fit_factors(
    observed: Observed,
    settings: SurfaceTrees,
    seed: int,
    constraints: tuple[int, ...] | None,
    validation: Observed | None = None,
) -> tuple[str, dict[str, list[float]]]:
    """Fit the logarithm of observed / expected.

    Args:
        observed: Rounds to learn from; those without weight do not count.
        settings: Trees.
        seed: Of LightGBM.
        constraints: Monotone ones, by feature.
        validation: Rounds that are only looked at.

    Returns:
        LightGBM's text; and, where there is a validation, the mean Poisson loss after every iteration by
        :data:`TRAINING` and :data:`VALIDATION`.
    """
    import lightgbm

    used = observed.rows(observed.weight > 0)
    # Leaves have to hold enough of what is expected, not of what one small miss weighs
    scale = float(np.mean(used.weight * used.expected))

    def dataset(part: Observed, reference: Any = None) -> Any:
        return lightgbm.Dataset(
            part.matrix,
            np.maximum(part.values, 0),
            weight=part.weight / scale,
            init_score=np.log(part.expected),
            feature_name=list(FEATURES),
            reference=reference,
            params={"max_bin": 255, "verbose": -1, "feature_pre_filter": False},
        )

    parameters: dict[str, Any] = {
        "objective": "poisson",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.num_leaves,
        "min_data_in_leaf": min(settings.min_data_in_leaf, max(len(used.values) // 4, 1)),
        "lambda_l2": settings.lambda_l2,
        "min_sum_hessian_in_leaf": 1e-6,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    if constraints is not None:
        parameters["monotone_constraints"] = list(constraints)
    own = dataset(used)
    losses: dict[str, dict[str, list[float]]] = {}
    looked_at: dict[str, Any] = {}
    if validation is not None:
        looked_at = {
            "valid_sets": [own, dataset(validation, own)],
            "valid_names": [TRAINING, VALIDATION],
            "callbacks": [lightgbm.record_evaluation(losses)],
        }
    booster = lightgbm.train(parameters, own, num_boost_round=settings.rounds, **looked_at)
    return str(booster.model_to_string()), {name: found["poisson"] for name, found in losses.items()}
