"""Features of queries: answers worked out by hand, and what the session adds."""

import numpy as np
import pandas as pd
import pytest

from augury.predictors.sql_contract import DESCRIPTIONS, SESSION_FEATURES, TEXT_FEATURES
from augury.predictors.sql_features import BASE_V1, EXTRA_V1, base_features
from augury.predictors.sql_tokens import scan_texts

# The contract, group by group; source_kind, client_tag_count and day_of_week stand where the hashes were
BASE_GROUPS = [
    (
        15,
        """query_length token_count line_count has_select_star has_distinct has_order_by has_limit limit_value
        has_offset comment_ratio parentheses_depth quoted_strings_count numeric_literals_count wildcard_count
        semicolon_count""",
    ),
    (
        12,
        """table_count join_count left_join_count inner_join_count cross_join_present full_outer_join_present
        self_join_count with_clause_count nested_with_depth recursive_cte_present subquery_in_from_count
        correlated_subquery_likely""",
    ),
    (
        10,
        """where_condition_count where_and_count where_or_count where_not_count in_clause_count in_list_total_items
        max_in_list_size between_count like_pattern_count exists_count""",
    ),
    (
        8,
        """group_by_count having_clause_present count_function_count sum_avg_function_count min_max_function_count
        distinct_aggregation_count window_function_count unbounded_window_present""",
    ),
    (
        10,
        """ast_depth ast_breadth ast_with_count ast_cte_count ast_lateral_view_count ast_window_func_count
        ast_distinct_count ast_having_count ast_case_when_count ast_coalesce_null_if_count""",
    ),
    (
        8,
        """source_kind client_tag_count day_of_week hour_of_day hour_sin hour_cos is_business_hours
        client_info_length""",
    ),
    (5, "is_select_query is_insert_query is_create_table_as is_delete_query is_update_query"),
    (4, "except_count intersect_count set_operation_total has_multiple_statements"),
    (
        6,
        """is_catalog_null is_schema_null has_qualified_tables inferred_catalog_count inferred_schema_count
        table_qualification_level""",
    ),
]


def values(text):
    return dict(zip(TEXT_FEATURES, scan_texts([text]).values[0].tolist(), strict=True))


def numbers(facts):
    return {name: float(value) for name, value in (fact.split("=") for fact in facts.split())}


def check(text, facts):
    found, expected = values(text), numbers(facts)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_the_contract_has_the_original_names_in_their_order():
    assert all(len(names.split()) == size for size, names in BASE_GROUPS)
    assert list(BASE_V1) == [name for _, names in BASE_GROUPS for name in names.split()]
    assert (len(BASE_V1), len(EXTRA_V1)) == (78, 22)
    assert len(set(BASE_V1 + EXTRA_V1)) == 100
    assert set(TEXT_FEATURES) | SESSION_FEATURES == set(BASE_V1 + EXTRA_V1) == set(DESCRIPTIONS)
    assert all(text and "\n" not in text for text in DESCRIPTIONS.values())


# --- known answers ---

