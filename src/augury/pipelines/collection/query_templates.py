"""The benchmarks TPC-H and TPC-DS: what their columns hold, and their queries with other literals."""

import datetime
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sqlglot import expressions

SCHEMAS = {"tpch": "dbgen", "tpcds": "dsdgen"}
"""Schema -> the function of DuckDB's extension of the same name that generates it."""

MAX_VALUES = 60
"""Distinct values of a column that are kept to draw literals from."""

DATE_BOUNDS = {
    "tpch": (datetime.date(1992, 1, 1), datetime.date(1998, 12, 31)),
    "tpcds": (datetime.date(1998, 1, 2), datetime.date(2003, 1, 1)),
}
"""Days that the facts of a benchmark cover."""

INTEGER_BOUNDS = {
    "d_year": (1998, 2002),
    "d_moy": (1, 12),
    "d_dom": (1, 28),
    "d_qoy": (1, 4),
    "d_dow": (0, 6),
    "d_month_seq": (1176, 1223),
    "d_week_seq": (5113, 5373),
    "t_hour": (6, 22),
}
"""Columns of the calendar, which reaches far beyond the facts."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Column:
    """What a column of a benchmark holds."""

    table: str
    name: str
    kind: str
    """integer, decimal, date or text."""
    distinct: int
    low: float
    high: float
    values: tuple[str, ...]
    """Distinct values of a text column, sorted; empty if there are more than :data:`MAX_VALUES`."""


@dataclass(frozen=True)
class Benchmark:
    """One schema: tables with their columns, and the texts of its queries."""

    schema: str
    columns: tuple[Column, ...]
    queries: tuple[str, ...]

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """All tables, sorted."""
        return tuple(sorted({column.table for column in self.columns}))

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by their names, which no two tables of a benchmark share."""
        return {column.name: column for column in self.columns}

    def of_table(self, table: str) -> tuple[Column, ...]:
        """The columns of a table."""
        return tuple(column for column in self.columns if column.table == table)


def load_benchmark(schema: str, extension: str, folder: str) -> Benchmark:
    """Read the texts of a benchmark's queries and what its columns hold.

    Args:
        schema: tpch or tpcds.
        extension: Path of DuckDB's extension.
        folder: Parquet files of the smallest scale factor.

    Returns:
        The benchmark; the same for the same data.
    """
    import duckdb

    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
    connection.execute(f"LOAD '{extension}'")
    texts = connection.execute(f"SELECT query FROM {schema}_queries() ORDER BY query_nr").fetchall()
    columns = []
    tables = connection.execute(f"SELECT file FROM glob('{folder}/*.parquet') ORDER BY file").fetchall()
    for (path,) in tables:
        table = path.rsplit("/", 1)[-1].removesuffix(".parquet")
        described = connection.execute(f"DESCRIBE FROM read_parquet('{path}')").fetchall()
        parts = ", ".join(
            f"count(DISTINCT {name}), "
            + (f"min({name}), max({name})" if not type_.startswith("VARCHAR") else "NULL, NULL")
            for name, type_, *_ in described
        )
        facts = connection.execute(f"SELECT {parts} FROM read_parquet('{path}')").fetchone()
        assert facts is not None
        for position, (name, type_, *_) in enumerate(described):
            distinct, low, high = facts[3 * position : 3 * position + 3]
            values: tuple[str, ...] = ()
            if type_.startswith("VARCHAR") and distinct <= MAX_VALUES:
                found = connection.execute(
                    f"SELECT DISTINCT {name} FROM read_parquet('{path}') WHERE {name} IS NOT NULL ORDER BY 1"
                ).fetchall()
                values = tuple(value for (value,) in found if value.strip())
            columns.append(
                Column(table, name, _kind(type_), distinct, _number(low), _number(high), values),
            )
    connection.close()
    return Benchmark(schema, tuple(columns), tuple(text for (text,) in texts))


def _kind(type_: str) -> str:
    if type_.startswith("VARCHAR"):
        return "text"
    if type_.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
        return "decimal"
    return "date" if type_.startswith(("DATE", "TIME")) else "integer"


def _number(value: Any) -> float:
    if value is None:
        return 0.0
    if isinstance(value, datetime.date):
        return float(value.toordinal())
    return float(value)


