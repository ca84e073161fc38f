"""Fit a physical prior: how many times over each known amount of bytes has to be held at once."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from augury.predictors.bounded_regression import Prior

ROBUST_ROUNDS = 5
RELATIVE_SCALE = 0.25
"""Relative residual from which a row counts less: a few odd files must not bend the physics of all others."""


def fit_prior(
    table: pd.DataFrame,
    codes: np.ndarray,
    target: np.ndarray,
    terms: Sequence[str],
    categories: int,
    floor: float,
) -> Prior:
    """Fit non-negative coefficients per category by least squares on relative errors, with Huber weights.

    Args:
        table: Term columns in the target's unit (rows x terms); missing values count as 0.
        codes: Category of each row.
        target: Positive target, shape (rows,).
        terms: Names of the terms.
        categories: Number of categories.
        floor: Smallest base.

    Returns:
        The prior.
    """
    amounts = np.nan_to_num(table[list(terms)].to_numpy(dtype=np.float64))
    design = np.column_stack([np.ones(len(table)), amounts])
    solutions = [_fit_category(design[codes == code], target[codes == code]) for code in range(categories)]
    return Prior(
        terms=tuple(terms),
        base=tuple(max(float(solution[0]), floor) for solution in solutions),
        coefficients=tuple(tuple(float(value) for value in solution[1:]) for solution in solutions),
    )


def _fit_category(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    from scipy.optimize import nnls

    weights = np.ones(len(target))
    scale = target
    solution = np.zeros(design.shape[1])
    for _ in range(ROBUST_ROUNDS if len(target) else 0):
        # Dividing each row by its size turns the fit into one of relative errors: a small job counts as much as a huge
        # one. The size is what is expected, if that is more: a peak recorded far too small must not count more than
        # others.
        relative, wanted = design / scale[:, None], target / scale
        solution, _ = nnls(relative * weights[:, None], wanted * weights)
        residual = np.abs(relative @ solution - wanted)
        weights = np.sqrt(np.minimum(1.0, RELATIVE_SCALE / np.maximum(residual, 1e-12)))
        scale = np.maximum(target, design @ solution)
    return solution
