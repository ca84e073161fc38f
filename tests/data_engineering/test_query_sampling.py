"""Boundary sampling: the ratio, the probabilities, the weights, and that order and engine are of no account."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import UserError
from augury.pipelines.data_engineering.boundary_sampling import STEPS, BoundarySampling, sample_train
from augury.pipelines.data_engineering.query_log import QueryFilters, QueryLabel, QuerySplit, label_log
from augury.predictors import query_columns as qc

LABEL = QueryLabel()
SAMPLING = BoundarySampling()


def train_log(small, heavy=20, seed=0):
    """Labelled training rows: `small` costs as shares of the thresholds, and heavy ones."""
    random = np.random.default_rng(seed)
    share = np.asarray(small, dtype=float)
    total = len(share) + heavy
    log = pd.DataFrame({name: [None] * total for name in qc.LABELLED})
    log[qc.QUERY_ID] = [f"id-{number}" for number in range(total)]
    other = share * random.random(len(share))
    first = random.random(len(share)) < 0.5
    log[qc.CPU_TIME_S] = [*np.where(first, share, other) * 300.0, *[400.0] * heavy]
    log[qc.PEAK_MEMORY_GB] = [*np.where(first, other, share) * 10.0, *[1.0] * heavy]
    log[qc.IS_HEAVY] = [False] * len(share) + [True] * heavy
    return log.assign(split=qc.TRAIN, weight=1.0, date="2026-03-01")


def sample(log, seed=7, **changes):
    return sample_train(log, LABEL, BoundarySampling(**(SAMPLING.model_dump() | changes)), seed)


def skewed(rows, seed=0):
    """Costs as logs have them: nearly all idle, a few near the thresholds."""
    return np.minimum(np.random.default_rng(seed).lognormal(-4, 2, rows), 0.999)


def small_of(sampled):
    return sampled[(sampled["split"] == qc.TRAIN) & ~sampled["is_heavy"]]


def distances(rows):
    return 1 - np.maximum(rows["cpu_time_s"] / 300, rows["peak_memory_gb"] / 10)


@pytest.fixture(scope="module")
def labelled(query_log):
    split = QuerySplit(drift_days=7)
    log, _ = label_log(query_log, {"safe": []}, QueryLabel(cpu_threshold_seconds=600), QueryFilters(), split)
    return log


# --- the ratio ---


@given(
    small=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=80),
    heavy=st.integers(1, 12),
    ratio=st.floats(0.2, 8),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_ratio_and_expectation_are_exact(small, heavy, ratio, seed):
    log = train_log(small, heavy)
    sampled, report = sample(log, seed, balance_ratio=ratio)
    wanted = min(len(small), max(1, int(ratio * heavy + 0.5)))
    assert len(small_of(sampled)) == report["small_kept"] == report["small_wanted"] == wanted
    assert report["small_expected"] == pytest.approx(wanted, rel=1e-9)
    assert sampled["is_heavy"].sum() == heavy == report["heavy"]
    assert (sampled.loc[sampled["is_heavy"], "weight"] == 1.0).all()
    assert sampled["query_id"].is_unique
    assert (sampled["weight"] >= 1.0).all()


def test_the_ratio_is_within_half_a_percent_at_any_size():
    for rows, heavy in ((20_000, 130), (20_000, 1_001), (3_000, 3)):
        _, report = sample(train_log(skewed(rows), heavy))
        assert report["ratio"] == pytest.approx(5.0, rel=0.005)
        assert report["ratio_expected"] == pytest.approx(5.0, rel=1e-9)


def test_with_fewer_small_rows_than_wanted_all_are_kept():
    log = train_log(skewed(40), 10)
    sampled, report = sample(log)
    pd.testing.assert_frame_equal(sampled, log)
    assert report["lambda"] is None
    assert "all of them were kept" in report["note"]
    exact, report = sample(train_log(skewed(50), 10))
    assert len(exact) == 60
    assert report["note"] is None


def test_other_splits_stay_as_they_are(labelled):
    sampled, _ = sample_train(labelled, QueryLabel(cpu_threshold_seconds=600), BoundarySampling(balance_ratio=1.5), 7)
    rest = labelled[labelled["split"] != qc.TRAIN]
    pd.testing.assert_frame_equal(sampled[sampled["split"] != qc.TRAIN], rest)
    assert 0 < len(small_of(sampled)) < len(small_of(labelled))


# --- probabilities and weights ---


def test_weights_are_one_over_the_probability_of_the_definition():
    log = train_log(skewed(5_000), 100)
    sampled, report = sample(log)
    kept = small_of(sampled)
    multiplier = 2.0 - 1.95 * np.floor(distances(kept) * STEPS) / STEPS
    probability = np.minimum(1.0, report["lambda"] * multiplier).where(distances(kept) >= 0.2, 1.0)
    assert kept["weight"].to_numpy() == pytest.approx((1 / probability).to_numpy(), rel=1e-4)
    assert report["largest_weight"] == kept["weight"].max()


def test_lambda_is_the_root_of_the_expected_number():
    log = train_log(skewed(5_000), 100)
    _, report = sample(log, certain_distance=0.0)
    multiplier = 2.0 - 1.95 * distances(small_of(log))
    assert np.minimum(1.0, report["lambda"] * multiplier).sum() == pytest.approx(500, rel=1e-4)


def test_near_the_boundary_all_rows_are_kept_unless_they_alone_would_be_enough():
    log = train_log([*skewed(3_000), *np.linspace(0.8, 0.999, 200)], 100)
    sampled, report = sample(log)
    near = small_of(log)[distances(small_of(log)) < 0.2]
    assert len(near) >= 200
    assert set(near["query_id"]) <= set(sampled["query_id"])
    assert (sampled.set_index("query_id").loc[near["query_id"], "weight"] == 1.0).all()
    assert report["certain_below_distance"] >= 0.2
    assert report["by_distance"][0]["kept"] == report["by_distance"][0]["rows"]
    crowded, report = sample(train_log([*skewed(3_000), *np.linspace(0.85, 0.999, 600)], 100))
    assert len(small_of(crowded)) == 500
    assert distances(small_of(crowded)).max() > 0.9, "idle queries are represented all the same"


def test_over_many_seeds_rows_are_kept_as_often_as_their_probability_says():
    log = train_log(skewed(8_000, 5), 200)
    seeds = 20
    kept = pd.Series(0, index=log["query_id"])
    totals = []
    for seed in range(seeds):
        sampled, report = sample(log, seed)
        kept.loc[sampled["query_id"]] += 1
        totals.append(small_of(sampled)["weight"].sum())
    small = small_of(log)
    distance = distances(small).to_numpy()
    probability = np.minimum(1.0, report["lambda"] * (2 - 1.95 * distance))
    probability[distance < 0.2] = 1.0
    found = kept.loc[small["query_id"]].to_numpy()
    assert (found[probability == 1.0] == seeds).all()
    groups = np.digitize(probability, [0.06, 0.1, 0.2, 0.4, 0.7, 1.0])
    for group in np.unique(groups[probability < 1.0]):
        inside = groups == group
        expected = seeds * probability[inside].sum()
        error = np.sqrt(seeds * (probability * (1 - probability))[inside].sum())
        # Rows of one seed are nearly independent; five standard deviations are out of reach
        assert abs(found[inside].sum() - expected) < 5 * error
    assert np.mean(totals) == pytest.approx(len(small), abs=5 * np.std(totals) / np.sqrt(seeds))


def test_the_report_is_right_about_weights_and_effective_size():
    log = train_log(skewed(5_000), 100)
    sampled, report = sample(log)
    weights = sampled["weight"]
    assert report["effective_sample_size"] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert report["effective_share"] == pytest.approx(report["effective_sample_size"] / len(sampled))
    assert report["weights_of_small"] == pytest.approx(small_of(sampled)["weight"].sum())
    tenth = np.minimum((distances(small_of(log)) * 10).astype(int), 9)
    assert [row["rows"] for row in report["by_distance"]] == tenth.value_counts().reindex(
        range(10), fill_value=0
    ).tolist()
    assert sum(row["kept"] for row in report["by_distance"]) == report["small_kept"]
    assert sum(row["expected"] for row in report["by_distance"]) == pytest.approx(report["small_expected"])


# --- which rows ---


@given(order=st.permutations(range(60)), seed=st.integers(0, 50))
@settings(max_examples=8)
def test_the_order_of_rows_is_of_no_account(order, seed):
    log = train_log(skewed(55, seed), 5)
    expected, counted = sample(log, balance_ratio=3.0)
    found, report = sample(log.iloc[list(order)], balance_ratio=3.0)
    pd.testing.assert_frame_equal(found.sort_index(), expected)
    assert report == counted


def test_another_seed_keeps_other_rows():
    log = train_log(skewed(2_000), 50)
    first, second = (set(small_of(sample(log, seed)[0])["query_id"]) for seed in (1, 2))
    assert len(first) == len(second) == 250
    assert 0.02 < len(first & second) / 250 < 0.9


def test_every_engine_keeps_the_same_rows_with_the_same_weights(labelled, frame_engine):
    thresholds = QueryLabel(cpu_threshold_seconds=600)
    sampling = BoundarySampling(balance_ratio=1.5)
    expected, counted = sample_train(labelled, thresholds, sampling, 7)
    native, report = sample_train(frame_engine.make(labelled.sample(frac=1, random_state=2)), thresholds, sampling, 7)
    found = frame_engine.collect(native, qc.QUERY_ID)
    found = found.astype({qc.CREATE_TIME: "datetime64[us]", qc.END_TIME: "datetime64[us]"})
    pd.testing.assert_frame_equal(found, expected.sort_values(qc.QUERY_ID, ignore_index=True), check_exact=True)
    assert report == counted
    assert 0 < report["small_certain"] < report["small_kept"] < report["small"]


# --- edges ---


def test_costs_that_are_missing_count_as_none():
    log = train_log(skewed(200), 5)
    without = log.assign(peak_memory_gb=np.nan)
    filled, _ = sample(log.assign(peak_memory_gb=0.0))
    found, _ = sample(without)
    assert found["query_id"].tolist() == filled["query_id"].tolist()
    assert found["weight"].tolist() == filled["weight"].tolist()


def test_equal_distances_are_thinned_out_too():
    for share in (0.0, 0.5, 1.0):
        sampled, report = sample(train_log([share] * 1_000, 20))
        kept = small_of(sampled)
        assert len(kept) == 100
        assert kept["weight"].to_numpy() == pytest.approx(np.full(100, 10.0), rel=1e-9)
        assert report["effective_sample_size"] == pytest.approx((20 + 1000) ** 2 / (20 + 100 * 100))


def test_without_heavy_rows_there_is_no_ratio():
    with pytest.raises(UserError, match="no training row is heavy"):
        sample(train_log(skewed(50), 0))
    sampled, report = sample(train_log([], 5))
    assert len(sampled) == 5
    assert report["small_kept"] == 0


@pytest.mark.parametrize(
    "changes", [{"min_multiplier": 3.0}, {"balance_ratio": 0}, {"min_multiplier": 0}, {"max_boost": -1}]
)
def test_parameters_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValidationError):
        BoundarySampling(**changes)
