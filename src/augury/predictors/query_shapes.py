"""The shapes in which people have query logs, and their way into the canonical one.

:func:`read_shape` looks at column names only and says which raw column is which canonical one; :func:`to_canonical`
converts a pandas piece of the log. Both are free of engines, so that a log is read the same on pandas and on Spark, for
training and for scoring.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.parameters import near_matches
from augury.predictors import query_columns as qc
from augury.predictors import query_values

DATASET = "query_cost.query_log"
EXAMPLES = 3

LogFormat: TypeAlias = Literal["canonical", "original_flat", "mysql_listener", "event_json", "runtime_queries"]
DurationUnit: TypeAlias = Literal["auto", "seconds", "milliseconds"]

WALL_TIME = "wall_time"
"""Not canonical: gives the end of a query whose log has no end time."""

IS_COMPLETED = "is_completed"
"""Appended to the canonical columns; False for events of a listener that do not stand for a query that is over."""

_ALIASES: dict[str, tuple[str, ...]] = {
    qc.QUERY_ID: ("query_id", "queryid", "id"),
    qc.QUERY: ("query", "sql", "query_text", "sql_text", "statement", "query_string", "sql_query", "text"),
    qc.PREPARED_QUERY: ("prepared_query", "prepared_statement"),
    qc.QUERY_STATE: ("query_state", "state", "status", "ok", "success", "succeeded"),
    qc.QUERY_TYPE: ("query_type", "querytype", "statement_type"),
    qc.USER: ("user", "user_name", "username", "usr"),
    qc.SOURCE: ("source", "query_source", "client_source"),
    qc.CATALOG: ("catalog", "catalog_name"),
    qc.SCHEMA: ("schema", "schema_name"),
    qc.CLIENT_INFO: ("client_info", "clientinfo"),
    qc.CLIENT_TAGS: ("client_tags", "client_tags_json", "tags"),
    qc.RESOURCE_GROUP_ID: ("resource_group_id", "resource_group"),
    qc.SESSION_PROPERTIES: ("session_properties", "sessionproperties", "session_properties_json"),
    qc.SERVER_VERSION: ("server_version", "trino_version"),
    qc.CREATE_TIME: (
        "create_time",
        "created",
        "created_at",
        "creation_time",
        "ts",
        "timestamp",
        "query_time",
        "start_time",
        "started",
        "started_at",
        "event_time",
    ),
    qc.END_TIME: ("end_time", "end", "ended", "ended_at", "finished", "finished_at", "finish_time", "completed_at"),
    qc.ERROR_NAME: ("error_name", "error_code", "error"),
    qc.ERROR_TYPE: ("error_type",),
    qc.INPUTS_JSON: ("inputs_json", "inputs"),
    qc.ORIGIN: ("origin",),
}

_QUANTITIES: dict[str, dict[str, str | None]] = {
    qc.CPU_TIME_S: {
        "cpu_time_s": "seconds",
        "cpu_time_seconds": "seconds",
        "cpu_time_sec": "seconds",
        "cpu_seconds": "seconds",
        "cpu_s": "seconds",
        "cpu_time_millis": "milliseconds",
        "cpu_time_ms": "milliseconds",
        "cpu_millis": "milliseconds",
        "cpu_ms": "milliseconds",
        "cpu_time": None,
    },
    qc.PEAK_MEMORY_GB: {
        "peak_memory_gb": "GB",
        "peak_memory_gib": "GB",
        "peak_user_memory_gb": "GB",
        "memory_gb": "GB",
        "peak_memory_mb": "MB",
        "memory_mb": "MB",
        "peak_user_memory_bytes": "B",
        "peak_memory_bytes": "B",
        "memory_bytes": "B",
        "peak_user_memory": "B",
        "peak_memory": "B",
    },
    qc.PHYSICAL_INPUT_BYTES: {"physical_input_bytes": "1", "input_bytes": "1", "bytes_read": "1"},
    qc.PHYSICAL_INPUT_ROWS: {"physical_input_rows": "1", "input_rows": "1", "rows_read": "1"},
    WALL_TIME: {
        "wall_time_millis": "milliseconds",
        "wall_time_ms": "milliseconds",
        "wall_time_s": "seconds",
        "wall_time_seconds": "seconds",
        "wall_s": "seconds",
        "elapsed_time_millis": "milliseconds",
        "elapsed_time_ms": "milliseconds",
        "wall_time": None,
    },
}
"""Name -> unit of plain numbers; None where the name tells none."""

_EVENT_PATHS: dict[str, str] = {
    qc.QUERY_ID: "metadata.queryId",
    qc.QUERY: "metadata.query",
    qc.PREPARED_QUERY: "metadata.preparedQuery",
    qc.QUERY_STATE: "metadata.queryState",
    qc.QUERY_TYPE: "context.queryType",
    qc.USER: "context.user",
    qc.SOURCE: "context.source",
    qc.CATALOG: "context.catalog",
    qc.SCHEMA: "context.schema",
    qc.CLIENT_INFO: "context.clientInfo",
    qc.CLIENT_TAGS: "context.clientTags",
    qc.RESOURCE_GROUP_ID: "context.resourceGroupId",
    qc.SESSION_PROPERTIES: "context.sessionProperties",
    qc.SERVER_VERSION: "context.serverVersion",
    qc.CREATE_TIME: "createTime",
    qc.END_TIME: "endTime",
    qc.CPU_TIME_S: "statistics.cpuTime",
    WALL_TIME: "statistics.wallTime",
    qc.PEAK_MEMORY_GB: "statistics.peakUserMemoryBytes",
    qc.PHYSICAL_INPUT_BYTES: "statistics.physicalInputBytes",
    qc.PHYSICAL_INPUT_ROWS: "statistics.physicalInputRows",
    qc.ERROR_NAME: "failureInfo.errorCode.name",
    qc.ERROR_TYPE: "failureInfo.errorCode.type",
    qc.INPUTS_JSON: "ioMetadata.inputs",
}
"""Where the fields of a ``QueryCompletedEvent`` are."""

_EVENT_PARTS = tuple(dict.fromkeys(path.split(".")[0] for path in _EVENT_PATHS.values()))
_EVENT_COLUMNS = ("event", "event_json", "query_completed_event", "payload", "value", "json", "message", "body", "data")
_INPUT_FIELDS = ("catalogName", "schema", "table", "physicalInputBytes", "physicalInputRows")

_QUERY_ID_TIME = re.compile(r"(\d{8}_\d{6})_\d{5}_\w+")


@dataclass(frozen=True)
class RawColumn:
    """A raw column that stands for a canonical one.

    Attributes:
        name: Its name in the raw table; in events, the path of the field.
        unit: Unit of plain numbers, or time zone of times without one; None where there is none or it is unknown.
    """

    name: str
    unit: str | None = None


@dataclass(frozen=True)
class LogShape:
    """How to read a raw table.

    Attributes:
        format: What the table looks like.
        columns: Canonical name (or :data:`WALL_TIME`) -> raw column.
        needed: The columns of the raw table that are read.
        unused: Those that are not.
        has_events: Whether the needed columns hold events or the parts of events, from which fields must be picked.
    """

    format: LogFormat
    columns: dict[str, RawColumn]
    needed: tuple[str, ...]
    unused: tuple[str, ...]
    has_events: bool = False

    @property
    def has_costs(self) -> bool:
        """Whether the log can say what a query cost."""
        return qc.CPU_TIME_S in self.columns or qc.PEAK_MEMORY_GB in self.columns


@dataclass
class Problems:
    """Cells that break a rule: column, rule, number of cells and a few examples."""

    found: list[tuple[str, str, int, str]] = field(default_factory=list)

    def add(self, column: str, rule: str, values: Iterable[Any]) -> None:
        """Note the cells that break a rule; no cells, no problem."""
        cells = list(values)
        if cells:
            shown = ("missing" if query_values.is_missing(cell) else repr(cell)[:100] for cell in cells[:EXAMPLES])
            self.found.append((column, rule, len(cells), ", ".join(dict.fromkeys(shown))))

    def raise_if_any(self) -> None:
        """Refuse the log if anything was noted."""
        if self.found:
            raise UserError(refusal(self.found))


def refusal(found: Iterable[tuple[str, str, int, str]]) -> str:
    """Say in words what is wrong with a log.

    Args:
        found: Column, rule, number of cells, examples; repeated where a log was checked in pieces.

    Returns:
        One line per column and rule.
    """
    rows: dict[tuple[str, str], int] = {}
    examples: dict[tuple[str, str], dict[str, None]] = {}
    for column, rule, count, shown in found:
        rows[column, rule] = rows.get((column, rule), 0) + count
        examples.setdefault((column, rule), {}).update({shown: None})
    lines = [
        f"- column '{column}': {rule}: {count} row(s), for example {', '.join(list(examples[column, rule])[:EXAMPLES])}"
        for (column, rule), count in sorted(rows.items())
    ]
    return f"{DATASET} breaks its schema:\n" + "\n".join(lines)


def read_shape(
    names: Sequence[str],
    zones: Mapping[str, str] | None = None,
    expected: LogFormat | Literal["auto"] = "auto",
    duration_unit: DurationUnit = "auto",
    time_zone: str = "UTC",
) -> LogShape:
    """Find out what a raw table is from its column names.

    Args:
        names: Raw column names.
        zones: Time zones of the columns whose type has one.
        expected: What the table must be.
        duration_unit: Unit of durations that are plain numbers in a column whose name tells no unit.
        time_zone: Zone of times that have none.

    Returns:
        The shape.

    Raises:
        UserError: No text or no time of queries is to be found, or the table is not what was expected.
    """
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(snake_case(str(name)), name)
    found, events = _detect(known)
    if expected not in ("auto", found):
        raise UserError(
            f"{DATASET}: query_cost.source.format is '{expected}', but the columns are those of '{found}': "
            f"{', '.join(map(str, names))}."
        )
    # A plain number is what Trino's own export and listeners mean by it; elsewhere nobody can know
    usual = {"event_json": "seconds", "original_flat": "milliseconds"}.get(found)
    unit = usual if duration_unit == "auto" else duration_unit
    columns: dict[str, RawColumn] = {}
    for column, path in _EVENT_PATHS.items() if found == "event_json" else ():
        field_name = path if events else known.get(snake_case(path))
        if field_name is not None:
            columns[column] = RawColumn(field_name, _event_unit(column, unit, (zones or {}).get(field_name, time_zone)))
    for column, aliases in _ALIASES.items() if found != "event_json" else ():
        raw = next((known[alias] for alias in aliases if alias in known), None)
        if raw is not None:
            columns[column] = RawColumn(raw, (zones or {}).get(raw, time_zone) if column in qc.TIMES else None)
    for column, units in _QUANTITIES.items() if found != "event_json" else ():
        alias = next((alias for alias in units if alias in known), None)
        if alias is not None:
            columns[column] = RawColumn(known[alias], units[alias] or unit)
    _refuse_without(columns, names)
    needed = tuple(events or dict.fromkeys(column.name for column in columns.values()))
    unused = tuple(name for name in names if name not in needed)
    return LogShape(found, columns, needed, unused, has_events=bool(events))


def to_canonical(batch: pd.DataFrame, shape: LogShape) -> tuple[pd.DataFrame, Problems]:
    """Convert a piece of a raw log.

    Args:
        batch: Raw rows with at least the needed columns.
        shape: What :func:`read_shape` found.

    Returns:
        The canonical columns and :data:`IS_COMPLETED`, one row per raw row; and what is wrong with the rows. A row
        whose time is missing has no `create_time`.
    """
    problems = Problems()
    rows = batch.reset_index(drop=True)
    completed = np.ones(len(rows), dtype=bool)
    if shape.has_events:
        rows, completed = _pick_fields(rows, shape, problems)
    canonical = pd.DataFrame(index=rows.index)
    for column, kind in qc.COLUMNS.items():
        raw = shape.columns.get(column)
        if kind == "text":
            canonical[column] = _texts(column, rows[raw.name]) if raw else None
            canonical[column] = canonical[column].astype(object)
        elif kind == "number":
            canonical[column] = _quantities(column, rows, raw, problems)
        else:
            canonical[column] = _times(rows, raw, problems)
    _complete_ids(canonical, shape, completed, problems)
    _complete_times(canonical, rows, shape, problems)
    if qc.QUERY in shape.columns:
        # The text itself is kept as it is, blanks and all
        canonical[qc.QUERY] = _verbatim(rows[shape.columns[qc.QUERY].name])
    canonical[qc.ORIGIN] = canonical[qc.ORIGIN].fillna(qc.MEASURED)
    canonical[IS_COMPLETED] = completed
    return canonical, problems


def snake_case(name: str) -> str:
    """A column name in the form in which names are compared: ``queryId``, ``Query ID`` and ``query_id`` are one.

    Args:
        name: Any name.

    Returns:
        Lower case, words joined by underscores.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


