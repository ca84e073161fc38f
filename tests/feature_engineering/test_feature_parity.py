"""Feature parity: agreement is reported, and one differing bit is an error that says which."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.feature_engineering.feature_parity import check_parity
from augury.predictors.query_features import QueryFeatures

FEATURES = QueryFeatures(mask_share=0.2)


@pytest.fixture(scope="module")
def log(query_stage):
    prepared = "select a from orders where x = ?"
    log = query_stage.random_log(500, days=6, seed=4)
    executes = log.index % 50 == 7
    return log.assign(
        query=log["query"].mask(executes, "EXECUTE report USING 1"),
        prepared_query=log["prepared_query"].mask(executes, prepared),
        sql_text=log["sql_text"].mask(executes, prepared),
    )


@pytest.fixture(scope="module")
def stage(query_stage, log):
    return query_stage.run(log, FEATURES)


def check(stage, log, matrix=None, features=FEATURES):
    matrix = stage.matrix if matrix is None else matrix
    return check_parity(log, stage.history, matrix, stage.account, features)


def test_all_rows_that_are_not_masked_agree(stage, log):
    report = check(stage, log)
    unmasked = stage.matrix[~stage.matrix["masked"]]
    assert report["rows"] == len(unmasked) == sum(report["rows_by_batch"].values())
    assert report["dates"] == unmasked["date"].nunique()
    assert report["features"] == len(stage.account["features"])
    assert report["mismatches"] == 0
    assert min(report["rows_by_batch"].values()) > 20


def test_so_many_rows_are_compared_as_asked(stage, log):
    features = FEATURES.model_copy(update={"parity_rows": 37})
    account = stage.account | {"parameters": features.model_dump(mode="json")}
    assert check_parity(log, stage.history, stage.matrix, account, features)["rows"] == 37


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("user_heavy_rate", lambda value: np.nextafter(value, np.float32(1), dtype=np.float32)),
        ("user_heavy_rate", lambda value: np.float32(np.nan)),
        ("has_limit", lambda value: np.float32(-0.0)),
        ("hour_of_day", lambda value: value + 1),
        ("terms", lambda value: value + " more"),
        ("template", lambda value: "0" * 16),
        ("seen_template", lambda value: not value),
    ],
)
def test_one_other_bit_is_refused_with_its_name(stage, log, name, change):
    matrix = stage.matrix.copy()
    chosen = ~matrix["masked"] & matrix["user_heavy_rate"].notna() & (matrix["has_limit"] == 0)
    at = int(np.flatnonzero(chosen)[17])
    query_id = matrix["query_id"][at]
    was = matrix[name][at]
    matrix[name] = pd.Series([*matrix[name][:at], change(was), *matrix[name][at + 1 :]], dtype=matrix[name].dtype)
    with pytest.raises(UserError, match=f"'{name}' of query '{query_id}'") as error:
        check(stage, log, matrix)
    assert repr(was) in str(error.value)
    assert repr(matrix[name][at]) in str(error.value)


def test_a_service_with_another_past_is_found_out(stage, log):
    history = stage.history.copy()
    history.loc[history["kind"] == "global", "heavy"] *= 1.5
    with pytest.raises(UserError, match="heavy_rate"):
        check_parity(log, history, stage.matrix, stage.account, FEATURES)


def test_masked_rows_are_not_compared(stage, log):
    matrix = stage.matrix.copy()
    matrix.loc[matrix["masked"], "query_length"] = -1.0
    assert check(stage, log, matrix)["mismatches"] == 0


def test_rows_of_another_log_are_refused(stage, log):
    with pytest.raises(UserError, match="does not belong"):
        check(stage, log.iloc[1:])


def test_other_parameters_are_refused(stage, log):
    with pytest.raises(UserError, match="other parameters"):
        check(stage, log, features=FEATURES.model_copy(update={"half_life_days": 3}))


def test_features_recorded_elsewhere_are_refused(stage, log):
    vectors = [dict(vector) for vector in stage.account["golden"]["vectors"]]
    vectors[5]["template"] = "0" * 16
    account = stage.account | {"golden": stage.account["golden"] | {"vectors": vectors}}
    with pytest.raises(UserError, match="the template of"):
        check_parity(log, stage.history, stage.matrix, account, FEATURES)


@pytest.mark.spark
def test_what_spark_computed_is_what_serves(query_stage, frame_engine, log, stage):
    rows = frame_engine.make(log)
    found = query_stage.run(rows, FEATURES)
    report = check_parity(rows, found.history, found.matrix, found.account, FEATURES)
    assert report == check(stage, log)
