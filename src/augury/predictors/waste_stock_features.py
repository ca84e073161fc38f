"""Features of a purchase that come from what is at home already."""

import numpy as np

from augury.predictors import purchase_columns as pc
from augury.predictors.past_events import DAY, FRACTION, Past, ratio, spells
from augury.predictors.waste_rows import WasteRows, later

STOCK = {
    "stock_items": "items at home",
    "stock_servings": "their servings",
    "stock_servings_per_head": "their servings per member",
    "stock_servings_with_this": "their servings and those of this item, per member and guest",
    "stock_life_days": "mean shelf life that is left of the items at home",
    "stock_days_at_home": "mean days since the items at home were bought",
    "stock_category_items": "items of the category at home",
    "stock_category_servings_per_head": "servings of the category at home, per member",
    "stock_expiring_items": "items at home that will expire within days",
    "stock_overdue_items": "items at home that are past their shelf life",
    "stock_days_since_trip": "days since the last shopping trip",
}


def stock_features(
    rows: WasteRows, expiring_days: float, at_home_shelf_lives: float, at_home_days: float
) -> dict[str, np.ndarray]:
    """What is at home: bought before, and not yet known to be eaten up or wasted.

    Args:
        rows: Purchases.
        expiring_days: An item is expiring if its shelf life ends within so many days.
        at_home_shelf_lives: So many shelf lives after its purchase an item counts as gone, even if nobody told.
        at_home_days: The same in days, of items whose shelf life is not known.

    Returns:
        By name of :data:`STOCK`, one number per row.
    """
    moments, household, time, quantity = rows.moments, rows.household, rows.time, rows[pc.QUANTITY]
    shelf_life = rows[pc.SHELF_LIFE_DAYS]
    kept, expiry = ~np.isnan(shelf_life), later(time, shelf_life)
    gone = np.minimum(rows.resolved, later(time, np.where(kept, shelf_life * at_home_shelf_lives, at_home_days)))
    expiring = np.maximum(time, expiry - int(expiring_days * DAY))
    dates = {"bought_s": time // _SECOND, "expiry_s": np.where(kept, expiry // _SECOND, 0), "expiry_known": kept}
    at_home = spells(moments, household, time, gone, **rows.servings, **dates).before(household)
    of_category = spells(moments, rows.category, time, gone, **rows.servings).before(rows.category)
    soon = spells(moments, household, expiring, np.minimum(gone, expiry)).before(household)
    overdue = spells(moments, household, np.maximum(time, expiry), gone).before(household)
    items, stocked, size = at_home.total("spells"), _servings(at_home), rows[pc.HOUSEHOLD_SIZE]
    together = np.nan_to_num(stocked, nan=0.0) + quantity
    dated = at_home.total("expiry_known")
    now_s = time // _SECOND
    return {
        "stock_items": items,
        "stock_servings": stocked,
        "stock_servings_per_head": ratio(stocked, size),
        "stock_servings_with_this": ratio(together, rows.eaters),
        "stock_life_days": ratio((at_home.total("expiry_s") - dated * now_s) / _SECONDS_A_DAY, dated),
        "stock_days_at_home": ratio((items * now_s - at_home.total("bought_s")) / _SECONDS_A_DAY, items),
        "stock_category_items": of_category.total("spells"),
        "stock_category_servings_per_head": ratio(_servings(of_category), size),
        "stock_expiring_items": soon.total("spells"),
        "stock_overdue_items": overdue.total("spells"),
        "stock_days_since_trip": rows.bought_before.days_since_last(),
    }


_SECOND = 1_000_000
_SECONDS_A_DAY = 86_400


def _servings(running: Past) -> np.ndarray:
    """Servings at home; 0 where nothing is, missing where no item says how much it is."""
    known = running.total("quantity_known") > 0
    return np.where(known | (running.total("spells") == 0), running.total("quantity") * FRACTION, np.nan)
