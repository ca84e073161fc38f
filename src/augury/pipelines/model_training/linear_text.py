"""Linear models of texts: one function per label over weighted words, or over the vectors of an encoder.

Both choose their penalty by cross-validation on the training texts, near duplicates on one side, and hand on the scores
that their folds gave to rows that they had not learned from: thresholds and calibration are fitted to those.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.label_thresholds import common_threshold, decide, f1_scores
from augury.predictors.tfidf_scorer import (
    Counts,
    TermSettings,
    TfidfScorer,
    count_terms,
    inverse_frequencies,
    terms_of,
    weighed,
)

FEWEST_ROWS = 10
"""Training texts below which there are no folds: the penalty in the middle of the list is taken."""

logger = logging.getLogger(__name__)


class LinearSettings(Parameters):
    """How a linear model is fitted."""

    c: tuple[float, ...] = Field(
        default=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
        min_length=1,
        description="inverse strengths of the penalty to choose from",
    )
    folds: int = Field(default=5, ge=2, description="parts of the training texts for the choice of c")

    @field_validator("c")
    @classmethod
    def _are_ascending(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if min(values) <= 0 or list(values) != sorted(set(values)):
            raise ValueError("must be positive and ascend")
        return values


class TfidfSettings(LinearSettings):
    """TF-IDF and one linear function per label."""

    terms: TermSettings = TermSettings()
    loss: Literal["hinge", "logistic"] = Field(
        default="hinge", description="hinge: linear support vector machines; logistic: logistic regressions"
    )


class FrozenSettings(LinearSettings):
    """A linear head over an encoder that is left as it is."""

    c: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


class LinearFit(NamedTuple):
    """What a fit gives beside the model."""

    out_of_fold: np.ndarray
    """Scores of the training rows by models that did not learn from them, float64 of shape (rows, labels); NaN where
    there are no folds."""
    facts: dict[str, Any]


FitScores = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""(training rows, judged rows, c) -> scores of the judged rows."""


def fit_tfidf(
    texts: Sequence[str],
    targets: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    settings: TfidfSettings,
    seed: int,
) -> tuple[TfidfScorer, LinearFit]:
    """Fit TF-IDF and a linear function per label.

    Args:
        texts: Training texts.
        targets: Whether each carries each label, bool of shape (texts, labels).
        weights: How much each text counts, shape (texts,).
        groups: Texts that are not independent of each other share a number, shape (texts,).
        settings: Parameters.
        seed: Of the folds and of the solver.

    Returns:
        The scorer, and its scores of the texts by folds.

    Raises:
        UserError: No text has a term.
    """
    vocabulary: dict[str, int] = {}
    counts = count_terms((terms_of(text, settings.terms) for text in texts), vocabulary, learn=True)
    if not vocabulary:
        raise UserError(f"None of the {len(texts)} training texts has a word of two letters or more.")

    def matrices(train: np.ndarray, judged: np.ndarray) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """Both weighed by what the training rows alone tell: which terms there are, and how rare they are."""
        inside = _rows_of(counts, train)
        texts_with = np.bincount(inside.places, minlength=len(vocabulary))
        kept = _kept_terms(texts_with, len(train), settings.terms)
        idf = inverse_frequencies(texts_with[kept], len(train))
        place = np.full(len(vocabulary), -1, dtype=np.int32)
        place[kept] = np.arange(len(kept), dtype=np.int32)
        both = (
            weighed(_renumbered(part, place), idf, sublinear=settings.terms.sublinear)
            for part in (inside, _rows_of(counts, judged))
        )
        return (*both, kept, idf)

    prepared: dict[bytes, tuple[Any, Any, np.ndarray, np.ndarray]] = {}

    def scores(train: np.ndarray, judged: np.ndarray, c: float) -> np.ndarray:
        key = judged.tobytes()
        if key not in prepared:
            prepared[key] = matrices(train, judged)
        own, other = prepared[key][:2]
        coefficients, intercept = _fit_labels(own, targets[train], weights[train], c, settings.loss, seed)
        return np.asarray(other @ coefficients + intercept, dtype=np.float64)

    c, fitted = choose_c(scores, targets, groups, settings, seed)
    prepared.clear()
    everything = np.arange(len(texts))
    matrix, _, kept, idf = matrices(everything, everything[:0])
    coefficients, intercept = _fit_labels(matrix, targets, weights, c, settings.loss, seed)
    names = np.array(list(vocabulary), dtype=object)[kept]
    order = np.argsort(names.astype(str), kind="stable")  # whatever the order of the texts
    scorer = TfidfScorer(settings.terms, names[order].tolist(), idf[order], coefficients[order], intercept)
    return scorer, LinearFit(fitted.out_of_fold, fitted.facts | {"terms": len(kept)})


