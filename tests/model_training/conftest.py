"""A small feature matrix of queries whose costs follow a rule, for everything that trains on one."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.model_training.boosted_classifier import BoostedClassifierModel
from augury.pipelines.model_training.training_rows import CostUnit
from augury.predictors.query_features import QueryFeatures, code_digest, feature_groups, feature_names
from augury.predictors.query_golden import golden_vectors
from augury.predictors.query_history import SNAPSHOT

UNIT = CostUnit(cpu_threshold_s=2.0, memory_threshold_gb=0.5, smallest=1e-3)


def simulate_matrix(rows=2400, days=30, templates=60, seed=0):
    """Rows of a feature matrix: cost = template x size of the input x noise, heavy from 2 CPU seconds on.

    Light training rows are thinned out to a third and weigh 3. The template shows in the terms, its size in
    ``template_p50_cpu`` of half of the templates, the input in ``tables_sum_median_input_bytes``.
    """
    random = np.random.default_rng(seed)
    names = feature_names(QueryFeatures())
    numbers = pd.DataFrame(
        np.floor(random.lognormal(0.5, 1, (rows, len(names)))).astype(np.float32), columns=list(names)
    )
    numbers[numbers > 40] = np.nan
    text = ["query_length", "join_count"]  # never missing
    numbers[text] = numbers[text].fillna(100) * np.float32([400, 1])
    template = random.integers(0, templates, rows)
    size = random.normal(-2, 1.3, templates)
    data = random.lognormal(0, 1, rows)
    cpu = np.exp(size[template]) * data * random.lognormal(0, 0.3, rows)
    numbers["tables_sum_median_input_bytes"] = (data * 1e6).astype(np.float32)
    known = template % 2 == 0
    numbers["template_p50_cpu"] = np.where(known, np.exp(size[template]), np.nan).astype(np.float32)
    numbers["template_seen"] = known.astype(np.float32)
    words = np.array([f"w{number}" for number in range(80)] + [f"w{number}~w{number + 1}" for number in range(40)])
    terms = np.array([" ".join(sorted(random.choice(words, 25, replace=False))) for _ in range(templates)])
    dates = pd.date_range("2026-01-01", periods=days).strftime("%Y-%m-%d").to_numpy()
    day = np.sort(random.integers(0, days, rows))
    split = np.select([day < days * 0.6, day < days * 0.75, day < days * 0.9], ["train", "validation", "test"], "drift")
    heavy = cpu >= UNIT.cpu_threshold_s
    table = pd.DataFrame(
        {
            "query_id": [f"q{number:06d}" for number in range(rows)],
            "split": split,
            "weight": np.where((split == "train") & ~heavy, 3.0, 1.0),
            "is_heavy": heavy,
            "origin": random.choice(["executed", "replayed"], rows),
            "user": "someone",
            "cpu_time_s": cpu,
            "peak_memory_gb": np.nan,
            "template": [hashlib.md5(bytes([number])).hexdigest()[:16] for number in template],
            "seen_template": known,
            "cold_user": False,
            "terms": terms[template],
            "date": dates[day],
        }
    )
    kept = (split != "train") | heavy | (random.random(rows) < 1 / 3)
    return pd.concat([table, numbers], axis=1)[kept].reset_index(drop=True)


@pytest.fixture(scope="session")
def query_matrix():
    """A feature matrix; tests that change it take a copy."""
    return simulate_matrix()


@pytest.fixture(scope="session")
def query_reports():
    """What the stages before say of the matrix, and an empty history."""
    features = QueryFeatures()
    groups = feature_groups(features)
    return SimpleNamespace(
        history=pd.DataFrame(
            {name: pd.Series(dtype=object if kind == "string" else float) for name, kind in SNAPSHOT.items()}
        ),
        features={
            "features": list(feature_names(features)),
            "groups": {group: list(names) for group, names in groups.items()},
            "parameters": features.model_dump(mode="json"),
            "code_sha256": code_digest(),
            "golden": golden_vectors(features),
        },
        zero_cost={"safe": ["SHOW", "DESCRIBE"]},
        data={"thresholds": {"cpu_seconds": UNIT.cpu_threshold_s, "memory_gb": UNIT.memory_threshold_gb}},
    )


def small_model(**changes):
    """Parameters that train in a second."""
    trees = {"rounds": 60, "learning_rate": 0.2, "max_depth": 4, "early_stopping_rounds": 10, "colsample_bytree": 0.5}
    settings = {
        "vocabulary": {"max_terms": 60},
        "classifier": trees,
        "regressor": trees,
        "folds": 3,
        "fewest_heavy_templates": 10,
        "threads": 1,
    }
    return BoostedClassifierModel.model_validate(settings | changes)


@pytest.fixture(scope="session")
def query_model():
    """A function: changed parameters -> parameters of a small model."""
    return small_model
