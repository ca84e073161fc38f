"""Calibration: monotone, close to the truth, and never further from it than a straight line by much."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from augury.predictors.probability_calibration import ProbabilityCalibration, fit_calibration


def draw(rows, truth, seed=0):
    """Scores with a bell shape, and outcomes of the true logit."""
    random = np.random.default_rng(seed)
    score = random.normal(-3, 2, rows)
    heavy = random.random(rows) < 1 / (1 + np.exp(-truth(score)))
    return score, heavy


def test_platt_is_a_logistic_regression_of_the_score():
    score, heavy = draw(4000, lambda s: 0.5 + 1.3 * s)
    weight = np.random.default_rng(1).uniform(0.5, 3, len(score))
    found = fit_calibration(score, heavy, weight, "platt")
    # Platt's targets are an observation more on each side of thousands
    model = LogisticRegression(C=1e9).fit(score[:, None], heavy, sample_weight=weight)
    assert found.slopes[0] == pytest.approx(model.coef_[0, 0], rel=0.02)
    assert found.intercepts[0] == pytest.approx(model.intercept_[0], abs=0.05)


@pytest.mark.parametrize("method", ["platt", "isotonic_linear"])
def test_the_sum_of_probabilities_is_the_number_of_heavy_rows(method):
    score, heavy = draw(5000, lambda s: 1 + 0.7 * s)
    weight = np.random.default_rng(2).choice([1.0, 20.0], len(score))
    found = fit_calibration(score, heavy, weight, method)
    assert np.sum(weight * found.probability(score)) == pytest.approx(np.sum(weight * heavy), rel=0.01)


def test_a_line_with_bends_follows_a_curve_that_a_straight_line_cannot():
    def truth(score):
        return np.where(score < -2, -1 + 2.5 * (score + 2), -1 + 0.4 * (score + 2))

    score, heavy = draw(30_000, truth)
    weight = np.ones(len(score))
    errors = {}
    for method in ("platt", "isotonic_linear"):
        found = fit_calibration(score, heavy, weight, method)
        errors[method] = np.abs(found.logit(score) - truth(score))[(score > -5) & (score < 1)].mean()
    assert errors["isotonic_linear"] < 0.35 * errors["platt"]


@given(
    st.integers(0, 1000),
    st.integers(20, 300),
    st.sampled_from(["platt", "isotonic_linear"]),
    st.floats(-2, 3),
    st.floats(0.01, 100),
)
def test_a_calibration_is_strictly_increasing_and_continuous(seed, rows, method, slope, spread):
    score, heavy = draw(rows, lambda s: slope * s, seed)
    found = fit_calibration(score * spread, heavy, np.ones(rows), method)
    places = np.sort(np.concatenate([np.linspace(score.min(), score.max(), 200) * spread, found.knots]))
    places = places[np.append(True, np.diff(places) > 1e-6 * spread)]
    logits = found.logit(places)
    assert (np.diff(logits) > 0).all()
    for knot in found.knots:
        beside = found.logit(np.array([np.nextafter(knot, -np.inf), knot]))
        assert beside[1] - beside[0] == pytest.approx(0, abs=1e-6 * max(1, np.abs(beside[1])))


@pytest.mark.parametrize("method", ["platt", "isotonic_linear"])
def test_scores_that_separate_the_classes_give_finite_probabilities(method):
    score = np.concatenate([np.linspace(-9, -5, 50), np.linspace(5, 9, 50)])
    found = fit_calibration(score, score > 0, np.ones(100), method)
    probability = found.probability(score)
    assert (probability > 0).all() and (probability < 1).all()
    assert probability[50:].min() > 0.9 > 0.1 > probability[:50].max()


@pytest.mark.parametrize("heavy", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]])
def test_a_class_of_fewer_than_two_rows_leaves_the_score_as_it_is(heavy):
    score = np.array([-1.0, 0.0, 0.5, 2.0])
    found = fit_calibration(score, np.array(heavy), np.ones(4), "platt")
    np.testing.assert_array_equal(found.logit(score), score)


def test_a_probability_is_the_logistic_function_of_the_piece():
    found = ProbabilityCalibration(
        method="isotonic_linear", knots=(-1.0, 2.0), intercepts=(0.0, 1.0, -3.0), slopes=(1.0, 2.0, 4.0)
    )
    # At a knot the piece above it holds
    expected = [-1.5, -1.0, 1.0, 5.0, 9.0]
    np.testing.assert_array_equal(found.logit(np.array([-1.5, -1.0, 0.0, 2.0, 3.0])), expected)
    np.testing.assert_allclose(found.probability(np.array([0.0])), 1 / (1 + np.exp(-1)))


@pytest.mark.parametrize(
    "changes",
    [
        {"slopes": (0.0,)},
        {"slopes": (1.0, 1.0)},
        {"knots": (0.0,)},
        {"intercepts": (float("nan"),)},
        {"knots": (1.0, 0.0), "slopes": (1.0,) * 3, "intercepts": (0.0,) * 3},
    ],
)
def test_a_damaged_calibration_is_refused(changes):
    with pytest.raises(ValueError):
        ProbabilityCalibration(**changes)
