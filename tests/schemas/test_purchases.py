"""Refusals of a raw table of purchases: each names the column, the rule, how many rows break it, and an example."""

import io
from pathlib import Path

import pandas as pd
import pytest

from augury.errors import UserError
from augury.predictors import purchase_columns as pc
from augury.schemas.purchases import Purchases

SAMPLE = Path(__file__).parents[2] / "data/01_raw/food_waste/purchases.parquet"


@pytest.fixture(scope="module")
def sample():
    return pd.read_parquet(SAMPLE).head(50)


def complaints(table):
    """The lines of the refusal, without its heading."""
    with pytest.raises(UserError) as caught:
        Purchases.validate(table)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "food_waste.purchases breaks its schema:"
    return lines


def put(table, column, *values):
    """The table with other values in the first rows of a column."""
    changed = table[column].astype("object").to_list()
    changed[: len(values)] = values
    return table.assign(**{column: pd.Series(changed, index=table.index).infer_objects()})


def test_a_right_table_comes_back_as_it_was(sample):
    before = sample.copy(deep=True)
    assert Purchases.validate(sample) is sample
    pd.testing.assert_frame_equal(sample, before)


def test_csv_files_are_right_too(sample):
    text = sample.to_csv(index=False)
    Purchases.validate(pd.read_csv(io.StringIO(text)))
    Purchases.validate(pd.read_csv(io.StringIO(text), dtype=str))


def test_the_required_columns_and_a_fate_are_enough(sample):
    Purchases.validate(sample[[*pc.REQUIRED, pc.OUTCOME]])
    Purchases.validate(sample[list(pc.REQUIRED)].assign(is_wasted=[0, 1] * 25))


def test_a_table_with_other_names_is_left_to_its_reader(sample):
    Purchases.validate(put(sample, "price", "cheap").rename(columns={"category": "kind"}))


def test_each_broken_rule_has_a_line(sample):
    table = put(sample, "price", "cheap", "dear", 1.0)
    table = put(table, "outcome", "thrown", None, "eaten")
    table = put(table, "is_bulk", 2.0)
    table = put(table, "resolved_at", "soon").assign(purchase_id=[None, *sample["purchase_id"][1:]])
    assert sorted(complaints(table)) == [
        "- column 'is_bulk': must be 0 or 1, or true or false: 1 row(s), for example 2.0",
        "- column 'outcome': must be 'eaten' or 'wasted', or missing: 1 row(s), for example 'thrown'",
        "- column 'price': must be a finite number: 2 row(s), for example 'cheap', 'dear'",
        "- column 'purchase_id': must not be missing: 1 row(s), for example missing",
        "- column 'resolved_at': must be a time such as 2026-03-09 18:30:00: 1 row(s), for example 'soon'",
    ]


def test_values_that_make_no_sense_are_set_aside_later(sample):
    Purchases.validate(put(put(sample, "price", -5.0), "category", "pets"))


def test_a_table_without_rows_is_refused(sample):
    with pytest.raises(UserError, match="no rows"):
        Purchases.validate(sample.head(0))
