"""Judging a regression: against scikit-learn and by hand, and what must not change the result."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from augury.errors import UserError
from augury.pipelines.evaluation.regression import (
    RegressionEvaluation,
    compare_baselines,
    evaluate_regression,
    evaluate_slices,
    point_metrics,
)

FACTS = {"n_train": 1000}
QUICK = RegressionEvaluation(bootstrap_replicates=50)


def small(actual: list[float], predicted: list[float], **columns: Any) -> pd.DataFrame:
    rows = range(len(actual))
    frame = {"row_id": [f"r{row}" for row in rows], "group": [f"g{row}" for row in rows]}
    return pd.DataFrame({**frame, "actual": actual, "predicted": predicted, **columns})


def test_point_metrics_agree_with_scikit_learn(predictions: pd.DataFrame) -> None:
    actual, predicted = predictions["actual"].to_numpy(), predictions["predicted"].to_numpy()
    found = point_metrics(actual, predicted)
    assert found == pytest.approx(
        {
            "mae": sklearn_metrics.mean_absolute_error(actual, predicted),
            "rmse": sklearn_metrics.mean_squared_error(actual, predicted) ** 0.5,
            "r2": sklearn_metrics.r2_score(actual, predicted),
            "mape_pct": 100 * sklearn_metrics.mean_absolute_percentage_error(actual, predicted),
            "median_ape_pct": 100 * np.median(np.abs(actual - predicted) / actual),
            "bias": predicted.mean() - actual.mean(),
            "n_zero_actual": 0,
        }
    )


def test_point_metrics_by_hand_leave_zero_actuals_out_of_the_percentages() -> None:
    found = point_metrics(np.array([0.0, 2, 4, 10]), np.array([1.0, 1, 5, 10]))
    assert found["mae"] == 0.75
    assert found["rmse"] == pytest.approx((3 / 4) ** 0.5)
    assert found["r2"] == pytest.approx(1 - 3 / 56)
    assert found["mape_pct"] == pytest.approx(100 * (0.5 + 0.25 + 0) / 3)
    assert found["median_ape_pct"] == pytest.approx(25)
    assert found["bias"] == 0.25
    assert found["n_zero_actual"] == 1


def test_undefined_point_metrics_are_none() -> None:
    found = point_metrics(np.zeros(3), np.ones(3))
    assert (found["r2"], found["mape_pct"], found["median_ape_pct"]) == (None, None, None)
    assert found["n_zero_actual"] == 3
    assert point_metrics(np.array([5.0]), np.array([4.0]))["r2"] is None


def test_metrics_mapping_holds_everything(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> None:
    facts = {"n_train": 1000, "origin": {"measured": 900, "simulated": 100}, "engine": "x"}
    found = evaluate_regression(predictions, evaluation, facts, seed=7)
    assert found["n_train"] == 1000
    assert found["origin_simulated"] == 100
    assert found["engine"] == "x"
    assert (found["n_test"], found["n_test_groups"], found["seed"]) == (
        400,
        predictions["group"].nunique(),
        7,
    )
    assert found["unit"] == "MB"
    bound = predictions["upper_99.5"]
    assert found["under_rate_99.5"] == (bound < predictions["actual"]).mean()
    assert found["allocation_ratio_95"] == pytest.approx(predictions["upper_95"].sum() / predictions["actual"].sum())
    numbers = {name for name, value in found.items() if isinstance(value, float)}
    without = {"confidence", "worst_shortfall_95", "worst_shortfall_99.5"}
    assert set(found["intervals"]) == numbers - without
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_intervals_hold_the_metrics_and_agree_with_a_plain_loop(predictions: pd.DataFrame) -> None:
    thorough = RegressionEvaluation(bootstrap_replicates=2000, confidence=0.9)
    found = evaluate_regression(predictions, thorough, FACTS, seed=1)
    for name, (lower, upper) in found["intervals"].items():
        assert lower <= found[name] <= upper, name
    random = np.random.default_rng(9)
    members = list(predictions.groupby("group").indices.values())
    samples: dict[str, list[float]] = {"r2": [], "rmse": [], "mape_pct": [], "allocation": []}
    for _ in range(2000):
        chosen = random.integers(0, len(members), len(members))
        drawn = np.concatenate([members[group] for group in chosen])
        actual = predictions["actual"].to_numpy()[drawn]
        predicted = predictions["predicted"].to_numpy()[drawn]
        squared = (actual - predicted) ** 2
        samples["r2"].append(1 - squared.sum() / ((actual - actual.mean()) ** 2).sum())
        samples["rmse"].append(squared.mean() ** 0.5)
        samples["mape_pct"].append(100 * np.mean(np.abs(predicted / actual - 1)))
        samples["allocation"].append(1.2 * predicted.sum() / actual.sum())
    samples["allocation_ratio_95"] = samples.pop("allocation")
    for name, values in samples.items():
        expected = np.quantile(values, [0.05, 0.95])
        assert found["intervals"][name] == pytest.approx(expected, abs=0.12 * np.ptp(expected))


def test_a_bound_that_never_failed_is_not_taken_for_certain() -> None:
    count = 100
    frame = small([10.0] * 50 + [20.0] * 50, [11.0] * count, upper_99=[30.0] * count)
    found = evaluate_regression(frame, QUICK, FACTS, seed=0)
    assert found["under_rate_99"] == 0
    assert found["intervals"]["under_rate_99"] == pytest.approx([0, 0.037], abs=0.001)
    assert found["intervals"]["coverage_99"] == pytest.approx([0.963, 1], abs=0.001)


def test_one_group_or_no_replicates_give_no_bootstrap_intervals(predictions: pd.DataFrame) -> None:
    alone = evaluate_regression(predictions.assign(group="only"), QUICK, FACTS, seed=0)
    assert alone["intervals"] == {}
    assert alone["mae"] > 0
    none = RegressionEvaluation(bootstrap_replicates=0)
    found = evaluate_regression(predictions, none, FACTS, seed=0)
    assert {name.split("_")[0] for name in found["intervals"]} == {"under", "coverage"}


def test_a_frame_without_bounds_may_have_negative_values() -> None:
    found = evaluate_regression(small([-1, 2, 3], [0, 2, 2]), QUICK, FACTS, seed=0)
    assert found["mae"] == pytest.approx(2 / 3)
    assert not [name for name in found if name.startswith("under_rate")]


def test_an_interval_of_an_undefined_metric_is_left_out() -> None:
    found = evaluate_regression(small([5, 5, 5], [4, 5, 6]), QUICK, FACTS, seed=0)
    assert found["r2"] is None
    assert "r2" not in found["intervals"]


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_scaling_and_row_order(factor: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(3, 40))
    actual, predicted = random.exponential(10, rows), random.exponential(10, rows)
    frame = small(list(actual), list(predicted), upper_95=predicted + 1)
    frame["group"] = random.integers(0, 5, rows)
    base = evaluate_regression(frame, QUICK, FACTS, seed=3)
    shuffled = evaluate_regression(frame.sample(frac=1, random_state=1), QUICK, FACTS, seed=3)
    scaled_frame = frame.copy()
    scaled_frame[["actual", "predicted", "upper_95"]] *= factor
    scaled = evaluate_regression(scaled_frame, QUICK, FACTS, seed=3)
    for name in ("mae", "rmse", "bias", "worst_shortfall_95", "mean_over_allocation_95"):
        assert scaled[name] == pytest.approx(factor * base[name], rel=1e-6, abs=1e-9)
    for name in ("mape_pct", "median_ape_pct", "under_rate_95", "allocation_ratio_95", "r2"):
        assert scaled[name] == pytest.approx(base[name], rel=1e-6)
    for name, value in base.items():
        if isinstance(value, float):
            assert shuffled[name] == pytest.approx(value, rel=1e-9, abs=1e-12)
    for name, interval in base["intervals"].items():
        assert shuffled["intervals"][name] == pytest.approx(interval, rel=1e-6, abs=1e-9)


def test_baselines_are_compared_on_the_same_rows(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> None:
    rows = compare_baselines(predictions, evaluation, seed=5)
    assert [row["model"] for row in rows] == [
        "model",
        "bound 95 %",
        "bound 99.5 %",
        "constant",
        "worse",
    ]
    assert [row["kind"] for row in rows] == ["model", "bound", "bound", "baseline", "baseline"]
    assert rows[0]["mae_ratio"] == 1
    for row, column in zip(rows, ["predicted", "upper_95", "upper_99.5"], strict=False):
        expected = (predictions[column] - predictions["actual"]).abs().mean()
        assert row["mae"] == pytest.approx(expected)
        assert row["mae_lower"] <= row["mae"] <= row["mae_upper"]
        assert row["mae_ratio"] == pytest.approx(expected / rows[0]["mae"])
    worse = rows[-1]
    assert 1 < worse["mae_ratio_lower"] < worse["mae_ratio"] < worse["mae_ratio_upper"]
    assert worse["under_rate"] == (predictions["baseline_worse"] < predictions["actual"]).mean()
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_the_interval_of_a_ratio_is_paired(predictions: pd.DataFrame) -> None:
    tripled = predictions["actual"] + 3 * (predictions["predicted"] - predictions["actual"])
    rows = compare_baselines(predictions.assign(baseline_tripled=tripled), QUICK, seed=0)
    found = rows[-1]
    assert [found[f"mae_ratio{end}"] for end in ("", "_lower", "_upper")] == pytest.approx([3] * 3)
    assert found["mae_upper"] - found["mae_lower"] > 0.1 * found["mae"]


def test_a_perfect_model_has_no_ratio() -> None:
    rows = compare_baselines(small([1, 2, 3], [1, 2, 3], baseline_two=[2.0] * 3), QUICK, seed=0)
    assert rows[0]["mae"] == 0
    assert rows[1]["mae_ratio"] is None
    assert rows[1]["mae_ratio_lower"] is None


def test_slices_partition_the_rows(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> None:
    rows = evaluate_slices(predictions, evaluation, seed=2)
    for column in evaluation.slices:
        assert sum(row["n"] for row in rows if row["slice"] == column) == len(predictions)
    engines = [row["value"] for row in rows if row["slice"] == "engine"]
    assert engines == ["first", "second", "(other)"]
    assert {row["value"] for row in rows if row["slice"] == "resolution"} == {"72", "150", "300"}
    inside = predictions[predictions["engine"] == "first"]
    found = next(row for row in rows if row["value"] == "first")
    expected = point_metrics(inside["actual"].to_numpy(), inside["predicted"].to_numpy())
    assert found["mae"] == expected["mae"]
    assert found["mape_pct"] == expected["mape_pct"]
    assert found["groups"] == inside["group"].nunique()
    under = (inside["upper_95"] < inside["actual"]).mean()
    assert found["under_rate_95"] == pytest.approx(under)
    assert found["under_rate_95_lower"] < under < found["under_rate_95_upper"]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_a_slice_of_one_group_has_no_intervals() -> None:
    frame = small([1.0, 2, 3, 4], [1.0, 2, 3, 5], upper_95=[2.0, 2, 2, 2], kind=list("aabb"))
    frame["group"] = list("aabb")
    rows = evaluate_slices(frame, RegressionEvaluation(slices=["kind"], min_slice_rows=1), seed=0)
    assert [(row["mae"], row["mae_lower"]) for row in rows] == [(0, None), (0.5, None)]
    assert [(row["under_rate_95"], row["under_rate_95_upper"]) for row in rows] == [
        (0, None),
        (1, None),
    ]


def test_no_slice_columns_give_no_rows(predictions: pd.DataFrame) -> None:
    assert evaluate_slices(predictions, RegressionEvaluation(), seed=0) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actual": [1, None, 3]}, "'actual' must be finite; 1 of 3 rows.*row_id 'r1'"),
        ({"predicted": [1, 2, float("inf")]}, "'predicted' must be finite.*'r2'"),
        ({"predicted": ["a", "b", "c"]}, "'predicted' must hold numbers"),
        ({"upper_95": [1.0, 0.0, 2.0]}, "'upper_95' must be > 0.*'r1'"),
        ({"upper_95": [1.0, 2.0, 3.0], "actual": [1, -2, 3]}, "'actual' must be >= 0.*'r1': -2"),
        ({"upper_100": [1.0, 2.0, 3.0]}, "'upper_100': a level lies between 0 and 100"),
        ({"baseline_x": [1.0, None, 3.0]}, "'baseline_x' must be finite"),
        ({"group": ["a", None, "b"]}, "'group' must not be missing.*'r1'"),
    ],
)
def test_bad_columns_are_refused_with_an_example(change: dict[str, Any], message: str) -> None:
    frame = small([1, 2, 3], [1, 2, 3]).assign(**change)
    with pytest.raises(UserError, match=message):
        evaluate_regression(frame, QUICK, FACTS, seed=0)


def test_missing_columns_and_empty_frames_are_refused(predictions: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="no rows"):
        evaluate_regression(predictions.head(0), QUICK, FACTS, seed=0)
    renamed = predictions.rename(columns={"actual": "actuals"})
    with pytest.raises(UserError, match=r"'actual' is missing. Did you mean 'actuals'"):
        compare_baselines(renamed, QUICK, seed=0)
    with pytest.raises(UserError, match=r"'resolutio' is missing. Did you mean 'resolution'"):
        evaluate_slices(predictions, RegressionEvaluation(slices=["resolutio"]), seed=0)


def test_a_column_that_appears_twice_is_refused(predictions: pd.DataFrame) -> None:
    twice = pd.concat([predictions, predictions[["actual"]]], axis=1)
    with pytest.raises(UserError, match="'actual' appears 2 times"):
        evaluate_regression(twice, QUICK, FACTS, seed=0)
