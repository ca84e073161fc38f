"""Stage 0: what counts as free, what never does, and that no text is too strange."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from augury.predictors.query_classifier import (
    CATEGORIES,
    MAX_CHARS,
    NEVER,
    QueryClassifier,
    executed_text,
    statement_kind,
)

FREE = {
    "SHOW": ["SHOW TABLES", "show catalogs ;", "SHOW CREATE TABLE a.b", "SHOW FUNCTIONS LIKE '%;%'"],
    "SHOW_STATS": ["SHOW STATS FOR hive.a.t"],
    "DESCRIBE": ["DESCRIBE a.b", "desc t", "DESCRIBE OUTPUT p"],
    "EXPLAIN": [
        "EXPLAIN SELECT * FROM t",
        "explain (TYPE LOGICAL, FORMAT JSON) SELECT * FROM t",
        "EXPLAIN INSERT INTO t SELECT analyze FROM u",
    ],
    "SESSION": ["SET SESSION a = 1", "RESET SESSION a", "set time zone 'UTC'", "SET ROLE r", "SET PATH p", "USE a.b"],
    "TRANSACTION": ["START TRANSACTION READ ONLY", "COMMIT", "ROLLBACK WORK"],
    "PREPARE": ["PREPARE p FROM SELECT * FROM t", "DEALLOCATE PREPARE p"],
    "PERMISSION": ["GRANT SELECT ON t TO u", "REVOKE ALL ON t FROM u", "DENY DELETE ON t TO u"],
    "DDL": [
        "CREATE TABLE t (a int COMMENT 'as select')",
        "CREATE TABLE IF NOT EXISTS t (a int) WITH (format = 'AS')",
        "CREATE SCHEMA s",
        "DROP TABLE IF EXISTS t",
        "DROP MATERIALIZED VIEW v",
        "ALTER TABLE t ADD COLUMN a int",
        "COMMENT ON TABLE t IS 'x'",
        'CREATE TABLE "as" (a int)',
    ],
    "CREATE_VIEW": ["CREATE OR REPLACE VIEW v AS SELECT * FROM t"],
    "METADATA_SELECT": [
        "SELECT * FROM information_schema.tables",
        'select "a" from hive."Information_Schema".columns c',
        "SELECT * FROM a.information_schema.tables x, b.information_schema.columns y",
        "SELECT * FROM system.runtime.queries q JOIN system.metadata.catalogs c ON q.a = c.a",
        "WITH x AS (SELECT * FROM system.jdbc.tables) SELECT count(*) FROM x",
        "SELECT * FROM (SELECT * FROM information_schema.tables) WHERE a IN (SELECT b FROM system.jdbc.types)",
    ],
    "CONSTANT_SELECT": ["SELECT 1", "((select 'a from b'))", "VALUES 1, 2", "WITH x AS (SELECT 1) SELECT 2"],
    "LIMIT_0": [
        "SELECT * FROM t LIMIT 0",
        "WITH x AS (SELECT * FROM t) SELECT * FROM x UNION ALL SELECT * FROM u limit /* none */ 0 ; -- limit",
    ],
}

NOT_FREE = {
    "CREATE_TABLE_AS": [
        "CREATE TABLE t AS SELECT 1",
        "create or replace table t with (format = 'ORC') as (select 1)",
        "CREATE TABLE t (a) AS TABLE u",
    ],
    "INSERT": ["INSERT INTO t SELECT 1 LIMIT 0", "insert into t values 1"],
    "MERGE": ["MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE"],
    "UPDATE": ["UPDATE t SET a = 1"],
    "DELETE": ["DELETE FROM t"],
    "TRUNCATE": ["TRUNCATE TABLE t"],
    "REFRESH": ["REFRESH MATERIALIZED VIEW v"],
    "ANALYZE": ["ANALYZE t"],
    "CALL": ["CALL system.sync_partition_metadata('a', 'b', 'FULL')"],
    "EXECUTE": ["EXECUTE p USING 1", "EXECUTE IMMEDIATE 'SELECT 1'"],
    "EXPLAIN_ANALYZE": [
        "EXPLAIN ANALYZE SELECT 1",
        "explain /* only */ analyze verbose select 1",
        "EXPLAIN (TYPE DISTRIBUTED) ANALYZE SELECT 1",
    ],
    "ALTER_EXECUTE": ["ALTER TABLE t EXECUTE optimize(file_size_threshold => '1MB')"],
    "SHOW_STATS_QUERY": ["SHOW STATS FOR (SELECT * FROM t)"],
}

UNCLEAR = [
    "SELECT * FROM t",
    "SELECT * FROM t -- LIMIT 0",
    "SELECT * FROM t WHERE a = 'LIMIT 0'",
    "SELECT * FROM (SELECT * FROM t LIMIT 0)",
    "SELECT * FROM t LIMIT 00",
    "SELECT * FROM t LIMIT 0.5",
    "SELECT * FROM information_schema.tables, t",
    "SELECT * FROM information_schema.tables WHERE EXISTS (SELECT 1 FROM t)",
    "WITH t AS (SELECT * FROM t) SELECT * FROM information_schema.tables, t",
    "SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) x, information_schema.tables, t",
    "SELECT * FROM runtime.queries",
    "SELECT * FROM UNNEST(sequence(1, 1000000))",
    "SELECT cardinality(sequence(1, 1000000))",
    "SELECT (TABLE t)",
    "SELECT * FROM TABLE(generate(1))",
    "WITH FUNCTION f() RETURNS int BEGIN WHILE true DO SET x = 1; END WHILE; END SELECT f()",
    "SELECT 1; DROP TABLE t",
    "SHOW TABLES; DELETE FROM t",
    "SELECT a,",
    "SELECT a FROM",
    "SELECT (1",
    "SELECT 'abc",
    'SELECT "abc',
    "SHOW TABLES LIKE 'abc",
    "CREATE MATERIALIZED VIEW v AS SELECT 1",
    "SET SESSION a = (SELECT 1)",
    "CREATE",
    "EXPLAIN",
    "",
    " ",
    "\x00",
    "-- nothing",
    "/* open",
    "SHOW TABLES /* open",
    "SELECT 1 /* open",
    "{{ dbt }}",
    "日本",
    "()",
    None,
]

EVERYTHING = [text for texts in (*FREE.values(), *NOT_FREE.values(), UNCLEAR) for text in texts if text]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FREE.items() for text in texts])
def test_free_statements_have_their_category(kind, text):
    assert statement_kind(text) == kind
    assert QueryClassifier([]).category(text) == kind
    assert QueryClassifier([kind]).is_zero_cost([text]).tolist() == [True]
    assert QueryClassifier(set(CATEGORIES) - {kind}).is_zero_cost([text]).tolist() == [False]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NOT_FREE.items() for text in texts])
def test_what_is_never_free_stays_so_even_if_declared_safe(kind, text):
    assert statement_kind(text) == kind
    declared = QueryClassifier([*CATEGORIES, *NEVER, kind, kind.lower()])
    assert declared.category(text) is None
    assert not declared.is_zero_cost([text]).any()


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_is_not_clearly_free_has_no_category(text):
    assert statement_kind(text) is None
    assert not QueryClassifier(CATEGORIES).is_zero_cost([text]).any()


@pytest.mark.parametrize(
    "before", ["  \n\t", "-- c'omment\n", "/* it's (one */", "\ufeff", "\x00 ", "--a\r\n/**/--b\n"]
)
def test_what_stands_before_a_statement_is_of_no_account(before):
    for text in EVERYTHING:
        assert statement_kind(before + text) == statement_kind(text), text


def test_the_case_of_letters_is_of_no_account():
    for text in EVERYTHING:
        assert statement_kind(text.upper()) == statement_kind(text.lower()) == statement_kind(text), text


def test_comments_count_as_space_everywhere():
    for text in EVERYTHING:
        if not set("'\"-/") & set(text):
            assert statement_kind(text.replace(" ", " /* ; ' ( limit 0 */ ")) == statement_kind(text), text


def test_an_execute_is_judged_by_its_prepared_text_only_if_that_is_known():
    assert executed_text("EXECUTE p USING 1", "SELECT 1") == "SELECT 1"
    assert executed_text("-- x\n execute p", "SELECT * FROM t") == "SELECT * FROM t"
    assert executed_text("EXECUTE p", None) == executed_text("EXECUTE p", "") == "EXECUTE p"
    assert executed_text("SELECT 2", "SELECT 1") == "SELECT 2"
    assert executed_text("EXECUTED", "SELECT 1") == "EXECUTED"
    assert executed_text(None, "SELECT 1") is None


def test_many_texts_are_judged_as_one_by_one():
    classifier = QueryClassifier(["SHOW", "LIMIT_0"])
    texts = [*EVERYTHING, None, *EVERYTHING[::-1]]
    assert classifier.categories(texts) == [classifier.category(text) for text in texts]
    free = classifier.is_zero_cost(texts)
    assert free.dtype == np.bool_
    assert free.tolist() == [classifier.category(text) in {"SHOW", "LIMIT_0"} for text in texts]
    assert classifier.is_zero_cost([]).shape == (0,)


@given(
    st.lists(st.sampled_from([*" ()'\"`,;.*0-/\n\x00", *EVERYTHING, "limit", "from", "with", "as", "é"]), max_size=8)
)
@example(["select ", "(", "("])
def test_no_text_raises_and_a_second_statement_is_never_free(parts):
    text = "".join(parts)
    kind = statement_kind(text)
    assert kind is None or kind in (*CATEGORIES, *NEVER)
    assert statement_kind(f"{text}\n; DELETE FROM t") not in CATEGORIES
    if kind in CATEGORIES:
        assert statement_kind(f"({text}") not in CATEGORIES


@pytest.mark.parametrize(
    "text",
    [
        "select " + "(" * 20_000,
        "(" * 200_000,
        "select * from t where a in (" + ",".join(map(str, range(100_000))) + ")",
        "select '" + "''" * 9_000,
        "/* " * 60_000,
        "/*" + "*" * 150_000,
        "-- " * 60_000,
        "limit " * 3_000,
        "select * from (" * 1_000,
        "select a from t limit" + " " * 19_000 + "0x",
        "show " + "a." * 100_000,
    ],
    ids=lambda text: f"{text[:12]}...",
)
def test_the_scan_never_backtracks(text):
    # A scan that did would take hours
    assert statement_kind(text) is None


def test_long_texts_have_no_category():
    free = "SELECT " + "1" * (MAX_CHARS - len("SELECT "))
    assert statement_kind(free) == "CONSTANT_SELECT"
    assert statement_kind(free + "1") is None
    assert statement_kind("INSERT INTO t VALUES " + "1" * MAX_CHARS) == "INSERT"
