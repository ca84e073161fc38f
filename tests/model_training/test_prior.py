"""The physical prior: finds the physics, never below zero, and is not led astray by a few odd files."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.pipelines.model_training.prior import fit_prior

TERMS = ("raster", "image")
TRUTH = {0: (12.0, 2.0, 0.5), 1: (40.0, 0.0, 3.0)}
FLOOR = 5.0


def jobs(rows=400, seed=0):
    random = np.random.default_rng(seed)
    table = pd.DataFrame({name: np.exp(random.uniform(-3, 6, rows)) for name in TERMS})
    codes = random.integers(0, 2, rows)
    truth = np.array([TRUTH[code] for code in codes])
    return (
        table,
        codes,
        truth[:, 0] + truth[:, 1] * table["raster"].to_numpy() + truth[:, 2] * table["image"].to_numpy(),
    )


def fit(table, codes, target, categories=2):
    return fit_prior(table, codes, target, TERMS, categories, FLOOR)


def found(prior):
    return {code: (prior.base[code], *prior.coefficients[code]) for code in range(len(prior.base))}


def test_known_coefficients_are_recovered():
    prior = fit(*jobs())
    for code, truth in TRUTH.items():
        assert found(prior)[code] == pytest.approx(truth, rel=1e-6, abs=1e-6)


def test_noise_of_eight_percent_changes_little():
    table, codes, target = jobs()
    noisy = target * np.random.default_rng(1).lognormal(0, 0.08, len(target))
    for code, truth in TRUTH.items():
        assert found(fit(table, codes, noisy))[code] == pytest.approx(truth, rel=0.1, abs=0.1)


@pytest.mark.parametrize("factor", [20.0, 0.2])
def test_three_percent_of_odd_files_change_little(factor):
    table, codes, target = jobs()
    odd = np.random.default_rng(2).choice(len(target), int(0.03 * len(target)), replace=False)
    target[odd] *= factor
    for code, truth in TRUTH.items():
        assert found(fit(table, codes, target))[code] == pytest.approx(truth, rel=0.1, abs=0.1)


@given(st.integers(0, 1000))
@settings(max_examples=25)
def test_nothing_is_ever_negative(seed):
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.exponential(10, (30, 2)), columns=list(TERMS)).mask(random.random((30, 2)) < 0.2)
    # The more raster, the less memory: no physics, so its coefficient stops at zero
    target = 1 + 500 / (1 + table["raster"].fillna(0).to_numpy())
    prior = fit(table, random.integers(0, 2, 30), target)
    assert min(prior.base) >= FLOOR
    assert np.min(prior.coefficients) >= 0
    assert np.isfinite(prior.coefficients).all()


def test_a_missing_term_counts_as_nothing():
    table, codes, target = jobs()
    holes = np.arange(len(table)) % 3 == 0
    without = target - np.array([TRUTH[code][1] for code in codes]) * table["raster"].to_numpy()
    table.loc[holes, "raster"] = np.nan
    prior = fit(table, codes, np.where(holes, without, target))
    assert found(prior)[0] == pytest.approx(TRUTH[0], rel=1e-6)


def test_a_category_without_rows_has_the_floor_alone():
    table, codes, target = jobs()
    assert found(fit(table, codes, target, categories=3))[2] == (FLOOR, 0.0, 0.0)
