"""Simulate texts about the subjects of a tree, each with its codes, and with the best codes that anyone could give.

A text has one or two subjects. Each of its terms is drawn on its own: from one of them, from the subjects above or
beside it, from any subject, or from what all texts say. Many texts also say in a sentence what they are not about,
which misleads whoever counts words, and tells whoever reads them nothing. So the chance of every set of subjects given
the terms can be computed, and with it the best decision of someone who knows this simulation.
"""

import logging
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from augury.parameters import Parameters
from augury.pipelines.collection.labelled_text_vocabulary import GENERAL, Subject, read_tree

LOGGER = logging.getLogger(__name__)
SIMULATED = "simulated"
_LONGEST_ASIDE = 3
_BLOCK = 512
"""Texts whose posterior is computed at once."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TextSimulation(Parameters):
    """The texts to simulate."""

    texts: int = Field(default=3000, ge=20, le=200_000, description="number of texts, near-duplicates among them")
    two_subjects: float = Field(default=0.3, ge=0, le=1, description="share of texts with two subjects")
    noise: float = Field(default=0.05, ge=0, le=0.25, description="share of texts of which one code is a wrong one")
    near_duplicates: float = Field(default=0.04, ge=0, le=0.5, description="share of texts that repeat an earlier one")
    asides: float = Field(default=0.7, ge=0, le=1, description="share of texts that name what they are not about")
    shortest: int = Field(default=10, ge=4, le=200, description="terms of the shortest texts")
    longest: int = Field(default=16, ge=4, le=200, description="terms of the longest texts")
    own: float = Field(default=0.36, gt=0, le=1, description="share of the terms that are the subject's own")
    above: float = Field(default=0.16, ge=0, le=1, description="share of those of the two subjects above it, by halves")
    beside: float = Field(default=0.1, ge=0, le=1, description="share of those of other subjects of its main class")
    stray: float = Field(default=0.08, ge=0, le=1, description="share of those of any subject; the rest any text says")
    imbalance: float = Field(default=0.6, ge=0, le=2, description="how frequency falls with a subject's rank: a power")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must not be above longest ({self.longest})")
        if self.own + self.above + self.beside + self.stray > 1:
            raise ValueError("own, above, beside and stray must not be above 1 in all")
        return self


def create_labelled_texts(collection: TextSimulation, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate texts with codes.

    Args:
        collection: How many texts, how alike the subjects are, and how often a code is wrong.
        seed: Seed of the simulation.

    Returns:
        - Texts: ``sample_id``, ``text``, ``taxonomy_codes`` (sorted, as somebody noted them), ``confidence`` (the
          chance that they are right), ``origin``, ``true_codes`` and ``oracle_codes``: those of which the chance of
          being noted, given the text, is above the threshold that makes the expected micro-F1 the highest; the subjects
          above are among the last.
        - Codes: ``code``, ``label`` and ``parent`` (None for main classes) of the whole tree.
    """
    world = _build_world(collection, seed)
    drawn = _draw(world, collection, seed)
    oracle, expected_f1 = _decide(_marginals(world, drawn, collection))
    codes = np.array([subject.code for subject in world.tree], dtype=object)
    leaves = codes[world.leaves]
    samples = pd.DataFrame(
        {
            "sample_id": [f"t{seed}-{number:0{len(str(len(oracle)))}}" for number in range(1, len(oracle) + 1)],
            "text": [_write(world, *text) for text in zip(drawn.terms, drawn.asides, drawn.phrasing, strict=True)],
            "taxonomy_codes": [sorted(set(leaves[noted[noted >= 0]])) for noted in drawn.noted],
            "confidence": drawn.confidence,
            "origin": SIMULATED,
            "true_codes": [sorted(leaves[true[true >= 0]]) for true in drawn.subjects],
            "oracle_codes": [codes[chosen].tolist() for chosen in oracle],
        }
    )
    wrong = samples["taxonomy_codes"].ne(samples["true_codes"]).mean()
    LOGGER.info(
        "%s texts on %s subjects, %.2f codes each, %.1f %% with a wrong code; expected micro-F1 of the oracle %.4f.",
        f"{len(samples):,}",
        f"{len(leaves)}",
        samples["taxonomy_codes"].map(len).mean(),
        100 * wrong,
        expected_f1,
    )
    table = pd.DataFrame(
        {
            "code": codes,
            "label": [subject.label for subject in world.tree],
            "parent": [subject.parent for subject in world.tree],
        }
    )
    return samples, table


# --- the world: who says what ---


