"""What is usual in a category: how much people buy per head, and how long it keeps.

A household alone cannot tell. So it is learnt from all of them, month by month, and each row is compared with what was
known when its month began: no later purchase changes a feature, here neither.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from augury.engines import Schema
from augury.parameters import Parameters
from augury.predictors import purchase_columns as pc
from augury.predictors.past_events import FRACTION, quantised, ratio
from augury.predictors.waste_rows import WasteRows

MONTH = "month"
SUMS: Schema = {
    pc.CATEGORY: "string",
    MONTH: "int",
    "servings": "long",
    "servings_known": "long",
    "life": "long",
    "life_known": "long",
}
"""Sums over the purchases of a category in a month (counted from January 1970): whole numbers of servings per head and
of days of shelf life, and how many purchases have them."""


class CategoryNorm(Parameters):
    """What was usual in a category when a month began."""

    category: str
    month: str = Field(pattern=r"^\d{4}-\d{2}$", description="from its first day on, until another norm follows")
    servings_per_head: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    shelf_life_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)


def monthly_sums(purchases: pd.DataFrame, categories: Sequence[str]) -> pd.DataFrame:
    """Sum up purchases.

    Args:
        purchases: Some rows of the labelled table.
        categories: Those that are asked for.

    Returns:
        Columns of :data:`SUMS`, to be summed over all pieces of the table.
    """
    rows = purchases[purchases[pc.CATEGORY].isin(categories)]
    size = rows[pc.HOUSEHOLD_SIZE].to_numpy(dtype=np.float64)
    per_head = ratio(rows[pc.QUANTITY].to_numpy(dtype=np.float64), size)
    life = rows[pc.SHELF_LIFE_DAYS].to_numpy(dtype=np.float64)
    table = pd.DataFrame(
        {
            pc.CATEGORY: rows[pc.CATEGORY].to_numpy(dtype=object),
            MONTH: rows[pc.PURCHASED_AT].to_numpy().astype("datetime64[M]").astype(np.int64),
            "servings": quantised(per_head),
            "servings_known": (~np.isnan(per_head)).astype(np.int64),
            "life": quantised(life),
            "life_known": (~np.isnan(life)).astype(np.int64),
        }
    )
    return table.groupby([pc.CATEGORY, MONTH], as_index=False).sum()


def monthly_norms(sums: pd.DataFrame) -> tuple[CategoryNorm, ...]:
    """Means over all the past, for the month that follows each one.

    Args:
        sums: Columns of :data:`SUMS`, one row per category and month.

    Returns:
        The norms, by category and month.
    """
    ordered = sums.sort_values([pc.CATEGORY, MONTH], ignore_index=True)
    totals = ordered.groupby(pc.CATEGORY)[["servings", "servings_known", "life", "life_known"]].cumsum()
    # Not the month itself: its first purchases would be compared with later ones
    months = (ordered[MONTH].to_numpy(dtype=np.int64) + 1).astype("datetime64[M]").astype(str)
    servings = ratio(totals["servings"].to_numpy() * FRACTION, totals["servings_known"].to_numpy())
    life = ratio(totals["life"].to_numpy() * FRACTION, totals["life_known"].to_numpy())
    found = zip(ordered[pc.CATEGORY], months, servings.tolist(), life.tolist(), strict=True)
    return tuple(
        CategoryNorm(category=name, month=month, servings_per_head=_positive(per_head), shelf_life_days=_positive(days))
        for name, month, per_head, days in found
    )


def norms_at(
    rows: WasteRows, categories: Sequence[str], norms: Iterable[CategoryNorm]
) -> tuple[np.ndarray, np.ndarray]:
    """What was usual in the category of each row when its month began.

    Args:
        rows: Purchases.
        categories: Names, by number.
        norms: In any order.

    Returns:
        Servings per head and days of shelf life; NaN where not known.
    """
    months = rows.time.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    servings, life = np.full(len(months), np.nan), np.full(len(months), np.nan)
    by_category: dict[str, list[CategoryNorm]] = {}
    for norm in sorted(norms, key=lambda norm: norm.month):
        by_category.setdefault(norm.category, []).append(norm)
    for number, name in enumerate(categories):
        known = by_category.get(name, [])
        if not known:
            continue
        mine = np.flatnonzero(rows.category_index == number)
        starts = np.array([norm.month for norm in known], dtype="datetime64[M]").astype(np.int64)
        at = np.searchsorted(starts, months[mine], side="right")
        # The first is for rows that are older than all norms
        servings[mine] = np.array([np.nan, *(norm.servings_per_head for norm in known)], dtype=np.float64)[at]
        life[mine] = np.array([np.nan, *(norm.shelf_life_days for norm in known)], dtype=np.float64)[at]
    return servings, life


def _positive(value: float) -> float | None:
    return value if value > 0 else None
