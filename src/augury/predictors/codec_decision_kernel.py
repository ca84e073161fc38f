"""The inline decision of :class:`~augury.predictors.compression.CodecChooser`, compiled; importing it needs numba."""

from typing import Any

import numba


@numba.njit(cache=True, nogil=True)
def decide_many(
    matrix: Any,
    fill: Any,
    feature: Any,
    threshold: Any,
    left: Any,
    right: Any,
    by_byte: Any,
    per_byte_us: float,
    price: float,
    reads: float,
    margin: float,
    table: int,
    found: Any,
    promised: Any,
) -> None:
    """Fill ``found`` (rows,) with positions of codecs; ``by_byte`` has the shape (nodes, codecs, 3).

    ``promised`` (rows,) becomes what each costs less than the table's codec, in CPU time by byte.

    All costs of a block are proportional to its size here, so the size does not matter to their order.
    """
    codecs = by_byte.shape[1]
    for row in range(len(matrix)):
        node = 0
        while feature[node] >= 0:
            value = matrix[row, feature[node]]
            if value != value:
                value = fill[feature[node]]
            node = left[node] if value <= threshold[node] else right[node]
        best, least, usual = 0, 0.0, 0.0
        for codec in range(codecs):
            stored, packing, unpacking = by_byte[node, codec, 0], by_byte[node, codec, 1], by_byte[node, codec, 2]
            cost = stored * per_byte_us + price * (packing + reads * unpacking)
            if codec == 0 or cost < least:
                best, least = codec, cost
            if codec == table:
                usual = cost
        follow = usual - least > margin * usual
        found[row] = best if follow else table
        promised[row] = (usual - least) / price if follow else 0.0
