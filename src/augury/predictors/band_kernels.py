"""The inner loops of :mod:`~augury.predictors.band_index`, compiled; importing this module needs numba."""

from typing import Any

import numba
import numpy as np

from augury.predictors.shingle_kernels import similarity

_BITS = 64


@numba.njit(cache=True, nogil=True)
def fill_directory(keys: Any, bits: int, starts: Any) -> None:
    """Say where in a band's sorted keys those with each prefix begin.

    Args:
        keys: uint64, shape ``(bands, n)``, ascending in each band.
        bits: Length of the prefix.
        starts: Result, int32, shape ``(bands, 2 ** bits + 1)``.
    """
    shift = np.uint64(_BITS - bits)
    for band in range(keys.shape[0]):
        place = 0
        for prefix in range(starts.shape[1] - 1):
            while place < keys.shape[1] and np.int64(keys[band, place] >> shift) < prefix:
                place += 1
            starts[band, prefix] = place
        starts[band, starts.shape[1] - 1] = keys.shape[1]


@numba.njit(cache=True, nogil=True)
def search_segment(
    keys: Any,
    order: Any,
    starts: Any,
    bits: int,
    cells: Any,
    least: Any,
    removed: Any,
    first_row: int,
    query_keys: Any,
    query_cells: Any,
    query_least: Any,
    threshold: float,
    bucket_limit: int,
    seen: Any,
    rows: Any,
    similarities: Any,
    candidates: Any,
) -> None:
    """Look queries up in one segment and put what is found among what other segments had.

    Args:
        keys: uint64, shape ``(bands, n)``, ascending in each band.
        order: Row of each key, int32, shape ``(bands, n)``; ascending among equal keys.
        starts: See :func:`fill_directory`.
        bits: See :func:`fill_directory`.
        cells: Sketches of the segment, uint16, shape ``(n, hashes)``.
        least: Their least cells, uint16, shape ``(n,)``.
        removed: Rows that no longer count, bool, shape ``(n,)``.
        first_row: Number of the segment's first row.
        query_keys: uint64, shape ``(q, bands)``; a query whose keys are 0 finds nothing.
        query_cells: uint16, shape ``(q, hashes)``.
        query_least: uint16, shape ``(q,)``.
        threshold: Least similarity of what is found.
        bucket_limit: Of rows that share a key, the newest are looked at: so many.
        seen: int32 zeros, shape ``(n,)``.
        rows: Found so far, int64, shape ``(q, top_k)``, the most similar first, of equal ones the newest; -1: none.
        similarities: Theirs, float32; -1 where there is none.
        candidates: How many were compared, int64, shape ``(q,)``.
    """
    shift = np.uint64(_BITS - bits)
    for query in range(query_keys.shape[0]):
        for band in range(keys.shape[0]):
            key = query_keys[query, band]
            if key == 0:
                break
            prefix = np.int64(key >> shift)
            low, high = starts[band, prefix], starts[band, prefix + 1]
            while low < high:
                middle = (low + high) // 2
                if keys[band, middle] <= key:
                    low = middle + 1
                else:
                    high = middle
            place = low - 1
            taken = 0
            while place >= 0 and keys[band, place] == key and taken < bucket_limit:
                row = order[band, place]
                place -= 1
                taken += 1
                if seen[row] == query + 1 or removed[row]:
                    continue
                seen[row] = query + 1
                candidates[query] += 1
                limit = max(query_least[query], least[row])
                found = np.float32(similarity(query_cells[query], cells[row], limit))
                if found >= threshold:
                    insert(rows[query], similarities[query], first_row + row, found)


@numba.njit(cache=True, nogil=True)
def search_tail(
    keys: Any,
    cells: Any,
    least: Any,
    removed: Any,
    first_row: int,
    query_keys: Any,
    query_cells: Any,
    query_least: Any,
    threshold: float,
    rows: Any,
    similarities: Any,
    candidates: Any,
) -> None:
    """The same for the newest rows, which are few and not sorted yet: keys are of the shape ``(n, bands)``."""
    for query in range(query_keys.shape[0]):
        if query_keys[query, 0] == 0:
            continue
        for row in range(keys.shape[0]):
            shares = False
            for band in range(keys.shape[1]):
                shares |= keys[row, band] == query_keys[query, band]
            if not shares or removed[row]:
                continue
            candidates[query] += 1
            limit = max(query_least[query], least[row])
            found = np.float32(similarity(query_cells[query], cells[row], limit))
            if found >= threshold:
                insert(rows[query], similarities[query], first_row + row, found)


@numba.njit(cache=True, nogil=True)
def insert(rows: Any, similarities: Any, row: int, found: Any) -> None:
    """Put a row in its place among the best so far; the worst falls out."""
    place = len(rows)
    while place > 0 and (
        found > similarities[place - 1] or (found == similarities[place - 1] and row > rows[place - 1])
    ):
        place -= 1
    if place == len(rows):
        return
    for later in range(len(rows) - 1, place, -1):
        rows[later] = rows[later - 1]
        similarities[later] = similarities[later - 1]
    rows[place] = row
    similarities[place] = found
