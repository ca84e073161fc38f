"""From scores to probabilities, for many labels at once: a line in the log odds per label, shrunk to a common one.

Platt's line (a slope and an intercept) is fitted to all scores of all labels first; each label's own line then is the
most likely one under a normal distribution around the common line. A label with few positives keeps the common line,
one with many gets its own, and nobody has to say where few ends.
"""

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

FEWEST_POSITIVES = 20
"""Positives of all labels together, and negatives, below which nothing is fitted."""
SMALLEST_SLOPE = 0.01
"""Slopes are at least this, so that a calibration never turns the order of the texts around."""
STIFFNESS = (4.0, 1.0)
"""Inverse variances of a label's slope (relative to the common one) and of its intercept around the common line."""
LARGEST = 30.0
"""Log odds further out are as good as certain; beyond, ``exp`` would overflow."""
ROUNDS = 30


class LabelCalibration(BaseModel):
    """A line in the scores per label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slopes: tuple[float, ...] = Field(description="of each label")
    intercepts: tuple[float, ...] = Field(description="of each label")
    rows: int = Field(default=0, description="rows that it was fitted to; 0: not fitted")

    @model_validator(mode="after")
    def _is_increasing(self) -> Self:
        if len(self.slopes) != len(self.intercepts):
            raise ValueError("a calibration needs as many slopes as intercepts")
        if not np.isfinite([*self.slopes, *self.intercepts]).all() or min(self.slopes, default=1.0) <= 0:
            raise ValueError("a calibration's slopes must be positive and all its numbers finite")
        return self

    @classmethod
    def none(cls, labels: int) -> Self:
        """The scores are log odds already."""
        return cls(slopes=(1.0,) * labels, intercepts=(0.0,) * labels)

    def log_odds(self, scores: np.ndarray) -> np.ndarray:
        """Calibrate scores.

        Args:
            scores: Shape (rows, labels).

        Returns:
            float64 of the same shape.
        """
        return np.asarray(scores, dtype=np.float64) * self.slopes + self.intercepts

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 of the scores' shape."""
        return sigmoid(self.log_odds(scores))


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` for any ``x``."""
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -LARGEST, LARGEST)))


def fit_label_calibration(scores: np.ndarray, targets: np.ndarray, *, per_label: bool = True) -> LabelCalibration:
    """Fit the lines by penalised log loss.

    Args:
        scores: Of models that did not learn from these rows, shape (rows, labels).
        targets: Whether each row carries each label, of the same shape.
        per_label: Whether labels get lines of their own.

    Returns:
        The calibration; :meth:`LabelCalibration.none` where all labels together have fewer than 20 positives or
        negatives.
    """
    scores, targets = np.asarray(scores, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    rows, labels = scores.shape
    positives = targets.sum()
    if min(positives, targets.size - positives) < FEWEST_POSITIVES:
        return LabelCalibration.none(labels)
    # Scores of any scale: the penalty of the common line must not depend on the model's units
    scale = float(np.std(scores)) or 1.0
    start = np.array([[1.0], [np.log(positives / (targets.size - positives))]])
    everything = _smoothed(targets.reshape(-1, 1))
    pooled = _newton((scores / scale).reshape(-1, 1), everything, start, (1e-3, 1e-6))
    slope = max(float(pooled[0, 0]) / scale, SMALLEST_SLOPE / scale)
    slopes, intercepts = np.full(labels, slope), np.full(labels, float(pooled[1, 0]))
    if per_label:
        common = slope * scores + pooled[1, 0]
        # Around the common line a label's line is x -> a x + b with a near 1 and b near 0
        own = _newton(common, _smoothed(targets), np.vstack([np.ones(labels), np.zeros(labels)]), STIFFNESS)
        own_slopes = np.maximum(own[0], SMALLEST_SLOPE)
        slopes, intercepts = own_slopes * slopes, own_slopes * intercepts + own[1]
    return LabelCalibration(slopes=tuple(slopes.tolist()), intercepts=tuple(intercepts.tolist()), rows=rows)


def _smoothed(targets: np.ndarray) -> np.ndarray:
    """Platt's targets: a column of n positives does not make anything more certain than (n + 1) / (n + 2)."""
    positives = targets.sum(axis=0)
    negatives = len(targets) - positives
    return np.where(targets > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _newton(scores: np.ndarray, targets: np.ndarray, prior: np.ndarray, stiffness: tuple[float, float]) -> np.ndarray:
    """The most likely line of every column, shape (2, columns), given a normal distribution around ``prior``."""
    line = np.array(prior, dtype=np.float64)

    def loss(values: np.ndarray) -> np.ndarray:
        x = scores * values[0] + values[1]
        away = values - prior
        penalty = 0.5 * (stiffness[0] * away[0] ** 2 + stiffness[1] * away[1] ** 2)
        return (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))) - targets * x).sum(axis=0) + penalty

    present = loss(line)
    for _ in range(ROUNDS):
        chance = sigmoid(scores * line[0] + line[1])
        residual, weight = chance - targets, chance * (1 - chance)
        away = line - prior
        first = (residual * scores).sum(axis=0) + stiffness[0] * away[0]
        second = residual.sum(axis=0) + stiffness[1] * away[1]
        a = (weight * scores**2).sum(axis=0) + stiffness[0]
        b = (weight * scores).sum(axis=0)
        c = weight.sum(axis=0) + stiffness[1]
        determinant = np.maximum(a * c - b**2, 1e-12)
        step = np.vstack([(c * first - b * second), (a * second - b * first)]) / determinant
        size = np.ones(line.shape[1])
        for _ in range(20):  # halved wherever a full step would overshoot
            tried = line - size * step
            found = loss(tried)
            worse = found > present + 1e-12 * np.abs(present)
            if not worse.any():
                break
            size[worse] /= 2
        line = np.where(worse, line, tried)
        better = np.where(worse, present, found)
        if np.all(np.abs(present - better) <= 1e-10 * (1 + np.abs(present))):
            break
        present = better
    return line
