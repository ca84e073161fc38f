"""What is known of both sides of a rollout: decisions, failures, times, costs; parts of several processes add up."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

SMALLEST_US = 0.1
BINS_PER_OCTAVE = 8


class Moments(BaseModel):
    """Number, mean and sum of squared deviations of a stream of numbers [1]_.

    .. [1] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance", The American
       Statistician 37 (1983).
    """

    model_config = ConfigDict(extra="forbid")

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def add(self, value: float) -> None:
        """Count a number."""
        self.n += 1
        difference = value - self.mean
        self.mean += difference / self.n
        self.m2 += difference * (value - self.mean)

    def merge(self, other: "Moments") -> None:
        """Count what another process has counted."""
        if not other.n:
            return
        total = self.n + other.n
        difference = other.mean - self.mean
        self.mean += difference * other.n / total
        self.m2 += other.m2 + difference * difference * self.n * other.n / total
        self.n = total

    @property
    def variance(self) -> float:
        """Sample variance; NaN with fewer than two numbers."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan


class Side(BaseModel):
    """What is known of champion or challenger."""

    model_config = ConfigDict(extra="forbid")

    decisions: int = 0
    failures: dict[str, int] = Field(default_factory=dict, description="Why the rule had to decide -> how often.")
    times: dict[int, int] = Field(default_factory=dict, description="Bin of decision times -> decisions.")
    costs: Moments = Field(default_factory=Moments)

    def count(self, microseconds: float, failure: str | None) -> None:
        """Count a decision."""
        self.decisions += 1
        place = math.ceil(BINS_PER_OCTAVE * math.log2(max(microseconds, SMALLEST_US) / SMALLEST_US))
        self.times[place] = self.times.get(place, 0) + 1
        if failure is not None:
            self.failures[failure] = self.failures.get(failure, 0) + 1

    def merge(self, other: "Side") -> None:
        """Count what another process has counted."""
        self.decisions += other.decisions
        for name, times in other.failures.items():
            self.failures[name] = self.failures.get(name, 0) + times
        for place, times in other.times.items():
            self.times[place] = self.times.get(place, 0) + times
        self.costs.merge(other.costs)

    @property
    def failure_rate(self) -> float:
        """Share of decisions that the rule had to make; 0 without decisions."""
        return sum(self.failures.values()) / self.decisions if self.decisions else 0.0

    def quantile_us(self, share: float) -> float | None:
        """A quantile of the decision times in microseconds.

        Args:
            share: Such as 0.99.

        Returns:
            The upper end of the bin in which it lies, at most 9 % above it; None without decisions.
        """
        below = 0
        for place in sorted(self.times):
            below += self.times[place]
            if below >= share * self.decisions:
                return float(SMALLEST_US * 2 ** (place / BINS_PER_OCTAVE))
        return None

    def slower_than(self, microseconds: float) -> int:
        """Decisions that certainly took longer: those in bins that begin above."""
        begins = {place: SMALLEST_US * 2 ** ((place - 1) / BINS_PER_OCTAVE) for place in self.times}
        return sum(times for place, times in self.times.items() if begins[place] >= microseconds)


class Evidence(BaseModel):
    """What was seen since the last move of a rollout."""

    model_config = ConfigDict(extra="forbid")

    champion: Side = Field(default_factory=Side)
    challenger: Side = Field(default_factory=Side)
    compared: int = Field(default=0, description="Decisions that both made, in shadow.")
    agreed: int = Field(default=0, description="Of those, how many were the same.")

    def merge(self, other: Self) -> None:
        """Count what another process has counted."""
        self.champion.merge(other.champion)
        self.challenger.merge(other.challenger)
        self.compared += other.compared
        self.agreed += other.agreed
