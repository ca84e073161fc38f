"""Labels below labels: whoever carries a label carries those above it, and no label is less probable than one below."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from augury.errors import UserError

NO_PARENT = -1


class LabelHierarchy:
    """A forest over the labels, by the place of each label's parent. Never changes; may be shared by threads."""

    def __init__(self, parents: npt.NDArray[np.integer] | Sequence[int]) -> None:
        """Keep the parents and find the depths.

        Args:
            parents: Shape (labels,): place of each label's parent, -1 where it has none.

        Raises:
            UserError: A place does not exist, or a label is its own ancestor.
        """
        self.parents = np.array(parents, dtype=np.int32)
        outside = (self.parents < NO_PARENT) | (self.parents >= len(self.parents))
        if outside.any():
            place = int(outside.argmax())
            raise UserError(f"The parent {self.parents[place]} of label {place} is none of {len(self.parents)} labels.")
        self.levels = np.zeros(len(self.parents), dtype=np.int32)
        above = self.parents.copy()
        while (above != NO_PARENT).any():
            self.levels[above != NO_PARENT] += 1
            if self.levels.max() >= len(self.parents):
                raise UserError(f"Label {int(self.levels.argmax())} is its own ancestor.")
            above = np.where(above != NO_PARENT, self.parents[above], NO_PARENT)
        self._steps = list(self._upward())

    @classmethod
    def of_codes(cls, codes: Sequence[str], parents: Sequence[str | None]) -> Self:
        """From each code's parent code; one that is not among the codes counts as none.

        Args:
            codes: Shape (labels,), all different.
            parents: Each one's parent, or nothing (None, NaN, an empty text).

        Returns:
            The hierarchy.
        """
        places = {code: place for place, code in enumerate(codes)}
        return cls([places.get(parent, NO_PARENT) if isinstance(parent, str) else NO_PARENT for parent in parents])

    @property
    def is_flat(self) -> bool:
        """Whether no label has a parent."""
        return not self._steps

    def raised(self, scores: np.ndarray) -> np.ndarray:
        """Give every label at least the score of the labels below it.

        Args:
            scores: Shape (rows, labels), of any ordered type; booleans are closed upward.

        Returns:
            A new array of the same shape and type; the same one if no label has a parent.
        """
        if self.is_flat:
            return scores
        found = scores.copy()
        for children, starts, parents in self._steps:
            best = np.maximum.reduceat(found[:, children], starts, axis=1)
            found[:, parents] = np.maximum(found[:, parents], best)
        return found

    def _upward(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """From the deepest level on: children by parent, where each parent's children start, the parents."""
        steps = []
        for level in range(int(self.levels.max(initial=0)), 0, -1):
            children = np.flatnonzero(self.levels == level)
            children = children[np.argsort(self.parents[children], kind="stable")]
            parents, starts = np.unique(self.parents[children], return_index=True)
            steps.append((children, starts, parents))
        return steps
