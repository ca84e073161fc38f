"""An index of sketches by bands: append-only segments of sorted 64-bit keys, which can stay on disk while in use.

Rows are numbered in the order in which they are added. A band's keys are sorted, with a directory of their prefixes; a
query looks one key up in each band and compares the sketches of what it finds there. The newest rows wait unsorted; as
segments of a size become many, they are merged into a larger one, so that adding rows one by one stays cheap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.array_files import open_array, write_array
from augury.predictors.shingle_sketches import Cells

TAIL = 256
"""Rows that wait unsorted."""

FANOUT = 8
"""So many segments of a size become one."""

ARRAYS = ("cells", "least", "keys", "order", "starts")


class Banding(Parameters):
    """How sketches are found again."""

    bands: int = Field(default=64, ge=1, le=1024, description="keys of a block; more find more, and cost more")
    rows: int = Field(default=4, ge=1, le=16, description="cells of a key; fewer find more, and compare more")
    bucket_limit: int = Field(default=64, ge=1, description="of blocks with one key, the newest are compared: so many")

    def probability(self, jaccard: Any) -> Any:
        """With which probability two blocks of a Jaccard similarity share a key."""
        return 1 - (1 - jaccard**self.rows) ** self.bands


class Found(NamedTuple):
    """What queries found."""

    rows: npt.NDArray[np.int64]
    """Shape ``(q, top_k)``, the most similar first, of equally similar ones the newest; -1 where there is none."""
    similarities: npt.NDArray[np.float32]
    """Theirs; -1 where there is none."""
    candidates: npt.NDArray[np.int64]
    """How many sketches each query was compared with, shape ``(q,)``."""


@dataclass(frozen=True)
class Segment:
    """Rows that are sorted by the keys of each band; arrays as in :mod:`~augury.predictors.band_kernels`."""

    cells: Any
    least: Any
    keys: Any
    order: Any
    starts: Any

    @classmethod
    def of(cls, cells: Cells, keys: npt.NDArray[np.uint64]) -> Self:
        """Sort rows.

        Args:
            cells: Sketches, shape ``(n, hashes)``.
            keys: Theirs, shape ``(n, bands)``.
        """
        from augury.predictors import band_kernels

        bits = max(int(np.ceil(np.log2(max(len(cells), 1)))) - 2, 1)
        by_band = np.ascontiguousarray(keys.T)
        order = np.argsort(by_band, axis=1, kind="stable").astype(np.int32)
        ascending = np.take_along_axis(by_band, order.astype(np.int64), axis=1)
        starts = np.empty((len(by_band), 2**bits + 1), dtype=np.int32)
        band_kernels.fill_directory(ascending, bits, starts)
        return cls(cells, _least(cells), ascending, order, starts)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.cells)

    @property
    def bits(self) -> int:
        """Length of the directory's prefixes."""
        return int(self.starts.shape[1] - 1).bit_length() - 1


