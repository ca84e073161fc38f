"""The one thread that writes: takes events from the queue, checks and encodes them, and commits them in batches."""

import contextlib
import logging
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from augury.errors import UserError
from augury.telemetry.encoding import BatchEncoder, Recorded
from augury.telemetry.pseudonyms import NodeSecret
from augury.telemetry.storage import BATCH_ROWS, Store, is_damage, set_aside

logger = logging.getLogger(__name__)

FLUSH_S = 0.2
"""The longest that an event waits in the queue while the file can be written."""

RETAIN_EVERY_S = 60.0
LOOK_EVERY_S = 1.0
IDLE_S = 5.0
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
FORK_PATIENCE_S = 1.0


class Writer:
    """Writes what a queue holds; every wait for the disk happens here, never in the application's threads."""

    def __init__(
        self,
        path: Path,
        secret: NodeSecret,
        policies: Sequence[str],
        *,
        max_age_ms: int,
        max_bytes: int,
        on_damage: Literal["set_aside", "raise"],
        clock: Any,
    ) -> None:
        """Take the settings; :meth:`open` opens the file."""
        self.queue: deque[Recorded] = deque()
        self.counts: Counter[str] = Counter()
        self._path, self._secret, self._policies = path, secret, tuple(policies)
        self._max_age_ms, self._max_bytes, self._on_damage = max_age_ms, max_bytes, on_damage
        self._clock = clock
        self._encoder = BatchEncoder(secret)
        self._words: dict[str, dict[str, int]] = {}
        self._store: Store | None = None
        self._checked = False
        self._warned: set[str] = set()
        self._retained_at = -RETAIN_EVERY_S
        self._looked_at = 0.0
        self._forget_threads()

    def _forget_threads(self) -> None:
        """New locks and no thread: at the start, and in a child process, which has only the thread that forked."""
        self.thread: threading.Thread | None = None
        self.awake = False
        self.wake = threading.Event()
        self._start_lock = threading.Lock()
        self._take_lock = threading.Lock()
        self._io_lock = threading.Lock()
        self._io_held = False
        self._deadline: float | None = None
        self._closing = threading.Event()
        self._batch: list[Recorded] = []
        self._taken = self._done = 0

    # --- Called by the application's threads ---

    def open(self, busy_s: float) -> None:
        """Open the file now, or leave it to the thread if it is locked or the disk is full.

        Args:
            busy_s: How long to wait for another process.

        Raises:
            UserError: The file is not ours, newer, damaged (if that is to be refused), or cannot be made.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open(round(busy_s * 1000))
        except (sqlite3.OperationalError, OSError) as error:
            if "unable to open" in str(error) or "readonly" in str(error) or isinstance(error, OSError):
                raise UserError(f"The telemetry file {self._path} cannot be opened for writing ({error}).") from None
            self._warn("open", f"{self._path} cannot be written yet ({error}); events wait in memory.")

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._start_lock:
            if self.thread is None:
                thread = threading.Thread(target=self._run, name="augury-telemetry", daemon=True)
                with contextlib.suppress(RuntimeError):  # at the very end of a program there are no new threads
                    thread.start()
                    self.thread = thread

    def check(self, ts_ns: int, event_type: Any, fields: dict[str, Any]) -> None:
        """Raise what is wrong with an event: a :class:`UserError`."""
        self._encoder.check(ts_ns, event_type, fields, self._words)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was recorded so far is on disk.

        Args:
            timeout_s: The longest wait.

        Returns:
            Whether it is.
        """
        if not self.queue and self.thread is None:
            return True
        self.start()
        with self._take_lock:
            target = self._taken + len(self.queue)
        deadline = time.monotonic() + timeout_s
        while self._done < target:
            if time.monotonic() > deadline or self.thread is None or not self.thread.is_alive():
                return self._done >= target
            self.wake.set()
            time.sleep(0.002)
        return True

    def finish(self, timeout_s: float) -> int:
        """Write what is left and stop.

        Args:
            timeout_s: The longest wait.

        Returns:
            How many events could not be written in this time and are lost.
        """
        if self.queue:
            self.start()
        self._deadline = time.monotonic() + timeout_s
        self._closing.set()
        self.wake.set()
        if self.thread is None:
            self._run()
        else:
            self.thread.join(timeout_s)  # if it still waits for the disk then, it will find out that its time is over
        return self.unwritten()

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Keep the thread and forks from touching the file, so that the application can read it."""
        with self._io_lock:
            yield

    def unwritten(self) -> int:
        """How many events are neither on disk nor refused."""
        return len(self.queue) + self._taken - self._done

    def before_fork(self) -> None:
        """Close the file, so that a child process never inherits an open one: SQLite does not survive that."""
        self._io_held = self._io_lock.acquire(timeout=FORK_PATIENCE_S)
        if self._io_held:
            self._close()

    def after_fork_in_parent(self) -> None:
        """Go on; the file is opened again for the next batch."""
        if self._io_held:
            self._io_held = False
            self._io_lock.release()

    def after_fork_in_child(self) -> bool:
        """Begin anew: what the queue held is written by the parent.

        Returns:
            Whether the child may record: not if the parent's file could not be closed, because it hung on the disk.
        """
        usable = self._io_held
        self._abandoned = self._store  # never closed here, which would take the file away from the parent
        self._store = None
        self.queue.clear()
        self.counts.clear()
        self._secret.after_fork()
        self._forget_threads()
        return usable

    # --- The thread ---

    def _run(self) -> None:
        pause, last = 0.0, time.monotonic()
        tidy = False
        while True:
            self.wake.wait(FLUSH_S)
            self.wake.clear()
            self.awake = False
            try:
                moved = self._drain()
                now = time.monotonic()
                pause = 0.0
                if moved:
                    last, tidy = now, True
                elif tidy and now - last > IDLE_S:
                    tidy = False
                    with self._opened() as store:
                        store.tidy()
                if now - self._retained_at >= RETAIN_EVERY_S and self._deadline is None:
                    self._retain(now)
            except Exception as error:  # whatever it is, the application goes on
                pause = min(max(2 * pause, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
                self._handle(error)
            if self._deadline is not None:
                left = self._deadline - time.monotonic()
                if left <= 0 or self.unwritten() == 0:
                    break
                time.sleep(min(pause, left))
            elif pause:
                self._closing.wait(pause)
        with self._io_lock:
            self._close()

    def _drain(self) -> bool:
        """Write until the queue is empty.

        Returns:
            Whether there was anything.
        """
        moved = False
        while self._batch or self.queue:
            moved = True
            if not self._batch:
                with self._take_lock:
                    self._batch = [self.queue.popleft() for _ in range(min(len(self.queue), BATCH_ROWS))]
                    self._taken += len(self._batch)
            # The file comes first: its list of words says which numbers are stored. A batch that could not be
            # written is encoded again, because it may meet another file next time
            with self._opened() as store:
                rows, refusals = self._encoder.encode(self._batch, self._words)
                if rows:
                    store.write(rows)
            self._end_batch(written=len(self._batch) - len(refusals), refused=len(refusals))
            for event_type, reason in dict.fromkeys(refusals):
                self._warn(f"refused {event_type} {reason}", f"An event was refused, more are only counted. {reason}")
            if self._deadline is not None and time.monotonic() > self._deadline:
                break
        return moved

    def _end_batch(self, **counts: int) -> None:
        self.counts.update(counts)
        self._batch = []
        self._done = self._taken

    def _retain(self, now: float) -> None:
        before = self._clock() // 1_000_000 - self._max_age_ms
        with self._opened() as store:
            deleted = store.retain(before, self._max_bytes)
        self.counts["deleted"] += deleted
        if not deleted:
            self._retained_at = now

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Store]:
        """The open file, which no other thread or fork disturbs meanwhile."""
        with self._io_lock:
            now = time.monotonic()
            # Not at every batch: whatever asks the system lets a busy application run first
            if now - self._looked_at > LOOK_EVERY_S:
                self._looked_at = now
                if self._store is not None and self._store.is_gone():
                    self._warn("gone", f"{self._path} was deleted or replaced; a new file begins.")
                    self._close()
            if self._store is None:
                self._open(None)
            assert self._store is not None
            yield self._store

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _open(self, busy_ms: int | None) -> None:
        settings: dict[str, Any] = {"check": not self._checked} | ({} if busy_ms is None else {"busy_ms": busy_ms})
        inode = self._path.stat().st_ino if self._path.exists() else None
        try:
            store = Store(self._path, **settings)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            if self._on_damage == "raise":
                raise UserError(
                    f"{self._path} is damaged ({error}). Move it away, or let the collector do so with "
                    'on_damage="set_aside".'
                ) from None
            set_aside(self._path, inode)
            store = Store(self._path, **settings)
        try:
            self._words = {"policy": store.declare(self._policies)}
            store.name_node(self._secret.node)
        except BaseException:
            store.close()
            raise
        self._store, self._checked = store, True

    def _handle(self, error: Exception) -> None:
        """After a batch could not be written: keep it, unless it is the batch itself that is wrong."""
        if isinstance(error, sqlite3.Error) and is_damage(error):
            with self._io_lock:
                inode = self._store.inode if self._store is not None else None
                self._close()
                if inode is not None and self._on_damage == "set_aside":
                    with contextlib.suppress(OSError):  # opening it again will try once more
                        set_aside(self._path, inode)
            self._warn("damage", f"{self._path} is damaged ({error}).")
        elif isinstance(error, sqlite3.OperationalError | OSError | UserError):
            self.counts["failed_attempts"] += 1
            self._warn(str(error), f"{self._path} cannot be written ({error}); events wait in memory.")
        else:
            self._end_batch(lost=self._taken - self._done)
            self._warn(type(error).__name__, f"A batch of telemetry was lost ({type(error).__name__}).")

    def _warn(self, key: str, message: str) -> None:
        """Say something once."""
        if key not in self._warned and len(self._warned) < 100:
            self._warned.add(key)
            logger.warning("%s", message)
