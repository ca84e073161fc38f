"""Stage 0: statements that cost nothing whatever the data holds, told from their first significant tokens.

Every function here is a pure function of the text and defined for any text. A statement belongs to a zero-cost
category only if nothing speaks against it; what is cut off, unbalanced, too long or followed by a second statement
belongs to none.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

CATEGORIES = (
    "SHOW",
    "SHOW_STATS",
    "DESCRIBE",
    "EXPLAIN",
    "SESSION",
    "TRANSACTION",
    "PREPARE",
    "PERMISSION",
    "DDL",
    "CREATE_VIEW",
    "METADATA_SELECT",
    "CONSTANT_SELECT",
    "LIMIT_0",
)
"""What may be free. Whether it is, the log of a cluster must show; see :class:`QueryClassifier`."""

NEVER = (
    "CREATE_TABLE_AS",
    "INSERT",
    "MERGE",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFRESH",
    "ANALYZE",
    "CALL",
    "EXECUTE",
    "EXPLAIN_ANALYZE",
    "ALTER_EXECUTE",
    "SHOW_STATS_QUERY",
)
"""What is never free, whatever a log says: each runs a query, or a procedure that may run one."""

MAX_CHARS = 20_000
"""Longer texts have no category: nobody writes a free statement of that size, and the answer must not take long."""

METADATA_SCHEMAS = frozenset({"metadata", "runtime", "jdbc"})
GENERATORS = frozenset({"unnest", "sequence", "repeat", "table", "lateral", "function"})
"""Words with which a SELECT without FROM can still make work out of nothing, or read a table."""

OBJECTS = frozenset({"schema", "table", "view", "role", "function", "column", "materialized"})
MODIFIERS = frozenset({"or", "replace", "on", "if", "not", "exists"})
END_OF_FROM = frozenset(
    {
        "where",
        "group",
        "order",
        "having",
        "limit",
        "offset",
        "fetch",
        "union",
        "intersect",
        "except",
        "window",
        "select",
    }
)

# Possessive throughout: no text makes these backtrack
_GAP = r"(?:[\s\x00\ufeff]++|--[^\r\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+"
_FIRST = re.compile(rf"(?:{_GAP}\()*+{_GAP}([a-z]++)", re.IGNORECASE)
_EXECUTE = re.compile(rf"{_GAP}execute\b", re.IGNORECASE)
_ZERO_AT_END = re.compile(rf"limit{_GAP}0{_GAP};?{_GAP}\Z")
_TOKEN = re.compile(
    rf"""{_GAP}(?:
        (?P<word>[^\W\d]\w*+)
      | (?P<quoted>"[^"]*+(?:""[^"]*+)*+"|`[^`]*+`)
      | (?P<text>'[^']*+(?:''[^']*+)*+')
      | (?P<number>\d[\w.]*+)
      | (?P<unclosed>['"`]|/\*)
      | (?P<symbol>[^\s\x00\ufeff])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


def executed_text(query: str | None, prepared_query: str | None) -> str | None:
    """The text that runs: the prepared one where the query is an EXECUTE and the prepared text is known.

    Args:
        query: Text as sent.
        prepared_query: Text of the prepared statement, if any.

    Returns:
        One of both; None if there is none.
    """
    if prepared_query and query and _EXECUTE.match(query):
        return prepared_query
    return query


def statement_kind(text: str | None) -> str | None:
    """Name what a statement is.

    Args:
        text: Any text.

    Returns:
        One of :data:`CATEGORIES` or :data:`NEVER`; None for everything else, such as a SELECT over tables.
    """
    if not text:
        return None
    first = _FIRST.match(text)
    kind = _KINDS.get(first[1].lower()) if first else None
    if kind is None:
        return None
    if isinstance(kind, str):
        return kind
    return kind(text.lower()) if len(text) <= MAX_CHARS else None


class QueryClassifier:
    """Tells the statements that need no model.

    Args:
        safe: Categories that are free by the log. Names that are not in :data:`CATEGORIES` have no effect, above all
            those in :data:`NEVER`.
    """

    def __init__(self, safe: Collection[str]) -> None:
        self.safe = frozenset(safe) & frozenset(CATEGORIES)

    def category(self, text: str | None) -> str | None:
        """Zero-cost category of a statement.

        Args:
            text: Text that runs.

        Returns:
            One of :data:`CATEGORIES`, safe or not; None where the statement may cost something.
        """
        kind = statement_kind(text)
        return kind if kind in _ZERO_COST else None

    def categories(self, texts: Sequence[str | None]) -> list[str | None]:
        """Zero-cost category of every statement.

        Args:
            texts: Texts that run.

        Returns:
            As :meth:`category`, in order.
        """
        known = {text: self.category(text) for text in dict.fromkeys(texts)}
        return [known[text] for text in texts]

    def is_zero_cost(self, texts: Sequence[str | None]) -> np.ndarray:
        """Say which statements are free.

        Args:
            texts: Texts that run.

        Returns:
            True where the category is one of the safe ones.
        """
        return np.fromiter((found in self.safe for found in self.categories(texts)), dtype=bool, count=len(texts))


