"""Sketches of blocks of bytes: one-permutation MinHash over 8-byte shingles, sampled by content.

Each shingle's keyed hash chooses a cell, and the cell keeps the smallest hash (Li, Owen and Zhang 2012). Two blocks
agree in a cell with the probability of the Jaccard similarity of their sets of shingles. The sampling leaves out
shingles whose hash is large. As it is the same hash that is minimised, a cell keeps the same shingle with the sampling
or without it, unless all of its shingles are left out: blocks of different sizes may be sampled at different rates.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from augury.errors import InputError
from augury.parameters import Parameters

Cells = npt.NDArray[np.uint16]
"""Sketches, shape ``(n, hashes)``, or one of them, shape ``(hashes,)``."""

SHINGLE = 8
EMPTY = 0xFFFF
LEVEL_BITS = 12
BYTES_OF_A_WORD = 5
"""A rough number: it sets nothing but the sampling."""


class SketchRecipe(Parameters):
    """How a block becomes a sketch; sketches of different recipes cannot be compared."""

    words: int = Field(default=0, ge=0, le=64, description="words of a shingle, for texts; 0: shingles are of 8 bytes")
    hashes: int = Field(default=256, ge=16, le=4096, description="cells that shingles fall into")
    keep: int | None = Field(default=None, ge=16, description="of these, the first so many are kept; null: all")
    sampling: int = Field(default=16, ge=1, le=4096, description="of large blocks, one of so many shingles is kept")
    least_sampling: int = Field(default=1, ge=1, le=4096, description="the same of all blocks, however small")
    load: int = Field(default=8, ge=1, le=1024, description="sampled shingles that a cell has at least, on average")
    key: int = Field(default=0, ge=0, lt=2**63, description="of the hashes; whoever knows it can guess content")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.keep is not None and self.keep > self.hashes:
            raise ValueError(f"keep ({self.keep}) is more than the {self.hashes} hashes that there are")
        for name, value in (("sampling", self.sampling), ("least_sampling", self.least_sampling)):
            if value & (value - 1):
                raise ValueError(f"{name} ({value}) must be a power of two")
        if self.least_sampling > self.sampling:
            raise ValueError(f"least_sampling ({self.least_sampling}) is more than sampling ({self.sampling})")
        return self

    @property
    def cells(self) -> int:
        """Cells of a sketch, 2 bytes each."""
        return self.keep or self.hashes


def rates(sizes: npt.NDArray[np.int64], recipe: SketchRecipe) -> npt.NDArray[np.int64]:
    """One of how many shingles is kept: a power of two, the largest that leaves every cell its load.

    Args:
        sizes: Bytes of blocks.
        recipe: The recipe.

    Returns:
        int64, between 1 and ``recipe.sampling``.

    Examples:
        >>> rates(np.array([100, 10_240, 1_000_000]), SketchRecipe(hashes=128, load=8, sampling=16)).tolist()
        [1, 8, 16]
    """
    shingles = sizes // BYTES_OF_A_WORD if recipe.words else sizes
    spare = np.maximum(shingles // (recipe.hashes * recipe.load), 1)
    found: npt.NDArray[np.int64] = np.clip(
        2 ** np.floor(np.log2(spare)).astype(np.int64), recipe.least_sampling, recipe.sampling
    )
    return found


def limits_of(kept: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The largest hash that a sampling keeps, by its rate."""
    return np.uint64(2**64 - 1) // kept.astype(np.uint64)


def sketch_blocks(blocks: Sequence[bytes], recipe: SketchRecipe) -> Cells:
    """Sketch blocks.

    Args:
        blocks: Their content. One of fewer than 8 bytes has no shingle, and an empty sketch.
        recipe: How.

    Returns:
        uint16, shape ``(len(blocks), recipe.cells)``.
    """
    from augury.predictors import shingle_kernels

    sizes = np.fromiter(map(len, blocks), np.int64, len(blocks))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    content = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    cells = np.empty((len(blocks), recipe.hashes), dtype=np.uint16)
    limits = limits_of(rates(sizes, recipe))
    shingle_kernels.sketch_blocks(
        np.frombuffer(content, dtype=np.uint8), offsets, limits, np.uint64(recipe.key), recipe.words, cells
    )
    return cells if recipe.keep is None else np.ascontiguousarray(cells[:, : recipe.keep])


