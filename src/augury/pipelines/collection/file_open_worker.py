"""Run a Python program and record which files it opens: ``python file_open_worker.py RECORD -m module ...``.

Executed by path in a process of its own, before anything else is imported, so that what is recorded is the program.
A line of the record is the time in nanoseconds, the file's size and its path.
"""

import os
import runpy
import sys
import time
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR


def record_opens(lines: list[tuple[int, int, str]], ignored: str) -> None:
    """Install the hook.

    Args:
        lines: Filled with the time, the size and the path of each file that is opened for reading, or loaded as an
            extension module.
        ignored: A path that is left out.
    """
    stat, now = os.stat, time.time_ns

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                return
        elif event == "import":
            path = arguments[1]
        else:
            return
        if isinstance(path, bytes):
            path = path.decode(errors="replace")
        if not isinstance(path, str) or path == ignored:
            return
        try:
            found = stat(path)
        except (OSError, ValueError):
            return
        if found.st_mode & 0o170000 == 0o100000:  # a regular file
            lines.append((now(), found.st_size, str(Path(path).absolute())))

    sys.addaudithook(hook)


def main(arguments: list[str]) -> None:
    """Run ``-m module ...`` or ``-c code``, then write the record."""
    record, kind, program, *rest = arguments
    lines: list[tuple[int, int, str]] = []
    record_opens(lines, record)
    try:
        if kind == "-m":
            sys.argv = [program, *rest]
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *rest]
            exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
    except SystemExit:
        pass
    finally:
        taken = list(lines)
        with Path(record).open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(f"{moment}\t{size}\t{path}\n" for moment, size, path in taken)


if __name__ == "__main__":
    main(sys.argv[1:])
