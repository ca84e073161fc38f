"""Refusals of a raw query log: each names the column, the rule, how many rows break it, and an example."""

import io

import pandas as pd
import pytest

from augury.errors import UserError
from augury.schemas.query_log import QueryLog

ROWS = 10


@pytest.fixture
def log():
    """The least that a person can bring."""
    return pd.DataFrame(
        {
            "ts": pd.date_range("2024-03-04", periods=ROWS, freq="h"),
            "query": [f"SELECT {number} FROM t" for number in range(ROWS)],
            "cpu_time_seconds": [number / 4 for number in range(ROWS)],
        }
    )


def complaints(table):
    """The lines of the refusal, without its heading."""
    with pytest.raises(UserError) as caught:
        QueryLog.validate(table)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "query_cost.query_log breaks its schema:"
    return lines


def put(table, column, *values):
    """The table with other values in the first rows of a column."""
    changed = table[column].astype("object").to_list()
    changed[: len(values)] = values
    return table.assign(**{column: pd.Series(changed, index=table.index, dtype=object)})


def test_a_right_table_comes_back_as_it_was(log):
    before = log.copy(deep=True)
    assert QueryLog.validate(log) is log
    pd.testing.assert_frame_equal(log, before)


def test_a_table_from_csv_is_right_too(log):
    QueryLog.validate(pd.read_csv(io.StringIO(log.to_csv(index=False))))


def test_a_log_without_costs_can_be_scored(log):
    QueryLog.validate(log[["ts", "query"]])


@pytest.mark.parametrize("unit", ["cpu_time", "cpu_time_seconds", "cpu_ms"])
def test_the_unit_of_numbers_is_not_judged_here(log, unit):
    QueryLog.validate(log.rename(columns={"cpu_time_seconds": unit}))


def test_a_missing_column_comes_with_its_near_match(log):
    with pytest.raises(UserError, match=r"required column missing: 'query' \(Did you mean 'querry'\?\)"):
        QueryLog.validate(log.rename(columns={"query": "querry"}))
    with pytest.raises(UserError, match=r"'create_time' \(Did you mean 'creat_time'\?\)") as caught:
        QueryLog.validate(log.rename(columns={"ts": "creat_time"}))
    assert "query_id" in str(caught.value)


def test_an_empty_table_is_refused(log):
    with pytest.raises(UserError, match=r"query_cost\.query_log: the table has no rows"):
        QueryLog.validate(log.head(0))


@pytest.mark.parametrize(
    ("column", "values", "line"),
    [
        (
            "cpu_time_seconds",
            [-1.5, -2],
            "- column 'cpu_time_seconds': must not be negative: 2 row(s), for example -1.5, -2",
        ),
        (
            "cpu_time_seconds",
            ["soon"],
            "- column 'cpu_time_seconds': must be a duration in seconds or with a unit, such as '1.5s': 1 row(s), "
            "for example 'soon'",
        ),
        ("cpu_time_seconds", [float("inf")], "- column 'cpu_time_seconds': must be finite: 1 row(s), for example inf"),
        ("cpu_time_seconds", ["-3s"], "- column 'cpu_time_seconds': must not be negative: 1 row(s), for example '-3s'"),
        (
            "ts",
            ["never"],
            "- column 'ts': must be a time, such as '2024-03-04 05:06:07': 1 row(s), for example 'never'",
        ),
        ("ts", [3, 4], "- column 'ts': must be a time, such as '2024-03-04 05:06:07': 2 row(s), for example 3, 4"),
        ("memory", ["much"], "- column 'memory_gb': must be a size of memory, such as 1073741824 or '1GB': 1 row(s), "),
        ("query_id", [None, " "], "- column 'query_id': must not be blank: 2 row(s), for example missing"),
    ],
)
def test_each_broken_rule_is_one_line(log, column, values, line):
    if column == "memory":
        log["memory_gb"], column = 1.0, "memory_gb"
    if column == "query_id":
        log["query_id"] = [f"id-{number}" for number in range(ROWS)]
    found = complaints(put(log, column, *values))
    assert len(found) == 1
    assert found[0].startswith(line)


def test_all_that_is_wrong_is_told_at_once(log):
    broken = put(put(log, "ts", "never", "ever"), "cpu_time_seconds", -1.0)
    assert [line.split(":")[0] for line in complaints(broken)] == ["- column 'cpu_time_seconds'", "- column 'ts'"]


def test_missing_cells_are_no_mistakes(log):
    QueryLog.validate(put(put(put(log, "ts", None), "cpu_time_seconds", None, ""), "query", None, ""))


def test_broken_events_are_refused():
    good = '{"metadata": {"queryId": "a", "query": "SELECT 1"}, "statistics": {"cpuTime": 1}, "createTime": 1709528767}'
    QueryLog.validate(pd.DataFrame({"event": [good]}))
    table = pd.DataFrame({"event": [good, "{broken", "text", None, good.replace("1709528767", '"x"')]})
    found = complaints(table)
    assert "'createTime': must be a time" in found[0]
    assert found[1] == "- column 'event': must be an event as JSON: 3 row(s), for example '{broken', 'text', missing"


def test_every_engine_refuses_in_the_same_words(log, frame_engine):
    broken = log.assign(cpu_time_seconds=[-1.0, *[0.5] * (ROWS - 1)], query_id=["", *map(str, range(1, ROWS))])
    assert complaints(frame_engine.make(broken)) == [
        "- column 'cpu_time_seconds': must not be negative: 1 row(s), for example -1.0",
        "- column 'query_id': must not be blank: 1 row(s), for example missing",
    ]
    right = frame_engine.make(log)
    assert QueryLog.validate(right) is right
