"""Negatives in bulk: items that a user has not turned to, for a whole epoch at once."""

import numpy as np
import numpy.typing as npt

from augury.predictors.user_histories import Histories

Codes = npt.NDArray[np.int32]

LARGEST_BITMAP = 400_000_000
"""Cells of users and items, a byte each, above which membership is looked up in sorted codes instead."""
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
        users = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
        self._bitmap: npt.NDArray[np.bool_] | None = None
        if len(histories) * histories.items <= LARGEST_BITMAP:
            self._bitmap = np.zeros((len(histories), histories.items), dtype=bool)
            self._bitmap[users, histories.indices] = True
        self._codes = np.sort(users * np.int64(histories.items) + histories.indices)
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
        owners = np.repeat(users, count)
        wrong = np.flatnonzero(self.seen(owners, found))
        for _ in range(ROUNDS):
            if not len(wrong):
                break
            found[wrong] = self._drawn(len(wrong), generator)
            wrong = wrong[self.seen(owners[wrong], found[wrong])]
        return found.reshape(len(users), count)

    def seen(self, users: Codes, items: Codes) -> npt.NDArray[np.bool_]:
        """Whether each user has turned to the item, shape ``(n,)``."""
        if self._bitmap is not None:
            return self._bitmap[users, items]
        codes = users.astype(np.int64) * self._items + items
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return np.asarray(self._codes[places] == codes)

    def _drawn(self, size: int, generator: np.random.Generator) -> Codes:
        if self._cumulative is None:
            return generator.integers(0, self._items, size=size, dtype=np.int32)
        places = np.searchsorted(self._cumulative, generator.random(size), side="right")
        return np.minimum(places, self._items - 1).astype(np.int32)
