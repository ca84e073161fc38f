"""Expanding folds: always forward, never torn, with a gap."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from augury.pipelines.model_training.time_series_folds import expanding_folds


def test_without_ties_and_gap_they_are_those_of_scikit_learn():
    times = pd.date_range("2026-01-01", periods=100)
    expected = list(TimeSeriesSplit(5).split(np.arange(100)))
    found = expanding_folds(times, 5)
    assert [(len(train), len(judged)) for train, judged in found] == [
        (len(train), len(judged)) for train, judged in expected
    ]
    for (train, judged), (other_train, other_judged) in zip(found, expected, strict=True):
        assert train.tolist() == other_train.tolist()
        assert judged.tolist() == other_judged.tolist()


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=80),
    st.integers(1, 8),
    st.floats(0, 20),
    st.floats(0.05, 0.9),
)
def test_models_are_trained_on_what_is_older_by_more_than_the_gap(days, folds, gap, share):
    times = pd.to_datetime("2026-01-01") + pd.to_timedelta(pd.Series(days), unit="D")
    found = expanding_folds(times, folds, gap, share)
    assert len(found) <= folds
    judged_before: set[int] = set()
    for train, judged in found:
        assert len(train) and len(judged)
        first = times[judged].min()
        assert (times[train] < first - pd.Timedelta(days=gap)).all()
        # Rows of one time are on one side, and everything old enough is learned from
        assert set(np.flatnonzero(times.isin(times[judged]))) == set(judged)
        assert len(train) == (times < first - pd.Timedelta(days=gap)).sum()
        assert not judged_before & set(judged)
        judged_before |= set(judged)


def test_the_order_of_the_rows_does_not_matter():
    times = pd.Series(pd.date_range("2026-01-01", periods=50))
    order = np.random.default_rng(0).permutation(50)
    for (train, judged), (other_train, other_judged) in zip(
        expanding_folds(times, 4, 3), expanding_folds(times[order], 4, 3), strict=True
    ):
        assert set(order[other_train]) == set(train)
        assert set(order[other_judged]) == set(judged)


@pytest.mark.parametrize("times", [[], ["2026-01-01"] * 9])
def test_without_a_past_there_are_none(times):
    assert expanding_folds(pd.to_datetime(times), 5) == []
