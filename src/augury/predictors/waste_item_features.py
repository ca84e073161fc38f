"""Features of a purchase that come from its own row: the item, its price, and the time of the year."""

import math
from collections.abc import Sequence

import numpy as np

from augury.predictors import purchase_columns as pc
from augury.predictors.past_events import DAY, ratio
from augury.predictors.waste_norms import CategoryNorm, norms_at
from augury.predictors.waste_rows import WasteRows

ITEM = {
    "item_shelf_life_days": "days that it keeps",
    "item_log_shelf_life": "natural logarithm of that",
    "item_quantity": "servings",
    "item_household_size": "members of the household",
    "item_quantity_per_head": "servings per member",
    "item_quantity_per_eater": "servings per member and guest",
    "item_daily_need_per_head": "servings per member and day of shelf life",
    "item_quantity_to_usual": "servings per member over what was usual in the category when the month began",
    "item_shelf_life_to_usual": "days that it keeps over what was usual in the category when the month began",
    "item_is_planned": "1 if it was on the list",
    "item_is_bulk": "1 if it is a bulk package",
    "item_unplanned_quantity_per_head": "servings per member if unplanned, else 0",
    "item_fridge_temperature_c": "temperature of the fridge",
    "item_fridge_heat_exposure": "degrees above 4 of the fridge, per day of shelf life",
    "item_guests": "expected guests",
    "item_guests_per_head": "expected guests per member",
}

SEASON = {
    "season_year_sin": "sine of the day of the year",
    "season_year_cos": "cosine of it",
    "season_half_year_sin": "sine of twice the day of the year",
    "season_half_year_cos": "cosine of it",
    "season_weekday": "weekday, Monday 0",
    "season_is_weekend": "1 on Saturdays and Sundays",
    "season_hour": "hour of the day",
}

PRICE = {
    "price_paid": "price of the line",
    "price_per_serving": "price of a serving",
    "price_discount": "discount, as a share",
    "price_is_discounted": "1 if there is one",
    "price_weekend_discount": "discount on a weekend, else 0",
    "price_short_life_discount": "discount per day of shelf life",
    "price_to_household": "price of a serving over the mean in the household's past",
    "price_to_category": "price of a serving over the mean in the household's past of this category",
    "price_discounted_share": "share of the household's past purchases with a discount",
}

COLDEST = 4.0
"""Degrees Celsius at which food keeps for as long as its shelf life says."""

YEAR = 366

_ANGLES = [2.0 * math.pi * day / YEAR for day in range(YEAR)]
_YEAR_WAVES = np.array([[f(k * a) for a in _ANGLES] for k in (1, 2) for f in (math.sin, math.cos)])


def category_feature(name: str) -> str:
    """Name of the feature that is 1 for items of a category."""
    return f"item_category_{name}"


def item_features(
    rows: WasteRows, categories: Sequence[str], norms: Sequence[CategoryNorm], extra_columns: Sequence[str]
) -> dict[str, np.ndarray]:
    """What is bought, by whom.

    Args:
        rows: Purchases.
        categories: Those that have a feature of their own.
        norms: What was usual in them.
        extra_columns: Columns that are features as they are.

    Returns:
        By name (:data:`ITEM` and those of the arguments), one number per row.
    """
    size, quantity, shelf_life = rows[pc.HOUSEHOLD_SIZE], rows[pc.QUANTITY], rows[pc.SHELF_LIFE_DAYS]
    planned, fridge, guests = rows[pc.IS_PLANNED], rows[pc.FRIDGE_TEMPERATURE_C], rows[pc.GUESTS]
    per_head = ratio(quantity, size)
    usual_per_head, usual_life = norms_at(rows, categories, norms)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_life = np.where(shelf_life > 0, np.log(shelf_life), np.nan)
    return {
        "item_shelf_life_days": shelf_life,
        "item_log_shelf_life": log_life,
        "item_quantity": quantity,
        "item_household_size": size,
        "item_quantity_per_head": per_head,
        "item_quantity_per_eater": ratio(quantity, rows.eaters),
        "item_daily_need_per_head": ratio(per_head, shelf_life),
        "item_quantity_to_usual": ratio(per_head, usual_per_head),
        "item_shelf_life_to_usual": ratio(shelf_life, usual_life),
        "item_is_planned": planned,
        "item_is_bulk": rows[pc.IS_BULK],
        "item_unplanned_quantity_per_head": per_head * (1.0 - planned),
        "item_fridge_temperature_c": fridge,
        "item_fridge_heat_exposure": ratio(fridge - COLDEST, shelf_life),
        "item_guests": guests,
        "item_guests_per_head": ratio(guests, size),
        **{category_feature(name): rows.category_index == position for position, name in enumerate(categories)},
        **{f"item_{name}": rows[name] for name in extra_columns},
    }


def season_features(rows: WasteRows) -> dict[str, np.ndarray]:
    """When it is bought.

    Args:
        rows: Purchases.

    Returns:
        By name of :data:`SEASON`, one number per row.
    """
    times = rows.time.astype("datetime64[us]")
    day = (times.astype("datetime64[D]") - times.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    weekday = _weekday(rows.time)
    # Looked up: a processor's sine need not be the same for one row as for a thousand
    year = _YEAR_WAVES[:, day]
    return {
        "season_year_sin": year[0],
        "season_year_cos": year[1],
        "season_half_year_sin": year[2],
        "season_half_year_cos": year[3],
        "season_weekday": weekday,
        "season_is_weekend": weekday >= 5,
        "season_hour": rows.time % DAY // (DAY // 24),
    }


def price_features(rows: WasteRows) -> dict[str, np.ndarray]:
    """What it costs, also compared with what the household paid before.

    Args:
        rows: Purchases.

    Returns:
        By name of :data:`PRICE`, one number per row.
    """
    unit, discount = rows.unit_price, rows[pc.DISCOUNT]
    past = rows.bought_before
    return {
        "price_paid": rows[pc.PRICE],
        "price_per_serving": unit,
        "price_discount": discount,
        "price_is_discounted": np.where(np.isnan(discount), np.nan, discount > 0),
        "price_weekend_discount": discount * (_weekday(rows.time) >= 5),
        "price_short_life_discount": ratio(discount, rows[pc.SHELF_LIFE_DAYS]),
        "price_to_household": ratio(unit, past.mean("price", "price_known")),
        "price_to_category": ratio(unit, rows.category_bought_before.mean("price", "price_known")),
        "price_discounted_share": ratio(past.total("discounted"), past.total("discount_known")),
    }


def _weekday(time: np.ndarray) -> np.ndarray:
    """Monday 0; the first of January 1970 was a Thursday."""
    return (time // DAY + 3) % 7
