"""What storing a block with a codec costs: CPU time and the time of its bytes on a link; and the best fixed rule.

All costs are microseconds: ``price * (compress + reads * decompress) + bytes / link``, with a link in MB/s, which is
bytes per microsecond. They are linear in the totals of a set of blocks, so three sums by codec say which single codec
is the cheapest for that set on every link.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters

STORED, COMPRESS, DECOMPRESS = "stored_bytes", "compress_us", "decompress_us"
OUTCOMES = (STORED, COMPRESS, DECOMPRESS)
"""What is known only after a codec ran: never a feature."""

LINK, PRICE, READS = "link_mbps", "cpu_price", "reads"
CONTEXT = (LINK, PRICE, READS)
SAMPLE_US = "sample_us"

Floats = npt.NDArray[np.float64]


class Contexts(Parameters):
    """The situations that a predictor is fitted for and judged in."""

    link_mbps: tuple[float, ...] = Field(min_length=1, description="bandwidths of the link (MB/s)")
    cpu_price: float = Field(default=1.0, gt=0, description="what a microsecond of CPU costs, beside one of the link")
    reads: float = Field(default=1.0, ge=0, description="how often a stored block is decompressed")


def outcome_column(codec: str, outcome: str) -> str:
    """Name of a measured outcome in a table with one row per block.

    Examples:
        >>> outcome_column("zstd-3", "stored_bytes")
        'zstd-3:stored_bytes'
    """
    return f"{codec}:{outcome}"


def outcome_array(table: pd.DataFrame, codecs: Sequence[str]) -> Floats:
    """The measured outcomes of a table.

    Args:
        table: One row per block; see :func:`outcome_column`.
        codecs: Which codecs, in which order.

    Returns:
        Shape ``(rows, codecs, 3)``: bytes, microseconds, microseconds.

    Raises:
        UserError: A codec was not measured there.
    """
    names = [outcome_column(codec, outcome) for codec in codecs for outcome in OUTCOMES]
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise UserError(f"The blocks have no measured outcome '{absent[0]}'; there, other codecs were measured.")
    return table[names].to_numpy(np.float64).reshape(len(table), len(codecs), len(OUTCOMES))


def costs_of(outcomes: Floats, link: Any, price: Any = 1.0, reads: Any = 1.0) -> Floats:
    """Cost of every codec in one context per row.

    Args:
        outcomes: Shape ``(rows, codecs, 3)``.
        link: MB/s, a number or shape ``(rows,)``.
        price: Of CPU time, likewise.
        reads: Likewise.

    Returns:
        Microseconds, shape ``(rows, codecs)``.
    """
    per_byte, cpu, again = (np.asarray(value, dtype=np.float64).reshape(-1, 1) for value in (link, price, reads))
    return outcomes[:, :, 0] / per_byte + cpu * (outcomes[:, :, 1] + again * outcomes[:, :, 2])


def table_choice(totals: Floats, link: Any, price: Any = 1.0, reads: Any = 1.0) -> npt.NDArray[np.intp]:
    """The one codec that would have been the cheapest for a set of blocks: the rule that a table by context holds.

    Args:
        totals: Sums of the outcomes of that set, shape ``(codecs, 3)``.
        link: As in :func:`costs_of`.
        price: Likewise.
        reads: Likewise.

    Returns:
        Position of the codec, shape ``(contexts,)``; of equal ones the first.
    """
    contexts = np.broadcast_arrays(np.atleast_1d(link), np.atleast_1d(price), np.atleast_1d(reads))
    return costs_of(np.repeat(totals[None], len(contexts[0]), axis=0), *contexts).argmin(axis=1)


def crossed(blocks: pd.DataFrame, contexts: Contexts) -> pd.DataFrame:
    """Every block in every context: one row per case, the contexts of a block beside each other.

    Args:
        blocks: One row per block.
        contexts: The bandwidths.

    Returns:
        The same columns and those of :data:`CONTEXT`, one row per block and bandwidth.
    """
    many = len(contexts.link_mbps)
    cases = blocks.loc[np.repeat(blocks.index.to_numpy(), many)].reset_index(drop=True)
    cases[LINK] = np.tile(np.asarray(contexts.link_mbps, dtype=np.float64), len(blocks))
    cases[PRICE], cases[READS] = contexts.cpu_price, contexts.reads
    return cases