# --- what a table is ---


def _detect(known: Mapping[str, str]) -> tuple[LogFormat, tuple[str, ...]]:
    """Format, and the raw columns that hold events or parts of them."""
    parts = {snake_case(part): part for part in _EVENT_PARTS}
    if {"metadata", "statistics"} <= set(known):
        return "event_json", tuple(known[part] for part in parts if part in known)
    if "metadata_query" in known:
        return "event_json", ()
    has_text = any(alias in known for alias in _ALIASES[qc.QUERY] if alias != "text")
    event = next((known[name] for name in _EVENT_COLUMNS if name in known), None)
    if not has_text and event is not None:
        return "event_json", (event,)
    has_cost = any(alias in known for column in (qc.CPU_TIME_S, qc.PEAK_MEMORY_GB) for alias in _QUANTITIES[column])
    if {"query_id", "cpu_time_millis", "peak_memory_bytes"} <= set(known) and "create_time" not in known:
        return "mysql_listener", ()
    if not has_cost and "created" in known and {"last_heartbeat", "queued_time_ms", "planning_time_ms"} & set(known):
        return "runtime_queries", ()
    if known.get("query_id") == "queryId":
        return "original_flat", ()
    return "canonical", ()


def _event_unit(column: str, duration: str | None, zone: str) -> str | None:
    if column in qc.TIMES:
        return zone
    if column in (qc.CPU_TIME_S, WALL_TIME):
        return duration
    return "B" if column == qc.PEAK_MEMORY_GB else None


