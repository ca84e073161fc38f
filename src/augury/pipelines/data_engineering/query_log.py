"""Label a canonical query log, leave out what a model shall not learn from, and split it by time."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.data_engineering.query_sources import CANONICAL
from augury.predictors import query_columns as qc
from augury.predictors.query_classifier import QueryClassifier, executed_text
from augury.predictors.query_shapes import DATASET
from augury.predictors.query_values import row_digests

KEPT = "kept"
FILTERS = (
    "duplicate",
    "blank_text",
    "matching",
    "query_type",
    "zero_cost",
    "censored",
    "unknown_cost",
    "before_train",
)
"""Reasons for which a row is left out, in order: it counts for the first that applies."""

QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)

HEAVY = "heavy"
SMALL = "small"
CENSORED = "censored"
UNKNOWN = "unknown"
"""What a row can be: failed or cancelled below both thresholds is censored, for nobody knows what it would have cost;
without a cost that the log has elsewhere it is unknown."""


class QueryLabel(Parameters):
    """When a query is heavy: by CPU time, by memory, or because it ran into a limit."""

    cpu_threshold_seconds: float = Field(300.0, gt=0, description="heavy from this CPU time on")
    memory_threshold_gb: float = Field(10.0, gt=0, description="heavy above this peak of user memory, in GiB")
    resource_errors: tuple[str, ...] = Field(
        (
            "EXCEEDED_TIME_LIMIT",
            "EXCEEDED_SCAN_LIMIT",
            "EXCEEDED_CPU_LIMIT",
            "EXCEEDED_LOCAL_MEMORY_LIMIT",
            "EXCEEDED_GLOBAL_MEMORY_LIMIT",
            "CLUSTER_OUT_OF_MEMORY",
            "EXCEEDED_SPILL_LIMIT",
        ),
        description="names of the errors that only a heavy query meets",
    )


class ColumnPattern(Parameters):
    """Rows to leave out by the content of a column."""

    column: str = Field(description="a text column of the canonical log")
    pattern: str = Field(description="regular expression, found anywhere in the text")

    @field_validator("column")
    @classmethod
    def _must_be_text(cls, value: str) -> str:
        if value not in qc.TEXTS:
            raise ValueError(f"must be one of {', '.join(qc.TEXTS)}")
        return value

    @field_validator("pattern")
    @classmethod
    def _must_compile(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value


class QueryFilters(Parameters):
    """Rows that no model shall learn from. Heavy or not, a row is left out by the first filter that meets it."""

    exclude_matching: ColumnPattern | None = Field(
        None, description="such as client_info and 'NON-CURATED': traffic that goes elsewhere anyway; null: none"
    )
    exclude_query_types: tuple[str, ...] = Field(
        ("DATA_DEFINITION", "DESCRIBE", "EXPLAIN"), description="Trino's types of statements that run no query"
    )
    exclude_zero_cost: bool = Field(True, description="leave out what is answered before any model is asked")


class QuerySplit(Parameters):
    """Windows of whole days, counted back from the end of the log: train, validation, test, drift."""

    train_days: int | None = Field(None, ge=1, description="days before the validation window; null: all")
    validation_days: int = Field(7, ge=1, description="days for thresholds and calibration")
    test_days: int = Field(7, ge=1, description="days for the judgement")
    drift_days: int = Field(0, ge=0, description="last days, judged on their own; 0: none")


def label_log(
    primary_log: Any,
    report_zero_cost: dict[str, Any],
    label: QueryLabel,
    filters: QueryFilters,
    split: QuerySplit,
) -> tuple[Any, dict[str, Any]]:
    """Label, filter and split.

    Args:
        primary_log: Canonical log, pandas or Spark.
        report_zero_cost: The account of the zero-cost categories; its ``safe`` ones are left out.
        label: Thresholds.
        filters: What is left out.
        split: Windows.

    Returns:
        The labelled log (same engine), each row with weight 1; and the counts of what was kept and left out.

    Raises:
        UserError: A split would hold no row, or training no heavy one.
    """
    totals = log_totals(primary_log)
    windows = _plan_windows(totals, split)
    examine = _examiner(QueryClassifier(report_zero_cost["safe"]), filters, with_digest=totals.repeated > 0)
    frame = nw.from_native(engines.map_batches(primary_log, examine, _EXAMINED))
    if totals.repeated:
        frame = frame.with_columns(order_cpu=nw.col(qc.CPU_TIME_S).fill_null(-1.0))
        frame = frame.unique(subset=[qc.QUERY_ID], keep="last", order_by=[qc.END_TIME, "order_cpu", "digest"])
    frame = with_outcome(frame, label, totals).with_columns(split=_split_of(windows))
    frame = frame.with_columns(is_heavy=nw.col("outcome") == HEAVY, dropped_by=_dropped_by())
    counts = _count(frame, ["dropped_by", qc.SPLIT, qc.DATE, qc.ORIGIN, "outcome"])
    report = _report(counts, totals, windows, label)
    _refuse_empty_splits(report, primary_log)
    frame = frame.filter(nw.col("dropped_by") == KEPT).with_columns(weight=nw.lit(1.0))
    return frame.select(*qc.LABELLED).to_native(), report


@dataclass(frozen=True)
class LogTotals:
    """Figures of a whole canonical log.

    Attributes:
        rows: Its rows.
        repeated: Rows whose identifier another row has already.
        cpu_known: Rows with CPU time.
        memory_known: Rows with peak memory.
        first: Earliest creation.
        last: Latest creation.
    """

    rows: int
    repeated: int
    cpu_known: int
    memory_known: int
    first: pd.Timestamp
    last: pd.Timestamp


def log_totals(primary_log: Any) -> LogTotals:
    """Count a canonical log.

    Args:
        primary_log: pandas or Spark.

    Returns:
        The figures.

    Raises:
        UserError: The log has no rows.
    """
    aggregated = nw.from_native(primary_log).select(
        rows=nw.len(),
        queries=nw.col(qc.QUERY_ID).n_unique(),
        cpu_known=nw.col(qc.CPU_TIME_S).count(),
        memory_known=nw.col(qc.PEAK_MEMORY_GB).count(),
        first=nw.col(qc.CREATE_TIME).min(),
        last=nw.col(qc.CREATE_TIME).max(),
    )
    figures = engines.to_pandas(aggregated.to_native()).iloc[0]
    rows = int(figures["rows"])
    if not rows:
        raise UserError(f"{DATASET}: the log has no rows.")
    return LogTotals(
        rows=rows,
        repeated=rows - int(figures["queries"]),
        cpu_known=int(figures["cpu_known"]),
        memory_known=int(figures["memory_known"]),
        first=pd.Timestamp(figures["first"]),
        last=pd.Timestamp(figures["last"]),
    )


def with_outcome(frame: Any, label: QueryLabel, totals: LogTotals) -> Any:
    """Append `outcome`: heavy, small, censored or unknown.

    Args:
        frame: Narwhals frame with the canonical columns.
        label: Thresholds.
        totals: Figures of the log. A cost that no row has is not asked of any.

    Returns:
        The Narwhals frame with one column more.
    """
    cpu = nw.col(qc.CPU_TIME_S).fill_null(-1.0)
    memory = nw.col(qc.PEAK_MEMORY_GB).fill_null(-1.0)
    error = nw.col(qc.ERROR_NAME).fill_null("")
    state = nw.col(qc.QUERY_STATE).fill_null("FINISHED")
    heavy = (cpu >= label.cpu_threshold_seconds) | (memory > label.memory_threshold_gb)
    if label.resource_errors:
        heavy = heavy | error.is_in(list(label.resource_errors))
    failed = (state != "FINISHED") | (error != "")
    unknown = nw.lit(False)
    if totals.cpu_known:
        unknown = unknown | (cpu < 0.0)
    if totals.memory_known:
        unknown = unknown | (memory < 0.0)
    return frame.with_columns(
        outcome=nw.when(heavy)
        .then(nw.lit(HEAVY))
        .otherwise(
            nw.when(failed)
            .then(nw.lit(CENSORED))
            .otherwise(nw.when(unknown).then(nw.lit(UNKNOWN)).otherwise(nw.lit(SMALL)))
        )
    )


# --- rows ---

_EXAMINED: dict[str, engines.ColumnType] = {
    **CANONICAL,
    qc.SQL_TEXT: "string",
    "excluded_by": "string",
    "created_us": "long",
    "digest": "string",
}


def _examiner(
    classifier: QueryClassifier, filters: QueryFilters, with_digest: bool
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that appends what can be told from a row's own texts."""
    types = {name.upper() for name in filters.exclude_query_types}

    def examine(batch: pd.DataFrame) -> pd.DataFrame:
        texts = [executed_text(*pair) for pair in zip(batch[qc.QUERY], batch[qc.PREPARED_QUERY], strict=True)]
        blank = np.array([text is None or not text.strip(" \t\r\n\f\v\0;") for text in texts], dtype=bool)
        matching = np.zeros(len(batch), dtype=bool)
        if filters.exclude_matching:
            pattern = re.compile(filters.exclude_matching.pattern)
            values = batch[filters.exclude_matching.column].tolist()
            found = {value: bool(value is not None and pattern.search(value)) for value in set(values)}
            matching = np.array([found[value] for value in values], dtype=bool)
        typed = np.array([(value or "").upper() in types for value in batch[qc.QUERY_TYPE]], dtype=bool)
        free = classifier.is_zero_cost(texts) if filters.exclude_zero_cost else np.zeros(len(batch), dtype=bool)
        examined = batch.assign(
            sql_text=pd.Series(texts, index=batch.index, dtype=object),
            excluded_by=np.select(
                [blank, matching, typed, free], ["blank_text", "matching", "query_type", "zero_cost"], ""
            ).astype(object),
            created_us=batch[qc.CREATE_TIME].astype("datetime64[us]").astype("int64"),
            digest=None,
        )
        if with_digest:
            examined["digest"] = row_digests([batch[name] for name in CANONICAL])
        return examined

    return examine


