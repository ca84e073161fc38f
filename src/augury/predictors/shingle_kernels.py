"""The inner loops of :mod:`~augury.predictors.shingle_sketches`, compiled; importing this module needs numba."""

from typing import Any

import numba
import numpy as np

SHINGLE = 8
"""Bytes of a shingle: one machine word, so that the window slides by a shift."""

EMPTY = 0xFFFF
"""A cell of a sketch that no shingle fell into."""

_LEVEL_BITS = 12
"""The upper four bits of a cell are its level, the lower twelve a fingerprint."""

_FIRST = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xBF58476D1CE4E5B9)
_THIRD = np.uint64(0x94D049BB133111EB)
_FOURTH = np.uint64(0xD6E8FEB86659FD93)
_LARGEST = np.uint64(0xFFFFFFFFFFFFFFFF)
_PIECE = 2048
"""Shingles that are hashed before any is looked at: they stay in the processor's nearest memory."""
_BYTE = np.uint64(8)
_TOP = np.uint64(56)
_HALF = np.uint64(32)
_LAST_SHIFT = np.uint64(63)


@numba.njit(cache=True, nogil=True)
def sketch_blocks(data: Any, offsets: Any, limits: Any, key: Any, words: int, cells: Any) -> None:
    """Sketch blocks: per cell, the smallest hash of the shingles that fall into it.

    Args:
        data: All blocks one after another, uint8.
        offsets: Where each begins, and the end of the last, int64, shape ``(n + 1,)``.
        limits: Shingles with a larger hash are left out, uint64, shape ``(n,)``.
        key: Changes every hash, uint64.
        words: Words of a shingle; 0: shingles are of 8 bytes.
        cells: Result, uint16, shape ``(n, hashes)``.
    """
    hashes = np.uint64(cells.shape[1])
    smallest = np.empty(cells.shape[1], np.uint64)
    longest = 0
    for block in range(cells.shape[0]):
        longest = max(longest, offsets[block + 1] - offsets[block])
    kept = np.empty(longest + 1 if words else _PIECE, np.uint64)
    for block in range(cells.shape[0]):
        smallest[:] = _LARGEST
        start, stop = offsets[block], offsets[block + 1]
        if words:
            _lower(smallest, kept, _keep_words(data[start:stop], limits[block], key, words, kept), hashes)
        else:
            for first in range(start + SHINGLE - 1, stop, _PIECE):
                piece = data[first - SHINGLE + 1 : min(first + _PIECE, stop)]
                _lower(smallest, kept, _keep_bytes(piece, limits[block], key, kept), hashes)
        for cell in range(cells.shape[1]):
            cells[block, cell] = _cell_of(smallest[cell])


@numba.njit(cache=True, nogil=True)
def sampled_shingles(data: Any, limit: Any, key: Any, words: int) -> Any:
    """Hashes of the shingles of one block that the sampling keeps, in their order, uint64."""
    kept = np.empty(len(data) + 1, np.uint64)
    count = _keep_words(data, limit, key, words, kept) if words else _keep_bytes(data, limit, key, kept)
    return kept[:count]


@numba.njit(cache=True, nogil=True)
def _lower(smallest: Any, kept: Any, count: int, hashes: Any) -> None:
    """Let hashes fall into their cells."""
    for place in range(count):
        mixed = kept[place]
        other = (mixed ^ (mixed >> _HALF)) * _THIRD
        cell = ((other >> _HALF) * hashes) >> _HALF
        if mixed < smallest[cell]:
            smallest[cell] = mixed


@numba.njit(cache=True, nogil=True)
def _keep_bytes(piece: Any, limit: Any, key: Any, kept: Any) -> Any:
    """Hashes of the 8-byte shingles that the sampling keeps.

    What is kept is written without a branch, which a processor could not foresee: up to twice as fast as with one.
    """
    window = np.uint64(0)
    for place in range(min(SHINGLE - 1, len(piece))):
        window = (window >> _BYTE) | (np.uint64(piece[place]) << _TOP)
    count = np.uint64(0)
    for place in range(SHINGLE - 1, len(piece)):
        window = (window >> _BYTE) | (np.uint64(piece[place]) << _TOP)
        mixed = (window ^ key) * _FIRST
        mixed = (mixed ^ (mixed >> _HALF)) * _SECOND
        kept[count] = mixed
        count += np.uint64(mixed <= limit)
    return np.int64(count)


@numba.njit(cache=True, nogil=True)
def _keep_words(block: Any, limit: Any, key: Any, words: int, kept: Any) -> Any:
    """The same for shingles of words: runs of ASCII letters, digits and ``_``, or any other byte that is no space."""
    last = np.zeros(words, np.uint64)
    read = 0
    count = np.uint64(0)
    word = np.uint64(0)
    inside: Any = False
    for place in range(len(block) + 1):
        byte: Any = block[place] if place < len(block) else np.uint8(32)
        lower = byte | 32
        part_of_word = (97 <= lower <= 122 and byte >= 65) or 48 <= byte <= 57 or byte == 95
        ends = inside and not part_of_word
        alone = not part_of_word and not (byte == 32 or 9 <= byte <= 13)
        if part_of_word:
            word = ((word if inside else key) ^ np.uint64(byte)) * _FIRST
            word ^= word >> _HALF
        inside = part_of_word
        for turn in range(np.int64(ends) + np.int64(alone)):
            if turn == 0 and ends:
                last[read % words] = word
            else:
                last[read % words] = (np.uint64(byte) ^ key ^ _LARGEST) * _THIRD
            read += 1
            if read >= words:
                mixed = np.uint64(0)
                for back in range(words):
                    mixed = (mixed ^ last[(read + back) % words]) * _SECOND
                    mixed ^= mixed >> _HALF
                kept[count] = mixed
                count += np.uint64(mixed <= limit)
    return np.int64(count)


