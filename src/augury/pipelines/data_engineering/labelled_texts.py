"""Texts with codes: cleaned, closed upward, and split so that nearly equal texts stand on one side."""

from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.data_engineering.code_hierarchy import CodeTree, build_tree
from augury.pipelines.data_engineering.labelled_text_source import (
    RULES,
    Broken,
    TextSource,
    TextTable,
    read_texts,
    refuse_broken,
)
from augury.pipelines.data_engineering.near_duplicates import near_duplicate_groups
from augury.pipelines.data_engineering.stratified_split import stratified_sides
from augury.predictors import labelled_text_columns as tc

LARGEST_CODES = 200
"""Codes that the report tells one by one."""
_FEW = 5
_SIDES = {name: number for number, name in enumerate(tc.SPLITS)}


class TextSplit(Parameters):
    """How texts are divided, where the data do not say it themselves (a column ``split``)."""

    test_share: float = Field(default=0.2, gt=0, lt=1, description="share of the texts for testing")
    validation_share: float = Field(
        default=0.1, ge=0, lt=1, description="share of the texts for early stopping and for choosing between models"
    )

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must be below 1 together")
        return self


def prepare_texts(
    samples: pd.DataFrame, codes: pd.DataFrame, source: TextSource, split: TextSplit, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read, clean, close upward and split.

    Args:
        samples: Raw texts; see :mod:`augury.predictors.labelled_text_columns`.
        codes: Raw table of codes with ``code``, ``label`` and perhaps ``parent``; empty if there is none.
        source: How to read them.
        split: How they are divided.
        seed: Of the split.

    Returns:
        - Texts: ``sample_id``, ``text``, ``codes`` (sorted, with all codes above), ``given_codes``, ``confidence``,
          ``group`` (one number for texts that are nearly the same), ``split``, ``origin``, ``oracle_codes``.
        - Codes of the texts and all above them, ascending: ``code``, ``label`` (the code itself where there is none),
          ``parent`` (None for roots), ``level`` (codes above it), ``texts`` (training texts with it).
        - The account of what was read, set aside, found and split.

    Raises:
        UserError: A column is missing or not of its type, rows break rules that are to be refused, the hierarchy has
            no sense, or training or test would be empty.
    """
    table_of_codes = _read_codes(codes)
    table = read_texts(samples, table_of_codes, source)
    frame, broken = table.frame, Broken()
    broken.found = dict(table.broken)
    groups = np.arange(len(frame))
    if source.near_duplicates is not None:
        groups = near_duplicate_groups(frame[tc.TEXT].tolist(), source.near_duplicates)
    frame = frame.assign(**{tc.GROUP: groups})
    given = tc.SPLIT in frame
    if given:
        frame = broken.take(frame, _misplaced(frame))
        refuse_broken(broken, len(frame), source)
    frame = frame.assign(**{tc.GROUP: pd.factorize(frame[tc.GROUP])[0].astype(np.int64)})
    tree = build_tree(frame[tc.GIVEN_CODES].explode().unique(), table_of_codes, source.hierarchy, source.scheme)
    closed = _closed(frame[tc.GIVEN_CODES], tree)
    sides = _sides(frame, closed, split, seed)
    frame[tc.SPLIT] = np.array(tc.SPLITS, dtype=object)[sides]
    frame[tc.CODES] = _lists(closed, tree)
    of_code = np.stack([closed[sides == side].sum(axis=0) for side in range(len(tc.SPLITS))])
    primary_codes = _code_table(tree, table_of_codes, of_code[0])
    report = _report(frame, primary_codes, of_code, table, broken, table_of_codes)
    report["split_by"] = "column" if given else "stratification"
    report["parameters"] = {"source": source.model_dump(mode="json"), "split": split.model_dump(mode="json")}
    _refuse_empty_sides(report)
    kept = [tc.SAMPLE_ID, tc.TEXT, tc.CODES, tc.GIVEN_CODES, tc.CONFIDENCE, tc.GROUP, tc.SPLIT, tc.ORIGIN]
    return frame[[*kept, tc.ORACLE_CODES]].reset_index(drop=True), primary_codes, report


# --- codes ---


def _read_codes(codes: pd.DataFrame) -> pd.DataFrame:
    columns = [tc.CODE, tc.LABEL, tc.PARENT]
    if not len(codes):
        return pd.DataFrame(columns=columns, dtype=object)
    if tc.CODE not in codes:
        raise UserError(f"{tc.CODES_DATASET}: required column missing: '{tc.CODE}'.")
    numeric = codes[[name for name in (tc.CODE, tc.PARENT) if name in codes]].map(
        lambda value: tc.is_number(value) and not tc.is_missing(value)
    )
    for name in numeric.columns[numeric.any()]:
        example = codes.loc[numeric[name], name].iloc[0]
        raise UserError(
            f"{tc.CODES_DATASET}: column '{name}': {tc.NUMBER}: {int(numeric[name].sum())} row(s), "
            f"for example {example!r}"
        )
    table = codes.reindex(columns=columns).astype("string").apply(lambda column: column.str.strip()).astype(object)
    table = table.where(table.notna() & table.ne(""), None)
    table = table[table[tc.CODE].notna()]
    again = table[tc.CODE].duplicated()
    if again.any():
        raise UserError(
            f"{tc.CODES_DATASET}: column '{tc.CODE}' must name each code once: {int(again.sum())} row(s) repeat one, "
            f"for example {table.loc[again, tc.CODE].iloc[0]!r}"
        )
    return table.reset_index(drop=True)


def _closed(given: pd.Series, tree: CodeTree) -> Any:
    """Sparse (texts, codes): ones at the given codes and all above them."""
    from scipy.sparse import csr_array

    counts = given.str.len().to_numpy()
    place = {code: number for number, code in enumerate(tree.codes)}
    column = given.explode().map(place).to_numpy(dtype=np.int64)
    row = np.repeat(np.arange(len(given)), counts)
    matrix = csr_array((np.ones(len(row), dtype=np.int64), (row, column)), shape=(len(given), len(tree.codes)))
    closed = csr_array(matrix @ tree.above)
    closed.data[:] = 1
    closed.sort_indices()
    return closed


def _lists(closed: Any, tree: CodeTree) -> list[list[str]]:
    found = tree.codes[closed.indices]
    return [codes.tolist() for codes in np.split(found, closed.indptr[1:-1])]


def _code_table(tree: CodeTree, codes: pd.DataFrame, training: np.ndarray) -> pd.DataFrame:
    labels = codes.dropna(subset=[tc.LABEL]).set_index(tc.CODE)[tc.LABEL]
    code = pd.Series(tree.codes, dtype=object)
    above = [None if parent < 0 else tree.codes[parent] for parent in tree.parents.tolist()]
    return pd.DataFrame(
        {
            tc.CODE: code,
            tc.LABEL: code.map(labels).fillna(code).astype(object),
            tc.PARENT: pd.Series(above, dtype=object),
            tc.LEVEL: tree.levels,
            tc.TEXTS: training.astype(np.int64),
        }
    )


# --- split ---


def _misplaced(frame: pd.DataFrame) -> np.ndarray:
    """Rows that are nearly the same as one that the data put on a side that must not be seen before."""
    side = frame[tc.SPLIT].map(_SIDES)
    last = side.groupby(frame[tc.GROUP]).transform("max")
    return np.where(side < last, "near_duplicate_of_test", "").astype(object)


def _sides(frame: pd.DataFrame, closed: Any, split: TextSplit, seed: int) -> np.ndarray:
    """Number of the side of each text."""
    if tc.SPLIT not in frame:
        shares = [1 - split.validation_share - split.test_share, split.validation_share, split.test_share]
        return _stratified(frame[tc.GROUP].to_numpy(), closed, shares, seed)
    sides = frame[tc.SPLIT].map(_SIDES).to_numpy(dtype=np.int64)
    if not (sides == 1).any() and split.validation_share:
        training = np.flatnonzero(sides == 0)
        share = split.validation_share / (1 - split.test_share)
        group = frame[tc.GROUP].to_numpy()[training]
        sides[training] = _stratified(group, closed[training], [1 - share, share], seed)
    return sides


def _stratified(group: np.ndarray, closed: Any, shares: list[float], seed: int) -> np.ndarray:
    from scipy.sparse import csr_array

    number, groups = pd.factorize(group)
    member = csr_array((np.ones(len(number), dtype=np.int64), (number, np.arange(len(number)))))
    together = csr_array(member @ closed) if len(groups) else closed
    together.data[:] = 1
    return stratified_sides(together, shares, seed)[number]


# --- report ---


def _report(
    frame: pd.DataFrame,
    codes: pd.DataFrame,
    of_code: np.ndarray,
    table: TextTable,
    broken: Broken,
    known: pd.DataFrame,
) -> dict[str, Any]:
    used = frame[tc.GIVEN_CODES].explode()
    lacking = sorted(set(used) - set(known[tc.CODE])) if len(known) else []
    report: dict[str, Any] = {
        "rows_read": table.rows_read,
        "texts": len(frame),
        "set_aside": {rule: broken.found[rule]["rows"] if rule in broken.found else 0 for rule in RULES},
        "set_aside_examples": {rule: found["examples"] for rule, found in broken.found.items()},
        "columns": table.columns,
        "columns_missing": sorted(set(tc.READ) - set(table.columns)),
        "splits": {name: _side(frame[frame[tc.SPLIT] == name], of_code[side]) for name, side in _SIDES.items()},
        "stratification": _stratification(of_code),
        "near_duplicates": _near_duplicates(frame),
        "codes": _codes(frame, codes, of_code.sum(axis=0)),
        "levels": _levels(frame, codes, of_code.sum(axis=0)),
        "per_code": _per_code(codes, of_code),
        "codes_in_table": len(known),
        "codes_not_in_table": {"codes": len(lacking), "examples": lacking[:3]},
        "confidence": {
            "missing": table.confidences_missing,
            "mean": float(frame[tc.CONFIDENCE].mean()),
            "below_1": int((frame[tc.CONFIDENCE] < 1).sum()),
            "zero": int((frame[tc.CONFIDENCE] == 0).sum()),
        },
        "words": _spread(frame[tc.TEXT].str.count(" ") + 1),
        "origins": {str(name): int(rows) for name, rows in frame[tc.ORIGIN].value_counts().items()},
        "label_noise": table.label_noise,
    }
    return report | {"notes": _notes(report)}


def _side(frame: pd.DataFrame, of_code: np.ndarray) -> dict[str, int]:
    return {
        "texts": len(frame),
        "groups": int(frame[tc.GROUP].nunique()),
        "codes": int((of_code > 0).sum()),
        "labels": int(of_code.sum()),
    }


def _stratification(of_code: np.ndarray) -> dict[str, Any]:
    """How far the codes' numbers of texts are from what the sizes of the sides would give, in texts."""
    labels = of_code.sum(axis=0)
    expected = of_code.sum(axis=1, keepdims=True) / max(labels.sum(), 1) * labels
    off = np.abs(of_code - expected)
    return {
        "largest_deviation": float(off.max(initial=0)),
        "mean_deviation": float(off.mean()) if off.size else 0.0,
        "codes_without_training_text": int(((of_code[0] == 0) & (labels > 0)).sum()),
    }


def _near_duplicates(frame: pd.DataFrame) -> dict[str, int]:
    sizes = frame[tc.GROUP].value_counts()
    several = sizes[sizes > 1]
    return {"groups": len(several), "texts": int(several.sum()), "largest": int(sizes.max())}


def _codes(frame: pd.DataFrame, codes: pd.DataFrame, texts: np.ndarray) -> dict[str, Any]:
    return {
        "codes": len(codes),
        "given": int(frame[tc.GIVEN_CODES].explode().nunique()),
        "cardinality_given": float(frame[tc.GIVEN_CODES].str.len().mean()),
        "cardinality": float(frame[tc.CODES].str.len().mean()),
        "density": float(frame[tc.CODES].str.len().mean() / len(codes)),
        "largest": int(texts.max()),
        "median": float(np.median(texts)),
        "smallest": int(texts.min()),
        "imbalance": float(texts.max() / np.median(texts)),
        "with_one_text": int((texts == 1).sum()),
        f"below_{_FEW}_texts": int((texts < _FEW).sum()),
    }


def _levels(frame: pd.DataFrame, codes: pd.DataFrame, texts: np.ndarray) -> list[dict[str, Any]]:
    level = codes[tc.LEVEL].to_numpy()
    level_of = dict(zip(codes[tc.CODE], level.tolist(), strict=True))
    found = frame[tc.CODES].explode().map(level_of)
    with_level = found.groupby(found).agg(lambda rows: rows.index.nunique())
    return [
        {
            "level": int(number),
            "codes": int((level == number).sum()),
            "labels": int(texts[level == number].sum()),
            "texts": int(with_level[number]),
        }
        for number in np.unique(level)
    ]


def _per_code(codes: pd.DataFrame, of_code: np.ndarray) -> list[dict[str, Any]]:
    largest = np.argsort(-of_code.sum(axis=0), kind="stable")[:LARGEST_CODES]
    columns = [tc.CODE, tc.LABEL, tc.PARENT, tc.LEVEL]
    rows = codes.iloc[largest][columns].assign(**{name: of_code[side, largest] for name, side in _SIDES.items()})
    return [dict(zip(rows.columns, values, strict=True)) for values in rows.itertuples(index=False, name=None)]


def _spread(values: pd.Series) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        **{name: float(values.quantile(share)) for name, share in (("median", 0.5), ("p95", 0.95))},
        "largest": float(values.max()),
    }


def _notes(report: dict[str, Any]) -> list[str]:
    notes = []
    if without := report["stratification"]["codes_without_training_text"]:
        notes.append(f"{without} code(s) have no training text, so that no model can learn them.")
    if zero := report["confidence"]["zero"]:
        notes.append(f"{zero} text(s) have the confidence 0, so that nothing is learnt from them.")
    if missing := report["codes_not_in_table"]["codes"]:
        examples = ", ".join(repr(code) for code in report["codes_not_in_table"]["examples"])
        notes.append(f"{missing} code(s) are not in {tc.CODES_DATASET}, such as {examples}; they stand for themselves.")
    return notes


def _refuse_empty_sides(report: dict[str, Any]) -> None:
    for name in (tc.TRAIN, tc.TEST):
        if not report["splits"][name]["texts"]:
            sizes = ", ".join(f"{side} {figures['texts']}" for side, figures in report["splits"].items())
            raise UserError(f"{tc.DATASET}: the {name} split has no text. Texts: {sizes}. See taxonomy.split.")
