"""Names of blocks as 64-bit numbers, neighbours in an object next to each other; and ids that would tell the future."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import InputError

Array = npt.NDArray[Any]

POSITION_BITS = 20
"""Of a block's number, for its position in its object; the rest says which object."""
OBJECT_BITS = 63 - POSITION_BITS
FEWEST_NEW = 64
BY_APPEARANCE = 0.99
"""Share of new ids that are the largest so far plus one, from which on they were numbered by first appearance."""
SEPARATOR = ":"


def object_number(name: str) -> int:
    """A number of an object's name that leaves room for positions.

    Args:
        name: A pseudonym or any other text; not empty.

    Returns:
        A multiple of ``2**POSITION_BITS`` below ``2**63``.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - OBJECT_BITS)) << POSITION_BITS


def block_numbers(objects: pd.Series, positions: pd.Series) -> Array:
    """Number blocks.

    Args:
        objects: Names; empty where a position is the number of the block itself.
        positions: int64, at least 0 where there is an object.

    Returns:
        int64, shape ``(n,)``. Blocks of an object that follow one another have numbers that do.
    """
    codes, names = pd.factorize(objects)
    bases = np.array([object_number(name) if name else 0 for name in names], np.int64)
    whole = np.array([name == "" for name in names], bool)
    position = positions.to_numpy(np.int64)
    return np.where(whole[codes], position, bases[codes] + position % (1 << POSITION_BITS))


def block_of(text: str) -> int:
    """The number of a block in text: a whole number, or an object's name, ``:`` and a position.

    Raises:
        InputError: The text is neither, or the number is no 64-bit one.
    """
    name, separator, position = text.rpartition(SEPARATOR)
    try:
        number = int(position)
    except ValueError:
        raise InputError(_unreadable(text)) from None
    if not separator:
        if not -(2**63) <= number < 2**63:
            raise InputError(_unreadable(text))
        return number
    if not name or not 0 <= number < 1 << POSITION_BITS:
        raise InputError(_unreadable(text))
    return object_number(name) + number


def _unreadable(text: str) -> str:
    return (
        f"prefetch: {text!r} is no block: it must be a whole number of 64 bits, or an object's name, ':' and a "
        f"position below {1 << POSITION_BITS:,}."
    )


class BlockNames:
    """Turns numbers of blocks into texts again, for the objects that it was told."""

    def __init__(self, objects: Sequence[str] = ()) -> None:
        """Take the names of objects that are known."""
        self.objects = sorted({name for name in objects if name})
        self._names = {object_number(name): name for name in self.objects}

    def text(self, block: int) -> str:
        """``<object>:<position>`` of a known object, else the number."""
        position = block & ((1 << POSITION_BITS) - 1)
        name = self._names.get(block - position)
        return str(block) if name is None else f"{name}{SEPARATOR}{position}"


def numbered_by_appearance(blocks: Array) -> bool:
    """Whether ids were given in the order in which they first appear.

    In such a trace "the next id" is the next block that nobody has read yet, so that reading ahead would know the
    future. The trace of one long sequential read from its first block looks the same, and counts as one.

    Args:
        blocks: Ids in request order.

    Returns:
        True if almost every new id is the largest so far plus one; False for traces of fewer than ``FEWEST_NEW``
        blocks.
    """
    values = np.asarray(blocks, np.int64)
    fresh = values[~pd.Series(values).duplicated().to_numpy()]
    if len(fresh) < FEWEST_NEW:
        return False
    largest = np.maximum.accumulate(fresh)[:-1]
    return bool(np.mean(fresh[1:] == largest + 1) >= BY_APPEARANCE)


def permuted(blocks: Array, seed: int) -> Array:
    """Give blocks other numbers, of which neighbours say nothing (the finaliser of SplitMix64, a bijection)."""
    with np.errstate(over="ignore"):
        h = np.asarray(blocks, np.int64).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed + 1)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (h ^ (h >> np.uint64(31))).astype(np.int64)


def spans_of(blocks: Array, sizes: Array, units: Sequence[int] = (512, 4096, 1)) -> tuple[Array, int]:
    """How many ids each request covers, where sizes are in bytes and what an id stands for is unknown.

    Args:
        blocks: Ids in request order.
        sizes: Bytes per request; 0 where unknown.
        units: Bytes that an id may stand for.

    Returns:
        Spans, at least 1; and the unit by which the most requests begin where the one before ended, 0 if that is true
        of fewer than one in a hundred, when all spans are 1. Give the first part of a trace alone to fit the unit, see
        :func:`unit_of`.
    """
    unit = unit_of(blocks, sizes, units)
    if not unit:
        return np.ones(len(blocks), np.int64), 0
    return np.maximum(1, np.asarray(sizes, np.int64) // unit), unit


def unit_of(blocks: Array, sizes: Array, units: Sequence[int] = (512, 4096, 1)) -> int:
    """Bytes that an id stands for, see :func:`spans_of`."""
    best, share = 0, 0.01
    for unit in units:
        spans = np.maximum(1, np.asarray(sizes, np.int64) // unit)
        longer = spans[:-1] > 1
        found = float(np.mean((blocks[1:] == blocks[:-1] + spans[:-1]) & longer)) if len(blocks) > 1 else 0.0
        if found > share:
            best, share = unit, found
    return best
