"""All metrics of a binary predictor at once: intervals against a plain loop, weights, and rows that allow no metric."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from sklearn import metrics as sklearn_metrics

from augury.metrics.binary import (
    BinaryRows,
    Contender,
    Resampling,
    combined_groups,
    compare_binary,
    judge_binary,
    metric_names,
)

THRESHOLDS = {"low": 0.02, "high": 0.2}


def sample(rows: int = 1500, groups: int = 60, seed: int = 0) -> tuple[BinaryRows, np.ndarray]:
    random = np.random.default_rng(seed)
    group = random.integers(0, groups, rows)
    odds = random.normal(-3, 1.5, rows) + random.normal(0, 0.8, groups)[group]
    actual = random.random(rows) < 1 / (1 + np.exp(-odds))
    found = BinaryRows(actual, 1 / (1 + np.exp(-odds - 0.2)), group, random.exponential(1, rows))
    return found, odds + random.normal(0, 2, rows)


def judge(rows: BinaryRows, replicates: int = 0, confidence: float = 0.95, **rivals: np.ndarray) -> Any:
    return judge_binary(rows, THRESHOLDS, 100, 10, Resampling(replicates, confidence, 1), rivals)


def test_values_are_those_of_the_single_metrics() -> None:
    rows, rival = sample()
    found = judge(rows, rival=rival).values
    decided = rows.probability >= 0.2
    assert found["n"] == 1500
    assert found["groups"] == 60
    assert found["positives"] == rows.actual.sum()
    assert found["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(rows.actual, rows.probability))
    assert found["f1_high"] == pytest.approx(sklearn_metrics.f1_score(rows.actual, decided))
    assert found["roc_auc_above_rival"] == pytest.approx(
        found["roc_auc"] - sklearn_metrics.roc_auc_score(rows.actual, rival)
    )
    assert rows.weights is not None
    assert found["weighted_recall_high"] == pytest.approx(
        sklearn_metrics.recall_score(rows.actual, decided, sample_weight=rows.weights)
    )
    assert list(found) == metric_names(THRESHOLDS, {"rival": rival}, weighted=True)


def auc(actual: np.ndarray, score: np.ndarray) -> float:
    """By the sum of ranks, as Mann and Whitney had it."""
    positives = actual.sum()
    ranks = rankdata(score)[actual].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * (~actual).sum()))


def test_intervals_agree_with_a_loop_over_drawn_rows() -> None:
    rows, rival = sample()
    found = judge(rows, 2000, 0.9, rival=rival)
    random = np.random.default_rng(9)
    members = [np.flatnonzero(rows.groups == group) for group in np.unique(rows.groups)]
    samples: dict[str, list[float]] = {}
    assert rows.weights is not None
    for _ in range(300):
        drawn = np.concatenate([members[group] for group in random.integers(0, len(members), len(members))])
        actual, probability, weights = rows.actual[drawn], rows.probability[drawn], rows.weights[drawn]
        decided = probability >= 0.2
        hits, misses, alarms = (actual & decided).sum(), (actual & ~decided).sum(), (~actual & decided).sum()
        safe = np.where(actual, probability, 1 - probability)
        for name, value in {
            "roc_auc": auc(actual, probability),
            "pr_auc": sklearn_metrics.average_precision_score(actual, probability),
            "roc_auc_above_rival": auc(actual, probability) - auc(actual, rival[drawn]),
            "brier": ((probability - actual) ** 2).mean(),
            "log_loss": -np.log(safe).mean(),
            "mean_probability": probability.mean(),
            "f1_high": 2 * hits / (2 * hits + misses + alarms),
            "nec_high": (100 * misses + alarms) / min(100 * actual.sum(), (~actual).sum()),
            "weighted_recall_high": weights[actual & decided].sum() / weights[actual].sum(),
            # Wilson's intervals, not resampled ones: they must still agree where the share is no extreme
            "recall_high": hits / (hits + misses),
            "precision_high": hits / (hits + alarms),
            "prevalence": actual.mean(),
        }.items():
            samples.setdefault(name, []).append(float(value))
    for name, values in samples.items():
        expected = np.quantile(values, [0.05, 0.95])
        assert found.intervals[name] == pytest.approx(expected, abs=0.2 * np.ptp(expected)), name


def test_intervals_hold_their_values_but_that_of_the_calibration_error_may_lie_above() -> None:
    rows, rival = sample()
    found = judge(rows, 300, rival=rival)
    for name, (lower, upper) in found.intervals.items():
        value = found.values[name]
        assert value is not None
        assert lower <= upper
        assert name == "ece" or lower <= value <= upper, name
    without = {"n", "groups", "positives", "ece_width", "ece_l2_debiased"}
    without |= {"calibration_slope", "calibration_in_the_large"}
    assert set(found.values) - set(found.intervals) == without
    assert json.loads(json.dumps(found.values, allow_nan=False)) == found.values


def test_neither_the_order_of_the_rows_nor_the_names_of_groups_matter() -> None:
    rows, rival = sample(400)
    order = np.random.default_rng(5).permutation(400)
    shuffled = BinaryRows(rows.actual[order], rows.probability[order], rows.groups[order] + 1000, rows.weights[order])  # type: ignore[index]
    first, second = judge(rows, 100, rival=rival), judge(shuffled, 100, rival=rival[order])
    assert second.values == pytest.approx(first.values)
    for name, interval in first.intervals.items():
        assert second.intervals[name] == pytest.approx(interval), name


def test_a_recall_of_one_is_not_taken_for_certain() -> None:
    actual = np.arange(200) < 40
    rows = BinaryRows(actual, np.where(actual, 0.9, 0.01), np.arange(200))
    found = judge(rows, 200)
    assert found.values["recall_high"] == 1
    assert found.intervals["recall_high"] == pytest.approx([0.9124, 1], abs=1e-3)
    assert found.intervals["fnr_high"] == pytest.approx([0, 0.0876], abs=1e-3)
    assert found.values["nec_high"] == 0


@pytest.mark.parametrize("positive", [True, False])
def test_one_class_leaves_what_needs_two_undefined(positive: bool) -> None:
    rows = BinaryRows(np.full(30, positive), np.linspace(0, 1, 30), np.arange(30), np.ones(30))
    found = judge(rows, 50, rival=np.arange(30.0))
    undefined = {name for name, value in found.values.items() if value is None}
    assert {"roc_auc", "roc_auc_above_rival", "nec_low", "calibration_slope"} <= undefined
    assert ("recall_low" in undefined) == (not positive)
    assert ("fpr_low" in undefined) == positive
    assert not undefined & set(found.intervals)
    assert found.values["brier"] is not None
    assert "brier" in found.intervals


def test_no_rows_have_no_metrics_but_all_names() -> None:
    nothing = np.zeros(0)
    found = judge(BinaryRows(nothing.astype(bool), nothing, nothing.astype(np.int64), nothing), 50, rival=nothing)
    assert list(found.values) == metric_names(THRESHOLDS, {"rival": nothing}, weighted=True)
    assert {name: value for name, value in found.values.items() if value is not None} == {
        "n": 0,
        "groups": 0,
        "positives": 0,
    }
    assert found.intervals == {}


def test_one_group_has_no_intervals() -> None:
    rows, _ = sample(100)
    assert judge(BinaryRows(rows.actual, rows.probability, np.zeros(100, dtype=np.int64)), 50).intervals == {}


def test_contenders_share_the_resamples() -> None:
    rows, score = sample()
    decided = score > 0
    contenders = {
        "model": Contender(rows.probability, rows.probability >= 0.02),
        "same": Contender(np.log(rows.probability), None),
        "worse": Contender(score, decided),
        "rule": Contender(None, decided),
        "everything": Contender(np.ones(len(rows)), np.ones(len(rows), dtype=bool)),
    }
    found = compare_binary(rows, contenders, 100, Resampling(400, 0.95, 0))
    assert found["model"].values["roc_auc_above"] is None
    # The difference of a score and itself is exactly nothing in every resample
    assert found["same"].intervals["roc_auc_above"] == [0, 0]
    assert found["same"].values["nec"] is None
    assert found["same"].values["pr_auc"] == found["model"].values["pr_auc"]
    above = found["worse"].values["roc_auc_above"]
    lower, upper = found["worse"].intervals["roc_auc_above"]
    assert above is not None
    assert 0 < lower < above < upper
    unpaired = found["model"].intervals["roc_auc"][1] - found["worse"].intervals["roc_auc"][0] - above
    assert upper - above < unpaired
    assert found["rule"].values["roc_auc"] is None
    assert found["rule"].values["recall"] == sklearn_metrics.recall_score(rows.actual, decided)
    assert found["rule"].intervals["nec"] == found["worse"].intervals["nec"]
    assert found["everything"].values["roc_auc"] == 0.5
    assert found["everything"].values["nec"] == pytest.approx(1)
    assert found["everything"].values["pr_auc"] == pytest.approx(rows.actual.mean())


def test_contenders_on_no_rows_or_one_class() -> None:
    rows, _ = sample(50)
    nobody = rows.where(np.zeros(50, dtype=bool))
    empty = {"model": Contender(nobody.probability, nobody.actual)}
    assert set(compare_binary(nobody, empty, 100, Resampling(10, 0.95, 0))["model"].values.values()) == {None}
    light = rows.where(~rows.actual)
    ones = {"model": Contender(light.probability, light.probability > 1), "other": Contender(light.probability, None)}
    found = compare_binary(light, ones, 100, Resampling(10, 0.95, 0))
    assert found["other"].values["roc_auc_above"] is None
    assert found["model"].values["positive_share"] == 0
    assert not any(math.isinf(end) for judged in found.values() for ends in judged.intervals.values() for end in ends)


def test_groups_are_combinations_and_missing_ones_are_a_group() -> None:
    frame = pd.DataFrame({"day": ["b", "a", "a", "b"], "user": ["x", None, None, "x"]})
    assert combined_groups(frame, ["day", "user"]).tolist() == [1, 0, 0, 1]
    assert combined_groups(frame, ["user"]).tolist() == [1, 0, 0, 1]
