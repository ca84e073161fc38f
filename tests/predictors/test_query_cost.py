"""``query_cost``: stage 0, the quick way for a single query, and what a directory must hold."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import InputError, UserError
from augury.predictors import load_predictor
from augury.predictors import query_golden as golden_module
from augury.predictors.contract import CHECKSUMS_FILE
from augury.predictors.query_cost import INPUTS, MODEL, TORTURE_TEXTS
from augury.predictors.query_features import featurise
from augury.predictors.query_keys import TEMPLATE

NAMES = [column.name for column in INPUTS]
TEXTS = st.one_of(st.none(), st.text(max_size=30), st.sampled_from(["lake", "big", "ann", "etl", "trino-cli"]))
QUERIES = st.one_of(
    st.text(max_size=200),
    st.sampled_from(["show tables", "select 1", "execute p", "select count(*) from orders where o_orderkey = 7"]),
)


@pytest.fixture(scope="module")
def predictor(trained_query_cost):
    return trained_query_cost.predictor


@pytest.fixture(scope="module")
def requests(trained_query_cost):
    return trained_query_cost.requests


def same(found, expected):
    """A dictionary of one row, against the row of a frame, bit for bit."""
    assert list(found) == list(expected.columns)
    for name, value in found.items():
        other = expected[name].iloc[0]
        assert type(value) in (float, bool, str)
        assert np.asarray(value).tobytes() == np.asarray(other).tobytes() if name != "category" else value == other


# --- one query as among many ---


def test_a_single_query_gets_what_it_gets_in_a_frame(predictor, requests):
    expected = predictor.predict(requests)
    assert {"SHOW", "DESCRIBE", "CONSTANT_SELECT", MODEL} == set(expected["category"])
    assert predictor._single is not None  # or the quick way would not be looked at
    for place, row in enumerate(requests.to_dict("records")):
        same(predictor.predict_one(row), expected.iloc[[place]])


@settings(max_examples=60)
@given(st.fixed_dictionaries({"query": QUERIES}, optional=dict.fromkeys(NAMES[1:-1], TEXTS)))
def test_a_single_query_of_any_kind_gets_what_it_gets_in_a_frame(trained_query_cost, row):
    predictor = trained_query_cost.predictor
    same(predictor.predict_one(row), predictor.predict(pd.DataFrame([row], dtype=object)))


@pytest.mark.parametrize("text", TORTURE_TEXTS, ids=range(len(TORTURE_TEXTS)))
def test_texts_that_nobody_sends_get_a_probability_in_both_ways(text, predictor):
    found = predictor.predict_one({"query": text})
    assert 0 <= found["probability"] <= 1 and found["cpu_seconds"] >= 0
    same(found, predictor.predict(pd.DataFrame({"query": [text]})))


def test_without_the_graph_xgboost_answers_the_same(predictor, requests, monkeypatch):
    expected = [predictor.predict_one(row) for row in requests.to_dict("records")]
    monkeypatch.setattr(predictor, "_single", None)
    assert [predictor.predict_one(row) for row in requests.to_dict("records")] == expected


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"query": None},
        {"query": 7},
        {"query": b"select 1"},
        {"query": "select * from t", "user": 7},
        {"query": "select * from t", "catalog": True},
        {"query": "select * from t", "create_time": "yesterday"},
        {"query": "select * from t", "create_time": 1.5},
        {"query": "show tables", "create_time": "2026-13-01"},
        {"querry": "select * from t"},
    ],
    ids=str,
)
def test_a_single_query_is_refused_with_the_words_that_a_frame_gets(predictor, row):
    messages = []
    for ask in (predictor.predict_one, lambda one: predictor.predict(pd.DataFrame({k: [v] for k, v in one.items()}))):
        with pytest.raises(InputError) as caught:
            ask(row)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_missing_values_of_pandas_are_missing_for_a_single_query(predictor):
    plain = predictor.predict_one({"query": "select * from orders"})
    nothing = {"query": "select * from orders", "user": np.nan, "catalog": pd.NA, "create_time": pd.NaT}
    assert predictor.predict_one(nothing) == plain


def test_threads_may_share_a_predictor(predictor, requests):
    rows = requests.to_dict("records")
    expected = [predictor.predict_one(row) for row in rows]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [predictor.predict_one(row) for row in rows], range(8)):
            assert found == expected


# --- what is asked decides ---


def test_free_statements_need_no_model(predictor):
    found = predictor.predict(pd.DataFrame({"query": ["SHOW TABLES", " select 1 + 1 ", "desc t", "explain select 1"]}))
    assert found["category"].tolist() == ["SHOW", "CONSTANT_SELECT", "DESCRIBE", MODEL]  # EXPLAIN was not found safe
    assert (found["probability"][:3] == 0).all() and found["probability"][3] > 0
    assert not found["is_heavy"][:3].any() and (found["cpu_seconds"][:3] == 0).all()


def test_an_execute_is_judged_by_its_prepared_text(predictor):
    heavy = "with t as (select * from lineitem) select count(distinct t.l_partkey) from t cross join nation"
    prepared = predictor.predict_one({"query": "EXECUTE p USING 1", "prepared_query": heavy, "catalog": "big"})
    assert prepared == predictor.predict_one({"query": heavy, "catalog": "big"})
    # Of a query that is none, the prepared text is of no account
    light = {"query": "select count(*) from orders where o_orderkey = 3"}
    assert predictor.predict_one(light | {"prepared_query": heavy}) == predictor.predict_one(light)


def test_the_catalog_of_the_dear_data_makes_a_query_heavy(predictor, trained_query_cost):
    train = trained_query_cost.matrix
    assert train["is_heavy"].mean() < 0.35
    query = trained_query_cost.requests["query"].iloc[-1]
    probabilities = {
        catalog: np.mean(
            [
                predictor.predict_one({"query": text, "catalog": catalog, "user": "ann", "schema": "tpch"})[
                    "probability"
                ]
                for text in trained_query_cost.requests["query"].iloc[7:]
            ]
        )
        for catalog in ("lake", "big")
    }
    assert query and probabilities["big"] > probabilities["lake"] + 0.1


def test_times_with_and_without_a_zone_are_utc(predictor):
    times = ["2026-03-04T22:30:00", "2026-03-04T22:30:00Z", "2026-03-05T00:30:00+02:00", "2026-03-04 22:30:00.000"]
    queries = pd.DataFrame({"query": "select * from orders", "create_time": times})
    rows = predictor.featurise_queries(queries).numbers
    names = list(predictor.specification.numbers)
    assert rows[0, names.index("hour_of_day")] == 22 and rows[0, names.index("day_of_week")] == 2
    assert all(np.array_equal(row, rows[0], equal_nan=True) for row in rows)


def test_the_matrix_is_what_the_features_of_the_newest_history_give(predictor, requests):
    asked = requests[~requests["query"].isin(["show tables", "select 1", "describe t"])].reset_index(drop=True)
    asked = asked[asked["prepared_query"].isna()]
    frame = asked.assign(sql_text=asked["query"], create_time=pd.to_datetime(asked["create_time"]).dt.tz_localize(None))
    found = predictor.predict_matrix(featurise(frame, predictor.snapshot, predictor.features))
    expected = predictor.predict(asked)
    for name in ("probability", "cpu_seconds"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert found.index.equals(asked.index)


def test_the_decision_is_the_probability_at_the_operating_point(predictor, requests):
    found = predictor.predict(requests)
    assert predictor.threshold == predictor.operating_points[predictor.specification.operating_point]
    assert (found["is_heavy"] == (found["probability"] >= predictor.threshold)).all()
    assert found["is_heavy"].nunique() == 2


def test_heavy_templates_are_those_of_the_history(predictor):
    states = predictor.snapshot.to_frame()
    templates = states[states["kind"] == TEMPLATE]
    found = predictor.heavy_templates()
    assert 0 < len(found) < len(templates)
    assert all(0 < heavy <= runs for _, runs, heavy in found)
    assert {name for name, _, _ in found} == set(templates.loc[templates["heavy"] > 0, "key"])


def test_importances_are_shares_by_name(predictor):
    found = predictor.importances()
    assert sum(found.values()) == pytest.approx(1)
    assert set(found) <= set(predictor.feature_names)
    assert list(found.values()) == sorted(found.values(), reverse=True)


# --- directories ---


@pytest.fixture
def saved(predictor, tmp_path):
    """A directory whose files can be changed without breaking its checksums first."""
    predictor.save(tmp_path / "model")
    (tmp_path / "model" / CHECKSUMS_FILE).unlink()
    golden_module._CHECKED.clear()
    return tmp_path / "model"


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def message_of(saved):
    with pytest.raises(UserError) as caught:
        load_predictor(saved)
    return str(caught.value)


def test_features_that_come_out_otherwise_are_refused_by_name(saved):
    path = saved / "specification.json"
    golden = json.loads(path.read_text())["golden"]
    bits = golden["vectors"][0]["numbers"]
    golden["vectors"][0]["numbers"] = ("0" if bits[0] != "0" else "1") + bits[1:]
    change(path, golden=golden)
    assert "feature 'query_length'" in message_of(saved)


def test_other_features_are_refused(saved):
    path = saved / "specification.json"
    change(path, numbers=json.loads(path.read_text())["numbers"][:-1])
    assert "was trained with other features" in message_of(saved)


def test_trees_of_another_vocabulary_are_refused(saved):
    path = saved / "vocabulary.json"
    change(path, terms=json.loads(path.read_text())["terms"][:-1])
    assert "are not those of its" in message_of(saved)


@pytest.mark.parametrize("name", ["specification.json", "calibration.json", "vocabulary.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_file_is_named(saved, name, content):
    (saved / name).write_bytes(content)
    assert f"{name}' is damaged" in message_of(saved)


def test_a_damaged_history_is_named(saved):
    content = (saved / "history.parquet").read_bytes()
    (saved / "history.parquet").write_bytes(content[: len(content) // 2])
    assert "history.parquet' is damaged" in message_of(saved)


@pytest.mark.parametrize("name", ["classifier.ubj", "regressor.ubj"])
def test_damaged_trees_are_a_user_error(saved, name):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: len(content) // 2])
    assert "trees of query_cost are damaged" in message_of(saved)


@pytest.mark.parametrize(
    "name", ["classifier.ubj", "regressor.ubj", "history.parquet", "model.onnx", "model_text.onnx"]
)
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    assert f"{name} is missing" in message_of(saved)
