"""What codecs would make of a block, predicted from its statistics: shares of bytes, and CPU time by byte."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from augury.errors import UserError
from augury.predictors.block_statistics import SIZE
from augury.predictors.codec_costs import OUTCOMES, Floats
from augury.predictors.lightgbm_trees import gain_shares, open_booster, sums_of_leaves
from augury.predictors.tensor_files import read_tensors, write_tensors

TREES_FILE = "regressors.json"
NETWORK_FILE = "network.safetensors"
LANDMARKS_FILE = "landmarks.safetensors"
NETWORK_TENSORS = ("centre", "scale", "target_centre", "target_scale")
"""Beside a weight and a bias for each layer."""
LANDMARK_TENSORS = ("centre", "scale", "landmarks", "width", "weights", "mean")
ROWS_AT_ONCE = 2_048
"""Blocks that are compared with all landmarks together, so that memory does not grow with their number."""
LEAST_US = 0.02
"""Shorter times are taken for this long: below, a clock says nothing, and a logarithm would."""
SMALLEST_SHARE = 1e-4


class CodecLayout(BaseModel):
    """Which columns the regressors read, and which codecs they speak of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    numbers: tuple[str, ...] = Field(description="numeric statistics, in order; a missing one is NaN")
    categories: dict[str, tuple[str, ...]] = Field(description="text column -> values with an indicator of their own")
    codecs: tuple[str, ...] = Field(min_length=2, description="'none' first")

    @property
    def features(self) -> tuple[str, ...]:
        """Columns of the matrix, in order."""
        indicators = [f"{name}_is_{value}" for name, values in self.categories.items() for value in values]
        return (f"log2_{SIZE}", *self.numbers, *indicators)

    @property
    def predicted(self) -> tuple[str, ...]:
        """The codecs that need a prediction: all but none, whose outcome is known."""
        return self.codecs[1:]

    def matrix(self, table: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Build the regressors' input.

        Args:
            table: Input columns; further ones are ignored.

        Returns:
            Shape ``(rows, features)``: float32 numbers as float64, because ONNX compares in float32.
        """
        columns = [np.log2(np.maximum(table[SIZE].to_numpy(np.float64), 1.0))]
        columns += [pd.to_numeric(table[name]).to_numpy(np.float64) for name in self.numbers]
        for name, values in self.categories.items():
            texts = table[name].to_numpy(dtype=object)
            columns += [(texts == value).astype(np.float64) for value in values]
        return np.column_stack(columns).astype(np.float32).astype(np.float64)

    def unknown_blocks(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Rows without a single statistic: of these, nothing can be predicted."""
        if not self.numbers:
            return np.zeros(len(table), dtype=bool)
        return np.asarray(table[list(self.numbers)].isna().all(axis=1), dtype=bool)


def regression_targets(outcomes: Floats, sizes: Floats) -> Floats:
    """What the regressors learn.

    Args:
        outcomes: Shape ``(rows, codecs, 3)``.
        sizes: Bytes of the blocks, shape ``(rows,)``.

    Returns:
        Shape ``(rows, codecs, 3)``: stored share of the bytes, logarithms of both times in microseconds by byte.
    """
    by_byte = outcomes / sizes[:, None, None]
    times = np.maximum(outcomes[:, :, 1:], LEAST_US) / sizes[:, None, None]
    return np.concatenate([by_byte[:, :, :1], np.log(times)], axis=2)


def outcomes_of(targets: Floats, sizes: Floats, factors: Floats) -> Floats:
    """The reverse of :func:`regression_targets`, with none in front.

    Args:
        targets: Predictions, shape ``(rows, codecs, 3)``.
        sizes: Bytes of the blocks.
        factors: By codec and time, shape ``(codecs, 2)``: mean of the times over the mean of what their logarithms
            say, which is less.

    Returns:
        Shape ``(rows, 1 + codecs, 3)``: bytes, microseconds, microseconds.
    """
    found = np.empty((len(targets), targets.shape[1] + 1, len(OUTCOMES)))
    found[:, 0] = 0.0
    found[:, 0, 0] = sizes
    found[:, 1:, 0] = np.clip(targets[:, :, 0], SMALLEST_SHARE, 1.5) * sizes[:, None]
    found[:, 1:, 1:] = np.exp(np.clip(targets[:, :, 1:], -25.0, 10.0)) * sizes[:, None, None] * factors
    return found


class CodecRegressors(ABC):
    """Something that predicts the targets of all codecs at once."""

    kind: ClassVar[str]

    @abstractmethod
    def targets(self, matrix: npt.NDArray[np.float64]) -> Floats:
        """Predict.

        Args:
            matrix: Shape ``(rows, features)``, NaN where a value is missing.

        Returns:
            Shape ``(rows, codecs, 3)``; see :func:`regression_targets`.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the files."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, layout: CodecLayout) -> Self:
        """Read the files."""


class TreeRegressors(CodecRegressors):
    """For every codec and outcome the mean of some LightGBM boosters."""

    kind = "trees"

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        """Open the boosters.

        Args:
            texts: Codec -> LightGBM's texts for the share, the compression and the decompression time; then the same
                again for every further set of boosters.
        """
        self.texts = {codec: tuple(each) for codec, each in texts.items()}
        self.boosters = [[open_booster(text, f"codec '{codec}'") for text in each] for codec, each in texts.items()]

    def targets(self, matrix: npt.NDArray[np.float64]) -> Floats:
        """See :class:`CodecRegressors`."""
        found = np.empty((len(matrix), len(self.boosters), len(OUTCOMES)))
        for codec, boosters in enumerate(self.boosters):
            sums = np.column_stack([sums_of_leaves(booster, matrix) for booster in boosters])
            found[:, codec] = sums.reshape(len(matrix), -1, len(OUTCOMES)).mean(axis=1)
        return found

    def importances(self, features: Sequence[str]) -> dict[str, float]:
        """Share of the gain by feature in the regressors of stored shares, the largest first."""
        gains = [gain_shares(booster, features) for each in self.boosters for booster in each[:: len(OUTCOMES)]]
        mean = {name: sum(gain.get(name, 0.0) for gain in gains) / len(gains) for name in features}
        return {name: value for name, value in sorted(mean.items(), key=lambda item: (-item[1], item[0])) if value > 0}

    def save(self, directory: Path) -> None:
        """See :class:`CodecRegressors`."""
        (directory / TREES_FILE).write_text(json.dumps(self.texts) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, layout: CodecLayout) -> Self:
        """See :class:`CodecRegressors`."""
        try:
            texts = json.loads((directory / TREES_FILE).read_text(encoding="utf-8"))
            return cls({codec: texts[codec] for codec in layout.predicted})
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"'{directory / TREES_FILE}' is damaged: {error!r}.") from None


class NetworkRegressors(CodecRegressors):
    """A perceptron with ReLU whose last layer speaks of all codecs and outcomes; applied with NumPy alone."""

    kind = "neural"

    def __init__(self, tensors: Mapping[str, npt.NDArray[np.float32]], codecs: int) -> None:
        """Keep the weights.

        Args:
            tensors: ``centre``, ``scale`` of the features, shape ``(features,)``; ``weight_<i>``, shape ``(outputs,
                inputs)``, and ``bias_<i>`` of layer ``i``; ``target_centre``, ``target_scale``.
            codecs: Number of codecs but none.
        """
        self.tensors = {name: np.asarray(value, dtype=np.float32) for name, value in tensors.items()}
        self.codecs = codecs

    @property
    def layers(self) -> int:
        """Number of layers with weights."""
        return sum(name.startswith("weight_") for name in self.tensors)

    def targets(self, matrix: npt.NDArray[np.float64]) -> Floats:
        """See :class:`CodecRegressors`; a missing value counts as the mean."""
        tensors = self.tensors
        hidden = scaled_features(matrix, tensors["centre"], tensors["scale"])
        for layer in range(self.layers):
            hidden = hidden @ tensors[f"weight_{layer}"].T + tensors[f"bias_{layer}"]
            if layer + 1 < self.layers:
                hidden = np.maximum(hidden, 0)
        values = hidden * tensors["target_scale"] + tensors["target_centre"]
        return values.astype(np.float64).reshape(len(matrix), self.codecs, len(OUTCOMES))

    def save(self, directory: Path) -> None:
        """See :class:`CodecRegressors`."""
        write_tensors(directory / NETWORK_FILE, self.tensors)

    @classmethod
    def load(cls, directory: Path, layout: CodecLayout) -> Self:
        """See :class:`CodecRegressors`."""
        return cls(read_tensors(directory / NETWORK_FILE, NETWORK_TENSORS), len(layout.predicted))


class LandmarkRegressors(CodecRegressors):
    """A smooth function of the distances to some training blocks: kernel ridge regression, Matern 3/2, by landmarks.

    Far from all of them it says what holds for the training blocks on average, so that hardly any codec is promised to
    be better than the table's.
    """

    kind = "landmarks"

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], codecs: int) -> None:
        """Keep the weights.

        Args:
            tensors: ``centre``, ``scale`` of the features, float32 of shape ``(features,)``; float64: ``landmarks``,
                scaled features by the width of the kernel, shape ``(landmarks, features)``; ``width``, shape ``(1,)``;
                ``weights``, shape ``(landmarks, 3 * codecs)``; ``mean``, shape ``(3 * codecs,)``.
            codecs: Number of codecs but none.
        """
        self.tensors = dict(tensors)
        self.codecs = codecs

    def targets(self, matrix: npt.NDArray[np.float64]) -> Floats:
        """See :class:`CodecRegressors`; a missing value counts as the mean."""
        tensors = self.tensors
        scaled = scaled_features(matrix, tensors["centre"], tensors["scale"]).astype(np.float64) / tensors["width"]
        values = np.empty((len(scaled), len(tensors["mean"])))
        for start in range(0, len(scaled), ROWS_AT_ONCE):
            near = similarities(scaled[start : start + ROWS_AT_ONCE], tensors["landmarks"])
            values[start : start + ROWS_AT_ONCE] = near @ tensors["weights"] + tensors["mean"]
        return np.asarray(values.reshape(len(matrix), self.codecs, len(OUTCOMES)))

    def save(self, directory: Path) -> None:
        """See :class:`CodecRegressors`."""
        write_tensors(directory / LANDMARKS_FILE, self.tensors)

    @classmethod
    def load(cls, directory: Path, layout: CodecLayout) -> Self:
        """See :class:`CodecRegressors`."""
        return cls(read_tensors(directory / LANDMARKS_FILE, LANDMARK_TENSORS), len(layout.predicted))


def similarities(rows: Floats, landmarks: Floats) -> Floats:
    """The Matern 3/2 kernel of unit width.

    Args:
        rows: Shape ``(rows, features)``.
        landmarks: Shape ``(landmarks, features)``.

    Returns:
        From 1 where they are equal to 0 far away, shape ``(rows, landmarks)``.
    """
    squares = (rows**2).sum(axis=1)[:, None] + (landmarks**2).sum(axis=1) - 2 * rows @ landmarks.T
    distances = np.sqrt(3 * np.maximum(squares, 0.0))
    return np.asarray((1 + distances) * np.exp(-distances))


def feature_scales(matrix: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of every feature, missing values left out; 0 and 1 where there is nothing else."""
    known = np.where(np.isnan(matrix).all(axis=0), 0.0, matrix)
    centre, scale = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
    return centre.astype(np.float32), np.where(scale > 0, scale, 1).astype(np.float32)


def scaled_features(matrix: npt.NDArray[Any], centre: Any, scale: Any) -> npt.NDArray[np.float32]:
    """Features with mean 0 and deviation 1, 0 where missing, not beyond 8 deviations."""
    scaled = (matrix.astype(np.float32) - centre) / scale
    return np.clip(np.nan_to_num(scaled, nan=0.0), -8.0, 8.0).astype(np.float32)


REGRESSORS: dict[str, type[CodecRegressors]] = {
    found.kind: found for found in (TreeRegressors, NetworkRegressors, LandmarkRegressors)
}
"""Kind -> class."""
