"""From queries to numbers: the one function of feature engineering, of its Spark executors, and of the service."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors import query_history, query_keys, sql_features
from augury.predictors.query_columns import CATALOG, SCHEMA, SOURCE, SQL_TEXT, USER
from augury.predictors.query_history import HISTORY, HISTORY_EXT, HistorySnapshot, history_features, seen
from augury.predictors.sql_features import base_features
from augury.predictors.sql_tokens import ScannedTexts, scan_texts

LABELS = ("template", "seen_template", "cold_user", "terms")
"""What :func:`featurise` says of a query beside its numbers."""

CACHED_CHARACTERS = 30_000_000


class QueryFeatures(Parameters):
    """Which features a query gets, and what its history remembers."""

    extra: bool = Field(default=True, description="the further features of the text (extra_v1)")
    history_extension: bool = Field(default=True, description="history of the template, the tables and the source")
    half_life_days: int = Field(default=7, ge=1, le=90, description="days after which a past query counts half")
    prior_weight: float = Field(
        default=20.0, gt=0, allow_inf_nan=False, description="queries that the parent's value is worth"
    )
    diversity_days: int = Field(default=30, ge=1, description="trailing days in which distinct users are counted")
    forget_days: int = Field(default=180, ge=1, le=400, description="days after which a key counts as never seen")
    ingest_delay_minutes: int = Field(default=60, ge=0, description="from a query's end until its event is stored")
    unknown_duration_hours: int = Field(
        default=24, ge=0, description="assumed of a query whose end is not known; the longer, the safer from leaks"
    )
    mask_share: float = Field(
        default=0.1, ge=0, lt=1, description="share of the training rows that are featurised as if never seen before"
    )
    parity_rows: int = Field(default=10_000, ge=1, description="rows that the serving path computes again")
    day_parts: int = Field(default=1, ge=1, le=1024, description="Spark tasks that share the rows of one day")


@dataclass(frozen=True)
class QueryRows:
    """Features of some queries, without the cost of a frame."""

    template: list[str]
    seen_template: np.ndarray
    cold_user: np.ndarray
    terms: list[str]
    numbers: np.ndarray
    """float32 of shape (queries, :func:`feature_names`); whatever is missing is the one NaN of NumPy."""


class TextScanner:
    """Scans texts and remembers them: a log repeats its texts day after day.

    What it remembers is dropped as a whole when it grows too large, and does not travel to other processes.
    """

    def __init__(self, characters: int = CACHED_CHARACTERS) -> None:
        """Start with nothing remembered.

        Args:
            characters: How much text to remember.
        """
        self._limit = characters
        self._forget()

    def __call__(self, texts: Sequence[str]) -> ScannedTexts:
        """Scan texts; see :func:`augury.predictors.sql_tokens.scan_texts`.

        Args:
            texts: Texts, repeated or not.

        Returns:
            One scan per text, in order.
        """
        if not texts:
            return scan_texts([])
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            if self._size > self._limit:
                self._forget()
                new = list(dict.fromkeys(texts))
            scanned = scan_texts(new)
            for at, text in enumerate(new):
                # A copy, or the row would keep its whole batch alive
                self._known[text] = (
                    scanned.values[at].copy(),
                    scanned.templates[at],
                    scanned.tables[at],
                    scanned.terms[at],
                )
                self._size += len(text) + len(scanned.terms[at])
        rows = [self._known[text] for text in texts]
        values, templates, tables, terms = zip(*rows, strict=True)
        return ScannedTexts(
            values=np.array(values, dtype=np.float32),
            templates=list(templates),
            tables=list(tables),
            terms=list(terms),
        )

    def _forget(self) -> None:
        self._known: dict[str, tuple[np.ndarray, str, tuple[str, ...], str]] = {}
        self._size = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return TextScanner, (self._limit,)


def feature_names(features: QueryFeatures) -> tuple[str, ...]:
    """Names of the numeric features, in order."""
    groups = feature_groups(features)
    return tuple(name for group in groups.values() for name in group)


def feature_groups(features: QueryFeatures) -> dict[str, tuple[str, ...]]:
    """The numeric features by group, in order."""
    groups = {"base_v1": sql_features.BASE_V1}
    if features.extra:
        groups["extra_v1"] = sql_features.EXTRA_V1
    groups["history"] = HISTORY
    if features.history_extension:
        groups["history_extension"] = HISTORY_EXT
    return groups


def featurise(
    frame: pd.DataFrame,
    snapshot: HistorySnapshot,
    features: QueryFeatures,
    masked: np.ndarray | None = None,
    scan: Callable[[Sequence[str]], ScannedTexts] = scan_texts,
) -> pd.DataFrame:
    """Compute the features of queries that arrive on the day of a snapshot.

    Args:
        frame: ``sql_text`` and what else is known of a query before it runs; a missing column counts as all missing.
        snapshot: What is known of the past.
        features: Parameters.
        masked: For each row, whether to treat its keys as never seen; none by default.
        scan: Scans texts; a :class:`TextScanner` where texts repeat from call to call.

    Returns:
        Columns of :data:`LABELS`, then :func:`feature_names` as float32; the index of the frame. The labels are true
        of masked rows too. No row depends on another one.
    """
    rows = featurise_rows(frame, snapshot, features, masked, scan)
    labels = {
        "template": pd.Series(rows.template, index=frame.index, dtype=object),
        "seen_template": rows.seen_template,
        "cold_user": rows.cold_user,
        "terms": pd.Series(rows.terms, index=frame.index, dtype=object),
    }
    numbers = pd.DataFrame(rows.numbers, index=frame.index, columns=list(feature_names(features)))
    return pd.concat([pd.DataFrame(labels, index=frame.index), numbers], axis=1)


def featurise_rows(
    frame: pd.DataFrame,
    snapshot: HistorySnapshot,
    features: QueryFeatures,
    masked: np.ndarray | None = None,
    scan: Callable[[Sequence[str]], ScannedTexts] = scan_texts,
) -> QueryRows:
    """Do the same as :func:`featurise`, for callers that count microseconds.

    Args:
        frame: As for :func:`featurise`.
        snapshot: Likewise.
        features: Likewise.
        masked: Likewise.
        scan: Likewise.

    Returns:
        The features.
    """
    texts = _texts(frame)
    distinct = list(dict.fromkeys(texts))
    numbers = {text: number for number, text in enumerate(distinct)}
    codes = [numbers[text] for text in texts]
    scanned = scan(distinct)
    templates, terms = scanned.templates, scanned.terms
    keys = query_keys.query_keys(
        templates,
        scanned.tables,
        codes,
        *(_column(frame, name) for name in (USER, SOURCE, CATALOG, SCHEMA)),
    )
    history = history_features(keys, snapshot, features.prior_weight, features.history_extension, masked)
    aligned = scanned if codes == list(range(len(texts))) else _repeated(scanned, codes)
    base = base_features(frame, aligned, features.extra).to_numpy(dtype=np.float32)
    matrix = np.hstack([base, history.astype(np.float32)])
    # One NaN for all: processors make others, which are equal to nobody but different bit by bit
    matrix[np.isnan(matrix)] = np.nan
    return QueryRows(
        template=[templates[code] for code in codes],
        seen_template=seen(query_keys.TEMPLATE, keys.template, snapshot),
        cold_user=~seen(query_keys.USER, keys.user, snapshot),
        terms=[terms[code] for code in codes],
        numbers=matrix,
    )


def keys_of(frame: pd.DataFrame, scan: Callable[[Sequence[str]], ScannedTexts] = scan_texts) -> query_keys.QueryKeys:
    """Derive the keys of queries, as :func:`featurise` does.

    Args:
        frame: As for :func:`featurise`.
        scan: Likewise.

    Returns:
        The keys.
    """
    texts = _texts(frame)
    distinct = list(dict.fromkeys(texts))
    numbers = {text: number for number, text in enumerate(distinct)}
    scanned = scan(distinct)
    return query_keys.query_keys(
        scanned.templates,
        scanned.tables,
        [numbers[text] for text in texts],
        *(_column(frame, name) for name in (USER, SOURCE, CATALOG, SCHEMA)),
    )


def code_digest() -> str:
    """SHA-256 of the modules that compute features."""
    folder = Path(query_history.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(
        [*folder.glob("sql_*.py"), *(folder / f"query_{name}.py" for name in ("features", "history", "keys"))]
    ):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of the libraries that compute features."""
    return {name: importlib.metadata.version(name) for name in ("numpy", "pandas")}


def _texts(frame: pd.DataFrame) -> list[str]:
    return [text if isinstance(text, str) else "" for text in frame[SQL_TEXT].tolist()]


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    return frame[name].tolist() if name in frame else [None] * len(frame)


def _repeated(scanned: ScannedTexts, codes: list[int]) -> ScannedTexts:
    return ScannedTexts(
        values=scanned.values[codes],
        templates=[scanned.templates[code] for code in codes],
        tables=[scanned.tables[code] for code in codes],
        terms=[scanned.terms[code] for code in codes],
    )
