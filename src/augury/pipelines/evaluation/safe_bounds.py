"""Judging upper bounds that are used as allocations: how often they fail, what they waste."""

import numpy as np

from augury.metrics.bootstrap import Floats


def wasted(actual: Floats, bound: Floats, retry_factor: float) -> Floats:
    """What is allocated and not needed when a job that outgrows its bound is run again.

    A failed attempt wastes its whole allocation. The first retry gets ``retry_factor`` times the
    bound, every further one twice the allocation before it, until the job fits; the last attempt
    wastes what it does not use.

    Args:
        actual: What each job needs, shape ``(rows,)``, >= 0.
        bound: What the first attempt is given, shape ``(rows,)``, > 0.
        retry_factor: The factor of the first retry, > 1.

    Returns:
        The waste per row, shape ``(rows,)``, in the unit of ``actual``.

    Examples:
        >>> wasted(np.array([3.0, 5.0]), np.array([4.0, 4.0]), 2.0).tolist()
        [1.0, 7.0]
    """
    allocation = np.array(bound, dtype=np.float64)
    waste = np.zeros_like(allocation)
    factor = retry_factor
    failed = allocation < actual
    while failed.any():
        waste[failed] += allocation[failed]
        allocation[failed] *= factor
        factor = 2.0
        failed = allocation < actual
    return waste + allocation - actual


def bound_metrics(actual: Floats, bound: Floats, level: str, retry_factor: float = 2.0) -> dict[str, float | None]:
    """How safe and how wasteful an upper bound is.

    Args:
        actual: What was used, shape ``(rows,)``, >= 0, at least one row.
        bound: The upper bound, taken as the allocation, shape ``(rows,)``, > 0.
        level: Suffix of the metric names, such as ``"95"``.
        retry_factor: Allocation of the first retry as a multiple of the bound; see :func:`wasted`.

    Returns:
        ``under_rate_<level>``, the share of rows above their bound, and ``coverage_<level>``, the
        others; ``allocation_ratio_<level>``, the sum allocated by the sum used;
        ``wastage_<level>``, the sum wasted including retries by the sum used;
        ``worst_shortfall_<level>``, the largest (actual - bound), at least 0, and
        ``mean_over_allocation_<level>``, the mean of (bound - actual) with 0 for rows above their
        bound, both in the unit of ``actual``.
    """
    under = float(np.mean(bound < actual))
    used = float(actual.sum())
    return {
        f"under_rate_{level}": under,
        f"coverage_{level}": 1 - under,
        f"allocation_ratio_{level}": ratio(float(bound.sum()), used),
        f"wastage_{level}": ratio(float(wasted(actual, bound, retry_factor).sum()), used),
        f"worst_shortfall_{level}": float(np.max(actual - bound, initial=0)),
        f"mean_over_allocation_{level}": float(np.mean(np.maximum(bound - actual, 0))),
    }


def ratio(part: float, whole: float) -> float | None:
    """Divide; None where the whole is not positive."""
    return part / whole if whole > 0 else None
