"""The replay: which days, how they are judged, what has moved, and when somebody is told."""

import json
from typing import Any

import numpy as np
import pandas as pd
import plotly.io
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import recall_score, roc_auc_score

from augury.errors import UserError
from augury.pipelines.monitoring.alarms import raise_alarms
from augury.pipelines.monitoring.feature_drift import measure_drift
from augury.pipelines.monitoring.pipeline import create_pipeline
from augury.pipelines.monitoring.replay import ReplayMonitoring, judge_replay, replay_days
from augury.pipelines.monitoring.replay_plots import plot_calibration, plot_days, plot_drift, plot_score
from augury.pipelines.monitoring.replay_report import replay_report

FEATURES = {"features": ["cost", "joins", "shifted", "rare", "hour"]}


@pytest.fixture(scope="module")
def replayed(champion: Any, matrix: pd.DataFrame, monitoring: ReplayMonitoring) -> pd.DataFrame:
    return replay_days(champion, matrix, monitoring)


@pytest.fixture(scope="module")
def judged(champion: Any, replayed: pd.DataFrame, monitoring: ReplayMonitoring) -> dict[str, Any]:
    return judge_replay(champion, replayed, monitoring, 1)


@pytest.fixture(scope="module")
def drift(champion: Any, matrix: pd.DataFrame, replayed: pd.DataFrame, monitoring: ReplayMonitoring) -> dict[str, Any]:
    return measure_drift(champion, matrix, FEATURES, replayed, monitoring, 1)


def row_of(drift: dict[str, Any], feature: str) -> dict[str, Any]:
    (found,) = [row for row in drift["features"] if row["feature"] == feature]
    return found


def test_the_last_days_are_replayed_as_they_came(
    frame_engine: Any, champion: Any, matrix: pd.DataFrame, monitoring: ReplayMonitoring
) -> None:
    found = replay_days(champion, frame_engine.make(matrix), monitoring)
    expected = matrix[matrix["split"].isin(["test", "drift"])].sort_values(["date", "query_id"], ignore_index=True)
    assert found["row_id"].tolist() == expected["query_id"].tolist()
    assert found["actual"].tolist() == expected["is_heavy"].astype(int).tolist()
    assert found["probability"].to_numpy() == pytest.approx(champion.predict_matrix(expected)["probability"].to_numpy())
    assert found["user"].tolist() == expected["user"].tolist()


def test_training_rows_are_no_days(champion: Any, matrix: pd.DataFrame, monitoring: ReplayMonitoring) -> None:
    long = monitoring.model_copy(update={"days": 1000})
    assert set(replay_days(champion, matrix, long)["split"]) == {"validation", "test", "drift"}
    with pytest.raises(UserError, match="no day to replay"):
        replay_days(champion, matrix[matrix["split"] == "train"], monitoring)


def test_days_and_their_sum_are_judged_alike(judged: dict[str, Any], replayed: pd.DataFrame) -> None:
    metrics, days = judged["metrics"], judged["days"]
    assert [row["day"] for row in days] == sorted(replayed["date"].unique())
    assert sum(row["n"] for row in days) == metrics["n_test"] == len(replayed)
    assert sum(row["positives"] for row in days) == metrics["positives"]
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(replayed["actual"], replayed["probability"]))
    assert (metrics["first_day"], metrics["last_day"]) == (days[0]["day"], days[-1]["day"])
    assert metrics["threshold_cost_optimal"] == 1 / 101
    assert metrics["bias"] == pytest.approx(replayed["probability"].mean() / replayed["actual"].mean())
    day = replayed[replayed["date"] == days[3]["day"]]
    assert days[3]["recall"] == pytest.approx(recall_score(day["actual"], day["probability"] >= 1 / 101))
    assert days[3]["roc_auc_lower"] < days[3]["roc_auc"] < days[3]["roc_auc_upper"]
    assert [row["split"] for row in days] == ["test"] * 7 + ["drift"] * 7
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged


def test_a_day_without_positives_is_undefined(champion: Any, replayed: pd.DataFrame, monitoring: Any) -> None:
    quiet = replayed.assign(actual=replayed["actual"].where(replayed["date"] != replayed["date"].iloc[0], 0))
    found = judge_replay(champion, quiet, monitoring, 1)
    assert found["days"][0]["roc_auc"] is found["days"][0]["nec"] is None
    assert found["days"][1]["roc_auc"] is not None
    never = judge_replay(champion, replayed.assign(actual=0), monitoring, 1)
    assert never["metrics"]["bias"] is never["metrics"]["roc_auc"] is None
    json.dumps([found, never], allow_nan=False)


