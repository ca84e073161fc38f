"""The plan of a collection: which statements are executed on which data, and how each one reads in Trino's SQL."""

import datetime
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from augury.pipelines.collection.query_generator import generate
from augury.pipelines.collection.query_templates import Benchmark, mutate

if TYPE_CHECKING:
    from sqlglot import expressions

PLAN_COLUMNS = (
    "job_id", "position", "template", "kind", "shape", "catalog", "schema", "scale_factor", "tables", "query_type",
    "qualified", "setup", "sql", "query", "prepared_query",
)  # fmt: skip
"""What the plan says about a query. ``sql`` is what DuckDB runs, ``query`` and ``prepared_query`` what Trino logs."""

MATERIALISED = ("aggregate", "window", "share", "distinct", "top")
"""Shapes of random queries that may be stored by CREATE TABLE AS or INSERT."""

CHANGES = {"delete": "DELETE", "update": "UPDATE"}
"""Shapes that change a table of their own; the types that Trino gives them."""

FIRST_DAY = datetime.date(2026, 7, 1)
"""The day in the name of the first stored result."""

PREPARED = ("lookup", "count", "preview")
"""Shapes of random queries that applications send as prepared statements."""


@dataclass(frozen=True)
class Metadata:
    """A cheap statement: how Trino says it, and the nearest that DuckDB can run."""

    name: str
    query_type: str
    trino: str
    duckdb: str
    setup: tuple[str, ...] = ()


