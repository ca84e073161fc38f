"""Reading held-out predictions: every task checks its columns here, with the same messages."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.parameters import near_matches

OTHER = "(other)"
MISSING = "(missing)"


def require_columns(predictions: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a predictions frame without rows or without one of the columns.

    Args:
        predictions: The held-out rows with their predictions.
        columns: The columns that are needed.

    Raises:
        UserError: The frame is empty, or a column is missing or appears twice.
    """
    if predictions.empty:
        raise UserError("Predictions: the frame has no rows; at least one held-out row is needed.")
    present = [str(column) for column in predictions.columns]
    for column in columns:
        if column not in present:
            raise UserError(f"Predictions: column '{column}' is missing. {near_matches(column, present)}")
        if present.count(column) > 1:
            raise UserError(f"Predictions: column '{column}' appears {present.count(column)} times.")


def numeric_column(
    predictions: pd.DataFrame, column: str, minimum: float | None = None, *, exclusive: bool = False
) -> npt.NDArray[np.float64]:
    """Take a column of finite numbers.

    Args:
        predictions: The held-out rows; ``row_id`` names a row in the error message where it is
            present.
        column: The column's name.
        minimum: The smallest allowed value, if any.
        exclusive: Whether the minimum itself is refused too.

    Returns:
        The values, shape ``(rows,)``.

    Raises:
        UserError: The column is no number column, or a value is missing, infinite or too small.
    """
    series = predictions[column]
    if not pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series):
        raise UserError(f"Predictions: column '{column}' must hold numbers, but its type is {series.dtype}.")
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(predictions, column, "must be finite", ~np.isfinite(values))
    if minimum is not None:
        rule = f"must be {'>' if exclusive else '>='} {minimum:g}"
        _refuse(predictions, column, rule, values <= minimum if exclusive else values < minimum)
    return values


def group_codes(predictions: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Number the groups of the rows, in the order of their labels.

    Args:
        predictions: The held-out rows with a ``group`` column.

    Returns:
        The number of each row's group, shape ``(rows,)``.

    Raises:
        UserError: A row has no group.
    """
    _refuse(predictions, "group", "must not be missing", predictions["group"].isna().to_numpy())
    codes, _ = pd.factorize(predictions["group"], sort=True)
    return codes.astype(np.int64)


def slice_labels(values: pd.Series, smallest: int) -> pd.Series:
    """Turn a slice column into labels, with the rare values under one name.

    Args:
        values: The slice column.
        smallest: Values with fewer rows are merged into ``"(other)"``.

    Returns:
        The labels as text, with the same index; a missing value is ``"(missing)"``.
    """
    labels = values.astype(object).map(_label)
    counts = labels.map(labels.value_counts())
    return labels.where(counts >= smallest, OTHER)


_BAND = re.compile(r"(up to |above |)(-?\d+(?:\.\d+)?)(?![\w.])")
_SIDES = {"up to ": -1, "": 0, "above ": 1}


def slice_place(label: str, rows: int, named: Sequence[str] = ()) -> tuple[bool, float, int, int, str]:
    """Sort key of a slice: numbers and ranges ascending, else the largest slice first; ``(other)`` comes last.

    Args:
        label: One of :func:`slice_labels`, for example ``"16 KiB"``, ``"up to 0.1"``, ``"0.1 to 0.2"``.
        rows: Of the slice.
        named: Labels without a number that have an order of their own.
    """
    found = _BAND.match(label)
    if found is None:
        return label == OTHER, named.index(label) if label in named else np.inf, 0, -rows, label
    number, side = float(found[2]), _SIDES[found[1]]
    return label == OTHER, number, side, -rows, label


def _label(value: Any) -> str:
    if pd.isna(value):
        return MISSING
    # 300 and 300.0 are one value: a single missing cell turns a column of integers into floats.
    return f"{value:.12g}" if isinstance(value, float | np.floating) else str(value)


def _refuse(predictions: pd.DataFrame, column: str, rule: str, broken: npt.NDArray[np.bool_]) -> None:
    if not broken.any():
        return
    position = int(np.flatnonzero(broken)[0])
    row = f"row_id {predictions['row_id'].iloc[position]!r}" if "row_id" in predictions else f"row {position}"
    raise UserError(
        f"Predictions: column '{column}' {rule}; {int(broken.sum())} of {len(predictions)} rows "
        f"break this, for example {row}: {predictions[column].iloc[position]}."
    )
