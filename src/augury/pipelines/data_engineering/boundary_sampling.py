"""Thin out the many small queries of the training rows: near the boundary to heavy all are kept, far from it a few.

A small query at distance d from being heavy (0: at a threshold, 1: idle) is kept with probability
``min(1, lambda * m(d))``, where ``m(d) = max_boost - (max_boost - min_multiplier) * d`` and lambda makes the expected
number exactly ``balance_ratio`` times that of the heavy rows. Nothing is filled up at random.

The realised number is exact too. Rows of probability 1 are all kept; of the others a Pareto sample of fixed size is
drawn (Rosen 1997), keyed by the md5 of the query's identifier. Its inclusion probabilities are the wanted ones up to an
error that vanishes with the size of the sample; drawing each row on its own would have them exactly, but would miss the
ratio by chance. Rows weigh ``1 / probability``.

Both lambda and the sample need to see all rows, but never one by one: distances and draws are put into bins whose
counts are collected. Counts are exact whatever the order of the rows, so every engine finds the same sample.
"""

from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.data_engineering.query_log import QueryLabel
from augury.predictors import query_columns as qc

SAMPLE_SEED = 202
"""Added to the seed, so that the draws are independent of those of other uses of the same identifiers."""

STEPS = 2**20
"""Distances are measured in steps of one of so many."""

KEYS = 2**50
BUCKETS = 2**16
PER_BUCKET = KEYS // BUCKETS


class BoundarySampling(Parameters):
    """How many small rows to keep, and how much to prefer those near the boundary."""

    balance_ratio: float = Field(5.0, gt=0, description="small rows per heavy row")
    max_boost: float = Field(2.0, gt=0, description="multiplier at the boundary")
    min_multiplier: float = Field(0.05, gt=0, description="multiplier of idle queries")
    certain_distance: float = Field(
        0.2, ge=0, le=1, description="nearer than this all are kept, unless they alone would be enough"
    )

    @model_validator(mode="after")
    def _must_fall(self) -> "BoundarySampling":
        if self.min_multiplier > self.max_boost:
            raise ValueError("min_multiplier must not be above max_boost")
        return self


def sample_train(
    primary_labelled: Any, label: QueryLabel, sampling: BoundarySampling, seed: int
) -> tuple[Any, dict[str, Any]]:
    """Sample the training rows; the other splits stay as they are.

    Args:
        primary_labelled: Labelled log, pandas or Spark.
        label: The thresholds by which it was labelled.
        sampling: How many, and which.
        seed: Decides which.

    Returns:
        The log (same engine) without the training rows that were not drawn, with their weights; and an account.

    Raises:
        UserError: No training row is heavy.
    """
    frame = _with_distance(nw.from_native(primary_labelled), label)
    drawn = engines.hash_uniform(frame.to_native(), qc.QUERY_ID, seed + SAMPLE_SEED, "draw")
    frame = nw.from_native(drawn)
    small = nw.col("is_small")
    heavy, population = _populations(frame)
    if not heavy:
        raise UserError(
            "query_cost.primary_labelled: no training row is heavy, so there is no ratio to keep. Lower "
            "query_cost.label.cpu_threshold_seconds or query_cost.label.memory_threshold_gb."
        )
    design = _design(heavy, population, sampling)
    frame = frame.with_columns(probability=_probability(design, sampling))
    certain = nw.col("probability") >= 1.0
    if design.drawn:
        frame = frame.with_columns(key=_key())
        limit = _limit(frame.filter(small & ~certain), design.drawn)
        frame = frame.with_columns(is_kept=certain | (nw.col("key") <= limit))
    else:
        frame = frame.with_columns(is_kept=certain)
    frame = frame.filter(nw.col("is_kept"))
    kept = _by_step(frame.filter(small))
    frame = frame.with_columns(weight=nw.lit(1.0) / nw.col("probability"))
    return frame.select(*qc.LABELLED).to_native(), _report(heavy, population, kept, design, sampling)


# --- distance and probability of a row ---


def _with_distance(frame: Any, label: QueryLabel) -> Any:
    cpu = nw.col(qc.CPU_TIME_S).fill_null(0.0) / label.cpu_threshold_seconds
    memory = nw.col(qc.PEAK_MEMORY_GB).fill_null(0.0) / label.memory_threshold_gb
    nearest = nw.when(cpu > memory).then(cpu).otherwise(memory)
    inside = nw.when(nearest < 1.0).then(nearest).otherwise(nw.lit(1.0))
    is_small = (nw.col(qc.SPLIT) == qc.TRAIN) & ~nw.col(qc.IS_HEAVY)
    return frame.with_columns(is_small=is_small, step=((1.0 - inside) * STEPS).floor().cast(nw.Int64))


def _populations(frame: Any) -> tuple[int, pd.Series]:
    """The number of heavy training rows, and that of small ones per step of distance."""
    train = frame.filter(nw.col(qc.SPLIT) == qc.TRAIN)
    heavy = engines.to_pandas(train.filter(nw.col(qc.IS_HEAVY)).select(rows=nw.len()).to_native())
    return int(heavy["rows"].iloc[0]), _by_step(train.filter(nw.col("is_small")))


def _by_step(small: Any) -> pd.Series:
    counts = engines.to_pandas(small.group_by("step").agg(rows=nw.len()).to_native())
    return counts.set_index("step")["rows"].astype("int64").sort_index()


@dataclass(frozen=True)
class _Design:
    """How the small rows are drawn.

    Attributes:
        wanted: Rows to keep.
        drawn: How many of them are drawn from those that are not certain.
        certain_steps: Rows nearer than so many steps are certain whatever lambda is.
        factor: Lambda; infinite where all rows are kept.
    """

    wanted: int
    drawn: int
    certain_steps: int
    factor: float


