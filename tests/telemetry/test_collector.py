import logging
import sqlite3
import threading
import time

import pytest

from augury.errors import UserError
from augury.telemetry import EVENTS, TelemetryCollector, schema
from augury.telemetry.events import POLICIES, columns, event_model
from augury.telemetry.reading import read_rows, reading
from augury.telemetry.writer import FLUSH_S, Writer

DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_recorded_can_be_read_as_typed_events(open_collector, example, event):
    collector = open_collector()
    before = time.time_ns() // 1_000_000
    assert collector.record(event, **example(event))
    (found,) = collector.get_events(event)
    assert type(found) is event_model(event)
    assert before - 60_000 <= found.ts <= time.time_ns() // 1_000_000
    for name, value in example(event).items():
        if columns(event)[name].role != "identifier":
            assert getattr(found, name) == (value if type(value) is str else pytest.approx(value, rel=0.04))


def test_optional_fields_may_be_missing(open_collector, example):
    collector = open_collector()
    fields = example("peer_fetch", chosen=False)
    for name in ("rtt_ms", "throughput_mbps", "ok"):
        del fields[name]
    collector.record("peer_fetch", **fields)
    collector.record("peer_fetch", **fields, rtt_ms=None)
    first, second = collector.get_events("peer_fetch")
    assert first.rtt_ms is first.ok is second.rtt_ms is None
    assert first.request == second.request != first.client
    collector.record("peer_fetch", **{**fields, "peer": fields["client"]})
    third = collector.get_events("peer_fetch")[-1]
    assert third.peer == third.client == first.client  # clients and peers are the same kind of thing


def test_the_newest_events_since_a_moment(open_collector, example):
    now = [100 * DAY_NS]
    collector = open_collector(clock=lambda: now[0])
    for position in range(10):
        now[0] += 10**9
        collector.record("block_accessed", **example("block_accessed", position=position))
    since = collector.get_events("block_accessed")[4].ts
    assert [event.position for event in collector.get_events("block_accessed", since=since)] == [4, 5, 6, 7, 8, 9]
    assert [event.position for event in collector.get_events("block_accessed", limit=2)] == [8, 9]
    assert [event.position for event in collector.get_events("block_accessed", since=since + 49, limit=3)] == [7, 8, 9]
    with pytest.raises(UserError, match="no such event type"):
        collector.get_events("block_deleted")


def test_a_context_manager_leaves_everything_on_disk(tmp_path, example):
    path = tmp_path / "deep" / "events.db"
    with TelemetryCollector(path, secret_path=tmp_path / "s") as collector:
        for position in range(2_500):
            collector.record("block_accessed", **example("block_accessed", position=position))
    collector.close()
    assert collector.stats().written == 2_500
    assert not path.with_name("events.db-wal").exists()
    assert not collector.record("block_accessed", **example("block_accessed"))
    assert collector.stats().dropped == 1
    assert collector.stats().dropped == 1
    with reading(path) as connection:
        rows = read_rows(connection, "block_accessed")
        assert [row[3] for row in rows] == list(range(2_500))
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_full_queue_drops_and_counts(open_collector, example, monkeypatch):
    monkeypatch.setattr(Writer, "start", lambda self: None)
    collector = open_collector(capacity=10)
    assert [collector.record("block_accessed", **example("block_accessed")) for _ in range(15)] == [True] * 10 + [
        False
    ] * 5
    assert collector.stats().dropped == 5
    assert collector.stats().queued == 10
    collector.close()  # without a thread, as at the very end of a program, closing writes
    assert collector.stats().written == 10


def test_many_threads(open_collector, example):
    collector = open_collector()
    fields = example("block_accessed")

    def work(number):
        for position in range(1_000):
            collector.record("block_accessed", **fields | {"session": f"thread {number}", "position": position})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = collector.get_events("block_accessed", limit=None)
    assert len(events) == 8_000
    for session in {event.session for event in events}:
        assert [event.position for event in events if event.session == session] == list(range(1_000))


