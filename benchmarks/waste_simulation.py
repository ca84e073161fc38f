"""Simulated purchases per CPU second, beside a plain loop over rows of the same model in the same run.

python benchmarks/waste_simulation.py [--households 1000] [--items 100] [--loop-households 10]: the loop starts from
the same drawn purchases, which are not counted on its side, and its probabilities must be the same. It finds the
intercepts by the same bisection, steps through each item's life to its chance of waste and to its fate, and repeats
both for the filter oracle at each propensity of the grid.
"""

import argparse
import math
import time

import numpy as np
import pandas as pd

from augury.pipelines.collection.waste_hazards import STEP, STEPS
from augury.pipelines.collection.waste_households import (
    MINUTES,
    Purchases,
    Scores,
    draw_households,
    draw_purchases,
    score_purchases,
)
from augury.pipelines.collection.waste_oracle import propensity_grid
from augury.pipelines.collection.waste_presets import WasteCollection
from augury.pipelines.collection.waste_simulation import RATE_TOLERANCE, simulate_purchases

SEED = 42
Row = tuple[int, int]


def hazards(waste: float, eaten: float) -> list[tuple[float, float]]:
    """Chances to be wasted and to be eaten up in each step."""
    found = []
    for step in range(STEPS):
        age = (step + 0.5) * STEP
        base = -5 + 5 / (1 + math.exp(-(age - 1) / 0.12))
        wasted = 1 / (1 + math.exp(-(base + waste)))
        found.append((wasted, (1 - wasted) / (1 + math.exp(-(eaten - (0.7 if age > 1 else 0))))))
    return found


def chance_of_waste(waste: float, eaten: float) -> float:
    """Sum over the steps of a life."""
    left, total = 1.0, 0.0
    for wasted, gone in hazards(waste, eaten):
        total += left * wasted
        left *= 1 - wasted - gone
    return total + left * wasted / (wasted + gone)


def fate(waste: float, eaten: float, uniform: float) -> tuple[int, bool, float]:
    """Step, cause and age at which a life ends."""
    left = 1.0
    for step, (wasted, gone) in enumerate(hazards(waste, eaten)):
        after = left * (1 - wasted - gone)
        if uniform < 1 - after:
            over = uniform - (1 - left)
            if over < left * wasted:
                return step, True, (step + over / (left * wasted)) * STEP
            return step, False, (step + (over - left * wasted) / (left * gone)) * STEP
        left = after
    return STEPS, uniform - (1 - left) < left * wasted / (wasted + gone), STEPS * STEP


