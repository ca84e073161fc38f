"""Names, order and meaning of the features of a query that need no history: ``base_v1`` and ``extra_v1``.

``base_v1`` has the 78 names and the order of the system that this one succeeds. Three hashes used as numbers are
replaced (``source_kind``, ``client_tag_count``, ``day_of_week``), and shares that were capped at 1 are plain counts.
"""

BASE_DESCRIPTIONS: dict[str, str] = {
    "query_length": "characters of the text",
    "token_count": "tokens, comments left out, a qualified name being one",
    "line_count": "lines of the text",
    "has_select_star": "1 if a query selects * or t.*",
    "has_distinct": "1 if there is a SELECT DISTINCT",
    "has_order_by": "1 if a query has an ORDER BY (windows and aggregates left out)",
    "has_limit": "1 if a query has a LIMIT or FETCH FIRST with a number or parameter",
    "limit_value": "rows of the outermost LIMIT or FETCH FIRST; 0 if there is none or it is a parameter",
    "has_offset": "1 if there is an OFFSET with a number or parameter",
    "comment_ratio": "share of characters in comments",
    "parentheses_depth": "deepest nesting of round brackets",
    "quoted_strings_count": "string literals",
    "numeric_literals_count": "numeric literals",
    "wildcard_count": "stars that stand for columns or rows (*, t.*, count(*)); products left out",
    "semicolon_count": "semicolons between tokens",
    "table_count": "references to tables, with repetitions, targets of writes included, CTEs left out",
    "join_count": "joins, those by comma included",
    "left_join_count": "LEFT [OUTER] JOIN",
    "inner_join_count": "JOIN and INNER JOIN",
    "cross_join_present": "1 if there is a CROSS JOIN",
    "full_outer_join_present": "1 if there is a FULL [OUTER] JOIN",
    "self_join_count": "tables or CTEs that a query's FROM repeats, each time but the first",
    "with_clause_count": "WITH clauses",
    "nested_with_depth": "deepest nesting of WITH clauses",
    "recursive_cte_present": "1 if there is a WITH RECURSIVE",
    "subquery_in_from_count": "queries in brackets among the sources of a FROM",
    "correlated_subquery_likely": "1 if there is EXISTS (SELECT ...), or a nested query uses an outer alias",
    "where_condition_count": "conditions in WHERE: one a clause, and one more for each AND and OR",
    "where_and_count": "AND in WHERE, that of BETWEEN left out",
    "where_or_count": "OR in WHERE",
    "where_not_count": "NOT in WHERE, as in NOT IN and IS NOT NULL too",
    "in_clause_count": "IN ( ... ), lists and queries",
    "in_list_total_items": "items of all IN lists",
    "max_in_list_size": "items of the longest IN list",
    "between_count": "BETWEEN predicates, frames of windows left out",
    "like_pattern_count": "LIKE and ILIKE predicates",
    "exists_count": "EXISTS predicates",
    "group_by_count": "GROUP BY clauses",
    "having_clause_present": "1 if there is a HAVING",
    "count_function_count": "calls of count and count_if",
    "sum_avg_function_count": "calls of sum and avg",
    "min_max_function_count": "calls of min, max, min_by and max_by",
    "distinct_aggregation_count": "aggregates over DISTINCT values",
    "window_function_count": "OVER clauses",
    "unbounded_window_present": "1 if the frame of a window is UNBOUNDED",
    "ast_depth": "deepest nesting of brackets and CASE",
    "ast_breadth": "items of the widest list: columns, sources, arguments, literals",
    "ast_with_count": "WITH clauses (as with_clause_count)",
    "ast_cte_count": "common table expressions",
    "ast_lateral_view_count": "LATERAL",
    "ast_window_func_count": "OVER clauses (as window_function_count)",
    "ast_distinct_count": "DISTINCT of queries and aggregates",
    "ast_having_count": "HAVING clauses",
    "ast_case_when_count": "CASE expressions",
    "ast_coalesce_null_if_count": "calls of coalesce, nullif, ifnull and nvl",
    "source_kind": "kind of client by its source: 0 unknown, 1 console, 2 dashboard, 3 program, 4 schedule, 5 another",
    "client_tag_count": "client tags",
    "day_of_week": "day of the week of create_time, UTC, Monday 0; NaN if unknown",
    "hour_of_day": "hour of create_time, UTC; NaN if unknown",
    "hour_sin": "sine of the hour on the circle of 24; NaN if unknown",
    "hour_cos": "cosine of the hour on the circle of 24; NaN if unknown",
    "is_business_hours": "1 if create_time is from 9 to 17:59 UTC, Monday to Friday; NaN if unknown",
    "client_info_length": "characters of client_info",
    "is_select_query": "1 if the text begins with a query",
    "is_insert_query": "1 if the text begins with INSERT",
    "is_create_table_as": "1 if the text creates a table from a query",
    "is_delete_query": "1 if the text begins with DELETE",
    "is_update_query": "1 if the text begins with UPDATE",
    "except_count": "EXCEPT (or MINUS) between queries",
    "intersect_count": "INTERSECT between queries",
    "set_operation_total": "UNION, EXCEPT and INTERSECT between queries",
    "has_multiple_statements": "1 if something follows a semicolon",
    "is_catalog_null": "1 if the session has no catalog",
    "is_schema_null": "1 if the session has no schema",
    "has_qualified_tables": "1 if a table is written with its schema",
    "inferred_catalog_count": "catalogs that the names of tables mention",
    "inferred_schema_count": "schemas that the names of tables mention",
    "table_qualification_level": "parts of the longest name of a table: 3 for catalog.schema.table; 0 if none",
}
"""Feature of ``base_v1`` -> meaning."""

