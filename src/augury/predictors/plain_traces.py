"""Plain traces: a table with the blocks that were read in their order, and perhaps how much each request covered."""

from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.predictors.access_blocks import BlockNames, block_numbers, numbered_by_appearance, permuted, unit_of
from augury.predictors.access_columns import refuse_fractions
from augury.predictors.prefetch_replay import Trace


def trace_of(table: pd.DataFrame, name: str, seed: int, first_share: float = 0.3) -> tuple[Trace, dict[str, Any]]:
    """Make a trace of a table.

    Args:
        table: ``block`` (whole numbers of 64 bits), or ``object`` and ``position``; optionally ``nblocks`` or ``size``
            (bytes), and ``session``. Further columns are ignored.
        name: Of the trace.
        seed: Of the permutation, where ids were numbered by first appearance.
        first_share: Of the accesses, those that show what unit of bytes an id stands for.

    Returns:
        The trace, and ``permuted`` and ``bytes_per_id``.

    Raises:
        UserError: There is no such column, no row, or a block is missing or no whole number.
    """
    if table.empty:
        raise UserError(f"Trace '{name}': the table has no rows.")
    by_object = "block" not in table
    if by_object and not {"object", "position"} <= set(table):
        raise UserError(f"Trace '{name}': there must be a column 'block', or 'object' and 'position'.")
    column = "position" if by_object else "block"
    positions = _whole(table[column], f"Trace '{name}': column '{column}'")
    spans = np.ones(len(table), np.int64)
    if by_object:
        blocks = block_numbers(table["object"].astype(str), pd.Series(positions))
        leak, unit = False, 0
    else:
        blocks = positions
        leak, unit = numbered_by_appearance(blocks), 0
        if leak:
            blocks = permuted(blocks, seed)
        elif "nblocks" in table:
            spans, unit = np.maximum(_whole(table["nblocks"].fillna(1), f"Trace '{name}': column 'nblocks'"), 1), 1
        elif "size" in table:
            first = max(2, int(first_share * len(table)))
            sizes = _whole(table["size"].fillna(0), f"Trace '{name}': column 'size'")
            unit = unit_of(blocks[:first], sizes[:first])
            spans = np.maximum(1, sizes // unit) if unit else spans
    sessions = pd.factorize(table["session"])[0].astype(np.int64) if "session" in table else np.zeros_like(blocks)
    return Trace(name, blocks, sessions, spans), {"permuted": leak, "bytes_per_id": unit}


class GivenBlocks:
    """Says blocks of a plain trace as its table does: ids that were permuted, and those above the signed numbers."""

    def __init__(self, table: pd.DataFrame, trace: Trace, permuted: bool) -> None:
        """Take what :func:`trace_of` was given, and what it made of that."""
        self._names = None if "block" in table else BlockNames(table["object"].astype(str).unique().tolist())
        self._modulus = 2**64 if self._names is None and _unsigned(table["block"]) else 0
        self._given = dict(zip(trace.blocks.tolist(), table["block"].tolist(), strict=True)) if permuted else None

    def text(self, block: int) -> str | None:
        """The block in text; None for the neighbour of a permuted id, which is no block of the trace."""
        if self._names is not None:
            return self._names.text(block)
        if self._given is not None:
            return str(int(self._given[block])) if block in self._given else None
        return str(block % self._modulus if self._modulus else block)


def _unsigned(values: pd.Series) -> bool:
    return values.dtype.kind == "u"


def _whole(values: pd.Series, where: str) -> Any:
    """int64 of a column of whole numbers; the upper half of unsigned ones becomes negative, neighbours stay such."""
    missing = values.isna()
    if missing.any():
        raise UserError(f"{where} must not be missing; {int(missing.sum()):,} of {len(values):,} rows are.")
    refuse_fractions(values, where)
    if _unsigned(values):
        return values.to_numpy(np.uint64).view(np.int64)
    return values.astype("Int64").to_numpy(np.int64)
