"""Fairness: equal to fairlearn, intervals against a loop, small groups, and what is undefined."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn_metrics

from augury.errors import UserError
from augury.metrics.binary import BinaryRows, Resampling
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation, FairnessCheck
from augury.pipelines.evaluation.fairness import compare_groups, judge_fairness


@pytest.fixture(scope="module")
def report(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> dict[str, Any]:
    return judge_fairness(waste_predictions, waste_facts, waste_evaluation, seed=0)


def test_differences_and_ratios_are_fairlearns(report: dict[str, Any], waste_predictions: pd.DataFrame) -> None:
    frame = waste_predictions
    arguments = (frame["actual"], frame["probability"] >= 0.34)
    for name in ("demographic_parity", "equalized_odds"):
        for kind in ("difference", "ratio"):
            expected = getattr(fairlearn_metrics, f"{name}_{kind}")(
                *arguments, sensitive_features=frame["household_size"]
            )
            assert report["metrics"][f"{name}_{kind}"] == pytest.approx(expected, abs=1e-12)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_groups_are_described_by_their_rows(report: dict[str, Any], waste_predictions: pd.DataFrame) -> None:
    assert [row["group"] for row in report["groups"]] == ["1", "2", "3", "4"]
    for row in report["groups"]:
        part = waste_predictions[waste_predictions["household_size"] == float(row["group"])]
        called = part["probability"] >= 0.34
        assert row["n"] == len(part)
        assert row["prevalence"] == pytest.approx(part["actual"].mean())
        assert row["selection_rate"] == pytest.approx(called.mean())
        assert row["recall"] == pytest.approx(called[part["actual"] == 1].mean())
        assert row["false_positive_rate"] == pytest.approx(called[part["actual"] == 0].mean())
        assert row["calibration_gap"] == pytest.approx(part["probability"].mean() - part["actual"].mean())
        assert row["recall_lower"] < row["recall"] < row["recall_upper"]


def test_intervals_are_those_of_fairlearn_on_drawn_households(waste_predictions: pd.DataFrame) -> None:
    # Decisions that differ between groups: where they hardly do, the interval lies above the value
    frame = waste_predictions.head(2500)
    codes = pd.factorize(frame["household_id"])[0]
    labels = frame["household_size"].astype(int).astype(str).to_numpy(dtype=str)
    decided = frame["probability"].to_numpy() >= np.where(labels == "1", 0.2, 0.5)
    actual = frame["actual"].to_numpy() == 1
    rows = BinaryRows(actual, frame["probability"].to_numpy(), codes)
    judged, _ = compare_groups(rows, decided, labels, Resampling(500, 0.9, 0))
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    random = np.random.default_rng(5)
    samples: dict[str, list[float]] = {}
    for _ in range(100):
        drawn = np.concatenate([members[code] for code in random.integers(0, len(members), len(members))])
        table = pd.DataFrame({"label": labels, "actual": actual, "decided": decided}).iloc[drawn]
        selection = table.groupby("label")["decided"].mean()
        samples.setdefault("demographic_parity_difference", []).append(selection.max() - selection.min())
        samples.setdefault("demographic_parity_ratio", []).append(selection.min() / selection.max())
        both = table.groupby(["actual", "label"])["decided"].mean().unstack()
        samples.setdefault("equalized_odds_difference", []).append((both.max(axis=1) - both.min(axis=1)).max())
        samples.setdefault("equalized_odds_ratio", []).append((both.min(axis=1) / both.max(axis=1)).min())
    for name, values in samples.items():
        expected = np.quantile(values, [0.05, 0.95])
        assert judged.intervals[name] == pytest.approx(expected, abs=0.35 * np.ptp(expected)), name
        assert judged.intervals[name][0] < judged.values[name] < judged.intervals[name][1]


def test_several_columns_have_metrics_of_their_own_and_the_worst_has_the_name(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    check = FairnessCheck(columns=["household_size", "origin", "category"], operating_point="confident", min_rows=400)
    evaluation = waste_evaluation.model_copy(update={"fairness": check, "bootstrap_replicates": 20})
    found = judge_fairness(waste_predictions, waste_facts, evaluation, 0)
    metrics = found["metrics"]
    # One origin only: there is nothing to compare
    assert metrics["demographic_parity_difference_origin"] is None
    both = [metrics[f"demographic_parity_difference_{column}"] for column in ("household_size", "category")]
    assert metrics["demographic_parity_difference"] == max(both)
    ratios = [metrics[f"equalized_odds_ratio_{column}"] for column in ("household_size", "category")]
    assert metrics["equalized_odds_ratio"] == min(ratios)
    assert found["threshold"] == 0.7
    # Canned food has fewer than 400 rows
    assert [row["group"] for row in found["groups"] if row["column"] == "category"] == [
        "(other)",
        "dairy",
        "meat",
        "produce",
    ]


def test_odds_are_undefined_where_a_group_lacks_a_class() -> None:
    actual = np.array([True, False, False, False])
    rows = BinaryRows(actual, np.array([0.9, 0.2, 0.6, 0.1]), np.arange(4))
    judged, groups = compare_groups(
        rows, rows.probability > 0.5, np.array(["a", "a", "b", "b"]), Resampling(50, 0.9, 0)
    )
    assert judged.values["equalized_odds_difference"] is None
    assert judged.values["demographic_parity_difference"] == 0
    assert "equalized_odds_difference" not in judged.intervals
    assert groups[1]["recall"] is None


def test_an_operating_point_that_does_not_exist_is_refused_and_nothing_asked_is_nothing(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    wrong = FairnessCheck(columns=["household_size"], operating_point="f1_optimum")
    with pytest.raises(UserError, match="Did you mean 'f1_optimal'"):
        judge_fairness(waste_predictions, waste_facts, waste_evaluation.model_copy(update={"fairness": wrong}), 0)
    off = waste_evaluation.model_copy(update={"fairness": None})
    assert judge_fairness(waste_predictions, waste_facts, off, 0)["metrics"] == {}
