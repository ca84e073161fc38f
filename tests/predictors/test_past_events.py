"""Sums over the past against a plain loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.predictors.past_events import DAY, Moments, PastEvents, quantised, ratio, spells

cells = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(-9, 9)), max_size=25)
asked = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=8)


def columns(rows, width):
    return [np.array([row[at] for row in rows], dtype=np.int64) for at in range(width)]


@settings(max_examples=150, deadline=None)
@given(cells, asked, st.integers(1, 6))
def test_sums_before_moments(events, moments, days):
    group, time, value = columns(events, 3)
    of_moment, at = columns(moments, 2)
    past = PastEvents(Moments(at * DAY), group, time * DAY, value=value)
    whole, recent = past.before(of_moment), past.before(of_moment, days)
    for row, (own, now) in enumerate(moments):
        before = sorted((t, v) for g, t, v in events if g == own and t < now)
        window = [v for t, v in before if t >= now - days]
        marked = [t for t, v in before if v]
        assert whole.count[row] == len(before)
        assert whole.total("value")[row] == sum(v for _, v in before)
        assert (recent.count[row], recent.total("value")[row]) == (len(window), sum(window))
        expected = [now - before[-1][0], now - before[0][0]] if before else [np.nan, np.nan]
        np.testing.assert_array_equal([whole.days_since_last()[row], whole.days_since_first()[row]], expected)
        np.testing.assert_array_equal(whole.days_since_last("value")[row], now - marked[-1] if marked else np.nan)
        gaps = np.diff([t for t, _ in before])
        np.testing.assert_allclose(whole.mean_interval_days()[row], gaps.mean() if len(gaps) else np.nan)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 4), max_size=20), asked)
def test_running_spells(stretches, moments):
    group, start, end, value = columns(stretches, 4)
    of_moment, at = columns(moments, 2)
    running = spells(Moments(at), group, start, end, value=value).before(of_moment)
    for row, (own, now) in enumerate(moments):
        found = [v for g, s, e, v in stretches if g == own and s < now <= e]
        assert (running.total("spells")[row], running.total("value")[row]) == (len(found), sum(found))


def test_measured_values_become_whole_numbers():
    assert quantised(np.array([0.1, -2.0, np.nan, np.inf, -1e300])).tolist() == [
        100_000,
        -2_000_000,
        0,
        10**15,
        -(10**15),
    ]


def test_quotients():
    np.testing.assert_array_equal(
        ratio(np.array([1.0, 0.0, 2.0, np.nan]), np.array([4.0, 0.0, np.nan, 2.0])), [0.25, np.nan, np.nan, np.nan]
    )
