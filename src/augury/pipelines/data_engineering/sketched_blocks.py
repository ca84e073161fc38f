"""Sketched blocks, each once, in the order of time, split so that versions of one file stay together."""

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors import sketched_block_columns as sb

TRAIN, HOLDOUT = "train", "holdout"
_DRAW = "__draw__"


class BlockSource(Parameters):
    """Which rows are left out."""

    share: float = Field(default=1.0, gt=0, le=1, description="share of the lineages that are read, drawn by the seed")
    since_ms: int | None = Field(default=None, description="blocks stored before this moment are left out; null: none")


class BlockSplit(Parameters):
    """How lineages are divided."""

    holdout_share: float = Field(default=0.35, gt=0, lt=1, description="share of the lineages that judge")


def prepare_blocks(
    sketches: Any, pairs: Any, source: BlockSource, split: BlockSplit, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Clean both tables where they are, collect them, and divide the lineages.

    Args:
        sketches: Raw blocks, any engine; see :class:`augury.schemas.sketched_blocks.SketchedBlocks`. A block without a
            lineage is one of its own. Of several rows with one name, the earliest counts.
        pairs: Raw pairs, any engine; see :class:`augury.schemas.sketched_blocks.BlockPairs`.
        source: Which rows are left out.
        split: How lineages are divided: all blocks of one are in the same split.
        seed: Of the division.

    Returns:
        - Blocks in the order of time, of one moment in that of the names:
          :data:`~augury.predictors.sketched_block_columns.BLOCK_COLUMNS` and ``split``; numbers are float64 but for
          ``ts`` and ``size`` (int64).
        - Pairs of blocks that are both there, in the same split, the reference the earlier one: once each.
        - An account of the rows.

    Raises:
        UserError: Nothing is left in a split.
    """
    blocks = engines.to_pandas(_blocks(nw.from_native(sketches), source))
    rows_read = int(blocks["rows"].sum())
    blocks = blocks.drop_duplicates(sb.BLOCK).drop(columns="rows")
    if source.share < 1:
        drawn = engines.hash_uniform(blocks, sb.LINEAGE, seed + 1, _DRAW)
        blocks = drawn[drawn[_DRAW] < source.share].drop(columns=_DRAW)
    divided = engines.hash_uniform(blocks, sb.LINEAGE, seed, _DRAW)
    names = np.where(divided[_DRAW] < split.holdout_share, HOLDOUT, TRAIN)
    blocks = divided.drop(columns=_DRAW).assign(split=names).sort_values([sb.TS, sb.BLOCK], ignore_index=True)
    measured = engines.to_pandas(_pairs(nw.from_native(pairs)))
    kept = _in_order(measured, blocks)
    parts = {name: blocks[blocks["split"] == name] for name in (TRAIN, HOLDOUT)}
    for name, part in parts.items():
        if part.empty:
            raise UserError(
                f"deduplication.primary_blocks: no lineage is in the split '{name}', of {rows_read} rows read. Bring "
                "more lineages, or change deduplication.split.holdout_share."
            )
    report = {
        "rows_read": rows_read,
        "blocks": {name: len(part) for name, part in parts.items()},
        "lineages": {name: int(part[sb.LINEAGE].nunique()) for name, part in parts.items()},
        "left_out": rows_read - len(blocks),
        "pairs_read": len(measured),
        "pairs": len(kept),
        "origin": {"measured": len(blocks)},
    }
    return blocks, kept, report


def _blocks(read: Any, source: BlockSource) -> Any:
    present = read.collect_schema().names()
    missing = {
        name: nw.lit(None, dtype=nw.String if name in sb.OPTIONAL_TEXTS else nw.Float64)
        for name in (*sb.OPTIONAL_TEXTS, *sb.OPTIONAL_NUMBERS)
        if name not in present
    }
    # Without expressions `with_columns` refuses a lazy frame
    filled = read.with_columns(**missing) if missing else read
    blocks = filled.select(
        nw.col(sb.BLOCK, *sb.OPTIONAL_TEXTS, sb.SKETCH).cast(nw.String),
        nw.col(sb.TS, sb.SIZE).cast(nw.Int64),
        nw.col(sb.PLAIN_BYTES, *sb.OPTIONAL_NUMBERS).cast(nw.Float64),
    )
    if source.since_ms is not None:
        blocks = blocks.filter(nw.col(sb.TS) >= source.since_ms)
    blocks = blocks.with_columns(
        nw.coalesce(nw.col(sb.LINEAGE), nw.col(sb.BLOCK)).alias(sb.LINEAGE),
        nw.coalesce(nw.col(sb.DIGEST), nw.lit("")).alias(sb.DIGEST),
        nw.coalesce(nw.col(sb.KIND), nw.lit("unknown")).alias(sb.KIND),
        *(
            nw.coalesce(nw.col(name), nw.col(sb.PLAIN_BYTES)).alias(name)
            for name in (sb.PREVIOUS_BYTES, sb.RANDOM_BYTES)
        ),
        *(nw.coalesce(nw.col(name), nw.lit(0.0)).alias(name) for name in (sb.PLAIN_US, sb.SKETCH_US)),
    )
    # Of rows with one name the earliest counts; at the same time, the smallest text decides
    earliest = blocks.with_columns(rows=nw.len().over(sb.BLOCK)).filter(
        nw.col(sb.TS) == nw.col(sb.TS).min().over(sb.BLOCK)
    )
    chosen = earliest.filter(nw.col(sb.SKETCH) == nw.col(sb.SKETCH).min().over(sb.BLOCK))
    return chosen.unique(sb.BLOCK).select(*sb.BLOCK_COLUMNS, "rows")


def _pairs(measured: Any) -> Any:
    if sb.DELTA_US not in measured.collect_schema().names():
        measured = measured.with_columns(**{sb.DELTA_US: nw.lit(None, dtype=nw.Float64)})
    return measured.select(nw.col(*sb.PAIR_TEXTS).cast(nw.String), nw.col(*sb.PAIR_NUMBERS).cast(nw.Float64))


def _in_order(measured: pd.DataFrame, blocks: pd.DataFrame) -> pd.DataFrame:
    """Pairs of an earlier and a later block of one split, each once."""
    places = pd.Series(np.arange(len(blocks)), index=blocks[sb.BLOCK])
    split = blocks["split"].to_numpy()
    known = measured[measured[sb.BLOCK].isin(places.index) & measured[sb.REFERENCE].isin(places.index)]
    own, other = places.loc[known[sb.BLOCK]].to_numpy(), places.loc[known[sb.REFERENCE]].to_numpy()
    good = (other < own) & (split[own] == split[other])
    kept = known[good].assign(split=split[own[good]])
    numbers = {sb.JACCARD: "max", sb.DELTA_BYTES: "min", sb.DELTA_US: "min"}
    once = kept.groupby([*sb.PAIR_TEXTS, "split"], as_index=False, sort=True).agg(numbers)
    return once[[*sb.PAIR_COLUMNS, "split"]]
