"""The scan of SQL texts: templates, tables, terms; what may change in a text without changing them; hostile texts."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.predictors.sql_contract import TEXT_FEATURES
from augury.predictors.sql_tokens import MAX_CHARS, MAX_TOKENS, qualified_tables, scan_texts


def template(text):
    return scan_texts([text]).templates[0]


def tables(text):
    return scan_texts([text]).tables[0]


def terms(text):
    return scan_texts([text]).terms[0].split()


def values(text):
    return dict(zip(TEXT_FEATURES, scan_texts([text]).values[0].tolist(), strict=True))


# --- templates ---

SAME_TEMPLATE = {
    "numbers": ("select a from t where b = 5", "select a from t where b = 1e-7"),
    "signs": ("select a from t where b > 5 limit 3", "select a from t where b > -5 limit 7"),
    "signs in arguments": ("select f(1, 2)", "select f(-1, + 2)"),
    "strings": ("select a from t where b = 'x'", "select a from t where b = 'it''s -- no comment /* neither'"),
    "kind of literal": ("select a from t where b = 'x'", "select a from t where b = 5"),
    "parameters": ("select a from t where b = ?", "select a from t where b = 5"),
    "dates": ("select a from t where ds = '2024-01-31'", "select a from t where ds = 'yesterday'"),
    "dates as numbers": ("select a from t where ds = 20240131", "select a from t where ds = 7"),
    "dollar quotes": ("select a from t where b = $$x ' y$$", "select a from t where b = $tag$ select $tag$"),
    "white space": ("select a,b from t where c=1", "select\n\ta , b\r\nfrom  t\n where c = 1  \n"),
    "letter case": ("select a from t where b is null", "SELECT A FROM T WHERE B IS NULL"),
    "comments": ("select a from t", "/* by -- tool */ select a -- from u\nfrom /**/ t --"),
    "comment within a name": ("select t.a from s.t", "select t /* x */ . a from s./* y */t"),
    "white space within a name": ("select t.a from s.t", "select t . a from s\n.\nt"),
    "quotes of names": ("select a from s.t", 'select "a" from "s"."t"'),
    "backticks": ("select a from s.t", "select `a` from s.`t`"),
    "semicolon": ("select a from t", "select a from t ;; "),
    "list length": ("select a from t where b in (1)", "select a from t where b in (1, 2, 3,4,'x')"),
    "list of dates": ("select a from t where b in (date '2024-01-01')", "select a from t where b in (1, -2)"),
    "list and parameters": ("select a from t where b in (?)", "select a from t where b in (?, ?, 1, 2)"),
    "commented list": ("select a from t where b in (1, 2)", "select a from t where b in (1, -- one\n 2, /* two */ 3)"),
    "list of tuples": ("select 1 where (a, b) in ((1, 2))", "select 1 where (a, b) in ((3, 4), (5, 6), (7, 8))"),
    "rows": ("insert into t values (1, 'a')", "insert into t values (1, 'a'), (2, 'b'), (3, 'c')"),
    "rows with calls": ("insert into t values (1, now())", "insert into t values (1, now()), (-2, now())"),
    "date in a name": ("select a from events_20240131", "select a from events_2024_02_01"),
    "number in a name": ("select t1.a from orders1 t1", "select t22.a from orders345 t22"),
    "number in a quoted name": ('select a from "my events 2023"', 'select a from "my events 2024"'),
}

OTHER_TEMPLATE = {
    "column": ("select a from t", "select b from t"),
    "table": ("select a from t", "select a from u"),
    "schema": ("select a from s.t", "select a from r.t"),
    "clause": ("select a from t", "select a from t where b = 1"),
    "arguments": ("select substr(a, 1)", "select substr(a, 1, 2)"),
    "literals in a select list": ("select 1, 2", "select 1, 2, 3"),
    "list of columns": ("select a from t where b in (c)", "select a from t where b in (c, d)"),
    "different rows": ("insert into t values (1, now())", "insert into t values (1, now()), (1, f())"),
    "number within a name": ("select a from t2024_raw", "select a from t2025_raw"),
    "operator": ("select a from t where b < 1", "select a from t where b <= 1"),
    "difference is no sign": ("select a - 1", "select a + 1"),
    "quoted keyword": ('select "from" from t', "select from from t"),
}


@pytest.mark.parametrize(("one", "other"), SAME_TEMPLATE.values(), ids=SAME_TEMPLATE)
def test_templates_are_the_same(one, other):
    assert template(one) == template(other)


@pytest.mark.parametrize(("one", "other"), OTHER_TEMPLATE.values(), ids=OTHER_TEMPLATE)
def test_templates_differ(one, other):
    assert template(one) != template(other)


def test_templates_are_sixteen_hexadecimal_digits():
    found = scan_texts(["select 1", "", None, "\ud800", "x" * 300_000]).templates
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in found)
    assert found[1] == found[2]


NAMES = st.from_regex(r"[a-z][a-z_]{0,8}[a-z]", fullmatch=True).map(lambda name: f"x{name}")


@given(NAMES, NAMES)
def test_renaming_a_table_changes_the_template(one, other):
    text = "select a from {} where b = 1"
    assert (template(text.format(one)) == template(text.format(other))) == (one == other)


# --- what may change in a text ---

# Any words in any order: the property does not depend on the text being valid SQL
WORDS = [
    *"""select from where join left right full cross natural inner outer on using and or not in exists between like case
    when then else end group by order having limit offset fetch first rows union except intersect all distinct over
    partition unbounded preceding with recursive as values insert into update set delete merge table view create lateral
    unnest cast count sum min coalesce grouping sets rollup array map date interval day ds is null true explain show
    describe window tablesample a b c d t1 t_2024_01 s.t s.t7 a.b a.ds "from" `q`.r ( ) ( ) ( ) , , , [ ] ; * - + =
    <> <= || :: -> / ? 選択""".split(),
    '"a b"',
    '"a ""b""".c',
]
FIXED = st.sampled_from(WORDS).map(lambda word: ("word", word))
NUMBERS = st.sampled_from(["0", "1", "42", "2.5", ".5", "1e5", "1e-5", "20240131", "007", "1_000"])
STRINGS = st.sampled_from(["''", "'a'", "'it''s'", "'2024-01-31'", "'-- no'", "'/* no'", "'a, b'", "'select'", "'選'"])
LITERALS = st.sampled_from(["number", "string"]).map(lambda kind: (kind, None))
TEXTS = st.lists(st.one_of(FIXED, FIXED, FIXED, LITERALS), max_size=40)
SPACES = st.sampled_from([" ", "\n", "\t ", "  \r\n", " /* x ' \" ( */ ", " -- y ' ( select\n", " /**/\n"])


