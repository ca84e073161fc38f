"""What observed rounds say about a network: a few numbers each, that fade with time and count little while it is new.

Networks of one state differ: in some of them links are fast in clusters, some lose copies on few links. How far the
share that does not hear a message may differ, as a logarithm, is known for every action
(``gossip_surface.Bound.differences``): the first number of a network is what the difference that clusters make is
multiplied by, the others are those of its own function (``gossip_differences``). Of a network that nobody observed they
are drawn from standard normal distributions; rounds tell them better and better, where there are rounds.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.predictors.gossip_differences import PARAMETERS
from augury.predictors.gossip_states import Floats
from augury.predictors.gossip_surface import Differences, Observation

MINUTE_MS = 60_000

_DIGITS = 6
_STEPS = 25
_STEP = 0.5
_CLOSE = 1e-4
_DISPERSION = (1e-4, 1.0)
"""Its range: nothing between 0 and 1 varies by more than its mean."""

_TRIANGLE = np.tril_indices(PARAMETERS)
_TRIANGLE_SIZE = len(_TRIANGLE[0])
_UNKNOWN = tuple(np.eye(PARAMETERS)[_TRIANGLE].tolist())


class Effect(BaseModel):
    """A network's numbers: what is believed of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...] = Field(default=(0.0,) * PARAMETERS, min_length=PARAMETERS, max_length=PARAMETERS)
    factor: tuple[float, ...] = Field(
        default=_UNKNOWN,
        min_length=_TRIANGLE_SIZE,
        max_length=_TRIANGLE_SIZE,
        description="Cholesky's factor of their covariance, its lower triangle row by row",
    )

    @classmethod
    def of(cls, mean: Floats, covariance: Floats) -> Self:
        """From a mean, shape (parameters,), and a covariance."""
        factor = np.linalg.cholesky(covariance)[_TRIANGLE]
        return cls(mean=tuple(mean.round(_DIGITS).tolist()), factor=tuple(factor.round(_DIGITS).tolist()))

    @property
    def triangle(self) -> Floats:
        """The factor as a matrix."""
        found = np.zeros((PARAMETERS, PARAMETERS))
        found[_TRIANGLE] = self.factor
        return found

    @property
    def deviations(self) -> Floats:
        """Standard deviations of the numbers, shape (parameters,)."""
        return np.sqrt((self.triangle**2).sum(axis=1))


class CorrectionSettings(BaseModel):
    """How much observed rounds count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_life_min: float = Field(default=240.0, gt=0, description="after which a round counts half")
    most: float = Field(default=4.0, gt=0, description="largest effect, in standard deviations between networks")
    drift: float = Field(
        default=0.3,
        ge=0,
        description="least doubt about the first number of a known network, in standard deviations",
    )
    misfit: float = Field(
        default=0.35, ge=0, description="standard deviation of log(missed share) between rounds of one state and action"
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
        """Each row's mean, shape (rows, parameters), and factor, shape (rows, parameters, parameters)."""
        if networks is None:
            codes, effects = np.zeros(rows, dtype=np.int64), [self.everywhere]
        else:
            codes, names = pd.factorize(networks.map(str))
            effects = [self.networks.get(name, self.everywhere) for name in names]
        means = np.array([effect.mean for effect in effects]).reshape(-1, PARAMETERS)
        factors = np.array([effect.triangle for effect in effects]).reshape(-1, PARAMETERS, PARAMETERS)
        return means[codes], factors[codes]


class Evidence(NamedTuple):
    """Rounds beside what was expected of them, row by row."""

    missed: Floats
    expected: Floats
    """Of the surface, above 0."""
    columns: Floats
    """What each number of a network does to its logarithm, shape (rows, parameters)."""
    rest: Floats
    """Variance of the logarithm that no number tells."""
    near: npt.NDArray[np.bool_]
    """Rounds that count."""

    def rows(self, chosen: npt.NDArray[Any]) -> "Evidence":
        """Some of them."""
        return Evidence(*(part[chosen] for part in self))


def evidence_of(observed: Observation, expected: Floats, differences: Differences) -> Evidence:
    """Put rounds beside what the surface expects of them."""
    return Evidence(observed.missed, expected, differences.columns, differences.rest, observed.near)


