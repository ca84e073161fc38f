"""From the probabilities of a classifier to probabilities that can be taken at their word.

Four maps, all increasing: *beta* (Kull, Silva Filho and Flach 2017: a line in ``ln p`` and ``-ln (1 - p)``), *sigmoid*
(Platt: a line in the log odds, which is beta with two equal slopes), *spline* (a line with bends in the log odds, of
the sibling :mod:`~augury.predictors.probability_calibration`) and *isotonic* (steps with straight lines between). All
are fitted to predictions of models that did not learn from the rows; on training rows they would learn to trust an
overfit model.
"""

import logging
from typing import Literal, Self, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from augury.predictors.probability_calibration import SMALLEST_SLOPE, ProbabilityCalibration, fit_calibration

CalibrationMethod: TypeAlias = Literal["beta", "sigmoid", "spline", "isotonic", "none"]
CalibrationChoice: TypeAlias = Literal["auto", "beta", "sigmoid", "spline", "isotonic", "none"]

ISOTONIC_ROWS = 5_000
ISOTONIC_POSITIVES = 1_000
"""Isotonic calibration of fewer rows follows their noise: with 1,000 rows its slope on fresh data is 0.8."""

FEWEST: dict[CalibrationMethod, int] = {"none": 0, "sigmoid": 50, "beta": 100, "spline": 500}
"""Rows of the rarer class from which on ``auto`` considers a method. The more freely a map bends, the more rows tell a
bend from noise: with 26 positives a spline was seen to multiply all probabilities by six."""

SMALLEST = 1e-12
"""Distance that probabilities keep from 0 and 1 before their logarithm is taken."""

STIFFNESS = 1.0
"""Pull of the beta slopes towards 1, in squared units per observation's worth: where all probabilities are small, the
second slope has next to nothing to be fitted to."""

PARTS = 5
"""Parts of the groups that methods are compared on."""

logger = logging.getLogger(__name__)


class BinaryCalibration(BaseModel):
    """An increasing map from probabilities to probabilities."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: CalibrationMethod = "none"
    slopes: tuple[float, float] = Field(default=(1.0, 1.0), description="of ln p and of -ln(1 - p)")
    intercept: float = 0.0
    knots: tuple[float, ...] = Field(default=(), description="isotonic: probabilities, strictly ascending")
    values: tuple[float, ...] = Field(default=(), description="isotonic: what they become; straight lines between")
    spline: ProbabilityCalibration | None = Field(default=None, description="spline: from log odds to log odds")

    @model_validator(mode="after")
    def _is_increasing(self) -> Self:
        numbers = [*self.slopes, self.intercept, *self.knots, *self.values]
        if not np.isfinite(numbers).all():
            raise ValueError("a calibration's numbers must be finite")
        if min(self.slopes) < 0 or max(self.slopes) == 0:
            raise ValueError("a calibration's slopes must not be negative, nor both zero")
        if (self.method == "isotonic") != bool(self.knots) or len(self.knots) != len(self.values):
            raise ValueError("an isotonic calibration, and no other, needs knots and as many values")
        if (self.method == "spline") != (self.spline is not None):
            raise ValueError("a spline calibration, and no other, needs its spline")
        if list(self.knots) != sorted(set(self.knots)) or list(self.values) != sorted(self.values):
            raise ValueError("the knots of a calibration must ascend and its values must not descend")
        return self

    def probability(self, probability: np.ndarray) -> np.ndarray:
        """Calibrate probabilities, float64 of shape (rows,)."""
        if self.method == "none":
            return np.asarray(probability, dtype=np.float64)
        if self.method == "isotonic":
            return np.interp(probability, self.knots, self.values)
        return self._of_log_odds(_log_odds(probability))

    def of_log_odds(self, log_odds: np.ndarray) -> np.ndarray:
        """Calibrate log odds, float64 of shape (rows,); exact where the probability is as good as 0 or 1."""
        if self.method == "isotonic":
            return np.interp(_sigmoid(log_odds), self.knots, self.values)
        return self._of_log_odds(log_odds)

    def _of_log_odds(self, log_odds: np.ndarray) -> np.ndarray:
        if self.spline is not None:
            return _sigmoid(self.spline.logit(log_odds))
        low, high = self.slopes
        return _sigmoid(self.intercept - low * softplus(-log_odds) + high * softplus(log_odds))


def softplus(value: np.ndarray) -> np.ndarray:
    """``ln(1 + exp(value))`` for any value; ``-softplus(-x)`` is ``ln p`` and ``-softplus(x)`` is ``ln(1 - p)``."""
    return np.maximum(value, 0.0) + np.log(1.0 + np.exp(-np.abs(value)))


def fit_binary_calibration(
    probability: np.ndarray,
    actual: np.ndarray,
    method: CalibrationChoice,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> BinaryCalibration:
    """Fit a calibration by log loss.

    Args:
        probability: Of models that did not learn from these rows, shape (rows,).
        actual: Whether each row is positive.
        method: ``auto`` takes the one with the smallest log loss of rows whose group had no part in the fit. Groups are
            compared, not times: between two times the level shifts, which would decide for no calibration at all.
            Methods for which the rarer class has too few rows are left out (:data:`FEWEST`).
        weight: How many rows each row stands for; None: one.
        groups: Rows that are not independent of each other share a number; None: all are.

    Returns:
        The calibration. ``none`` where there are fewer than two positives or two negatives; ``beta`` in place of
        ``isotonic`` where there are fewer than 5,000 rows or 1,000 positives.
    """
    probability = np.asarray(probability, dtype=np.float64)
    actual = np.asarray(actual, dtype=bool)
    weight = np.ones(len(actual)) if weight is None else np.asarray(weight, dtype=np.float64)
    if min(actual.sum(), (~actual).sum()) < 2:
        return BinaryCalibration()
    if method == "auto":
        method = _best_method(probability, actual, weight, groups)
    if method == "isotonic" and not _enough_for_isotonic(actual):
        logger.warning(
            "Isotonic calibration needs %d rows and %d positives; there are %d and %d. Using beta.",
            ISOTONIC_ROWS, ISOTONIC_POSITIVES, len(actual), int(actual.sum()),
        )  # fmt: skip
        method = "beta"
    if method == "none":
        return BinaryCalibration()
    if method == "isotonic":
        return _fit_isotonic(probability, actual, weight)
    log_odds = _log_odds(probability)
    if method == "beta":
        return _fit_beta(log_odds, actual, weight)
    if method == "spline":
        bends = fit_calibration(log_odds, actual, weight, "isotonic_linear")
        return BinaryCalibration(method="spline", spline=bends)
    line = fit_calibration(log_odds, actual, weight, "platt")
    return BinaryCalibration(
        method="sigmoid", slopes=(line.slopes[0], line.slopes[0]), intercept=line.intercepts[0]
    )  # fmt: skip


def _enough_for_isotonic(actual: np.ndarray) -> bool:
    return len(actual) >= ISOTONIC_ROWS and int(actual.sum()) >= ISOTONIC_POSITIVES


def _best_method(
    probability: np.ndarray, actual: np.ndarray, weight: np.ndarray, groups: np.ndarray | None
) -> CalibrationMethod:
    parts = parts_of(np.arange(len(actual)) if groups is None else groups)
    rarer = min(actual.sum(), (~actual).sum())
    candidates: tuple[CalibrationMethod, ...] = tuple(method for method, least in FEWEST.items() if rarer >= least)
    if _enough_for_isotonic(actual[parts > 0]):
        candidates = (*candidates, "isotonic")

    def loss(method: CalibrationMethod) -> float:
        found = cross_calibrated(probability, actual, method, parts, weight)
        chance = np.clip(np.where(actual, found, 1 - found), SMALLEST, 1)
        return float(np.average(-np.log(chance), weights=weight))

    losses = {method: loss(method) for method in candidates}
    return min(candidates, key=losses.__getitem__)


def parts_of(groups: np.ndarray, parts: int = PARTS) -> np.ndarray:
    """Deal groups into parts: 0, 1, ...; the part of each row, whatever the other rows' order."""
    return np.unique(groups, return_inverse=True)[1] % parts


