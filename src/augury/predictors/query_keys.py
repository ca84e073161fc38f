"""What a query is filed under in the history: its user, its catalog, its template, its tables ...

A key is a text; None stands for a query that has no such key (a log without users, a statement without tables), which
is never counted and never looked up. Training and serving derive keys with the same function.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from augury.predictors.sql_tokens import qualified_tables

GLOBAL = "global"
USER = "user"
CATALOG = "catalog"
SCHEMA = "schema"
TEMPLATE = "template"
TABLE = "table"
USER_TABLES = "user_tables"
SOURCE = "source"
KINDS = (GLOBAL, USER, CATALOG, SCHEMA, TEMPLATE, TABLE, USER_TABLES, SOURCE)

ALL = ""
"""The one key of kind ``global``."""

SEPARATOR = "\x1f"
"""Joins table names; it can be part of no key."""

_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class QueryKeys:
    """Keys of some queries, one list per kind, in the order of the queries."""

    user: list[str | None]
    source: list[str | None]
    catalog: list[str | None]
    schema: list[str | None]
    """``catalog.schema``: schemas of one name in two catalogs have nothing in common."""
    template: list[str | None]
    tables: list[tuple[str, ...]]
    """Qualified names, sorted; the same object for queries that agree in text, catalog and schema."""
    user_tables: list[str | None]
    """Hash of the user and the set of tables."""


def query_keys(
    templates: Sequence[str],
    tables: Sequence[tuple[str, ...]],
    codes: Sequence[int],
    users: Iterable[Any],
    sources: Iterable[Any],
    catalogs: Iterable[Any],
    schemas: Iterable[Any],
) -> QueryKeys:
    """Derive the keys of queries.

    Args:
        templates: Template of each distinct text.
        tables: Tables of each distinct text, as written.
        codes: For each query, the number of its text.
        users: User of each query; anything but a text that is not blank is no user.
        sources: Sources, likewise.
        catalogs: Catalogs of the sessions, likewise; case does not matter.
        schemas: Schemas of the sessions, likewise.

    Returns:
        The keys.
    """
    fingerprints = [cleaned(template) for template in templates]
    user, source = _cleaned(users), _cleaned(sources)
    catalog, session_schema = _lowered(catalogs), _lowered(schemas)
    places = list(zip(codes, catalog, session_schema, strict=True))
    qualified = {
        place: tuple(_control_free(name) for name in qualified_tables(tables[place[0]], place[1], place[2]))
        for place in dict.fromkeys(places)
    }
    rows = [qualified[place] for place in places]
    pairs = list(zip(user, rows, strict=True))
    hashes = {pair: _user_tables(*pair) for pair in dict.fromkeys(pairs)}
    spaces = list(zip(catalog, session_schema, strict=True))
    names = {space: _schema(*space) for space in dict.fromkeys(spaces)}
    return QueryKeys(
        user=user,
        source=source,
        catalog=catalog,
        schema=[names[space] for space in spaces],
        template=[fingerprints[code] for code in codes],
        tables=rows,
        user_tables=[hashes[pair] for pair in pairs],
    )


def cleaned(value: Any) -> str | None:
    """A name as a key: without control characters and blanks at its ends; None for what is no text or blank.

    Engines disagree about NUL characters and unpaired surrogates, so none of them gets into a key.

    Examples:
        >>> cleaned(" etl" + chr(0)), cleaned(" "), cleaned(None)
        ('etl', None, None)
    """
    return (_control_free(value).strip() or None) if isinstance(value, str) else None


def _control_free(text: str) -> str:
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def _cleaned(values: Iterable[Any]) -> list[str | None]:
    given = list(values)
    known = {value: cleaned(value) for value in dict.fromkeys(given)}
    return [known[value] for value in given]


def _lowered(values: Iterable[Any]) -> list[str | None]:
    given = list(values)
    known = {value: (cleaned(value) or "").lower() or None for value in dict.fromkeys(given)}
    return [known[value] for value in given]


def _schema(catalog: str | None, schema: str | None) -> str | None:
    return f"{catalog}.{schema}" if catalog and schema else None


def _user_tables(user: str | None, tables: tuple[str, ...]) -> str | None:
    if user is None or not tables:
        return None
    text = SEPARATOR.join((user, *tables))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:16]