@st.composite
def written(draw, words):
    """One way to write words: letter case, white space, comments, and which literals."""
    parts = []
    for kind, word in words:
        if kind == "number":
            word = draw(NUMBERS)
        elif kind == "string":
            word = draw(STRINGS)
        elif '"' not in word and draw(st.booleans()):
            word = word.upper()
        parts.append(draw(SPACES) + word)
    return "".join(parts) + draw(SPACES)


@given(TEXTS.flatmap(lambda words: st.tuples(written(words), written(words))))
def test_writing_a_text_differently_changes_nothing_but_its_measures(pair):
    scanned = scan_texts(pair)
    assert scanned.templates[0] == scanned.templates[1]
    assert scanned.tables[0] == scanned.tables[1]
    assert scanned.terms[0] == scanned.terms[1]
    measures = {"query_length", "line_count", "comment_ratio", "literal_bytes", "limit_value", "date_range_days"}
    one, other = (dict(zip(TEXT_FEATURES, row.tolist(), strict=True)) for row in scanned.values)
    assert {n: v for n, v in one.items() if n not in measures} == {n: v for n, v in other.items() if n not in measures}


# --- tables ---

TABLES = {
    "select a from t": ["t"],
    "SELECT a FROM Hive.Sales.Orders": ["hive.sales.orders"],
    'select a from "Hive"."my schema"."Orders 2024" x': ["hive.my schema.orders 2024"],
    'select a from "a.b".c': ["a_b.c"],
    "select a from s . t": ["s.t"],
    "select a from one.two.three.four": ["two.three.four"],
    "select a from t1, t2 as x, (select b from t3) y, lateral (select 1 from t4)": ["t1", "t2", "t3", "t4"],
    "select a from t1 join t2 on t1.a = t2.a left join s.t3 using (a)": ["s.t3", "t1", "t2"],
    "select a from (t1 join t2 on t1.a = t2.a)": ["t1", "t2"],
    "select a from ((t1))": ["t1"],
    "select a from t1 cross join unnest(t1.b) with ordinality as u (x, n)": ["t1"],
    "select a from unnest(array[1, 2]) u, table(sequence(1, 2)), f(3), t": ["t"],
    "select * from table(exclude_columns(input => table(s.orders), columns => descriptor(a)))": ["s.orders"],
    "select extract(year from d), substring(x from 1 for 2), trim(both from y) from t": ["t"],
    "select a from t where a is distinct from b": ["t"],
    "insert into s.t (a, b) select a, b from u": ["s.t", "u"],
    "insert into t values (1, 'select x from y')": ["t"],
    "create table s.new as select a from old": ["old", "s.new"],
    "create table if not exists new as (with c as (select 1 from t) select * from c)": ["new", "t"],
    "create or replace view v as select a from t": ["t", "v"],
    "update s.t set a = 1, b = 2 where c in (select c from u)": ["s.t", "u"],
    "delete from t where a in (select a from u)": ["t", "u"],
    "merge into t as x using (select * from s) y on x.a = y.a when matched then update set b = y.b, c = 1": ["s", "t"],
    "merge into t using s on t.a = s.a when not matched then insert (a) values (s.a)": ["s", "t"],
    "drop table if exists t": ["t"],
    "refresh materialized view v": ["v"],
    "table t": ["t"],
    "describe s.t": ["s.t"],
    "analyze t": ["t"],
    "explain analyze verbose select a from t": ["t"],
    "show tables from s": [],
    "grant select on t to u": [],
    "revoke select on t from u": [],
    "select 1": [],
    "select a from -- t1\n /* t2 */ t3 where b = 'from t4'": ["t3"],
    "select a from {{ ref('model') }}": [],
    "select a from t window w as (partition by b), v as (order by c)": ["t"],
    "select a from t lateral view explode(b) x as c, d": ["t"],
    "select count(*) from t for timestamp as of timestamp '2024-01-01'": ["t"],
    "select a from 表": ["表"],
    # CTEs are no tables, in their scope
    "with c as (select a from t) select * from c join d on c.a = d.a": ["d", "t"],
    "with c (x, y) as (select 1, 2), d as (select x from c) select * from d, c": [],
    "with c as (select a from c) select * from c": ["c"],
    "with recursive c as (select 1 union all select n + 1 from c) select * from c": [],
    "select * from (with c as (select 1) select * from c) x, c": ["c"],
    "with c as (with d as (select 1 from t) select * from d) select * from c, d": ["d", "t"],
    "with c as ((select 1) union (select 2)), d as (select 3) select * from c, d": [],
    "with c as (select 1) select * from s.c": ["s.c"],
    "with c as (select 1) select * from c; select * from c": ["c"],
}


