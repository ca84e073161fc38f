"""Judging a recommender on held-out pairs: on all of them, on slices, and beside baselines.

The predictions frame is that of ``ranking_predictions``: one row per held-out pair of a user and an item. The metrics
without a prefix are those of the full ranking, among all items that the user has not seen; those that begin with
``sampled_`` are those of the protocol with sampled negatives, for comparison with the literature alone. All are means
over users, and users are what is resampled.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.bootstrap import Floats, Sums, bootstrap_intervals, ends
from augury.metrics.exposure import exposures, gini, mean_of_lists, popularity_percentiles
from augury.metrics.metrics_mapping import json_number, with_facts
from augury.metrics.top_k import FULL, SAMPLED, frame_metrics
from augury.pipelines.evaluation.holdout import OTHER, numeric_column, require_columns, slice_labels, slice_place
from augury.pipelines.evaluation.ranking_parameters import RankingEvaluation

MODEL = "model"
RANK_COLUMN = re.compile(rf"(?P<baseline>\w+)_{FULL}_rank")
ABOVE = "above"
UNIT = "users"
_NAMED = ("head", "middle", "tail", "cold")


def evaluate_ranking(
    predictions: pd.DataFrame,
    primary_items: pd.DataFrame,
    facts: dict[str, Any],
    evaluation: RankingEvaluation,
    seed: int,
) -> dict[str, Any]:
    """Compute all metrics of the model on the held-out pairs.

    Args:
        predictions: The frame that the docstring of ``ranking_predictions`` describes.
        primary_items: In the order of their codes: ``interactions`` (of training).
        facts: What else to record, with ``n_train`` at least.
        evaluation: How to judge.
        seed: Seed of the model and of the resampling.

    Returns:
        A metrics mapping: the facts, ``n_test`` (pairs), ``n_test_groups`` (users), ``n_items``, ``n_cold`` (pairs
        whose user or item is not in training; they count in all metrics but ``warm_ndcg_at_<k>``), ``n_cold_users``,
        ``n_cold_items``, ``seed``, ``unit``, ``confidence``; ``hr_at_<k>``, ``ndcg_at_<k>``, ``recall_at_<k>`` for
        every size, ``mrr``, ``median_rank`` (1 is the first place); ``sampled_hr_at_<k>``, ``sampled_ndcg_at_<k>``,
        ``sampled_mrr``, ``sampled_negatives`` (their median number); ``coverage_at_<k>`` (the share of items on some
        list), ``gini_at_<k>`` (of how often items are on lists), ``popularity_of_recommended_at_<k>`` and
        ``popularity_of_consumed`` (mean percentiles) and ``popularity_bias_at_<k>``, the former less the latter; for
        every baseline ``ndcg_at_<k>_above_<baseline>`` and ``sampled_ndcg_at_<k>_above_<baseline>``; ``intervals``.

    Raises:
        UserError: The frame breaks a rule, or ``n_train`` is not among the facts.
    """
    names = baseline_names(predictions)
    k = evaluation.k
    table = _of_users(predictions, evaluation) | _popularity(predictions, primary_items, k)
    cold = (predictions["cold_user"] | predictions["cold_item"]).to_numpy()
    table |= {f"warm_ndcg_at_{k}": _of_users(predictions[~cold], evaluation).get(f"ndcg_at_{k}", _nothing())}
    for name in names:
        for metric, difference in _leads(predictions, table, name, evaluation).items():
            table[f"{metric}_{ABOVE}_{name}"] = difference
    means, intervals = _means(table, evaluation, seed)
    shown = exposures(_lists(predictions), k, len(primary_items))
    computed: dict[str, Any] = {
        "n_test": len(predictions),
        "n_test_groups": predictions["user"].nunique(),
        "n_items": len(primary_items),
        "n_cold": int(cold.sum()),
        "n_cold_users": predictions.loc[predictions["cold_user"], "user"].nunique(),
        "n_cold_items": predictions.loc[predictions["cold_item"], "item"].nunique(),
        "seed": seed,
        "unit": UNIT,
        "confidence": evaluation.confidence,
        **means,
        "median_rank": float(predictions[f"{FULL}_rank"].median()) + 1,
        "sampled_negatives": int(predictions["sampled_negatives"].median()),
        f"coverage_at_{k}": float((shown > 0).mean()),
        f"gini_at_{k}": json_number(gini(shown)),
    }
    return with_facts(facts, computed, intervals)


def compare_baselines(
    predictions: pd.DataFrame, primary_items: pd.DataFrame, evaluation: RankingEvaluation, seed: int
) -> list[dict[str, Any]]:
    """Set the model beside the baselines, under both protocols, on the same pairs and resamples.

    Args:
        predictions: The frame that the docstring of ``ranking_predictions`` describes.
        primary_items: In the order of their codes: ``interactions`` (of training).
        evaluation: How to judge.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows, the model first, then the baselines by falling NDCG: ``model, kind`` (``model`` or
        ``baseline``), ``hr_at_<k>, ndcg_at_<k>, recall_at_<k>, ndcg_at_<k>_above`` (the model's less this one's, with
        a paired interval), ``mrr, sampled_hr_at_<k>, sampled_ndcg_at_<k>, sampled_ndcg_at_<k>_above, coverage_at_<k>,
        gini_at_<k>, popularity_bias_at_<k>``; ``_lower`` and ``_upper`` where there are intervals.
    """
    k = evaluation.k
    model = _of_users(predictions, evaluation)
    contenders = {MODEL: ("", "model"), **{name: (f"{name}_", "baseline") for name in baseline_names(predictions)}}
    rows: list[dict[str, Any]] = []
    for name, (prefix, kind) in contenders.items():
        table = _of_users(predictions, evaluation, prefix) | _popularity(predictions, primary_items, k, prefix)
        leads = {} if kind == "model" else _leads(predictions, model, name, evaluation)
        table |= {f"{metric}_{ABOVE}": difference for metric, difference in leads.items()}
        means, intervals = _means(table, evaluation, seed)
        shown = exposures(_lists(predictions, prefix), k, len(primary_items))
        plain = {f"coverage_at_{k}": float((shown > 0).mean()), f"gini_at_{k}": json_number(gini(shown))}
        row: dict[str, Any] = {"model": name, "kind": kind}
        for metric in _compared(k):
            row |= {metric: (means | plain).get(metric), **ends(metric, intervals.get(metric))}
        rows.append(row)
    return [rows[0], *sorted(rows[1:], key=lambda row: -(row[f"ndcg_at_{k}"] or 0))]


def evaluate_slices(predictions: pd.DataFrame, evaluation: RankingEvaluation, seed: int) -> list[dict[str, Any]]:
    """Break the metrics down by the values of the slice columns.

    Args:
        predictions: The frame that the docstring of ``ranking_predictions`` describes.
        evaluation: How to judge; names the slice columns and the smallest slice.
        seed: Seed of the resampling.

    Returns:
        JSON-ready rows by slice column and value, ranges and thirds in their order, else the largest slice first, and
        ``(other)`` last: ``slice, value, n`` (pairs), ``groups`` (users), ``hr_at_<k>, ndcg_at_<k>, mrr,
        sampled_hr_at_<k>, sampled_ndcg_at_<k>``, each with ``_lower`` and ``_upper``. A column whose rows all have the
        same value is left out.
    """
    require_columns(predictions, evaluation.slices)
    k = evaluation.k
    metrics = (f"hr_at_{k}", f"ndcg_at_{k}", "mrr", f"sampled_hr_at_{k}", f"sampled_ndcg_at_{k}")
    rows: list[dict[str, Any]] = []
    for column in evaluation.slices:
        labels = _labels(predictions[column], evaluation.min_slice_rows)
        sizes = labels.value_counts()
        order = sorted(sizes.index, key=lambda label: slice_place(label, sizes[label], _NAMED))
        for label in order if len(sizes) > 1 else []:
            inside = predictions[labels == label]
            means, intervals = _means(_of_users(inside, evaluation), evaluation, seed)
            row: dict[str, Any] = {
                "slice": column,
                "value": label,
                "n": len(inside),
                "groups": inside["user"].nunique(),
            }
            for metric in metrics:
                row |= {metric: means.get(metric), **ends(metric, intervals.get(metric))}
            rows.append(row)
    return rows


def baseline_names(predictions: pd.DataFrame) -> list[str]:
    """The baselines of a predictions frame, in its order.

    Raises:
        UserError: The frame breaks a rule.
    """
    require_columns(predictions, ["user", "item", f"{FULL}_rank", f"{SAMPLED}_rank", "top", "cold_user", "cold_item"])
    numeric_column(predictions, f"{FULL}_rank", minimum=0)
    matches = (RANK_COLUMN.fullmatch(str(name)) for name in predictions.columns)
    names = [match["baseline"] for match in matches if match]
    require_columns(predictions, [f"{name}_{column}" for name in names for column in (f"{SAMPLED}_rank", "top")])
    for name in names:
        numeric_column(predictions, f"{name}_{FULL}_rank", minimum=0)
    return names


def _compared(k: int) -> list[str]:
    full = [f"hr_at_{k}", f"ndcg_at_{k}", f"recall_at_{k}", f"ndcg_at_{k}_{ABOVE}", "mrr"]
    sampled = [f"sampled_hr_at_{k}", f"sampled_ndcg_at_{k}", f"sampled_ndcg_at_{k}_{ABOVE}"]
    return [*full, *sampled, f"coverage_at_{k}", f"gini_at_{k}", f"popularity_bias_at_{k}"]


def _of_users(predictions: pd.DataFrame, evaluation: RankingEvaluation, prefix: str = "") -> dict[str, pd.Series]:
    """Metric -> its value of every user that has one."""
    if predictions.empty:
        return {}
    full = frame_metrics(predictions, evaluation.sizes, FULL, prefix)
    sampled = frame_metrics(predictions, evaluation.sizes, SAMPLED, prefix)
    # Among sampled items each pair is ranked on its own, where recall and hit rate are the same
    apart = [name for name in sampled if not str(name).startswith("recall")]
    found = {str(name): full[name] for name in full}
    return found | {f"{SAMPLED}_{name}": sampled[name] for name in apart}


def _nothing() -> pd.Series:
    return pd.Series(dtype=np.float64, index=pd.Index([], name="user"))


def _leads(
    predictions: pd.DataFrame, model: Mapping[str, pd.Series], baseline: str, evaluation: RankingEvaluation
) -> dict[str, pd.Series]:
    other = _of_users(predictions, evaluation, f"{baseline}_")
    names = (f"ndcg_at_{evaluation.k}", f"{SAMPLED}_ndcg_at_{evaluation.k}")
    return {name: (model[name] - other[name]).dropna() for name in names}


def _lists(predictions: pd.DataFrame, prefix: str = "") -> list[Any]:
    """Every user's list once, users ascending."""
    return predictions.drop_duplicates("user").sort_values("user")[f"{prefix}top"].to_list()


