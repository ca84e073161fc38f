"""Queries per second and latency of `query_cost` on one core: one query at a time, and whole frames.

python benchmarks/query_prediction.py [--model data/06_models/query_cost] [--queries 5000]

"End to end" is from the text and what is known of its session to the probability: tokens, features, history, model.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOG = ROOT / "data/01_raw/query_cost/query_log.parquet"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def pin_to_one_core() -> None:
    """Keep this process on one core; before any library starts threads of its own."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ.update(dict.fromkeys(THREADS, "1"))


def latencies(task: Callable[[Any], object], items: list[Any]) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for item in items:
        start = time.perf_counter()
        task(item)
        found.append(1000 * (time.perf_counter() - start))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "data/06_models/query_cost")
    parser.add_argument("--data", type=Path, default=LOG, help="query log that the texts are drawn from")
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    pin_to_one_core()

    import numpy as np
    import pandas as pd

    from augury.predictors.query_columns import REQUEST
    from augury.predictors.query_cost import QueryCostPredictor
    from augury.predictors.query_routing import QueryRouter, RoutingSettings

    log = pd.read_parquet(chosen.data).dropna(subset=["query"])
    rows = log.sample(min(chosen.queries, len(log)), random_state=chosen.seed).reindex(columns=list(REQUEST))
    rows["create_time"] = rows["create_time"].dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    rows = rows.astype(object).replace({np.nan: None})
    requests = rows.to_dict("records")
    start = time.perf_counter()
    predictor = QueryCostPredictor.load(chosen.model)
    print(f"loading {time.perf_counter() - start:.2f} s")
    router = QueryRouter(predictor, RoutingSettings(), predictor.heavy_templates())
    tasks: dict[str, Callable[[Any], object]] = {"predict_one": predictor.predict_one, "router": router.route}
    for name, task in tasks.items():
        latencies(task, requests[:200])
        p50, p90, p99, worst = np.percentile(latencies(task, requests), [50, 90, 99, 100])
        print(f"{name:12} {len(requests):6} queries  p50 {p50:.3f}  p90 {p90:.3f}  p99 {p99:.3f}  max {worst:.3f} ms")
    for size in (1, 100, len(rows)):
        frame = rows.head(size)
        repeats = max(1, 500 // size)
        start = time.perf_counter()
        for _ in range(repeats):
            predictor.predict(frame)
        rate = repeats * size / (time.perf_counter() - start)
        print(f"predict      frames of {size:6}  {rate:10.0f} queries/s")
    print(
        "texts of the sample: characters "
        + ", ".join(
            f"p{share} {value:.0f}"
            for share, value in zip((50, 99, 100), np.percentile(rows["query"].str.len(), (50, 99, 100)), strict=True)
        )
    )


if __name__ == "__main__":
    main()
