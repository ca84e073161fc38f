"""Scores of labels from weighted words: TF-IDF of words, word pairs and letters, and one linear function per label.

It computes what scikit-learn's ``TfidfVectorizer`` and ``LinearSVC`` compute, needs neither of them, and is stored as
arrays of numbers and a list of words.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.tensor_files import read_tensors, write_tensors

ARRAYS_FILE = "tfidf.safetensors"
TERMS_FILE = "tfidf.json"

_WORDS = re.compile(r"(?u)\b\w\w+\b")
_SPACES = re.compile(r"\s\s+")
_OPERANDS = ("idf", "weights", "intercept")


class TermSettings(Parameters):
    """Which terms of a text are counted."""

    words: tuple[int, int] = Field(default=(1, 2), description="shortest and longest run of words; words of 2 letters")
    letters: tuple[int, int] | None = Field(
        default=None, description="shortest and longest run of letters within a word; null: no letters"
    )
    max_terms: int = Field(default=200_000, ge=1, description="terms that are kept, those of the most texts")
    fewest_texts: int = Field(default=2, ge=1, description="training texts in which a term must occur")
    sublinear: bool = Field(default=True, description="whether a term that occurs n times counts 1 + ln n, not n")


def terms_of(text: str, settings: TermSettings) -> list[str]:
    """List the terms of a text, as scikit-learn's vectorisers do.

    Args:
        text: Any text.
        settings: What counts as a term.

    Returns:
        Terms in the order of their length, repeated as often as they occur. Runs of letters begin with a mark that no
        word contains.

    Examples:
        >>> terms_of("The Law of the Sea", TermSettings())
        ['the', 'law', 'of', 'the', 'sea', 'the law', 'law of', 'of the', 'the sea']
    """
    lower = text.lower()
    words = _WORDS.findall(lower)
    shortest, longest = settings.words
    found = list(words) if shortest == 1 else []
    for size in range(max(shortest, 2), longest + 1):
        found += map(" ".join, zip(*(words[start:] for start in range(size)), strict=False))
    if settings.letters is not None:
        found += _letters(lower, *settings.letters)
    return found


def _letters(text: str, shortest: int, longest: int) -> Iterator[str]:
    """Runs of letters of single words with a space on either side, as ``analyzer="char_wb"`` counts them."""
    for word in _SPACES.sub(" ", text).split():
        padded = f" {word} "
        for size in range(shortest, longest + 1):
            for start in range(max(len(padded) - size, 0) + 1):
                yield f"\t{padded[start : start + size]}"
            if len(padded) <= size:
                break  # a short word counts once


class Counts(NamedTuple):
    """How often terms occur in texts, as a sparse matrix in rows (CSR)."""

    numbers: npt.NDArray[np.float32]
    places: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]


def count_terms(texts: Iterable[Sequence[str]], vocabulary: dict[str, int], *, learn: bool = False) -> Counts:
    """Count the terms of texts.

    Args:
        texts: Each text's terms.
        vocabulary: Place of each known term; unknown ones are not counted.
        learn: Whether unknown terms are added to the vocabulary instead.

    Returns:
        The counts, places ascending in each row.
    """
    places: list[int] = []
    starts = [0]
    for terms in texts:
        if learn:
            for term in terms:
                if term not in vocabulary:
                    vocabulary[term] = len(vocabulary)
        places += [vocabulary[term] for term in terms if term in vocabulary]
        starts.append(len(places))
    width = max(len(vocabulary), 1)
    rows = np.repeat(np.arange(len(starts) - 1, dtype=np.int64), np.diff(starts))
    cells, numbers = np.unique(rows * width + np.array(places, dtype=np.int64), return_counts=True)
    counted = np.searchsorted(cells // width, np.arange(len(starts)))
    return Counts(numbers.astype(np.float32), (cells % width).astype(np.int32), counted.astype(np.int64))


def weighed(counts: Counts, idf: np.ndarray, *, sublinear: bool) -> Any:
    """Weigh counts: rare terms more, long texts no more than short ones.

    Args:
        counts: Of the terms.
        idf: Weight of each term, shape (terms,).
        sublinear: See :class:`TermSettings`.

    Returns:
        ``scipy.sparse.csr_matrix`` of float32, shape (texts, terms), rows of length one (or zero).
    """
    from scipy.sparse import csr_matrix

    values = np.log(counts.numbers) + 1 if sublinear else counts.numbers
    values = (values * idf[counts.places]).astype(np.float32)
    rows = len(counts.starts) - 1
    of = np.repeat(np.arange(rows), np.diff(counts.starts))
    length = np.sqrt(np.bincount(of, weights=values.astype(np.float64) ** 2, minlength=rows))
    length[length == 0] = 1.0
    values = (values / length[of]).astype(np.float32)
    return csr_matrix((values, counts.places, counts.starts), shape=(rows, len(idf)))


def inverse_frequencies(texts_with: np.ndarray, texts: int) -> npt.NDArray[np.float32]:
    """Weights of terms: ``ln((1 + texts) / (1 + texts with the term)) + 1``, as scikit-learn has it.

    Args:
        texts_with: How many texts have each term.
        texts: How many there are.

    Returns:
        float32 of the same shape.
    """
    return (np.log((1 + texts) / (1 + texts_with)) + 1).astype(np.float32)


class TfidfScorer:
    """One score per label and text. Never changes; may be shared by threads."""

    def __init__(
        self, settings: TermSettings, terms: Sequence[str], idf: np.ndarray, weights: np.ndarray, intercept: np.ndarray
    ) -> None:
        """Keep what was learned.

        Args:
            settings: Which terms are counted.
            terms: The known terms, shape (terms,).
            idf: Weight of each, float32 of shape (terms,).
            weights: float32 of shape (terms, labels).
            intercept: float32 of shape (labels,).

        Raises:
            UserError: The shapes do not fit together, or a number is not finite.
        """
        self.settings = settings
        self.terms = tuple(terms)
        self._vocabulary = {term: place for place, term in enumerate(self.terms)}
        self.idf = np.ascontiguousarray(idf, dtype=np.float32)
        self.weights = np.ascontiguousarray(weights, dtype=np.float32)
        self.intercept = np.ascontiguousarray(intercept, dtype=np.float32)
        fitting = self.idf.shape == (len(self._vocabulary),) == (len(self.terms),)
        if not fitting or self.weights.shape != (len(self.terms), len(self.intercept)):
            raise UserError(
                f"{len(self.terms)} terms, weights of shape {self.weights.shape} and {len(self.intercept)} labels "
                "make no TF-IDF model."
            )
        if not all(np.isfinite(array).all() for array in (self.idf, self.weights, self.intercept)):
            raise UserError("The weights of a TF-IDF model must be finite.")

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return len(self.intercept)

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Score texts; a row does not depend on the others, bit for bit.

        Args:
            texts: Any texts.

        Returns:
            float32 of shape (texts, labels), not calibrated.
        """
        counts = count_terms((terms_of(text, self.settings) for text in texts), self._vocabulary)
        return self.scores_of(weighed(counts, self.idf, sublinear=self.settings.sublinear))

    def scores_of(self, matrix: Any) -> npt.NDArray[np.float32]:
        """Score texts whose terms are weighed already, see :func:`weighed`."""
        return np.asarray(matrix @ self.weights + self.intercept, dtype=np.float32)

    def save(self, directory: Path) -> None:
        """Write two files into a directory."""
        write_tensors(Path(directory) / ARRAYS_FILE, {operand: getattr(self, operand) for operand in _OPERANDS})
        content = {"settings": self.settings.model_dump(mode="json"), "terms": self.terms}
        text = json.dumps(content, ensure_ascii=False, indent=None)
        (Path(directory) / TERMS_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote; executes no code.

        Raises:
            UserError: A file is damaged.
            FileNotFoundError: A file is missing.
        """
        path = Path(directory) / TERMS_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            settings, terms = TermSettings.model_validate(content["settings"]), content["terms"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"'{path}' is damaged: {error}") from None
        arrays = read_tensors(Path(directory) / ARRAYS_FILE, _OPERANDS)
        return cls(settings, terms, *(arrays[operand] for operand in _OPERANDS))
