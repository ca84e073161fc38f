"""The measuring process of queries: limits that really end a query, and costs that are the query's own."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.collection.query_lab import WORKER

pytest.importorskip("duckdb")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the measuring process reads /proc")

ROWS = 200_000
EXPLODING = "SELECT count(*) FROM facts AS a, facts AS b WHERE a.amount < b.amount"
FIELDS = {
    "outcome", "reason", "cpu_s", "wall_s", "peak_memory_bytes", "peak_resident_bytes", "rows_returned", "scans",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    numbers = np.arange(ROWS)
    facts = pd.DataFrame({"id": numbers, "grp": numbers % 7, "amount": (numbers * 37) % 1009, "note": "n" * 40})
    facts["note"] += numbers.astype(str)
    facts.to_parquet(path / "facts.parquet")
    facts[["id", "grp"]].head(7).to_parquet(path / "groups.parquet")
    return path


@pytest.fixture(scope="module")
def run(folder):
    process = subprocess.Popen(
        [sys.executable, "-I", str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def send(sql, **changes):
        job = {
            "task": "query", "schema": "shop", "folder": str(folder), "tables": ["facts", "groups"], "setup": [],
            "sql": sql, "time_limit_s": 20, "cpu_limit_s": 10, "memory_limit_mb": 256,
        } | changes  # fmt: skip
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield send
    process.stdin.close()
    assert process.wait(20) == 0


def test_a_query_that_ends_well_reports_its_cost_and_what_it_read(run):
    answer = run(
        "SELECT g.grp, sum(amount) FROM facts AS f JOIN groups AS g ON f.grp = g.id "
        f"WHERE note <> '{'n' * 40}5' GROUP BY 1"
    )
    assert set(answer) == FIELDS
    assert (answer["outcome"], answer["reason"], answer["rows_returned"]) == ("ok", "", 7)
    assert 0 < answer["cpu_s"] < 10
    assert answer["peak_memory_bytes"] > 0
    scans = {scan["table"]: scan for scan in answer["scans"]}
    assert scans["facts"]["rows"] == ROWS
    assert {"grp", "amount", "note"} <= set(scans["facts"]["columns"])
    assert "id" not in scans["facts"]["columns"]
    assert scans["groups"]["rows"] == 7


def test_the_cpu_limit_ends_a_query(run):
    answer = run(EXPLODING, cpu_limit_s=0.3)
    assert set(answer) == FIELDS
    assert answer["outcome"] == "cpu_limit"
    assert 0.2 < answer["cpu_s"] < 2
    assert answer["rows_returned"] is None
    assert answer["peak_memory_bytes"] > 0


def test_the_time_limit_ends_a_query(run):
    answer = run(EXPLODING, time_limit_s=0.6)
    assert set(answer) == FIELDS
    assert answer["outcome"] == "time_limit"
    assert answer["wall_s"] >= 0.6
    assert "0.6 s" in answer["reason"]


def test_the_memory_limit_ends_a_query(run):
    sql = "SELECT id, note, count(*) FROM facts GROUP BY ALL ORDER BY note"
    assert run(sql)["outcome"] == "ok"
    answer = run(sql, memory_limit_mb=16)
    assert answer["outcome"] == "memory_limit"
    assert answer["scans"] == []
    assert answer["cpu_s"] > 0


def test_an_error_is_told_without_the_folder(run, folder):
    answer = run("SELECT missing FROM facts")
    assert answer["outcome"] == "error"
    assert "missing" in answer["reason"]
    unreadable = run(f"SELECT * FROM read_parquet('{folder}/nothing.parquet')")
    assert unreadable["outcome"] == "error"
    assert str(folder) not in unreadable["reason"]


def test_a_child_that_dies_is_a_crash_and_the_next_query_runs(run):
    answer = run("SELECT 1", tables=["nothing"])
    assert set(answer) == FIELDS
    assert answer["outcome"] == "crashed"
    assert "70" in answer["reason"]
    assert run("SELECT 1")["outcome"] == "ok"


def test_the_peak_is_that_of_the_query_not_of_those_before(run):
    large = run("SELECT note, count(*) FROM facts GROUP BY 1")
    small = run("SELECT count(*) FROM groups")
    assert large["peak_memory_bytes"] > 10 * small["peak_memory_bytes"]
    assert small["peak_memory_bytes"] < 4 << 20


def test_the_setup_is_not_measured(run):
    heavy = "CREATE TABLE stored AS SELECT a.id FROM facts AS a, groups ORDER BY note"
    answer = run("SELECT 1", setup=[heavy])
    assert answer["outcome"] == "ok"
    assert answer["cpu_s"] < 0.5 * run(heavy)["cpu_s"]


def test_cpu_seconds_are_exact_while_the_limit_is_watched():
    """Against the clock of the only thread, which no timer makes coarse."""
    driver = f"""
import importlib.util, signal, statistics, time
specification = importlib.util.spec_from_file_location("query_worker", {str(WORKER)!r})
worker = importlib.util.module_from_spec(specification)
specification.loader.exec_module(worker)
signal.setitimer(signal.ITIMER_PROF, 100)
errors = []
for _ in range(31):
    process, thread = worker._cpu(), time.thread_time()
    sum(range(100_000))  # looks at no clock: that alone would bring a coarse one up to date
    errors.append(abs(worker._cpu() - process - (time.thread_time() - thread)))
print(statistics.median(errors))  # a coarse clock is wrong by milliseconds nearly always; a busy machine now and then
"""
    result = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, check=True)
    assert float(result.stdout) < 0.001


def test_statements_without_a_plan_are_measured_too(run):
    for sql in ("SET enable_progress_bar = false", "BEGIN TRANSACTION", "SHOW TABLES", "EXPLAIN SELECT * FROM facts"):
        answer = run(sql)
        assert answer["outcome"] == "ok", sql
        assert answer["scans"] == [], sql
        assert answer["peak_memory_bytes"] is not None, sql


def test_a_generation_that_fails_leaves_nothing(run, tmp_path):
    answer = run(
        "", task="generate", extension=str(tmp_path / "none"), function="dbgen", scale_factor=0.01,
        folder=str(tmp_path / "lab"),
    )  # fmt: skip
    assert answer["outcome"] == "error"
    assert "none" in answer["reason"]
    assert list(tmp_path.iterdir()) == []
