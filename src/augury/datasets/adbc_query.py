"""Catalog entry for the rows of an interval of time in PostgreSQL, read through ADBC: Arrow columns, no Python rows."""

import contextlib
import datetime as dt
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import pandas as pd
from kedro.io.core import AbstractDataset, DatasetError

from augury.errors import UserError
from augury.tracking.settings import one_line

logger = logging.getLogger(__name__)

ANY_SERVER = "postgresql://"
"""A connection that libpq fills in from PGHOST, PGDATABASE, PGUSER, PGPASSWORD, PGSERVICE, PGPASSFILE."""

PATIENCE_S = 10
"""Seconds to wait for a server, unless the connection or PGCONNECT_TIMEOUT says otherwise."""

_PLACEHOLDER = re.compile(r"\$([12])(?!\d)")
_LOADED_TYPES = "whole and decimal numbers, booleans, texts, dates and timestamps"


class ADBCQueryDataset(AbstractDataset[NoReturn, pd.DataFrame]):
    """Reads the rows of ``since <= time < until`` from PostgreSQL as a pandas frame.

    The query says ``$1`` and ``$2`` where the bounds belong. They are dates or times, checked before anything is
    connected to, and they are bound: whatever they hold, they are never part of the SQL text. Bounds that are null are
    open. PostgreSQL's fast way out, COPY, takes no parameters; the two values are therefore bound to settings of the
    transaction, which the query reads in place of ``$1`` and ``$2``.

    The columns have the types that a parquet file of the same table has: numbers as int64 and float64 (``numeric``
    too), times as naive UTC microseconds, texts as objects.

    Examples:
        .. code-block:: yaml

            food_waste.purchases:
              type: augury.datasets.adbc_query.ADBCQueryDataset
              sql: >-
                SELECT * FROM purchases WHERE purchased_at >= $1 AND purchased_at < $2
                ORDER BY purchased_at, purchase_id
              since: 2024-01-01
              until: 2025-01-01
              credentials: purchases_database   # {con: "postgresql://user:password@host/database"}
    """

    def __init__(
        self,
        *,
        sql: str | None = None,
        filepath: str | None = None,
        since: str | dt.date | None = None,
        until: str | dt.date | None = None,
        credentials: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry; nothing is connected to yet.

        Args:
            sql: The query, with ``$1`` and ``$2``.
            filepath: A file with the query, instead of ``sql``.
            since: The first moment that belongs to the interval; null: no lower bound.
            until: The first moment after the interval; null: no upper bound.
            credentials: ``con``: the connection as a URI; without it, libpq's environment variables.
            metadata: Free; used by kedro-viz for the layer.

        Raises:
            DatasetError: Not exactly one of ``sql`` and ``filepath``.
            UserError: A bound is no date, or the interval is empty.
        """
        if (sql is None) == (filepath is None):
            raise DatasetError("ADBCQueryDataset needs either 'sql' or 'filepath' (a file with the query).")
        if unknown := set(credentials or {}) - {"con"}:
            raise DatasetError(f"ADBCQueryDataset: credentials know only 'con', not {', '.join(sorted(unknown))}.")
        self._sql = sql
        self._filepath = filepath
        self._since = read_time("since", since)
        self._until = read_time("until", until)
        if self._since and self._until and self._since >= self._until:
            raise UserError(f"since must be before until, but since={self._since} and until={self._until}.")
        self._con = str((credentials or {}).get("con") or ANY_SERVER)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Run the query."""
        table = read_interval(self._con, self._query(), self._since, self._until)
        interval = f"since {self._since or 'the beginning'}, until {self._until or 'the end'}"
        logger.info("%s: %d rows, %s", server_name(self._con), table.num_rows, interval)
        return _raw_types(table).to_pandas(split_blocks=True, self_destruct=True)

    def save(self, data: Any) -> NoReturn:
        """Refuse: the table belongs to its database."""
        raise DatasetError(
            "ADBCQueryDataset only reads. deploy/postgres/load_purchases.py loads a table into PostgreSQL."
        )

    def _query(self) -> str:
        if self._sql is not None:
            return self._sql
        path = Path(str(self._filepath))
        if not path.is_file():
            raise UserError(f"'{path}', the file with the query, does not exist.")
        return path.read_text(encoding="utf-8")

    def _describe(self) -> dict[str, Any]:
        return {
            "server": server_name(self._con),
            "query": self._filepath or one_line(ValueError(str(self._sql))),
            "since": str(self._since),
            "until": str(self._until),
        }


def read_time(name: str, value: Any) -> dt.datetime | None:
    """Read a bound of an interval.

    Args:
        name: Name of the bound, for the message.
        value: A date or time, or its ISO text; times with a zone become UTC without one. None or "": no bound.

    Returns:
        The time, or None.

    Raises:
        UserError: It is something else.

    Examples:
        >>> read_time("since", "2024-01-31")
        datetime.datetime(2024, 1, 31, 0, 0)
    """
    if value is None or value == "":
        return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime.combine(value, dt.time())
    try:
        time = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise UserError(
            f"{name} must be a date or a time such as 2024-01-31 or 2024-01-31T12:00:00, not {value!r}."
        ) from None
    return time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)