def _refuse_without(columns: Mapping[str, RawColumn], names: Sequence[str]) -> None:
    given = [str(name) for name in names]
    if qc.QUERY not in columns:
        raise UserError(f"{DATASET}: required column missing: 'query' ({near_matches('query', given)})")
    if qc.CREATE_TIME not in columns and qc.QUERY_ID not in columns:
        raise UserError(
            f"{DATASET}: required column missing: 'create_time' ({near_matches('create_time', given)}) "
            "Trino's query_id would tell it too, but there is no such column either."
        )


# --- events ---


def _pick_fields(rows: pd.DataFrame, shape: LogShape, problems: Problems) -> tuple[pd.DataFrame, np.ndarray]:
    """Fields of events as columns named by their paths, and which events stand for a query that is over."""
    paths = {raw.name: tuple(raw.name.split(".")) for raw in shape.columns.values()}
    picked: dict[str, list[Any]] = {name: [] for name in paths}
    completed = np.zeros(len(rows), dtype=bool)
    unreadable = []
    for row, event in enumerate(_events(rows, shape)):
        if not isinstance(event, dict):
            unreadable.append(event)
            event = {}
        completed[row] = isinstance(event.get("metadata"), dict) and isinstance(event.get("statistics"), dict)
        for name, path in paths.items():
            value: Any = event
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            picked[name].append(query_values.writable(value) if isinstance(value, str) else value)
    problems.add(shape.needed[0], "must be an event as JSON", unreadable)
    inputs = _EVENT_PATHS[qc.INPUTS_JSON]
    if inputs in picked:
        picked[inputs] = [_short_inputs(tables) for tables in picked[inputs]]
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in picked.items()}), completed


