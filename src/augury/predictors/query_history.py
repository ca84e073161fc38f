"""What is known of the past of a query's user, catalog, schema, template, tables and source when it arrives.

A :class:`HistorySnapshot` is the state of one day's beginning. Training looks up each query in the snapshot of its own
day, the service in the newest one; both through :func:`history_features`. A snapshot holds decayed sums, not rates:
what is shrunk towards what, and how strongly, is decided when it is looked up.
"""

import math
from collections.abc import Mapping
from typing import Self

import numpy as np
import pandas as pd

from augury.engines import Schema
from augury.predictors.query_columns import DATE
from augury.predictors.query_keys import (
    ALL,
    CATALOG,
    GLOBAL,
    KINDS,
    SCHEMA,
    SOURCE,
    TABLE,
    TEMPLATE,
    USER,
    USER_TABLES,
    QueryKeys,
)

HISTORY = (
    "user_query_count",
    "user_heavy_rate",
    "user_avg_cpu_seconds",
    "user_p90_cpu_seconds",
    "user_avg_memory_gb",
    "user_catalog_diversity",
    "catalog_query_count",
    "catalog_heavy_rate",
    "catalog_avg_cpu_seconds",
    "catalog_p90_cpu_seconds",
    "catalog_avg_memory_gb",
    "catalog_user_diversity",
    "schema_query_count",
    "schema_heavy_rate",
    "schema_avg_cpu_seconds",
    "schema_avg_memory_gb",
    "is_cold_start",
)
"""Who asks, and where. A key that was never seen has count 0 and the values of its parent: a schema its catalog's,
everything else those of all queries. These are missing only while there is no history at all."""

HISTORY_EXT = (
    "template_seen",
    "template_heavy_rate",
    "template_p50_cpu",
    "template_p90_cpu",
    "template_max_memory_gb",
    "days_since_template",
    "tables_max_heavy_rate",
    "tables_sum_median_input_bytes",
    "tables_max_median_input_rows",
    "tables_unseen_share",
    "user_tables_heavy_rate",
    "source_heavy_rate",
)
"""What is asked, and of which tables. A key that was never seen gives missing values, and ``template_seen`` 0."""

DESCRIPTIONS = {
    "query_count": "log1p of the decayed number of queries; 0 if never seen",
    "heavy_rate": "decayed share of heavy queries, shrunk towards the parent's",
    "avg_cpu_seconds": "expm1 of the decayed mean of log1p(CPU seconds), shrunk towards the parent's",
    "p90_cpu_seconds": "90th percentile of CPU seconds, decayed; the parent's if unknown",
    "avg_memory_gb": "expm1 of the decayed mean of log1p(peak GiB), shrunk towards the parent's",
    "catalog_diversity": "distinct catalogs in the trailing days",
    "user_diversity": "distinct users in the trailing days",
    "is_cold_start": "1 if user, catalog and schema were all never seen",
    "template_seen": "log1p of the decayed number of queries of the template; 0 if never seen",
    "template_p50_cpu": "median CPU seconds of the template, decayed",
    "template_p90_cpu": "90th percentile of the template's CPU seconds, decayed",
    "template_max_memory_gb": "largest peak of the template in GiB",
    "days_since_template": "days between the template's last known query and the snapshot",
    "tables_max_heavy_rate": "largest shrunk share of heavy queries among the tables",
    "tables_sum_median_input_bytes": "sum over the tables of the median bytes read from one",
    "tables_max_median_input_rows": "largest median number of rows read from one of the tables",
    "tables_unseen_share": "share of the tables that were never seen",
}
"""Of a feature, or of what follows the kind of key in its name."""

STATE = (
    "queries",
    "heavy",
    "cpu_known",
    "log_cpu",
    "memory_known",
    "log_memory",
    "max_memory_gb",
    "p50_cpu_seconds",
    "p90_cpu_seconds",
    "members",
    "days_since",
    "median_input_bytes",
    "median_input_rows",
)
"""Numbers of a key. The first six are decayed sums (of queries, heavy ones, those with known CPU time, log1p of that,
and so on). What is not recorded for a kind, or unknown, is missing."""