def read_interval(con: str, query: str, since: Any, until: Any) -> Any:
    """Run a query with two bound values.

    Args:
        con: The connection as a URI of libpq.
        query: The SQL, with ``$1`` and ``$2``.
        since: Value of ``$1``, read by PostgreSQL as a timestamp; None: before all times.
        until: Value of ``$2``; None: after all times.

    Returns:
        A :class:`pyarrow.Table`.

    Raises:
        UserError: The server cannot be reached or refuses the connection or the query; one line.
    """
    values = {"1": since, "2": until}
    used = sorted(set(_PLACEHOLDER.findall(query)))
    settings = ", ".join(f"set_config('augury.bound_{number}', ${place}, true)" for place, number in enumerate(used, 1))
    # The replacement is constant text: what the values hold cannot get into it
    reading = _PLACEHOLDER.sub(r"current_setting('augury.bound_\1')::timestamp", query)
    bounds = [str(values[number] if values[number] is not None else OPEN[number]) for number in used]
    with connected(con) as connection, connection.cursor() as cursor:
        if used:
            cursor.execute(f"SELECT {settings}", bounds)
            cursor.fetchall()
        cursor.execute(reading)
        return cursor.fetch_arrow_table()


OPEN = {"1": "-infinity", "2": "infinity"}
"""What PostgreSQL calls a bound that is not there."""


@contextlib.contextmanager
def connected(con: str) -> Iterator[Any]:
    """Open a connection whose errors are one line without credentials.

    Args:
        con: The connection as a URI of libpq; SQLAlchemy's form (``postgresql+psycopg://``) will do as well.

    Yields:
        A DB-API connection of ADBC. What is not committed when the block ends is rolled back.

    Raises:
        UserError: The server cannot be reached, or it refuses something.
    """
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    con = re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", con)
    try:
        with dbapi.connect(_with_patience(con)) as connection:
            yield connection
    except Error as error:
        reason = one_line(ValueError(_reason(str(error)))).rstrip(".")
        raise UserError(
            f"PostgreSQL at {server_name(con)}: {reason}. The connection comes from the entry's credentials in "
            "conf/<environment>/credentials.yml, or from PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD."
        ) from None


def server_name(con: str) -> str:
    """Name a server without its credentials.

    Args:
        con: The connection as a URI.

    Returns:
        Host, port and database as far as the URI says them.

    Examples:
        >>> server_name("postgresql://ann:secret@db.example:5433/shop")
        'db.example:5433/shop'
    """
    url = urlsplit(con)
    query = parse_qs(url.query)
    host = url.netloc.rpartition("@")[2] or ",".join(query.get("host", [os.environ.get("PGHOST", "localhost")]))
    database = url.path.strip("/") or query.get("dbname", [os.environ.get("PGDATABASE", "")])[0]
    return f"{host}/{database}"


def _with_patience(con: str) -> str:
    if "connect_timeout=" in con or "PGCONNECT_TIMEOUT" in os.environ or "://" not in con:
        return con
    return f"{con}{'&' if urlsplit(con).query else '?'}connect_timeout={PATIENCE_S}"


def _reason(text: str) -> str:
    """What the server said, without the layers of the driver, the query and hints for programmers."""
    text = re.split(r"\n(?:LINE \d|\tIs the server|Query was)|\.? SQLSTATE", text)[0].strip()
    said = re.search(r"(?:ERROR|FATAL): .*", text, re.DOTALL)
    return said[0] if said else re.sub(r"^[A-Z_]+: (?:\[libpq\] )?", "", text)


def _raw_types(table: Any) -> Any:
    """Give every column the type that it has in a parquet file written from pandas."""
    import pyarrow as pa

    for position, column in enumerate(table.schema):
        target = _raw_type(column.type)
        if target is None:
            raise UserError(
                f"Column '{column.name}' has the type {_type_name(column.type)}; what can be loaded are "
                f"{_LOADED_TYPES}. Convert it in the query, as in {column.name}::text, or leave it out."
            )
        if target != column.type:
            values = table.column(position)
            if isinstance(column.type, pa.BaseExtensionType):
                values = pa.chunked_array([chunk.storage for chunk in values.chunks], column.type.storage_type)
            table = table.set_column(position, column.name, values.cast(target))
    return table


def _raw_type(arrow: Any) -> Any:
    """The type of a column after loading; None: pandas has no counterpart that a raw table could hold."""
    import pyarrow as pa

    if isinstance(arrow, pa.BaseExtensionType):
        if _type_name(arrow) == "numeric":  # ADBC hands its digits over as text
            return pa.float64()
        arrow = arrow.storage_type
        return arrow if pa.types.is_string(arrow) else None
    if pa.types.is_integer(arrow):
        return pa.int64()
    if pa.types.is_floating(arrow):
        return pa.float64()
    if pa.types.is_date(arrow) or pa.types.is_timestamp(arrow):
        return pa.timestamp("us")  # ADBC's times with a zone are UTC
    return arrow if pa.types.is_boolean(arrow) or pa.types.is_string(arrow) else None


def _type_name(arrow: Any) -> str:
    return str(getattr(arrow, "type_name", arrow))
