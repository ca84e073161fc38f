"""Read labelled texts into the canonical form, and set aside the rows that make no sense."""

import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.pipelines.data_engineering.code_hierarchy import Hierarchy, Scheme, is_well_formed
from augury.pipelines.data_engineering.near_duplicates import NearDuplicates
from augury.predictors import labelled_text_columns as tc

EXAMPLES = 3

RULES = {
    "missing_text": f"{tc.TEXT} is missing or empty",
    "no_code": f"{tc.TAXONOMY_CODES} has no code",
    "malformed_code": "a code does not fit taxonomy.source.scheme (dewey: three digits, possibly a point and more)",
    "unknown_code": f"a code is not in {tc.CODES_DATASET}",
    "invalid_confidence": f"{tc.CONFIDENCE} is not between 0 and 1",
    "duplicate_id": f"{tc.SAMPLE_ID} is that of an earlier text",
    "duplicate_text": "the text is that of an earlier row, whose codes are the same (merged)",
    "conflicting_text": "the text is that of an earlier row, whose codes are others (taxonomy.source.conflicting)",
    "near_duplicate_of_test": "nearly the same as a text of the given test or validation split",
}
"""Why a row is not among the result, in order: it counts for the first rule that it breaks."""

_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\ufeff]"


class TextSource(Parameters):
    """How to read the raw texts."""

    columns: dict[str, str] = Field(default={}, description="canonical name -> name in the file, where they differ")
    invalid: Literal["set_aside", "refuse"] = Field(
        default="set_aside", description="what to do with rows that break a rule"
    )
    conflicting: Literal["union", "set_aside"] = Field(
        default="union", description="one text with different codes: all of them, or none of its rows"
    )
    unknown_codes: Literal["keep", "set_aside"] = Field(
        default="keep", description="codes that the table of codes lacks, if there is one"
    )
    hierarchy: Hierarchy = Field(
        default="prefix", description="codes above a code: none, by the code itself, or by the table's column parent"
    )
    scheme: Scheme = Field(
        default="dewey", description="hierarchy prefix: dewey (004 below 000, 512 below 510) or the longest beginning"
    )
    code_length: int | None = Field(default=None, ge=1, description="codes are cut to so many characters; null: not")
    default_confidence: float = Field(default=1.0, gt=0, le=1, description="where none is given")
    near_duplicates: NearDuplicates | None = Field(
        default=NearDuplicates(), description="texts that must be on one side of the split; null: not looked for"
    )

    @field_validator("columns")
    @classmethod
    def _must_be_canonical(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in tc.READ:
                raise ValueError(f"'{name}' is no canonical column. {near_matches(name, tc.READ)}")
        return value


@dataclass(frozen=True)
class TextTable:
    """What was read.

    Attributes:
        frame: ``sample_id``, ``text``, ``given_codes``, ``confidence``, ``origin``, ``oracle_codes`` and, if there is
            one, ``split``; rows that break no rule, each text once.
        rows_read: Rows of the raw table.
        broken: Rule -> number of rows and examples; rules that no row breaks are left out.
        columns: Canonical name -> name in the file, of the columns that were there.
        label_noise: Share of the rows that were read of which the given codes are not the true ones; None: not known.
        confidences_missing: Rows that got the default.
    """

    frame: pd.DataFrame
    rows_read: int
    broken: dict[str, dict[str, Any]]
    columns: dict[str, str]
    label_noise: float | None
    confidences_missing: int


def read_texts(samples: pd.DataFrame, codes: pd.DataFrame, source: TextSource) -> TextTable:
    """Read a raw table.

    Args:
        samples: Raw texts; see :mod:`augury.predictors.labelled_text_columns`.
        codes: Raw table of codes, or an empty one.
        source: How to read them.

    Returns:
        The rows that break no rule of :data:`RULES`, and an account of the others.

    Raises:
        UserError: A column is missing or not of its type, rows break rules that are to be refused, or none is left.
    """
    columns = _columns(samples, source)
    if not len(samples):
        raise UserError(f"{tc.DATASET}: the table has no rows.")
    named = samples[list(columns.values())].reset_index(drop=True)
    named.columns = pd.Index(list(columns))
    lists = {name: _codes(named[name], columns[name]) for name in _code_columns(named)}
    confidence = _confidence(named)
    frame = pd.DataFrame(
        {
            tc.SAMPLE_ID: named[tc.SAMPLE_ID].astype("string").astype(object) if tc.SAMPLE_ID in named else None,
            tc.TEXT: clean_texts(named[tc.TEXT]),
            tc.GIVEN_CODES: _cut(lists[tc.TAXONOMY_CODES], source),
            tc.CONFIDENCE: confidence.fillna(source.default_confidence),
            tc.ORIGIN: named[tc.ORIGIN].fillna(tc.MEASURED).astype(str) if tc.ORIGIN in named else tc.MEASURED,
            tc.ORACLE_CODES: _cut(lists.get(tc.ORACLE_CODES) or [[]] * len(named), source),
        }
    )
    if tc.SPLIT in named:
        frame[tc.SPLIT] = _given_split(named[tc.SPLIT])
    noise = _label_noise(lists)
    broken = Broken()
    known = set(codes[tc.CODE]) if len(codes) and source.unknown_codes == "set_aside" else None
    frame = broken.take(frame, _broken_rules(frame, known, source))
    frame = _with_ids(frame)
    frame = broken.take(frame, _rule("duplicate_id", frame, frame[tc.SAMPLE_ID].duplicated()))
    frame = _merge_duplicates(frame, source, broken)
    refuse_broken(broken, len(frame), source)
    return TextTable(frame, len(samples), broken.found, columns, noise, int(confidence.isna().sum()))


def clean_texts(texts: pd.Series) -> pd.Series:
    """Bring texts into one form: composed characters, no control characters, single spaces.

    Args:
        texts: Texts, None where missing.

    Returns:
        Texts; empty where missing.
    """
    composed = texts.fillna("").astype(str).map(lambda text: unicodedata.normalize("NFC", text))
    # A cell that could not be encoded would break every file that is written later
    whole = composed.str.replace(r"[\ud800-\udfff]", "\ufffd", regex=True).str.replace(_CONTROL, "", regex=True)
    return whole.str.replace(r"\s+", " ", regex=True).str.strip().astype(object)


class Broken:
    """An account of rows that were set aside."""

    def __init__(self) -> None:
        """Begin with none."""
        self.found: dict[str, dict[str, Any]] = {}

    def take(self, frame: pd.DataFrame, rules: np.ndarray, show: str = tc.TEXT) -> pd.DataFrame:
        """Set rows aside.

        Args:
            frame: Rows, whose index is their place in the raw table.
            rules: (n,) rule that each breaks; empty: none.
            show: Column of the examples.

        Returns:
            The rows that break none.
        """
        bad = rules != ""
        for rule in pd.unique(rules[bad]):
            rows = frame[rules == rule]
            shown = [_example(place + 1, row, show) for place, row in rows.head(EXAMPLES).iterrows()]
            known = self.found.get(rule, {"rows": 0, "examples": []})
            self.found[rule] = {"rows": known["rows"] + len(rows), "examples": (known["examples"] + shown)[:EXAMPLES]}
        self.found = {rule: self.found[rule] for rule in RULES if rule in self.found}
        return frame[~bad]


def refuse_broken(broken: Broken, rows_left: int, source: TextSource) -> None:
    """Raise where rows break rules that are to be refused, or where none is left.

    Args:
        broken: The account.
        rows_left: Rows that break no rule.
        source: Says whether to refuse.

    Raises:
        UserError: With every rule, its count and its examples.
    """
    lines = [
        f"- {rule}: {RULES[rule]}: {found['rows']} row(s), for example {'; '.join(found['examples'])}"
        for rule, found in broken.found.items()
    ]
    if not rows_left:
        raise UserError("\n".join([f"{tc.DATASET}: there is no row that can be used.", *lines]))
    if lines and source.invalid == "refuse":
        heading = (
            f"{tc.DATASET}: rows break rules, and taxonomy.source.invalid is 'refuse' ('set_aside' leaves them out; "
            "rows are counted from 1):"
        )
        raise UserError("\n".join([heading, *lines]))


# --- columns ---


def _columns(samples: pd.DataFrame, source: TextSource) -> dict[str, str]:
    """Canonical name -> name in the file, of the columns that are there."""
    names = [str(name) for name in samples.columns]
    for canonical, name in source.columns.items():
        if name not in names:
            raise UserError(
                f"{tc.DATASET}: there is no column '{name}', which taxonomy.source.columns.{canonical} names. "
                f"{near_matches(name, names)}"
            )
    found = {name: source.columns.get(name, name) for name in tc.READ}
    found = {canonical: name for canonical, name in found.items() if name in names}
    if missing := [name for name in tc.REQUIRED if name not in found]:
        hints = "; ".join(f"'{name}' ({near_matches(name, names)})" for name in missing)
        raise UserError(
            f"{tc.DATASET}: required column missing: {hints}. "
            "If it has another name, say so in taxonomy.source.columns."
        )
    return found


def _code_columns(named: pd.DataFrame) -> list[str]:
    return [name for name in (tc.TAXONOMY_CODES, tc.TRUE_CODES, tc.ORACLE_CODES) if name in named]


def _codes(values: pd.Series, name: str) -> list[list[str]]:
    found = tc.read_code_lists(values)
    if found.problems:
        row, problem, cell = found.problems[0]
        raise UserError(
            f"{tc.DATASET}: column '{name}': {problem}: {len(found.problems)} row(s), for example {cell!r} in row "
            f"{row + 1} (counted from 1)"
        )
    return found.lists


def _cut(lists: list[list[str]], source: TextSource) -> list[list[str]]:
    length = source.code_length
    return [sorted({code[:length].rstrip(".") if length else code for code in codes}) for codes in lists]


def _confidence(named: pd.DataFrame) -> pd.Series:
    if tc.CONFIDENCE not in named:
        return pd.Series(np.nan, index=named.index)
    given = named[tc.CONFIDENCE]
    numbers = pd.to_numeric(given, errors="coerce").astype("float64")
    wrong = numbers.isna() & given.notna() & given.astype(str).str.strip().ne("")
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{tc.DATASET}: column '{tc.CONFIDENCE}' must be a number: {int(wrong.sum())} row(s), for example "
            f"{given.iloc[place]!r} in row {place + 1} (counted from 1)"
        )
    return numbers