def _events(rows: pd.DataFrame, shape: LogShape) -> Iterator[Any]:
    """One dictionary per row; what is no event comes as it is."""
    known = {snake_case(part): part for part in _EVENT_PARTS}
    parts = [known.get(snake_case(name), name) for name in shape.needed]
    whole = len(parts) == 1
    for values in zip(*(rows[name].tolist() for name in shape.needed), strict=True):
        decoded = [_decoded(value) for value in values]
        event = decoded[0] if whole else dict(zip(parts, decoded, strict=True))
        if isinstance(event, dict) and "metadata" not in event:
            # Some listeners wrap the event
            event = next((part for part in event.values() if isinstance(part, dict) and "metadata" in part), event)
        yield event


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode(errors="replace")
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return query_values.plain(value) if not query_values.is_missing(value) else None


def _short_inputs(tables: Any) -> Any:
    """Inputs without column lists and connector details, which are most of their length."""
    if not isinstance(tables, list):
        return None
    return [
        {name: table[name] for name in _INPUT_FIELDS if table.get(name) is not None}
        for table in tables
        if isinstance(table, dict)
    ]


# --- columns ---


def _texts(column: str, values: pd.Series) -> list[str | None]:
    if column == qc.QUERY_STATE:
        return query_values.read_states(values)
    if column == qc.CLIENT_TAGS:
        return query_values.read_lists(values, ",")
    if column == qc.RESOURCE_GROUP_ID:
        return query_values.read_lists(values, ".")
    if column in (qc.SESSION_PROPERTIES, qc.INPUTS_JSON):
        return query_values.read_json(values)
    return query_values.read_texts(values)


