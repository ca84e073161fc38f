"""Catalog entry for the rows of one event type in a telemetry file."""

import datetime as dt
import logging
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from kedro.io.core import AbstractDataset, DatasetError

from augury.datasets.adbc_query import read_time
from augury.errors import UserError
from augury.telemetry.events import columns, event_model
from augury.telemetry.reading import read_rows, reading

logger = logging.getLogger(__name__)


class TelemetryEventsDataset(AbstractDataset[NoReturn, pd.DataFrame]):
    """Reads the events that :class:`augury.telemetry.TelemetryCollector` has written, also while it writes.

    The frame is the one that ``python -m augury telemetry rows`` writes to Parquet, column by column and type by type:
    ``ts`` in milliseconds and other whole numbers int64, the rest float64 (missing: NaN), pseudonyms and words text.

    Examples:
        .. code-block:: yaml

            compression.blocks:
              type: augury.datasets.telemetry_events.TelemetryEventsDataset
              filepath: /var/lib/store/events.db
              event: block_stored
              since: 2026-01-01
    """

    def __init__(
        self,
        *,
        filepath: str,
        event: str,
        since: str | dt.date | None = None,
        until: str | dt.date | None = None,
        limit: int | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry; nothing is read yet.

        Args:
            filepath: The SQLite file, on a disk of this machine.
            event: Such as ``block_stored``.
            since: The first moment that belongs to the rows, in UTC; null: no lower bound.
            until: The first moment after them; null: no upper bound.
            limit: Only the newest so many rows; null: all.
            metadata: Free; used by kedro-viz for the layer.

        Raises:
            UserError: There is no such event type, a bound is no date, or the file is on another machine.
        """
        event_model(event)
        if "://" in filepath:
            raise UserError(
                f"TelemetryEventsDataset reads an SQLite file of this machine, not {filepath}. Copy its rows where "
                "they are needed: python -m augury telemetry rows FILE --event EVENT --to s3://bucket/rows.parquet"
            )
        if limit is not None and limit < 1:
            raise UserError(f"limit must be at least 1, not {limit}.")
        self._filepath = Path(filepath)
        self._event = event
        self._since, self._until = _milliseconds("since", since), _milliseconds("until", until)
        self._limit = limit
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read the rows in the order in which they were written."""
        frame = read_events(self._filepath, self._event, self._since, self._until, self._limit)
        logger.info("%s: %d rows of %s", self._filepath, len(frame), self._event)
        return frame

    def save(self, data: Any) -> NoReturn:
        """Refuse: events are recorded, not saved."""
        raise DatasetError("TelemetryEventsDataset only reads. Events are recorded by a TelemetryCollector.")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "event": self._event, "since": self._since, "until": self._until}


def read_events(
    path: Path | str, event: str, since_ms: int | None = None, until_ms: int | None = None, limit: int | None = None
) -> pd.DataFrame:
    """Read rows of a telemetry file.

    Args:
        path: The file.
        event: Such as ``block_stored``.
        since_ms: First moment, in milliseconds since 1970; None: no lower bound.
        until_ms: First moment after the rows; None: no upper bound.
        limit: Only the newest so many; None: all.

    Returns:
        The rows in the order in which they were written, with the types of their columns even if there are none.

    Raises:
        UserError: There is no such file or event type, or the file cannot be read.
    """
    types = {name: column.dtype for name, column in columns(event).items()}
    with reading(path) as connection:
        rows = read_rows(connection, event, since_ms, until_ms, limit)
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _milliseconds(name: str, value: Any) -> int | None:
    time = read_time(name, value)
    return None if time is None else round(time.replace(tzinfo=dt.UTC).timestamp() * 1000)
