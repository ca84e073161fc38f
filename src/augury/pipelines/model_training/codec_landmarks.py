"""Kernel ridge regression of what codecs make of a block, by landmarks: a second opinion beside trees or a network."""

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_costs import Floats
from augury.predictors.codec_regressors import (
    ROWS_AT_ONCE,
    LandmarkRegressors,
    feature_scales,
    scaled_features,
    similarities,
)

JITTER = 1e-8
"""Share of the mean diagonal that keeps the equations solvable where landmarks are equal."""


class CodecLandmarks(Parameters):
    """The regression."""

    landmarks: int = Field(default=1000, ge=1, description="training blocks that others are compared with")
    width: float = Field(default=1.0, gt=0, description="of the kernel, in standard deviations of every feature")
    penalty: float = Field(default=3e-5, gt=0, description="of the squared norm, by training block")


def fit_codec_landmarks(
    matrix: npt.NDArray[np.float64], targets: Floats, sizes: Floats, settings: CodecLandmarks, seed: int
) -> LandmarkRegressors:
    """Fit all targets at once (the subset of regressors of Williams and Seeger's Nystroem method, 2001).

    Args:
        matrix: Shape ``(rows, features)``, NaN where missing.
        targets: Shape ``(rows, codecs, 3)``.
        sizes: Bytes of the blocks: a large one counts as much as its bytes, and is likelier a landmark.
        settings: Number of landmarks, width and penalty.
        seed: Of the draw of landmarks.

    Returns:
        The regressors.
    """
    centre, scale = feature_scales(matrix)
    width = np.array([settings.width * np.sqrt(matrix.shape[1])])
    rows = scaled_features(matrix, centre, scale).astype(np.float64) / width
    many = min(settings.landmarks, len(rows))
    drawn = np.random.default_rng(seed).choice(len(rows), many, replace=False, p=sizes / sizes.sum())
    landmarks = rows[np.sort(drawn)]
    weights = sizes / sizes.mean()
    flat = targets.reshape(len(targets), -1)
    mean = np.average(flat, axis=0, weights=weights)
    system = settings.penalty * len(rows) * similarities(landmarks, landmarks)
    wanted = np.zeros((many, flat.shape[1]))
    for start in range(0, len(rows), ROWS_AT_ONCE):  # all similarities at once would be eight bytes by row and landmark
        part = slice(start, start + ROWS_AT_ONCE)
        kernel = similarities(rows[part], landmarks)
        weighted = (kernel * weights[part, None]).T
        system += weighted @ kernel
        wanted += weighted @ (flat[part] - mean)
    system += JITTER * np.trace(system) / many * np.eye(many)
    solved = np.linalg.solve(system, wanted)
    tensors = {"centre": centre, "scale": scale, "width": width, "landmarks": landmarks, "weights": solved}
    return LandmarkRegressors(tensors | {"mean": mean}, targets.shape[1])
