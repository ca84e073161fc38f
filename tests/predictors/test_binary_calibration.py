"""Calibrations of probabilities: increasing, as other libraries compute them, and honest about little data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from augury.predictors.binary_calibration import BinaryCalibration, fit_binary_calibration

METHODS = ["beta", "sigmoid", "spline", "isotonic", "none", "auto"]


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def draw(rows, truth, seed=0, centre=-1.0):
    """Probabilities of a model, and outcomes of the true ones."""
    random = np.random.default_rng(seed)
    probability = sigmoid(random.normal(centre, 1.5, rows))
    return probability, random.random(rows) < truth(probability)


def bent(probability):
    """A beta map: c + 0.6 ln p - 1.4 ln(1 - p)."""
    return sigmoid(0.3 + 0.6 * np.log(probability) - 1.4 * np.log(1 - probability))


def test_beta_is_a_logistic_regression_of_both_logarithms():
    probability, actual = draw(30_000, bent)
    found = fit_binary_calibration(probability, actual, "beta")
    parts = np.column_stack([np.log(probability), -np.log(1 - probability)])
    model = LogisticRegression(C=1e9, tol=1e-8, max_iter=1000).fit(parts, actual)
    assert [*found.slopes, found.intercept] == pytest.approx([*model.coef_[0], model.intercept_[0]], abs=5e-3)
    assert found.slopes == pytest.approx((0.6, 1.4), abs=0.1)
    assert np.abs(found.probability(probability) - bent(probability)).max() < 0.02


def test_a_slope_that_would_be_negative_is_zero_and_the_other_one_is_fitted_anew():
    # Rises with -ln(1-p) only, and more steeply than a free slope of ln p would allow
    probability, actual = draw(20_000, lambda p: sigmoid(-1.0 - 0.5 * np.log(p) - 2.0 * np.log(1 - p)), centre=1.0)
    found = fit_binary_calibration(probability, actual, "beta")
    assert found.slopes[0] == 0.0
    model = LogisticRegression(C=1e9, tol=1e-8, max_iter=1000).fit(-np.log(1 - probability)[:, None], actual)
    assert (found.slopes[1], found.intercept) == pytest.approx((model.coef_[0, 0], model.intercept_[0]), abs=5e-3)


def test_sigmoid_is_a_line_in_the_log_odds():
    probability, actual = draw(30_000, lambda p: sigmoid(0.5 + 0.7 * np.log(p / (1 - p))))
    found = fit_binary_calibration(probability, actual, "sigmoid")
    assert found.slopes[0] == found.slopes[1] == pytest.approx(0.7, abs=0.05)
    assert found.intercept == pytest.approx(0.5, abs=0.06)


def test_isotonic_is_that_of_scikit_learn_away_from_certainty():
    probability, actual = draw(8_000, bent)
    found = fit_binary_calibration(probability, actual, "isotonic")
    model = IsotonicRegression(out_of_bounds="clip").fit(probability, actual)
    asked = np.linspace(0.001, 0.999, 500)
    expected = np.clip(model.predict(asked), 1 / 8002, 1 - 1 / 8002)
    assert found.probability(asked) == pytest.approx(expected, abs=1e-12)
    assert 0 < found.probability(np.array([0.0]))[0] < found.probability(np.array([1.0]))[0] < 1


@pytest.mark.parametrize(("rows", "rate"), [(4_999, 0.5), (20_000, 0.04)])
def test_isotonic_of_few_rows_or_positives_becomes_beta(rows, rate, caplog):
    probability, actual = draw(rows, lambda p: np.full(len(p), rate))
    assert fit_binary_calibration(probability, actual, "isotonic").method == "beta"
    assert "Isotonic calibration needs" in caplog.text


@settings(max_examples=60)
@given(st.integers(0, 1000), st.integers(1, 200), st.sampled_from(METHODS), st.floats(-6, 3), st.floats(-2, 2))
def test_every_calibration_is_increasing_and_survives_json(seed, rows, method, centre, slope):
    probability, actual = draw(rows, lambda p: sigmoid(slope * np.log(p / (1 - p))), seed, centre)
    found = fit_binary_calibration(probability, actual, method)
    values = found.probability(np.linspace(0, 1, 101))
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values) >= 0).all()
    assert values[-1] > values[0]
    assert BinaryCalibration.model_validate_json(found.model_dump_json()) == found


def test_log_odds_and_probabilities_lead_to_the_same():
    probability, actual = draw(6_000, bent)
    for method in METHODS:
        found = fit_binary_calibration(probability, actual, method)
        log_odds = np.log(probability) - np.log1p(-probability)
        assert found.of_log_odds(log_odds) == pytest.approx(found.probability(probability), abs=1e-12)
    assert (BinaryCalibration().of_log_odds(np.array([-800.0, 800.0])) == [0.0, 1.0]).all()


def test_a_few_rare_positives_do_not_bend_the_map():
    # All probabilities are small: nothing to fit the second slope to
    random = np.random.default_rng(3)
    probability = sigmoid(random.normal(-4.5, 0.7, 600))
    actual = random.random(600) < probability
    found = fit_binary_calibration(probability, actual, "beta")
    assert found.slopes[1] == pytest.approx(1.0, abs=0.5)


@pytest.mark.parametrize("positives", [0, 1, 199, 200])
def test_with_a_single_case_of_a_class_nothing_is_changed(positives):
    actual = np.arange(200) < positives
    assert fit_binary_calibration(np.full(200, 0.3), actual, "beta").method == "none"


def test_auto_takes_what_serves_groups_that_it_was_not_fitted_to():
    probability, actual = draw(4_000, lambda p: sigmoid(0.3 + 0.5 * np.log(p / (1 - p))))
    assert fit_binary_calibration(probability, actual, "auto").method in ("sigmoid", "beta")
    # Steps that only isotonic can follow
    probability, actual = draw(30_000, lambda p: np.where(p > 0.3, 0.8, 0.1))
    assert fit_binary_calibration(probability, actual, "auto").method == "isotonic"
    # A group's own quirk at its own probability would be learned by heart, if it judged itself
    groups = np.repeat(np.arange(200), 40)
    random = np.random.default_rng(0)
    probability = np.repeat(random.uniform(0.2, 0.8, 200), 40)
    shift = np.repeat(random.normal(0, 1.5, 200), 40)
    actual = random.random(8_000) < sigmoid(np.log(probability / (1 - probability)) + shift)
    assert fit_binary_calibration(probability, actual, "auto", groups=groups).method != "isotonic"


def test_a_spline_follows_what_no_beta_map_can():
    def wavy(probability):
        logit = np.log(probability / (1 - probability))
        return sigmoid(logit + 0.5 * np.sin(2 * logit))

    probability, actual = draw(40_000, wavy)
    errors = {
        method: np.abs(fit_binary_calibration(probability, actual, method).probability(probability) - wavy(probability))
        for method in ("beta", "spline")
    }
    assert errors["spline"].mean() < 0.7 * errors["beta"].mean()


@pytest.mark.parametrize(
    "broken",
    [
        {"method": "beta", "slopes": (-0.1, 1.0)},
        {"method": "beta", "slopes": (0.0, 0.0)},
        {"method": "isotonic"},
        {"method": "spline"},
        {"method": "isotonic", "knots": (0.2, 0.1), "values": (0.1, 0.2)},
        {"method": "isotonic", "knots": (0.1, 0.2), "values": (0.2, 0.1)},
        {"method": "beta", "intercept": float("nan")},
    ],
)
def test_what_is_no_increasing_map_is_refused(broken):
    with pytest.raises(ValueError, match=r"calibration|knots"):
        BinaryCalibration.model_validate(broken)


def test_auto_does_not_bend_to_a_handful_of_positives():
    random = np.random.default_rng(5)
    truth = random.beta(0.4, 20, 1400)
    for _ in range(20):
        actual = random.random(len(truth)) < truth
        found = fit_binary_calibration(truth, actual, "auto")
        assert found.method in ("none", "sigmoid")
        if actual.sum() < 50:
            np.testing.assert_array_equal(found.probability(truth), truth)
