"""Factors of users and items by alternating least squares, with a weight on every pair that did not occur.

The problem is that of Hu et al. [1]_ with the regularisation of Rendle et al. [2]_: minimise, over all users u and
items i, ``sum over observed w (1 - p q)^2 + a sum over all pairs (p q)^2 + r sum of (n + a m)^v |p|^2`` and the same
for q, where n counts the row's interactions and m the rows of the other side. Each row is improved by a few steps of
conjugate gradients from where it stands. Rows do not see each other, so the result does not depend on the threads.

.. [1] Y. Hu, Y. Koren, C. Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM (2008).
.. [2] S. Rendle et al., "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys (2022).
"""

import importlib.util
import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from augury.predictors.recommender_scorers import FactorScorer, LeastSquares
from augury.predictors.user_histories import Histories, Recency

Floats = npt.NDArray[np.float32]

ROWS_AT_ONCE = 200_000
"""Interactions whose factors are gathered together without a compiler: 50 MB at 64 factors."""
LAST_STEPS = 10
"""Of conjugate gradients, for the users' final factors."""
WORTH_COMPILING = 2_000_000_000
"""Products of numbers in a training above which compiling pays; it takes about five seconds once."""


class Side(NamedTuple):
    """The interactions, seen from the users or from the items."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    weights: Floats
    penalty: Floats
    """Regularisation of each row."""


def fit_implicit_als(
    histories: Histories,
    problem: LeastSquares,
    factors: int,
    epochs: int,
    seed: int,
    steps: int = 3,
    initial_scale: float = 0.1,
    engine: Literal["auto", "numba", "numpy"] = "auto",
) -> FactorScorer:
    """Fit the factors.

    Args:
        histories: Of all users; a weight is that of the interaction in the loss.
        problem: Weights and regularisation.
        factors: How many.
        epochs: Sweeps, each over the users and then over the items.
        seed: Of the first factors.
        steps: Of conjugate gradients per row and sweep.
        initial_scale: Deviation of the length of the first factors.
        engine: Who computes; the results agree up to rounding.

    Returns:
        The scorer.
    """
    table = histories.table()
    transposed = table.T.tocsr()
    transposed.sort_indices()
    sides = (_side(table, problem), _side(transposed, problem))
    generator = np.random.default_rng(seed)
    scale = initial_scale / np.sqrt(factors)
    users, items = (
        generator.normal(0, scale, size=(len(side.indptr) - 1, factors)).astype(np.float32) for side in sides
    )
    improve = _engine(engine, len(histories.indices) * factors * factors * epochs)
    for _ in range(epochs):
        improve(sides[0], users, items, problem.unobserved_weight, steps)
        improve(sides[1], items, users, problem.unobserved_weight, steps)
    # At last the users' factors are what a fold-in of their histories would make them, nearly
    own = _side(histories.table(problem.recency), problem)
    improve(own, users, items, problem.unobserved_weight, max(steps, LAST_STEPS))
    return FactorScorer(users, items, problem)


def with_recency(
    scorer: FactorScorer, histories: Histories, recency: Recency, engine: Literal["auto", "numba", "numpy"] = "auto"
) -> FactorScorer:
    """The same factors of items, and users' factors that follow from histories which fade.

    Args:
        scorer: Fitted factors.
        histories: Of all users.
        recency: How they fade.
        engine: See :func:`fit_implicit_als`.

    Returns:
        Another scorer.
    """
    if recency == scorer.problem.recency:
        return scorer
    problem = replace(scorer.problem, half_life=recency.half_life, lasting=recency.lasting)
    users = scorer.users.copy()
    improve = _engine(engine, len(histories.indices) * users.shape[1] ** 2 * LAST_STEPS)
    improve(_side(histories.table(recency), problem), users, scorer.items, problem.unobserved_weight, LAST_STEPS)
    return FactorScorer(users, scorer.items, problem)


def _side(table: Any, problem: LeastSquares) -> Side:
    counts = np.diff(table.indptr)
    penalty = problem.regularisation * (
        (counts + problem.unobserved_weight * table.shape[1]) ** problem.frequency_exponent
    )
    return Side(
        table.indptr.astype(np.int64),
        table.indices.astype(np.int32),
        table.data.astype(np.float32),
        penalty.astype(np.float32),
    )


def _engine(name: str, work: int) -> Callable[[Side, Floats, Floats, float, int], None]:
    wanted = name == "numba" or (name == "auto" and work > WORTH_COMPILING)
    if wanted and importlib.util.find_spec("numba") is not None:
        return improve_compiled
    return improve_vectorised


def improve_vectorised(side: Side, rows: Floats, others: Floats, unobserved: float, steps: int) -> None:
    """Improve all rows of one side by conjugate gradients, many rows at once.

    Args:
        side: The interactions of the rows.
        rows: Their factors, shape ``(rows, factors)``; overwritten.
        others: The other side's factors.
        unobserved: Weight of all pairs.
        steps: How many.
    """
    gram = np.float32(unobserved) * (others.T @ others)
    sizes = np.diff(side.indptr)
    first = 0
    while first < len(rows):
        limit = side.indptr[first] + ROWS_AT_ONCE
        last = max(first + 1, int(np.searchsorted(side.indptr, limit, side="right")) - 1)
        part = slice(side.indptr[first], side.indptr[last])
        _improve_block(
            rows[first:last],
            np.repeat(np.arange(last - first), sizes[first:last]),
            others[side.indices[part]],
            side.weights[part],
            side.penalty[first:last, None],
            gram,
            steps,
        )
        first = last


def _improve_block(
    rows: Floats, owners: npt.NDArray[Any], known: Floats, weights: Floats, penalty: Floats, gram: Floats, steps: int
) -> None:
    """Conjugate gradients of a block of rows; ``known`` are the factors of their interactions, ``owners`` whose."""
    from scipy.sparse import csr_array

    ends = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(rows)))])

    def gathered(values: Floats) -> Floats:
        table = csr_array((values, np.arange(len(values)), ends), shape=(len(rows), len(values)))
        return np.asarray(table @ known, dtype=np.float32)

    def product(vectors: Floats) -> Floats:
        seen = weights * np.einsum("nd,nd->n", known, vectors[owners])
        return vectors @ gram + gathered(seen) + penalty * vectors

    residual = gathered(weights) - product(rows)
    direction = residual.copy()
    error = np.einsum("nd,nd->n", residual, residual)
    for _ in range(steps):
        image = product(direction)
        curvature = np.einsum("nd,nd->n", direction, image)
        length = np.divide(error, curvature, out=np.zeros_like(error), where=curvature > 0)[:, None]
        rows += length * direction
        residual -= length * image
        following = np.einsum("nd,nd->n", residual, residual)
        ratio = np.divide(following, error, out=np.zeros_like(error), where=error > 0)[:, None]
        direction *= ratio
        direction += residual
        error = following


def improve_compiled(side: Side, rows: Floats, others: Floats, unobserved: float, steps: int) -> None:
    """Improve all rows of one side, compiled by numba; see :func:`improve_vectorised`."""
    from concurrent.futures import ThreadPoolExecutor

    from augury.pipelines.model_training.implicit_als_kernel import conjugate_gradients

    gram = (np.float32(unobserved) * (others.T @ others)).astype(np.float32)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Equal shares of the interactions, not of the rows: some have done a hundred times as much as others
    cuts = np.searchsorted(side.indptr, np.linspace(0, side.indptr[-1], 4 * threads + 1)[1:-1])
    bounds = np.unique(np.concatenate([[0], cuts, [len(rows)]]))
    with ThreadPoolExecutor(threads) as pool:
        futures = [
            pool.submit(
                conjugate_gradients,
                int(first), int(last), side.indptr, side.indices, side.weights, side.penalty, rows, others, gram, steps,
            )
            for first, last in itertools.pairwise(bounds)
        ]  # fmt: skip
        for future in futures:
            future.result()
