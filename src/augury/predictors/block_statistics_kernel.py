"""The inner loop of :mod:`~augury.predictors.block_statistics`, compiled; importing it needs numba.

Two looks at a block: 64 runs of 16 bytes, evenly spaced, for everything that counts bytes (the spacing is btrfs' idea
[1]_); and four windows of 2 KiB for repetitions, found as LZ4 finds them, with a table of groups of four bytes by their
hash, but without a branch that a processor could mispredict: that alone made it three times as fast.

.. [1] Linux, ``fs/btrfs/compression.c``: 16 bytes of every 256 are looked at.
"""

from typing import Any

import numba
import numpy as np

RUNS = 64
RUN_BYTES = 16
SAMPLE = RUNS * RUN_BYTES
WINDOWS = 4
WINDOW = 2048
PROBES = 256
TABLE_BITS = 11
MULTIPLIER = np.uint32(2654435761)  # Knuth's, as in LZ4; numba multiplies in 64 bits
SHIFT = np.uint32(32 - TABLE_BITS)
CORE = 0.5
LINE = 64
"""Bytes of a line of the cache; where lines are longer, some are read twice."""
LAG = 4
"""A repetition goes on where a hit follows one so many places before it: only aligned words are remembered."""

_counts = np.arange(SAMPLE + 1, dtype=np.float64)
COUNT_LOG = (_counts * np.log2(np.maximum(_counts, 1))).astype(np.float32)
"""``c log2 c`` of every count that a sample can have."""

OTHER, TEXT, ZEROS, ARCHIVE, IMAGE, PROGRAM, BYTECODE, DOCUMENT = range(8)


@numba.njit(cache=True, nogil=True)
def sample_many(data: Any, starts: Any, stops: Any, values: Any, kinds: Any) -> Any:
    """Fill ``values`` (blocks, 10) and ``kinds`` (blocks,) with what blocks of ``data`` look like."""
    counts = np.zeros(256, np.uint16)
    deltas = np.zeros(256, np.uint16)
    table = np.zeros(1 << TABLE_BITS, np.uint32)
    hits = np.zeros(LAG + WINDOWS * PROBES, np.uint8)
    touched = np.uint32(0)
    for block in range(len(starts)):
        start, stop = starts[block], stops[block]
        touched ^= _touch(data, start, stop)
        _count_bytes(data, start, stop, counts, deltas, values[block])
        _find_matches(data, start, stop, table, hits, values[block])
        kinds[block] = _kind(data, start, stop, values[block])
    return touched


