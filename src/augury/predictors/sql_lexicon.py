"""The words of SQL that the token machine of :mod:`augury.predictors.sql_structure` reacts to; others are names."""

from augury.predictors.sql_contract import PLACE

LIST_MARK, DATE_MARK = "?,", "?d"
"""What a run of literals and a literal that may be a date are among normalised tokens; no other token looks so."""

# Codes of words. One below STRUCTURAL is a place in TEXT_FEATURES: the word only counts. The last two are of names: a
# qualified one, and one that tables are usually partitioned by.
STRUCTURAL = 200
(
    COMMA, OPEN, CLOSE, AND, OR, NOT, FROM, SELECT, WHERE, JOIN, ON, USING, CASE, END, GROUP, ORDER, HAVING, LIMIT,
    OFFSET, FETCH, BETWEEN, DISTINCT, STAR, UNION, EXCEPT, INTERSECT, MINUS, OVER, UNBOUNDED, WITH, VALUES, LITERALS,
    DATE, SIGN, SEMICOLON, OPEN_SQUARE, CLOSE_SQUARE, INTO, UPDATE, TABLE, LIKE, GROUPING, STATEMENT, CLAUSE, DOTTED,
    PARTITION,
) = range(STRUCTURAL, STRUCTURAL + 46)  # fmt: skip

PARTITION_COLUMNS = frozenset(
    """
    ds dt date day hour dateint date_id date_key datekey event_date event_day event_hour event_dt log_date part_date
    partition_date process_date load_date ingest_date ymd yyyymmdd year month
    """.split()
)
"""Names that tables are usually partitioned by."""

CODES: dict[str, int] = dict.fromkeys(PARTITION_COLUMNS, PARTITION) | {
    ",": COMMA,
    "(": OPEN,
    ")": CLOSE,
    "[": OPEN_SQUARE,
    "]": CLOSE_SQUARE,
    ";": SEMICOLON,
    "*": STAR,
    "-": SIGN,
    "+": SIGN,
    LIST_MARK: LITERALS,
    DATE_MARK: DATE,
    "and": AND,
    "or": OR,
    "not": NOT,
    "from": FROM,
    "select": SELECT,
    "where": WHERE,
    "join": JOIN,
    "on": ON,
    "using": USING,
    "case": CASE,
    "end": END,
    "group": GROUP,
    "order": ORDER,
    "having": HAVING,
    "limit": LIMIT,
    "offset": OFFSET,
    "fetch": FETCH,
    "between": BETWEEN,
    "distinct": DISTINCT,
    "union": UNION,
    "except": EXCEPT,
    "intersect": INTERSECT,
    "minus": MINUS,
    "over": OVER,
    "unbounded": UNBOUNDED,
    "with": WITH,
    "values": VALUES,
    "into": INTO,
    "update": UPDATE,
    "table": TABLE,
    "view": TABLE,
    "like": LIKE,
    "ilike": LIKE,
    "grouping": GROUPING,
    "insert": STATEMENT,
    "delete": STATEMENT,
    "merge": STATEMENT,
    "refresh": STATEMENT,
    "analyze": STATEMENT,
    "describe": STATEMENT,
    "desc": STATEMENT,
    "window": CLAUSE,
    "qualify": CLAUSE,
    "set": CLAUSE,
    "returning": CLAUSE,
    "cluster": CLAUSE,
    "distribute": CLAUSE,
    "sort": CLAUSE,
    "lateral": PLACE["ast_lateral_view_count"],
    "||": PLACE["concat_count"],
    "::": PLACE["cast_count"],
    "->": PLACE["array_map_lambda_count"],
    "tablesample": PLACE["tablesample"],
    "match_recognize": PLACE["match_recognize"],
}

# Trino's reserved words, those of joins and set operations that its grammar tells from names by their place, and three
# of other dialects
RESERVED = frozenset(
    """
    alter analyze and as between by case cast constraint create cross cube current_catalog current_date
    current_path current_role current_schema current_time current_timestamp current_user deallocate delete
    describe distinct drop else end escape except exists explain extract false for from full group grouping
    having in inner insert intersect into is join json_array json_exists json_object json_query json_table
    json_value lateral left like limit listagg localtime localtimestamp match_recognize merge natural normalize
    not null on or order outer prepare qualify recursive right rollup select set skip table tablesample then
    trim true uescape union unnest update using values when where window with fetch offset minus asof anti semi
    overwrite if only
    """.split()
)
"""What is neither a table nor an alias unless it is quoted."""

