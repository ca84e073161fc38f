"""The SQLite file: one STRICT table of whole numbers and one readable view per event type, and its versions."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from augury.errors import UserError
from augury.telemetry.columns import Column
from augury.telemetry.events import EVENTS, columns
from augury.telemetry.name_columns import Word

APPLICATION_ID = 0x41554754
"""Marks a file as ours in SQLite's own header: "AUGT"."""


def table_name(event_type: str) -> str:
    """Name of the table that holds the rows of an event type."""
    return f"{event_type}_rows"


def select_list(event_type: str) -> str:
    """The decoded columns of an event type, for ``SELECT``."""
    return ", ".join(f"{column.sql(name)} AS {name}" for name, column in columns(event_type).items())


def _definition(name: str, column: Column) -> str:
    return f"{name} {column.sql_type}{'' if column.optional else ' NOT NULL'}"


def _create(connection: sqlite3.Connection) -> None:
    """Version 1."""
    connection.execute("CREATE TABLE word (field TEXT, code INTEGER, text TEXT, PRIMARY KEY (field, code)) STRICT")
    connection.execute("CREATE UNIQUE INDEX word_text ON word (field, text)")
    connection.execute("CREATE TABLE node (name TEXT PRIMARY KEY) STRICT")
    connection.execute("CREATE TABLE privacy_spent (epoch INTEGER PRIMARY KEY, epsilon REAL NOT NULL) STRICT")
    for event_type in EVENTS:
        found = columns(event_type)
        table = table_name(event_type)
        connection.execute(f"CREATE TABLE {table} ({', '.join(_definition(*item) for item in found.items())}) STRICT")
        connection.execute(f"CREATE INDEX {table}_ts ON {table} (ts)")
        for name, column in found.items():
            if isinstance(column, Word):
                words = [(name, code, word) for code, word in enumerate(column.words)]
                connection.executemany("INSERT OR IGNORE INTO word VALUES (?, ?, ?)", words)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_create,)
"""What brings a file from each version to the next; a published step is never changed, new ones go to the end."""


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, or bring an older file to this version, in one transaction.

    Args:
        connection: In autocommit mode, with a busy timeout.
        path: For messages.

    Raises:
        UserError: The file is not ours, or was written by a newer version.
        sqlite3.Error: It is damaged, locked, or the disk is full.
    """
    if check_version(connection, path) == len(MIGRATIONS):
        return
    # Only before the first table, and not inside a transaction: how pages that retention empties are given back
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been quicker
        for step in MIGRATIONS[check_version(connection, path) :]:
            step(connection)
        for event_type in EVENTS:
            connection.execute(f"DROP VIEW IF EXISTS {event_type}")
            connection.execute(
                f"CREATE VIEW {event_type} AS SELECT {select_list(event_type)} FROM {table_name(event_type)}"
            )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Find out the version of a file.

    Args:
        connection: To the file.
        path: For messages.

    Returns:
        Its version; 0 for an empty file.

    Raises:
        UserError: The file is not ours, or was written by a newer version.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    if mark != APPLICATION_ID and (version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
        raise UserError(f"{path} is an SQLite file of another application. Telemetry needs a file of its own.")
    if version > len(MIGRATIONS):
        raise UserError(
            f"{path} was written by a newer Augury (version {version} of the file, this one knows "
            f"{len(MIGRATIONS)}). Upgrade augury, or use another file."
        )
    return version
