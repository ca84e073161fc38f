"""A lock between the processes of a machine, for the few steps that only one may take at a time."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE_S = 1.0


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock; where the system has no such locks, hold none.

    Args:
        path: A file beside the one to be changed, made if need be; only its owner can open it.

    Yields:
        Nothing.

    Raises:
        OSError: Another process held it for more than a second, or the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)
