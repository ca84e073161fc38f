"""Purchases as arrays of numbers, and their pasts: what the features of `food_waste` are computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from augury.predictors import purchase_columns as pc
from augury.predictors.past_events import DAY, NEVER, Moments, Past, PastEvents, quantised, ratio

EATEN = 0
WASTED = 1
UNKNOWN = -1

SHELF_LIFE_BOUNDS = (4.0, 10.0, 30.0, 180.0)
"""Days that divide items into those that keep for similarly long."""

_LONGEST_DAYS = 1e6
_UNKNOWN_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class WasteRows:
    """Columns of some households' purchases. Rows are sorted by household and time.

    Attributes:
        order: The row of the table that each of these rows is.
        household: Number of the household.
        category: Number of the household's category.
        life: Number of the household's class of shelf lives.
        plan: Number of the household's planned items, its unplanned ones, or those of which it is not known.
        category_index: Position among the categories asked for; -1 if it is none of them.
        time: Moment of the purchase, in microseconds.
        resolved: Moment from which the fate is known; :data:`~augury.predictors.past_events.NEVER` if it is not.
        fate: 0 eaten, 1 wasted, -1 unknown.
        numbers: The other columns and the extra ones; NaN where missing.
    """

    order: np.ndarray
    household: np.ndarray
    category: np.ndarray
    life: np.ndarray
    plan: np.ndarray
    category_index: np.ndarray
    time: np.ndarray
    resolved: np.ndarray
    fate: np.ndarray
    numbers: dict[str, np.ndarray]

    def __getitem__(self, column: str) -> np.ndarray:
        return self.numbers[column]

    @cached_property
    def moments(self) -> Moments:
        """The moments of the purchases."""
        return Moments(self.time)

    @cached_property
    def unit_price(self) -> np.ndarray:
        """Price of a serving; of the whole line where the quantity is not known."""
        quantity = self[pc.QUANTITY]
        return self[pc.PRICE] / np.where(quantity > 0, quantity, 1.0)

    @cached_property
    def eaters(self) -> np.ndarray:
        """Members of the household and expected guests."""
        return self[pc.HOUSEHOLD_SIZE] + np.nan_to_num(self[pc.GUESTS], nan=0.0)

    @cached_property
    def servings(self) -> dict[str, np.ndarray]:
        """Servings as values of events: how many, and whether that is known."""
        quantity = self[pc.QUANTITY]
        return {"quantity": quantised(quantity), "quantity_known": ~np.isnan(quantity)}

    @cached_property
    def purchases(self) -> PastEvents:
        """What the household bought."""
        return self._bought(self.household)

    @cached_property
    def bought_before(self) -> Past:
        """What the household had bought before each purchase."""
        return self.purchases.before(self.household)

    @cached_property
    def category_bought_before(self) -> Past:
        """What the household had bought of the category before each purchase."""
        return self._bought(self.category).before(self.category)

    @cached_property
    def resolutions(self) -> PastEvents:
        """The household's items, at the moments from which their fates were known."""
        return self._resolutions(self.household)

    @cached_property
    def resolved_before(self) -> Past:
        """The household's items whose fate was known before each purchase."""
        return self.resolutions.before(self.household)

    @cached_property
    def category_resolved_before(self) -> Past:
        """Those of the category."""
        return self._resolutions(self.category).before(self.category)

    @cached_property
    def similar_life_resolved_before(self) -> Past:
        """Those that keep for similarly long."""
        return self._resolutions(self.life).before(self.life)

    @cached_property
    def same_plan_resolved_before(self) -> Past:
        """Those that were planned if this one is, and unplanned if this one is."""
        return self._resolutions(self.plan).before(self.plan)

    @cached_property
    def trips(self) -> PastEvents:
        """Moments at which the household bought something."""
        first = np.ones(len(self.time), dtype=bool)
        first[1:] = (np.diff(self.time) != 0) | (np.diff(self.household) != 0)
        return PastEvents(self.moments, self.household[first], self.time[first])

    def _bought(self, group: np.ndarray) -> PastEvents:
        planned, bulk, discount = self[pc.IS_PLANNED], self[pc.IS_BULK], self[pc.DISCOUNT]
        return PastEvents(
            self.moments,
            group,
            self.time,
            **self.servings,
            planned=planned > 0,
            plan_known=~np.isnan(planned),
            bulk=bulk > 0,
            bulk_known=~np.isnan(bulk),
            price=quantised(self.unit_price),
            price_known=~np.isnan(self.unit_price),
            discounted=discount > 0,
            discount_known=~np.isnan(discount),
        )

    def _resolutions(self, group: np.ndarray) -> PastEvents:
        known = (self.resolved != NEVER) & (self.fate != UNKNOWN)
        wasted = self.fate[known] == WASTED
        days = (self.resolved[known] - self.time[known]) / DAY
        age = ratio(days, self[pc.SHELF_LIFE_DAYS][known])
        aged, quantity = ~np.isnan(age), self.servings["quantity"][known]
        return PastEvents(
            self.moments,
            group[known],
            self.resolved[known],
            wasted=wasted,
            eaten=~wasted,
            quantity=quantity,
            wasted_quantity=np.where(wasted, quantity, 0),
            days=quantised(days),
            age=quantised(age),
            age_known=aged,
            eaten_age=np.where(wasted, 0, quantised(age)),
            eaten_age_known=~wasted & aged,
        )


