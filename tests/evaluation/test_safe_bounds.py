"""Upper bounds as allocations: worked by hand, and against a job-by-job simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.pipelines.evaluation.safe_bounds import bound_metrics, wasted

ACTUAL = np.array([100.0, 100.0, 300.0])
BOUND = np.array([120.0, 80.0, 100.0])
JOBS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(1, 1e6)), min_size=1, max_size=30)


def test_bound_metrics_by_hand() -> None:
    # Waste: 20; 80 + (160 - 100) = 140; 100 + 200 + (400 - 300) = 400.
    assert wasted(ACTUAL, BOUND, 2.0).tolist() == [20, 140, 400]
    found = bound_metrics(ACTUAL, BOUND, "95")
    assert found == pytest.approx(
        {
            "under_rate_95": 2 / 3,
            "coverage_95": 1 / 3,
            "allocation_ratio_95": 300 / 500,
            "wastage_95": 560 / 500,
            "worst_shortfall_95": 200,
            "mean_over_allocation_95": 20 / 3,
        }
    )


def test_only_the_first_retry_takes_the_factor() -> None:
    # 80 -> 240: 80 + 140; 100 -> 300, which fits exactly: 100. And 100 -> 300 -> 600 for 301.
    assert wasted(ACTUAL, BOUND, 3.0).tolist() == [20, 220, 100]
    assert wasted(np.array([301.0]), np.array([100.0]), 3.0).tolist() == [100 + 300 + 299]


def test_a_bound_that_is_met_exactly_is_safe() -> None:
    found = bound_metrics(ACTUAL, ACTUAL, "99")
    assert found["under_rate_99"] == found["wastage_99"] == found["worst_shortfall_99"] == 0
    assert found["coverage_99"] == found["allocation_ratio_99"] == 1


def test_ratios_are_undefined_where_nothing_was_used() -> None:
    found = bound_metrics(np.zeros(2), np.ones(2), "95")
    assert found["allocation_ratio_95"] is None
    assert found["wastage_95"] is None
    assert found["mean_over_allocation_95"] == 1


@given(JOBS, st.floats(1.01, 4))
def test_waste_is_that_of_running_each_job(jobs: list[tuple[float, float]], factor: float) -> None:
    def run(need: float, allocation: float) -> float:
        lost, step = 0.0, factor
        while allocation < need:
            lost, allocation, step = lost + allocation, allocation * step, 2.0
        return lost + allocation - need

    actual, bound = (np.array(column) for column in zip(*jobs, strict=True))
    expected = [run(need, allocation) for need, allocation in jobs]
    assert wasted(actual, bound, factor) == pytest.approx(expected)
    assert (wasted(actual, bound, factor) >= 0).all()


@given(JOBS)
def test_allocation_ratio_times_used_is_what_was_allocated(jobs: list[tuple[float, float]]) -> None:
    actual, bound = (np.array(column) for column in zip(*jobs, strict=True))
    found = bound_metrics(actual, bound, "95")
    if actual.sum() > 1e-6:
        assert found["allocation_ratio_95"] is not None
        assert found["allocation_ratio_95"] * actual.sum() == pytest.approx(bound.sum())
        assert found["wastage_95"] is not None
        assert found["wastage_95"] >= -1e-9
    assert found["under_rate_95"] + found["coverage_95"] == pytest.approx(1)  # type: ignore[operator]


def test_a_larger_bound_is_never_less_safe() -> None:
    random = np.random.default_rng(0)
    actual = random.exponential(100, 500)
    small = random.exponential(100, 500) + 1
    first, second = bound_metrics(actual, small, "a"), bound_metrics(actual, small * 1.3, "a")
    for name in ("under_rate_a", "worst_shortfall_a"):
        assert second[name] <= first[name]  # type: ignore[operator]
