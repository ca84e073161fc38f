"""One step of a job: a process of its own with a log, which dies with its scheduler and is stopped as a whole."""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TIMED_OUT = 124
"""Exit code of a step that took too long, as ``timeout`` of the coreutils has it."""

GRACE_SECONDS = 20
_PR_SET_PDEATHSIG = 1


@contextmanager
def sole_runner(path: Path) -> Iterator[IO[bytes] | None]:
    """Hold a job's lock file.

    A lease that ran out says that a scheduler is silent, not that what it started has ended. The lock is inherited by
    the step's process, so it stays taken for as long as that lives.

    Args:
        path: The lock file.

    Yields:
        The open file for :func:`run_process`; None where somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield lock


def run_process(
    command: Sequence[str],
    project: Path,
    log: IO[bytes],
    lock: IO[bytes],
    keep_going: Callable[[], bool],
    poll_seconds: float,
) -> int | None:
    """Run a command and wait for it.

    Args:
        command: Program and arguments.
        project: Working directory.
        log: Where its output goes.
        lock: What it inherits, see :func:`sole_runner`.
        keep_going: Asked between two looks at the process; once it is false, the process is stopped.
        poll_seconds: Time between two looks.

    Returns:
        Its exit code, negative for a signal; None where it was stopped.
    """
    process = subprocess.Popen(
        command,
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        pass_fds=[lock.fileno()],
        # A group of its own: Ctrl-C reaches the scheduler alone, and stopping reaches what the step has started
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    try:
        while True:
            try:
                return process.wait(timeout=poll_seconds)
            except subprocess.TimeoutExpired:
                if not keep_going():
                    return None
    finally:
        if process.poll() is None:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=GRACE_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
        return


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Runs in the child before the program: a scheduler that is killed outright cannot stop it any more."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
