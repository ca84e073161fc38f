"""Random analytical queries over the tables of TPC-H and TPC-DS, from key lookups to joins that explode.

A template is a structure drawn from its own seed; its variants differ in literals only. All texts are DuckDB's SQL,
kept to what sqlglot carries over to Trino.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from augury.pipelines.collection.query_templates import DATE_BOUNDS, INTEGER_BOUNDS, Benchmark, Column

Item = TypeVar("Item")


@dataclass(frozen=True)
class Edge:
    """A foreign key: child.column -> parent.key."""

    child: str
    column: str
    parent: str
    key: str


def _edges(text: str) -> tuple[Edge, ...]:
    return tuple(Edge(*line.replace(".", " ").replace("->", " ").split()) for line in text.strip().splitlines())


EDGES = {
    "tpch": _edges("""
        lineitem.l_orderkey -> orders.o_orderkey
        lineitem.l_partkey -> part.p_partkey
        lineitem.l_suppkey -> supplier.s_suppkey
        orders.o_custkey -> customer.c_custkey
        partsupp.ps_partkey -> part.p_partkey
        partsupp.ps_suppkey -> supplier.s_suppkey
        customer.c_nationkey -> nation.n_nationkey
        nation.n_regionkey -> region.r_regionkey
    """),
    "tpcds": _edges("""
        store_sales.ss_sold_date_sk -> date_dim.d_date_sk
        store_sales.ss_item_sk -> item.i_item_sk
        store_sales.ss_customer_sk -> customer.c_customer_sk
        store_sales.ss_cdemo_sk -> customer_demographics.cd_demo_sk
        store_sales.ss_hdemo_sk -> household_demographics.hd_demo_sk
        store_sales.ss_store_sk -> store.s_store_sk
        store_sales.ss_sold_time_sk -> time_dim.t_time_sk
        catalog_sales.cs_sold_date_sk -> date_dim.d_date_sk
        catalog_sales.cs_item_sk -> item.i_item_sk
        catalog_sales.cs_bill_customer_sk -> customer.c_customer_sk
        catalog_sales.cs_bill_cdemo_sk -> customer_demographics.cd_demo_sk
        catalog_sales.cs_ship_mode_sk -> ship_mode.sm_ship_mode_sk
        catalog_sales.cs_warehouse_sk -> warehouse.w_warehouse_sk
        web_sales.ws_sold_date_sk -> date_dim.d_date_sk
        web_sales.ws_item_sk -> item.i_item_sk
        web_sales.ws_bill_customer_sk -> customer.c_customer_sk
        web_sales.ws_web_site_sk -> web_site.web_site_sk
        store_returns.sr_returned_date_sk -> date_dim.d_date_sk
        store_returns.sr_item_sk -> item.i_item_sk
        store_returns.sr_customer_sk -> customer.c_customer_sk
        store_returns.sr_reason_sk -> reason.r_reason_sk
        catalog_returns.cr_returned_date_sk -> date_dim.d_date_sk
        catalog_returns.cr_item_sk -> item.i_item_sk
        web_returns.wr_returned_date_sk -> date_dim.d_date_sk
        web_returns.wr_item_sk -> item.i_item_sk
        inventory.inv_date_sk -> date_dim.d_date_sk
        inventory.inv_item_sk -> item.i_item_sk
        inventory.inv_warehouse_sk -> warehouse.w_warehouse_sk
        customer.c_current_addr_sk -> customer_address.ca_address_sk
        customer.c_current_cdemo_sk -> customer_demographics.cd_demo_sk
    """),
}
"""Foreign keys along which joins are drawn."""

FACTS = {
    "tpch": (("lineitem", 6), ("orders", 3), ("partsupp", 2), ("customer", 1)),
    "tpcds": (
        ("store_sales", 6), ("catalog_sales", 4), ("web_sales", 3), ("store_returns", 2), ("catalog_returns", 1),
        ("web_returns", 1), ("inventory", 2), ("customer", 1),
    ),
}  # fmt: skip
"""Tables that queries start from, with weights."""

FACT_PAIRS = {
    "tpch": (
        ("lineitem", "partsupp", (("l_partkey", "ps_partkey"),)),
        ("lineitem", "partsupp", (("l_partkey", "ps_partkey"), ("l_suppkey", "ps_suppkey"))),
        ("lineitem", "orders", (("l_orderkey", "o_orderkey"),)),
        ("orders", "customer", (("o_custkey", "c_custkey"),)),
    ),
    "tpcds": (
        ("store_sales", "store_returns", (("ss_item_sk", "sr_item_sk"), ("ss_ticket_number", "sr_ticket_number"))),
        ("store_sales", "store_returns", (("ss_customer_sk", "sr_customer_sk"),)),
        ("store_sales", "web_sales", (("ss_item_sk", "ws_item_sk"), ("ss_customer_sk", "ws_bill_customer_sk"))),
        ("store_sales", "catalog_sales", (("ss_customer_sk", "cs_bill_customer_sk"),)),
        ("catalog_sales", "catalog_returns", (("cs_item_sk", "cr_item_sk"), ("cs_order_number", "cr_order_number"))),
        ("catalog_sales", "web_sales", (("cs_item_sk", "ws_item_sk"), ("cs_sold_date_sk", "ws_sold_date_sk"))),
        ("web_sales", "web_returns", (("ws_item_sk", "wr_item_sk"), ("ws_order_number", "wr_order_number"))),
        ("inventory", "catalog_sales", (("inv_item_sk", "cs_item_sk"), ("inv_date_sk", "cs_sold_date_sk"))),
    ),
}  # fmt: skip
"""Joins of large tables with one another; some multiply rows."""

PARTNERS = {
    "tpch": (
        ("customer", "c_nationkey", "c_acctbal"), ("orders", "o_custkey", "o_totalprice"),
        ("partsupp", "ps_partkey", "ps_supplycost"), ("orders", "o_orderdate", "o_totalprice"),
        ("part", "p_brand", "p_retailprice"), ("supplier", "s_nationkey", "s_acctbal"),
        ("lineitem", "l_suppkey", "l_extendedprice"), ("lineitem", "l_orderkey", "l_quantity"),
    ),
    "tpcds": (
        ("item", "i_class", "i_current_price"), ("customer", "c_birth_year", "c_customer_sk"),
        ("store_returns", "sr_customer_sk", "sr_return_amt"), ("web_sales", "ws_bill_customer_sk", "ws_net_paid"),
        ("customer_address", "ca_state", "ca_address_sk"), ("store_sales", "ss_ticket_number", "ss_net_paid"),
        ("web_sales", "ws_item_sk", "ws_quantity"), ("catalog_sales", "cs_order_number", "cs_list_price"),
    ),
}  # fmt: skip
"""Table, column and measure of self-joins with an inequality: the pairs grow with the square of the group."""

CHANGEABLE = {"tpch": ("customer", "orders", "supplier"), "tpcds": ("customer", "item", "store_returns")}
"""Tables whose copies are changed by DELETE and UPDATE."""

EDGE_BY_CHILD = {
    schema: {child: tuple(edge for edge in edges if edge.child == child) for child in {edge.child for edge in edges}}
    for schema, edges in EDGES.items()
}

AGGREGATES = ("sum({0})", "avg({0})", "min({0})", "max({0})", "count(*)", "stddev({0})", "count({0})")


class _Draw:
    """The two sources of randomness of a query: one for its structure, one for its literals."""

    def __init__(self, benchmark: Benchmark, structure: np.random.Generator, literals: np.random.Generator) -> None:
        self.benchmark = benchmark
        self.schema = benchmark.schema
        self.structure = structure
        self.literals = literals

    def chance(self, probability: float) -> bool:
        return bool(self.structure.random() < probability)

    def pick(self, items: "Sequence[Item]") -> "Item":
        return items[int(self.structure.integers(len(items)))]

    def some(self, items: "Sequence[Item]", count: int) -> "list[Item]":
        order = self.structure.permutation(len(items))[:count]
        return [items[int(position)] for position in order]

    def fact(self) -> str:
        names, weights = zip(*FACTS[self.schema], strict=True)
        return str(self.structure.choice(names, p=np.array(weights) / sum(weights)))

    def columns(self, table: str, kind: str) -> list[Column]:
        return [column for column in self.benchmark.of_table(table) if column.kind == kind]

    def measures(self, table: str) -> list[str]:
        found = [column.name for column in self.columns(table, "decimal")]
        return found or [column.name for column in self.columns(table, "integer")]

    def keys(self, table: str) -> list[Column]:
        found = [column for column in self.columns(table, "integer") if column.distinct > 2]
        return found or self.columns(table, "integer")

    def attributes(self, table: str) -> list[Column]:
        """Text columns with few values, which people group and filter by."""
        return [column for column in self.columns(table, "text") if len(column.values) >= 2]


# Filters: the structure decides on column, operator and width; the literals on the values


def _filter(draw: _Draw, table: str) -> str | None:
    """A condition on one column of a table."""
    options: list[Callable[[], str]] = []
    if attributes := draw.attributes(table):
        options.append(lambda: _text_filter(draw, draw.pick(attributes)))
    if dates := draw.columns(table, "date"):
        options.append(lambda: _date_filter(draw, draw.pick(dates)))
    if table == "date_dim":
        options = [lambda: _calendar_filter(draw)]
    numbers = [column for column in draw.columns(table, "decimal") if column.high > column.low]
    if numbers:
        options.append(lambda: _number_filter(draw, draw.pick(numbers)))
    return draw.pick(options)() if options else None


def _text_filter(draw: _Draw, column: Column) -> str:
    values = list(column.values)
    form = draw.pick(("equal", "in", "like", "not"))
    count = int(draw.structure.integers(2, 6))
    drawn = [
        values[int(i)].replace("'", "''") for i in draw.literals.permutation(len(values))[: min(count, len(values))]
    ]
    if form == "in":
        return f"{column.name} IN ({', '.join(repr_text(value) for value in sorted(drawn))})"
    if form == "like":
        return f"{column.name} LIKE {repr_text(drawn[0].split()[0] + '%')}"
    return f"{column.name} {'<>' if form == 'not' else '='} {repr_text(drawn[0])}"


def repr_text(value: str) -> str:
    """A text literal; quotes within it are doubled by the caller."""
    return f"'{value}'"


def _date_filter(draw: _Draw, column: Column) -> str:
    low, high = DATE_BOUNDS[draw.schema]
    days = int(draw.pick((7, 30, 90, 365, 1000)))
    start = low + datetime.timedelta(days=int(draw.literals.integers(0, max((high - low).days - days, 1))))
    end = start + datetime.timedelta(days=days)
    form = draw.pick(("between", "range", "from"))
    if form == "between":
        return f"{column.name} BETWEEN DATE '{start}' AND DATE '{end}'"
    if form == "range":
        return f"{column.name} >= DATE '{start}' AND {column.name} < DATE '{end}'"
    return f"{column.name} >= DATE '{start}'"


def _calendar_filter(draw: _Draw) -> str:
    form = draw.pick(("year", "month", "months", "weekday"))
    year = int(draw.literals.integers(*INTEGER_BOUNDS["d_year"], endpoint=True))
    month = int(draw.literals.integers(1, 13))
    if form == "year":
        return f"d_year = {year}"
    if form == "month":
        return f"d_year = {year} AND d_moy = {month}"
    if form == "months":
        first = int(draw.literals.integers(1176, 1212))
        return f"d_month_seq BETWEEN {first} AND {first + int(draw.pick((2, 5, 11)))}"
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return f"d_year = {year} AND d_day_name = '{days[int(draw.literals.integers(7))]}'"


def _number_filter(draw: _Draw, column: Column) -> str:
    share = draw.pick((0.02, 0.1, 0.3, 0.7))
    centre = column.low + (column.high - column.low) * float(draw.literals.uniform(0.05, 0.9))
    width = (column.high - column.low) * share
    form = draw.pick(("between", ">", "<"))
    if form == "between":
        return f"{column.name} BETWEEN {centre:.2f} AND {centre + width:.2f}"
    return f"{column.name} {form} {centre:.2f}"


@dataclass
class _Joined:
    """A FROM clause under construction."""

    tables: list[str]
    clause: str
    conditions: list[str]

    def where(self) -> str:
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


def _star(draw: _Draw, fact: str, dimensions: int, filters: int) -> _Joined:
    """A fact joined with some of its dimensions, snowflaking now and then."""
    tables, clause = [fact], fact
    conditions: list[str] = []
    comma = draw.chance(0.2)
    reachable = list(EDGE_BY_CHILD[draw.schema].get(fact, ()))
    for _ in range(dimensions):
        edges = [edge for edge in reachable if edge.parent not in tables]
        if not edges:
            break
        edge = draw.pick(edges)
        tables.append(edge.parent)
        reachable += EDGE_BY_CHILD[draw.schema].get(edge.parent, ())
        if comma:
            clause += f", {edge.parent}"
            conditions.append(f"{edge.column} = {edge.key}")
        else:
            clause += f" {draw.pick(('JOIN', 'JOIN', 'JOIN', 'LEFT JOIN'))} {edge.parent} ON {edge.column} = {edge.key}"
    for table in draw.some(tables, filters):
        condition = _filter(draw, table)
        if condition:
            conditions.append(condition)
    return _Joined(tables, clause, conditions)


def _groups(draw: _Draw, tables: list[str], count: int, fine: float) -> list[str]:
    """Columns to group by; with probability ``fine`` one of them is a key with many values."""
    columns = [column.name for table in tables for column in draw.attributes(table)]
    chosen = draw.some(columns, count) if columns else []
    if "date_dim" in tables and draw.chance(0.5):
        chosen.append(draw.pick(("d_year", "d_moy", "d_week_seq")))
    keys = [column.name for column in draw.keys(tables[0])]
    if (draw.chance(fine) or not chosen) and keys:
        chosen.append(draw.pick(keys))
    return list(dict.fromkeys(chosen))


def _aggregates(draw: _Draw, table: str, count: int) -> list[str]:
    measures = draw.measures(table)
    texts = []
    for _ in range(count):
        text = draw.pick(AGGREGATES).format(draw.pick(measures))
        if len(measures) > 1 and draw.chance(0.25):
            text = f"sum({draw.pick(measures)} * (1 - {draw.pick(measures)}))"
        texts.append(text)
    return [f"{text} AS m{position}" for position, text in enumerate(dict.fromkeys(texts))]


def _tail(draw: _Draw, order: str, limit_chance: float = 0.6) -> str:
    text = f" ORDER BY {order}" if draw.chance(0.7) else ""
    return text + (f" LIMIT {draw.pick((10, 20, 50, 100, 500, 1000))}" if draw.chance(limit_chance) else "")


# Shapes


def _lookup(draw: _Draw) -> str:
    """Rows by key: what applications ask for."""
    table = draw.pick([edge.parent for edge in EDGES[draw.schema]] + [draw.fact()])
    keys = draw.keys(table) or list(draw.benchmark.of_table(table))
    key = keys[0]
    value = int(draw.literals.integers(int(key.low), max(int(key.high), int(key.low)) + 1))
    chosen = "*" if draw.chance(0.4) else ", ".join(
        column.name for column in draw.some(draw.benchmark.of_table(table), int(draw.structure.integers(2, 7)))
    )  # fmt: skip
    return f"SELECT {chosen} FROM {table} WHERE {key.name} = {value}" + (" LIMIT 100" if draw.chance(0.5) else "")


def _preview(draw: _Draw) -> str:
    """The first rows of a table."""
    table = draw.pick(draw.benchmark.tables)
    condition = _filter(draw, table) if draw.chance(0.5) else None
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT * FROM {table}{where} LIMIT {draw.pick((5, 10, 100, 1000))}"


def _count(draw: _Draw) -> str:
    """How many rows there are."""
    table = draw.pick((*draw.benchmark.tables, draw.fact(), draw.fact()))
    condition = _filter(draw, table)
    return f"SELECT count(*) AS n FROM {table}" + (f" WHERE {condition}" if condition else "")


def _top(draw: _Draw) -> str:
    """The largest rows of a fact."""
    fact = draw.fact()
    joined = _star(draw, fact, int(draw.structure.integers(0, 3)), 1)
    chosen = draw.some([column.name for table in joined.tables for column in draw.benchmark.of_table(table)], 5)
    order = draw.pick(draw.measures(fact))
    limit = draw.pick((10, 100, 1000))
    return f"SELECT {', '.join(chosen)} FROM {joined.clause}{joined.where()} ORDER BY {order} DESC LIMIT {limit}"


def _aggregate(draw: _Draw) -> str:
    """Group and aggregate a star."""
    fact = draw.fact()
    joined = _star(draw, fact, int(draw.structure.integers(0, 5)), int(draw.structure.integers(0, 4)))
    groups = _groups(draw, joined.tables, int(draw.structure.integers(1, 4)), 0.25)
    measures = _aggregates(draw, fact, int(draw.structure.integers(1, 6)))
    having = " HAVING count(*) > 1" if draw.chance(0.15) else ""
    return (
        f"SELECT {', '.join([*groups, *measures])} FROM {joined.clause}{joined.where()} "
        f"GROUP BY {', '.join(groups)}{having}{_tail(draw, 'm0 DESC' if draw.chance(0.5) else groups[0])}"
    )


def _rollup(draw: _Draw) -> str:
    """Sub-totals."""
    fact = draw.fact()
    joined = _star(draw, fact, int(draw.structure.integers(1, 4)), int(draw.structure.integers(0, 3)))
    groups = _groups(draw, joined.tables, int(draw.structure.integers(2, 4)), 0.1)
    form = draw.pick(("ROLLUP", "CUBE"))
    return (
        f"SELECT {', '.join([*groups, *_aggregates(draw, fact, 2)])} FROM {joined.clause}{joined.where()} "
        f"GROUP BY {form} ({', '.join(groups)}){_tail(draw, groups[0])}"
    )


def _distinct(draw: _Draw) -> str:
    """Count distinct keys."""
    fact = draw.fact()
    joined = _star(draw, fact, int(draw.structure.integers(0, 3)), int(draw.structure.integers(0, 3)))
    keys = draw.keys(fact)
    counts = [f"count(DISTINCT {key.name}) AS d{i}" for i, key in enumerate(draw.some(keys, 1 + draw.chance(0.4)))]
    if draw.chance(0.3):
        return f"SELECT {', '.join(counts)} FROM {joined.clause}{joined.where()}"
    groups = _groups(draw, joined.tables, 1, 0.2)
    return (
        f"SELECT {', '.join([*groups, *counts])} FROM {joined.clause}{joined.where()} "
        f"GROUP BY {', '.join(groups)}{_tail(draw, 'd0 DESC')}"
    )


def _window(draw: _Draw) -> str:
    """The first rows of every group, or running sums."""
    fact = draw.fact()
    joined = _star(draw, fact, int(draw.structure.integers(0, 3)), int(draw.structure.integers(0, 3)))
    key = draw.pick(draw.keys(fact)).name
    measure = draw.pick([name for name in draw.measures(fact) if name != key] or [key])
    other = draw.pick(draw.keys(fact)).name
    form = draw.pick(("row_number", "rank", "running", "lag"))
    if form == "running":
        return (
            f"SELECT {key}, max(running) AS m0, count(*) AS n FROM (SELECT {key}, sum({measure}) OVER ("
            f"PARTITION BY {key} ORDER BY {other} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running "
            f"FROM {joined.clause}{joined.where()}) AS t GROUP BY {key} ORDER BY m0 DESC LIMIT 100"
        )
    if form == "lag":
        return (
            f"SELECT avg(step) AS m0 FROM (SELECT {measure} - lag({measure}) OVER ("
            f"PARTITION BY {key} ORDER BY {other}) AS step FROM {joined.clause}{joined.where()}) AS t"
        )
    return (
        f"SELECT * FROM (SELECT {key}, {measure}, {form}() OVER ("
        f"PARTITION BY {key} ORDER BY {measure} DESC) AS position FROM {joined.clause}{joined.where()}) AS t "
        f"WHERE position <= {draw.pick((1, 3, 10))}{_tail(draw, key, 0.8)}"
    )


def _pair(draw: _Draw) -> str:
    """Join two large tables."""
    left, right, keys = draw.pick(FACT_PAIRS[draw.schema])
    on = " AND ".join(f"{a} = {b}" for a, b in keys)
    kind = draw.pick(("JOIN", "JOIN", "LEFT JOIN", "FULL OUTER JOIN"))
    conditions = [condition for table in (left, right) if draw.chance(0.5) and (condition := _filter(draw, table))]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    measures = [*_aggregates(draw, left, 2), f"sum({draw.pick(draw.measures(right))}) AS other"]
    if draw.chance(0.3):
        return f"SELECT {', '.join(measures)} FROM {left} {kind} {right} ON {on}{where}"
    group = draw.pick([keys[0][0], *[column.name for column in draw.attributes(left)]])
    chosen = ", ".join([group, *measures])
    tail = _tail(draw, "other DESC")
    return f"SELECT {chosen} FROM {left} {kind} {right} ON {on}{where} GROUP BY {group}{tail}"


def _semi(draw: _Draw) -> str:
    """IN, NOT IN, EXISTS or NOT EXISTS over another large table."""
    left, right, keys = draw.pick(FACT_PAIRS[draw.schema])
    a, b = keys[0]
    condition = _filter(draw, right) or "TRUE"
    form = draw.pick(("IN", "NOT IN", "EXISTS", "NOT EXISTS"))
    if form.endswith("IN"):
        clause = f"{a} {form} (SELECT {b} FROM {right} WHERE {b} IS NOT NULL AND {condition})"
    else:
        clause = f"{form} (SELECT 1 FROM {right} WHERE {b} = {a} AND {condition})"
    own = _filter(draw, left) if draw.chance(0.5) else None
    measures = ", ".join(_aggregates(draw, left, 2))
    return f"SELECT {measures}, count(*) AS n FROM {left} WHERE {clause}" + (f" AND {own}" if own else "")


def _union(draw: _Draw) -> str:
    """The same question to several tables."""
    parts = []
    for position in range(int(draw.structure.integers(2, 6))):
        fact = draw.fact()
        joined = _star(draw, fact, int(draw.structure.integers(0, 3)), 1)
        measure = draw.pick(draw.measures(fact))
        parts.append(
            f"SELECT '{fact} {position}' AS part, sum({measure}) AS total, count(*) AS n "
            f"FROM {joined.clause}{joined.where()}"
        )
    return " UNION ALL ".join(parts) + (" ORDER BY part" if draw.chance(0.5) else "")


def _share(draw: _Draw) -> str:
    """A share of the total, or of the mean, through common table expressions."""
    fact = draw.fact()
    joined = _star(draw, fact, int(draw.structure.integers(1, 4)), int(draw.structure.integers(0, 3)))
    groups = _groups(draw, joined.tables, int(draw.structure.integers(1, 3)), 0.35)
    listed = ", ".join(groups)
    measure = draw.pick(draw.measures(fact))
    base = (
        f"WITH base AS (SELECT {listed}, sum({measure}) AS m0 FROM {joined.clause}{joined.where()} GROUP BY {listed})"
    )
    if draw.chance(0.5):
        return f"{base} SELECT {listed}, m0, 100.0 * m0 / sum(m0) OVER () AS pct FROM base ORDER BY m0 DESC LIMIT 100"
    return f"{base} SELECT count(*) AS n, avg(m0) AS mean FROM base WHERE m0 > (SELECT 1.2 * avg(m0) FROM base)"


def _partners(draw: _Draw) -> str:
    """Pairs of rows within a group: cost grows with the square of the group."""
    table, group, measure = draw.pick(PARTNERS[draw.schema])
    condition = _filter(draw, table) if draw.chance(0.75) else None
    second = _filter(draw, table) if draw.chance(0.35) else None
    left = f"(SELECT * FROM {table} WHERE {condition})" if condition else table
    right = f"(SELECT * FROM {table} WHERE {second})" if second else table
    sign = draw.pick(("<", ">", "<>"))
    if draw.chance(0.12):
        return (
            f"SELECT count(*) AS pairs FROM {left} AS a CROSS JOIN {right} AS b "
            f"WHERE a.{measure} + b.{measure} {draw.pick(('<', '>'))} {float(draw.literals.uniform(10, 500)):.1f}"
        )
    return (
        f"SELECT a.{group}, count(*) AS pairs, avg(a.{measure} - b.{measure}) AS gap FROM {left} AS a "
        f"JOIN {right} AS b ON a.{group} = b.{group} AND a.{measure} {sign} b.{measure} "
        f"GROUP BY a.{group}{_tail(draw, 'pairs DESC', 0.9)}"
    )


def _text(draw: _Draw) -> str:
    """Search within text."""
    tables = [table for table in draw.benchmark.tables if draw.columns(table, "text")]
    table = draw.pick(tables)
    long = [column for column in draw.columns(table, "text") if not column.values] or draw.columns(table, "text")
    column = draw.pick(long).name
    words = ("special", "express", "quick", "final", "regular", "ideas", "able", "ought", "national", "important")
    word = words[int(draw.literals.integers(len(words)))]
    other = words[int(draw.literals.integers(len(words)))]
    condition = draw.pick(
        (
            f"{column} LIKE '%{word}%'",
            f"lower({column}) LIKE '%{word}%{other}%'",
            f"regexp_matches({column}, '{word}.*{other}')",
            f"length({column}) > {int(draw.literals.integers(10, 60))} AND strpos({column}, '{word}') > 0",
        )
    )
    if draw.chance(0.5):
        return f"SELECT count(*) AS n FROM {table} WHERE {condition}"
    return (
        f"SELECT upper(substring({column}, 1, {draw.pick((1, 2, 8))})) AS head, count(*) AS n FROM {table} "
        f"WHERE {condition} GROUP BY 1 ORDER BY n DESC LIMIT 50"
    )


def _export(draw: _Draw) -> str:
    """Many rows and columns without a limit, perhaps sorted."""
    fact = draw.fact()
    joined = _star(draw, fact, int(draw.structure.integers(0, 2)), 2)
    columns = [column.name for table in joined.tables for column in draw.benchmark.of_table(table)]
    chosen = draw.some(columns, int(draw.structure.integers(4, 14)))
    order = f" ORDER BY {', '.join(draw.some(chosen, 2))}" if draw.chance(0.5) else ""
    distinct = "DISTINCT " if draw.chance(0.2) else ""
    return f"SELECT {distinct}{', '.join(chosen)} FROM {joined.clause}{joined.where()}{order}"


def _list(draw: _Draw) -> str:
    """A long list of keys, as programs write it."""
    fact = draw.fact()
    key = draw.pick(draw.keys(fact))
    count = int(draw.pick((40, 200, 1000)))
    values = np.unique(draw.literals.integers(int(key.low), int(key.high) + 1, size=count)).tolist()
    measures = ", ".join(_aggregates(draw, fact, 2))
    listed = ", ".join(str(value) for value in values)
    return f"SELECT {key.name}, {measures} FROM {fact} WHERE {key.name} IN ({listed}) GROUP BY {key.name}"


def _delete(draw: _Draw) -> str:
    """Remove rows of a table of one's own."""
    table = draw.pick(CHANGEABLE[draw.schema])
    return f"DELETE FROM {table} WHERE {_filter(draw, table)}"


