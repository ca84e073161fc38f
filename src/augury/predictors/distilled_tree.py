"""One small decision tree that says what a forest would: for paths where even microseconds count."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augury.predictors.codec_costs import Floats

LEAF = -1


class DistilledTree:
    """A binary tree whose leaves hold the targets of all codecs.

    A row goes left where its feature is at most the threshold; a missing value counts as ``fill``.
    """

    def __init__(
        self,
        feature: npt.ArrayLike,
        threshold: npt.ArrayLike,
        left: npt.ArrayLike,
        right: npt.ArrayLike,
        values: npt.ArrayLike,
        fill: npt.ArrayLike,
    ) -> None:
        """Keep the nodes.

        Args:
            feature: Column that a node asks for, :data:`LEAF` for a leaf, shape ``(nodes,)``.
            threshold: Float32 numbers, shape ``(nodes,)``.
            left: Child of a node.
            right: Likewise.
            values: Targets, shape ``(nodes, codecs, 3)``.
            fill: What replaces a missing feature, shape ``(features,)``.
        """
        self.feature = np.asarray(feature, dtype=np.int32)
        self.threshold = np.asarray(threshold, dtype=np.float64)
        self.left = np.asarray(left, dtype=np.int32)
        self.right = np.asarray(right, dtype=np.int32)
        self.values = np.asarray(values, dtype=np.float64)
        self.fill = np.asarray(fill, dtype=np.float64)

    def targets(self, matrix: npt.NDArray[np.float64]) -> Floats:
        """Look up the leaf of every row.

        Args:
            matrix: Shape ``(rows, features)``.

        Returns:
            Shape ``(rows, codecs, 3)``.
        """
        filled = np.where(np.isnan(matrix), self.fill, matrix)
        rows = np.arange(len(filled))
        node = np.zeros(len(filled), dtype=np.int32)
        inner = self.feature[node] != LEAF
        while inner.any():
            asked = np.where(inner, self.feature[node], 0)
            below = filled[rows, asked] <= self.threshold[node]
            node = np.where(inner, np.where(below, self.left[node], self.right[node]), node)
            inner = self.feature[node] != LEAF
        return self.values[node]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`__init__` takes, for a file."""
        return {name: getattr(self, name) for name in ("feature", "threshold", "left", "right", "values", "fill")}