@pytest.mark.parametrize("text", TABLES)
def test_tables(text):
    assert tables(text) == tuple(TABLES[text])


def test_tables_are_completed_by_the_session():
    found = ("t", "s.t", "c.s.t")
    assert qualified_tables(found, "Hive", "Web") == ("c.s.t", "hive.s.t", "hive.web.t")
    assert qualified_tables(found, None, None) == ("?.?.t", "?.s.t", "c.s.t")
    assert qualified_tables(found, "hive", float("nan")) == ("c.s.t", "hive.?.t", "hive.s.t")
    assert qualified_tables(("s.t", "t"), "hive", "s") == ("hive.s.t",)


# --- terms ---


def test_terms_are_words_and_pairs_without_literals():
    assert terms("SELECT a, count(*) FROM s.t2 WHERE b = 'x y' AND b > 5") == [
        *"select a count from s t# where b and".split(),
        *"select~a a~count count~from from~s s~t# t#~where where~b b~and and~b".split(),
    ]


def test_a_dollar_sign_does_not_part_a_name():
    assert terms('select 1 from s."t$partitions"')[-1] == "s~t_partitions"


def test_terms_are_distinct_and_ascii():
    found = terms('select 選択, "naïve name", \ud800, a, a, a from t')
    assert len(found) == len(set(found))
    assert all(term.isascii() and not re.search(r"[\s'\"(),.=*\\]", term) for term in found)
    assert "_u9078_u629e" in found


