"""Find code in a predictor's files, and code that is executed while they are loaded."""

import contextlib
import functools
import importlib.util
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CODE_SUFFIXES = frozenset(".ckpt .cloudpickle .dill .dll .joblib .pickle .pkl .pt .pth .py .pyc .so".split())
EXECUTING = frozenset(
    "os.exec os.fork os.forkpty os.posix_spawn os.spawn os.system pickle.find_class pty.spawn subprocess.Popen".split()
)
READING = frozenset({"compile", "ctypes.dlopen", "exec", "import", "marshal.loads"})
SHORTEST_SOURCE = 8
"""Libraries execute snippets of their own; shorter ones occur in any file by chance."""


def code_files(directory: Path) -> list[str]:
    """List the files that a loader would have to execute: pickles, scripts, compiled code, arrays of Python objects.

    Args:
        directory: Searched with all its folders; archives are looked into.

    Returns:
        Names relative to the directory; ``archive!member`` for a member of an archive.
    """
    found = []
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix()
        if path.suffix.lower() in CODE_SUFFIXES or _is_code(path.read_bytes()):
            found.append(name)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                found += [f"{name}!{member}" for member in archive.namelist() if _is_code(archive.read(member))]
    return found


def executed_code(action: Callable[[], Any], directory: Path) -> list[str]:
    """Watch an action through Python's audit events (PEP 578).

    Args:
        action: Called once, without arguments.
        directory: What the action may read but not execute.

    Returns:
        One line per unpickled object, started process, and piece of code that comes from the directory.
    """
    with _trail().armed() as events:
        action()
        seen = list(events)
    contents = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    return [
        f"{event}{arguments!r}"[:200]
        for event, arguments in seen
        if event in EXECUTING or _comes_from(event, arguments, str(directory), contents)
    ]


def _comes_from(event: str, arguments: tuple[Any, ...], directory: str, contents: list[bytes]) -> bool:
    if any(directory in str(argument)[:1000] for argument in arguments):
        return True
    source = arguments[0] if event in ("compile", "marshal.loads") else None
    code = source.encode(errors="replace") if isinstance(source, str) else source
    return isinstance(code, bytes) and len(code) >= SHORTEST_SOURCE and any(code in content for content in contents)


def _is_code(content: bytes) -> bool:
    pickled = content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and content.endswith(b".")
    compiled = content.startswith((importlib.util.MAGIC_NUMBER, b"\x7fELF", b"MZ"))
    objects = content.startswith(b"\x93NUMPY") and b"'|O'" in content[:1000]
    return pickled or compiled or objects


class _Trail:
    """Keeps audit events while armed. A hook cannot be removed, hence a single one, deaf most of the time."""

    def __init__(self) -> None:
        self._events: list[tuple[str, tuple[Any, ...]]] | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._events is not None and (event in EXECUTING or event in READING):
            self._events.append((event, arguments))

    @contextlib.contextmanager
    def armed(self) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
        self._events = []
        try:
            yield self._events
        finally:
            self._events = None


@functools.cache
def _trail() -> _Trail:
    trail = _Trail()
    sys.addaudithook(trail)
    return trail
