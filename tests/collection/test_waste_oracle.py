"""The filter oracle against plain loops over the same evidence, and against the truth."""

import math
from dataclasses import replace

import numpy as np
import pytest

from augury.pipelines.collection.waste_hazards import STEP, STEPS, draw_fates, waste_probability
from augury.pipelines.collection.waste_households import MINUTES
from augury.pipelines.collection.waste_oracle import History, observable_probability, propensity_grid

SLOPE = 1.4


def simulate(households, items, seed=0):
    """A history, with the scores that made it; some purchases share their minute."""
    rng = np.random.default_rng(seed)
    shape = (households, items)
    minute = np.sort(rng.integers(0, 300, shape), axis=1) * MINUTES
    shelf = rng.choice([4.0, 12.5, 60.0, 400.0], shape)
    waste, eaten = rng.normal(-1, 1.5, shape), rng.normal(-2.3, 0.4, shape)
    theta = rng.beta(2, 5, (households, 1))
    propensity = np.log(theta / (1 - theta)) - math.log(2 / 5)
    score = waste + SLOPE * propensity
    fates = draw_fates(score, eaten, rng.random(shape))
    resolved = minute + np.maximum(np.ceil(fates.age * shelf * MINUTES), 1).astype(np.int64)
    return History(minute, resolved, shelf, fates.wasted, fates.step), waste, eaten, score


def by_loop(history, waste, eaten, points, house, now):
    """Bayes for one purchase: a loop over the grid, over the earlier purchases, and over the steps of their lives."""
    grid, prior = propensity_grid(points)
    weights, chances = [], []
    for propensity, weight in zip(grid, prior, strict=True):
        log_weight = math.log(weight)
        for item in range(history.minute.shape[1]):
            if history.minute[house, item] >= history.minute[house, now]:
                continue
            known = history.resolved[house, item] < history.minute[house, now]
            age = (history.minute[house, now] - history.minute[house, item]) / MINUTES
            age /= history.shelf_life_days[house, item] * STEP
            left = 1.0
            for step in range(STEPS):
                relative = (step + 0.5) * STEP
                base = -5 + 5 / (1 + math.exp(-(relative - 1) / 0.12))
                hazard = 1 / (1 + math.exp(-(base + waste[house, item] + SLOPE * propensity)))
                late = 0.7 if relative > 1 else 0
                appetite = (1 - hazard) / (1 + math.exp(-(eaten[house, item] - late)))
                if known and history.step[house, item] == step:
                    left *= hazard if history.wasted[house, item] else appetite
                    break
                if not known and age < step + 1:
                    left *= 1 - (age - step) * (hazard + appetite)
                    break
                left *= 1 - hazard - appetite
            else:
                if known:
                    last = hazard / (hazard + appetite)
                    left *= last if history.wasted[house, item] else 1 - last
            log_weight += math.log(left)
        weights.append(log_weight)
        own = np.array([waste[house, now] + SLOPE * propensity])
        chances.append(waste_probability(own, eaten[house, now : now + 1])[0])
    posterior = np.exp(np.array(weights) - max(weights))
    return float(posterior @ np.array(chances) / posterior.sum())


def test_it_is_bayes_written_as_loops():
    history, waste, eaten, _ = simulate(3, 40)
    assert (np.diff(history.minute, axis=1) == 0).any()
    assert (history.step == STEPS).any()
    found = observable_probability(history, waste, SLOPE, eaten, 25)
    for now in range(40):
        assert found[1, now] == pytest.approx(by_loop(history, waste, eaten, 25, 1, now), abs=1e-10)


def test_without_a_past_it_is_the_mean_over_all_households():
    history, waste, eaten, _ = simulate(2, 10)
    found = observable_probability(history, waste, SLOPE, eaten, 200)
    theta = np.random.default_rng(8).beta(2, 5, 200_000)
    score = waste[0, 0] + SLOPE * (np.log(theta / (1 - theta)) - math.log(2 / 5))
    expected = waste_probability(score, np.full(len(score), eaten[0, 0])).mean()
    assert found[0, 0] == pytest.approx(expected, abs=0.003)


def test_the_future_changes_nothing():
    history, waste, eaten, _ = simulate(20, 50)
    before = observable_probability(history, waste, SLOPE, eaten, 15)
    now = history.minute[:, 30:31]
    # Whatever is not settled before the purchase turns out the other way, later
    unsettled = history.resolved >= now
    other = replace(
        history,
        wasted=np.where(unsettled, ~history.wasted, history.wasted),
        resolved=np.where(unsettled, history.resolved + 7 * MINUTES, history.resolved),
        step=np.where(unsettled, np.minimum(history.step + 1, STEPS), history.step),
    )
    after = observable_probability(other, waste, SLOPE, eaten, 15)
    np.testing.assert_allclose(after[:, :31], before[:, :31], rtol=1e-12)
    assert np.abs(after[:, 31:] - before[:, 31:]).max() > 0.01


def test_it_means_what_it_says():
    history, waste, eaten, score = simulate(400, 60)
    found = observable_probability(history, waste, SLOPE, eaten, 25)
    true = waste_probability(score, eaten)
    late = slice(20, None)
    decile = np.digitize(found[:, late], np.quantile(found[:, late], np.arange(0.1, 1, 0.1)))
    for code in range(10):
        gap = (true - found)[:, late] * (decile == code)
        # Rows of a household share its propensity, so the households are what is independent
        sums = gap.sum(axis=1)
        assert abs(sums.sum()) < 4 * math.sqrt((sums**2).sum())


def test_a_longer_past_says_more():
    history, waste, eaten, score = simulate(400, 60)
    true = waste_probability(score, eaten)
    error = (true - observable_probability(history, waste, SLOPE, eaten, 25)) ** 2
    assert error[:, :5].mean() > 2 * error[:, 30:].mean()


def test_a_finer_grid_agrees():
    history, waste, eaten, _ = simulate(50, 60)
    coarse, fine = (observable_probability(history, waste, SLOPE, eaten, points) for points in (25, 150))
    assert np.abs(coarse - fine).max() < 0.005
