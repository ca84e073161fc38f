"""How good yes-or-no decisions are where a missed positive costs more than a false alarm."""

from typing import Any

import numpy as np

from augury.metrics.bootstrap import Floats
from augury.metrics.ranking import Bools

COST = "nec"
DECISION_METRICS = (
    "recall",
    "fnr",
    "precision",
    "f1",
    "fpr",
    "positive_share",
    "false_omission_rate",
    COST,
)


def decision_metrics(cost_ratio: float | None) -> tuple[str, ...]:
    """The names that :func:`rates` gives."""
    return tuple(name for name in DECISION_METRICS if cost_ratio is not None or name != COST)


def rates(found: Any, alarms: Any, positives: Any, negatives: Any, cost_ratio: float | None) -> dict[str, Any]:
    """Metrics of decisions from their counts; arrays of counts give arrays of metrics.

    Args:
        found: True positives.
        alarms: False positives.
        positives: Rows that are positive.
        negatives: Rows that are not.
        cost_ratio: Cost of a missed positive in units of a false alarm; None: there is no cost to compute.

    Returns:
        ``recall``; ``fnr``, share of the positives missed; ``precision``; ``f1``; ``fpr``, share of the negatives
        taken for positive; ``positive_share``, share of all rows taken for positive; ``false_omission_rate``, share of
        positives among the rows taken for negative; ``nec``, normalised expected cost [1]_: (``cost_ratio`` x misses +
        false alarms) by what the cheaper of "all positive" and "all negative" costs, so that a model above 1 is worse
        than none. What is undefined is NaN or infinite.

        .. [1] C. Drummond and R. C. Holte, "Cost curves", Machine Learning 65 (2006).
    """
    found, alarms, positives, negatives = (
        np.asarray(count, dtype=np.float64) for count in (found, alarms, positives, negatives)
    )
    selected, rows, missed = found + alarms, positives + negatives, positives - found
    with np.errstate(divide="ignore", invalid="ignore"):
        metrics = {
            "recall": found / positives,
            "fnr": missed / positives,
            "precision": found / selected,
            "f1": 2 * found / (2 * found + alarms + missed),
            "fpr": alarms / negatives,
            "positive_share": selected / rows,
            "false_omission_rate": missed / (rows - selected),
        }
        if cost_ratio is not None:
            metrics[COST] = (cost_ratio * missed + alarms) / np.minimum(cost_ratio * positives, negatives)
        return metrics


def indifferent_threshold(cost_ratio: float) -> float:
    """The probability above which calling a row positive is cheaper, if probabilities can be trusted."""
    return 1 / (1 + cost_ratio)


def expected_costs(actual: Bools, score: Floats, thresholds: Floats, cost_ratio: float) -> Floats:
    """Normalised expected cost at each of some thresholds.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``.
        score: Shape ``(rows,)``.
        thresholds: A row with at least this score is called positive, shape ``(thresholds,)``.
        cost_ratio: See :func:`rates`.

    Returns:
        ``nec`` of :func:`rates`, shape ``(thresholds,)``.
    """
    of_class = [np.sort(score[inside]) for inside in (actual, ~actual)]
    found, alarms = (len(scores) - np.searchsorted(scores, thresholds, side="left") for scores in of_class)
    costs: Floats = rates(found, alarms, len(of_class[0]), len(of_class[1]), cost_ratio)["nec"]
    return costs
