"""What is seen adds up, and the interval holds however often one looks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.rollout.evidence import Evidence, Moments, Side
from augury.rollout.sequential import always_valid_interval

NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=30)


def moments(values: list[float]) -> Moments:
    found = Moments()
    for value in values:
        found.add(value)
    return found


@given(first=NUMBERS, second=NUMBERS)
def test_moments_of_parts_add_up(first: list[float], second: list[float]) -> None:
    both = moments(first)
    both.merge(moments(second))
    values = first + second
    assert both.n == len(values)
    if values:
        assert both.mean == pytest.approx(np.mean(values), abs=1e-6)
    if len(values) > 1:
        assert both.variance == pytest.approx(np.var(values, ddof=1), rel=1e-6, abs=1e-4)
    else:
        assert math.isnan(both.variance)


@given(times=st.lists(st.floats(0.1, 1e8), min_size=1, max_size=200), share=st.floats(0.01, 1))
@settings(max_examples=50)
def test_quantiles_are_at_most_a_bin_too_high(times: list[float], share: float) -> None:
    side = Side()
    for time in times:
        side.count(time, None)
    exact = float(np.quantile(times, share, method="inverted_cdf"))
    found = side.quantile_us(share)
    assert found is not None
    assert side.slower_than(exact) <= sum(time >= exact * (1 - 1e-9) for time in times)
    assert exact * (1 - 1e-9) <= found <= exact * 2 ** (1 / 8) * (1 + 1e-9)


def test_sides_of_processes_add_up() -> None:
    whole, parts = Side(), [Side(), Side()]
    for number in range(100):
        failure = "KeyError" if number % 10 == 0 else None
        for side in (whole, parts[number % 2]):
            side.count(1.0 + number, failure)
    parts[0].merge(parts[1])
    assert parts[0] == whole
    assert whole.failure_rate == 0.1
    assert Side().failure_rate == 0
    assert Side().quantile_us(0.99) is None
    assert Evidence.model_validate_json(Evidence(champion=whole).model_dump_json()).champion == whole


def intervals_exclude_nothing(effect: float, seeds: int = 300, steps: int = 2000) -> tuple[float, float]:
    """Shares of streams in which the always-valid and the ordinary interval ever exclude 0, looking at every step."""
    random = np.random.default_rng(7)
    costs = random.gamma(2, 1, (2, seeds, steps))
    costs[1] += effect
    n = np.arange(1, steps + 1)
    means = costs.cumsum(axis=2) / n
    variances = np.maximum((costs**2).cumsum(axis=2) / n - means**2, 1e-12) * n / np.maximum(n - 1, 1)
    difference, variance = means[1] - means[0], (variances / n).sum(axis=0)
    looked = range(30, steps, 10)
    ever = np.zeros((2, seeds), dtype=bool)
    for step in looked:
        for seed in np.flatnonzero(~ever[0]) if step % 50 == 0 else ():
            sides = [
                Moments(n=step + 1, mean=means[side, seed, step], m2=variances[side, seed, step] * step)
                for side in (0, 1)
            ]
            lower, upper = always_valid_interval(*sides, tau=0.1, alpha=0.05) or (-1, 1)
            ever[0, seed] = not lower <= 0 <= upper
        ever[1] |= np.abs(difference[:, step]) > 1.96 * np.sqrt(variance[:, step])
    return float(ever[0].mean()), float(ever[1].mean())


def test_looking_often_is_no_sin() -> None:
    """Where there is no difference, one of twenty streams finds one at most; ordinary intervals far more often do."""
    valid, ordinary = intervals_exclude_nothing(0.0)
    assert valid <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert ordinary > 0.2
    found, _ = intervals_exclude_nothing(0.4, seeds=60)
    assert found > 0.95


def test_the_interval_is_that_of_the_mixture() -> None:
    """Its ends are where the likelihood ratio, averaged over effects numerically, is 1 / alpha."""
    champion, challenger = Moments(n=500, mean=5.0, m2=500.0), Moments(n=400, mean=5.2, m2=900.0)
    tau, alpha = 0.15, 0.05
    lower, upper = always_valid_interval(champion, challenger, tau, alpha) or (0, 0)
    variance = champion.variance / 500 + challenger.variance / 400
    effects = np.linspace(-3, 3, 200_001)
    prior = np.exp(-(effects**2) / (2 * tau**2)) / (tau * math.sqrt(2 * math.pi))
    for end in (lower, upper):
        seen = 0.2 - end  # the observed difference, from where the effect is held to be
        ratio = np.exp((2 * seen * effects - effects**2) / (2 * variance))
        averaged = float((ratio * prior).sum() * (effects[1] - effects[0]))
        assert averaged == pytest.approx(1 / alpha, rel=1e-6)
    assert (lower + upper) / 2 == pytest.approx(0.2)


def test_few_costs_say_nothing() -> None:
    few, many = Moments(n=29, mean=1.0, m2=1.0), Moments(n=1000, mean=1.0, m2=1.0)
    assert always_valid_interval(few, many, 0.1, 0.05) is None
    assert always_valid_interval(Moments(n=30, mean=1.0), Moments(n=30, mean=3.0), 0.1, 0.05) == (2.0, 2.0)
