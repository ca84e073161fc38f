"""The token machine beside a parser: sqlglot's syntax trees of TPC-H and TPC-DS queries, as DuckDB and Trino SQL."""

from importlib.metadata import version
from pathlib import Path

import duckdb
import duckdb_extension_tpcds
import duckdb_extension_tpch
import pytest
import sqlglot
from sqlglot import exp

from augury.predictors.sql_contract import TEXT_FEATURES
from augury.predictors.sql_tokens import scan_texts

# What the benchmarks lack
FURTHER = """
with recursive c (n) as (select 1 as n union all select n + 1 from c where n < 10) select n from c cross join t
with a as (with b as (select x from s.t) select x from b where x in (1, 2)), d as (select 3) select * from a, d
select t.a, u.* from cat.s.t as t full outer join s.u on t.a = u.a and t.b = u.b cross join v where not (t.c or t.d)
select a from t join u using (a) join (select b from v where b is not null limit 5) as w on w.b = t.a, x
select distinct count(distinct b) from t where a not in (select c from u where c like 'x') group by a having sum(a) > 0
insert into t select coalesce(a, 0), nullif(b, 1) from u where exists (select 1 from v where v.a = u.a)
create table n as select a, sum(b) over (partition by c order by d) from t where a between 1 and 2 and b = 3 or c = 4
delete from t where a = 1 and b not between 2 and 3
select a from t where (a, b) in ((1, 2), (3, 4)) union select a from u except select a from v intersect select a from w
select case when a = 1 then case b when 2 then 3 end else 4 end from t order by a offset 2 rows fetch first 3 rows only
select x from t cross join unnest(t.xs) as e (x) where x is distinct from 5 and not exists (select 1 from u)
""".strip().splitlines()


