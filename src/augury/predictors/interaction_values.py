"""Tables of interactions of users with items: names of their columns, and their cells in any spelling."""

import numpy as np
import pandas as pd

from augury.engines import Schema
from augury.predictors.query_values import FIRST_EPOCH, read_counts, read_texts, read_times, writable

DATASET = "recommendation.interactions"
ITEMS_DATASET = "recommendation.items"

USER_ID = "user_id"
ITEM_ID = "item_id"
TIMESTAMP = "timestamp"
INTERACTION_TYPE = "interaction_type"
IMPLICIT_RATING = "implicit_rating"
ORIGIN = "origin"
"""Optional: measured, replayed or simulated."""
MEASURED = "measured"
TEXT = "text"
CATEGORY = "category"

COLUMNS: Schema = {
    USER_ID: "string",
    ITEM_ID: "string",
    TIMESTAMP: "timestamp",
    INTERACTION_TYPE: "string",
    IMPLICIT_RATING: "double",
}
"""Of the raw interactions; only the first two are required."""
REQUIRED = (USER_ID, ITEM_ID)

ITEM_COLUMNS: Schema = {ITEM_ID: "string", TEXT: "string", CATEGORY: "string"}
"""Of the raw items; only the first is required."""

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SPLITS = (TRAIN, VALIDATION, TEST)

RULES = {
    USER_ID: "must be text without a NUL character, or a finite number",
    ITEM_ID: "must be text without a NUL character, or a finite number",
    TIMESTAMP: (
        "must be a time such as 2026-03-09T18:30:00Z, or seconds or milliseconds since 1970 "
        f"(at least {FIRST_EPOCH:.0f}; 0 and 1 stand for an unknown time)"
    ),
    INTERACTION_TYPE: "must be text",
    IMPLICIT_RATING: "must be a finite number of at least 0",
}

Reading = tuple[np.ndarray, np.ndarray]
"""Values of a column, and which of its cells could not be read."""

_NO_TIME = (0, 1, "0", "1", "0.0", "1.0")
"""What files without times have in their column of times."""


def read_column(values: pd.Series, column: str, zone: str = "UTC") -> Reading:
    """Read a column of interactions or items.

    Args:
        values: Of any type, as it is in the file.
        column: Canonical name.
        zone: Zone of times that have none.

    Returns:
        Texts (None where missing), float64 (NaN) or ``datetime64[us]`` (NaT), shape ``(rows,)``; and the mask of the
        cells that break the column's rule (:data:`RULES`), which are missing in the values.
    """
    if column in (USER_ID, ITEM_ID):
        return read_identifiers(values)
    if column == TIMESTAMP:
        return _read_timestamps(values, zone)
    if column == IMPLICIT_RATING:
        numbers, failed = read_counts(values)
        failed = failed | np.isinf(numbers) | (numbers < 0)
        return np.where(failed, np.nan, numbers), failed
    return _objects([text if text is None else text.strip() for text in read_texts(values)]), _none(len(values))


def read_identifiers(values: pd.Series) -> Reading:
    """Identifiers as texts without blanks around them; numbers are written without a point: 12.0 is ``"12"``.

    Args:
        values: Texts or numbers.

    Returns:
        Texts (None where missing), shape ``(rows,)``; and the mask of the cells that are no identifiers.
    """
    if values.dtype.kind in "iuf":
        # Missing ones have the code -1: the last text
        codes, distinct = pd.factorize(values)
        texts = _objects([*(_number_as_text(number) for number in np.asarray(distinct).tolist()), None])[codes]
        return texts, values.notna().to_numpy() & np.array([text is None for text in texts], dtype=bool)
    given = read_texts(values)
    # pandas takes two texts for one if they agree up to a NUL character
    spelt = {text: None if text is None or "\0" in text else writable(text.strip()) for text in dict.fromkeys(given)}
    failed = np.array([text is not None and spelt[text] is None for text in given], dtype=bool)
    return _objects([spelt[text] for text in given]), failed


def _read_timestamps(values: pd.Series, zone: str) -> Reading:
    if values.dtype.kind in "iuf":
        values = values.where(~values.isin(_NO_TIME[:2]))
    elif values.dtype.kind != "M":
        values = values.where(~values.isin(_NO_TIME))
    return read_times(values, zone)


def _number_as_text(number: float) -> str | None:
    if not np.isfinite(number):
        return None
    return str(int(number)) if float(number).is_integer() else str(number)


def _objects(values: list[str | None]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _none(rows: int) -> np.ndarray:
    return np.zeros(rows, dtype=bool)
