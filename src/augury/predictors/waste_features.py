"""From purchases to numbers: the one function of feature engineering, of its Spark executors, and of serving.

A feature of a row uses what its own row says at the purchase, and rows of the same household that were bought before
it: all that was known of them when they were bought, and their fate if it was known before the purchase. Rows with
the same time do not see one another. No feature depends on the other households of the table or on the order of its
rows; what is usual among all households, as it was known when the month began, is among the parameters.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.predictors import purchase_columns as pc
from augury.predictors.waste_history_features import (
    CATEGORY,
    category_features,
    history_descriptions,
    history_features,
)
from augury.predictors.waste_item_features import (
    ITEM,
    PRICE,
    SEASON,
    category_feature,
    item_features,
    price_features,
    season_features,
)
from augury.predictors.waste_norms import CategoryNorm
from augury.predictors.waste_rows import WasteRows, read_rows
from augury.predictors.waste_stock_features import STOCK, stock_features

Group: TypeAlias = Literal["item", "history", "category", "season", "price", "stock"]
GROUPS: tuple[Group, ...] = ("item", "history", "category", "season", "price", "stock")

_MODULES = ("past_events", "purchase_columns", "waste_features", "waste_norms", "waste_rows")


CLOCKS = (
    "history_purchases",
    "history_resolved",
    "history_unresolved_share",
    "history_days_known",
    "history_days_to_resolution",
    "category_resolved",
)
"""Features that grow with the age of the table: they tell the time, and what a model makes of that fails tomorrow."""


class WasteFeatures(Parameters):
    """Which features a purchase gets, and how its household's past is summed up."""

    groups: tuple[Group, ...] = Field(default=GROUPS, min_length=1, description="groups of features")
    categories: tuple[str, ...] = Field(default=pc.CATEGORIES, description="categories with a feature of their own")
    extra_columns: tuple[str, ...] = Field(
        default=(), description="further numeric columns that are features as they are"
    )
    exclude: tuple[str, ...] = Field(
        default=CLOCKS, description="features to leave out; by default those that tell the time by the table's age"
    )
    windows_days: tuple[int, ...] = Field(default=(30, 90), description="lengths of the recent past")
    norms: tuple[CategoryNorm, ...] = Field(
        default=(), description="what is usual in the categories, by month; learnt from the table where none are given"
    )
    prior_rate: float = Field(default=0.25, gt=0, lt=1, description="share of the wasted where nothing is known")
    prior_weight: float = Field(default=5.0, gt=0, allow_inf_nan=False, description="items that a prior is worth")
    expiring_days: float = Field(
        default=3.0, gt=0, allow_inf_nan=False, description="an item at home expires soon within these"
    )
    at_home_shelf_lives: float = Field(
        default=2.0,
        gt=0,
        allow_inf_nan=False,
        description="shelf lives after which an item that nobody resolved counts as gone",
    )
    at_home_days: float = Field(
        default=365.0, gt=0, allow_inf_nan=False, description="the same in days, of items without a shelf life"
    )

    @field_validator("groups", "categories", "extra_columns", "exclude", "windows_days")
    @classmethod
    def _once(cls, values: tuple[str | int, ...]) -> tuple[str | int, ...]:
        if len(set(values)) < len(values):
            raise ValueError("must name nothing twice")
        return values

    @field_validator("windows_days")
    @classmethod
    def _positive(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if any(days < 1 for days in values):
            raise ValueError("must be days, 1 or more")
        return values

    @model_validator(mode="after")
    def _extra_columns_are_further_ones(self) -> "WasteFeatures":
        for name in self.extra_columns:
            if name in pc.LABELLED:
                raise ValueError(f"extra_columns: '{name}' is a column of the table itself, not a further one")
            if f"item_{name}" in ITEM or f"item_{name}" in {category_feature(known) for known in self.categories}:
                raise ValueError(f"extra_columns: there is a feature 'item_{name}' already; rename the column")
        return self

    @model_validator(mode="after")
    def _excluded_are_features(self) -> "WasteFeatures":
        every = [name for names in _descriptions(self).values() for name in names]
        for name in self.exclude:
            if name not in every:
                raise ValueError(f"exclude: there is no feature '{name}'. {near_matches(name, every)}")
        if not feature_names(self):
            raise ValueError("exclude: no feature is left")
        return self


def feature_descriptions(features: WasteFeatures) -> dict[str, dict[str, str]]:
    """What the features are.

    Args:
        features: Parameters.

    Returns:
        Group -> feature -> description, in order.
    """
    return {
        group: {name: text for name, text in names.items() if name not in features.exclude}
        for group, names in _descriptions(features).items()
        if group in features.groups
    }


def _descriptions(features: WasteFeatures) -> dict[Group, dict[str, str]]:
    """All groups, with what is left out."""
    item = (
        ITEM
        | {category_feature(name): f"1 if it is {name}" for name in features.categories}
        | {f"item_{name}": f"column {name}" for name in features.extra_columns}
    )
    every: dict[Group, dict[str, str]] = {
        "item": item,
        "history": dict(history_descriptions(features.windows_days)),
        "category": CATEGORY,
        "season": SEASON,
        "price": PRICE,
        "stock": STOCK,
    }
    return {group: every[group] for group in GROUPS}


def feature_names(features: WasteFeatures) -> tuple[str, ...]:
    """Names of the features, in order."""
    return tuple(name for group in feature_descriptions(features).values() for name in group)


def require_columns(columns: Iterable[str], features: WasteFeatures) -> None:
    """Refuse a table without the extra columns.

    Args:
        columns: Names of the table's columns.
        features: Parameters.

    Raises:
        UserError: An extra column is not there.
    """
    names = list(map(str, columns))
    for name in features.extra_columns:
        if name not in names:
            raise UserError(
                f"{pc.DATASET}: there is no column '{name}', which food_waste.features.extra_columns names. "
                f"{near_matches(name, names)} Columns that food_waste.source.extra_columns does not name are dropped."
            )


def featurise(purchases: pd.DataFrame, features: WasteFeatures) -> pd.DataFrame:
    """Compute the features of purchases.

    Args:
        purchases: Canonical columns of whole households, their history and the rows to score alike, in any order;
            ``outcome`` and ``resolved_at`` are missing while the fate is unknown. An optional column that is not there
            counts as all missing.
        features: Parameters.

    Returns:
        :func:`feature_names` as float32, with the index of the table. What is unknown is NaN.

    Raises:
        UserError: An extra column is not there.
    """
    require_columns(purchases.columns, features)
    rows = read_rows(purchases, features.categories, features.extra_columns)
    names = feature_names(features)
    matrix = np.empty((len(purchases), len(names)), dtype=np.float32, order="F")
    # Group by group, so that the wider numbers of one are gone before those of the next come
    for group in features.groups:
        for name, values in _group(group, rows, features).items():
            if name in features.exclude:
                continue
            with np.errstate(over="ignore"):
                matrix[rows.order, names.index(name)] = values
    # One NaN for all: processors make others, which are equal to nobody but different bit by bit
    matrix[np.isnan(matrix)] = np.nan
    return pd.DataFrame(matrix, index=purchases.index, columns=list(names))


def _group(group: Group, rows: WasteRows, features: WasteFeatures) -> dict[str, np.ndarray]:
    match group:
        case "item":
            return item_features(rows, features.categories, features.norms, features.extra_columns)
        case "history":
            return history_features(rows, features.windows_days, features.prior_rate, features.prior_weight)
        case "category":
            return category_features(rows, features.prior_rate, features.prior_weight)
        case "season":
            return season_features(rows)
        case "price":
            return price_features(rows)
        case "stock":
            return stock_features(rows, features.expiring_days, features.at_home_shelf_lives, features.at_home_days)


def code_digest() -> str:
    """SHA-256 of the modules that compute features."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    names = sorted({*(f"{name}.py" for name in _MODULES), *(path.name for path in folder.glob("waste_*_features.py"))})
    for name in names:
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    return digest.hexdigest()
