"""Replay the held-out part of traces: what a cache misses, beside plain rules, and how often the next was foreseen."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.metrics.bootstrap import Floats, Sums, bootstrap_intervals
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.predictors.access_baselines import ONLINE_RULES, Proposals, online_rule, read_ahead, static_markov
from augury.predictors.access_engine import OnlineMixture
from augury.predictors.access_state import RANKED
from augury.predictors.cache_state import ISSUED, MISSES, USED
from augury.predictors.prefetch import Prefetcher
from augury.predictors.prefetch_replay import (
    Replayed,
    Trace,
    between,
    case_values,
    replay_plain,
    settings_of,
    traces_of,
)

Array = npt.NDArray[Any]
LRU = "lru"
BASELINES = (LRU, "read_ahead", "markov_1_static", *ONLINE_RULES)
STATIC = "markov_1_static"
MODEL = "mixture"
SIZES = (1, 5, 10)
TIMED, TIMED_AT_ONCE = 20_000, 500
"""Accesses by which decisions are timed, and how many together: the clock is coarser than one decision."""


class _Judged(NamedTuple):
    """One trace after its replay."""

    predictions: pd.DataFrame
    hits: pd.DataFrame
    """Per window: ``trace``, ``group``, ``n``, and per model and size the hits."""
    replayed: Replayed


def replay_holdout(
    predictor: Prefetcher,
    features_holdout: pd.DataFrame,
    features_accesses: pd.DataFrame,
    evaluation: PolicyEvaluation,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Replay every trace from its beginning; judge the windows of its held-out part.

    Prefetched blocks live in the same cache as read ones, which is no larger than that of the baselines. All models
    learn while they run, from the same accesses, except ``markov_1_static``, which learns from the training part.

    Args:
        predictor: Trained.
        features_holdout: Cases: ``case``, ``group``, ``trace``, ``start``, ``stop``, ``share``, ``capacity`` and
            ``delay``.
        features_accesses: ``trace``, ``place``, ``session``, ``block``, ``span``, ``part``.
        evaluation: How to judge.
        seed: Of the resampling.

    Returns:
        The cases' costs, see ``policy_holdout``; how often the next access was foreseen (``hit_at_<k>`` over all
        accesses, an unknown one is a miss); what became of the prefetches; and facts: ``n_train``, ``decision_us_p50``,
        ``decision_us_p95``, ``gate_us``, ``table_bytes``, ``ghost_bytes``.
    """
    learned = features_accesses[features_accesses["part"] == "train"].groupby("trace")["place"].count()
    cases_of = {str(name): cases for name, cases in features_holdout.groupby("trace", sort=True)}
    judged = [
        _judge_trace(predictor, trace, cases_of[trace.name], int(learned[trace.name]))
        for trace in traces_of(features_accesses)
        if trace.name in cases_of
    ]
    predictions = pd.concat([part.predictions for part in judged], ignore_index=True)
    hits = pd.concat([part.hits for part in judged], ignore_index=True)
    ghosts = [cache.memory_bytes for part in judged for cache in part.replayed.caches.values()]
    served = sum(len(part.replayed.ranks) * len(part.replayed.caches) for part in judged)
    facts = {
        "n_train": int(learned.sum()),
        "table_bytes": predictor.mixture.memory_bytes,
        "ghost_bytes": max(ghosts),
        "gate_us": sum(part.replayed.cache_seconds for part in judged) / served * 1e6,
        **_decision_times(predictor, next(iter(traces_of(features_accesses)))),
    }
    columns = [name for name in map(str, predictions) if not name.startswith("prefetch_")]
    return predictions[columns], _hits(hits, evaluation, seed), _prefetches(predictions, evaluation, seed), facts


def _judge_trace(predictor: Prefetcher, trace: Trace, cases: pd.DataFrame, learned: int) -> _Judged:
    settings = settings_of(cases)
    replayed = predictor.replay_trace(trace, cases)
    static_ranks, static = static_markov(trace, learned)
    rules: dict[str, Proposals | None] = {LRU: None, "read_ahead": read_ahead(trace), STATIC: static}
    rules |= {name: online_rule(name, predictor.mixture.settings)(trace) for name in ONLINE_RULES}
    own = {setting: history[:, 0] for setting, history in replayed.totals.items()}
    found = pd.DataFrame(
        {
            "case": cases["case"].to_numpy(),
            "group": cases["group"].to_numpy(),
            "cost": case_values(cases, own, MISSES),
            "slice_trace": cases["trace"].to_numpy(),
            "slice_cache": [f"{share:.3g} of the blocks" for share in cases["share"]],
            "slice_delay": [f"{delay} accesses" for delay in cases["delay"]],
            "prefetch_issued": case_values(cases, own, ISSUED),
            "prefetch_used": case_values(cases, own, USED),
            "prefetch_accesses": (cases["stop"] - cases["start"]).to_numpy(),
        }
    )
    for name, proposals in rules.items():
        found[f"cost_baseline_{name}"] = case_values(cases, replay_plain(trace, settings, proposals), MISSES)
    ranks = np.column_stack([replayed.ranks, static_ranks])
    windows = cases.drop_duplicates("start")
    starts, stops = windows["start"].to_numpy(), windows["stop"].to_numpy()
    hits = pd.DataFrame({"trace": trace.name, "group": windows["group"].to_numpy(), "n": stops - starts})
    for place, name in enumerate((*RANKED, STATIC)):
        if name != "gru" or predictor.network is not None:
            for size in SIZES:
                hits[f"{name}@{size}"] = between(np.cumsum(ranks[:, place] <= size), starts, stops)
    return _Judged(found, hits, replayed)


