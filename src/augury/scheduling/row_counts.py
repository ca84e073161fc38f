"""How many rows a file has, found without reading them where its format allows."""

import sqlite3
from contextlib import closing
from pathlib import Path

from augury.errors import UserError

_CHUNK = 2**20


def count_rows(project: Path, file: str) -> int:
    """Count the rows of a file.

    Args:
        project: Folder of the project.
        file: Parquet, CSV (a line of names first) or JSON-lines file, or ``file.db#table`` of SQLite.

    Returns:
        The number; 0 where the file or the table is not there yet. Of SQLite the largest row id: it keeps growing while
        old rows are deleted, and costs no scan.

    Raises:
        UserError: The file has another ending, or cannot be read.
    """
    path, _, table = file.partition("#")
    place = project / path
    if not place.exists():
        return 0
    try:
        match "#" if table else place.suffix.lower():
            case "#":
                return _largest_row_id(place, table)
            case ".parquet":
                import pyarrow.parquet as pq

                return int(pq.ParquetFile(place).metadata.num_rows)
            case ".csv":
                return max(0, _lines(place) - 1)
            case ".jsonl":
                return _lines(place)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise UserError(f"schedule.yml: the rows of '{file}' cannot be counted: {error}") from None
    raise UserError(f"schedule.yml: '{file}' must end with .parquet, .csv or .jsonl, or name a table as file.db#table.")


def _largest_row_id(database: Path, table: str) -> int:
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
        if found is None:
            return 0
        quoted = table.replace('"', '""')
        return int(connection.execute(f'SELECT coalesce(max(rowid), 0) FROM "{quoted}"').fetchone()[0])


def _lines(path: Path) -> int:
    lines, last = 0, b"\n"
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")
