"""Held-out predictions of a binary predictor: which rows, in which order, with which columns, on every engine."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.evaluation.binary import evaluate_binary
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.binary_predictions import check_export, predict_holdout

EVALUATION = BinaryEvaluation(
    row_id="query_id", target="is_heavy", group_columns=["date", "user"], slices=["week"], bootstrap_replicates=10
)


class Doubling:
    """Twice the feature is the probability."""

    metadata: Any = SimpleNamespace(data=SimpleNamespace(rows=4, groups=3))

    def __init__(self, difference: float = 1e-8) -> None:
        self.operating_points = {"cost_optimal": 0.4, "recall_98": 0.1}
        self.difference = difference
        self.seen: list[str] = []

    def predict_matrix(self, matrix: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"probability": 2 * matrix["half"].astype(float), "margin": 0.0}, index=matrix.index)

    def compare_onnx(self, matrix: pd.DataFrame) -> dict[str, Any]:
        self.seen = matrix["query_id"].tolist()
        return {"rows": len(matrix), "max_difference": self.difference, "flips": {"cost_optimal": 0, "recall_98": 1}}


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": ["d", "a", "c", "b"],
            "date": ["2025-03-16", "2025-03-10", "2025-03-12", "2025-03-01"],
            "split": ["test", "test", "drift", "train"],
            "is_heavy": [True, False, True, False],
            "user": ["x", None, "y", "x"],
            "half": np.array([0.4, 0.1, 0.25, 0.5], dtype=np.float32),
            "terms": ["select", "", "select a", "x"],
        }
    )


def baselines() -> pd.DataFrame:
    columns = {"baseline_tfidf": [3.0, 1.0, 2.0, 9.0], "decision_rule": [True, False, False, True]}
    return pd.DataFrame({"query_id": ["a", "c", "d", "other"], **columns, "remark": "not carried"})


def test_held_out_rows_are_predicted_in_the_order_of_their_ids(frame_engine: Any) -> None:
    found = predict_holdout(Doubling(), frame_engine.make(table()), baselines(), EVALUATION)
    assert found["row_id"].tolist() == ["a", "c", "d"]
    assert found["actual"].tolist() == [0, 1, 1]
    assert found["probability"].tolist() == pytest.approx([0.2, 0.5, 0.8])
    assert found["split"].tolist() == ["test", "drift", "test"]
    assert found["week"].tolist() == ["2025-03-10"] * 3
    assert found["baseline_tfidf"].tolist() == [3, 1, 2]
    assert found["decision_rule"].tolist() == [True, False, False]
    assert "remark" not in found
    assert "half" not in found


def test_what_it_returns_can_be_judged() -> None:
    predictor = Doubling()
    found = predict_holdout(predictor, table(), baselines(), EVALUATION)
    facts = check_export(predictor, table(), EVALUATION)
    metrics = evaluate_binary(found, facts, EVALUATION, seed=0)
    assert (metrics["n_test"], metrics["n_train"], metrics["n_train_groups"]) == (2, 4, 3)
    assert (metrics["roc_auc"], metrics["recall_cost_optimal"]) == (1, 1)
    assert metrics["onnx_flips_recall_98"] == 1


def test_the_export_is_checked_on_the_held_out_rows_alone(frame_engine: Any) -> None:
    predictor = Doubling()
    facts = check_export(predictor, frame_engine.make(table()), EVALUATION)
    assert predictor.seen == ["a", "c", "d"]
    assert facts["threshold"] == {"cost_optimal": 0.4, "recall_98": 0.1}
    assert facts["onnx_max_difference"] == 1e-8


@pytest.mark.parametrize("difference", [2e-6, float("nan")])
def test_an_export_that_differs_is_refused(difference: float) -> None:
    with pytest.raises(ValueError, match="ONNX export differs"):
        check_export(Doubling(difference), table(), EVALUATION)


def test_a_column_that_does_not_exist_and_a_row_without_baselines_are_refused() -> None:
    unknown = EVALUATION.model_copy(update={"slices": ["weak"]})
    with pytest.raises(UserError, match=r"no column 'weak'. Did you mean 'week'"):
        predict_holdout(Doubling(), table(), baselines(), unknown)
    with pytest.raises(UserError, match=r"1 of 3 held-out rows are missing, for example query_id 'c'"):
        predict_holdout(Doubling(), table(), baselines().drop(index=1), EVALUATION)
