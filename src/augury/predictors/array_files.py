"""Arrays in NumPy's own format, read without evaluating what their headers say."""

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from augury.errors import UserError

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '([<|][uifb]\d)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \}\s*")


def write_array(path: Path, values: npt.NDArray[Any]) -> None:
    """Write an array of numbers (``.npy``, version 1.0)."""
    np.save(path, np.ascontiguousarray(values), allow_pickle=False)


def open_array(path: Path) -> npt.NDArray[Any]:
    """Open an array that stays on disk and is read where it is needed.

    ``numpy.load`` parses the header with Python's own parser; here it has to be of one form.

    Args:
        path: What :func:`write_array` wrote.

    Returns:
        A ``numpy.memmap``, or an array where there are no elements, which cannot be mapped.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is damaged, or no array of numbers.
    """
    with path.open("rb") as file:
        start = file.read(len(_MAGIC) + 2)
        length = struct.unpack("<H", start[-2:])[0] if len(start) == len(_MAGIC) + 2 else 0
        header = _HEADER.fullmatch(file.read(length))
    if header is None or not start.startswith(_MAGIC):
        raise UserError(f"'{path}' is damaged: it does not begin as an array of numbers does.")
    kind = np.dtype(header[1].decode("ascii"))
    shape = tuple(int(size) for size in header[2].decode("ascii").replace(" ", "").split(",") if size)
    offset = len(_MAGIC) + 2 + length
    expected = offset + kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if path.stat().st_size != expected:
        raise UserError(f"'{path}' is damaged: it has {path.stat().st_size:,} bytes, not {expected:,}.")
    if 0 in shape:
        return np.empty(shape, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r", offset=offset, shape=shape)
