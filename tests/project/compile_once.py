"""One process at a time compiles with numba, so that the others find the result in the cache.

A fresh clone has no compiled kernels. Where several processes of pytest-xdist meet the same kernel, each would compile
it, for up to 15 s; and each would write an index of what is compiled, of which the last one's stays.
"""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any


def install() -> None:
    """Let this process compile when no other of the same run does; without pytest-xdist there is no other."""
    if "PYTEST_XDIST_TESTRUNUID" in os.environ and sys.platform != "win32":
        with suppress(ImportError):
            _listen(Path(__file__))


def _listen(locked: Path) -> None:
    """Hold a lock on a file for as long as numba holds its own, inside of which it looks into the cache."""
    import fcntl

    from numba.core import event

    own = threading.local()

    class Turn(event.Listener):
        # Not FileLock, which is not to be used in a fork of the process that made it
        def on_start(self, event: Any) -> None:
            own.depth = getattr(own, "depth", 0) + 1
            if own.depth == 1:
                own.file = locked.open()
                fcntl.flock(own.file, fcntl.LOCK_EX)

        def on_end(self, event: Any) -> None:
            own.depth -= 1
            if own.depth == 0:
                fcntl.flock(own.file, fcntl.LOCK_UN)  # also of a copy that another thread's fork may have
                own.file.close()

    event.register("numba:compiler_lock", Turn())
