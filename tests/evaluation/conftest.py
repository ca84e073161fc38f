"""A held-out predictions frame as a regression with safe bounds leaves it."""

import numpy as np
import pandas as pd
import pytest

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
