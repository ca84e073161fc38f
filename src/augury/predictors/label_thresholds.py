"""From which probability on a label is given: one threshold for all, or one per label that rare labels share.

A rare label's own best threshold is chance: one without a positive among the rows that it was fitted to would get a
threshold below every score and would then be given to everybody. Hence a label's threshold is a mean of its own best
one and the common one, weighted by the number of its positives, and never far below the common one.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field

from augury.parameters import Parameters

ThresholdKind: TypeAlias = Literal["fixed", "common", "per_label"]

FIXED = 0.5
FEWEST_ROWS = 50
"""Rows below which no threshold is learned: the common one of 30 texts lies anywhere."""


class ThresholdSettings(Parameters):
    """How thresholds are chosen."""

    kind: Literal["auto", "fixed", "common", "per_label"] = Field(
        default="auto", description="auto: what gives other rows than it was fitted to the best F1"
    )
    fixed: float = Field(default=FIXED, gt=0, lt=1, description="of kind fixed, and where there are too few rows")
    at_least_one: bool = Field(default=True, description="whether a text below all thresholds gets its best label")
    shrinkage: float = Field(default=10.0, ge=0, description="positives that weigh as much as the common threshold")
    fewest_positives: int = Field(default=5, ge=1, description="a label with fewer has the common threshold")
    lowest_share: float = Field(
        default=0.5, gt=0, le=1, description="of the common threshold, below which no label's threshold lies"
    )
    folds: int = Field(default=5, ge=2, description="parts of the rows that kinds are compared on")
    margin: float = Field(
        default=0.002, ge=0, description="F1 by which a kind must be better than the simpler one to be taken"
    )


class Thresholds(NamedTuple):
    """Thresholds of all labels, and how they were found."""

    values: np.ndarray
    """float64 of shape (labels,)."""
    kind: ThresholdKind
    facts: dict[str, Any]


Closure: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Adds to decisions of shape (rows, labels) the labels above; see :class:`~augury.predictors.label_hierarchy`."""


def decide(
    probabilities: np.ndarray, thresholds: np.ndarray, *, at_least_one: bool, close: Closure | None = None
) -> np.ndarray:
    """Say which labels are given.

    Args:
        probabilities: Shape (rows, labels).
        thresholds: Shape (labels,), or one number.
        at_least_one: Whether a row below all thresholds gets its most probable label.
        close: Adds the labels above.

    Returns:
        bool of the same shape.
    """
    given = probabilities >= thresholds
    if at_least_one and given.shape[1]:
        none = np.flatnonzero(~given.any(axis=1))
        given[none, probabilities[none].argmax(axis=1)] = True
    return given if close is None else close(given)


def fit_thresholds(
    probabilities: np.ndarray, targets: np.ndarray, settings: ThresholdSettings, close: Closure | None = None
) -> Thresholds:
    """Choose thresholds.

    Args:
        probabilities: Of models that did not learn from these rows, shape (rows, labels).
        targets: Whether each row carries each label, of the same shape.
        settings: Parameters.
        close: Adds the labels above to decisions.

    Returns:
        The thresholds. ``facts`` has the F1 of each kind on rows that it was not fitted to.
    """
    targets = np.asarray(targets, dtype=bool)
    labels = probabilities.shape[1]
    everywhere = np.full(labels, settings.fixed)
    if settings.kind == "fixed" or len(probabilities) < FEWEST_ROWS or not targets.any():
        reason = "asked for" if settings.kind == "fixed" else f"too little to learn from: {len(probabilities)} rows"
        return Thresholds(everywhere, "fixed", {"kind": "fixed", "reason": reason, "rows": len(probabilities)})
    kinds: dict[ThresholdKind, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "fixed": lambda scores, actual: everywhere,
        "common": lambda scores, actual: np.full(labels, common_threshold(scores, actual)),
        "per_label": lambda scores, actual: shrunk_thresholds(scores, actual, settings),
    }
    part = np.arange(len(probabilities)) % settings.folds
    facts: dict[str, Any] = {"rows": len(probabilities), "f1": {}}
    for name, fit in kinds.items():
        given = np.zeros(targets.shape, dtype=bool)
        for own in range(settings.folds):
            chosen = part == own
            values = fit(probabilities[~chosen], targets[~chosen])
            given[chosen] = decide(
                probabilities[chosen], values, at_least_one=settings.at_least_one, close=close
            )  # fmt: skip
        facts["f1"][name] = dict(zip(("micro", "macro"), f1_scores(given, targets), strict=True))
    kind: ThresholdKind = "fixed"
    if settings.kind == "auto":
        # From the simplest on: a kind that learns more must be worth it
        for name in kinds:
            if _worth(facts["f1"][name]) > _worth(facts["f1"][kind]) + settings.margin:
                kind = name
    else:
        kind = settings.kind
    facts["kind"] = kind
    values = np.round(kinds[kind](probabilities, targets), 5)
    return Thresholds(np.array(values, dtype=np.float64), kind, facts)


def _worth(f1: dict[str, float]) -> float:
    return (f1["micro"] + f1["macro"]) / 2


def f1_scores(given: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Micro and macro F1; labels that no row carries have no part in the macro one.

    Args:
        given: Decisions, bool of shape (rows, labels).
        targets: Truth, of the same shape.

    Returns:
        Both, 0 where nothing is carried.
    """
    hits = (given & targets).sum(axis=0)
    total = given.sum(axis=0) + targets.sum(axis=0)
    carried = targets.any(axis=0)
    if not carried.any():
        return 0.0, 0.0
    single = 2 * hits[carried] / total[carried]
    return float(2 * hits.sum() / total.sum()), float(single.mean())


def common_threshold(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The one threshold for all labels with the largest micro-F1.

    Args:
        probabilities: Shape (rows, labels).
        targets: bool of the same shape.

    Returns:
        A number halfway between two probabilities; 0.5 where nothing is carried.
    """
    best, found = _best_by_column(probabilities.reshape(-1, 1), targets.reshape(-1, 1))
    return float(best[0]) if found[0] else FIXED


def shrunk_thresholds(probabilities: np.ndarray, targets: np.ndarray, settings: ThresholdSettings) -> np.ndarray:
    """A threshold per label: its own best one and the common one, weighted by its positives.

    Args:
        probabilities: Shape (rows, labels).
        targets: bool of the same shape.
        settings: Shrinkage and bounds.

    Returns:
        float64 of shape (labels,).
    """
    common = common_threshold(probabilities, targets)
    best, _ = _best_by_column(probabilities, targets)
    positives = targets.sum(axis=0)
    own = positives / np.maximum(positives + settings.shrinkage, 1)
    weight = np.where(positives >= settings.fewest_positives, own, 0.0)
    return np.maximum(weight * np.where(weight > 0, best, 0.0) + (1 - weight) * common, settings.lowest_share * common)


def _best_by_column(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The threshold of each column with its largest F1, halfway between two scores; and whether it has positives."""
    rows = len(scores)
    order = np.argsort(-scores, axis=0, kind="stable")
    descending = np.take_along_axis(scores, order, axis=0).astype(np.float64)
    hits = np.cumsum(np.take_along_axis(targets, order, axis=0), axis=0)
    f1 = 2 * hits / (np.arange(1, rows + 1)[:, None] + hits[-1])
    following = np.vstack([descending[1:], descending[-1:]])
    f1[:-1][descending[:-1] == descending[1:]] = -1.0  # no threshold can tell the two apart
    last = f1.argmax(axis=0)
    columns = np.arange(scores.shape[1])
    return (descending[last, columns] + following[last, columns]) / 2, hits[-1] > 0
