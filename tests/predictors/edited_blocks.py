"""Blocks that resemble each other by a known degree."""

import numpy as np


def random_block(size: int, seed: int) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def edited(block: bytes, share: float, seed: int) -> bytes:
    """A block of which a share of the bytes, in one piece, is replaced."""
    size = round(len(block) * share)
    start = int(np.random.default_rng(seed).integers(len(block) - size + 1))
    return block[:start] + random_block(size, seed + 10_000) + block[start + size :]


def family(size: int, versions: int, share: float, seed: int) -> list[bytes]:
    """A block and its versions, each an edit of the one before."""
    found = [random_block(size, seed)]
    for number in range(versions - 1):
        found.append(edited(found[-1], share, 100 * seed + number))
    return found
