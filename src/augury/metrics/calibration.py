"""How far probabilities can be taken at their word."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from augury.metrics.bootstrap import Floats
from augury.metrics.metrics_mapping import json_number
from augury.metrics.ranking import Bools, Codes

SMALLEST_PROBABILITY = 1e-6
"""Isotonic calibration returns exact zeros and ones; the logarithm of a wrong one would be infinite."""


def log_odds(probability: Any) -> Any:
    """Log-odds of probabilities, a number or an array, kept :data:`SMALLEST_PROBABILITY` away from 0 and 1."""
    safe = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.log(safe / (1 - safe))


def log_losses(actual: Bools, probability: Floats) -> Floats:
    """Logarithmic loss of each row; probabilities are kept :data:`SMALLEST_PROBABILITY` away from 0 and 1."""
    safe = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -np.log(np.where(actual, safe, 1 - safe))


def equal_mass_bins(probability: Floats, bins: int) -> Codes:
    """Put rows into bins of about equally many rows.

    Args:
        probability: Shape ``(rows,)``, at least one row.
        bins: Number of bins; fewer where many rows share a probability, because equal values share a bin.

    Returns:
        The bin of each row, ascending with the probability.
    """
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, probability, side="left").astype(np.int64)


def equal_width_bins(probability: Floats, bins: int) -> Codes:
    """Put rows into bins that divide 0 to 1 evenly; a value at an edge belongs to the lower bin."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], probability, side="left").astype(np.int64)


def calibration_metrics(actual: Bools, probability: Floats, bins: int) -> dict[str, float | None]:
    """Errors of probabilities, at the prevalence of the rows given.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``, at least one row.
        probability: Between 0 and 1, shape ``(rows,)``.
        bins: Number of bins of the expected calibration errors.

    Returns:
        - ``brier``: mean squared difference of probability and outcome.
        - ``log_loss``: mean logarithmic loss, with probabilities clipped to [1e-6, 1 - 1e-6].
        - ``ece``: expected calibration error, sum over equal-mass bins of (share of rows) x |mean probability - share
          of positives|.
        - ``ece_width``: the same over bins of equal width, for comparison with other tools.
        - ``ece_l2_debiased``: root of the sum of (share of rows) x (squared gap - its expectation under perfect
          calibration) over equal-mass bins, at least 0 [1]_: the plain error of a perfect model is not 0.
        - ``calibration_slope``: slope of a logistic regression of the outcome on the log-odds; 1 is ideal, below it
          the model is too sure of itself. None where it is not finite.
        - ``calibration_in_the_large``: its intercept with the slope held at 1; 0 is ideal, above it the
          probabilities are too low on the whole.

        .. [1] A. Kumar, P. Liang, T. Ma, "Verified uncertainty calibration", NeurIPS 2019.
    """
    outcome = actual.astype(np.float64)
    mass = equal_mass_bins(probability, bins)
    slope = _logistic(outcome, probability, with_slope=True)
    intercept = _logistic(outcome, probability, with_slope=False)
    return {
        "brier": float(np.mean((probability - outcome) ** 2)),
        "log_loss": float(log_losses(actual, probability).mean()),
        "ece": _expected_error(probability - outcome, mass),
        "ece_width": _expected_error(probability - outcome, equal_width_bins(probability, bins)),
        "ece_l2_debiased": _debiased_error(probability, outcome, mass),
        "calibration_slope": None if slope is None else json_number(slope[1]),
        "calibration_in_the_large": None if intercept is None else json_number(intercept[0]),
    }


def _expected_error(gap: Floats, bins: Codes) -> float:
    return float(np.abs(np.bincount(bins, weights=gap)).sum() / len(gap))


def _debiased_error(probability: Floats, outcome: Floats, bins: Codes) -> float | None:
    counts = np.bincount(bins).astype(np.float64)
    used = counts > 1
    if not used.any():
        return None
    rows = counts[used]
    share, expected = (np.bincount(bins, weights=values)[used] / rows for values in (outcome, probability))
    squared = (expected - share) ** 2 - share * (1 - share) / (rows - 1)
    return math.sqrt(max(0.0, float((rows * squared).sum() / rows.sum())))


