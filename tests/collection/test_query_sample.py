"""The committed log: genuine, of the promised size and shape, and what its parameters make of the executed queries."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from augury.pipelines.collection.query_lab import MEASURED_COLUMNS
from augury.pipelines.collection.query_plan import PLAN_COLUMNS
from augury.pipelines.collection.query_replay import LIMIT_ERRORS, QueryReplay, replay_log
from augury.predictors.query_columns import COLUMNS, NUMBERS, TEXTS, TIMES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "01_raw" / "query_cost"


@pytest.fixture(scope="module")
def executed():
    return pd.read_parquet(FOLDER / "executed.parquet")


@pytest.fixture(scope="module")
def log():
    return pd.read_parquet(FOLDER / "query_log.parquet")


@pytest.fixture(scope="module")
def parameters():
    return yaml.safe_load((ROOT / "conf/base/parameters/query_cost.yml").read_text())["query_cost"]


def test_enough_was_executed_over_a_wide_range_of_costs(executed):
    assert list(executed.columns) == [*PLAN_COLUMNS, *MEASURED_COLUMNS]
    assert executed["job_id"].is_unique
    selects = executed[(executed["kind"] != "metadata") & (executed["query_type"] == "SELECT")]
    assert len(selects) >= 2_000
    assert selects["cpu_s"].max() > 1_000 * selects["cpu_s"].min()
    assert {"time_limit", "cpu_limit", "memory_limit"} <= set(executed["outcome"])


def test_the_log_has_the_promised_size_and_columns(log):
    assert list(log.columns) == list(COLUMNS)
    assert len(log) >= 60_000
    assert log["date"].nunique() == 60
    assert sum((FOLDER / name).stat().st_size for name in ("executed.parquet", "query_log.parquet")) < 8e6


def test_every_execution_is_in_the_log_once(executed, log):
    once = log[log["origin"] == "executed"].sort_values(["query", "cpu_time_s"], ignore_index=True)
    expected = executed.sort_values(["query", "cpu_s"], ignore_index=True)
    assert once["query"].tolist() == expected["query"].tolist()
    assert once["cpu_time_s"].tolist() == expected["cpu_s"].tolist()


def test_heavy_shares_are_those_of_the_readme(log, parameters):
    label = parameters["label"]
    heavy = (log["cpu_time_s"] >= label["cpu_threshold_seconds"]) | (
        log["peak_memory_gb"] > label["memory_threshold_gb"]
    )
    heavy |= log["error_name"].isin(LIMIT_ERRORS.values())
    last_week = log["date"] > "2026-09-10"
    assert 0.02 < heavy[~last_week].mean() < 0.03
    assert 0.04 < heavy[last_week].mean() < 0.05
    cheap = log["query_type"].isin(["DESCRIBE", "DATA_DEFINITION"])
    assert 0.1 < cheap.mean() < 0.25
    assert not heavy[cheap].any()


def test_the_parameters_make_the_committed_log(executed, log, parameters):
    again = replay_log(executed, QueryReplay.model_validate(parameters["replay"]), parameters["seed"])
    pd.testing.assert_frame_equal(again[list(TEXTS)], log[list(TEXTS)])
    for name in TIMES:
        assert (again[name] - log[name]).abs().max() < pd.Timedelta(milliseconds=1), name
    # Exponentials differ in the last bit between machines, and costs are rounded after them
    for name in NUMBERS:
        pd.testing.assert_series_equal(again[name], log[name], rtol=1e-5, atol=1.1e-4 if "input" not in name else 1.1)