SNAPSHOT: Schema = {DATE: "string", "kind": "string", "key": "string", **dict.fromkeys(STATE, "double")}
"""Columns of a snapshot as a table; ``date`` is the day that may use it."""

_COLUMN = {name: position for position, name in enumerate(STATE)}
_UNSEEN = -1
"""Position of a key that was never seen: the last row, which holds what such a key gets."""


def description(name: str) -> str:
    """What a feature of :data:`HISTORY` or :data:`HISTORY_EXT` is.

    Examples:
        >>> description("catalog_user_diversity")
        'catalog: distinct users in the trailing days'
    """
    if name in DESCRIPTIONS:
        return DESCRIPTIONS[name]
    kind = USER_TABLES if name.startswith(USER_TABLES) else name.split("_")[0]
    return f"{kind}: {DESCRIPTIONS[name.removeprefix(kind + '_')]}"


class HistorySnapshot:
    """What is known of every key at the beginning of one day.

    Examples:
        >>> HistorySnapshot.from_frame(pd.DataFrame(columns=list(SNAPSHOT))).size
        0
    """

    def __init__(self, as_of: str | None, keys: Mapping[str, list[str]], states: Mapping[str, np.ndarray]) -> None:
        """Keep the states.

        Args:
            as_of: The day (``YYYY-MM-DD``) whose queries may use it; None if it holds nothing.
            keys: By kind, the keys.
            states: By kind, float64 of shape (keys, columns of :data:`STATE`).
        """
        self.as_of = as_of
        self._keys = {kind: list(keys.get(kind, ())) for kind in KINDS}
        self._states = {kind: states.get(kind, np.empty((0, len(STATE)))) for kind in KINDS}
        self.positions = {kind: {key: at for at, key in enumerate(found)} for kind, found in self._keys.items()}
        if any(len(self.positions[kind]) != len(self._keys[kind]) for kind in KINDS):
            raise ValueError("A snapshot holds a key twice.")
        self._lookups: dict[float, dict[str, np.ndarray]] = {}

    @property
    def size(self) -> int:
        """Number of keys."""
        return sum(map(len, self._keys.values()))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """Read a snapshot from its table.

        Args:
            frame: Columns of :data:`SNAPSHOT`, rows of one date in any order; may be empty.

        Returns:
            The snapshot.

        Raises:
            ValueError: Rows of several dates, or a key twice.
        """
        dates = sorted(set(frame[DATE]))
        if len(dates) > 1:
            raise ValueError(f"A snapshot is of one date, not of {dates[0]} and {dates[-1]}.")
        keys, states = {}, {}
        for kind, rows in frame.groupby("kind", sort=True):
            rows = rows.sort_values("key")
            keys[str(kind)] = rows["key"].tolist()
            states[str(kind)] = np.ascontiguousarray(rows[list(STATE)].to_numpy(dtype=np.float64))
        return cls(dates[0] if dates else None, keys, states)

    def to_frame(self) -> pd.DataFrame:
        """The snapshot as a table with the columns of :data:`SNAPSHOT`, sorted by kind and key."""
        pieces = []
        for kind in sorted(kind for kind in KINDS if self._keys[kind]):
            labels = {DATE: self.as_of, "kind": kind, "key": pd.Series(self._keys[kind], dtype=object)}
            pieces.append(pd.DataFrame(labels).join(pd.DataFrame(self._states[kind], columns=list(STATE))))
        if not pieces:
            return pd.DataFrame({name: pd.Series(dtype=object if name not in STATE else float) for name in SNAPSHOT})
        return pd.concat(pieces, ignore_index=True)

    def lookups(self, prior_weight: float) -> dict[str, np.ndarray]:
        """What the features take from each key.

        Args:
            prior_weight: How many queries the parent's value is worth.

        Returns:
            By kind, float64 of shape (keys + 1, features); the last row is for keys that were never seen. Computed
            once for each weight.
        """
        if prior_weight not in self._lookups:
            self._lookups[prior_weight] = self._derive(prior_weight)
        return self._lookups[prior_weight]

    def _derive(self, weight: float) -> dict[str, np.ndarray]:
        missing = np.full(1, np.nan)
        position = self.positions[GLOBAL].get(ALL)
        everything = np.full((1, len(STATE)), np.nan)
        if position is not None:
            everything = self._states[GLOBAL][[position]]
        # Means of all queries; and for every other kind means that lean towards its parent's
        root = _Means(everything, 0.0, missing, missing, missing)
        p90 = everything[:, _COLUMN["p90_cpu_seconds"]]
        found: dict[str, np.ndarray] = {}
        for kind in (USER, CATALOG):
            state = self._states[kind]
            means = _Means(state, weight, root.rate, root.log_cpu, root.log_memory)
            own = state[:, _COLUMN["p90_cpu_seconds"]]
            columns: list[tuple[np.ndarray, np.ndarray | float]] = [
                (_log1p(state[:, _COLUMN["queries"]]), 0.0),
                (means.rate, root.rate),
                (_expm1(means.log_cpu), _expm1(root.log_cpu)),
                (np.where(np.isnan(own), p90, own), p90),
                (_expm1(means.log_memory), _expm1(root.log_memory)),
                (state[:, _COLUMN["members"]], 0.0),
            ]
            found[kind] = _with_unseen(columns)
            if kind == CATALOG:
                catalogs = means
        parents = np.array(
            [self.positions[CATALOG].get(key.partition(".")[0], _UNSEEN) for key in self._keys[SCHEMA]], dtype=np.intp
        )
        state = self._states[SCHEMA]
        above = (
            np.append(own, shared)[parents]
            for own, shared in (
                (catalogs.rate, root.rate),
                (catalogs.log_cpu, root.log_cpu),
                (catalogs.log_memory, root.log_memory),
            )
        )
        means = _Means(state, weight, *above)
        # What a schema that was never seen gets depends on its catalog; see history_features
        columns = [
            (_log1p(state[:, _COLUMN["queries"]]), 0.0),
            (means.rate, np.nan),
            (_expm1(means.log_cpu), np.nan),
            (_expm1(means.log_memory), np.nan),
        ]
        found[SCHEMA] = _with_unseen(columns)
        rates = {
            kind: _Means(self._states[kind], weight, root.rate, root.log_cpu, root.log_memory).rate
            for kind in (TEMPLATE, TABLE, USER_TABLES, SOURCE)
        }
        state = self._states[TEMPLATE]
        columns = [(_log1p(state[:, _COLUMN["queries"]]), 0.0), (rates[TEMPLATE], np.nan)]
        columns += [
            (state[:, _COLUMN[name]], np.nan)
            for name in ("p50_cpu_seconds", "p90_cpu_seconds", "max_memory_gb", "days_since")
        ]
        found[TEMPLATE] = _with_unseen(columns)
        state = self._states[TABLE]
        # Whole numbers: their sums do not depend on the order of the tables
        sizes = [np.rint(state[:, _COLUMN[name]]) for name in ("median_input_bytes", "median_input_rows")]
        found[TABLE] = _with_unseen([(rates[TABLE], np.nan), *((size, np.nan) for size in sizes)])
        found[USER_TABLES] = _with_unseen([(rates[USER_TABLES], np.nan)])
        found[SOURCE] = _with_unseen([(rates[SOURCE], np.nan)])
        return found


