"""What users have turned to, in compressed rows: items, weights, and how much came later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Recency:
    """How much of an interaction's weight is left when others have followed it."""

    half_life: float | None = None
    """Later interactions after which half of what fades is gone; None: nothing fades."""
    lasting: float = 0.0
    """Share that never fades: a taste outlives a mood."""

    def __post_init__(self) -> None:
        """Refuse what is no half-life and no share."""
        if (self.half_life is not None and not self.half_life > 0) or not 0 <= self.lasting <= 1:
            raise ValueError(f"no such half-life or lasting share: {self}")


ALWAYS = Recency()


@dataclass(frozen=True)
class Histories:
    """Rows of items, one per user.

    Attributes:
        indptr: Where each user's row begins, shape ``(users + 1,)``.
        indices: Items, ascending within a row, each once.
        weights: How strongly each one speaks of the user's taste, > 0.
        ages: How many of the user's interactions came later.
        items: Number of items that there are.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    ages: npt.NDArray[np.float32]
    items: int

    def __len__(self) -> int:
        """The number of users."""
        return len(self.indptr) - 1

    @classmethod
    def from_pairs(
        cls,
        users: npt.NDArray[Any],
        items: npt.NDArray[Any],
        weights: npt.NDArray[Any],
        timestamps: npt.NDArray[Any],
        shape: tuple[int, int],
    ) -> Self:
        """Build the rows.

        Args:
            users: Code of each interaction's user.
            items: Code of its item; a user has each item at most once.
            weights: > 0.
            timestamps: Any unit; of equal ones the later row came later.
            shape: Number of users and of items.

        Returns:
            The histories of all users.
        """
        by_time = np.lexsort((np.arange(len(users)), timestamps, users))
        counts = np.bincount(users, minlength=shape[0])
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        ages = np.empty(len(users), dtype=np.float32)
        ages[by_time] = np.repeat(indptr[1:], counts) - 1 - np.arange(len(users))
        by_item = np.lexsort((items, users))
        return cls(
            indptr,
            np.asarray(items[by_item], dtype=np.int32),
            np.asarray(weights[by_item], dtype=np.float32),
            ages[by_item],
            shape[1],
        )

    @classmethod
    def of_list(cls, items: Sequence[int], total: int) -> Self:
        """The history of one user.

        Args:
            items: Codes of items, the oldest first; of repeated ones the newest counts.
            total: Number of items that there are.

        Returns:
            One row, with weights of 1.
        """
        newest = {item: place for place, item in enumerate(items)}
        codes = np.array(sorted(newest), dtype=np.int32)
        position = np.array([newest[item] for item in sorted(newest)], dtype=np.float64)
        ages = len(codes) - 1 - np.argsort(np.argsort(position))
        indptr = np.array([0, len(codes)], dtype=np.int64)
        return cls(indptr, codes, np.ones(len(codes), dtype=np.float32), ages.astype(np.float32), total)

    def extended(self, items: Sequence[int]) -> Self:
        """The history of one user who has done more since.

        Args:
            items: Codes of items, the oldest first.

        Returns:
            One row; what was repeated counts as new, with a weight of 1.
        """
        new = self.of_list(items, self.items)
        kept = ~np.isin(self.indices, new.indices)
        indices = np.concatenate([self.indices[kept], new.indices])
        order = np.argsort(indices)
        # Ages among the kept ones close up, however many of them were repeated
        ages = np.argsort(np.argsort(self.ages[kept], kind="stable")) + len(new.indices)
        return type(self)(
            np.array([0, len(indices)], dtype=np.int64),
            indices[order],
            np.concatenate([self.weights[kept], new.weights])[order],
            np.concatenate([ages.astype(np.float32), new.ages])[order],
            self.items,
        )

    def take(self, users: npt.NDArray[Any]) -> Self:
        """The rows of some users, in the order given.

        Args:
            users: Codes, shape ``(b,)``.

        Returns:
            Histories of ``b`` users.
        """
        starts = self.indptr[users]
        counts = self.indptr[np.asarray(users) + 1] - starts
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.repeat(starts - indptr[:-1], counts) + np.arange(indptr[-1])
        return type(self)(indptr, self.indices[places], self.weights[places], self.ages[places], self.items)

    def table(self, recency: Recency = ALWAYS) -> Any:
        """A sparse table of the weights, older interactions discounted.

        Args:
            recency: How the past fades.

        Returns:
            A ``scipy.sparse.csr_array`` of float32, shape ``(users, items)``.
        """
        from scipy.sparse import csr_array

        values = self.weights
        if recency.half_life is not None:
            left = np.exp2(self.ages / np.float32(-recency.half_life))
            values = values * (np.float32(recency.lasting) + np.float32(1 - recency.lasting) * left)
        return csr_array((values, self.indices, self.indptr), shape=(len(self), self.items))

    def row(self, user: int) -> npt.NDArray[np.int32]:
        """The items of one user."""
        return self.indices[self.indptr[user] : self.indptr[user + 1]]