def _design(heavy: int, population: pd.Series, sampling: BoundarySampling) -> _Design:
    total = int(population.sum())
    # Half a row more or less is beyond any sample, and none at all would represent nothing
    wanted = min(total, max(1, int(np.floor(sampling.balance_ratio * heavy + 0.5))))
    if wanted == total:
        return _Design(total, 0, STEPS + 1, float("inf"))
    steps = population.index.to_numpy()
    rows = population.to_numpy()
    certain_steps = int(np.ceil(sampling.certain_distance * STEPS))
    if int(rows[steps < certain_steps].sum()) >= wanted:
        certain_steps = 0  # or nothing would be left for the others, which must be represented
    multipliers = _multiplier(steps, sampling)
    forced = steps < certain_steps
    # Nearer rows reach probability 1 first: try every number of steps that might have reached it
    low, high = 0.0, float(wanted) / float(multipliers.min())
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        expected = float(np.sum(rows * np.where(forced, 1.0, np.minimum(1.0, middle * multipliers))))
        low, high = (middle, high) if expected < wanted else (low, middle)
    sure = forced | (high * multipliers >= 1.0)
    return _Design(wanted, wanted - int(rows[sure].sum()), certain_steps, high)


def _multiplier(steps: Any, sampling: BoundarySampling) -> Any:
    """The same arithmetic for an array of steps and for a column: its results are compared bit by bit."""
    return sampling.max_boost - (sampling.max_boost - sampling.min_multiplier) * (steps / float(STEPS))


def _probability(design: _Design, sampling: BoundarySampling) -> Any:
    """Probability of keeping a row, as a column; 1 for all that is not thinned out."""
    share = _multiplier(nw.col("step"), sampling) * design.factor if design.drawn else nw.lit(1.0)
    unsure = nw.col("is_small") & (nw.col("step") >= design.certain_steps) & (share < 1.0)
    return nw.when(unsure).then(share).otherwise(nw.lit(1.0))


# --- the rows to keep ---


def _key() -> Any:
    """Rank of a row in the Pareto sample, as an integer; nothing but additions and divisions, equal on every engine."""
    draw, probability = nw.col("draw"), nw.col("probability")
    odds = (draw * (1.0 - probability)) / ((1.0 - draw) * probability)
    return ((odds / (1.0 + odds)) * KEYS).floor().cast(nw.Int64)


def _limit(unsure: Any, wanted: int) -> int:
    """The wanted-th smallest key: first the bucket that holds it, then that bucket's keys."""
    unsure = unsure.with_columns(bucket=nw.col("key") // PER_BUCKET)
    counts = engines.to_pandas(unsure.group_by("bucket").agg(rows=nw.len()).to_native()).sort_values("bucket")
    before = counts["rows"].cumsum().to_numpy()
    position = int(np.searchsorted(before, wanted))
    bucket = int(counts["bucket"].iloc[position])
    keys = engines.to_pandas(unsure.filter(nw.col("bucket") == bucket).select("key").to_native())["key"].to_numpy()
    left = wanted - (int(before[position - 1]) if position else 0)
    return int(np.sort(keys)[left - 1])


# --- report ---


def _report(
    heavy: int, population: pd.Series, kept: pd.Series, design: _Design, sampling: BoundarySampling
) -> dict[str, Any]:
    steps = population.index.to_numpy()
    rows = population.to_numpy()
    kept_rows = kept.reindex(population.index, fill_value=0).to_numpy()
    probability = np.ones(len(steps))
    if design.drawn:
        share = _multiplier(steps, sampling) * design.factor
        probability = np.where((steps >= design.certain_steps) & (share < 1.0), share, 1.0)
    weights = kept_rows / probability
    total, small = heavy + float(weights.sum()), int(kept_rows.sum())
    squares = heavy + float((weights / probability).sum())
    tenths = np.minimum(steps * 10 // STEPS, 9)
    certain = probability >= 1.0
    return {
        "heavy": heavy,
        "small": int(rows.sum()),
        "small_wanted": design.wanted,
        "small_expected": float((rows * probability).sum()),
        "small_kept": small,
        "small_certain": int(rows[certain].sum()),
        "ratio_wanted": sampling.balance_ratio,
        "ratio_expected": float((rows * probability).sum()) / heavy,
        "ratio": small / heavy,
        "lambda": design.factor if design.drawn else None,
        "certain_below_distance": _certain_below(steps, certain),
        "weights_of_small": float(weights.sum()),
        "largest_weight": float(1.0 / probability[kept_rows > 0].min()) if small else 1.0,
        "effective_sample_size": total * total / squares,
        "effective_share": total * total / squares / (heavy + small),
        "by_distance": [
            {
                "from": tenth / 10,
                "to": (tenth + 1) / 10,
                "rows": int(rows[tenths == tenth].sum()),
                "expected": float((rows * probability)[tenths == tenth].sum()),
                "kept": int(kept_rows[tenths == tenth].sum()),
            }
            for tenth in range(10)
        ],
        "note": (
            "Fewer small rows than wanted: all of them were kept."
            if not design.drawn and design.wanted < sampling.balance_ratio * heavy - 0.5
            else None
        ),
    }


def _certain_below(steps: np.ndarray, certain: np.ndarray) -> float:
    """The distance below which every row was kept."""
    doubtful = steps[~certain]
    return float(doubtful.min()) / STEPS if len(doubtful) else 1.0
