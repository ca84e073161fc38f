"""Read a table of purchases into the canonical form, and set aside the rows that make no sense."""

from collections.abc import Callable
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
from augury.predictors import purchase_columns as pc
from augury.predictors.purchase_values import (
    PROBLEM_COLUMNS,
    Problem,
    broken_rules,
    canonical_schema,
    to_canonical,
)
from augury.predictors.query_values import row_digests

RULES = {
    "missing_household": f"{pc.HOUSEHOLD_ID} is missing",
    "missing_time": f"{pc.PURCHASED_AT} is missing",
    "unknown_category": f"{pc.CATEGORY} is missing, or not one of food_waste.source.categories",
    "future_purchase": f"{pc.PURCHASED_AT} is after {pc.OBSERVED_UNTIL}",
    "invalid_quantity": f"{pc.QUANTITY} is not above 0",
    "negative_price": f"{pc.PRICE} is negative",
    "invalid_shelf_life": f"{pc.SHELF_LIFE_DAYS} is not above 0",
    "invalid_discount": f"{pc.DISCOUNT} is not between 0 and 1",
    "invalid_household_size": f"{pc.HOUSEHOLD_SIZE} is below 1",
    "negative_guests": f"{pc.GUESTS} is negative",
    "resolved_before_purchase": f"{pc.RESOLVED_AT} is before {pc.PURCHASED_AT}, or {pc.DAYS_TO_WASTE} negative",
    "duplicate_id": f"{pc.PURCHASE_ID} is that of another row, of which the earliest purchase is kept",
}
"""Why a row is set aside, in order: it counts for the first rule that it breaks."""

_KEPT = ""


class PurchaseSource(Parameters):
    """How to read the raw table."""

    columns: dict[str, str] = Field(default={}, description="canonical name -> name in the file, where they differ")
    categories: tuple[str, ...] | None = Field(
        default=pc.CATEGORIES, description="known categories; null: any text is one"
    )
    extra_columns: tuple[str, ...] = Field(
        default=(), description="further numeric columns, known when an item is bought"
    )
    invalid: Literal["set_aside", "refuse"] = Field(
        default="set_aside", description="what to do with rows that break a rule"
    )
    observed_until: date | datetime | None = Field(
        default=None, description="until when fates were recorded; null: the column, else the last time in the table"
    )
    since: date | datetime | None = Field(default=None, description="earlier purchases are not read")
    until: date | datetime | None = Field(default=None, description="purchases from this moment on are not read")

    @field_validator("columns")
    @classmethod
    def _must_be_canonical(cls, value: dict[str, str]) -> dict[str, str]:
        known = canonical_schema()
        for name in value:
            if name not in known:
                raise ValueError(f"'{name}' is no canonical column. {near_matches(name, known)}")
        return value

    @model_validator(mode="after")
    def _extra_columns_are_further_ones(self) -> "PurchaseSource":
        taken = {*canonical_schema(), *pc.LABELLED}
        # A fate under another name would be a feature otherwise
        fates = {self.columns[name] for name in (*pc.FATE, *pc.TRUTH) if name in self.columns}
        for name in self.extra_columns:
            if name in taken:
                raise ValueError(f"extra_columns: '{name}' is the name of a canonical column")
            if name in fates:
                raise ValueError(f"extra_columns: '{name}' tells the fate of an item, which is not known at purchase")
        if self.since and self.until and pd.Timestamp(self.since) >= pd.Timestamp(self.until):
            raise ValueError(f"since ({self.since}) must be before until ({self.until})")
        return self


@dataclass(frozen=True)
class Broken:
    """Rows that break a rule.

    Attributes:
        rows: Their number.
        example: Identifier of one of them.
    """

    rows: int
    example: str


@dataclass(frozen=True)
class PurchaseTable:
    """What was read.

    Attributes:
        frame: Narwhals frame with the canonical columns, ``is_wasted``, ``days_to_waste`` and the extra columns.
        rows_read: Rows of the raw table.
        broken: Rule -> the rows that were set aside for it; rules that no row breaks are left out.
        columns: Canonical name -> name in the file, of the columns that were there.
        last: Latest purchase or resolution.
        observed: Latest time until which a row says that it was observed; NaT if none does.
    """

    frame: Any
    rows_read: int
    broken: dict[str, Broken]
    columns: dict[str, str]
    last: pd.Timestamp
    observed: pd.Timestamp


