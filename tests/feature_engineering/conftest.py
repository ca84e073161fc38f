"""A small labelled query log, and the nodes of the stage in a row."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from augury import engines
from augury.pipelines.feature_engineering import query_history, query_keys, query_log
from augury.predictors.query_features import QueryFeatures

TEXT_COLUMNS = ("query", "prepared_query", "user", "source", "catalog", "schema", "client_info", "client_tags")


def labelled(records):
    """A labelled log of records that name what matters; the rest is plain."""
    rows = []
    for number, record in enumerate(records):
        row = {
            "query_id": f"q{number:05d}",
            "query": "select a from t",
            "query_type": "SELECT",
            "created": "2026-01-01T10:00:00",
            "seconds": 60.0,
            "cpu": 1.0,
            "memory": 0.5,
            "heavy": False,
            "split": "train",
            "inputs": None,
        } | record
        created = np.datetime64(row["created"], "us")
        seconds = row["seconds"]
        ended = np.datetime64("NaT", "us") if seconds is None else created + np.timedelta64(int(seconds * 1e6), "us")
        rows.append(row | {"create_time": created, "end_time": ended})
    frame = pd.DataFrame(rows)
    columns = {"query_id": frame["query_id"]}
    for name in (*TEXT_COLUMNS, "query_type"):
        given = frame[name].tolist() if name in frame else [None] * len(frame)
        columns[name] = pd.Series([text if isinstance(text, str) else None for text in given], dtype=object)
    dates = frame["create_time"].to_numpy().astype("datetime64[D]")
    return pd.DataFrame(
        columns
        | {
            "sql_text": columns["query"],
            "create_time": frame["create_time"].astype("datetime64[us]"),
            "end_time": frame["end_time"].astype("datetime64[us]"),
            "cpu_time_s": frame["cpu"].astype("float64"),
            "peak_memory_gb": frame["memory"].astype("float64"),
            "inputs_json": pd.Series(
                [json.dumps(value) if isinstance(value, list) else value for value in frame["inputs"]], dtype=object
            ),
            "is_heavy": frame["heavy"].astype(bool),
            "split": frame["split"],
            "weight": 1.0,
            "origin": "measured",
            "date": np.datetime_as_string(dates).astype(object),
        }
    )


def read(table, size, rows, catalog="hive", schema="sales"):
    """One of the inputs that Trino writes."""
    return {
        "catalogName": catalog,
        "schema": schema,
        "table": table,
        "physicalInputBytes": size,
        "physicalInputRows": rows,
    }


def stored(native):
    """A table as the catalog hands it to the next node: computed once."""
    return native.localCheckpoint() if engines.is_spark(native) else native


def run_stage(labelled_log, features=None, seed=7, sampled=None):
    """All nodes that make the matrix."""
    features = features or QueryFeatures(mask_share=0)
    sampled = labelled_log if sampled is None else sampled
    keys = stored(query_keys.fingerprint_log(labelled_log, features))
    daily = stored(query_history.daily_statistics(keys, features))
    history = stored(query_history.take_snapshots(daily, keys, sampled, features))
    matrix, account = query_log.build_features(sampled, history, features, seed)
    return SimpleNamespace(keys=keys, daily=daily, history=history, matrix=matrix, account=account, features=features)


def random_log(rows, days=20, seed=0):
    """A log with every oddity: missing columns, unknown costs, clocks that go backwards, names that need care."""
    random = np.random.default_rng(seed)
    tables = ["orders", "lineitem", "hive.raw.events", "iceberg.sales.orders", '"My Table"', "tmp_20260101"]
    texts = [
        f"select {column}, count(*) from {tables[number % 6]} a join {tables[(number * 5 + 1) % 6]} b on a.id = b.id "
        f"where x = {number} group by 1"
        for number, column in enumerate(["a", "b", "c", "d", "e"] * 8)
    ]
    texts += ["", "select 1", "SELECT '日本' FROM t -- ü", "select 'x\x00y' from t", "not sql at all ((("]

    def pick(values, missing=0.1):
        return None if random.random() < missing else values[min(int(random.zipf(1.5)) - 1, len(values) - 1)]

    records = []
    start = np.datetime64("2026-01-01T00:00:00", "us")
    for _ in range(rows):
        cost = None if random.random() < 0.05 else float(np.exp(random.normal(0, 3)))
        created = start + np.timedelta64(int(random.integers(0, days * 86_400_000_000)), "us")
        records.append(
            {
                "query": texts[min(int(random.zipf(1.3)) - 1, len(texts) - 1)],
                "created": str(created),
                "seconds": None if random.random() < 0.1 else float(random.choice([-7e4, 0, 30, 4000, 9e4, 3e5])),
                "cpu": cost,
                "memory": None if random.random() < 0.1 else float(np.exp(random.normal(-2, 2))),
                "heavy": bool(cost and cost > 20),
                "split": str(random.choice(["train", "train", "test"])),
                "user": pick(["ana", "bo", "Ünal", "d\x00e", "d e", " ", "日本"]),
                "source": pick(["airflow", "jdbc"]),
                "catalog": pick(["hive", "HIVE", "iceberg"]),
                "schema": pick(["sales", "raw"]),
                "client_info": pick(["{}"], 0.9),
                "client_tags": pick(["etl,nightly"], 0.5),
                "inputs": random.choice(
                    [
                        None,
                        "[]",
                        "{not json",
                        json.dumps([read("orders", 10**9, 5e6), read("orders", 1, None), read("x", None, 7)]),
                        json.dumps([read("lineitem", float(random.integers(0, 10**12)), 0)]),
                    ]
                ),
            }
        )
    return labelled(records)


@pytest.fixture(scope="session")
def query_stage():
    """Functions of this module, for the tests of the stage."""
    return SimpleNamespace(labelled=labelled, read=read, run=run_stage, random_log=random_log)
