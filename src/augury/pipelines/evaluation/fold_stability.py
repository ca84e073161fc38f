"""How steady a model is over the folds of its forward-chaining cross-validation."""

from typing import Any

import numpy as np

from augury.metrics.metrics_mapping import json_number

FOLD_METRICS = {"roc_auc": 1, "log_loss": -1}
"""With the sign that makes more of it better."""
FEWEST_FOLDS = 2
FEWEST_FOR_TREND = 4
"""With three folds even a perfect order of them is chance one time in three."""


def judge_folds(report_training: dict[str, Any]) -> dict[str, Any]:
    """Summarise the folds that training reports.

    Args:
        report_training: With ``cross_validation: {folds: [...]}``, a fold being a mapping with ``roc_auc`` and
            ``log_loss``, in the order of time; folds without ROC-AUC, which lack a class, are left out.

    Returns:
        JSON-ready: ``metrics``: ``cv_folds``, and of ROC-AUC and log loss ``cv_<metric>_mean``, ``_std`` (of the
        population of folds, as training reports it), ``_range`` (largest less smallest), ``_last_loss`` (by how much
        the last fold is worse than the mean of those before it) and ``_trend`` (Spearman's correlation with the fold's
        number, from four folds on); None without at least two folds. ``folds``: the folds as training reports them.
    """
    folds = [dict(fold) for fold in (report_training.get("cross_validation") or {}).get("folds") or []]
    judged = [fold for fold in folds if fold.get("roc_auc") is not None]
    metrics: dict[str, Any] = {"cv_folds": len(judged)}
    for name, sign in FOLD_METRICS.items():
        values = [fold.get(name) for fold in judged]
        known = [float(value) for value in values if value is not None]
        metrics |= {f"cv_{name}_{key}": value for key, value in _steadiness(known, sign).items()}
    return {"metrics": metrics, "intervals": {}, "folds": folds}


def _steadiness(values: list[float], sign: int) -> dict[str, float | None]:
    if len(values) < FEWEST_FOLDS:
        return dict.fromkeys(("mean", "std", "range", "last_loss", "trend"))
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values)),
        "range": float(np.ptp(values)),
        "last_loss": sign * float(np.mean(values[:-1]) - values[-1]),
        "trend": _trend(values),
    }


def _trend(values: list[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(values) < FEWEST_FOR_TREND or np.ptp(values) == 0:
        return None
    return json_number(spearmanr(range(len(values)), values).statistic)