ANSWERS = {
    # the text
    "select 1": "query_length=8 token_count=2 line_count=1 ast_breadth=1 ast_depth=0",
    "select a.b, 1.5\nfrom s.t\n": "query_length=25 token_count=6 line_count=3 ast_breadth=2",
    "select * from t": "has_select_star=1 wildcard_count=1",
    "select a, t.* from t": "has_select_star=1 wildcard_count=1",
    "select count(*), a * b, 2 * 3 from t": "has_select_star=0 wildcard_count=1 count_function_count=1",
    "select distinct a from t": "has_distinct=1 ast_distinct_count=1 distinct_aggregation_count=0",
    "select count(distinct a), sum(distinct b) from t": (
        "has_distinct=0 ast_distinct_count=2 distinct_aggregation_count=2"
    ),
    "select a from t where a is not distinct from b": "ast_distinct_count=0 table_count=1",
    "select a from t union distinct select b from u": "ast_distinct_count=0 has_distinct=0",
    "select a from t order by a": "has_order_by=1 order_by_without_limit=1",
    "select a from t order by a limit 10": "has_order_by=1 order_by_without_limit=0 has_limit=1 limit_value=10",
    "select sum(a) over (order by b), array_agg(c order by d) from t": "has_order_by=0 order_by_without_limit=0",
    "select * from (select a from t order by a) x": "has_order_by=1 order_by_without_limit=0",
    "select a from (select a from t limit 1000) x limit 5": "limit_value=5",
    "select a from t where b in (select b from u limit 7)": "has_limit=1 limit_value=7",
    "select a from t offset 20 rows fetch first 5 rows only": "has_offset=1 has_limit=1 limit_value=5",
    "select a from t fetch next row only": "has_limit=1 limit_value=1",
    "select a from t limit all": "has_limit=0 limit_value=0",
    "select a from t limit ?": "has_limit=1 limit_value=0",
    "select a from t limit 0": "has_limit=1 limit_value=0",
    f"select a from t limit {'9' * 400}": "has_limit=1 limit_value=1e15",
    "select t.limit, t.offset from t": "has_limit=0 has_offset=0",
    "select 1 -- ab\n/* c */": "comment_ratio=0.5454545 token_count=2",
    "select ((a) + (b)) from (t)": "parentheses_depth=2 ast_depth=2",
    "select f(case when a then case when b then g(c) end end)": "ast_depth=4 parentheses_depth=2",
    "select array[1, 2, 3], f(1, 2, 3, 4), a": "ast_breadth=4 parentheses_depth=1 ast_depth=1",
    "select 'a', 'it''s', '', u&'x', 1, 2.5, .5, 1e-5, 0x1f, a1": (
        "quoted_strings_count=4 numeric_literals_count=5 literal_bytes=7"
    ),
    "select 'é', '選'": "literal_bytes=5",
    "select 1; select 2;": "semicolon_count=2 has_multiple_statements=1",
    "select ';' -- ;\n;": "semicolon_count=1 has_multiple_statements=0",
    # sources
    "select 1 from a, b join c on b.x = c.x left join d using (x), e": (
        "table_count=5 join_count=4 comma_join_count=2 inner_join_count=1 left_join_count=1 join_without_on=0"
    ),
    "select 1 from a left outer join b on 1 = 1 full outer join c on 1 = 1 right join d on 1 = 1": (
        "join_count=3 left_join_count=1 full_outer_join_present=1 right_natural_join_count=1 inner_join_count=0"
    ),
    "select 1 from a cross join b natural join c inner join d on f(x, y)": (
        "join_count=3 cross_join_present=1 right_natural_join_count=1 inner_join_count=1 join_without_on=0"
    ),
    "select 1 from a join b join c on b.x = c.x": "join_count=2 join_without_on=1",
    "select left(a, 2), right(b, 2) from t": "join_count=0 left_join_count=0",
    "select 1 from t x, t y, s.t z": "self_join_count=1 table_count=3 distinct_table_count=2",
    "select 1 from t where a in (select a from t)": "self_join_count=0 table_count=2 distinct_table_count=1",
    "with c as (select 1) select * from c x join c y on x.a = y.a": "self_join_count=1 table_count=0",
    "with a as (select 1), b as (with c as (select 2) select * from c) select * from a, b": (
        "with_clause_count=2 ast_with_count=2 ast_cte_count=3 nested_with_depth=2 recursive_cte_present=0"
    ),
    "with a as (select 1) select 1 from (with b as (select 2) select 3) x, (with c as (select 4) select 5) y": (
        "with_clause_count=3 ast_cte_count=3 nested_with_depth=2"
    ),
    "with recursive c (n) as (select 1 union all select n + 1 from c) select n from c": (
        "recursive_cte_present=1 ast_cte_count=1 table_count=0 is_select_query=1"
    ),
    "select cast(a as timestamp with time zone) from unnest(b) with ordinality as x (c, n)": (
        "with_clause_count=0 ast_cte_count=0 unnest_count=1 cast_count=1"
    ),
    "select * from (select 1) x, (values 1) y join (select 2) z on true": "subquery_in_from_count=2",
    "select * from t, lateral (select 1) x": "ast_lateral_view_count=1 subquery_in_from_count=1",
    "select a from t where exists (select 1 from u where u.x = t.x)": (
        "correlated_subquery_likely=1 exists_count=1 max_subquery_depth=1"
    ),
    "select a from t where b > (select avg(b) from t i where i.x = t.x)": "correlated_subquery_likely=1",
    "select (select max(u.b) from u where u.x = t.x) from t": "correlated_subquery_likely=1",
    "select a from t where b in (select u.b from u where u.x > 5)": "correlated_subquery_likely=0",
    "select * from (select u.b from u where u.x > 5) v join t on v.b = t.b": "correlated_subquery_likely=0",
    "select 1 from (select 2 from (select 3 from t where a = (select 4)) x) y": "max_subquery_depth=3",
    "with a as (select 1), b as (select 2 from (select 3) x) select 4": "max_subquery_depth=1",
    "select 1 from t tablesample bernoulli (10), u tablesample system (5)": "tablesample=2 table_count=2",
    "select * from t match_recognize (partition by a pattern (x y+) define y as y.a > 1) m": "match_recognize=1",
    # conditions
    "select a from t where a = 1 and (b = 2 or not c = 3) and d is not null": (
        "where_condition_count=4 where_and_count=2 where_or_count=1 where_not_count=2"
    ),
    "select a from t join u on a = b and c = d where e = 1 having f and g or h": (
        "where_condition_count=1 where_and_count=0 where_or_count=0"
    ),
    "select sum(a) filter (where b and c) from t": "where_condition_count=0 where_and_count=0",
    "select a from t where a in (select b from u where c = 1 and d = 2) and e = 3": (
        "where_condition_count=4 where_and_count=2"
    ),
    "select a from t where b between 1 and 2 and c not between (3 and 4) and 5 or d": (
        "between_count=2 where_and_count=2 where_or_count=1 where_condition_count=4"
    ),
    "select sum(a) over (rows between unbounded preceding and current row) from t where b and c": (
        "between_count=0 where_and_count=1 window_function_count=1 unbounded_window_present=1"
    ),
    "select a from t where a in (1, 2, 3) and b not in ('x', 'y') and c in (select 1)": (
        "in_clause_count=3 in_list_total_items=5 max_in_list_size=3"
    ),
    "select a from t where (a, b) in ((1, 2), (3, 4)) and c in (d, f(1, 2), -5)": (
        "in_clause_count=2 in_list_total_items=5 max_in_list_size=3"
    ),
    "select a from t where a in ((select 1)) or b in (values 1, 2) or c in ()": (
        "in_clause_count=3 in_list_total_items=0"
    ),
    "select a from t where a like 'x%' or b not ilike '%y' escape '!'": "like_pattern_count=2",
    "drop table if exists t": "exists_count=0 table_count=1",
    # aggregates
    "select a, count(*), sum(b), avg(c), min(d), max(e), max_by(f, g) from t group by a having count(*) > 1": (
        "group_by_count=1 having_clause_present=1 ast_having_count=1 count_function_count=2 "
        "sum_avg_function_count=2 min_max_function_count=3"
    ),
    "select count, min, sum from t": "count_function_count=0 min_max_function_count=0 sum_avg_function_count=0",
    "select a from t group by grouping sets ((a), (b)), rollup (c), cube (d)": (
        "group_by_count=1 rollup_cube_grouping_sets=3"
    ),
    "select rank() over (partition by a order by b), lag(c) ignore nulls over w from t window w as (order by d)": (
        "window_function_count=2 ast_window_func_count=2 unbounded_window_present=0 join_count=0"
    ),
    "select approx_distinct(a), approx_percentile(b, 0.5) from t": "approx_function_count=2",
    # expressions
    "select case a when 1 then 2 end, case when b then case when c then 1 end else 2 end": "ast_case_when_count=3",
    'select coalesce(a, nullif(b, 0)), "coalesce" from t': "ast_coalesce_null_if_count=2",
    "select regexp_like(a, 'x'), regexp_replace(b, 'y') from t": "regexp_function_count=2",
    "select json_extract_scalar(a, '$.x'), json_value(b, 'lax $.y') from t": "json_function_count=2",
    "select transform(a, x -> x + 1), array[1], map(b, c), cardinality(d) from t": "array_map_lambda_count=5",
    "select cast(a as bigint), try_cast(b as date), c::int from t": "cast_count=3",
    "select a || b || 'c', concat(d, e) from t": "concat_count=3",
    # statements
    "  (select 1)": "is_select_query=1",
    "/* x */ with c as (select 1) select 2": "is_select_query=1",
    "values (1, 2), (3, 4)": "is_select_query=1 values_rows=2",
    "select * from (values 1, 2, 3) t (a)": "values_rows=3",
    "insert into t (a, b) values (1, f(2, 3)), (4, 5), (6, 7)": (
        "is_insert_query=1 is_select_query=0 values_rows=3 table_count=1"
    ),
    "insert into t with c as (select 1) select * from c": "is_insert_query=1 is_select_query=0",
    "with c as (select 1) insert into t select * from c": "is_insert_query=1 is_select_query=0",
    "create table t as select 1": "is_create_table_as=1 is_select_query=0",
    "create table if not exists s.t with (format = 'orc') as (with c as (select 1) select * from c)": (
        "is_create_table_as=1 with_clause_count=1"
    ),
    "create table t as values 1": "is_create_table_as=1",
    "create table t as table u": "is_create_table_as=1 table_count=2",
    "create table t (a int, b varchar(5))": "is_create_table_as=0",
    "create or replace view v as select 1": "is_create_table_as=0",
    "delete from t where a = 1 and b = 2": "is_delete_query=1 where_condition_count=2",
    "update t set a = 1, b = 2 where c = 3": "is_update_query=1 where_condition_count=1 join_count=0",
    "merge into t using s on t.a = s.a when matched then update set b = s.b, c = 1": (
        "merge_or_refresh=1 join_count=0 is_update_query=0"
    ),
    "refresh materialized view v": "merge_or_refresh=1",
    "explain select 1": "is_select_query=0",
    # set operations
    "select 1 union select 2 union all select 3 intersect select 4 except select 5": (
        "set_operation_total=4 intersect_count=1 except_count=1"
    ),
    "select * except (a) from t": "set_operation_total=0 except_count=0",
    # names of tables
    "select 1 from t": (
        "has_qualified_tables=0 inferred_catalog_count=0 inferred_schema_count=0 table_qualification_level=1"
    ),
    "select 1 from a.s.t, a.r.t, b.s.t, s.u, v": (
        "has_qualified_tables=1 inferred_catalog_count=2 inferred_schema_count=4 table_qualification_level=3"
    ),
    # dates
    "select 1 from t where ds = '2024-01-31' and hour in (1, 2) and a.dt is not null and x > 5": (
        "partition_column_predicate=3 date_range_days=1"
    ),
    "select date '2024-01-31', ds, day(x) from t": "partition_column_predicate=0 date_range_days=0",
    "select 1 from t where d between date '2024-02-01' and date '2024-03-01'": "date_range_days=30",
    "select 1 from t where d >= timestamp '2024-01-01 00:00:00' and d < timestamp '2024-01-08'": "date_range_days=7",
    "select 1 from t where ds >= 20231230 and ds <= 20240102": "date_range_days=3",
    "select 1 from t where d between cast('2000-01-01' as date) and cast('2000-01-01' as date) + interval '30' day": (
        "date_range_days=31"
    ),
    "select 1 from t where d >= date '1994-01-01' and d < date '1994-01-01' + interval '1' year": (
        "date_range_days=365"
    ),
    "select 1 from t where d > '2024-13-45' and d < '2024-01-01'": "date_range_days=0",
    # what is not whole
    "select (1": "truncated_or_unbalanced=1",
    "select 1)": "truncated_or_unbalanced=1",
    "select a[1": "truncated_or_unbalanced=1",
    "select 'it''s": "truncated_or_unbalanced=1",
    "select 'it''s'": "truncated_or_unbalanced=0",
    'select "a': "truncated_or_unbalanced=1",
    "select 1 /* x": "truncated_or_unbalanced=1",
    "select 1 /* x */": "truncated_or_unbalanced=0",
    "select 1 -- it's (": "truncated_or_unbalanced=0",
    "select $$ x": "truncated_or_unbalanced=1",
}


