"""Days until the event: errors against numpy and scikit-learn, intervals, contenders, and rows without an event."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from augury.errors import UserError
from augury.metrics.binary import Resampling
from augury.pipelines.evaluation.binary import evaluate_slices
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.event_days import days_errors, judge_days


@pytest.fixture(scope="module")
def report(waste_predictions: pd.DataFrame, waste_evaluation: BinaryEvaluation) -> dict[str, Any]:
    return judge_days(waste_predictions, waste_evaluation, seed=1)


def test_errors_are_those_of_the_rows_where_it_happened(
    report: dict[str, Any], waste_predictions: pd.DataFrame
) -> None:
    rows = waste_predictions[waste_predictions["actual"] == 1]
    actual, predicted = rows["actual_days"], rows["predicted_days"]
    found = report["metrics"]
    assert found["days_n"] == len(rows)
    assert found["days_mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(actual, predicted))
    assert found["days_rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(actual, predicted))
    assert found["days_median_ae"] == pytest.approx(sklearn_metrics.median_absolute_error(actual, predicted))
    covered = actual.between(rows["predicted_days_lower"], rows["predicted_days_upper"])
    assert found["days_coverage"] == pytest.approx(covered.mean())
    # exp(+-0.75) around a prediction that is off by a normal of sd hypot(0.5, 0.2)
    assert found["days_coverage"] == pytest.approx(0.836, abs=0.03)
    assert set(report["support"].values()) == {len(rows)}
    for name, (lower, upper) in report["intervals"].items():
        assert lower < found[name] < upper, name
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_intervals_agree_with_a_loop_over_households(waste_predictions: pd.DataFrame) -> None:
    rows = waste_predictions[waste_predictions["actual"] == 1]
    codes = pd.factorize(rows["household_id"])[0]
    found = days_errors(rows, codes, Resampling(1000, 0.9, 0)).intervals
    error = (rows["predicted_days"] - rows["actual_days"]).abs().to_numpy()
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    random = np.random.default_rng(3)
    samples = []
    for _ in range(400):
        drawn = error[np.concatenate([members[code] for code in random.integers(0, len(members), len(members))])]
        samples.append([drawn.mean(), np.sqrt((drawn**2).mean()), np.median(drawn)])
    for values, name in zip(np.array(samples).T, ("days_mae", "days_rmse", "days_median_ae"), strict=True):
        expected = np.quantile(values, [0.05, 0.95])
        assert found[name] == pytest.approx(expected, abs=0.25 * np.ptp(expected)), name


def test_rules_and_the_true_median_stand_beside_the_model(
    report: dict[str, Any], waste_predictions: pd.DataFrame
) -> None:
    model, oracle, constant = report["contenders"]
    assert [(row["model"], row["kind"]) for row in report["contenders"]] == [
        ("model", "model"),
        ("oracle", "oracle"),
        ("constant", "baseline"),
    ]
    rows = waste_predictions[waste_predictions["actual"] == 1]
    assert model["mae_ratio"] is None
    assert oracle["mae"] == pytest.approx((rows["true_median_days"] - rows["actual_days"]).abs().mean())
    assert oracle["mae_ratio"] == pytest.approx(oracle["mae"] / model["mae"])
    assert oracle["mae_ratio"] < 1 < constant["mae_ratio"]
    assert constant["mae_ratio_lower"] < constant["mae_ratio"] < constant["mae_ratio_upper"]
    metrics, intervals = report["metrics"], report["intervals"]
    assert metrics["days_mae_ratio_to_constant"] == pytest.approx(model["mae"] / constant["mae"])
    assert intervals["days_mae_ratio_to_constant"][1] == pytest.approx(1 / constant["mae_ratio_lower"])
    assert "days_mae_ratio_to_oracle" not in metrics


def test_every_slice_has_its_own_error(
    waste_predictions: pd.DataFrame, waste_facts: dict[str, Any], waste_evaluation: BinaryEvaluation
) -> None:
    evaluation = waste_evaluation.model_copy(update={"slices": ["category"], "bootstrap_replicates": 50})
    found = {row["value"]: row for row in evaluate_slices(waste_predictions, waste_facts, evaluation, 0)}
    canned = waste_predictions[(waste_predictions["category"] == "canned") & (waste_predictions["actual"] == 1)]
    expected = (canned["predicted_days"] - canned["actual_days"]).abs().mean()
    assert found["canned"]["days_mae"] == pytest.approx(expected)
    assert found["canned"]["days_n"] == len(canned)
    assert found["canned"]["days_mae"] > 10 * found["dairy"]["days_mae"]


def test_nothing_happened_and_nothing_asked(
    waste_predictions: pd.DataFrame, waste_evaluation: BinaryEvaluation
) -> None:
    calm = waste_predictions.assign(actual_days=np.nan)
    found = judge_days(calm, waste_evaluation, 0)
    assert found["metrics"]["days_n"] == 0
    assert found["metrics"]["days_mae"] is None
    assert found["contenders"] == []
    off = waste_evaluation.model_copy(update={"days": None})
    assert judge_days(waste_predictions, off, 0)["metrics"] == {}


def test_measured_rows_have_no_oracle(waste_predictions: pd.DataFrame, waste_evaluation: BinaryEvaluation) -> None:
    some = waste_predictions.copy()
    some.loc[some["actual"] == 1, "true_median_days"] = some["true_median_days"].where(some.index % 2 == 0)
    assert "oracle" not in [row["model"] for row in judge_days(some, waste_evaluation, 0)["contenders"]]


def test_a_missing_prediction_is_refused(waste_predictions: pd.DataFrame, waste_evaluation: BinaryEvaluation) -> None:
    broken = waste_predictions.copy()
    broken.loc[broken["actual"] == 0, "predicted_days"] = np.nan
    judge_days(broken, waste_evaluation, 0)
    first = broken.index[broken["actual"] == 1][0]
    broken.loc[first, "predicted_days"] = np.nan
    with pytest.raises(UserError, match=rf"'predicted_days' must be finite.*1 of \d+ rows.*{broken['row_id'][first]}"):
        judge_days(broken, waste_evaluation, 0)