def newest_snapshot(history: pd.DataFrame) -> HistorySnapshot:
    """The snapshot that a service loads.

    Args:
        history: Snapshots of many days, of which the last is complete.

    Returns:
        The last one.
    """
    return HistorySnapshot.from_frame(history[history[DATE] == history[DATE].max()] if len(history) else history)


def history_features(
    keys: QueryKeys,
    snapshot: HistorySnapshot,
    prior_weight: float,
    extension: bool,
    masked: np.ndarray | None = None,
) -> np.ndarray:
    """Look queries up.

    Args:
        keys: Keys of the queries.
        snapshot: What is known on their day.
        prior_weight: How many queries the parent's value is worth.
        extension: Whether :data:`HISTORY_EXT` follows :data:`HISTORY`.
        masked: For each query, whether to treat all its keys as never seen.

    Returns:
        float64 of shape (queries, features).
    """
    lookups = snapshot.lookups(prior_weight)

    def positions(kind: str, values: list[str | None]) -> np.ndarray:
        known = snapshot.positions[kind]
        found = np.array([known.get(value, _UNSEEN) for value in values], dtype=np.intp)  # type: ignore[arg-type]
        return found if masked is None else np.where(masked, _UNSEEN, found)

    at_user = positions(USER, keys.user)
    at_catalog = positions(CATALOG, keys.catalog)
    at_schema = positions(SCHEMA, keys.schema)
    of_catalog = lookups[CATALOG][at_catalog]
    of_schema = lookups[SCHEMA][at_schema]
    # Its catalog's rate, mean CPU time and mean memory
    of_schema[:, 1:] = np.where((at_schema == _UNSEEN)[:, None], of_catalog[:, [1, 2, 4]], of_schema[:, 1:])
    cold = (at_user == _UNSEEN) & (at_catalog == _UNSEEN) & (at_schema == _UNSEEN)
    parts = [lookups[USER][at_user], of_catalog, of_schema, cold[:, None]]
    if extension:
        parts += [
            lookups[TEMPLATE][positions(TEMPLATE, keys.template)],
            _of_tables(keys.tables, snapshot, lookups[TABLE], masked),
            lookups[USER_TABLES][positions(USER_TABLES, keys.user_tables)],
            lookups[SOURCE][positions(SOURCE, keys.source)],
        ]
    return np.hstack(parts)


