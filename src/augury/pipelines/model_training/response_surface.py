"""Response surface of gossip: what theory expects of fanout and hops, corrected by trees on observed rounds."""

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.surface_calibration import Calibrated, Calibration, calibrate_spread
from augury.pipelines.model_training.surface_trees import Observed, SurfaceTrees, fit_factors
from augury.predictors import Metadata
from augury.predictors.contract import DataFacts
from augury.predictors.gossip_corrections import Corrections, CorrectionSettings, Effect, evidence_of, network_effects
from augury.predictors.gossip_differences import PARAMETERS
from augury.predictors.gossip_states import (
    INPUTS,
    MESSAGE_CLASSES,
    OUTPUTS,
    PREDICTOR,
    STATE,
    ActionGrid,
    GossipCost,
    complete_states,
)
from augury.predictors.gossip_surface import (
    DELAY,
    FEATURES,
    MESSAGES,
    MISS_CONSTRAINTS,
    Bound,
    Observation,
    Surface,
    Theory,
    observe_rounds,
    theory_of,
)
from augury.predictors.gossip_surface_onnx import export_surface
from augury.predictors.gossip_tuning import GossipSpecification, GossipTuner

TASK = "policy: fanout and hop limit by predicted cost above a floor of coverage"
FEWEST_ROUNDS = 20
NO_TREES = {"rounds": 1, "learning_rate": 1e-9}
"""Where theory is better than any tree there is one that says nothing: what reads trees need not know of it."""


class CoverageBound(Parameters):
    """How cautious the choice is."""

    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="of the lower bound of the chosen pair's coverage"
    )
    selection: float = Field(
        default=1.1, ge=1, description="wider by this: the cheapest pair is often one that is thought too well of"
    )
    base: float = Field(
        default=0.1, ge=0, description="standard deviation of log(missed share) between networks of one state"
    )
    clustered: float = Field(
        default=0.4, ge=0, description="added to it for every unit of what clusters of fast links would change"
    )
    residual: float = Field(
        default=0.15, ge=0, description="standard deviation of every network's own function of the action and the state"
    )

    def of(self, scale: float, residual_scale: float) -> Bound:
        """The bound, with the spreads multiplied by what training found."""
        z = NormalDist().inv_cdf(self.confidence) * self.selection
        return Bound(z, self.base * scale, self.clustered * scale, self.residual * residual_scale)


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
    miss: SurfaceTrees = SurfaceTrees(num_leaves=2, lambda_l2=100.0)
    messages: SurfaceTrees = SurfaceTrees(rounds=150, num_leaves=7)
    delay: SurfaceTrees = SurfaceTrees(rounds=150, num_leaves=7)
    least_miss: float = Field(
        default=0.02, gt=0, description="expected misses far below this count as if they were it: they weigh no more"
    )
    bound: CoverageBound = CoverageBound()
    calibration: Calibration = Calibration()
    correction: CorrectionSettings = CorrectionSettings()


class Fitted(NamedTuple):
    """A surface and what is known beside it."""

    surface: Surface
    calibrated: Calibrated
    bound: Bound
    known: dict[str, Effect]
    """Effects of the networks of the training."""


def train_gossip_tuner(
    features_rounds: Any,
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    model: ResponseSurfaceModel,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[GossipTuner, pd.DataFrame, dict[str, Any]]:
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
        The tuner; the loss of folds of networks after every iteration; and an account of the fit.

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
    tuner, calibrated = fit_tuner(rounds, model, seed, data, provenance)
    gains = {name: dict(list(_gains(tuner.surface, name).items())[:6]) for name in ("miss_0", MESSAGES, DELAY)}
    return (
        tuner,
        calibrated.curves,
        {
            "rounds": len(rounds),
            "networks": data.groups,
            "members": model.members,
            "iterations": calibrated.iterations,
            "spread_scale": calibrated.scale,
            "residual_scale": calibrated.residual_scale,
            "spread_networks": calibrated.networks,
            "gain": gains,
        },
    )


def fit_tuner(
    rounds: pd.DataFrame, model: ResponseSurfaceModel, seed: int, data: DataFacts, provenance: dict[str, Any]
) -> tuple[GossipTuner, Calibrated]:
    """Fit the surface and put the tuner together; see :func:`train_gossip_tuner`."""
    fitted = fit_surface(rounds, model, seed)
    bound = fitted.bound
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
        z=bound.z,
        base=bound.base,
        clustered=bound.clustered,
        residual=bound.residual,
        correction=model.correction,
        known=fitted.known,
        corrections=Corrections(networks=fitted.known),
    )
    rows: Any = rounds[list(STATE)].head(3).astype({"peers": int}).to_dict("records")
    surface = fitted.surface
    return GossipTuner(metadata, specification, surface.trees, export_surface(surface), rows), fitted.calibrated