@dataclass(frozen=True)
class _World:
    """What is the same for all texts; Z leaves, C codes, V terms.

    Attributes:
        tree: All C subjects.
        leaves: (Z,) places of the subjects that texts have.
        above: (Z, C) whether a code is a leaf or above it.
        prior: (Z,) how frequent a leaf is.
        second: (Z, Z) chance of the other subject of a text, and of a wrong code, given the first.
        own: (Z, V) chance of a term among a leaf's own.
        speech: (Z, V) chance of a term, given the one leaf of a text.
        terms: The V terms.
    """

    tree: tuple[Subject, ...]
    leaves: Ints
    above: NDArray[np.bool_]
    prior: Floats
    second: Floats
    own: Floats
    speech: Floats
    terms: tuple[str, ...]


def _build_world(collection: TextSimulation, seed: int) -> _World:
    tree = read_tree()
    place = {subject.code: number for number, subject in enumerate(tree)}
    parents = np.array([-1 if subject.parent is None else place[subject.parent] for subject in tree])
    leaves = np.setdiff1d(np.arange(len(tree)), parents)
    above = np.zeros((len(leaves), len(tree)), dtype=bool)
    above[np.arange(len(leaves)), leaves] = True
    for _ in range(2):
        found, code = np.nonzero(above)
        inside = parents[code] >= 0
        above[found[inside], parents[code[inside]]] = True
    main = above[:, parents < 0].argmax(axis=1)
    rank = np.random.default_rng([seed, 1]).permutation(len(leaves))
    prior: Any = 1.0 / (rank + 3.0) ** collection.imbalance
    prior /= prior.sum()
    same_class = main[:, None] == main[None, :]
    second = 0.5 * _rows(prior * (same_class & ~np.eye(len(leaves), dtype=bool)))
    second += 0.5 * _rows(prior * ~np.eye(len(leaves), dtype=bool))
    terms, own, speech = _speech(tree, leaves, parents, same_class, collection)
    return _World(tree, leaves, above, prior, second, own, speech, terms)


def _rows(weights: Floats) -> Floats:
    """Weights that sum to one in each row."""
    return weights / weights.sum(axis=1, keepdims=True)


def _speech(
    tree: tuple[Subject, ...], leaves: Ints, parents: Ints, same_class: NDArray[np.bool_], collection: TextSimulation
) -> tuple[tuple[str, ...], Floats, Floats]:
    terms = tuple(dict.fromkeys([term for subject in tree for term in subject.terms] + list(GENERAL)))
    place = {term: number for number, term in enumerate(terms)}
    of_subject = np.zeros((len(tree), len(terms)))
    for number, subject in enumerate(tree):
        frequency = 1.0 / (np.arange(len(subject.terms)) + 3.0)
        np.add.at(of_subject[number], [place[term] for term in subject.terms], frequency / frequency.sum())
    own = of_subject[leaves]
    # A leaf that stands right below its main class has no other subject above it
    parent = parents[leaves]
    main = np.where(parents[parent] >= 0, parents[parent], parent)
    others = _rows((same_class & ~np.eye(len(leaves), dtype=bool)).astype(np.float64))
    general = np.zeros(len(terms))
    general[[place[term] for term in GENERAL]] = 1.0 / len(GENERAL)
    speech = (
        collection.own * own
        + collection.above * (of_subject[parent] + of_subject[main]) / 2
        + collection.beside * others @ own
        + collection.stray * own.mean(axis=0)
        + (1 - collection.own - collection.above - collection.beside - collection.stray) * general
    )
    return terms, own, _rows(speech)


# --- texts ---


@dataclass(frozen=True)
class _Drawn:
    """Texts as they were drawn; n texts, T terms of the longest one, A of an aside.

    Attributes:
        subjects: (n, 2) leaves that they are about; -1: there is no second one.
        noted: (n, 2) leaves that somebody noted.
        confidence: (n,) chance that what was noted is right.
        terms: (n, T) places of their terms in order; -1 behind the last.
        asides: (n, A) places of terms that they say they are not about; -1 behind the last.
        phrasing: (n, T) choices of phrases.
    """

    subjects: Ints
    noted: Ints
    confidence: Floats
    terms: Ints
    asides: Ints
    phrasing: Ints


