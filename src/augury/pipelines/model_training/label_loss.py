"""What the loss of many labels is made of: targets, weights of texts and labels, and where the head starts."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.pipelines.model_training.transformer_settings import TransformerSettings

Targets = npt.NDArray[np.float32]


def apply_confidence(
    targets: npt.NDArray[Any], confidence: npt.NDArray[np.float64], settings: TransformerSettings
) -> tuple[Targets, npt.NDArray[np.float64]]:
    """Turn the confidence in texts' codes into weights or soft targets.

    Args:
        targets: (n, L), true where a text has a code.
        confidence: (n,), from 0 to 1.
        settings: ``confidence`` decides which.

    Returns:
        Targets (n, L) for the loss, and weights (n,). As soft target, a text of confidence 0 says of every code how
        frequent it is; as weight, it says nothing.
    """
    hard = np.asarray(targets, dtype=np.float32)
    certain = np.asarray(confidence, dtype=np.float64)
    if settings.confidence == "weight":
        return hard, certain
    prior = hard.mean(axis=0, dtype=np.float64)
    soft = certain[:, None] * hard + (1 - certain[:, None]) * prior
    return soft.astype(np.float32), np.ones(len(hard))


def prior_bias(shares: npt.NDArray[np.float64], positive: npt.NDArray[np.float64], texts: int) -> Targets:
    """The log-odds at which a head without any weights has the least loss."""
    smooth = (shares * texts + 0.5) / (texts + 1)
    return np.log(positive * smooth / (1 - smooth)).astype(np.float32)


def label_weights(codes: pd.DataFrame, share: float | None) -> Targets:
    """(L,): how much each label counts; their mean is 1."""
    weights = np.ones(len(codes), dtype=np.float32)
    if share is None or "parent" not in codes:
        return weights
    parent = codes["code"].isin(set(codes["parent"].dropna())).to_numpy()
    if parent.any() and not parent.all():
        weights[parent] = share * len(codes) / parent.sum()
        weights[~parent] = (1 - share) * len(codes) / (~parent).sum()
    return weights
