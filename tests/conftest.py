"""Fixtures of every area: a small simulated table through all stages, and one interface to the frame engines."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import compile_once
import hypothesis
import pandas as pd
import pytest
import work_order

from augury import engines
from augury.pipelines.collection.pdf_synthetic import simulate_jobs
from augury.pipelines.data_engineering.pdf_jobs import PdfSplit, prepare_jobs
from augury.pipelines.feature_engineering.pdf_jobs import build_features
from augury.pipelines.model_training.boosted_trees import BoundedRegressionModel, train_bounded_regression
from augury.predictors.bounded_regression import BoundedRegression

# No limit per example, because machines that run tests are busy, and the same examples on each of them
hypothesis.settings.register_profile("augury", deadline=None, derandomize=True)
hypothesis.settings.load_profile("augury")

REPOSITORY = Path(__file__).parents[1]

PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {"augury": "0.1.0"}}

RECIPES: dict[str, dict[str, Any]] = {
    "physics_trees": {
        "kind": "physics_trees",
        "n_estimators": 60,
        "learning_rate": 0.1,
        "num_leaves": 15,
        "min_child_samples": 10,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "reg_lambda": 1.0,
        "objective": "regression",
    },
    "original": {"kind": "original", "n_estimators": 60},
}


def pytest_sessionstart() -> None:
    """Before the first test compiles anything; what collection loads is no garbage."""
    compile_once.install()
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Collect garbage again, but never search through what is loaded: that is most of the heap."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of the tests."""
    work_order.arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What is kept together."""
    return work_order.scheduler(config, log)


# --- pdf_memory, from simulated jobs to a trained predictor ---


@pytest.fixture(scope="session")
def simulated_jobs() -> pd.DataFrame:
    """Raw jobs of 80 documents; tests that change the frame take a copy."""
    return simulate_jobs(80, (72, 150, 300), 3)


@pytest.fixture(scope="session")
def pdf_features(simulated_jobs: pd.DataFrame) -> SimpleNamespace:
    """Feature tables ``train`` and ``holdout``, and the ``specification`` as JSON."""
    prepared, _ = prepare_jobs(simulated_jobs, PdfSplit(holdout_share=0.25, document_share=1.0), 3)
    return SimpleNamespace(**dict(zip(("train", "holdout", "specification"), build_features(prepared), strict=True)))


def pdf_model(recipe: str = "physics_trees", **changes: Any) -> BoundedRegressionModel:
    """Parameters of a small model."""
    settings = {
        "recipe": recipe,
        "recipes": RECIPES,
        "risks": (0.05, 0.01),
        "folds": 3,
        "bands": 3,
        "min_tail_groups": 1,
    }
    return BoundedRegressionModel.model_validate(settings | changes)


@pytest.fixture(scope="session")
def train_pdf_memory(pdf_features: SimpleNamespace) -> Any:
    """A function that trains ``pdf_memory``: recipe, seed, other tables, changed parameters -> (predictor, account)."""

    def train(recipe: str = "physics_trees", seed: int = 3, table: pd.DataFrame | None = None, **changes: Any) -> Any:
        rows = pdf_features.train if table is None else table
        return train_bounded_regression(
            rows, pdf_features.specification, {}, pdf_model(recipe, **changes), seed, PROVENANCE
        )

    return train


@pytest.fixture(scope="session")
def pdf_predictors(train_pdf_memory: Any) -> dict[str, BoundedRegression]:
    """A trained ``pdf_memory`` per recipe."""
    return {recipe: train_pdf_memory(recipe)[0] for recipe in RECIPES}


# --- query_cost, from a sample of the committed log to a saved predictor ---


@pytest.fixture(scope="session")
def query_cost_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small ``query_cost``, trained by the nodes of the pipeline; read-only by convention."""
    import yaml

    from augury.pipelines.data_engineering import boundary_sampling, query_log, query_sources, zero_cost
    from augury.pipelines.feature_engineering import query_history, query_keys
    from augury.pipelines.feature_engineering.query_log import build_features
    from augury.pipelines.model_training.boosted_classifier import BoostedClassifierModel, train_query_cost
    from augury.predictors.query_features import QueryFeatures

    seed = 3
    configured = yaml.safe_load((REPOSITORY / "conf/base/parameters/query_cost.yml").read_text())["query_cost"]
    label = query_log.QueryLabel.model_validate(configured["label"])
    features = QueryFeatures.model_validate(configured["features"])
    raw = pd.read_parquet(REPOSITORY / "data/01_raw/query_cost/query_log.parquet")
    log, _ = query_sources.adapt_log(raw, query_sources.QuerySource(row_share=0.05), seed)
    categories = zero_cost.classify_log(log, zero_cost.ZeroCost(rule="point"), label)
    filters = query_log.QueryFilters.model_validate(configured["filters"])
    split = query_log.QuerySplit.model_validate(configured["split"])
    labelled, data = query_log.label_log(log, categories, label, filters, split)
    sampling = boundary_sampling.BoundarySampling.model_validate(configured["sampling"])
    sampled, _ = boundary_sampling.sample_train(labelled, label, sampling, seed)
    keys = query_keys.fingerprint_log(labelled, features)
    daily = query_history.daily_statistics(keys, features)
    history = query_history.take_snapshots(daily, keys, sampled, features)
    matrix, account = build_features(sampled, history, features, seed)
    trees = {"rounds": 30, "max_depth": 3}
    model = BoostedClassifierModel.model_validate({"folds": 0, "classifier": trees, "regressor": trees, "threads": 1})
    predictor, _ = train_query_cost(matrix, history, account, categories, data, {}, model, seed, PROVENANCE)
    folder = tmp_path_factory.mktemp("models") / "query_cost"
    predictor.save(folder)
    return folder


