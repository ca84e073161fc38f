"""What a SQL text is made of, read by one token state machine: features, template, tables and terms in a single pass.

The scan is a pure function of the text: no clock is in it, no syntax tree and no dialect to get wrong, and no text
makes it raise. One regular expression splits the lower-cased text into tokens (strings, quoted names and comments
whole); one loop over the tokens keeps a stack of open brackets and counts. Budgets are in characters and tokens, never
in time, so a text gives the same numbers on a busy machine, on Spark and in the service.
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from augury.predictors.sql_contract import PLACE, TEXT_FEATURES
from augury.predictors.sql_dates import date_range_days
from augury.predictors.sql_lexer import SPACE, Names, is_comment, is_unclosed, tokenise
from augury.predictors.sql_structure import Walk, render

MAX_CHARS = 200_000
"""Longer texts are cut here; ``truncated_or_unbalanced`` tells."""

MAX_TOKENS = 25_000
"""Further tokens are left out too, a run of literals being one; usual SQL of MAX_CHARS characters has fewer."""

MAX_TERM_WORDS = 10_000
"""Words of a text that can become terms."""

(
    _QUERY_LENGTH, _TOKEN_COUNT, _LINE_COUNT, _COMMENT_RATIO, _STRINGS, _NUMBERS, _LITERAL_BYTES, _INCOMPLETE,
    _DATE_RANGE, _DISTINCT_TABLES, _QUALIFICATION, _QUALIFIED, _SCHEMAS, _CATALOGS,
) = (
    PLACE[name]
    for name in """
    query_length token_count line_count comment_ratio quoted_strings_count numeric_literals_count literal_bytes
    truncated_or_unbalanced date_range_days distinct_table_count table_qualification_level has_qualified_tables
    inferred_schema_count inferred_catalog_count
    """.split()
)  # fmt: skip

_ZEROS = array("f", [0.0] * len(TEXT_FEATURES))
_WORD_BYTES = bytes(
    code if chr(code).isalnum() or chr(code) in "_#" else ord("_" if chr(code) == "$" else " ") for code in range(128)
).ljust(256)
"""Terms are made of ASCII letters, digits, underscores and ``#``; everything else separates them."""


@dataclass(frozen=True)
class ScannedTexts:
    """What :func:`scan_texts` found; every member has one entry for each text, in the order of the texts.

    Attributes:
        values: Features of the text, float32, shape (texts, features of :data:`sql_contract.TEXT_FEATURES`).
        templates: Fingerprints, 16 hexadecimal digits: equal for texts that differ in literals, length of literal
            lists, white space, comments, letter case, or the number or date at the end of names.
        tables: Referenced tables as they are written, in lower case and without quotes, 1 to 3 parts joined by dots;
            CTEs and table functions are none. Sorted, distinct.
        terms: Distinct terms for TF-IDF, joined by spaces: words, then pairs of words as ``one~two``.
    """

    values: np.ndarray
    templates: list[str]
    tables: list[tuple[str, ...]]
    terms: list[str]


def scan_texts(texts: Sequence[str | None]) -> ScannedTexts:
    """Scan SQL texts; each distinct text is scanned once.

    Args:
        texts: Any strings; whatever is no string counts as the empty text.

    Returns:
        Features, templates, tables and terms.
    """
    names = Names()
    places: dict[str, int] = {}
    rows: list[int] = []
    values = array("f")
    scanned: list[tuple[str, tuple[str, ...], str]] = []
    for text in texts:
        if not isinstance(text, str):
            text = ""
        place = places.get(text)
        if place is None:
            places[text] = place = len(scanned)
            counts = _ZEROS[:]
            scanned.append(_scan(text, names, counts))
            values += counts
        rows.append(place)
    distinct = np.frombuffer(values, dtype=np.float32).reshape(len(scanned), len(TEXT_FEATURES))
    _complete(distinct)
    return ScannedTexts(
        values=distinct[rows],
        templates=[scanned[place][0] for place in rows],
        tables=[scanned[place][1] for place in rows],
        terms=[scanned[place][2] for place in rows],
    )


