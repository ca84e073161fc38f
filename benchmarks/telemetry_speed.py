"""Events per second that telemetry puts on disk, what a call of record() costs, and what kill -9 loses.

python benchmarks/telemetry_speed.py [--events 300000] [--folder DIR]: one process records accesses and stored blocks as
fast as the file takes them, then at half that rate while the writer works beside it; then it is killed. The naive peer,
a connection and a commit per event as public code does it, is measured in the same run. CPU seconds are those of the
whole process; a figure per CPU second is what one idle core would do.
"""

import argparse
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augury.telemetry import TelemetryCollector
from augury.telemetry.reading import reading
from augury.telemetry.storage import BATCH_ROWS
from augury.telemetry.writer import FLUSH_S

EVENTS: dict[str, dict[str, Any]] = {
    "block_accessed": {
        "session": "reader-7",
        "object": "disk.img",
        "position": 12,
        "size": 65536,
        "hit": True,
        "prefetched": False,
        "policy": "rule",
    },
    "block_stored": {
        "block": bytes(32),
        "lineage": "package-1",
        "size": 65536,
        "entropy": 5.1,
        "match_rate": 0.4,
        "match_length": 3.3,
        "delta_entropy": 2.2,
        "core_share": 0.2,
        "zero_share": 0.1,
        "high_share": 0.1,
        "ascii_share": 0.6,
        "run_share": 0.0,
        "unique_bytes": 200,
        "magic": "text",
        "sample_us": 2.9,
        "codec": "zstd-3",
        "stored_bytes": 30_211,
        "compress_us": 55.3,
        "decompress_us": 12.1,
        "link_mbps": 100.0,
        "cpu_load": 0.5,
        "policy": "rule",
        "propensity": 0.9,
    },
}
BARS = {"durable events/s": 50_000, "record() p99 us": 10.0}
BURST = 200
"""Calls between two pauses of the application: the first call after a pause finds cold caches, whatever it calls."""


def percentile(values: list[int], share: float) -> float:
    """A percentile of nanoseconds in microseconds."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] / 1e3


def durable(folder: Path, event: str, number: int) -> Mapping[str, float]:
    """Record as fast as the file takes it: with back-pressure of the application's own, so that nothing is dropped."""
    fields = EVENTS[event]
    collector = TelemetryCollector(folder / f"{event}.db", secret_path=folder / "node.secret")
    record = collector.record
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, number, 1_000):
        for _ in range(min(1_000, number - start)):
            record(event, **fields)
        while collector.stats().queued > 20_000:
            time.sleep(0.002)
    collector.close()
    wall, busy = time.perf_counter() - began, time.process_time() - cpu
    stats = collector.stats()
    if (stats.written, stats.dropped, stats.refused) != (number, 0, 0):
        raise SystemExit(f"Not everything was written: {stats}")
    size = sum(path.stat().st_size for path in folder.glob(f"{event}.db*"))
    return {
        "durable events/s": number / wall,
        "durable events per CPU second": number / busy,
        "bytes per event": size / number,
    }


def record_times(folder: Path, event: str, number: int, rate: float) -> Mapping[str, float]:
    """Time every call while the writer takes the events of the calls before it, and a call of nothing beside it."""
    fields = EVENTS[event]
    times: list[int] = []
    floor: list[int] = []
    clock = time.perf_counter_ns
    with TelemetryCollector(folder / f"{event}-timed.db", secret_path=folder / "node.secret") as collector:
        record = collector.record
        record(event, **fields)
        began = time.perf_counter()
        for position in range(number):
            before = clock()
            record(event, **fields)
            after = clock()
            nothing(event, **fields)
            floor.append(clock() - after)
            times.append(after - before)
            if position % BURST == 0 and (ahead := position / rate - (time.perf_counter() - began)) > 0:
                time.sleep(ahead)
        reached = number / (time.perf_counter() - began)
    return {
        "calls/s": reached,
        "record() p50 us": percentile(times, 0.5),
        "record() p99 us": percentile(times, 0.99),
        "record() p99.9 us": percentile(times, 0.999),
        "record() longest us": max(times) / 1e3,
        "empty call p99 us": percentile(floor, 0.99),
        "dropped": collector.stats().dropped,
    }


def nothing(event_type: str, /, **fields: Any) -> bool:
    """What a call costs that does nothing: the floor of the machine as it is just now."""
    return True


def naive_peer(folder: Path, event: str, seconds: float) -> float:
    """A connection and a commit per event, into a table with the usual three indexes. Events per second."""
    fields = {name: value for name, value in EVENTS[event].items() if not isinstance(value, bool)}
    path = folder / "naive.db"
    columns = ", ".join(fields)
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE event (id INTEGER PRIMARY KEY, ts REAL, kind TEXT, {columns})")
        for column in ("ts", "kind", "size"):
            connection.execute(f"CREATE INDEX event_{column} ON event ({column})")
    statement = f"INSERT INTO event (ts, kind, {columns}) VALUES (?, ?{', ?' * len(fields)})"
    number, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        connection = sqlite3.connect(path)
        connection.execute(statement, (time.time(), event, *fields.values()))
        connection.commit()
        connection.close()
        number += 1
    return number / (time.perf_counter() - began)


