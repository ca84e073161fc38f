"""Competing hazards against plain loops over the same formulae, and against the frequencies of drawn fates."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.pipelines.collection.waste_hazards import (
    HORIZON,
    STEP,
    STEPS,
    draw_fates,
    hazard_table,
    intercepts,
    median_waste_age,
    waste_probability,
)

ITEMS = [(-6.0, -2.0), (-1.0, -2.5), (0.5, -4.0), (2.0, -2.2), (4.0, 0.0), (-3.0, -9.0)]
SCORES = st.floats(-15, 15)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def fates_by_loop(waste, eaten):
    """Chances of (step, wasted), by the formulae."""
    left, chances = 1.0, {}
    for step in range(STEPS):
        age = (step + 0.5) * STEP
        hazard = sigmoid(-5 + 5 * sigmoid((age - 1) / 0.12) + waste)
        appetite = (1 - hazard) * sigmoid(eaten - (0.7 if age > 1 else 0))
        chances[step, True], chances[step, False] = left * hazard, left * appetite
        left *= 1 - hazard - appetite
    chances[STEPS, True] = left * hazard / (hazard + appetite)
    chances[STEPS, False] = left - chances[STEPS, True]
    return chances


@given(SCORES, SCORES)
def test_all_fates_together_have_chance_one(waste, eaten):
    table = hazard_table(np.array([waste]), np.array([eaten]))
    total = (table.survival[:-1] * (table.wasted + table.eaten)).sum() + table.survival[-1, 0]
    assert total == pytest.approx(1)
    assert ((table.wasted + table.eaten) <= 1).all()
    assert 0 <= table.wasted_at_horizon[0] <= 1


@given(SCORES, SCORES)
def test_the_chance_of_waste_is_the_sum_over_all_ways_to_it(waste, eaten):
    expected = sum(chance for (_, wasted), chance in fates_by_loop(waste, eaten).items() if wasted)
    scores = np.array([waste]), np.array([eaten])
    assert waste_probability(*scores)[0] == pytest.approx(expected)
    assert hazard_table(*scores).waste_probability()[0] == pytest.approx(expected)


@pytest.mark.parametrize(("waste", "eaten"), ITEMS)
def test_many_draws_have_the_frequencies_of_the_chances(waste, eaten):
    count = 60_000
    fates = draw_fates(np.full(count, waste), np.full(count, eaten), np.random.default_rng(1).random(count))
    exact = waste_probability(np.array([waste]), np.array([eaten]))[0]
    assert abs(fates.wasted.mean() - exact) < 4 * math.sqrt(exact * (1 - exact) / count)
    for (step, wasted), chance in fates_by_loop(waste, eaten).items():
        found = ((fates.step == step) & (fates.wasted == wasted)).mean()
        assert abs(found - chance) < 5 * math.sqrt(chance * (1 - chance) / count) + 1e-9
    inside = fates.step < STEPS
    place = fates.age[inside] / STEP - fates.step[inside]
    assert ((place >= 0) & (place <= 1)).all()
    assert abs(place.mean() - 0.5) < 5 * math.sqrt(1 / 12 / max(inside.sum(), 1))
    assert (fates.age[~inside] == HORIZON).all()


@pytest.mark.parametrize(("waste", "eaten"), ITEMS)
def test_the_median_halves_the_wasted(waste, eaten):
    # Evenly spaced numbers in place of random ones: frequencies are exact but for the last draw
    count = 200_000
    fates = draw_fates(np.full(count, waste), np.full(count, eaten), (np.arange(count) + 0.5) / count)
    expected = np.median(fates.age[fates.wasted])
    assert median_waste_age(np.array([waste]), np.array([eaten]))[0] == pytest.approx(expected, abs=0.01)


def test_shapes_and_pieces_do_not_matter():
    rng = np.random.default_rng(2)
    waste, eaten, uniform = rng.normal(0, 2, (100, 101)), rng.normal(-2, 1, (100, 101)), rng.random((100, 101))
    whole = draw_fates(waste, eaten, uniform)
    single = draw_fates(waste[57], eaten[57], uniform[57])
    assert whole.age.shape == waste.shape
    for name, values in vars(single).items():
        np.testing.assert_array_equal(getattr(whole, name)[57], values)
    np.testing.assert_array_equal(waste_probability(waste, eaten)[57], waste_probability(waste[57], eaten[57]))
    np.testing.assert_array_equal(median_waste_age(waste, eaten)[57], median_waste_age(waste[57], eaten[57]))


def test_intercepts_hit_the_rates():
    rng = np.random.default_rng(5)
    waste, eaten, category = rng.normal(0, 2, 3_000), rng.normal(-2, 0.5, 3_000), rng.integers(0, 3, 3_000)
    rates = np.array([0.05, 0.38, 0.8, 0.5])
    found = intercepts(waste, eaten, category, rates)
    chance = waste_probability(waste + found[category], eaten)
    for code in range(3):
        assert chance[category == code].mean() == pytest.approx(rates[code], abs=1e-4)
