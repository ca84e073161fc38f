"""The feature matrix: what it holds, which rows are masked, and what the account says."""

import json

import numpy as np
import pytest

from augury.pipelines.feature_engineering import query_log
from augury.predictors.query_features import QueryFeatures, feature_names
from augury.predictors.query_golden import check_golden, golden_vectors


@pytest.fixture(scope="module")
def log(query_stage):
    return query_stage.random_log(500, days=10, seed=3)


@pytest.fixture(scope="module")
def stage(query_stage, log):
    return query_stage.run(log, QueryFeatures(mask_share=0.3))


def test_rows_and_columns(stage, log):
    matrix = stage.matrix
    assert sorted(matrix["query_id"]) == sorted(log["query_id"])
    kept = matrix.set_index("query_id").loc[log["query_id"]].reset_index()
    for name in ("date", "split", "weight", "is_heavy", "origin", "user", "cpu_time_s", "peak_memory_gb"):
        assert kept[name].equals(log[name]), name
    names = list(feature_names(stage.features))
    assert [name for name in matrix if name in set(names)] == names
    assert (matrix[names].dtypes == np.float32).all()
    assert matrix["terms"].map(type).eq(str).all()
    assert matrix["seen_template"].dtype == matrix["cold_user"].dtype == matrix["masked"].dtype == bool


def test_only_training_rows_are_masked_and_in_their_share(stage):
    train = stage.matrix[stage.matrix["split"] == "train"]
    assert not stage.matrix.loc[stage.matrix["split"] != "train", "masked"].any()
    assert 0.2 < train["masked"].mean() < 0.4


def test_a_masked_row_looks_new_but_its_labels_are_true(stage, query_stage, log):
    plain = query_stage.run(log).matrix.set_index("query_id")
    matrix = stage.matrix.set_index("query_id").loc[plain.index]
    masked = matrix["masked"]
    names = list(feature_names(stage.features))
    assert matrix.loc[~masked, names].equals(plain.loc[~masked, names])
    assert (matrix.loc[masked, "is_cold_start"] == 1).all()
    assert (matrix.loc[masked, ["user_query_count", "catalog_query_count", "template_seen"]] == 0).all(axis=None)
    assert (plain.loc[masked, "template_seen"] > 0).any()
    assert matrix[["template", "seen_template", "cold_user", "terms"]].equals(
        plain[["template", "seen_template", "cold_user", "terms"]]
    )
    text = [name for name in names if name in stage.account["groups"]["base_v1"]]
    assert matrix[text].equals(plain[text])


def test_the_same_rows_are_masked_whatever_the_other_rows(query_stage, log):
    features = QueryFeatures(mask_share=0.3)
    half = log[log.index % 2 == 0]
    whole = query_stage.run(log, features).matrix.set_index("query_id")["masked"]
    part = query_stage.run(log, features, sampled=half).matrix.set_index("query_id")["masked"]
    assert part.equals(whole.loc[part.index])
    other = query_stage.run(log, features, seed=8).matrix.set_index("query_id")["masked"]
    assert not other.loc[whole.index].equals(whole)


def test_labels_say_what_was_seen(query_stage):
    records = [
        {"created": "2026-01-01T10:00:00", "user": "ana", "query": "select a from t where x = 1"},
        {"created": "2026-01-03T10:00:00", "user": "ana", "query": "select a from t where x = 2"},
        {"created": "2026-01-03T10:00:00", "user": "bo", "query": "select b from t"},
        {"created": "2026-01-03T10:00:00", "user": None, "query": "select b from t"},
    ]
    matrix = query_stage.run(query_stage.labelled(records)).matrix.set_index("query_id")
    assert matrix["seen_template"].tolist() == [False, True, False, False]
    assert matrix["cold_user"].tolist() == [True, False, True, True]


def test_switched_off_groups_are_left_out(query_stage, log):
    features = QueryFeatures(extra=False, history_extension=False, mask_share=0)
    stage = query_stage.run(log.head(20), features)
    assert list(stage.account["groups"]) == ["base_v1", "history"]
    assert len(stage.account["features"]) == 78 + 17
    assert set(stage.account["features"]) < set(stage.matrix)
    assert "template_seen" not in stage.matrix


def test_the_account_is_plain_data_that_describes_every_feature(stage):
    account = json.loads(json.dumps(stage.account, allow_nan=False))
    assert account["features"] == list(feature_names(stage.features))
    assert list(account["descriptions"]) == account["features"]
    assert all(account["descriptions"].values())
    assert [len(names) for names in account["groups"].values()] == [78, 22, 17, 12]
    assert QueryFeatures.model_validate(account["parameters"]) == stage.features
    check_golden(account["golden"], stage.features, "the test")


def test_an_executor_that_computes_otherwise_is_refused(query_stage, frame_engine, monkeypatch, log):
    features = QueryFeatures()
    golden = golden_vectors(features)
    numbers = golden["vectors"][0]["numbers"]
    golden["vectors"][0]["numbers"] = f"{int(numbers[0], 16) ^ 1:x}{numbers[1:]}"
    rows = log.head(30)
    history = query_stage.run(rows, features).history
    monkeypatch.setattr(query_log, "golden_vectors", lambda features: golden)
    # Spark wraps the error of its worker
    with pytest.raises(Exception, match=r"feature 'query_length' of 'SELECT.* recorded"):
        matrix, _ = query_log.build_features(frame_engine.make(rows), frame_engine.make(history), features, 7)
        frame_engine.collect(matrix, "query_id")