@pytest.mark.parametrize("text", ANSWERS)
def test_known_answers(text):
    check(text, ANSWERS[text])


def test_every_feature_of_the_text_has_a_known_answer():
    assert {name for answer in ANSWERS.values() for name in numbers(answer)} == set(TEXT_FEATURES)


# --- defects of the system that this one succeeds ---


def test_keywords_in_strings_and_comments_are_not_counted():
    facts = "join_count=0 set_operation_total=0 table_count=1 with_clause_count=0"
    check("select 'WITH JOIN UNION' from t -- JOIN JOIN", facts)
    hidden = "case when join union group by having exists in (1, 2) over ; -- limit 5 and '"
    for text in (f"select /* {hidden} */ a from t", f"select a from t -- {hidden}", f'select a "{hidden}" from t'):
        found = values(text)
        allowed = {"query_length", "token_count", "line_count", "comment_ratio", "ast_breadth", "is_select_query"}
        tables = {"table_count", "distinct_table_count", "table_qualification_level"}
        assert {name for name, value in found.items() if value} <= allowed | tables


def test_numbers_are_not_capped():
    text = "select " + ", ".join(f"coalesce(a{i}, {i})" for i in range(300)) + " from t"
    check(text, "ast_coalesce_null_if_count=300 ast_breadth=300")
    nested = "select " + "f(" * 40 + "1" + ")" * 40
    check(nested, "ast_depth=40")


