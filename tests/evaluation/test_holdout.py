"""Slice labels and group numbers, whatever the columns hold."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.evaluation.holdout import group_codes, numeric_column, slice_labels, slice_place


def test_rare_and_missing_values_get_names() -> None:
    labels = slice_labels(pd.Series(["a", "a", None, None, "b", "c"]), smallest=2)
    assert labels.tolist() == ["a", "a", "(missing)", "(missing)", "(other)", "(other)"]


@pytest.mark.parametrize("dtype", ["int64", "float64", "float32", "Int64", "category"])
def test_whole_numbers_have_one_label_whatever_their_type(dtype: Any) -> None:
    assert slice_labels(pd.Series([300, 72, 300]).astype(dtype), smallest=1).tolist() == [
        "300",
        "72",
        "300",
    ]


def test_missing_categories_count_as_missing() -> None:
    values = pd.Series(["a", None, "a"], dtype="category")
    assert slice_labels(values, smallest=1).tolist() == ["a", "(missing)", "a"]


def test_group_numbers_do_not_depend_on_the_row_order() -> None:
    frame = pd.DataFrame({"group": ["b", "a", "c", "a"]})
    assert group_codes(frame).tolist() == [1, 0, 2, 0]
    assert group_codes(frame.iloc[::-1]).tolist() == [0, 2, 0, 1]


def test_nullable_numbers_are_read_and_their_gaps_refused() -> None:
    frame = pd.DataFrame({"x": pd.array([1, 2], dtype="Int64")})
    assert numeric_column(frame, "x").dtype == np.float64
    gap = pd.DataFrame({"x": pd.array([1, None], dtype="Int64")})
    with pytest.raises(UserError, match=r"'x' must be finite; 1 of 2 rows break this.*row 1"):
        numeric_column(gap, "x")


def test_flags_are_no_numbers() -> None:
    with pytest.raises(UserError, match="must hold numbers, but its type is bool"):
        numeric_column(pd.DataFrame({"x": [True, False]}), "x")


def test_slices_stand_in_the_order_of_their_numbers_and_other_comes_last() -> None:
    expected = ["up to 0.1", "0.1 to 0.2", "0.2 to 0.3", "above 0.3", "8 KiB", "16 KiB", "32", "many", "few", "(other)"]
    rows = {"many": 9, "few": 2, "(other)": 100}
    found = sorted(sorted(expected), key=lambda label: slice_place(label, rows.get(label, 5)))
    assert found == expected
    assert slice_place("lz4", 1)[1] == slice_place("4x", 1)[1] == float("inf")


def test_labels_without_a_number_may_have_an_order_of_their_own() -> None:
    expected = ["2 to 3", "head", "tail", "popular", "(other)"]
    # What is named comes by its place, among the numbers
    given = ["(other)", "tail", "popular", "head", "2 to 3"]
    found = sorted(given, key=lambda label: slice_place(label, 5, ("a", "b", "c", "head", "tail")))
    assert found == expected
