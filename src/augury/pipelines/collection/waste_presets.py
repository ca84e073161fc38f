"""Which households to simulate: the categories of food, the spreads of the model, and the presets that name them."""

import datetime
import math
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from augury.parameters import Parameters

CategoryName = Literal["dairy", "produce", "meat", "grains", "canned", "frozen", "beverages"]
MOST_ROWS = 10_000_000
Preset = Literal["easy", "default", "hard", "drift", "leak"]


@dataclass(frozen=True)
class CategoryProfile:
    """How one category is bought, kept and eaten."""

    waste_rate: float
    """Share that is wasted, unless the parameters say otherwise."""
    share: float
    """Mean share of the purchases."""
    shelf_life_days: float
    """Median shelf life."""
    servings: float
    """Median servings a person and purchase."""
    price: float
    """Median price a serving."""
    eaten: float
    """Chance that a fresh item is eaten up within one twentieth of its shelf life."""
    chilled: bool
    """Whether it stands in the fridge, where warmth harms it."""
    season_amplitude: float
    """Log odds by which the waste hazard swings over the year."""
    season_peak_day: float
    """Day of the year on which most is wasted."""


PROFILES: dict[CategoryName, CategoryProfile] = {
    "dairy": CategoryProfile(0.28, 0.20, 12, 3.0, 0.5, 0.09, True, 0.20, 200),
    "produce": CategoryProfile(0.38, 0.30, 7, 2.5, 0.6, 0.08, False, 0.35, 190),
    "meat": CategoryProfile(0.22, 0.15, 5, 2.0, 1.8, 0.10, True, 0.25, 180),
    "grains": CategoryProfile(0.12, 0.10, 180, 3.5, 0.3, 0.10, False, 0.10, 220),
    "canned": CategoryProfile(0.05, 0.07, 700, 2.0, 0.7, 0.11, False, 0.05, 30),
    "frozen": CategoryProfile(0.08, 0.07, 120, 2.5, 1.0, 0.11, False, 0.15, 10),
    "beverages": CategoryProfile(0.15, 0.11, 60, 3.0, 0.4, 0.10, False, 0.20, 20),
}
"""The categories, in the order of their codes."""


@dataclass(frozen=True)
class Spreads:
    """How much the households, the items and their combinations differ in log odds of the waste hazard."""

    propensity: float
    item: float
    interaction: float


PRESETS: dict[Preset, Spreads] = {
    "easy": Spreads(2.2, 2.2, 0.5),
    "default": Spreads(1.5, 1.0, 1.5),
    "hard": Spreads(1.0, 0.8, 0.8),
    "drift": Spreads(1.5, 1.0, 1.5),
    "leak": Spreads(1.5, 1.0, 1.5),
}
"""``drift`` and ``leak`` are the default with a shift of all households, and with a column that knows the outcome."""


class WasteCollection(Parameters):
    """The households to simulate."""

    preset: Preset = Field(
        default="default", description="easy, default, hard (AUC 0.85 is out of reach), drift or leak"
    )
    households: int = Field(default=200, ge=1, le=1_000_000, description="number of households")
    items_per_household: int = Field(default=100, ge=1, le=5_000, description="purchases of each household")
    days: int = Field(default=730, ge=28, le=3_650, description="days over which they buy")
    start_date: datetime.date = Field(default=datetime.date(2018, 1, 1), description="the first of these days")
    waste_rates: dict[CategoryName, float] = Field(
        default_factory=lambda: {name: profile.waste_rate for name, profile in PROFILES.items()},
        min_length=1,
        description="categories that are bought -> share that is wasted, between 0 and 0.8",
    )
    spread_propensity: float | None = Field(default=None, ge=0, le=5, description="null: that of the preset")
    spread_item: float | None = Field(default=None, ge=0, le=5, description="null: that of the preset")
    spread_interaction: float | None = Field(default=None, ge=0, le=5, description="null: that of the preset")
    drift_day: int = Field(default=600, ge=1, description="preset drift: first day on which propensities are shifted")
    drift_shift: float = Field(default=1.0, ge=-5, le=5, description="preset drift: by how much, in log odds")
    filter_oracle: bool = Field(default=True, description="also the best probability from what can be observed")
    filter_grid: int = Field(
        default=25, ge=5, le=200, description="propensities over which it averages; more for long histories"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = [f"{name}: {rate}" for name, rate in self.waste_rates.items() if not 0 < rate <= 0.8]
        if wrong:
            raise ValueError(f"waste_rates must lie between 0 and 0.8, not {', '.join(wrong)}")
        if self.preset == "drift" and self.drift_day >= self.days:
            raise ValueError(f"drift_day {self.drift_day} is not before the end of the {self.days} days")
        if self.households * self.items_per_household > MOST_ROWS:
            raise ValueError(f"households x items_per_household must not be above {MOST_ROWS:,}")
        return self

    @property
    def spreads(self) -> Spreads:
        """The preset's spreads, with those that the parameters set."""
        preset = PRESETS[self.preset]
        return Spreads(
            preset.propensity if self.spread_propensity is None else self.spread_propensity,
            preset.item if self.spread_item is None else self.spread_item,
            preset.interaction if self.spread_interaction is None else self.spread_interaction,
        )

    @property
    def propensity_slope(self) -> float:
        """What a unit of a household's propensity (centred log odds) adds to the log odds of the waste hazard."""
        return self.spreads.propensity

    @property
    def categories(self) -> tuple[CategoryName, ...]:
        """The categories that are bought, in the order of their codes."""
        return tuple(name for name, _ in self.rates)

    @property
    def rates(self) -> tuple[tuple[CategoryName, float], ...]:
        """The categories that are bought, in the order of their codes, with the share that is to be wasted."""
        return tuple((name, self.waste_rates[name]) for name in PROFILES if name in self.waste_rates)

    @property
    def crowded_above(self) -> int:
        """More recorded items at home than this are many: about what is usual at this rate of buying (default: 3)."""
        profiles = [PROFILES[name] for name in self.categories]
        stay = sum(item.share * item.shelf_life_days for item in profiles) / sum(item.share for item in profiles)
        return math.ceil(0.25 * stay * self.items_per_household / self.days)
