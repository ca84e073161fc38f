"""Blocks in the order in which they were stored, and pairs of them: what an index is chosen and judged by."""

from typing import Any

import pandas as pd

from augury.predictors import sketched_block_columns as sb
from augury.predictors.shingle_sketches import SketchRecipe, decode

TRAIN, HOLDOUT = "train", "holdout"


def build_block_features(
    primary_blocks: pd.DataFrame, primary_pairs: pd.DataFrame, sketch: SketchRecipe
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Check the sketches and take the splits apart.

    Args:
        primary_blocks: Blocks with ``split``, in the order of time.
        primary_pairs: Pairs with ``split``.
        sketch: How the blocks were sketched.

    Returns:
        Blocks and pairs of training, blocks and pairs of the holdout; blocks in the order of time, with ``group`` (the
        lineage); and what is the same of all of them.

    Raises:
        InputError: A sketch was not made with this recipe.
    """
    blocks, pairs = primary_blocks, primary_pairs
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
