"""Purchased items with labels that had time to mature, split by time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.data_engineering.purchase_sources import (
    RULES,
    PurchaseSource,
    PurchaseTable,
    end_of,
    read_purchases,
)
from augury.predictors import purchase_columns as pc
from augury.predictors.past_events import DAY
from augury.predictors.purchase_values import canonical_schema

LABELLED = "labelled"
IMMATURE = "immature"
UNRESOLVED = "unresolved"
STANDINGS = (LABELLED, IMMATURE, UNRESOLVED)
"""What a row is good for: its horizon has passed and its fate is known; its horizon has not passed yet; its horizon has
passed, but nobody knows its fate. Only the first is learnt from; all are history of later purchases."""

LARGEST_CATEGORIES = 100
"""Categories that the report tells one by one."""

_NOTED: engines.Schema = {"standing": "string", "day": "int"}
"""For the report only; the day is counted from January 1st, 1970."""
_DAY_S = 86_400
_LONGEST_DAYS = 1e6


class WasteLabel(Parameters):
    """When the fate of a purchase counts: once it had as much time as every other one to be wasted."""

    horizon_shelf_lives: float = Field(
        default=1.6, gt=0, allow_inf_nan=False, description="shelf lives from the purchase to the end of its horizon"
    )
    default_horizon_days: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="horizon of items without a shelf life; null: whatever fate is known counts",
    )
    max_horizon_days: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="no horizon is longer; what is wasted after it counts as not wasted",
    )
    unresolved_as: Literal["unknown", "eaten"] = Field(
        default="unknown", description="what an item is whose horizon has passed without a fate"
    )


class PurchaseSplit(Parameters):
    """How labelled purchases are divided: by whole days."""

    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of the labelled purchases, the last ones, for testing"
    )
    gap_days: int = Field(default=14, ge=0, description="days before the test that are not trained on")
    test_start: date | None = Field(default=None, description="first day of the test; null: as test_share says")


def prepare_purchases(
    purchases: Any, source: PurchaseSource, label: WasteLabel, split: PurchaseSplit
) -> tuple[Any, dict[str, Any]]:
    """Read, clean, label and split.

    Args:
        purchases: Raw table, pandas or Spark; see :mod:`augury.predictors.purchase_columns`.
        source: How to read it.
        label: When a fate counts.
        split: How it is divided.

    Returns:
        The labelled table (same engine; columns of :data:`~augury.predictors.purchase_columns.LABELLED`, then the
        extra ones), unlabelled rows among it; and the account of what was read, set aside, labelled and split.

    Raises:
        UserError: A column is missing or not of its type, rows break rules that are to be refused, or a side of the
            split would be empty or of one kind only.
    """
    table = read_purchases(purchases, source)
    until = _observed_until(table, source)
    schema: engines.Schema = {**canonical_schema(source.extra_columns), **pc.LABELLED, **_NOTED}
    frame = nw.from_native(engines.map_batches(table.frame.to_native(), _labeller(label, until), schema))
    window = _window(frame, split)
    frame = frame.with_columns(split=window.expression())
    report = _report(_counts(frame), table, window, until)
    _refuse_empty_sides(report)
    report["parameters"] = {
        "source": source.model_dump(mode="json"),
        "label": label.model_dump(mode="json"),
        "split": split.model_dump(mode="json"),
    }
    return frame.select(*pc.LABELLED, *source.extra_columns).to_native(), report


# --- labels ---


@dataclass(frozen=True)
class _Until:
    """Until when fates were recorded, of rows that do not say so themselves, and who says so."""

    time: pd.Timestamp
    said_by: Literal["parameter", "column", "last time"]


def _observed_until(table: PurchaseTable, source: PurchaseSource) -> _Until:
    if source.observed_until is not None:
        return _Until(end_of(source.observed_until), "parameter")
    if not pd.isna(table.observed):
        return _Until(table.observed, "column")
    return _Until(table.last, "last time")


def _labeller(label: WasteLabel, until: _Until) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def with_labels(table: pd.DataFrame) -> pd.DataFrame:
        observed = table[pc.OBSERVED_UNTIL].fillna(until.time).astype("datetime64[us]")
        if until.said_by == "parameter":
            observed = pd.Series(until.time, index=table.index).astype("datetime64[us]")
        bought = table[pc.PURCHASED_AT]
        days = bought.to_numpy().astype("datetime64[D]")
        end = bought + _days(horizon_days(table[pc.SHELF_LIFE_DAYS], label))
        fate, resolved = _fates(table, end, observed)
        wasted = fate == pc.WASTED
        if label.max_horizon_days is not None:
            wasted &= ~(resolved > end)
        known = fate.notna()
        ripe = ~(end > observed)
        if label.unresolved_as == "eaten":
            known |= ripe & end.notna()
        took = (resolved - bought).dt.total_seconds() / _DAY_S
        # A resolution that nobody dated was assumed above, which is good enough for history, but no figure to learn
        dated = table[pc.RESOLVED_AT].notna() | table[pc.DAYS_TO_WASTE].notna()
        standing = np.select([(known & ripe).to_numpy(), (~ripe).to_numpy()], [LABELLED, IMMATURE], UNRESOLVED)
        labelled: dict[str, Any] = {
            pc.OUTCOME: fate,
            pc.RESOLVED_AT: resolved,
            pc.OBSERVED_UNTIL: observed,
            pc.ORIGIN: table[pc.ORIGIN].fillna(pc.MEASURED),
            pc.IS_WASTED: wasted.astype("float64").where(known),
            pc.DAYS_TO_WASTE: took.where(wasted & dated),
            pc.IS_LABELLED: known & ripe,
            pc.SPLIT: pc.NONE,
            pc.DATE: np.datetime_as_string(days).astype(object),
            "standing": standing.astype(object),
            "day": days.astype("int32"),
        }
        return table.assign(**labelled)

    return with_labels


def horizon_days(shelf_life_days: pd.Series, label: WasteLabel) -> pd.Series:
    """Days from a purchase until its fate counts; NaN where that is not known.

    Args:
        shelf_life_days: Shelf lives; NaN where unknown.
        label: Parameters.

    Returns:
        Days.
    """
    days = shelf_life_days * label.horizon_shelf_lives
    if label.default_horizon_days is not None:
        days = days.fillna(label.default_horizon_days)
    return days if label.max_horizon_days is None else days.clip(upper=label.max_horizon_days)


def _fates(table: pd.DataFrame, end: pd.Series, observed: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Outcomes, and from when on they were known; both missing where they lie after what was observed."""
    fate, told = table[pc.OUTCOME], table[pc.IS_WASTED]
    fate = fate.where(fate.notna(), told.map({1.0: pc.WASTED, 0.0: pc.EATEN}).astype(object))
    resolved = table[pc.RESOLVED_AT]
    wasted_at = table[pc.PURCHASED_AT] + _days(table[pc.DAYS_TO_WASTE])
    resolved = resolved.fillna(wasted_at.where(fate == pc.WASTED))
    # Without a date a fate is known at the end of the horizon, or of the observation, at the latest
    latest = end.fillna(observed).clip(upper=observed)
    resolved = resolved.fillna(latest.where(fate.notna()))
    seen = ~(resolved > observed)
    return fate.where(seen), resolved.where(seen).astype("datetime64[us]")


