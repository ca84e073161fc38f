"""How many trees the missed share bears, and how far networks then lie from it that no tree saw: folds of networks."""

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury.curve_table import curve_table
from augury.parameters import Parameters
from augury.pipelines.model_training.surface_trees import TRAINING, VALIDATION, Observed, SurfaceTrees, fit_factors
from augury.predictors.gossip_corrections import CorrectionSettings, Evidence, network_effects
from augury.predictors.gossip_differences import FUNCTIONS, PARAMETERS
from augury.predictors.gossip_states import Floats
from augury.predictors.gossip_surface import LARGEST_LOG, MISS_CONSTRAINTS, Differences
from augury.predictors.lightgbm_trees import open_booster

_SWEEPS = 20


class Calibration(Parameters):
    """How the spread between networks is measured."""

    folds: int = Field(default=4, ge=2, description="groups of networks that are predicted by trees of the others")
    prior_networks: float = Field(
        default=5.0, gt=0, description="networks that the spread in the parameters stands for"
    )
    prior_functions: float = Field(
        default=10.0, gt=0, description="terms of networks' own functions that the parameter stands for"
    )


class Calibrated(NamedTuple):
    """What folds said."""

    iterations: int
    """Trees that are worth their doubt; 0: what theory expects is better."""

    scale: float
    """What the spread between networks in the parameters is multiplied by."""
    residual_scale: float
    """What the spread of networks' own functions in the parameters is multiplied by."""
    networks: int
    """That it was measured on; 0: there are too few for folds."""
    curves: pd.DataFrame
    """Loss after every iteration, mean of the folds: ``step``, ``epoch``, ``name``, ``value``, ``seconds``."""


def calibrate_spread(
    missed: Observed,
    near: npt.NDArray[np.bool_],
    codes: npt.NDArray[np.int64],
    differences: Differences,
    trees: SurfaceTrees,
    settings: Calibration,
    correction: CorrectionSettings,
    seed: int,
) -> Calibrated:
    """Choose the number of trees, and measure how far networks lie from what trees of other networks expect of them.

    Misses are rare: trees that follow single rounds too far do worse than theory alone. As many are taken as the folds
    that did not see them ask for, by the rule of one standard error (Breiman et al., Classification and Regression
    Trees, 1984): the fewest whose loss is not clearly above the least.

    The effects of networks are normal with common variances, of which one round says little. They are estimated as
    empirical Bayes does, by expectation and maximisation: the mean of the effects' expected squares (Dempster, Laird
    and Rubin, Maximum likelihood from incomplete data via the EM algorithm, 1977).

    Args:
        missed: Rounds.
        near: Those that speak of networks' effects.
        codes: Network of each.
        differences: How networks may differ by the parameters, for each round.
        trees: Of the missed share.
        settings: Folds and prior.
        correction: How rounds tell effects.
        seed: Of folds and trees.

    Returns:
        Trees, the scales of those deviations, and curves. A single network's folds are periods; they say nothing of
        others: its rounds speak of its own function, and trees have nothing to add.
    """
    began = time.perf_counter()
    count = int(codes.max()) + 1
    random = np.random.default_rng([seed, 1])
    folds = min(settings.folds, count) if count > 1 else settings.folds
    groups = random.permutation(count) % folds if count > 1 else np.array([0])
    fold = groups[codes] if count > 1 else np.arange(len(codes)) * folds // len(codes)
    losses, boosters = [], []
    for number in range(folds):
        outer = fold == number
        text, found = fit_factors(missed.rows(~outer), trees, seed, MISS_CONSTRAINTS, missed.rows(outer))
        boosters.append(open_booster(text, "a fold"))
        sides = {TRAINING: missed.rows(~outer), VALIDATION: missed.rows(outer)}
        losses.append(pd.DataFrame({name: [expected_loss(sides[name]), *values] for name, values in found.items()}))
    iterations = fewest_iterations(np.array([loss[VALIDATION] for loss in losses]))
    curves = _curves(losses, time.perf_counter() - began)
    iterations = iterations if count > 1 else 0
    expected = missed.expected.copy()
    for number in range(folds if iterations else 0):
        outer = fold == number
        logs = boosters[number].predict(missed.matrix[outer], raw_score=True, num_iteration=iterations, num_threads=1)
        expected[outer] *= np.exp(np.clip(logs, -LARGEST_LOG, LARGEST_LOG))
    scale, residual = 1.0, 1.0
    for _ in range(_SWEEPS):
        scales = np.array([scale] + [residual] * FUNCTIONS)
        mean, covariance = network_effects(
            Evidence(missed.values, expected, differences.columns * scales, differences.rest * residual**2, near),
            np.ones(len(codes)), codes, np.zeros((count, PARAMETERS)), np.tile(np.eye(PARAMETERS), (count, 1, 1)),
            correction,
        )  # fmt: skip
        squares = scales**2 * (mean**2 + np.einsum("npp->np", covariance))
        if count > 1:
            scale = float(np.sqrt((squares[:, 0].sum() + settings.prior_networks) / (count + settings.prior_networks)))
        terms = count * FUNCTIONS + settings.prior_functions
        residual = float(np.sqrt((squares[:, 1:].sum() + settings.prior_functions) / terms))
    return Calibrated(iterations, scale, residual, count if count > 1 else 0, curves)


def expected_loss(observed: Observed) -> float:
    """LightGBM's Poisson loss of the expectation itself: before the first tree."""
    loss = observed.expected - np.maximum(observed.values, 0) * np.log(observed.expected)
    return float(np.average(loss, weights=observed.weight))


def fewest_iterations(losses: Floats) -> int:
    """The fewest iterations whose mean loss exceeds the least by one standard error of their difference at the most.

    Args:
        losses: Shape (folds, iterations + 1), the first of none.
    """
    least = int(losses.mean(axis=0).argmin())
    excess = losses - losses[:, [least]]
    error = excess.std(axis=0, ddof=1) / np.sqrt(len(losses))
    return int(np.flatnonzero(excess.mean(axis=0) <= error)[0])


def _curves(losses: list[pd.DataFrame], seconds: float) -> pd.DataFrame:
    mean = sum(losses[1:], losses[0]) / len(losses)
    last = max(len(mean) - 1, 1)
    return curve_table(
        (step, step, name, value, seconds * step / last) for name in mean for step, value in enumerate(mean[name])
    )
