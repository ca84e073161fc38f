"""Bootstrap intervals of seven metrics, beside a loop that draws rows and asks scikit-learn, in the same run.

python benchmarks/validation_speed.py [--rows 20000] [--households 1000] [--replicates 1000]: simulated outcomes of
households. Both sides draw households. The loop is measured on fewer resamples and scaled up; its intervals, from that
many resamples, must agree with ours. Times are of one process's CPU.
"""

import argparse
import time

import numpy as np
from sklearn import metrics as sklearn_metrics

from augury.metrics.binary import BinaryRows, FurtherMetrics, Resampling, judge_binary

METRICS = ("roc_auc", "pr_auc", "brier", "log_loss", "precision_half", "f1_half", "ece")
THRESHOLD, BINS, LOOP_REPLICATES, REPEATS = 0.5, 15, 60, 3


def outcomes(rows: int, households: int, seed: int = 0) -> BinaryRows:
    """Outcomes whose probabilities are nearly true, and alike within a household."""
    random = np.random.default_rng(seed)
    household = random.integers(0, households, rows)
    odds = random.normal(-1.6, 1.6, rows) + random.normal(0, 0.8, households)[household]
    actual = random.random(rows) < 1 / (1 + np.exp(-odds))
    return BinaryRows(actual, 1 / (1 + np.exp(-odds - random.normal(0, 0.3, rows))), household)


def loop(rows: BinaryRows, replicates: int, edges: np.ndarray) -> dict[str, list[float]]:
    """What a textbook does: draw households, put their rows together, ask a library for every metric."""
    random = np.random.default_rng(1)
    members = [np.flatnonzero(rows.groups == household) for household in np.unique(rows.groups)]
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(replicates):
        drawn = np.concatenate([members[code] for code in random.integers(0, len(members), len(members))])
        actual, probability = rows.actual[drawn], rows.probability[drawn]
        bins = np.searchsorted(edges, probability)
        gaps = np.bincount(bins, weights=probability - actual)
        values = (
            sklearn_metrics.roc_auc_score(actual, probability),
            sklearn_metrics.average_precision_score(actual, probability),
            sklearn_metrics.brier_score_loss(actual, probability),
            sklearn_metrics.log_loss(actual, probability),
            sklearn_metrics.precision_score(actual, probability >= THRESHOLD),
            sklearn_metrics.f1_score(actual, probability >= THRESHOLD),
            np.abs(gaps).sum() / len(drawn),
        )
        for name, value in zip(METRICS, values, strict=True):
            found[name].append(float(value))
    return found


def main() -> None:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--households", type=int, default=1_000)
    parser.add_argument("--replicates", type=int, default=1_000)
    arguments = parser.parse_args()
    rows = outcomes(arguments.rows, arguments.households)
    judge_binary(rows, {"half": THRESHOLD}, None, BINS, Resampling(2, 0.95, 0))  # imports
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        judged = judge_binary(
            rows,
            {"half": THRESHOLD},
            None,
            BINS,
            Resampling(arguments.replicates, 0.95, 0),
            None,
            FurtherMetrics(goodness_of_fit=True),
        )
        seconds.append(time.process_time() - start)
    start = time.process_time()
    edges = np.unique(np.quantile(rows.probability, np.linspace(0, 1, BINS + 1)[1:-1]))
    looped = loop(rows, LOOP_REPLICATES, edges)
    of_loop = (time.process_time() - start) * arguments.replicates / LOOP_REPLICATES
    print(f"{arguments.rows:,} rows, {arguments.households:,} households, {arguments.replicates:,} resamples")
    print(f"one pass over group sums: {min(seconds):8.2f} s of CPU, {len(judged.intervals)} metrics with an interval")
    print(f"loop with scikit-learn:   {of_loop:8.2f} s of CPU, {len(METRICS)} metrics (scaled from {LOOP_REPLICATES})")
    print(f"ratio: {of_loop / min(seconds):.0f}")
    print(f"{'metric':20} {'one pass':>24} {'loop':>24}")
    for name in METRICS:
        ours, theirs = judged.intervals[name], np.quantile(looped[name], [0.025, 0.975])
        print(f"{name:20} {ours[0]:12.4f} {ours[1]:11.4f} {theirs[0]:12.4f} {theirs[1]:11.4f}")


if __name__ == "__main__":
    main()
