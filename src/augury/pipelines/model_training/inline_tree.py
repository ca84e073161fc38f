"""Distil regressors into one small tree, grown where codecs' costs differ and not where their sizes do."""

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_costs import Contexts, Floats, costs_of, table_choice
from augury.predictors.codec_regressors import LEAST_US
from augury.predictors.distilled_tree import LEAF, DistilledTree

DEAREST = 1.5
"""Costs beyond this multiple of the table's are all the same: nobody would choose such a codec."""


class InlineTree(Parameters):
    """The small tree."""

    depth: int = Field(default=8, ge=1, le=16)
    min_leaf: int = Field(default=12, ge=1, description="blocks in a leaf, at least")


def fit_inline_tree(
    matrix: npt.NDArray[np.float64],
    predicted: Floats,
    actual: Floats,
    sizes: Floats,
    contexts: Contexts,
    settings: InlineTree,
    seed: int,
) -> DistilledTree:
    """Grow the tree on what the regressors predict, and fill its leaves with what was measured.

    Args:
        matrix: Shape ``(rows, features)``, NaN where missing.
        predicted: Outcomes by the regressors, none first, shape ``(rows, 1 + codecs, 3)``.
        actual: The measured ones.
        sizes: Bytes of the blocks.
        contexts: Where costs are compared.
        settings: Size of the tree.
        seed: Of the order of features that split equally well.

    Returns:
        The tree.
    """
    from sklearn.tree import DecisionTreeRegressor

    with np.errstate(all="ignore"):
        fill = np.array([np.nanmedian(column) if not np.isnan(column).all() else 0.0 for column in matrix.T])
    filled = np.where(np.isnan(matrix), fill, matrix)
    wanted = []
    for link in contexts.link_mbps:
        costs = costs_of(predicted, link, contexts.cpu_price, contexts.reads)
        table = int(table_choice(actual.sum(axis=0), link, contexts.cpu_price, contexts.reads)[0])
        wanted.append(np.minimum(costs / costs[:, [table]], DEAREST))
    tree = DecisionTreeRegressor(
        max_depth=settings.depth, min_samples_leaf=min(settings.min_leaf, max(len(matrix) // 2, 1)), random_state=seed
    )
    tree.fit(filled, np.concatenate(wanted, axis=1), sample_weight=sizes)
    grown = tree.tree_
    leaves = tree.apply(filled)
    values = np.zeros((grown.node_count, actual.shape[1] - 1, actual.shape[2]))
    weight = np.bincount(leaves, weights=sizes, minlength=grown.node_count)
    for codec in range(values.shape[1]):
        for outcome in range(values.shape[2]):
            total = np.bincount(leaves, weights=actual[:, codec + 1, outcome], minlength=grown.node_count)
            share = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
            values[:, codec, outcome] = share if outcome == 0 else np.log(np.maximum(share, LEAST_US / sizes.max()))
    leaf = grown.children_left < 0
    # Rows are compared as float32 numbers; the largest one that is not above the threshold decides as it does
    threshold = grown.threshold.astype(np.float32)
    threshold = np.where(threshold > grown.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
    return DistilledTree(
        np.where(leaf, LEAF, grown.feature),
        np.where(leaf, 0.0, threshold),
        np.where(leaf, 0, grown.children_left),
        np.where(leaf, 0, grown.children_right),
        values,
        fill,
    )
