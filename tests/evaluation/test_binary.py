"""Judging a binary predictor: subsets and their prefixes, gates on them, baselines, slices, and refusals."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn import metrics as sklearn_metrics

from augury.errors import UserError
from augury.pipelines.evaluation.binary import compare_baselines, evaluate_binary, evaluate_slices
from augury.pipelines.evaluation.binary_holdout import main_name, week_of
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.gates import Gates, judge

FACTS = {"n_train": 10, "threshold": {"cost_optimal": 0.5}}


@pytest.fixture(scope="module")
def metrics(
    binary_predictions: pd.DataFrame, binary_facts: dict[str, Any], binary_evaluation: BinaryEvaluation
) -> dict[str, Any]:
    return evaluate_binary(binary_predictions, binary_facts, binary_evaluation, seed=7)


def small(actual: list[int], probability: list[float], **columns: Any) -> pd.DataFrame:
    rows = range(len(actual))
    frame = {"row_id": [f"r{row}" for row in rows], "group": [f"g{row}" for row in rows], "split": "test"}
    return pd.DataFrame(frame | {"date": "2025-01-01", "actual": actual, "probability": probability} | columns)


def test_the_main_rows_have_no_prefix_and_subsets_have_theirs(
    metrics: dict[str, Any], binary_predictions: pd.DataFrame
) -> None:
    frame = binary_predictions
    parts = {
        "": frame["split"] == "test",
        "drift_": frame["split"] == "drift",
        "seen_": (frame["split"] == "test") & frame["seen_template"],
        "unseen_": frame["split"].isin(["test", "drift"]) & ~frame["seen_template"],
        "executed_": (frame["split"] == "test") & (frame["origin"] == "executed"),
    }
    for prefix, inside in parts.items():
        part = frame[inside]
        actual, decided = part["actual"], part["probability"] >= 0.02
        expected = {
            f"{prefix}n" if prefix else "n_test": len(part),
            f"{prefix}groups" if prefix else "n_test_groups": len(part.groupby(["date", "user"])),
            f"{prefix}positives": actual.sum(),
            f"{prefix}roc_auc": sklearn_metrics.roc_auc_score(actual, part["probability"]),
            f"{prefix}pr_auc": sklearn_metrics.average_precision_score(actual, part["probability"]),
            f"{prefix}recall_recall_98": sklearn_metrics.recall_score(actual, decided),
            f"{prefix}f1_recall_98": sklearn_metrics.f1_score(actual, decided),
            f"{prefix}weighted_recall_recall_98": sklearn_metrics.recall_score(
                actual, decided, sample_weight=part["cpu_time_s"].fillna(0)
            ),
        }
        for name, value in expected.items():
            assert metrics[name] == pytest.approx(value), name
        lower, upper = metrics["intervals"][f"{prefix}roc_auc"]
        assert lower < metrics[f"{prefix}roc_auc"] < upper


def test_the_mapping_holds_facts_and_survives_json(metrics: dict[str, Any]) -> None:
    assert metrics["threshold_recall_98"] == 0.02
    assert metrics["unit"] == "heavy"
    assert (metrics["seed"], metrics["n_train"], metrics["onnx_rows"]) == (7, 20_000, 6000)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_gates_can_limit_every_subset_and_the_lead_on_a_rival(metrics: dict[str, Any]) -> None:
    limits = {
        "roc_auc": {"min": 0.8, "on": "lower"},
        "drift_nec_cost_optimal": {"max": 0.0},
        "seen_recall_recall_98": {"min": 0.5, "on": "lower"},
        "seen_fnr_recall_98": {"max": 0.5, "on": "upper"},
        "seen_f1_recall_98": {"min": 0.99},
        "unseen_roc_auc_above_tfidf": {"min": 0.0, "on": "lower"},
    }
    passed = [row["passed"] for row in judge(metrics, Gates.model_validate(limits))]
    assert passed == [True, False, True, True, False, True]
    with pytest.raises(UserError, match=r"no such metric. Did you mean 'seen_recall_recall_98'"):
        judge(metrics, Gates.model_validate({"seen_recal_recall_98": {"min": 0.9}}))


def test_a_subset_without_rows_or_without_positives_is_undefined_and_fails_its_gate() -> None:
    frame = small([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], kind=["a", "a", "b", "a"])
    evaluation = BinaryEvaluation(
        subsets={"b": {"kind": "b"}, "c": {"kind": "c"}}, bootstrap_replicates=20, min_slice_rows=1
    )
    found = evaluate_binary(frame, FACTS, evaluation, seed=0)
    assert (found["b_n"], found["b_roc_auc"], found["b_recall_cost_optimal"]) == (1, None, None)
    assert (found["c_n"], found["c_roc_auc"], found["c_brier"]) == (0, None, None)
    rows = judge(found, Gates.model_validate({"roc_auc": {"min": 0.9}, "c_roc_auc": {"min": 0.0}}))
    assert [row["passed"] for row in rows] == [True, False]
    assert {row["subset"] for row in compare_baselines(frame, FACTS, evaluation, 0)} == {"test", "b", "c"}


def test_baselines_stand_beside_the_model_on_every_subset(
    binary_predictions: pd.DataFrame, binary_facts: dict[str, Any], binary_evaluation: BinaryEvaluation
) -> None:
    rows = compare_baselines(binary_predictions, binary_facts, binary_evaluation, seed=7)
    assert list(dict.fromkeys(row["subset"] for row in rows)) == ["test", "drift", "seen", "unseen", "executed"]
    first = [row for row in rows if row["subset"] == "test"]
    kinds = {"model": "model", "model at recall_98": "operating_point"}
    kinds |= dict.fromkeys(["all_heavy", "length_or_joins", "tfidf"], "baseline")
    assert {row["model"]: row["kind"] for row in first} == kinds
    part = binary_predictions[binary_predictions["split"] == "test"]
    actual = part["actual"]
    model, point, heavy, rule, tfidf = first
    assert model["recall"] == pytest.approx(((part["probability"] >= 1 / 101) & (actual == 1)).sum() / actual.sum())
    assert point["recall"] == pytest.approx(((part["probability"] >= 0.02) & (actual == 1)).sum() / actual.sum())
    assert model["roc_auc_above"] is point["roc_auc_above"] is None
    assert (heavy["roc_auc"], heavy["recall"], heavy["positive_share"]) == (0.5, 1, 1)
    assert heavy["nec"] == pytest.approx(1)
    assert rule["roc_auc"] is None
    assert rule["precision"] == sklearn_metrics.precision_score(actual, part["decision_length_or_joins"])
    assert tfidf["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(actual, part["baseline_tfidf"]))
    assert tfidf["roc_auc_above"] == pytest.approx(model["roc_auc"] - tfidf["roc_auc"])
    assert 0 < tfidf["roc_auc_above_lower"] < tfidf["roc_auc_above"] < tfidf["roc_auc_above_upper"]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_the_lead_in_the_metrics_is_that_of_the_table(
    metrics: dict[str, Any],
    binary_predictions: pd.DataFrame,
    binary_facts: dict[str, Any],
    binary_evaluation: BinaryEvaluation,
) -> None:
    rows = compare_baselines(binary_predictions, binary_facts, binary_evaluation, seed=7)
    (row,) = [row for row in rows if (row["subset"], row["model"]) == ("unseen", "tfidf")]
    assert metrics["unseen_roc_auc_above_tfidf"] == pytest.approx(row["roc_auc_above"])
    ends = [row["roc_auc_above_lower"], row["roc_auc_above_upper"]]
    assert metrics["intervals"]["unseen_roc_auc_above_tfidf"] == pytest.approx(ends)


def test_slices_part_the_chosen_rows(
    binary_predictions: pd.DataFrame, binary_facts: dict[str, Any], binary_evaluation: BinaryEvaluation
) -> None:
    rows = evaluate_slices(binary_predictions, binary_facts, binary_evaluation, seed=7)
    chosen = binary_predictions[binary_predictions["split"] != "validation"]
    for column in binary_evaluation.slices:
        assert sum(row["n"] for row in rows if row["slice"] == column) == len(chosen)
    weeks = [row["value"] for row in rows if row["slice"] == "week"]
    assert weeks == ["2025-03-10", "2025-03-17"]
    (row,) = [row for row in rows if (row["slice"], row["value"]) == ("seen_template", "False")]
    part = chosen[~chosen["seen_template"]]
    assert row["positives"] == part["actual"].sum()
    assert row["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(part["actual"], part["probability"]))
    decided = part["probability"] >= 1 / 101
    assert row["precision"] == pytest.approx(sklearn_metrics.precision_score(part["actual"], decided))
    assert row["nec_lower"] < row["nec"] < row["nec_upper"]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_rare_slices_are_merged_and_come_last() -> None:
    frame = small([0, 1] * 10, [0.1, 0.9] * 10, kind=["a"] * 12 + ["b"] * 6 + ["c", "d"])
    evaluation = BinaryEvaluation(slices=["kind"], min_slice_rows=5, bootstrap_replicates=0)
    rows = evaluate_slices(frame, FACTS, evaluation, seed=0)
    assert [(row["value"], row["n"]) for row in rows] == [("a", 12), ("b", 6), ("(other)", 2)]


def test_the_index_and_the_order_of_the_frame_do_not_matter(
    binary_predictions: pd.DataFrame, binary_facts: dict[str, Any], binary_evaluation: BinaryEvaluation
) -> None:
    evaluation = binary_evaluation.model_copy(update={"bootstrap_replicates": 30})
    shuffled = binary_predictions.sample(frac=1, random_state=3)
    first = evaluate_slices(binary_predictions, binary_facts, evaluation, seed=1)
    second = evaluate_slices(shuffled, binary_facts, evaluation, seed=1)
    for one, other in zip(first, second, strict=True):
        assert other == pytest.approx(one)


def test_the_main_rows_are_named_by_what_chooses_them() -> None:
    assert main_name(BinaryEvaluation()) == "test"
    assert main_name(BinaryEvaluation(main={"split": "test", "seen": True})) == "main"
    assert main_name(BinaryEvaluation(main={"split": ["a", "b"]})) == "main"
    assert main_name(BinaryEvaluation(subsets={"test": {"split": "old"}})) == "main"


def test_a_week_begins_on_monday_and_a_missing_day_has_none() -> None:
    days = pd.Series(["2025-03-09", "2025-03-10", "2025-03-16 23:59", None])
    assert week_of(days).tolist()[:3] == ["2025-03-03", "2025-03-10", "2025-03-10"]
    assert week_of(days).isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actual": [0, 2, 1]}, "'actual' must be 0 or 1; 1 of 3 rows.*'r1': 2"),
        ({"actual": [0, None, 1]}, "'actual' must be finite"),
        ({"probability": [0.1, 1.2, 0.3]}, "'probability' must be <= 1; row_id 'r1' has 1.2"),
        ({"probability": [0.1, -0.2, 0.3]}, "'probability' must be >= 0"),
        ({"probability": [0.1, None, 0.3]}, "'probability' must be finite"),
        ({"baseline_x": [0.1, np.inf, 0.3]}, "'baseline_x' must be finite"),
        ({"decision_x": [0, 1, 3]}, "'decision_x' must be 0 or 1"),
        ({"split": "train"}, r"'evaluation.main': no held-out row has .*'test'.*split: train"),
    ],
)
def test_bad_columns_are_refused_with_an_example(change: dict[str, Any], message: str) -> None:
    frame = small([0, 1, 0], [0.1, 0.9, 0.2]).assign(**change)
    with pytest.raises(UserError, match=message):
        evaluate_binary(frame, FACTS, BinaryEvaluation(), seed=0)


def test_columns_baselines_and_points_that_do_not_exist_are_refused() -> None:
    frame = small([0, 1, 0], [0.1, 0.9, 0.2], decision_rule=[0, 1, 1], baseline_tfidf=[0.0, 3.0, 1.0])
    with pytest.raises(UserError, match=r"'spilt' is missing. Did you mean 'split'"):
        evaluate_binary(frame, FACTS, BinaryEvaluation(subsets={"old": {"spilt": "test"}}), seed=0)
    with pytest.raises(UserError, match=r"no baseline 'tfid' with a score. Did you mean 'tfidf'"):
        evaluate_binary(frame, FACTS, BinaryEvaluation(rivals=["tfid"]), seed=0)
    with pytest.raises(UserError, match="no baseline 'rule' with a score"):
        evaluate_binary(frame, FACTS, BinaryEvaluation(rivals=["rule"]), seed=0)
    with pytest.raises(UserError, match=r"no operating point 'cost_optimum'. Did you mean 'cost_optimal'"):
        compare_baselines(frame, FACTS, BinaryEvaluation(operating_point="cost_optimum"), seed=0)
    with pytest.raises(UserError, match="no rows"):
        evaluate_slices(frame.head(0), FACTS, BinaryEvaluation(), seed=0)


@pytest.mark.parametrize("name", ["recall", "roc", "weighted", "n", "main", "Drift", "a-b", "false", "threshold"])
def test_a_subset_cannot_take_the_name_of_a_metric(name: str) -> None:
    with pytest.raises(ValidationError, match=f"subset '{name}'"):
        BinaryEvaluation(subsets={name: {"split": "test"}})


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValidationError, match="cost_ration"):
        BinaryEvaluation.model_validate({"cost_ration": 3})
