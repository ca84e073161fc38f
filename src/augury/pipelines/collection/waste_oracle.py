"""The best probability from what can be observed: Bayes over the one thing that cannot, a household's propensity.

Before a purchase one knows of every earlier purchase of the household either its fate, or that it is still at home.
Both have exact chances under each propensity of a grid; their products with the prior are the posterior, and the mean
chance of waste under it is what no model that sees the same columns can beat on average.
"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from augury.pipelines.collection.waste_hazards import STEP, STEPS, HazardTable, hazard_table
from augury.pipelines.collection.waste_households import MINUTES, PROPENSITY, Bools, Floats, Ints, centred_propensity

ROWS_AT_ONCE = 1_000
PAIRS_AT_ONCE = 50_000
TAIL = 1e-4
"""Share of the prior outside either end of the grid."""


@dataclass(frozen=True)
class History:
    """Purchases with their fates; every array has shape ``(households, items)``, ascending in time of purchase."""

    minute: Ints
    resolved: Ints
    """Minute at which an item was wasted or eaten up."""
    shelf_life_days: Floats
    wasted: Bools
    step: Ints
    """Step in which that happened; ``STEPS``: at the horizon."""

    def of(self, households: slice) -> "History":
        """Some of the households."""
        return History(*(values[households] for values in vars(self).values()))


def propensity_grid(points: int) -> tuple[Floats, Floats]:
    """Propensities over which to average.

    Args:
        points: How many.

    Returns:
        Centred log odds, evenly spaced, and the prior weight of each.
    """
    from scipy.special import betaincinv

    more, less = PROPENSITY
    low, high = centred_propensity(betaincinv(more, less, np.array([TAIL, 1 - TAIL])))
    grid = np.linspace(low, high, points)
    odds = np.exp(grid) * more / less
    theta = odds / (1 + odds)
    # The beta density on the scale of log odds
    weight = theta**more * (1 - theta) ** less
    return grid, weight / weight.sum()


def observable_probability(history: History, waste: Floats, slope: float, eaten: Floats, points: int) -> Floats:
    """Average the chance of waste over what the past says about the household.

    Args:
        history: Purchases with their fates.
        waste: Log odds that shift the waste hazard, without the propensity, shape ``(households, items)``.
        slope: What a unit of centred log odds of the propensity adds to them.
        eaten: Log odds that shift the chance to be eaten up, shape ``(households, items)``.
        points: Propensities over which to average.

    Returns:
        The chance of waste at each purchase, given the fates before it, shape ``(households, items)``. Purchases of the
        same minute say nothing about each other.
    """
    grid, prior = propensity_grid(points)
    households, items = waste.shape
    at_once = max(1, ROWS_AT_ONCE // items)
    found = np.empty(waste.shape)
    with tqdm(total=households, desc="filter oracle", unit="household", mininterval=2) as bar:
        for start in range(0, households, at_once):
            some = slice(start, start + at_once)
            scores = waste[some].reshape(-1, 1) + slope * grid
            table = hazard_table(scores, eaten[some].reshape(-1, 1))
            past = history.of(some)
            # A chance of exactly 0 rules a propensity out
            with np.errstate(divide="ignore"):
                evidence = _resolved(past, table) + _at_home(past, table) + np.log(prior)
            posterior = np.exp(evidence - evidence.max(axis=-1, keepdims=True))
            chance = (posterior * table.waste_probability()).sum(axis=1) / posterior.sum(axis=1)
            found[some] = chance.reshape(past.minute.shape)
            bar.update(len(past.minute))
    return found


def _resolved(past: History, table: HazardTable) -> Floats:
    """Log chance of the fates that were known before each purchase, shape ``(households * items, points)``."""
    households, items = past.minute.shape
    rows, step = np.arange(households * items), past.step.ravel()
    inside = np.minimum(step, STEPS - 1)
    share = np.where((step < STEPS)[:, None], table.wasted[inside, rows], table.wasted_at_horizon)
    rest = np.where((step < STEPS)[:, None], table.eaten[inside, rows], 1 - table.wasted_at_horizon)
    chance = table.survival[step, rows] * np.where(past.wasted.reshape(-1, 1), share, rest)
    order = np.argsort(past.resolved, axis=1, kind="stable")
    points = chance.shape[1]
    in_order = np.take_along_axis(np.log(chance).reshape(households, items, points), order[..., None], axis=1)
    running = np.concatenate([np.zeros((households, 1, points)), np.cumsum(in_order, axis=1)], axis=1)
    known = (past.resolved[:, None, :] < past.minute[:, :, None]).sum(axis=2)
    return np.take_along_axis(running, known[..., None], axis=1).reshape(-1, points)


def _at_home(past: History, table: HazardTable) -> Floats:
    """Log chance that what is still at home at each purchase is, shape ``(households * items, points)``."""
    households, items = past.minute.shape
    before = past.minute[:, None, :] < past.minute[:, :, None]
    home = before & (past.resolved[:, None, :] >= past.minute[:, :, None])
    house, now, item = np.nonzero(home)
    total = np.zeros((households * items, table.survival.shape[2]))
    for start in range(0, len(house), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        purchase, first = np.unique(house[some] * items + now[some], return_index=True)
        kept = _log_chance_to_be_kept(past, table, house[some], now[some], item[some])
        total[purchase] += np.add.reduceat(kept, first, axis=0)
    return total


def _log_chance_to_be_kept(past: History, table: HazardTable, house: Ints, now: Ints, item: Ints) -> Floats:
    """Log chance that an item is still there at a later purchase, shape ``(pairs, points)``."""
    rows = house * past.minute.shape[1] + item
    age = (past.minute[house, now] - past.minute[house, item]) / (past.shelf_life_days[house, item] * MINUTES * STEP)
    step = np.minimum(age.astype(np.int64), STEPS - 1)
    gone = table.wasted[step, rows] + table.eaten[step, rows]
    # Within a step all places are equally likely
    return np.log(table.survival[step, rows] * (1 - np.clip(age - step, 0, 1)[:, None] * gone))