# --- any text ---

PIECES = [
    *"""' " ` -- /* */ $$ $a$ ( ) [ ] , . ; ? 'a' 1 1e 0x1f in values select from with as case end between and {{ }}
    {% %} :: -> <> || x y.z date '2024-01-01' interval exists join on limit 9e9 選""".split(),
    *"\\\n\r\0\ud83d\ufeff\u2028\u0130\u017f ",
]
FRAGMENTS = st.tuples(st.lists(st.sampled_from(PIECES), max_size=60), st.sampled_from(["", " "])).map(
    lambda drawn: drawn[1].join(drawn[0])
)
ANYTHING = st.one_of(st.text(st.characters(exclude_categories=())), FRAGMENTS)


@given(st.lists(ANYTHING, max_size=5))
def test_no_text_raises_and_none_depends_on_the_others(texts):
    together = scan_texts([*texts, None, *reversed(texts)])
    assert together.values.shape == (2 * len(texts) + 1, len(TEXT_FEATURES))
    assert together.values.dtype == np.float32
    assert np.isfinite(together.values).all()
    for place, text in enumerate(texts):
        alone = scan_texts([text])
        for row in (place, len(together.terms) - 1 - place):
            assert together.values[row].tobytes() == alone.values[0].tobytes()
            assert together.templates[row] == alone.templates[0]
            assert together.tables[row] == alone.tables[0] == tuple(sorted(set(alone.tables[0])))
            assert together.terms[row] == alone.terms[0]
        assert all(1 <= len(table.split(".")) <= 3 for table in alone.tables[0])
        "".join([*alone.tables[0], alone.terms[0]]).encode()  # no lone surrogate: it could not be stored


@given(st.data())
def test_a_truncated_query_is_read_as_far_as_it_goes(data):
    text = """with c as (select "a b", 'it''s' /* x */ from s.t -- y
        where d between date '2024-01-01' and date '2024-01-31' and e in (1, 2, 'three'))
        select c.*, sum(case when x > 1.5e3 then $$q$$ end) over (partition by z rows unbounded preceding)
        from c, lateral (select 1 from u where u.a = c.a) l limit 10"""
    cut = text[: data.draw(st.integers(0, len(text)))]
    found = values(cut)
    assert all(found[name] <= value for name, value in values(text).items() if name in {"token_count", "query_length"})
    outside = re.sub(r"'[^']*'|\"[^\"]*\"|/\*.*?\*/|--[^\n]*", "", cut)
    if outside.count("(") != outside.count(")"):
        assert found["truncated_or_unbalanced"] == 1


def test_rows_that_are_no_text_count_as_empty():
    scanned = scan_texts(["", None, float("nan"), 5])
    assert not scanned.values.any()
    assert scanned.tables == [()] * 4
    assert scanned.terms == [""] * 4
    assert scan_texts([]).values.shape == (0, len(TEXT_FEATURES))


