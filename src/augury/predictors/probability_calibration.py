"""From scores on the logit scale to probabilities: a monotone, piecewise linear map of the logit.

One form holds every method (the identity, Platt's straight line, a line with bends), and it consists of comparisons,
one gather, one product and one sum, which every runtime computes alike.
"""

import itertools
from typing import Literal, Self, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Method: TypeAlias = Literal["platt", "isotonic_linear", "none"]

SMALLEST_SLOPE = 0.05
"""Logits per unit of score that even the flattest piece keeps, so that calibration merges no two scores."""

LARGEST_SLOPE = 20.0

KNOT_SHARES = (0.02, 0.1, 0.25, 0.5, 0.75)
"""Where the map may bend: at these quantiles of the positives' scores."""

STIFFNESS = 2.0
"""How strongly neighbouring pieces are pulled to one slope, in units of observed positives."""


class ProbabilityCalibration(BaseModel):
    """A strictly increasing, piecewise linear map from scores to logits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = "none"
    knots: tuple[float, ...] = Field(default=(), description="scores at which the slope changes, ascending")
    intercepts: tuple[float, ...] = Field(default=(0.0,), description="one per piece, one more than knots")
    slopes: tuple[float, ...] = Field(default=(1.0,), description="one per piece, all positive")

    @model_validator(mode="after")
    def _pieces_fit(self) -> Self:
        if not len(self.intercepts) == len(self.slopes) == len(self.knots) + 1:
            raise ValueError("a calibration needs one intercept and one slope per piece")
        if any(slope <= 0 for slope in self.slopes) or list(self.knots) != sorted(set(self.knots)):
            raise ValueError("a calibration's slopes must be positive and its knots ascending")
        if not np.isfinite([*self.knots, *self.intercepts, *self.slopes]).all():
            raise ValueError("a calibration's numbers must be finite")
        return self

    def logit(self, score: np.ndarray) -> np.ndarray:
        """Calibrated logits.

        Args:
            score: float64, shape (rows,).

        Returns:
            float64, shape (rows,).
        """
        piece = np.searchsorted(np.asarray(self.knots), score, side="right")
        return np.asarray(self.intercepts)[piece] + np.asarray(self.slopes)[piece] * score

    def probability(self, score: np.ndarray) -> np.ndarray:
        """Calibrated probabilities; see :meth:`logit`."""
        return 1.0 / (1.0 + np.exp(-self.logit(score)))


class ScoreBlend(BaseModel):
    """From the margins of two models, a classifier and a regression, to a probability."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(ge=0, le=1, description="of the regression's score; the classifier's margin has the rest")
    intercept: float = Field(description="with slope: from the log cost to the logit scale")
    slope: float
    calibration: ProbabilityCalibration

    def score(self, margin: np.ndarray, log_cost: np.ndarray) -> np.ndarray:
        """Blended score on the logit scale, not calibrated yet.

        Args:
            margin: The classifier's margins, float64.
            log_cost: The regression's predictions, float64.

        Returns:
            float64, shape (rows,).
        """
        scaled = log_cost * self.slope + self.intercept
        return margin * (1.0 - self.weight) + scaled * self.weight

    def probability(self, margin: np.ndarray, log_cost: np.ndarray) -> np.ndarray:
        """Calibrated probability; see :meth:`score`."""
        return self.calibration.probability(self.score(margin, log_cost))


def fit_calibration(
    score: np.ndarray, positive: np.ndarray, weight: np.ndarray, method: Method
) -> ProbabilityCalibration:
    """Fit a calibration by weighted log loss.

    Args:
        score: Scores on the logit scale, shape (rows,).
        positive: Whether each row is positive.
        weight: How many rows each row stands for.
        method: ``platt``: a line; ``isotonic_linear``: a monotone line with bends; ``none``: the identity.

    Returns:
        The calibration. Where there are fewer than two positives or negatives, whatever the method, the identity: there
        is nothing to learn from.
    """
    score = np.asarray(score, dtype=np.float64)
    positive = np.asarray(positive, dtype=bool)
    weight = np.asarray(weight, dtype=np.float64)
    if method == "none" or min(positive.sum(), (~positive).sum()) < 2:
        return ProbabilityCalibration()
    knots: tuple[float, ...] = ()
    if method == "isotonic_linear":
        bends = np.quantile(score[positive], KNOT_SHARES)
        # A bend needs room on both sides, else its slope is anything
        room = 0.25 * max(score.std(), 1e-9)
        for bend in bends.tolist():
            if not knots or bend - knots[-1] > room:
                knots = (*knots, bend)
    intercept, slopes = _fit_pieces(score, positive, weight, knots)
    intercepts = [intercept]
    for knot, before, after in zip(knots, slopes[:-1], slopes[1:], strict=True):
        intercepts.append(intercepts[-1] + (before - after) * knot)
    return ProbabilityCalibration(
        method=method, knots=knots, intercepts=tuple(intercepts), slopes=tuple(slopes)
    )  # fmt: skip


def _fit_pieces(
    score: np.ndarray, positive: np.ndarray, weight: np.ndarray, knots: tuple[float, ...]
) -> tuple[float, list[float]]:
    """Intercept of the first piece, and all slopes, of a linear spline with the smallest penalised log loss."""
    from scipy.optimize import minimize

    # Platt's targets: an observation more on either side keeps the slope finite when the scores separate the classes
    count = float(weight[positive].sum())
    rest = float(weight[~positive].sum())
    target = np.where(positive, (count + 1) / (count + 2), 1 / (rest + 2))
    edges = np.array([-np.inf, *knots, np.inf])
    origin = knots[0] if knots else 0.0
    # Column k: how far the score reaches into piece k, measured from the first knot
    parts = np.empty((len(score), len(knots) + 1))
    for piece, (low, high) in enumerate(itertools.pairwise(edges)):
        parts[:, piece] = np.clip(score, low, high) - (origin if piece == 0 else low)
    stiffness = STIFFNESS * float(np.var(score[positive])) if len(knots) else 0.0

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        logit = values[0] + parts @ values[1:]
        error = 1.0 / (1.0 + np.exp(-np.clip(logit, -500, 500))) - target
        total = np.sum(weight * (np.logaddexp(0.0, logit) - target * logit))
        steps = np.diff(values[1:])
        slope_gradient = parts.T @ (weight * error)
        slope_gradient[1:] += 2 * stiffness * steps
        slope_gradient[:-1] -= 2 * stiffness * steps
        gradient = np.concatenate([[np.sum(weight * error)], slope_gradient])
        return float(total + stiffness * np.sum(steps**2)), gradient

    start = np.array([0.0, *np.ones(len(knots) + 1)])
    start[0] = origin
    bounds = [(None, None), *[(SMALLEST_SLOPE, LARGEST_SLOPE)] * (len(knots) + 1)]
    settings = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8}
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=settings).x.tolist()
    return found[0] - found[1] * origin, found[1:]
