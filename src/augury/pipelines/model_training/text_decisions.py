"""From the members' scores to a classifier: calibration, weights, thresholds, learned from texts nobody trained on."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from augury.pipelines.model_training.text_models import CalibrationKind
from augury.predictors.label_calibration import LabelCalibration, fit_label_calibration
from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.taxonomy import Member, MemberName, combined

PARTS = 5
"""Parts of the texts that calibrations are compared on."""
LEAST_GAIN = 0.002
"""Share of the log loss that a calibration with more numbers must save."""


class Calibrated(NamedTuple):
    """A calibration and why it was chosen."""

    calibration: LabelCalibration
    facts: dict[str, Any]


def choose_calibration(scores: np.ndarray, targets: np.ndarray, kind: CalibrationKind) -> Calibrated:
    """Fit a calibration, and choose its kind by log loss on texts that it was not fitted to.

    Args:
        scores: Of texts that the model did not learn from, shape (texts, labels).
        targets: bool of the same shape.
        kind: Which; ``auto``: the simplest among those that are about the best.

    Returns:
        The calibration.
    """
    labels = scores.shape[1]
    if kind == "none":
        return Calibrated(LabelCalibration.none(labels), {"kind": kind})
    if kind != "auto":
        fitted = fit_label_calibration(scores, targets, per_label=kind == "per_label")
        return Calibrated(fitted, {"kind": kind, "rows": fitted.rows})
    part = np.arange(len(scores)) % PARTS
    losses: dict[CalibrationKind, float] = {"none": log_loss(scores, targets)}
    kinds: tuple[CalibrationKind, ...] = ("common", "per_label")
    for name in kinds:
        found = np.empty(scores.shape)
        for own in range(PARTS):
            chosen = part == own
            fitted = fit_label_calibration(scores[~chosen], targets[~chosen], per_label=name == "per_label")
            found[chosen] = fitted.log_odds(scores[chosen])
        losses[name] = log_loss(found, targets)
    best: CalibrationKind = "none"
    for name in kinds:
        if losses[name] < losses[best] * (1 - LEAST_GAIN):
            best = name
    chosen_fit = choose_calibration(scores, targets, best)
    return Calibrated(chosen_fit.calibration, {"kind": best, "log_loss": losses, "rows": len(scores)})


def log_loss(log_odds: np.ndarray, targets: np.ndarray) -> float:
    """Mean log loss of log odds over all texts and labels."""
    x = np.asarray(log_odds, dtype=np.float64)
    if not x.size:
        return 0.0
    return float((np.maximum(x, 0) - x * targets + np.log1p(np.exp(-np.abs(x)))).mean())


def choose_weights(
    log_odds: Mapping[MemberName, np.ndarray], targets: np.ndarray, steps: int
) -> dict[MemberName, float]:
    """Choose the members' weights by the log loss of the weighted mean of their log odds.

    Args:
        log_odds: Member -> calibrated log odds of texts that it did not learn from, shape (texts, labels).
        targets: bool of the same shape.
        steps: Weights are multiples of 1 / steps.

    Returns:
        Weights that add up to 1; of equally good ones the first, in the order of the members.
    """
    names = list(log_odds)
    best: tuple[float, dict[MemberName, float]] = (np.inf, {})
    for shares in product(range(steps, -1, -1), repeat=len(names) - 1):
        if sum(shares) > steps:
            continue
        weights = dict(zip(names, [share / steps for share in (*shares, steps - sum(shares))], strict=True))
        mean = np.sum([weights[name] * log_odds[name] for name in names if weights[name]], axis=0)
        loss = log_loss(mean, targets)
        if loss < best[0]:
            best = loss, weights
    return best[1]


def probabilities_of(
    scores: Mapping[str, np.ndarray], members: Sequence[Member], hierarchy: LabelHierarchy
) -> np.ndarray:
    """What the classifier will say of texts with these scores; float64 of shape (texts, labels)."""
    return np.round(combined(scores, members, hierarchy).astype(np.float64), 5)