def mutate(tree: "expressions.Expr", benchmark: Benchmark, rng: np.random.Generator) -> "expressions.Expr":
    """Give a query other literals that its columns really hold; equal literals stay equal.

    Args:
        tree: A parsed query.
        benchmark: What its columns hold.
        rng: Source of the draws.

    Returns:
        A changed copy. The structure is untouched, except that an IN list may grow or shrink.
    """
    from sqlglot import expressions as e

    tree = tree.copy()
    _shift_dates(tree, benchmark, rng)
    redrawn: dict[tuple[str, str], str] = {}
    for node in list(tree.find_all(e.EQ, e.NEQ, e.GT, e.GTE, e.LT, e.LTE, e.Between, e.In, e.Like)):
        column = next((benchmark.by_name.get(item.name) for item in node.this.find_all(e.Column)), None)
        if column is None:
            continue
        if isinstance(node, e.In):
            _redraw_list(node, column, rng)
        elif isinstance(node, e.Like):
            _redraw_pattern(node, column, rng)
        else:
            sides = [node.args.get("low"), node.args.get("high")] if isinstance(node, e.Between) else [node.expression]
            for side in sides:
                if side is not None:
                    _redraw(side, column, redrawn, rng)
    return tree


def _shift_dates(tree: "expressions.Expr", benchmark: Benchmark, rng: np.random.Generator) -> None:
    """Move all dates of a query by the same number of days, so that ranges stay ranges."""
    from sqlglot import expressions as e

    low, high = DATE_BOUNDS[benchmark.schema]
    literals = [node for node in tree.find_all(e.Literal) if node.is_string and _DATE.match(node.this)]
    if not literals:
        return
    dates = [datetime.date.fromisoformat(node.this) for node in literals]
    room = ((low - min(dates)).days, (high - max(dates)).days)
    days = int(rng.integers(min(room[0], 0), max(room[1], 0) + 1))
    for node, date in zip(literals, dates, strict=True):
        node.replace(e.Literal.string((date + datetime.timedelta(days=days)).isoformat()))


def _redraw(
    side: "expressions.Expr", column: Column, redrawn: dict[tuple[str, str], str], rng: np.random.Generator
) -> None:
    from sqlglot import expressions as e

    for literal in list(side.find_all(e.Literal)):
        key = (column.name, literal.this)
        if literal.is_string:
            if not column.values or literal.this not in column.values:
                continue
            if key not in redrawn:
                taken = {value for (name, _), value in redrawn.items() if name == column.name}
                free = [value for value in column.values if value not in taken] or list(column.values)
                redrawn[key] = str(rng.choice(free))
            literal.replace(e.Literal.string(redrawn[key]))
        elif column.kind in ("integer", "decimal") and not literal.find_ancestor(e.Interval):
            if key not in redrawn:
                redrawn[key] = _near(literal.this, column, rng)
            literal.replace(e.Literal.number(redrawn[key]))


def _near(text: str, column: Column, rng: np.random.Generator) -> str:
    """A number near the old one, within what the column holds."""
    old = float(text)
    low, high = INTEGER_BOUNDS.get(column.name, (column.low, column.high))
    if not low <= old <= high:
        return text
    if column.name in INTEGER_BOUNDS and high - low <= 30:
        return str(int(rng.integers(int(low), int(high) + 1)))
    new = float(np.clip(old + rng.normal() * 0.12 * (high - low), low, high))
    places = len(text.partition(".")[2])
    return f"{new:.{places}f}"


def _redraw_list(node: "expressions.In", column: Column, rng: np.random.Generator) -> None:
    from sqlglot import expressions as e

    literals = [item for item in node.expressions if isinstance(item, e.Literal)]
    if not literals or len(literals) != len(node.expressions):
        return
    count = max(1, round(len(literals) * float(rng.choice([0.5, 1.0, 1.0, 1.5, 2.5]))))
    if literals[0].is_string:
        if len(column.values) < 2 or literals[0].this not in column.values:
            return
        drawn = sorted(rng.choice(column.values, size=min(count, len(column.values)), replace=False).tolist())
        node.set("expressions", [e.Literal.string(value) for value in drawn])
        return
    low, high = INTEGER_BOUNDS.get(column.name, (column.low, column.high))
    if column.kind != "integer" or not all(low <= float(item.this) <= high for item in literals):
        return
    numbers = sorted(set(rng.integers(int(low), int(high) + 1, size=count).tolist()))
    node.set("expressions", [e.Literal.number(number) for number in numbers])


def _redraw_pattern(node: "expressions.Like", column: Column, rng: np.random.Generator) -> None:
    """Another word of the column's values in a LIKE pattern that consists of one word and per cent signs."""
    from sqlglot import expressions as e

    pattern = node.expression
    if not isinstance(pattern, e.Literal) or not column.values:
        return
    word = pattern.this.strip("%")
    if not word or "%" in word or "_" in word:
        return
    pieces = str(rng.choice(column.values)).split()
    piece = pieces[0] if not pattern.this.startswith("%") else pieces[-1]
    node.set("expression", e.Literal.string(pattern.this.replace(word, piece)))