def _dropped_by() -> Any:
    """The first filter that meets a row; `kept` if none does."""
    outcome = nw.col("outcome")
    late = nw.when(nw.col(qc.SPLIT) == "").then(nw.lit("before_train")).otherwise(nw.lit(KEPT))
    unknown = nw.when(outcome == UNKNOWN).then(nw.lit("unknown_cost")).otherwise(late)
    censored = nw.when(outcome == CENSORED).then(nw.lit("censored")).otherwise(unknown)
    return nw.when(nw.col("excluded_by") != "").then(nw.col("excluded_by")).otherwise(censored)


# --- windows ---


@dataclass(frozen=True)
class _Windows:
    """Starts of the splits, in microseconds since 1970, in order of time; a split ends where the next one starts."""

    starts: dict[str, int]
    notes: tuple[str, ...] = ()


def _plan_windows(totals: LogTotals, split: QuerySplit) -> _Windows:
    days = {qc.VALIDATION: split.validation_days, qc.TEST: split.test_days, qc.DRIFT: split.drift_days}
    held_back = sum(days.values())
    first, last = totals.first.normalize(), totals.last.normalize()
    available = (last - first).days + 1
    # Without a number of its own, training needs at least as many days as what it is judged by
    wanted = {qc.TRAIN: split.train_days or held_back, **{name: number for name, number in days.items() if number}}
    total = sum(wanted.values())
    if available >= total:
        end = last + pd.Timedelta(days=1)
        starts = {}
        for name in reversed(list(wanted)[1:]):
            end -= pd.Timedelta(days=wanted[name])
            starts[name] = _micros(end)
        starts[qc.TRAIN] = _micros(first if split.train_days is None else end - pd.Timedelta(days=split.train_days))
        return _Windows({name: starts[name] for name in wanted})
    begin, duration = _micros(totals.first), _micros(totals.last) - _micros(totals.first) + 1
    starts, past = {}, 0
    for name, number in wanted.items():
        starts[name] = begin + duration * past // total
        past += number
    shares = ", ".join(f"{name} {number / total:.0%}" for name, number in wanted.items())
    note = (
        f"The log covers {available} day(s), the windows need {total}: it was divided in proportion to them "
        f"({shares} of its time)."
    )
    return _Windows(starts, (note,))


