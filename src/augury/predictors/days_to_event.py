"""From the predicted ratio of days to a scale (the shelf life) to days with an interval."""

from typing import Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator


class EventScale(BaseModel):
    """What days are divided by before they are learned: the shelf life, or what is usual where nobody knows it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by_category: dict[str, float] = Field(description="days where a row of the category has no scale of its own")
    otherwise: float = Field(gt=0, description="days of all other rows")

    def days(self, own: pd.Series, category: pd.Series) -> np.ndarray:
        """Scale of each row.

        Args:
            own: The rows' own scale; missing, or not positive, where it is unknown.
            category: Their category.

        Returns:
            Positive float64 of shape (rows,).
        """
        usual = category.map(self.by_category).to_numpy(dtype=np.float64)
        usual = np.where(np.isnan(usual), self.otherwise, usual)
        known = own.to_numpy(dtype=np.float64)
        return np.where(known > 0, known, usual)


class EventInterval(BaseModel):
    """How far actual ratios lie from the predicted ones: what is subtracted and added, by category."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    coverage: float = Field(gt=0, lt=1, description="share of the actual values that should lie inside")
    by_category: dict[str, tuple[float, float]]
    otherwise: tuple[float, float] = Field(description="of categories with too few events to have their own")

    @model_validator(mode="after")
    def _contains_the_prediction(self) -> Self:
        for low, high in (self.otherwise, *self.by_category.values()):
            if not low <= 0 <= high:
                raise ValueError("an interval must contain its prediction")
        return self

    def bounds(self, ratio: np.ndarray, category: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ratio of each row; no ratio is negative."""
        names = category.map({name: place for place, name in enumerate(self.by_category)})
        place = names.fillna(len(self.by_category)).to_numpy(dtype=np.int64)
        margins = np.array([*self.by_category.values(), self.otherwise])[place]
        return np.maximum(ratio + margins[:, 0], 0.0), ratio + margins[:, 1]


class DaysToEvent(BaseModel):
    """Scale and interval together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: EventScale
    interval: EventInterval

    def days(self, ratio: np.ndarray, own: pd.Series, category: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Days and their bounds.

        Args:
            ratio: Predicted days over the scale; counted as 0 where negative.
            own: The rows' own scale.
            category: Their category.

        Returns:
            Days, lower bound and upper bound, float64 of shape (rows,) each, all >= 0.
        """
        scale = self.scale.days(own, category)
        positive = np.maximum(ratio, 0.0)
        lower, upper = self.interval.bounds(positive, category)
        return positive * scale, lower * scale, upper * scale