def _days(days: pd.Series) -> pd.Series:
    """Numbers of days as spans of whole microseconds."""
    micros = np.rint(days.clip(upper=_LONGEST_DAYS).to_numpy(dtype=np.float64) * DAY)
    known = ~np.isnan(micros)
    spans = np.where(known, micros, 0.0).astype(np.int64).astype("timedelta64[us]")
    return pd.Series(np.where(known, spans, np.timedelta64("NaT", "us")), index=days.index)


# --- split ---


@dataclass(frozen=True)
class _Window:
    """Days of the split, as texts that compare like the days."""

    train_end: str
    test_start: str

    def expression(self) -> Any:
        """The split of a row; training ends before its day, the test begins on its day."""
        labelled, day = nw.col(pc.IS_LABELLED), nw.col(pc.DATE)
        return (
            nw.when(labelled & (day >= self.test_start))
            .then(nw.lit(pc.TEST))
            .otherwise(nw.when(labelled & (day < self.train_end)).then(nw.lit(pc.TRAIN)).otherwise(nw.lit(pc.NONE)))
        )


def _window(frame: Any, split: PurchaseSplit) -> _Window:
    start = split.test_start
    if start is None:
        counted = frame.filter(nw.col(pc.IS_LABELLED)).group_by(pc.DATE).agg(rows=nw.len())
        days = engines.to_pandas(counted.to_native()).sort_values(pc.DATE, ignore_index=True)
        if len(days) < 2:
            raise UserError(
                f"{pc.DATASET}: labelled purchases are of {len(days)} day(s), so they cannot be split by time. "
                "A purchase is labelled if its fate is known and its horizon (food_waste.label) has passed."
            )
        # Before each day but the first; the day whose share of what follows is the nearest
        before = days["rows"].cumsum().to_numpy()[:-1] / days["rows"].sum()
        start = date.fromisoformat(days[pc.DATE].iloc[1 + int(np.argmin(np.abs(1.0 - before - split.test_share)))])
    train_end = pd.Timestamp(start) - pd.Timedelta(days=split.gap_days)
    return _Window(train_end.date().isoformat(), start.isoformat())


# --- report ---


def _counts(frame: Any) -> pd.DataFrame:
    wasted = nw.col(pc.IS_WASTED).fill_null(-1.0)
    by = ["standing", pc.SPLIT, pc.CATEGORY, pc.ORIGIN, "fate"]
    frame = frame.with_columns(
        fate=nw.when(wasted == 1.0)
        .then(nw.lit("wasted"))
        .otherwise(nw.when(wasted == 0.0).then(nw.lit("not_wasted")).otherwise(nw.lit("unknown")))
    )
    counted = frame.group_by(by).agg(rows=nw.len(), first=nw.col("day").min(), last=nw.col("day").max())
    counts = engines.to_pandas(counted.to_native()).astype({"rows": int})
    counts["wasted"] = counts["rows"].where(counts["fate"] == "wasted", 0)
    return counts.sort_values(by, ignore_index=True)


