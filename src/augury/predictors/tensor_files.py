"""Named arrays of numbers in a file of the safetensors format: reading one executes no code."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from augury.errors import UserError


def write_tensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays of numbers, of any shape and memory order, under their names."""
    from safetensors.numpy import save

    path.write_bytes(save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))


def read_tensors(path: Path, needed: Collection[str] = ()) -> dict[str, npt.NDArray[Any]]:
    """Read what :func:`write_tensors` wrote.

    Args:
        path: The file.
        needed: Names that have to be there.

    Returns:
        Name -> array, which may be written to.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is damaged, or a name is missing.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        # Copies of their own: the file's offsets need not fit what vector instructions like
        tensors = {name: np.array(value) for name, value in load_file(path).items()}
    except SafetensorError as error:
        raise UserError(f"'{path}' is damaged: {error}") from None
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise UserError(f"'{path}' is damaged: it holds no '{missing[0]}'.")
    return tensors
