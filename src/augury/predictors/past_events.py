"""Sums over the past of groups, for many moments at once and exact to the last bit.

All sums are differences of cumulative sums of whole numbers: they depend neither on the order of the rows nor on which
other groups are in the same table. So one row, a table and a piece of a table give the same numbers.
"""

from dataclasses import dataclass

import numpy as np

DAY = 86_400_000_000
"""Microseconds."""

NEVER = np.iinfo(np.int64).max
"""A time after all others."""

FRACTION = 1e-6
"""Unit of the whole numbers that stand for measured values."""

LARGEST = 1e9
"""Values are cut here before they become whole numbers, so that sums of thousands of them cannot overflow."""


def quantised(values: np.ndarray) -> np.ndarray:
    """Measured values as whole numbers of :data:`FRACTION`; 0 where missing.

    Examples:
        >>> quantised(np.array([1.5, np.nan]))
        array([1500000,       0])
    """
    cut = np.clip(np.nan_to_num(values, nan=0.0), -LARGEST, LARGEST)
    return np.rint(cut / FRACTION).astype(np.int64)


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotients; NaN where the divisor is 0 or missing."""
    usable = below != 0
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(usable, above / np.where(usable, below, 1), np.nan)


def shrunk(hits: np.ndarray, trials: np.ndarray, towards: np.ndarray | float, weight: float) -> np.ndarray:
    """Rates that lean towards another one, which is worth `weight` trials."""
    return (hits + weight * towards) / (trials + weight)


class Moments:
    """Moments from which one looks back, one for each row of a table.

    Attributes:
        time: The moments, in microseconds.
    """

    def __init__(self, time: np.ndarray) -> None:
        """Number the moments.

        Args:
            time: Microseconds.
        """
        self.time = time
        self._axis, self._numbers = np.unique(time, return_inverse=True)
        self.span = len(self._axis) + 1

    def first_after(self, time: np.ndarray) -> np.ndarray:
        """The number of the first moment after each time."""
        return np.searchsorted(self._axis, time, side="right")

    def keys(self, group: np.ndarray) -> np.ndarray:
        """Numbers that are above those of the group's events before each moment, and of no others."""
        return group * self.span + self._numbers + 1


class PastEvents:
    """Events of many groups.

    Examples:
        >>> moments = Moments(np.array([10, 30, 30]))
        >>> events = PastEvents(moments, np.array([0, 0, 1]), np.array([10, 20, 10]), size=np.array([5, 7, 9]))
        >>> past = events.before(np.array([0, 0, 1]))
        >>> past.count, past.total("size")
        (array([0, 2, 1]), array([ 0, 12,  9]))
    """

    def __init__(self, moments: Moments, group: np.ndarray, time: np.ndarray, **values: np.ndarray) -> None:
        """Sort and sum.

        Args:
            moments: From which one will look back.
            group: Group of each event: whole numbers from 0 on.
            time: Microseconds.
            **values: Whole numbers or booleans.
        """
        order = np.lexsort((time, group))
        self.moments = moments
        self.time = time[order]
        self.values = {name: column[order] for name, column in values.items()}
        self._group = group[order]
        self._keys = self._keyed(self.time)
        self._sums: dict[str, np.ndarray] = {}

    def before(self, group: np.ndarray, days: int | None = None) -> "Past":
        """Look back from all the moments.

        Args:
            group: Group of each moment.
            days: How far to look back; all of the past by default.

        Returns:
            The events before each moment; what happens at a moment itself is not among them.
        """
        keys = self.moments.keys(group)
        end = np.searchsorted(self._keys, keys)
        if days is None:
            return Past(self, np.searchsorted(self._keys, group * self.moments.span), end)
        # What happened more than some days before a moment would still be before it if it happened so much later
        return Past(self, np.searchsorted(self._keyed(self.time + days * DAY), keys), end)

    def sums(self, name: str) -> np.ndarray:
        """Sums of a value over all events before each one, and over all."""
        if name not in self._sums:
            self._sums[name] = np.concatenate([[0], np.cumsum(self.values[name], dtype=np.int64)])
        return self._sums[name]

    def _keyed(self, time: np.ndarray) -> np.ndarray:
        return self._group * self.moments.span + self.moments.first_after(time)


@dataclass(frozen=True)
class Past:
    """The events that lie before each of some moments.

    Attributes:
        events: All events.
        start: For each moment, the number of its first event in their order.
        end: The number after its last one.
    """

    events: PastEvents
    start: np.ndarray
    end: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Number of events."""
        return self.end - self.start

    def total(self, name: str) -> np.ndarray:
        """Sum of a value."""
        sums = self.events.sums(name)
        return sums[self.end] - sums[self.start]

    def mean(self, name: str, known: str | None = None) -> np.ndarray:
        """Mean of a quantised value over all events, or over those that have it; NaN over none."""
        return ratio(self.total(name) * FRACTION, self.count if known is None else self.total(known))

    def days_since_last(self, name: str | None = None) -> np.ndarray:
        """Days since the last event, or since the last one with a value that is not 0; NaN without one."""
        last = self.end - 1
        if name is not None:
            numbers = np.where(self.events.values[name] != 0, np.arange(len(self.events.time)), -1)
            last = np.concatenate([[-1], np.maximum.accumulate(numbers)])[self.end]
        return self._days(last)

    def days_since_first(self) -> np.ndarray:
        """Days since the first event; NaN without one."""
        return self._days(self.start)

    def mean_interval_days(self) -> np.ndarray:
        """Mean days between one event and the next; NaN with fewer than two."""
        return ratio(self.days_since_first() - self.days_since_last(), np.maximum(self.count - 1, 0))

    def _days(self, number: np.ndarray) -> np.ndarray:
        found = (number >= self.start) & (number < self.end)
        time = np.append(self.events.time, 0)[np.where(found, number, -1)]
        return np.where(found, (self.events.moments.time - time) / DAY, np.nan)


def spells(moments: Moments, group: np.ndarray, start: np.ndarray, end: np.ndarray, **values: np.ndarray) -> PastEvents:
    """Stretches of time with values, of which those that are running at a moment are to be summed.

    A spell is running at a moment if it began before the moment and does not end before it. One that does not end
    later than it begins is none.

    Args:
        moments: From which one will look back.
        group: Group of each spell.
        start: Microseconds.
        end: Microseconds.
        **values: Whole numbers or booleans.

    Returns:
        Events whose totals, ``spells`` (their number) among them, are those of the spells that are running.
    """
    real = start < end
    changes = {"spells": np.ones(int(real.sum()), dtype=np.int64)}
    changes |= {name: column[real].astype(np.int64) for name, column in values.items()}
    return PastEvents(
        moments,
        np.concatenate([group[real], group[real]]),
        np.concatenate([start[real], end[real]]),
        **{name: np.concatenate([column, -column]) for name, column in changes.items()},
    )
