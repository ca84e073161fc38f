"""PSI and KS: against scipy, by hand, with weights, ties and missing values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from augury.metrics.distribution_shift import Reference, effective_rows, expected_index

VALUES = st.lists(st.integers(0, 8), min_size=1, max_size=40)


def reference(values: object, weights: object = None, bins: int = 10) -> Reference:
    array = np.asarray(values, dtype=float)
    return Reference(array, np.ones(len(array)) if weights is None else np.asarray(weights, dtype=float), bins)


# scipy's p-value, which is not asked for, does not like samples of one row
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(VALUES, VALUES)
def test_the_distance_is_scipys(here: list[int], there: list[int]) -> None:
    assert reference(here).distance(np.array(there, dtype=float)) == pytest.approx(
        ks_2samp(here, there, method="asymp").statistic
    )


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4)), min_size=1, max_size=30), VALUES)
def test_a_weight_is_a_row_repeated(rows: list[tuple[int, int]], there: list[int]) -> None:
    values, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    weighted, repeated = reference(values, weights), reference(np.repeat(values, weights.astype(int)))
    other = np.array(there, dtype=float)
    assert weighted.distance(other) == pytest.approx(repeated.distance(other))
    assert weighted.stability_index(other) == pytest.approx(repeated.stability_index(other))


def test_the_index_by_hand() -> None:
    # Halves and halves against one in four and three in four
    found = reference([0.0] * 50 + [1.0] * 50).stability_index(np.array([0.0] * 25 + [1.0] * 75))
    assert found == pytest.approx((0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5))


def test_the_index_over_deciles_is_that_of_a_histogram() -> None:
    random = np.random.default_rng(0)
    here, there = random.normal(0, 1, 5000), random.normal(0.5, 1.2, 3000)
    edges = np.quantile(here, np.arange(1, 10) / 10, method="inverted_cdf")
    shares = [
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=10) / len(values) for values in (here, there)
    ]
    expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
    assert reference(here).stability_index(there) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=50)
@given(VALUES)
def test_what_has_not_moved_has_no_index_and_no_distance(values: list[int]) -> None:
    same = reference(values)
    assert same.stability_index(np.array(values, dtype=float)) == pytest.approx(0, abs=1e-12)
    assert same.distance(np.array(values, dtype=float)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ([0.0] * 99 + [1.0], [0.0] * 60 + [1.0] * 40),
        ([1.0] * 99 + [0.0], [1.0] * 60 + [0.0] * 40),
        ([5.0] * 100, [6.0] * 100),
        ([5.0] * 100, [4.0] * 100),
        (list(np.arange(100.0)) + [7.0] * 900, list(np.arange(100.0)) * 5),
    ],
)
def test_values_that_dominate_do_not_hide_a_move(here: list[float], there: list[float]) -> None:
    assert reference(here).stability_index(np.array(there)) > 0.25


def test_missing_values_are_a_bin_of_the_index_and_no_part_of_the_distance() -> None:
    here = [1.0, 2.0, np.nan, np.nan]
    found = reference(here)
    assert found.distance(np.array([1.0, 2.0])) == 0
    assert found.stability_index(np.array([1.0, 2.0, np.nan, np.nan])) == pytest.approx(0)
    assert found.stability_index(np.array([1.0, 2.0])) > 1
    assert found.distance(np.array([np.nan])) is None
    assert reference([np.nan]).distance(np.array([1.0])) is None
    assert math.isfinite(reference([np.nan]).stability_index(np.array([1.0])))


def test_the_index_grows_with_the_way() -> None:
    random = np.random.default_rng(1)
    here = random.normal(0, 1, 2000)
    moved = [here + step for step in (0.1, 0.3, 0.9)]
    indices = [reference(here).stability_index(values) for values in moved]
    assert indices == sorted(indices)
    assert [wasserstein_distance(here, values) for values in moved] == pytest.approx([0.1, 0.3, 0.9])


def test_chance_makes_the_expected_index() -> None:
    random = np.random.default_rng(2)
    found = [reference(random.normal(0, 1, 400)).stability_index(random.normal(0, 1, 300)) for _ in range(300)]
    assert np.mean(found) == pytest.approx(expected_index(10, 400, 300), rel=0.15)
    assert expected_index(10, 0, 300) == math.inf


def test_effective_rows_of_equal_weights_are_the_rows() -> None:
    assert effective_rows(np.full(50, 3.0)) == pytest.approx(50)
    assert effective_rows(np.array([1.0, 0.0001])) == pytest.approx(1, abs=1e-3)
    assert effective_rows(np.zeros(0)) == 0
