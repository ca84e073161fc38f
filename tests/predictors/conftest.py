"""A small ``query_cost`` predictor, trained on a made-up log through the real feature engineering."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.feature_engineering.query_history import daily_statistics, take_snapshots
from augury.pipelines.feature_engineering.query_keys import fingerprint_log
from augury.pipelines.feature_engineering.query_log import build_features
from augury.pipelines.model_training.boosted_classifier import BoostedClassifierModel, train_query_cost
from augury.predictors.query_columns import LABELLED, REQUEST
from augury.predictors.query_features import QueryFeatures

TEMPLATES = (
    ("select count(*) from orders where o_orderkey = {n}", 0.05),
    ("SELECT o.o_custkey, sum(l.l_tax) FROM orders o JOIN lineitem l ON o.o_orderkey = l.l_orderkey"
     " WHERE l.l_quantity > {n} GROUP BY 1 ORDER BY 2 DESC LIMIT 100", 1.5),
    ("with t as (select * from lineitem where l_shipdate > date '199{d}-01-01')"
     " select count(distinct t.l_partkey) from t cross join nation where t.l_tax < {n}", 3.0),
    ("select * from customer c, nation n where c.c_nationkey = n.n_nationkey and n.n_name like '%{n}%'", 0.3),
    ("select avg(x) over (partition by y order by z) from \"Weird Schema\".\"T{d}\" where s in ({n}, 1, 2)", 0.8),
    ("insert into sums select l_suppkey, max(l_discount) from lineitem group by 1 having count(*) > {n}", 2.2),
)  # fmt: skip
"""Text and the CPU seconds that it takes on average."""

SETTINGS = {
    "vocabulary": {"max_terms": 40, "min_rows": 3},
    "classifier": {"rounds": 30, "learning_rate": 0.2, "max_depth": 4, "early_stopping_rounds": 8},
    "regressor": {"rounds": 30, "learning_rate": 0.2, "max_depth": 4, "early_stopping_rounds": 8},
    "folds": 0,
    "calibration": "isotonic_linear",
    # Both sets of trees have a part in every probability
    "blend_weights": (0.25,),
    "template_parts": 2,
    "fewest_heavy_templates": 2,
    "threads": 1,
}


def simulate_log(rows=1500, days=24, seed=0):
    """A labelled log: heavy from 2 CPU seconds on, the catalog ``big`` three times as dear."""
    random = np.random.default_rng(seed)
    kind = random.choice(len(TEMPLATES), rows, p=[0.4, 0.1, 0.05, 0.25, 0.15, 0.05])
    start = pd.Timestamp("2026-03-02")
    created = start + pd.to_timedelta(np.sort(random.uniform(0, days * 86_400, rows)), unit="s")
    catalog = random.choice(["lake", "big", None], rows, p=[0.7, 0.2, 0.1])
    cpu = np.array([TEMPLATES[number][1] for number in kind]) * random.lognormal(0, 0.3, rows)
    cpu *= np.where(catalog == "big", 3.0, 1.0)
    day = (created - start).days
    split = np.select([day < days * 0.6, day < days * 0.8], ["train", "validation"], "test")
    table = pd.DataFrame(
        {
            "query_id": [f"2026_{number:05d}" for number in range(rows)],
            "query": [TEMPLATES[k][0].format(n=random.integers(0, 9), d=random.integers(2, 8)) for k in kind],
            "user": random.choice(["ann", "bob", "etl", None], rows),
            "source": random.choice(["trino-cli", "airflow", "superset"], rows),
            "catalog": catalog,
            "schema": random.choice(["tpch", "sales"], rows),
            "client_tags": random.choice(["nightly", "a,b", None], rows),
            "query_type": "SELECT",
            "query_state": "FINISHED",
            "create_time": created.astype("datetime64[us]"),
            "end_time": (created + pd.to_timedelta(cpu, unit="s")).astype("datetime64[us]"),
            "cpu_time_s": cpu,
            "peak_memory_gb": np.nan,
            "physical_input_bytes": np.nan,
            "physical_input_rows": np.nan,
            "origin": "replayed",
            "is_heavy": cpu >= 2.0,
            "split": split,
            "weight": 1.0,
            "date": created.strftime("%Y-%m-%d"),
        }
    )
    table["sql_text"] = table["query"]
    nothing = pd.Series([None] * rows, dtype=object)
    return table.assign(**{name: nothing for name in LABELLED if name not in table})[list(LABELLED)]


@pytest.fixture(scope="session")
def trained_query_cost():
    """``predictor``, ``account``, the ``matrix``, and ``requests`` of later days as the service gets them."""
    log = simulate_log()
    features = QueryFeatures()
    keys = fingerprint_log(log, features)
    history = take_snapshots(daily_statistics(keys, features), keys, log, features)
    matrix, report = build_features(log, history, features, 3)
    predictor, account = train_query_cost(
        matrix,
        history,
        report,
        {"safe": ["SHOW", "DESCRIBE", "CONSTANT_SELECT"]},
        {"thresholds": {"cpu_seconds": 2.0, "memory_gb": 1.0}},
        {},
        BoostedClassifierModel.model_validate(SETTINGS),
        3,
        {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {"augury": "0.1.0"}},
    )
    later = simulate_log(60, 3, seed=8)
    requests = later[list(REQUEST)].assign(create_time=later["create_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    # Free statements, a prepared one, other scripts, nothing at all
    special = ["show tables", "select 1", "EXECUTE report", "SELECT имя FROM таблица", "", "describe t", "execute p"]
    requests.loc[requests.index[: len(special)], "query"] = special
    requests.loc[requests.index[2], "prepared_query"] = TEMPLATES[2][0].format(n=1, d=3)
    requests.loc[requests.index[3:5], "create_time"] = None
    return SimpleNamespace(predictor=predictor, account=account, matrix=matrix, requests=requests)