@numba.njit(cache=True, nogil=True)
def _cell_of(smallest: Any) -> Any:
    """Level and fingerprint of a cell's smallest hash."""
    if smallest == _LARGEST:
        return np.uint16(EMPTY)
    level = 0
    while level < 15 and not (smallest << np.uint64(level)) >> _LAST_SHIFT:
        level += 1
    print_ = (((smallest ^ (smallest >> _HALF)) * _FOURTH) >> np.uint64(52)) & np.uint64(0xFFF)
    found = (level << _LEVEL_BITS) | np.int64(print_)
    return np.uint16(found if found != EMPTY else EMPTY - 1)


@numba.njit(cache=True, nogil=True)
def band_keys(cells: Any, bands: int, rows: int, keys: Any) -> None:
    """Keys of bands of neighbouring cells.

    An empty cell borrows from another one, chosen by a hash of its place (optimal densification, Shrivastava 2017), so
    that two blocks share a key with the probability ``jaccard ** rows`` however small they are.

    Args:
        cells: Sketches, uint16, shape ``(n, hashes)``.
        bands: How many bands.
        rows: Cells of a band.
        keys: Result, uint64, shape ``(n, bands)``; those of a sketch without a full cell are 0.
    """
    hashes = np.uint64(cells.shape[1])
    for block in range(cells.shape[0]):
        full = False
        for cell in range(cells.shape[1]):
            if cells[block, cell] != EMPTY:
                full = True
                break
        for band in range(bands):
            key = np.uint64(band + 1) * _FIRST
            for row in range(rows if full else 0):
                place = band * rows + row
                value = cells[block, place]
                attempt = np.uint64(0)
                while value == EMPTY:
                    attempt += np.uint64(1)
                    drawn = (np.uint64(place + 1) * _SECOND + attempt) * _THIRD
                    drawn = (drawn ^ (drawn >> _HALF)) * _FOURTH
                    value = cells[block, ((drawn >> _HALF) * hashes) >> _HALF]
                key = (key ^ np.uint64(value)) * _SECOND
                key ^= key >> _HALF
            key *= _THIRD
            keys[block, band] = (key | np.uint64(1)) if full else np.uint64(0)


@numba.njit(cache=True, nogil=True)
def least_cells(cells: Any, least: Any) -> None:
    """The smallest cell of each sketch with its fingerprint cut off: none has a lower level.

    Args:
        cells: Sketches, uint16, shape ``(n, hashes)``.
        least: Result, uint16, shape ``(n,)``.
    """
    for block in range(cells.shape[0]):
        found = np.uint16(EMPTY)
        for cell in range(cells.shape[1]):
            found = min(found, cells[block, cell])
        least[block] = (found >> _LEVEL_BITS) << _LEVEL_BITS


@numba.njit(cache=True, nogil=True)
def similarity(left: Any, right: Any, least: Any) -> float:
    """Estimate of the Jaccard similarity of two blocks: equal cells among those that are not empty in both.

    Args:
        left: Sketch, uint16, shape ``(hashes,)``.
        right: The other.
        least: The larger of their least cells. What lies below it in one of them was not sampled in the other.

    Returns:
        In [0, 1]; 0 where both are empty altogether.
    """
    equal = 0
    both_empty = 0
    for cell in range(len(left)):
        one = left[cell] if left[cell] >= least else np.uint16(EMPTY)
        two = right[cell] if right[cell] >= least else np.uint16(EMPTY)
        equal += one == two
        both_empty += (one & two) == EMPTY
    counted = len(left) - both_empty
    return (equal - both_empty) / counted if counted else 0.0


@numba.njit(cache=True, nogil=True)
def pair_similarities(cells: Any, least: Any, left: Any, right: Any, found: Any) -> None:
    """Estimates for pairs of rows; see :func:`similarity`."""
    for pair in range(len(left)):
        one, two = left[pair], right[pair]
        found[pair] = similarity(cells[one], cells[two], max(least[one], least[two]))


@numba.njit(cache=True, nogil=True)
def count_shared(hashes: Any, blocks: Any, shared: Any) -> None:
    """Count the shingles that pairs of blocks have in common.

    Args:
        hashes: Distinct shingles of each block, all together, ascending, uint64.
        blocks: Whose each is, ascending among equal hashes, int64.
        shared: Result, int32, shape ``(n, n)``: in the row of the later block; the diagonal has the blocks' sizes.
    """
    start = 0
    while start < len(hashes):
        stop = start + 1
        while stop < len(hashes) and hashes[stop] == hashes[start]:
            stop += 1
        for later in range(start, stop):
            for earlier in range(start, later + 1):
                shared[blocks[later], blocks[earlier]] += 1
        start = stop
