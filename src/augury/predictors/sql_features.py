"""The features of queries that need no history, from their scanned texts and their sessions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from augury.predictors.sql_contract import BASE_V1, DESCRIPTIONS, EXTRA_V1, TEXT_FEATURES
from augury.predictors.sql_tokens import ScannedTexts, scan_texts

__all__ = ["BASE_V1", "DESCRIPTIONS", "EXTRA_V1", "SOURCE_KINDS", "ScannedTexts", "base_features", "scan_texts"]

SOURCE_KINDS: dict[int, tuple[str, ...]] = {
    kind: tuple(words.split())
    for kind, words in {
        4: "airflow dbt dagster prefect oozie azkaban luigi spark schedul cron etl batch",
        2: "superset tableau looker metabase powerbi redash grafana quicksight dashboard",
        1: "trino-cli presto-cli dbeaver datagrip hue console sqllab editor dbvisualizer trino-ui",
        3: "python jupyter notebook jdbc odbc sqlalchemy go-client node -js zeppelin",
    }.items()
}
"""``source_kind`` and what the sources of such clients contain (lower case), first match first; 5 if nothing does."""

_ANGLES = 2 * np.pi * np.arange(24) / 24
_SIN, _COS = np.sin(_ANGLES).astype(np.float32), np.cos(_ANGLES).astype(np.float32)
_BUSINESS_HOURS = range(9, 18)
_COLUMNS = {name: place for place, name in enumerate(BASE_V1 + EXTRA_V1)}
_FROM_TEXT = np.array([_COLUMNS[name] for name in TEXT_FEATURES])


def base_features(frame: pd.DataFrame, scanned: ScannedTexts, extra: bool = True) -> pd.DataFrame:
    """Put the features of texts and those of the session together.

    Args:
        frame: One row per query: source, catalog, schema, client_info, client_tags, create_time (naive UTC); a column
            that is missing counts as all null.
        scanned: The scanned texts of the same rows, in the same order.
        extra: Whether the columns of ``extra_v1`` follow those of ``base_v1``.

    Returns:
        float32 columns :data:`BASE_V1` (and :data:`EXTRA_V1`), on the index of the frame. What depends on an unknown
        create_time is NaN; an unknown text counts as empty, any other unknown as 0.
    """
    values = np.zeros((len(frame), len(_COLUMNS)), dtype=np.float32)
    values[:, _FROM_TEXT] = scanned.values
    session = {
        "source_kind": _by_value(_column(frame, "source"), _source_kind),
        "client_tag_count": _by_value(_column(frame, "client_tags"), _tag_count),
        "client_info_length": _by_value(_column(frame, "client_info"), len),
        "is_catalog_null": _by_value(_column(frame, "catalog"), lambda _: 0, unknown=1),
        "is_schema_null": _by_value(_column(frame, "schema"), lambda _: 0, unknown=1),
    } | _time_features(frame)
    for name, column in session.items():
        values[:, _COLUMNS[name]] = column
    names = BASE_V1 + EXTRA_V1 if extra else BASE_V1
    return pd.DataFrame(values[:, : len(names)], columns=list(names), index=frame.index)


def _column(frame: pd.DataFrame, name: str) -> Sequence[Any]:
    return frame[name].tolist() if name in frame.columns else [None] * len(frame)


def _by_value(column: Sequence[Any], function: Callable[[str], int], unknown: int = 0) -> list[int]:
    """Apply a function once to each distinct text; what is blank or no text is unknown."""
    texts = {value for value in column if isinstance(value, str) and value.strip()}
    known = {value: function(value) for value in texts}
    return [known.get(value, unknown) if isinstance(value, str) else unknown for value in column]


def _source_kind(source: str) -> int:
    lowered = source.lower()
    return next((kind for kind, words in SOURCE_KINDS.items() if any(word in lowered for word in words)), 5)


def _tag_count(tags: str) -> int:
    return sum(1 for tag in tags.split(",") if tag.strip())


def _time_features(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Hour and weekday of create_time; sine and cosine come from a table, so they are the same bits everywhere."""
    if "create_time" in frame.columns:
        created = frame["create_time"]
        if created.dtype.kind != "M" or getattr(created.dtype, "tz", None) is not None:
            created = pd.to_datetime(created, utc=True, errors="coerce", format="ISO8601").dt.tz_localize(None)
        hours = created.to_numpy("datetime64[h]")
    else:
        hours = np.full(len(frame), "NaT", dtype="datetime64[h]")
    known = ~np.isnat(hours)
    since_epoch = np.where(known, hours.astype(np.int64), 0)
    hour = since_epoch % 24
    weekday = (since_epoch // 24 + 3) % 7  # the epoch was a Thursday
    business = (hour >= _BUSINESS_HOURS.start) & (hour < _BUSINESS_HOURS.stop) & (weekday < 5)
    columns = {
        "day_of_week": weekday,
        "hour_of_day": hour,
        "hour_sin": _SIN[hour],
        "hour_cos": _COS[hour],
        "is_business_hours": business,
    }
    return {name: np.where(known, column, np.nan) for name, column in columns.items()}
