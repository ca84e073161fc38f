"""Refusals of raw tables of interactions and items: each names the column, the rule, the count, and an example."""

import io

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.predictors.interaction_values import read_column, read_identifiers
from augury.schemas.interactions import Interactions, Items

ROWS = 12


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "user_id": [f"user_{row % 4}" for row in range(ROWS)],
            "item_id": [f"item_{row}" for row in range(ROWS)],
            "timestamp": pd.date_range("2025-01-01", periods=ROWS, freq="h"),
            "interaction_type": ["view", "purchase", None] * 4,
            "implicit_rating": np.linspace(0, 5, ROWS),
        }
    )


def complaints(table, validator=Interactions):
    """The lines of the refusal, without its heading."""
    with pytest.raises(UserError) as caught:
        validator.validate(table)
    heading, *lines = str(caught.value).splitlines()
    assert heading.startswith("recommendation.")
    assert heading.endswith("breaks its schema:")
    return sorted(lines)


def put(table, column, *values):
    """The table with other values in the first rows of a column."""
    changed = table[column].astype("object").to_list()
    changed[: len(values)] = values
    return table.assign(**{column: pd.Series(changed, index=table.index).infer_objects()})


def test_a_right_table_comes_back_as_it_was(table):
    before = table.copy(deep=True)
    assert Interactions.validate(table) is table
    pd.testing.assert_frame_equal(table, before)


def test_users_and_items_are_enough(table):
    Interactions.validate(table[["user_id", "item_id"]])


def test_csv_files_and_numbers_are_right_too(table):
    text = table.to_csv(index=False)
    Interactions.validate(pd.read_csv(io.StringIO(text)))
    Interactions.validate(pd.read_csv(io.StringIO(text), dtype=str))
    seconds = table["timestamp"].astype("int64") // 10**9
    Interactions.validate(table.assign(user_id=range(ROWS), item_id=np.arange(ROWS) * 1.0, timestamp=seconds))
    Interactions.validate(table.assign(timestamp=0))


def test_a_table_with_other_names_is_left_to_its_reader(table):
    Interactions.validate(put(table, "implicit_rating", "good").rename(columns={"user_id": "userId"}))


def test_each_broken_rule_has_a_line(table):
    table = put(put(table, "user_id", None, "a\0b"), "item_id", None, None)
    table = put(put(table, "timestamp", "soon", 12345), "implicit_rating", -1.0, np.inf, "good")
    assert complaints(table) == [
        "- column 'implicit_rating': must be a finite number of at least 0: 3 row(s), for example -1.0, inf, 'good'",
        "- column 'item_id': must not be missing: 2 row(s), for example missing",
        "- column 'timestamp': must be a time such as 2026-03-09T18:30:00Z, or seconds or milliseconds since 1970 "
        "(at least 100000000; 0 and 1 stand for an unknown time): 2 row(s), for example 'soon', 12345",
        "- column 'user_id': must be text without a NUL character, or a finite number: 1 row(s), for example 'a\\x00b'",
        "- column 'user_id': must not be missing: 1 row(s), for example missing",
    ]


def test_blank_identifiers_are_refused(table):
    (line,) = complaints(put(table, "user_id", " ", ""))
    assert line == "- column 'user_id': must not be blank: 2 row(s), for example user_id ' ', user_id ''"


def test_a_table_without_rows_is_refused(table):
    with pytest.raises(UserError, match=r"recommendation\.interactions: the table has no rows"):
        Interactions.validate(table.head(0))


def test_items_need_their_identifier_only():
    Items.validate(pd.DataFrame({"item_id": [1, 2]}))
    Items.validate(pd.DataFrame({"item_id": ["a", "b"], "text": ["A book.", None], "category": [None, 3]}))
    Items.validate(pd.DataFrame())
    with pytest.raises(UserError, match=r"recommendation\.items: required column missing: 'item_id'"):
        Items.validate(pd.DataFrame({"item": ["a"]}))
    assert complaints(pd.DataFrame({"item_id": ["a", None]}), Items) == [
        "- column 'item_id': must not be missing: 1 row(s), for example missing"
    ]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, 20, 1], ["1", "20", "1"]),
        ([12347.0, None, 1.5], ["12347", None, "1.5"]),
        ([" a ", "007", 7, None, "Ünï"], ["a", "007", "7", None, "Ünï"]),
        ([2**60, 1], ["1152921504606846976", "1"]),
    ],
)
def test_identifiers_are_texts_without_a_point(values, texts):
    found, failed = read_identifiers(pd.Series(values))
    assert found.tolist() == texts
    assert not failed.any()


def test_times_are_read_in_every_spelling():
    moment = np.datetime64("2025-06-01T12:00:00", "us")
    spellings = ["2025-06-01T12:00:00Z", "2025-06-01 12:00:00", "2025-06-01T14:00:00+02:00", "1748779200", 1748779200]
    spellings += [1748779200000, pd.Timestamp("2025-06-01 12:00")]
    found, failed = read_column(pd.Series(spellings, dtype=object), "timestamp")
    assert (found == moment).all()
    assert not failed.any()
    found, failed = read_column(pd.Series([1748779200, 1748779200000, 0, 1]), "timestamp")
    assert (found[:2] == moment).all()
    assert np.isnat(found[2:]).all()
    assert not failed.any()