def cross_calibrated(
    probability: np.ndarray,
    actual: np.ndarray,
    method: CalibrationChoice,
    parts: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Calibrate each part with what was fitted to the others.

    Args:
        probability: See :func:`fit_binary_calibration`.
        actual: Whether each row is positive.
        method: What to fit.
        parts: Part of each row.
        weight: How many rows each row stands for; None: one.

    Returns:
        Calibrated probabilities, shape (rows,).
    """
    weight = np.ones(len(actual)) if weight is None else weight
    found = np.empty(len(actual))
    for part in np.unique(parts):
        own = parts == part
        fitted = fit_binary_calibration(probability[~own], actual[~own], method, weight[~own])
        found[own] = fitted.probability(probability[own])
    return found


def _fit_beta(log_odds: np.ndarray, actual: np.ndarray, weight: np.ndarray) -> BinaryCalibration:
    from scipy.optimize import minimize

    parts = np.column_stack([-softplus(-log_odds), softplus(log_odds), np.ones(len(log_odds))])
    pulled = np.array([1.0, 1.0, 0.0])

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        logit = parts @ values
        away = (values - pulled) * [STIFFNESS, STIFFNESS, 0.0]
        total = np.sum(weight * (softplus(logit) - actual * logit)) + 0.5 * away @ (values - pulled)
        return float(total), parts.T @ (weight * (_sigmoid(logit) - actual)) + away

    bounds = [(0.0, None), (0.0, None), (None, None)]
    settings = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9}
    low, high, intercept = minimize(loss, pulled, jac=True, bounds=bounds, method="L-BFGS-B", options=settings).x
    if max(low, high) < SMALLEST_SLOPE:
        # The scores say nothing, or the opposite: a small slope keeps their order
        line = fit_calibration(log_odds, actual, weight, "platt")
        return BinaryCalibration(method="beta", slopes=(line.slopes[0],) * 2, intercept=line.intercepts[0])
    return BinaryCalibration(method="beta", slopes=(float(low), float(high)), intercept=float(intercept))


def _fit_isotonic(probability: np.ndarray, actual: np.ndarray, weight: np.ndarray) -> BinaryCalibration:
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression(y_min=0.0, y_max=1.0, increasing=True, out_of_bounds="clip")
    steps.fit(probability, actual, sample_weight=weight)
    # Nobody knows of a probability of 0 or 1 from a finite number of rows
    margin = 1.0 / (weight.sum() + 2.0)
    values = np.clip(steps.y_thresholds_, margin, 1.0 - margin)
    return BinaryCalibration(
        method="isotonic", knots=tuple(steps.X_thresholds_.tolist()), values=tuple(values.tolist())
    )  # fmt: skip


def _log_odds(probability: np.ndarray) -> np.ndarray:
    safe = np.clip(probability, SMALLEST, 1 - SMALLEST)
    return np.log(safe) - np.log1p(-safe)


def _sigmoid(log_odds: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-log_odds))
