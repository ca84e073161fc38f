"""The real codecs by name: `none`, `lz4`, and `<name>-<level>` for zstd, zlib, brotli, lzma and bz2."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from augury.errors import UserError
from augury.parameters import near_matches

NONE = "none"
Transform = Callable[[bytes], bytes]

LEVELS = {"zstd": (1, 22), "zlib": (0, 9), "brotli": (0, 11), "lzma": (0, 9), "bz2": (1, 9)}
"""Family -> smallest and largest level."""


class Codec(NamedTuple):
    """Two functions that undo each other."""

    name: str
    compress: Transform
    decompress: Transform


def open_codec(name: str) -> Codec:
    """Prepare a codec; its library is imported here.

    Args:
        name: For example ``zstd-3``.

    Returns:
        The codec. Its functions may be called from one thread at a time.

    Raises:
        UserError: There is no such codec or level.

    Examples:
        >>> codec = open_codec("zlib-6")
        >>> codec.decompress(codec.compress(b"abc" * 100)) == b"abc" * 100
        True
    """
    if name == NONE:
        return Codec(name, bytes, bytes)
    if name == "lz4":
        block = importlib.import_module("lz4.block")
        return Codec(name, block.compress, block.decompress)
    family, _, text = name.partition("-")
    if family not in LEVELS:
        raise UserError(f"There is no codec '{name}'. {near_matches(name, ['none', 'lz4', *LEVELS])}")
    low, high = LEVELS[family]
    if not text.isdigit() or not low <= int(text) <= high:
        raise UserError(f"Codec '{name}' needs a level from {low} to {high}, for example '{family}-{(low + high) // 2}'.")
    return _with_level(name, family, int(text))


def _with_level(name: str, family: str, level: int) -> Codec:
    library: Any = importlib.import_module("zstandard" if family == "zstd" else family)
    if family == "zstd":
        return Codec(name, library.ZstdCompressor(level=level).compress, library.ZstdDecompressor().decompress)
    if family == "brotli":
        return Codec(name, lambda data: library.compress(data, quality=level), library.decompress)
    if family == "lzma":
        return Codec(name, lambda data: library.compress(data, preset=level), library.decompress)
    return Codec(name, lambda data: library.compress(data, level), library.decompress)
