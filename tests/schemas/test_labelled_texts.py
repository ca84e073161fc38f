"""Refusals of a raw table of texts: each names the column, the rule, how many rows break it, and where."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.schemas.labelled_texts import LabelledTexts


def table(**columns):
    rows = {"text": ["a", "b", "c"], "taxonomy_codes": [["000"], ["004", "512"], ["100"]], "confidence": [1, 0.5, 0]}
    return pd.DataFrame({**rows, **columns})


def complaints(frame):
    with pytest.raises(UserError) as caught:
        LabelledTexts.validate(frame)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "taxonomy.samples breaks its schema (rows are counted from 1):"
    return lines


def test_a_right_table_comes_back_as_it_was():
    frame = table()
    before = frame.copy(deep=True)
    assert LabelledTexts.validate(frame) is frame
    pd.testing.assert_frame_equal(frame, before)


def test_what_the_source_sets_aside_is_let_through():
    LabelledTexts.validate(table(text=["", None, "a"], taxonomy_codes=[[], None, "004;512"], confidence=None))
    LabelledTexts.validate(table(sample_id=[1, 2, 2]))
    LabelledTexts.validate(table().drop(columns="confidence"))
    LabelledTexts.validate(table(taxonomy_codes=[np.array(["000"], dtype=object)] * 3))


def test_codes_that_are_numbers_are_refused_with_their_places():
    lines = complaints(table(taxonomy_codes=[["000"], [4, "512"], np.array([0])]))
    assert lines == [
        "- column 'taxonomy_codes': codes must be text: as numbers they lose their leading zeros ('004' becomes 4): "
        "2 row(s), for example [4, '512'] in row 2, [0] in row 3"
    ]
    assert "for example 4 in row 1" in complaints(table(taxonomy_codes=[4, 512, 100]))[0]


def test_each_broken_rule_has_a_line():
    lines = complaints(
        table(text=["a", 5, "c"], taxonomy_codes=[{"a": 1}, ["004"], ["100"]], confidence=["much", 1.5, -0.1])
    )
    assert lines == [
        "- column 'text': must be text: 1 row(s), for example 5 in row 2",
        "- column 'taxonomy_codes': must be a list of codes, or text with codes between ';' or ',': 1 row(s), "
        "for example {'a': 1} in row 1",
        "- column 'confidence': must be a number: 1 row(s), for example 'much' in row 1",
        "- column 'confidence': must be between 0 and 1: 2 row(s), for example 1.5 in row 2, -0.1 in row 3",
    ]


@pytest.mark.parametrize("empty", [pd.DataFrame(), table().head(0)])
def test_an_empty_table_is_refused(empty):
    with pytest.raises(UserError, match=r"taxonomy\.samples: the table has no rows"):
        LabelledTexts.validate(empty)


def test_missing_columns():
    with pytest.raises(UserError, match="required column missing: 'taxonomy_codes'"):
        LabelledTexts.validate(table()[["text"]])
    # They may have other names, which the source knows
    LabelledTexts.validate(table().rename(columns={"text": "body"}))