def _logistic(outcome: Floats, probability: Floats, *, with_slope: bool) -> Floats | None:
    """Newton's method for outcome ~ a + b * log-odds; b = 1 where there is no slope to fit."""
    if outcome.min() == outcome.max():
        return None
    odds = log_odds(probability)
    if with_slope and np.ptp(odds) == 0:
        return None
    design = np.column_stack([np.ones_like(odds), odds]) if with_slope else np.ones((len(odds), 1))
    coefficients = np.array([0.0, 1.0]) if with_slope else np.zeros(1)
    offset = np.zeros_like(odds) if with_slope else odds
    for _ in range(100):
        fitted = _sigmoid(offset + design @ coefficients)
        curvature = design.T @ (design * (fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(curvature, design.T @ (outcome - fitted))
        except np.linalg.LinAlgError:
            return None
        coefficients = coefficients + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            return coefficients
    return None  # the classes are separated: the best slope is infinite


def _sigmoid(odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(odds, -700, 700)))


def resampled_calibration_error(
    actual: Bools, probability: Floats, bins: int, codes: Codes
) -> Callable[[Floats], dict[str, Floats]]:
    """Prepare ``ece`` for resamples; the bins stay those of the whole sample.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``.
        probability: Shape ``(rows,)``.
        bins: Number of equal-mass bins.
        codes: Number of each row's group, from 0.

    Returns:
        A function of group counts, shape ``(replicates, groups)``. Chance adds to a calibration error, and drawing
        again adds it a second time: such an interval errs upwards.
    """
    mass = equal_mass_bins(probability, bins)
    gaps = _cells(probability - actual, mass, codes)
    rows = np.bincount(codes).astype(np.float64)
    return lambda counts: {"ece": np.abs(counts @ gaps).sum(axis=1) / (counts @ rows)}


def _cells(values: Floats, bins: Codes, codes: Codes) -> Floats:
    """Sums by group and bin, shape ``(groups, bins)``."""
    width, groups = int(bins.max()) + 1, int(codes.max()) + 1
    found = np.bincount(codes * width + bins, weights=values, minlength=groups * width)
    return found.reshape(groups, width).astype(np.float64)


def resampled_debiased_error(
    actual: Bools, probability: Floats, bins: int, codes: Codes
) -> Callable[[Floats], dict[str, Floats]]:
    """Prepare ``ece_l2_debiased`` for resamples; the bins stay those of the whole sample.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``.
        probability: Shape ``(rows,)``.
        bins: Number of equal-mass bins.
        codes: Number of each row's group, from 0.

    Returns:
        A function of group counts. What chance adds to the squared gaps is subtracted twice: once for the sample, as in
        the metric itself, and once for drawing from it.
    """
    mass = equal_mass_bins(probability, bins)
    outcome = actual.astype(np.float64)
    tables = [_cells(values, mass, codes) for values in (np.ones(len(mass)), outcome, probability)]

    def errors(counts: Floats) -> dict[str, Floats]:
        rows, positives, promised = (counts @ table for table in tables)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = positives / rows
            squared = (promised / rows - share) ** 2 - 2 * share * (1 - share) / (rows - 1)
            used = np.where(rows > 1, rows, 0.0)
            mean = np.where(rows > 1, rows * squared, 0.0).sum(axis=1) / used.sum(axis=1)
        return {"ece_l2_debiased": np.sqrt(np.maximum(mean, 0.0))}

    return errors


def resampled_calibration_line(
    actual: Bools, probability: Floats, codes: Codes
) -> Callable[[Floats], dict[str, Floats]]:
    """Prepare ``calibration_slope`` and ``calibration_in_the_large`` for resamples.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``, at least one row.
        probability: Shape ``(rows,)``.
        codes: Number of each row's group, from 0.

    Returns:
        A function of group counts: one Newton step from the sample's own coefficients, which takes sums over groups
        alone and differs from a fit to the resample by the square of what the resample moves them. What the sample has
        none of, its resamples lack too.
    """
    outcome, odds = actual.astype(np.float64), log_odds(probability)
    slope = _logistic(outcome, probability, with_slope=True)
    intercept = _logistic(outcome, probability, with_slope=False)

    def row_sums(fitted: Floats) -> Floats:
        residual, curvature = outcome - fitted, fitted * (1 - fitted)
        parts = (residual, residual * odds, curvature, curvature * odds, curvature * odds**2)
        return np.column_stack([np.bincount(codes, weights=part) for part in parts])

    tables: dict[str, Floats] = {}
    if slope is not None:
        tables["calibration_slope"] = row_sums(_sigmoid(slope[0] + slope[1] * odds))
    if intercept is not None:
        tables["calibration_in_the_large"] = row_sums(_sigmoid(intercept[0] + odds))

    def coefficients(counts: Floats) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, table in tables.items():
                first, second, flat, mixed, square = (counts @ table).T
                if name == "calibration_slope" and slope is not None:
                    found[name] = slope[1] + (flat * second - mixed * first) / (flat * square - mixed**2)
                elif intercept is not None:
                    found[name] = intercept[0] + first / flat
        return found

    return coefficients
