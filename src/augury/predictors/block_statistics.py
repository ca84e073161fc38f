"""Statistics of a block's bytes, from a bounded sample of it: the same function for collection, training and serving.

They are computed before any codec runs, so nothing of what a codec made of the block can be among them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.predictors.contract import ColumnSpec

STATISTICS: dict[str, str] = {
    "entropy": "of single bytes, in bits per byte",
    "match_rate": "share of the places in four windows of 2 KiB whose four bytes were seen earlier in them",
    "match_length": "mean length of these repetitions, in bytes; 0 without any",
    "delta_entropy": "of the differences of neighbouring bytes, in bits per byte",
    "core_share": "share of the 256 byte values that occur at least half as often as in noise",
    "zero_share": "share of zero bytes",
    "high_share": "share of bytes above 127",
    "ascii_share": "share of printable ASCII and white space",
    "run_share": "share of bytes that equal the one before",
    "unique_bytes": "distinct byte values in the sample",
}
MAGIC = "magic"
SIZE = "size"
MAGIC_CLASSES = ("other", "text", "zeros", "archive", "image", "program", "bytecode", "document")
"""What the first bytes say, coarsely: kinds of formats, never a name."""

Bytes = npt.NDArray[np.uint8]


def block_columns(nullable: bool = True) -> tuple[ColumnSpec, ...]:
    """Input columns of a predictor that was trained on these statistics.

    Args:
        nullable: Whether a statistic may be missing.

    Returns:
        One specification per statistic, and the kind of the first bytes.
    """
    numbers = tuple(
        ColumnSpec(name=name, dtype="number", description=text, required=False, nullable=nullable)
        for name, text in STATISTICS.items()
    )
    return (*numbers, ColumnSpec(name=MAGIC, dtype="string", required=False, nullable=True, allowed=MAGIC_CLASSES))


def sample_blocks(data: Bytes, starts: npt.ArrayLike, stops: npt.ArrayLike) -> pd.DataFrame:
    """Compute the statistics of some blocks of one array of bytes.

    Args:
        data: uint8, shape ``(bytes,)``.
        starts: Where each block begins, shape ``(blocks,)``.
        stops: Where it ends.

    Returns:
        One row per block: ``size``, the columns of :data:`STATISTICS` (float32) and ``magic``.

    Raises:
        ValueError: A block is empty or reaches beyond the data.

    Examples:
        >>> row = sample_blocks(np.zeros(4096, np.uint8), [0], [4096]).iloc[0]
        >>> float(row["entropy"]), float(row["zero_share"]), row["magic"]
        (0.0, 1.0, 'zeros')
    """
    from augury.predictors.block_statistics_kernel import sample_many

    first, last = np.asarray(starts, dtype=np.int64), np.asarray(stops, dtype=np.int64)
    if len(first) and (first.min() < 0 or last.max() > len(data) or (last <= first).any()):
        raise ValueError("a block is empty or reaches beyond the data")
    values = np.empty((len(first), len(STATISTICS)), dtype=np.float32)
    kinds = np.empty(len(first), dtype=np.int8)
    sample_many(np.ascontiguousarray(data), first, last, values, kinds)
    table = pd.DataFrame(values, columns=list(STATISTICS))
    table.insert(0, SIZE, (last - first).astype(np.int64))
    table[MAGIC] = np.array(MAGIC_CLASSES, dtype=object)[kinds]
    return table


def sample_bytes(blocks: Sequence[bytes]) -> pd.DataFrame:
    """Compute the statistics of blocks that are separate pieces of bytes; see :func:`sample_blocks`."""
    ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)
    return sample_blocks(np.frombuffer(b"".join(blocks), dtype=np.uint8), ends - [len(block) for block in blocks], ends)


def cut(size: int, block_size: int) -> tuple[Any, Any]:
    """Cut a file into blocks.

    Args:
        size: Bytes of the file.
        block_size: Bytes of a block; the last one may be shorter.

    Returns:
        Starts and stops, int64 of shape ``(blocks,)``.
    """
    starts = np.arange(0, size, block_size, dtype=np.int64)
    return starts, np.minimum(starts + block_size, size)