def _split_of(windows: _Windows) -> Any:
    """The split of a row by its time of creation; empty before the first."""
    split = nw.lit("")
    for name, start in windows.starts.items():
        split = nw.when(nw.col("created_us") >= start).then(nw.lit(name)).otherwise(split)
    return split


def _micros(time: pd.Timestamp) -> int:
    return int(time.to_datetime64().astype("datetime64[us]").astype("int64"))


# --- report ---


def _count(frame: Any, by: list[str]) -> pd.DataFrame:
    counts = engines.to_pandas(frame.group_by(by).agg(rows=nw.len()).to_native())
    return counts.astype({"rows": int}).sort_values(by, ignore_index=True)


def _report(counts: pd.DataFrame, totals: LogTotals, windows: _Windows, label: QueryLabel) -> dict[str, Any]:
    dropped = dict.fromkeys(FILTERS, 0) | {"duplicate": totals.repeated}
    for name, rows in counts[counts["dropped_by"] != KEPT].groupby("dropped_by")["rows"].sum().items():
        dropped[str(name)] = int(rows)
    kept = counts[counts["dropped_by"] == KEPT].assign(heavy=lambda frame: frame["rows"].where(_is_heavy(frame), 0))
    splits = {name: _figures(kept[kept[qc.SPLIT] == name]) for name in windows.starts}
    starts = {name: pd.Timestamp(start, unit="us").isoformat() for name, start in windows.starts.items()}
    return {
        "rows_read": totals.rows,
        "rows": int(kept["rows"].sum()),
        "dropped": dropped,
        "thresholds": {
            "cpu_seconds": label.cpu_threshold_seconds,
            "memory_gb": label.memory_threshold_gb,
            "resource_errors": list(label.resource_errors),
        },
        "costs_known": {qc.CPU_TIME_S: totals.cpu_known, qc.PEAK_MEMORY_GB: totals.memory_known},
        "splits": {name: {"from": starts[name], **figures} for name, figures in splits.items()},
        "origins": {
            str(origin): {name: _figures(rows[rows[qc.SPLIT] == name]) for name in windows.starts}
            for origin, rows in kept.groupby(qc.ORIGIN)
        },
        "days": [
            {"date": day, "split": name, **_figures(rows)} for (day, name), rows in kept.groupby([qc.DATE, qc.SPLIT])
        ],
        "notes": list(windows.notes),
    }