EXTRA_DESCRIPTIONS: dict[str, str] = {
    "right_natural_join_count": "RIGHT [OUTER] JOIN, and NATURAL JOIN without a side",
    "comma_join_count": "joins by comma",
    "join_without_on": "joins that are to have a condition (not CROSS, NATURAL, comma) and have neither ON nor USING",
    "approx_function_count": "calls of approximate aggregates",
    "regexp_function_count": "calls of regular expression functions",
    "json_function_count": "calls of JSON functions",
    "array_map_lambda_count": "calls of array and map functions, ARRAY[...], and lambdas",
    "unnest_count": "UNNEST",
    "cast_count": "CAST, TRY_CAST and ::",
    "concat_count": "|| and calls of concat",
    "rollup_cube_grouping_sets": "ROLLUP, CUBE and GROUPING SETS",
    "match_recognize": "MATCH_RECOGNIZE clauses",
    "tablesample": "TABLESAMPLE clauses",
    "order_by_without_limit": "1 if the outermost query is sorted without a LIMIT",
    "partition_column_predicate": "conditions in WHERE on what tables are usually partitioned by (ds, dt, day)",
    "date_range_days": "days of the longest range of dates given by two literals; 0 if there is none",
    "max_subquery_depth": "deepest nesting of queries in brackets, CTEs left out",
    "distinct_table_count": "distinct tables",
    "literal_bytes": "bytes of all string literals",
    "values_rows": "rows of VALUES",
    "merge_or_refresh": "MERGE or REFRESH MATERIALIZED VIEW",
    "truncated_or_unbalanced": "1 if the text is too long, or brackets, quotes or comments do not close",
}
"""Feature of ``extra_v1`` -> meaning."""

DESCRIPTIONS: dict[str, str] = BASE_DESCRIPTIONS | EXTRA_DESCRIPTIONS

BASE_V1: tuple[str, ...] = tuple(BASE_DESCRIPTIONS)
"""The 78 base features, in the order of the contract."""

EXTRA_V1: tuple[str, ...] = tuple(EXTRA_DESCRIPTIONS)
"""The 22 further ones, which can be switched off."""

SESSION_FEATURES: frozenset[str] = frozenset(
    """
    source_kind client_tag_count day_of_week hour_of_day hour_sin hour_cos is_business_hours client_info_length
    is_catalog_null is_schema_null
    """.split()
)
"""What depends on the session of the query, not on its text."""

TEXT_FEATURES: tuple[str, ...] = tuple(name for name in DESCRIPTIONS if name not in SESSION_FEATURES)
"""What depends on the text alone, in the order of ``ScannedTexts.values``."""

PLACE: dict[str, int] = {name: place for place, name in enumerate(TEXT_FEATURES)}
