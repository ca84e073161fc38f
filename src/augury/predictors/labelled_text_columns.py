"""Columns of the tables of labelled texts, and how a cell with codes is read."""

import json
import numbers
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

DATASET = "taxonomy.samples"
CODES_DATASET = "taxonomy.codes"

SAMPLE_ID = "sample_id"
TEXT = "text"
TAXONOMY_CODES = "taxonomy_codes"
CONFIDENCE = "confidence"
ORIGIN = "origin"
SPLIT = "split"
TRUE_CODES = "true_codes"
ORACLE_CODES = "oracle_codes"
CODES = "codes"
GIVEN_CODES = "given_codes"
GROUP = "group"

REQUIRED = (TEXT, TAXONOMY_CODES)
READ = (SAMPLE_ID, TEXT, TAXONOMY_CODES, CONFIDENCE, ORIGIN, SPLIT, TRUE_CODES, ORACLE_CODES)
"""Columns of the raw table that are read."""

CODE, LABEL, PARENT, LEVEL, TEXTS = "code", "label", "parent", "level", "texts"

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
MEASURED = "measured"

NUMBER = "codes must be text: as numbers they lose their leading zeros ('004' becomes 4)"
NO_LIST = "must be a list of codes, or text with codes between ';' or ','"

_SEPARATOR = re.compile(r"[;,]")


class CodeLists(NamedTuple):
    """What the cells of a column of codes hold.

    Attributes:
        lists: The codes of each cell, each once and in order; empty where a cell is missing or cannot be read.
        problems: Row, what is wrong there, and the cell.
    """

    lists: list[list[str]]
    problems: list[tuple[int, str, Any]]


def read_code_lists(values: Iterable[Any]) -> CodeLists:
    """Read lists of codes.

    A list, a tuple or an array of texts; or a text with codes between ``;`` or ``,``, or with a JSON list. Nothing is
    turned from a number into a text, since nobody can tell how many zeros a number had.

    Args:
        values: Cells.

    Returns:
        The codes and the cells that cannot be read.

    Examples:
        >>> read_code_lists([["004", "510 "], "004; 512", None, [4]]).lists
        [['004', '510'], ['004', '512'], [], []]
    """
    lists: list[list[str]] = []
    problems: list[tuple[int, str, Any]] = []
    for row, cell in enumerate(values):
        codes, problem = _read_cell(cell)
        lists.append(codes)
        if problem:
            problems.append((row, problem, cell))
    return CodeLists(lists, problems)


def split_codes(text: str) -> list[Any]:
    """The items of a list that was written as text.

    Args:
        text: Items between ``;`` or ``,``, or a JSON list.

    Returns:
        The items; those of a JSON list as JSON has them, numbers among them.
    """
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            found = json.loads(stripped)
        except ValueError:
            return _SEPARATOR.split(stripped)
        return found if isinstance(found, list) else [found]
    return _SEPARATOR.split(stripped)


def is_number(value: Any) -> bool:
    """Whether a value is a number (or a truth value, which is one of two)."""
    return isinstance(value, numbers.Number | np.bool_)


def _read_cell(cell: Any) -> tuple[list[str], str | None]:
    if isinstance(cell, str):
        items: list[Any] = split_codes(cell)
    elif isinstance(cell, list | tuple | np.ndarray):
        items = list(cell)
    elif is_missing(cell):
        return [], None
    else:
        return [], NUMBER if is_number(cell) else NO_LIST
    items = [item for item in items if not is_missing(item)]
    if any(is_number(item) for item in items):
        return [], NUMBER
    if not all(isinstance(item, str) for item in items):
        return [], NO_LIST
    stripped = (item.strip() for item in items)
    return list(dict.fromkeys(item for item in stripped if item)), None


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NaT or NA."""
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
