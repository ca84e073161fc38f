"""Thresholds of a binary decision: the cheapest one, and the smallest routed share that keeps a recall.

Everything comes from one sort and cumulative sums, so that all thresholds that make a difference are looked at. A
threshold lies halfway (in log odds) between two neighbouring probabilities: no rounding error of another runtime
crosses it.
"""

from typing import Any

import numpy as np
import pandas as pd

NOBODY = 1.5
"""A threshold above every probability."""


def decision_table(probability: np.ndarray, heavy: np.ndarray, weight: np.ndarray | None = None) -> pd.DataFrame:
    """What every distinct threshold does.

    Args:
        probability: Shape (rows,).
        heavy: Whether each row is heavy.
        weight: How many rows each row stands for; None: one.

    Returns:
        One row per decision that a threshold can make, from "route nothing" to "route everything": ``threshold`` (route
        where the probability reaches it), ``low`` and ``high`` (thresholds above low, up to high, decide alike),
        ``routed``, ``caught`` and ``false_alarms`` (sums of weights), and ``caught_rows`` (number of heavy rows
        routed).
    """
    probability = np.asarray(probability, dtype=np.float64)
    heavy = np.asarray(heavy, dtype=bool)
    weight = np.ones(len(probability)) if weight is None else np.asarray(weight, dtype=np.float64)
    order = np.argsort(-probability, kind="stable")
    ordered, positive, amount = probability[order], heavy[order], weight[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1) if len(ordered) else np.array([], dtype=int)
    caught = np.cumsum(np.where(positive, amount, 0.0))[last]
    false_alarms = np.cumsum(np.where(positive, 0.0, amount))[last]
    levels = ordered[last]
    return pd.DataFrame(
        {
            "threshold": _between(levels),
            "low": np.concatenate([levels, [-np.inf]]),
            "high": np.concatenate([[np.inf], levels]),
            "routed": np.concatenate([[0.0], caught + false_alarms]),
            "caught": np.concatenate([[0.0], caught]),
            "false_alarms": np.concatenate([[0.0], false_alarms]),
            "caught_rows": np.concatenate([[0], np.cumsum(positive)[last]]),
        }
    )


def _between(levels: np.ndarray) -> np.ndarray:
    """A threshold for every decision between descending levels: one above the first, 0 below the last."""
    if not len(levels):
        return np.array([NOBODY])
    with np.errstate(divide="ignore"):
        odds = np.sqrt(levels / (1 - levels))
    with np.errstate(invalid="ignore"):
        middle = odds[:-1] * odds[1:]
        between = middle / (1 + middle)
    for fallback in ((levels[:-1] + levels[1:]) / 2, levels[:-1]):
        # Log odds of 0 and 1 are infinite; and two neighbours may have no number between them
        between = np.where((between > levels[1:]) & (between <= levels[:-1]), between, fallback)
    top = (levels[0] + 1) / 2 if (levels[0] + 1) / 2 > levels[0] else NOBODY
    return np.concatenate([[top], between, [0.0]])


def bayes_threshold(cost_ratio: float) -> float:
    """The cheapest threshold for calibrated probabilities: route where p x cost_ratio >= 1 - p."""
    return 1.0 / (1.0 + cost_ratio)


def expected_cost(
    probability: np.ndarray,
    heavy: np.ndarray,
    threshold: float,
    cost_ratio: float,
    weight: np.ndarray | None = None,
) -> float:
    """Cost of the decisions at a threshold over the cost of the cheaper constant decision (NEC).

    Args:
        probability: Shape (rows,).
        heavy: Whether each row is heavy.
        threshold: Rows whose probability reaches it are routed to the large cluster.
        cost_ratio: Cost of a missed heavy query in units of a light one that is routed in vain.
        weight: How many rows each row stands for; None: one.

    Returns:
        0 is perfect, 1 is no better than the cheaper of "all heavy" and "all small"; NaN where there are no rows of a
        class.
    """
    heavy = np.asarray(heavy, dtype=bool)
    weight = np.ones(len(heavy)) if weight is None else np.asarray(weight, dtype=np.float64)
    routed = np.asarray(probability) >= threshold
    cost = weight[routed & ~heavy].sum() + cost_ratio * weight[~routed & heavy].sum()
    cheapest = min(weight[~heavy].sum(), cost_ratio * weight[heavy].sum())
    return float(cost / cheapest) if cheapest else float("nan")


