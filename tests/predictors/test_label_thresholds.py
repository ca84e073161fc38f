"""Thresholds: the best F1 as found by trying all of them, and rare labels that do not go wild."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.label_thresholds import (
    ThresholdSettings,
    common_threshold,
    decide,
    f1_scores,
    fit_thresholds,
    shrunk_thresholds,
)


def draw(rows=400, labels=6, seed=0):
    """Targets, and probabilities that know something of them; the last labels are rare."""
    random = np.random.default_rng(seed)
    shares = np.geomspace(0.4, 0.01, labels)
    targets = random.random((rows, labels)) < shares
    log_odds = np.log(shares / (1 - shares)) + np.where(targets, 3.0, 0.0) + random.normal(0, 1.2, targets.shape)
    return 1 / (1 + np.exp(-log_odds)), targets


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 4), st.integers(1, 2))
def test_no_threshold_beats_the_common_one(seed, rows, labels, decimals):
    random = np.random.default_rng(seed)
    scores = np.round(random.random((rows, labels)), decimals)  # with ties
    targets = random.random((rows, labels)) < 0.3
    found = f1_scores(scores >= common_threshold(scores, targets), targets)[0]
    tried = [f1_scores(scores >= value, targets)[0] for value in np.append(np.unique(scores), 2.0)]
    assert found == pytest.approx(max(tried))


def test_f1_is_that_of_scikit_learn_where_every_label_occurs():
    scores, targets = draw()
    called = scores > 0.4
    expected = [f1_score(targets, called, average=kind) for kind in ("micro", "macro")]
    assert f1_scores(called, targets) == pytest.approx(expected)
    assert f1_scores(called[:0], targets[:0]) == (0.0, 0.0)


def test_a_label_without_a_positive_has_the_common_threshold():
    # The trap: its own best threshold would lie below every score, and everybody would get the label
    scores, targets = draw()
    targets[:, 3] = False
    common = common_threshold(scores, targets)
    assert shrunk_thresholds(scores, targets, ThresholdSettings())[3] == pytest.approx(common)


def test_many_positives_pull_a_threshold_from_the_common_one_to_its_own():
    random = np.random.default_rng(1)
    targets = random.random((4000, 2)) < [0.3, 0.004]
    # Both labels are told apart perfectly, at 0.2 and nowhere near the common threshold
    scores = np.where(targets, 0.3, 0.1) + random.uniform(-0.05, 0.05, targets.shape)
    scores[:, 1] = np.where(targets[:, 1], 0.9, 0.6)
    own = shrunk_thresholds(scores, targets, ThresholdSettings(shrinkage=0.0, fewest_positives=1))
    assert own == pytest.approx([0.2, 0.75], abs=0.03)
    common = common_threshold(scores, targets)
    shrunk = shrunk_thresholds(scores, targets, ThresholdSettings())
    positives = targets.sum(axis=0)
    weight = positives / (positives + 10)
    assert shrunk == pytest.approx(weight * own + (1 - weight) * common)


def test_a_threshold_never_lies_far_below_the_common_one():
    scores, targets = draw(2000)
    scores[:, 0] = np.where(targets[:, 0], 1e-4, 1e-6)  # perfect at next to nothing
    found = shrunk_thresholds(scores, targets, ThresholdSettings(lowest_share=0.5))
    assert found[0] == pytest.approx(0.5 * common_threshold(scores, targets))


def test_auto_keeps_half_where_nothing_else_is_better():
    random = np.random.default_rng(0)
    targets = random.random((500, 4)) < 0.3
    scores = np.where(targets, 0.9, 0.1)  # 0.5 is as good as anything
    found = fit_thresholds(scores, targets, ThresholdSettings(at_least_one=False))
    assert found.kind == "fixed"
    assert found.values.tolist() == [0.5] * 4
    assert found.facts["f1"]["fixed"]["micro"] == 1.0


def test_auto_learns_where_half_is_wrong():
    scores, targets = draw(1500)
    found = fit_thresholds(scores / 4, targets, ThresholdSettings(at_least_one=False))
    assert found.kind in ("common", "per_label")
    f1 = found.facts["f1"]
    assert f1[found.kind]["micro"] > f1["fixed"]["micro"] + 0.1
    assert (found.values < 0.3).all()


@pytest.mark.parametrize("rows", [0, 49])
def test_too_few_rows_teach_nothing(rows):
    scores, targets = draw(rows)
    found = fit_thresholds(scores, targets, ThresholdSettings(kind="per_label", fixed=0.4))
    assert (found.kind, found.values.tolist()) == ("fixed", [0.4] * 6)


def test_kinds_are_compared_on_rows_that_they_were_not_fitted_to():
    random = np.random.default_rng(0)
    targets = random.random((300, 40)) < 0.03
    noise = random.random(targets.shape)  # says nothing: whatever is fitted to it fits by chance
    found = fit_thresholds(noise, targets, ThresholdSettings(kind="per_label", shrinkage=0.0, fewest_positives=1))
    fitted = f1_scores(decide(noise, found.values, at_least_one=True), targets)[1]
    assert found.facts["f1"]["per_label"]["macro"] < 0.7 * fitted


def test_every_row_gets_a_label_and_what_lies_above_it():
    hierarchy = LabelHierarchy([-1, 0, -1])
    probabilities = np.array([[0.1, 0.3, 0.2], [0.9, 0.1, 0.6], [0.0, 0.0, 0.0]])
    found = decide(probabilities, np.full(3, 0.5), at_least_one=True, close=hierarchy.raised)
    assert found.tolist() == [[True, True, False], [True, False, True], [True, False, False]]
    found = decide(probabilities, np.full(3, 0.5), at_least_one=False, close=hierarchy.raised)
    assert found.any(axis=1).tolist() == [False, True, False]