def test_declared_policies_are_words_of_the_file(open_collector, example, tmp_path):
    with open_collector(policies=["model-v1", "model-v2"]) as collector:
        collector.record("block_accessed", **example("block_accessed", policy="model-v2"))
        collector.record("block_accessed", **example("block_accessed", policy="model-v3"))
    assert (collector.stats().written, collector.stats().refused) == (1, 1)
    with open_collector(policies=["model-v3", "model-v2"]) as collector:
        for policy in ("model-v2", "model-v3", "rule"):
            collector.record("block_accessed", **example("block_accessed", policy=policy))
        found = [event.policy for event in collector.get_events("block_accessed")]
    assert found == ["model-v2", "model-v2", "model-v3", "rule"]
    with pytest.raises(UserError, match="knows 49 declared policies already"):
        open_collector(policies=[f"p{number}" for number in range(47)])
    assert len(POLICIES) == 15


def test_a_week_has_pseudonyms_of_its_own(open_collector, example):
    now = [100 * 7 * DAY_NS]
    collector = open_collector(clock=lambda: now[0])
    for days in (0, 6, 1, 7):
        now[0] += days * DAY_NS
        collector.record("block_accessed", **example("block_accessed"))
        assert collector.flush()
    sessions = [event.session for event in collector.get_events("block_accessed")]
    assert sessions[0] == sessions[1] != sessions[2] != sessions[3] != sessions[0]


# --- Retention ---


def test_old_rows_are_deleted(open_collector, example):
    now = [100 * DAY_NS]
    collector = open_collector(clock=lambda: now[0], max_age_days=10)
    for day in range(20):
        now[0] += DAY_NS
        collector.record("block_accessed", **example("block_accessed", position=day))
    assert collector.flush()
    collector.close()
    again = open_collector(clock=lambda: now[0], max_age_days=10)
    again.record("block_accessed", **example("block_accessed", position=99))
    assert again.flush()
    _until(lambda: collector.stats().deleted + again.stats().deleted == 9)
    assert [event.position for event in again.get_events("block_accessed")] == [*range(9, 20), 99]