def _given_split(values: pd.Series) -> pd.Series:
    wrong = ~values.isin(tc.SPLITS)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{tc.DATASET}: column '{tc.SPLIT}' must be one of {', '.join(tc.SPLITS)}: {int(wrong.sum())} row(s), for "
            f"example {values.iloc[place]!r} in row {place + 1} (counted from 1)"
        )
    return values.astype(object)


def _label_noise(lists: dict[str, list[list[str]]]) -> float | None:
    if tc.TRUE_CODES not in lists:
        return None
    pairs = zip(lists[tc.TAXONOMY_CODES], lists[tc.TRUE_CODES], strict=True)
    return float(np.mean([set(given) != set(true) for given, true in pairs]))


# --- rows that are set aside ---


def _broken_rules(frame: pd.DataFrame, known: set[str] | None, source: TextSource) -> np.ndarray:
    codes = frame[tc.GIVEN_CODES].explode()
    used = codes.dropna().unique()
    dewey = source.hierarchy == "prefix" and source.scheme == "dewey"
    malformed = [code for code in used if dewey and not is_well_formed(code, "dewey")]
    unknown = [] if known is None else [code for code in used if code not in known]
    broken = {
        "missing_text": frame[tc.TEXT].eq(""),
        "no_code": frame[tc.GIVEN_CODES].str.len().eq(0),
        "malformed_code": codes.isin(malformed).groupby(level=0).any(),
        "unknown_code": codes.isin(unknown).groupby(level=0).any(),
        "invalid_confidence": ~frame[tc.CONFIDENCE].between(0, 1),
    }
    return np.select([mask.to_numpy(dtype=bool) for mask in broken.values()], list(broken), "").astype(object)


