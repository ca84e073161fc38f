"""Held-out predictions frames as a regression with safe bounds and a binary predictor leave them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.evaluation.binary_holdout import month_of, week_of
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.regression import RegressionEvaluation


def held_out(rows: int = 400, groups: int = 60, seed: int = 0) -> pd.DataFrame:
    """Jobs of files: errors that jobs of one file share, two bounds, two baselines, two slices."""
    random = np.random.default_rng(seed)
    group = random.integers(0, groups, rows)
    shared = random.normal(0, 0.1, groups)[group]
    actual = np.exp(random.normal(4, 1, rows))
    predicted = actual * np.exp(shared + random.normal(0, 0.1, rows))
    return pd.DataFrame(
        {
            "row_id": [f"job-{number}" for number in range(rows)],
            "group": [f"file-{number}" for number in group],
            "actual": actual,
            "predicted": predicted,
            "upper_95": predicted * 1.2,
            "upper_99.5": predicted * 1.5,
            "baseline_constant": np.full(rows, np.median(actual)),
            "baseline_worse": predicted * np.exp(random.normal(0, 0.4, rows)),
            "resolution": random.choice([72, 150, 300], rows),
            "engine": random.choice(["first", "second", "rare"], rows, p=[0.6, 0.38, 0.02]),
        }
    )


@pytest.fixture(scope="session")
def predictions() -> pd.DataFrame:
    """The frame; tests that change it take a copy."""
    return held_out()


@pytest.fixture(scope="session")
def evaluation() -> RegressionEvaluation:
    """Few resamples: the tests that need many say so."""
    return RegressionEvaluation(bootstrap_replicates=200, slices=["resolution", "engine"])


def queries(rows: int = 6000, seed: int = 0) -> pd.DataFrame:
    """Queries of users over three weeks: few are heavy, the last week differs, probabilities are true before it."""
    random = np.random.default_rng(seed)
    user = random.integers(0, 40, rows)
    day = random.integers(0, 21, rows)
    split = np.array(["validation", "test", "drift"])[day // 7]
    seen = random.random(rows) < np.where(split == "drift", 0.6, 0.9)
    known = random.normal(-5.5, 2.5, rows) + random.normal(0, 0.7, 40)[user]
    unknown = random.normal(0, np.where(seen, 0.3, 1.5)) + np.where(split == "drift", 1.0, 0.0)
    actual = random.random(rows) < 1 / (1 + np.exp(-known - unknown))
    probability = 1 / (1 + np.exp(-known))
    length = known + random.normal(0, 4, rows)
    date = pd.Series(pd.Timestamp("2025-03-03") + pd.to_timedelta(day, unit="D")).dt.strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "row_id": [f"query-{number}" for number in range(rows)],
            "actual": actual.astype(np.int64),
            "probability": probability,
            "split": split,
            "date": date,
            "week": week_of(date),
            "user": [f"user-{number}" for number in user],
            "seen_template": seen,
            "origin": random.choice(["replayed", "executed"], rows, p=[0.9, 0.1]),
            "cpu_time_s": np.where(random.random(rows) < 0.01, np.nan, np.exp(known)),
            "baseline_all_heavy": 1.0,
            "decision_all_heavy": True,
            "decision_length_or_joins": length > 0,
            "baseline_tfidf": known + random.normal(0, 3, rows),
            "decision_tfidf": known > -4,
        }
    )


def purchases(rows: int = 5000, households: int = 150, seed: int = 0) -> pd.DataFrame:
    """Purchases of households over half a year: the truth is known, the model is the observable one with some noise."""
    random = np.random.default_rng(seed)
    household = random.integers(0, households, rows)
    latent = random.normal(0, 0.8, households)[household]
    seen = -1.5 + random.normal(0, 1.6, rows)
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    observable = (1 / (1 + np.exp(-seen[:, None] - 0.8 * nodes))) @ (weights / weights.sum())
    true = 1 / (1 + np.exp(-seen - latent))
    wasted = random.random(rows) < true
    odds = np.log(observable / (1 - observable)) + random.normal(0, 0.35, rows)
    category = random.choice(["dairy", "meat", "produce", "canned"], rows, p=[0.4, 0.3, 0.25, 0.05])
    median = np.where(category == "canned", 300.0, 7.0) * np.exp(random.normal(0, 0.3, rows))
    predicted = median * np.exp(random.normal(0, 0.2, rows))
    day = pd.Series(pd.Timestamp("2025-07-01") + pd.to_timedelta(np.sort(random.integers(0, 180, rows)), unit="D"))
    date = day.dt.strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "row_id": [f"purchase-{number:05}" for number in range(rows)],
            "actual": wasted.astype(np.int64),
            "probability": 1 / (1 + np.exp(-odds)),
            "split": "test",
            "household_id": [f"household-{number}" for number in household],
            "household_size": (1 + household % 4).astype(float),
            "category": category,
            "origin": "simulated",
            "week": week_of(date),
            "month": month_of(date),
            "true_probability": true,
            "observable_probability": observable,
            "true_median_days": median,
            "actual_days": np.where(wasted, median * np.exp(random.normal(0, 0.5, rows)), np.nan),
            "predicted_days": predicted,
            "predicted_days_lower": predicted * np.exp(-0.75),
            "predicted_days_upper": predicted * np.exp(0.75),
            "baseline_oracle": true,
            "baseline_observable_oracle": observable,
            "baseline_category_rate": pd.Series(wasted.astype(float)).groupby(category).transform("mean").to_numpy(),
            "decision_category_rate": False,
            "days_constant": 7.0,
        }
    )


WASTE_EVALUATION: dict[str, Any] = {
    "row_id": "purchase_id",
    "target": "is_wasted",
    "positive_class": "wasted",
    "group_columns": ["household_id"],
    "cost_ratio": None,
    "operating_point": "f1_optimal",
    "rivals": ["category_rate"],
    "probabilities": ["category_rate"],
    "oracles": ["oracle", "observable_oracle"],
    "slices": ["category", "household_size", "origin", "month"],
    "period_column": "week",
    "goodness_of_fit": True,
    "top_k": [100, 500],
    "support": True,
    "days": {},
    "truth": {},
    "fairness": {"columns": ["household_size"], "operating_point": "f1_optimal"},
    "shift": {"excluded": ["history_*_count"]},
    "explained_rows": 200,
    "bootstrap_replicates": 200,
}


@pytest.fixture(scope="session")
def waste_predictions() -> pd.DataFrame:
    """The frame; tests that change it take a copy."""
    return purchases()


@pytest.fixture(scope="session")
def waste_facts() -> dict[str, Any]:
    """What the check of the export leaves."""
    return {"n_train": 15_000, "threshold": {"half": 0.5, "confident": 0.7, "f1_optimal": 0.34}}


@pytest.fixture(scope="session")
def waste_evaluation() -> BinaryEvaluation:
    """Everything that can be asked for."""
    return BinaryEvaluation.model_validate(WASTE_EVALUATION)


@pytest.fixture(scope="session")
def binary_predictions() -> pd.DataFrame:
    """The frame; tests that change it take a copy."""
    return queries()


@pytest.fixture(scope="session")
def binary_facts() -> dict[str, Any]:
    """What the check of the export leaves."""
    return {"n_train": 20_000, "threshold": {"recall_98": 0.02, "cost_optimal": 1 / 101}, "onnx_rows": 6000}


@pytest.fixture(scope="session")
def binary_evaluation() -> BinaryEvaluation:
    """Few resamples: the tests that need many say so."""
    return BinaryEvaluation(
        positive_class="heavy",
        subsets={
            "drift": {"split": "drift"},
            "seen": {"split": "test", "seen_template": True},
            "unseen": {"split": ["test", "drift"], "seen_template": False},
            "executed": {"split": "test", "origin": "executed"},
        },
        group_columns=["date", "user"],
        rivals=["tfidf"],
        weight_column="cpu_time_s",
        slices=["week", "seen_template", "origin"],
        sliced={"split": ["test", "drift"]},
        bootstrap_replicates=200,
    )