def read_purchases(purchases: Any, source: PurchaseSource) -> PurchaseTable:
    """Read a raw table.

    Args:
        purchases: pandas or Spark.
        source: How to read it.

    Returns:
        The rows that break no rule of :data:`RULES`, and an account of the others.

    Raises:
        UserError: A column is missing or not of its type, rows break rules that are to be refused, or no row is left.
    """
    columns = _columns(purchases, source)
    _refuse_unreadable(purchases, columns, source)
    frame = nw.from_native(engines.map_batches(purchases, _reader(purchases, columns, source), _schema(source)))
    frame = _inside(frame, source)
    broken = _count_broken(frame.filter(nw.col("rule") != _KEPT))
    frame = frame.filter(nw.col("rule") == _KEPT)
    totals = _totals(frame)
    rows_read = totals.rows + sum(found.rows for found in broken.values())
    if totals.repeated:
        frame = _without_duplicates(frame, source)
        broken["duplicate_id"] = totals.repeated
    broken = {rule: broken[rule] for rule in RULES if rule in broken}
    _refuse_broken(broken, totals, source)
    frame = frame.select(*canonical_schema(source.extra_columns))
    return PurchaseTable(frame, rows_read, broken, columns, totals.last, totals.observed)


def end_of(until: date | datetime) -> pd.Timestamp:
    """The last moment of a day, or the moment itself."""
    if isinstance(until, datetime):
        return pd.Timestamp(until)
    return pd.Timestamp(until) + pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)


# --- reading ---


def _columns(purchases: Any, source: PurchaseSource) -> dict[str, str]:
    """Canonical name -> name in the file, of the columns that are there."""
    names = nw.from_native(purchases).collect_schema().names()
    for canonical, name in source.columns.items():
        if name not in names:
            raise UserError(
                f"{pc.DATASET}: there is no column '{name}', which food_waste.source.columns.{canonical} names. "
                f"{near_matches(name, names)}"
            )
    for name in source.extra_columns:
        if name not in names:
            raise UserError(
                f"{pc.DATASET}: there is no column '{name}', which food_waste.source.extra_columns names. "
                f"{near_matches(name, names)}"
            )
    found = {name: source.columns.get(name, name) for name in canonical_schema()}
    found = {canonical: name for canonical, name in found.items() if name in names}
    needed = [name for name in pc.REQUIRED if name != pc.PURCHASE_ID]
    if missing := [name for name in needed if name not in found]:
        hints = "; ".join(f"'{name}' ({near_matches(name, names)})" for name in missing)
        raise UserError(
            f"{pc.DATASET}: required column missing: {hints}. "
            "If it has another name, say so in food_waste.source.columns."
        )
    if pc.OUTCOME not in found and pc.IS_WASTED not in found:
        raise UserError(
            f"{pc.DATASET}: no column says what became of the purchases: '{pc.OUTCOME}' "
            f"({near_matches(pc.OUTCOME, names)}) or '{pc.IS_WASTED}' ({near_matches(pc.IS_WASTED, names)}). "
            "If it has another name, say so in food_waste.source.columns."
        )
    return found


def _refuse_unreadable(purchases: Any, columns: dict[str, str], source: PurchaseSource) -> None:
    """On the driver, so that the message does not come out of an executor."""
    names = list(dict.fromkeys([*columns.values(), *source.extra_columns]))
    native = nw.from_native(purchases).select(*names).to_native()
    zones = engines.time_zones(native)

    def check(batch: pd.DataFrame) -> pd.DataFrame:
        problems: list[Problem] = []
        to_canonical(batch, columns, source.extra_columns, zones, problems.append)
        return broken_rules(problems)

    report = engines.failing_batches(native, check, PROBLEM_COLUMNS)
    if len(report):
        lines = []
        for (column, rule), found in report.groupby(["column", "rule"], sort=False):
            rows, example = found["rows"].astype(int).sum(), found["examples"].iloc[0]
            lines.append(f"- column '{column}': {rule}: {rows} row(s), for example {example}")
        raise UserError(f"{pc.DATASET} breaks its schema:\n" + "\n".join(lines))


def _schema(source: PurchaseSource) -> engines.Schema:
    return {**canonical_schema(source.extra_columns), "rule": "string"}


