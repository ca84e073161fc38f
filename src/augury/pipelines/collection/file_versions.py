"""Versions of real files without a network: files of this Python, edited step by step as people edit, and compiled."""

import marshal
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from augury.errors import UserError

MINUTE_MS = 60_000
FIRST_MOMENT_MS = 1_767_571_200_000
"""Monday, 5 January 2026, 00:00 UTC."""
SPAN_MINUTES = 60 * 24 * 90

_NAME = re.compile(r"[A-Za-z_]\w{3,}")

Lines = list[str]


class Version(NamedTuple):
    """A block and where it comes from; the content never leaves collection."""

    ts: int
    """Milliseconds since 1970, whole minutes."""
    lineage: str
    kind: str
    """``source``: a text as it was found or edited; ``bytecode``: a compiled one; ``similar``: a real neighbour."""
    content: bytes


def find_files(folder: str | None, suffixes: tuple[str, ...], least: int, most: int) -> list[Path]:
    """Files of a size.

    Args:
        folder: Where to look; None: the libraries of this Python.
        suffixes: How names end, such as ``.py``.
        least: Smallest size in bytes.
        most: Largest size in bytes.

    Returns:
        Paths, sorted.

    Raises:
        UserError: The folder does not exist, or there is no such file.
    """
    paths = sysconfig.get_paths()
    folders = sorted({paths["stdlib"], paths["purelib"]}) if folder is None else [folder]
    if folder is not None and not Path(folder).is_dir():
        raise UserError(f"Parameter 'deduplication.collection.folder': there is no folder '{folder}'.")
    found = {
        path
        for place in folders
        for suffix in suffixes
        for path in Path(place).rglob(f"*{suffix}")
        if path.is_file() and not path.is_symlink() and least <= path.stat().st_size <= most
    }
    if not found:
        raise UserError(
            f"Parameter 'deduplication.collection.folder': under {' and '.join(folders)} there is no file that ends "
            f"in {' or '.join(suffixes)} and has {least:,} to {most:,} bytes."
        )
    return sorted(found)


def edited_versions(path: Path, donor: Path, versions: int, rng: np.random.Generator) -> Iterator[Version]:
    """A file, and what became of it.

    Args:
        path: A text.
        donor: A text that new lines are taken from.
        versions: How many, the first is the file itself.
        rng: Draws the edits, their times, and which versions are compiled as well.

    Yields:
        Versions in the order of time.
    """
    lines = _lines(path)
    others = _lines(donor)
    moments = np.sort(rng.integers(0, SPAN_MINUTES, versions))
    history = [lines]
    compiled = path.suffix == ".py" and rng.random() < 0.3
    for number, moment in enumerate(moments.tolist()):
        if number:
            # Most edits go on from the newest version, some from an older one
            base = history[-1] if rng.random() < 0.9 else history[int(rng.integers(len(history)))]
            history.append(_edited(base, others, rng))
        text = "".join(history[-1])
        ts = FIRST_MOMENT_MS + moment * MINUTE_MS
        yield Version(ts, str(path), "source", text.encode("utf-8", "surrogateescape"))
        if compiled and (code := _bytecode(text)) is not None:
            yield Version(ts + MINUTE_MS, str(path), "bytecode", code)


def similar_files(paths: list[Path], rng: np.random.Generator) -> Iterator[Version]:
    """Real files of one folder, as they are.

    Args:
        paths: The files; their folder is their lineage.
        rng: Draws their times.

    Yields:
        A version of each.
    """
    for path in paths:
        moment = int(rng.integers(0, SPAN_MINUTES))
        yield Version(FIRST_MOMENT_MS + moment * MINUTE_MS, str(path.parent), "similar", path.read_bytes())


def _lines(path: Path) -> Lines:
    return path.read_bytes().decode("utf-8", "surrogateescape").splitlines(keepends=True)


def _bytecode(text: str) -> bytes | None:
    """A text compiled, but never run; None where an edit has broken it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return marshal.dumps(compile(text, "version.py", "exec", dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# --- edits ---


def _edited(lines: Lines, donor: Lines, rng: np.random.Generator) -> Lines:
    """A version after a few edits: mostly small ones, now and then a large one, seldom none that undoes anything."""
    found = list(lines)
    for _ in range(1 + rng.poisson(2)):
        share = float(rng.choice([0.01, 0.03, 0.1, 0.3], p=[0.45, 0.3, 0.2, 0.05]))
        count = max(1, round(share * len(found) * rng.random() * 2))
        found = EDITS[int(rng.integers(len(EDITS)))](found, donor, count, rng) or list(lines)
    return found


def _inserted(lines: Lines, donor: Lines, count: int, rng: np.random.Generator) -> Lines:
    place = int(rng.integers(len(lines) + 1))
    return [*lines[:place], *_run(donor, count, rng), *lines[place:]]


def _deleted(lines: Lines, donor: Lines, count: int, rng: np.random.Generator) -> Lines:
    place = int(rng.integers(len(lines) + 1))
    return [*lines[:place], *lines[place + count :]]


def _replaced(lines: Lines, donor: Lines, count: int, rng: np.random.Generator) -> Lines:
    place = int(rng.integers(len(lines) + 1))
    return [*lines[:place], *_run(donor, count, rng), *lines[place + count :]]


def _moved(lines: Lines, donor: Lines, count: int, rng: np.random.Generator) -> Lines:
    place = int(rng.integers(len(lines) + 1))
    taken, rest = lines[place : place + count], [*lines[:place], *lines[place + count :]]
    target = int(rng.integers(len(rest) + 1))
    return [*rest[:target], *taken, *rest[target:]]


def _renamed(lines: Lines, donor: Lines, count: int, rng: np.random.Generator) -> Lines:
    """One of the names of a line, everywhere."""
    names = _NAME.findall(lines[int(rng.integers(len(lines)))]) if lines else []
    if not names:
        return lines
    old = names[int(rng.integers(len(names)))]
    new = f"{old}_{int(rng.integers(100))}"
    return re.sub(rf"\b{re.escape(old)}\b", new, "".join(lines)).splitlines(keepends=True)


def _indented(lines: Lines, donor: Lines, count: int, rng: np.random.Generator) -> Lines:
    place = int(rng.integers(len(lines) + 1))
    block = [f"    {line}" if line.strip() else line for line in lines[place : place + count]]
    return [*lines[:place], *block, *lines[place + count :]]


def _run(lines: Lines, count: int, rng: np.random.Generator) -> Lines:
    place = int(rng.integers(max(len(lines) - count, 0) + 1))
    return lines[place : place + count]


EDITS: tuple[Callable[[Lines, Lines, int, np.random.Generator], Lines], ...] = (
    _inserted,
    _deleted,
    _replaced,
    _moved,
    _renamed,
    _indented,
)
