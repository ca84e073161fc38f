"""The same events from the SQLite file, from Parquet and from Spark, as a catalog entry reads them."""

import datetime as dt

import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.io import DataCatalog, DatasetError

from augury import engines
from augury.datasets.telemetry_events import TelemetryEventsDataset, read_events
from augury.errors import UserError, causes
from augury.telemetry import TelemetryCollector
from augury.telemetry.events import columns
from augury.telemetry_commands import telemetry

DAY_NS = 86_400 * 10**9
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """A file with three days of fetches, some candidates not chosen, and accesses of plain and of nameless objects."""
    folder = tmp_path_factory.mktemp("telemetry")
    now = [round(START.timestamp()) * 10**9]
    path = folder / "events.db"
    with TelemetryCollector(path, secret_path=folder / "s", clock=lambda: now[0], max_age_days=10_000) as collector:
        for number in range(30):
            now[0] += DAY_NS // 10
            fetch = {"request": f"r{number // 3}", "client": "c", "peer": f"p{number % 3}", "size": 70_000 + number}
            chosen = number % 3 == 0
            measured = {"rtt_ms": 12.3, "throughput_mbps": 99.0, "ok": True} if chosen else {}
            collector.record(
                "peer_fetch", **fetch, **measured, chosen=chosen, propensity=1 / 3, in_flight=number, policy="uniform"
            )
            collector.record(
                "block_accessed", session="s", object="o" if number % 2 else "", position=number, size=4096,
                hit=chosen, prefetched=False, policy="rule",
            )  # fmt: skip
    assert collector.stats().written == 60
    return path


def parquet(events, target, event):
    done = CliRunner().invoke(telemetry, ["rows", str(events), "--event", event, "--to", str(target)])
    assert done.exit_code == 0, done.output
    return target


@pytest.mark.parametrize("event", ["peer_fetch", "block_accessed"])
def test_sqlite_and_parquet_give_the_same_frame(events, tmp_path, event):
    frame = TelemetryEventsDataset(filepath=str(events), event=event).load()
    assert list(frame.columns) == list(columns(event))
    copied = pd.read_parquet(parquet(events, tmp_path / "rows.parquet", event))
    pd.testing.assert_frame_equal(frame, copied)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        name: column.dtype for name, column in columns(event).items()
    }


@pytest.mark.spark
@pytest.mark.slow
def test_spark_reads_the_same_rows(events, tmp_path, spark):
    frame = read_events(events, "peer_fetch")
    target = parquet(events, tmp_path / "rows.parquet", "peer_fetch")
    found = engines.to_pandas(spark.read.parquet(str(target))).sort_values(["request", "peer"], ignore_index=True)
    pd.testing.assert_frame_equal(found, frame.sort_values(["request", "peer"], ignore_index=True))
    assert found["rtt_ms"].isna().sum() == 20


def test_values_are_those_that_were_recorded_as_coarse_as_they_are_kept(events):
    frame = read_events(events, "peer_fetch")
    assert frame["chosen"].tolist() == [1, 0, 0] * 10
    assert frame["ok"].tolist()[0] == 1.0 and frame["ok"].isna().sum() == 20
    assert frame["propensity"].unique().tolist() == [0.333]
    assert frame["rtt_ms"].dropna().unique() == pytest.approx([12.3], rel=0.01)
    assert frame.groupby("request").size().tolist() == [3] * 10
    assert frame["peer"].str.fullmatch("[0-9a-f]{24}").all()
    assert read_events(events, "block_accessed")["object"].eq("").sum() == 15


def test_an_interval_and_the_newest_rows(events):
    def read(**settings):
        return TelemetryEventsDataset(filepath=str(events), event="block_accessed", **settings).load()["position"]

    assert read(since="2026-03-02", until="2026-03-03").tolist() == list(range(9, 19))
    assert read(since=dt.date(2026, 3, 3)).tolist() == list(range(19, 30))
    assert read(limit=2).tolist() == [28, 29]
    assert read(since="2027-01-01").tolist() == []


def test_no_rows_have_the_same_types(events):
    empty, some = (read_events(events, event) for event in ("gossip_round", "block_accessed"))
    assert len(empty) == 0
    assert empty["ts"].dtype == some["ts"].dtype == "int64"
    assert empty["coverage"].dtype == "float64"
    assert empty["network"].dtype == some["session"].dtype == object


def test_a_copy_that_cannot_be_written_can_be_read(events, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "e.db").write_bytes(events.read_bytes())
    before = {path.name for path in copy.iterdir()}
    assert len(read_events(copy / "e.db", "peer_fetch")) == 30
    assert before <= {path.name for path in copy.iterdir()}


def test_as_a_catalog_entry(events, tmp_path):
    catalog = DataCatalog.from_config(
        {
            "peers": {
                "type": "augury.datasets.telemetry_events.TelemetryEventsDataset",
                "filepath": str(events),
                "event": "peer_fetch",
                "metadata": {"kedro-viz": {"layer": "raw"}},
            }
        }
    )
    assert catalog.exists("peers")
    assert len(catalog.load("peers")) == 30
    with pytest.raises(DatasetError, match="only reads"):
        catalog["peers"].save(pd.DataFrame())
    assert "peer_fetch" in str(catalog["peers"])


def test_mistakes_are_named(events, tmp_path):
    with pytest.raises(UserError, match="telemetry rows FILE"):
        TelemetryEventsDataset(filepath="s3://bucket/events.db", event="peer_fetch")
    with pytest.raises(UserError, match="There are: block_stored"):
        TelemetryEventsDataset(filepath=str(events), event="peer")
    with pytest.raises(UserError, match="since must be a date"):
        TelemetryEventsDataset(filepath=str(events), event="peer_fetch", since="yesterday")
    with pytest.raises(UserError, match="limit must be at least 1"):
        TelemetryEventsDataset(filepath=str(events), event="peer_fetch", limit=0)
    (tmp_path / "text.db").write_text("no database at all, but long enough " * 20)
    for name, message in (("missing.db", "no telemetry file"), ("text.db", "cannot be read")):
        with pytest.raises(DatasetError) as refusal:
            TelemetryEventsDataset(filepath=str(tmp_path / name), event="peer_fetch").load()
        assert message in str([str(link) for link in causes(refusal.value) if isinstance(link, UserError)])
