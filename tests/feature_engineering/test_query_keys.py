"""Keys of a log: who and what a query is filed under, what it read, and from when that is known."""

import json

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.feature_engineering.query_keys import KEYS, available_dates, fingerprint_log
from augury.predictors.query_features import QueryFeatures
from augury.predictors.query_keys import SEPARATOR

FEATURES = QueryFeatures(ingest_delay_minutes=30, unknown_duration_hours=24)


def keyed(query_stage, *records):
    return fingerprint_log(query_stage.labelled(records), FEATURES)


def test_names_become_keys(query_stage):
    found = keyed(
        query_stage,
        {
            "user": " Ana ",
            "source": "jdbc",
            "catalog": "HIVE",
            "schema": "Sales",
            "query": 'select 1 from T, "X".y, a.b.c',
        },
        {"user": "", "source": "\x00\t", "catalog": None, "schema": "sales", "query": "select 1"},
    )
    first, second = found.to_dict("records")
    assert list(found) == list(KEYS)
    assert (first["user"], first["source"], first["catalog"], first["schema"]) == ("Ana", "jdbc", "hive", "hive.sales")
    assert first["tables"].split(SEPARATOR) == ["a.b.c", "hive.sales.t", "hive.x.y"]
    assert [second[name] for name in ("user", "source", "catalog", "schema", "tables", "user_tables")] == [None] * 6
    assert second["template"]


def test_schemas_of_one_name_in_two_catalogs_are_two(query_stage):
    found = keyed(query_stage, *({"catalog": catalog, "schema": "sales"} for catalog in ("hive", "iceberg")))
    assert found["schema"].tolist() == ["hive.sales", "iceberg.sales"]


def test_a_template_is_one_for_all_literals_and_the_tables_of_a_user_are_one_set(query_stage):
    same = {"user": "ana", "catalog": "hive", "schema": "s"}
    found = keyed(
        query_stage,
        same | {"query": "select a from t join u on x = 1"},
        same | {"query": "SELECT a FROM t  JOIN u ON x = 2 -- again"},
        same | {"query": "select b from u, t"},
        same | {"query": "select b from u, t", "user": "bo"},
    )
    assert found["template"][0] == found["template"][1] != found["template"][2]
    assert found["user_tables"][0] == found["user_tables"][1] == found["user_tables"][2] != found["user_tables"][3]


def test_reads_are_summed_by_table(query_stage):
    reads = [query_stage.read("T", 100, 5), query_stage.read("t", 20, None), query_stage.read("u", None, None)]
    (text,) = keyed(query_stage, {"inputs": reads})["inputs"]
    assert json.loads(text) == [["hive.sales.t", 120, 5], ["hive.sales.u", None, None]]


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "7", '[1, null, {"table": "t"}]', '{"a": 1}', "[" * 100_000, '[{"catalogName": null}]'],
)
def test_inputs_that_say_nothing_are_none(query_stage, text):
    assert keyed(query_stage, {"inputs": text})["inputs"].tolist() == [None]


@pytest.mark.parametrize("amount", [-1, "12", 1e300, None, True])
def test_amounts_that_cannot_be_are_unknown(query_stage, amount):
    (text,) = keyed(query_stage, {"inputs": json.dumps([query_stage.read("t", amount, 7)])})["inputs"]
    assert json.loads(text) == [["hive.sales.t", None, 7]]


@pytest.mark.parametrize(
    ("created", "ended", "expected"),
    [
        ("2026-01-01T10:00:00", "2026-01-01T23:29:59.999999", "2026-01-01"),
        ("2026-01-01T10:00:00", "2026-01-01T23:30:00", "2026-01-02"),
        # A clock that went backwards does not make a query known before it began
        ("2026-01-05T10:00:00", "2026-01-01T10:00:00", "2026-01-05"),
        ("2026-01-05T23:45:00", "2026-01-05T23:40:00", "2026-01-06"),
        ("2026-02-28T10:00:00", "NaT", "2026-03-01"),
        ("NaT", "2026-01-07T10:00:00", "2026-01-07"),
        ("NaT", "NaT", None),
    ],
)
def test_the_day_from_which_an_outcome_is_known(created, ended, expected):
    times = (pd.Series(np.array([value], dtype="datetime64[us]")) for value in (created, ended))
    assert available_dates(*times, FEATURES).tolist() == [expected]