def _reader(purchases: Any, columns: dict[str, str], source: PurchaseSource) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that brings rows into the canonical form, each with the first rule that it breaks."""
    zones = engines.time_zones(purchases)
    identified, given = pc.PURCHASE_ID in columns, [*columns, *source.extra_columns]

    def read(batch: pd.DataFrame) -> pd.DataFrame:
        table = to_canonical(batch, columns, source.extra_columns, zones)
        table[pc.CATEGORY] = _known_categories(table[pc.CATEGORY], source.categories)
        if not identified:
            table[pc.PURCHASE_ID] = row_digests([table[name] for name in given])
        return table.assign(rule=_broken_rule(table, source.observed_until))

    return read


def _known_categories(values: pd.Series, categories: tuple[str, ...] | None) -> pd.Series:
    """The categories as the parameters spell them; None for others."""
    if categories is None:
        return values
    spelt = {name.casefold(): name for name in categories}
    known = {text: spelt.get(text.casefold()) for text in values.dropna().unique()}
    return pd.Series([None if text is None else known[text] for text in values], index=values.index, dtype=object)


def _broken_rule(table: pd.DataFrame, observed_until: date | None) -> np.ndarray:
    until = table[pc.OBSERVED_UNTIL] if observed_until is None else end_of(observed_until)
    late = table[pc.PURCHASED_AT] > until
    broken = {
        "missing_household": table[pc.HOUSEHOLD_ID].isna(),
        "missing_time": table[pc.PURCHASED_AT].isna(),
        "unknown_category": table[pc.CATEGORY].isna(),
        "future_purchase": late,
        "invalid_quantity": table[pc.QUANTITY] <= 0,
        "negative_price": table[pc.PRICE] < 0,
        "invalid_shelf_life": table[pc.SHELF_LIFE_DAYS] <= 0,
        "invalid_discount": (table[pc.DISCOUNT] < 0) | (table[pc.DISCOUNT] > 1),
        "invalid_household_size": table[pc.HOUSEHOLD_SIZE] < 1,
        "negative_guests": table[pc.GUESTS] < 0,
        "resolved_before_purchase": (table[pc.RESOLVED_AT] < table[pc.PURCHASED_AT]) | (table[pc.DAYS_TO_WASTE] < 0),
    }
    return np.select([mask.to_numpy(dtype=bool) for mask in broken.values()], list(broken), _KEPT).astype(object)


def _inside(frame: Any, source: PurchaseSource) -> Any:
    """The rows of the interval, and those that have no time, which are counted as broken."""
    time = nw.col(pc.PURCHASED_AT)
    if source.since is not None:
        frame = frame.filter(time.is_null() | (time >= pd.Timestamp(source.since).to_pydatetime()))
    if source.until is not None:
        frame = frame.filter(time.is_null() | (time < pd.Timestamp(source.until).to_pydatetime()))
    return frame


# --- rows that are set aside ---


def _count_broken(frame: Any) -> dict[str, Broken]:
    counted = frame.group_by("rule").agg(rows=nw.len(), example=nw.col(pc.PURCHASE_ID).min())
    found = engines.to_pandas(counted.to_native())
    return {
        str(rule): Broken(int(rows), str(example))
        for rule, rows, example in zip(found["rule"], found["rows"], found["example"], strict=True)
    }


@dataclass(frozen=True)
class _Totals:
    """Figures of the rows that break no rule of their own.

    Attributes:
        rows: Their number.
        repeated: Rows whose identifier another one has already; None if there are none.
        last: Latest purchase or resolution.
        observed: Latest time until which a row says that it was observed.
    """

    rows: int
    repeated: Broken | None
    last: pd.Timestamp
    observed: pd.Timestamp


def _totals(frame: Any) -> _Totals:
    aggregated = frame.select(
        rows=nw.len(),
        identifiers=nw.col(pc.PURCHASE_ID).n_unique(),
        purchased=nw.col(pc.PURCHASED_AT).max(),
        resolved=nw.col(pc.RESOLVED_AT).max(),
        observed=nw.col(pc.OBSERVED_UNTIL).max(),
    )
    figures = engines.to_pandas(aggregated.to_native()).iloc[0]
    rows = int(figures["rows"])
    repeated = None
    if rows > figures["identifiers"] > 0:
        several = frame.group_by(pc.PURCHASE_ID).agg(rows=nw.len()).filter(nw.col("rows") > 1)
        first = engines.to_pandas(several.select(nw.col(pc.PURCHASE_ID).min()).to_native())
        repeated = Broken(rows - int(figures["identifiers"]), str(first[pc.PURCHASE_ID].iloc[0]))
    times = pd.to_datetime(pd.Series([figures["purchased"], figures["resolved"]]))
    return _Totals(rows, repeated, times.max(), pd.to_datetime(figures["observed"]))


def _without_duplicates(frame: Any, source: PurchaseSource) -> Any:
    """Of each identifier the earliest purchase, one whose fate is known before others; the same one on every engine."""
    schema: engines.Schema = {**_schema(source), "fateless": "int", "digest": "string"}

    def examine(batch: pd.DataFrame) -> pd.DataFrame:
        fateless = batch[pc.OUTCOME].isna() & batch[pc.IS_WASTED].isna()
        digest = row_digests([batch[name] for name in canonical_schema(source.extra_columns)])
        return batch.assign(fateless=fateless.astype("int32"), digest=digest)

    examined = nw.from_native(engines.map_batches(frame.to_native(), examine, schema))
    return examined.unique(subset=[pc.PURCHASE_ID], keep="first", order_by=[pc.PURCHASED_AT, "fateless", "digest"])


def _refuse_broken(broken: dict[str, Broken], totals: _Totals, source: PurchaseSource) -> None:
    lines = [
        f"- {rule}: {RULES[rule]}: {found.rows} row(s), for example purchase {found.example!r}"
        for rule, found in broken.items()
    ]
    if not totals.rows:
        raise UserError("\n".join([f"{pc.DATASET}: there is no row that can be used.", *lines]))
    if lines and source.invalid == "refuse":
        heading = (
            f"{pc.DATASET}: rows break rules, and food_waste.source.invalid is 'refuse' ('set_aside' leaves them out):"
        )
        raise UserError("\n".join([heading, *lines]))
