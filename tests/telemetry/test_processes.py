"""Several processes, forks, kills, locks and full disks."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from augury.telemetry.reading import read_rows, reading

PREPARED = """
import multiprocessing, os, resource, signal, sys, threading, time
from augury.telemetry import TelemetryCollector

def access(session, position):
    return dict(session=session, object="o", position=position, size=4096, hit=0, prefetched=0, policy="rule")

def collector(**settings):
    return TelemetryCollector("events.db", secret_path="node.secret", **settings)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")


def start(folder, code, **options):
    return subprocess.Popen([sys.executable, "-c", PREPARED + code], cwd=folder, text=True, **options)


def run(folder, code):
    process = start(folder, code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    return said, complaint


def positions(folder):
    """Session -> positions in the order of the file; the file must be sound."""
    found: dict[str, list[int]] = {}
    with reading(folder / "events.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        for _, session, _, position, *_ in read_rows(connection, "block_accessed"):
            found.setdefault(session, []).append(position)
    return found


def test_the_end_of_a_program_writes_what_is_left(tmp_path):
    run(tmp_path, "c = collector()\nfor n in range(1500): c.record('block_accessed', **access('s', n))")
    assert list(positions(tmp_path).values()) == [list(range(1500))]


def test_an_error_at_the_end_of_a_program_loses_nothing(tmp_path):
    process = start(tmp_path, "c = collector()\nc.record('block_accessed', **access('s', 7))\n1 / 0", stderr=-3)
    assert process.wait(timeout=300) == 1
    assert list(positions(tmp_path).values()) == [[7]]


def test_many_processes_write_one_file(tmp_path):
    code = """
with collector() as c:
    for n in range(3000):
        c.record('block_accessed', **access(sys.argv[1] if len(sys.argv) > 1 else str(os.getpid()), n))
"""
    processes = [start(tmp_path, code) for _ in range(4)]
    assert [process.wait(timeout=300) for process in processes] == [0] * 4
    assert list(positions(tmp_path).values()) == [list(range(3000))] * 4  # one secret, one pseudonym per process


def test_a_child_that_was_forked_goes_on(tmp_path):
    run(
        tmp_path,
        """
c = collector()
for n in range(700):
    c.record('block_accessed', **access('parent', n))
def work(number):
    for n in range(700):
        c.record('block_accessed', **access(f'child {number}', n))
# Children of multiprocessing do not run what is registered with atexit
children = [multiprocessing.get_context('fork').Process(target=work, args=(number,)) for number in range(3)]
for child in children: child.start()
for n in range(700, 1400):
    c.record('block_accessed', **access('parent', n))
for child in children: child.join()
pid = os.fork()
if pid == 0:
    work('by hand')
    c.close()
    os._exit(0)
os.waitpid(pid, 0)
assert c.stats().written + c.stats().queued == 1400
""",
    )
    found = sorted(positions(tmp_path).values(), key=len)
    assert found == [list(range(700))] * 4 + [list(range(1400))]


@pytest.mark.slow
def test_forks_while_many_threads_record(tmp_path):
    run(
        tmp_path,
        """
c = collector()
stop = threading.Event()
counts = [0, 0, 0]
def work(number):
    while not stop.is_set():
        c.record('block_accessed', **access(f'thread {number}', counts[number]))
        counts[number] += 1
        time.sleep(0.0005)
threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for number in range(12):
    pid = os.fork()
    if pid == 0:
        c.record('block_accessed', **access(f'child {number}', 0))
        ok = c.flush(60)
        os._exit(0 if ok else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop.set()
for thread in threads: thread.join()
c.close()
assert c.stats().written == sum(counts), (c.stats(), counts)
""",
    )
    found = positions(tmp_path)
    assert len(found) == 15
    assert all(values == list(range(len(values))) for values in found.values())


def test_kill_9_loses_only_what_was_not_written_yet(tmp_path):
    process = start(
        tmp_path,
        """
c = collector()
n = 0
while True:
    for n in range(n, n + 100):
        c.record('block_accessed', **access('s', n))
    n += 1
    print(n, flush=True)
    while c.stats().queued > 1900:
        time.sleep(0.001)
""",
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    recorded = 0
    for line in process.stdout:
        recorded = int(line)
        if recorded >= 20_000:
            break
    process.send_signal(signal.SIGKILL)
    recorded = max([recorded, *(int(line) for line in process.stdout.read().split("\n")[:-1] if line)])
    assert process.wait() == -signal.SIGKILL
    (found,) = positions(tmp_path).values()
    assert found == list(range(len(found)))
    assert recorded - len(found) <= 2_000
    run(tmp_path, "with collector() as c: c.record('block_accessed', **access('s', 0))")  # and nothing is in the way
    (again,) = positions(tmp_path).values()
    assert len(again) == len(found) + 1


LOCKED = """
import sqlite3, sys
connection = sqlite3.connect("events.db", isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def lock(tmp_path):
    """A function that has another process lock the file until its standard input is closed."""
    holders = []

    def locking():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        holder = subprocess.Popen([sys.executable, "-c", LOCKED], cwd=tmp_path, text=True, **pipes)
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        holders.append(holder)
        return holder

    yield locking
    for holder in holders:
        holder.communicate()


def test_a_locked_file_delays_nothing_and_loses_nothing(open_collector, example, lock, tmp_path):
    collector = open_collector(capacity=5_000)
    holder = lock()
    fields = example("block_accessed")
    taken = sum(collector.record("block_accessed", **fields) for _ in range(8_000))
    assert not collector.flush(0.8)
    stats = collector.stats()
    assert stats.written == 0
    assert stats.queued == taken <= 5_000 + 1_000
    assert stats.dropped == 8_000 - taken
    assert stats.failed_attempts >= 1
    assert holder.poll() is None  # it was locked all the time
    holder.communicate()
    assert collector.flush(60)
    assert collector.stats().written == taken


def test_closing_gives_up_on_a_locked_file_and_counts(open_collector, example, lock):
    collector = open_collector(close_timeout_s=0.5)
    holder = lock()
    for _ in range(1_500):
        collector.record("block_accessed", **example("block_accessed"))
    collector.close()
    assert holder.poll() is None
    stats = collector.stats()
    assert (stats.lost, stats.written, stats.queued) == (1_500, 0, 0)


def test_closing_does_not_wait_for_the_next_attempt(open_collector, example, lock, monkeypatch):
    monkeypatch.setattr("augury.telemetry.writer.SHORTEST_PAUSE_S", 1e6)
    monkeypatch.setattr("augury.telemetry.writer.LONGEST_PAUSE_S", 1e6)
    collector = open_collector(close_timeout_s=120.0)
    holder = lock()
    collector.record("block_accessed", **example("block_accessed"))
    while not collector.stats().failed_attempts:
        assert not collector.flush(0.05)
    holder.communicate()
    collector.close()
    assert (collector.stats().written, collector.stats().lost) == (1, 0)


def test_a_file_that_is_locked_from_the_start_is_opened_later(open_collector, example, lock, tmp_path):
    with sqlite3.connect(tmp_path / "events.db"):
        pass
    holder = lock()
    collector = open_collector(open_timeout_s=0.1, policies=["model-v1"])
    collector.record("block_accessed", **example("block_accessed", policy="model-v1"))
    assert not collector.flush(0.3)
    assert holder.poll() is None
    holder.communicate()
    assert collector.flush(60)
    assert collector.stats().refused == 0
    assert collector.get_events("block_accessed")[0].policy == "model-v1"


def test_a_full_disk_delays_nothing_and_what_waits_is_written_when_there_is_room(tmp_path):
    said, complaint = run(
        tmp_path,
        """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
c = collector(capacity=20000)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
taken = sum(c.record('block_accessed', **access('s', n)) for n in range(30_000))
deadline = time.monotonic() + 120
while not c.stats().failed_attempts and time.monotonic() < deadline:
    time.sleep(0.01)
taken += sum(c.record('block_accessed', **access('s', n)) for n in range(30_000, 60_000))
full = c.stats()
assert full.queued and full.dropped, full
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert c.flush(120)
c.close()
after = c.stats()
assert after.written == taken and after.dropped == 60_000 - taken and not after.lost, after
print(taken)
""",
    )
    (found,) = positions(tmp_path).values()
    assert len(found) == int(said) == len(set(found))
    assert found == sorted(found)
    assert "events wait in memory" in complaint


def test_closing_gives_up_on_a_full_disk_and_the_file_stays_sound(tmp_path):
    said, _ = run(
        tmp_path,
        """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
c = collector(close_timeout_s=1.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for n in range(30_000):
    c.record('block_accessed', **access('s', n))
c.close()
stats = c.stats()
assert stats.lost > 0 and stats.written + stats.lost == 30_000, stats
print(stats.written)
""",
    )
    assert sum(map(len, positions(tmp_path).values())) == int(said)


def test_a_signal_handler_may_record(tmp_path):
    run(
        tmp_path,
        """
c = collector()
caught = []
def handle(*_):
    caught.append(1)
    for n in range(30): c.record('block_accessed', **access('handler', n))
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for n in range(20_000): c.record('block_accessed', **access('main', n))
signal.setitimer(signal.ITIMER_REAL, 0)
c.close()
assert c.stats().written + c.stats().dropped == 20_000 + 30 * len(caught)
""",
    )
