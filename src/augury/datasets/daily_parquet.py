"""Catalog entry for a table that is partitioned by its column ``date``: one folder a day, complete or not there."""

import contextlib
import io
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io.core import AbstractDataset, DatasetError, get_protocol_and_path

from augury.errors import UserError
from augury.object_stores import store_problem

DATE = "date"
MARKER = "_SUCCESS"
PART = "part-0.parquet"
EMPTY = "_empty.parquet"
"""Holds the columns of a table without rows; engines skip files whose names start with an underscore."""

BATCH = 64
"""Parts that are sent to an object store at once."""

_COLUMNS = b"augury.columns"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_OWN = re.compile(r"date=.*|_.*|\..*\.crc")


class DailyParquetDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Saves a pandas frame as ``date=YYYY-MM-DD/part-0.parquet``, the layout that Spark reads and writes.

    The table exists only while its marker ``_SUCCESS`` does, which is written last: a process killed at any moment
    leaves the whole new table, the whole old one, or (with ``kedro run --only-missing-outputs``) work to be repeated,
    but never a mixture. Locally a save writes a sibling and renames it; on an object store, which has no rename, the
    marker is removed first. Days that the new table lacks are removed.

    Loading gives all rows, day by day, with the columns in the order in which they were saved; folders that Spark
    wrote are read too.

    Examples:
        .. code-block:: yaml

            query_cost.primary_log:
              type: augury.datasets.daily_parquet.DailyParquetDataset
              filepath: data/03_primary/query_cost/log
    """

    def __init__(
        self,
        *,
        filepath: str,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry.

        Args:
            filepath: Folder, or URL of a folder (``s3://bucket/...``).
            load_args: ``columns``: the columns to read, in order; all by default.
            save_args: Passed to :func:`pyarrow.parquet.write_table`.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._url = filepath
        self._protocol, self._path = get_protocol_and_path(filepath)
        self._fs = fsspec.filesystem(self._protocol, **deepcopy(credentials or {}), **deepcopy(fs_args or {}))
        self._load_columns: list[str] | None = (load_args or {}).get("columns")
        if unknown := set(load_args or {}) - {"columns"}:
            raise DatasetError(
                f"DailyParquetDataset: load_args knows only 'columns', not {', '.join(sorted(unknown))}."
            )
        self._save_args = {"compression": "zstd", **deepcopy(save_args or {})}
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read all days."""
        with _answered(self._url):
            self._fs.invalidate_cache()
            if not self._fs.exists(f"{self._path}/{MARKER}"):
                raise DatasetError(f"'{self._url}' holds no complete table ({MARKER} is missing). {self._remedy()}")
            parts = self._parts()
            contents = self._read(list(parts) or [f"{self._path}/{EMPTY}"])
        order = _saved_order(contents[0].table.schema)
        wanted = self._load_columns or order
        if missing := [name for name in wanted if name not in order]:
            raise DatasetError(f"'{self._url}' has no column {', '.join(missing)}. There are: {', '.join(order)}.")
        stored = [name for name in wanted if name != DATE]
        rows = [part.rows for part in contents]
        frame = pd.DataFrame(index=range(sum(rows)))
        if stored:
            tables = [part.table.select(stored) for part in contents]
            frame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
        if DATE in wanted:
            days = np.array([*parts.values(), ""], dtype=object)[:-1]
            frame[DATE] = pd.Series(days.repeat(rows[: len(days)]), index=frame.index, dtype=object)
        return frame[wanted]

    def save(self, data: pd.DataFrame) -> None:
        """Replace the table."""
        days = self._check(data)
        table = _table(data)
        by_day = days.groupby(days, sort=True).indices
        rows = {f"{DATE}={day}/{PART}": np.asarray(found) for day, found in by_day.items()} or {EMPTY: np.arange(0)}
        with _answered(self._url):
            if self._protocol == "file":
                self._replace_folder(table, rows)
            else:
                self._replace_objects(table, rows)

    def _check(self, data: pd.DataFrame) -> pd.Series:
        if not isinstance(data, pd.DataFrame):
            raise DatasetError(f"DailyParquetDataset saves a pandas frame, not {type(data).__name__}.")
        if DATE not in data:
            raise DatasetError(f"'{self._url}' is partitioned by column '{DATE}', which the frame lacks.")
        days = data[DATE].reset_index(drop=True)
        wrong = [day for day in days.unique() if not (isinstance(day, str) and _DAY.fullmatch(day))]
        if wrong:
            raise DatasetError(
                f"'{self._url}': column '{DATE}' must hold days as text such as '2024-03-04', not {wrong[0]!r}."
            )
        return days

    def _replace_folder(self, table: pa.Table, rows: dict[str, np.ndarray]) -> None:
        target = Path(self._path)
        foreign = [path.name for path in target.iterdir() if not _OWN.fullmatch(path.name)] if target.is_dir() else []
        if foreign:
            raise DatasetError(
                f"'{self._url}' is not replaced: it holds '{sorted(foreign)[0]}', which is no part of a table by date."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f".{target.name}.*"):  # what a killed save left
            shutil.rmtree(left, ignore_errors=True)
        fresh = target.with_name(f".{target.name}.new-{uuid.uuid4().hex[:8]}")
        for name, found in rows.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table.take(pa.array(found)), fresh / name, **self._save_args)
        (fresh / MARKER).touch()
        old = target.with_name(f".{target.name}.old")
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)

    def _replace_objects(self, table: pa.Table, rows: dict[str, np.ndarray]) -> None:
        self._fs.invalidate_cache()
        marker = f"{self._path}/{MARKER}"
        if self._fs.exists(marker):
            self._fs.rm_file(marker)
        written = {f"{self._path}/{name}": found for name, found in rows.items()}
        paths = list(written)
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            self._fs.pipe({path: self._encoded(table.take(pa.array(written[path]))) for path in batch})
        self._fs.invalidate_cache()
        stale = [path for path in self._fs.find(self._path) if _is_part(path) and self._stripped(path) not in written]
        if stale:
            self._fs.rm(stale)
        self._fs.pipe_file(marker, b"")

    def _encoded(self, table: pa.Table) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, **self._save_args)
        return buffer.getvalue()

    def _stripped(self, path: str) -> str:
        """A path as this entry writes it: some stores put a slash before it."""
        return path[path.index(self._path.strip("/")) :] if not self._path.startswith("/") else path

    def _parts(self) -> dict[str, str]:
        """Parts in order of their days -> day."""
        found = sorted(path for path in self._fs.find(self._path) if _is_part(path) and not path.endswith(EMPTY))
        return {path: path.rsplit("/", 2)[-2].partition("=")[2] for path in found}

    def _read(self, paths: list[str]) -> list["_Part"]:
        columns = None
        if self._load_columns is not None:
            columns = [name for name in self._load_columns if name != DATE]
        if self._protocol == "file":
            return [_read_part(path, columns) for path in paths]
        parts = []
        for start in range(0, len(paths), BATCH):
            contents = self._fs.cat(paths[start : start + BATCH])
            parts += [_read_part(io.BytesIO(contents[path]), columns) for path in paths[start : start + BATCH]]
        return parts

    def _remedy(self) -> str:
        known = self._fs.exists(self._path)
        return (
            "The run that wrote it was interrupted; repeat it (--only-missing-outputs skips what is complete)."
            if known
            else "Run the stage that makes it first."
        )

    def _exists(self) -> bool:
        with _answered(self._url):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(f"{self._path}/{MARKER}"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._url, "protocol": self._protocol}

    def _release(self) -> None:
        self._fs.invalidate_cache()