# --- sessions ---


def frame(**columns):
    return pd.DataFrame(columns).astype({name: object for name in columns if name != "create_time"})


def session(**columns):
    rows = frame(**{name: [value] for name, value in columns.items()})
    return base_features(rows, scan_texts(["select 1"])).iloc[0].to_dict()


def test_columns_that_are_missing_count_as_null():
    nothing = pd.DataFrame({"sql_text": ["select 1", None]}, index=[7, 3])
    found = base_features(nothing, scan_texts(nothing["sql_text"]))
    nulls = frame(sql_text=["select 1", None], source=[None] * 2, catalog=[None] * 2, schema=[np.nan] * 2)
    nulls = nulls.assign(client_info=None, client_tags="", create_time=pd.NaT).set_axis([7, 3])
    pd.testing.assert_frame_equal(found, base_features(nulls, scan_texts(nulls["sql_text"])))
    assert list(found.index) == [7, 3]
    assert list(found.columns) == [*BASE_V1, *EXTRA_V1]
    assert set(found.dtypes) == {np.dtype("float32")}
    unknown = {"day_of_week", "hour_of_day", "hour_sin", "hour_cos", "is_business_hours"}
    assert set(found.columns[found.isna().any()]) == unknown
    assert found.loc[3].drop(list(unknown)).to_dict() == {
        name: float(name in {"is_catalog_null", "is_schema_null"}) for name in found.columns if name not in unknown
    }


