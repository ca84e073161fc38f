"""Tables of purchases as people have them -- parquet or CSV, with any names of columns -- in the canonical form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from augury.engines import Schema, conform
from augury.predictors import purchase_columns as pc
from augury.predictors.query_values import read_counts, read_texts, read_times

Reading = tuple[np.ndarray, np.ndarray]
"""Values of a column, and which of its cells could not be read."""

RULES = {
    "string": "must be text",
    "timestamp": "must be a time such as 2026-03-09 18:30:00",
    "double": "must be a finite number",
}
FLAG_RULE = "must be 0 or 1, or true or false"
OUTCOME_RULE = f"must be {' or '.join(repr(name) for name in pc.OUTCOMES)}, or missing"
PROBLEM_COLUMNS = ("column", "rule", "rows", "examples")
EXAMPLES = 3
PRESENT_RULE = "must not be missing"

_FLAGS = {"1": 1.0, "true": 1.0, "yes": 1.0, "0": 0.0, "false": 0.0, "no": 0.0}
_IS_FLAG = (*pc.FLAGS, pc.IS_WASTED)
_TYPES: Schema = {**pc.COLUMNS, pc.IS_WASTED: "double", pc.DAYS_TO_WASTE: "double"}


@dataclass(frozen=True)
class Problem:
    """A rule that cells of a column break.

    Attributes:
        column: Name in the file.
        rule: In words.
        values: The cells.
    """

    column: str
    rule: str
    values: tuple[str, ...]


def rule_of(column: str) -> str:
    """What a cell of a column must be, in words."""
    if column in _IS_FLAG:
        return FLAG_RULE
    return OUTCOME_RULE if column == pc.OUTCOME else RULES[_TYPES.get(column, "double")]


def read_column(values: pd.Series, column: str, zone: str = "UTC") -> Reading:
    """Read a column.

    Args:
        values: Of any type: numbers, times and flags may be texts, as in a CSV file.
        column: Canonical name; a name that is none is that of a number.
        zone: Zone of times that have none.

    Returns:
        Texts (None where missing), float64 or ``datetime64[us]``; and the mask of the cells that break the rule.
    """
    kind = _TYPES.get(column, "double")
    if column in _IS_FLAG:
        return _read_flags(values)
    if kind == "timestamp":
        return read_times(values, zone)
    if kind == "double":
        numbers, failed = read_counts(values)
        return np.where(np.isinf(numbers), np.nan, numbers), failed | np.isinf(numbers)
    spell = _outcome if column == pc.OUTCOME else str.strip
    if values.dtype.kind in "iuf":
        # Identifiers that are numbers; the last text is for those that are missing
        codes, distinct = pd.factorize(values)
        texts = np.array([*read_texts(pd.Series(distinct)), None], dtype=object)[codes].tolist()
    else:
        texts = read_texts(values)
    spelt = {text: text if text is None else spell(text) for text in dict.fromkeys(texts)}
    found = np.empty(len(texts), dtype=object)
    found[:] = [spelt[text] for text in texts]
    # Only an outcome has words that it may not be
    return found, np.array([text is not None and spelt[text] is None for text in texts], dtype=bool)


def to_canonical(
    batch: pd.DataFrame,
    columns: Mapping[str, str],
    extra_columns: Sequence[str] = (),
    zones: Mapping[str, str] | None = None,
    report: Callable[[Problem], None] | None = None,
) -> pd.DataFrame:
    """Bring rows into the canonical form.

    Args:
        batch: Rows as they are in the file.
        columns: Canonical name -> name in the file, of the columns that are there; also ``is_wasted`` and
            ``days_to_waste``.
        extra_columns: Further numeric columns, which keep their names.
        zones: Zones of times that are without one, by the name in the file; UTC by default.
        report: Called for every broken rule; the cells that break it become missing.

    Returns:
        All canonical columns, ``is_wasted``, ``days_to_waste`` and the extra columns.
    """
    schema = canonical_schema(extra_columns)
    named = {**columns, **{name: name for name in extra_columns}}
    table = {}
    for name, kind in schema.items():
        if name not in named:
            missing = {"string": None, "timestamp": pd.NaT}.get(kind, np.nan)
            table[name] = pd.Series(missing, index=batch.index, dtype=object if kind == "string" else None)
            continue
        raw = batch[named[name]]
        values, failed = read_column(raw, name, (zones or {}).get(named[name], "UTC"))
        table[name] = pd.Series(values, index=batch.index)
        if report is not None and failed.any():
            report(Problem(named[name], rule_of(name), tuple(map(repr, raw[failed].tolist()))))
        if report is not None and name == pc.PURCHASE_ID and (absent := table[name].isna()).any():
            report(Problem(named[name], PRESENT_RULE, ("missing",) * int(absent.sum())))
    return conform(pd.DataFrame(table, index=batch.index), schema)


def canonical_schema(extra_columns: Sequence[str] = ()) -> Schema:
    """Columns and types of what :func:`to_canonical` returns."""
    extra: Schema = dict.fromkeys(extra_columns, "double")
    return {**_TYPES, **extra}


def broken_rules(problems: Sequence[Problem]) -> pd.DataFrame:
    """Problems as a table of texts, which engines can gather from their pieces.

    Args:
        problems: What :func:`to_canonical` reported.

    Returns:
        One row per problem: column, rule, number of rows, examples.
    """
    found = [(p.column, p.rule, len(p.values), ", ".join(dict.fromkeys(p.values[:EXAMPLES]))) for p in problems]
    return pd.DataFrame(found, columns=list(PROBLEM_COLUMNS)).astype(str)


def _read_flags(values: pd.Series) -> Reading:
    if values.dtype.kind in "iufb":
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        texts = [text if text is None else text.strip().lower() for text in read_texts(values)]
        known = {text: _FLAGS.get(_plain(text), np.inf) for text in dict.fromkeys(texts) if text is not None}
        numbers = np.array([np.nan if text is None else known[text] for text in texts], dtype=np.float64)
    failed = ~np.isnan(numbers) & (numbers != 0.0) & (numbers != 1.0)
    return np.where(failed, np.nan, numbers), failed


def _outcome(text: str) -> str | None:
    known = text.strip().lower()
    return known if known in pc.OUTCOMES else None


def _plain(text: str) -> str:
    """``1.0`` as pandas writes a flag that is missing elsewhere."""
    return text.removesuffix(".0")