def corrections_of(
    rounds: pd.DataFrame,
    evidence: Evidence,
    settings: CorrectionSettings,
    known: Mapping[str, Effect] | None = None,
    now_ms: int | None = None,
) -> Corrections:
    """Compare what rounds missed with what was expected.

    A round says something about itself only (gamma = 0): there is no state that it leads to.

    Args:
        rounds: ``ts`` (ms), ``network``.
        evidence: What they missed, row by row.
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
    new = np.array([name not in known for name in names])
    priors = [known.get(name, Effect()) for name in names]
    means = np.array([effect.mean for effect in priors])
    covariance = np.stack([effect.triangle @ effect.triangle.T for effect in priors])
    # How clustered a network of the training is may have changed since
    covariance[:, 0, 0] += settings.drift**2 * (1 - covariance[:, 0, 0])

    def fitted(means: Floats) -> tuple[Floats, Floats]:
        return network_effects(evidence, weight, codes, means, covariance, settings)

    first, found = fitted(means)
    gained = 1 - found[:, 0, 0] / covariance[:, 0, 0]
    moved = np.zeros(PARAMETERS)
    moved[0] = (first - means)[:, 0].sum() / (gained.sum() + settings.prior_networks)
    means, covariance = fitted(means + np.where(new[:, None], moved, 0.0))
    effects = {str(name): Effect.of(*parts) for name, *parts in zip(names, means, covariance, strict=True)}
    return Corrections(everywhere=Effect(mean=tuple(moved.tolist())), networks={**known, **effects})


def network_effects(
    evidence: Evidence,
    weight: Floats,
    codes: npt.NDArray[Any],
    prior_mean: Floats,
    prior_covariance: Floats,
    settings: CorrectionSettings,
) -> tuple[Floats, Floats]:
    """Most probable effects of each network, and how sure they are.

    A quasi-Poisson model (McCullagh and Nelder, Generalized Linear Models, 1989, chapter 9) of log link: a round misses
    ``expected * exp(columns @ effects)`` in the mean; the variance is the mean times a dispersion that is estimated by
    Pearson's statistic, plus the square of ``misfit`` times the mean. Newton's method, all networks at once; the
    covariance is that of Laplace's approximation.

    Args:
        evidence: Rounds.
        weight: How much a round counts, shape (rounds,).
        codes: Network of each round, 0 to networks - 1.
        prior_mean: Shape (networks, parameters).
        prior_covariance: Shape (networks, parameters, parameters).
        settings: How they count.

    Returns:
        Means, shape (networks, parameters), and covariances, shape (networks, parameters, parameters).
    """
    order = np.flatnonzero(evidence.near)
    order = order[np.argsort(codes[order], kind="stable")]
    missed, expected, columns, rest, _ = evidence.rows(order)
    weight, codes = weight[order], codes[order]
    present, starts = np.unique(codes, return_index=True)

    def sums(values: Floats) -> Floats:
        found = np.zeros((len(prior_mean), *values.shape[1:]))
        if len(starts):
            found[present] = np.add.reduceat(values, starts, axis=0)
        return found

    mean = prior_mean.copy()
    precision = np.linalg.inv(prior_covariance)
    curvature = precision
    products = columns[:, :, None] * columns[:, None, :]
    own_rounds = 0.0  # first the dispersion of all networks, at what was expected; then that of each, less the misfit
    for misfit in (0.0, settings.misfit):
        now = expected * np.exp(np.einsum("rp,rp->r", columns, mean[codes]))
        squares = weight * ((missed - now) ** 2 / now - misfit**2 * now)
        pooled = squares.sum() / max(weight.sum(), 1e-12)
        own = (own_rounds * sums(squares) + settings.prior_rounds * pooled) / (
            own_rounds * sums(weight) + settings.prior_rounds
        )
        own_rounds = 1.0
        scale = weight / (np.clip(own, *_DISPERSION)[codes] + (settings.misfit**2 + rest) * expected)
        for _ in range(_STEPS):
            now = expected * np.exp(np.einsum("rp,rp->r", columns, mean[codes]))
            slope = sums(columns * (scale * (missed - now))[:, None])
            slope -= np.einsum("npq,nq->np", precision, mean - prior_mean)
            curvature = sums(products * (scale * now)[:, None, None]) + precision
            step = np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
            mean = np.clip(mean + np.clip(step, -_STEP, _STEP), -settings.most, settings.most)
            if np.abs(step).max(initial=0) < _CLOSE:
                break
    return mean, np.linalg.inv(curvature)
