"""The token state machine: one walk over the tokens of a text, with a stack of its open brackets."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, repeat, takewhile

from augury.predictors import sql_lexicon as lex
from augury.predictors.sql_contract import PLACE
from augury.predictors.sql_lexer import Names

# Clauses of a query, as far as they change what a word means
_NONE, _SELECT, _WHERE, _FROM, _ON, _VALUES = range(6)
_SOURCES = (_FROM, _ON)  # behind the condition of a join, a comma may bring the next source

_EXPRESSION_BRACKETS = frozenset([lex.PLAIN, lex.FUNCTION, lex.IN, lex.ROW, lex.EXISTS])

_PADDING = [""] * 8
"""Behind the last word, and so before the first one too: looking ahead and back needs no check of bounds."""

_MAX_ROW_TOKENS = 500
_MAX_LIMIT = 1e15

_AT = PLACE
_WHERES, _ANDS, _ORS, _NOTS = (_AT[f"where_{name}_count"] for name in ("condition", "and", "or", "not"))
_JOINS, _COMMA_JOINS, _TABLES = _AT["join_count"], _AT["comma_join_count"], _AT["table_count"]
_ROWS, _DISTINCTS, _LONGEST_LIST = _AT["values_rows"], _AT["ast_distinct_count"], _AT["max_in_list_size"]
_PARENTHESES, _DEPTH, _BREADTH = _AT["parentheses_depth"], _AT["ast_depth"], _AT["ast_breadth"]


class _Scope:
    """What a query and the brackets in its expressions share."""

    __slots__ = ("aliases", "cte", "declared", "inner", "level", "opened", "recursive", "sources", "start", "withs")

    def __init__(self, start: int, level: int, withs: int, inner: bool) -> None:
        self.start = start  # place of the bracket around the query
        self.level = level  # queries around it
        self.withs = withs  # WITH clauses around it, its own included
        self.inner = inner  # whether it is part of an expression of another query
        self.aliases: set[str] | None = None  # of its sources; a set only once there is one
        self.sources: set[str] | None = None
        self.recursive = False
        self.cte = ""  # name of the CTE whose definition comes next
        self.opened = ""  # name of the CTE whose definition is open
        self.declared: list[str] | None = None  # CTEs that are in sight until the query ends


class Walk:
    """One walk over the tokens of one text.

    Attributes:
        tables: Referenced tables in the order of the text, with repetitions.
        cuts: Ranges of tokens, in order and apart from each other, and what the template has in their place.
        dates: Places of literals that look like dates.
        incomplete: Whether brackets do not pair.
    """

    __slots__ = (
        "betweens", "brackets", "cases", "clause", "commas", "conditional_joins", "conditions", "counts", "creates",
        "ctes", "cuts", "dates", "deepest", "deepest_brackets", "incomplete", "is_query", "last_opened", "limit_depth",
        "limited", "names", "normal", "ordered", "other_aliases", "role", "row_end", "row_form", "scope",
        "seen_aliases", "sizes", "stack", "start", "tables", "tokens", "widest",
    )  # fmt: skip

    def __init__(self, tokens: list[str], normal: list[str], names: Names, counts: "array[float]") -> None:
        """Prepare a walk.

        Args:
            tokens: Tokens in lower case, comments left out; some empty ones are put behind them.
            normal: The same, normalised by ``names``; likewise.
            names: The codes and written forms of names, and the sizes of the runs of literals.
            counts: One number for each of ``sql_contract.TEXT_FEATURES``, to be filled in.
        """
        tokens += _PADDING
        normal += _PADDING
        self.tokens, self.normal, self.names, self.counts = tokens, normal, names, counts
        self.sizes = iter(names.sizes)
        self.tables: list[str] = []
        self.cuts: list[tuple[int, int, str]] = []
        self.dates: list[int] = []
        self.incomplete = False

        # The innermost open bracket; those around it are on the stack
        self.stack: list[tuple[int, int, int, int, int, int, bool, _Scope]] = []
        self.role = lex.OPERAND  # what it is, by the word before it
        self.clause = _NONE  # clause of the query that is read
        self.commas = 0  # of the list that is read
        self.start = -1  # where it is
        self.cases = 0  # open CASEs
        self.betweens = 0  # BETWEENs that still wait for their AND
        self.is_query = False  # whether it holds a query
        self.scope = _Scope(-1, 0, 0, False)

        self.brackets = 0  # open round ones
        self.widest = self.deepest = self.deepest_brackets = 0
        self.last_opened = -1
        self.row_end, self.row_form = -9, ""
        self.conditional_joins = self.conditions = 0
        self.limit_depth = len(normal)
        self.ordered = self.limited = False
        self.creates = False
        self.ctes: dict[str, int] = {}  # name -> definitions in sight
        self.seen_aliases: set[str] = set()
        self.other_aliases: set[str] = set()  # qualifiers in nested queries that these do not define

    def run(self) -> None:
        """Walk over all tokens and complete what is known at the end only."""
        counts, code_of, comma, structural, handlers = (
            self.counts, self.names.codes.get, lex.COMMA, lex.STRUCTURAL, _HANDLERS,
        )  # fmt: skip
        self._begin(self.normal[0])
        # Names and most operators, more than half of the tokens, have no code and cost no step in Python
        codes = list(map(code_of, self.normal, repeat(0)))
        for place, code in compress(enumerate(codes), codes):
            if code == comma:
                self.commas += 1
                if self.clause >= _FROM:
                    self._item(place)
            elif code < structural:
                counts[code] += 1
            else:
                handlers[code](self, place)
        self._end_statement()
        counts[_TABLES] = len(self.tables)
        counts[_PARENTHESES], counts[_DEPTH] = self.deepest_brackets, self.deepest
        counts[_BREADTH] = self.widest + 1 if self.tokens[0] else 0
        if self.conditional_joins > self.conditions:
            counts[_AT["join_without_on"]] = self.conditional_joins - self.conditions
        if not self.other_aliases.isdisjoint(self.seen_aliases):
            counts[_AT["correlated_subquery_likely"]] = 1

    # --- statements ---

    def _begin(self, word: str) -> None:
        """The first word of the text says what kind of query it is."""
        feature = lex.STATEMENT_FEATURES.get(word)
        if feature is not None:
            self.counts[feature] = 1

    def _end_statement(self) -> None:
        if self.commas > self.widest:
            self.widest = self.commas
        if self.stack:
            self.incomplete = True
        if self.ordered and not self.limited:
            self.counts[_AT["order_by_without_limit"]] = 1

    def _semicolon(self, place: int) -> None:
        self.counts[_AT["semicolon_count"]] += 1
        self._end_statement()
        self.stack.clear()
        self.ctes.clear()
        self.role, self.clause, self.commas, self.start, self.cases, self.betweens = lex.OPERAND, _NONE, 0, place, 0, 0
        self.is_query = self.ordered = self.limited = self.creates = False
        self.brackets = 0
        self.scope = _Scope(place, 0, 0, False)
        if self.normal[place + 1] not in ("", ";"):
            self.counts[_AT["has_multiple_statements"]] = 1

    def _statement(self, place: int) -> None:
        """INSERT, DELETE, MERGE, REFRESH, ANALYZE, DESCRIBE: only where a statement begins, or behind its CTEs."""
        normal, counts = self.normal, self.counts
        word, before, after = normal[place], normal[place - 1], normal[place + 1]
        if word == "merge" or (word == "refresh" and after == "materialized"):
            counts[_AT["merge_or_refresh"]] += before in ("", ";", ")", "explain", "analyze", "verbose")
        elif word in ("describe", "desc", "analyze"):
            if before in ("", ";"):
                self._source(place + 1, False)
        elif before == ")" and normal[0] == "with" and not self.stack and not self.is_query:
            counts[_AT["is_select_query"]] = 0
            counts[lex.STATEMENT_FEATURES[word]] = 1  # INSERT or DELETE

    def _into(self, place: int) -> None:
        self._source(place + 1, False)

    def _update(self, place: int) -> None:
        if "set" in self.normal[place + 2 : place + 5]:
            self._source(place + 1, False)

    def _table(self, place: int) -> None:
        """TABLE or VIEW: a definition, a query (``TABLE orders``) or an argument (``TABLE(orders)``)."""
        normal = self.normal
        if normal[place - 1] == "lateral":
            self.clause = _NONE  # LATERAL VIEW f(x) AS a, b: these are no sources
            return
        if not self.stack:
            self.creates = normal[place] == "table" and "create" in normal[max(0, place - 4) : place]
            if normal[place - 1] == "as":
                self._create_as()
        target = place + 1
        if normal[target] == "(":
            if normal[target + 2] == ")":
                self._source(target + 1, False)
            return
        while normal[target] in ("if", "not", "exists"):
            target += 1
        self._source(target, False)

    def _create_as(self) -> None:
        if self.creates and self.normal[0] == "create":
            self.counts[_AT["is_create_table_as"]] = 1

    # --- brackets ---

    def _open(self, place: int) -> None:
        clause = self.clause
        opener = lex.OPENERS.get(self.normal[place - 1], lex.FUNCTION)
        if opener < lex.STRUCTURAL:
            self.counts[opener] += 1
            opener = lex.FUNCTION
        elif opener > lex.FUNCTION:
            opener = self._opener(opener, place)
        self._push(opener, place)
        self.brackets += 1
        if self.brackets > self.deepest_brackets:
            self.deepest_brackets = self.brackets
        if opener == lex.SOURCE:
            self.clause = _FROM
            self._source(place + 1, True)
        elif clause != _WHERE or opener > lex.FUNCTION:
            self.clause = _NONE

    def _push(self, role: int, place: int) -> None:
        stack = self.stack
        stack.append(
            (self.role, self.clause, self.commas, self.start, self.cases, self.betweens, self.is_query, self.scope)
        )
        self.role, self.start = role, place
        self.commas = self.betweens = 0
        self.is_query = False
        self.last_opened = place
        depth = len(stack) + self.cases
        if depth > self.deepest:
            self.deepest = depth

    def _opener(self, opener: int, place: int) -> int:
        """What a bracket is where the word before it does not tell alone."""
        role, clause, counts, normal = self.role, self.clause, self.counts, self.normal
        if opener == lex.IN:
            counts[_AT["in_clause_count"]] += 1
        elif opener == lex.EXISTS:
            if normal[place - 2] == "if":
                return lex.PLAIN
            counts[_AT["exists_count"]] += 1
        elif opener == lex.SOURCE:
            return lex.SOURCE if clause == _FROM else lex.PLAIN
        elif opener == lex.NESTED:
            if role in (lex.SOURCE, lex.EXISTS):
                return role
            return lex.OPERAND if role in (lex.CTE, lex.OPERAND) else lex.ROW if role == lex.IN else lex.PLAIN
        elif opener == lex.NEXT_ITEM:
            if clause == _FROM:
                return lex.SOURCE
            return lex.ROW if clause == _VALUES or role == lex.IN else lex.PLAIN
        elif opener == lex.DEFINITION:
            scope = self.scope
            if not scope.cte:
                return lex.OPERAND
            scope.opened, scope.cte = scope.cte, ""
            counts[_AT["ast_cte_count"]] += 1
            if scope.recursive:
                self._declare(scope, scope.opened)
            return lex.CTE
        elif opener == lex.QUANTIFIED:
            return lex.OPERAND if normal[place - 2] in ("union", "except", "intersect", "minus") else lex.PLAIN
        return opener

    def _close(self, place: int) -> None:
        while self.role == lex.SQUARE:
            self.incomplete = True
            self._pop()
        if not self.stack:
            self.incomplete = True
            return
        role, start, scope, is_query = self.role, self.start, self.scope, self.is_query
        if role == lex.IN:
            self._close_list(start, place)
        elif role == lex.ROW:
            self._close_row(start, place)
        self.brackets -= 1
        self._pop()
        if scope.declared is not None and scope is not self.scope:
            for name in scope.declared:
                self.ctes[name] -= 1
        if role == lex.CTE:
            outer = self.scope
            if not outer.recursive:
                self._declare(outer, outer.opened)
            outer.opened = ""
            if self.normal[place + 1] == ",":
                outer.cte = self._written(place + 2)
        elif role == lex.SOURCE and is_query:
            self._alias(place + 1)

    def _pop(self) -> None:
        if self.commas > self.widest:
            self.widest = self.commas
        (
            self.role, self.clause, self.commas, self.start, self.cases, self.betweens, self.is_query, self.scope,
        ) = self.stack.pop()  # fmt: skip

    def _open_square(self, place: int) -> None:
        if self.normal[place - 1] == "array":
            self.counts[_AT["array_map_lambda_count"]] += 1
        self._push(lex.SQUARE, place)
        if self.clause != _WHERE:
            self.clause = _NONE

    def _close_square(self, place: int) -> None:
        if self.role == lex.SQUARE:
            self._pop()
        else:
            self.incomplete = True

    def _close_list(self, start: int, place: int) -> None:
        """The end of IN ( ... )."""
        normal, counts = self.normal, self.counts
        first = start + 1
        while normal[first] == "(":
            first += 1
        if place == start + 1 or self.is_query or normal[first] in lex.QUERY_STARTS:
            return
        items = self.commas + 1
        counts[_AT["in_list_total_items"]] += items
        counts[_LONGEST_LIST] = max(counts[_LONGEST_LIST], items)
        if self.last_opened == start and lex.PLAIN_ITEMS.issuperset(normal[start + 1 : place]):
            self._cut(start + 1, place, "?")

    def _close_row(self, start: int, place: int) -> None:
        """The end of a row of VALUES or of an IN list; a row of the same form as the one before it is left out."""
        normal = self.normal
        is_plain = self.last_opened == start and lex.PLAIN_ITEMS.issuperset(normal[start + 1 : place])
        if is_plain:
            form = "?"
        elif place - start <= _MAX_ROW_TOKENS:
            inner = list(takewhile(lambda cut: cut[0] > start, reversed(self.cuts)))
            form = render(normal, inner[::-1], start + 1, place)
        else:
            form = f"row at {start}"
        if self.row_end == start - 2 and self.row_form == form:
            self._cut(start - 1, place + 1, "")
        elif is_plain:
            self._cut(start + 1, place, "?")
        self.row_end, self.row_form = place, form

    def _cut(self, begin: int, end: int, instead: str) -> None:
        """Have the template show something else for a range of tokens; what was cut out within it is part of it."""
        cuts = self.cuts
        while cuts and cuts[-1][0] >= begin:
            cuts.pop()
        cuts.append((begin, end, instead))

    # --- queries and their clauses ---

    def _new_list(self) -> None:
        if self.commas > self.widest:
            self.widest = self.commas
        self.commas = 0

    def _enter_query(self) -> None:
        """The first word of a query in brackets."""
        scope, role = self.scope, self.role
        level = scope.level + (role != lex.CTE and role != lex.OPERAND)
        inner = role != lex.CTE and (scope.inner or role in _EXPRESSION_BRACKETS)
        self.scope = _Scope(self.start, level, scope.withs, inner)
        counts = self.counts
        if level > counts[_AT["max_subquery_depth"]]:
            counts[_AT["max_subquery_depth"]] = level
        if role == lex.SOURCE:
            counts[_AT["subquery_in_from_count"]] += 1
        elif role == lex.EXISTS:
            counts[_AT["correlated_subquery_likely"]] = 1

    def _select(self, place: int) -> None:
        self._new_list()
        if self.creates:
            self._create_as()
        if self.is_query:
            # The next operand of a set operation
            self.scope.aliases = self.scope.sources = None
        elif self.stack and self.scope.start != self.start:
            self._enter_query()
        self.is_query = True
        self.clause = _SELECT

    def _with(self, place: int) -> None:
        normal = self.normal
        recursive = normal[place + 1] == "recursive"
        first = place + 1 + recursive
        if normal[first][:1] in lex.PUNCTUATION or normal[first] in lex.NO_CTES or normal[first + 1] not in ("as", "("):
            return
        if self.stack and self.scope.start != self.start:
            self._enter_query()
        self._new_list()
        self.clause = _NONE
        scope, counts = self.scope, self.counts
        scope.recursive = recursive
        scope.withs += 1
        scope.cte = self._written(first)
        counts[_AT["with_clause_count"]] += 1
        counts[_AT["nested_with_depth"]] = max(counts[_AT["nested_with_depth"]], scope.withs)
        if recursive:
            counts[_AT["recursive_cte_present"]] = 1

    def _declare(self, scope: _Scope, name: str) -> None:
        if scope.declared is None:
            scope.declared = []
        scope.declared.append(name)
        self.ctes[name] = self.ctes.get(name, 0) + 1

    def _set_operation(self, place: int) -> None:
        word = self.normal[place]
        if word == "minus" and self.normal[place + 1] not in ("select", "(", "all"):
            return
        if self.normal[place - 1] == "*":  # SELECT * EXCEPT (column)
            return
        counts = self.counts
        counts[_AT["set_operation_total"]] += 1
        if word == "intersect":
            counts[_AT["intersect_count"]] += 1
        elif word != "union":
            counts[_AT["except_count"]] += 1
        self._new_list()
        self.clause = _NONE

    def _distinct(self, place: int) -> None:
        before = self.normal[place - 1]
        if before == "select":
            self.counts[_AT["has_distinct"]] = 1
            self.counts[_DISTINCTS] += 1
        elif before == "(" and self.role == lex.FUNCTION:
            self.counts[_AT["distinct_aggregation_count"]] += 1
            self.counts[_DISTINCTS] += 1

    def _star(self, place: int) -> None:
        before = self.normal[place - 1]
        if before not in ("select", "distinct", "all", ",", "(", "."):
            return  # a product
        self.counts[_AT["wildcard_count"]] += 1
        if self.clause == _SELECT:
            self.counts[_AT["has_select_star"]] = 1

    def _from(self, place: int) -> None:
        normal = self.normal
        # Not a clause: IS DISTINCT FROM, SHOW TABLES FROM, and arguments as in EXTRACT(DAY FROM x)
        if normal[place - 1] == "distinct" or (not self.is_query if self.stack else normal[0] in lex.WITHOUT_SOURCES):
            return
        self._new_list()
        self.clause = _FROM
        self._source(place + 1, True)

    def _item(self, place: int) -> None:
        """A comma in FROM or VALUES: the next source, the next row."""
        if self.clause == _VALUES:
            self.counts[_ROWS] += 1
        else:
            self.counts[_JOINS] += 1
            self.counts[_COMMA_JOINS] += 1
            self.clause = _FROM
            self._source(place + 1, True)

    def _join(self, place: int) -> None:
        normal, counts = self.normal, self.counts
        kind, before = normal[place - 1], normal[place - 2]
        if kind == "outer":
            kind, before = before, normal[place - 3]
        counts[_JOINS] += 1
        is_natural = kind == "natural" or before == "natural"
        if kind == "left":
            counts[_AT["left_join_count"]] += 1
        elif kind == "full":
            counts[_AT["full_outer_join_present"]] = 1
        elif kind == "cross":
            counts[_AT["cross_join_present"]] = 1
        elif kind == "right" or is_natural:
            counts[_AT["right_natural_join_count"]] += 1
        elif kind not in ("semi", "anti"):
            counts[_AT["inner_join_count"]] += 1
        if kind != "cross" and not is_natural:
            self.conditional_joins += 1
        self.clause = _FROM
        self._source(place + 1, True)

    def _on(self, place: int) -> None:
        if self.clause in _SOURCES:
            self.conditions += 1
            self.clause = _ON

    def _using(self, place: int) -> None:
        if self.clause in _SOURCES:
            self.conditions += 1
            self.clause = _ON
        elif self.normal[0] == "merge" and not self.stack:
            self.clause = _FROM
            self._source(place + 1, True)

    def _where(self, place: int) -> None:
        # FILTER (WHERE ...) is none
        if self.is_query or not self.stack:
            self._new_list()
            self.clause = _WHERE
            self.counts[_WHERES] += 1

    def _group(self, place: int) -> None:
        if self.normal[place + 1] == "by":
            self._new_list()
            self.clause = _NONE
            self.counts[_AT["group_by_count"]] += 1

    def _grouping(self, place: int) -> None:
        if self.normal[place + 1] == "sets":
            self.counts[_AT["rollup_cube_grouping_sets"]] += 1

    def _having(self, place: int) -> None:
        self._new_list()
        self.clause = _NONE
        self.counts[_AT["ast_having_count"]] += 1

    def _order(self, place: int) -> None:
        if self.normal[place + 1] != "by":
            return
        self._new_list()
        self.clause = _NONE
        if not self.stack:
            self.ordered = True
        elif not self.is_query:
            return  # of a window or an aggregate
        self.counts[_AT["has_order_by"]] = 1

    def _limit(self, place: int) -> None:
        if self.normal[place + 1][:1] == "?":
            self._limit_to(self.tokens[place + 1])

    def _fetch(self, place: int) -> None:
        if self.normal[place + 1] in ("first", "next"):
            self._limit_to(self.tokens[place + 2] if self.normal[place + 2][:1] == "?" else "1")

    def _limit_to(self, number: str) -> None:
        self._new_list()
        self.clause = _NONE
        self.counts[_AT["has_limit"]] = 1
        depth = len(self.stack)
        if depth == 0:
            self.limited = True
        if depth <= self.limit_depth:
            self.limit_depth = depth
            is_number = number.isascii() and number.isdecimal()
            value = min(float(number), _MAX_LIMIT) if is_number and len(number) < 17 else _MAX_LIMIT if is_number else 0
            self.counts[_AT["limit_value"]] = value

    def _offset(self, place: int) -> None:
        if self.normal[place + 1][:1] == "?":
            self.counts[_AT["has_offset"]] = 1

    def _values(self, place: int) -> None:
        if self.normal[place + 1][:1] in ("(", "?"):
            if self.normal[place - 1] == "as":
                self._create_as()
            self._new_list()
            self.clause = _VALUES
            self.counts[_ROWS] += 1

    def _clause(self, place: int) -> None:
        """WINDOW, SET and the like: what follows are neither sources nor conditions."""
        if self.clause in _SOURCES:
            self._new_list()
            self.clause = _NONE

    # --- expressions ---

    def _and(self, place: int) -> None:
        if self.betweens:
            self.betweens -= 1
        elif self.clause == _WHERE:
            self.counts[_ANDS] += 1

    def _or(self, place: int) -> None:
        if self.clause == _WHERE:
            self.counts[_ORS] += 1

    def _not(self, place: int) -> None:
        if self.clause == _WHERE:
            self.counts[_NOTS] += 1

    def _between(self, place: int) -> None:
        self.betweens += 1
        if self.normal[place - 1] not in ("rows", "range", "groups"):
            self.counts[_AT["between_count"]] += 1

    def _like(self, place: int) -> None:
        if self.normal[place - 1] != "(" and self.normal[0] != "show":
            self.counts[_AT["like_pattern_count"]] += 1

    def _case(self, place: int) -> None:
        if self.normal[place - 1] == "end":
            return  # END CASE of a routine
        self.counts[_AT["ast_case_when_count"]] += 1
        self.cases += 1
        self.deepest = max(self.deepest, len(self.stack) + self.cases)

    def _end(self, place: int) -> None:
        if self.cases:
            self.cases -= 1

    def _over(self, place: int) -> None:
        if self.normal[place - 1] in (")", "nulls"):
            self.counts[_AT["window_function_count"]] += 1

    def _unbounded(self, place: int) -> None:
        if self.normal[place + 1] in ("preceding", "following"):
            self.counts[_AT["unbounded_window_present"]] = 1

    def _literals(self, place: int) -> None:
        """A run of literals is one token, but as many items and commas as it has."""
        items = next(self.sizes)
        self.commas += items - 1
        if self.clause == _VALUES:
            self.counts[_ROWS] += items - 1
        elif self.clause in _SOURCES:
            self.counts[_JOINS] += items - 1
            self.counts[_COMMA_JOINS] += items - 1
            self.clause = _FROM
        self.cuts.append((place, place + 1, "? , " * (items - 1) + "?"))

    def _date(self, place: int) -> None:
        self.dates.append(place)

    def _sign(self, place: int) -> None:
        if self.normal[place + 1][:1] == "?" and self.normal[place - 1] in lex.BEFORE_SIGN:
            self.cuts.append((place, place + 1, ""))

    # --- names ---

    def _dotted(self, place: int) -> None:
        """A qualified name in a nested query: is its qualifier one of the query's own aliases?"""
        scope = self.scope
        if scope.inner and self.clause in (_WHERE, _ON):
            qualifier = self._written(place).partition(".")[0]
            if scope.aliases is None or qualifier not in scope.aliases:
                self.other_aliases.add(qualifier)

    def _partition(self, place: int) -> None:
        if self.clause == _WHERE and self.normal[place + 1] in lex.COMPARISONS:
            self.counts[_AT["partition_column_predicate"]] += 1
        if "." in self.normal[place]:
            self._dotted(place)

    def _written(self, place: int) -> str:
        token = self.tokens[place]
        return self.names.written.get(token, token)

    def _source(self, place: int, maybe_function: bool) -> None:
        """Where a table may be named; a name with arguments is a function where there can be one."""
        normal = self.normal
        word = normal[place]
        if word == "lateral":
            place += 1
            word = normal[place]
        if word[:1] in lex.PUNCTUATION or word in lex.RESERVED or (maybe_function and normal[place + 1] == "("):
            return
        name = self._written(place)
        sources = self.scope.sources
        if sources is None:
            self.scope.sources = {name}
        elif name in sources:
            self.counts[_AT["self_join_count"]] += 1
        else:
            sources.add(name)
        if not self.ctes.get(name):
            self.tables.append(name)
        self._alias(place + 1, name.rpartition(".")[2])

    def _alias(self, place: int, otherwise: str = "") -> None:
        """Take in the alias at a place, or what stands for it if there is none."""
        if self.normal[place] == "as":
            place += 1
        word = self.normal[place]
        alias = otherwise if word[:1] in lex.PUNCTUATION or word in lex.RESERVED else self._written(place)
        if self.scope.aliases is None:
            self.scope.aliases = {alias}
        else:
            self.scope.aliases.add(alias)
        self.seen_aliases.add(alias)


