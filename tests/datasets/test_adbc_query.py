"""An interval of time from PostgreSQL: what can be said of it without a server."""

import datetime as dt
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.io import DatasetError

from augury.datasets.adbc_query import ADBCQueryDataset, read_time, server_name
from augury.errors import UserError
from augury.extras import missing_extra

HOSTILE = "2024-01-01'; DROP TABLE purchases; --"


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (None, None),
        ("", None),
        ("2024-01-31", dt.datetime(2024, 1, 31)),
        ("2024-01-31T12:30", dt.datetime(2024, 1, 31, 12, 30)),
        ("2024-01-31T12:30:00+02:00", dt.datetime(2024, 1, 31, 10, 30)),
        ("2024-01-31T23:30:00-03:00", dt.datetime(2024, 2, 1, 2, 30)),
        (dt.date(2024, 2, 29), dt.datetime(2024, 2, 29)),
        (dt.datetime(2024, 2, 29, 1), dt.datetime(2024, 2, 29, 1)),
    ],
)
def test_dates_and_times_are_read(value, time):
    assert read_time("since", value) == time


@given(st.datetimes(timezones=st.none() | st.timezones()))
def test_every_time_is_read_as_utc(time):
    try:
        utc = time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)
    except OverflowError:  # a zone beyond the first or last day
        return
    assert read_time("until", time.isoformat()) == utc == read_time("until", time)


@pytest.mark.parametrize(
    "value", [HOSTILE, "yesterday", "2024-13-01", "2023-02-29", 20240101, True, 1.5, ["2024-01-01"]]
)
def test_anything_else_is_refused_before_there_is_a_connection(value):
    with pytest.raises(UserError, match="since must be a date or a time such as 2024-01-31") as refusal:
        ADBCQueryDataset(sql="SELECT 1", since=value, credentials={"con": "postgresql://127.0.0.1:9/none"})
    assert repr(value) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("until", ["2024-01-01", "2023-12-31"])
def test_an_empty_interval_is_refused(until):
    with pytest.raises(UserError, match="since must be before until"):
        ADBCQueryDataset(sql="SELECT 1", since="2024-01-01", until=until)


@pytest.mark.parametrize("arguments", [{}, {"sql": "SELECT 1", "filepath": "a.sql"}])
def test_there_is_one_query(arguments):
    with pytest.raises(DatasetError, match="either 'sql' or 'filepath'"):
        ADBCQueryDataset(**arguments)


def test_the_entry_only_reads():
    with pytest.raises(DatasetError, match=r"only reads.*load_purchases"):
        ADBCQueryDataset(sql="SELECT 1").save(pd.DataFrame())
    with pytest.raises(DatasetError, match="credentials know only 'con'"):
        ADBCQueryDataset(sql="SELECT 1", credentials={"user": "ann"})


@pytest.mark.parametrize(
    ("con", "name"),
    [
        ("postgresql://ann:secret@db.example:5433/shop", "db.example:5433/shop"),
        ("postgresql+psycopg://ann:se@cret@db.example/shop?sslmode=require", "db.example/shop"),
        ("postgresql://ann@/shop?host=/run/postgresql&password=secret", "/run/postgresql/shop"),
    ],
)
def test_a_server_is_named_without_its_password(con, name, monkeypatch):
    assert server_name(con) == name
    described = repr(ADBCQueryDataset(sql="SELECT 1", credentials={"con": con}))
    assert "cret" not in described
    assert name in described
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGDATABASE", "orders")
    assert server_name("postgresql://") == "db.example/orders"


def test_nobody_listens():
    with pytest.raises(DatasetError) as failure:
        ADBCQueryDataset(sql="SELECT 1", credentials={"con": "postgresql://ann:secret@127.0.0.1:9/shop"}).load()
    cause = failure.value.__cause__
    assert isinstance(cause, UserError)
    message = str(cause)
    assert message.startswith("PostgreSQL at 127.0.0.1:9/shop: ")
    assert "Connection refused" in message
    assert "PGPASSWORD" in message
    assert "secret" not in message
    assert "\n" not in message


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_manager", None)
    with pytest.raises(DatasetError) as failure:
        ADBCQueryDataset(sql="SELECT 1").load()
    assert "pip install 'augury[postgres]'" in missing_extra(failure.value)