class _Part(NamedTuple):
    """Rows of a file; a table without columns does not know their number."""

    table: pa.Table
    rows: int


def _is_part(path: str) -> bool:
    *_, folder, name = ["", "", *path.split("/")]
    return (folder.startswith(f"{DATE}=") and name.endswith(".parquet")) or name == EMPTY


def _table(data: pd.DataFrame) -> pa.Table:
    """The frame without its dates; all days get the same schema, even where a text is missing all day."""
    stored = data.drop(columns=DATE)
    table = pa.Table.from_pandas(stored, preserve_index=False)
    for position, column in enumerate(table.schema):
        if pa.types.is_null(column.type):
            texts = table.column(position).cast(pa.string())
            table = table.set_column(position, column.with_type(pa.string()), texts)
    order = json.dumps([str(name) for name in data.columns]).encode()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _COLUMNS: order})


def _read_part(source: Any, columns: list[str] | None) -> _Part:
    """A part, with times as UTC without a zone, whoever wrote them."""
    with pq.ParquetFile(source) as file:
        rows = int(file.metadata.num_rows)
        names = set(file.schema_arrow.names)
        table = file.read(columns=None if columns is None else [name for name in columns if name in names])
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(file.schema_arrow.metadata or {})})
    for position, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type) and column.type.tz is not None:
            plain = table.column(position).cast(pa.timestamp(column.type.unit, "UTC")).cast(pa.timestamp("us"))
            table = table.set_column(position, column.with_type(pa.timestamp("us")), plain)
    return _Part(table, rows)


def _saved_order(schema: pa.Schema) -> list[str]:
    saved = (schema.metadata or {}).get(_COLUMNS)
    return json.loads(saved) if saved else [name for name in schema.names if name != DATE] + [DATE]


@contextlib.contextmanager
def _answered(url: str) -> Iterator[None]:
    """Turn what a store says about credentials and buckets into one line."""
    try:
        yield
    except Exception as error:
        problem = store_problem(error)
        if problem is None:
            raise
    else:
        return
    raise UserError(f"'{url}': {problem}")