def test_the_further_features_can_be_left_out():
    rows = pd.DataFrame({"sql_text": ["select a from t, u"]})
    scanned = scan_texts(rows["sql_text"])
    short = base_features(rows, scanned, extra=False)
    assert list(short.columns) == list(BASE_V1)
    pd.testing.assert_frame_equal(short, base_features(rows, scanned)[list(BASE_V1)])


@pytest.mark.parametrize(
    ("time", "hour", "weekday", "business"),
    [
        ("2024-01-01 09:00:00", 9, 0, 1),  # a Monday
        ("2024-01-05 17:59:59.999999", 17, 4, 1),
        ("2024-01-05 18:00:00", 18, 4, 0),
        ("2024-01-06 12:00:00", 12, 5, 0),
        ("2024-02-29 00:30:00", 0, 3, 0),
        ("1969-12-31 23:59:59", 23, 2, 0),
    ],
)
def test_time_of_day(time, hour, weekday, business):
    angle = 2 * np.pi * hour / 24
    expected = {
        "hour_of_day": hour,
        "day_of_week": weekday,
        "is_business_hours": business,
        "hour_sin": np.float32(np.sin(angle)),
        "hour_cos": np.float32(np.cos(angle)),
    }
    stamp = pd.Timestamp(time)
    zoned = stamp.tz_localize("UTC").tz_convert("Asia/Tokyo")
    units = [pd.Series([stamp]).astype(f"datetime64[{unit}]") for unit in ("ns", "us", "ms")]
    for created in (*units, pd.Series([zoned]), pd.Series([f"{stamp.isoformat()}Z"], dtype=object)):
        found = base_features(pd.DataFrame({"create_time": created}), scan_texts(["select 1"])).iloc[0]
        assert {name: found[name] for name in expected} == expected


