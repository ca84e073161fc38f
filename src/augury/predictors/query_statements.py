"""Statements of a script, and whether one of them writes: told from tokens, for any text whatever."""

import re

# A quoted text, a quoted name, a comment: each ends with the script if nothing else ends it. Alternatives exclude each
# other by their first characters, so that no text makes them backtrack.
_OPAQUE = re.compile(r"""'[^']*'?|"[^"]*"?|`[^`]*`?|--[^\n]*|/\*(?:(?!\*/).)*(?:\*/)?|;""", re.DOTALL)
_COMMENTS = ("--", "/*")
_SKIPPED = re.compile(r"[\s(;]+|--[^\n]*|/\*(?:(?!\*/).)*(?:\*/)?", re.DOTALL)
_WORD = re.compile(r"[^\W\d]\w*")

WRITING = frozenset(
    "insert update delete merge truncate create drop alter comment refresh analyze call grant revoke deny".split()
)
"""First words of statements that change data or definitions, or run a procedure that may."""


def split_statements(script: str) -> list[str]:
    r"""Split a script at the semicolons that are outside quotes and comments.

    Args:
        script: Any text.

    Returns:
        The statements without their semicolons, stripped; those that hold nothing but blanks and comments are left out.

    Examples:
        >>> split_statements("select ';' from t; -- done;\n show tables;")
        ["select ';' from t", '-- done;\n show tables']
    """
    statements, start, before, content = [], 0, 0, False
    for match in _OPAQUE.finditer(script):
        found = match.group()
        content = content or bool(script[before : match.start()].strip())
        before = match.end()
        if found != ";":
            content = content or not found.startswith(_COMMENTS)
            continue
        if content:
            statements.append(script[start : match.start()].strip())
        start, content = match.end(), False
    if content or script[before:].strip():
        statements.append(script[start:].strip())
    return statements


def first_word(text: str) -> str:
    """First word of a statement in lower case, past blanks, comments and parentheses; empty if there is none."""
    at = 0
    while skipped := _SKIPPED.match(text, at):
        at = skipped.end()
    word = _WORD.match(text, at)
    return word.group().lower() if word else ""


def writes(text: str) -> bool:
    """Whether a statement changes data or definitions, or calls a procedure (DML, DDL, CALL, ANALYZE)."""
    return first_word(text) in WRITING
