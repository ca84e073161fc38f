"""Reads rows from a telemetry file, decoded."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from augury.errors import UserError
from augury.telemetry.events import columns
from augury.telemetry.schema import MIGRATIONS, check_version, select_list, table_name

BUSY_S = 1.0


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[sqlite3.Connection]:
    """Open a telemetry file for reading only, also while others write.

    Args:
        path: The file.

    Yields:
        A connection.

    Raises:
        UserError: There is no such file, or it is none of ours, newer, older, damaged or locked.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no telemetry file {path}.")
    # A copy in a folder that cannot be written has no place for SQLite's log: it is read as a file that never changes
    still = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    address = f"file:{quote(str(path.resolve()))}?mode=ro{'&immutable=1' if still else ''}"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as connection:
            version = check_version(connection, path)
            if version < len(MIGRATIONS):
                raise UserError(f"{path} was written by an older Augury. Open it once with a TelemetryCollector.")
            yield connection
    except sqlite3.Error as error:
        raise UserError(f"The telemetry file {path} cannot be read ({error}).") from None


def read_rows(
    connection: sqlite3.Connection,
    event_type: str,
    since_ms: int | None = None,
    until_ms: int | None = None,
    limit: int | None = None,
) -> list[tuple[Any, ...]]:
    """Read decoded rows in the order in which they were written.

    Args:
        connection: What :func:`reading` opened.
        event_type: Such as ``block_stored``.
        since_ms: Only rows of this moment or later, in milliseconds since 1970; times are kept in steps, so the step
            that holds the moment is included.
        until_ms: Only rows before this moment.
        limit: Only the newest so many; None: all.

    Returns:
        Rows with the columns of the event.

    Raises:
        UserError: There is no such event type.
    """
    step = getattr(columns(event_type)["ts"], "step_ms", 1)
    conditions, values = ["1"], []
    if since_ms is not None:
        conditions.append("ts >= ?")
        values.append(since_ms - since_ms % step)
    if until_ms is not None:
        conditions.append("ts < ?")
        values.append(until_ms)
    chosen = f"SELECT rowid AS place, * FROM {table_name(event_type)} WHERE {' AND '.join(conditions)}"
    if limit is not None:
        chosen += " ORDER BY rowid DESC LIMIT ?"
        values.append(limit)
    return connection.execute(f"SELECT {select_list(event_type)} FROM ({chosen}) ORDER BY place", values).fetchall()
