"""Features of a purchase that come from what became of the household's earlier ones, as far as it is known by then."""

from collections.abc import Mapping, Sequence

import numpy as np

from augury.predictors import purchase_columns as pc
from augury.predictors.past_events import FRACTION, ratio, shrunk
from augury.predictors.waste_rows import WasteRows

_HISTORY = {
    "history_purchases": "earlier purchases",
    "history_resolved": "those whose fate is known",
    "history_waste_rate": "share of the wasted among those whose fate is known, shrunk towards the prior rate",
    "history_wasted_servings_rate": "share of the wasted servings, shrunk likewise",
    "history_same_plan_waste_rate": "share of the wasted among earlier items that were planned, or not, as this one is",
    "history_unresolved_share": "share of the earlier purchases whose fate is not known yet",
    "history_days_since_waste": "days since something was wasted",
    "history_days_since_eaten": "days since something was eaten up",
    "history_days_known": "days since the first purchase",
    "history_days_to_resolution": "mean days until an item was eaten up or wasted",
    "history_relative_age": "mean age at which items were eaten up or wasted, in shelf lives",
    "history_relative_age_eaten": "mean age at which items were eaten up, in shelf lives",
    "history_planned_share": "share of the earlier purchases that were planned",
    "history_bulk_share": "share of them that were bulk packages",
    "history_days_per_trip": "mean days between shopping trips",
}

CATEGORY = {
    "category_resolved": "earlier purchases of the category whose fate is known",
    "category_waste_rate": "share of the wasted among them, shrunk towards the household's rate",
    "category_days_since_purchase": "days since the category was bought",
    "category_days_since_waste": "days since something of the category was wasted",
    "category_days_per_purchase": "mean days between purchases of the category",
    "category_share": "share of the category in the household's purchases",
    "category_quantity_ratio": "servings over the mean of earlier purchases of the category",
    "category_relative_age": "mean age at which items of the category were eaten up or wasted, in shelf lives",
    "category_days_to_resolution": "mean days until an item of the category was eaten up or wasted",
    "category_similar_life_waste_rate": "share of the wasted among items that keep for similarly long, shrunk likewise",
}


def history_descriptions(windows_days: Sequence[int]) -> Mapping[str, str]:
    """Names and descriptions of the features of the household's history.

    Args:
        windows_days: Lengths of the windows.

    Returns:
        By name, in order.
    """
    windows = {}
    for days in windows_days:
        windows[f"history_waste_rate_{days}d"] = (
            f"share of the wasted among what was resolved in the last {days} days, shrunk towards that of all the past"
        )
    return _HISTORY | windows


def history_features(
    rows: WasteRows, windows_days: Sequence[int], prior_rate: float, prior_weight: float
) -> dict[str, np.ndarray]:
    """What the household bought, ate and wasted.

    Args:
        rows: Purchases.
        windows_days: Lengths of the windows.
        prior_rate: Share of the wasted where nothing is known.
        prior_weight: How many items the prior is worth.

    Returns:
        By name of :func:`history_descriptions`, one number per row.
    """
    past, known, alike = rows.bought_before, rows.resolved_before, rows.same_plan_resolved_before
    rate = waste_rate(rows, prior_rate, prior_weight)
    servings, wasted_servings = known.total("quantity") * FRACTION, known.total("wasted_quantity") * FRACTION
    found = {
        "history_purchases": past.count,
        "history_resolved": known.count,
        "history_waste_rate": rate,
        "history_wasted_servings_rate": shrunk(wasted_servings, servings, prior_rate, prior_weight),
        "history_same_plan_waste_rate": shrunk(alike.total("wasted"), alike.count, rate, prior_weight),
        "history_unresolved_share": ratio(past.count - known.count, past.count),
        "history_days_since_waste": known.days_since_last("wasted"),
        "history_days_since_eaten": known.days_since_last("eaten"),
        "history_days_known": past.days_since_first(),
        "history_days_to_resolution": known.mean("days"),
        "history_relative_age": known.mean("age", "age_known"),
        "history_relative_age_eaten": known.mean("eaten_age", "eaten_age_known"),
        "history_planned_share": ratio(past.total("planned"), past.total("plan_known")),
        "history_bulk_share": ratio(past.total("bulk"), past.total("bulk_known")),
        "history_days_per_trip": rows.trips.before(rows.household).mean_interval_days(),
    }
    for days in windows_days:
        recent = rows.resolutions.before(rows.household, days)
        found[f"history_waste_rate_{days}d"] = shrunk(recent.total("wasted"), recent.count, rate, prior_weight)
    return found


def category_features(rows: WasteRows, prior_rate: float, prior_weight: float) -> dict[str, np.ndarray]:
    """What the household did with earlier items of the same kind.

    Args:
        rows: Purchases.
        prior_rate: Share of the wasted where nothing is known.
        prior_weight: How many items the household's own rate is worth.

    Returns:
        By name of :data:`CATEGORY`, one number per row.
    """
    past, known, alike = rows.category_bought_before, rows.category_resolved_before, rows.similar_life_resolved_before
    base = waste_rate(rows, prior_rate, prior_weight)
    rate = shrunk(known.total("wasted"), known.count, base, prior_weight)
    quantity = past.mean("quantity", "quantity_known")
    return {
        "category_resolved": known.count,
        "category_waste_rate": rate,
        "category_days_since_purchase": past.days_since_last(),
        "category_days_since_waste": known.days_since_last("wasted"),
        "category_days_per_purchase": past.mean_interval_days(),
        "category_share": ratio(past.count, rows.bought_before.count),
        "category_quantity_ratio": ratio(rows[pc.QUANTITY], quantity),
        "category_relative_age": known.mean("age", "age_known"),
        "category_days_to_resolution": known.mean("days"),
        "category_similar_life_waste_rate": shrunk(alike.total("wasted"), alike.count, base, prior_weight),
    }


def waste_rate(rows: WasteRows, prior_rate: float, prior_weight: float) -> np.ndarray:
    """Share of the wasted among the household's items whose fate was known before each purchase, shrunk."""
    known = rows.resolved_before
    return shrunk(known.total("wasted"), known.count, prior_rate, prior_weight)
