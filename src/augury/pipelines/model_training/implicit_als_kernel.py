"""The inner loop of :mod:`~augury.pipelines.model_training.implicit_als`, compiled; importing it needs numba."""

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, fastmath=True)
def conjugate_gradients(
    first: int,
    last: int,
    indptr: Any,
    indices: Any,
    weights: Any,
    penalty: Any,
    rows: Any,
    others: Any,
    gram: Any,
    steps: int,
) -> None:
    """Improve the rows from ``first`` until ``last``; see ``improve_vectorised`` for the arguments."""
    factors = rows.shape[1]
    image = np.empty(factors, np.float32)
    residual = np.empty(factors, np.float32)
    direction = np.empty(factors, np.float32)
    for row in range(first, last):
        vector = rows[row]
        start, stop = indptr[row], indptr[row + 1]
        for step in range(steps + 1):
            source = vector if step == 0 else direction
            for i in range(factors):
                image[i] = penalty[row] * source[i]
            for i in range(factors):
                value = source[i]
                for j in range(factors):
                    image[j] += value * gram[i, j]
            for place in range(start, stop):
                other = others[indices[place]]
                product = np.float32(0)
                for j in range(factors):
                    product += other[j] * source[j]
                # In the first pass the residual of the right-hand side is formed at once
                scaled = weights[place] * (product - 1) if step == 0 else weights[place] * product
                for j in range(factors):
                    image[j] += scaled * other[j]
            if step == 0:
                error = np.float32(0)
                for j in range(factors):
                    residual[j] = -image[j]
                    direction[j] = residual[j]
                    error += residual[j] * residual[j]
                continue
            curvature = np.float32(0)
            for j in range(factors):
                curvature += direction[j] * image[j]
            if curvature <= 0:
                break
            length = error / curvature
            following = np.float32(0)
            for j in range(factors):
                vector[j] += length * direction[j]
                residual[j] -= length * image[j]
                following += residual[j] * residual[j]
            ratio = following / error
            for j in range(factors):
                direction[j] = residual[j] + ratio * direction[j]
            error = following
            if error < 1e-20:
                break
