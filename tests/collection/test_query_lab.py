"""The collection of queries: a stable plan of genuine Trino texts, executed once each, and no work lost or repeated."""

import functools
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.collection import query_lab
from augury.pipelines.collection.query_lab import (
    MEASURED_COLUMNS,
    WORKER,
    QueryCollection,
    assemble_queries,
    execute_queries,
)
from augury.pipelines.collection.query_plan import PLAN_COLUMNS, Catalog, plan_queries
from augury.pipelines.collection.query_templates import SCHEMAS, load_benchmark, mutate

pytest.importorskip("duckdb")
pytest.importorskip("sqlglot")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the measuring process reads /proc")

SEED = 5
CATALOGS = {"staging": 0.01, "lake": 0.02}


@pytest.fixture(scope="module", autouse=True)
def benchmarks_read_once():
    """Reading what the columns hold takes most of the time of a plan, and every test plans."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_lab, "load_benchmark", functools.cache(load_benchmark))
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def make(lab):
    def collection(**changes):
        defaults = {
            "lab_folder": str(lab), "catalogs": CATALOGS, "queries": 32, "metadata_queries": 10,
            "generated_templates": 120, "time_limit_s": 60, "cpu_limit_s": 30, "memory_limit_mb": 512, "workers": 2,
        }  # fmt: skip
        return QueryCollection.model_validate(defaults | changes)

    return collection


@pytest.fixture(scope="module")
def runs(make):
    """A run that was interrupted after its first chunk, and the one that finished the work."""
    interrupted = execute_queries(pd.DataFrame(), make(), SEED)
    first = next(interrupted)
    interrupted.close()
    return first, pd.concat(execute_queries(first, make(), SEED), ignore_index=True)


@pytest.fixture(scope="module")
def benchmarks(runs, lab):
    find = query_lab._extensions()
    return {schema: load_benchmark(schema, find(schema), str(lab / "sf0.01" / schema)) for schema in SCHEMAS}


def plan(benchmarks, queries, metadata_queries=10, seed=SEED, templates=120):
    catalogs = [Catalog(name, scale_factor) for name, scale_factor in CATALOGS.items()]
    return plan_queries(list(benchmarks.values()), catalogs, queries, metadata_queries, templates, seed)[0]


@pytest.fixture(scope="module")
def planned(benchmarks):
    return plan(benchmarks, 320, 60)


def test_an_interrupted_run_is_continued_without_repeating_or_losing_a_query(runs, make, benchmarks):
    first, rest = runs
    assert len(first) == query_lab.CHUNK_ROWS
    everything = pd.concat([first, rest])
    assert list(everything.columns) == [*PLAN_COLUMNS, *MEASURED_COLUMNS]
    assert everything["job_id"].is_unique
    assert set(everything["job_id"]) == set(plan(benchmarks, 32)["job_id"])
    assert list(execute_queries(everything, make(), SEED)) == []


def test_every_query_runs_and_reports_its_cost(runs):
    executed = pd.concat(runs)
    assert (executed["outcome"] == "ok").all(), executed.loc[executed["outcome"] != "ok", ["sql", "reason"]]
    assert (executed[["cpu_s", "wall_s"]] > 0).all(axis=None)
    assert executed["peak_memory_bytes"].ge(0).all()
    data = executed[(executed["kind"] != "metadata") & (executed["query_type"] == "SELECT")]
    assert data["cpu_s"].max() > 20 * data["cpu_s"].min()
    assert set(executed["engine"]) == {f"duckdb {__import__('duckdb').__version__}"}


def test_inputs_are_trinos_and_add_up(runs, lab):
    executed = pd.concat(runs)
    read = executed[executed["inputs_json"].notna()]
    assert len(read) > 20
    for row in read.itertuples():
        inputs = json.loads(row.inputs_json)
        assert {tuple(item) for item in inputs} == {
            ("catalogName", "schema", "table", "physicalInputBytes", "physicalInputRows")
        }
        assert {item["catalogName"] for item in inputs} == {row.catalog}
        assert {item["table"] for item in inputs} <= set(row.tables.split(","))
        assert sum(item["physicalInputBytes"] for item in inputs) == row.physical_input_bytes
        assert sum(item["physicalInputRows"] for item in inputs) == row.physical_input_rows
        for item in inputs:
            path = lab / f"sf{row.scale_factor:g}" / row.schema / f"{item['table']}.parquet"
            occurrences = row.sql.count(item["table"]) + 5
            assert item["physicalInputBytes"] <= occurrences * path.stat().st_size


def test_the_table_holds_the_planned_queries_in_the_order_of_the_plan(runs, make, benchmarks):
    executed = pd.concat([runs[1], runs[0], runs[0].assign(job_id="of another plan")])
    table = assemble_queries(executed, make(), SEED)
    assert table["job_id"].tolist() == plan(benchmarks, 32)["job_id"].tolist()
    smaller = assemble_queries(executed, make(queries=10, metadata_queries=0), SEED)
    assert smaller["job_id"].tolist() == plan(benchmarks, 10, 0)["job_id"].tolist()


def test_a_crash_is_tried_again_and_the_latest_result_counts(runs, make):
    everything = pd.concat(runs, ignore_index=True)
    crashed = everything["job_id"][3]
    everything.loc[3, "outcome"] = "crashed"
    assert crashed not in set(assemble_queries(everything, make(), SEED)["job_id"])
    again = pd.concat(execute_queries(everything, make(), SEED))
    assert again["job_id"].tolist() == [crashed]
    table = assemble_queries(pd.concat([everything, again]), make(), SEED)
    assert table.set_index("job_id").loc[crashed, "outcome"] == "ok"


def test_a_killed_measuring_process_costs_one_query_only(runs, make, monkeypatch, tmp_path):
    driver = tmp_path / "driver.py"
    driver.write_text(f"""