# --- food_waste, from simulated households to a trained pair ---


WASTE_MODEL: dict[str, Any] = {
    "classifier": {"rounds": 50, "learning_rate": 0.2, "num_leaves": 6, "min_data_in_leaf": 20},
    "regressor": {"rounds": 25, "learning_rate": 0.25, "num_leaves": 6, "min_data_in_leaf": 10},
    "base": {"rounds": 25, "learning_rate": 0.25, "num_leaves": 6, "min_data_in_leaf": 20},
    "folds": 4,
    "workers": 1,
}


def simulated_waste(households: int, items: int, seed: int, **collection: Any) -> SimpleNamespace:
    """Simulated purchases through the stages before training: ``purchases``, ``matrix``, ``features``, ``data``."""
    from augury.pipelines.collection.waste_presets import WasteCollection
    from augury.pipelines.collection.waste_simulation import simulate_purchases
    from augury.pipelines.data_engineering.purchase_sources import PurchaseSource
    from augury.pipelines.data_engineering.purchases import PurchaseSplit, WasteLabel, prepare_purchases
    from augury.pipelines.feature_engineering import purchases as matrices
    from augury.predictors.waste_features import WasteFeatures

    settings = {"households": households, "items_per_household": items, "days": 365, **collection}
    raw, _ = simulate_purchases(WasteCollection.model_validate(settings), seed)
    purchases, data = prepare_purchases(raw, PurchaseSource(), WasteLabel(), PurchaseSplit())
    matrix, features = matrices.build_features(purchases, WasteFeatures())
    return SimpleNamespace(purchases=purchases, matrix=matrix, features=features, data=data)


@pytest.fixture(scope="session")
def simulate_waste() -> Any:
    """The function :func:`simulated_waste`."""
    return simulated_waste


@pytest.fixture(scope="session")
def waste_tables() -> SimpleNamespace:
    """3,000 purchases of 60 households; tests that change a frame take a copy."""
    return simulated_waste(60, 50, 3, filter_oracle=False)


@pytest.fixture(scope="session")
def train_food_waste(waste_tables: SimpleNamespace) -> Any:
    """A function that trains ``food_waste``: other tables, changed parameters -> predictor, predictions, account."""
    from augury.pipelines.model_training.boosted_pair import PairModel, train_waste

    def train(tables: SimpleNamespace = waste_tables, seed: int = 3, **changes: Any) -> SimpleNamespace:
        model = PairModel.model_validate(WASTE_MODEL | changes)
        found = train_waste(tables.matrix, tables.purchases, tables.features, tables.data, {}, model, seed, PROVENANCE)
        return SimpleNamespace(**dict(zip(("predictor", "predictions", "account"), found, strict=True)))

    return train


@pytest.fixture(scope="session")
def trained_waste(train_food_waste: Any) -> SimpleNamespace:
    """A trained ``food_waste``: ``predictor``, forward ``predictions`` and ``account``."""
    return train_food_waste()


# --- frame engines ---


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One local Spark session for all tests; skipped where Spark or Java is missing."""
    pyspark_sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable  # or its workers would run whatever python3 the PATH has
    builder = pyspark_sql.SparkSession.builder.master("local[2]").appName("augury-tests")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # A short-lived JVM spends more on optimising its code than it gains
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "UTC",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


class FrameEngine:
    """Makes native frames of an engine from pandas and collects them again."""

    def __init__(self, name: str, session: Any = None) -> None:
        self.name = name
        self._session = session

    def make(self, frame: pd.DataFrame) -> Any:
        """A native frame with the same rows; missing values become the engine's own, as after reading parquet."""
        if self._session is None:
            return frame.copy()
        import pyarrow

        return self._session.createDataFrame(pyarrow.Table.from_pandas(frame, preserve_index=False))

    def collect(self, native: Any, keys: str | list[str]) -> pd.DataFrame:
        """The rows as pandas, sorted by keys: Spark has no row order."""
        assert engines.is_spark(native) == (self._session is not None), "the node changed the engine"
        return engines.to_pandas(native).sort_values(keys, ignore_index=True)


@pytest.fixture(scope="session", params=["pandas", pytest.param("spark", marks=pytest.mark.spark)])
def frame_engine(request: pytest.FixtureRequest) -> FrameEngine:
    """Every engine in turn: a node must give the same rows and values on each."""
    return FrameEngine(request.param, request.getfixturevalue("spark") if request.param == "spark" else None)