def _verbatim(values: pd.Series) -> pd.Series:
    texts = values.tolist()
    if all(type(text) is str or text is None for text in texts):
        return values.astype(object)
    kept = [text if isinstance(text, str) else None for text in texts]
    others = query_values.read_texts(values)
    return pd.Series([text if text is not None else other for text, other in zip(kept, others, strict=True)])


def _quantities(column: str, rows: pd.DataFrame, raw: RawColumn | None, problems: Problems) -> np.ndarray:
    if raw is None:
        return np.full(len(rows), np.nan)
    values = rows[raw.name]
    if column in (qc.CPU_TIME_S, WALL_TIME):
        numbers, failed = query_values.read_durations(values, raw.unit)
        rule = "must be a duration in seconds or with a unit, such as '1.5s'"
        if raw.unit is None:
            rule = "must state its unit, such as '1.5s', or query_cost.source.duration_unit must"
    elif column == qc.PEAK_MEMORY_GB:
        numbers, failed = query_values.read_sizes(values, raw.unit)
        rule = "must be a size of memory, such as 1073741824 or '1GB'"
    else:
        numbers, failed = query_values.read_counts(values)
        rule = "must be a number"
    with np.errstate(invalid="ignore"):
        negative = numbers < 0
    infinite = np.isinf(numbers)
    problems.add(raw.name, rule, values[failed])
    problems.add(raw.name, "must not be negative", values[negative & ~infinite])
    problems.add(raw.name, "must be finite", values[infinite])
    return numbers


def _times(rows: pd.DataFrame, raw: RawColumn | None, problems: Problems) -> np.ndarray:
    if raw is None:
        return np.full(len(rows), np.datetime64("NaT", "us"))
    times, failed = query_values.read_times(rows[raw.name], raw.unit or "UTC")
    problems.add(raw.name, "must be a time, such as '2024-03-04 05:06:07'", rows[raw.name][failed])
    return times


def _complete_ids(canonical: pd.DataFrame, shape: LogShape, completed: np.ndarray, problems: Problems) -> None:
    raw = shape.columns.get(qc.QUERY_ID)
    if raw is not None:
        problems.add(raw.name, "must not be blank", canonical[qc.QUERY_ID][canonical[qc.QUERY_ID].isna() & completed])
        return
    # Rows that agree in everything that is known are one query
    known = [canonical[name] for name in qc.COLUMNS if name in shape.columns]
    canonical[qc.QUERY_ID] = [f"row-{digest}" for digest in query_values.row_digests(known)]


def _complete_times(canonical: pd.DataFrame, rows: pd.DataFrame, shape: LogShape, problems: Problems) -> None:
    created = canonical[qc.CREATE_TIME]
    if qc.QUERY_ID in shape.columns and created.isna().any():
        # Trino's identifiers start with the time of creation
        ids = canonical.loc[created.isna(), qc.QUERY_ID]
        stamps = [match[1] if text and (match := _QUERY_ID_TIME.fullmatch(text)) else None for text in ids]
        parsed = pd.to_datetime(pd.Series(stamps, index=ids.index), format="%Y%m%d_%H%M%S", errors="coerce")
        created = created.fillna(parsed.astype("datetime64[us]"))
    ended = canonical[qc.END_TIME]
    if ended.isna().any():
        seconds = pd.Series(_quantities(WALL_TIME, rows, shape.columns.get(WALL_TIME), problems), index=rows.index)
        micros = np.rint(seconds.fillna(0.0).clip(0.0, 1e9).to_numpy() * 1e6).astype("timedelta64[us]")
        # Without a duration the end is not known; the creation is what it cannot precede
        ended = ended.fillna(created + micros)
    ended = ended.where(ended >= created, created)
    canonical[qc.CREATE_TIME] = created.astype("datetime64[us]")
    canonical[qc.END_TIME] = ended.astype("datetime64[us]")
    canonical[qc.DATE] = created.dt.strftime("%Y-%m-%d").astype(object).where(created.notna(), None)