def read_rows(purchases: pd.DataFrame, categories: Sequence[str], extra_columns: Sequence[str]) -> WasteRows:
    """Read a table of purchases.

    Args:
        purchases: Canonical columns; an optional one that is not there counts as all missing.
        categories: Names, in the order of their numbers.
        extra_columns: Further numeric columns.

    Returns:
        The rows.
    """
    time = _micros(purchases, pc.PURCHASED_AT)
    household = _households(purchases[pc.HOUSEHOLD_ID])
    order = np.lexsort((time, household))
    known = {name: position for position, name in enumerate(categories)}
    category, names = pd.factorize(purchases[pc.CATEGORY].fillna(""))
    index = np.array([known.get(name, -1) for name in names], dtype=np.int64)[category]
    numeric = [name for name in pc.KNOWN_AT_PURCHASE if pc.COLUMNS[name] == "double"]
    numbers = {name: _numbers(purchases, name)[order] for name in (*numeric, *extra_columns)}
    household = household[order]
    resolved = _micros(purchases, pc.RESOLVED_AT)
    # Nothing is known of an item before it is bought, whatever the table says
    resolved = np.where(resolved == _UNKNOWN_TIME, NEVER, np.maximum(resolved, time))
    return WasteRows(
        order=order,
        household=household,
        category=household * len(names) + category[order],
        life=household * (len(SHELF_LIFE_BOUNDS) + 2) + _life_classes(numbers[pc.SHELF_LIFE_DAYS]),
        plan=household * 3 + _plan_classes(numbers[pc.IS_PLANNED]),
        category_index=index[order],
        time=time[order],
        resolved=resolved[order],
        fate=_fates(purchases)[order],
        numbers=numbers,
    )


def later(time: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Moments some days after others; never where the number of days is missing."""
    known = ~np.isnan(days)
    cut = np.clip(np.where(known, days, 0.0), 0.0, _LONGEST_DAYS)
    return np.where(known, time + np.rint(cut * DAY).astype(np.int64), NEVER)


def _life_classes(shelf_life_days: np.ndarray) -> np.ndarray:
    classes = 1 + np.searchsorted(SHELF_LIFE_BOUNDS, shelf_life_days, side="right")
    return np.where(np.isnan(shelf_life_days), 0, classes)


def _plan_classes(planned: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(planned), 0, np.where(planned > 0, 2, 1))


def _numbers(purchases: pd.DataFrame, name: str) -> np.ndarray:
    if name not in purchases:
        return np.full(len(purchases), np.nan)
    return pd.to_numeric(purchases[name]).to_numpy(dtype=np.float64, na_value=np.nan)


def _micros(purchases: pd.DataFrame, name: str) -> np.ndarray:
    if name not in purchases:
        return np.full(len(purchases), _UNKNOWN_TIME)
    return pd.to_datetime(purchases[name]).to_numpy(dtype="datetime64[us]").astype(np.int64)


def _households(identifiers: pd.Series) -> np.ndarray:
    """Numbers of the households; a row without one is a household of its own."""
    codes, names = pd.factorize(identifiers)
    codes = codes.astype(np.int64)
    alone = codes < 0
    codes[alone] = len(names) + np.arange(alone.sum())
    return codes


def _fates(purchases: pd.DataFrame) -> np.ndarray:
    if pc.OUTCOME not in purchases:
        return np.full(len(purchases), UNKNOWN, dtype=np.int64)
    outcome = purchases[pc.OUTCOME].astype(object)
    return np.select([(outcome == pc.WASTED).to_numpy(), (outcome == pc.EATEN).to_numpy()], [WASTED, EATEN], UNKNOWN)
