"""Divide texts with several codes each, so that every side has its share of every code."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def stratified_sides(labels: Any, shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Divide rows by iterative stratification.

    The rows of the code that has the fewest of them left are given out first, each to the side that still misses the
    most of that code, or else the most rows, or else any. At last a row of each code that the first side lacks is moved
    there. (Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, 2011. The package
    iterative-stratification sums the whole matrix again for every code, which takes over a minute for 18,000 rows with
    562 codes; counts that are kept take a second.)

    Args:
        labels: Sparse matrix (rows, codes) of zeros and ones.
        shares: Of the sides; their sum is one.
        seed: Breaks ties.

    Returns:
        (rows,) number of the side. Codes of at least one row have one on side 0, as long as there are any.
    """
    from scipy.sparse import csr_array

    matrix = csr_array(labels)
    rows = matrix.shape[0]
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rows)
    tie = rng.permutation(rows).tolist()
    # Plain lists: what follows is done number by number, of which numpy is slow
    codes_of = [codes.tolist() for codes in np.split(matrix.indices, matrix.indptr[1:-1])] if rows else []
    by_code = matrix[shuffled].tocsc()
    rows_of = [shuffled[found].tolist() for found in np.split(by_code.indices, by_code.indptr[1:-1])]
    left = np.array([len(found) for found in rows_of])
    missing = [[share * float(count) for count in left] for share in shares]
    room = [share * rows for share in shares]
    side_of = [-1] * rows

    def put(row: int, side: int) -> None:
        side_of[row] = side
        room[side] -= 1.0
        for code in codes_of[row]:
            missing[side][code] -= 1.0
            left[code] -= 1

    def neediest(row: int, code: int | None) -> int:
        def need(side: int) -> tuple[float, float, int]:
            lacks = 0.0 if code is None else missing[side][code]
            return lacks, room[side], (side + tie[row]) % len(room)

        return max(range(len(room)), key=need)

    while left.any():
        code = int(np.where(left > 0, left, rows + 1).argmin())
        for row in rows_of[code]:
            if side_of[row] < 0:
                put(row, neediest(row, code))
    for row in shuffled.tolist():
        if side_of[row] < 0:
            put(row, neediest(row, None))
    sides = np.array(side_of, dtype=np.int64)
    return _with_every_code(matrix, sides)


def _with_every_code(matrix: Any, sides: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move a row of every code that side 0 lacks there: one with the most such codes, the first of them."""
    by_code = matrix.tocsc()
    while True:
        there = np.zeros(matrix.shape[1], dtype=bool)
        there[matrix[sides == 0].indices] = True
        lacking = ~there & (np.diff(by_code.indptr) > 0)
        if not lacking.any():
            return sides
        sides = sides.copy()
        sides[int((matrix @ lacking.astype(np.int64)).argmax())] = 0
