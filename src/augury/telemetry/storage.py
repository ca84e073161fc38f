"""Writes rows into the SQLite file and deletes old ones; at most one thread at a time, any number of processes."""

import contextlib
import itertools
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from augury.errors import UserError
from augury.telemetry.columns import Code
from augury.telemetry.events import EVENTS, MAX_POLICIES, POLICIES, columns
from augury.telemetry.file_lock import locked
from augury.telemetry.name_columns import DECLARED_WORD
from augury.telemetry.schema import migrate, table_name

logger = logging.getLogger(__name__)

BATCH_ROWS = 1_000
BUSY_MS = 250
"""How long one attempt to write waits for another process. The writer tries again; the application never waits."""

CHECKED_BYTES = 16 * 2**20
"""Files up to this size are checked for damage when they are opened; in larger ones it is found where it is read."""

DELETED_AT_ONCE = 5_000
_DELETIONS = 20

_DAMAGED = ("malformed", "not a database", "file is encrypted", "database corruption")


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is damaged, not that it is locked or the disk full."""
    return isinstance(error, sqlite3.DatabaseError) and any(word in str(error) for word in _DAMAGED)


class Store:
    """An open telemetry file."""

    def __init__(self, path: Path, busy_ms: int = BUSY_MS, check: bool = True) -> None:
        """Open a file, make its tables or bring them to this version.

        Args:
            path: The file; its folder must exist.
            busy_ms: How long to wait for another process that writes.
            check: Whether to look for damage.

        Raises:
            UserError: The file is not ours, or was written by a newer version.
            sqlite3.Error: It is damaged, locked, or the disk is full.
        """
        self.path = path
        # Opened by the thread that makes the collector, used by the writer: never by two at once
        self._connection = sqlite3.connect(
            path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            self.inode = path.stat().st_ino
            if check and path.stat().st_size <= CHECKED_BYTES:
                found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {found}")
            migrate(self._connection, path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(f"PRAGMA journal_size_limit = {16 * 2**20}")
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file; the last process to do so empties the log beside it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def is_gone(self) -> bool:
        """Whether the file was deleted or replaced, so that nobody would ever read what is written."""
        try:
            return self.path.stat().st_ino != self.inode
        except OSError:
            return True

    def declare(self, policies: Sequence[str]) -> dict[str, int]:
        """Add names of policies to the file's list.

        Args:
            policies: The application's own names.

        Returns:
            All names of the file, with their numbers.

        Raises:
            UserError: There are too many.
        """
        known = self._policies()
        if not set(policies) <= known.keys():
            with self._transaction():
                known = self._policies()
                for word in policies:
                    if word not in known:
                        if len(known) >= len(POLICIES) + MAX_POLICIES:
                            raise UserError(
                                f"{self.path} knows {MAX_POLICIES} declared policies already, which is all that it may."
                            )
                        known[word] = max(known.values()) + 1
                        self._connection.execute("INSERT INTO word VALUES ('policy', ?, ?)", (known[word], word))
        return known

    def _policies(self) -> dict[str, int]:
        return dict(self._connection.execute("SELECT text, code FROM word WHERE field = 'policy' ORDER BY code"))

    def name_node(self, node: str) -> None:
        """Note which node writes this file, for the count of nodes when files of many are put together."""
        if self._connection.execute("SELECT 1 FROM node WHERE name = ?", (node,)).fetchone() is None:
            self._connection.execute("INSERT OR IGNORE INTO node VALUES (?)", (node,))

    def write(self, rows: Mapping[str, Sequence[tuple[Code, ...]]]) -> None:
        """Write a batch in one transaction.

        One statement takes many rows: SQLite's Python module lets other threads run once per statement, so a
        statement per row would wait for a busy application at every row.

        Args:
            rows: Event type -> rows in the order of the schema.

        Raises:
            sqlite3.Error: Nothing was written.
        """
        statements = [(event_type, part) for event_type, found in rows.items() for part in _pieces(found)]
        if len(statements) == 1:
            self._insert(*statements[0])
            return
        with self._transaction():
            for event_type, part in statements:
                self._insert(event_type, part)

    def _insert(self, event_type: str, rows: Sequence[tuple[Code, ...]]) -> None:
        self._connection.execute(_insertion(event_type, len(rows)), list(itertools.chain.from_iterable(rows)))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise

    def used_bytes(self) -> int:
        """Size of the file without its free pages."""
        pages, free, size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def retain(self, before_ms: int, most_bytes: int) -> int:
        """Delete rows that are too old, then the oldest while the file is too large; a limited number per call.

        Args:
            before_ms: Rows before this time are deleted.
            most_bytes: What the rows may take.

        Returns:
            How many rows were deleted; call it again while there are some.

        Raises:
            sqlite3.Error: The file is locked or damaged.
        """
        deleted = 0
        for event_type in EVENTS:
            deleted += self._delete(event_type, "ts < ?", before_ms)
        for _ in range(_DELETIONS):
            if self.used_bytes() <= most_bytes:
                break
            oldest = {
                event_type: found[0]
                for event_type in EVENTS
                if (found := self._connection.execute(f"SELECT min(ts) FROM {table_name(event_type)}").fetchone())[0]
                is not None
            }
            if not oldest:
                break
            gone = self._delete(min(oldest, key=lambda event_type: oldest[event_type]), "ts IS NOT ?", None)
            deleted += gone
        if deleted:
            # execute() would give back one page: it stops at the first step of a statement without columns
            self._connection.executescript("PRAGMA incremental_vacuum")
        return deleted

    def _delete(self, event_type: str, condition: str, value: Any) -> int:
        table = table_name(event_type)
        chosen = f"SELECT rowid FROM {table} WHERE {condition} ORDER BY ts LIMIT {DELETED_AT_ONCE}"
        return self._connection.execute(f"DELETE FROM {table} WHERE rowid IN ({chosen})", (value,)).rowcount

    def tidy(self) -> None:
        """Move what the log beside the file holds into the file, and empty the log."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def check_policies(policies: Sequence[str]) -> tuple[str, ...]:
    """Check the names of policies that an application declares.

    Args:
        policies: Names of rules or versions of models.

    Returns:
        The names.

    Raises:
        UserError: There are too many, or one is no short name.
    """
    if len(policies) > MAX_POLICIES or not all(
        type(word) is str and DECLARED_WORD.fullmatch(word) for word in policies
    ):
        raise UserError(
            f"policies= takes at most {MAX_POLICIES} names of up to 24 characters a-z, 0-9, '_', '.', '-' that begin "
            "with a letter, such as 'model-v3'."
        )
    return tuple(policies)


