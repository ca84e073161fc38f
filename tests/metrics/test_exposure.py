import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.metrics import exposure


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=20).filter(any))
def test_gini_is_the_mean_difference_over_twice_the_mean(counts):
    counts = np.array(counts)
    expected = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    assert exposure.gini(counts) == pytest.approx(expected)


def test_nothing_recommended_has_no_gini():
    assert math.isnan(exposure.gini(exposure.exposures([], 10, 5)))


def test_exposures_count_the_first_items():
    lists = [np.array([1, 2, 3]), np.array([1]), np.array([], dtype=np.int32)]
    assert exposure.exposures(lists, 2, 5).tolist() == [0, 2, 1, 0, 0]
    means = exposure.mean_of_lists(np.arange(5.0), lists, 2)
    assert means[:2].tolist() == [1.5, 1.0]
    assert math.isnan(means[2])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_percentiles_have_the_mean_one_half(interactions):
    found = exposure.popularity_percentiles(np.array(interactions))
    assert found.mean() == pytest.approx(0.5)
    assert ((found > 0) & (found < 1)).all() or len(interactions) == 1
