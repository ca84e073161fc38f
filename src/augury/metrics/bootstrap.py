"""Bootstrap intervals for metrics whose rows come in groups.

Rows of one group (the jobs of one file, the queries of one user) resemble each other, so whole
groups are drawn with replacement, never single rows [1]_. Most metrics are functions of sums over
rows: those sums are taken once per group, and all replicates are then one matrix product of group
counts and group sums. Ranking metrics are functions of the group counts that are had for many
replicates at once (see ``ranking``). Only a metric that is neither (a median) is computed replicate
by replicate.

.. [1] C. A. Field and A. H. Welsh, "Bootstrapping clustered data", Journal of the Royal
   Statistical Society B 69 (2007).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Sums = Mapping[str, Floats]
CountStatistics = Callable[[Floats], Mapping[str, Floats]]

# Counts held at once: 2 million float64 are 16 MB, whatever the number of groups.
CELLS_AT_ONCE = 2_000_000
# An interval over the few replicates in which a metric happens to be defined would be too
# optimistic.
SMALLEST_DEFINED_SHARE = 0.9


def bootstrap_intervals(
    contributions: Mapping[str, Floats],
    statistics: Mapping[str, Callable[[Sums], Floats]],
    groups: npt.ArrayLike,
    *,
    replicates: int,
    confidence: float,
    seed: int,
    row_statistics: Mapping[str, Callable[[Floats], float]] | None = None,
) -> dict[str, list[float]]:
    """Percentile intervals of many metrics from one set of resamples.

    All metrics see the same resamples, so ratios and differences of two models are paired.

    Args:
        contributions: See :func:`bootstrap_samples`.
        statistics: See there.
        groups: See there.
        replicates: See there.
        confidence: Share of the replicates within the interval, such as 0.95.
        seed: See :func:`bootstrap_samples`.
        row_statistics: See there.

    Returns:
        Metric name -> ``[lower, upper]``. A metric has no entry where no interval can be given:
        with fewer than two groups, with no replicates, or where more than a tenth of the replicates
        is undefined.

    Examples:
        >>> values = np.array([1.0, 2.0, 3.0, 4.0])
        >>> found = bootstrap_intervals(
        ...     {"value": values},
        ...     {"mean": lambda sums: sums["value"] / sums["rows"]},
        ...     groups=[1, 2, 3, 4],
        ...     replicates=500,
        ...     confidence=0.9,
        ...     seed=0,
        ... )
        >>> found["mean"][0] < 2.5 < found["mean"][1]
        True
    """
    samples = bootstrap_samples(
        contributions, statistics, groups, replicates=replicates, seed=seed, row_statistics=row_statistics
    )
    return percentile_intervals(samples, confidence)


def bootstrap_samples(
    contributions: Mapping[str, Floats],
    statistics: Mapping[str, Callable[[Sums], Floats]],
    groups: npt.ArrayLike,
    *,
    replicates: int,
    seed: int,
    row_statistics: Mapping[str, Callable[[Floats], float]] | None = None,
    count_statistics: Iterable[CountStatistics] = (),
) -> dict[str, Floats]:
    """The values of many metrics in one set of resamples.

    Args:
        contributions: Name -> what each row adds to a sum, shape ``(rows,)``, finite. ``"rows"``
            (ones) is added.
        statistics: Metric name -> function of the sums; every sum has shape ``(replicates,)``, and
            so must the result. NaN and infinities mark a replicate in which the metric is
            undefined.
        groups: Group label of each row, shape ``(rows,)``.
        replicates: Number of resamples.
        seed: Seed of the resampling. The order of the rows does not matter, nor which statistics
            are asked for.
        row_statistics: Metric name -> function of row weights (shape ``(rows,)``: how often each
            row was drawn), for metrics that are no function of sums; see :func:`weighted_median`.
        count_statistics: Functions of the group counts themselves, shape ``(some replicates,
            groups)``, groups in the order of their labels, for metrics that can be had for many
            replicates at once; each returns metric name -> values, shape ``(some replicates,)``.

    Returns:
        Metric name -> its values, shape ``(replicates,)``; empty with fewer than two groups or
        without replicates.
    """
    codes, labels = pd.factorize(np.asarray(groups), sort=True)
    if len(labels) < 2 or replicates < 1:
        return {}
    per_row = {"rows": np.ones(len(codes)), **contributions}
    per_group = np.column_stack(
        [np.bincount(codes, weights=values, minlength=len(labels)) for values in per_row.values()]
    )
    totals: list[Floats] = []
    by_row: dict[str, list[float]] = {name: [] for name in row_statistics or {}}
    by_count: dict[str, list[Floats]] = {}
    count_functions = list(count_statistics)
    with np.errstate(divide="ignore", invalid="ignore"):
        for counts in _group_counts(len(labels), replicates, seed):
            totals.append(counts @ per_group)
            for name, function in (row_statistics or {}).items():
                by_row[name].extend(function(drawn[codes]) for drawn in counts)
            for of_counts in count_functions:
                for name, values in of_counts(counts).items():
                    by_count.setdefault(name, []).append(values)
        sums = dict(zip(per_row, np.concatenate(totals).T, strict=True))
        samples = {name: function(sums) for name, function in statistics.items()}
    samples |= {name: np.array(values) for name, values in by_row.items()}
    return samples | {name: np.concatenate(values) for name, values in by_count.items()}


def percentile_intervals(samples: Mapping[str, Floats], confidence: float) -> dict[str, list[float]]:
    """Turn replicates into intervals.

    Args:
        samples: Metric name -> its values in the resamples; NaN and infinities are undefined ones.
        confidence: Share of the replicates within the interval.

    Returns:
        Metric name -> ``[lower, upper]``, without the metrics of which more than a tenth of the
        replicates is undefined.
    """
    intervals = {name: _percentile_interval(values, confidence) for name, values in samples.items()}
    return {name: interval for name, interval in intervals.items() if interval is not None}


def _group_counts(groups: int, replicates: int, seed: int) -> Iterator[Floats]:
    """Yield blocks of shape (some replicates, groups): how often each group was drawn."""
    generator = np.random.default_rng(seed)
    block = max(1, min(replicates, CELLS_AT_ONCE // groups))
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        drawn = generator.integers(0, groups, size=(size, groups), dtype=np.int64)
        drawn += np.arange(size, dtype=np.int64)[:, None] * groups
        counts = np.bincount(drawn.ravel(), minlength=size * groups)
        yield counts.reshape(size, groups).astype(np.float64)


def _percentile_interval(values: Floats, confidence: float) -> list[float] | None:
    defined = values[np.isfinite(values)]
    if len(defined) < SMALLEST_DEFINED_SHARE * len(values):
        return None
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return [float(lower), float(upper)]


def ends(name: str, interval: list[float] | None) -> dict[str, float | None]:
    """Name the ends of an interval, for a row of a table.

    Args:
        name: Name of the metric.
        interval: Lower and upper end, or None where there is no interval.

    Returns:
        ``<name>_lower`` and ``<name>_upper``; None where there is no interval.
    """
    lower, upper = interval or (None, None)
    return {f"{name}_lower": lower, f"{name}_upper": upper}


def weighted_median(values: Floats) -> Callable[[Floats], float]:
    """Prepare the median of a resample; sorting once makes a replicate cost a single pass.

    Args:
        values: The rows' values, shape ``(rows,)``, finite.

    Returns:
        A function of whole-number weights, shape ``(rows,)``: the median of the values, each
        repeated as often as its weight says; NaN where all weights are zero.

    Examples:
        >>> weighted_median(np.array([5.0, 1.0, 3.0]))(np.array([2.0, 1.0, 1.0]))
        4.0
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]

    def median(weights: Floats) -> float:
        reached = np.cumsum(weights[order])
        if not len(reached) or reached[-1] <= 0:
            return math.nan
        middle = np.array([(reached[-1] - 1) // 2, reached[-1] // 2])
        return float(ordered[np.searchsorted(reached, middle, side="right")].mean())

    return median


def share_interval(hits: npt.NDArray[Any], groups: npt.ArrayLike, confidence: float) -> list[float] | None:
    """Wilson score interval of a share whose rows come in groups.

    A bootstrap of a share that no row was hit for would say "exactly zero"; this interval does not.
    Rows of one group count less than independent rows: their number is divided by the design effect
    (variance between groups over the variance of independent rows; at least 1), as Korn and
    Graubard do [2]_. It cannot be estimated where no row or every row was hit: rows then count in
    full.

    .. [2] E. L. Korn and B. I. Graubard, "Confidence intervals for proportions with small expected
       number of positive counts estimated from survey data", Survey Methodology 24 (1998).

    Args:
        hits: Whether each row was hit, shape ``(rows,)``.
        groups: Group label of each row, shape ``(rows,)``.
        confidence: Coverage of the interval, such as 0.95.

    Returns:
        Lower and upper bound, within 0 and 1; None with fewer than two groups.
    """
    codes, labels = pd.factorize(np.asarray(groups))
    if len(labels) < 2:
        return None
    hit = np.asarray(hits, dtype=np.float64)
    share = float(hit.mean())
    variance = share * (1 - share)
    excess = np.bincount(codes, weights=hit - share)
    rows = float(len(hit))
    if variance > 0:
        between = float((excess**2).sum()) * len(labels) / (len(labels) - 1)
        independent = rows * variance * rows / (rows - 1)
        rows /= max(1.0, between / independent)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(variance / rows + z * z / (4 * rows * rows))
    # Rounding may leave the share itself, at 0 or 1, outside by a hair.
    return [max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))]
