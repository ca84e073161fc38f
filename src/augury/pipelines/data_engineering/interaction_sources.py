"""Read a table of interactions into events: who met which item, when, how, and how much that weighs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.pipelines.data_engineering.k_core import KCore
from augury.predictors import interaction_values as iv

RULES = {
    "missing_user": f"{iv.USER_ID} is missing",
    "missing_item": f"{iv.ITEM_ID} is missing",
    "missing_time": f"{iv.TIMESTAMP} is missing, or 0 or 1, while other rows have one",
    "unknown_type": f"{iv.INTERACTION_TYPE} is none of recommendation.source.type_weights, which has no default",
    "low_rating": f"{iv.IMPLICIT_RATING} is below recommendation.source.minimum_rating",
    "no_weight": "the weight of the type, or the rating, is 0",
}
"""Why a row is set aside, in order: it counts for the first rule that it breaks."""

TIMELESS = np.iinfo(np.int64).min
"""In the place of an unknown time."""

_UNREADABLE = "unreadable:"
_KEPT = ""
_EVENT: engines.Schema = {
    "user_id": "string",
    "item_id": "string",
    "time": "long",
    "kind": "string",
    "weight": "double",
    "row": "long",
    "rule": "string",
    "example": "string",
}
_DEFAULT_WEIGHTS = {"view": 1.0, "click": 2.0, "cart": 3.0, "purchase": 4.0}


class InteractionSource(Parameters):
    """How to read the raw table, and what an interaction weighs."""

    columns: dict[str, str] = Field(default={}, description="canonical name -> name in the file, where they differ")
    type_weights: dict[str, float] = Field(
        default=_DEFAULT_WEIGHTS, description="weight of each interaction type, spelt in any case"
    )
    default_weight: float | None = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="weight of other types; null: they are set aside"
    )
    weigh_by: Literal["type", "rating", "product"] = Field(
        default="type",
        description="type, or implicit_rating, or both multiplied; where a row has only one of them, that one counts",
    )
    minimum_rating: float | None = Field(
        default=None, ge=0, description="rows rated lower are set aside; for stars, which also say what is disliked"
    )
    half_life_days: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="age at which an interaction weighs half, counted back from the last one of training; null: never",
    )
    merge: Literal["sum", "max", "last"] = Field(
        default="sum", description="weight of a user and an item that met several times"
    )
    repeats_at: Literal["first", "last"] = Field(
        default="first",
        description=(
            "time of a user and an item that met several times; with 'first' a test item is new to its user, with "
            "'last' what the user took again counts as if it had been new"
        ),
    )
    k_core: KCore = KCore()
    since: date | datetime | None = Field(default=None, description="earlier interactions are not read")
    until: date | datetime | None = Field(default=None, description="interactions from this moment on are not read")
    invalid: Literal["set_aside", "refuse"] = Field(
        default="set_aside", description="what to do with rows that break a rule"
    )

    @field_validator("columns")
    @classmethod
    def _must_be_canonical(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in iv.COLUMNS:
                raise ValueError(f"'{name}' is no canonical column. {near_matches(name, iv.COLUMNS)}")
        return value

    @field_validator("type_weights")
    @classmethod
    def _must_weigh(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if not (np.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of '{name}' is {weight:g}, which is not finite and at least 0")
        return {name.strip().casefold(): weight for name, weight in value.items()}

    @model_validator(mode="after")
    def _since_is_before_until(self) -> "InteractionSource":
        if self.since and self.until and pd.Timestamp(self.since) >= pd.Timestamp(self.until):
            raise ValueError(f"since ({self.since}) must be before until ({self.until})")
        return self


@dataclass(frozen=True)
class Events:
    """What was read.

    Attributes:
        table: One row per user, item, time and type: ``user_id``, ``item_id``, ``kind`` (texts, empty where there is
            no type), ``time`` (int64 microseconds since 1970; 0 everywhere if not `timed`), ``weight`` (float64 > 0),
            ``rows`` (int64: how many raw rows it stands for) and ``row`` (int64: place of the first of them in the
            file; of no meaning on Spark). In no particular order.
        timed: Whether times tell an order.
        rows_read: Rows of the raw table.
        broken: Rule -> number of rows that were set aside for it, and one of them in words.
        columns: Canonical name -> name in the file, of the columns that were there.
    """

    table: pd.DataFrame
    timed: bool
    rows_read: int
    broken: dict[str, tuple[int, str]]
    columns: dict[str, str]


def read_interactions(interactions: Any, source: InteractionSource) -> Events:
    """Read a raw table, row by row on its own engine, and collect its events.

    Args:
        interactions: pandas or Spark.
        source: How to read it.

    Returns:
        The events that break no rule of :data:`RULES`, and an account of the other rows.

    Raises:
        UserError: A column is missing, cells are not of their types, rows break rules that are to be refused, or no
            row is left.
    """
    columns = _columns(interactions, source)
    native = nw.from_native(interactions).select(*columns.values()).to_native()
    frame = nw.from_native(engines.map_batches(native, _reader(native, columns, source), _EVENT))
    broken = _count_broken(frame.filter(nw.col("rule") != _KEPT))
    table = _collect(frame.filter(nw.col("rule") == _KEPT))
    _refuse_unreadable(broken, columns)
    rows_read = int(table["rows"].sum()) + sum(rows for rows, _ in broken.values())
    unknown = table["time"] == TIMELESS
    timed = _tells_order(table.loc[~unknown, "time"])
    if timed and unknown.any():
        of = table[unknown].sort_values(["user_id", "item_id"]).iloc[0]
        broken["missing_time"] = (int(table.loc[unknown, "rows"].sum()), _example(of["user_id"], of["item_id"]))
        table = table[~unknown]
    broken = {rule: broken[rule] for rule in RULES if rule in broken}
    _refuse_broken(broken, len(table), source)
    # A repeated line of a log is one event; without times, the same line again may well be another
    weight = table["weight"] if timed or source.merge != "sum" else table["total"]
    table = table.assign(time=table["time"] if timed else 0, weight=weight)
    return Events(table.drop(columns="total").reset_index(drop=True), timed, rows_read, broken, columns)


def microseconds(moment: date | datetime) -> int:
    """Microseconds since 1970 of a moment, or of the beginning of a day, in UTC unless it has a zone.

    Args:
        moment: Moment or day.

    Returns:
        The number.
    """
    stamp = pd.Timestamp(moment)
    stamp = stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp
    return int(stamp.to_datetime64().astype("datetime64[us]").astype(np.int64))


# --- reading ---


def _columns(interactions: Any, source: InteractionSource) -> dict[str, str]:
    """Canonical name -> name in the file, of the columns that are there."""
    names = nw.from_native(interactions).collect_schema().names()
    for canonical, name in source.columns.items():
        if name not in names:
            raise UserError(
                f"{iv.DATASET}: there is no column '{name}', which recommendation.source.columns.{canonical} names. "
                f"{near_matches(name, names)}"
            )
    found = {name: source.columns.get(name, name) for name in iv.COLUMNS}
    found = {canonical: name for canonical, name in found.items() if name in names}
    if missing := [name for name in iv.REQUIRED if name not in found]:
        hints = "; ".join(f"'{name}' ({near_matches(name, names)})" for name in missing)
        raise UserError(
            f"{iv.DATASET}: required column missing: {hints}. "
            "If it has another name, say so in recommendation.source.columns."
        )
    return found


def _reader(
    interactions: Any, columns: Mapping[str, str], source: InteractionSource
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that turns rows into events, each with the first rule that it breaks; rows outside the time go."""
    zones = engines.time_zones(interactions)
    ordered = not engines.is_spark(interactions)

    def read(batch: pd.DataFrame) -> pd.DataFrame:
        cells, unreadable = {}, {}
        for name in iv.COLUMNS:
            if name in columns:
                zone = zones.get(columns[name], "UTC")
                cells[name], unreadable[name] = iv.read_column(batch[columns[name]], name, zone)
        users, items = pd.Series(cells[iv.USER_ID], dtype=object), pd.Series(cells[iv.ITEM_ID], dtype=object)
        kinds = _kinds(cells.get(iv.INTERACTION_TYPE), len(batch))
        ratings = cells.get(iv.IMPLICIT_RATING, np.full(len(batch), np.nan))
        weight, unknown_kind = _weights(kinds, ratings, source)
        masks = {f"{_UNREADABLE}{name}": mask for name, mask in unreadable.items() if mask.any()} | {
            "missing_user": users.isna().to_numpy(),
            "missing_item": items.isna().to_numpy(),
            "unknown_type": unknown_kind,
            "low_rating": ratings < (source.minimum_rating or 0.0),
            "no_weight": ~(weight > 0),
        }
        rule = np.select(list(masks.values()), list(masks), _KEPT).astype(object)
        table = pd.DataFrame(
            {
                "user_id": users.fillna(""),
                "item_id": items.fillna(""),
                "time": _times(cells.get(iv.TIMESTAMP), len(batch)),
                "kind": kinds,
                "weight": weight,
                "row": np.arange(len(batch)) if ordered else 0,
                "rule": rule,
                "example": _examples(batch, columns, users, items, rule),
            }
        )
        return table[_inside(table["time"].to_numpy(), source)]

    return read