def _draw(world: _World, collection: TextSimulation, seed: int) -> _Drawn:
    rng = np.random.default_rng([seed, 2])
    rows = collection.texts
    subjects = np.full((rows, 2), -1)
    subjects[:, 0] = _choose(np.broadcast_to(np.cumsum(world.prior), (rows, len(world.prior))), rng.random(rows))
    other = _choose(np.cumsum(world.second, axis=1)[subjects[:, 0]], rng.random(rows))
    subjects[:, 1] = np.where(rng.random(rows) < collection.two_subjects, other, -1)
    lengths = rng.integers(collection.shortest, collection.longest + 1, rows)
    phrasing = rng.integers(0, 2**31, (rows, collection.longest))
    asides = _draw_asides(world, collection, rng)
    # One that repeats another is about the same, of the same length and in the same phrases
    repeats = rng.random(rows) < collection.near_duplicates
    repeats[0] = False
    originals = np.flatnonzero(~repeats)
    earlier = np.searchsorted(originals, np.flatnonzero(repeats))
    copied = originals[(rng.random(len(earlier)) * earlier).astype(np.int64)]
    for values in (subjects, lengths, asides, phrasing):
        values[repeats] = values[copied]
    second = (rng.random((rows, collection.longest)) < 0.5) & (subjects[:, 1:] >= 0)
    terms = _draw_terms(world.speech, np.where(second, subjects[:, 1:], subjects[:, :1]), lengths, rng)
    fresh = terms[repeats]
    terms[repeats] = terms[copied]
    changed = rng.integers(0, lengths[repeats][:, None], (len(fresh), 2))
    changed[:, 1] = np.where(rng.random(len(fresh)) < 0.5, changed[:, 0], changed[:, 1])
    lines = np.arange(len(fresh))[:, None]
    replaced = terms[repeats]
    replaced[lines, changed] = fresh[lines, changed]
    terms[repeats] = replaced
    noted, confidence = _note(world, subjects, collection, rng)
    return _Drawn(subjects, noted, confidence, terms, asides, phrasing)


def _choose(cumulated: Floats, uniform: Floats) -> Ints:
    """One place of each row, by its cumulated chances."""
    found = (cumulated < uniform[:, None] * cumulated[:, -1:]).sum(axis=1)
    return np.minimum(found, cumulated.shape[1] - 1)


def _draw_asides(world: _World, collection: TextSimulation, rng: np.random.Generator) -> Ints:
    """Terms of a subject that has nothing to do with the text's, so that they tell nothing of it."""
    rows = collection.texts
    subject = _choose(np.broadcast_to(np.cumsum(world.prior), (rows, len(world.prior))), rng.random(rows))
    lengths = np.where(rng.random(rows) < collection.asides, rng.integers(2, _LONGEST_ASIDE + 1, rows), 0)
    return _draw_terms(world.own, np.repeat(subject[:, None], _LONGEST_ASIDE, axis=1), lengths, rng)


def _draw_terms(chances: Floats, leaves: Ints, lengths: Ints, rng: np.random.Generator) -> Ints:
    """One term for each place up to a text's length, by the chances that its leaf gives them; -1 behind."""
    inside = np.arange(leaves.shape[1]) < lengths[:, None]
    uniform = rng.random(leaves.shape)
    terms = np.full(leaves.shape, -1)
    for leaf, cumulated in enumerate(np.cumsum(chances, axis=1)):
        said = inside & (leaves == leaf)
        found = np.searchsorted(cumulated, uniform[said] * cumulated[-1], side="right")
        terms[said] = np.minimum(found, len(cumulated) - 1)
    return terms