def seen(kind: str, values: list[str | None], snapshot: HistorySnapshot) -> np.ndarray:
    """For each key of a kind, whether the snapshot has it."""
    known = snapshot.positions[kind]
    return np.array([value in known for value in values], dtype=bool)


def _of_tables(
    tables: list[tuple[str, ...]], snapshot: HistorySnapshot, lookup: np.ndarray, masked: np.ndarray | None
) -> np.ndarray:
    known = snapshot.positions[TABLE]
    distinct = dict.fromkeys(tables)
    values = {
        names: _of_table_set([lookup[known[name]] for name in names if name in known], len(names)) for names in distinct
    }
    found = np.array([values[names] for names in tables], dtype=np.float64).reshape(len(tables), 4)
    if masked is not None and masked.any():
        hidden = {names: _of_table_set([], len(names)) for names in distinct}
        found[masked] = [hidden[names] for names, hide in zip(tables, masked, strict=True) if hide]
    return found


def _of_table_set(rows: list[np.ndarray], size: int) -> tuple[float, float, float, float]:
    """Largest heavy rate, sum of the bytes, largest number of rows, share of the tables that are unknown."""
    rates, sizes, counts = (
        [value for value in column if value == value]
        for column in (zip(*(row.tolist() for row in rows), strict=True) if rows else ([], [], []))
    )
    return (
        max(rates, default=math.nan),
        sum(sizes) if sizes else math.nan,
        max(counts, default=math.nan),
        (size - len(rows)) / size if size else math.nan,
    )


class _Means:
    """Decayed means of some keys; each leans towards its parent's with the weight of so many queries."""

    def __init__(
        self, state: np.ndarray, weight: float, rate: np.ndarray, log_cpu: np.ndarray, log_memory: np.ndarray
    ) -> None:
        self.rate = _mean(state, "heavy", "queries", weight, rate)
        self.log_cpu = _mean(state, "log_cpu", "cpu_known", weight, log_cpu)
        self.log_memory = _mean(state, "log_memory", "memory_known", weight, log_memory)


def _mean(state: np.ndarray, total: str, count: str, weight: float, parent: np.ndarray) -> np.ndarray:
    totals, counts = state[:, _COLUMN[total]], state[:, _COLUMN[count]]
    if weight:
        return (totals + weight * parent) / (counts + weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        return totals / counts


def _with_unseen(columns: list[tuple[np.ndarray, np.ndarray | float]]) -> np.ndarray:
    return np.column_stack([np.append(values, unseen) for values, unseen in columns])


# Not NumPy's: those choose among implementations by the processor, which may differ in the last bit
def _log1p(values: np.ndarray) -> np.ndarray:
    return np.array([math.log1p(value) for value in values.tolist()], dtype=np.float64)


def _expm1(values: np.ndarray) -> np.ndarray:
    # Far beyond any cost; more is no number
    return np.array([math.expm1(min(value, 700.0)) for value in values.tolist()], dtype=np.float64)
