"""Linear models of texts: scikit-learn's numbers, folds without leaks, a penalty that is chosen and not guessed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from augury.errors import UserError
from augury.pipelines.model_training.linear_text import (
    FrozenSettings,
    LinearSettings,
    TfidfSettings,
    choose_c,
    deal_folds,
    fit_frozen,
    fit_tfidf,
    logistic_regression,
)
from augury.predictors.label_thresholds import common_threshold, f1_scores
from augury.predictors.tfidf_scorer import TermSettings


def draw_texts(rows=240, labels=4, seed=0):
    """Texts whose words tell their labels, most of the time; the last label is rare."""
    random = np.random.default_rng(seed)
    targets = random.random((rows, labels)) < [0.5, 0.4, 0.3, 0.06][:labels]
    own = [[f"{chr(97 + label)}word{number}" for number in range(8)] for label in range(labels)]
    texts = []
    for row in targets:
        words = random.choice([f"common{number}" for number in range(30)], 6).tolist()
        for label in np.flatnonzero(row):
            words += random.choice(own[label], 3).tolist()
        texts.append(" ".join(random.permutation(words)))
    return texts, targets


ONE = np.ones(240)
EACH = np.arange(240)
WORDS = TermSettings(words=(1, 1), fewest_texts=1)


def test_the_model_is_that_of_scikit_learn():
    texts, targets = draw_texts()
    scorer, fit = fit_tfidf(texts, targets, ONE, EACH, TfidfSettings(terms=WORDS, c=(1.0,), folds=3), 0)
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    matrix = vectorizer.fit_transform(texts)
    asked = draw_texts(50, seed=1)[0]
    for label in range(4):
        model = LinearSVC(C=1.0, tol=1e-6, max_iter=10_000).fit(matrix, targets[:, label])
        expected = model.decision_function(vectorizer.transform(asked))
        assert scorer.logits(asked)[:, label] == pytest.approx(expected, abs=0.02)
    assert scorer.terms == tuple(vectorizer.get_feature_names_out())
    assert fit.facts["terms"] == len(scorer.terms)


def test_out_of_fold_scores_are_those_of_a_fit_to_the_other_folds():
    texts, targets = draw_texts()
    settings = TfidfSettings(terms=WORDS, c=(1.0,), folds=3)
    found = fit_tfidf(texts, targets, ONE, EACH, settings, 5)[1].out_of_fold
    fold = deal_folds(targets, EACH, 3, 5)
    own = np.flatnonzero(fold == 1)
    rest = np.flatnonzero(fold != 1)
    # Words and their weights too come from the other folds alone
    single = TfidfSettings(terms=WORDS, c=(1.0,), folds=2)
    scorer, _ = fit_tfidf([texts[row] for row in rest], targets[rest], ONE[rest], EACH[rest], single, 5)
    assert scorer.logits([texts[row] for row in own]) == pytest.approx(found[own], abs=2e-3)


def test_the_order_of_the_texts_changes_the_terms_not_at_all():
    texts, targets = draw_texts(60)
    settings = TfidfSettings(terms=WORDS, c=(1.0,), folds=2)
    one, _ = fit_tfidf(texts, targets, ONE[:60], EACH[:60], settings, 0)
    other, _ = fit_tfidf(texts[::-1], targets[::-1], ONE[:60], EACH[:60], settings, 0)
    assert one.terms == other.terms
    assert (one.idf == other.idf).all()


def test_rare_terms_are_left_out_and_the_most_frequent_kept():
    texts = ["alpha beta", "alpha gamma", "alpha beta delta"] * 100 + ["lone word"]
    targets = np.array([["beta" in text] for text in texts])
    weights, groups = np.ones(301), np.arange(301)
    terms = TermSettings(words=(1, 1), fewest_texts=2, max_terms=2)
    scorer, _ = fit_tfidf(texts, targets, weights, groups, TfidfSettings(terms=terms, c=(1.0,), folds=2), 0)
    assert scorer.terms == ("alpha", "beta")


def test_a_label_of_nobody_and_one_of_everybody_are_no_reason_to_fail():
    texts, targets = draw_texts(60)
    targets[:, 0], targets[:, 1] = False, True
    scorer, fit = fit_tfidf(texts, targets, ONE[:60], EACH[:60], TfidfSettings(terms=WORDS, folds=3), 0)
    scores = scorer.logits(texts)
    assert (scores[:, 0] < 0).all()
    assert (scores[:, 1] > 0).all()
    assert np.isfinite(fit.out_of_fold).all()


def test_texts_without_any_word_are_refused():
    with pytest.raises(UserError, match="None of the 3 training texts has a word"):
        fit_tfidf(["?", "", "a b"], np.ones((3, 1), dtype=bool), ONE[:3], EACH[:3], TfidfSettings(), 0)


# --- logistic regression ---


def test_all_labels_at_once_are_the_logistic_regressions_of_scikit_learn():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(300, 8))
    targets = random.random((300, 3)) < 1 / (1 + np.exp(-matrix[:, :3] - 0.5))
    weights = random.uniform(0.2, 2, 300)
    found = logistic_regression(matrix, targets, weights, 0.7)
    for label in range(3):
        model = LogisticRegression(C=0.7, tol=1e-8, max_iter=500).fit(matrix, targets[:, label], sample_weight=weights)
        assert found[:-1, label] == pytest.approx(model.coef_[0], abs=3e-3)
        assert found[-1, label] == pytest.approx(model.intercept_[0], abs=3e-3)


def test_a_soft_target_is_a_positive_and_a_negative_by_their_weights():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(50, 3))
    soft = random.random((50, 1))
    both = np.vstack([matrix, matrix])
    hard = np.vstack([np.ones((50, 1)), np.zeros((50, 1))])
    weights = np.concatenate([soft[:, 0], 1 - soft[:, 0]])
    expected = logistic_regression(both, hard, weights, 1.0)
    assert logistic_regression(matrix, soft, np.ones(50), 1.0) == pytest.approx(expected, abs=2e-3)


def test_a_frozen_head_applies_to_vectors_as_they_are():
    random = np.random.default_rng(0)
    vectors = random.normal(3, [0.01, 1, 50, 0.0], (240, 4))
    targets = np.column_stack([vectors[:, 0] > 3, vectors[:, 2] > 20])
    weight, bias, fit = fit_frozen(vectors, targets, ONE, EACH, FrozenSettings(folds=3), 0)
    scores = vectors @ weight.T + bias
    assert f1_scores(scores > 0, targets)[0] > 0.95
    assert f1_scores(fit.out_of_fold > common_threshold(fit.out_of_fold, targets), targets)[0] > 0.9


# --- folds and penalty ---


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 80), st.integers(2, 6))
def test_groups_stay_together_and_parts_are_of_like_size(seed, rows, folds):
    random = np.random.default_rng(seed)
    groups = random.integers(0, max(rows // 2, 1), rows)
    targets = random.random((rows, 3)) < [0.5, 0.1, 0.0]
    found = deal_folds(targets, groups, folds, seed)
    parts = {group: set(found[groups == group]) for group in set(groups)}
    assert all(len(part) == 1 for part in parts.values())
    sizes = np.bincount([part.pop() for part in parts.values()], minlength=folds)
    assert sizes.max() - sizes.min() <= 1


def test_every_part_has_its_share_of_a_rare_label():
    targets = np.zeros((500, 2), dtype=bool)
    targets[:, 0] = np.arange(500) % 2 == 0
    targets[np.random.default_rng(0).permutation(500)[:10], 1] = True
    fold = deal_folds(targets, np.arange(500), 5, 0)
    assert np.bincount(fold[targets[:, 1]], minlength=5).tolist() == [2] * 5


def test_the_penalty_is_sought_uphill_from_the_middle():
    targets = np.random.default_rng(0).random((100, 1)) < 0.5
    noise = np.random.default_rng(1).normal(size=(100, 1))
    tried = []

    def scores(train, judged, c):
        tried.append(c)
        return (targets[judged] - 0.5) + noise[judged] * abs(np.log(c / 0.01)) / 8

    found, fit = choose_c(scores, targets, np.arange(100), LinearSettings(c=(0.01, 0.1, 1.0, 10.0, 100.0)), 0)
    assert found == 0.01
    assert set(tried) == {0.01, 0.1, 1.0, 10.0}
    assert fit.facts["c"] == 0.01
    assert (fit.out_of_fold == targets - 0.5).all()


def test_a_handful_of_texts_has_no_folds():
    found, fit = choose_c(lambda *_: 1 / 0, np.ones((9, 1), dtype=bool), np.arange(9), LinearSettings(c=(1.0, 2.0)), 0)
    assert found == 2.0
    assert np.isnan(fit.out_of_fold).all()


@pytest.mark.parametrize("values", [(), (0.0, 1.0), (1.0, 1.0), (2.0, 1.0)])
def test_a_list_of_penalties_that_does_not_ascend_is_refused(values):
    with pytest.raises(ValueError, match=r"ascend|at least 1"):
        LinearSettings(c=values)