def _kinds(texts: np.ndarray | None, rows: int) -> np.ndarray:
    """Types as they are compared; the empty text where there is none."""
    if texts is None:
        return np.full(rows, "", dtype=object)
    spelt = {text: "" if text is None else text.casefold() for text in dict.fromkeys(texts)}
    return np.array([spelt[text] for text in texts], dtype=object)


def _weights(kinds: np.ndarray, ratings: np.ndarray, source: InteractionSource) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each row, and which rows are of a type that has none."""
    codes, distinct = pd.factorize(kinds)
    default = np.nan if source.default_weight is None else source.default_weight
    by_kind = np.array([np.nan if kind == "" else source.type_weights.get(kind, default) for kind in distinct])
    of_type = by_kind[codes]
    unknown = np.isnan(of_type) & (kinds != "")
    rated, typed = ~np.isnan(ratings), ~np.isnan(of_type)
    if source.weigh_by == "product":
        weight = np.where(typed, of_type, 1.0) * np.where(rated, ratings, 1.0)
    else:
        first, second = (of_type, ratings) if source.weigh_by == "type" else (ratings, of_type)
        weight = np.where(np.isnan(first), second, first)
        weight = np.where(np.isnan(weight), 1.0, weight)
    return weight, unknown


def _times(times: np.ndarray | None, rows: int) -> np.ndarray:
    if times is None:
        return np.full(rows, TIMELESS)
    return np.where(np.isnat(times), TIMELESS, times.astype("datetime64[us]").astype(np.int64))


def _inside(times: np.ndarray, source: InteractionSource) -> np.ndarray:
    """Rows of the interval; those without a time are counted elsewhere."""
    inside = np.ones(len(times), dtype=bool)
    if source.since is not None:
        inside &= times >= microseconds(source.since)
    if source.until is not None:
        inside &= times < microseconds(source.until)
    return inside | (times == TIMELESS)


def _examples(
    batch: pd.DataFrame, columns: Mapping[str, str], users: pd.Series, items: pd.Series, rule: np.ndarray
) -> np.ndarray:
    """Of rows that break a rule: the cell that cannot be read, or user and item."""
    examples = np.full(len(batch), "", dtype=object)
    for row in np.flatnonzero(rule != _KEPT):
        if rule[row].startswith(_UNREADABLE):
            examples[row] = repr(batch[columns[rule[row].removeprefix(_UNREADABLE)]].iloc[row])
        else:
            examples[row] = _example(users.iloc[row], items.iloc[row])
    return examples


def _example(user: Any, item: Any) -> str:
    return f"user {user or 'missing'!r} and item {item or 'missing'!r}"


# --- collecting ---


def _collect(frame: Any) -> pd.DataFrame:
    keys = ["user_id", "item_id", "time", "kind"]
    grouped = frame.group_by(keys).agg(
        rows=nw.len(), total=nw.col("weight").sum(), weight=nw.col("weight").max(), row=nw.col("row").min()
    )
    return engines.to_pandas(grouped.to_native()).astype({"rows": "int64", "time": "int64", "row": "int64"})


def _count_broken(frame: Any) -> dict[str, tuple[int, str]]:
    counted = frame.group_by("rule").agg(rows=nw.len(), example=nw.col("example").min())
    found = engines.to_pandas(counted.to_native()).sort_values("rule")
    return {str(rule): (int(rows), str(example)) for rule, rows, example in found[["rule", "rows", "example"]].values}


def _tells_order(times: pd.Series) -> bool:
    """Files without times often have the same one in all rows."""
    return bool(len(times)) and bool(times.min() < times.max())


def _refuse_unreadable(broken: Mapping[str, tuple[int, str]], columns: Mapping[str, str]) -> None:
    found = {rule.removeprefix(_UNREADABLE): told for rule, told in broken.items() if rule.startswith(_UNREADABLE)}
    if found:
        lines = [
            f"- column '{columns[name]}': {iv.RULES[name]}: {rows} row(s), for example {example}"
            for name, (rows, example) in found.items()
        ]
        raise UserError("\n".join([f"{iv.DATASET} breaks its schema:", *lines]))


def _refuse_broken(broken: Mapping[str, tuple[int, str]], left: int, source: InteractionSource) -> None:
    lines = [
        f"- {rule}: {RULES[rule]}: {rows} row(s), for example {example}" for rule, (rows, example) in broken.items()
    ]
    if not left:
        raise UserError("\n".join([f"{iv.DATASET}: there is no row that can be used.", *lines]))
    if lines and source.invalid == "refuse":
        heading = (
            f"{iv.DATASET}: rows break rules, and recommendation.source.invalid is 'refuse' "
            "('set_aside' leaves them out):"
        )
        raise UserError("\n".join([heading, *lines]))
