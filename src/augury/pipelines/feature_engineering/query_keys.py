"""File every labelled query under its keys, with what it cost and the day from which that is known."""

import json
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from augury import engines
from augury.predictors.query_columns import (
    CATALOG,
    CPU_TIME_S,
    CREATE_TIME,
    DATE,
    END_TIME,
    INPUTS_JSON,
    IS_HEAVY,
    PEAK_MEMORY_GB,
    QUERY_ID,
    SCHEMA,
    SOURCE,
    SQL_TEXT,
    USER,
)
from augury.predictors.query_features import QueryFeatures, TextScanner, keys_of
from augury.predictors.query_keys import SEPARATOR, cleaned

AVAILABLE_DATE = "available_date"
KEYS: engines.Schema = {
    QUERY_ID: "string",
    AVAILABLE_DATE: "string",
    "user": "string",
    "source": "string",
    "catalog": "string",
    "schema": "string",
    "template": "string",
    "tables": "string",
    "user_tables": "string",
    IS_HEAVY: "boolean",
    CPU_TIME_S: "double",
    PEAK_MEMORY_GB: "double",
    "inputs": "string",
    DATE: "string",
}
"""Columns of the keyed log. ``available_date`` is the day on which the query's outcome became known (null: never);
``tables`` are separated by :data:`~augury.predictors.query_keys.SEPARATOR`; ``inputs`` is JSON: a list of table, bytes
and rows read."""


def fingerprint_log(primary_labelled: Any, features: QueryFeatures) -> Any:
    """Derive the keys of all labelled queries, sampled or not: history counts every one of them.

    A query's outcome is known when it has ended and its event has been stored. Where the end is not recorded, the query
    is taken to have run for ``unknown_duration_hours``, or else it would tell queries of its own day about itself.

    Args:
        primary_labelled: The labelled log (pandas or Spark).
        features: Parameters.

    Returns:
        Native frame with the columns of :data:`KEYS`, one row per query.
    """
    needed = (
        QUERY_ID, SQL_TEXT, USER, SOURCE, CATALOG, SCHEMA, CREATE_TIME, END_TIME, IS_HEAVY, CPU_TIME_S, PEAK_MEMORY_GB,
        INPUTS_JSON, DATE,
    )  # fmt: skip
    scan = TextScanner()

    def fingerprint(batch: pd.DataFrame) -> pd.DataFrame:
        facts = batch[[QUERY_ID, IS_HEAVY, CPU_TIME_S, PEAK_MEMORY_GB, DATE]]
        table = pd.concat([facts, keys_table(batch, scan)], axis=1)
        table[AVAILABLE_DATE] = available_dates(batch[CREATE_TIME], batch[END_TIME], features)
        table["inputs"] = _inputs(batch[INPUTS_JSON])
        return table

    return engines.map_batches(nw.from_native(primary_labelled).select(*needed).to_native(), fingerprint, KEYS)


def keys_table(batch: pd.DataFrame, scan: TextScanner) -> pd.DataFrame:
    """Keys of queries as columns of :data:`KEYS`.

    Args:
        batch: ``sql_text``, user, source, catalog and schema of the queries.
        scan: Scans texts.

    Returns:
        One row per query, with its index.
    """
    keys = keys_of(batch, scan)
    columns = {
        "user": keys.user,
        "source": keys.source,
        "catalog": keys.catalog,
        "schema": keys.schema,
        "template": keys.template,
        "tables": [SEPARATOR.join(names) if names else None for names in keys.tables],
        "user_tables": keys.user_tables,
    }
    return pd.DataFrame(columns, index=batch.index, dtype=object)


def available_dates(created: pd.Series, ended: pd.Series, features: QueryFeatures) -> np.ndarray:
    """On which day each query's outcome became known.

    Args:
        created: Naive UTC times.
        ended: Likewise; missing where the end is not known.
        features: Parameters.

    Returns:
        ``YYYY-MM-DD``, None where neither time is known. Never before the day of creation, whatever a clock said.
    """
    created = created.astype("datetime64[us]")
    assumed = created + pd.Timedelta(hours=features.unknown_duration_hours)
    ended = ended.astype("datetime64[us]").where(ended.notna(), assumed)
    known = ended.where(~(ended < created), created) + pd.Timedelta(minutes=features.ingest_delay_minutes)
    days = known.to_numpy().astype("datetime64[D]")
    texts: np.ndarray = np.datetime_as_string(days).astype(object)
    texts[np.isnat(days)] = None
    return texts


def _inputs(texts: pd.Series) -> list[str | None]:
    given = texts.tolist()
    known = {text: _normalised_inputs(text) for text in dict.fromkeys(given)}
    return [known[text] for text in given]


def _normalised_inputs(text: str | None) -> str | None:
    """Bytes and rows by qualified table, of what Trino writes; None where nothing can be read from it."""
    if not isinstance(text, str):
        return None
    try:
        inputs = json.loads(text)
    except (ValueError, RecursionError):
        return None
    sizes: dict[str, list[float | None]] = {}
    for item in inputs if isinstance(inputs, list) else []:
        if not isinstance(item, dict):
            continue
        parts = [cleaned(item.get(name)) for name in ("catalogName", "schema", "table")]
        if not all(parts):
            continue
        # A table that is scanned twice has been read twice
        total = sizes.setdefault(".".join(map(str, parts)).lower(), [None, None])
        for at, name in enumerate(("physicalInputBytes", "physicalInputRows")):
            amount = item.get(name)
            if isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount < 2**63:
                total[at] = (total[at] or 0) + amount
    return json.dumps([[name, *amounts] for name, amounts in sorted(sizes.items())]) if sizes else None
