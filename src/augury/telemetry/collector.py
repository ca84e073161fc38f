"""What an application embeds: records events without waiting, reads them back, and is closed at the end."""

import atexit
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from augury.errors import UserError
from augury.telemetry.events import Event, columns, event_model
from augury.telemetry.pseudonyms import NodeSecret
from augury.telemetry.reading import read_rows, reading
from augury.telemetry.storage import BATCH_ROWS, check_policies
from augury.telemetry.writer import Writer

CAPACITY = 65_536
DAY_MS = 86_400_000


@dataclass(frozen=True)
class CollectorStats:
    """What became of the events of this process.

    Attributes:
        written: On disk.
        queued: Waiting to be written.
        dropped: Not taken, because the queue was full or the collector closed.
        refused: Broke a rule of the schema.
        lost: Could not be written before the collector was closed, or with a damaged file.
        deleted: Rows that retention has deleted.
        failed_attempts: Times that the file was locked or the disk full.
    """

    written: int
    queued: int
    dropped: int
    refused: int
    lost: int
    deleted: int
    failed_attempts: int


class TelemetryCollector:
    """Collects events of a storage network in an SQLite file.

    :meth:`record` only puts an event into a queue in memory: it never waits for a lock or the disk. One thread checks,
    pseudonymises and writes what is there, every 200 ms or 1,000 events. An event that breaks a rule of the schema is
    counted and never written. Any number of threads and processes can write to the same file, each process with a
    collector of its own; a child process that was forked goes on with its parent's.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with TelemetryCollector(f"{folder}/events.db", secret_path=f"{folder}/node.secret") as collector:
        ...     collector.record(
        ...         "block_accessed", session="reader-7", object="disk.img", position=12, size=65536, hit=False,
        ...         prefetched=False, policy="rule",
        ...     )
        ...     [event.position for event in collector.get_events("block_accessed")]
        True
        [12]
    """

    def __init__(
        self,
        db_path: Path | str,
        *,
        secret_path: Path | str | None = None,
        policies: Sequence[str] = (),
        strict: bool = False,
        capacity: int = CAPACITY,
        max_age_days: float = 30.0,
        max_bytes: int = 2**30,
        open_timeout_s: float = 2.0,
        close_timeout_s: float = 5.0,
        on_damage: Literal["set_aside", "raise"] = "set_aside",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open the file, or make it.

        Args:
            db_path: The SQLite file.
            secret_path: The secret that keys the pseudonyms; never in a folder that is copied together with the
                database. None: ``~/.local/state/augury/node.secret``.
            policies: Further names that the column ``policy`` may hold, such as versions of models.
            strict: Whether :meth:`record` checks an event at once and raises what is wrong with it, for tests and
                development; some 60 microseconds per event.
            capacity: How many events may wait in memory; further ones are dropped and counted.
            max_age_days: Older rows are deleted.
            max_bytes: The oldest rows are deleted while the file's content is larger.
            open_timeout_s: How long to wait here if another process has locked the file. After that the events wait in
                memory, and the file is opened as soon as possible.
            close_timeout_s: How long :meth:`close`, and the end of the program, wait for the last events.
            on_damage: Whether a damaged file is renamed and a new one begun, or refused.
            clock: Nanoseconds since 1970.

        Raises:
            UserError: The file is not ours, was written by a newer version, is damaged (if that is to be refused) or
                cannot be made, or the secret can be read by others.
        """
        if capacity < 1 or max_age_days <= 0 or max_bytes < 1 or open_timeout_s < 0 or close_timeout_s < 0:
            raise UserError("capacity, max_age_days and max_bytes must be positive, and timeouts not negative.")
        self.path = Path(db_path)
        self._clock = clock
        self._strict = strict
        self._capacity = capacity
        self._close_timeout_s = close_timeout_s
        self._closed = False
        self._close_lock = threading.Lock()
        self._lost_at_close = 0
        self._forget_drops()
        self._writer = Writer(
            self.path,
            NodeSecret(secret_path, clock() // 1_000_000 // (7 * DAY_MS)),
            check_policies(policies),
            max_age_ms=round(max_age_days * DAY_MS),
            max_bytes=max_bytes,
            on_damage=on_damage,
            clock=clock,
        )
        self._writer.open(open_timeout_s)
        self._queue = self._writer.queue
        _COLLECTORS.add(self)

    def record(self, event_type: str, /, **fields: Any) -> bool:
        """Take an event; it is on disk some 200 ms later.

        Args:
            event_type: ``block_stored``, ``block_accessed``, ``block_sketched``, ``peer_fetch`` or ``gossip_round``.
            fields: The columns of the event without ``ts``. Identifiers are the application's own: only their keyed
                pseudonyms are written.

        Returns:
            Whether the event was taken: not if the queue is full or the collector closed. It is then counted as
            dropped.

        Raises:
            UserError: Only if the collector is strict: the event breaks a rule of the schema.
        """
        queue, writer = self._queue, self._writer
        if self._strict:
            writer.check(self._clock(), event_type, fields)
        if self._closed or len(queue) >= self._capacity:
            next(self._drops)
            return False
        queue.append((self._clock(), event_type, fields))
        # The flag comes before the call: a signal handler that records in between must not wake the thread again, which
        # would wait for the lock that this very thread holds
        if not writer.awake and (len(queue) >= BATCH_ROWS or writer.thread is None):
            writer.awake = True
            if writer.thread is None:
                self._start()
            else:
                writer.wake.set()
        return True

    def get_events(self, event_type: str, since: int | None = None, limit: int | None = 1_000) -> list[Event]:
        """Read the newest events, also those recorded just now.

        Args:
            event_type: Such as ``block_stored``.
            since: Milliseconds since 1970; None: from the beginning.
            limit: The largest number of events; None: all.

        Returns:
            Events in the order in which they were written. Waits up to a second for what is still in the queue.

        Raises:
            UserError: There is no such event type, or the file cannot be read.
        """
        model = event_model(event_type)
        self._writer.flush(1.0)
        names = tuple(columns(event_type))
        with self._writer.undisturbed(), reading(self.path) as connection:
            rows = read_rows(connection, event_type, since, None, limit)
        return [model(**dict(zip(names, row, strict=True))) for row in rows]

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything recorded so far is on disk.

        Args:
            timeout_s: The longest wait.

        Returns:
            Whether it is.
        """
        return self._writer.flush(timeout_s)

    def stats(self) -> CollectorStats:
        """Count what became of the events of this process.

        Returns:
            The counts.
        """
        counts = self._writer.counts
        with self._drops_lock:
            dropped = next(self._drops) - self._drop_reads
            self._drop_reads += 1
        return CollectorStats(
            written=counts["written"],
            queued=0 if self._closed else self._writer.unwritten(),
            dropped=dropped,
            refused=counts["refused"],
            lost=counts["lost"] + self._lost_at_close,
            deleted=counts["deleted"],
            failed_attempts=counts["failed_attempts"],
        )

    def close(self) -> None:
        """Write what is left and close the file; waits at most ``close_timeout_s``, then the rest is lost and counted.

        Closing twice does nothing.
        """
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
            self._lost_at_close = self._writer.finish(self._close_timeout_s)
            _COLLECTORS.discard(self)

    def __enter__(self) -> "TelemetryCollector":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _forget_drops(self) -> None:
        # next() of a count cannot be interrupted by another thread, unlike += 1; reading it counts as well
        self._drops, self._drops_lock = itertools.count(), threading.Lock()
        self._drop_reads = 0

    def _start(self) -> None:
        self._writer.start()
        self._writer.awake = False
        # A child of multiprocessing ends without running what is registered with atexit
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            from multiprocessing import util

            util.Finalize(None, close_all, exitpriority=100)

    def _after_fork_in_child(self) -> None:
        self._close_lock = threading.Lock()
        self._forget_drops()
        self._lost_at_close = 0
        if not self._writer.after_fork_in_child():
            self._closed = True


_COLLECTORS: "weakref.WeakSet[TelemetryCollector]" = weakref.WeakSet()
_FORKING: list[TelemetryCollector] = []


def close_all() -> None:
    """Close the collectors that are still open; the end of a program does so."""
    for collector in list(_COLLECTORS):
        collector.close()


def _before_fork() -> None:
    _FORKING[:] = list(_COLLECTORS)
    for collector in _FORKING:
        collector._writer.before_fork()


def _after_fork_in_parent() -> None:
    for collector in _FORKING:
        collector._writer.after_fork_in_parent()
    _FORKING.clear()


def _after_fork_in_child() -> None:
    for collector in _FORKING:
        collector._after_fork_in_child()
    _FORKING.clear()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
