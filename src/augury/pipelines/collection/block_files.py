"""Find blocks of real files on this machine: few of a directory, none twice, with the lineage that each belongs to."""

import hashlib
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters

_PACKAGES = re.compile(r"(?:^|.*/)(?:site|dist)-packages/")
_PYTHON = re.compile(r"^(?:lib|lib64)/python[\d.]*/")
_VERSION = re.compile(r"[-_.]?v?\d[\w.+]*|\.(?:dist|egg)-info$|\.data$")
_DIGITS = re.compile(r"\d+")


class BlockFiles(Parameters):
    """Which files are looked at."""

    roots: tuple[str, ...] = Field(default=(), description="folders to search")
    own_libraries: bool = Field(default=True, description="whether this Python's own libraries and packages are too")
    blocks: int = Field(default=6000, ge=1, description="blocks to find, at the most")
    block_sizes: tuple[int, ...] = Field(
        default=(8192, 16384, 32768, 65536, 131072, 262144),
        min_length=1,
        description="each block is at most as long as one of these, drawn evenly (bytes)",
    )
    least_bytes: int = Field(default=8192, ge=64, description="smaller files are passed over")
    per_directory: int = Field(default=4, ge=1, description="blocks of one directory, at the most")
    per_lineage: int = Field(default=80, ge=1, description="blocks of one package, at the most")


class Block(NamedTuple):
    """A piece of a file."""

    identifier: str
    """Pseudonym: 24 hexadecimal digits."""
    lineage: str
    """Pseudonym of the package that the file belongs to, whatever its version."""
    content: bytes


def find_blocks(files: BlockFiles, seed: int) -> Iterator[Block]:
    """Find blocks, in an order that depends on the paths and the seed alone.

    Exact duplicates are removed before anything is measured: a tenth of the blocks of a real disk are.

    Args:
        files: Where to look, and how much to take.
        seed: Of the choice and of the pseudonyms.

    Yields:
        Blocks, until there are enough or no more.

    Raises:
        UserError: A root is no folder, or none of them holds a file that is large enough.
    """
    found = 0
    seen, taken = set[bytes](), dict[str, int]()
    for root, path, size in _chosen(files, seed):
        lineage = lineage_of(path.relative_to(root).as_posix())
        if taken.get(lineage, 0) >= files.per_lineage:
            continue
        content = _piece(path, size, files.block_sizes, seed)
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if len(content) < files.least_bytes or digest in seen:
            continue
        seen.add(digest)
        taken[lineage] = taken.get(lineage, 0) + 1
        yield Block(_pseudonym(digest, seed), _pseudonym(lineage.encode(), seed), content)
        found += 1
        if found >= files.blocks:
            return
    if not found:
        raise UserError(
            f"Parameter 'compression.collection.files.roots': no file of {files.least_bytes} bytes or more can be read "
            f"under {', '.join(map(str, roots_of(files)))}."
        )


def roots_of(files: BlockFiles) -> list[Path]:
    """The folders to look through.

    Raises:
        UserError: One of them is no folder.
    """
    own = [Path(sys.prefix), Path(sysconfig.get_path("stdlib"))] if files.own_libraries else []
    given = [*own, *map(Path, files.roots)]
    for root in given:
        if not root.is_dir():
            raise UserError(
                f"Parameter 'compression.collection.files.roots': there is no folder '{root}'. "
                "Example: --params=compression.collection.files.roots=[/srv/data]"
            )
    return [root.resolve() for root in given]


def lineage_of(path: str) -> str:
    """The package of a file, with version digits stripped, so that two versions of it are one lineage.

    Args:
        path: Relative to its root, with slashes.

    Returns:
        The name of the package, or of the file's first folder, or of the file.

    Examples:
        >>> lineage_of("lib/python3.11/site-packages/numpy-2.1.0.dist-info/METADATA")
        'numpy'
        >>> lineage_of("lib/python3.11/email/__pycache__/header.cpython-311.pyc")
        'email'
        >>> lineage_of("access.2024-11-02.log")
        'access'
    """
    inner = _PYTHON.sub("", path)
    inner = _PACKAGES.sub("", inner)
    first, *rest = PurePath(inner).parts
    if rest and first in ("__pycache__", "bin", "share", "include", "etc", "lib"):
        first = rest[0] if len(rest) > 1 or first in ("__pycache__", "bin") else first
    name = _VERSION.sub("", first.lower()) if rest else _VERSION.sub("", PurePath(first.lower()).stem.split(".")[0])
    return _DIGITS.sub("", name).strip("-_. ") or "files"


def _chosen(files: BlockFiles, seed: int) -> list[tuple[Path, Path, int]]:
    """Files in a shuffled order, few of each directory: root, path, size."""
    drawn = []
    for root in roots_of(files):
        for folder, folders, names in os.walk(root):
            folders.sort()
            here = []
            for name in names:
                path = Path(folder, name)
                if path.is_symlink() or not path.is_file():
                    continue
                size = path.stat().st_size
                if size >= files.least_bytes:
                    here.append((_draw(f"{path.relative_to(root)}", seed), root, path, size))
            drawn += sorted(here)[: files.per_directory]
    return [(root, path, size) for _, root, path, size in sorted(drawn)]


def _piece(path: Path, size: int, block_sizes: Sequence[int], seed: int) -> bytes:
    """One of the blocks of a file; empty where it cannot be read."""
    length = block_sizes[int(_draw(f"length {path.name} {size}", seed) * len(block_sizes))]
    number = int(_draw(f"place {path.name} {size}", seed) * (-(-size // length)))
    try:
        with path.open("rb") as file:
            file.seek(number * length)
            return file.read(length)
    except OSError:
        return b""


def _draw(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on a text and the seed alone."""
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "big") / 2**64


def _pseudonym(name: bytes, seed: int) -> str:
    return hashlib.blake2b(name, digest_size=12, key=f"pseudonym {seed}".encode()).hexdigest()
