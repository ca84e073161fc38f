"""zstd dictionaries for small blocks, chosen by the histogram of their bytes; kept for as long as a block needs one.

A small block has no past to refer to: a dictionary lends it one. Which dictionary a block was packed with, zstd notes
in the frame itself, by a number that depends on the dictionary's content, so that any version of the set can unpack
what an earlier one packed, as long as nobody deletes the dictionary.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from augury.errors import UserError

INDEX_FILE = "dictionaries.json"
SUFFIX = ".zdict"
FIRST_NUMBER, NUMBERS = 32_768, 2**31 - 32_768
"""Numbers of dictionaries that the format leaves to private use."""

Floats = npt.NDArray[np.float64]


class DictionarySet:
    """Dictionaries by number, those of the present version with the centre of their kind of blocks."""

    def __init__(
        self, contents: Mapping[int, bytes], present: Sequence[int], centres: npt.ArrayLike, level: int
    ) -> None:
        """Keep them.

        Args:
            contents: Number -> dictionary, of this version and of all that blocks may still refer to.
            present: The numbers that new blocks are packed with, by cluster.
            centres: Square roots of byte histograms, shape ``(clusters, 256)``.
            level: Of zstd.
        """
        self.contents = dict(contents)
        self.present = tuple(present)
        self.centres = np.asarray(centres, dtype=np.float64).reshape(len(self.present), 256)
        self.level = level

    def nearest(self, histograms: Floats) -> npt.NDArray[np.intp]:
        """The cluster of each block.

        Args:
            histograms: What :func:`byte_histograms` returned.

        Returns:
            Shape ``(blocks,)``.
        """
        products = histograms @ self.centres.T
        return np.asarray((np.square(self.centres).sum(axis=1) - 2 * products).argmin(axis=1))

    def compress(self, block: bytes) -> bytes:
        """Pack a block with the dictionary of its kind."""
        number = self.present[int(self.nearest(byte_histograms([block]))[0])]
        return bytes(self._compressors[number].compress(block))

    def decompress(self, packed: bytes) -> bytes:
        """Unpack a block with the dictionary that it was packed with.

        Raises:
            UserError: That dictionary is not here.
        """
        import zstandard

        number = zstandard.get_frame_parameters(packed).dict_id
        if number not in self.contents:
            raise UserError(f"The block was packed with dictionary {number}, which this set has not.")
        dictionary = zstandard.ZstdCompressionDict(self.contents[number])
        return bytes(zstandard.ZstdDecompressor(dict_data=dictionary).decompress(packed))

    def without(self, numbers: Collection[int], referenced: Collection[int]) -> "DictionarySet":
        """The set without some dictionaries of earlier versions.

        Args:
            numbers: Those to delete.
            referenced: The dictionaries that stored blocks were packed with.

        Returns:
            A new set.

        Raises:
            UserError: One of them is referenced, or new blocks are packed with it.
        """
        for number in numbers:
            if number in referenced or number in self.present:
                raise UserError(f"Dictionary {number} must not be deleted: blocks refer to it, or will.")
        kept = {number: content for number, content in self.contents.items() if number not in numbers}
        return DictionarySet(kept, self.present, self.centres, self.level)

    def save(self, directory: Path) -> None:
        """Write the set beside what is there: a dictionary that another version left is never overwritten or deleted.

        Args:
            directory: Where; it is made.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for number, content in self.contents.items():
            path = directory / f"{number}{SUFFIX}"
            if not path.exists():
                path.write_bytes(content)
        index = {
            "present": list(self.present),
            "level": self.level,
            "sha256": {str(number): hashlib.sha256(content).hexdigest() for number, content in self.contents.items()},
            "centres": [[round(float(value), 6) for value in centre] for centre in self.centres],
        }
        staging = directory / f".{INDEX_FILE}.new"
        staging.write_text(json.dumps(index) + "\n", encoding="utf-8")
        staging.replace(directory / INDEX_FILE)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a set, with the dictionaries of all versions that were saved there.

        Raises:
            UserError: There is none, or one of its files is missing or damaged.
        """
        path = directory / INDEX_FILE
        try:
            index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            contents = {int(file.stem): file.read_bytes() for file in sorted(directory.glob(f"*{SUFFIX}"))}
            for number, digest in index["sha256"].items():
                if hashlib.sha256(contents[int(number)]).hexdigest() != digest:
                    raise UserError(f"'{directory / number}{SUFFIX}' is damaged.")
            return cls(contents, index["present"], index["centres"], index["level"])
        except FileNotFoundError:
            raise UserError(f"'{directory}' holds no dictionaries ({INDEX_FILE} is missing).") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"'{directory}' holds no complete set of dictionaries: {error!r}.") from None

    @cached_property
    def _compressors(self) -> dict[int, Any]:
        import zstandard

        return {
            number: zstandard.ZstdCompressor(
                level=self.level, dict_data=zstandard.ZstdCompressionDict(self.contents[number])
            )
            for number in set(self.present)
        }


def byte_histograms(blocks: Iterable[bytes]) -> Floats:
    """Square roots of the shares of the 256 byte values: of these, plain distances compare distributions (Hellinger's).

    Args:
        blocks: Any.

    Returns:
        Shape ``(blocks, 256)``; zeros for an empty block.
    """
    counts = [np.bincount(np.frombuffer(block, dtype=np.uint8), minlength=256) for block in blocks]
    table = np.array(counts, dtype=np.float64).reshape(-1, 256)
    return np.asarray(np.sqrt(table / np.maximum(table.sum(axis=1, keepdims=True), 1)))


def train_dictionaries(
    blocks: Sequence[bytes], clusters: int, level: int, dictionary_bytes: int, seed: int
) -> DictionarySet:
    """Train a dictionary for every kind of blocks.

    Args:
        blocks: To learn from; exact duplicates should be gone.
        clusters: Kinds. One with too little to learn from shares the dictionary of all blocks.
        level: Of zstd.
        dictionary_bytes: Size of a dictionary, at the most.
        seed: Of k-means.

    Returns:
        The set.
    """
    import zstandard
    from sklearn.cluster import KMeans

    histograms = byte_histograms(blocks)
    found = KMeans(n_clusters=min(clusters, len(blocks)), n_init=4, random_state=seed).fit(histograms)
    contents: dict[int, bytes] = {}
    present: list[int] = []

    def learn(samples: list[Any]) -> int | None:
        total = sum(map(len, samples))
        if len(samples) < 8 or total < 4096:
            return None
        size = min(dictionary_bytes, max(total // 2, 256))
        try:
            raw = zstandard.train_dictionary(size, samples, level=level).as_bytes()
        except zstandard.ZstdError:  # too alike or too few to learn from
            return None
        # The number follows from the content, so that two versions never mean different dictionaries by the same one
        number = FIRST_NUMBER + int.from_bytes(hashlib.sha256(raw[8:]).digest()[:4], "little") % NUMBERS
        contents[number] = raw[:4] + number.to_bytes(4, "little") + raw[8:]
        return number

    shared = learn(list(blocks))
    if shared is None:
        raise UserError(f"{len(blocks)} blocks are too few or too short to train a zstd dictionary on.")
    for cluster in range(found.n_clusters):
        own = [block for block, label in zip(blocks, found.labels_, strict=True) if label == cluster]
        number = shared if found.n_clusters == 1 else learn(own)
        present.append(shared if number is None else number)
    used = {number: content for number, content in contents.items() if number in present}
    return DictionarySet(used, present, found.cluster_centers_, level)