KILLED = """
import json, sys, time
from augury.telemetry import TelemetryCollector
event, fields, rate = json.loads(sys.argv[1])
c = TelemetryCollector("killed.db", secret_path="node.secret")
began, number = time.perf_counter(), 0
while True:
    for _ in range(50):
        c.record(event, **fields)
    number += 50
    sys.stdout.write(f"{number} {c.stats().queued}\\n"); sys.stdout.flush()
    ahead = number / rate - (time.perf_counter() - began)
    if ahead > 0: time.sleep(ahead)
"""


def killed(folder: Path, event: str, rate: float, seconds: float) -> tuple[int, int]:
    """Kill a process that records. Events that were lost, and how many its last line said were not on disk yet."""
    folder.mkdir()
    fields = {name: value if not isinstance(value, bytes) else "block-1" for name, value in EVENTS[event].items()}
    command = [sys.executable, "-c", KILLED, json.dumps([event, fields, rate])]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        began = None
        last = ""
        for line in process.stdout:
            last, began = line, began or time.monotonic()
            if time.monotonic() - began > seconds:
                break
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")[:-1]
    recorded, queued = map(int, (rest[-1] if rest else last).split())
    with reading(folder / "killed.db") as connection:
        found = connection.execute(f"SELECT count(*) FROM {event}_rows").fetchone()[0]
        if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            raise SystemExit("The file is damaged.")
    return max(recorded - found, 0), queued


HINDERED = """
import json, resource, signal, sqlite3, sys, time
from augury.telemetry import TelemetryCollector
event, fields, rate, how = json.loads(sys.argv[1])
c = TelemetryCollector("hindered.db", secret_path="node.secret", close_timeout_s=2.0)
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
else:
    print("ready", flush=True); sys.stdin.readline()
times, clock, began = [], time.perf_counter_ns, time.perf_counter()
for number in range(100_000):
    before = clock(); c.record(event, **fields); times.append(clock() - before)
    if number % 200 == 0 and (ahead := number / rate - (time.perf_counter() - began)) > 0: time.sleep(ahead)
before = time.perf_counter(); c.close(); closing = time.perf_counter() - before
times.sort(); s = c.stats()
print(times[99_000] / 1e3, times[-1] / 1e3, closing, s.written, s.dropped, s.lost)
"""


def hindered(folder: Path, event: str, rate: float, how: str) -> str:
    """Record 100,000 events into a file that another process has locked, or that the disk has no room for."""
    folder.mkdir()
    fields = {name: value if not isinstance(value, bytes) else "block-1" for name, value in EVENTS[event].items()}
    command = [sys.executable, "-c", HINDERED, json.dumps([event, fields, rate, how])]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, text=True, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        if how == "locked":
            process.stdout.readline()
            lock = sqlite3.connect(folder / "hindered.db", isolation_level=None)
            lock.execute("BEGIN EXCLUSIVE")
        said = process.communicate("go\n")[0].split()
        if how == "locked":
            lock.close()
    p99, longest, closing, written, dropped, lost = said
    return (
        f"record() p99 {float(p99):.1f} us, longest {float(longest) / 1e3:.1f} ms; close() {float(closing):.2f} s of "
        f"2 s allowed; {int(written):,} written, {int(dropped):,} dropped, {int(lost):,} lost"
    )


def main() -> None:
    """Measure and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="events of each type")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: a temporary folder")
    parser.add_argument("--kills", type=int, default=5, help="processes that are killed")
    parser.add_argument("--rate", type=float, default=20_000, help="calls a second while they are timed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for event in EVENTS:
            figures = {
                **durable(folder, event, options.events),
                **record_times(folder, event, options.events // 2, options.rate),
                "naive peer events/s": naive_peer(folder, event, 3.0),
            }
            (folder / "naive.db").unlink()
            print(event)
            for label, value in figures.items():
                bar = BARS.get(label)
                verdict = ""
                if bar is not None:
                    kept = value >= bar if label.startswith("durable") else value <= bar
                    verdict = f"   bar {bar:,}: {'met' if kept else 'MISSED'}"
                print(f"  {label:<32}{value:>14,.1f}{verdict}")
        for how in ("locked", "full"):
            print(f"{how:<7}{hindered(folder / how, 'block_accessed', options.rate, how)}")
        print(f"kill -9 at {options.rate:,.0f} events/s; documented: {2 * BATCH_ROWS} events, or those of {FLUSH_S} s")
        for number in range(options.kills):
            lost, queued = killed(folder / f"kill-{number}", "block_accessed", options.rate, 1.0 + 0.13 * number)
            print(f"  lost {lost:>6,} events ({queued:,} had not been on disk just before)")


if __name__ == "__main__":
    main()
