"""Conformal margins of upper bounds, from grouped out-of-fold predictions."""

from collections.abc import Sequence

import numpy as np

from augury.predictors.bounded_regression import Margins

UNREACHED = 1e300
"""An edge that no prediction reaches; JSON has no infinity."""


def fit_margins(
    target: np.ndarray,
    out_of_fold: np.ndarray,
    codes: np.ndarray,
    groups: np.ndarray,
    categories: int,
    risks: Sequence[float],
    bands: int,
    min_tail_groups: float,
) -> Margins:
    """Choose log margins so that each category and size band keeps its risk.

    Cross-conformal (Vovk 2015) and Mondrian: residuals `log(target / prediction)` come from folds that did not see the
    row's group, and each cell gets its own quantile. Rows of a group are not independent, hence a group counts once
    (its rows share its weight), and the finite-sample correction `(G + 1)(1 - risk) / G` uses the number of groups G.

    Args:
        target: Positive values, shape (rows,).
        out_of_fold: Point predictions by models that did not see the row's group.
        codes: Category of each row.
        groups: Group of each row.
        categories: Number of categories.
        risks: Accepted shares of values above the bound.
        bands: Size bands per category (fewer where there are too few groups).
        min_tail_groups: Groups that are expected above the bound (groups x risk) in a band with a margin of its own; a
            band with fewer shares the margin of its category. A quantile far out in the tail of a few groups would be
            noise.

    Returns:
        Margins with `bands - 1` edges per category; unused edges are :data:`UNREACHED`.
    """
    residual = np.log(target / out_of_fold)
    edges = np.full((categories, bands - 1), UNREACHED)
    log_margins = np.zeros((len(risks), categories, bands))
    for code in range(categories):
        own = codes == code
        own_edges = _edges(out_of_fold[own], groups[own], bands, min_tail_groups / max(risks))
        edges[code, : len(own_edges)] = own_edges
        band = np.searchsorted(own_edges, out_of_fold, side="right")
        whole = own if own.any() else np.ones_like(own)
        for index in range(bands):
            cell = own & (band == index)
            size = len(np.unique(groups[cell]))
            for position, risk in enumerate(risks):
                used = cell if size * risk >= min_tail_groups else whole
                log_margins[position, code, index] = max(0.0, conformal_quantile(residual[used], groups[used], risk))
    # A stricter risk never has the smaller bound, whatever the cells' noise
    order = np.argsort(risks)[::-1]
    log_margins[order] = np.maximum.accumulate(log_margins[order], axis=0)
    return Margins(
        risks=tuple(risks),
        edges=tuple(tuple(row) for row in edges.tolist()),
        log_margins=tuple(tuple(tuple(cell) for cell in row) for row in log_margins.tolist()),
    )


def conformal_quantile(residual: np.ndarray, groups: np.ndarray, risk: float) -> float:
    """Quantile of residuals at `(G + 1)(1 - risk) / G`, each of the G groups weighing the same.

    Args:
        residual: Shape (rows,), at least one.
        groups: Group of each row.
        risk: Accepted share above the quantile.

    Returns:
        The smallest residual with at least that share of the weight at or below it; the largest residual where there
        are too few groups for the risk.
    """
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[inverse]
    order = np.argsort(residual, kind="stable")
    share = np.cumsum(weight[order]) / len(counts)
    level = (len(counts) + 1) * (1 - risk) / len(counts)
    position = int(np.searchsorted(share, min(level, 1.0) - 1e-12))
    return float(residual[order][min(position, len(order) - 1)])


def _edges(point: np.ndarray, groups: np.ndarray, bands: int, min_groups: float) -> np.ndarray:
    """Quantiles of the point prediction that leave enough groups in every band."""
    for count in range(bands, 1, -1):
        edges = np.unique(np.quantile(point, np.arange(1, count) / count))
        band = np.searchsorted(edges, point, side="right")
        sizes = [len(np.unique(groups[band == index])) for index in range(len(edges) + 1)]
        if min(sizes) >= min_groups:
            return edges
    return np.empty(0)
