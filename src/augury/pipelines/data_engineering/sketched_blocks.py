"""Sketched blocks, each once, in the order of time, split so that versions of one file stay together."""

from typing import Any

import narwhals.stable.v2 as nw
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
) -> tuple[Any, Any, dict[str, Any]]:
    """Clean both tables and divide the lineages.

    Args:
        sketches: Raw blocks, any engine; see :class:`augury.schemas.sketched_blocks.SketchedBlocks`. A block without a
            lineage is one of its own. Of several rows with one name, the earliest counts.
        pairs: Raw pairs, any engine; see :class:`augury.schemas.sketched_blocks.BlockPairs`.
        source: Which rows are left out.
        split: How lineages are divided: all blocks of one are in the same split.
        seed: Of the division.

    Returns:
        - Blocks: :data:`~augury.predictors.sketched_block_columns.BLOCK_COLUMNS` and ``split``; numbers are float64
          but for ``ts`` and ``size`` (int64).
        - Pairs of blocks that are both there, in the same split, the reference the earlier one: once each.
        - An account of the rows.

    Raises:
        UserError: Nothing is left in a split.
    """
    read = nw.from_native(sketches)
    rows_read = _count(read)
    blocks = _blocks(read, source)
    if source.share < 1:
        drawn = nw.from_native(engines.hash_uniform(blocks.to_native(), sb.LINEAGE, seed + 1, _DRAW))
        blocks = drawn.filter(nw.col(_DRAW) < source.share).drop(_DRAW)
    divided = engines.hash_uniform(blocks.to_native(), sb.LINEAGE, seed, _DRAW)
    blocks = (
        nw.from_native(divided)
        .with_columns(split=nw.when(nw.col(_DRAW) < split.holdout_share).then(nw.lit(HOLDOUT)).otherwise(nw.lit(TRAIN)))
        .drop(_DRAW)
    )
    measured = nw.from_native(pairs)
    pairs_read = _count(measured)
    kept = _pairs(measured, blocks)
    sizes = engines.to_pandas(
        blocks.group_by("split").agg(blocks=nw.len(), lineages=nw.col(sb.LINEAGE).n_unique()).to_native()
    ).set_index("split")
    for name in (TRAIN, HOLDOUT):
        if name not in sizes.index:
            raise UserError(
                f"deduplication.primary_blocks: no lineage is in the split '{name}', of {rows_read} rows read. Bring "
                "more lineages, or change deduplication.split.holdout_share."
            )
    report = {
        "rows_read": rows_read,
        "blocks": {name: int(sizes.loc[name, "blocks"]) for name in (TRAIN, HOLDOUT)},
        "lineages": {name: int(sizes.loc[name, "lineages"]) for name in (TRAIN, HOLDOUT)},
        "left_out": rows_read - int(sizes["blocks"].sum()),
        "pairs_read": pairs_read,
        "pairs": _count(kept),
        "origin": {"measured": int(sizes["blocks"].sum())},
    }
    return blocks.to_native(), kept.to_native(), report


def _blocks(read: Any, source: BlockSource) -> Any:
    present = read.collect_schema().names()
    missing = {
        name: nw.lit(None, dtype=nw.String if name in sb.OPTIONAL_TEXTS else nw.Float64)
        for name in (*sb.OPTIONAL_TEXTS, *sb.OPTIONAL_NUMBERS)
        if name not in present
    }
    blocks = read.with_columns(**missing).select(
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
    earliest = blocks.filter(nw.col(sb.TS) == nw.col(sb.TS).min().over(sb.BLOCK))
    chosen = earliest.filter(nw.col(sb.SKETCH) == nw.col(sb.SKETCH).min().over(sb.BLOCK))
    return chosen.unique(sb.BLOCK).select(*sb.BLOCK_COLUMNS)


def _pairs(measured: Any, blocks: Any) -> Any:
    if sb.DELTA_US not in measured.collect_schema().names():
        measured = measured.with_columns(**{sb.DELTA_US: nw.lit(None, dtype=nw.Float64)})
    own = blocks.select(nw.col(sb.BLOCK), nw.col(sb.TS), nw.col("split"))
    other = blocks.select(
        nw.col(sb.BLOCK).alias(sb.REFERENCE), nw.col(sb.TS).alias("reference_ts"), nw.col("split").alias("other_split")
    )
    pairs = measured.select(nw.col(*sb.PAIR_TEXTS).cast(nw.String), nw.col(*sb.PAIR_NUMBERS).cast(nw.Float64))
    pairs = pairs.join(own, on=sb.BLOCK, how="inner").join(other, on=sb.REFERENCE, how="inner")
    earlier = (nw.col("reference_ts") < nw.col(sb.TS)) | (
        (nw.col("reference_ts") == nw.col(sb.TS)) & (nw.col(sb.REFERENCE) < nw.col(sb.BLOCK))
    )
    pairs = pairs.filter(earlier & (nw.col("split") == nw.col("other_split")))
    return (
        pairs.group_by(*sb.PAIR_TEXTS, "split")
        .agg(nw.col(sb.JACCARD).max(), nw.col(sb.DELTA_BYTES).min(), nw.col(sb.DELTA_US).min())
        .select(*sb.PAIR_COLUMNS, "split")
    )


def _count(frame: Any) -> int:
    counted = engines.to_pandas(frame.select(rows=nw.len()).to_native())
    return int(counted["rows"].iloc[0])