_ZERO_COST = frozenset(CATEGORIES)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and value of the significant tokens of a lower-case text."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "end"
        # Without this the search would go on inside a comment at the end
        if kind == "end":
            return
        yield kind, match[kind]
        if kind == "unclosed":
            return


def _words(text: str) -> list[str] | None:
    """The significant words of a command; None where it is not one whole statement."""
    words = []
    depth = 0
    ended = False
    for kind, value in _tokens(text):
        if ended or kind == "unclosed":
            return None
        if kind == "word":
            words.append(value)
        elif kind == "symbol":
            depth += (value == "(") - (value == ")")
            ended = value == ";" and depth == 0
    return words if depth == 0 else None


def _always(category: str) -> Callable[[str], str | None]:
    def kind(text: str) -> str | None:
        return category if _words(text) is not None else None

    return kind


def _show(text: str) -> str | None:
    words = _words(text)
    if words is None:
        return None
    if words[1:2] != ["stats"]:
        return "SHOW"
    return "SHOW_STATS_QUERY" if {"select", "with", "values", "table"} & set(words) else "SHOW_STATS"


def _explain(text: str) -> str | None:
    depth = 0
    # Options stand in parentheses between EXPLAIN and what it explains
    for kind, value in list(_tokens(text))[1:]:
        depth += (value == "(") - (value == ")") if kind == "symbol" else 0
        if kind == "word" and depth == 0:
            if value == "analyze":
                return "EXPLAIN_ANALYZE"
            break
    words = _words(text)
    if words is None or len(words) < 2:
        return None
    return "EXPLAIN_ANALYZE" if words[1] == "analyze" else "EXPLAIN"


def _session(text: str) -> str | None:
    words = _words(text)
    if words is None or "select" in words:
        return None
    known = words[0] == "use" or words[1:2] in (["session"], ["role"], ["path"]) or words[1:3] == ["time", "zone"]
    return "SESSION" if known else None


def _transaction(text: str) -> str | None:
    words = _words(text)
    return "TRANSACTION" if words is not None and (words[0] != "start" or words[1:2] == ["transaction"]) else None


def _definition(text: str) -> str | None:
    words = _words(text)
    if words is None:
        # A definition that was cut off, or a function with a body of several statements
        return None
    verb, *rest = words
    target = next((word for word in rest if word not in MODIFIERS), None)
    if target not in OBJECTS:
        return None
    if verb == "alter" and "execute" in rest:
        return "ALTER_EXECUTE"
    if verb != "create":
        return "DDL"
    runs_query = {"as", "select"} & set(rest)
    if target == "table":
        return "CREATE_TABLE_AS" if runs_query else "DDL"
    if target == "view":
        return "CREATE_VIEW"
    # Whether a new materialized view is filled at once depends on the connector
    return "DDL" if not runs_query and target != "materialized" else None


def _select(text: str) -> str | None:
    query = _Select(text)
    for kind, value in _tokens(text):
        if not query.read(kind, value):
            return None
    return query.category()


