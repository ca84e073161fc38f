"""A store of blocks in memory that keeps each as it takes the fewest bytes: once, as a difference, or whole.

It is what the figures of `deduplication` stand for, put together: identical blocks once, deltas to blocks that are
stored whole, and what happens when a block goes that others refer to.
"""

from dataclasses import dataclass, field

from augury.errors import InputError
from augury.predictors.block_index import BlockIndex, IndexSettings, digest_of
from augury.predictors.delta_compression import delta, plain, restore
from augury.predictors.delta_replay import DELTA, IDENTICAL, WHOLE, DeltaRules
from augury.predictors.shingle_sketches import sketch_blocks


@dataclass
class _Entry:
    stored: bytes
    digest: str
    reference: str | None = None
    dependants: set[str] = field(default_factory=set)


class DeltaStore:
    """Blocks by name; references are always stored whole, so that one more read restores any block."""

    def __init__(self, settings: IndexSettings | None = None, rules: DeltaRules | None = None) -> None:
        """Begin empty.

        Args:
            settings: How blocks are sketched and found.
            rules: When a difference is kept; the limit of the chain is 1 whatever they say.
        """
        self.rules = rules or DeltaRules()
        self.index = BlockIndex(settings)
        self._entries: dict[str, _Entry] = {}
        self._names: dict[str, str] = {}
        self._entry_of: dict[str, str] = {}
        self._drift: dict[str, float] = {}
        self._smallest: dict[str, int] = {}

    def __len__(self) -> int:
        """Number of blocks."""
        return len(self._entry_of)

    @property
    def stored_bytes(self) -> int:
        """What all blocks take."""
        return sum(len(entry.stored) for entry in self._entries.values())

    def put(self, name: str, block: bytes) -> str:
        """Store a block.

        Args:
            name: Its name.
            block: Its content.

        Returns:
            How: ``whole``, ``delta`` or ``identical``.

        Raises:
            InputError: There is a block of this name.
        """
        if name in self._entry_of:
            raise InputError(f"deduplication: a block is stored once, but {name!r} is there already.")
        digest = digest_of(block, self.index.settings.sketch.key)
        if digest in self._names:
            self._entry_of[name] = self._names[digest]
            return IDENTICAL
        self._entry_of[name] = name
        self._names[digest] = name
        cells = sketch_blocks([block], self.index.settings.sketch)
        whole = plain(block)
        found = self.index.search(cells, self.rules.tries, self.rules.least_similarity)
        best: tuple[bytes, str] | None = None
        for row in found.rows[0].tolist():
            if row >= 0:
                reference = self.index.names[row]
                packed = delta(block, self._content(reference))
                if len(packed) <= (1 - self.rules.least_saving) * len(whole) and len(packed) < len(
                    best[0] if best else whole
                ):
                    best = packed, reference
        if best is not None and self._near_enough(best[1], len(best[0]), len(whole)):
            self._entries[name] = _Entry(best[0], digest, best[1])
            self._entries[best[1]].dependants.add(name)
            return DELTA
        self._entries[name] = _Entry(whole, digest)
        self.index.add_sketches([name], cells, [digest])
        return WHOLE

    def get(self, name: str) -> bytes:
        """The content of a block.

        Raises:
            InputError: There is no such block.
        """
        return self._content(self._entry(name))

    def delete(self, name: str) -> None:
        """Forget a block. What refers to it is restored first, and stored anew.

        Raises:
            InputError: There is no such block.
        """
        kept = self._entry(name)
        del self._entry_of[name]
        others = [other for other, entry in self._entry_of.items() if entry == kept]
        if others:  # an identical block still needs the content
            return
        entry = self._entries[kept]
        contents = {dependant: self._content(dependant) for dependant in sorted(entry.dependants)}
        self._drop(kept)
        for dependant, content in contents.items():
            aliases = [other for other, target in self._entry_of.items() if target == dependant]
            self._drop(dependant)
            for alias in aliases:
                del self._entry_of[alias]
            for alias in aliases:
                self.put(alias, content)

    def _content(self, kept: str) -> bytes:
        """The content of an entry, whose own name may be gone while an identical block's is there."""
        entry = self._entries[kept]
        return restore(entry.stored, None if entry.reference is None else self._content(entry.reference))

    def _near_enough(self, reference: str, taken: int, whole: int) -> bool:
        self._smallest[reference] = min(self._smallest.get(reference, taken), taken)
        self._drift[reference] = self._drift.get(reference, 0.0) + taken - self._smallest[reference]
        if self.rules.drift_limit is None or self._drift[reference] <= self.rules.drift_limit * whole:
            return True
        self._drift[reference] = 0.0
        return False

    def _drop(self, kept: str) -> None:
        entry = self._entries.pop(kept)
        del self._names[entry.digest]
        if entry.reference is None:
            self.index.remove(kept)
        elif entry.reference in self._entries:
            self._entries[entry.reference].dependants.discard(kept)

    def _entry(self, name: str) -> str:
        if name not in self._entry_of:
            raise InputError(f"deduplication: the store has no block {name!r}.")
        return self._entry_of[name]
