"""What a binary judgement computes only when asked: tests, top rows, log losses of others; no cost."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from augury.metrics.binary import (
    BinaryRows,
    Contender,
    FurtherMetrics,
    Resampling,
    compare_binary,
    judge_binary,
    metric_names,
)
from augury.metrics.goodness_of_fit import GOODNESS_OF_FIT, goodness_of_fit

THRESHOLDS = {"half": 0.5, "confident": 0.7}


def sample(rows: int = 1500, groups: int = 60, seed: int = 0) -> BinaryRows:
    random = np.random.default_rng(seed)
    group = random.integers(0, groups, rows)
    odds = random.normal(-1, 1.5, rows) + random.normal(0, 0.5, groups)[group]
    actual = random.random(rows) < 1 / (1 + np.exp(-odds))
    return BinaryRows(actual, 1 / (1 + np.exp(-odds - 0.1)), group)


def judge(rows: BinaryRows, replicates: int = 0, **further: Any) -> Any:
    asked = FurtherMetrics(**further)
    return judge_binary(rows, THRESHOLDS, None, 10, Resampling(replicates, 0.95, 1), None, asked)


def test_values_are_those_of_the_single_functions() -> None:
    rows = sample()
    other = np.clip(rows.probability * 0.7, 0, 1)
    found = judge(rows, goodness_of_fit=True, top_k=(50, 9999), probabilities={"other": other})
    values = found.values
    tests = goodness_of_fit(rows.actual, rows.probability, 1)
    assert {name: values[name] for name in GOODNESS_OF_FIT} == tests
    first = np.argsort(-rows.probability)[:50]
    assert values["precision_at_50"] == pytest.approx(rows.actual[first].mean())
    assert values["recall_at_50"] == pytest.approx(rows.actual[first].sum() / rows.actual.sum())
    assert values["precision_at_9999"] is values["recall_at_9999"] is None
    losses = [sklearn_metrics.log_loss(rows.actual, score) for score in (other, rows.probability)]
    assert values["log_loss_below_other"] == pytest.approx(losses[0] - losses[1])
    asked = FurtherMetrics(True, (50, 9999), {"other": other})
    assert list(values) == metric_names(THRESHOLDS, {}, False, None, asked)


def test_without_a_cost_nothing_is_a_cost() -> None:
    rows = sample()
    assert not [name for name in judge(rows, 50).values if name.startswith("nec")]
    contenders = {"model": Contender(rows.probability, rows.probability > 0.5)}
    assert "nec" not in compare_binary(rows, contenders, None, Resampling(50, 0.95, 0))["model"].values


def test_intervals_agree_with_a_loop_over_drawn_rows() -> None:
    rows = sample()
    other = rows.probability * 0.7
    found = judge(rows, 1000, goodness_of_fit=True, top_k=(100,), probabilities={"other": other})
    random = np.random.default_rng(9)
    members = [np.flatnonzero(rows.groups == group) for group in np.unique(rows.groups)]
    samples: dict[str, list[float]] = {}
    for _ in range(300):
        drawn = np.concatenate([members[group] for group in random.integers(0, len(members), len(members))])
        actual, probability = rows.actual[drawn], rows.probability[drawn]
        first = np.argsort(-probability, kind="stable")[:100]
        for name, value in {
            "log_loss_skill": goodness_of_fit(actual, probability, 0)["log_loss_skill"],
            "recall_at_100": actual[first].sum() / actual.sum(),
            "log_loss_below_other": sklearn_metrics.log_loss(actual, other[drawn])
            - sklearn_metrics.log_loss(actual, probability),
            # Wilson's: it must still agree where the share is no extreme
            "precision_at_100": actual[first].mean(),
        }.items():
            samples.setdefault(name, []).append(float(value))
    for name, values in samples.items():
        expected = np.quantile(values, [0.025, 0.975])
        assert found.intervals[name] == pytest.approx(expected, abs=0.3 * np.ptp(expected)), name
    assert {"calibration_slope", "calibration_in_the_large", "ece_l2_debiased"} <= set(found.intervals)


def test_the_support_says_how_many_rows_a_metric_rests_on() -> None:
    rows = sample()
    support = judge(rows, top_k=(50,)).support
    called = int((rows.probability >= 0.7).sum())
    assert support["precision_confident"] == called
    assert support["recall_confident"] == support["recall_at_50"] == rows.actual.sum()
    assert support["fpr_confident"] == (~rows.actual).sum()
    assert support["false_omission_rate_confident"] == len(rows) - called
    assert support["precision_at_50"] == 50
    assert "prevalence" not in support


def test_probabilities_are_compared_by_their_log_loss_on_the_same_resamples() -> None:
    rows = sample()
    worse = np.clip(rows.probability * 0.5, 0.01, 1)
    contenders = {
        "model": Contender(rows.probability, None, probabilistic=True),
        "same": Contender(rows.probability.copy(), None, probabilistic=True),
        "worse": Contender(worse, None, probabilistic=True),
        "score": Contender(np.log(rows.probability), None),
    }
    found = compare_binary(rows, contenders, None, Resampling(300, 0.95, 0))
    assert found["model"].values["log_loss"] == pytest.approx(sklearn_metrics.log_loss(rows.actual, rows.probability))
    assert found["worse"].values["brier"] == pytest.approx(sklearn_metrics.brier_score_loss(rows.actual, worse))
    assert found["model"].values["log_loss_below"] is None
    assert found["same"].values["log_loss_below"] == 0
    assert found["same"].intervals["log_loss_below"] == [0, 0]
    below = found["worse"].values["log_loss_below"]
    lower, upper = found["worse"].intervals["log_loss_below"]
    assert 0 < lower < below < upper
    assert found["score"].values["log_loss"] is None
    assert "log_loss" not in found["score"].intervals


def test_a_score_at_two_thresholds_is_ranked_once_and_shown_twice() -> None:
    rows = sample()
    contenders = {
        "model": Contender(rows.probability, rows.probability > 0.5),
        "model at 0.7": Contender(rows.probability, rows.probability > 0.7),
    }
    found = compare_binary(rows, contenders, 10, Resampling(100, 0.95, 0))
    for name in ("roc_auc", "pr_auc"):
        assert found["model"].values[name] == found["model at 0.7"].values[name]
        assert found["model"].intervals[name] == found["model at 0.7"].intervals[name]
    assert found["model"].values["recall"] > found["model at 0.7"].values["recall"]


def test_no_rows_and_one_class_leave_undefined_what_needs_them() -> None:
    rows = sample(40)
    nobody = judge(rows.where(np.zeros(40, dtype=bool)), 10, goodness_of_fit=True, top_k=(5,))
    assert {value for name, value in nobody.values.items() if name not in ("n", "groups", "positives")} == {None}
    negative = judge(rows.where(~rows.actual), 50, goodness_of_fit=True, top_k=(5,))
    assert negative.values["log_loss_skill"] is negative.values["calibration_slope"] is None
    assert negative.values["precision_at_5"] == 0
    assert negative.values["recall_at_5"] is None
    assert not {"log_loss_skill", "calibration_slope", "recall_at_5"} & set(negative.intervals)
