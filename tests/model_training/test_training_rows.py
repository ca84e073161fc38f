"""Rows to train on: the target of the regression, and early stopping that leaves the best trees only."""

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from augury.pipelines.model_training.training_rows import CollectedRows, CostUnit, Selection, TreeSettings
from augury.predictors.query_cost_trees import open_booster, trees_matrix
from augury.predictors.query_vocabulary import VocabularyBounds

UNIT = CostUnit(cpu_threshold_s=2.0, memory_threshold_gb=0.5, smallest=1e-3)
TRAIN, VALIDATION = Selection("train"), Selection("validation")
SETTINGS = TreeSettings(rounds=200, learning_rate=0.3, max_depth=4, early_stopping_rounds=5)
COSTS = st.one_of(st.just(float("nan")), st.floats(0, 1e6))


@pytest.fixture(scope="module")
def rows(query_matrix, query_reports):
    found = CollectedRows(query_matrix, tuple(query_reports.features["features"]), UNIT, 1.0, threads=1)
    found.fit_vocabulary(VocabularyBounds(max_terms=60))
    return found


@given(st.lists(st.tuples(COSTS, COSTS, st.booleans()), min_size=1, max_size=20))
def test_the_log_cost_is_the_larger_of_both_shares_of_the_thresholds(costs):
    frame = pd.DataFrame(costs, columns=["cpu_time_s", "peak_memory_gb", "is_heavy"])
    found = UNIT.log_cost(frame)
    for value, (cpu, memory, heavy) in zip(found, costs, strict=True):
        shares = [share for share in (cpu / 2.0, memory / 0.5) if share == share]
        if heavy:
            shares.append(1.0)  # it ran into a limit, or is above a threshold anyway
        if shares:
            assert value == pytest.approx(np.log(max([*shares, 1e-3])))
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("target", ["classifier", "regressor"])
def test_the_trees_are_those_of_xgboost_up_to_the_best_round(target, rows, query_matrix, query_reports):
    booster = open_booster(rows.fit(target, SETTINGS, TRAIN, VALIDATION, seed=3))
    # The same with a plain DMatrix and without the callback
    vocabulary = rows.fit_vocabulary(VocabularyBounds(max_terms=60))
    table = query_matrix.sort_values("query_id", ignore_index=True)
    matrix = trees_matrix(table, tuple(query_reports.features["features"]), vocabulary)
    label = table["is_heavy"].astype(float) if target == "classifier" else UNIT.log_cost(table)
    parts = [
        xgboost.DMatrix(matrix[mask], np.asarray(label)[mask], weight=table["weight"].to_numpy()[mask])
        for mask in ((table["split"] == split).to_numpy() for split in ("train", "validation"))
    ]
    expected = xgboost.train(
        SETTINGS.xgboost(target, 3),
        parts[0],
        200,
        evals=[(parts[1], "stop")],
        early_stopping_rounds=5,
        verbose_eval=False,
    )
    assert booster.num_boosted_rounds() == expected.best_iteration + 1 < expected.num_boosted_rounds()
    np.testing.assert_allclose(
        booster.predict(parts[1], output_margin=True),
        expected.predict(parts[1], output_margin=True, iteration_range=(0, expected.best_iteration + 1)),
        atol=1e-5,
    )
    assert booster.feature_names is None and not booster.attributes()


def test_neither_threads_nor_row_order_change_the_trees(rows, query_matrix, query_reports):
    few = SETTINGS.model_copy(update={"rounds": 5})
    first = rows.fit("classifier", few, TRAIN, VALIDATION, seed=3)
    shuffled = query_matrix.sample(frac=1, random_state=1)
    other = CollectedRows(shuffled, tuple(query_reports.features["features"]), UNIT, 1.0, threads=2)
    other.fit_vocabulary(VocabularyBounds(max_terms=60))
    assert other.fit("classifier", few, TRAIN, VALIDATION, seed=3) == first
    assert other.fit("classifier", few, TRAIN, VALIDATION, seed=4) != first
    assert other.facts() == rows.facts()


def test_rows_without_any_cost_do_not_touch_the_regression(query_matrix, query_reports, rows):
    train = (query_matrix["split"] == "train") & ~query_matrix["is_heavy"]
    unknown = query_matrix[train].head(50).assign(cpu_time_s=np.nan, query_id=lambda f: "x" + f["query_id"])
    more = pd.concat([query_matrix, unknown], ignore_index=True)
    other = CollectedRows(more, tuple(query_reports.features["features"]), UNIT, 1.0, threads=1)
    vocabulary = other.fit_vocabulary(VocabularyBounds(max_terms=60))
    # The vocabulary counts them; with the same one the regression is the same, and the classifier is not
    same = rows.fit_vocabulary(VocabularyBounds(max_terms=60)) == vocabulary
    equal = other.fit("regressor", SETTINGS, TRAIN, None, 3) == rows.fit("regressor", SETTINGS, TRAIN, None, 3)
    assert equal == same
    assert other.fit("classifier", SETTINGS, TRAIN, None, 3) != rows.fit("classifier", SETTINGS, TRAIN, None, 3)


def test_a_selection_is_a_split_between_two_dates(rows, query_matrix):
    days = rows.dates()
    assert days == sorted(query_matrix.loc[query_matrix["split"] == "train", "date"].unique())
    booster = rows.fit("classifier", SETTINGS.model_copy(update={"rounds": 2}), TRAIN, None, 1)
    scored = rows.score([booster, booster], Selection("train", days[3], days[5]))
    expected = query_matrix[(query_matrix["split"] == "train") & query_matrix["date"].isin(days[3:6])]
    assert sorted(scored["date"]) == sorted(expected["date"])
    assert scored["is_heavy"].sum() == expected["is_heavy"].sum()
    assert (scored["score_0"] == scored["score_1"]).all()


def test_the_facts_are_those_of_the_training_rows(rows, query_matrix):
    train = query_matrix[query_matrix["split"] == "train"]
    facts = rows.facts()
    assert (facts["rows"], facts["heavy"]) == (len(train), train["is_heavy"].sum())
    assert facts["origin"] == train["origin"].value_counts().sort_index().to_dict()
    assert facts["weight_sums"] == pytest.approx([train["weight"].sum(), (train["weight"] ** 2).sum()])
