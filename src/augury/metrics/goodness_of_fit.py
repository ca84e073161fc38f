"""Whether outcomes look like draws with the probabilities that were promised: tests to report, not to gate on.

With tens of thousands of rows each of them rejects deviations that harm nobody, and all take rows as independent. How
large a deviation is say the errors of ``calibration``.
"""

import numpy as np

from augury.metrics.bootstrap import Floats
from augury.metrics.calibration import SMALLEST_PROBABILITY, equal_mass_bins, log_losses
from augury.metrics.metrics_mapping import json_number
from augury.metrics.ranking import Bools

GOODNESS_OF_FIT = (
    "log_loss_skill",
    "hosmer_lemeshow",
    "hosmer_lemeshow_p",
    "spiegelhalter_z",
    "spiegelhalter_p",
    "anderson_darling",
)
HOSMER_LEMESHOW_GROUPS = 10
ANDERSON_DARLING_5_PCT = 2.492
"""A larger statistic rejects uniformity at 5 % where no parameter was fitted to the rows."""


def goodness_of_fit(actual: Bools, probability: Floats, seed: int) -> dict[str, float | None]:
    """Test held-out rows against their probabilities.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``, at least one row.
        probability: Between 0 and 1, shape ``(rows,)``; kept 1e-6 away from both.
        seed: Of the randomised probability integral transform.

    Returns:
        - ``log_loss_skill``: 1 - log loss by the entropy of the share of positives; 0: no better than knowing that
          share, 1: certain and right.
        - ``hosmer_lemeshow`` and ``hosmer_lemeshow_p``: sum over ten equal-mass groups of (observed - expected)^2 by
          (expected x (1 - expected / rows)), chi-squared with as many degrees of freedom as groups: nothing was fitted
          to held-out rows, so none is taken off [1]_.
        - ``spiegelhalter_z`` and ``spiegelhalter_p`` (two-sided): the standardised Brier score [2]_.
        - ``anderson_darling``: A^2 of the randomised probability integral transform against the uniform distribution;
          above :data:`ANDERSON_DARLING_5_PCT` uniformity is rejected at 5 %.

        None where it is undefined, such as the skill where there is one class.

        .. [1] D. W. Hosmer, S. Lemeshow, R. X. Sturdivant, "Applied logistic regression", 3rd ed., 5.2.
        .. [2] D. J. Spiegelhalter, "Probabilistic prediction in patient management and clinical trials", Statistics in
           Medicine 5 (1986).
    """
    from scipy.special import ndtr
    from scipy.stats import chi2

    safe = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    statistic, groups = hosmer_lemeshow(actual, safe)
    z = spiegelhalter_z(actual, safe)
    found = {
        "log_loss_skill": log_loss_skill(float(log_losses(actual, probability).mean()), float(actual.mean())),
        "hosmer_lemeshow": statistic,
        "hosmer_lemeshow_p": chi2.sf(statistic, groups),
        "spiegelhalter_z": z,
        "spiegelhalter_p": 2 * ndtr(-abs(z)),
        "anderson_darling": anderson_darling(probability_integral_transform(actual, safe, seed)),
    }
    return {name: json_number(value) for name, value in found.items()}


def entropy(share: Floats | float) -> Floats:
    """Entropy of shares in nats; 0 at 0 and 1."""
    inside = np.clip(share, SMALLEST_PROBABILITY**2, 1 - SMALLEST_PROBABILITY**2)
    found: Floats = -(share * np.log(inside) + (1 - np.asarray(share)) * np.log1p(-inside))
    return found


def log_loss_skill(log_loss: Floats | float, prevalence: Floats | float) -> Floats:
    """Share of the uncertainty that a forecast removes; NaN where there is none."""
    base = np.where((np.asarray(prevalence) > 0) & (np.asarray(prevalence) < 1), entropy(prevalence), np.nan)
    return 1 - log_loss / base


def hosmer_lemeshow(actual: Bools, probability: Floats) -> tuple[float, int]:
    """The statistic, and of how many groups it was made: fewer than ten where many rows share a probability."""
    groups = np.unique(equal_mass_bins(probability, HOSMER_LEMESHOW_GROUPS), return_inverse=True)[1]
    rows = np.bincount(groups)
    observed, expected = (np.bincount(groups, weights=values) for values in (actual.astype(np.float64), probability))
    return float(((observed - expected) ** 2 / (expected * (1 - expected / rows))).sum()), len(rows)


def spiegelhalter_z(actual: Bools, probability: Floats) -> float:
    """The Brier score less its expectation, by its standard deviation; NaN where every probability is one half."""
    variance = ((1 - 2 * probability) ** 2 * probability * (1 - probability)).sum()
    if variance == 0:
        return float("nan")
    return float(((actual - probability) * (1 - 2 * probability)).sum() / np.sqrt(variance))


def probability_integral_transform(actual: Bools, probability: Floats, seed: int) -> Floats:
    """Place every outcome at random within its part of the unit interval: positives in the upper part.

    Args:
        actual: Shape ``(rows,)``.
        probability: Shape ``(rows,)``.
        seed: The order of the rows does not matter: rows alike in outcome and probability are interchangeable.

    Returns:
        Values that are uniform where the probabilities are true, in ascending order of (probability, outcome).
    """
    order = np.lexsort((actual, probability))
    hit, chance = actual[order], probability[order]
    uniform = np.random.default_rng(seed).random(len(order))
    return np.where(hit, 1 - chance + uniform * chance, uniform * (1 - chance))


def anderson_darling(uniform: Floats) -> float:
    """A^2 of values against the uniform distribution on 0 to 1, which is fully specified."""
    rows = len(uniform)
    ordered = np.clip(np.sort(uniform), np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg)
    odd = 2 * np.arange(1, rows + 1) - 1
    return float(-rows - (odd * (np.log(ordered) + np.log1p(-ordered[::-1]))).mean())
