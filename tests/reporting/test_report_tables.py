"""Tables made of any JSON."""

from typing import Any

import pytest

from augury.reporting.report_layout import Label
from augury.reporting.report_tables import MOST_ROWS, section_of_json, table_of_rows


def texts(table: Any) -> list[list[str]]:
    return [[cell["text"] for cell in row["cells"]] for row in table["rows"]]


def heads(table: Any) -> list[str]:
    return [column["text"] for column in table["columns"]]


def test_values_form_one_table_and_nested_objects_their_own() -> None:
    section = section_of_json(
        "Data",
        {
            "rows_read": 60_000,
            "share": 0.25,
            "safe": ["SHOW", "USE"],
            "nothing": None,
            "ok": True,
            "filters": {"blank": 3, "types": 7},
            "splits": {"train": {"rows": 5, "days": {"first": "a", "last": "b"}}, "test": {"rows": 2}},
            "steps": [{"name": "x", "n": 1}, {"name": "y", "more": [1, 2]}],
            "empty": {},
        },
        "A note.",
    )
    first, filters, splits, steps = section.tables
    assert (section.title, section.note) == ("Data", "A note.")
    assert texts(first) == [
        ["rows read", "60,000"],
        ["share", "25.0 %"],
        ["safe", "SHOW, USE"],
        ["nothing", "n/a"],
        ["ok", "yes"],
    ]
    assert texts(filters) == [["blank", "3"], ["types", "7"]]
    assert heads(splits) == ["splits", "rows", "days first", "days last"]
    assert texts(splits) == [["train", "5", "a", "b"], ["test", "2", "n/a", "n/a"]]
    assert heads(steps) == ["name", "n", "more"]
    assert texts(steps) == [["x", "1", "n/a"], ["y", "n/a", "1, 2"]]


def test_shares_and_rates_are_percentages_wherever_they_stand() -> None:
    content = {
        "heavy_rate": 0.5,
        "rates": 0.5,
        "rows_outside_share": 52735,
        "by {kind}": [{"heavy share": 0.125, "shared": 0.125}],
    }
    values, nested = section_of_json("t", content).tables
    assert texts(values) == [["heavy rate", "50.0 %"], ["rates", "0.500"], ["rows outside share", "52,735"]]
    assert texts(nested) == [["12.5 %", "0.125"]]
    assert nested["label"] == "by {kind}"


def test_an_r2_of_shares_and_the_rate_of_learning_are_no_percentages() -> None:
    (table,) = section_of_json("t", {"r2_share": 0.5, "learning_rate": 0.5, "arrival_rate": 0.5}).tables
    assert texts(table) == [["r2 share", "0.500"], ["learning rate", "0.500"], ["arrival rate", "50.0 %"]]


def test_objects_with_little_in_common_are_listed_value_by_value() -> None:
    tree = {"source": {"ids": "auto", "most": None}, "split": {"folds": 5, "days": {"first": 1}}, "seed": 42}
    (table,) = section_of_json("t", {"parameters": tree}).tables
    assert heads(table) == ["parameters", "value"]
    assert texts(table) == [
        ["source ids", "auto"],
        ["source most", "n/a"],
        ["split folds", "5"],
        ["split days first", "1"],
        ["seed", "42"],
    ]


def test_objects_in_a_list_are_told_in_words() -> None:
    rounds = [{"users": 0, "items": 71}, {"users": 3, "left_out": None}]
    (table,) = section_of_json("t", {"k_core": {"rounds": rounds}}).tables
    assert texts(table) == [["rounds", "users 0, items 71; users 3, left out n/a"]]


def test_a_column_that_nobody_has_a_value_for_is_left_out() -> None:
    rows = [{"model": "a", "cost": 1, "oracle": None}, {"model": "b", "cost": None, "oracle": None}]
    table = table_of_rows("t", rows, [], "")
    assert heads(table) == ["model", "cost"]
    assert texts(table) == [["a", "1"], ["b", "n/a"]]
    assert heads(table_of_rows("t", [{"x": None}], [], "")) == ["x"]


def test_only_a_list_needs_a_caption() -> None:
    section = section_of_json("t", {"list": [{"{a}": 1}], "tree": {"x": {"a": 1}}})
    assert [table["caption"] for table in section.tables] == [True, False]
    assert heads(section.tables[0]) == ["{a}"]


def test_a_sentence_is_no_number_and_gets_room_to_wrap() -> None:
    (table,) = section_of_json("t", {"short": "a few words", "long": "word " * 30}).tables
    shapes = [(row["cells"][1]["numeric"], row["cells"][1]["sentence"]) for row in table["rows"]]
    assert shapes == [(True, False), (False, True)]


def test_long_tables_and_lists_are_cut_and_say_so() -> None:
    rows = [{"n": number} for number in range(MOST_ROWS + 5)]
    section = section_of_json("t", {"rows": rows, "many": list(range(20)), "pairs": {str(n): n for n in range(100)}})
    values, table, pairs = section.tables
    assert len(table["rows"]) == len(pairs["rows"]) == MOST_ROWS
    assert table["label"] == f"rows (first {MOST_ROWS} of {MOST_ROWS + 5})"
    assert heads(pairs)[0] == f"pairs (first {MOST_ROWS} of 100)"
    assert texts(values) == [["many", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more"]]


@pytest.mark.parametrize("content", [{}, {"a": {}}, {"a": []}])
def test_nothing_makes_no_nested_table(content: dict[str, Any]) -> None:
    assert all(len(table["columns"]) == 2 for table in section_of_json("t", content).tables)


def test_a_table_has_labelled_columns_with_the_ends_of_their_intervals() -> None:
    rows = [{"model": "m", "auc": 0.9, "auc_lower": 0.8, "auc_upper": 0.95, "hidden": 1}]
    table = table_of_rows("t", rows, [Label("model", "model", "text"), Label("auc", "{unit} AUC", "score")], "heavy")
    assert table is not None
    assert heads(table) == ["model", "heavy AUC"]
    assert table["rows"][0]["cells"][1]["small"] == "0.8000 to 0.9500"
    assert table_of_rows("t", [], [], "") is None