def test_the_oldest_rows_are_deleted_when_the_file_is_too_large(open_collector, example, tmp_path):
    with open_collector() as collector:
        for position in range(12_000):
            collector.record("block_accessed", **example("block_accessed", position=position))
            if position % 1_000 == 0:  # on a full machine the queue would overflow
                assert collector.flush()
        collector.record("gossip_round", **example("gossip_round"))
    size = (tmp_path / "events.db").stat().st_size
    with open_collector(max_bytes=size // 2) as collector:
        collector.record("block_accessed", **example("block_accessed", position=12_000))
        assert collector.flush()
        _until(lambda: collector.stats().deleted >= 5_000)
        positions = [event.position for event in collector.get_events("block_accessed", limit=None)]
    assert positions == list(range(positions[0], 12_001))
    assert 5_000 <= positions[0] <= 11_000
    assert (tmp_path / "events.db").stat().st_size < 0.7 * size


# --- Files that are newer, older, damaged, or none of ours ---


def test_a_newer_file_is_refused_and_untouched(open_collector, tmp_path):
    open_collector().close()
    path = tmp_path / "events.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    for action in (open_collector, lambda: reading(path).__enter__()):
        with pytest.raises(UserError, match="newer Augury"):
            action()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_the_file_of_another_application_is_refused(open_collector, tmp_path):
    with sqlite3.connect(tmp_path / "events.db") as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    with pytest.raises(UserError, match="another application"):
        open_collector()


def test_an_older_file_is_brought_to_this_version(open_collector, example, monkeypatch, tmp_path):
    with open_collector() as collector:
        collector.record("block_accessed", **example("block_accessed"))
    steps = []

    def step(connection):
        steps.append(connection.execute("PRAGMA user_version").fetchone()[0])
        connection.execute("ALTER TABLE node ADD COLUMN note TEXT")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    monkeypatch.setattr("augury.telemetry.reading.MIGRATIONS", schema.MIGRATIONS)
    with pytest.raises(UserError, match="older Augury"), reading(tmp_path / "events.db"):
        pass
    with open_collector() as collector:
        assert len(collector.get_events("block_accessed")) == 1
    with open_collector():
        pass
    assert steps == [1]


def test_a_migration_that_fails_leaves_the_old_file(open_collector, monkeypatch, tmp_path):
    open_collector().close()

    def step(connection):
        connection.execute("DROP TABLE node")
        raise RuntimeError

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    with pytest.raises(RuntimeError):
        open_collector()
    with sqlite3.connect(tmp_path / "events.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM node").fetchone() == (1,)


DAMAGES = {
    "no database": lambda data: b"this is no database at all, " * 100,
    "torn header": lambda data: bytes(100) + data[100:],
    "torn pages": lambda data: data[:4096] + bytes(reversed(data[4096:12_288])) + data[12_288:],
    "cut short": lambda data: data[: len(data) // 2],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_and_not_lost(open_collector, example, tmp_path, damage, caplog):
    with open_collector() as collector:
        for _ in range(500):
            collector.record("block_accessed", **example("block_accessed"))
    path = tmp_path / "events.db"
    broken = DAMAGES[damage](path.read_bytes())
    path.write_bytes(broken)
    with pytest.raises(UserError, match="damaged"):
        open_collector(on_damage="raise")
    assert path.read_bytes() == broken
    with caplog.at_level(logging.WARNING), open_collector() as collector:
        collector.record("block_accessed", **example("block_accessed"))
        assert len(collector.get_events("block_accessed")) == 1
    (aside,) = tmp_path.glob("events.db.damaged-*[0-9]")
    assert aside.read_bytes() == broken
    assert "set aside" in caplog.text


def test_damage_that_appears_later_is_set_aside_too(open_collector, example, tmp_path, monkeypatch):
    collector = open_collector()
    collector.record("block_accessed", **example("block_accessed"))
    assert collector.flush()
    from augury.telemetry.storage import Store

    write, failures = Store.write, [sqlite3.DatabaseError("database disk image is malformed")]

    def failing(self, rows):
        if failures:
            raise failures.pop()
        write(self, rows)

    monkeypatch.setattr(Store, "write", failing)
    collector.record("block_accessed", **example("block_accessed", position=7))
    assert [event.position for event in collector.get_events("block_accessed")] == [7]
    assert len(list(tmp_path.glob("events.db.damaged-*[0-9]"))) == 1
    assert collector.stats().lost == 0


def test_a_file_that_is_deleted_meanwhile_begins_anew(open_collector, example, tmp_path, monkeypatch):
    monkeypatch.setattr("augury.telemetry.writer.LOOK_EVERY_S", -1.0)
    collector = open_collector()
    collector.record("block_accessed", **example("block_accessed"))
    assert collector.flush()
    for path in tmp_path.glob("events.db*"):
        path.unlink()
    collector.record("block_accessed", **example("block_accessed", position=5))
    assert collector.flush()
    assert [event.position for event in collector.get_events("block_accessed")] == [5]


def test_settings_that_make_no_sense_are_refused(open_collector, tmp_path):
    for settings in ({"capacity": 0}, {"max_age_days": 0}, {"max_bytes": 0}, {"close_timeout_s": -1}):
        with pytest.raises(UserError, match="must be positive"):
            open_collector(**settings)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be opened for writing"):
        open_collector("file/events.db")


def test_a_batch_that_fails_for_an_unknown_reason_is_counted_as_lost(open_collector, example, monkeypatch):
    from augury.telemetry.storage import Store

    collector = open_collector()
    write, failures = Store.write, [ZeroDivisionError()]

    def failing(self, rows):
        if failures:
            raise failures.pop()
        write(self, rows)

    monkeypatch.setattr(Store, "write", failing)
    collector.record("block_accessed", **example("block_accessed"))
    collector.flush()
    collector.record("block_accessed", **example("block_accessed"))
    collector.flush()
    stats = collector.stats()
    assert (stats.lost, stats.written, stats.queued) == (1, 1, 0)


def test_an_idle_collector_empties_its_log(open_collector, example, tmp_path, monkeypatch):
    monkeypatch.setattr("augury.telemetry.writer.IDLE_S", FLUSH_S)
    collector = open_collector()
    collector.record("block_accessed", **example("block_accessed"))
    assert collector.flush()
    _until(lambda: (tmp_path / "events.db-wal").stat().st_size == 0)


def _until(condition, patience_s=30.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