def _update(draw: _Draw) -> str:
    """Change rows of a table of one's own."""
    table = draw.pick(CHANGEABLE[draw.schema])
    measure = draw.pick(draw.measures(table))
    factor = float(draw.literals.uniform(0.5, 1.5))
    return f"UPDATE {table} SET {measure} = {measure} * {factor:.2f} WHERE {_filter(draw, table)}"


SHAPES: tuple[tuple[Callable[[_Draw], str], float], ...] = (
    (_lookup, 12), (_preview, 5), (_count, 8), (_top, 8), (_aggregate, 26), (_rollup, 5), (_distinct, 6), (_window, 8),
    (_pair, 7), (_semi, 5), (_union, 4), (_share, 5), (_partners, 5), (_text, 5), (_export, 4), (_list, 2),
    (_delete, 1.5), (_update, 1.5),
)  # fmt: skip
"""Shapes of random queries with their weights."""


def generate(benchmark: Benchmark, template: int, variant: int, seed: int) -> tuple[str, str]:
    """Write one random query.

    Args:
        benchmark: Tables and columns to ask about.
        template: Number of the structure.
        variant: Number of the literals.
        seed: Seed of the collection.

    Returns:
        The name of the shape and the text.
    """
    structure = np.random.default_rng([seed, 1, template])
    weights = np.array([weight for _, weight in SHAPES], dtype="float64")
    shape = SHAPES[int(structure.choice(len(SHAPES), p=weights / weights.sum()))][0]
    draw = _Draw(benchmark, structure, np.random.default_rng([seed, 2, template, variant]))
    return shape.__name__.lstrip("_"), shape(draw)
