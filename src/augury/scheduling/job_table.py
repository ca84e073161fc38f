"""The jobs of one machine in an SQLite file: what ran, what runs, what waits.

Any number of schedulers may share the file. One that works on a run holds a lease, which it renews; a lease that was
not renewed in time belonged to a scheduler that has died, and whoever comes next takes the run over at the step that it
had reached. There is never more than one waiting or running run of a job: an index sees to that.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from augury.errors import UserError
from augury.scheduling.settings import Job, Schedule
from augury.scheduling.slots import newest_slot, slots_between

State = Literal["waiting", "running", "succeeded", "gate_failed", "failed"]
Reason = Literal["time", "new_rows", "by_hand"]

VERSION = 1
"""``user_version`` of the file; a newer one is refused."""

BUSY_SECONDS = 30
LOST = -1
"""Exit code of an attempt whose scheduler died."""

_TABLES = f"""
CREATE TABLE IF NOT EXISTS jobs (
    name TEXT PRIMARY KEY,
    last_slot INTEGER NOT NULL,  -- what is due up to here has been seen to
    rows_seen INTEGER            -- of the file of its trigger, when it ran last
) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    slot INTEGER NOT NULL,
    reason TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    missed INTEGER NOT NULL DEFAULT 0,
    step INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    owner TEXT,
    lease_until REAL,
    started REAL,
    ended REAL,
    exit_code INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_active ON runs (job) WHERE state IN ('waiting', 'running');