# What an opening bracket is, by the word before it; a code below STRUCTURAL counts a function
(
    PLAIN, FUNCTION, IN, EXISTS, SOURCE, CTE, WINDOW, ROW, SQUARE, OPERAND, DEFINITION, QUANTIFIED, NESTED, NEXT_ITEM,
) = range(STRUCTURAL, STRUCTURAL + 14)  # fmt: skip

OPENERS: dict[str, int] = {
    "in": IN,
    "exists": EXISTS,
    "from": SOURCE,
    "join": SOURCE,
    "lateral": SOURCE,
    "using": SOURCE,
    "as": DEFINITION,
    "materialized": DEFINITION,
    "over": WINDOW,
    "values": ROW,
    "union": OPERAND,
    "except": OPERAND,
    "intersect": OPERAND,
    "": OPERAND,
    ";": OPERAND,
    "all": QUANTIFIED,
    "distinct": QUANTIFIED,
    "(": NESTED,
    ",": NEXT_ITEM,
}
# After these a bracket groups an expression; after any other word it holds what belongs to that word
OPENERS |= dict.fromkeys(
    "? . = < > <= >= <> != + - * / % || -> => : :: [ ) { } ! & | ^ ~ @ $ \\".split()
    + "and or not where on having select any some when then else case by between like ilike escape set limit".split()
    + ["end", LIST_MARK, DATE_MARK],
    PLAIN,
)
for _feature, _functions in {
    "count_function_count": "count count_if",
    "sum_avg_function_count": "sum avg",
    "min_max_function_count": "min max min_by max_by",
    "ast_coalesce_null_if_count": "coalesce nullif ifnull nvl",
    "approx_function_count": """approx_distinct approx_percentile approx_most_frequent approx_set approx_count_distinct
        approx_quantile numeric_histogram tdigest_agg qdigest_agg""",
    "regexp_function_count": """regexp_like regexp_extract regexp_extract_all regexp_replace regexp_count
        regexp_position regexp_split regexp_matches rlike""",
    "json_function_count": """json_extract json_extract_scalar json_query json_value json_exists json_array json_object
        json_parse json_format json_array_length json_array_get json_array_contains json_size json_table
        is_json_scalar""",
    "array_map_lambda_count": """array map transform reduce any_match all_match none_match zip zip_with map_agg
        map_filter map_concat map_from_entries map_entries map_keys map_values map_union map_zip_with transform_keys
        transform_values multimap_agg multimap_from_entries array_agg array_distinct array_except array_first
        array_intersect array_join array_last array_max array_min array_position array_remove array_sort array_union
        arrays_overlap cardinality contains contains_sequence element_at flatten histogram ngrams sequence shuffle slice
        reduce_agg combinations""",
    "unnest_count": "unnest",
    "cast_count": "cast try_cast",
    "concat_count": "concat concat_ws",
    "rollup_cube_grouping_sets": "rollup cube",
}.items():
    OPENERS |= dict.fromkeys(_functions.split(), PLACE[_feature])

COMPARISONS = frozenset("= < > <= >= <> != in between like is not".split())

PUNCTUATION = "".join(chr(code) for code in range(128) if not (chr(code).isalpha() or chr(code) in '_"`'))
"""What no name begins with; tested with ``in``, by which the end of the text counts as punctuation too."""

PLAIN_ITEMS = frozenset(["?", LIST_MARK, DATE_MARK, *", + - date time timestamp decimal null true false".split()])
"""What lists of literals are made of."""

BEFORE_SIGN = frozenset(
    "( , = < > <= >= <> != + - * / % || [ -> =>".split()
    + "and or not between then else when select in like limit values by return set".split()
)
"""A plus or minus after one of these is the sign of a number."""

QUERY_STARTS = frozenset("select with values table".split())

NO_CTES = frozenset("ordinality offset serdeproperties dbproperties".split())
"""What may stand between WITH and AS without being the name of a CTE."""

WITHOUT_SOURCES = frozenset("show grant revoke deny".split())
"""Statements in which FROM is not followed by a table."""

STATEMENT_FEATURES: dict[str, int] = dict.fromkeys(("(", "from", *QUERY_STARTS), PLACE["is_select_query"]) | {
    "insert": PLACE["is_insert_query"],
    "delete": PLACE["is_delete_query"],
    "update": PLACE["is_update_query"],
}
"""What the first word of a text says about it."""