def test_what_moved_is_told_from_what_did_not(drift: dict[str, Any]) -> None:
    states = {row["feature"]: row["state"] for row in drift["features"]}
    assert states == {"shifted": "drift", "cost": "stable", "joins": "stable", "rare": "stable", "hour": "restless"}
    assert drift["counts"] == {"drift": 1, "watch": 0, "stable": 3, "restless": 1}
    *others, last = drift["features"]
    assert last["feature"] == "hour"
    assert [row["psi"] for row in others] == sorted((row["psi"] for row in others), reverse=True)
    assert json.loads(json.dumps(drift, allow_nan=False)) == drift


def test_what_had_moved_before_is_restless_and_raises_no_alarm(
    champion: Any, matrix: pd.DataFrame, replayed: pd.DataFrame, monitoring: ReplayMonitoring, judged: dict[str, Any]
) -> None:
    unnamed = monitoring.model_copy(update={"clocks": []})
    found = measure_drift(champion, matrix, FEATURES, replayed, unnamed, 1)
    hour = row_of(found, "hour")
    assert hour["state"] == "restless"
    assert hour["psi_before"] > 1
    assert row_of(found, "shifted")["state"] == "drift"
    assert row_of(found, "shifted")["psi_before"] < 0.1
    assert raise_alarms(judged, found, unnamed)[-1]["value"] == 0.25
    # Without days in between nobody can tell
    without = matrix[matrix["split"] != "validation"]
    alone = measure_drift(champion, without, FEATURES, replay_days(champion, without, unnamed), unnamed, 1)
    assert (row_of(alone, "hour")["state"], row_of(alone, "hour")["psi_before"]) == ("drift", None)


def test_training_rows_count_with_their_weights_and_masked_ones_not_at_all(
    drift: dict[str, Any], matrix: pd.DataFrame
) -> None:
    train = matrix[(matrix["split"] == "train") & ~matrix["masked"]]
    last = matrix[matrix["split"].isin(["test", "drift"])]
    assert drift["rows_reference"] == len(train)
    assert drift["rows_effective"] < len(train)
    cost = row_of(drift, "cost")
    assert cost["mean_reference"] == pytest.approx(np.average(train["cost"].astype(float), weights=train["weight"]))
    assert cost["mean_replay"] == pytest.approx(last["cost"].astype(float).mean())
    assert abs(train["cost"].mean() - last["cost"].mean()) > 2 * abs(cost["mean_reference"] - cost["mean_replay"])
    # Independent of the weights, because these do not depend on it
    shifted = row_of(drift, "shifted")
    assert shifted["ks"] == pytest.approx(ks_2samp(train["shifted"], last["shifted"]).statistic, abs=0.02)
    assert row_of(drift, "rare")["missing_replay"] == pytest.approx(last["rare"].isna().mean())
    assert row_of(drift, "joins")["mean_reference"] < 3


def test_the_score_is_compared_with_earlier_held_out_rows_or_else_with_training(
    drift: dict[str, Any], champion: Any, matrix: pd.DataFrame, monitoring: ReplayMonitoring
) -> None:
    score = drift["score"]
    assert score["compared_with"] == "held-out rows of earlier days"
    assert score["rows_reference"] == (matrix["split"] == "validation").sum()
    assert sum(score["histogram"]["reference"]) == pytest.approx(1)
    assert sum(score["histogram"]["replay"]) == pytest.approx(1)
    without = matrix[matrix["split"] != "validation"]
    found = measure_drift(champion, without, FEATURES, replay_days(champion, without, monitoring), monitoring, 1)
    assert found["score"]["compared_with"] == "training rows"
    assert found["score"]["rows_reference"] == found["rows_reference"]


def test_every_engine_measures_the_same_drift(
    frame_engine: Any,
    drift: dict[str, Any],
    champion: Any,
    matrix: pd.DataFrame,
    replayed: pd.DataFrame,
    monitoring: Any,
) -> None:
    found = measure_drift(champion, frame_engine.make(matrix), FEATURES, replayed, monitoring, 1)
    for one, other in zip(drift["features"], found["features"], strict=True):
        assert other == pytest.approx(one)
    assert found["score"]["psi"] == pytest.approx(drift["score"]["psi"])


def test_a_large_reference_is_sampled_by_row_id(
    drift: dict[str, Any], champion: Any, matrix: pd.DataFrame, replayed: pd.DataFrame, monitoring: ReplayMonitoring
) -> None:
    few = monitoring.model_copy(update={"reference_rows": 500})
    found = measure_drift(champion, matrix, FEATURES, replayed, few, 1)
    assert 400 < found["rows_reference"] < 600
    again = measure_drift(champion, matrix.sample(frac=1, random_state=2), FEATURES, replayed, few, 1)
    for one, other in zip(found["features"], again["features"], strict=True):
        assert other == pytest.approx(one)
    assert row_of(found, "shifted")["psi"] == pytest.approx(row_of(drift, "shifted")["psi"], rel=0.3)


