"""What the best possible forecast scores, from true probabilities alone.

Where outcomes are drawn with known probabilities, those probabilities are the forecast that none can beat, and its
metrics follow without drawing a single outcome: each row counts as positive with weight ``p`` and as negative with
weight ``1 - p``. The values are what a large sample of such rows tends to.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def oracle_metrics(probability: Floats, thresholds: Sequence[float] = (0.5, 0.7)) -> dict[str, float]:
    """Compute the expected metrics of a perfect probability forecast.

    Args:
        probability: True probabilities between 0 and 1, shape ``(rows,)``, at least one row.
        thresholds: The smallest probabilities to be called positive.

    Returns:
        - ``prevalence``: mean probability.
        - ``roc_auc``: weight of the pairs in order (ties half) by weight of all pairs of a positive and a negative.
        - ``brier``: mean of ``p (1 - p)``.
        - ``log_loss``: mean entropy (natural logarithm).
        - ``log_loss_skill``: 1 - log loss / entropy of the prevalence.
        - ``precision_at_<t>``: mean probability of the rows with ``p >= t``.
        - ``recall_at_<t>``: their share of the sum of all probabilities.

        NaN where a metric is undefined: ROC-AUC and skill where every probability is 0 or every one is 1, the
        precision where no row reaches the threshold.

    Raises:
        ValueError: If there is no row, or a value is no probability.
    """
    found = np.asarray(probability, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not ((found >= 0) & (found <= 1)).all():
        raise ValueError("An oracle needs at least one probability, all between 0 and 1.")
    positives = float(found.sum())
    metrics = {
        "prevalence": positives / len(found),
        "roc_auc": _roc_auc(found),
        "brier": float(np.mean(found * (1 - found))),
        "log_loss": float(np.mean(_entropy(found))),
    }
    base = float(_entropy(np.array([metrics["prevalence"]]))[0])
    metrics["log_loss_skill"] = 1 - metrics["log_loss"] / base if base > 0 else np.nan
    for threshold in thresholds:
        called = found[found >= threshold]
        metrics[f"precision_at_{threshold:g}"] = float(called.mean()) if len(called) else np.nan
        metrics[f"recall_at_{threshold:g}"] = float(called.sum()) / positives if positives else np.nan
    return metrics


def _roc_auc(probability: Floats) -> float:
    values, rows = np.unique(probability, return_counts=True)
    positives, negatives = values * rows, (1 - values) * rows
    pairs = positives.sum() * negatives.sum()
    if pairs == 0:
        return np.nan
    below = np.cumsum(negatives) - negatives
    return float(positives @ (below + negatives / 2) / pairs)


def _entropy(probability: Floats) -> Floats:
    """Entropy of each probability in nats; 0 at 0 and 1."""
    yes, no = (np.log(np.where(share > 0, share, 1.0)) for share in (probability, 1 - probability))
    return -(probability * yes + (1 - probability) * no)
