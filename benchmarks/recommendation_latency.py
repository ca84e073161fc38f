"""Latency of recommendations on one core: the top 10 for one user among 10,000 items, and for all users at once.

python benchmarks/recommendation_latency.py [--items 10000] [--users 4074] [--catalogue 3145] [--model FOLDER]

The time of a recommendation does not depend on what was learned, so the models are drawn at random in the sizes of
real ones: iALS with 64 factors, EASE, 200 neighbours per item, NeuMF with 64 factors and layers of 128, 64 and 32, and
the default blend of the first three. With --model a trained recommender is measured instead. Bars: 2 ms for one user,
2 s for all.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FACTORS, NEIGHBOURS, EMBEDDING, LAYERS = 64, 200, 64, (128, 64, 32)
HISTORY = 30
KINDS = ("ials", "ease", "item_knn", "neumf", "blend")
BLEND = ("ials", "ease", "item_knn", "neumf")
ONE_USER_MS, ALL_USERS_S = 2.0, 2.0


def pin_to_one_core() -> None:
    """Keep this process on one core; before any library starts threads of its own."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ.update(dict.fromkeys(THREADS, "1"))


def member(kind: str, users: int, items: int, random: Any) -> Any:
    """A member of a mixture with tables of random numbers."""
    import numpy as np

    from augury.predictors.recommender_scorers import (
        FactorScorer,
        ItemScorer,
        LeastSquares,
        NeighbourScorer,
        NeuralScorer,
    )

    def table(*shape: int) -> Any:
        return random.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5)

    match kind:
        case "ials":
            return FactorScorer(table(users, FACTORS), table(items, FACTORS), LeastSquares(0.3, 0.007))
        case "ease":
            return ItemScorer(table(items, items))
        case "item_knn":
            drawn = random.integers(0, items - NEIGHBOURS, size=(items, NEIGHBOURS), dtype=np.int32)
            neighbours = np.sort(drawn, axis=1) + np.arange(NEIGHBOURS, dtype=np.int32)  # each once
            indptr = np.arange(0, items * NEIGHBOURS + 1, NEIGHBOURS, dtype=np.int64)
            return NeighbourScorer(indptr, neighbours.ravel(), random.random(items * NEIGHBOURS, dtype=np.float32))
    first, *_ = LAYERS
    tensors = {
        "gmf_users": table(users, EMBEDDING),
        "gmf_items": table(items, EMBEDDING),
        "gmf_output": table(EMBEDDING),
        "mlp_users": table(users, EMBEDDING),
        "mlp_items": table(items, EMBEDDING),
        "layer_0_user": table(first, EMBEDDING),
        "layer_0_item": table(first, EMBEDDING),
        "bias_0": table(first),
        "mlp_output": table(LAYERS[-1]),
        "bias": table(1),
    }
    for depth in range(1, len(LAYERS)):
        tensors |= {f"layer_{depth}": table(LAYERS[depth], LAYERS[depth - 1]), f"bias_{depth}": table(LAYERS[depth])}
    return NeuralScorer("neumf", tensors)


def recommender(kind: str, users: int, items: int, seed: int) -> Any:
    """A recommender of one kind, whose users have turned to 30 items each."""
    import numpy as np

    from augury.predictors.contract import DataFacts, Metadata
    from augury.predictors.recommendation import INPUTS, OUTPUTS, Recommender
    from augury.predictors.recommender_scorers import Mixture
    from augury.predictors.user_histories import Histories

    random = np.random.default_rng(seed)
    chosen = np.sort(random.integers(0, items - HISTORY, size=(users, HISTORY)), axis=1) + np.arange(HISTORY)
    count = users * HISTORY
    histories = Histories.from_pairs(
        np.repeat(np.arange(users), HISTORY),
        chosen.ravel(),
        np.ones(count, dtype=np.float32),
        np.arange(count),
        (users, items),
    )
    metadata = Metadata(
        predictor="recommendation",
        family="top_k_recommender",
        task="ranking: implicit top-k recommendation",
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=(),
        parameters={},
        data=DataFacts(fingerprint="", rows=count, groups=users, origin={}),
        versions={},
        seed=seed,
        git_commit=None,
        created_at="",
    )
    kinds = BLEND if kind == "blend" else (kind,)
    return Recommender(
        metadata,
        Mixture([member(name, users, items, random) for name in kinds], [1 / len(kinds)] * len(kinds)),
        histories,
        random.random(items, dtype=np.float32),
        [f"user_{code}" for code in range(users)],
        [f"item_{code}" for code in range(items)],
    )


class Stopwatch:
    """Wall and CPU time; the process keeps to one core, so on a quiet machine they are the same."""

    def __init__(self) -> None:
        """Start."""
        self._start = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Seconds of wall and of CPU time since the start."""
        return time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def measure_one(model: Any, repeats: int, k: int) -> Any:
    """Milliseconds of each call: wall and CPU time, shape ``(repeats, 2)``."""
    import numpy as np

    users = model.user_ids.tolist()
    found = []
    for number in range(repeats + 20):
        watch = Stopwatch()
        model.recommend([users[number % len(users)]], k)
        found.append(watch.read())
    return 1000 * np.array(found[20:])  # the first ones import and fill caches


def measure_all(model: Any, k: int) -> tuple[float, float]:
    """Seconds until all users have their list, wall and CPU time; the best of three."""
    found = []
    for _ in range(3):
        watch = Stopwatch()
        for _ in model.top_places(k):
            pass
        found.append(watch.read())
    wall, cpu = zip(*found, strict=True)
    return min(wall), min(cpu)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000, help="items that one user's list is chosen from")
    parser.add_argument("--users", type=int, default=4_074, help="users whose lists are all asked for")
    parser.add_argument("--catalogue", type=int, default=3_145, help="items that all users' lists are chosen from")
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--model", type=Path, help="folder of a trained recommender")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    pin_to_one_core()

    import numpy as np

    def report(name: str, one: Any, every: Any) -> None:
        wall, cpu = (np.percentile(column, [50, 99]) for column in measure_one(one, chosen.repeats, chosen.k).T)
        seconds, cpu_seconds = measure_all(every, chosen.k)
        met = "met" if cpu[0] <= ONE_USER_MS and cpu_seconds <= ALL_USERS_S else "MISSED"
        print(
            f"{name:9} one user, {len(one.item_ids):,} items: p50 {wall[0]:.2f} (CPU {cpu[0]:.2f})  "
            f"p99 {wall[1]:.2f} (CPU {cpu[1]:.2f}) ms   all users, {len(every.user_ids):,} x {len(every.item_ids):,}: "
            f"{seconds:.2f} (CPU {cpu_seconds:.2f}) s   bars {met} in CPU time",
            flush=True,
        )

    if chosen.model is not None:
        from augury.predictors.recommendation import Recommender

        start = time.perf_counter()
        model = Recommender.load(chosen.model)
        print(f"loading {time.perf_counter() - start:.2f} s")
        report("+".join(part.kind for part in model.mixture.members), model, model)
        return
    for kind in chosen.kinds:
        large = recommender(kind, 500, chosen.items, chosen.seed)
        report(kind, large, recommender(kind, chosen.users, chosen.catalogue, chosen.seed))


if __name__ == "__main__":
    main()
