"""CPU and wall time of tuning `food_waste`, and what it is worth, beside a plain Optuna script and FLAML.

python benchmarks/tuning_speed.py [--rows 100000] [--trials 100] [--plain-trials 4] [--flaml-budget SECONDS] [--seed 42]

Every contender sees the same training rows (the first four fifths of the time) and is judged on the same test rows:

- ours: the node of the pipeline with its configured space and folds;
- plain: what tutorials show: `LGBMClassifier` with 500 rounds in `cross_val_score` over `TimeSeriesSplit(5)`, binned
  anew for every fit, the learning rate in the space;
- FLAML: `estimator_list=["lgbm"]`, five folds in the order of time, on one core for as long as ours took CPU seconds.

Only a handful of plain trials are made: what counts is the CPU time of one. All fits have one thread.
"""

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from augury.parameters import with_tuned, with_values
from augury.pipelines.collection.waste_presets import WasteCollection
from augury.pipelines.collection.waste_simulation import simulate_purchases
from augury.pipelines.data_engineering.purchase_sources import PurchaseSource
from augury.pipelines.data_engineering.purchases import PurchaseSplit, WasteLabel, prepare_purchases
from augury.pipelines.feature_engineering.purchases import build_features
from augury.pipelines.model_training.boosted_pair import PairModel
from augury.pipelines.model_training.lightgbm_settings import LightGBMSettings
from augury.pipelines.tuning.boosted_pair_search import BoostedPairTuning, tune_waste
from augury.pipelines.tuning.racing import TransientStudies
from augury.predictors import purchase_columns as pc
from augury.predictors.waste_features import WasteFeatures

ROOT = Path(__file__).parents[1]
PARAMETERS = ROOT / "conf/base/parameters/food_waste.yml"
PLAIN_ROUNDS = 500
FOLDS = 5
REFIT_RATE = 0.03
"""Learning rate of the final fit of ours: the search has a higher one, to be quick."""


@dataclass
class Rows:
    """Training and test rows of one simulation."""

    matrix: pd.DataFrame
    features: list[str]
    train: np.ndarray
    target: np.ndarray
    test: np.ndarray
    actual: np.ndarray
    oracle: np.ndarray


@dataclass
class Contender:
    """What a way of tuning cost and gave."""

    name: str
    trials: int
    cpu_s: float
    wall_s: float
    probability: np.ndarray


def make_rows(rows: int, configured: dict[str, Any], seed: int) -> Rows:
    """Simulate purchases and compute their features."""
    settings = {**configured.get("collection", {}), "households": max(10, rows // 100), "items_per_household": 100}
    purchases, _ = simulate_purchases(WasteCollection.model_validate(settings), seed)
    prepared, _ = prepare_purchases(
        purchases,
        PurchaseSource.model_validate(configured.get("source", {})),
        WasteLabel.model_validate(configured.get("label", {})),
        PurchaseSplit.model_validate(configured.get("split", {})),
    )
    matrix, report = build_features(prepared, WasteFeatures.model_validate(configured.get("features", {})))
    matrix = matrix.sort_values([pc.PURCHASED_AT, pc.PURCHASE_ID], ignore_index=True)
    names = report["features"]
    train, test = (matrix[matrix[pc.SPLIT] == split] for split in ("train", "test"))
    return Rows(
        matrix,
        names,
        train[names].to_numpy(np.float32),
        train[pc.IS_WASTED].to_numpy(),
        test[names].to_numpy(np.float32),
        test[pc.IS_WASTED].to_numpy(),
        test[pc.OBSERVABLE_PROBABILITY].to_numpy(),
    )


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Run something; its result, CPU seconds of all threads, and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def refit(settings: LightGBMSettings, rows: Rows, seed: int) -> np.ndarray:
    """Fit to all training rows, with the rounds that the newest 15 % ask for; probabilities of the test rows."""
    import lightgbm

    params = settings.booster_params("binary", seed)
    cut = int(0.85 * len(rows.target))
    data = lightgbm.Dataset(rows.train[:cut], rows.target[:cut], params=params)
    watched = data.create_valid(rows.train[cut:], rows.target[cut:], params=params)
    stop = lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False)
    rounds = lightgbm.train(params, data, settings.rounds, valid_sets=[watched], callbacks=[stop]).best_iteration
    whole = lightgbm.Dataset(rows.train, rows.target, params=params)
    return np.asarray(lightgbm.train(params, whole, round(rounds / 0.85)).predict(rows.test, num_threads=1))


def run_ours(rows: Rows, model: PairModel, tuning: BoostedPairTuning, seed: int) -> list[Contender]:
    """Tune with the pipeline's node, and refit with the best parameters and with the defaults."""
    report_features = {"features": rows.features}
    (best, trials, report), cpu, wall = timed(
        lambda: tune_waste(rows.matrix, report_features, model, tuning, seed, TransientStudies())
    )
    summary = report["summary"]
    print(
        f"ours: {summary['fits']} of {len(trials) * FOLDS} fits, {summary['raced_away']} trials raced away; "
        f"cross-validated log loss {summary['default_score']:.5f} -> {summary['score']:.5f}",
        flush=True,
    )
    slower = {
        "classifier.learning_rate": REFIT_RATE,
        "classifier.rounds": 2000,
        "classifier.early_stopping_rounds": 60,
    }
    tuned = with_values(with_tuned(model, best, True), slower).classifier
    untuned = with_values(model, slower).classifier
    return [
        Contender("ours, tuned", len(trials), cpu, wall, refit(tuned, rows, seed)),
        Contender("ours, defaults", 0, 0.0, 0.0, refit(untuned, rows, seed)),
    ]


def run_plain(rows: Rows, trials: int, seed: int) -> Contender:
    """The loop of a tutorial."""
    import optuna
    from lightgbm import LGBMClassifier
    from sklearn.model_selection import TimeSeriesSplit, cross_val_score

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fixed: dict[str, Any] = {
        "n_estimators": PLAIN_ROUNDS,
        "n_jobs": 1,
        "verbosity": -1,
        "random_state": seed,
        "subsample_freq": 1,
    }

    def objective(trial: Any) -> float:
        parameters = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 4, 128, log=True),
            "max_depth": trial.suggest_int("max_depth", 3, 12),
            "min_child_samples": trial.suggest_int("min_child_samples", 5, 300, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-4, 10, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 50, log=True),
        }
        classifier = LGBMClassifier(**fixed, **parameters)
        folds = TimeSeriesSplit(FOLDS)
        return float(-cross_val_score(classifier, rows.train, rows.target, cv=folds, scoring="neg_log_loss").mean())

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    _, cpu, wall = timed(lambda: study.optimize(objective, n_trials=trials))
    final = LGBMClassifier(**fixed, **study.best_params).fit(rows.train, rows.target)
    return Contender("plain Optuna + LightGBM", trials, cpu, wall, np.asarray(final.predict_proba(rows.test))[:, 1])


