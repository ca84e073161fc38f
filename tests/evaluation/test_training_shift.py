"""Shift between training and held-out rows: against a histogram and scipy, exclusions, refusals."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from augury.errors import UserError
from augury.metrics.distribution_shift import expected_index
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation, ShiftCheck
from augury.pipelines.evaluation.training_shift import measure_shift

FEATURES = ["item_price", "history_rate", "history_item_count", "season_constant"]
EVALUATION = BinaryEvaluation(shift=ShiftCheck(excluded=["history_*_count"]), slices=[], period_column=None)


def matrix(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = 3000
    split = np.array(["train"] * 2000 + ["test"] * 800 + ["other"] * 200)
    later = split != "train"
    frame = pd.DataFrame(
        {
            "row_id": [f"row-{number}" for number in range(rows)],
            "split": split,
            "item_price": random.normal(0, 1, rows),
            "history_rate": random.normal(np.where(later, 0.8, 0.0), 1),
            "history_item_count": np.arange(rows, dtype=float),
            "season_constant": 1.0,
        }
    )
    frame.loc[::10, "item_price"] = np.nan
    return frame.astype(dict.fromkeys(FEATURES, "float32"))


def scored(shift: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(1)
    held_out = pd.DataFrame({"split": ["test"] * 800, "probability": random.beta(2, 5, 800) ** (1 - shift)})
    return pd.DataFrame({"probability": random.beta(2, 5, 1500)}), held_out


def measure(frame: Any, evaluation: BinaryEvaluation = EVALUATION, shift: float = 0.0) -> dict[str, Any]:
    return measure_shift(frame, {"features": FEATURES}, *scored(shift), evaluation)


def test_indices_are_those_of_a_histogram_and_distances_those_of_scipy() -> None:
    frame = matrix()
    report = measure(frame)
    found = {row["feature"]: row for row in report["features"]}
    training, held_out = (frame.loc[frame["split"] == split, "history_rate"] for split in ("train", "test"))
    edges = np.quantile(training, np.arange(1, 10) / 10, method="inverted_cdf")
    here, there = (
        np.bincount(np.searchsorted(edges, values, side="left"), minlength=10) / len(values)
        for values in (training, held_out)
    )
    assert found["history_rate"]["psi"] == pytest.approx(((there - here) * np.log(there / here)).sum(), rel=1e-6)
    assert found["history_rate"]["ks"] == pytest.approx(ks_2samp(training, held_out).statistic)
    assert found["history_rate"]["mean_held_out"] == pytest.approx(held_out.mean(), rel=1e-5)
    assert found["item_price"]["missing_training"] == pytest.approx(0.1)
    assert found["item_price"]["psi"] < 5 * report["psi_by_chance"]
    assert found["season_constant"]["psi"] == pytest.approx(0)
    assert report["psi_by_chance"] == expected_index(10, 2000, 800)
    assert (report["rows_training"], report["rows_held_out"]) == (2000, 800)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_missing_values_count_by_their_share_alone() -> None:
    frame = matrix()
    rows = frame.index[frame["split"] == "test"]
    frame.loc[frame.index[frame["split"] == "train"][:40], "season_constant"] = np.nan
    found = {row["feature"]: row for row in measure(frame)["features"]}
    # Two per cent that are gone: an index with a bin of its own for them would be 0.2
    assert (found["season_constant"]["psi"], found["season_constant"]["state"]) == (0, "stable")
    for share, state in ((0.05, "stable"), (0.15, "watch"), (0.4, "drift"), (1.0, "drift")):
        frame["item_price"] = matrix()["item_price"]
        frame.loc[rows[: int(share * len(rows))], "item_price"] = np.nan
        found = {row["feature"]: row for row in measure(frame)["features"]}
        assert found["item_price"]["state"] == state
    assert found["item_price"]["psi"] is None


def test_clocks_are_shown_last_and_not_counted() -> None:
    report = measure(matrix())
    last = report["features"][-1]
    assert (last["feature"], last["state"]) == ("history_item_count", "excluded")
    assert last["psi"] > 5
    assert report["counts"] == {"drift": 1, "watch": 0, "stable": 2, "excluded": 1}
    assert report["metrics"]["moved_features"] == pytest.approx(1 / 3)
    all_in = EVALUATION.model_copy(update={"shift": ShiftCheck()})
    assert measure(matrix(), all_in)["metrics"]["moved_features"] == pytest.approx(2 / 4)


def test_the_score_is_compared_with_predictions_out_of_fold() -> None:
    calm, moved = measure(matrix()), measure(matrix(), shift=0.5)
    assert calm["metrics"]["score_psi"] < 0.05 < 0.25 < moved["metrics"]["score_psi"]
    assert calm["score"]["rows_training"] == 1500
    assert moved["score"]["state"] == "drift"


def test_an_exclusion_that_fits_nothing_and_missing_training_rows_are_refused() -> None:
    wrong = EVALUATION.model_copy(update={"shift": ShiftCheck(excluded=["item_prise"])})
    with pytest.raises(UserError, match=r"no feature is called 'item_prise'. Did you mean 'item_price'"):
        measure(matrix(), wrong)
    with pytest.raises(UserError, match="no row of the split 'train'"):
        measure(matrix().assign(split="test"))
    assert measure(matrix(), EVALUATION.model_copy(update={"shift": None}))["metrics"] == {}