def fit_frozen(
    embeddings: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    settings: LinearSettings,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, LinearFit]:
    """Fit a logistic regression per label to vectors of texts.

    Args:
        embeddings: Shape (texts, width).
        targets: Whether each carries each label, or how certainly, shape (texts, labels).
        weights: See :func:`fit_tfidf`.
        groups: See :func:`fit_tfidf`.
        settings: Parameters.
        seed: Of the folds.

    Returns:
        Weights, float32 of shape (labels, width); intercepts, float32 of shape (labels,); scores by folds.
    """
    centre, spread = embeddings.mean(axis=0), embeddings.std(axis=0)
    spread[spread == 0] = 1.0
    standard = (embeddings - centre) / spread
    started: dict[bytes, np.ndarray] = {}

    def scores(train: np.ndarray, judged: np.ndarray, c: float) -> np.ndarray:
        key = judged.tobytes()
        started[key] = logistic_regression(standard[train], targets[train], weights[train], c, started.get(key))
        return standard[judged] @ started[key][:-1] + started[key][-1]

    c, fitted = choose_c(scores, targets >= 0.5, groups, settings, seed)
    found = logistic_regression(standard, targets, weights, c)
    coefficients = found[:-1] / spread[:, None]
    intercept = found[-1] - centre @ coefficients
    return coefficients.T.astype(np.float32), intercept.astype(np.float32), fitted


def logistic_regression(
    matrix: np.ndarray, targets: np.ndarray, weights: np.ndarray, c: float, start: np.ndarray | None = None
) -> np.ndarray:
    """One logistic regression per label, all at once: ``|w|^2 / 2 + c * log loss``, as scikit-learn has it.

    Args:
        matrix: Shape (rows, columns).
        targets: 0, 1 or between, shape (rows, labels).
        weights: How much each row counts, shape (rows,).
        c: Inverse strength of the penalty.
        start: Where the search starts; None: at zero with the labels' shares.

    Returns:
        float64 of shape (columns + 1, labels): the last row has the intercepts, which are not penalised.
    """
    from scipy.optimize import minimize

    rows, columns = matrix.shape
    labels = targets.shape[1]
    x = np.ascontiguousarray(np.column_stack([matrix, np.ones(rows)]), dtype=np.float32)
    y = np.asarray(targets, dtype=np.float32)
    sample = np.asarray(weights, dtype=np.float32)[:, None]
    if start is None:
        start = np.zeros((columns + 1, labels))
        share = np.clip((sample * y).sum(axis=0) / max(float(sample.sum()), 1e-9), 1e-4, 1 - 1e-4)
        start[-1] = np.log(share / (1 - share))

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        line = values.reshape(columns + 1, labels)
        logit = x @ line.astype(np.float32)
        decay = np.exp(-np.abs(logit))
        each = np.maximum(logit, 0) - y * logit + np.log1p(decay)
        chance = np.where(logit >= 0, 1, decay) / (1 + decay)
        gradient = c * (x.T @ (sample * (chance - y))).astype(np.float64)
        gradient[:-1] += line[:-1]
        total = 0.5 * float((line[:-1] ** 2).sum()) + c * float((sample * each).sum(dtype=np.float64))
        return total, gradient.ravel()

    options = {"maxiter": 300, "ftol": 1e-8, "gtol": 1e-5 * max(c * rows, 1.0)}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x.reshape(columns + 1, labels))


