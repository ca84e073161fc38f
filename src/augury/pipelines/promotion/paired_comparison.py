"""How much better one model is than another on the same rows, and how sure that is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.bootstrap import CountStatistics, Floats, bootstrap_samples, percentile_intervals
from augury.metrics.metrics_mapping import json_number
from augury.metrics.ranking import Bools, Ranking, named
from augury.pipelines.promotion.rules import PromotionRules

IMPROVEMENT = "improvement"
CHAMPION = "champion"
CHALLENGER = "challenger"


def compare_losses(
    losses: Mapping[str, Floats], groups: Any, rules: PromotionRules, seed: int
) -> dict[str, float | None]:
    """Compare the mean losses of both models.

    Args:
        losses: ``champion`` and ``challenger`` -> loss of each row, shape ``(rows,)``.
        groups: Group of each row.
        rules: Replicates and confidence.
        seed: Seed of the resampling.

    Returns:
        ``champion`` and ``challenger``, the mean losses; ``improvement``, the former less the latter; ``lower``, its
        one-sided lower bound, None where there are too few groups.
    """
    difference = losses[CHAMPION] - losses[CHALLENGER]
    samples = bootstrap_samples(
        {IMPROVEMENT: difference},
        {IMPROVEMENT: lambda sums: sums[IMPROVEMENT] / sums["rows"]},
        groups,
        replicates=rules.replicates,
        seed=seed,
    )
    return {
        CHAMPION: float(losses[CHAMPION].mean()),
        CHALLENGER: float(losses[CHALLENGER].mean()),
        IMPROVEMENT: float(difference.mean()),
        "lower": _lower_bound(samples, groups, rules),
    }


def compare_rankings(
    actual: Bools, scores: Mapping[str, Floats], groups: Any, rules: PromotionRules, seed: int
) -> dict[str, float | None]:
    """Compare the ROC-AUC of both models, as :func:`compare_losses` does losses.

    Args:
        actual: Whether each row is positive, shape ``(rows,)``.
        scores: ``champion`` and ``challenger`` -> score of each row.
        groups: Group of each row.
        rules: Replicates and confidence.
        seed: Seed of the resampling.

    Returns:
        As :func:`compare_losses`, but larger is better: ``improvement`` is the challenger's less the champion's. None
        where the rows lack one class.
    """
    codes, _ = pd.factorize(np.asarray(groups), sort=True)
    rankings = {name: Ranking(actual, score, codes.astype(np.int64)) for name, score in scores.items()}
    counted: list[CountStatistics] = [_prefixed(ranking, name) for name, ranking in rankings.items()]
    samples = bootstrap_samples({}, {}, groups, replicates=rules.replicates, seed=seed, count_statistics=counted)
    if samples:
        samples = {IMPROVEMENT: samples[f"{CHALLENGER} roc_auc"] - samples[f"{CHAMPION} roc_auc"]}
    areas = {name: ranking.metrics()["roc_auc"] for name, ranking in rankings.items()}
    return {
        CHAMPION: json_number(areas[CHAMPION]),
        CHALLENGER: json_number(areas[CHALLENGER]),
        IMPROVEMENT: json_number(areas[CHALLENGER] - areas[CHAMPION]),
        "lower": _lower_bound(samples, groups, rules),
    }


def _prefixed(ranking: Ranking, name: str) -> CountStatistics:
    return lambda counts: named(f"{name} ", ranking.resampled(counts))


def _lower_bound(samples: Mapping[str, Floats], groups: Any, rules: PromotionRules) -> float | None:
    """The lower end of a two-sided interval that leaves ``1 - confidence`` out on each side."""
    if len(pd.unique(np.asarray(groups))) < rules.min_groups:
        return None
    found = percentile_intervals(samples, 2 * rules.confidence - 1).get(IMPROVEMENT)
    return None if found is None else found[0]
