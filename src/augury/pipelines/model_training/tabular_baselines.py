"""What a model of a feature table has to beat: rules, and libraries as they come out of the box, on the same rows."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.matrix_predictor import SPLIT, TRAIN

Baseline: TypeAlias = Literal[
    "category_rate", "logistic_regression", "lightgbm", "xgboost", "hist_gradient_boosting"
]  # fmt: skip
DaysBaseline: TypeAlias = Literal["constant_median", "scale_rule"]

DECISION = 0.5
"""Probability from which on scikit-learn's ``predict``, LightGBM's and XGBoost's decide for the positive class."""

logger = logging.getLogger(__name__)


class TabularBaselines(Parameters):
    """Roles of the feature table's columns, and which baselines are fitted."""

    row_id: str = "purchase_id"
    target: str = Field(default="is_wasted", description="0 or 1; missing where it is unknown")
    category: str | None = Field(default="category", description="column whose rates are a rule; null: no such column")
    days: str | None = Field(default="days_to_waste", description="days to the event of the positive rows; null: none")
    scale: str | None = Field(default="shelf_life_days", description="what these days are in proportion to; null: none")
    oracles: dict[str, str] = Field(
        default={"oracle": "true_probability", "observable_oracle": "observable_probability"},
        description="name -> column of true probabilities, which only a simulation has",
    )
    models: tuple[Baseline, ...] = Field(
        default=("category_rate", "logistic_regression", "lightgbm", "xgboost", "hist_gradient_boosting"),
        description="the baselines to fit",
    )
    workers: int = Field(default=2, ge=1, description="fits that run side by side, each with one thread")


def predict_baselines(
    features_matrix: Any, report_features: dict[str, Any], baselines: TabularBaselines, seed: int
) -> pd.DataFrame:
    """Fit the baselines to the training rows and predict all others.

    Args:
        features_matrix: Feature table with its ``split``; pandas or Spark, collected here.
        report_features: Names of the ``features``.
        baselines: Parameters.
        seed: Seed of the libraries.

    Returns:
        The row id, and of each baseline ``baseline_<name>`` (probability) and ``decision_<name>`` (0 or 1); of the
        oracles only where every held-out row has one. ``days_constant_median`` (the median of the training rows) and
        ``days_scale_rule`` (the median share of the scale, of the scale) where the training rows have days.

    Raises:
        UserError: The training rows have a single class.
    """
    features = list(report_features["features"])
    roles = [baselines.row_id, baselines.target, SPLIT, baselines.category, baselines.days, baselines.scale]
    columns = nw.from_native(features_matrix).collect_schema().names()
    oracles = {label: column for label, column in baselines.oracles.items() if column in columns}
    wanted = dict.fromkeys([*(role for role in roles if role), *oracles.values(), *features])
    table = engines.to_pandas(nw.from_native(features_matrix).select(*wanted).to_native())
    order = table[baselines.row_id].argsort(kind="stable").to_numpy()
    facts = table[[name for name in table if name not in set(features)]].iloc[order]
    matrix = table[features].to_numpy(dtype=np.float32)[order]
    del table  # a copy of the features is enough
    learned = ((facts[SPLIT] == TRAIN) & facts[baselines.target].notna()).to_numpy()
    judged = (facts[SPLIT] != TRAIN).to_numpy()
    train, held_out = facts[learned], facts[judged]
    positive = train[baselines.target].to_numpy() > 0
    if not 0 < positive.sum() < len(positive):
        raise UserError(
            f"features_matrix: {int(positive.sum())} of {len(positive)} training rows have {baselines.target} = 1; "
            "baselines need both classes."
        )
    # A column without a value says nothing, and scikit-learn's boosting fails on it
    known = ~np.isnan(matrix[learned]).all(axis=0)
    fitted, asked = matrix[learned][:, known], matrix[judged][:, known]
    del matrix
    fits: dict[str, Callable[[], np.ndarray]] = {}
    for name in baselines.models:
        if name != "category_rate":
            fits[name] = partial(_classify, name, fitted, positive, asked, seed)
        elif baselines.category is not None:
            fits[name] = partial(_rates, train[baselines.category], positive, held_out[baselines.category])
    found: dict[str, np.ndarray] = {
        label: held_out[column].to_numpy(dtype=np.float64)
        for label, column in oracles.items()
        if len(held_out) and held_out[column].notna().all()
    }
    found |= _side_by_side(fits, baselines.workers)
    result: dict[str, Any] = {baselines.row_id: held_out[baselines.row_id].to_numpy()}
    for label, probability in found.items():
        result |= {
            f"baseline_{label}": probability,
            f"decision_{label}": (probability >= DECISION).astype(np.int64),
        }
    return pd.DataFrame(result | _days(train, held_out, positive, baselines))


def _side_by_side(fits: dict[str, Callable[[], np.ndarray]], workers: int) -> dict[str, np.ndarray]:
    # Imported before two threads do so at once
    import lightgbm  # noqa: F401
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.pipeline  # noqa: F401
    import xgboost  # noqa: F401

    with ThreadPoolExecutor(workers) as pool:
        running = {name: pool.submit(fit) for name, fit in fits.items()}
        found = {name: future.result() for name, future in running.items()}
    logger.info("Fitted the baselines %s.", ", ".join(found))
    return found


def _rates(category: pd.Series, positive: np.ndarray, asked: pd.Series) -> np.ndarray:
    """Share of the positives among the training rows of the category; of all of them where the category is new."""
    rates = pd.Series(positive).groupby(category.to_numpy()).mean()
    return asked.map(rates).fillna(positive.mean()).to_numpy(dtype=np.float64)


def _classify(name: str, matrix: np.ndarray, positive: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model = _classifier(name, seed)
    # scikit-learn's boosting takes all cores, has no parameter for it, and asks the thread that it runs in
    with threadpool_limits(1):
        model.fit(matrix, positive)
        return np.asarray(model.predict_proba(asked)[:, 1], dtype=np.float64) if len(asked) else np.zeros(0)


def _classifier(name: str, seed: int) -> Any:
    """A library's classifier with its defaults; what is set changes no result but its reproducibility and its load."""
    match name:
        case "lightgbm":
            import lightgbm

            return lightgbm.LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1)
        case "xgboost":
            import xgboost

            return xgboost.XGBClassifier(random_state=seed, n_jobs=1)
        case "hist_gradient_boosting":
            from sklearn.ensemble import HistGradientBoostingClassifier

            return HistGradientBoostingClassifier(random_state=seed)
        case _:
            from sklearn.impute import SimpleImputer
            from sklearn.linear_model import LogisticRegression
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import StandardScaler

            # A hundred rounds, the default, are too few for a hundred columns
            filled = SimpleImputer(strategy="median")
            return make_pipeline(filled, StandardScaler(), LogisticRegression(max_iter=1000))


def _days(
    train: pd.DataFrame, held_out: pd.DataFrame, positive: np.ndarray, baselines: TabularBaselines
) -> dict[str, np.ndarray]:
    """Rules for the days to the event, in every held-out row."""
    if baselines.days is None:
        return {}
    events = train[positive & train[baselines.days].notna().to_numpy()]
    if not len(events):
        return {}
    median = float(events[baselines.days].median())
    found = {"days_constant_median": np.full(len(held_out), median)}
    if baselines.scale is not None and (events[baselines.scale] > 0).any():
        share = float((events[baselines.days] / events[baselines.scale].where(events[baselines.scale] > 0)).median())
        scaled = held_out[baselines.scale].to_numpy(dtype=np.float64) * share
        found["days_scale_rule"] = np.where(np.isnan(scaled), median, scaled)
    return found
