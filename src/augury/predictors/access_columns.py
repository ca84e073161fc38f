"""The raw table of `prefetch`: one row per access; names of its columns, and what numbers in it may be."""

import pandas as pd

from augury.errors import UserError

DATASET = "prefetch.accesses"
BLOCK, OBJECT, POSITION = "block", "object", "position"
COLUMNS = ("trace", "ts", "req", "session", OBJECT, POSITION, BLOCK, "size", "nblocks")
"""What is read; ``hit``, ``prefetched`` and ``policy`` are outcomes of whoever served, and no inputs."""
WHOLE = (BLOCK, POSITION, "req", "nblocks")
_EXACT = 2**53
"""Up to here a float can hold every whole number."""


def refuse_fractions(values: pd.Series, where: str) -> None:
    """Refuse a column that is not one of whole numbers; missing values are let through.

    Args:
        values: The column; floats do if they are whole and exact.
        where: Table and column, for the message.

    Raises:
        UserError: There is a value that is no whole number of 64 bits.
    """
    if values.dtype.kind in "iu" or str(values.dtype) in ("Int64", "UInt64"):
        return
    kept = values.dropna()
    if not len(kept):
        return
    numbers = pd.to_numeric(kept, errors="coerce")
    if kept.dtype.kind not in "fO" or (numbers % 1 != 0).any() or (numbers.abs() > _EXACT).any():
        raise UserError(f"{where} must be whole numbers of 64 bits, not {values.dtype}, for example {kept.iloc[0]!r}.")
