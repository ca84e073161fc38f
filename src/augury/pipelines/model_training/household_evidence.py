"""What past purchases say about their households: residuals of a model that had not seen them."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors import purchase_columns as pc
from augury.predictors.entity_effect import residuals
from augury.predictors.food_waste import INFORMATION, KNOWN_AT, RESIDUAL

LONGEST_DAYS = 36_500.0
"""A shelf life of longer than a century is cut, for the calendar's sake."""


class KnownAfter(Parameters):
    """When a fate that has no date of its own counts as known."""

    days: float = Field(default=60.0, gt=0, description="days after the purchase, at least")
    shelf_lives: float = Field(default=1.6, gt=0, description="shelf lives after the purchase, at least")

    dated: bool = Field(default=True, description="false: no date counts, all fates are known after this time")


def known_after(purchases: pd.DataFrame, undated: KnownAfter) -> KnownAfter:
    """Decide whether the dates of fates can be used.

    Args:
        purchases: Training rows with their outcomes.
        undated: When a fate without a date counts as known.

    Returns:
        The same, without dates where most of the eaten items have none: the wasted ones would be heard of first, and
        every household would look wasteful for a while.
    """
    eaten = purchases[pc.IS_WASTED] == 0
    missing = purchases.loc[eaten, pc.RESOLVED_AT].isna()
    return undated.model_copy(update={"dated": False}) if len(missing) and missing.mean() > 0.5 else undated


def with_evidence(purchases: pd.DataFrame, probability: pd.Series, known: KnownAfter) -> pd.DataFrame:
    """Append what each purchase says about its household, and from when on.

    Args:
        purchases: Purchases with their outcomes.
        probability: By purchase, what a model had said that was trained before; purchases may be missing.
        known: When fates are known.

    Returns:
        The table with the columns of :data:`~augury.predictors.food_waste.EVIDENCE`; residual and information are
        missing where the fate or the probability is.
    """
    said = purchases[pc.PURCHASE_ID].map(probability).to_numpy(dtype=np.float64)
    residual, information = residuals(purchases[pc.IS_WASTED].to_numpy(dtype=np.float64), said)
    days = (purchases[pc.SHELF_LIFE_DAYS] * known.shelf_lives).fillna(0.0).clip(known.days, LONGEST_DAYS)
    since = (purchases[pc.PURCHASED_AT] + pd.to_timedelta(days, unit="D")).astype("datetime64[us]")
    if known.dated:
        since = purchases[pc.RESOLVED_AT].astype("datetime64[us]").fillna(since)
    found: dict[str, Any] = {KNOWN_AT: since, RESIDUAL: residual, INFORMATION: information}
    return purchases.assign(**found)