def _report(counts: pd.DataFrame, table: PurchaseTable, window: _Window, until: _Until) -> dict[str, Any]:
    labelled = counts[counts["standing"] == LABELLED]
    in_gap = labelled[labelled[pc.SPLIT] == pc.NONE]
    standings = counts.groupby("standing")["rows"].sum()
    report = {
        "rows_read": table.rows_read,
        "rows": int(counts["rows"].sum()),
        "set_aside": {rule: table.broken[rule].rows if rule in table.broken else 0 for rule in RULES},
        "set_aside_examples": {rule: found.example for rule, found in table.broken.items()},
        "columns": table.columns,
        "columns_missing": sorted(set(pc.COLUMNS) - set(table.columns)),
        "dates": _dates(counts),
        "observed_until": {"time": until.time.isoformat(), "said_by": until.said_by},
        "standings": {name: int(standings.get(name, 0)) for name in STANDINGS},
        "splits": {name: _figures(labelled[labelled[pc.SPLIT] == name]) for name in (pc.TRAIN, pc.TEST)},
        "gap": {"from": window.train_end, "before": window.test_start, **_figures(in_gap)},
        "categories": _by_category(counts, labelled),
        "categories_in_all": int(counts[pc.CATEGORY].nunique()),
        "origins": {
            str(origin): {name: _figures(rows[rows[pc.SPLIT] == name]) for name in (pc.TRAIN, pc.TEST)}
            for origin, rows in labelled.groupby(pc.ORIGIN)
        },
    }
    unlabelled = sorted(set(counts[pc.CATEGORY]) - set(labelled[pc.CATEGORY]))
    return report | {"notes": _notes(until, unlabelled)}


def _by_category(counts: pd.DataFrame, labelled: pd.DataFrame) -> list[dict[str, Any]]:
    sizes = counts.groupby(pc.CATEGORY)["rows"].sum().sort_values(ascending=False, kind="stable")[:LARGEST_CATEGORIES]
    sums = labelled.groupby([pc.CATEGORY, pc.SPLIT])[["rows", "wasted"]].sum()
    of_split = {
        name: sums.reindex([(category, name) for category in sizes.index], fill_value=0).to_numpy()
        for name in pc.SPLITS
    }
    return [
        {
            "category": str(category),
            "rows": int(size),
            LABELLED: _rate(*sum(numbers[at] for numbers in of_split.values())),
            **{name: _rate(*of_split[name][at]) for name in (pc.TRAIN, pc.TEST)},
        }
        for at, (category, size) in enumerate(sizes.items())
    ]


def _rate(rows: int, wasted: int) -> dict[str, Any]:
    return {"rows": int(rows), "wasted": int(wasted), "waste_rate": float(wasted / rows) if rows else None}


def _figures(counts: pd.DataFrame) -> dict[str, Any]:
    dates = _dates(counts) if len(counts) else {"first": None, "last": None}
    return {**_rate(counts["rows"].sum(), counts["wasted"].sum()), **dates}


def _dates(counts: pd.DataFrame) -> dict[str, str]:
    days = np.array([counts["first"].min(), counts["last"].max()], dtype="datetime64[D]")
    return dict(zip(("first", "last"), np.datetime_as_string(days).tolist(), strict=True))


def _notes(until: _Until, unlabelled: list[str]) -> list[str]:
    notes = []
    if until.said_by == "last time":
        notes.append(
            "Nothing says until when fates were recorded, so it was taken to be the last time in the table "
            f"({until.time.isoformat()}); purchases that are dated in the future cannot be told from others. "
            f"A column '{pc.OBSERVED_UNTIL}' or food_waste.source.observed_until says it."
        )
    if unlabelled:
        notes.append(
            f"No purchase is labelled of {len(unlabelled)} categories, such as {unlabelled[0]!r}: their horizons end "
            "after what was observed, or nobody knows their fates. food_waste.label.max_horizon_days shortens horizons."
        )
    return notes


def _refuse_empty_sides(report: dict[str, Any]) -> None:
    for name, figures in report["splits"].items():
        rows, wasted = figures["rows"], figures["wasted"]
        if rows and 0 < wasted < rows:
            continue
        kinds = "no row" if not rows else "no wasted item" if not wasted else "wasted items only"
        raise UserError(
            f"{pc.DATASET}: the {name} split has {kinds}. Rows: "
            + ", ".join(
                f"{side} {sizes['rows']} ({sizes['wasted']} wasted)" for side, sizes in report["splits"].items()
            )
            + f", gap {report['gap']['rows']}; not labelled: "
            + ", ".join(f"{standing} {report['standings'][standing]}" for standing in (IMMATURE, UNRESOLVED))
            + f". The test begins on {report['gap']['before']}; see food_waste.split and food_waste.label."
        )