def _is_heavy(counts: pd.DataFrame) -> pd.Series:
    return counts["outcome"] == HEAVY


def _figures(kept: pd.DataFrame) -> dict[str, Any]:
    rows, heavy = int(kept["rows"].sum()), int(kept["heavy"].sum())
    return {"rows": rows, "heavy": heavy, "heavy_share": heavy / rows if rows else None}


def _refuse_empty_splits(report: Mapping[str, Any], primary_log: Any) -> None:
    splits = report["splits"]
    empty = [name for name, figures in splits.items() if not figures["rows"]]
    if not empty and splits[qc.TRAIN]["heavy"]:
        return
    problem = f"the split leaves no row for {' and '.join(empty)}" if empty else "no training row is heavy"
    sizes = ", ".join(f"{name} {figures['rows']} ({figures['heavy']} heavy)" for name, figures in splits.items())
    dropped = ", ".join(f"{name} {rows}" for name, rows in report["dropped"].items() if rows) or "none"
    raise UserError(
        f"{DATASET}: {problem}. Rows: {sizes}; left out: {dropped}. {_cost_figures(primary_log)} "
        f"A query is heavy from {report['thresholds']['cpu_seconds']:g} s or above "
        f"{report['thresholds']['memory_gb']:g} GiB: query_cost.label.cpu_threshold_seconds and "
        "query_cost.label.memory_threshold_gb; the windows are query_cost.split."
        + "".join(f" {note}" for note in report["notes"])
    )


def _cost_figures(primary_log: Any) -> str:
    """Quantiles of the costs, by which a person can choose thresholds."""
    figures = []
    for column, unit in ((qc.CPU_TIME_S, "CPU seconds"), (qc.PEAK_MEMORY_GB, "GiB of memory")):
        known = nw.from_native(primary_log).filter(~nw.col(column).is_null())
        quantiles = known.select(
            **{f"{share:g}": nw.col(column).quantile(share, interpolation="linear") for share in QUANTILES}
        )
        row = engines.to_pandas(quantiles.to_native()).iloc[0]
        if not row.isna().all():
            shown = ", ".join(f"{float(share):.1%} {row[share]:.4g}" for share in row.index)
            figures.append(f"Quantiles of {unit}: {shown}.")
    return " ".join(figures) or "No row has a cost."
