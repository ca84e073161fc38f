"""Delta compression: a block as zstd writes it with another block as its dictionary."""

from typing import Any

from augury.errors import UserError

LEVEL = 3


def plain(block: bytes, level: int = LEVEL) -> bytes:
    """A block compressed by itself."""
    return bytes(_compressor(len(block), level).compress(block))


def delta(block: bytes, reference: bytes, level: int = LEVEL) -> bytes:
    """A block compressed with another one as raw dictionary.

    Args:
        block: What to store.
        reference: What the reader has already; an empty one is as good as none.
        level: Of zstd.

    Returns:
        What :func:`restore` needs, beside the reference itself.
    """
    if not reference:
        return plain(block, level)
    return bytes(_compressor(len(block), level, reference).compress(block))


def restore(stored: bytes, reference: bytes | None = None) -> bytes:
    """The block that was compressed.

    Args:
        stored: What :func:`plain` or :func:`delta` returned.
        reference: The same as then; None for :func:`plain`.

    Raises:
        UserError: The bytes are damaged, or the reference is another one.
    """
    import zstandard

    arguments = {"dict_data": _dictionary(reference)} if reference else {}
    try:
        return bytes(zstandard.ZstdDecompressor(max_window_size=2**31, **arguments).decompress(stored))
    except zstandard.ZstdError as error:
        raise UserError(
            f"A stored block cannot be restored ({error}): its reference is another one, or bytes are lost."
        ) from None


def _compressor(size: int, level: int, reference: bytes | None = None) -> Any:
    import zstandard

    if reference is None:
        return zstandard.ZstdCompressor(level=level)
    # The window must reach over the whole reference, which that of a small block alone would not
    settings = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size + len(reference), dict_size=len(reference), write_dict_id=False
    )
    return zstandard.ZstdCompressor(compression_params=settings, dict_data=_dictionary(reference))


def _dictionary(reference: bytes) -> Any:
    import zstandard

    return zstandard.ZstdCompressionDict(reference, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
