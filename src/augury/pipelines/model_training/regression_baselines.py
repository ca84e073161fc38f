"""What a model has to beat: predictions of naive rules fitted on the same training rows."""

from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.predictors.feature_specification import FeatureSpecification

ORIGINAL_MISSING = -1.0


def predict_baselines(features_train: Any, features_holdout: Any, features: dict[str, Any], seed: int) -> pd.DataFrame:
    """Fit baselines on the training rows and predict the holdout.

    Args:
        features_train: Training rows, any engine.
        features_holdout: Held-out rows, any engine.
        features: A :class:`~augury.predictors.feature_specification.FeatureSpecification` as JSON.
        seed: Seed of the original recipe.

    Returns:
        `row_id` and, in the target's unit: `baseline_maximum` (the largest value ever seen), `baseline_median`,
        `baseline_size` (linear in the one size column), `baseline_numbers` (linear in all numbers and the category),
        `baseline_original` (scikit-learn's GradientBoostingRegressor with its defaults on the raw columns).
    """
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import LinearRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    specification = FeatureSpecification.model_validate(features)
    train = engines.to_pandas(features_train).sort_values(specification.row_id, ignore_index=True)
    holdout = engines.to_pandas(features_holdout).sort_values(specification.row_id, ignore_index=True)
    target = train[specification.target].to_numpy()
    categories = sorted(train[specification.category].astype(str).unique())
    matrices = [_raw_matrix(table, specification, categories) for table in (train, holdout)]
    sizes = [table[[specification.size]].fillna(0.0).to_numpy() for table in (train, holdout)]
    # A linear model may go below zero, where a quantity cannot be
    floor = target.min()
    fitted = {
        "size": LinearRegression().fit(sizes[0], target).predict(sizes[1]),
        "numbers": make_pipeline(StandardScaler(), RidgeCV()).fit(matrices[0], target).predict(matrices[1]),
        "original": GradientBoostingRegressor(random_state=seed).fit(matrices[0], target).predict(matrices[1]),
    }
    return pd.DataFrame(
        {
            "row_id": holdout[specification.row_id],
            "baseline_maximum": target.max(),
            "baseline_median": np.median(target),
            **{f"baseline_{name}": np.maximum(values, floor) for name, values in fitted.items()},
        }
    )


def _raw_matrix(table: pd.DataFrame, specification: FeatureSpecification, categories: list[str]) -> np.ndarray:
    numbers = table[list(specification.numbers)].fillna(ORIGINAL_MISSING).to_numpy(dtype=np.float64)
    indicators = table[specification.category].to_numpy()[:, None] == np.array(categories, dtype=object)[None, :]
    return np.column_stack([numbers, indicators])
