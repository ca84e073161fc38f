"""All pairs of blocks that an index finds similar, and what is known about them."""

import numpy as np
import pandas as pd

from augury.predictors import sketched_block_columns as sb
from augury.predictors.band_index import BandIndex, Banding
from augury.predictors.shingle_sketches import Cells

MOST_FOUND = 1024
"""Similar blocks of one block that are listed."""


def similar_pairs(cells: Cells, banding: Banding, threshold: float) -> tuple[pd.DataFrame, float]:
    """Look every block up among those before it.

    Args:
        cells: Sketches in the order of time.
        banding: How they are found.
        threshold: Least estimated similarity.

    Returns:
        ``row``, ``reference`` (an earlier row), ``similarity``; and with how many sketches a block was compared, on
        average.
    """
    index = BandIndex(banding, cells.shape[1])
    index.add(cells)
    index.compact()
    found = index.search(cells, min(max(len(cells), 1), MOST_FOUND), threshold)
    row, place = np.nonzero(found.rows >= 0)
    pairs = pd.DataFrame(
        {
            "row": row.astype(np.int64),
            "reference": found.rows[row, place],
            "similarity": found.similarities[row, place].astype(np.float64),
        }
    )
    mean = float(found.candidates.mean()) if len(cells) else 0.0
    return pairs[pairs["reference"] < pairs["row"]].reset_index(drop=True), mean


def known_pairs(blocks: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """What is known of pairs of blocks, by their rows, without those of identical blocks.

    Args:
        blocks: ``block``, ``digest``, in the order of time.
        pairs: ``block``, ``reference``, ``jaccard``.

    Returns:
        ``row``, ``reference``, ``jaccard``, and ``lineage`` of the row's block.
    """
    places = pd.Series(np.arange(len(blocks)), index=blocks[sb.BLOCK].to_numpy())
    known = pd.DataFrame(
        {
            "row": places.reindex(pairs[sb.BLOCK]).to_numpy(dtype=np.float64),
            "reference": places.reindex(pairs[sb.REFERENCE]).to_numpy(dtype=np.float64),
            "jaccard": pairs[sb.JACCARD].to_numpy(dtype=np.float64),
        }
    ).dropna()
    known = known.astype({"row": np.int64, "reference": np.int64})
    return without_identical(known, blocks)


def without_identical(pairs: pd.DataFrame, blocks: pd.DataFrame) -> pd.DataFrame:
    """Leave out pairs of identical blocks, which the digest finds: they would flatter the sketches.

    Args:
        pairs: ``row``, ``reference``.
        blocks: ``digest``, in the order of the rows.
    """
    digests = blocks[sb.DIGEST].to_numpy(dtype=object)
    own, other = digests[pairs["row"].to_numpy()], digests[pairs["reference"].to_numpy()]
    return pairs[(own != other) | (own == "")].reset_index(drop=True)
