"""Stored blocks, found again by what they resemble: names, keyed digests and an index of sketches."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from augury.errors import InputError, UserError
from augury.parameters import Parameters
from augury.predictors.array_files import open_array, write_array
from augury.predictors.band_index import BandIndex, Banding, Found
from augury.predictors.shingle_sketches import Cells, SketchRecipe, sketch_blocks

MANIFEST_FILE = "index.json"
NAMES_FILE = "names.jsonl"
DIGESTS_FILE = "digests.npy"
DIGEST_BYTES = 12
BATCH_BYTES = 32 * 2**20


class IndexSettings(Parameters):
    """Everything that sketches and their index depend on."""

    sketch: SketchRecipe = SketchRecipe()
    banding: Banding = Banding()
    threshold: float = Field(default=0.495, ge=0, le=1, description="least estimated similarity of a near-duplicate")


class Match(NamedTuple):
    """A stored block that resembles another one."""

    block: str
    similarity: float
    """Estimated Jaccard similarity of the sets of shingles; 1 where the blocks are identical."""
    identical: bool
    """By the digest; a similarity of 1 alone does not say so."""


def digest_of(block: bytes, key: int = 0) -> str:
    """Keyed digest of a block, 24 hexadecimal characters.

    Args:
        block: Its content.
        key: Of the sketch recipe. Whoever has no key cannot try out which content a digest belongs to.
    """
    secret = key.to_bytes(8, "little")
    return hashlib.blake2b(block, digest_size=DIGEST_BYTES, key=secret if key else b"").hexdigest()


class BlockIndex:
    """Blocks by name: build, add, find, remove, save, load."""

    def __init__(self, settings: IndexSettings | None = None) -> None:
        """Begin without blocks.

        Args:
            settings: How blocks are sketched and found.

        Raises:
            UserError: The bands need more cells than a sketch has.
        """
        self.settings = settings or IndexSettings()
        self.bands = BandIndex(self.settings.banding, self.settings.sketch.cells)
        self.names: list[str] = []
        self._digests: list[str] = []
        self._row_of_name: dict[str, int] = {}
        self._row_of_digest: dict[str, int] = {}

    @classmethod
    def build(cls, blocks: Iterable[tuple[str, bytes]], settings: IndexSettings | None = None) -> Self:
        """Index blocks.

        Args:
            blocks: Names and contents, the oldest first.
            settings: How.

        Returns:
            The index, in one segment.
        """
        index = cls(settings)
        for batch in _batches(blocks):
            names, contents = [name for name, _ in batch], [content for _, content in batch]
            index.add(names, contents)
        index.bands.compact()
        return index

    def __len__(self) -> int:
        """Blocks that can be found."""
        return len(self._row_of_name)

    def __contains__(self, name: object) -> bool:
        """Whether a block is in the index."""
        return name in self._row_of_name

    def add(self, names: Sequence[str], blocks: Sequence[bytes]) -> None:
        """Add blocks.

        Args:
            names: Theirs.
            blocks: Their contents.

        Raises:
            InputError: A name is there already, or there twice.
        """
        digests = [digest_of(block, self.settings.sketch.key) for block in blocks]
        self.add_sketches(names, sketch_blocks(blocks, self.settings.sketch), digests)

    def add_sketches(self, names: Sequence[str], cells: Cells, digests: Sequence[str | None]) -> None:
        """Add blocks whose content is elsewhere.

        Args:
            names: Theirs.
            cells: Their sketches, shape ``(n, cells)``.
            digests: See :func:`digest_of`; None or empty: unknown, so that no identical block is recognised.

        Raises:
            InputError: A name is there already, or there twice.
        """
        known = next((name for name in names if name in self._row_of_name), None)
        if known is not None or len(set(names)) < len(names):
            again = known if known is not None else next(name for name in names if list(names).count(name) > 1)
            raise InputError(f"deduplication: a block is added once, but {again!r} is there already.")
        first = len(self.names)
        self.bands.add(cells)
        self.names.extend(names)
        self._digests.extend(digest or "" for digest in digests)
        self._row_of_name.update(zip(names, range(first, len(self.names)), strict=True))
        self._note_digests(first)

    def remove(self, name: str) -> None:
        """Let a block be found no more, because it is about to be deleted.

        Raises:
            InputError: There is no such block.
        """
        if name not in self._row_of_name:
            raise InputError(f"deduplication: the index has no block {name!r}.")
        row = self._row_of_name.pop(name)
        self.bands.remove(row)
        digest = self._digests[row]
        if self._row_of_digest.get(digest) == row:
            del self._row_of_digest[digest]
            twin = next((other for other in self._row_of_name.values() if self._digests[other] == digest), None)
            if twin is not None and digest:
                self._row_of_digest[digest] = twin

    def find_similar(self, block: bytes, top_k: int = 10) -> list[Match]:
        """Find the stored blocks that a block resembles.

        Args:
            block: Its content; it need not be in the index.
            top_k: How many, at most.

        Returns:
            The identical block, if there is one, then the most similar ones; of equally similar ones the newest first.
        """
        return self.find_many([block], top_k)[0]

    def find_many(self, blocks: Sequence[bytes], top_k: int = 10) -> list[list[Match]]:
        """The same for many blocks at once, which costs less for each."""
        digests = [digest_of(block, self.settings.sketch.key) for block in blocks]
        return self.matches(sketch_blocks(blocks, self.settings.sketch), digests, top_k)[0]

    def matches(
        self, cells: Cells, digests: Sequence[str | None], top_k: int, threshold: float | None = None
    ) -> tuple[list[list[Match]], npt.NDArray[np.int64]]:
        """The same for sketches.

        Args:
            cells: Shape ``(q, cells)``.
            digests: See :meth:`add_sketches`.
            top_k: How many, at most.
            threshold: Least similarity; None: that of the settings.

        Returns:
            What was found, and with how many sketches each was compared.

        Raises:
            InputError: ``top_k`` is less than 1.
        """
        if top_k < 1:
            raise InputError(f"deduplication: 'top_k' must be at least 1, not {top_k}.")
        found = self.search(cells, top_k, threshold)
        lists = []
        for digest, rows, similarities in zip(digests, found.rows.tolist(), found.similarities.tolist(), strict=True):
            twin = self.identical(digest)
            matches = [] if twin is None else [Match(twin, 1.0, True)]
            for row, similarity in zip(rows, similarities, strict=True):
                if row >= 0 and self.names[row] != twin:
                    matches.append(Match(self.names[row], similarity, bool(digest) and self._digests[row] == digest))
            lists.append(matches[:top_k])
        return lists, found.candidates

    def search(self, cells: Cells, top_k: int, threshold: float | None = None) -> Found:
        """The numbers of similar rows; see :meth:`~augury.predictors.band_index.BandIndex.search`."""
        return self.bands.search(cells, top_k, self.settings.threshold if threshold is None else threshold)

    def identical(self, digest: str | None) -> str | None:
        """The name of the newest block with a digest; None: there is none."""
        row = self._row_of_digest.get(digest) if digest else None
        return None if row is None else self.names[row]

    def save(self, directory: Path) -> None:
        """Write the index into a directory of its own; segments that are there already are not written again.

        Args:
            directory: Created where missing. A killed save leaves the index as it was before.
        """
        directory = Path(directory)
        self.bands.save(directory)
        digests = np.array([bytes.fromhex(digest or "00" * DIGEST_BYTES) for digest in self._digests], dtype="V12")
        for name, write in (
            (NAMES_FILE, lambda path: path.write_text("".join(json.dumps(name) + "\n" for name in self.names))),
            (DIGESTS_FILE, lambda path: write_array(path, digests.view(np.uint8).reshape(-1, DIGEST_BYTES))),
        ):
            unfinished = directory / f".part-{name}"
            write(unfinished)
            unfinished.rename(directory / name)
        manifest = {"rows": len(self.names), "settings": self.settings.model_dump(mode="json")}
        unfinished = directory / f".part-{MANIFEST_FILE}"
        unfinished.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        unfinished.rename(directory / MANIFEST_FILE)
        for place in self.bands.merged_places(directory):
            shutil.rmtree(place, ignore_errors=True)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Open an index; sketches and keys stay on disk and are read where they are needed.

        Args:
            directory: What was given to :meth:`save`.

        Raises:
            UserError: It holds no complete index.
        """
        directory = Path(directory)
        try:
            manifest = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
            rows = int(manifest["rows"])
            index = cls(IndexSettings.model_validate(manifest["settings"]))
            lines = (directory / NAMES_FILE).read_text(encoding="utf-8").splitlines()
            names = [json.loads(line) for line in lines[:rows]]
            digests = open_array(directory / DIGESTS_FILE)[:rows]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"'{directory}' holds no index of blocks: {error.filename} is missing.") from None
        except UserError:
            raise
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise UserError(f"'{directory}' holds a damaged index: {error}") from None
        if len(names) != rows or digests.shape != (rows, DIGEST_BYTES):
            raise UserError(f"'{directory}' holds a damaged index: {rows} blocks, but {len(names)} names.")
        settings = index.settings
        index.bands = BandIndex.load(directory, settings.banding, settings.sketch.cells, rows)
        nothing = bytes(DIGEST_BYTES)
        index.names = names
        index._digests = ["" if (found := digest.tobytes()) == nothing else found.hex() for digest in digests]
        removed = set(index.bands.removed_rows().tolist())
        index._row_of_name = {name: row for row, name in enumerate(names) if row not in removed}
        index._note_digests(0, removed)
        return index

    def _note_digests(self, first: int, removed: Iterable[int] = ()) -> None:
        gone = set(removed)
        for row in range(first, len(self._digests)):
            if self._digests[row] and row not in gone:
                self._row_of_digest[self._digests[row]] = row


def _batches(blocks: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    total = 0
    for name, content in blocks:
        batch.append((name, content))
        total += len(content)
        if total >= BATCH_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
