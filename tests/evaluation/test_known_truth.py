"""The known truth: skills beside the oracles, the analytic expectation, a leak that is found, rows without a truth."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from augury.pipelines.evaluation.binary import compare_baselines
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.gates import Gates, judge
from augury.pipelines.evaluation.known_truth import compare_with_truth


@pytest.fixture(scope="module")
def report(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> dict[str, Any]:
    return compare_with_truth(waste_predictions, waste_facts, waste_evaluation, seed=0)


def entropy(share: float) -> float:
    return -(share * np.log(share) + (1 - share) * np.log(1 - share))


def test_the_skill_is_set_against_that_of_the_observable_oracle(
    report: dict[str, Any], waste_predictions: pd.DataFrame
) -> None:
    frame, metrics = waste_predictions, report["metrics"]
    base = entropy(frame["actual"].mean())
    model, best = (
        1 - log_loss(frame["actual"], frame[name]) / base for name in ("probability", "observable_probability")
    )
    assert metrics["log_loss_skill_of_oracle"] == pytest.approx(model / best)
    below = [roc_auc_score(frame["actual"], frame[name]) for name in ("observable_probability", "probability")]
    assert metrics["roc_auc_below_oracle"] == pytest.approx(below[0] - below[1])
    gap = (frame["probability"] - frame["observable_probability"]).abs().mean()
    assert metrics["probability_error"] == pytest.approx(gap)
    assert metrics["truth_rows"] == len(frame)
    lower, upper = report["intervals"]["log_loss_skill_of_oracle"]
    assert lower < metrics["log_loss_skill_of_oracle"] < upper < 1.02
    # Paired: much narrower than the interval of the skill alone would make it
    assert upper - lower < 0.1
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_expected_metrics_are_near_those_of_the_drawn_outcomes(report: dict[str, Any]) -> None:
    rows = {row["model"]: row for row in report["contenders"]}
    assert list(rows) == [
        "model",
        "oracle",
        "observable oracle",
        "oracle, expected",
        "observable oracle, expected",
    ]
    for name in ("oracle", "observable oracle"):
        for metric in ("roc_auc", "log_loss", "brier", "precision_half", "recall_f1_optimal"):
            assert rows[name][metric] == pytest.approx(rows[f"{name}, expected"][metric], abs=0.06), (name, metric)
    assert rows["oracle"]["roc_auc"] > rows["observable oracle"]["roc_auc"] > rows["model"]["roc_auc"]


def test_an_honest_model_is_below_the_oracle_and_a_leaky_one_fails_its_gate(
    report: dict[str, Any],
    waste_predictions: pd.DataFrame,
    waste_facts: dict[str, Any],
    waste_evaluation: BinaryEvaluation,
) -> None:
    gates = Gates.model_validate({"roc_auc_above_oracle_z": {"max": 3, "optional": True}})
    assert report["metrics"]["roc_auc_above_oracle_z"] < 0
    assert [row["passed"] for row in judge(report["metrics"] | {"intervals": {}}, gates)] == [True]
    # A feature that was filled in after the fact, at one row in five
    random = np.random.default_rng(0)
    seen = (random.random(len(waste_predictions)) < 0.2) * (2.0 * waste_predictions["actual"] - 1)
    odds = np.log(waste_predictions["probability"] / (1 - waste_predictions["probability"])) + 3 * seen
    leaky = waste_predictions.assign(probability=1 / (1 + np.exp(-odds)))
    found = compare_with_truth(leaky, waste_facts, waste_evaluation, 0)["metrics"]
    assert found["roc_auc_above_oracle_z"] > 3
    assert [row["verdict"] for row in judge(found | {"intervals": {}}, gates)] == ["fail"]


def test_the_full_oracle_itself_is_no_leak(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    knowing = waste_predictions.assign(probability=waste_predictions["true_probability"])
    assert compare_with_truth(knowing, waste_facts, waste_evaluation, 0)["metrics"]["roc_auc_above_oracle_z"] == 0


def test_the_standard_error_is_that_of_the_difference(report: dict[str, Any], waste_predictions: pd.DataFrame) -> None:
    frame = waste_predictions
    members = [group.index.to_numpy() for _, group in frame.groupby("household_id")]
    actual, model, oracle = (frame[name].to_numpy() for name in ("actual", "probability", "true_probability"))
    random = np.random.default_rng(1)
    differences = []
    for _ in range(100):
        drawn = np.concatenate([members[code] for code in random.integers(0, len(members), len(members))])
        differences.append(roc_auc_score(actual[drawn], model[drawn]) - roc_auc_score(actual[drawn], oracle[drawn]))
    above = roc_auc_score(actual, model) - roc_auc_score(actual, oracle)
    assert report["metrics"]["roc_auc_above_oracle_z"] == pytest.approx(above / np.std(differences), rel=0.2)


def test_only_rows_of_known_truth_are_compared(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    mixed = waste_predictions.copy()
    mixed.loc[mixed.index % 4 == 0, ["true_probability", "observable_probability", "baseline_oracle"]] = np.nan
    found = compare_with_truth(mixed, waste_facts, waste_evaluation, 0)
    kept = waste_predictions[waste_predictions.index % 4 != 0]
    assert found["metrics"]["truth_rows"] == len(kept)
    assert found["contenders"][0]["roc_auc"] == pytest.approx(roc_auc_score(kept["actual"], kept["probability"]))
    # Contenders of the table are compared on all rows: the oracle is none of them here
    names = {row["model"] for row in compare_baselines(mixed, waste_facts, waste_evaluation, 0)}
    assert "oracle" not in names
    assert "observable_oracle" in names


@pytest.mark.parametrize("kind", ["missing columns", "all unknown", "not asked"])
def test_measured_rows_have_no_truth_and_pass_the_optional_gate(
    kind: str, waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    frame, evaluation = waste_predictions, waste_evaluation
    if kind == "missing columns":
        frame = frame.drop(columns=["true_probability", "observable_probability"])
    elif kind == "all unknown":
        frame = frame.assign(true_probability=np.nan)
    else:
        evaluation = evaluation.model_copy(update={"truth": None})
    found = compare_with_truth(frame, waste_facts, evaluation, 0)
    assert found["metrics"]["truth_rows"] == 0
    assert found["metrics"]["roc_auc_above_oracle_z"] is None
    assert found["contenders"] == []
    assert judge(found["metrics"], Gates.model_validate({"roc_auc_above_oracle_z": {"max": 3, "optional": True}})) == []


def test_oracles_are_shown_before_the_baselines(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    rows = compare_baselines(waste_predictions, waste_facts, waste_evaluation, 0)
    assert [(row["model"], row["kind"]) for row in rows] == [
        ("model", "model"),
        ("model at half", "operating_point"),
        ("model at confident", "operating_point"),
        ("oracle", "oracle"),
        ("observable_oracle", "oracle"),
        ("category_rate", "baseline"),
    ]
    assert rows[1]["log_loss_below"] is rows[1]["roc_auc_above"] is None
    assert rows[3]["log_loss_below_upper"] < 0 < rows[5]["log_loss_below_lower"]
