"""Importing large libraries without what they drag along and nobody here needs."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let optional packages count as not installed while a library is imported that would load them.

    Args:
        packages: Top-level packages; those that are loaded already stay visible.
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