class LoopedSimulation:
    """The model, row by row."""

    def __init__(self, collection: WasteCollection) -> None:
        households = draw_households(collection, SEED)
        self.collection = collection
        self.purchases: Purchases = draw_purchases(households, collection, SEED)
        self.scores: Scores = score_purchases(households, self.purchases, collection)
        self.uniform = np.random.default_rng([SEED, 3]).random(self.purchases.minute.shape)
        self.rows: list[Row] = [(house, item) for house in range(len(self.purchases)) for item in range(self.items)]
        self.crowding: dict[Row, float] = dict.fromkeys(self.rows, 0.0)
        self.resolved: dict[Row, int] = {}
        self.fates: dict[Row, tuple[int, bool, float]] = {}
        self.added: list[float] = []

    @property
    def items(self) -> int:
        """Purchases of a household."""
        return self.collection.items_per_household

    def observable(self, row: Row) -> float:
        """Waste score without the propensity."""
        return float(self.scores.waste[row]) + self.added[self.purchases.category[row]] + self.crowding[row]

    def chance(self, row: Row) -> float:
        """True probability."""
        return chance_of_waste(self.observable(row) + float(self.scores.propensity[row]), float(self.scores.eaten[row]))

    def simulate(self) -> list[float]:
        """Find intercepts and fates; returns the true probabilities."""
        for _ in range(6):
            self.added = [self.intercept(code, rate) for code, (_, rate) in enumerate(self.collection.rates)]
            self.resolve()
            chances = [self.chance(row) for row in self.rows]
            if max(self.missed(chances)) < RATE_TOLERANCE:
                break
        return chances

    def intercept(self, code: int, rate: float) -> float:
        """Bisection."""
        rows = [row for row in self.rows if self.purchases.category[row] == code]
        low, high = -20.0, 20.0
        for _ in range(20):
            middle = (low + high) / 2
            total = 0.0
            for row in rows:
                score = self.scores.waste[row] + self.crowding[row] + self.scores.propensity[row] + middle
                total += chance_of_waste(score, self.scores.eaten[row])
            low, high = (middle, high) if total < rate * len(rows) else (low, middle)
        return (low + high) / 2

    def resolve(self) -> None:
        """Draw the fates, purchase by purchase."""
        minute = self.purchases.minute
        for row in self.rows:
            house, item = row
            now = minute[row]
            home = sum(1 for other in range(item) if minute[house, other] < now and self.resolved[house, other] >= now)
            self.crowding[row] = float(self.scores.crowded[row]) if home > self.collection.crowded_above else 0.0
            score = self.observable(row) + float(self.scores.propensity[row])
            self.fates[row] = fate(score, float(self.scores.eaten[row]), float(self.uniform[row]))
            days = self.fates[row][2] * self.purchases.shelf_life_days[row]
            self.resolved[row] = int(now) + max(math.ceil(days * MINUTES), 1)

    def missed(self, chances: list[float]) -> list[float]:
        """How far each category is from its rate."""
        means = pd.Series(chances).groupby(self.purchases.category.ravel()).mean()
        return [abs(means[code] - rate) for code, (_, rate) in enumerate(self.collection.rates) if code in means.index]

    def filter_oracle(self) -> list[float]:
        """Bayes, purchase by purchase."""
        grid, prior = propensity_grid(self.collection.filter_grid)
        slope = self.collection.propensity_slope
        lives = {
            row: [hazards(self.observable(row) + slope * point, float(self.scores.eaten[row])) for point in grid]
            for row in self.rows
        }
        found = []
        for row in self.rows:
            house, item = row
            now = self.purchases.minute[row]
            past = [(house, other) for other in range(item) if self.purchases.minute[house, other] < now]
            evidence = [
                math.log(prior[point]) + sum(self.evidence(other, int(now), lives[other][point]) for other in past)
                for point in range(len(grid))
            ]
            weights = [math.exp(value - max(evidence)) for value in evidence]
            chances = [
                chance_of_waste(self.observable(row) + slope * point, float(self.scores.eaten[row])) for point in grid
            ]
            found.append(sum(w * c for w, c in zip(weights, chances, strict=True)) / sum(weights))
        return found

    def evidence(self, row: Row, now: int, life: list[tuple[float, float]]) -> float:
        """Log chance of what is known of an earlier purchase."""
        known = self.resolved[row] < now
        step, wasted, _ = self.fates[row]
        age = (now - self.purchases.minute[row]) / (self.purchases.shelf_life_days[row] * MINUTES * STEP)
        left = 1.0
        for number, (waste, gone) in enumerate(life):
            if known and number == step:
                return math.log(left * (waste if wasted else gone))
            if not known and age < number + 1:
                return math.log(left * (1 - (age - number) * (waste + gone)))
            left *= 1 - waste - gone
        share = waste / (waste + gone)
        return math.log(left * ((share if wasted else 1 - share) if known else 1))


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--households", type=int, default=1_000)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--loop-households", type=int, default=10)
    chosen = parser.parse_args()

    def cpu_seconds(households: int, filtered: bool) -> tuple[float, pd.DataFrame]:
        collection = WasteCollection(households=households, items_per_household=chosen.items, filter_oracle=filtered)
        began = time.process_time()
        frame, _ = simulate_purchases(collection, SEED)
        return time.process_time() - began, frame

    cpu_seconds(2, filtered=True)  # imports
    plain = min(cpu_seconds(chosen.households, filtered=False)[0] for _ in range(3))
    whole = min(cpu_seconds(chosen.households, filtered=True)[0] for _ in range(2))

    _, expected = cpu_seconds(chosen.loop_households, filtered=True)
    looped = LoopedSimulation(WasteCollection(households=chosen.loop_households, items_per_household=chosen.items))
    began = time.process_time()
    true = looped.simulate()
    simulated = time.process_time()
    observable = looped.filter_oracle()
    filtered = time.process_time()
    published = expected.sort_values(["household_id", "purchased_at"], kind="stable")
    for name, values in (("true_probability", true), ("observable_probability", observable)):
        np.testing.assert_allclose(published[name], values, atol=1e-8)

    rows, few = chosen.households * chosen.items, len(looped.rows)
    loop_plain, loop_whole = few / (simulated - began), few / (filtered - began)
    print("\n| | rows | CPU s | rows per CPU second | plain loop, rows | its rows per CPU second | times |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, seconds, loop in (("simulation", plain, loop_plain), ("with the filter oracle", whole, loop_whole)):
        rate = rows / seconds
        print(f"| {name} | {rows:,} | {seconds:.2f} | {rate:,.0f} | {few:,} | {loop:,.0f} | {rate / loop:.0f} |")


if __name__ == "__main__":
    main()
