"""Load a parquet or CSV file of purchases into PostgreSQL, fast, and as often as one likes.

    python deploy/postgres/load_purchases.py data/01_raw/food_waste/purchases.parquet

The connection comes from AUGURY_DATABASE (postgresql://user@host/database) or from libpq's own variables (PGHOST,
PGDATABASE, PGUSER, PGPASSWORD, PGPASSFILE ...). The rows go through a temporary table by binary COPY. Rows whose
`purchase_id` is known are updated in the columns that the file has, others are added; all of the file is loaded or,
after an error, nothing of it.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
from tqdm import tqdm

from augury.datasets.adbc_query import ANY_SERVER, connected, server_name
from augury.errors import UserError
from augury.tracking.settings import one_line

KEY = "purchase_id"
STAGING = "purchases_staging"
BATCH_ROWS = 65_536


def load_purchases(path: Path, con: str, table: str = "purchases", progress: bool = False) -> dict[str, int]:
    """Add or update the rows of a file.

    Args:
        path: A ``.parquet`` or ``.csv`` file; its columns are some or all of the table's, the key among them.
        con: The connection as a URI.
        table: The table, in the connection's search path.
        progress: Whether to show a bar.

    Returns:
        Numbers of rows: ``read``, ``added``, ``updated`` and ``unchanged``.

    Raises:
        UserError: The file does not fit the table, or the server refuses something; nothing is changed.
    """
    with connected(con) as connection, connection.cursor() as cursor:
        schema = connection.adbc_get_table_schema(table)
        source = _open(path, schema)
        rows = source.count_rows()
        columns = [field.name for field in source.schema]
        with tqdm(total=rows, unit=" rows", desc=path.name, disable=not progress) as bar:
            target = pa.schema([schema.field(name) for name in columns])
            batches = pa.RecordBatchReader.from_batches(target, _converted(source, target, bar))
            try:
                cursor.adbc_ingest(STAGING, batches, mode="create", temporary=True)
            except pa.ArrowInvalid as error:
                raise UserError(f"'{path}': {one_line(error)}") from None
        names = ", ".join(f'"{name}"' for name in columns)
        cursor.execute(f"SELECT {KEY}, count(*) FROM {STAGING} GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 1")
        if twice := cursor.fetchone():
            raise UserError(f"'{path}': {KEY} must be unique, but '{twice[0]}' is there {twice[1]} times.")
        others = [f'"{name}"' for name in columns if name != KEY]
        changes = ", ".join(f"{name} = excluded.{name}" for name in others) or f"{KEY} = excluded.{KEY}"
        known = ", ".join(f"known.{name}" for name in others) or "NULL"
        new = ", ".join(f"excluded.{name}" for name in others) or "NULL"
        cursor.execute(
            f'WITH written AS (INSERT INTO "{table}" AS known ({names}) SELECT {names} FROM {STAGING} '
            f"ON CONFLICT ({KEY}) DO UPDATE SET {changes} WHERE ROW({known}) IS DISTINCT FROM ROW({new}) "
            # A row that was not there before has no earlier version that a transaction could have locked
            "RETURNING (known.xmax = 0) AS is_new) "
            "SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written"
        )
        added, updated = cursor.fetchone()
        cursor.execute(f"DROP TABLE {STAGING}")
        connection.commit()
        cursor.execute(f'ANALYZE "{table}"')
        connection.commit()
    return {"read": rows, "added": added, "updated": updated, "unchanged": rows - added - updated}


def _open(path: Path, table: pa.Schema) -> pyarrow.dataset.Dataset:
    """The file, whose columns the table has."""
    kind = path.suffix.lower().removeprefix(".")
    if not path.is_file() or kind not in ("parquet", "csv"):
        raise UserError(f"'{path}' must be an existing .parquet or .csv file.")
    form: Any = kind
    if kind == "csv":
        options = pyarrow.csv.ConvertOptions(
            column_types=dict(zip(table.names, table.types, strict=True)), strings_can_be_null=True
        )
        form = pyarrow.dataset.CsvFileFormat(convert_options=options)
    found = pyarrow.dataset.dataset(path, format=form)
    if unknown := [name for name in found.schema.names if name not in table.names]:
        raise UserError(
            f"'{path}' has the column {', '.join(unknown)}, which the table has not. "
            f"It has: {', '.join(table.names)}. Add it (ALTER TABLE ... ADD COLUMN ...) or leave it out of the file."
        )
    if KEY not in found.schema.names:
        raise UserError(f"'{path}' lacks the column {KEY}.")
    return found


def _converted(source: pyarrow.dataset.Dataset, target: pa.Schema, bar: Any) -> Iterator[pa.RecordBatch]:
    """The rows in the table's types; flags may be booleans, times nanoseconds or with a zone."""
    for batch in source.to_batches(batch_size=BATCH_ROWS):
        columns = []
        for field, values in zip(target, batch.columns, strict=True):
            try:
                # Nanoseconds are cut to the microseconds that a table has
                columns.append(values.cast(field.type, safe=not pa.types.is_timestamp(values.type)))
            except pa.ArrowInvalid as error:
                raise pa.ArrowInvalid(f"column '{field.name}' must be {field.type}: {error}") from None
        yield pa.RecordBatch.from_arrays(columns, schema=target)
        bar.update(batch.num_rows)


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--table", default="purchases", show_default=True, help="The table.")
def main(path: Path, table: str) -> None:
    """Load a file; mistakes of the user are one line."""
    con = os.environ.get("AUGURY_DATABASE") or ANY_SERVER
    try:
        counts = load_purchases(path, con, table, progress=sys.stderr.isatty())
    except UserError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{server_name(con)}, {table}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))


if __name__ == "__main__":
    main()
