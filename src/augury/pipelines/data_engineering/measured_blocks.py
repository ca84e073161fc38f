"""Prepare measured blocks: complete ones only, one row each, split by lineage."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.data_engineering.measured_block_sources import BlockSource, WideBlocks, read_blocks
from augury.predictors.codec_costs import COMPRESS, DECOMPRESS, OUTCOMES, SAMPLE_US, STORED, outcome_column


class LineageSplit(Parameters):
    """How blocks are divided."""

    holdout_share: float = Field(default=0.2, gt=0, lt=1, description="share of the lineages held out for evaluation")


def prepare_blocks(
    blocks: Any, source: BlockSource, split: LineageSplit, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Clean the raw table and mark the holdout.

    Args:
        blocks: Long or wide, pandas or Spark; see ``measured_block_sources``.
        source: What the columns are.
        split: Shares.
        seed: Of the split; a lineage's side depends on its name and the seed alone.

    Returns:
        One row per block, sorted: ``block``, ``lineage``, ``size``, ``sample_us``, statistics, all outcomes,
        ``is_holdout``. And a report: ``codecs``, ``numbers``, ``categories``, what was set aside.

    Raises:
        UserError: No complete block is left, there is nothing to choose among, or one side of the split is empty.
    """
    table, codecs, report = clean_blocks(read_blocks(blocks, source), source)
    drawn = engines.hash_uniform(table, "lineage", seed, "draw")
    table["is_holdout"] = drawn["draw"].to_numpy() < split.holdout_share
    sides = {side: int((table["is_holdout"] == side).sum()) for side in (True, False)}
    if not all(sides.values()):
        raise UserError(
            f"compression.blocks: the split by lineage leaves {sides[False]} training and {sides[True]} holdout blocks "
            f"of {table['lineage'].nunique()} lineages. No side may be empty: bring blocks of more files or change "
            "compression.split.holdout_share."
        )
    report |= {
        "blocks_train": sides[False],
        "blocks_holdout": sides[True],
        "lineages": int(table["lineage"].nunique()),
        "bytes": int(table["size"].sum()),
    }
    return table, report | {"codecs": list(codecs)}


def clean_blocks(found: WideBlocks, source: BlockSource) -> tuple[pd.DataFrame, tuple[str, ...], dict[str, Any]]:
    """Keep the codecs that were measured almost everywhere, and the blocks on which all of these were.

    Args:
        found: What was read.
        source: For the least share.

    Returns:
        The blocks; the codecs, none first; and what was set aside.

    Raises:
        UserError: Nothing is left, or nothing to choose among.
    """
    table = found.table
    read = len(table)
    table = table[table["size"].notna() & (table["size"] >= 1)]
    kept, dropped = [found.codecs[0]], list[str]()
    for codec in found.codecs[1:]:
        known = table[_columns(codec)].notna().all(axis=1) if _measured(table, codec) else pd.Series(False, table.index)
        (kept if len(table) and known.mean() >= source.least_share else dropped).append(codec)
    if len(kept) < 2:
        raise UserError(
            f"compression.blocks: no codec was measured on {source.least_share:.0%} of the {read:,} blocks, so there "
            "is nothing to choose among. Every block must be tried with every codec (a label job does that for a few "
            "blocks); lower compression.source.least_share if some are missing."
        )
    columns = [name for codec in kept[1:] for name in _columns(codec)]
    whole = table[columns].notna().all(axis=1) & (table[columns] >= 0).all(axis=1)
    whole &= (table[[outcome_column(codec, STORED) for codec in kept[1:]]] > 0).all(axis=1)
    table = table[whole].drop_duplicates("block").sort_values("block", ignore_index=True)
    if table.empty:
        raise UserError(
            f"compression.blocks: none of {read:,} blocks has a size and all outcomes of {', '.join(kept[1:])}."
        )
    numbers = [name for name in found.numbers if table[name].notna().any()]
    # 'none' needs no measurement
    nothing: dict[str, Any] = {outcome_column(kept[0], role): 0.0 for role in (COMPRESS, DECOMPRESS)}
    table = table.assign(**{outcome_column(kept[0], STORED): table["size"].astype("float64")}, **nothing)
    if SAMPLE_US not in table:
        table[SAMPLE_US] = np.nan
    table["size"] = table["size"].astype("int64")
    order = ["block", "lineage", "size", SAMPLE_US, *numbers, *found.categories, *_columns(kept[0]), *columns]
    report = {
        **found.report,
        "blocks_read": read,
        "blocks_set_aside": read - len(table),
        "codecs_set_aside": dropped,
        "numbers": numbers,
        "numbers_without_values": sorted(set(found.numbers) - set(numbers)),
        "categories": list(found.categories),
    }
    return table[order], tuple(kept), report


def _columns(codec: str) -> list[str]:
    return [outcome_column(codec, outcome) for outcome in OUTCOMES]


def _measured(table: pd.DataFrame, codec: str) -> bool:
    return all(name in table for name in _columns(codec))
