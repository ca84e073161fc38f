"""Weighted words: term by term what scikit-learn counts, score by score what it computes, without it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from augury.errors import UserError
from augury.predictors.tfidf_scorer import TermSettings, TfidfScorer, terms_of

TEXTS = [
    "The law of the sea, and the sea of laws.",
    "Neural networks: an introduction\nto deep learning",
    "C++ and R; a_b x1 2024; Über die Gleichung",
    "Sea law, law, LAW! The algebra of groups",
    "deep sea fishing & algebra",
    "",
    "?? !",
    "groups of laws in deep networks",
]
WORDS = TermSettings(fewest_texts=1)
LETTERS = TermSettings(words=(1, 1), letters=(2, 4), fewest_texts=1)


def trained(vectorizer, settings=WORDS, marked=""):
    """scikit-learn's own model, and ours with its numbers."""
    matrix = vectorizer.fit_transform(TEXTS)
    targets = np.array([[("law" in text.lower()), ("deep" in text)] for text in TEXTS])
    model = OneVsRestClassifier(LinearSVC(random_state=0)).fit(matrix, targets)
    weights = np.vstack([each.coef_ for each in model.estimators_]).T
    intercept = np.array([each.intercept_[0] for each in model.estimators_])
    terms = [marked + term for term in vectorizer.get_feature_names_out()]
    return model, TfidfScorer(settings, terms, vectorizer.idf_, weights, intercept)


@pytest.fixture(scope="module")
def pair():
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return vectorizer, *trained(vectorizer)


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (WORDS, {"ngram_range": (1, 2)}),
        (TermSettings(words=(2, 3)), {"ngram_range": (2, 3)}),
        (TermSettings(words=(1, 1)), {"ngram_range": (1, 1)}),
    ],
)
def test_terms_are_those_of_scikit_learn(settings, reference):
    analyze = TfidfVectorizer(**reference).build_analyzer()
    for text in TEXTS:
        assert sorted(terms_of(text, settings)) == sorted(analyze(text))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_letters_are_those_of_scikit_learn_whatever_the_text(text):
    analyze = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).build_analyzer()
    words = TfidfVectorizer(ngram_range=(1, 1)).build_analyzer()
    expected = sorted([*words(text), *(f"\t{run}" for run in analyze(text))])
    assert sorted(terms_of(text, LETTERS)) == expected


def test_scores_are_those_of_scikit_learn(pair):
    vectorizer, model, scorer = pair
    asked = [*TEXTS, "an unknown sea of algebra", "nothing whatsoever"]
    expected = model.decision_function(vectorizer.transform(asked))
    assert scorer.logits(asked) == pytest.approx(expected, abs=2e-6)
    assert scorer.logits(asked).dtype == np.float32


def test_letters_are_scored_like_scikit_learn():
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=False)
    lone = TermSettings(words=(9, 9), letters=(2, 4), sublinear=False, fewest_texts=1)
    model, scorer = trained(vectorizer, lone, marked="\t")
    expected = model.decision_function(vectorizer.transform(TEXTS))
    assert scorer.logits(TEXTS) == pytest.approx(expected, abs=2e-6)


def test_a_text_without_a_known_term_has_the_intercept(pair):
    scorer = pair[2]
    assert (scorer.logits(["", "???", "xyz"]) == scorer.intercept).all()
    assert scorer.logits([]).shape == (0, 2)


def test_a_row_does_not_depend_on_the_others(pair):
    scorer = pair[2]
    expected = scorer.logits(TEXTS)
    for row, text in enumerate(TEXTS):
        assert (scorer.logits([text])[0] == expected[row]).all()
    assert (scorer.logits(TEXTS[::-1]) == expected[::-1]).all()


def test_a_saved_scorer_scores_bit_for_bit_the_same(pair, tmp_path):
    scorer = pair[2]
    scorer.save(tmp_path)
    again = TfidfScorer.load(tmp_path)
    assert (again.logits(TEXTS) == scorer.logits(TEXTS)).all()
    assert (again.terms, again.settings) == (scorer.terms, scorer.settings)


@pytest.mark.parametrize("name", ["tfidf.json", "tfidf.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x10\x00\x00\x00\x00\x00\x00\x00half a file", b"\xff\xfe"])
def test_a_damaged_file_is_a_user_error(pair, name, content, tmp_path):
    pair[2].save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}' is damaged"):
        TfidfScorer.load(tmp_path)


def test_a_missing_file_is_named(pair, tmp_path):
    pair[2].save(tmp_path)
    (tmp_path / "tfidf.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"tfidf\.safetensors"):
        TfidfScorer.load(tmp_path)


@pytest.mark.parametrize(
    ("terms", "idf", "weights", "problem"),
    [
        (["a", "a"], np.ones(2), np.ones((2, 1)), "make no TF-IDF model"),
        (["a"], np.ones(2), np.ones((2, 1)), "make no TF-IDF model"),
        (["a"], np.ones(1), np.ones((1, 2)), "make no TF-IDF model"),
        (["a"], np.ones(1), np.array([[np.nan]]), "must be finite"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(terms, idf, weights, problem):
    with pytest.raises(UserError, match=problem):
        TfidfScorer(WORDS, terms, idf, weights, np.zeros(1))