def _popularity(
    predictions: pd.DataFrame, primary_items: pd.DataFrame, k: int, prefix: str = ""
) -> dict[str, pd.Series]:
    """How popular what is recommended is, and what users turn to."""
    percentiles = popularity_percentiles(primary_items["interactions"].to_numpy())
    users = np.unique(predictions["user"].to_numpy())
    recommended = pd.Series(mean_of_lists(percentiles, _lists(predictions, prefix), k), index=users).dropna()
    of_pairs = pd.Series(percentiles[predictions["item"].to_numpy()], index=predictions["user"].to_numpy())
    consumed = of_pairs.groupby(level=0).mean()
    return {
        f"popularity_of_recommended_at_{k}": recommended,
        "popularity_of_consumed": consumed,
        f"popularity_bias_at_{k}": (recommended - consumed).dropna(),
    }


def _means(
    table: Mapping[str, pd.Series], evaluation: RankingEvaluation, seed: int
) -> tuple[dict[str, float | None], dict[str, list[float]]]:
    """Means over users, and their intervals; a user without a value is left out of a metric."""
    users = np.unique(np.concatenate([values.index.to_numpy() for values in table.values()]))
    means: dict[str, float | None] = {}
    contributions: dict[str, Floats] = {}
    for name, values in table.items():
        means[name] = json_number(values.mean()) if len(values) else None
        placed = values.reindex(users)
        contributions[name] = placed.fillna(0.0).to_numpy(dtype=np.float64)
        contributions[f"{name} counted"] = np.isfinite(placed.to_numpy(dtype=np.float64)).astype(np.float64)

    def mean(name: str) -> Any:
        def of_sums(sums: Sums) -> Floats:
            return np.asarray(sums[name] / sums[f"{name} counted"])

        return of_sums

    intervals = bootstrap_intervals(
        contributions,
        {name: mean(name) for name in table},
        users,
        replicates=evaluation.bootstrap_replicates,
        confidence=evaluation.confidence,
        seed=seed,
    )
    return means, {name: interval for name, interval in intervals.items() if means[name] is not None}


def _labels(values: pd.Series, smallest: int) -> pd.Series:
    """Labels of slices; a rare value that nothing is merged with keeps its name."""
    labels = slice_labels(values, smallest)
    merged = values[labels == OTHER]
    return slice_labels(values, 1) if merged.nunique(dropna=False) == 1 else labels