def render(words: Sequence[str], cuts: Iterable[tuple[int, int, str]], begin: int, end: int) -> str:
    """Join words, with what the cuts have in place of some.

    Args:
        words: Normalised tokens.
        cuts: Ranges within ``begin`` and ``end``, in order and apart from each other, and what is shown for each.
        begin: First word.
        end: Behind the last one.

    Returns:
        The words, with spaces between them.
    """
    kept: list[str] = []
    for first, last, instead in cuts:
        kept += words[begin:first]
        if instead:
            kept.append(instead)
        begin = last
    kept += words[begin:end]
    return " ".join(kept).replace(lex.DATE_MARK, "?")


_HANDLERS: dict[int, Callable[[Walk, int], None]] = {
    lex.OPEN: Walk._open,
    lex.CLOSE: Walk._close,
    lex.AND: Walk._and,
    lex.OR: Walk._or,
    lex.NOT: Walk._not,
    lex.FROM: Walk._from,
    lex.SELECT: Walk._select,
    lex.WHERE: Walk._where,
    lex.JOIN: Walk._join,
    lex.ON: Walk._on,
    lex.USING: Walk._using,
    lex.CASE: Walk._case,
    lex.END: Walk._end,
    lex.GROUP: Walk._group,
    lex.ORDER: Walk._order,
    lex.HAVING: Walk._having,
    lex.LIMIT: Walk._limit,
    lex.OFFSET: Walk._offset,
    lex.FETCH: Walk._fetch,
    lex.BETWEEN: Walk._between,
    lex.DISTINCT: Walk._distinct,
    lex.STAR: Walk._star,
    lex.UNION: Walk._set_operation,
    lex.EXCEPT: Walk._set_operation,
    lex.INTERSECT: Walk._set_operation,
    lex.MINUS: Walk._set_operation,
    lex.OVER: Walk._over,
    lex.UNBOUNDED: Walk._unbounded,
    lex.WITH: Walk._with,
    lex.VALUES: Walk._values,
    lex.LITERALS: Walk._literals,
    lex.DATE: Walk._date,
    lex.SIGN: Walk._sign,
    lex.SEMICOLON: Walk._semicolon,
    lex.OPEN_SQUARE: Walk._open_square,
    lex.CLOSE_SQUARE: Walk._close_square,
    lex.INTO: Walk._into,
    lex.UPDATE: Walk._update,
    lex.TABLE: Walk._table,
    lex.LIKE: Walk._like,
    lex.GROUPING: Walk._grouping,
    lex.STATEMENT: Walk._statement,
    lex.CLAUSE: Walk._clause,
    lex.DOTTED: Walk._dotted,
    lex.PARTITION: Walk._partition,
}
