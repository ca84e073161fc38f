"""Tell one state of compiled modules from another."""

import hashlib
from pathlib import Path


def digest(*modules: str) -> int:
    """A number that changes with the text of modules of this package.

    Numba keeps what it compiled on disk until the file of the function changes; that a function in another file, which
    went into it, has changed, it does not notice. A function that closes over this number is compiled again.

    Args:
        modules: Names beside this one.

    Returns:
        A number of 31 bits.
    """
    texts = (Path(__file__).with_name(f"{name}.py").read_bytes() for name in modules)
    return int.from_bytes(hashlib.sha256(b"".join(texts)).digest()[:4], "big") >> 1
