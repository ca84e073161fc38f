"""Scripts are split where statements end, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.predictors.query_statements import first_word, split_statements, writes

PIECES = ("select", " ", "\n", ";", "'", '"', "`", "--", "/*", "*/", "a.b", "''", "(", ")", "\x00", "é", "'; '")


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        (" select 1 ;\n\n;; select 2\n", ["select 1", "select 2"]),
        ("select ';' || '''; ' from t; b", ["select ';' || '''; ' from t", "b"]),
        ('select "a;b" from t; b', ['select "a;b" from t', "b"]),
        ("select `a;b`; b", ["select `a;b`", "b"]),
        ("select 1 -- no; end\n; b", ["select 1 -- no; end", "b"]),
        ("select /* ; /* ; */ 1; b", ["select /* ; /* ; */ 1", "b"]),
        ("-- only a comment;\n; /* and ; another */ ;", []),
        ("-- the first\nselect 1; -- the last", ["-- the first\nselect 1"]),
        ("select 'open; b", ["select 'open; b"]),
        ("select /* open; b", ["select /* open; b"]),
        ("'x'", ["'x'"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_statements_end_at_semicolons_outside_quotes_and_comments(script, statements):
    assert split_statements(script) == statements


@given(st.lists(st.sampled_from(["select 1", "select ';' from t", 'show "a;b"', "/* ; */ use x", "values 'it''s'"])))
def test_what_is_joined_is_split_again(statements):
    assert split_statements(" ;\n".join(statements)) == statements


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_any_text_is_split_without_losing_anything_but_blanks_comments_and_semicolons(script):
    statements = split_statements(script)
    position = 0
    for statement in statements:
        assert statement.strip() == statement != ""
        position = script.index(statement, position) + len(statement)
    for statement in statements:
        assert len(split_statements(statement)) == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("SELECT 1", "select"),
        ("  -- comment\n /* another */ ((WITH a as", "with"),
        ("/* never closed select", ""),
        ("", ""),
        ("42", ""),
        ("insert_all", "insert_all"),
    ],
)
def test_the_first_word_is_past_blanks_comments_and_parentheses(text, word):
    assert first_word(text) == word


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t SELECT 1",
        "/* x */ merge into t",
        "create table a as select 1",
        "CALL system.f()",
        "alter table t execute optimize",
        "refresh materialized view v",
    ],
)
def test_what_changes_something_writes(text):
    assert writes(text)


@pytest.mark.parametrize(
    "text", ["select 'insert into t'", "-- delete\nselect 1", "show create table t", "explain x", ""]
)
def test_what_reads_does_not(text):
    assert not writes(text)


@pytest.mark.parametrize("text", ["/*" * 300_000, "'" * 600_000, "/* */" * 200_000, "(" * 600_000, "-" * 600_000])
def test_long_texts_do_not_make_it_backtrack(text):
    # A pattern that backtracks would take hours here
    assert len(split_statements(text)) <= 1
    first_word(text)
