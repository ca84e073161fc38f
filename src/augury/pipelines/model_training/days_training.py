"""Days to an event as a share of a scale: the scale, and how wide the interval around a prediction must be."""

from typing import Any

import numpy as np
import pandas as pd

from augury.pipelines.model_training.conformal import conformal_quantile
from augury.predictors.days_to_event import EventInterval, EventScale

SMALLEST_SCALE = 1e-3
"""Days; a category of which everything is wasted at once still needs a positive scale."""

FEWEST_GROUPS = 30
"""Households of a category that it takes for an interval of its own."""


def fit_scale(days: np.ndarray, own: pd.Series, category: pd.Series) -> EventScale:
    """Find what stands for the scale where it is unknown: the usual one of the category.

    Args:
        days: Days of the events.
        own: The rows' own scale, missing where unknown.
        category: Their category.

    Returns:
        Medians of the known scales; of the days where no scale is known.
    """
    known = own.to_numpy(dtype=np.float64) > 0
    usual = pd.Series(np.where(known, own, np.nan)).groupby(category.to_numpy()).median()
    rest = pd.Series(days).groupby(category.to_numpy()).median()
    by_category = usual.fillna(rest).clip(lower=SMALLEST_SCALE)
    overall = np.median(own.to_numpy(dtype=np.float64)[known]) if known.any() else np.median(days)
    return EventScale(
        by_category={str(name): float(value) for name, value in by_category.items()},
        otherwise=max(float(overall), SMALLEST_SCALE),
    )


def fit_interval(
    ratio: np.ndarray, predicted: np.ndarray, category: pd.Series, groups: pd.Series, coverage: float
) -> EventInterval:
    """Choose how far the interval reaches below and above a prediction, by category, from forward predictions.

    Args:
        ratio: Actual days over their scale.
        predicted: Predicted ones, by models that were trained before.
        category: Category of each row.
        groups: Rows that are not independent of each other share one.
        coverage: Share that should lie inside; half of the rest lies on each side.

    Returns:
        The interval; of no width where there are no rows.
    """
    error = ratio - np.maximum(predicted, 0.0)
    codes = pd.factorize(groups)[0]
    risk = (1 - coverage) / 2

    def margins(rows: Any) -> tuple[float, float]:
        if not len(error[rows]):
            return 0.0, 0.0
        below, above = (conformal_quantile(sign * error[rows], codes[rows], risk) for sign in (-1, 1))
        return -max(below, 0.0), max(above, 0.0)

    names = category.to_numpy()
    own = {
        str(name): margins(names == name)
        for name in sorted(set(names.tolist()))
        if len(np.unique(codes[names == name])) >= FEWEST_GROUPS
    }
    return EventInterval(coverage=coverage, by_category=own, otherwise=margins(slice(None)))