def _complete(values: np.ndarray) -> None:
    """Fill in the features that follow from others."""
    at = PLACE
    values[:, at["where_condition_count"]] += values[:, at["where_and_count"]] + values[:, at["where_or_count"]]
    values[:, at["having_clause_present"]] = values[:, at["ast_having_count"]] > 0
    values[:, at["ast_with_count"]] = values[:, at["with_clause_count"]]
    values[:, at["ast_window_func_count"]] = values[:, at["window_function_count"]]


def qualified_tables(tables: Iterable[str], catalog: str | None, schema: str | None) -> tuple[str, ...]:
    """Complete the names of tables with the catalog and schema of the session.

    Args:
        tables: Names of one to three parts joined by dots.
        catalog: The session's catalog, if it has one.
        schema: The session's schema, if it has one.

    Returns:
        Names as ``catalog.schema.table`` in lower case, sorted and distinct; ``?`` stands for a part that is not known.
    """
    first = catalog.lower() if isinstance(catalog, str) and catalog else "?"
    second = schema.lower() if isinstance(schema, str) and schema else "?"
    prefixes = (f"{first}.{second}.", f"{first}.", "")
    return tuple(sorted({prefixes[min(name.count("."), 2)] + name for name in tables}))


def _scan(text: str, names: Names, counts: "array[float]") -> tuple[str, tuple[str, ...], str]:
    """Template, tables and terms of one text; its features are filled in."""
    names.restart()
    lowered = text[:MAX_CHARS].lower().rstrip(SPACE)
    tokens = tokenise(lowered, MAX_TOKENS + 1)
    incomplete = len(text) > MAX_CHARS or len(tokens) > MAX_TOKENS or (bool(tokens) and is_unclosed(tokens[-1]))
    del tokens[MAX_TOKENS:]
    if "--" in lowered or "/*" in lowered:
        counts[_COMMENT_RATIO] = sum([len(token) for token in tokens if is_comment(token)]) / len(lowered)
        tokens = [token for token in tokens if not is_comment(token)]
    normal = [names[token] for token in tokens]
    counts[_QUERY_LENGTH] = len(text)
    counts[_LINE_COUNT] = text.count("\n") + 1 if text else 0
    counts[_TOKEN_COUNT] = len(tokens)
    if names.sizes:
        counts[_TOKEN_COUNT] += 2 * (sum(names.sizes) - len(names.sizes))
    counts[_NUMBERS] = names.numbers
    if names.strings:
        counts[_STRINGS], counts[_LITERAL_BYTES] = len(names.strings), names.literal_bytes()

    walk = Walk(tokens, normal, names, counts)
    walk.run()
    counts[_INCOMPLETE] = incomplete or walk.incomplete
    if walk.dates:
        counts[_DATE_RANGE] = date_range_days(tokens, normal, walk.dates)
    tables = tuple(sorted(set(walk.tables)))
    if tables:
        _describe_tables(tables, counts)
    # Padding and the semicolons at the end go; a dot that stands alone has a comment beside it
    template = render(normal, walk.cuts, 0, len(normal)).rstrip("; ").replace(" . ", ".")
    encoded = template.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(encoded, digest_size=8).hexdigest()
    if not template.isascii():
        # A name in another script becomes a word like _u9078_u629e
        encoded = template.replace("\\", " ").encode("ascii", "backslashreplace").replace(b"\\", b"_")
    return digest, tables, _terms(encoded)


def _describe_tables(tables: tuple[str, ...], counts: "array[float]") -> None:
    """Fill in what the names of the tables tell."""
    parts = [name.split(".") for name in tables]
    longest = max([len(names) for names in parts])
    counts[_DISTINCT_TABLES], counts[_QUALIFICATION] = len(tables), longest
    if longest > 1:
        counts[_QUALIFIED] = 1
        counts[_SCHEMAS] = len({".".join(names[:-1]) for names in parts if len(names) > 1})
        counts[_CATALOGS] = len({names[0] for names in parts if len(names) > 2})


def _terms(template: bytes) -> str:
    """Words and pairs of neighbouring words, literals and operators left out."""
    words = template.translate(_WORD_BYTES).split(None, MAX_TERM_WORDS)[:MAX_TERM_WORDS]
    return b" ".join([*dict.fromkeys(words), *map(b"~".join, dict.fromkeys(pairwise(words)))]).decode("ascii")
