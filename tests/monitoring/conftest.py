"""A feature table whose last week differs, and a champion that knows the true probabilities of the weeks before."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.monitoring.replay import ReplayMonitoring
from augury.predictors.contract import ColumnSpec, DataFacts, Metadata

FEATURES = ["cost", "joins", "shifted", "rare", "hour"]


class Champion:
    """Scores rows by their `cost` alone."""

    metadata = Metadata(
        predictor="query_cost",
        family="heavy_query",
        task="binary, with unequal costs",
        inputs=(ColumnSpec(name="query", dtype="string"),),
        outputs=(ColumnSpec(name="probability", dtype="number"),),
        features=tuple(FEATURES),
        parameters={"trees": 10},
        data=DataFacts(fingerprint="0", rows=3000, groups=200, origin={"replayed": 3000}),
        versions={"xgboost": "3.2.0"},
        seed=1,
        git_commit=None,
        created_at="2026-01-01T00:00:00+00:00",
    )
    operating_points: ClassVar[dict[str, float]] = {"recall_98": 0.005, "cost_optimal": 1 / 101}

    def predict_matrix(self, matrix: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"probability": 1 / (1 + np.exp(-matrix["cost"].astype(np.float64)))}, index=matrix.index)

    def compare_onnx(self, matrix: pd.DataFrame) -> dict[str, Any]:
        return {"rows": len(matrix), "max_difference": 0.0}


def make_matrix(rows: int = 9000, seed: int = 0) -> pd.DataFrame:
    """Five weeks: two of training, one of validation, one of test, one of drift; training is sampled."""
    random = np.random.default_rng(seed)
    day = random.integers(0, 35, rows)
    split = np.array(["train", "train", "validation", "test", "drift"])[day // 7]
    drift = split == "drift"
    cost = random.normal(-4.5, 2, rows)
    actual = random.random(rows) < 1 / (1 + np.exp(-cost - np.where(drift, 1.0, 0.0)))
    matrix = pd.DataFrame(
        {
            "query_id": [f"q{number:05d}" for number in range(rows)],
            "split": split,
            "is_heavy": actual,
            "user": [f"user {number}" for number in random.integers(0, 25, rows)],
            "cpu_time_s": np.exp(cost),
            "masked": (split == "train") & (random.random(rows) < 0.1),
            "terms": "select",
            "cost": cost,
            "joins": random.poisson(2, rows),
            "shifted": random.normal(0, 1, rows) + np.where(drift, 2.0, 0.0),
            "rare": np.where(random.random(rows) < 0.05, np.nan, random.random(rows) < 0.01),
            "hour": day.astype(float),
            "date": (pd.Timestamp("2025-03-03") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d"),
        }
    )
    matrix[FEATURES] = matrix[FEATURES].astype(np.float32)
    matrix.loc[matrix["masked"], "joins"] = 99
    chance = np.where(actual | (split != "train"), 1.0, 0.3)
    kept = random.random(rows) < chance
    return matrix.assign(weight=1 / chance)[kept].reset_index(drop=True)


@pytest.fixture(scope="session")
def matrix() -> pd.DataFrame:
    """The table; tests that change it take a copy."""
    return make_matrix()


@pytest.fixture(scope="session")
def champion() -> Champion:
    """The champion."""
    return Champion()


@pytest.fixture(scope="session")
def monitoring() -> ReplayMonitoring:
    """Few resamples."""
    return ReplayMonitoring(
        row_id="query_id",
        target="is_heavy",
        positive_class="heavy",
        group_columns=["date", "user"],
        weight_column="cpu_time_s",
        bootstrap_replicates=100,
        clocks=["hour"],
    )
