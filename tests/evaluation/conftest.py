"""Held-out predictions frames as a regression with safe bounds and a binary predictor leave them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.evaluation.binary_holdout import BinaryEvaluation, week_of
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
