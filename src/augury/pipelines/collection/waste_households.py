"""Who the simulated households are, what they buy, and how each purchase bears on waste and consumption."""

import datetime
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augury.pipelines.collection.waste_presets import PROFILES, CategoryProfile, WasteCollection

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MINUTES = 1440
"""Minutes of a day."""
PROPENSITY = (2.0, 5.0)
"""Parameters of the beta distribution of a household's propensity to waste."""
SIZE_SHARES = (0.29, 0.34, 0.16, 0.13, 0.05, 0.03)
"""Shares of households of 1 to 6 persons."""
USUAL_SERVINGS = 2.5
"""Servings a head of a usual purchase."""
SHORT_SHELF_DAYS = 10
LONG_GAP_DAYS = 14
DISCOUNTS = (0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Households:
    """What belongs to a household; every array has shape ``(households, 1)``."""

    propensity: Floats
    """Log odds of the propensity to waste, less those of its mean: the one trait that nobody can observe."""
    size: Ints
    planning: Floats
    """Share of purchases that are planned."""
    items_per_trip: Floats
    favourite_weekday: Ints
    fridge: Floats
    """Mean temperature of the fridge (C)."""
    tastes: Floats
    """Shares of the categories, shape ``(households, categories)``."""


@dataclass(frozen=True)
class Purchases:
    """What was bought when; every array has shape ``(households, items)``, ascending in time."""

    minute: Ints
    """Minutes since the start; items of one trip share it."""
    gap_days: Floats
    """Days since the trip before; infinite on the first."""
    category: Ints
    shelf_life_days: Floats
    quantity: Floats
    price: Floats
    discount: Floats
    planned: Bools
    bulk: Bools
    fridge_temperature: Floats
    guests: Ints
    need: Floats
    """Servings a head, by what is usual of all categories."""
    size: Ints

    def __len__(self) -> int:
        return len(self.minute)


@dataclass(frozen=True)
class Scores:
    """Log odds of the hazards, without a category's intercept; every array has shape ``(households, items)``."""

    waste: Floats
    """From what can be observed, in a house that is not crowded and before any drift."""
    propensity: Floats
    """What the household's propensity adds."""
    drift: Floats
    """What the drift adds."""
    crowded: Floats
    """What a crowded house adds."""
    eaten: Floats


def draw_households(collection: WasteCollection, seed: int) -> Households:
    """Draw the households.

    Args:
        collection: How many, and the categories.
        seed: Seed.

    Returns:
        The households.
    """
    rng = np.random.default_rng([seed, 1])
    count = collection.households
    theta = np.clip(rng.beta(*PROPENSITY, (count, 1)), 1e-4, 1 - 1e-4)
    size = rng.choice(len(SIZE_SHARES), (count, 1), p=SIZE_SHARES) + 1
    shares = np.array([PROFILES[name].share for name in collection.categories])
    return Households(
        propensity=centred_propensity(theta),
        size=size,
        planning=rng.beta(3, 3, (count, 1)),
        items_per_trip=1 + rng.gamma(2.0, 0.5, (count, 1)),
        favourite_weekday=rng.choice(7, (count, 1), p=(0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.1)),
        fridge=rng.normal(5.2, 1.3, (count, 1)),
        tastes=rng.dirichlet(12 * shares / shares.sum(), count),
    )


def centred_propensity(theta: Floats) -> Floats:
    """Log odds of propensities, 0 at their mean."""
    mean = PROPENSITY[0] / sum(PROPENSITY)
    return np.log(theta / (1 - theta)) - np.log(mean / (1 - mean))


def draw_purchases(households: Households, collection: WasteCollection, seed: int) -> Purchases:
    """Draw what the households buy.

    Args:
        households: The households.
        collection: How much and when, and the categories.
        seed: Seed.

    Returns:
        The purchases.
    """
    rng = np.random.default_rng([seed, 2])
    shape = (collection.households, collection.items_per_household)
    minute, gap_days = _trips(households, collection, rng)
    weekday, year = calendar(minute, collection.start_date)
    profiles = [PROFILES[name] for name in collection.categories]

    def of_category(field: str) -> Floats:
        return np.array([getattr(profile, field) for profile in profiles], dtype=np.float64)[category]

    category = (rng.random(shape)[..., None] > np.cumsum(households.tastes, axis=1)[:, None, :-1]).sum(axis=2)
    planned = rng.random(shape) < households.planning
    bulk = rng.random(shape) < 0.06 + 0.03 * households.size
    spread = np.exp(0.25 * np.clip(rng.standard_normal(shape), -2, 2))
    shelf_life = np.maximum(np.round(of_category("shelf_life_days") * spread, 1), 0.5)
    servings = of_category("servings")
    # Small households buy more a head: packages come in sizes
    quantity = servings * households.size**0.7 * np.exp(0.45 * rng.standard_normal(shape)) * np.where(bulk, 1.8, 1.0)
    quantity = np.maximum(np.round(quantity, 1), 0.1)
    reduced = rng.random(shape) < 0.2 + 0.1 * (weekday >= 5) + 0.1 * ~planned
    discount = np.where(reduced, np.array(DISCOUNTS)[rng.integers(0, len(DISCOUNTS), shape)], 0.0)
    price = of_category("price") * quantity * np.exp(0.2 * rng.standard_normal(shape)) * (1 - discount)
    fridge = np.clip(households.fridge + 0.6 * np.cos(year - 3.4) + 0.5 * rng.standard_normal(shape), 1, 12)
    guests = rng.poisson(0.15 + 0.25 * (weekday >= 4), shape)
    return Purchases(
        minute=minute,
        gap_days=gap_days,
        category=category,
        shelf_life_days=shelf_life,
        quantity=quantity,
        price=np.round(price, 2),
        discount=discount,
        planned=planned,
        bulk=bulk,
        fridge_temperature=np.round(fridge, 1),
        guests=guests,
        need=quantity / (households.size * USUAL_SERVINGS),
        size=np.broadcast_to(households.size, shape),
    )


def _trips(households: Households, collection: WasteCollection, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Times of the purchases and days since the trip before."""
    shape = (collection.households, collection.items_per_household)
    starts = rng.random(shape) < 1 / households.items_per_trip
    starts[:, 0] = True
    gaps = np.where(starts, rng.gamma(1.5, 1.0, shape), 0.0)
    length = gaps.sum(axis=1, keepdims=True) + rng.gamma(1.5, 1.0, (shape[0], 1))
    day = np.floor(np.cumsum(gaps, axis=1) / length * collection.days).astype(np.int64)
    weekday = (day + collection.start_date.weekday()) % 7
    later = day + (households.favourite_weekday - weekday) % 7
    # All draws of a trip are those of its first item
    first = np.maximum.accumulate(np.where(starts, np.arange(shape[1]), 0), axis=1)
    moved = np.take_along_axis(rng.random(shape) < 0.4, first, axis=1) & (later < collection.days)
    opening = np.take_along_axis(rng.integers(8 * 60, 21 * 60, shape), first, axis=1)
    minute = np.sort(np.where(moved, later, day) * MINUTES + opening, axis=1)
    new = np.diff(minute, axis=1, prepend=minute[:, :1]) > 0
    before = np.maximum.accumulate(np.where(new, np.arange(shape[1]), 0), axis=1) - 1
    gap = (minute - np.take_along_axis(minute, np.maximum(before, 0), axis=1)) / MINUTES
    return minute, np.where(before >= 0, gap, np.inf)


def calendar(minute: Ints, start: datetime.date) -> tuple[Ints, Floats]:
    """Weekday (Monday 0) and place in the year (0 to 2 pi) of times given in minutes since a date."""
    day = minute // MINUTES
    year = (day + start.timetuple().tm_yday - 1) * (2 * np.pi / 365.25)
    return (day + start.weekday()) % 7, np.asarray(year % (2 * np.pi), dtype=np.float64)


def score_purchases(households: Households, purchases: Purchases, collection: WasteCollection) -> Scores:
    """Say how each purchase bears on the hazards.

    Args:
        households: The households.
        purchases: What they buy.
        collection: Spreads, categories and drift.

    Returns:
        The scores. All but ``propensity`` depend only on what a person could know at the purchase.
    """
    spreads = collection.spreads
    profiles = [PROFILES[name] for name in collection.categories]
    weekday, year = calendar(purchases.minute, collection.start_date)
    excess = np.log(purchases.need)
    shelf = np.log(purchases.shelf_life_days / _of(profiles, "shelf_life_days", purchases))
    chilled = _of(profiles, "chilled", purchases) > 0
    warm = purchases.fridge_temperature - 5.2
    linear = (
        1.1 * excess
        - 1.1 * (purchases.planned - 0.5)
        + 2.0 * (purchases.discount - 0.08)
        + 0.7 * (purchases.bulk - 0.13)
        + 0.25 * warm * chilled
        - 0.25 * purchases.guests
        - 1.5 * shelf
        - 0.2 * (purchases.size - 2.4)
        + 0.25 * (weekday == 4)
    )
    return Scores(
        waste=spreads.item * linear
        + spreads.interaction * _interactions(purchases, collection, weekday, excess, chilled)
        + _of(profiles, "season_amplitude", purchases)
        * np.cos(year - 2 * np.pi * _of(profiles, "season_peak_day", purchases) / 365.25),
        propensity=collection.propensity_slope * np.broadcast_to(households.propensity, shelf.shape),
        drift=collection.propensity_slope * _drift(purchases, collection),
        crowded=np.where(purchases.shelf_life_days < SHORT_SHELF_DAYS, 1.4 * spreads.interaction, 0.0),
        eaten=np.log(1 / (1 / _of(profiles, "eaten", purchases) - 1)) - 0.6 * excess,
    )


def _of(profiles: list[CategoryProfile], field: str, purchases: Purchases) -> Floats:
    return np.array([getattr(profile, field) for profile in profiles], dtype=np.float64)[purchases.category]


def _drift(purchases: Purchases, collection: WasteCollection) -> Floats:
    """By how much the propensity of all households is shifted at each purchase."""
    late = (purchases.minute >= collection.drift_day * MINUTES) & (collection.preset == "drift")
    return np.where(late, collection.drift_shift, 0.0)


def _interactions(
    purchases: Purchases, collection: WasteCollection, weekday: Ints, excess: Floats, chilled: Bools
) -> Floats:
    """What no sum over single columns can say."""
    planned, weekend = purchases.planned, weekday >= 5
    produce = np.array([name == "produce" for name in collection.categories])[purchases.category]
    return (
        1.4 * ((purchases.need > 0.8) & ~planned)
        - 1.4 * ((purchases.size >= 4) & (purchases.need < 0.6))
        + 1.4 * (weekend & (purchases.discount > 0) & produce)
        + 0.6 * np.cos(3 * excess)
        + 1.4 * (chilled & (purchases.fridge_temperature > 6))
        - 1.2 * ((purchases.guests > 0) & planned)
        + 1.2 * ((purchases.gap_days > LONG_GAP_DAYS) & planned)
    )
