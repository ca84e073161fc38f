"""Response surface of gossip: what theory expects of fanout and hops, corrected by trees on observed rounds."""

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.predictors import Metadata
from augury.predictors.contract import DataFacts
from augury.predictors.gossip_corrections import CorrectionSettings
from augury.predictors.gossip_states import (
    INPUTS,
    MESSAGE_CLASSES,
    OUTPUTS,
    PREDICTOR,
    STATE,
    ActionGrid,
    Floats,
    GossipCost,
    complete_states,
)
from augury.predictors.gossip_surface import DELAY, FEATURES, MESSAGES, MISS_CONSTRAINTS, Surface, theory_of
from augury.predictors.gossip_surface_onnx import export_surface
from augury.predictors.gossip_tuning import GossipSpecification, GossipTuner

TASK = "policy: fanout and hop limit by predicted cost above a floor of coverage"
FEWEST_ROUNDS = 20


class SurfaceTrees(Parameters):
    """Boosted trees that correct an expectation; LightGBM's Poisson loss, so that means stay means."""

    rounds: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    num_leaves: int = Field(default=4, ge=2, le=256)
    min_data_in_leaf: int = Field(default=20, ge=1)
    lambda_l2: float = Field(default=5.0, ge=0)


class CoverageBound(Parameters):
    """How cautious the choice is."""

    confidence: float = Field(default=0.99, gt=0.5, lt=1, description="of the lower bound of the coverage")
    base: float = Field(
        default=0.2, ge=0, description="standard deviation of log(missed share) between networks of one state"
    )
    hop_limited: float = Field(
        default=0.3, ge=0, description="added to it where hops limit, times the root of the logarithmic excess"
    )


class ResponseSurfaceModel(Parameters):
    """The tuner."""

    use_tuned: bool = Field(default=False, description="take what tuning found for the rest")
    actions: ActionGrid = ActionGrid()
    cost: GossipCost = GossipCost()
    copy_ms: dict[str, float] = Field(
        default={"control": 0.02, "small": 0.1, "medium": 1.0, "large": 5.0},
        description="message class -> time that a peer takes to send one copy (ms)",
    )
    members: int = Field(default=8, ge=1, le=64, description="fits to resampled networks; their spread is the doubt")
    miss: SurfaceTrees = SurfaceTrees()
    messages: SurfaceTrees = SurfaceTrees(rounds=150, num_leaves=7)
    delay: SurfaceTrees = SurfaceTrees(rounds=150, num_leaves=7)
    least_miss: float = Field(
        default=0.005, gt=0, description="expected misses far below this count as if they were it: they weigh no more"
    )
    bound: CoverageBound = CoverageBound()
    correction: CorrectionSettings = CorrectionSettings()