def thinned(cells: Cells, keep: int, least_sampling: int) -> Cells:
    """What sketches would be with fewer cells and a coarser sampling.

    Args:
        cells: Sketches.
        keep: Cells to keep, the first ones.
        least_sampling: One of how many shingles at most, a power of two. What a cell holds of others is emptied.

    Returns:
        The sketches that a recipe with this ``keep`` and ``least_sampling`` makes of the same blocks.
    """
    kept = np.ascontiguousarray(cells[:, :keep])
    lost = (kept != EMPTY) & ((kept >> LEVEL_BITS) < least_sampling.bit_length() - 1)
    return np.where(lost, np.uint16(EMPTY), kept)


def encode(cells: Cells) -> list[str]:
    """Sketches as texts (base64 of little-endian cells)."""
    return [base64.b64encode(row.astype("<u2").tobytes()).decode("ascii") for row in cells]


def decode(texts: Sequence[str], hashes: int, where: str = "deduplication: column 'sketch'") -> Cells:
    """Sketches from texts.

    Args:
        texts: What :func:`encode` made.
        hashes: Cells that each must have.
        where: Begins the message.

    Returns:
        uint16, shape ``(len(texts), hashes)``.

    Raises:
        InputError: A text is no sketch, or one of another number of cells.
    """
    cells = np.empty((len(texts), hashes), dtype=np.uint16)
    for row, text in enumerate(texts):
        try:
            found = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise InputError(f"{where} must be base64: {text[:24]!r} in row {row} is not.") from None
        if len(found) != 2 * hashes:
            raise InputError(
                f"{where} must have {hashes} cells of 2 bytes: the one in row {row} has {len(found)} bytes. A sketch "
                "belongs to the recipe that it was made with."
            )
        cells[row] = np.frombuffer(found, dtype="<u2")
    return cells


def estimates(cells: Cells, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Estimated Jaccard similarity of pairs of blocks.

    Args:
        cells: Sketches.
        left: Row of one block of each pair.
        right: Row of the other.
    """
    from augury.predictors import shingle_kernels

    least = np.empty(len(cells), dtype=np.uint16)
    shingle_kernels.least_cells(cells, least)
    found = np.empty(len(left), dtype=np.float32)
    shingle_kernels.pair_similarities(cells, least, left.astype(np.int64), right.astype(np.int64), found)
    return found


def exact_jaccard(blocks: Sequence[bytes], width: int = SHINGLE) -> npt.NDArray[np.float32]:
    """Jaccard similarity of the sets of shingles of all pairs of blocks, exactly.

    Args:
        blocks: Their content; n of them need ``8 * n ** 2`` bytes.
        width: Bytes of a shingle, at most 8.

    Returns:
        float32, shape ``(n, n)``: below the diagonal, in the row of the later block, the similarity; elsewhere 0.
    """
    from augury.predictors import shingle_kernels

    sets = [distinct_shingles(block, width) for block in blocks]
    hashes = np.concatenate(sets) if sets else np.empty(0, np.uint64)
    owners = np.repeat(np.arange(len(sets)), [len(found) for found in sets])
    order = np.argsort(hashes, kind="stable")
    shared = np.zeros((len(sets), len(sets)), dtype=np.int32)
    shingle_kernels.count_shared(hashes[order], owners[order], shared)
    sizes = np.diag(shared).astype(np.float32)
    union = sizes[:, None] + sizes[None, :] - shared
    found: npt.NDArray[np.float32] = np.tril(shared / np.maximum(union, 1), -1).astype(np.float32)
    return found


def distinct_shingles(block: bytes, width: int = SHINGLE) -> npt.NDArray[np.uint64]:
    """The distinct shingles of a block as numbers, ascending; none where it is shorter than one."""
    if len(block) < width:
        return np.empty(0, dtype=np.uint64)
    data = np.frombuffer(block, dtype=np.uint8)
    numbers = np.zeros(len(data) - width + 1, dtype=np.uint64)
    for place in range(width):
        numbers |= data[place : len(data) - width + 1 + place].astype(np.uint64) << np.uint64(8 * place)
    found: npt.NDArray[Any] = np.unique(numbers)
    return found
