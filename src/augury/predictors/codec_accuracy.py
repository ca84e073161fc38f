"""How well codecs' outcomes are predicted: shares of bytes, and blocks that no codec makes smaller."""

from collections.abc import Sequence

import numpy as np

from augury.metrics.metrics_mapping import json_number
from augury.predictors.codec_costs import Floats

INCOMPRESSIBLE = 0.95
"""A block is incompressible where no codec stores it in less than this share of its bytes."""


def shares(outcomes: Floats) -> Floats:
    """Stored share of the bytes by codec, none left out.

    Args:
        outcomes: Shape ``(rows, codecs, 3)``, none first.

    Returns:
        Shape ``(rows, codecs - 1)``.
    """
    return np.asarray(outcomes[:, 1:, 0] / outcomes[:, :1, 0])


def share_r2(predicted: Floats, actual: Floats, codecs: Sequence[str]) -> dict[str, float | None]:
    """Coefficient of determination of the stored shares.

    Args:
        predicted: Shape ``(rows, codecs, 3)``, none first.
        actual: Likewise.
        codecs: Names, none first.

    Returns:
        ``share`` (the mean over codecs), ``share_least`` (the worst codec) and each codec by its name; None where all
        blocks have the same share.
    """
    true, said = shares(actual), shares(predicted)
    spread = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    error = ((true - said) ** 2).sum(axis=0)
    found = np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), np.nan)
    known = found[~np.isnan(found)]
    summary = {"share": known.mean() if len(known) else np.nan, "share_least": known.min() if len(known) else np.nan}
    return {name: json_number(float(value)) for name, value in {**summary, **dict(zip(codecs[1:], found, strict=True))}.items()}


def incompressible(outcomes: Floats) -> tuple[Floats, np.ndarray]:
    """The smallest share that any codec reaches, and whether a block is incompressible."""
    least = shares(outcomes).min(axis=1)
    return least, least >= INCOMPRESSIBLE


def incompressible_auc(predicted: Floats, actual: Floats) -> float | None:
    """Area under the ROC curve of the smallest predicted share; None where one class is absent."""
    from sklearn.metrics import roc_auc_score

    truth = incompressible(actual)[1]
    if truth.all() or not truth.any():
        return None
    return float(roc_auc_score(truth, incompressible(predicted)[0]))