def fit_surface(rounds: pd.DataFrame, model: ResponseSurfaceModel, seed: int) -> Fitted:
    """Fit the trees, and measure what they leave.

    Args:
        rounds: See :func:`train_gossip_tuner`.
        model: Parameters.
        seed: Of the resampled networks and the trees.

    Returns:
        The surface. The first member of the miss sees every round once; the others see networks drawn with repetition,
        and their rounds with random weights (Rubin, The Bayesian bootstrap, 1981).

    Raises:
        UserError: There are too few rounds, or a class of messages has no time.
    """
    if len(rounds) < FEWEST_ROUNDS:
        raise UserError(f"{PREDICTOR}: {len(rounds)} observed rounds are too few; at least {FEWEST_ROUNDS} are needed.")
    if unknown := sorted(set(MESSAGE_CLASSES) - set(model.copy_ms)):
        raise UserError(f"Parameter '{PREDICTOR}.model.copy_ms' has no time for: {', '.join(unknown)}.")
    theory = rounds_theory(rounds, model)
    names, codes = np.unique(rounds["network"].astype(str).to_numpy(), return_inverse=True)
    random = np.random.default_rng(seed)
    observed = observe_rounds(rounds, theory)
    missed = weighed(observed, theory, model)
    bound = model.bound.of(1.0, 1.0)
    calibrated = calibrate_spread(
        missed, observed.near, codes, bound.differences(theory), model.miss, model.calibration, model.correction, seed
    )
    bound = model.bound.of(calibrated.scale, calibrated.residual_scale)
    chosen = model.miss.model_copy(update={"rounds": calibrated.iterations} if calibrated.iterations else NO_TREES)
    trees: dict[str, str] = {}
    for number in range(model.members):
        weight = missed.weight
        if number:
            drawn = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
            weight = weight * drawn[codes] * random.exponential(size=len(codes))
        resampled = missed._replace(weight=weight)
        trees[f"miss_{number}"], _ = fit_factors(resampled, chosen, seed, MISS_CONSTRAINTS)
    for name, settings, expected, column in (
        (MESSAGES, model.messages, theory.messages, "messages_per_node"),
        (DELAY, model.delay, theory.p95_ms, "p95_ms"),
    ):
        values = rounds[column].to_numpy(dtype=np.float64)
        trees[name], _ = fit_factors(Observed(theory.matrix, values, expected, 1 / expected), settings, seed, None)
    surface = Surface(trees, model.members)
    found = network_effects(
        evidence_of(observed, surface.spread(theory), bound.differences(theory)), np.ones(len(codes)), codes,
        np.zeros((len(names), PARAMETERS)), np.tile(np.eye(PARAMETERS), (len(names), 1, 1)), model.correction,
    )  # fmt: skip
    known = {str(name): Effect.of(*effect) for name, *effect in zip(names, *found, strict=True)}
    return Fitted(surface, calibrated, bound, known)


def rounds_theory(rounds: pd.DataFrame, model: ResponseSurfaceModel) -> Theory:
    """What theory expects of logged rounds."""
    return theory_of(complete_states(rounds), rounds["fanout"].to_numpy(), rounds["ttl"].to_numpy(), model.copy_ms)


def missed_of(rounds: pd.DataFrame, theory: Theory, model: ResponseSurfaceModel) -> Observed:
    """What the trees of the missed share learn from."""
    return weighed(observe_rounds(rounds, theory), theory, model)


def weighed(observed: Observation, theory: Theory, model: ResponseSurfaceModel) -> Observed:
    """The same of rounds that were told apart; those that ended at their start have no weight."""
    weight = observed.counts / (theory.spread + model.least_miss)
    return Observed(theory.matrix, observed.missed, theory.spread, weight)


def _gains(surface: Surface, name: str) -> dict[str, float]:
    from augury.predictors.lightgbm_trees import gain_shares, open_booster

    return {
        key: round(value, 4) for key, value in gain_shares(open_booster(surface.trees[name], name), FEATURES).items()
    }