@numba.njit(cache=True, nogil=True)
def _touch(data: Any, start: int, stop: int) -> Any:
    """Read a byte of every line of memory that will be needed, for nothing but to have it in the cache.

    These reads depend on nothing, so a processor has a dozen of them under way at a time, whereas the loops that count
    wait for each line in its turn: a block that comes from memory costs a third less. The result only keeps a compiler
    from leaving the reads out.
    """
    size = stop - start
    read = np.uint32(0)
    if size > SAMPLE:
        for run in range(RUNS):
            first = np.uint64(_first_of_run(start, size, run))
            read ^= np.uint32(data[first]) ^ np.uint32(data[first + np.uint64(RUN_BYTES - 1)])
    windows = min(max(size // WINDOW, 1), WINDOWS)
    window = min(size, WINDOW)
    for number in range(windows):
        first = np.uint64(_first_of_window(start, size, window, windows, number))
        for place in range(first, first + np.uint64(window), np.uint64(LINE)):
            read ^= np.uint32(data[np.uint64(place)])
    return read


@numba.njit(cache=True, nogil=True, inline="always")
def _first_of_run(start: int, size: int, run: int) -> int:
    return start + (size - RUN_BYTES) * run // (RUNS - 1)


@numba.njit(cache=True, nogil=True, inline="always")
def _first_of_window(start: int, size: int, window: int, windows: int, number: int) -> int:
    return start + (size - window) * (2 * number + 1) // (2 * windows)


@numba.njit(cache=True, nogil=True)
def _count_bytes(data: Any, start: int, stop: int, counts: Any, deltas: Any, out: Any) -> None:
    counts[:] = 0
    deltas[:] = 0
    size = stop - start
    if size <= SAMPLE:
        before = data[start]
        for place in range(np.uint64(start), np.uint64(stop)):
            byte = data[np.uint64(place)]
            counts[byte] += np.uint16(1)
            deltas[np.uint8(byte - before)] += np.uint16(1)
            before = byte
        taken = size
    else:
        for run in range(RUNS):
            first = _first_of_run(start, size, run)
            before = data[first - 1] if run > 0 else data[first]
            for place in range(np.uint64(first), np.uint64(first + RUN_BYTES)):
                byte = data[np.uint64(place)]
                counts[byte] += np.uint16(1)
                deltas[np.uint8(byte - before)] += np.uint16(1)
                before = byte
        taken = SAMPLE
    ordered, changes, upper, upper_changes = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    least = np.uint16(max(taken * CORE // 256, 1))
    unique, core, high, printable = np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0)
    for value in range(128):  # two sums each: an addition has to wait for the one before it
        ordered += COUNT_LOG[counts[value]]
        upper += COUNT_LOG[counts[value + 128]]
        changes += COUNT_LOG[deltas[value]]
        upper_changes += COUNT_LOG[deltas[value + 128]]
    for value in range(256):
        count = counts[value]
        unique += np.uint32(count > 0)
        core += np.uint32(count >= least)
    for value in range(128, 256):
        high += np.uint32(counts[value])
    for value in range(32, 127):
        printable += np.uint32(counts[value])
    printable += np.uint32(counts[9]) + np.uint32(counts[10]) + np.uint32(counts[13])
    logarithm = np.log2(np.float32(taken))
    out[0] = logarithm - (ordered + upper) / taken
    out[3] = logarithm - (changes + upper_changes) / taken
    out[4] = core / 256
    out[5] = counts[0] / taken
    out[6] = high / taken
    out[7] = printable / taken
    out[8] = (deltas[0] - 1) / (taken - 1) if taken > 1 else 0.0  # the first byte has none before it
    out[9] = unique


@numba.njit(cache=True, nogil=True)
def _word(data: Any, place: Any) -> Any:
    return (
        np.uint32(data[place])
        | np.uint32(data[place + np.uint64(1)]) << np.uint32(8)
        | np.uint32(data[place + np.uint64(2)]) << np.uint32(16)
        | np.uint32(data[place + np.uint64(3)]) << np.uint32(24)
    )


@numba.njit(cache=True, nogil=True)
def _find_matches(data: Any, start: int, stop: int, table: Any, hits: Any, out: Any) -> None:
    """Look up every word at the end of each window among the aligned words before it, without a branch.

    A repetition goes on as long as hits are four places apart, because only aligned words are remembered.
    """
    size = stop - start
    windows = min(max(size // WINDOW, 1), WINDOWS)
    window = min(size, WINDOW)
    probes = np.uint64(min(PROBES, window // 2))
    out[1] = 0.0
    out[2] = 0.0
    if probes < 8:
        return
    table[:] = np.uint32(0)
    table[0] = np.uint32(1)  # 0 is the only word of the first place: an empty table must hold no word in its own place
    probed = np.uint64(LAG)
    for number in range(windows):
        first = np.uint64(_first_of_window(start, size, window, windows, number))
        border = first + np.uint64(window) - probes
        for place in range(first, border - np.uint64(3), np.uint64(4)):
            word = _word(data, np.uint64(place))
            table[np.uint64(np.uint32(word * MULTIPLIER) >> SHIFT)] = word
        for place in range(border, border + probes - np.uint64(3)):
            word = _word(data, np.uint64(place))
            hits[probed] = table[np.uint64(np.uint32(word * MULTIPLIER) >> SHIFT)] == word
            probed += np.uint64(1)
    # The first places of the buffer stay zero: what was before the first probe was no hit
    many, starts = np.uint32(0), np.uint32(0)
    for probe in range(np.uint64(LAG), probed):
        hit = hits[np.uint64(probe)]
        many += np.uint32(hit)
        starts += np.uint32(hit > hits[np.uint64(probe) - np.uint64(LAG)])
    out[1] = many / (windows * (probes - np.uint64(3)))
    out[2] = 4.0 * many / starts if starts > 0 else 0.0


@numba.njit(cache=True, nogil=True)
def _kind(data: Any, start: int, stop: int, out: Any) -> int:
    """The kind of the first bytes; see ``MAGIC_CLASSES``."""
    if out[5] == 1.0:
        return ZEROS
    if stop - start >= 8:
        word = _word(data, np.uint64(start))
        pair = word & np.uint32(0xFFFF)
        if (
            word == np.uint32(0x04034B50)  # zip
            or pair == np.uint32(0x8B1F)  # gzip
            or word == np.uint32(0x587A37FD)  # xz
            or word == np.uint32(0xFD2FB528)  # zstd
            or word == np.uint32(0x184D2204)  # lz4
            or word & np.uint32(0xFFFFFF) == np.uint32(0x685A42)  # bzip2
            or word == np.uint32(0xAFBC7A37)  # 7z
        ):
            return ARCHIVE
        if (
            word == np.uint32(0x474E5089)  # png
            or word & np.uint32(0xFFFFFF) == np.uint32(0xFFD8FF)  # jpeg
            or word == np.uint32(0x38464947)  # gif
            or word == np.uint32(0x46464952)  # webp and other RIFF
        ):
            return IMAGE
        if word == np.uint32(0x464C457F) or pair == np.uint32(0x5A4D):  # elf, exe
            return PROGRAM
        if word >> np.uint32(16) == np.uint32(0x0A0D) or word == np.uint32(0xBEBAFECA):  # pyc, class
            return BYTECODE
        if word == np.uint32(0x46445025) or word == np.uint32(0x694C5153) or word == np.uint32(0x31524150):
            return DOCUMENT  # pdf, sqlite, parquet
    return TEXT if out[7] > 0.95 else OTHER