METADATA = (
    Metadata("show_tables", "DESCRIBE", "SHOW TABLES FROM {catalog}.{schema}", "SHOW TABLES"),
    Metadata("show_tables_like", "DESCRIBE", "SHOW TABLES LIKE '{prefix}%'",
             "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '{prefix}%'"),
    Metadata("show_schemas", "DESCRIBE", "SHOW SCHEMAS FROM {catalog}",
             "SELECT schema_name FROM information_schema.schemata"),
    Metadata("show_catalogs", "DESCRIBE", "SHOW CATALOGS", "SHOW DATABASES"),
    Metadata("show_columns", "DESCRIBE", "SHOW COLUMNS FROM {catalog}.{schema}.{table}", "DESCRIBE {table}"),
    Metadata("describe", "DESCRIBE", "DESCRIBE {table}", "DESCRIBE {table}"),
    Metadata("desc", "DESCRIBE", "desc {catalog}.{schema}.{table}", "DESCRIBE {table}"),
    Metadata("show_create_table", "DESCRIBE", "SHOW CREATE TABLE {catalog}.{schema}.{table}",
             "SELECT sql FROM duckdb_views() WHERE view_name = '{table}'"),
    Metadata("show_functions", "DESCRIBE", "SHOW FUNCTIONS", "SELECT DISTINCT function_name FROM duckdb_functions()"),
    Metadata("show_session", "DESCRIBE", "SHOW SESSION LIKE 'query%'", "SELECT name, value FROM duckdb_settings()"),
    Metadata("set_session", "DATA_DEFINITION", "SET SESSION query_max_run_time = '{number}m'",
             "SET enable_progress_bar = false"),
    Metadata("reset_session", "DATA_DEFINITION", "RESET SESSION query_max_run_time", "RESET enable_progress_bar"),
    Metadata("set_time_zone", "DATA_DEFINITION", "SET TIME ZONE 'UTC'", "SET enable_progress_bar = false"),
    Metadata("use", "DATA_DEFINITION", "USE {catalog}.{schema}", "USE {schema}"),
    Metadata("start_transaction", "DATA_DEFINITION", "START TRANSACTION", "BEGIN TRANSACTION"),
    Metadata("commit", "DATA_DEFINITION", "COMMIT", "COMMIT", ("BEGIN TRANSACTION",)),
    Metadata("rollback", "DATA_DEFINITION", "ROLLBACK", "ROLLBACK", ("BEGIN TRANSACTION",)),
    Metadata("prepare", "DATA_DEFINITION", "PREPARE statement{number} FROM SELECT * FROM {table} WHERE {key} = ?",
             "PREPARE statement AS SELECT * FROM {table} WHERE {key} = ?"),
    Metadata("deallocate", "DATA_DEFINITION", "DEALLOCATE PREPARE statement{number}", "DEALLOCATE statement",
             ("PREPARE statement AS SELECT 1",)),
    Metadata("create_schema", "DATA_DEFINITION", "CREATE SCHEMA IF NOT EXISTS {catalog}.scratch_{number}",
             "CREATE SCHEMA IF NOT EXISTS scratch_{number}"),
    Metadata("drop_schema", "DATA_DEFINITION", "DROP SCHEMA IF EXISTS {catalog}.scratch_{number}",
             "DROP SCHEMA IF EXISTS scratch", ("CREATE SCHEMA scratch",)),
    Metadata("create_table", "DATA_DEFINITION",
             "CREATE TABLE IF NOT EXISTS {catalog}.scratch.events_{number} "
             "(id bigint, name varchar, amount decimal(15, 2), day date)",
             "CREATE TABLE IF NOT EXISTS events (id BIGINT, name VARCHAR, amount DECIMAL(15, 2), day DATE)"),
    Metadata("drop_table", "DATA_DEFINITION", "DROP TABLE IF EXISTS {catalog}.scratch.events_{number}",
             "DROP TABLE IF EXISTS events", ("CREATE TABLE events (id BIGINT)",)),
    Metadata("add_column", "DATA_DEFINITION", "ALTER TABLE {catalog}.scratch.events_{number} ADD COLUMN note varchar",
             "ALTER TABLE events ADD COLUMN note VARCHAR", ("CREATE TABLE events (id BIGINT)",)),
    Metadata("rename_table", "DATA_DEFINITION",
             "ALTER TABLE {catalog}.scratch.events_{number} RENAME TO {catalog}.scratch.events_old",
             "ALTER TABLE events RENAME TO events_old", ("CREATE TABLE events (id BIGINT)",)),
    Metadata("comment", "DATA_DEFINITION", "COMMENT ON TABLE {catalog}.scratch.events_{number} IS 'loaded daily'",
             "COMMENT ON TABLE events IS 'loaded daily'", ("CREATE TABLE events (id BIGINT)",)),
    Metadata("create_view", "DATA_DEFINITION",
             "CREATE OR REPLACE VIEW {catalog}.scratch.v_{table} AS SELECT * FROM {catalog}.{schema}.{table}",
             "CREATE OR REPLACE VIEW v AS SELECT * FROM {table}"),
    Metadata("drop_view", "DATA_DEFINITION", "DROP VIEW IF EXISTS {catalog}.scratch.v_{table}",
             "DROP VIEW IF EXISTS v", ("CREATE VIEW v AS SELECT 1 AS one",)),
    Metadata("explain", "EXPLAIN", "EXPLAIN {query}", "EXPLAIN {query}"),
    Metadata("explain_distributed", "EXPLAIN", "EXPLAIN (TYPE DISTRIBUTED) {query}", "EXPLAIN {query}"),
    Metadata("select_one", "SELECT", "SELECT 1", "SELECT 1"),
    Metadata("select_now", "SELECT", "SELECT current_timestamp", "SELECT current_timestamp"),
    Metadata("select_constant", "SELECT", "select 'ping {number}' as alive, current_date",
             "SELECT 'ping {number}' AS alive, current_date"),
    Metadata("information_tables", "SELECT",
             "SELECT table_name FROM {catalog}.information_schema.tables WHERE table_schema = '{schema}' "
             "ORDER BY table_name",
             "SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}' ORDER BY table_name"),
    Metadata("information_columns", "SELECT",
             "SELECT column_name, data_type FROM {catalog}.information_schema.columns WHERE table_schema = '{schema}' "
             "AND table_name = '{table}' ORDER BY ordinal_position",
             "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = '{schema}' "
             "AND table_name = '{table}' ORDER BY ordinal_position"),
    Metadata("jdbc_tables", "SELECT",
             "SELECT TABLE_CAT, TABLE_SCHEM, TABLE_NAME, TABLE_TYPE FROM system.jdbc.tables "
             "WHERE TABLE_SCHEM LIKE '{schema}'",
             "SELECT * FROM information_schema.tables WHERE table_schema LIKE '{schema}'"),
    Metadata("runtime_queries", "SELECT",
             "SELECT state, count(*) FROM system.runtime.queries GROUP BY state",
             "SELECT database_name, count(*) FROM duckdb_tables() GROUP BY database_name"),
    Metadata("limit_zero", "SELECT", "SELECT * FROM {catalog}.{schema}.{table} LIMIT 0",
             "SELECT * FROM {table} LIMIT 0"),
)  # fmt: skip


