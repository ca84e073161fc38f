"""Goodness of fit: against sums by hand, scipy, simulated levels, and what the order of the rows must not change."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from augury.metrics.calibration import equal_mass_bins
from augury.metrics.goodness_of_fit import (
    ANDERSON_DARLING_5_PCT,
    GOODNESS_OF_FIT,
    anderson_darling,
    goodness_of_fit,
    hosmer_lemeshow,
    log_loss_skill,
    probability_integral_transform,
    spiegelhalter_z,
)


def forecast(rows: int = 2000, seed: int = 0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    odds = random.normal(-1, 1.5, rows)
    return random.random(rows) < 1 / (1 + np.exp(-odds - shift)), 1 / (1 + np.exp(-odds))


def test_hosmer_lemeshow_is_pearsons_chi_squared_of_both_classes() -> None:
    actual, probability = forecast()
    bins = equal_mass_bins(probability, 10)
    expected = 0.0
    for code in range(10):
        inside = bins == code
        for hits, chance in ((actual, probability), (~actual, 1 - probability)):
            expected += (hits[inside].sum() - chance[inside].sum()) ** 2 / chance[inside].sum()
    assert hosmer_lemeshow(actual, probability) == (pytest.approx(expected), 10)
    assert goodness_of_fit(actual, probability, 0)["hosmer_lemeshow_p"] == pytest.approx(stats.chi2.sf(expected, 10))


def test_few_distinct_probabilities_make_fewer_groups() -> None:
    actual = np.array([True, False, False, True, True, False])
    statistic, groups = hosmer_lemeshow(actual, np.array([0.2, 0.2, 0.2, 0.7, 0.7, 0.7]))
    assert groups == 2
    assert statistic == pytest.approx((1 - 0.6) ** 2 / (0.6 * 0.8) + (2 - 2.1) ** 2 / (2.1 * 0.3))


def test_true_probabilities_are_rejected_as_often_as_the_level_says() -> None:
    rejected = np.zeros(3)
    random = np.random.default_rng(1)
    for trial in range(400):
        probability = random.beta(0.8, 2, 500)
        found = goodness_of_fit(random.random(500) < probability, probability, trial)
        rejected += [
            found["hosmer_lemeshow_p"] < 0.05,
            found["spiegelhalter_p"] < 0.05,
            found["anderson_darling"] > ANDERSON_DARLING_5_PCT,
        ]
    # Binomial(400, 0.05): 20 +- 4.4; the first is somewhat liberal where groups expect few positives
    assert (rejected >= 7).all()
    assert (rejected <= 40).all()


def test_shifted_probabilities_are_rejected_by_all() -> None:
    found = goodness_of_fit(*forecast(5000, shift=0.7), seed=0)
    assert found["hosmer_lemeshow_p"] < 1e-6
    assert found["spiegelhalter_p"] < 1e-3
    assert found["anderson_darling"] > 10


def test_spiegelhalter_is_the_standardised_brier_score() -> None:
    actual, probability = forecast(300)
    brier = ((actual - probability) ** 2).sum()
    mean = (probability * (1 - probability)).sum()
    # Variance of (y - p)^2 for y drawn with p: its two values are (1 - p)^2 and p^2
    variance = (probability * (1 - probability) * ((1 - probability) ** 2 - probability**2) ** 2).sum()
    assert spiegelhalter_z(actual, probability) == pytest.approx((brier - mean) / math.sqrt(variance))
    assert math.isnan(spiegelhalter_z(np.array([True, False]), np.array([0.5, 0.5])))


def test_anderson_darling_is_the_integral_that_defines_it() -> None:
    values = np.random.default_rng(3).beta(1.3, 1, 40)
    # A^2 = n * integral of (F_n(u) - u)^2 / (u (1 - u)) du, by the midpoints of a fine grid
    grid = (np.arange(2_000_000) + 0.5) / 2_000_000
    empirical = np.searchsorted(np.sort(values), grid, side="right") / len(values)
    integral = ((empirical - grid) ** 2 / (grid * (1 - grid))).mean()
    assert anderson_darling(values) == pytest.approx(len(values) * integral, rel=1e-3)


def test_the_transform_of_true_probabilities_is_uniform_and_of_others_is_not() -> None:
    actual, probability = forecast(4000, seed=5)
    assert stats.kstest(probability_integral_transform(actual, probability, 1), "uniform").pvalue > 0.01
    assert stats.kstest(probability_integral_transform(actual, probability**2, 1), "uniform").pvalue < 1e-6


def test_the_transform_puts_positives_above_one_less_their_probability() -> None:
    found = probability_integral_transform(np.array([True, False]), np.array([0.3, 0.6]), 0)
    assert 0.7 <= found[0] <= 1
    assert 0 <= found[1] <= 0.4


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.25, 0.5, 0.8])), min_size=2, max_size=40), st.randoms()
)
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple[bool, float]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    both = []
    for some in (rows, shuffled):
        actual, probability = (np.array(column) for column in zip(*some, strict=True))
        both.append(goodness_of_fit(actual.astype(bool), probability.astype(float), 7))
    assert both[0] == pytest.approx(both[1])


def test_skill_is_nothing_for_the_prevalence_and_all_for_certainty() -> None:
    share = 0.3
    entropy = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    assert log_loss_skill(entropy, share) == pytest.approx(0)
    assert log_loss_skill(0.0, share) == 1
    assert math.isnan(log_loss_skill(0.1, 0.0))


def test_exact_zeros_and_ones_and_a_single_class_give_no_infinities() -> None:
    found = goodness_of_fit(np.array([True, False, True]), np.array([0.0, 0.0, 1.0]), 0)
    assert tuple(found) == GOODNESS_OF_FIT
    assert all(value is None or math.isfinite(value) for value in found.values())
    assert goodness_of_fit(np.array([False, False]), np.array([0.1, 0.2]), 0)["log_loss_skill"] is None
