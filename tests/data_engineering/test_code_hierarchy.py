"""What is above what."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.data_engineering.code_hierarchy import build_tree, is_well_formed

NO_TABLE = pd.DataFrame(columns=["code", "label", "parent"])


def closures(tree):
    """Code -> the codes above it, and itself."""
    return {code: set(tree.codes[tree.above[[row]].indices]) for row, code in enumerate(tree.codes)}


def test_dewey_codes_lose_their_last_digit():
    tree = build_tree(["004", "512", "530", "900", "363.7063", "010"], NO_TABLE, "prefix", "dewey")
    found = closures(tree)
    assert found["004"] == {"004", "000"}
    assert found["010"] == {"010", "000"}
    assert found["512"] == {"512", "510", "500"}
    assert found["530"] == {"530", "500"}
    assert found["900"] == {"900"}
    assert found["363.7063"] == {"363.7063", "363", "360", "300"}
    levels = dict(zip(tree.codes, tree.levels, strict=True))
    assert levels == {code: len(above) - 1 for code, above in found.items()}
    assert list(tree.codes) == sorted(found)


@given(st.sets(st.integers(0, 999).map("{:03}".format), min_size=1, max_size=20))
@settings(max_examples=20, deadline=None)
def test_any_dewey_code_is_below_what_its_zeros_say(codes):
    tree = build_tree(codes, NO_TABLE, "prefix", "dewey")
    for code, above in closures(tree).items():
        expected = {code, code[:2] + "0", code[0] + "00"}
        assert above == expected


def test_the_longest_known_beginning_is_the_parent():
    table = pd.DataFrame({"code": ["A", "A01"], "label": None, "parent": None})
    found = closures(build_tree(["A01.2", "A01.23", "B7"], table, "prefix", "prefix"))
    assert found == {
        "A": {"A"},
        "A01": {"A01", "A"},
        "A01.2": {"A01.2", "A01", "A"},
        "A01.23": {"A01.23", "A01.2", "A01", "A"},
        "B7": {"B7"},
    }


def test_a_table_says_what_is_above():
    table = pd.DataFrame({"code": ["dog", "pet", "animal", "plant"], "parent": ["pet", "animal", None, ""]})
    found = closures(build_tree(["dog"], table, "parents", "dewey"))
    assert found["dog"] == {"dog", "pet", "animal"}
    assert "plant" not in found


def test_nothing_is_above_where_there_is_no_hierarchy():
    assert closures(build_tree(["512", "510"], NO_TABLE, "none", "dewey")) == {"510": {"510"}, "512": {"512"}}


def test_senseless_tables_are_refused():
    with pytest.raises(UserError, match=r"taxonomy\.codes: .*no table with a column 'parent'"):
        build_tree(["a"], NO_TABLE, "parents", "dewey")
    with pytest.raises(UserError, match=r"1 row\(s\) name a code that is not in the table, for example 'bb' of code"):
        build_tree(["a"], pd.DataFrame({"code": ["a", "b"], "parent": ["bb", None]}), "parents", "dewey")
    circle = pd.DataFrame({"code": ["a", "b", "c", "d"], "parent": ["b", "c", "b", None]})
    with pytest.raises(UserError, match=r"leads in a circle: '[bc]' below '[bc]' below '[bc]'"):
        build_tree(["a", "d"], circle, "parents", "dewey")


def test_which_codes_are_dewey_codes():
    assert [code for code in ("004", "4", "51", "512.1", "512.", "5123", "A12") if is_well_formed(code, "dewey")] == [
        "004",
        "512.1",
    ]
    assert is_well_formed("A12", "prefix")
