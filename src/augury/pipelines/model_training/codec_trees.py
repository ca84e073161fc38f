"""LightGBM regressors of what codecs make of a block: one for every codec and outcome, on one binned matrix."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_costs import Floats
from augury.predictors.codec_regressors import TreeRegressors


class CodecTrees(Parameters):
    """Gradient-boosted trees."""

    kind: Literal["trees"] = "trees"
    rounds: int = Field(default=150, ge=1, description="trees of each regressor")
    learning_rate: float = Field(default=0.08, gt=0, le=1)
    num_leaves: int = Field(default=15, ge=2)
    min_child_samples: int = Field(default=10, ge=1)
    subsample: float = Field(default=0.8, gt=0, le=1, description="share of the rows per tree")
    colsample_bytree: float = Field(default=0.8, gt=0, le=1, description="share of the features per tree")
    reg_lambda: float = Field(default=1.0, ge=0)
    sets: int = Field(
        default=3, ge=1, description="sets of regressors, each of other draws of rows and features; their mean counts"
    )


def fit_codec_trees(
    matrix: npt.NDArray[np.float64],
    targets: Floats,
    sizes: Floats,
    codecs: tuple[str, ...],
    trees: CodecTrees,
    seed: int,
) -> TreeRegressors:
    """Fit all regressors.

    Args:
        matrix: Shape ``(rows, features)``, NaN where missing.
        targets: Shape ``(rows, codecs, 3)``.
        sizes: Bytes of the blocks: a large one counts as much as its bytes, as it does in costs.
        codecs: Names.
        trees: Parameters.
        seed: Of the samples of rows and features.

    Returns:
        The regressors.
    """
    import lightgbm

    settings = {
        "objective": "regression", "learning_rate": trees.learning_rate, "num_leaves": trees.num_leaves,
        "min_child_samples": min(trees.min_child_samples, max(len(matrix) // 4, 1)),
        "bagging_fraction": trees.subsample, "bagging_freq": int(trees.subsample < 1),
        "feature_fraction": trees.colsample_bytree, "lambda_l2": trees.reg_lambda,
        "seed": seed, "num_threads": 1, "deterministic": True, "force_row_wise": True,
        "verbosity": -1,
    }  # fmt: skip
    binning = {name: settings[name] for name in ("min_child_samples", "seed", "num_threads", "verbosity")}
    rows = lightgbm.Dataset(matrix, weight=sizes / sizes.mean(), params=binning, free_raw_data=False).construct()
    texts: dict[str, list[str]] = {codec: [] for codec in codecs}
    for drawn in range(trees.sets):
        for position, codec in enumerate(codecs):
            for outcome in range(targets.shape[2]):
                rows.set_label(targets[:, position, outcome])
                booster: Any = lightgbm.train(settings | {"seed": seed + drawn}, rows, num_boost_round=trees.rounds)
                texts[codec].append(booster.model_to_string(num_iteration=-1))
    return TreeRegressors(texts)