def _note(world: _World, subjects: Ints, collection: TextSimulation, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """The codes that somebody notes, and how sure one can be of them: the chance that they are right."""
    rows = len(subjects)
    # Mean one and at most four: most people are sure, some are not
    chance = collection.noise * 4.0 * rng.random(rows) ** 3
    confidence = np.round(1.0 - chance, 3)
    wrong = rng.random(rows) < 1.0 - confidence
    which = np.where(subjects[:, 1] >= 0, rng.integers(0, 2, rows), 0)
    line = np.arange(rows)
    replaced = _choose(np.cumsum(world.second, axis=1)[subjects[line, which]], rng.random(rows))
    noted = subjects.copy()
    noted[line[wrong], which[wrong]] = replaced[wrong]
    return noted, confidence


# --- what can be known ---


def _marginals(world: _World, drawn: _Drawn, collection: TextSimulation) -> Floats:
    """(n, C) chance that a code, or one below it, was noted, given the terms of the text."""
    from scipy.sparse import csr_array

    leaves = len(world.leaves)
    first, other = np.triu_indices(leaves, k=1)
    together = world.prior[:, None] * world.second
    prior = np.concatenate(
        [
            (1 - collection.two_subjects) * world.prior,
            collection.two_subjects * (together[first, other] + together[other, first]),
        ]
    )
    noted = _noted_given_subjects(world, first, other, collection.noise)
    pairs = (world.speech[first] + world.speech[other]) / 2
    with np.errstate(divide="ignore"):
        said = np.ascontiguousarray(np.log(np.concatenate([world.speech, pairs])).T)
        prior = np.log(prior)
    marginals = np.empty((len(drawn.terms), len(world.tree)))
    for start in range(0, len(marginals), _BLOCK):
        terms = drawn.terms[start : start + _BLOCK]
        inside = terms >= 0
        counts = csr_array(
            (np.ones(int(inside.sum())), terms[inside], np.r_[0, np.cumsum(inside.sum(axis=1))]),
            shape=(len(terms), len(said)),
        )
        log = counts @ said + prior
        marginals[start : start + _BLOCK] = _rows(np.exp(log - log.max(axis=1, keepdims=True))) @ noted
    # The last bits of products differ between machines, these digits do not
    return np.round(marginals, 9)


def _noted_given_subjects(world: _World, first: Ints, other: Ints, noise: float) -> Floats:
    """(sets, C) chance that a code, or one below it, was noted, for all single leaves and all pairs."""
    above = world.above.astype(np.float64)
    replaced = world.second @ above
    single = (1 - noise) * above + noise * replaced
    a, b = above[first], above[other]
    pair = (1 - noise) * np.maximum(a, b)
    pair += noise / 2 * (np.maximum(b, replaced[first]) + np.maximum(a, replaced[other]))
    return np.concatenate([single, pair])


def _decide(marginals: Floats) -> tuple[NDArray[np.bool_], float]:
    """The decision with the highest expected micro-F1, which is one threshold for all, and that F1."""
    falling = np.sort(marginals, axis=None)[::-1]
    f1 = 2 * np.cumsum(falling) / (np.arange(1, falling.size + 1) + falling.sum())
    best = int(f1.argmax())
    return marginals >= falling[best], float(f1[best])


# --- writing ---

_TITLES: dict[int, tuple[str, ...]] = {
    2: ("{} and {}.", "{} in the light of {}.", "{}: an essay on {}.", "From {} to {}."),
    3: ("{}, {} and {}.", "{} and {}: on {}.", "{}: {} and {}.", "Between {} and {}: {}."),
}
_SENTENCES: dict[int, tuple[str, ...]] = {
    1: ("Also {}.", "And {}.", "With {}."),
    2: ("How {} came to {}.", "{} before {}.", "Of {} and of {}.", "Why {} needs {}."),
    3: ("On {}, {} and {}.", "{} and {} beside {}.", "{} with {} and {}.", "{} as {} or {}."),
    4: ("From {} and {} to {} and {}.", "{}, {}, {} and {}.", "{} with {}, {} with {}."),
}
_ASIDES: dict[int, tuple[str, ...]] = {
    2: (
        "It is not about {} or {}.",
        "{} and {} are left out.",
        "Look elsewhere for {} and {}.",
        "Neither {} nor {} is treated.",
        "Nothing is said about {} and {}.",
    ),
    3: (
        "It is not about {}, {} or {}.",
        "{}, {} and {} are left out.",
        "Look elsewhere for {}, {} and {}.",
        "Neither {} nor {} nor {} is treated.",
        "Nothing is said about {}, {} and {}.",
    ),
}


def _write(world: _World, terms: Ints, aside: Ints, phrasing: Ints) -> str:
    """Put terms into sentences; the phrases, and where the aside stands, depend on nothing but chance."""
    words = [world.terms[number] for number in terms[terms >= 0]]
    sentences: list[str] = []
    start, choices = 0, phrasing.tolist()
    while start < len(words):
        patterns = _SENTENCES if start else _TITLES
        sizes = [size for size in patterns if size <= len(words) - start]
        choice = choices[len(sentences)]
        size = sizes[choice % len(sizes)]
        sentences.append(_fill(patterns[size], choice, words[start : start + size]))
        start += size
    if (aside >= 0).any():
        named = [world.terms[number] for number in aside[aside >= 0]]
        place = 1 + choices[-1] % len(sentences)
        sentences.insert(place, _fill(_ASIDES[len(named)], choices[-1], named))
    return " ".join(sentences)


def _fill(options: tuple[str, ...], choice: int, words: list[str]) -> str:
    sentence = options[choice // 64 % len(options)].format(*words)
    return sentence[0].upper() + sentence[1:]


def describe_labelled_texts(samples: pd.DataFrame) -> dict[str, Any]:
    """Describe simulated texts.

    Args:
        samples: What :func:`create_labelled_texts` returned.

    Returns:
        Numbers of texts and codes, codes of a text, words of a text, share with a wrong code, and mean confidence.
    """
    return {
        "texts": len(samples),
        "codes": int(samples["taxonomy_codes"].explode().nunique()),
        "codes_of_a_text": float(samples["taxonomy_codes"].map(len).mean()),
        "words_of_a_text": float(samples["text"].str.split().map(len).mean()),
        "label_noise": float(samples["taxonomy_codes"].ne(samples["true_codes"]).mean()),
        "mean_confidence": float(samples["confidence"].mean()),
    }
