"""Calibration: against scikit-learn and a logistic regression, and what a perfect model scores."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from augury.metrics.calibration import (
    calibration_metrics,
    equal_mass_bins,
    equal_width_bins,
    log_odds,
    resampled_calibration_error,
    resampled_calibration_line,
    resampled_debiased_error,
)


def sample(rows: int = 4000, bias: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    odds = random.normal(-3, 1.5, rows)
    return random.random(rows) < 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-odds - bias))


def test_losses_and_errors_agree_with_scikit_learn() -> None:
    actual, probability = sample(bias=0.5)
    found = calibration_metrics(actual, probability, 15)
    assert found["brier"] == pytest.approx(brier_score_loss(actual, probability))
    assert found["log_loss"] == pytest.approx(log_loss(actual, probability))
    observed, promised = calibration_curve(actual, probability, n_bins=15, strategy="uniform")
    sizes = np.unique(equal_width_bins(probability, 15), return_counts=True)[1]
    assert found["ece_width"] == pytest.approx(np.sum(sizes * np.abs(observed - promised)) / len(actual))
    frame = pd.DataFrame({"actual": actual, "probability": probability, "bin": pd.qcut(probability, 15)})
    means = frame.groupby("bin", observed=True).mean()
    shares = frame.groupby("bin", observed=True).size() / len(frame)
    assert found["ece"] == pytest.approx((shares * (means["actual"] - means["probability"]).abs()).sum())


def test_slope_and_intercept_are_those_of_a_logistic_regression() -> None:
    actual, probability = sample(bias=0.7)
    sharpened = 1 / (1 + np.exp(-2 * log_odds(probability)))
    found = calibration_metrics(actual, sharpened, 15)
    fitted = LogisticRegression(C=math.inf, tol=1e-10, max_iter=1000).fit(log_odds(sharpened)[:, None], actual)
    assert found["calibration_slope"] == pytest.approx(fitted.coef_[0, 0], abs=1e-4)
    # With the slope held at 1, the mean of the shifted probabilities is the share of positives
    shifted = 1 / (1 + np.exp(-log_odds(sharpened) - found["calibration_in_the_large"]))
    assert shifted.mean() == pytest.approx(actual.mean())


def test_true_probabilities_have_a_small_error_and_the_debiased_one_is_smaller() -> None:
    actual, probability = sample(rows=40_000)
    found = calibration_metrics(actual, probability, 15)
    assert found["ece"] < 0.006
    assert found["ece_l2_debiased"] < 0.005
    assert found["calibration_slope"] == pytest.approx(1, abs=0.05)
    assert found["calibration_in_the_large"] == pytest.approx(0, abs=0.1)
    small = [calibration_metrics(*sample(300, seed=seed), 15) for seed in range(10)]
    assert np.mean([values["ece_l2_debiased"] for values in small]) < np.mean([values["ece"] for values in small])


def test_the_debiased_error_by_hand() -> None:
    actual = np.array([True] + [False] * 9 + [True] * 6 + [False] * 4)
    probability = np.array([0.1] * 10 + [0.9] * 10)
    expected = ((0.1 - 0.1) ** 2 - 0.09 / 9 + (0.9 - 0.6) ** 2 - 0.24 / 9) / 2
    assert calibration_metrics(actual, probability, 2)["ece_l2_debiased"] == pytest.approx(math.sqrt(expected))


def test_equal_probabilities_share_a_bin_in_any_order() -> None:
    probability = np.array([0.0] * 90 + [0.2, 0.4, 0.4, 0.7, 1.0])
    bins = equal_mass_bins(probability, 15)
    assert set(bins[:90]) == {0}
    assert bins[91] == bins[92]
    assert bins[-1] > bins[0]
    shuffled = np.random.default_rng(1).permutation(len(probability))
    assert (equal_mass_bins(probability[shuffled], 15) == bins[shuffled]).all()
    assert equal_width_bins(np.array([0.0, 0.5, 0.51, 1.0]), 2).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("actual", "probability"),
    [([True, True], [0.2, 0.9]), ([False], [0.0]), ([False, True], [0.3, 0.3]), ([False, True], [0.0, 1.0])],
)
def test_what_cannot_be_fitted_is_none_and_nothing_is_infinite(actual: list[bool], probability: list[float]) -> None:
    found = calibration_metrics(np.array(actual), np.array(probability), 15)
    assert found["calibration_slope"] is None
    assert all(value is None or math.isfinite(value) for value in found.values())


def test_the_error_of_a_resample_keeps_the_bins() -> None:
    actual, probability = sample(600)
    codes = np.random.default_rng(2).integers(0, 20, 600)
    codes[:20] = np.arange(20)
    error = resampled_calibration_error(actual, probability, 10, codes)
    assert error(np.ones((1, 20)))["ece"][0] == pytest.approx(calibration_metrics(actual, probability, 10)["ece"])
    counts = np.random.default_rng(5).integers(0, 3, 20)
    rows = np.repeat(np.arange(600), counts[codes])
    bins = equal_mass_bins(probability, 10)[rows]
    gaps = [abs((probability - actual)[rows][bins == code].sum()) for code in range(10)]
    assert error(counts[None, :].astype(float))["ece"][0] == pytest.approx(sum(gaps) / len(rows))


def clustered(seed: int = 0, groups: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    codes = np.sort(random.integers(0, groups, 4000))
    odds = random.normal(-1, 1.5, 4000)
    actual = random.random(4000) < 1 / (1 + np.exp(-0.8 * odds - 0.2 - random.normal(0, 0.4, groups)[codes]))
    return actual, 1 / (1 + np.exp(-odds)), codes


def test_the_line_of_resamples_is_nearly_that_of_a_fit_to_each() -> None:
    actual, probability, codes = clustered()
    random = np.random.default_rng(1)
    counts = random.multinomial(80, [1 / 80] * 80, size=60).astype(float)
    found = resampled_calibration_line(actual, probability, codes)(counts)
    fitted = []
    for drawn in counts:
        rows = np.repeat(np.arange(4000), drawn[codes].astype(int))
        fit = calibration_metrics(actual[rows], probability[rows], 15)
        fitted.append([fit["calibration_slope"], fit["calibration_in_the_large"]])
    for values, name in zip(np.array(fitted).T, ("calibration_slope", "calibration_in_the_large"), strict=True):
        assert found[name] == pytest.approx(values, abs=0.2 * values.std())


def test_drawing_every_group_once_gives_the_line_of_the_sample() -> None:
    actual, probability, codes = clustered()
    found = resampled_calibration_line(actual, probability, codes)(np.ones((1, 80)))
    whole = calibration_metrics(actual, probability, 15)
    assert found["calibration_slope"][0] == pytest.approx(whole["calibration_slope"], abs=1e-9)
    assert found["calibration_in_the_large"][0] == pytest.approx(whole["calibration_in_the_large"], abs=1e-9)


def test_one_class_has_no_line_in_resamples_either() -> None:
    nobody = np.zeros(10, dtype=bool)
    assert resampled_calibration_line(nobody, np.linspace(0.1, 0.5, 10), np.arange(10))(np.ones((2, 10))) == {}


def test_the_interval_of_the_debiased_error_holds_the_true_error() -> None:
    random = np.random.default_rng(4)
    held = {0.0: 0, 0.08: 0}
    codes = np.arange(2000) % 250
    for error in held:
        for _ in range(60):
            truth = random.uniform(0.2, 0.7, 2000)
            actual = random.random(2000) < truth
            resampled = resampled_debiased_error(actual, truth + error, 10, codes)
            counts = random.multinomial(250, [1 / 250] * 250, size=150).astype(float)
            lower, upper = np.quantile(resampled(counts)["ece_l2_debiased"], [0.025, 0.975])
            held[error] += lower <= error <= upper
    assert held[0.0] >= 54
    assert held[0.08] >= 50


def test_the_debiased_error_of_the_sample_takes_chance_off_once_more_in_resamples() -> None:
    actual, probability, codes = clustered()
    counts = np.ones((1, 80))
    mass = equal_mass_bins(probability, 10)
    rows = np.bincount(mass)
    share, mean = (np.bincount(mass, weights=values) / rows for values in (actual, probability))
    chance = share * (1 - share) / (rows - 1)
    expected = math.sqrt(max(0, (rows * ((mean - share) ** 2 - 2 * chance)).sum() / rows.sum()))
    assert resampled_debiased_error(actual, probability, 10, codes)(counts)["ece_l2_debiased"][0] == pytest.approx(
        expected
    )