@dataclass(frozen=True)
class Catalog:
    """One copy of the data: the name under which Trino knows it, and its size."""

    name: str
    scale_factor: float


def plan_queries(
    benchmarks: Sequence[Benchmark],
    catalogs: Sequence[Catalog],
    queries: int,
    metadata_queries: int,
    generated_templates: int,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Decide what to execute.

    Every template gets its first variant before any gets its second, in an order drawn anew for every round; a plan for
    fewer queries is the beginning of a plan for more.

    Args:
        benchmarks: The schemas with their queries and tables.
        catalogs: The copies of the data.
        queries: How many queries over data.
        metadata_queries: How many cheap statements.
        generated_templates: Structures of random queries.
        seed: Seed of everything.

    Returns:
        One row per query with :data:`PLAN_COLUMNS`, and how many texts were skipped for which reason.
    """
    skipped = {"not_transpiled": 0, "duplicate": 0}
    rows = [
        *_take(_data_queries(benchmarks, catalogs, generated_templates, seed), queries, skipped),
        *_take(_metadata_queries(benchmarks, catalogs, seed), metadata_queries, skipped),
    ]
    plan = pd.DataFrame(rows, columns=list(PLAN_COLUMNS))
    # Cheap statements are spread over the run, so that an interrupted collection has some of everything
    order = np.argsort(plan.groupby(plan["kind"].eq("metadata"))["position"].rank(pct=True), kind="stable")
    return plan.iloc[order].reset_index(drop=True), skipped


def _take(candidates: Iterator[dict[str, Any] | None], count: int, skipped: dict[str, int]) -> list[dict[str, Any]]:
    """The first distinct ones; gives up when the templates offer nothing new any more."""
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, str | None, float]] = set()
    for tried, row in enumerate(candidates):
        if len(rows) == count or tried > 20 * count + 1000:
            break
        if row is None:
            skipped["not_transpiled"] += 1
            continue
        key = (row["query"], row["prepared_query"], row["scale_factor"])
        if key in seen:
            skipped["duplicate"] += 1
            continue
        seen.add(key)
        rows.append(row | {"position": len(rows), "job_id": _job_id(row)})
    return rows


def _job_id(row: dict[str, Any]) -> str:
    """The same statement on the same data has the same name in every plan."""
    return hashlib.sha256(
        f"{row['schema']}\n{row['scale_factor']:g}\n{row['sql']}\n{row['query']}".encode()
    ).hexdigest()[:20]


def _data_queries(
    benchmarks: Sequence[Benchmark], catalogs: Sequence[Catalog], generated_templates: int, seed: int
) -> Iterator[dict[str, Any] | None]:
    import sqlglot

    templates: list[tuple[Benchmark, int, Any]] = []
    for position, benchmark in enumerate(benchmarks):
        templates += [
            (benchmark, number, sqlglot.parse_one(text, read="duckdb"))
            for number, text in enumerate(benchmark.queries, start=1)
        ]
        share = generated_templates // len(benchmarks)
        templates += [(benchmark, 10_000 * (position + 1) + number, None) for number in range(share)]
    round_ = 0
    while True:
        for position in np.random.default_rng([seed, 3, round_]).permutation(len(templates)).tolist():
            benchmark, number, tree = templates[position]
            catalog = catalogs[(round_ + position) % len(catalogs)]
            if tree is None:
                shape, text = generate(benchmark, number, round_, seed)
                yield _data_query(
                    benchmark, catalog, sqlglot.parse_one(text, read="duckdb"), shape, number, round_, seed
                )
            else:
                rng = np.random.default_rng([seed, 4, position, round_])
                drawn = mutate(tree, benchmark, rng) if round_ else tree
                yield _data_query(benchmark, catalog, drawn, "benchmark", number, round_, seed)
        round_ += 1


def _data_query(
    benchmark: Benchmark,
    catalog: Catalog,
    tree: "expressions.Expr",
    shape: str,
    number: int,
    round_: int,
    seed: int,
) -> dict[str, Any] | None:
    """Finish a query over data: how the text looks, and whether it is stored, explained or prepared."""
    from sqlglot import expressions as e

    kind = "benchmark" if shape == "benchmark" else "generated"
    template = f"{benchmark.schema}_{number:02d}" if kind == "benchmark" else f"{shape}_{number}"
    rng = np.random.default_rng([seed, 5, number, int(kind == "benchmark")])
    pretty, qualified, wrapped, headed, lowered = rng.random(5)
    duckdb_text = tree.sql(dialect="duckdb")
    ctes = {cte.alias for cte in tree.find_all(e.CTE)}
    known = [table for table in tree.find_all(e.Table) if table.name in benchmark.tables and table.name not in ctes]
    row: dict[str, Any] = {
        "template": template,
        "kind": kind,
        "shape": shape,
        "catalog": catalog.name,
        "schema": benchmark.schema,
        "scale_factor": catalog.scale_factor,
        "tables": ",".join(sorted({table.name for table in known})),
        "query_type": "SELECT",
        "qualified": bool(qualified < 0.35),
        "setup": "",
        "sql": duckdb_text,
        "prepared_query": None,
    }
    tree = tree.copy()
    if shape in CHANGES:
        changed = known[0].name
        row |= {
            "query_type": CHANGES[shape],
            "setup": f"CREATE TABLE stored AS FROM {changed}",
            "sql": _renamed(tree, "stored").sql(dialect="duckdb"),
            "qualified": True,
        }
        tree = _renamed(tree, f"{catalog.name}.scratch.{changed}_copy")
    elif row["qualified"]:
        for table in list(tree.find_all(e.Table)):
            if table.name in benchmark.tables and table.name not in ctes:
                table.set("db", e.to_identifier(benchmark.schema))
                table.set("catalog", e.to_identifier(catalog.name))
    values: list[str] = []
    if shape in PREPARED and wrapped < 0.5:
        values = _parametrise(tree)
    text = _trino(tree, pretty=bool(pretty < 0.55))
    if text is None:
        return None
    if kind == "generated" and lowered < 0.35:
        text = _lower(text)
    if values:
        return row | {"query": f"EXECUTE statement{number % 7 + 1} USING {', '.join(values)}", "prepared_query": text}
    if shape in MATERIALISED and wrapped < 0.14:
        row |= {"sql": f"CREATE TABLE stored AS {duckdb_text}", "query_type": "INSERT"}
        day = FIRST_DAY + datetime.timedelta(days=round_)
        text = f"CREATE TABLE {catalog.name}.scratch.stored_{number}_{day:%Y%m%d} AS\n{text}"
        if wrapped < 0.06:
            row |= {
                "sql": f"INSERT INTO stored {duckdb_text}",
                "setup": f"CREATE TABLE stored AS SELECT * FROM ({duckdb_text}) AS t LIMIT 0",
            }
            text = f"INSERT INTO {catalog.name}.scratch.stored_{number}\n" + text.partition("\n")[2]
    elif kind == "generated" and wrapped > 0.975:
        row |= {"sql": f"EXPLAIN ANALYZE {duckdb_text}", "query_type": "EXPLAIN"}
        text = f"EXPLAIN ANALYZE {text}"
    if headed < 0.08:
        text = f'/* {{"app": "dbt", "dbt_version": "1.9.4", "node_id": "model.shop.{template}"}} */\n{text}'
    elif headed < 0.14:
        text = f"-- chart {number}: {template.replace('_', ' ')}\n{text}"
    elif headed < 0.2:
        text += ";"
    return row | {"query": text}


def _renamed(tree: "expressions.Expr", name: str) -> "expressions.Expr":
    """The statement over another table."""
    from sqlglot import expressions as e

    tree = tree.copy()
    table = tree.find(e.Table)
    assert table is not None
    table.replace(e.to_table(name))
    return tree


def _lower(text: str) -> str:
    """The text in small letters, except what is quoted."""
    return re.sub(r"'[^']*'|[^']+", lambda part: part[0] if part[0].startswith("'") else part[0].lower(), text)


def _parametrise(tree: "expressions.Expr") -> list[str]:
    """Replace the literals of conditions by question marks, in place; returns the values in their order."""
    from sqlglot import expressions as e

    where = tree.find(e.Where)
    values = []
    for node in list(where.walk(bfs=False)) if where else []:
        if isinstance(node, e.Literal) and not isinstance(node.parent, (e.Interval, e.Cast)):
            values.append(node.sql(dialect="trino"))
            node.replace(e.Placeholder())
    return values


def _trino(tree: "expressions.Expr", pretty: bool) -> str | None:
    """The text in Trino's SQL; None if sqlglot cannot say it, or cannot read what it said."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        text = tree.sql(dialect="trino", pretty=pretty, unsupported_level=sqlglot.ErrorLevel.RAISE)
        sqlglot.parse_one(text, read="trino")
    except SqlglotError:
        return None
    return text


def _metadata_queries(
    benchmarks: Sequence[Benchmark], catalogs: Sequence[Catalog], seed: int
) -> Iterator[dict[str, Any] | None]:
    import sqlglot

    rng = np.random.default_rng([seed, 6])
    while True:
        for position in rng.permutation(len(METADATA)).tolist():
            statement = METADATA[position]
            benchmark = benchmarks[int(rng.integers(len(benchmarks)))]
            catalog = catalogs[int(rng.integers(len(catalogs)))]
            table = benchmark.tables[int(rng.integers(len(benchmark.tables)))]
            _, text = generate(benchmark, 90_000 + int(rng.integers(10_000)), 0, seed)
            words = {
                "catalog": catalog.name,
                "schema": benchmark.schema,
                "table": table,
                "key": benchmark.of_table(table)[0].name,
                "prefix": table[:3],
                "number": str(int(rng.integers(1, 40))),
            }
            tree = sqlglot.parse_one(text, read="duckdb")
            translated = _trino(tree, pretty=False)
            if translated is None:
                yield None
                continue
            yield {
                "template": f"metadata_{statement.name}",
                "kind": "metadata",
                "shape": statement.name,
                "catalog": catalog.name,
                "schema": benchmark.schema,
                "scale_factor": catalog.scale_factor,
                "tables": ",".join(benchmark.tables),
                "query_type": statement.query_type,
                "qualified": "{catalog}" in statement.trino,
                "setup": "\n".join(statement.setup),
                "sql": statement.duckdb.format(**words, query=tree.sql(dialect="duckdb")),
                "query": statement.trino.format(**words, query=translated),
                "prepared_query": None,
            }
