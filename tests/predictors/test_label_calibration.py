"""Lines from scores to log odds: as scikit-learn fits them where data abound, the common one where they do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from augury.predictors.label_calibration import LabelCalibration, fit_label_calibration, sigmoid


def draw(rows, slopes, intercepts, seed=0):
    random = np.random.default_rng(seed)
    scores = random.normal(-0.5, 1.0, (rows, len(slopes)))
    return scores, random.random(scores.shape) < sigmoid(scores * slopes + intercepts)


def platt(scores, targets):
    model = LogisticRegression(C=1e9, tol=1e-9, max_iter=1000).fit(scores.reshape(-1, 1), targets.ravel())
    return model.coef_[0, 0], model.intercept_[0]


def test_with_many_rows_every_label_has_the_line_of_a_logistic_regression():
    scores, targets = draw(20_000, [0.8, 2.0, 1.5], [0.3, -1.0, 1.0])
    found = fit_label_calibration(scores, targets)
    for label in range(3):
        expected = platt(scores[:, label], targets[:, label])
        assert (found.slopes[label], found.intercepts[label]) == pytest.approx(expected, abs=0.03)
    assert found.rows == 20_000


def test_the_common_line_is_the_logistic_regression_of_all_labels_together():
    scores, targets = draw(3000, [0.8, 2.0], [0.3, -1.0])
    found = fit_label_calibration(scores, targets, per_label=False)
    expected = platt(scores, targets)
    assert (found.slopes[0], found.intercepts[0]) == pytest.approx(expected, abs=5e-3)
    assert found.slopes[0] == found.slopes[1]
    assert found.probability(scores) == pytest.approx(sigmoid(scores * expected[0] + expected[1]), abs=2e-3)


def test_a_label_without_positives_stays_near_the_common_line():
    scores, targets = draw(2000, [1.5, 1.5, 1.5], [0.0, 0.0, 0.0])
    scores, targets = scores[:], targets.copy()
    few = slice(0, 10)
    lone = fit_label_calibration(scores[few], targets[few] & [[True, True, False]])
    common = fit_label_calibration(scores[few], targets[few] & [[True, True, False]], per_label=False)
    assert lone.slopes[2] == pytest.approx(common.slopes[2], rel=0.35)
    assert np.isfinite(lone.intercepts).all()
    # With a hundred times the rows the same label goes its own way
    many = fit_label_calibration(scores, targets & [[True, True, False]])
    assert many.intercepts[2] < lone.intercepts[2]


def test_scores_of_another_scale_give_the_same_probabilities():
    scores, targets = draw(500, [1.0, 2.0], [0.0, -1.0])
    one, other = fit_label_calibration(scores, targets), fit_label_calibration(scores * 100, targets)
    assert other.probability(scores * 100) == pytest.approx(one.probability(scores), abs=1e-6)


def test_probabilities_are_as_frequent_as_they_say():
    scores, targets = draw(8000, [3.0, 0.5, 1.0], [-2.0, 0.0, 1.0])
    found = fit_label_calibration(scores[:4000], targets[:4000]).probability(scores[4000:])
    for label in range(3):
        low = found[:, label] < np.median(found[:, label])
        for part in (low, ~low):
            assert found[part, label].mean() == pytest.approx(targets[4000:][part, label].mean(), abs=0.03)


def test_perfect_scores_do_not_make_certain():
    targets = np.random.default_rng(0).random((100, 2)) < 0.4
    found = fit_label_calibration(np.where(targets, 1.0, -1.0), targets)
    chance = found.probability(np.where(targets, 1.0, -1.0))
    assert chance[targets].min() < 0.995
    assert chance[~targets].max() > 0.002
    assert chance[targets].min() > 0.9


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_without_positives_or_negatives_nothing_is_fitted(share):
    scores = np.random.default_rng(0).normal(size=(60, 3))
    found = fit_label_calibration(scores, np.full(scores.shape, share) > 0.5)
    assert found == LabelCalibration.none(3)
    assert found.log_odds(scores) == pytest.approx(scores)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 4), st.floats(-3, 3))
def test_every_calibration_is_increasing_and_survives_json(seed, rows, labels, slope):
    scores, targets = draw(rows, [slope] * labels, [-1.0] * labels, seed)
    found = fit_label_calibration(scores, targets)
    assert min(found.slopes) > 0
    grid = np.repeat(np.linspace(-50, 50, 11)[:, None], labels, axis=1)
    values = found.probability(grid)
    assert ((values > 0) & (values < 1)).all()
    assert (np.diff(values, axis=0) >= 0).all()
    assert LabelCalibration.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    "numbers",
    [
        {"slopes": (1.0,), "intercepts": (0.0, 0.0)},
        {"slopes": (0.0,), "intercepts": (0.0,)},
        {"slopes": (1.0,), "intercepts": (float("nan"),)},
    ],
)
def test_a_line_that_is_none_is_refused(numbers):
    with pytest.raises(ValidationError):
        LabelCalibration(**numbers)
