"""Decisions: against scikit-learn, the normalised expected cost by hand, and what is undefined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from augury.metrics.decisions import expected_costs, indifferent_threshold, rates


def test_rates_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    actual, decided = random.random(500) < 0.3, random.random(500) < 0.4
    true_negative, alarms, missed, found = sklearn_metrics.confusion_matrix(actual, decided).ravel()
    values = rates(found, alarms, actual.sum(), (~actual).sum(), 100)
    assert values["recall"] == pytest.approx(sklearn_metrics.recall_score(actual, decided))
    assert values["precision"] == pytest.approx(sklearn_metrics.precision_score(actual, decided))
    assert values["f1"] == pytest.approx(sklearn_metrics.f1_score(actual, decided))
    assert values["fnr"] == pytest.approx(missed / (missed + found))
    assert values["fpr"] == pytest.approx(alarms / (alarms + true_negative))
    assert values["positive_share"] == pytest.approx(decided.mean())
    assert values["false_omission_rate"] == pytest.approx(missed / (missed + true_negative))


def test_the_normalised_cost_of_a_published_confusion_matrix() -> None:
    # 349,681 of 581,596 heavy queries caught with 1,115,620 false alarms among 14,518,154 light ones, 100:1
    found = rates(349_681, 1_115_620, 349_681 + 231_915, 13_402_534 + 1_115_620, 100)
    assert 100 * 231_915 + 1_115_620 == 24_307_120
    assert found["nec"] == pytest.approx(24_307_120 / 14_518_154)
    assert found["recall"] == pytest.approx(0.6012, abs=1e-4)


@pytest.mark.parametrize(
    ("ratio", "found", "alarms", "expected"),
    [
        # 10 positives and 90 negatives: all positive costs 90, none costs 10 x ratio
        (100, 10, 90, 1.0),
        (100, 0, 0, 1000 / 90),
        (100, 10, 0, 0.0),
        (100, 9, 20, 120 / 90),
        (2, 9, 20, 22 / 20),
        (2, 0, 0, 1.0),
        (2, 10, 90, 90 / 20),
    ],
)
def test_the_normalised_cost_by_hand(ratio: float, found: int, alarms: int, expected: float) -> None:
    assert rates(found, alarms, 10, 90, ratio)["nec"] == pytest.approx(expected)


def test_what_is_undefined_is_not_finite() -> None:
    without_positives = rates(0, 3, 0, 10, 100)
    assert not any(math.isfinite(without_positives[name]) for name in ("recall", "fnr", "nec"))
    assert without_positives["fpr"] == pytest.approx(0.3)
    without_decisions = rates(0, 0, 5, 10, 100)
    assert math.isnan(without_decisions["precision"])
    assert without_decisions["f1"] == 0
    assert math.isnan(rates(5, 10, 5, 10, 100)["false_omission_rate"])


@given(st.integers(0, 30), st.integers(0, 70), st.floats(0.1, 1000))
def test_no_decision_is_better_than_free_and_the_trivial_ones_cost_at_least_one(
    found: int, alarms: int, ratio: float
) -> None:
    assert rates(found, alarms, 30, 70, ratio)["nec"] >= 0
    trivial = [rates(30, 70, 30, 70, ratio)["nec"], rates(0, 0, 30, 70, ratio)["nec"]]
    assert min(trivial) == pytest.approx(1)


def test_the_cost_of_each_threshold() -> None:
    random = np.random.default_rng(1)
    actual = random.random(200) < 0.2
    score = np.round(random.random(200) + actual, 1)
    thresholds = np.array([-1.0, 0.3, 0.35, 1.0, 9.0])
    for threshold, cost in zip(thresholds, expected_costs(actual, score, thresholds, 10), strict=True):
        decided = score >= threshold
        misses, alarms = (actual & ~decided).sum(), (~actual & decided).sum()
        assert cost == pytest.approx((10 * misses + alarms) / min(10 * actual.sum(), (~actual).sum()))


def test_true_probabilities_are_cheapest_at_the_indifferent_threshold() -> None:
    assert indifferent_threshold(100) == pytest.approx(1 / 101)
    random = np.random.default_rng(2)
    probability = random.beta(0.3, 6, 200_000)
    actual = random.random(200_000) < probability
    grid = np.geomspace(1e-4, 0.5, 200)
    at = expected_costs(actual, probability, np.array([indifferent_threshold(100)]), 100)[0]
    assert at == pytest.approx(expected_costs(actual, probability, grid, 100).min(), abs=0.01)
