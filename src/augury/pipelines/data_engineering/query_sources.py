"""Read a query log in any of its shapes into the canonical one; see :mod:`augury.predictors.query_shapes`."""

from typing import Any, Literal
from zoneinfo import ZoneInfo

import narwhals.stable.v2 as nw
import pandas as pd
from pydantic import Field, field_validator

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.predictors import query_columns as qc
from augury.predictors.query_shapes import (
    DATASET,
    IS_COMPLETED,
    DurationUnit,
    LogFormat,
    LogShape,
    read_shape,
    to_canonical,
)

SHARE_SEED = 101
"""Added to the seed, so that the rows of a share are not those that sampling prefers."""

_TYPES: dict[qc.Kind, engines.ColumnType] = {"text": "string", "time": "timestamp", "number": "double"}
CANONICAL: dict[str, engines.ColumnType] = {name: _TYPES[kind] for name, kind in qc.COLUMNS.items()}


class QuerySource(Parameters):
    """How to read the raw log."""

    format: LogFormat | Literal["auto"] = Field("auto", description="shape of the table; auto tells it by its columns")
    row_share: float = Field(1.0, gt=0, le=1, description="share of the queries used at all; below 1 for quick tries")
    time_zone: str = Field("UTC", description="zone of times that have none")
    duration_unit: DurationUnit = Field(
        "auto", description="unit of durations that are plain numbers where neither the column nor the format tells it"
    )

    @field_validator("time_zone")
    @classmethod
    def _must_exist(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("must be the name of a time zone, such as 'UTC' or 'Europe/Berlin'") from None
        return value


def adapt_log(query_log: Any, source: QuerySource, seed: int) -> tuple[Any, dict[str, Any]]:
    """Bring a raw log into the canonical shape.

    Args:
        query_log: Validated raw table, pandas or Spark.
        source: What it is.
        seed: Decides which queries belong to a share below 1.

    Returns:
        The canonical log (same engine), rows without any time left out; and an account of what was read.

    Raises:
        UserError: The table is not of the format, says nothing about costs or times, or leaves plain numbers without a
            unit.
    """
    shape = _shape(query_log, source)
    raw = nw.from_native(query_log).select(*shape.needed).to_native()
    canonical = engines.map_batches(raw, _adapter(shape), {**CANONICAL, IS_COMPLETED: "boolean"})
    canonical = engines.hash_uniform(canonical, qc.QUERY_ID, seed + SHARE_SEED, "draw")
    frame = nw.from_native(canonical).with_columns(
        timed=~nw.col(qc.CREATE_TIME).is_null(), drawn=nw.col("draw") < source.row_share
    )
    counts = engines.to_pandas(
        frame.group_by([IS_COMPLETED, "timed", "drawn"])
        .agg(rows=nw.len(), first=nw.col(qc.DATE).min(), last=nw.col(qc.DATE).max())
        .to_native()
    )
    kept = counts[counts[IS_COMPLETED] & counts["timed"] & counts["drawn"]]
    if kept.empty:
        raise UserError(
            f"{DATASET}: no row is left of {int(counts['rows'].sum())}. A row needs a time of creation; "
            "an event needs metadata and statistics; query_cost.source.row_share "
            f"({source.row_share:g}) must leave some."
        )
    report = {
        "format": shape.format,
        "rows_read": int(counts["rows"].sum()),
        "rows_not_completed": int(counts.loc[~counts[IS_COMPLETED], "rows"].sum()),
        "rows_without_time": int(counts.loc[counts[IS_COMPLETED] & ~counts["timed"], "rows"].sum()),
        "rows_outside_share": int(counts.loc[counts[IS_COMPLETED] & counts["timed"] & ~counts["drawn"], "rows"].sum()),
        "rows": int(kept["rows"].sum()),
        "first_date": str(kept["first"].iloc[0]),
        "last_date": str(kept["last"].iloc[0]),
        "columns": {name: {"raw": raw.name, "unit": raw.unit} for name, raw in sorted(shape.columns.items())},
        "columns_missing": sorted(set(qc.COLUMNS) - set(shape.columns) - {qc.DATE, qc.ORIGIN}),
        "columns_unused": sorted(map(str, shape.unused)),
    }
    frame = frame.filter(nw.col(IS_COMPLETED) & nw.col("timed") & nw.col("drawn"))
    return frame.select(*qc.COLUMNS).to_native(), report


def _shape(query_log: Any, source: QuerySource) -> LogShape:
    types = nw.from_native(query_log).collect_schema()
    zones = engines.time_zones(query_log)
    shape = read_shape(types.names(), zones, source.format, source.duration_unit, source.time_zone)
    if shape.format == "runtime_queries":
        raise UserError(
            f"{DATASET}: this is system.runtime.queries, which knows neither CPU time nor memory of a query. It can be "
            "scored, but nothing can be learnt from it. Bring the log of an event listener."
        )
    if not shape.has_costs:
        raise UserError(
            f"{DATASET}: no column says what a query cost: 'cpu_time_s' ({near_matches('cpu_time_s', types.names())}) "
            "or 'peak_memory_gb'. Without costs no query can be labelled."
        )
    cpu = shape.columns.get(qc.CPU_TIME_S)
    if cpu and cpu.unit is None and types.get(cpu.name) is not None and types[cpu.name].is_numeric():
        raise UserError(
            f"{DATASET}: column '{cpu.name}' does not say whether its numbers are seconds or milliseconds. "
            "Set query_cost.source.duration_unit to 'seconds' or 'milliseconds'."
        )
    return shape


def _adapter(shape: LogShape) -> Any:
    def adapt(batch: pd.DataFrame) -> pd.DataFrame:
        canonical, problems = to_canonical(batch, shape)
        problems.raise_if_any()
        return canonical

    return adapt
