"""What observed rounds say about a network: one number each, that fades with time and counts little while it is new.

Networks of one state differ: in some of them links are fast in clusters, some lose copies on few links. How far the
share that does not hear a message may differ, as a logarithm, is known for every action
(``gossip_surface.Bound.between``). Each network has one number that this is multiplied by. Of a network that nobody
observed it is drawn from a standard normal distribution; rounds tell it better and better.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.predictors.gossip_states import Floats

MINUTE_MS = 60_000
MOST_EXPECTED = 0.1
"""Rounds that are expected to miss more say how an epidemic dies, not what the actions in question miss: with them, the
surface of a network's own rounds was up to a sixth below what pairs near the floor really miss."""

_STEPS = 25
_DISPERSION = (1e-4, 1.0)
"""Its range: nothing between 0 and 1 varies by more than its mean."""


class Effect(BaseModel):
    """A network's number: what is believed of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float = 0.0
    deviation: float = Field(default=1.0, ge=0)


class CorrectionSettings(BaseModel):
    """How much observed rounds count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_life_min: float = Field(default=240.0, gt=0, description="after which a round counts half")
    most: float = Field(default=4.0, gt=0, description="largest effect, in standard deviations between networks")
    drift: float = Field(
        default=0.3, ge=0, description="least doubt about a network of the training, in standard deviations"
    )
    misfit: float = Field(
        default=0.2, ge=0, description="standard deviation of log(missed share) that no effect of a network explains"
    )
    prior_rounds: float = Field(default=20.0, gt=0, description="rounds that the dispersion of all networks stands for")
    prior_networks: float = Field(
        default=4.0, gt=0, description="networks that the surface itself stands for where all networks are moved"
    )


class Corrections(BaseModel):
    """Effects of networks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    everywhere: Effect = Effect()
    networks: dict[str, Effect] = Field(default_factory=dict, description="network -> instead of that")

    def of(self, networks: pd.Series | None, rows: int) -> tuple[Floats, Floats]:
        """Each row's mean and deviation, shape (rows,)."""
        names = [None] * rows if networks is None else networks.tolist()
        found = [self.networks.get(str(name), self.everywhere) for name in names]
        return np.array([effect.mean for effect in found]), np.array([effect.deviation for effect in found])


def corrections_of(
    rounds: pd.DataFrame,
    expected_miss: Floats,
    between: Floats,
    settings: CorrectionSettings,
    known: Mapping[str, Effect] | None = None,
    now_ms: int | None = None,
) -> Corrections:
    """Compare what rounds missed with what was expected.

    A round says something about itself only (gamma = 0): there is no state that it leads to.

    Args:
        rounds: ``ts`` (ms), ``network``, ``coverage``.
        expected_miss: Of the surface, for each round.
        between: Standard deviation between networks of log(missed share), for each round.
        settings: How they count.
        known: Effects of networks of the training.
        now_ms: When; None: at the last round.

    Returns:
        Corrections of all networks together and of each; those known stay where no round speaks of them.
    """
    known = known or {}
    if rounds.empty:
        return Corrections(networks=dict(known))
    times = rounds["ts"].to_numpy(dtype=np.float64)
    age = ((times.max() if now_ms is None else now_ms) - times) / MINUTE_MS
    weight = np.exp2(-np.maximum(age, 0) / settings.half_life_min)
    names, codes = np.unique(rounds["network"].astype(str).to_numpy(), return_inverse=True)
    missed = 1 - rounds["coverage"].to_numpy(dtype=np.float64)
    new = np.array([name not in known for name in names])
    priors = [known.get(name, Effect()) for name in names]
    prior_mean = np.array([effect.mean for effect in priors])
    prior_deviation = np.where(new, 1.0, np.maximum([effect.deviation for effect in priors], settings.drift))

    def fitted(means: Floats) -> tuple[Floats, Floats]:
        return network_effects(missed, expected_miss, between, weight, codes, means, prior_deviation, settings)

    first, deviation = fitted(prior_mean)
    gained = 1 - (deviation / prior_deviation) ** 2
    moved = float((first - prior_mean).sum() / (gained.sum() + settings.prior_networks))
    means, deviation = fitted(prior_mean + np.where(new, moved, 0.0))
    found = {
        str(name): Effect(mean=float(mean), deviation=float(sd))
        for name, mean, sd in zip(names, means, deviation, strict=True)
    }
    return Corrections(everywhere=Effect(mean=moved), networks={**known, **found})


def network_effects(
    missed: Floats,
    expected: Floats,
    between: Floats,
    weight: Floats,
    codes: npt.NDArray[Any],
    prior_mean: Floats,
    prior_deviation: Floats,
    settings: CorrectionSettings,
) -> tuple[Floats, Floats]:
    """Most probable effect of each network, and how sure that is.

    A quasi-Poisson model (McCullagh and Nelder, Generalized Linear Models, 1989, chapter 9) of log link: a round misses
    ``expected * exp(between * effect)`` in the mean; the variance is the mean times a dispersion that is estimated by
    Pearson's statistic, plus the square of ``misfit`` times the mean. Newton's method, all networks at once.

    Args:
        missed: Observed, shape (rounds,).
        expected: Of the surface, shape (rounds,), above 0.
        between: Shape (rounds,).
        weight: How much a round counts, shape (rounds,).
        codes: Network of each round, 0 to networks - 1.
        prior_mean: Shape (networks,).
        prior_deviation: Shape (networks,).
        settings: How they count.

    Returns:
        Means and standard deviations, shape (networks,).
    """
    used = expected <= MOST_EXPECTED
    missed, expected, between, weight, codes = (part[used] for part in (missed, expected, between, weight, codes))
    count = len(prior_mean)

    def sums(values: Floats) -> Floats:
        return np.asarray(np.bincount(codes, weights=values, minlength=count), dtype=np.float64)

    mean = prior_mean.copy()
    precision = prior_deviation**-2.0
    curvature = precision
    for dispersion in (None, mean):  # first that of all networks, at what was expected; then that of each
        now = expected * np.exp(between * mean[codes])
        squares = weight * (missed - now) ** 2 / now
        pooled = squares.sum() / max(weight.sum(), 1e-12)
        own = np.full(count, pooled)
        if dispersion is not None:
            own = (sums(squares) + settings.prior_rounds * pooled) / (sums(weight) + settings.prior_rounds)
        scale = weight / (np.clip(own, *_DISPERSION)[codes] + settings.misfit**2 * expected)
        for _ in range(_STEPS):
            now = expected * np.exp(between * mean[codes])
            slope = sums(scale * between * (missed - now)) - precision * (mean - prior_mean)
            curvature = sums(scale * between**2 * now) + precision
            mean = np.clip(mean + np.clip(slope / curvature, -0.5, 0.5), -settings.most, settings.most)
    return mean, curvature**-0.5
