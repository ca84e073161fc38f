"""Which terms of a query's text the trees see, and the indicator matrix of these terms.

The matrix is dense and binary. Trees split on observed values, so a weighted or normalised TF-IDF that another runtime
computes with a rounding error of 1e-7 changes decisions, while an indicator is the same everywhere; a sparse matrix
would make XGBoost take "the term is absent" for "unknown". Weighting by inverse document frequency, a positive factor
per column, changes no split of a tree and is therefore left out.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from augury.errors import UserError
from augury.parameters import Parameters

SEPARATOR = " "


class VocabularyBounds(Parameters):
    """Which terms make it into the vocabulary."""

    min_share: float = Field(
        default=0.002, ge=0, lt=1, description="smallest share of the training rows that contain a term"
    )
    max_share: float = Field(
        default=0.98, gt=0, le=1, description="largest share; a term that is everywhere tells nothing"
    )
    min_rows: int = Field(default=5, ge=1, description="smallest number of training rows that contain a term")
    max_terms: int = Field(default=1000, ge=1, description="size of the vocabulary, most frequent terms first")
    merge_equal: bool = Field(
        default=True, description="keep one of several terms that occur in exactly the same training rows"
    )

    @model_validator(mode="after")
    def _shares_in_order(self) -> Self:
        if self.min_share >= self.max_share:
            raise ValueError(f"min_share ({self.min_share:g}) must be below max_share ({self.max_share:g})")
        return self


class QueryVocabulary:
    """A fixed list of terms and the way from space-joined terms to indicators."""

    def __init__(self, terms: Sequence[str]) -> None:
        """Keep the terms.

        Args:
            terms: Distinct terms without spaces, in the order of the matrix's columns.

        Raises:
            ValueError: A term is empty, holds a space, or appears twice.
        """
        self.terms = tuple(terms)
        self._column = {term: column for column, term in enumerate(self.terms)}
        if len(self._column) != len(self.terms):
            raise ValueError("a term appears twice in the vocabulary")
        if any(not term or SEPARATOR in term for term in self.terms):
            raise ValueError("a term of the vocabulary is empty or holds a space")

    def __len__(self) -> int:
        return len(self.terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QueryVocabulary) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    @classmethod
    def fit(cls, texts: Sequence[str | None], bounds: VocabularyBounds) -> Self:
        """Choose the terms of a set of training rows; the same rows in any order give the same vocabulary.

        Args:
            texts: Space-joined distinct terms of each row.
            bounds: Which terms are eligible.

        Returns:
            The vocabulary: the most frequent eligible terms, in alphabetical order.

        Raises:
            UserError: No term is eligible.
        """
        sets = Counter(text for text in texts if text)
        numbers = {text: _position(number) for number, text in enumerate(sorted(sets))}
        frequency: Counter[str] = Counter()
        where: dict[str, int] = {}
        for text, rows in sets.items():
            for term in set(text.split(SEPARATOR)) - {""}:
                frequency[term] += rows
                where[term] = where.get(term, 0) ^ numbers[text]
        return cls(choose_terms(frequency, len(texts), bounds, where))

    def indicators(self, texts: Sequence[str | None]) -> np.ndarray:
        """Say which terms each row contains.

        Args:
            texts: Space-joined terms of each row.

        Returns:
            uint8 array of shape (rows, terms).
        """
        distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        known = np.zeros((len(distinct), len(self.terms)), dtype=np.uint8)
        column = self._column
        for text, place in distinct.items():
            if text:
                known[place, [column[term] for term in text.split(SEPARATOR) if term in column]] = 1
        return known[[distinct[text] for text in texts]]

    def set_indicators(self, text: str | None, row: np.ndarray) -> None:
        """Write one row's indicators in place: the quick way for a single query.

        Args:
            text: Space-joined terms.
            row: Array of zeros of shape (terms,); ones are written.
        """
        if text:
            column = self._column
            row[[column[term] for term in text.split(SEPARATOR) if term in column]] = 1

    def to_json(self) -> str:
        """The terms as JSON."""
        return json.dumps({"terms": self.terms}, indent=0, ensure_ascii=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        content = json.loads(text)
        terms = content.get("terms") if isinstance(content, dict) else None
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            raise ValueError("not a vocabulary: no list of terms")
        return cls(terms)


def choose_terms(
    frequency: Mapping[str, int], rows: int, bounds: VocabularyBounds, where: Mapping[str, int]
) -> list[str]:
    """Choose the terms of a vocabulary.

    Args:
        frequency: Number of training rows that contain each term.
        rows: Number of training rows.
        bounds: Which terms are eligible.
        where: A number for each term that says in which rows it occurs: equal rows, equal numbers.

    Returns:
        The most frequent eligible terms, in alphabetical order.

    Raises:
        UserError: No term is eligible.
    """
    lowest = max(bounds.min_rows, bounds.min_share * rows)
    eligible = [term for term, count in frequency.items() if lowest <= count <= bounds.max_share * rows]
    if not eligible:
        raise UserError(
            f"query_cost: none of the {len(frequency)} terms in the {rows} training rows is in at least {lowest:g} "
            f"rows and at most {bounds.max_share:.0%} of them; lower query_cost.model.vocabulary.min_rows or "
            "min_share, or bring more data."
        )
    # Short before long: of equal terms the single word is kept, which other queries share more often than a pair
    eligible.sort(key=lambda term: (-frequency[term], "~" in term, len(term), term))
    if bounds.merge_equal:
        first: dict[tuple[int, int], str] = {}
        for term in eligible:
            first.setdefault((frequency[term], where[term]), term)
        eligible = list(first.values())
    return sorted(eligible[: bounds.max_terms])


def _position(number: int) -> int:
    """64 random bits for a text: the exclusive or over a set of texts stands for the set."""
    digest = hashlib.md5(str(number).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")
