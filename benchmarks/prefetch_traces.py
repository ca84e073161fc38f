"""Replay plain traces: how often the next access is foreseen, and what a cache misses with prefetching.

    python benchmarks/prefetch_traces.py --data <folder or files of traces.parquet> [--delays 1,8] [--gru]

A trace has a column ``block`` (int64, in request order) and may have ``nblocks`` or ``size`` (bytes). The first 30 % of
each trace only warm up. Ids that were numbered by first appearance are permuted, because in them "the next id" is the
next block that nobody has read yet. Prefetched blocks live in the same cache as read ones; the baseline is LRU of the
same size. With --gru a network learns the part that only warms up, and is one more expert of the mixture afterwards.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from augury.pipelines.model_training.gru_training import fit_gru
from augury.pipelines.model_training.prefetch_models import GruSettings
from augury.predictors.access_baselines import ONLINE_RULES, online_rule, read_ahead, static_markov
from augury.predictors.access_state import RANKED
from augury.predictors.cache_state import ISSUED, MISSES, USED
from augury.predictors.plain_traces import trace_of
from augury.predictors.prefetch_replay import between, replay, replay_plain
from augury.predictors.prefetch_settings import GateSettings, MixtureSettings

WARM_UP = 0.3
SIZES = (1, 5, 10)


def judge(path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Replay one file."""
    table = pd.read_parquet(path).head(arguments.most)
    trace, facts = trace_of(table, path.stem, arguments.seed, WARM_UP)
    n, distinct = len(trace.blocks), len(np.unique(trace.blocks))
    first = int(WARM_UP * n)
    start, stop = np.array([first]), np.array([n])
    settings = [(max(1, int(share * distinct)), delay) for share in arguments.shares for delay in arguments.delays]
    mixture = MixtureSettings.model_validate(arguments.mixture)
    gate = GateSettings.model_validate(arguments.gate)
    external = None
    if arguments.gru:
        began = time.process_time()
        fit = fit_gru([trace.first(first)], GruSettings(use="on"), arguments.seed)
        external = fit.network.propose
        facts = facts | {"gru": fit.facts | {"cpu_seconds": time.process_time() - began}}
        mixture = mixture.model_copy(update={"experts": (*mixture.experts, "gru")})
    found = replay(trace, settings, mixture, gate, external)
    static_ranks, static = static_markov(trace, first)
    ranks = np.column_stack([found.ranks, static_ranks])[first:]
    names = [*RANKED, "markov_1_static"]
    hits = {
        name: [float(np.mean(ranks[:, place] <= size)) for size in SIZES]
        for place, name in enumerate(names)
        if name != "gru" or arguments.gru
    }
    rules: dict[str, Any] = {}
    if arguments.rules:
        rules = {"read_ahead": read_ahead(trace), "markov_1_static": static}
        rules |= {name: online_rule(name, mixture)(trace) for name in ONLINE_RULES}
    plain = {name: replay_plain(trace, settings, proposals) for name, proposals in rules.items()}
    rows = []
    for (capacity, delay), totals in found.totals.items():
        own, lru = between(totals, start, stop)[0]
        row = {
            "cache": capacity,
            "delay": delay,
            "lru_misses": int(lru[MISSES]),
            "change": own[MISSES] / lru[MISSES] - 1,
            "precision": own[USED] / max(own[ISSUED], 1),
            "coverage": own[USED] / lru[MISSES],
            "extra_fetches": (own[MISSES] + own[ISSUED] - lru[MISSES]) / (n - first),
        }
        for name, histories in plain.items():
            row[name] = between(histories[capacity, delay][:, MISSES], start, stop)[0] / lru[MISSES] - 1
        rows.append(row)
    best = max((name for name in hits if name != "mixture"), key=lambda name: hits[name][0])
    return facts | {
        "trace": trace.name,
        "accesses": n,
        "blocks": distinct,
        "hits": hits,
        "best_rule": best,
        "over_best_rule": hits["mixture"][0] - hits[best][0],
        "mixture_us": found.mixture_seconds / n * 1e6,
        "gate_us": found.cache_seconds / n / len(settings) * 1e6,
        "table_mb": found.mixture.memory_bytes / 1e6,
        "ghost_mb": max(cache.memory_bytes for cache in found.caches.values()) / 1e6,
        "caches": rows,
    }


def show(found: dict[str, Any]) -> None:
    """Print what came out, for a person."""
    print(
        f"\n{found['trace']}: {found['accesses']:,} accesses of {found['blocks']:,} blocks"
        f"{', ids permuted' if found['permuted'] else ''}; {found['mixture_us']:.1f} us a decision, "
        f"{found['gate_us']:.1f} us its gate; tables {found['table_mb']:.0f} MB, ghosts {found['ghost_mb']:.1f} MB"
    )
    if "gru" in found:
        print(f"  network: {found['gru']}")
    print(f"  best single rule at 1: {found['best_rule']}; the mixture is {found['over_best_rule']:+.4f} above it")
    ordered = sorted(found["hits"].items(), key=lambda item: -item[1][0])
    print("  hit@1/5/10: " + ", ".join(f"{name} {'/'.join(f'{v:.3f}' for v in values)}" for name, values in ordered))
    print(pd.DataFrame(found["caches"]).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def numbers(kind: Any) -> Any:
    """A parser of numbers between commas."""
    return lambda text: [kind(part) for part in text.split(",")]


def main() -> None:
    """Replay all traces that are given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders or Parquet files")
    parser.add_argument("--most", type=int, default=10_000_000, help="accesses of each trace")
    parser.add_argument("--shares", type=numbers(float), default=[0.01, 0.05], help="cache sizes, of the blocks")
    parser.add_argument("--delays", type=numbers(int), default=[1, 2, 4, 8], help="accesses until a prefetch arrives")
    parser.add_argument("--mixture", type=json.loads, default={}, help="settings of the mixture, JSON")
    parser.add_argument("--gate", type=json.loads, default={}, help="settings of the gate, JSON")
    parser.add_argument("--rules", action=argparse.BooleanOptionalAction, default=True, help="replay plain rules too")
    parser.add_argument("--gru", action="store_true", help="with a network among the experts")
    parser.add_argument("--seed", type=int, default=42, help="of the permutation of ids")
    parser.add_argument("--out", type=Path, help="JSON with all figures")
    arguments = parser.parse_args()
    files = [file for path in arguments.data for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])]
    began = time.process_time()
    results = []
    for file in files:
        results.append(judge(file, arguments))
        show(results[-1])
    print(f"\n{time.process_time() - began:.0f} CPU seconds")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1, default=float) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
