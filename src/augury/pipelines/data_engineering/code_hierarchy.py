"""Which code is above which: by their digits, by their beginnings or by a column that says so."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.parameters import near_matches
from augury.predictors import labelled_text_columns as tc

Hierarchy = Literal["none", "prefix", "parents"]
Scheme = Literal["dewey", "prefix"]

_DEWEY = re.compile(r"[0-9]{3}(\.[0-9]+)?")
_CIRCLE_SHOWN = 4


class CodeTree(NamedTuple):
    """Codes, those above them among them; C of them.

    Attributes:
        codes: (C,) ascending.
        parents: (C,) place of the code right above; -1: there is none.
        levels: (C,) codes above it: 0 for a root.
        above: Sparse (C, C): ones at a code itself and at all above it.
    """

    codes: np.ndarray
    parents: np.ndarray
    levels: np.ndarray
    above: Any


def is_well_formed(code: str, scheme: Scheme) -> bool:
    """Whether a code fits a scheme.

    Args:
        code: Any text.
        scheme: ``dewey``: three digits, and possibly a point and further digits; ``prefix``: any text.

    Returns:
        True if it does.
    """
    return scheme == "prefix" or _DEWEY.fullmatch(code) is not None


def build_tree(used: Iterable[str], codes: pd.DataFrame, hierarchy: Hierarchy, scheme: Scheme) -> CodeTree:
    """Find the codes above those that are used.

    Args:
        used: Codes of texts.
        codes: Table of codes with ``code`` and, for ``parents``, ``parent``; may be empty.
        hierarchy: ``none``: no code is above another. ``prefix``: see the scheme. ``parents``: what the table says.
        scheme: ``dewey``: a code with a point is below its first three digits, and these below the same with one digit
            more a zero, from the right: 512.3 below 512 below 510 below 500, and 004 below 000. ``prefix``: a code is
            below the longest beginning of it that is itself used or stands in the table.

    Returns:
        The codes that are used and all above them.

    Raises:
        UserError: The table lacks parents, or they lead to nowhere or in a circle.
    """
    used = sorted(set(used))
    known = set(used) | set(codes[tc.CODE]) if len(codes) else set(used)
    if hierarchy == "parents":
        given = _given_parents(codes)
    above: dict[str, str | None] = {}
    waiting = list(used)
    while waiting:
        code = waiting.pop()
        if code in above:
            continue
        if hierarchy == "none":
            parent = None
        elif hierarchy == "parents":
            parent = given.get(code)
        else:
            parent = _dewey_parent(code) if scheme == "dewey" else _longest_beginning(code, known)
        above[code] = parent
        if parent is not None:
            waiting.append(parent)
    return _tree(above)


def _dewey_parent(code: str) -> str | None:
    digits, point, _ = code.partition(".")
    if point:
        return digits
    significant = digits.rstrip("0")
    return significant[:-1].ljust(len(digits), "0") if len(significant) > 1 else None


def _longest_beginning(code: str, known: set[str]) -> str | None:
    return next((code[:end] for end in range(len(code) - 1, 0, -1) if code[:end] in known), None)


def _given_parents(codes: pd.DataFrame) -> dict[str, str]:
    if tc.PARENT not in codes or not len(codes):
        raise UserError(
            f"{tc.CODES_DATASET}: taxonomy.source.hierarchy is 'parents', but there is no table with a column "
            f"'{tc.PARENT}'. ('prefix' reads the codes themselves, 'none' closes nothing.)"
        )
    told = codes[codes[tc.PARENT].notna() & codes[tc.PARENT].ne("")]
    unknown = told[~told[tc.PARENT].isin(codes[tc.CODE])]
    if len(unknown):
        first = unknown.iloc[0]
        raise UserError(
            f"{tc.CODES_DATASET}: column '{tc.PARENT}': {len(unknown)} row(s) name a code that is not in the table, "
            f"for example {first[tc.PARENT]!r} of code {first[tc.CODE]!r}. "
            f"{near_matches(first[tc.PARENT], codes[tc.CODE])}"
        )
    return dict(zip(told[tc.CODE], told[tc.PARENT], strict=True))


def _tree(above: Mapping[str, str | None]) -> CodeTree:
    from scipy.sparse import csr_array, eye_array

    codes = sorted(above)
    place = {code: number for number, code in enumerate(codes)}
    parents = np.array([-1 if (parent := above[code]) is None else place[parent] for code in codes], dtype=np.int64)
    levels = np.zeros(len(codes), dtype=np.int64)
    closure = eye_array(len(codes), dtype=np.int64, format="csr")
    current = parents.copy()
    while (current >= 0).any():
        levels += current >= 0
        if levels.max(initial=0) >= len(codes):
            raise UserError(f"{tc.CODES_DATASET}: column '{tc.PARENT}' leads in a circle: {_circle(codes, parents)}")
        rows = np.flatnonzero(current >= 0)
        closure = closure + csr_array((np.ones(len(rows), dtype=np.int64), (rows, current[rows])), shape=closure.shape)
        current = np.where(current >= 0, parents[current], -1)
    return CodeTree(np.array(codes, dtype=object), parents, levels, closure)


def _circle(codes: Sequence[str], parents: np.ndarray) -> str:
    code = 0
    # After as many steps as there are codes, a way without an end is inside its circle; others end before
    for start in range(len(codes)):
        code = start
        for _ in range(len(codes)):
            code = int(parents[code]) if code >= 0 else -1
        if code >= 0:
            break
    shown = [code]
    while len(shown) < 2 or (shown[-1] != shown[0] and len(shown) <= _CIRCLE_SHOWN):
        shown.append(int(parents[shown[-1]]))
    return " below ".join(repr(codes[number]) for number in shown)
