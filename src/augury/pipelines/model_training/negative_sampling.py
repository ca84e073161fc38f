"""Negatives in bulk: items that a user has not turned to, for a whole epoch at once."""

import numpy as np
import numpy.typing as npt

from augury.predictors.user_histories import Histories

Codes = npt.NDArray[np.int32]

LARGEST_BITMAP = 400_000_000
"""Cells of users and items, a bit each, above which membership is looked up in sorted codes instead."""
AT_ONCE = 65_536
"""Pairs that are looked up together: their indices stay in the cache, and take no memory by the epoch."""
ROUNDS = 60
"""Of drawing again; whoever has seen nearly everything keeps what was drawn last."""
POPULARITY_EXPONENT = 0.75


class NegativeSampler:
    """Draws items that a user has not turned to."""

    def __init__(self, histories: Histories, kind: str = "uniform") -> None:
        """Prepare the lookup.

        Args:
            histories: Of all users: training rows only, or else what is missing among the negatives tells the test.
            kind: ``uniform`` or ``popularity``.
        """
        self._items = histories.items
        # Rows are in the order of users and their items in ascending order: the codes are sorted
        owners = np.repeat(np.arange(len(histories), dtype=np.int64), np.diff(histories.indptr))
        codes = owners * histories.items + histories.indices
        cells = len(histories) * histories.items
        self._codes = codes if cells > LARGEST_BITMAP else np.empty(0, dtype=np.int64)
        self._bitmap: npt.NDArray[np.uint8] | None = None
        if cells <= LARGEST_BITMAP:
            self._bitmap = np.zeros(cells // 8 + 1, dtype=np.uint8)
            np.bitwise_or.at(self._bitmap, codes >> 3, _bit(codes))
        self._cumulative: npt.NDArray[np.float64] | None = None
        if kind == "popularity":
            counts = np.bincount(histories.indices, minlength=histories.items) ** POPULARITY_EXPONENT
            self._cumulative = np.cumsum(counts) / counts.sum()

    def draw(self, users: Codes, count: int, generator: np.random.Generator) -> Codes:
        """Draw negatives.

        Args:
            users: Codes, shape ``(n,)``.
            count: How many for each.
            generator: Where chance comes from.

        Returns:
            Items, shape ``(n, count)``; an item may come twice.
        """
        found = self._drawn(len(users) * count, generator)
        step = max(1, AT_ONCE // max(count, 1))
        seen = [
            self.seen(np.repeat(users[start : start + step], count), found[start * count : (start + step) * count])
            for start in range(0, len(users), step)
        ]
        wrong = np.flatnonzero(np.concatenate(seen)) if seen else np.empty(0, dtype=np.int64)
        for _ in range(ROUNDS):
            if not len(wrong):
                break
            found[wrong] = self._drawn(len(wrong), generator)
            wrong = wrong[self.seen(users[wrong // count], found[wrong])]
        return found.reshape(len(users), count)

    def seen(self, users: Codes, items: Codes) -> npt.NDArray[np.bool_]:
        """Whether each user has turned to the item, shape ``(n,)``."""
        codes = users.astype(np.int64) * self._items + items
        if self._bitmap is not None:
            return (self._bitmap[codes >> 3] & _bit(codes)).astype(bool)
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return np.asarray(self._codes[places] == codes)

    def _drawn(self, size: int, generator: np.random.Generator) -> Codes:
        if self._cumulative is None:
            return generator.integers(0, self._items, size=size, dtype=np.int32)
        places = np.searchsorted(self._cumulative, generator.random(size), side="right")
        return np.minimum(places, self._items - 1).astype(np.int32)


def _bit(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Where each cell lies within its byte."""
    return np.left_shift(1, codes & 7).astype(np.uint8)
