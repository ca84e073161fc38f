"""Operating points: the exact optimum over all thresholds, and a recall that is surely reached."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from augury.pipelines.model_training.operating_points import (
    bayes_threshold,
    cost_optimal,
    decision_table,
    expected_cost,
    recall_lower_bound,
    smallest_share,
)

# A few levels, so that many rows have the same probability
PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=1, max_size=40)


def split(pairs):
    probability, heavy = zip(*pairs, strict=True)
    return np.array(probability), np.array(heavy)


def costs_of_all_thresholds(probability, heavy, ratio):
    """By trying every threshold that could make a difference, one after the other."""
    found = {}
    for threshold in [*np.unique(probability), 2.0]:
        routed = probability >= threshold
        found[threshold] = (routed & ~heavy).sum() + ratio * (~routed & heavy).sum()
    return found


@given(PAIRS, st.sampled_from([0.5, 1.0, 3.0, 100.0]))
def test_no_threshold_is_cheaper_than_the_cost_optimal_one(pairs, ratio):
    probability, heavy = split(pairs)
    found = cost_optimal(probability, heavy, ratio)
    routed = probability >= found["threshold"]
    cost = (routed & ~heavy).sum() + ratio * (~routed & heavy).sum()
    assert cost == pytest.approx(min(costs_of_all_thresholds(probability, heavy, ratio).values()))


@given(PAIRS)
def test_every_row_of_the_table_is_what_its_threshold_does(pairs):
    probability, heavy = split(pairs)
    table = decision_table(probability, heavy)
    assert len(table) == len(np.unique(probability)) + 1
    for row in table.itertuples():
        routed = probability >= row.threshold
        assert (row.routed, row.caught, row.false_alarms) == (
            routed.sum(),
            (routed & heavy).sum(),
            (routed & ~heavy).sum(),
        )


@given(PAIRS, st.lists(st.integers(1, 5), min_size=40, max_size=40))
def test_a_weight_is_worth_as_many_rows(pairs, weights):
    probability, heavy = split(pairs)
    weight = np.array(weights[: len(pairs)])
    weighted = decision_table(probability, heavy, weight)
    repeated = decision_table(np.repeat(probability, weight), np.repeat(heavy, weight))
    columns = ["threshold", "routed", "caught", "false_alarms"]
    np.testing.assert_allclose(weighted[columns], repeated[columns])


def test_thresholds_are_far_from_all_probabilities():
    probability = np.array([0.1, 0.2, 0.2, 0.6])
    table = decision_table(probability, probability > 0.15)
    # Halfway in log odds: odds of 1/9, 1/4, 1/4 and 3/2
    expected = [0.8, *(odds / (1 + odds) for odds in (np.sqrt(3 / 8), 1 / 6)), 0.0]
    assert table["threshold"].tolist() == pytest.approx(expected)
    assert table["low"].tolist() == [0.6, 0.2, 0.1, -np.inf]
    assert table["high"].tolist() == [np.inf, 0.6, 0.2, 0.1]


def test_the_bayes_threshold_is_taken_where_none_is_cheaper():
    probability = np.array([0.9, 0.8, 0.001, 0.002])
    heavy = probability > 0.5
    assert cost_optimal(probability, heavy, 100)["threshold"] == bayes_threshold(100)
    # At 0.002 a light row would be routed in vain
    assert cost_optimal(probability, heavy, 1000)["threshold"] == pytest.approx(
        np.sqrt(4 * 0.002 / 0.998) / 1.0, rel=0.1
    )


def test_two_neighbouring_floats_are_still_told_apart():
    probability = np.array([0.5, np.nextafter(0.5, 1)])
    table = decision_table(probability, np.array([False, True]))
    assert [(probability >= threshold).sum() for threshold in table["threshold"]] == [0, 1, 2]


def test_expected_cost_is_relative_to_the_cheaper_constant_decision():
    probability = np.array([0.9, 0.2, 0.2, 0.1, 0.0])
    heavy = np.array([True, False, False, False, False])
    assert expected_cost(probability, heavy, 0.5, 100) == 0
    # All small costs 100, all heavy 4
    assert expected_cost(probability, heavy, 0.15, 100) == 2 / 4
    assert expected_cost(probability, heavy, 0.95, 100) == 100 / 4
    assert expected_cost(probability, heavy, 0.95, 2) == 1
    assert np.isnan(expected_cost(probability[1:], heavy[1:], 0.5, 100))


def test_calibrated_probabilities_are_cheapest_at_the_bayes_threshold():
    random = np.random.default_rng(0)
    probability = random.beta(0.3, 4, 200_000)
    heavy = random.random(len(probability)) < probability
    found = cost_optimal(probability, heavy, 100)
    assert found["bayes_threshold"] == bayes_threshold(100) == pytest.approx(1 / 101)
    assert found["threshold"] == pytest.approx(1 / 101, rel=0.4)
    assert 0 <= found["bayes_cost_gap"] < 0.01


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_lower_bound_is_scipys_own(heavies, share, confidence):
    caught = round(share * heavies)
    # SciPy's one-sided interval, computed its own way
    expected = binomtest(caught, heavies, alternative="greater").proportion_ci(confidence, method="exact").low
    assert recall_lower_bound(caught, heavies, confidence) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("heavies", "missed"), [(149, 0), (200, 0), (250, 1), (400, 3), (1000, 12)])
def test_the_smallest_share_is_as_small_as_its_bound_allows(heavies, missed):
    random = np.random.default_rng(heavies)
    probability = np.concatenate([random.uniform(0.3, 1, heavies), random.uniform(0, 0.7, 5000)])
    heavy = np.arange(len(probability)) < heavies
    found = smallest_share(probability, heavy, 0.98, 0.95)
    assert found["assured"] and found["heavies"] == heavies and found["missed"] == missed
    assert found["recall_lower_bound"] >= 0.98 > recall_lower_bound(heavies - missed - 1, heavies, 0.95)
    routed = probability >= found["threshold"]
    assert found["routed_share"] == routed.mean()
    assert (heavy & ~routed).sum() == missed
    # The next higher threshold that changes a decision misses one more
    assert (heavy & (probability <= probability[routed].min())).sum() == missed + 1


def test_too_few_heavy_rows_are_said_to_assure_nothing():
    probability = np.concatenate([np.linspace(0.4, 0.9, 148), np.linspace(0, 0.5, 1000)])
    heavy = np.arange(len(probability)) < 148
    found = smallest_share(probability, heavy, 0.98, 0.95)
    assert not found["assured"] and found["missed"] == 0 and found["recall"] == 1
    assert found["recall_lower_bound"] < 0.98
    assert (probability >= found["threshold"])[heavy].all()


def test_without_heavy_rows_nothing_is_routed():
    found = smallest_share(np.array([0.2, 0.9]), np.array([False, False]), 0.98, 0.95)
    assert found["routed_share"] == 0 and found["recall"] is None and not found["assured"]