def run_flaml(rows: Rows, budget: float, seed: int) -> Contender:
    """FLAML with a budget of seconds on one core."""
    sys.modules["pyspark"] = None  # type: ignore[assignment]  # or it starts a JVM within its budget
    from flaml.automl import AutoML

    model = AutoML()
    settings: dict[str, Any] = {
        "task": "classification",
        "metric": "log_loss",
        "estimator_list": ["lgbm"],
        "eval_method": "cv",
        "split_type": "time",
        "n_splits": FOLDS,
        "n_jobs": 1,
        "time_budget": budget,
        "seed": seed,
        "verbose": 0,
    }
    _, cpu, wall = timed(lambda: model.fit(rows.train, rows.target, **settings))
    return Contender("FLAML", 0, cpu, wall, np.asarray(model.predict_proba(rows.test))[:, 1])


def show(contenders: list[Contender], rows: Rows) -> None:
    """Print the table."""
    from sklearn.metrics import log_loss, roc_auc_score

    print("\n| contender | trials | CPU s | CPU s per trial | wall s | test log loss | test AUC |")
    print("|---|---|---|---|---|---|---|")
    for found in [*contenders, Contender("best possible (observable oracle)", 0, 0.0, 0.0, rows.oracle)]:
        per_trial = f"{found.cpu_s / found.trials:.2f}" if found.trials else "-"
        times = [f"{found.cpu_s:.1f}", per_trial, f"{found.wall_s:.1f}"] if found.cpu_s else ["-"] * 3
        figures = [f"{found.trials or '-'}", *times]
        loss, area = log_loss(rows.actual, found.probability), roc_auc_score(rows.actual, found.probability)
        print(f"| {found.name} | {' | '.join(figures)} | {loss:.5f} | {area:.5f} |")
    by_name = {found.name: found for found in contenders}
    ours, plain = by_name["ours, tuned"], by_name.get("plain Optuna + LightGBM")
    if plain is not None:
        ratio = (plain.cpu_s / plain.trials) / (ours.cpu_s / ours.trials)
        print(f"\nCPU per trial: {ratio:.1f} times less than the plain script.")
    print(f"Largest resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> None:
    """Run all contenders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=None, help="default: as configured")
    parser.add_argument("--workers", type=int, default=None, help="default: as configured")
    parser.add_argument("--delta", type=float, default=None, help="limit of the race; default: as configured")
    parser.add_argument("--plain-trials", type=int, default=4, help="0: leave it out")
    parser.add_argument("--flaml-budget", type=float, default=None, help="seconds; default: CPU time of ours; 0: none")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--parameters", type=Path, default=PARAMETERS, help="the predictor's parameters")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    configured = yaml.safe_load(given.parameters.read_text(encoding="utf-8"))["food_waste"]
    changes = {
        name: getattr(given, name) for name in ("trials", "workers", "delta") if getattr(given, name) is not None
    }
    tuning = BoostedPairTuning.model_validate(configured["tuning"] | changes)
    model = PairModel.model_validate(configured["model"])
    (rows, cpu, _) = timed(lambda: make_rows(given.rows, configured, given.seed))
    print(
        f"{len(rows.target):,} training and {len(rows.actual):,} test rows, {len(rows.features)} features ({cpu:.1f} s)"
    )
    contenders = run_ours(rows, model, tuning, given.seed)
    if given.plain_trials:
        contenders.append(run_plain(rows, given.plain_trials, given.seed))
    budget = contenders[0].cpu_s if given.flaml_budget is None else given.flaml_budget
    if budget:
        contenders.append(run_flaml(rows, budget, given.seed))
    show(contenders, rows)


if __name__ == "__main__":
    main()
