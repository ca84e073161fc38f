"""Every shape of a log becomes the same canonical one."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import UserError
from augury.pipelines.data_engineering.query_sources import QuerySource, adapt_log
from augury.predictors import query_columns as qc
from augury.predictors.query_shapes import read_shape, snake_case
from augury.schemas.query_log import QueryLog

GIB = 2**30

CANONICAL = {
    "query_id": "20240304_050607_00012_abcde",
    "query": "SELECT * FROM orders -- ünïcode",
    "prepared_query": None,
    "query_state": "FINISHED",
    "query_type": "SELECT",
    "user": "ana",
    "source": "trino-cli",
    "catalog": "hive",
    "schema": "sales",
    "client_info": None,
    "client_tags": "etl,nightly",
    "resource_group_id": "global.adhoc",
    "session_properties": '{"query_max_memory":"1GB"}',
    "server_version": "476",
    "create_time": pd.Timestamp("2024-03-04 05:06:07.123456"),
    "end_time": pd.Timestamp("2024-03-04 05:06:10.500000"),
    "cpu_time_s": 1.23,
    "peak_memory_gb": 1.5,
    "physical_input_bytes": 1000.0,
    "physical_input_rows": 10.0,
    "error_name": None,
    "error_type": None,
    "inputs_json": '[{"catalogName":"hive","physicalInputBytes":1000,"physicalInputRows":10,'
    '"schema":"sales","table":"orders"}]',
    "origin": "measured",
    "date": "2024-03-04",
}

EVENT = {
    "metadata": {
        "queryId": CANONICAL["query_id"],
        "query": CANONICAL["query"],
        "queryState": "FINISHED",
        "uri": "http://x",
        "plan": "long",
    },
    "statistics": {
        "cpuTime": 1.23,
        "wallTime": 3.3,
        "peakUserMemoryBytes": 1.5 * GIB,
        "physicalInputBytes": 1000,
        "physicalInputRows": 10,
    },
    "context": {
        "user": "ana",
        "source": "trino-cli",
        "catalog": "hive",
        "schema": "sales",
        "clientTags": ["etl", "nightly"],
        "resourceGroupId": ["global", "adhoc"],
        "sessionProperties": {"query_max_memory": "1GB"},
        "serverVersion": "476",
        "queryType": "SELECT",
    },
    "ioMetadata": {
        "inputs": [
            {
                "catalogName": "hive",
                "schema": "sales",
                "table": "orders",
                "columns": ["a", "b"],
                "connectorInfo": {"partitionIds": ["x"]},
                "physicalInputBytes": 1000,
                "physicalInputRows": 10,
            }
        ]
    },
    "createTime": "2024-03-04T05:06:07.123456Z",
    "endTime": "2024-03-04T05:06:10.5Z",
}


def adapt(table, source=None, seed=1):
    return adapt_log(QueryLog.validate(table), source or QuerySource(), seed)


def row_of(table, source=None):
    log, report = adapt(table, source)
    assert tuple(log.columns) == tuple(qc.COLUMNS)
    assert len(log) == 1
    row = log.iloc[0].to_dict()
    return {
        name: None if not isinstance(value, str) and pd.isna(value) else value for name, value in row.items()
    }, report


def without(**missing):
    return CANONICAL | missing


# --- the formats ---


def test_a_canonical_log_stays_what_it_is(query_log):
    log, report = adapt(query_log)
    pd.testing.assert_frame_equal(log, query_log)
    assert report["format"] == "canonical"
    assert report["rows"] == report["rows_read"] == len(query_log)
    assert (report["first_date"], report["last_date"]) == (query_log["date"].min(), query_log["date"].max())
    assert report["columns_missing"] == []


def test_the_flat_export_of_the_original():
    table = pd.DataFrame(
        {
            "queryId": [CANONICAL["query_id"]],
            "query": [CANONICAL["query"]],
            "user": ["ana"],
            "catalog": ["hive"],
            "schema": ["sales"],
            "cpuTime": [1230],
            "peakUserMemoryBytes": [int(1.5 * GIB)],
            "errorName": [None],
            "queryType": ["SELECT"],
            "createTime": ["2024-03-04 05:06:07.123456"],
            "endTime": ["2024-03-04 05:06:10.500 UTC"],
            "clientInfo": [None],
            "sessionproperties": [CANONICAL["session_properties"]],
            "totalBytes": [5],
        }
    )
    row, report = row_of(table)
    unknown = ["source", "client_tags", "resource_group_id", "server_version", "inputs_json", "query_state"]
    expected = without(**dict.fromkeys([*unknown, "physical_input_bytes", "physical_input_rows"]))
    assert row == expected
    assert report["format"] == "original_flat"
    assert report["columns"]["cpu_time_s"] == {"raw": "cpuTime", "unit": "milliseconds"}
    assert report["columns_unused"] == ["totalBytes"]
    in_seconds, _ = row_of(table.assign(cpuTime=1.23), QuerySource(duration_unit="seconds"))
    assert in_seconds == expected
    assert row_of(table.assign(cpuTime="1.23s"))[0] == expected


def test_the_table_of_the_mysql_listener():
    table = pd.DataFrame(
        {
            "query_id": [CANONICAL["query_id"]],
            "query": [CANONICAL["query"]],
            "prepared_query": [None],
            "query_state": ["FINISHED"],
            "plan": ["long"],
            "user": ["ana"],
            "source": ["trino-cli"],
            "catalog": ["hive"],
            "schema": ["sales"],
            "client_info": [None],
            "client_tags_json": ['["etl", "nightly"]'],
            "resource_group_id": ["global.adhoc"],
            "session_properties_json": [CANONICAL["session_properties"]],
            "server_version": ["476"],
            "query_type": ["SELECT"],
            "inputs_json": [CANONICAL["inputs_json"]],
            "error_code": ["EXCEEDED_CPU_LIMIT"],
            "error_type": ["INSUFFICIENT_RESOURCES"],
            "cpu_time_millis": [1230],
            "wall_time_millis": [3500],
            "queued_time_millis": [1],
            "peak_memory_bytes": [int(1.5 * GIB)],
            "physical_input_bytes": [1000],
            "physical_input_rows": [10],
        }
    )
    row, report = row_of(table)
    assert row == without(
        # It has no times: the identifier tells the second, the wall time the end
        create_time=pd.Timestamp("2024-03-04 05:06:07"),
        end_time=pd.Timestamp("2024-03-04 05:06:10.5"),
        error_name="EXCEEDED_CPU_LIMIT",
        error_type="INSUFFICIENT_RESOURCES",
    )
    assert report["format"] == "mysql_listener"
    assert report["columns_unused"] == ["plan", "queued_time_millis"]


@pytest.mark.parametrize(
    ("column", "wrap"),
    [
        ("event", json.dumps),
        ("value", lambda event: json.dumps(event).encode()),
        ("payload", lambda event: json.dumps({"eventMetadata": {"cluster": "a"}, "eventPayload": event})),
        ("message", lambda event: event),
    ],
)
def test_events_as_json(column, wrap):
    row, report = row_of(pd.DataFrame({column: [wrap(EVENT)], "offset": [1]}))
    assert row == CANONICAL
    assert report["format"] == "event_json"
    assert report["columns_unused"] == ["offset"]


def test_events_whose_parts_or_fields_are_columns():
    assert row_of(pd.DataFrame([EVENT]))[0] == CANONICAL
    assert (
        row_of(
            pd.DataFrame(
                [
                    {name: json.dumps(part) for name, part in EVENT.items() if "Time" not in name}
                    | {"createTime": EVENT["createTime"], "endTime": EVENT["endTime"]}
                ]
            )
        )[0]
        == CANONICAL
    )
    flat = pd.json_normalize([EVENT])
    assert "statistics.cpuTime" in flat
    row, report = row_of(flat.drop(columns="ioMetadata.inputs"))
    properties = "context.sessionProperties.query_max_memory"
    assert row == without(session_properties=None, inputs_json=None)
    assert properties in report["columns_unused"]


@pytest.mark.parametrize(
    ("cpu", "unit"), [("1.23s", "auto"), ("PT1.23S", "auto"), (1230, "milliseconds"), (1.23, "seconds")]
)
def test_durations_of_events_in_every_encoding(cpu, unit):
    event = json.loads(json.dumps(EVENT))
    event["statistics"]["cpuTime"] = cpu
    row, _ = row_of(pd.DataFrame({"event": [json.dumps(event)]}), QuerySource(duration_unit=unit))
    assert row["cpu_time_s"] == 1.23


def test_failures_of_events_and_half_characters():
    event = json.loads(json.dumps(EVENT))
    event["failureInfo"] = {"errorCode": {"code": 131, "name": "EXCEEDED_CPU_LIMIT", "type": "INSUFFICIENT_RESOURCES"}}
    event["metadata"] |= {"query": "SELECT '\ud800'", "preparedQuery": "SELECT ?", "queryState": "FAILED"}
    row, _ = row_of(pd.DataFrame({"event": [json.dumps(event)]}))
    assert row["error_name"] == "EXCEEDED_CPU_LIMIT"
    assert row["error_type"] == "INSUFFICIENT_RESOURCES"
    assert row["prepared_query"] == "SELECT ?"
    assert row["query"] == "SELECT '\N{REPLACEMENT CHARACTER}'"


def test_events_of_queries_that_are_not_over_are_left_out_and_counted():
    created = {name: part for name, part in EVENT.items() if name in ("metadata", "context", "createTime")}
    split = {"queryId": "x", "stageId": "y", "createTime": EVENT["createTime"]}
    log, report = adapt(pd.DataFrame({"event": [json.dumps(event) for event in (created, EVENT, split)]}))
    assert log["query_id"].tolist() == [CANONICAL["query_id"]]
    assert (report["rows_read"], report["rows_not_completed"], report["rows"]) == (3, 2, 1)


def test_running_queries_can_be_scored_but_not_learnt_from():
    table = pd.DataFrame(
        {
            "query_id": [CANONICAL["query_id"]],
            "state": ["RUNNING"],
            "user": ["ana"],
            "source": ["x"],
            "query": ["SELECT 1"],
            "resource_group_id": [["global", "adhoc"]],
            "queued_time_ms": [1],
            "analysis_time_ms": [1],
            "planning_time_ms": [1],
            "created": [pd.Timestamp("2024-03-04 05:06:07", tz="UTC")],
            "last_heartbeat": [pd.Timestamp("2024-03-04 05:06:07", tz="UTC")],
            "end": [pd.NaT],
            "error_type": [None],
            "error_code": [None],
        }
    )
    assert read_shape(list(QueryLog.validate(table).columns)).format == "runtime_queries"
    with pytest.raises(UserError, match=r"system\.runtime\.queries.*can be scored"):
        adapt_log(table, QuerySource(), 1)


# --- tables of one's own ---


def test_text_time_and_cpu_under_any_name_are_enough():
    bare = pd.DataFrame({"ts": pd.to_datetime(["2024-03-04 05:06:07"]), "query": ["SELECT 1"], "cpu_seconds": [2.5]})
    expected, _ = row_of(bare)
    assert expected["query_id"].startswith("row-")
    assert (expected["cpu_time_s"], expected["peak_memory_gb"], expected["origin"]) == (2.5, None, "measured")
    assert expected["end_time"] == expected["create_time"] == pd.Timestamp("2024-03-04 05:06:07")
    for names in (
        {"ts": "Timestamp", "query": "SQL", "cpu_seconds": "CPU time seconds"},
        {"ts": "created_at", "query": "statement", "cpu_seconds": "cpuTimeS"},
        {"ts": "createTime", "query": "query_text", "cpu_seconds": "cpu_s"},
    ):
        assert row_of(bare.rename(columns=names))[0] == expected
    assert row_of(bare.assign(cpu_seconds=2500).rename(columns={"cpu_seconds": "cpu_ms"}))[0] == expected
    assert row_of(bare.assign(memory_mb=512, ok=False))[0] == expected | {
        "query_id": row_of(bare.assign(memory_mb=512, ok=False))[0]["query_id"],
        "peak_memory_gb": 0.5,
        "query_state": "FAILED",
    }


def test_without_identifiers_rows_are_told_apart_by_all_that_is_known():
    bare = pd.DataFrame({"ts": ["2024-03-04"] * 5, "query": ["a", "a", "b", "a", None], "cpu_s": [1, 1, 1, 2, 1]})
    first, _ = adapt(bare)
    ids = first["query_id"].tolist()
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    again, _ = adapt(bare.iloc[::-1])
    assert again["query_id"].tolist() == ids[::-1]


def test_rows_without_any_time_are_left_out_and_counted(query_log):
    log, report = adapt(query_log.assign(create_time=query_log["create_time"].where(query_log.index % 3 > 0)))
    # The identifiers still tell the second
    assert report["rows_without_time"] == 0
    assert (
        log["create_time"]
        == query_log["create_time"].where(query_log.index % 3 > 0, query_log["create_time"].dt.floor("s"))
    ).all()
    renamed = query_log.assign(
        create_time=query_log["create_time"].where(query_log.index % 3 > 0),
        query_id=[f"q{row}" for row in query_log.index],
    )
    log, report = adapt(renamed)
    assert report["rows_without_time"] == 2_000
    assert len(log) == report["rows"] == 4_000
    with pytest.raises(UserError, match="no row is left of 6000"):
        adapt(renamed.assign(create_time=pd.NaT))


def test_an_end_before_the_creation_or_none_is_the_creation(query_log):
    ends = (
        query_log["end_time"].mask(query_log.index % 2 == 0).mask(query_log.index % 3 == 0, pd.Timestamp("2000-01-01"))
    )
    log, _ = adapt(query_log.assign(end_time=ends))
    changed = (query_log.index % 2 == 0) | (query_log.index % 3 == 0)
    assert (log["end_time"] == query_log["end_time"].mask(changed, query_log["create_time"])).all()


def test_times_without_a_zone_are_in_that_of_the_parameters():
    bare = pd.DataFrame({"ts": ["2024-07-01 12:00"], "query": ["a"], "cpu_s": [1]})
    source = QuerySource(time_zone="Europe/Berlin")
    assert row_of(bare, source)[0]["create_time"] == pd.Timestamp("2024-07-01 10:00")
    typed = bare.assign(ts=pd.to_datetime(bare["ts"]))
    assert row_of(typed, source)[0]["create_time"] == pd.Timestamp("2024-07-01 10:00")
    zoned = bare.assign(ts=pd.to_datetime(bare["ts"]).dt.tz_localize("America/New_York"))
    row, report = row_of(zoned, source)
    assert row["create_time"] == pd.Timestamp("2024-07-01 16:00")
    assert report["columns"]["create_time"]["unit"] == "UTC"
    assert row["date"] == "2024-07-01"


def test_numbers_without_a_unit_are_refused(query_log):
    table = query_log.rename(columns={"cpu_time_s": "cpu_time"})
    with pytest.raises(UserError, match=r"'cpu_time' does not say .* query_cost\.source\.duration_unit"):
        adapt(table)
    log, _ = adapt(table, QuerySource(duration_unit="seconds"))
    assert log["cpu_time_s"].equals(query_log["cpu_time_s"])
    with pytest.raises(UserError, match="must state its unit"):
        adapt(table.assign(cpu_time="12"))
    log, _ = adapt(table.assign(cpu_time="1.5m"))
    assert (log["cpu_time_s"] == 90.0).all()


def test_a_log_without_costs_is_refused(query_log):
    table = query_log.drop(columns=["cpu_time_s", "peak_memory_gb"]).assign(cpu_tim_s=1.0)
    with pytest.raises(
        UserError, match=r"no column says what a query cost: 'cpu_time_s' \(Did you mean 'cpu_tim_s'\?\)"
    ):
        adapt(table)


def test_a_table_that_is_not_what_was_expected_is_refused(query_log):
    with pytest.raises(UserError, match="format is 'mysql_listener', but the columns are those of 'canonical'"):
        adapt(query_log, QuerySource(format="mysql_listener"))
    adapt(query_log, QuerySource(format="canonical"))


@pytest.mark.parametrize(
    ("raw", "snake"),
    [
        ("queryId", "query_id"),
        ("Query ID", "query_id"),
        ("query-id", "query_id"),
        ("metadata.queryId", "metadata_query_id"),
        ("CPU", "cpu"),
    ],
)
def test_names_are_compared_in_one_form(raw, snake):
    assert snake_case(raw) == snake


# --- shares and engines ---


def test_a_share_is_the_same_queries_whatever_else_is_there(query_log):
    log, report = adapt(query_log, QuerySource(row_share=0.25))
    assert report["rows"] == len(log)
    assert report["rows_outside_share"] == len(query_log) - len(log)
    assert len(log) == pytest.approx(0.25 * len(query_log), rel=0.1)
    half, _ = adapt(query_log.iloc[::2], QuerySource(row_share=0.25))
    assert set(half["query_id"]) == set(log["query_id"]) & set(query_log["query_id"].iloc[::2])
    larger, _ = adapt(query_log, QuerySource(row_share=0.5))
    assert set(log["query_id"]) < set(larger["query_id"])
    other, _ = adapt(query_log, QuerySource(row_share=0.25), seed=2)
    assert set(other["query_id"]) != set(log["query_id"])


@given(number=st.floats(0, 1e6), seed=st.integers(0, 9))
@settings(max_examples=15)
def test_costs_come_through_unchanged(number, seed):
    table = pd.DataFrame({"ts": ["2024-03-04"], "query": ["a"], "cpu_time_s": [number], "peak_memory_gb": [number]})
    log, _ = adapt(table, seed=seed)
    assert log["cpu_time_s"].tolist() == log["peak_memory_gb"].tolist() == [number]


def test_every_engine_reads_the_same_from_rows_of_all_kinds(query_log, frame_engine):
    table = query_log.head(1_500).drop(columns=["query_id", "end_time", "date"]).rename(columns={"create_time": "ts"})
    table = table.assign(
        cpu_time=[None if np.isnan(cpu) else f"{cpu!r}s" for cpu in table.pop("cpu_time_s")],
        wall_time_ms=np.arange(len(table)) * 10,
        tags=[["a", "b"], [], None] * 500,
        note="unused",
    )
    table["ts"] = table["ts"].dt.tz_localize("UTC")
    expected, counted = adapt(table)
    native, report = adapt(frame_engine.make(table), seed=1)
    keys = ["query_id", "origin"]
    found = frame_engine.collect(native, keys).astype({"create_time": "datetime64[us]", "end_time": "datetime64[us]"})
    pd.testing.assert_frame_equal(found, expected.sort_values(keys, ignore_index=True), check_exact=True)
    assert tuple(found.columns) == tuple(qc.COLUMNS)
    assert report == counted


@pytest.mark.spark
def test_events_are_read_alike_on_spark(spark):
    events = [json.dumps(EVENT | {"metadata": EVENT["metadata"] | {"queryId": f"id-{row}"}}) for row in range(50)]
    table = pd.DataFrame({"value": events})
    expected, _ = adapt(table)
    for raw in (spark.createDataFrame(table), spark.read.json(spark.sparkContext.parallelize(events))):
        native, _ = adapt(raw)
        found = native.toPandas().sort_values("query_id", ignore_index=True)
        found = found.astype({"create_time": "datetime64[us]", "end_time": "datetime64[us]"})
        pd.testing.assert_frame_equal(found, expected.sort_values("query_id", ignore_index=True), check_exact=True)


# --- parameters ---


@pytest.mark.parametrize("changes", [{"time_zone": "Mars"}, {"row_share": 0}, {"row_share": 2}, {"format": "csv"}])
def test_parameters_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValidationError):
        QuerySource(**changes)
