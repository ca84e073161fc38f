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

_counts = np.arange(SAMPLE + 1, dtype=np.float64)
COUNT_LOG = (_counts * np.log2(np.maximum(_counts, 1))).astype(np.float32)
"""``c log2 c`` of every count that a sample can have."""

OTHER, TEXT, ZEROS, ARCHIVE, IMAGE, PROGRAM, BYTECODE, DOCUMENT = range(8)


@numba.njit(cache=True, nogil=True)
def sample_many(data: Any, starts: Any, stops: Any, values: Any, kinds: Any) -> None:
    """Fill ``values`` (blocks, 10) and ``kinds`` (blocks,) with what blocks of ``data`` look like."""
    counts = np.zeros(256, np.uint16)
    deltas = np.zeros(256, np.uint16)
    table = np.zeros(1 << TABLE_BITS, np.uint32)
    for block in range(len(starts)):
        start, stop = starts[block], stops[block]
        _count_bytes(data, start, stop, counts, deltas, values[block])
        _find_matches(data, start, stop, table, values[block])
        kinds[block] = _kind(data, start, stop, values[block])


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
            first = start + (size - RUN_BYTES) * run // (RUNS - 1)
            before = data[first - 1] if run > 0 else data[first]
            for place in range(np.uint64(first), np.uint64(first + RUN_BYTES)):
                byte = data[np.uint64(place)]
                counts[byte] += np.uint16(1)
                deltas[np.uint8(byte - before)] += np.uint16(1)
                before = byte
        taken = SAMPLE
    ordered, changes = np.float32(0), np.float32(0)
    least = np.uint16(max(taken * CORE // 256, 1))
    unique, core, high, printable = np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0)
    for value in range(256):
        count = counts[value]
        ordered += COUNT_LOG[count]
        changes += COUNT_LOG[deltas[value]]
        unique += np.uint32(count > 0)
        core += np.uint32(count >= least)
    for value in range(128, 256):
        high += np.uint32(counts[value])
    for value in range(32, 127):
        printable += np.uint32(counts[value])
    printable += np.uint32(counts[9]) + np.uint32(counts[10]) + np.uint32(counts[13])
    logarithm = np.log2(np.float32(taken))
    out[0] = logarithm - ordered / taken
    out[3] = logarithm - changes / taken
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
def _find_matches(data: Any, start: int, stop: int, table: Any, out: Any) -> None:
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
    hits, starts, history = np.uint32(0), np.uint32(0), np.uint32(0)
    for number in range(windows):
        first = np.uint64(start + (size - window) * (2 * number + 1) // (2 * windows))
        border = first + np.uint64(window) - probes
        for place in range(first, border - np.uint64(3), np.uint64(4)):
            word = _word(data, np.uint64(place))
            table[np.uint64(np.uint32(word * MULTIPLIER) >> SHIFT)] = word
        word = _word(data, border) << np.uint32(8)
        for place in range(border + np.uint64(3), border + probes):
            word = np.uint32(word >> np.uint32(8)) | np.uint32(np.uint32(data[np.uint64(place)]) << np.uint32(24))
            hit = np.uint32(table[np.uint64(np.uint32(word * MULTIPLIER) >> SHIFT)] == word)
            hits += hit
            starts += hit & ~(history >> np.uint32(3)) & np.uint32(1)
            history = np.uint32(history << np.uint32(1)) | hit
    out[1] = hits / (windows * (probes - np.uint64(3)))
    out[2] = 4.0 * hits / starts if starts > 0 else 0.0


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
