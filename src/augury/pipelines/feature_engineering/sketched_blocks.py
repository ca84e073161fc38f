"""Blocks in the order in which they were stored, and pairs of them: what an index is chosen and judged by."""

from typing import Any

import pandas as pd

from augury import engines
from augury.predictors import sketched_block_columns as sb
from augury.predictors.shingle_sketches import SketchRecipe, decode

TRAIN, HOLDOUT = "train", "holdout"


def build_block_features(
    primary_blocks: Any, primary_pairs: Any, sketch: SketchRecipe
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Collect both tables and put blocks in their order.

    Args:
        primary_blocks: Blocks with ``split``, any engine.
        primary_pairs: Pairs with ``split``, any engine.
        sketch: How the blocks were sketched.

    Returns:
        Blocks and pairs of training, blocks and pairs of the holdout, each in the order of time (of one moment, in that
        of the names), with ``group`` (the lineage); and what is the same of all of them.

    Raises:
        InputError: A sketch was not made with this recipe.
    """
    blocks = engines.to_pandas(primary_blocks).sort_values([sb.TS, sb.BLOCK], ignore_index=True)
    pairs = engines.to_pandas(primary_pairs).sort_values([sb.BLOCK, sb.REFERENCE], ignore_index=True)
    decode(blocks[sb.SKETCH].tolist(), sketch.cells, f"{sb.BLOCKS_DATASET}: column '{sb.SKETCH}'")
    blocks = blocks.assign(group=blocks[sb.LINEAGE])
    parts = [
        table[table["split"] == name].drop(columns="split").reset_index(drop=True)
        for name in (TRAIN, HOLDOUT)
        for table in (blocks, pairs)
    ]
    report = {
        "sketch": sketch.model_dump(mode="json"),
        "bytes": {name: int(part[sb.SIZE].sum()) for name, part in zip((TRAIN, HOLDOUT), parts[::2], strict=True)},
    }
    return parts[0], parts[1], parts[2], parts[3], report