def choose_c(
    scores: FitScores, targets: np.ndarray, groups: np.ndarray, settings: LinearSettings, seed: int
) -> tuple[float, LinearFit]:
    """Choose the penalty: from the middle of the list uphill, as long as the out-of-fold F1 rises.

    Args:
        scores: Fits to some rows and scores others.
        targets: bool of shape (rows, labels).
        groups: Groups of the rows, shape (rows,).
        settings: With the list and the number of folds.
        seed: Of the folds.

    Returns:
        The penalty, and the out-of-fold scores that it gave.
    """
    middle = len(settings.c) // 2
    fold = deal_folds(targets, groups, settings.folds, seed)
    if len(targets) < FEWEST_ROWS or fold.max(initial=0) == 0:
        nothing = np.full(targets.shape, np.nan)
        return settings.c[middle], LinearFit(nothing, {"c": settings.c[middle], "folds": 0})
    known: dict[int, tuple[float, np.ndarray]] = {}

    def worth(place: int) -> float:
        if not 0 <= place < len(settings.c):
            return -np.inf
        if place not in known:
            found = np.empty(targets.shape)
            for part in range(int(fold.max()) + 1):
                train, judged = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
                found[judged] = scores(train, judged, settings.c[place])
            known[place] = worth_of(found, targets), found
        return known[place][0]

    place = middle
    step = 1 if worth(place + 1) > worth(place) else -1
    while worth(place + step) > worth(place):
        place += step
    facts = {
        "c": settings.c[place],
        "folds": int(fold.max()) + 1,
        "f1_by_c": {str(settings.c[tried]): round(found[0], 4) for tried, found in sorted(known.items())},
    }
    return settings.c[place], LinearFit(known[place][1], facts)


def worth_of(scores: np.ndarray, targets: np.ndarray) -> float:
    """Mean of micro and macro F1 at the best common threshold; at least one label each where every text has one."""
    threshold = np.array(common_threshold(scores, targets))
    return sum(f1_scores(decide(scores, threshold, at_least_one=bool(targets.any(axis=1).all())), targets)) / 2


def deal_folds(targets: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal groups of rows into parts so that every part has its share of the rare labels.

    Args:
        targets: bool of shape (rows, labels).
        groups: Rows of a group stay together, shape (rows,).
        folds: Parts.
        seed: Of the order among groups alike.

    Returns:
        Part of each row, int64; fewer parts than asked for where there are fewer groups.
    """
    if not len(targets):
        return np.zeros(0, dtype=np.int64)
    frequency = targets.sum(axis=0)
    rank = np.empty(len(frequency), dtype=np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(frequency))
    rarest = np.where(targets, rank, len(frequency)).min(axis=1, initial=len(frequency))
    _, of = np.unique(groups, return_inverse=True)
    of_group = np.full(of.max() + 1, len(frequency))
    np.minimum.at(of_group, of, rarest)
    chance = np.random.default_rng(seed).random(len(of_group))
    order = np.lexsort((chance, of_group))
    part = np.empty(len(of_group), dtype=np.int64)
    part[order] = np.arange(len(of_group)) % folds
    return part[of]


def _fit_labels(
    matrix: Any, targets: np.ndarray, weights: np.ndarray, c: float, loss: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """One linear function per label; a label that all rows or none carry has a constant score."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    labels = targets.shape[1]
    coefficients = np.zeros((matrix.shape[1], labels), dtype=np.float32)
    constant = 1.0 if loss == "hinge" else 5.0
    intercept = np.where(targets.all(axis=0), constant, -constant).astype(np.float32)
    for label in np.flatnonzero(targets.any(axis=0) & ~targets.all(axis=0)):
        model = (
            LinearSVC(C=c, random_state=seed, tol=1e-3)
            if loss == "hinge"
            else LogisticRegression(C=c, solver="liblinear", random_state=seed, tol=1e-3)
        )
        model.fit(matrix, targets[:, label], sample_weight=weights)
        coefficients[:, label] = model.coef_[0]
        intercept[label] = model.intercept_[0]
    return coefficients, intercept


def _kept_terms(texts_with: np.ndarray, texts: int, settings: TermSettings) -> np.ndarray:
    """Places of the terms that enough texts have; those of the most texts where there are too many."""
    least = settings.fewest_texts if texts >= 100 * settings.fewest_texts else 1
    kept = np.flatnonzero(texts_with >= least)
    if len(kept) > settings.max_terms:
        kept = np.sort(kept[np.argsort(-texts_with[kept], kind="stable")[: settings.max_terms]])
    return kept


def _rows_of(counts: Counts, rows: np.ndarray) -> Counts:
    """Some rows of the counts."""
    lengths = np.diff(counts.starts)[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(counts.starts[:-1][rows] - starts[:-1], lengths) + np.arange(starts[-1])
    return Counts(counts.numbers[places], counts.places[places], starts.astype(np.int64))


def _renumbered(counts: Counts, place: np.ndarray) -> Counts:
    """The counts with other places; what has none (-1) is dropped."""
    places = place[counts.places]
    kept = places >= 0
    starts = np.concatenate([[0], np.cumsum(kept)])[counts.starts]
    return Counts(counts.numbers[kept], places[kept], starts.astype(np.int64))