def test_another_process_finds_the_same():
    """Executors and services differ in their hash seed, which orders sets."""
    program = """if True:
        import hashlib, sys
        from augury.predictors.sql_tokens import scan_texts
        found = scan_texts(sys.argv[1:])
        facts = repr((found.values.tolist(), found.templates, found.tables, found.terms))
        print(hashlib.sha256(facts.encode()).hexdigest())
    """
    texts = [*TABLES, *(text for pair in SAME_TEMPLATE.values() for text in pair)]
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, *texts],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


TORTURE = {
    "a list of 100,000 numbers": ("select 1 from t where a in (" + ", ".join(map(str, range(100_000))) + ")", True),
    "a list of 100,000 strings": ("select 1 from t where a in (" + ",".join(["'a'"] * 100_000) + ")", True),
    "a list of 50,000 numbers": ("select 1 from t where a in (" + ",".join(["1"] * 50_000) + ")", False),
    "10,000 nested brackets": ("select " + "(" * 10_000 + "1" + ")" * 10_000, False),
    "20,000 nested brackets": ("select " + "(" * 20_000 + "1" + ")" * 20_000, True),
    "open brackets": ("(" * MAX_CHARS, True),
    "closing brackets": (")" * MAX_CHARS, True),
    "brackets of two kinds": ("[(" * 50_000 + ")]" * 50_000, True),
    "nested queries": ("select * from (" * 5_000 + "t" + ")" * 5_000, True),
    "nested lists": ("x in (" * 5_000 + "1" + ")" * 5_000, False),
    "nested rows": ("values (" * 5_000 + "1" + ")" * 5_000, False),
    "quotes": ("'" * 99_999, True),
    "quoted quotes": ('"' * 99_999, True),
    "backticks": ("`" * 99_999, True),
    "white space": ("x" + " " * 190_000 + "y", False),
    "dots": ("a." * 90_000, False),
    "digits and underscores": ("_1" * 90_000 + "x", False),
    "exponents": ("1e+" * 60_000, True),
    "comments begun": ("/*" * 90_000, True),
    "slashes and stars": ("/" + "*" * 150_000, True),
    "empty comments": ("/**/" * 20_000, False),
    "tags": ("".join(f"$a{number}$ " for number in range(20_000)), True),
    "NULs": ("\0" * 20_000, False),
    "lone surrogates": ("\ud800 " * 20_000, False),
    "another script": ("選択 します " * 10_000, False),
    "10,000 CTEs": ("with " + ", ".join(f"c{i} as (select 1)" for i in range(5_000)) + " select 1", True),
    "10,000 operands": (" union all ".join(["select 1"] * 5_000), False),
    "Jinja": ("select {{ a }} {% if b %} from t {% endif %} " * 1_000, False),
}


@pytest.mark.parametrize(("text", "incomplete"), TORTURE.values(), ids=TORTURE)
def test_hostile_texts_are_scanned(text, incomplete):
    found = values(text)
    assert np.isfinite(list(found.values())).all()
    assert found["query_length"] == len(text)
    assert found["truncated_or_unbalanced"] == incomplete


def test_budgets_are_in_characters_and_tokens():
    assert values("x " * MAX_TOKENS)["truncated_or_unbalanced"] == 0
    assert values("x " * (MAX_TOKENS + 1))["truncated_or_unbalanced"] == 1
    assert values("x" * MAX_CHARS)["truncated_or_unbalanced"] == 0
    cut = values("select '" + "y" * MAX_CHARS + "' from t join u")
    assert (cut["truncated_or_unbalanced"], cut["join_count"], cut["query_length"]) == (1, 0, MAX_CHARS + 23)


def test_long_lists_and_deep_brackets_are_counted():
    found = values("select 1 from t where a in (" + ",".join(["1"] * 50_000) + ")")
    assert (found["in_list_total_items"], found["max_in_list_size"]) == (50_000, 50_000)
    assert found["token_count"] == 8 + 2 * 50_000
    assert values("(" * 20_000 + ")" * 20_000)["parentheses_depth"] == 20_000