class BandIndex:
    """Rows of sketches, found again by their bands."""

    def __init__(self, banding: Banding, hashes: int) -> None:
        """Begin without rows.

        Args:
            banding: How.
            hashes: Cells of a sketch.

        Raises:
            UserError: The bands need more cells than a sketch has.
        """
        check_banding(banding, hashes)
        self.banding = banding
        self.hashes = hashes
        self.segments: list[Segment] = []
        self._removed: list[npt.NDArray[np.bool_]] = []
        self._tail = np.empty((TAIL, hashes), dtype=np.uint16)
        self._tail_keys = np.empty((TAIL, banding.bands), dtype=np.uint64)
        self._tail_least = np.empty(TAIL, dtype=np.uint16)
        self._tail_removed = np.zeros(TAIL, dtype=bool)
        self._waiting = 0

    def __len__(self) -> int:
        """Rows, those that were removed included."""
        return sum(map(len, self.segments)) + self._waiting

    def keys(self, cells: Cells) -> npt.NDArray[np.uint64]:
        """Keys of sketches, shape ``(n, bands)``."""
        from augury.predictors import shingle_kernels

        found = np.empty((len(cells), self.banding.bands), dtype=np.uint64)
        shingle_kernels.band_keys(cells, self.banding.bands, self.banding.rows, found)
        return found

    def add(self, cells: Cells) -> None:
        """Append rows.

        Args:
            cells: Sketches, shape ``(n, hashes)``.
        """
        keys = self.keys(cells)
        if len(cells) > TAIL:
            self._flush()
            self._append(Segment.of(np.ascontiguousarray(cells), keys), np.zeros(len(cells), dtype=bool))
            return
        if self._waiting + len(cells) > TAIL:
            self._flush()
        place = slice(self._waiting, self._waiting + len(cells))
        self._tail[place], self._tail_keys[place], self._tail_least[place] = cells, keys, _least(cells)
        self._tail_removed[place] = False
        self._waiting += len(cells)

    def remove(self, row: int) -> None:
        """Let a row be found no more; its number is not given again."""
        for first, segment, removed in self._placed():
            if first <= row < first + len(segment):
                removed[row - first] = True
                return
        self._tail_removed[row - (len(self) - self._waiting)] = True

    def search(self, cells: Cells, top_k: int, threshold: float) -> Found:
        """Find similar rows.

        Args:
            cells: Sketches of the queries, shape ``(q, hashes)``.
            top_k: How many, at most.
            threshold: Least similarity, in [0, 1].

        Returns:
            What each query found, itself included where it is in the index.
        """
        from augury.predictors import band_kernels

        keys, least = self.keys(cells), _least(cells)
        found = Found(
            np.full((len(cells), top_k), -1, dtype=np.int64),
            np.full((len(cells), top_k), -1, dtype=np.float32),
            np.zeros(len(cells), dtype=np.int64),
        )
        for first, segment, removed in self._placed():
            band_kernels.search_segment(
                segment.keys, segment.order, segment.starts, segment.bits, segment.cells, segment.least, removed,
                first, keys, cells, least, threshold, self.banding.bucket_limit,
                np.zeros(len(segment), dtype=np.int32), *found,
            )  # fmt: skip
        if self._waiting:
            tail = slice(0, self._waiting)
            band_kernels.search_tail(
                self._tail_keys[tail], self._tail[tail], self._tail_least[tail], self._tail_removed[tail],
                len(self) - self._waiting, keys, cells, least, threshold, *found,
            )  # fmt: skip
        return found

    def compact(self) -> None:
        """Merge all rows into one segment: the fewest look-ups for a query."""
        self._flush()
        if len(self.segments) > 1:
            self._merge(len(self.segments))

    def save(self, directory: Path) -> None:
        """Write segments that the directory does not have yet, and which rows are removed.

        Args:
            directory: Of this index alone; created where missing. Each segment is a folder of ``.npy`` files.
        """
        self._flush()
        directory.mkdir(parents=True, exist_ok=True)
        for first, segment, _ in self._placed():
            place = directory / _name(first, segment)
            if not place.exists():
                unfinished = directory / f".{place.name}.part"
                unfinished.mkdir(exist_ok=True)
                for name in ARRAYS:
                    write_array(unfinished / f"{name}.npy", getattr(segment, name))
                unfinished.rename(place)
        temporary = directory / ".removed.part.npy"
        write_array(temporary, self.removed_rows())
        temporary.rename(directory / "removed.npy")

    @classmethod
    def load(cls, directory: Path, banding: Banding, hashes: int, rows: int) -> Self:
        """Open what :meth:`save` wrote; arrays stay on disk and are read where they are needed.

        Args:
            directory: The directory.
            banding: As it was saved.
            hashes: As it was saved.
            rows: How many there are; segments that begin later are of a save that did not finish.

        Raises:
            UserError: A file is missing or damaged.
        """
        index = cls(banding, hashes)
        try:
            while len(index) < rows:
                places = sorted(directory.glob(f"segment-{len(index):09d}-*"), key=lambda place: place.name)
                if not places:
                    raise UserError(f"'{directory}' holds no complete index: rows from {len(index)} on are missing.")
                arrays = {name: open_array(places[-1] / f"{name}.npy") for name in ARRAYS}
                segment = Segment(**arrays)
                if segment.cells.shape[1:] != (hashes,) or len(segment.keys) != banding.bands or not len(segment):
                    raise UserError(f"'{places[-1]}' is damaged: its arrays do not fit {hashes} hashes and the bands.")
                index.segments.append(segment)
                index._removed.append(np.zeros(len(segment), dtype=bool))
            for row in open_array(directory / "removed.npy").tolist():
                index.remove(row)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"'{directory}' holds no complete index: {error.filename} is missing.") from None
        return index

    def merged_places(self, directory: Path) -> list[Path]:
        """Segments of a directory that are part of a larger one by now."""
        present = {_name(first, segment) for first, segment, _ in self._placed()}
        return [place for place in directory.glob("segment-*") if place.name not in present]

    def removed_rows(self) -> npt.NDArray[np.int64]:
        """Numbers of the rows that are found no more, without the newest that are not sorted yet."""
        return np.flatnonzero(np.concatenate([np.empty(0, dtype=bool), *self._removed]))

    def _placed(self) -> Iterator[tuple[int, Segment, npt.NDArray[np.bool_]]]:
        first = 0
        for segment, removed in zip(self.segments, self._removed, strict=True):
            yield first, segment, removed
            first += len(segment)

    def _flush(self) -> None:
        if self._waiting:
            tail = slice(0, self._waiting)
            segment = Segment.of(self._tail[tail].copy(), self._tail_keys[tail])
            self._waiting = 0
            self._append(segment, self._tail_removed[tail].copy())

    def _append(self, segment: Segment, removed: npt.NDArray[np.bool_]) -> None:
        self.segments.append(segment)
        self._removed.append(removed)
        # The last ones, as long as so many of them are of about one size
        while len(self.segments) >= FANOUT and len(self.segments[-FANOUT]) <= FANOUT * len(self.segments[-1]):
            self._merge(FANOUT)

    def _merge(self, count: int) -> None:
        merged = self.segments[-count:]
        cells = np.concatenate([segment.cells for segment in merged])
        keys = np.empty((len(cells), self.banding.bands), dtype=np.uint64)
        first = 0
        for segment in merged:
            rows = segment.order.T.astype(np.int64)
            np.put_along_axis(keys[first : first + len(segment)], rows, segment.keys.T, axis=0)
            first += len(segment)
        self.segments[-count:] = [Segment.of(cells, keys)]
        self._removed[-count:] = [np.concatenate(self._removed[-count:])]


def check_banding(banding: Banding, hashes: int) -> None:
    """Refuse bands that need more cells than there are.

    Raises:
        UserError: They do.
    """
    if banding.bands * banding.rows > hashes:
        raise UserError(
            f"deduplication: {banding.bands} bands of {banding.rows} rows need {banding.bands * banding.rows} cells, "
            f"but a sketch has {hashes}. Lower 'bands' or 'rows', or raise 'hashes'."
        )


def _least(cells: Cells) -> npt.NDArray[np.uint16]:
    from augury.predictors import shingle_kernels

    least = np.empty(len(cells), dtype=np.uint16)
    shingle_kernels.least_cells(cells, least)
    return least


def _name(first: int, segment: Segment) -> str:
    return f"segment-{first:09d}-{len(segment):09d}"
