"""Versions of made-up predictors, and a feature table with a known truth."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.predictors.predictor_version import PredictorVersion


class Scorer:
    """Scores a feature table by a function of it."""

    def __init__(self, score: Callable[[pd.DataFrame], Any]) -> None:
        self.metadata = SimpleNamespace(
            predictor="toy",
            family="toy",
            created_at="2026-01-01T00:00:00+00:00",
            data=SimpleNamespace(fingerprint="f" * 64),
            git_commit=None,
        )
        self._score = score

    def predict_matrix(self, matrix: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"probability": self._score(matrix)}, index=matrix.index)


@pytest.fixture
def version() -> Callable[..., PredictorVersion]:
    """A function that makes a version: number, predictor, verdict of the gates."""

    def make(number: int, predictor: Any, gates: str = "passed", **more: Any) -> PredictorVersion:
        tags = {"augury.gates": gates, "augury.failed_gates": "ece, roc_auc" if gates != "passed" else ""}
        return PredictorVersion("augury.toy", str(number), predictor, tags, **more)

    return make


@pytest.fixture(scope="session")
def matrix() -> pd.DataFrame:
    """Rows of 150 groups; `truth` is the probability that a row is positive, and `x` all that can be known of it."""
    random = np.random.default_rng(5)
    rows = 3000
    x = random.normal(size=rows)
    truth = 1 / (1 + np.exp(-1.5 * x))
    return pd.DataFrame(
        {
            "row_id": [f"r{number:05d}" for number in range(rows)],
            "group": random.integers(0, 150, rows),
            "split": np.where(np.arange(rows) < 1000, "train", "test"),
            "target": np.where(random.random(rows) < 0.02, np.nan, random.random(rows) < truth),
            "x": x,
            "truth": truth,
            "noise": random.normal(size=rows),
        }
    ).sample(frac=1, random_state=1)


def exact(matrix: pd.DataFrame) -> Any:
    """The best prediction there is."""
    return matrix["truth"]


def blurred(matrix: pd.DataFrame) -> Any:
    """A clearly worse one."""
    return 1 / (1 + np.exp(-0.5 * (matrix["x"] + matrix["noise"])))