class _Select:
    """Reads a SELECT token by token until it is clear that it touches data."""

    def __init__(self, text: str) -> None:
        self._limit_possible = _may_end_in_limit_zero(text)
        self._only_metadata = True  # every table so far
        self._tables = 0
        self._generator = False
        self._from = False
        self._in_from = [False]  # per depth of parentheses: between FROM and the next clause
        self._expects_table = False
        self._name: list[str] = []  # parts of the table name being read
        self._after_dot = False
        self._visible: list[tuple[str, int]] = []  # WITH queries and the depth at which they are declared
        self._open: list[tuple[str, int]] = []  # those whose own parentheses are still open: not yet visible
        self._before: tuple[str, str] = ("", "")
        self._earlier: tuple[str, str] = ("", "")
        self._limits_to_zero = False
        self._ended = False

    def read(self, kind: str, value: str) -> bool:
        """Take the next token; False as soon as no category is possible any more."""
        if self._ended or kind == "unclosed":
            return False
        identifier = kind == "word" or kind == "quoted"
        if self._name and not (self._after_dot and identifier) and value != "." and not self._finish_name():
            return False
        alive = self._read_identifier(kind, value) if identifier else self._read_other(kind, value)
        self._earlier, self._before = self._before, (kind, value)
        return alive

    def category(self) -> str | None:
        """The verdict after the last token."""
        if self._name and not self._finish_name():
            return None
        whole = len(self._in_from) == 1 and not self._expects_table and self._before[1] not in {",", "."}
        if not whole:
            return None
        if self._tables and self._only_metadata:
            return "METADATA_SELECT"
        if not self._from and not self._generator:
            return "CONSTANT_SELECT"
        return "LIMIT_0" if self._limits_to_zero else None

    def _read_identifier(self, kind: str, value: str) -> bool:
        name = value if kind == "word" else value[1:-1].lower()
        if self._name and self._after_dot:
            self._name.append(name)
            self._after_dot = False
            return True
        if kind == "quoted":
            if self._expects_table:
                self._name, self._expects_table = [name], False
            return True
        if name in GENERATORS:
            self._generator = True
            if name == "function" and self._before[1] == "with":
                return False
        if name in {"select", "with", "values"}:
            self._expects_table = False
        if name in END_OF_FROM:
            self._in_from[-1] = False
        if name in {"from", "join"}:
            self._from = True
            self._in_from[-1] = True
            self._expects_table = True
        elif self._expects_table:
            self._name, self._expects_table = [name], False
        return True

    def _read_other(self, kind: str, value: str) -> bool:
        if kind == "number" and value == "0" and self._before[1] == "limit" and len(self._in_from) == 1:
            self._limits_to_zero = self._limit_possible
        if kind != "symbol":
            return True
        if value == "(":
            if self._before == ("word", "as") and self._earlier[0] in {"word", "quoted"}:
                self._open.append((self._earlier[1].strip('"`'), len(self._in_from)))
            self._in_from.append(False)
        elif value == ")":
            return self._close()
        elif value == ",":
            self._expects_table = self._in_from[-1]
        elif value == ".":
            self._after_dot = bool(self._name)
        elif value == ";" and len(self._in_from) == 1:
            self._ended = True
        return True

    def _close(self) -> bool:
        if len(self._in_from) == 1:
            return False
        self._in_from.pop()
        depth = len(self._in_from)
        self._visible = [(name, declared) for name, declared in self._visible if declared <= depth]
        if self._open and self._open[-1][1] == depth:
            self._visible.append(self._open.pop())
        return True

    def _finish_name(self) -> bool:
        name, self._name, self._after_dot = self._name, [], False
        if len(name) == 1 and any(name[0] == declared for declared, _ in self._visible):
            return True
        self._tables += 1
        self._only_metadata &= _is_metadata(name)
        return self._only_metadata or self._limit_possible


def _may_end_in_limit_zero(text: str) -> bool:
    """Whether it is worth reading on when a table was met; the last mention may stand in a comment."""
    at = len(text)
    for _ in range(3):
        at = text.rfind("limit", 0, at)
        if at < 0:
            return False
        if _ZERO_AT_END.match(text, at):
            return True
    return False


def _is_metadata(name: list[str]) -> bool:
    if len(name) == 2:
        return name[0] == "information_schema"
    return len(name) == 3 and (name[1] == "information_schema" or (name[0] == "system" and name[1] in METADATA_SCHEMAS))


_KINDS: dict[str, str | Callable[[str], str | None]] = {
    "show": _show,
    "describe": _always("DESCRIBE"),
    "desc": _always("DESCRIBE"),
    "explain": _explain,
    "set": _session,
    "reset": _session,
    "use": _session,
    "start": _transaction,
    "commit": _transaction,
    "rollback": _transaction,
    "prepare": _always("PREPARE"),
    "deallocate": _always("PREPARE"),
    "grant": _always("PERMISSION"),
    "revoke": _always("PERMISSION"),
    "deny": _always("PERMISSION"),
    "create": _definition,
    "drop": _definition,
    "alter": _definition,
    "comment": _definition,
    "select": _select,
    "with": _select,
    "values": _select,
    "insert": "INSERT",
    "merge": "MERGE",
    "update": "UPDATE",
    "delete": "DELETE",
    "truncate": "TRUNCATE",
    "refresh": "REFRESH",
    "analyze": "ANALYZE",
    "call": "CALL",
    "execute": "EXECUTE",
}
