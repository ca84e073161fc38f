"""Ranking metrics: against scikit-learn, with ties, and in resamples against a loop that draws rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from augury.metrics import ranking
from augury.metrics.ranking import Ranking, TopRows, threshold_counts

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3), st.integers(0, 3)), min_size=2)


def both_classes(rows: list[tuple[bool, int, int, int]]) -> bool:
    return len({row[0] for row in rows}) == 2


@settings(max_examples=50)
@given(ROWS.filter(both_classes))
def test_metrics_agree_with_scikit_learn_whatever_the_ties(rows: list[tuple[bool, int, int, int]]) -> None:
    actual, score = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    found = Ranking(actual, score).metrics()
    assert found["roc_auc"] == pytest.approx(roc_auc_score(actual, score))
    assert found["pr_auc"] == pytest.approx(average_precision_score(actual, score))


@settings(max_examples=50)
@given(ROWS)
def test_a_resample_is_the_metric_of_repeated_rows(rows: list[tuple[bool, int, int, int]]) -> None:
    actual, score = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    codes = np.unique([row[2] for row in rows], return_inverse=True)[1]
    counts = np.random.default_rng(0).integers(0, 4, (5, codes.max() + 1)).astype(float)
    found = Ranking(actual, score, codes).resampled(counts)
    for replicate, drawn in enumerate(counts):
        times = drawn[codes].astype(int)
        repeated, scores = np.repeat(actual, times), np.repeat(score, times)
        if len(set(repeated)) < 2:
            assert np.isnan(found["roc_auc"][replicate])
        else:
            assert found["roc_auc"][replicate] == pytest.approx(roc_auc_score(repeated, scores))
            assert found["pr_auc"][replicate] == pytest.approx(average_precision_score(repeated, scores))


@pytest.mark.parametrize("actual", [[True, True], [False, False], []])
def test_one_class_alone_has_no_ranking(actual: list[bool]) -> None:
    found = Ranking(np.array(actual, dtype=bool), np.arange(len(actual), dtype=float)).metrics()
    assert np.isnan(found["roc_auc"])
    assert np.isnan(found["pr_auc"])


def test_blocks_of_replicates_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    actual, score, codes = random.random(300) < 0.2, random.normal(0, 1, 300), random.integers(0, 9, 300)
    counts = random.integers(0, 3, (50, 9)).astype(float)
    whole = Ranking(actual, score, codes).resampled(counts)
    monkeypatch.setattr(ranking, "CELLS_AT_ONCE", 300)
    for name, values in Ranking(actual, score, codes).resampled(counts).items():
        assert values == pytest.approx(whole[name])


def test_a_monotone_change_of_the_score_changes_nothing() -> None:
    random = np.random.default_rng(4)
    actual, score = random.random(500) < 0.1, random.normal(0, 1, 500)
    assert Ranking(actual, np.exp(3 * score)).metrics() == Ranking(actual, score).metrics()


def test_threshold_counts_by_hand() -> None:
    scores, found, alarms = threshold_counts(np.array([True, False, True, False]), np.array([0.9, 0.5, 0.5, 0.1]))
    assert scores.tolist() == [0.9, 0.5, 0.1]
    assert found.tolist() == [1, 2, 2]
    assert alarms.tolist() == [0, 1, 2]


def resample(codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(codes)), counts[codes].astype(int))


def test_the_top_rows_are_those_of_a_sorted_table_with_ties_by_place() -> None:
    random = np.random.default_rng(0)
    actual, score = random.random(300) < 0.3, random.integers(0, 20, 300) / 20
    places = random.permutation(300)
    table = pd.DataFrame({"actual": actual, "score": score, "place": places})
    table = table.sort_values(["score", "place"], ascending=[False, True])
    found = TopRows(actual, score, [1, 50, 300], places=places).metrics()
    for size in (1, 50, 300):
        hits = table["actual"].head(size).sum()
        assert found[f"precision_at_{size}"] == pytest.approx(hits / size)
        assert found[f"recall_at_{size}"] == pytest.approx(hits / actual.sum())
    assert found["recall_at_300"] == 1


def test_the_top_rows_of_resamples_are_those_of_the_rows_drawn() -> None:
    random = np.random.default_rng(1)
    codes = random.integers(0, 12, 400)
    actual, score = random.random(400) < 0.3, random.random(400)
    counts = random.multinomial(12, [1 / 12] * 12, size=40).astype(float)
    counts[0, 1:] = 0  # nearly all rows of one group, far more often than any step expects
    found = TopRows(actual, score, [5, 120], codes).resampled(counts)
    for replicate, drawn in enumerate(counts):
        rows = resample(codes, drawn)
        order = rows[np.argsort(-score[rows], kind="stable")]
        for size in (5, 120):
            if len(rows) < size:
                assert np.isnan(found[f"precision_at_{size}"][replicate])
                continue
            hits = actual[order[:size]].sum()
            assert found[f"precision_at_{size}"][replicate] == pytest.approx(hits / size)
            assert found[f"recall_at_{size}"][replicate] == pytest.approx(hits / actual[rows].sum())


def test_more_rows_than_there_are_have_no_precision() -> None:
    found = TopRows(np.array([True, False]), np.array([0.1, 0.2]), [3]).metrics()
    assert np.isnan(found["precision_at_3"])
    assert np.isnan(found["recall_at_3"])
