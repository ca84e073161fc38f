"""Competing discrete hazards: in each step of its life an item is wasted, eaten up, or stays.

Age is relative to the shelf life: 32 steps of 0.05 up to the horizon at 1.6 shelf lives. Whatever is left there is
split in proportion to the last two hazards. So the chances of all fates are sums of products, exact without simulation,
and one uniform number picks the fate: its cause, its step, and its place within the step, which is uniform.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STEPS = 32
STEP = 0.05
"""Width of a step, in shelf lives."""
HORIZON = STEPS * STEP
ROWS_AT_ONCE = 4_096
"""Rows of one piece: its tables stay in the processor's cache."""

_AGES = (np.arange(STEPS) + 0.5) * STEP
# Near nothing before the date, then all of a sudden: odds against waste at log odds 0
_WASTE_ODDS = np.exp(5 - 5 / (1 + np.exp(-(_AGES - 1) / 0.12)))
# People shun what is past its date: log odds before and after
_EATEN = (0.0, -0.7)


@dataclass(frozen=True)
class HazardTable:
    """Hazards and survival of some items; the first axis is the step, the others are those of the scores."""

    wasted: Floats
    """Chance to be wasted in a step, of those still there; ``STEPS`` long."""
    eaten: Floats
    """Chance to be eaten up in a step, of those still there; ``STEPS`` long."""
    survival: Floats
    """Chance to be there at the start of a step; the last, of ``STEPS`` + 1, at the horizon."""

    @property
    def wasted_at_horizon(self) -> Floats:
        """Share of what is left at the horizon that is wasted."""
        return self.wasted[-1] / (self.wasted[-1] + self.eaten[-1])

    def waste_probability(self) -> Floats:
        """Chance to be wasted in the end."""
        in_steps = np.einsum("k...,k...->...", self.survival[:-1], self.wasted)
        return in_steps + self.survival[-1] * self.wasted_at_horizon


@dataclass(frozen=True)
class Fates:
    """What becomes of items."""

    step: Ints
    """Step in which it happens; ``STEPS``: at the horizon."""
    wasted: Bools
    age: Floats
    """Age at which it happens, in shelf lives."""


def hazard_table(waste: Floats, eaten: Floats) -> HazardTable:
    """Tabulate the hazards of items.

    Args:
        waste: Log odds that shift the waste hazard, any shape.
        eaten: Log odds that shift the chance to be eaten up, of a shape that broadcasts to that of ``waste``.

    Returns:
        The table; being eaten up has only the chance that waste left in the same step.
    """
    shape = np.broadcast_shapes(waste.shape, eaten.shape)
    table = HazardTable(*(np.empty((steps, *shape)) for steps in (STEPS, STEPS, STEPS + 1)))
    for number, step in enumerate(_steps(waste, eaten)):
        table.wasted[number], table.eaten[number], table.survival[number] = step.wasted, step.eaten, step.before
    table.survival[STEPS] = step.after
    return table


class _Step(NamedTuple):
    wasted: Floats
    eaten: Floats
    before: Floats
    """Chance to be there before the step."""
    after: Floats


def _steps(waste: Floats, eaten: Floats) -> Iterator[_Step]:
    """The recurrence of the hazards, step by step."""
    # One exponential an item, not one a step
    odds = np.exp(-waste)
    appetites = [1 / (1 + np.exp(-profile - eaten)) for profile in _EATEN]
    after: Floats = np.ones(np.broadcast_shapes(waste.shape, eaten.shape))
    for age, against in zip(_AGES, _WASTE_ODDS, strict=True):
        before = after
        kept = odds * against
        wasted = 1 / (kept + 1)
        kept *= wasted
        gone = kept * appetites[int(age > 1)]
        kept -= gone
        after = np.multiply(kept, before, out=kept)
        yield _Step(wasted, gone, before, after)


