"""Recommenders with a closed solution: popularity, nearest items, and a linear model of all items."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augury.errors import UserError
from augury.predictors.recommender_scorers import ItemScorer, NeighbourScorer, PopularityScorer
from augury.predictors.user_histories import Histories

Floats = npt.NDArray[np.float32]


def fit_popularity(histories: Histories) -> PopularityScorer:
    """Count how often each item was chosen.

    Args:
        histories: Of all users.

    Returns:
        A scorer whose scores are shares of all users.
    """
    counts = np.bincount(histories.indices, minlength=histories.items)
    return PopularityScorer((counts / max(len(histories), 1)).astype(np.float32))


def item_products(histories: Histories) -> Floats:
    """Products of the columns of all pairs of items: how often both are in one history, weighted.

    Args:
        histories: Of all users.

    Returns:
        Shape ``(items, items)``.
    """
    table = histories.table()
    return np.asarray((table.T @ table).toarray(), dtype=np.float32)


def fit_ease(products: Floats, l2: float, most_items: int | None = None) -> ItemScorer:
    """Fit the linear model of Steck [1]_: each item from all others, by ridge regression in one solution.

    Args:
        products: What :func:`item_products` returned; left as it is.
        l2: Regularisation.
        most_items: Refuse more; None: take any number.

    Returns:
        The scorer, with zeros where an item would explain itself.

    Raises:
        UserError: There are too many items.

    References:
        .. [1] H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW (2019).
    """
    from scipy.linalg.lapack import spotrf, spotri

    items = len(products)
    if most_items is not None and items > most_items:
        raise UserError(
            f"recommendation.features_matrix: EASE needs a table of all pairs of items; {items:,} items are more than "
            f"'most_items' allows ({most_items:,}, {items * items * 4 / 1e9:.1f} GB). Raise it, keep fewer items "
            "(recommendation.source), or leave the member out (ease: null)."
        )
    # Fortran's order, so that LAPACK works in place; the matrix is symmetric
    left = np.array(products, dtype=np.float32).T
    left[np.diag_indices(items)] += np.float32(l2)
    factor, failed = spotrf(left, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise UserError(
            f"Parameter 'l2' of EASE: {l2} is too small for these interactions, the equations have no stable solution."
        )
    inverse, _ = spotri(factor, lower=1, overwrite_c=1)
    return ItemScorer(_weights_of(inverse.T))


def _weights_of(upper: Floats) -> Floats:
    """The weights, from the upper triangle of the inverse (C order); overwrites it."""
    weights = np.ascontiguousarray(upper)
    items, block = len(weights), 512
    for start in range(0, items, block):  # a full-size mask would need as much memory again
        stop = min(start + block, items)
        weights[stop:, start:stop] = weights[start:stop, stop:].T
        square = np.triu(weights[start:stop, start:stop])
        weights[start:stop, start:stop] = square + np.triu(square, 1).T
    weights /= -np.diag(weights).copy()
    weights[np.diag_indices(items)] = 0
    return weights


def fit_item_knn(products: Floats, neighbours: int, shrinkage: float = 0.0) -> NeighbourScorer:
    """Find every item's nearest ones by the cosine of their users.

    Args:
        products: What :func:`item_products` returned; left as it is.
        neighbours: How many are kept of each candidate.
        shrinkage: Added to the product of the norms: few common users prove little.

    Returns:
        The scorer; of equal similarities, those of the items with the smaller codes are kept.
    """
    from scipy.sparse import csr_array

    items = len(products)
    norms = np.sqrt(np.diag(products))
    kept = min(neighbours, max(items - 1, 0))
    rows: list[npt.NDArray[Any]] = []
    columns: list[npt.NDArray[Any]] = []
    values: list[Floats] = []
    for start in range(0, items, 1024):
        stop = min(start + 1024, items)
        denominator = norms[start:stop, None] * norms[None, :] + np.float32(shrinkage)
        block = np.divide(
            products[start:stop], denominator, out=np.zeros((stop - start, items), np.float32), where=denominator > 0
        )
        block[np.arange(stop - start), np.arange(start, stop)] = 0
        nearest = np.argsort(-block, axis=1, kind="stable")[:, :kept]
        found = np.take_along_axis(block, nearest, axis=1)
        row, place = np.nonzero(found > 0)
        rows.append(row + start)
        columns.append(nearest[row, place])
        values.append(found[row, place])
    # From an item of the history (row) to the candidates that it is a neighbour of
    table = csr_array((np.concatenate(values), (np.concatenate(columns), np.concatenate(rows))), shape=(items, items))
    table.sort_indices()
    return NeighbourScorer(table.indptr.astype(np.int64), table.indices.astype(np.int32), table.data.astype(np.float32))
