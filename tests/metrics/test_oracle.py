"""Metrics of a perfect forecast, against scikit-learn with weights and with drawn outcomes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from augury.metrics.oracle import oracle_metrics

PROBABILITIES = st.lists(st.floats(0.001, 0.999) | st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]), min_size=2, max_size=40)


@settings(max_examples=30)
@given(PROBABILITIES)
def test_each_row_is_both_a_positive_and_a_negative_by_its_weight(values):
    p = np.array(values)
    if p.sum() in (0, len(p)):
        return
    actual, score, weight = np.repeat([1, 0], len(p)), np.tile(p, 2), np.concatenate([p, 1 - p])
    found = oracle_metrics(p)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(actual, score, sample_weight=weight))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(actual, score, sample_weight=weight))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(actual, score, sample_weight=weight), abs=1e-12)
    for threshold in (0.5, 0.7):
        called = score >= threshold
        expected = metrics.precision_score(actual, called, sample_weight=weight, zero_division=np.nan)
        assert found[f"precision_at_{threshold}"] == pytest.approx(expected, nan_ok=True)
        assert found[f"recall_at_{threshold}"] == pytest.approx(
            metrics.recall_score(actual, called, sample_weight=weight)
        )


def test_large_samples_tend_to_the_metrics():
    rng = np.random.default_rng(3)
    p = rng.beta(0.5, 1.5, 400_000)
    actual = rng.random(len(p)) < p
    found = oracle_metrics(p)
    assert metrics.roc_auc_score(actual, p) == pytest.approx(found["roc_auc"], abs=0.002)
    assert metrics.log_loss(actual, p) == pytest.approx(found["log_loss"], abs=0.003)
    assert metrics.brier_score_loss(actual, p) == pytest.approx(found["brier"], abs=0.002)
    assert actual[p >= 0.7].mean() == pytest.approx(found["precision_at_0.7"], abs=0.005)
    base = metrics.log_loss(actual, np.full(len(p), actual.mean()))
    assert found["log_loss_skill"] == pytest.approx(1 - metrics.log_loss(actual, p) / base, abs=0.005)


def test_what_is_undefined_is_nan():
    certain = oracle_metrics(np.ones(3))
    assert np.isnan(certain["roc_auc"]) and np.isnan(certain["log_loss_skill"])
    assert certain["log_loss"] == 0
    never = oracle_metrics(np.zeros(3), thresholds=(0.7,))
    assert np.isnan(never["precision_at_0.7"]) and np.isnan(never["recall_at_0.7"])
    assert oracle_metrics(np.full(4, 0.3))["roc_auc"] == 0.5


@pytest.mark.parametrize("values", [[], [0.5, np.nan], [1.1], [-0.1], [[0.5]]])
def test_what_is_no_probability_is_refused(values):
    with pytest.raises(ValueError, match="between 0 and 1"):
        oracle_metrics(np.array(values, dtype=float))