def train_gossip_tuner(
    features_rounds: Any,
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    model: ResponseSurfaceModel,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[GossipTuner, dict[str, Any]]:
    """Train the tuner.

    Args:
        features_rounds: Observed rounds of the training networks: the state, ``network``, ``fanout``, ``ttl``,
            ``coverage``, ``messages_per_node``, ``p95_ms``.
        report_data: For the origin of the rounds.
        best_params: What tuning found.
        model: Parameters.
        seed: Seed.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The tuner and an account of the fit.

    Raises:
        UserError: There are too few rounds, or a class of messages is unknown.
    """
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    rounds = engines.to_pandas(features_rounds)
    data = DataFacts(
        fingerprint=fingerprint(rounds),
        rows=len(rounds),
        groups=int(rounds["network"].nunique()),
        origin={str(report_data.get("origin", "simulated")): len(rounds)},
    )
    tuner = fit_tuner(rounds, model, seed, data, provenance)
    gains = {name: dict(list(_gains(tuner.surface, name).items())[:6]) for name in ("miss_0", MESSAGES, DELAY)}
    return tuner, {"rounds": len(rounds), "networks": data.groups, "members": model.members, "gain": gains}


def fit_tuner(
    rounds: pd.DataFrame, model: ResponseSurfaceModel, seed: int, data: DataFacts, provenance: dict[str, Any]
) -> GossipTuner:
    """Fit the surface and put the tuner together; see :func:`train_gossip_tuner`."""
    surface = fit_surface(rounds, model, seed)
    bound = model.bound
    metadata = Metadata(
        predictor=PREDICTOR,
        family=GossipTuner.family,
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=FEATURES,
        parameters=model.model_dump(mode="json"),
        data=data,
        versions=provenance["versions"],
        seed=seed,
        git_commit=provenance["git_commit"],
        created_at=provenance["created_at"],
    )
    specification = GossipSpecification(
        grid=model.actions,
        cost=model.cost,
        copy_ms=model.copy_ms,
        members=model.members,
        z=NormalDist().inv_cdf(bound.confidence),
        base=bound.base,
        hop_limited=bound.hop_limited,
        correction=model.correction,
    )
    example = rounds[list(STATE)].head(3).astype({"peers": int}).to_dict("records")
    return GossipTuner(metadata, specification, surface.trees, export_surface(surface), example)


def fit_surface(rounds: pd.DataFrame, model: ResponseSurfaceModel, seed: int) -> Surface:
    """Fit the trees.

    Args:
        rounds: See :func:`train_gossip_tuner`.
        model: Parameters.
        seed: Of the resampled networks and the trees.

    Returns:
        The surface. The first member of the miss sees every round once; the others see networks drawn with repetition.

    Raises:
        UserError: There are too few rounds, or a class of messages has no time.
    """
    if len(rounds) < FEWEST_ROUNDS:
        raise UserError(f"{PREDICTOR}: {len(rounds)} observed rounds are too few; at least {FEWEST_ROUNDS} are needed.")
    if unknown := sorted(set(MESSAGE_CLASSES) - set(model.copy_ms)):
        raise UserError(f"Parameter '{PREDICTOR}.model.copy_ms' has no time for: {', '.join(unknown)}.")
    states = complete_states(rounds)
    theory = theory_of(states, rounds["fanout"].to_numpy(), rounds["ttl"].to_numpy(), model.copy_ms)
    networks, codes = np.unique(rounds["network"].astype(str).to_numpy(), return_inverse=True)
    random = np.random.default_rng(seed)
    trees: dict[str, str] = {}
    missed = 1 - rounds["coverage"].to_numpy(dtype=np.float64)
    for number in range(model.members):
        weight = 1 / (theory.miss + model.least_miss)
        if number:
            drawn = random.integers(0, len(networks), len(networks))
            weight = weight * np.bincount(drawn, minlength=len(networks))[codes]
        trees[f"miss_{number}"] = _fit(theory.matrix, missed, theory.miss, weight, model.miss, seed, MISS_CONSTRAINTS)
    for name, settings, expected, column in (
        (MESSAGES, model.messages, theory.messages, "messages_per_node"),
        (DELAY, model.delay, theory.p95_ms, "p95_ms"),
    ):
        observed = rounds[column].to_numpy(dtype=np.float64)
        trees[name] = _fit(theory.matrix, observed, expected, 1 / expected, settings, seed, None)
    return Surface(trees, model.members)


def _fit(
    matrix: npt.NDArray[Any],
    observed: Floats,
    expected: Floats,
    weight: Floats,
    settings: SurfaceTrees,
    seed: int,
    constraints: tuple[int, ...] | None,
) -> str:
    """Fit the logarithm of observed / expected; returns LightGBM's text."""
    import lightgbm

    used = weight > 0
    # Leaves have to hold enough of what is expected, not of what one small miss weighs
    scale = float(np.mean(weight[used] * expected[used]))
    data = lightgbm.Dataset(
        matrix[used],
        np.maximum(observed[used], 0),
        weight=weight[used] / scale,
        init_score=np.log(expected[used]),
        feature_name=list(FEATURES),
        params={"max_bin": 255, "verbose": -1, "feature_pre_filter": False},
    )
    parameters: dict[str, Any] = {
        "objective": "poisson",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.num_leaves,
        "min_data_in_leaf": min(settings.min_data_in_leaf, max(int(used.sum()) // 4, 1)),
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
    booster = lightgbm.train(parameters, data, num_boost_round=settings.rounds)
    return str(booster.model_to_string())


def _gains(surface: Surface, name: str) -> dict[str, float]:
    from augury.predictors.lightgbm_trees import gain_shares, open_booster

    return {
        key: round(value, 4) for key, value in gain_shares(open_booster(surface.trees[name], name), FEATURES).items()
    }
