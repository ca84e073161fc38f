"""Importing large libraries without what they drag along and nobody here needs."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let optional packages count as not installed while a library is imported that would load them.

    Args:
        packages: Packages, or parts of them; those that are loaded already stay visible.
    """
    absent = [package for package in packages if package not in sys.modules]
    for package in absent:
        # How Python itself marks what must not be imported
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for package in absent:
            sys.modules.pop(package, None)


def remember_missing(package: str) -> None:
    """Spare a library that asks for an optional package again and again the search for it, if it is not installed.

    Args:
        package: A top-level package.
    """
    if package not in sys.modules and find_spec(package) is None:
        sys.modules[package] = None  # type: ignore[assignment]  # see hidden()


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep the garbage collector from searching modules that are being loaded: all they make is there to stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