def benchmark_queries(name, module):
    """The texts that DuckDB's extension for a benchmark comes with."""
    folder = Path(module.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute(f"LOAD '{folder / name}.duckdb_extension'")
        return [
            row[0] for row in connection.execute(f"SELECT query FROM {name}_queries() ORDER BY query_nr").fetchall()
        ]


@pytest.fixture(scope="module")
def texts():
    """Query -> text: as delivered, and as Trino would be asked."""
    originals = {
        f"{name} {number}": text
        for name, module in (("tpch", duckdb_extension_tpch), ("tpcds", duckdb_extension_tpcds))
        for number, text in enumerate(benchmark_queries(name, module), 1)
    }
    assert len(originals) == 22 + 99
    trino = {name: sqlglot.transpile(text, read="duckdb", write="trino")[0] for name, text in originals.items()}
    trino |= {f"further {number}": text for number, text in enumerate(FURTHER, 1)}
    return {"duckdb": originals, "trino": trino}


def tree_facts(tree):
    """The same features, counted on the syntax tree."""
    nodes = list(tree.walk())
    ctes = {cte.alias.lower() for cte in nodes if isinstance(cte, exp.CTE)}
    tables = [exp.table_name(node).lower() for node in nodes if isinstance(node, exp.Table)]
    tables = [name for name in tables if name not in ctes]
    joins = [node for node in nodes if isinstance(node, exp.Join)]
    selects = [node for node in nodes if isinstance(node, exp.Select)]
    lists = [len(node.expressions) for node in nodes if isinstance(node, exp.In)]
    literals = [node.is_string for node in nodes if isinstance(node, exp.Literal)]

    def count(*kinds):
        return sum(isinstance(node, kinds) for node in nodes)

    def in_where(node):
        scope = node.find_ancestor(exp.Where, exp.Select, exp.SetOperation, exp.Join)
        return isinstance(scope, exp.Where)

    def conditional(join):
        return bool(join.args.get("on") or join.args.get("using"))

    # "x NOT LIKE y" is one node with a flag, other negations are nodes of their own
    negations = [node for node in nodes if isinstance(node, exp.Not) or node.args.get("negate")]
    return {
        "tables": tuple(sorted(set(tables))),
        "table_count": len(tables),
        "distinct_table_count": len(set(tables)),
        "join_count": len(joins),
        "left_join_count": sum(join.side == "LEFT" for join in joins),
        "full_outer_join_present": any(join.side == "FULL" for join in joins),
        "cross_join_present": any(join.kind == "CROSS" for join in joins),
        "inner_join_count": sum(not join.side and join.kind in ("", "INNER") and conditional(join) for join in joins),
        "comma_join_count": sum(not (join.side or join.kind or join.method or conditional(join)) for join in joins),
        "with_clause_count": count(exp.With),
        "ast_cte_count": count(exp.CTE),
        "recursive_cte_present": any(node.recursive for node in nodes if isinstance(node, exp.With)),
        "subquery_in_from_count": sum(
            isinstance(node, exp.Subquery) and isinstance(node.parent, (exp.From, exp.Join)) for node in nodes
        ),
        "set_operation_total": count(exp.SetOperation),
        "except_count": count(exp.Except),
        "intersect_count": count(exp.Intersect),
        "where_and_count": sum(isinstance(node, exp.And) and in_where(node) for node in nodes),
        "where_or_count": sum(isinstance(node, exp.Or) and in_where(node) for node in nodes),
        "where_not_count": sum(map(in_where, negations)),
        "between_count": count(exp.Between),
        "like_pattern_count": count(exp.Like, exp.ILike),
        "exists_count": count(exp.Exists),
        "in_clause_count": len(lists),
        "in_list_total_items": sum(lists),
        "max_in_list_size": max(lists, default=0),
        "group_by_count": count(exp.Group),
        "ast_having_count": count(exp.Having),
        "has_order_by": any(node.args.get("order") for node in nodes if isinstance(node, exp.Query)),
        "has_limit": count(exp.Limit, exp.Fetch) > 0,
        "has_distinct": any(select.args.get("distinct") for select in selects),
        "ast_distinct_count": count(exp.Distinct),
        "has_select_star": any(
            isinstance(column, exp.Star) or isinstance(column.this, exp.Star)
            for select in selects
            for column in select.expressions
            if isinstance(column, (exp.Star, exp.Column))
        ),
        "count_function_count": count(exp.Count),
        "sum_avg_function_count": count(exp.Sum, exp.Avg),
        "min_max_function_count": count(exp.Min, exp.Max),
        "window_function_count": count(exp.Window),
        "ast_case_when_count": count(exp.Case),
        "ast_coalesce_null_if_count": count(exp.Coalesce, exp.Nullif),
        "quoted_strings_count": sum(literals),
        "numeric_literals_count": len(literals) - sum(literals),
    }


def test_the_oracle_is_the_version_that_was_compared():
    assert version("sqlglot") == "30.30.0"


@pytest.mark.parametrize("dialect", ["duckdb", "trino"])
def test_tokens_and_syntax_trees_agree(texts, dialect):
    scanned = scan_texts(list(texts[dialect].values()))
    disagreements, seen = [], {}
    for place, (name, text) in enumerate(texts[dialect].items()):
        found = dict(zip(TEXT_FEATURES, scanned.values[place].tolist(), strict=True)) | {
            "tables": scanned.tables[place]
        }
        tree = sqlglot.parse_one(text, read=dialect)
        expected = tree_facts(tree)
        if dialect == "trino":
            # Only here is every cast written as one: DATE '...' is parsed as a cast too
            expected["cast_count"] = sum(isinstance(node, (exp.Cast, exp.TryCast)) for node in tree.walk())
        disagreements += [(name, fact, found[fact], value) for fact, value in expected.items() if found[fact] != value]
        for fact, value in expected.items():
            seen.setdefault(fact, set()).add(value)
    assert not disagreements
    varied = {fact for fact, values in seen.items() if len(values) > 1}
    assert set(seen) - varied == ({"recursive_cte_present", "cross_join_present"} if dialect == "duckdb" else set())


def test_dialects_of_a_query_read_alike(texts):
    """What transpiling leaves alone is counted alike: it writes casts, brackets and some functions differently."""
    kept = """table_count join_count left_join_count where_or_count in_clause_count in_list_total_items group_by_count
        ast_cte_count set_operation_total window_function_count ast_case_when_count ast_distinct_count""".split()
    places = [TEXT_FEATURES.index(name) for name in kept]
    one, other = (scan_texts([texts[dialect][name] for name in texts["duckdb"]]) for dialect in ("duckdb", "trino"))
    assert (one.values[:, places] == other.values[:, places]).all()
    assert one.tables == other.tables


def test_no_query_is_taken_for_incomplete_and_each_has_a_template(texts):
    for dialect in texts.values():
        scanned = scan_texts(list(dialect.values()))
        assert not scanned.values[:, TEXT_FEATURES.index("truncated_or_unbalanced")].any()
        selects = [not text.startswith(("insert", "create", "delete")) for text in dialect.values()]
        assert scanned.values[:, TEXT_FEATURES.index("is_select_query")].astype(bool).tolist() == selects
        assert len(set(scanned.templates)) == len(dialect)


def test_literals_do_not_change_the_template(texts):
    """Other literals by way of the syntax tree, so that strings, numbers and lists are found without the lexer."""

    def other_literals(node):
        if isinstance(node, exp.Literal):
            return (
                exp.Literal.string(f"{node.this}x") if node.is_string else exp.Literal.number(int(float(node.this)) + 7)
            )
        return node

    for name, text in texts["trino"].items():
        tree = sqlglot.parse_one(text, read="trino")
        written, changed = tree.sql("trino"), tree.transform(other_literals).sql("trino")
        one, other = scan_texts([written, changed]).templates
        assert one == other, name
        assert written != changed or "'" not in written
