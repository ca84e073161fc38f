"""Intervals: against formulas, against a plain resampling loop, and under dependence."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.metrics import bootstrap
from augury.metrics.bootstrap import (
    Floats,
    bootstrap_intervals,
    share_interval,
    weighted_median,
)

MEAN = {"mean": lambda sums: sums["value"] / sums["rows"]}


def mean_interval(
    values: Floats,
    groups: npt.ArrayLike,
    replicates: int = 2000,
    seed: int = 1,
    confidence: float = 0.95,
) -> list[float]:
    return bootstrap_intervals(
        {"value": values},
        MEAN,
        groups,
        replicates=replicates,
        confidence=confidence,
        seed=seed,
    )["mean"]


def test_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(10, 3, 400)
    lower, upper = mean_interval(values, np.arange(400))
    half = NormalDist().inv_cdf(0.975) * values.std() / math.sqrt(400)
    assert lower == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert upper == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    covered = 0
    groups = np.repeat(np.arange(50), 4)
    for trial in range(300):
        values = random.normal(0, 1, 50)[groups] + random.normal(0, 0.5, 200)
        lower, upper = mean_interval(values, groups, 200, seed=trial, confidence=0.9)
        covered += lower <= 0 <= upper
    # 90 % of 300 is 270, with a standard deviation of 5.2; percentile intervals are a bit short.
    assert 245 <= covered <= 285


def test_repeating_the_rows_of_a_group_adds_no_certainty() -> None:
    values = np.random.default_rng(5).normal(0, 1, 80)
    groups = np.arange(80)
    once = mean_interval(values, groups)
    repeated = mean_interval(np.repeat(values, 5), np.repeat(groups, 5))
    naive = mean_interval(np.repeat(values, 5), np.arange(400))
    assert repeated == pytest.approx(once)
    assert (naive[1] - naive[0]) / (once[1] - once[0]) == pytest.approx(1 / math.sqrt(5), rel=0.15)


def test_agrees_with_a_plain_loop_over_groups_of_different_size() -> None:
    random = np.random.default_rng(6)
    groups = np.sort(random.integers(0, 25, 150))
    values = random.exponential(1, 150) + random.exponential(2, 25)[groups]
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    samples = []
    for _ in range(4000):
        chosen = random.integers(0, len(members), len(members))
        samples.append(values[np.concatenate([members[group] for group in chosen])])
    found = bootstrap_intervals(
        {"value": values},
        MEAN,
        groups,
        replicates=4000,
        confidence=0.9,
        seed=2,
        row_statistics={"median": weighted_median(values)},
    )
    for name, function in (("mean", np.mean), ("median", np.median)):
        expected = np.quantile([function(sample) for sample in samples], [0.05, 0.95])
        assert found[name] == pytest.approx(expected, abs=0.06 * np.ptp(expected))


def test_blocks_of_replicates_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(7).normal(0, 1, 30)
    whole = mean_interval(values, np.arange(30), 100)
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 100)
    assert mean_interval(values, np.arange(30), 100) == pytest.approx(whole)


def test_the_seed_decides_and_the_row_order_does_not() -> None:
    random = np.random.default_rng(8)
    values, groups = random.normal(0, 1, 200), random.integers(0, 40, 200)
    shuffled = random.permutation(200)
    assert mean_interval(values, groups) == mean_interval(values, groups)
    assert mean_interval(values, groups) != mean_interval(values, groups, seed=2)
    assert mean_interval(values[shuffled], groups[shuffled]) == pytest.approx(mean_interval(values, groups))


@pytest.mark.parametrize(("groups", "replicates"), [([1, 1, 1], 100), ([1, 2, 3], 0)])
def test_no_interval_without_groups_or_replicates(groups: list[int], replicates: int) -> None:
    found = bootstrap_intervals({"value": np.ones(3)}, MEAN, groups, replicates=replicates, confidence=0.95, seed=0)
    assert found == {}


def test_no_interval_for_a_metric_that_most_resamples_leave_undefined() -> None:
    hit = np.array([1.0] + [0.0] * 9)
    found = bootstrap_intervals(
        {"hit": hit, "value": np.ones(10)},
        {
            "per_hit": lambda sums: sums["value"] / sums["hit"],
            "share": lambda sums: sums["hit"] / sums["rows"],
        },
        np.arange(10),
        replicates=200,
        confidence=0.95,
        seed=0,
    )
    assert set(found) == {"share"}


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 4)), min_size=1, max_size=40).filter(
        lambda rows: any(weight for _, weight in rows)
    )
)
def test_weighted_median_is_the_median_of_repeated_values(rows: list[tuple[float, int]]) -> None:
    values = np.array([value for value, _ in rows])
    weights = np.array([weight for _, weight in rows])
    expected = np.median(np.repeat(values, weights))
    assert weighted_median(values)(weights.astype(float)) == pytest.approx(expected)


def test_weighted_median_of_nothing_is_undefined() -> None:
    assert math.isnan(weighted_median(np.array([]))(np.array([])))
    assert math.isnan(weighted_median(np.array([1.0]))(np.array([0.0])))


@pytest.mark.parametrize(
    ("hits", "rows", "expected"),
    # Wilson's intervals as tabulated, for independent rows.
    [(10, 100, (0.05523, 0.17437)), (0, 100, (0.0, 0.03699)), (5, 5, (0.56552, 1.0))],
)
def test_share_interval_of_independent_rows_is_wilsons(hits: int, rows: int, expected: tuple[float, float]) -> None:
    flags = np.arange(rows) < hits
    assert share_interval(flags, np.arange(rows), 0.95) == pytest.approx(expected, abs=1e-4)


def test_share_interval_counts_groups_rather_than_rows() -> None:
    flags, groups = np.arange(200) < 20, np.arange(200)
    once = share_interval(flags, groups, 0.95)
    repeated = share_interval(np.repeat(flags, 6), np.repeat(groups, 6), 0.95)
    naive = share_interval(np.repeat(flags, 6), np.arange(1200), 0.95)
    assert once is not None
    assert naive is not None
    assert repeated == pytest.approx(once, abs=0.001)
    assert naive[1] - naive[0] < 0.5 * (once[1] - once[0])
    assert share_interval(flags, np.zeros(200), 0.95) is None


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60),
    st.floats(0.5, 0.99),
)
def test_share_interval_holds_the_share(rows: list[tuple[bool, int]], confidence: float) -> None:
    frame = pd.DataFrame(rows, columns=["hit", "group"])
    interval = share_interval(frame["hit"].to_numpy(), frame["group"].to_numpy(), confidence)
    if frame["group"].nunique() < 2:
        assert interval is None
    else:
        assert interval is not None
        assert 0 <= interval[0] <= frame["hit"].mean() <= interval[1] <= 1
