"""Train zstd dictionaries for small blocks, one for each kind of them, and measure what they gain on other lineages."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.collection.block_files import Block, BlockFiles, find_blocks
from augury.predictors.zstd_dictionaries import DictionarySet, byte_histograms, train_dictionaries


class DictionaryCollection(Parameters):
    """Which blocks dictionaries are trained on, and how many."""

    files: BlockFiles = BlockFiles(blocks=4000, block_sizes=(1024, 2048, 4096, 8192, 16384), least_bytes=512, per_lineage=60)
    clusters: int = Field(default=16, ge=1, description="kinds of blocks, each with a dictionary of its own")
    dictionary_bytes: int = Field(default=112_640, ge=256, description="size of a dictionary, at the most")
    level: int = Field(default=3, ge=1, le=22, description="of zstd")
    holdout_share: float = Field(default=0.3, gt=0, lt=1, description="share of the lineages that measure the gain")


def measure_dictionaries(dictionaries: DictionaryCollection, seed: int) -> tuple[DictionarySet, pd.DataFrame]:
    """Train dictionaries on some lineages and measure them on the others.

    Dictionaries hold pieces of the blocks that they were trained on: they stay where the blocks are, and are no part of
    a predictor that is published.

    Args:
        dictionaries: Parameters.
        seed: Of the choice of blocks and of the clusters.

    Returns:
        The dictionaries; and one row per held-out block: ``block``, ``lineage``, ``size``, ``cluster``,
        ``plain_bytes``, ``single_bytes`` (one dictionary for all), ``clustered_bytes``.

    Raises:
        UserError: There are too few blocks.
    """
    blocks = list(find_blocks(dictionaries.files, seed))
    held = np.array([int(block.lineage[:8], 16) / 2**32 < dictionaries.holdout_share for block in blocks])
    if held.sum() < 2 or (~held).sum() < 10 * dictionaries.clusters:
        raise UserError(
            f"Parameter 'compression.dictionaries': {int((~held).sum())} blocks to train {dictionaries.clusters} "
            f"dictionaries on and {int(held.sum())} to measure them on are too few; bring more files or lower 'clusters'."
        )
    taught = [block.content for block, out in zip(blocks, held, strict=True) if not out]
    asked = [block for block, out in zip(blocks, held, strict=True) if out]
    settings = {"level": dictionaries.level, "dictionary_bytes": dictionaries.dictionary_bytes, "seed": seed}
    single = train_dictionaries(taught, clusters=1, **settings)
    clustered = train_dictionaries(taught, clusters=dictionaries.clusters, **settings)
    return clustered, _gains(asked, single, clustered, dictionaries.level)


def _gains(blocks: list[Block], single: DictionarySet, clustered: DictionarySet, level: int) -> pd.DataFrame:
    import zstandard

    plain = zstandard.ZstdCompressor(level=level)
    contents = [block.content for block in blocks]
    columns: dict[str, Any] = {
        "block": [block.identifier for block in blocks],
        "lineage": [block.lineage for block in blocks],
        "size": np.array([len(content) for content in contents], dtype=np.int32),
        "cluster": clustered.nearest(byte_histograms(contents)).astype(np.int16),
        "plain_bytes": np.array([len(plain.compress(content)) for content in contents], dtype=np.int32),
        "single_bytes": np.array([len(single.compress(content)) for content in contents], dtype=np.int32),
        "clustered_bytes": np.array([len(clustered.compress(content)) for content in contents], dtype=np.int32),
    }
    return pd.DataFrame(columns)