def waste_probability(waste: Floats, eaten: Floats) -> Floats:
    """Exact chance that items are wasted.

    Args:
        waste: Log odds that shift the waste hazard, any shape.
        eaten: Log odds that shift the chance to be eaten up, same shape.

    Returns:
        The chances, same shape.
    """
    found = np.zeros(waste.shape)
    flat, *scores = (values.reshape(-1) for values in (found, waste, eaten))
    for start in range(0, len(flat), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        for step in _steps(*(values[piece] for values in scores)):
            flat[piece] += step.before * step.wasted
        flat[piece] += step.after * step.wasted / (step.wasted + step.eaten)
    return found


def draw_fates(waste: Floats, eaten: Floats, uniform: Floats) -> Fates:
    """Draw what becomes of items.

    Args:
        waste: Log odds that shift the waste hazard, any shape.
        eaten: Log odds that shift the chance to be eaten up, same shape.
        uniform: One number in [0, 1) an item, same shape.

    Returns:
        The fates, arrays of the same shape.
    """
    return Fates(*_in_pieces(_draw, waste, eaten, uniform))


def median_waste_age(waste: Floats, eaten: Floats) -> Floats:
    """Median age at which items are wasted, of those that are.

    Args:
        waste: Log odds that shift the waste hazard, any shape.
        eaten: Log odds that shift the chance to be eaten up, same shape.

    Returns:
        The ages in shelf lives, same shape.
    """
    return _in_pieces(lambda table: (_median(table),), waste, eaten)[0]


def _in_pieces(function: Callable[..., tuple[Any, ...]], waste: Floats, eaten: Floats, *more: Floats) -> list[Any]:
    """Apply a function of a hazard table piece by piece; returns its results in the shape of the scores."""
    flat = [values.ravel() for values in (waste, eaten, *more)]
    found = []
    for start in range(0, max(waste.size, 1), ROWS_AT_ONCE):
        some, appetite, *others = (values[start : start + ROWS_AT_ONCE] for values in flat)
        found.append(function(hazard_table(some, appetite), *others))
    return [np.concatenate(parts).reshape(waste.shape) for parts in zip(*found, strict=True)]


def _draw(table: HazardTable, uniform: Floats) -> tuple[Ints, Bools, Floats]:
    rows = np.arange(len(uniform))
    step = (uniform >= 1 - table.survival[1:]).sum(axis=0)
    inside = np.minimum(step, STEPS - 1)
    left = table.survival[step, rows]
    over = uniform - (1 - left)
    share = np.where(step < STEPS, table.wasted[inside, rows], table.wasted_at_horizon)
    rest = np.where(step < STEPS, table.eaten[inside, rows], 1 - share)
    wasted = over < left * share
    place = np.where(wasted, over / (left * share), (over - left * share) / (left * rest))
    age = np.where(step < STEPS, (step + np.clip(place, 0, 1)) * STEP, HORIZON)
    return step, wasted, age


def _median(table: HazardTable) -> Floats:
    rows = np.arange(table.wasted.shape[1])
    in_steps = table.survival[:-1] * table.wasted
    until = np.cumsum(in_steps, axis=0)
    half = (until[-1] + table.survival[-1] * table.wasted_at_horizon) / 2
    step = (until < half).sum(axis=0)
    inside = np.minimum(step, STEPS - 1)
    # Within a step all places are equally likely
    place = (half - until[inside, rows]) / in_steps[inside, rows] + 1
    return np.where(step < STEPS, (step + place) * STEP, HORIZON)


def intercepts(waste: Floats, eaten: Floats, category: Ints, rates: Floats) -> Floats:
    """Find what to add to the waste scores of each category so that its mean chance of waste is as asked.

    Args:
        waste: Log odds that shift the waste hazard, any shape.
        eaten: Log odds that shift the chance to be eaten up, same shape.
        category: Code of each item's category, same shape.
        rates: The mean chance asked for, by category.

    Returns:
        The intercepts by category, by bisection; near an end of [-20, 20] where a rate is out of reach.
    """
    codes = category.ravel()
    asked = np.bincount(codes, minlength=len(rates)) * rates
    low, high = np.full(len(rates), -20.0), np.full(len(rates), 20.0)
    for _ in range(20):
        middle = (low + high) / 2
        chance = waste_probability(waste + middle[category], eaten).ravel()
        too_low = np.bincount(codes, chance, minlength=len(rates)) < asked
        low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
    return (low + high) / 2
