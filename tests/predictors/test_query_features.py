"""Features of queries: one function for a million rows and for one, whatever the rows around."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.predictors import query_golden
from augury.predictors.query_features import (
    LABELS,
    QueryFeatures,
    TextScanner,
    feature_groups,
    feature_names,
    featurise,
    featurise_rows,
)
from augury.predictors.query_history import SNAPSHOT, HistorySnapshot
from augury.predictors.sql_features import BASE_V1, EXTRA_V1
from augury.predictors.sql_tokens import scan_texts

FEATURES = QueryFeatures()
QUERIES = query_golden._frame(
    [{"sql_text": text} | context for context in query_golden._CONTEXTS for text in query_golden.TEXTS]
)
EMPTY = HistorySnapshot.from_frame(pd.DataFrame(columns=list(SNAPSHOT)))
KNOWN = query_golden._snapshot(QUERIES)


def bits(table):
    return table[list(feature_names(FEATURES))].to_numpy().tobytes(), table[list(LABELS)].to_numpy().tolist()


def test_names_are_those_of_the_contract():
    assert feature_names(FEATURES)[:78] == BASE_V1
    assert feature_names(FEATURES)[78:100] == EXTRA_V1
    assert len(feature_names(FEATURES)) == len(set(feature_names(FEATURES))) == 78 + 22 + 17 + 12
    assert list(feature_groups(FEATURES)) == ["base_v1", "extra_v1", "history", "history_extension"]


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(QUERIES) - 1), min_size=1, max_size=12), st.sampled_from([EMPTY, KNOWN]))
def test_a_row_does_not_depend_on_the_others(numbers, snapshot):
    together = featurise(QUERIES.iloc[numbers], snapshot, FEATURES)
    alone = pd.concat([featurise(QUERIES.iloc[[number]], snapshot, FEATURES) for number in numbers])
    assert bits(together) == bits(alone)
    assert together.index.tolist() == alone.index.tolist() == numbers


def test_rows_without_a_frame_are_the_same():
    table, rows = featurise(QUERIES, KNOWN, FEATURES), featurise_rows(QUERIES, KNOWN, FEATURES)
    assert rows.numbers.tobytes() == table[list(feature_names(FEATURES))].to_numpy().tobytes()
    assert rows.numbers.dtype == np.float32
    for name in LABELS:
        assert list(getattr(rows, name)) == table[name].tolist()


def test_no_rows_give_no_rows():
    table = featurise(QUERIES.head(0), KNOWN, FEATURES)
    assert table.shape == (0, len(LABELS) + len(feature_names(FEATURES)))
    assert (table[list(feature_names(FEATURES))].dtypes == np.float32).all()


def test_a_missing_column_counts_as_all_missing():
    columns = [name for name in QUERIES if name != "sql_text"]
    nulls = QUERIES.assign(**dict.fromkeys(columns)).astype({"create_time": "datetime64[us]"})
    bare = featurise(QUERIES[["sql_text"]], KNOWN, FEATURES)
    assert bits(bare) == bits(featurise(nulls, KNOWN, FEATURES))
    assert bare["cold_user"].all()


@pytest.mark.parametrize("text", [None, float("nan"), "", "\x00", "\ud800'", "((((", "select '" + "x" * 300_000])
def test_any_text_has_features(text):
    row = QUERIES.head(1).assign(sql_text=pd.Series([text], dtype=object), user="\ud83d\x00", schema="\udc00.")
    table = featurise(row, KNOWN, FEATURES)
    assert len(table) == 1
    assert np.isfinite(table[[*BASE_V1, *EXTRA_V1]].to_numpy()).all()


def test_a_masked_row_is_a_row_whose_keys_are_all_new():
    masked = featurise(QUERIES, KNOWN, FEATURES, np.ones(len(QUERIES), dtype=bool))
    root = KNOWN.to_frame()
    new = featurise(QUERIES, HistorySnapshot.from_frame(root[root["kind"] == "global"]), FEATURES)
    names = list(feature_names(FEATURES))
    assert masked[names].to_numpy().tobytes() == new[names].to_numpy().tobytes()
    plain = featurise(QUERIES, KNOWN, FEATURES)
    assert masked[list(LABELS)].equals(plain[list(LABELS)])
    odd = np.arange(len(QUERIES)) % 2 == 1
    some = featurise(QUERIES, KNOWN, FEATURES, odd)
    assert some.loc[odd].equals(masked.loc[odd])
    assert some.loc[~odd].equals(plain.loc[~odd])


@settings(max_examples=20)
@given(
    st.lists(st.lists(st.sampled_from(query_golden.TEXTS), max_size=6), max_size=6), st.sampled_from([1, 300, 10**6])
)
def test_a_scanner_remembers_but_does_not_change_anything(calls, characters):
    scan = TextScanner(characters)
    for texts in calls:
        found, expected = scan(texts), scan_texts(texts)
        if texts:
            assert found.values.tobytes() == expected.values.tobytes()
        assert (found.templates, found.tables, found.terms) == (expected.templates, expected.tables, expected.terms)


def test_what_a_scanner_remembers_stays_at_home():
    scan = TextScanner(77)
    size = len(pickle.dumps(scan))
    scan(["select " + "x" * 10_000])
    assert len(pickle.dumps(scan)) == size
    assert pickle.loads(pickle.dumps(scan))(["select 1"]).templates == scan_texts(["select 1"]).templates  # noqa: S301