CREATE INDEX IF NOT EXISTS by_job ON runs (job, id);
PRAGMA user_version = {VERSION};
"""
_COLUMNS = (
    "id, job, slot, reason, priority, state, missed, step, attempt, due, owner, lease_until, started, ended, exit_code"
)


@dataclass(frozen=True)
class Run:
    """One run of a job; times are seconds since the epoch."""

    id: int
    job: str
    slot: int
    """The time at which it was due."""
    reason: Reason
    priority: int
    state: State
    missed: int
    """Earlier times at which it was due that this run makes up for."""
    step: int
    """Number of the step that is next, or runs, from 0."""
    attempt: int
    """Attempts at this step."""
    due: float
    """When it may start."""
    owner: str | None
    lease_until: float | None
    started: float | None
    ended: float | None
    exit_code: int | None


class JobTable:
    """The jobs of one machine."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            UserError: It cannot be used, or was made by a newer version.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version > VERSION:
                    raise UserError(f"'{path}' was made by a newer version of Augury.")
                if version < VERSION:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"The job table '{path}' cannot be used: {error}") from None

    def plan(self, schedule: Schedule, rows: dict[str, int], now: float) -> None:
        """Let what has become due wait; whatever was missed meanwhile is caught up once.

        A job that is new to the table is not due before its next slot. One that waits or runs is left alone: what falls
        due meanwhile is seen to when it starts, or planned when it has ended.

        Args:
            schedule: When jobs are due.
            rows: Job -> rows of the file of its trigger, of those that have one.
            now: Seconds since the epoch.
        """
        with self._transaction() as connection:
            for name, job in schedule.jobs.items():
                if not job.enabled:
                    continue
                newest = newest_slot(job, now)
                connection.execute(
                    "INSERT INTO jobs VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (name, newest, rows.get(name))
                )
                last, seen = connection.execute(
                    "SELECT last_slot, rows_seen FROM jobs WHERE name = ?", (name,)
                ).fetchone()
                passed = slots_between(job, last, newest)
                if passed:
                    self._add(connection, name, newest, "time", job.priority, now, passed - 1)
                if job.new_rows is not None:
                    # A table that was replaced by a smaller one is new as a whole
                    present = rows.get(name, 0)
                    since = present - (seen if seen is not None and seen <= present else 0)
                    if since >= job.new_rows.rows:
                        self._add(connection, name, int(now), "new_rows", job.priority, now)

    def order(self, name: str, priority: int, now: float) -> None:
        """Let a job wait whether or not it is due; one that waits already may start at once.

        Raises:
            UserError: It runs already.
        """
        with self._transaction() as connection:
            active = self._active(connection, name)
            if active is not None and active.state == "running":
                raise UserError(f"The job '{name}' runs already, started by {active.owner}.")
            if active is not None:
                connection.execute("UPDATE runs SET due = ?, priority = ? WHERE id = ?", (now, priority, active.id))
            else:
                self._add(connection, name, int(now), "by_hand", priority, now)

    def claim(
        self, schedule: Schedule, owner: str, rows: dict[str, int], now: float, only: str | None = None
    ) -> Run | None:
        """Take the most urgent run that may start; nobody else gets it while the lease is renewed.

        Args:
            schedule: For leases, calendars and retries.
            owner: Who takes it.
            rows: Job -> rows of the file of its trigger, of those that have one.
            now: Seconds since the epoch.
            only: Name of the only job that is asked for.

        Returns:
            The run, whose state is ``running`` now; None where nothing may start.
        """
        with self._transaction() as connection:
            self._release_lost(connection, schedule, now)
            # The rest are jobs of an earlier schedule: they stay where they are
            names = [name for name in schedule.jobs if only in (None, name)]
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM runs WHERE state = 'waiting' AND due <= ? "
                f"AND job IN ({','.join('?' * len(names))}) ORDER BY priority DESC, slot, id LIMIT 1",
                (now, *names),
            ).fetchone()
            if found is None:
                return None
            run = Run(*found)
            job = schedule.jobs[run.job]
            newest = newest_slot(job, now)
            connection.execute(
                "UPDATE runs SET state = 'running', owner = ?, lease_until = ?, exit_code = NULL, "
                "attempt = attempt + 1, started = coalesce(started, ?), missed = missed + ? WHERE id = ?",
                (owner, now + schedule.lease_seconds, now, self._see_to(connection, run, job, newest, rows), run.id),
            )
            return self._run(connection, run.id)

    def renew(self, run: Run, owner: str, lease_seconds: float, now: float) -> bool:
        """Renew the lease.

        Returns:
            Whether the run still belongs to the owner; if not, it was taken over and must be dropped.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE runs SET lease_until = ? WHERE id = ? AND owner = ? AND state = 'running'",
                (now + lease_seconds, run.id, owner),
            )
            return changed.rowcount == 1

    def advance(self, run: Run, owner: str) -> bool:
        """Note that a step got through; the next one begins with its first attempt.

        Returns:
            Whether the run still belongs to the owner.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE runs SET step = step + 1, attempt = 1 WHERE id = ? AND owner = ? AND state = 'running'",
                (run.id, owner),
            )
            return changed.rowcount == 1

    def end(self, run: Run, owner: str, state: State, exit_code: int | None, now: float, due: float = 0.0) -> bool:
        """Give a run back: ended, or waiting for another attempt.

        Args:
            run: The run.
            owner: Who held it.
            state: What became of it.
            exit_code: Of its last step.
            now: Seconds since the epoch.
            due: When a waiting run may start again.

        Returns:
            Whether it still belonged to the owner.
        """
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE runs SET state = ?, exit_code = ?, ended = ?, due = ?, owner = NULL, lease_until = NULL "
                "WHERE id = ? AND owner = ? AND state = 'running'",
                (state, exit_code, None if state == "waiting" else now, due, run.id, owner),
            )
            return changed.rowcount == 1

    def put_back(self, run: Run, owner: str, due: float) -> None:
        """Give back a run that was interrupted by no fault of its own: the attempt does not count."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE runs SET state = 'waiting', due = ?, owner = NULL, lease_until = NULL, "
                "attempt = max(0, attempt - 1) WHERE id = ? AND owner = ? AND state = 'running'",
                (due, run.id, owner),
            )

    def run(self, number: int) -> Run:
        """A run by its number."""
        with self._connection() as connection:
            return self._run(connection, number)

    def runs(self, job: str) -> list[Run]:
        """All runs of a job that are still known, the newest first."""
        with self._connection() as connection:
            found = connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE job = ? ORDER BY id DESC", (job,))
            return [Run(*row) for row in found]

    def prune(self, job: str, keep: int) -> None:
        """Forget the oldest ended runs of a job."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM runs WHERE job = ? AND state NOT IN ('waiting', 'running') AND id NOT IN "
                "(SELECT id FROM runs WHERE job = ? ORDER BY id DESC LIMIT ?)",
                (job, job, keep),
            )

    def _release_lost(self, connection: sqlite3.Connection, schedule: Schedule, now: float) -> None:
        """Take runs from schedulers that have died; what killed them may have been the job, so the attempt counts."""
        lost = connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE state = 'running' AND lease_until < ?", (now,))
        for run in [Run(*row) for row in lost]:
            again = run.job in schedule.jobs and run.attempt <= schedule.retries_of(run.job)
            connection.execute(
                "UPDATE runs SET state = ?, exit_code = ?, ended = ?, due = ?, owner = NULL, lease_until = NULL "
                "WHERE id = ?",
                ("waiting" if again else "failed", LOST, None if again else now, now, run.id),
            )

    def _see_to(self, connection: sqlite3.Connection, run: Run, job: Job, newest: int, rows: dict[str, int]) -> int:
        """Note what a run that starts makes up for; returns how many slots have passed since it was planned."""
        last = connection.execute("SELECT last_slot FROM jobs WHERE name = ?", (run.job,)).fetchone()
        connection.execute(
            "INSERT INTO jobs VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "last_slot = max(last_slot, excluded.last_slot), rows_seen = excluded.rows_seen",
            (run.job, newest, rows.get(run.job)),
        )
        after = max(run.slot, last[0] if last else newest)
        return slots_between(job, after, newest)

    def _add(
        self,
        connection: sqlite3.Connection,
        name: str,
        slot: int,
        reason: Reason,
        priority: int,
        now: float,
        missed: int = 0,
    ) -> None:
        connection.execute(
            "INSERT INTO runs (job, slot, reason, priority, due, missed) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (name, slot, reason, priority, now, missed),
        )

    def _active(self, connection: sqlite3.Connection, name: str) -> Run | None:
        found = connection.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE job = ? AND state IN ('waiting', 'running')", (name,)
        ).fetchone()
        return None if found is None else Run(*found)

    def _run(self, connection: sqlite3.Connection, number: int) -> Run:
        return Run(*connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE id = ?", (number,)).fetchone())

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            # After a power cut the last change may be missing, and a step is run again; the file is never damaged
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """What others see as a whole or not at all; the write lock is taken at once, so nothing read changes."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
