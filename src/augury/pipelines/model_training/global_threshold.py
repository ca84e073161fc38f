"""Micro-F1 at one threshold for all labels: quick enough to be asked after every epoch."""

import numpy as np
import numpy.typing as npt


def best_micro_f1(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The micro-F1 at the one threshold for all labels that is best.

    Args:
        scores: (n, L).
        truth: (n, L).

    Returns:
        F1, and the score from which on a label is given (0 and infinity where there is no true label).

    Examples:
        >>> best_micro_f1(np.array([[0.9, 0.2], [0.4, 0.3]]), np.array([[True, False], [True, False]]))
        (1.0, 0.4)
    """
    flat = scores.ravel()
    order = np.argsort(-flat, kind="stable")
    hits = np.cumsum(truth.ravel()[order])
    if not len(hits) or not hits[-1]:
        return 0.0, float("inf")
    found = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    # A threshold lies between different scores: of equal ones all are given or none
    found[:-1][flat[order][:-1] == flat[order][1:]] = -1
    best = int(np.argmax(found))
    return float(found[best]), float(flat[order[best]])


def micro_f1_at(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_], threshold: float) -> float:
    """The micro-F1 where labels from a score on are given."""
    given = scores >= threshold
    return float(2 * (given & truth).sum() / max(given.sum() + truth.sum(), 1))
