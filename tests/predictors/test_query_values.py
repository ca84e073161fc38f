"""Durations, sizes, times and states in every spelling."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.predictors import query_values

NAT = pd.NaT


def objects(*values):
    return pd.Series(values, dtype=object)


def times(values, zone="UTC"):
    found, failed = query_values.read_times(values, zone)
    assert found.dtype == np.dtype("datetime64[us]")
    return [None if pd.isna(value) else str(pd.Timestamp(value)) for value in found], failed.tolist()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1.23s", 1.23),
        ("2.5m", 150.0),
        ("1.00h", 3600.0),
        ("2d", 172_800.0),
        ("15ms", 0.015),
        ("250us", 0.00025),
        ("12ns", 1.2e-8),
        ("PT1.5S", 1.5),
        ("PT2M3.25S", 123.25),
        ("P1DT1H", 90_000.0),
        ("pt0s", 0.0),
        ("0.7", 0.7),
        (" 3 ", 3.0),
        ("1e3", 1000.0),
        (4, 4.0),
        (Decimal("4.5"), 4.5),
        (pd.Timedelta("00:01:30"), 90.0),
        (timedelta(seconds=2), 2.0),
        ("-1s", -1.0),
    ],
)
def test_durations(written, seconds):
    found, failed = query_values.read_durations(objects(written), "seconds")
    assert found.tolist() == [seconds]
    assert not failed.any()


@pytest.mark.parametrize("written", ["soon", "1..2s", "s", "PT", "P", "1 s 2", "1.5 parsecs", ".", "--1", [1]])
def test_what_is_no_duration(written):
    _, failed = query_values.read_durations(objects(written), "seconds")
    assert failed.tolist() == [True]


@pytest.mark.parametrize("missing", [None, float("nan"), "", "  ", pd.NA, NAT])
def test_missing_cells_stay_missing_and_are_no_failures(missing):
    for read in (query_values.read_durations, query_values.read_sizes, query_values.read_counts):
        found, failed = read(objects(missing, 1), "seconds" if read is query_values.read_durations else "B")
        assert np.isnan(found).tolist() == [True, False]
        assert not failed.any()
    assert times(objects(missing)) == ([None], [False])
    assert query_values.read_texts(objects(missing)) == [None]
    assert query_values.read_states(objects(missing)) == [None]


def test_plain_numbers_are_of_the_unit_that_is_given_and_texts_of_their_own():
    values = objects(1500, "1500", "1.5s")
    assert query_values.read_durations(values, "milliseconds")[0].tolist() == [1.5, 1.5, 1.5]
    found, failed = query_values.read_durations(values, None)
    assert failed.tolist() == [True, True, False]
    assert found[2] == 1.5
    for dtype in ("int64", "float64", "Int64", "float32"):
        numbers = pd.Series([1500, 2], dtype=dtype)
        assert query_values.read_durations(numbers, "milliseconds")[0].tolist() == [1.5, 0.002]
        assert query_values.read_durations(numbers, None)[1].all()
    assert query_values.read_durations(pd.Series([timedelta(minutes=1)]), None)[0].tolist() == [60.0]
    assert np.isnan(query_values.read_durations(pd.Series([1, None], dtype="Int64"), "seconds")[0]).tolist() == [
        False,
        True,
    ]


@given(st.floats(0, 1e9))
def test_a_number_and_its_text_are_the_same_duration(number):
    found, _ = query_values.read_durations(objects(number, repr(number), f"{number!r}s"), "seconds")
    assert found.tolist() == [number] * 3
    found, _ = query_values.read_durations(objects(number, f"{number!r}ms"), "milliseconds")
    assert found[0] == found[1] == number / 1000


def test_sizes_are_in_gib():
    values = objects("1.5GB", "512MB", "1kB", "2TB", str(2**30), 2**31, "7B")
    found, failed = query_values.read_sizes(values, "B")
    assert found.tolist() == [1.5, 0.5, 2.0**-20, 2048.0, 1.0, 2.0, 7 / 2**30]
    assert not failed.any()
    assert query_values.read_sizes(pd.Series([512]), "MB")[0].tolist() == [0.5]
    assert query_values.read_sizes(pd.Series([3.5]), "GB")[0].tolist() == [3.5]
    assert query_values.read_sizes(objects("much", "1 XB"), "B")[1].all()


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2024-03-04 05:06:07.123", "2024-03-04 05:06:07.123000"),
        ("2024-03-04T05:06:07Z", "2024-03-04 05:06:07"),
        ("2024-03-04T05:06:07.1234567+02:00", "2024-03-04 03:06:07.123456"),
        ("2024-03-04 05:06:07.5 Europe/Berlin", "2024-03-04 04:06:07.500000"),
        ("2024-03-04 05:06:07 UTC", "2024-03-04 05:06:07"),
        ("2024-03-04", "2024-03-04 00:00:00"),
        ("1709528767123", "2024-03-04 05:06:07.123000"),
        ("1709528767", "2024-03-04 05:06:07"),
        (1709528767.25, "2024-03-04 05:06:07.250000"),
        (1709528767123456, "2024-03-04 05:06:07.123456"),
        (1709528767123456000, "2024-03-04 05:06:07.123456"),
        (datetime(2024, 3, 4, 5, 6, 7), "2024-03-04 05:06:07"),
        (datetime(2024, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2))), "2024-03-04 03:06:07"),
        (pd.Timestamp("2024-03-04", tz="Asia/Tokyo"), "2024-03-03 15:00:00"),
    ],
)
def test_times(written, utc):
    assert times(objects(written)) == ([utc], [False])


@pytest.mark.parametrize("written", ["never", "12:00", "2024-13-01", "2024-03-04 05:06:07 No/Where", 5, "17", True])
def test_what_is_no_time(written):
    assert times(objects(written)) == ([None], [True])


def test_typed_columns_of_times():
    naive = pd.Series(pd.to_datetime(["2024-07-01 12:00", None]))
    for unit in ("s", "ms", "us", "ns"):
        assert times(naive.astype(f"datetime64[{unit}]"))[0] == ["2024-07-01 12:00:00", None]
    assert times(naive, "Europe/Berlin")[0] == ["2024-07-01 10:00:00", None]
    # A zone of its own is stronger than the one for times without
    assert times(naive.dt.tz_localize("Asia/Tokyo"), "Europe/Berlin")[0] == ["2024-07-01 03:00:00", None]
    assert times(pd.Series([1709528767123, 3]))[1] == [False, True]
    assert times(pd.Series([1709528767.5, np.nan]))[0] == ["2024-03-04 05:06:07.500000", None]


def test_hours_that_a_clock_repeats_or_skips():
    found, failed = times(objects("2024-10-27 02:30:00", "2024-03-31 02:30:00"), "Europe/Berlin")
    assert found == ["2024-10-27 00:30:00", "2024-03-31 01:00:00"]
    assert failed == [False, False]


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)))
def test_every_spelling_of_a_moment_is_the_same_moment(moment):
    aware = moment.replace(tzinfo=UTC)
    micros = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    spellings = [
        moment,
        aware,
        moment.isoformat(),
        aware.isoformat(),
        f"{moment.isoformat()}Z",
        f"{moment} UTC",
        micros,
    ]
    found, failed = query_values.read_times(objects(*spellings), "UTC")
    assert not failed.any()
    assert (found == np.datetime64(moment, "us")).all()


def test_states_of_trino_and_of_a_column_that_says_whether_all_went_well():
    states = query_values.read_states(objects("FINISHED", "finished ", "Failed", True, False, "success", "RUNNING"))
    assert states == ["FINISHED", "FINISHED", "FAILED", "FINISHED", "FAILED", "FINISHED", "RUNNING"]
    assert query_values.read_states(pd.Series([True, False])) == ["FINISHED", "FAILED"]


def test_texts_lists_and_structures():
    values = objects("a", ["x", "y"], np.array(["z"]), b"bytes", 7, 7.0, {"b": 1, "a": [2]}, [])
    assert query_values.read_texts(values) == ["a", "x,y", "z", "bytes", "7", "7", '{"a": [2], "b": 1}', None]
    assert query_values.read_lists(objects('["a", "b"]', ["c"], "d", "[broken", None), ".") == [
        "a.b",
        "c",
        "d",
        "[broken",
        None,
    ]
    assert query_values.read_json(objects({"b": 1, "a": "ü"}, '{"x":1}', [{"c": np.int64(2)}], {}, None)) == [
        '{"a":"ü","b":1}',
        '{"x":1}',
        '[{"c":2}]',
        None,
        None,
    ]


@given(st.text(st.characters()))
def test_what_is_made_writable_can_be_written(text):
    written = query_values.writable(text)
    written.encode()
    if written != text:
        with pytest.raises(UnicodeEncodeError):
            text.encode()
