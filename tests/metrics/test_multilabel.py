"""Metrics of label sets equal those of scikit-learn, and their intervals cover what they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from augury.metrics.binary import Resampling
from augury.metrics.calibration import calibration_metrics
from augury.metrics.label_ranking import LabelRanking, curve_points, label_precisions, resampled_macro, top_label_sums
from augury.metrics.multilabel import Depth, LabelAnswer, LabelRows, LabelTree, Oracle, judge_labels, row_f1

FEW = Resampling(50, 0.9, 0)
NONE = Resampling(0, 0.9, 0)
TREE = LabelTree(np.array([-1, 0, 0, 1, -1, 4, 4, 5]), np.array([0, 1, 1, 2, 0, 1, 1, 2]))
"""0 > (1 > 3, 2) and 4 > (5 > 7, 6)."""


def drawn(rows: int = 300, labels: int = 8, seed: int = 0, tree: LabelTree = TREE):
    random = np.random.default_rng(seed)
    probability = random.random((rows, labels)) ** 2
    actual = random.random((rows, labels)) < probability
    actual[np.arange(rows), random.integers(0, labels, rows)] = True
    groups = random.integers(0, rows // 3, rows)
    return LabelRows(actual, groups, np.zeros(rows, dtype=np.int64), tree), LabelAnswer(probability > 0.4, probability)


def judged(rows, answer, resampling=NONE, **more):
    return judge_labels(rows, {"model": answer}, Depth(), resampling, **more)["model"]


def test_every_metric_is_that_of_scikit_learn():
    rows, answer = drawn()
    found = judged(rows, answer).values
    actual, predicted, probability = rows.actual, answer.predicted, answer.probability
    for average, name in (("micro", "micro"), ("macro", "macro"), ("samples", "sample")):
        precision, recall, f1, _ = peer.precision_recall_fscore_support(
            actual, predicted, average=average, zero_division=0
        )
        assert [found[f"{name}_{metric}"] for metric in ("precision", "recall", "f1")] == pytest.approx(
            [precision, recall, f1]
        )
    assert found["subset_accuracy"] == pytest.approx(peer.accuracy_score(actual, predicted))
    assert found["hamming_loss"] == pytest.approx(peer.hamming_loss(actual, predicted))
    assert found["ndcg_at_5"] == pytest.approx(peer.ndcg_score(actual, probability, k=5))
    for average in ("micro", "macro"):
        assert found[f"average_precision_{average}"] == pytest.approx(
            peer.average_precision_score(actual, probability, average=average)
        )
    assert found["brier"] == pytest.approx(np.mean((actual - probability) ** 2))
    assert found["ece"] == pytest.approx(calibration_metrics(actual.ravel(), probability.ravel(), 15)["ece"])
    assert label_precisions(actual, probability) == pytest.approx(
        [peer.average_precision_score(actual[:, label], probability[:, label]) for label in range(8)]
    )
    for level in range(3):
        inside = rows.tree.levels == level
        expected = peer.f1_score(actual[:, inside], predicted[:, inside], average="micro")
        assert found[f"f1_level_{level}"] == pytest.approx(expected)


def test_precision_at_k_counts_the_most_probable_labels():
    rows, answer = drawn(seed=2)
    found = judged(rows, answer).values
    for size in (1, 3, 5):
        hits = [
            len(set(np.argsort(-probability)[:size]) & set(np.flatnonzero(actual))) / size
            for actual, probability in zip(rows.actual, answer.probability, strict=True)
        ]
        assert found[f"precision_at_{size}"] == pytest.approx(np.mean(hits))


def test_labels_outside_count_as_missed():
    rows, answer = drawn()
    more = LabelRows(rows.actual, rows.groups, np.full(len(rows), 2), rows.tree)
    before, after = judged(rows, answer).values, judged(more, answer).values
    true, found = rows.actual.sum(), (rows.actual & answer.predicted).sum()
    assert after["micro_recall"] == pytest.approx(found / (true + 2 * len(rows)))
    assert after["micro_precision"] == before["micro_precision"]
    assert after["subset_accuracy"] == 0
    assert after["ndcg_at_5"] < before["ndcg_at_5"]


def ancestors(label: int) -> set[int]:
    parent = int(TREE.parents[label])
    return {label} | (ancestors(parent) if parent >= 0 else set())


def test_hierarchical_f1_is_that_of_sets_with_their_ancestors():
    rows, answer = drawn(seed=3)
    sums = np.zeros(3)
    for actual, predicted in zip(rows.actual, answer.predicted, strict=True):
        one, other = (
            set().union(*(ancestors(label) for label in np.flatnonzero(members)), set())
            for members in (actual, predicted)
        )
        sums += len(one & other), len(other), len(one)
    found = judged(rows, answer).values
    assert found["hierarchical_precision"] == pytest.approx(sums[0] / sums[1])
    assert found["hierarchical_recall"] == pytest.approx(sums[0] / sums[2])
    assert found["hierarchical_f1"] == pytest.approx(2 * sums[0] / (sums[1] + sums[2]))


def test_closed_sets_have_one_f1_and_specific_labels_another():
    rows, answer = drawn(seed=4)
    closed = LabelRows(TREE.closed(rows.actual), rows.groups, rows.outside, TREE)
    found = judged(closed, LabelAnswer(TREE.closed(answer.predicted))).values
    assert found["hierarchical_f1"] == pytest.approx(found["micro_f1"])
    one, other = TREE.specific(closed.actual), TREE.specific(TREE.closed(answer.predicted))
    assert found["specific_f1"] == pytest.approx(peer.f1_score(one, other, average="micro"))
    assert "average_precision_micro" not in found


@given(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_closing_and_reducing_sets_undo_each_other(sets):
    members = np.array(sets, dtype=bool)
    closed, specific = TREE.closed(members), TREE.specific(members)
    assert (closed >= members).all()
    assert (specific <= members).all()
    assert (TREE.closed(closed) == closed).all()
    assert (TREE.closed(specific) == closed).all()
    assert (TREE.specific(closed) == specific).all()
    for row, full in zip(members, closed, strict=True):
        assert set(np.flatnonzero(full)) == set().union(*(ancestors(label) for label in np.flatnonzero(row)), set())


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_metrics_lie_within_their_bounds_and_perfection_is_one(seed, rows, labels):
    data, answer = drawn(max(rows, 3), labels, seed, LabelTree.flat(labels))
    found = judged(data, answer, FEW)
    for name, value in found.values.items():
        if name not in ("labels_per_row", "predicted_per_row") and value is not None:
            assert -1e-12 <= value <= 1 + 1e-12, name
    perfect = judged(data, LabelAnswer(data.actual, data.actual.astype(float))).values
    for name in ("micro_f1", "macro_f1", "sample_f1", "ndcg_at_5", "average_precision_macro", "subset_accuracy"):
        assert perfect[name] == pytest.approx(1)
    assert perfect["hamming_loss"] == perfect["ece"] == perfect["brier"] == 0


def repeated(values, counts, codes):
    return np.repeat(values, counts[codes].astype(int), axis=0)


def test_resampled_metrics_are_those_of_the_drawn_rows():
    rows, answer = drawn(120, seed=5)
    _, codes = np.unique(rows.groups, return_inverse=True)
    counts = np.random.default_rng(1).integers(0, 3, (4, codes.max() + 1)).astype(float)
    ranked = LabelRanking(rows.actual, answer.probability, codes).resampled(counts)
    macro = resampled_macro(rows.actual, answer.predicted, codes)(counts)
    for place, drawn_counts in enumerate(counts):
        actual, predicted, score = (
            repeated(values, drawn_counts, codes) for values in (rows.actual, answer.predicted, answer.probability)
        )
        for average in ("micro", "macro"):
            expected = peer.average_precision_score(actual, score, average=average)
            assert ranked[f"average_precision_{average}"][place] == pytest.approx(expected, abs=1e-9)
        assert macro["macro_f1"][place] == pytest.approx(peer.f1_score(actual, predicted, average="macro"))


def test_many_distinct_scores_are_rounded_for_resamples_alone():
    random = np.random.default_rng(6)
    actual = random.random((4000, 2)) < 0.5
    score = random.random(actual.shape) + 0.5 * actual
    ranking = LabelRanking(actual, score, np.arange(4000))
    exact = peer.average_precision_score(actual, score, average="micro")
    assert ranking.metrics()["average_precision_micro"] == pytest.approx(exact)
    counts = random.multinomial(4000, np.full(4000, 1 / 4000), 3).astype(float)
    for place, value in enumerate(ranking.resampled(counts)["average_precision_micro"]):
        sample = np.repeat(np.arange(4000), counts[place].astype(int))
        expected = peer.average_precision_score(actual[sample], score[sample], average="micro")
        assert value == pytest.approx(expected, abs=0.002)


def test_labels_that_no_row_has_are_left_out_of_the_means():
    rows, answer = drawn(seed=7)
    wider = LabelRows(np.pad(rows.actual, ((0, 0), (0, 1))), rows.groups, rows.outside, LabelTree.flat(9))
    more = LabelAnswer(np.pad(answer.predicted, ((0, 0), (0, 1))), np.pad(answer.probability, ((0, 0), (0, 1))))
    flat = LabelRows(rows.actual, rows.groups, rows.outside, LabelTree.flat(8))
    before, after = judged(flat, answer, FEW), judged(wider, more, FEW)
    for name in ("macro_f1", "micro_f1", "average_precision_macro"):
        assert after.values[name] == pytest.approx(before.values[name])
        assert after.intervals[name] == pytest.approx(before.intervals[name])


def test_leads_are_paired():
    rows, answer = drawn(600, seed=8)
    noise = np.random.default_rng(0).random(rows.actual.shape)
    worse = LabelAnswer(answer.predicted ^ (noise < 0.02), answer.probability)
    found = judge_labels(rows, {"model": answer, "worse": worse}, Depth(), Resampling(300, 0.95, 0))
    lead = found["model"].values["micro_f1"] - found["worse"].values["micro_f1"]
    assert found["worse"].values["micro_f1_above"] == pytest.approx(lead)
    lower, upper = found["worse"].intervals["micro_f1_above"]
    assert lower <= lead <= upper
    own = found["worse"].intervals["micro_f1"]
    assert upper - lower < 0.6 * (own[1] - own[0])
    assert "micro_f1_above" not in found["model"].values
    alone = judge_labels(rows, {"model": answer}, Depth(), Resampling(300, 0.95, 0))["model"]
    assert alone.intervals["micro_f1"] == found["model"].intervals["micro_f1"]


def test_intervals_of_means_over_rare_labels_hold_the_value():
    # Drawn again, the two rows of a label are one row twice as often as not: average precision goes up by itself
    random = np.random.default_rng(3)
    rows, labels = 90, 400
    actual = np.zeros((rows, labels), dtype=bool)
    actual[random.integers(0, rows, 2 * labels), np.repeat(np.arange(labels), 2)] = True
    probability = random.random((rows, labels))
    data = LabelRows(actual, np.arange(rows), np.zeros(rows, dtype=np.int64), LabelTree.flat(labels))
    found = judged(data, LabelAnswer(probability > 0.9, probability), Resampling(400, 0.95, 0))
    for name in ("average_precision_macro", "macro_f1", "macro_precision", "macro_recall"):
        lower, upper = found.intervals[name]
        assert 0 <= lower < found.values[name] < upper <= 1


def test_the_oracle_is_compared_on_the_rows_that_it_knows():
    rows, answer = drawn(seed=9)
    known = np.arange(len(rows)) % 3 > 0
    said = rows.actual ^ (np.random.default_rng(1).random(rows.actual.shape) < 0.05)
    oracle = Oracle((said & rows.actual).sum(axis=1).astype(float), said.sum(axis=1).astype(float), known)
    found = judged(rows, answer, FEW, oracle=oracle)
    best = peer.f1_score(rows.actual[known], said[known], average="micro")
    own = peer.f1_score(rows.actual[known], answer.predicted[known], average="micro")
    assert found.values["oracle_micro_f1"] == pytest.approx(best)
    assert found.values["micro_f1_of_oracle"] == pytest.approx(own / best)
    assert found.support == {"oracle_micro_f1": known.sum(), "micro_f1_of_oracle": known.sum()}
    assert found.intervals["micro_f1_of_oracle"][0] < own / best < found.intervals["micro_f1_of_oracle"][1]
    nothing = Oracle(oracle.found, oracle.called, np.zeros(len(rows), dtype=bool))
    assert "oracle_micro_f1" not in judged(rows, answer, oracle=nothing).values


def test_no_rows_and_nothing_predicted_are_undefined_but_named():
    rows, answer = drawn()
    nobody = np.zeros(len(rows), dtype=bool)
    empty = judged(rows.where(nobody), answer.where(nobody), FEW)
    assert set(empty.values) == set(judged(rows, answer).values)
    assert set(empty.values.values()) == {None}
    silent = judged(rows, LabelAnswer(np.zeros_like(rows.actual))).values
    assert silent["micro_precision"] is None
    assert silent["micro_f1"] == silent["macro_f1"] == silent["sample_f1"] == 0


def test_the_mean_of_row_f1_is_the_sample_f1():
    rows, answer = drawn(seed=10)
    assert row_f1(rows.actual, answer.predicted).mean() == pytest.approx(judged(rows, answer).values["sample_f1"])
    assert row_f1(np.zeros((1, 2), bool), np.zeros((1, 2), bool))[0] == 0


def test_ties_go_to_the_first_label():
    sums = top_label_sums(np.array([[False, True, True]]), np.full((1, 3), 0.5), np.zeros(1, dtype=int), [1, 2], [2])
    assert sums["precision_at_1"] == 0
    assert sums["precision_at_2"] == 0.5
    assert sums["ndcg_at_2"] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))


def test_the_curve_lies_on_scikit_learns():
    rows, answer = drawn(seed=11)
    score = np.round(answer.probability, 2)
    recall, precision = curve_points(rows.actual, score, 50)
    assert len(recall) <= 50
    expected = peer.precision_recall_curve(rows.actual.ravel(), score.ravel())
    points = {(round(r, 9), round(p, 9)) for p, r in zip(*expected[:2], strict=True)}
    assert all((round(r, 9), round(p, 9)) in points for r, p in zip(recall, precision, strict=True))
    assert recall[-1] == 1
    assert (np.diff(recall) > 0).all()
    assert [len(part) for part in curve_points(np.zeros((2, 2), bool), np.ones((2, 2)), 5)] == [0, 0]