import importlib.util, os
specification = importlib.util.spec_from_file_location("query_worker", {str(WORKER)!r})
worker = importlib.util.module_from_spec(specification)
specification.loader.exec_module(worker)
perform = worker._perform
def act(connection, sql):
    if {str(tmp_path)!r} and not os.path.exists({str(tmp_path / "done")!r}):
        open({str(tmp_path / "done")!r}, "w").close()
        os.kill(os.getppid(), 9)
    return perform(connection, sql)
worker._perform = act
worker.main()
""")
    monkeypatch.setattr(query_lab, "WORKER", driver)
    small = make(queries=4, metadata_queries=0, workers=1)
    rows = pd.concat(execute_queries(pd.DataFrame(), small, SEED))
    assert rows["outcome"].tolist() == ["crashed", "ok", "ok", "ok"]
    assert len(assemble_queries(rows, small, SEED)) == 3


@pytest.mark.parametrize(
    ("limit", "outcome"), [({"cpu_limit_s": 0.004}, "cpu_limit"), ({"memory_limit_mb": 16}, "memory_limit")]
)
def test_limits_really_fail_queries(runs, make, limit, outcome):
    hard = make(queries=12, metadata_queries=0, catalogs={"lake": 0.02}, **limit)
    executed = assemble_queries(pd.concat(execute_queries(pd.DataFrame(), hard, SEED)), hard, SEED)
    assert outcome in set(executed["outcome"]) <= {"ok", outcome}
    failed = executed[executed["outcome"] != "ok"]
    assert failed[["physical_input_bytes", "physical_input_rows", "rows_returned"]].isna().all(axis=None)
    for row in failed.itertuples():
        inputs = json.loads(row.inputs_json)
        assert [item["table"] for item in inputs] == sorted(row.tables.split(","))
        assert {item["physicalInputBytes"] for item in inputs} == {None}
    for name, value in limit.items():
        assert (executed[name] == value).all()


def test_a_smaller_plan_is_the_beginning_of_a_larger_one(benchmarks, planned):
    small = plan(benchmarks, 120, 30)
    large = planned.set_index("job_id").loc[small["job_id"]].reset_index()[list(PLAN_COLUMNS)]
    pd.testing.assert_frame_equal(small, large)
    assert (planned[planned["kind"] != "metadata"]["position"].sort_values() == np.arange(320)).all()


def test_the_plan_depends_on_the_seed_alone(benchmarks):
    one = plan(benchmarks, 40)
    pd.testing.assert_frame_equal(one, plan(benchmarks, 40))
    assert len(set(plan(benchmarks, 40, seed=SEED + 1)["query"]) & set(one["query"])) < 30


def test_the_plan_covers_benchmarks_generator_and_metadata_on_all_data(planned):
    assert planned["job_id"].is_unique
    assert not planned.duplicated(["query", "prepared_query", "scale_factor"]).any()
    data = planned[planned["kind"] != "metadata"]
    assert set(data["schema"]) == {"tpch", "tpcds"}
    assert data["catalog"].map(CATALOGS).eq(data["scale_factor"]).all()
    assert data["catalog"].value_counts(normalize=True).between(0.4, 0.6).all()
    assert set(planned["kind"]) == {"benchmark", "generated", "metadata"}
    assert data.loc[data["kind"] == "benchmark", "template"].nunique() == 22 + 99
    assert data["shape"].nunique() >= 15
    types = set(planned["query_type"])
    assert types == {"SELECT", "INSERT", "EXPLAIN", "DESCRIBE", "DATA_DEFINITION", "DELETE", "UPDATE"}


def literals_removed(text):
    text = re.sub(r"'[^']*'", "?", re.sub(r"\s+", " ", text))
    text = re.sub(r"_\d{8}\b", "_#", text)
    text = re.sub(r"\b\d+(\.\d+)?\b", "?", text)
    return re.sub(r"\(\?(?:, \?)+\)", "(?)", text)


def test_variants_of_a_template_differ_in_literals_only(planned):
    data = planned[planned["kind"] != "metadata"]
    text = data["prepared_query"].fillna(data["query"])
    bare = [
        literals_removed(one.replace(catalog, "CATALOG")) for one, catalog in zip(text, data["catalog"], strict=True)
    ]
    kinds = pd.Series(bare, index=data.index).groupby(data["template"]).nunique()
    # A negative number that becomes positive loses its sign, which counts as structure here
    assert (kinds == 1).mean() > 0.95
    several = data.groupby("template")["query"].nunique()
    assert (several > 1).sum() > 40


def test_texts_are_trinos_sql(planned):
    import sqlglot
    from sqlglot import expressions as e

    texts = planned.loc[planned["shape"].ne("explain_distributed"), ["query", "prepared_query", "query_type", "kind"]]
    for row in texts[texts["kind"] != "metadata"].itertuples():
        text = row.prepared_query or row.query
        tree = sqlglot.parse_one(text, read="trino")
        expected = {"DELETE": e.Delete, "UPDATE": e.Update, "INSERT": (e.Create, e.Insert)}
        assert isinstance(tree, expected.get(row.query_type, (e.Query, e.Command, e.Describe))), text
        assert (row.prepared_query is not None) == row.query.startswith("EXECUTE ")


def test_prepared_statements_have_one_value_per_question_mark(planned):
    prepared = planned[planned["prepared_query"].notna()]
    assert len(prepared) > 3
    for row in prepared.itertuples():
        values = re.sub(r"'[^']*'", "0", row.query.partition(" USING ")[2])
        assert values.count(",") + 1 == row.prepared_query.count("?") > 0


def test_qualified_texts_name_their_catalog(planned):
    data = planned[
        planned["kind"].eq("generated") & planned["prepared_query"].isna() & planned["query_type"].eq("SELECT")
    ]
    named = [f"{row.catalog}.{row.schema}." in row.query for row in data.itertuples()]
    assert named == data["qualified"].tolist()
    assert 0.2 < np.mean(named) < 0.5


def test_trinos_text_asks_the_same_as_the_executed_one(planned, lab, benchmarks):
    """Known answers: sqlglot carries the logged text back to DuckDB, which must give what the executed text gives."""
    import duckdb
    import sqlglot

    rows = planned[
        planned["kind"].ne("metadata") & planned["query_type"].eq("SELECT") & ~planned["qualified"]
        & planned["prepared_query"].isna() & planned["scale_factor"].eq(0.01) & planned["shape"].ne("partners")
    ].head(70)  # fmt: skip
    connection = duckdb.connect(config={"threads": 1})
    for schema, benchmark in benchmarks.items():
        connection.execute(f"CREATE SCHEMA {schema}")
        for table in benchmark.tables:
            connection.execute(
                f"CREATE VIEW {schema}.{table} AS FROM read_parquet('{lab}/sf0.01/{schema}/{table}.parquet')"
            )
    compared = 0
    for row in rows.itertuples():
        connection.execute(f"USE {row.schema}")
        expected = connection.execute(row.sql).fetchall()
        text = sqlglot.transpile(row.query, read="trino", write="duckdb")[0]
        found = connection.execute(text).fetchall()
        assert len(found) == len(expected), row.query
        if "LIMIT" not in row.sql:
            assert sorted(map(repr, found)) == sorted(map(repr, expected)), row.query
            compared += bool(expected)
    assert compared > 10


def test_other_literals_stay_within_what_the_columns_hold(benchmarks):
    import sqlglot

    tpch = benchmarks["tpch"]
    tree = sqlglot.parse_one(
        "SELECT * FROM orders, customer WHERE c_mktsegment = 'BUILDING' AND o_orderpriority IN ('1-URGENT', '2-HIGH') "
        "AND o_orderdate >= DATE '1995-01-01' AND o_orderdate < DATE '1995-04-01' AND c_acctbal > 1.50",
        read="duckdb",
    )
    segments = tpch.by_name["c_mktsegment"].values
    priorities = tpch.by_name["o_orderpriority"].values
    seen = set()
    for seed in range(40):
        text = mutate(tree, tpch, np.random.default_rng(seed)).sql(dialect="duckdb")
        found = re.findall(r"'([^']*)'", text)
        dates = pd.to_datetime([one for one in found if re.match(r"\d{4}-", one)])
        words = [one for one in found if not re.match(r"\d{4}-", one)]
        assert words[0] in segments
        assert set(words[1:]) <= set(priorities)
        assert len(set(words[1:])) == len(words) - 1 >= 1
        assert (dates[1] - dates[0]).days == 90
        assert dates.min() >= pd.Timestamp("1992-01-01")
        assert dates.max() <= pd.Timestamp("1998-12-31")
        seen.add(text)
    assert len(seen) == 40


def test_nothing_executed_is_told(make, runs):
    with pytest.raises(UserError, match=r"query_cost\.executed_parts"):
        assemble_queries(pd.DataFrame(), make(), SEED)


def test_a_missing_extra_is_told(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UserError, match=r"augury\[lab\]"):
        next(execute_queries(pd.DataFrame(), make(), SEED))


def test_a_generation_that_fails_is_told(make, tmp_path, monkeypatch):
    monkeypatch.setattr(query_lab, "_extensions", lambda: lambda schema: str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"query_cost\.collection\.catalogs"):
        next(execute_queries(pd.DataFrame(), make(lab_folder=str(tmp_path / "lab")), SEED))
