"""Raw table of `taxonomy`: one row per text, with its codes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.parameters import near_matches
from augury.predictors import labelled_text_columns as tc
from augury.schemas.table_validator import TableValidator

EXAMPLES = 3


class LabelledTexts(TableValidator):
    """Validator of ``taxonomy.samples``.

    It checks whether the cells are of their types: texts, lists of codes that are texts, and confidences between 0
    and 1. A table that lacks a required column is let through if it has others that could be renamed by
    ``taxonomy.source.columns``, which a validator does not see; reading it checks the same after the renaming. Empty
    texts, texts without a code and duplicates are the business of ``taxonomy.source.invalid``.
    """

    DATASET = tc.DATASET

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        names = [str(name) for name in data.columns]
        # With fewer columns than are needed, no renaming helps
        if missing := [name for name in tc.REQUIRED if name not in names]:
            if len(names) < len(tc.REQUIRED):
                hints = "; ".join(f"'{name}' ({near_matches(name, names)})" for name in missing)
                raise UserError(f"{tc.DATASET}: required column missing: {hints}")
            return
        lines = [*_text_problems(data), *_code_problems(data), *_confidence_problems(data)]
        if lines:
            raise UserError(f"{tc.DATASET} breaks its schema (rows are counted from 1):\n" + "\n".join(lines))


def _text_problems(data: pd.DataFrame) -> list[str]:
    lines = []
    for name in (tc.TEXT, tc.SAMPLE_ID, tc.ORIGIN):
        if name in data:
            wrong = [
                (row, cell)
                for row, cell in enumerate(data[name])
                if not isinstance(cell, str) and not tc.is_missing(cell)
            ]
            # Numbers are good names: nothing is read out of them
            if name == tc.SAMPLE_ID:
                wrong = [(row, cell) for row, cell in wrong if not tc.is_number(cell)]
            lines += _line(name, "must be text", wrong)
    return lines


def _code_problems(data: pd.DataFrame) -> list[str]:
    lines = []
    for name in (tc.TAXONOMY_CODES, tc.TRUE_CODES, tc.ORACLE_CODES):
        if name in data:
            problems = tc.read_code_lists(data[name]).problems
            for rule in dict.fromkeys(rule for _, rule, _ in problems):
                lines += _line(name, rule, [(row, cell) for row, found, cell in problems if found == rule])
    return lines


def _confidence_problems(data: pd.DataFrame) -> list[str]:
    if tc.CONFIDENCE not in data:
        return []
    given = data[tc.CONFIDENCE]
    numbers = pd.to_numeric(given, errors="coerce").astype("float64")
    empty = given.isna() | given.astype(str).str.strip().eq("")
    wrong_type = np.flatnonzero((numbers.isna() & ~empty).to_numpy())
    outside = np.flatnonzero((numbers.notna() & ~numbers.between(0, 1)).to_numpy())
    return [
        *_line(tc.CONFIDENCE, "must be a number", [(int(row), given.iloc[row]) for row in wrong_type]),
        *_line(tc.CONFIDENCE, "must be between 0 and 1", [(int(row), numbers.iloc[row]) for row in outside]),
    ]


def _line(column: str, rule: str, wrong: Sequence[tuple[int, Any]]) -> list[str]:
    if not wrong:
        return []
    examples = ", ".join(f"{_plain(cell)!r} in row {row + 1}" for row, cell in wrong[:EXAMPLES])
    return [f"- column '{column}': {rule}: {len(wrong)} row(s), for example {examples}"]


def _plain(cell: Any) -> Any:
    return cell.tolist() if isinstance(cell, np.ndarray | np.generic) else cell