def test_times_as_text_do_not_depend_on_each_other():
    times = ["2024-01-01T09:00:00Z", "2024-01-01 09:00:00.123456", None, "soon", pd.Timestamp("2024-01-01 09:00")]
    found = base_features(pd.DataFrame({"create_time": times}), scan_texts(["select 1"] * 5))["hour_of_day"]
    assert found.fillna(-1).tolist() == [9, 9, -1, -1, 9]
    for place, time in enumerate(times):
        alone = base_features(pd.DataFrame({"create_time": [time]}, dtype=object), scan_texts(["select 1"]))
        assert alone["hour_of_day"].fillna(-1)[0] == found.fillna(-1)[place]


@pytest.mark.parametrize(
    ("source", "kind"),
    [(None, 0), (" ", 0), ("trino-cli", 1), ("Superset", 2), ("trino-python-client", 3), ("airflow", 4), ("xyz", 5)],
)
def test_kinds_of_sources(source, kind):
    assert session(source=source)["source_kind"] == kind


def test_tags_and_client_information():
    found = session(client_tags="a, b,,c", client_info="münchen", catalog="hive", schema=" ")
    assert (found["client_tag_count"], found["client_info_length"]) == (3, 7)
    assert (found["is_catalog_null"], found["is_schema_null"]) == (0, 1)


def test_one_row_is_the_same_as_in_a_batch():
    texts = [*ANSWERS, None]
    count = len(texts)
    rows = frame(
        sql_text=texts,
        source=[[None, "trino-cli", "tableau", "x"][i % 4] for i in range(count)],
        catalog=[["hive", None][i % 2] for i in range(count)],
        client_tags=[[None, "a,b", "c"][i % 3] for i in range(count)],
        client_info=["x" * (i % 7) for i in range(count)],
    ).assign(create_time=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(count) * 4321, unit="s"))
    rows.loc[3, "create_time"] = pd.NaT
    together = base_features(rows, scan_texts(rows["sql_text"]))
    for place in range(count):
        row = rows.iloc[[place]]
        alone = base_features(row, scan_texts(row["sql_text"]))
        assert alone.to_numpy().tobytes() == together.iloc[[place]].to_numpy().tobytes()


def test_no_rows():
    found = base_features(pd.DataFrame({"sql_text": []}), scan_texts([]))
    assert found.shape == (0, 100)