def test_alarms_say_what_left_its_limits(
    judged: dict[str, Any], drift: dict[str, Any], monitoring: ReplayMonitoring
) -> None:
    rows = {row["metric"]: row for row in raise_alarms(judged, drift, monitoring)}
    assert {name: row["passed"] for name, row in rows.items()} == {
        "nec_cost_optimal": judged["metrics"]["nec_cost_optimal"] <= 1,
        "bias": True,
        "score_psi": True,
        "moved_features": False,
    }
    assert rows["moved_features"]["value"] == 0.25
    assert rows["bias"]["rule"] == ">= 0.5 and <= 2"
    assert rows["nec_cost_optimal"]["lower"] < rows["nec_cost_optimal"]["value"]
    strict = monitoring.model_copy(
        update={"limits": monitoring.limits.model_copy(update={"cost": 0.01, "moved_share": 0.25, "bias": 1.01})}
    )
    passed = {row["metric"]: row["passed"] for row in raise_alarms(judged, drift, strict)}
    assert passed == {"nec_cost_optimal": False, "bias": False, "score_psi": True, "moved_features": True}
    unknown = {"metrics": judged["metrics"] | {"bias": None, "nec_cost_optimal": None}}
    assert [row["passed"] for row in raise_alarms(unknown, drift, monitoring)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "is_heavi"}, r"no column 'is_heavi'. Did you mean 'is_heavy'"),
        ({"weight_column": "cpu_times"}, r"no column 'cpu_times'. Did you mean 'cpu_time_s'"),
        ({"operating_point": "cost_optimum"}, r"no operating point 'cost_optimum'. Did you mean 'cost_optimal'"),
        ({"clocks": ["our"]}, r"no feature 'our'. Did you mean 'hour'"),
    ],
)
def test_parameters_that_name_what_is_not_there_are_refused(
    champion: Any, matrix: pd.DataFrame, monitoring: ReplayMonitoring, change: dict[str, Any], message: str
) -> None:
    wrong = monitoring.model_copy(update=change)
    with pytest.raises(UserError, match=message):
        found = replay_days(champion, matrix, wrong)
        judge_replay(champion, found, wrong, 1)
        measure_drift(champion, matrix, FEATURES, found, wrong, 1)


def test_the_report_shows_days_features_and_limits(
    champion: Any, judged: dict[str, Any], drift: dict[str, Any], monitoring: ReplayMonitoring
) -> None:
    figures = {
        "days": plot_days(judged, monitoring),
        "calibration": plot_calibration(judged, monitoring),
        "drift": plot_drift(drift),
        "score": plot_score(drift),
    }
    for figure in figures.values():
        tree = json.loads(figure.to_json())
        assert json.loads(plotly.io.from_json(json.dumps(tree)).to_json()) == tree
        assert "NaN" not in figure.to_json()
    page = replay_report(champion, judged, drift, raise_alarms(judged, drift, monitoring), monitoring, **figures)
    for expected in (
        f"query_cost: replay of {judged['metrics']['first_day']} to {judged['metrics']['last_day']}",
        "1 of 4 limits failed: moved_features",
        "<h2>Limits</h2>",
        f"day = {judged['days'][-1]['day']}",
        "Has anything moved?",
        "shifted",
        "Restless by their nature: hour.",
        "held-out rows of earlier days",
    ):
        assert expected in page, expected
    assert "None" not in page.partition("<script")[0]


def test_days_without_an_outcome_leave_gaps_in_the_plots(
    champion: Any, replayed: pd.DataFrame, monitoring: ReplayMonitoring
) -> None:
    first = replayed["date"].iloc[0]
    quiet = judge_replay(
        champion, replayed.assign(actual=replayed["actual"].where(replayed["date"] != first, 0)), monitoring, 1
    )
    figure = plot_days(quiet, monitoring)
    cost = next(trace for trace in figure.data if trace.name == "normalised cost")
    assert cost.y[0] is None
    assert cost.y[1] == quiet["days"][1]["nec"]
    assert len(cost.error_y.array) == len(cost.x)
    observed = next(trace for trace in plot_calibration(quiet, monitoring).data if "observed" in trace.name)
    assert observed.y[0] is None
    assert all(low < value for low, value in zip(observed.error_y.arrayminus[1:], observed.y[1:], strict=True))


def test_the_pipeline_reads_what_training_leaves() -> None:
    pipeline = create_pipeline()
    assert pipeline.inputs() == {
        "query_cost.predictor",
        "query_cost.features_matrix",
        "query_cost.report_features",
        "params:query_cost.monitoring",
        "params:query_cost.seed",
    }
    assert pipeline.outputs() == {"query_cost.monitoring_report"}
