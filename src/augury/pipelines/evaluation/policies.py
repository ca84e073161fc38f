"""Judging a policy by what its choices cost: in all, on slices, beside plain rules and beside the oracle.

Ratios are those of sums over cases, so that a case counts by what it costs; groups of cases are what is resampled, and
all policies see the same resamples. The predictions frame is that of ``policy_holdout``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.bootstrap import Floats, Sums, bootstrap_intervals, ends
from augury.metrics.metrics_mapping import json_number, with_facts
from augury.pipelines.evaluation.holdout import require_columns, slice_labels, slice_place
from augury.pipelines.evaluation.policy_holdout import (
    BEST_BASELINE,
    MODEL,
    ORACLE,
    SLICE_PREFIX,
    Holdout,
    read_policies,
)
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation

Statistics = dict[str, Callable[[Sums], Floats]]


def evaluate_policies(
    predictions: pd.DataFrame, facts: dict[str, Any], evaluation: PolicyEvaluation, seed: int
) -> dict[str, Any]:
    """Compute the metrics of a policy on the replayed cases.

    Args:
        predictions: The frame that the docstring of ``policy_holdout`` describes.
        facts: What else to record, with ``n_train`` at least.
        evaluation: How to judge.
        seed: Seed of the model and of the resampling.

    Returns:
        A metrics mapping: the facts, ``n_test`` (cases), ``n_test_groups``, ``seed``, ``unit``, ``confidence``;
        ``cost`` (mean by case); ``best_baseline`` (the name of the one that costs least on these very cases, which
        favours it), ``cost_best_baseline``, ``cost_over_best_baseline``, ``saving_over_best_baseline`` (the share of
        its cost that the model saves), ``saving_over_<baseline>``; where the oracle is known ``cost_oracle``,
        ``cost_over_oracle``, ``regret`` (that less 1), ``regret_best_baseline`` and ``regret_over_best_baseline``,
        ``regret_over_<baseline>`` (the model's avoidable cost / the baseline's); where choices are known ``accuracy``
        (the share of cases in which it is the oracle's); ``intervals``.

    Raises:
        UserError: The frame breaks a rule, or ``n_train`` is not among the facts.
    """
    holdout = read_policies(predictions)
    best = holdout.best_baseline
    rivals = {BEST_BASELINE: best, **{name: name for name in holdout.baselines}}
    statistics = _mean_costs({"cost": MODEL, "cost_best_baseline": best}) | _ratio("cost_over_best_baseline", best)
    for label, name in rivals.items():
        statistics |= {f"saving_over_{label}": _saving(name)}
    if ORACLE in holdout.costs:
        statistics |= _mean_costs({"cost_oracle": ORACLE}) | _ratio("cost_over_oracle", ORACLE)
        statistics |= {"regret": _regret(MODEL), "regret_best_baseline": _regret(best)}
        statistics |= {f"regret_over_{label}": _regret_ratio(name) for label, name in rivals.items()}
    if {MODEL, ORACLE} <= set(holdout.choices):
        statistics |= {"accuracy": _agreement(MODEL)}
    values, intervals = _measured(holdout, statistics, evaluation, seed)
    computed: dict[str, Any] = {
        "n_test": len(holdout.frame),
        "n_test_groups": len(np.unique(holdout.groups)),
        "seed": seed,
        "unit": evaluation.unit,
        "confidence": evaluation.confidence,
        BEST_BASELINE: best,
        **values,
    }
    return with_facts(facts, computed, intervals)


def compare_baselines(predictions: pd.DataFrame, evaluation: PolicyEvaluation, seed: int) -> list[dict[str, Any]]:
    """Set the model beside the plain rules and the oracle, on the same cases and resamples.

    Args:
        predictions: The frame that the docstring of ``policy_holdout`` describes.
        evaluation: How to judge.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows, the model first, then the baselines by rising cost, then the oracle: ``model``, ``kind``
        (``model``, ``baseline`` or ``oracle``), ``cost`` (mean), ``saving`` (the share of this one's cost that the
        model saves),
        ``cost_over_oracle``, ``cheaper`` (the share of cases in which the model costs less than this one) and
        ``dearer``, ``accuracy``; ``_lower`` and ``_upper`` where there are intervals.
    """
    holdout = read_policies(predictions)
    cheapest_first = sorted(holdout.baselines, key=lambda name: (holdout.costs[name].sum(), name))
    kinds = {MODEL: MODEL, **dict.fromkeys(cheapest_first, "baseline")}
    kinds |= {ORACLE: ORACLE} if ORACLE in holdout.costs else {}
    rows: list[dict[str, Any]] = []
    for name, kind in kinds.items():
        statistics = _mean_costs({"cost": name})
        if name != MODEL:
            statistics |= {
                "saving": _saving(name),
                "cheaper": _mean(f"cheaper {name}"),
                "dearer": _mean(f"dearer {name}"),
            }
        if ORACLE in holdout.costs:
            statistics |= _ratio("cost_over_oracle", ORACLE, name)
        if {name, ORACLE} <= set(holdout.choices):
            statistics |= {"accuracy": _agreement(name)}
        values, intervals = _measured(holdout, statistics, evaluation, seed)
        row: dict[str, Any] = {"model": name, "kind": kind}
        for metric in ("cost", "saving", "cost_over_oracle", "cheaper", "dearer", "accuracy"):
            row |= {metric: values.get(metric), **ends(metric, intervals.get(metric))}
        rows.append(row)
    return rows


def evaluate_slices(predictions: pd.DataFrame, evaluation: PolicyEvaluation, seed: int) -> list[dict[str, Any]]:
    """Break the metrics down by the values of the slice columns.

    Args:
        predictions: The frame that the docstring of ``policy_holdout`` describes.
        evaluation: How to judge; names the slice columns and the smallest slice.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows by slice column and value, numbers ascending, else the largest slice first, and ``(other)``
        last: ``slice, value, n`` (cases), ``groups``, ``cost``, ``best_baseline`` (of this slice),
        ``saving_over_best_baseline`` (of the slice's own best), ``regret``, ``regret_over_best_baseline``,
        ``accuracy``; ``_lower`` and ``_upper`` where there are intervals. A column whose rows all have the same value
        is left out.
    """
    holdout = read_policies(predictions)
    found = [str(name) for name in holdout.frame if str(name).startswith(SLICE_PREFIX)]
    columns = found if evaluation.slices is None else evaluation.slices
    require_columns(predictions, columns)
    rows: list[dict[str, Any]] = []
    for column in columns:
        labels = slice_labels(holdout.frame[column], evaluation.min_slice_rows)
        sizes = labels.value_counts()
        for label in sorted(sizes.index, key=lambda label: slice_place(label, sizes[label])) if len(sizes) > 1 else []:
            part = holdout.part((labels == label).to_numpy())
            rows.append(
                {
                    "slice": column.removeprefix(SLICE_PREFIX),
                    "value": label,
                    "n": len(part.frame),
                    "groups": len(np.unique(part.groups)),
                    **_slice(part, evaluation, seed),
                }
            )
    return rows


def _slice(part: Holdout, evaluation: PolicyEvaluation, seed: int) -> dict[str, Any]:
    best = part.best_baseline
    statistics = _mean_costs({"cost": MODEL}) | {"saving_over_best_baseline": _saving(best)}
    if ORACLE in part.costs:
        statistics |= {"regret": _regret(MODEL), "regret_over_best_baseline": _regret_ratio(best)}
    if {MODEL, ORACLE} <= set(part.choices):
        statistics |= {"accuracy": _agreement(MODEL)}
    values, intervals = _measured(part, statistics, evaluation, seed)
    row: dict[str, Any] = {BEST_BASELINE: best}
    for metric, value in values.items():
        row |= {metric: value, **ends(metric, intervals.get(metric))}
    return row


def _measured(
    holdout: Holdout, statistics: Statistics, evaluation: PolicyEvaluation, seed: int
) -> tuple[dict[str, float | None], dict[str, list[float]]]:
    """Metrics of the sums over all cases, and their intervals."""
    contributions = dict(holdout.costs)
    for name, costs in holdout.costs.items():
        contributions[f"cheaper {name}"] = (holdout.costs[MODEL] < costs).astype(np.float64)
        contributions[f"dearer {name}"] = (holdout.costs[MODEL] > costs).astype(np.float64)
    for name, choices in holdout.choices.items() if ORACLE in holdout.choices else ():
        contributions[f"agrees {name}"] = (choices == holdout.choices[ORACLE]).astype(np.float64)
    sums = {name: np.array([values.sum()]) for name, values in contributions.items()}
    sums["rows"] = np.array([float(len(holdout.frame))])
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: json_number(statistic(sums)[0]) for name, statistic in statistics.items()}
    intervals = bootstrap_intervals(
        contributions,
        statistics,
        holdout.groups,
        replicates=evaluation.bootstrap_replicates,
        confidence=evaluation.confidence,
        seed=seed,
    )
    return values, {name: interval for name, interval in intervals.items() if values[name] is not None}


def _mean(name: str) -> Callable[[Sums], Floats]:
    return lambda sums: np.asarray(sums[name] / sums["rows"])


def _mean_costs(names: dict[str, str]) -> Statistics:
    return {metric: _mean(name) for metric, name in names.items()}


def _agreement(name: str) -> Callable[[Sums], Floats]:
    return _mean(f"agrees {name}")


def _ratio(metric: str, of: str, name: str = MODEL) -> Statistics:
    return {metric: lambda sums: np.asarray(sums[name] / sums[of])}


def _saving(of: str) -> Callable[[Sums], Floats]:
    return lambda sums: np.asarray(1 - sums[MODEL] / sums[of])


def _regret(name: str) -> Callable[[Sums], Floats]:
    return lambda sums: np.asarray(sums[name] / sums[ORACLE] - 1)


def _regret_ratio(of: str) -> Callable[[Sums], Floats]:
    """Undefined where the baseline costs less than the oracle, which then is no bound: a ratio of both has no sense."""

    def ratio(sums: Sums) -> Floats:
        baseline = sums[of] - sums[ORACLE]
        return np.asarray((sums[MODEL] - sums[ORACLE]) / np.where(baseline >= 0, baseline, np.nan))

    return ratio