def _decision_times(predictor: Prefetcher, trace: Trace) -> dict[str, float]:
    """CPU time of a decision of the mixture, after it has seen the beginning of a trace."""
    online = OnlineMixture(predictor.mixture.settings)
    external = None if predictor.network is None else predictor.network.propose(trace)
    times = []
    for start in range(0, min(len(trace.blocks), TIMED), TIMED_AT_ONCE):
        part = slice(start, start + TIMED_AT_ONCE)
        began = time.process_time()
        online.observe(
            trace.blocks[part], trace.sessions[part], trace.spans[part], None if external is None else external[part]
        )
        times.append((time.process_time() - began) / len(trace.blocks[part]) * 1e6)
    if not times:
        return {}
    return {f"decision_us_p{share}": float(np.percentile(times, share)) for share in (50, 95)}


def _hits(hits: pd.DataFrame, evaluation: PolicyEvaluation, seed: int) -> dict[str, Any]:
    """hit@k over all accesses, of the mixture, each expert and the plain rules."""
    names = [name.removesuffix("@1") for name in map(str, hits) if name.endswith("@1")]
    others = [name for name in names if name != MODEL]
    tables: list[dict[str, Any]] = []
    worst = np.inf
    for trace, rows in [("(all)", hits), *hits.groupby("trace", sort=True)]:
        total = rows["n"].sum()
        best = max(others, key=lambda name: rows[f"{name}@1"].sum())
        if trace != "(all)":
            worst = min(worst, float((rows[f"{MODEL}@1"].sum() - rows[f"{best}@1"].sum()) / total))
        tables.extend(
            {"trace": trace, "model": name, **{f"hit@{k}": float(rows[f"{name}@{k}"].sum() / total) for k in SIZES}}
            for name in names
        )
    best = max(others, key=lambda name: hits[f"{name}@1"].sum())
    statistics: dict[str, Callable[[Sums], Floats]] = {f"hit_at_{k}": _hit_rate(k) for k in SIZES}
    statistics["hit_at_1_over_best_rule"] = lambda sums: (sums[f"{MODEL}@1"] - sums[f"{best}@1"]) / sums["n"]
    metrics, intervals = _measured(hits, statistics, evaluation, seed)
    return {
        "metrics": metrics | {"hit_at_1_over_best_rule_worst_trace": worst, "best_rule_at_1": best},
        "intervals": intervals,
        "tables": {"How often the next access was foreseen": tables},
    }


def _hit_rate(size: int) -> Callable[[Sums], Floats]:
    return lambda sums: sums[f"{MODEL}@{size}"] / sums["n"]


def _prefetches(predictions: pd.DataFrame, evaluation: PolicyEvaluation, seed: int) -> dict[str, Any]:
    """What became of the prefetches, in all and per trace, cache size and delay."""
    plain = f"cost_baseline_{LRU}"
    statistics: dict[str, Callable[[Sums], Floats]] = {
        "miss_change": lambda sums: sums["cost"] / np.maximum(sums[plain], 1) - 1,
        "precision": lambda sums: sums["prefetch_used"] / np.maximum(sums["prefetch_issued"], 1),
        "coverage": lambda sums: sums["prefetch_used"] / np.maximum(sums[plain], 1),
        "issued_per_access": lambda sums: sums["prefetch_issued"] / sums["prefetch_accesses"],
        "extra_fetches_per_access": lambda sums: (
            (sums["cost"] + sums["prefetch_issued"] - sums[plain]) / sums["prefetch_accesses"]
        ),
    }
    metrics, intervals = _measured(predictions, statistics, evaluation, seed)
    rows: list[dict[str, Any]] = []
    slices = ["slice_trace", "slice_cache", "slice_delay"]
    columns = ["cost", plain, "prefetch_issued", "prefetch_used", "prefetch_accesses"]
    for keys, part in predictions.groupby(slices, sort=True):
        sums: dict[str, Any] = {name: float(part[name].sum()) for name in columns}
        named = dict(zip(("trace", "cache", "delay"), keys, strict=True))
        values = {name: float(function(sums)) for name, function in statistics.items()}
        rows.append(named | {"misses of LRU": int(sums[plain]), "misses": int(sums["cost"])} | values)
    worst = max(row["miss_change"] for row in rows)
    return {
        "metrics": metrics | {"miss_change_worst": worst},
        "intervals": intervals,
        "tables": {"What became of the prefetches": rows},
    }


def _measured(
    frame: pd.DataFrame,
    statistics: dict[str, Callable[[Sums], Floats]],
    evaluation: PolicyEvaluation,
    seed: int,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    numbers = frame.select_dtypes("number")
    contributions = {str(name): numbers[name].to_numpy(np.float64) for name in numbers}
    totals = {name: np.array([values.sum()]) for name, values in contributions.items()}
    values = {name: float(function(totals)[0]) for name, function in statistics.items()}
    intervals = bootstrap_intervals(
        contributions,
        statistics,
        pd.factorize(frame["group"])[0],
        replicates=evaluation.bootstrap_replicates,
        confidence=evaluation.confidence,
        seed=seed,
    )
    return values, intervals
