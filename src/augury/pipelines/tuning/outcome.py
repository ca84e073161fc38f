"""What a search leaves: the best parameters, a table of its trials and an account of it."""

import math
import statistics
from typing import Any, TypeAlias

import pandas as pd

from augury.pipelines.tuning.racing import Problem, SearchResult, SearchSettings, Trial
from augury.pipelines.tuning.search_space import SearchSpace

TuningOutcome: TypeAlias = tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]
"""Tuned parameters (``parameters`` by dotted path, and where they come from), one row per trial, JSON-ready account."""

PARAMETER = "param:"
"""Prefix of the columns of parameters in the table of trials."""
FEWEST_FOR_IMPORTANCE = 10


def outcome(
    problem: Problem, space: SearchSpace[Any], settings: SearchSettings, seed: int, result: SearchResult
) -> TuningOutcome:
    """Put together what a search leaves.

    Args:
        problem: What was searched.
        space: Where.
        settings: How.
        seed: Of the sampler.
        result: The search.

    Returns:
        See :data:`TuningOutcome`.
    """
    best, default = result.best, result.default
    gain = _gain(problem, best, default)
    best_params = {
        "parameters": {path: best.parameters[path] for path in space.dimensions},
        "predictor": problem.predictor,
        "metric": problem.metric,
        "score": best.value,
        "default_score": default.value,
        "trial": best.number,
        "trials": len(result.trials),
        "fixed_during_search": dict(settings.fixed),
        "study": result.study_name,
        "data_fingerprint": problem.fingerprint.get("data"),
        "seed": seed,
    }
    folds = len(problem.fold_costs)
    fits = sum(len(trial.scores) for trial in result.trials)
    seconds = sum(sum(trial.cpu_seconds.values()) for trial in result.trials)
    report = {
        "summary": {
            "score": best.value,
            "default_score": default.value,
            "gain": gain["mean"],
            "gain_standard_error": gain["standard_error"],
            "trials": len(result.trials),
            "complete": sum(trial.state == "complete" for trial in result.trials),
            "raced_away": sum(trial.state == "raced" for trial in result.trials),
            "fits": fits,
            "fits_saved_share": 1 - fits / (folds * len(result.trials)),
            "reused_fits": result.reused_fits,
            "fit_cpu_seconds": seconds,
            "cpu_seconds_per_trial": seconds / len(result.trials),
            "wall_seconds": result.wall_seconds,
        },
        "rows": problem.rows,
        "metric": problem.metric,
        "direction": problem.direction,
        "study": result.study_name,
        "stopped_by": result.stopped_by,
        "default": _account(default),
        "best": _account(best),
        "gain": gain,
        "importances": _importances(result, seed),
        "space": space.describe(),
        "fixed": dict(settings.fixed),
        "fold_costs": list(problem.fold_costs),
        "data_fingerprint": problem.fingerprint.get("data"),
    }
    return best_params, _table(result.trials, list(space.dimensions), folds), report


def _account(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "score": trial.value,
        "folds": [trial.scores[fold] for fold in sorted(trial.scores)],
        "parameters": trial.parameters,
    }


def _gain(problem: Problem, best: Trial, default: Trial) -> dict[str, Any]:
    """Paired gap of the best trial to the default by fold; above 0 it is the better one."""
    sign = 1.0 if problem.direction == "maximize" else -1.0
    gaps = [sign * (best.scores[fold] - default.scores[fold]) for fold in sorted(default.scores)]
    several = len(gaps) > 1 and best is not default
    error = statistics.stdev(gaps) / math.sqrt(len(gaps)) if several else None
    return {"mean": math.fsum(gaps) / len(gaps), "standard_error": error, "by_fold": gaps}


def _table(trials: list[Trial], paths: list[str], folds: int) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "trial": [trial.number for trial in trials],
        "state": [trial.state for trial in trials],
        "value": [trial.value for trial in trials],
        "folds_judged": [len(trial.scores) for trial in trials],
        "fit_cpu_seconds": [sum(trial.cpu_seconds.values()) for trial in trials],
    }
    for fold in range(folds):
        columns[f"fold_{fold + 1}"] = [trial.scores.get(fold, math.nan) for trial in trials]
    for path in paths:
        values = [trial.parameters[path] for trial in trials]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        columns[f"{PARAMETER}{path}"] = values if numbers else [str(value) for value in values]
    return pd.DataFrame(columns)


def _importances(result: SearchResult, seed: int) -> dict[str, float]:
    """Shares of the parameters in the variance of the values that the sampler saw (fANOVA); empty after few trials."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    values = {trial.value for trial in result.trials}
    if len(result.trials) < FEWEST_FOR_IMPORTANCE or len(values) < 2:
        return {}
    found = get_param_importances(result.study, evaluator=FanovaImportanceEvaluator(seed=seed))
    return {str(path): float(share) for path, share in found.items()}