def _rule(name: str, frame: pd.DataFrame, mask: pd.Series) -> np.ndarray:
    return np.where(mask.to_numpy(dtype=bool), name, "").astype(object)


def _with_ids(frame: pd.DataFrame) -> pd.DataFrame:
    """Name rows that have no name by their texts and codes, so that a name does not depend on the order of rows."""
    unnamed = frame[tc.SAMPLE_ID].isna()
    if not unnamed.any():
        return frame
    content = frame.loc[unnamed, tc.TEXT] + "\n" + frame.loc[unnamed, tc.GIVEN_CODES].str.join(";")
    digests = pd.util.hash_array(content.to_numpy(dtype=object), categorize=False)
    names = pd.Series([f"text-{digest:016x}" for digest in digests], index=content.index, dtype=object)
    # The second of two equal rows is a text that is there already, not a name that is
    again = names.groupby(names).cumcount()
    names = names.where(again == 0, names + "-" + (again + 1).astype(str))
    return frame.assign(**{tc.SAMPLE_ID: frame[tc.SAMPLE_ID].where(~unnamed, names.reindex(frame.index))})


def _merge_duplicates(frame: pd.DataFrame, source: TextSource, broken: Broken) -> pd.DataFrame:
    repeated = frame[tc.TEXT].duplicated(keep=False)
    if not repeated.any():
        return frame
    several = frame[repeated]
    key = several[tc.GIVEN_CODES].str.join(";")
    conflicting = key.groupby(several[tc.TEXT]).transform("nunique") > 1
    later = several[tc.TEXT].duplicated()
    rules = pd.Series("", index=frame.index, dtype=object)
    rules[later.index[later & ~conflicting]] = "duplicate_text"
    left_out = conflicting if source.conflicting == "set_aside" else conflicting & later
    rules[left_out.index[left_out]] = "conflicting_text"
    first = several[~later]
    merged = several.explode(tc.GIVEN_CODES).groupby(tc.TEXT)[tc.GIVEN_CODES].agg(lambda codes: sorted(set(codes)))
    # Whoever noted codes that another one did not was surer of less: the mean of both
    confidence = several.groupby(tc.TEXT)[tc.CONFIDENCE].mean()
    frame = frame.copy()
    frame.loc[first.index, tc.GIVEN_CODES] = first[tc.TEXT].map(merged)
    frame.loc[first.index, tc.CONFIDENCE] = first[tc.TEXT].map(confidence)
    if tc.SPLIT in frame:
        # A text of the test is no training text, whatever another row says
        rank = several[tc.SPLIT].map({name: number for number, name in enumerate(tc.SPLITS)}).groupby(several[tc.TEXT])
        frame.loc[first.index, tc.SPLIT] = first[tc.TEXT].map(rank.max()).map(dict(enumerate(tc.SPLITS)))
    return broken.take(frame, rules.to_numpy())


def _example(place: Any, row: pd.Series, show: str) -> str:
    text = str(row[show])
    shown = text if len(text) <= 40 else text[:37] + "..."
    name = row[tc.SAMPLE_ID]
    named = f", {tc.SAMPLE_ID} {name!r}" if isinstance(name, str) else ""
    codes = f", codes {';'.join(row[tc.GIVEN_CODES])}" if row[tc.GIVEN_CODES] else ""
    return f"row {place}{named}: {shown!r}{codes}"