def set_aside(path: Path, inode: int | None) -> None:
    """Rename a damaged file and the log beside it, so that a new one can begin and nothing is lost.

    Args:
        path: The damaged file.
        inode: Which file was found damaged; another one of this name, made by another process since, is left alone.

    Raises:
        OSError: It cannot be renamed.
    """
    with locked(path.with_name(path.name + ".lock")):
        if not path.exists() or (inode is not None and path.stat().st_ino != inode):
            return
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        target = path.with_name(f"{path.name}.damaged-{stamp}-{os.getpid()}")
        os.replace(path, target)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}{suffix}", f"{target}{suffix}")
    logger.warning("%s is damaged and was set aside as %s; a new file begins.", path, target.name)


def _pieces(rows: Sequence[tuple[Code, ...]]) -> Iterator[Sequence[tuple[Code, ...]]]:
    """Cut rows into pieces of few different lengths, so that few statements are ever prepared."""
    start = 0
    for length in (BATCH_ROWS, 128, 16, 1):
        while len(rows) - start >= length:
            yield rows[start : start + length]
            start += length


@cache
def _insertion(event_type: str, rows: int) -> str:
    found = columns(event_type)
    one = f"({', '.join('?' * len(found))})"
    return f"INSERT INTO {table_name(event_type)} ({', '.join(found)}) VALUES {', '.join([one] * rows)}"