def cost_optimal(
    probability: np.ndarray, heavy: np.ndarray, cost_ratio: float, weight: np.ndarray | None = None
) -> dict[str, Any]:
    """Find the cheapest threshold, and say how much dearer the one is that theory gives.

    Args:
        probability: Shape (rows,).
        heavy: Whether each row is heavy.
        cost_ratio: See :func:`expected_cost`.
        weight: How many rows each row stands for; None: one.

    Returns:
        ``threshold`` (the Bayes threshold if no other is cheaper, else of equally cheap ones the nearest to it),
        ``normalised_expected_cost``, ``bayes_threshold``, ``bayes_normalised_expected_cost`` and
        ``bayes_cost_gap`` (relative).
    """
    table = decision_table(probability, heavy, weight)
    heavies = table["caught"].iloc[-1]
    cost = (table["false_alarms"] + cost_ratio * (heavies - table["caught"])).to_numpy()
    bayes = bayes_threshold(cost_ratio)
    cheapest = table[cost <= cost.min() * (1 + 1e-12)]
    distance = np.abs(np.log(np.maximum(cheapest["threshold"].to_numpy(), 1e-300) / bayes))
    threshold = float(cheapest["threshold"].iloc[int(distance.argmin())])
    if ((cheapest["low"] < bayes) & (bayes <= cheapest["high"])).any():
        threshold = bayes
    own, theory = (expected_cost(probability, heavy, value, cost_ratio, weight) for value in (threshold, bayes))
    return {
        "threshold": threshold,
        "normalised_expected_cost": own,
        "bayes_threshold": bayes,
        "bayes_normalised_expected_cost": theory,
        "bayes_cost_gap": theory / own - 1 if own > 0 else None,
    }


def recall_lower_bound(caught: int, heavies: int, confidence: float) -> float:
    """Clopper and Pearson's one-sided lower bound of a recall.

    Args:
        caught: Heavy rows that were routed.
        heavies: All heavy rows.
        confidence: Probability with which the true recall is above the bound, at least.

    Returns:
        The bound; 0 if nothing was caught.
    """
    from scipy.stats import beta

    return float(beta.ppf(1 - confidence, caught, heavies - caught + 1)) if caught else 0.0


def smallest_share(
    probability: np.ndarray,
    heavy: np.ndarray,
    recall: float,
    confidence: float,
) -> dict[str, Any]:
    """Find the highest threshold whose recall is surely enough.

    With fewer heavy rows than a bound of `recall` needs even without a miss (149 for 0.98 at 95 %), no threshold is
    sure. Then the threshold is the highest one that misses none of them, and ``assured`` is false.

    Args:
        probability: Shape (rows,), of rows in their natural mix.
        heavy: Whether each row is heavy.
        recall: What the lower bound must reach.
        confidence: Of the bound.

    Returns:
        ``threshold``, ``routed_share``, ``recall``, ``recall_lower_bound``, ``heavies``, ``missed``, ``assured``.
    """
    table = decision_table(probability, heavy)
    heavies = int(table["caught_rows"].iloc[-1])
    allowed = -1
    while allowed + 1 < heavies and recall_lower_bound(heavies - allowed - 1, heavies, confidence) >= recall:
        allowed += 1
    # The first row that catches enough routes the smallest share; without heavy rows it routes nothing
    place = int((table["caught_rows"] >= heavies - max(allowed, 0)).to_numpy().argmax())
    chosen = table.iloc[place]
    caught = int(chosen["caught_rows"])
    return {
        "threshold": float(chosen["threshold"]),
        "routed_share": float(chosen["routed"] / max(table["routed"].iloc[-1], 1)),
        "recall": caught / heavies if heavies else None,
        "recall_lower_bound": recall_lower_bound(caught, heavies, confidence),
        "heavies": heavies,
        "missed": heavies - caught,
        "assured": allowed >= 0,
    }
