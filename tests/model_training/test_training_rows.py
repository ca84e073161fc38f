"""Rows to train on: the target of the regression, and early stopping that leaves the best trees only."""

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from augury.pipelines.model_training.training_rows import CollectedRows, CostUnit, RowSettings, Selection, TreeSettings
from augury.predictors.query_cost_trees import open_booster, trees_matrix
from augury.predictors.query_vocabulary import VocabularyBounds

UNIT = CostUnit(cpu_threshold_s=2.0, memory_threshold_gb=0.5, smallest=1e-3)
TRAIN, VALIDATION = Selection("train"), Selection("validation")
SETTINGS = TreeSettings(rounds=200, learning_rate=0.3, max_depth=4, early_stopping_rounds=5)
COSTS = st.one_of(st.just(float("nan")), st.floats(0, 1e6))


def row_settings(query_reports):
    """Without the copies of rows whose template is taken as new."""
    return RowSettings(tuple(query_reports.features["features"]), UNIT, 1.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def rows(query_matrix, query_reports):
    found = CollectedRows(query_matrix, row_settings(query_reports), threads=1)
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
    numbers = tuple(query_reports.features["features"])
    matrix = trees_matrix(table, numbers, vocabulary)
    if target == "regressor":  # looks at no terms
        matrix = np.ascontiguousarray(matrix[:, : len(numbers)])
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
    other = CollectedRows(shuffled, row_settings(query_reports), threads=2)
    other.fit_vocabulary(VocabularyBounds(max_terms=60))
    assert other.fit("classifier", few, TRAIN, VALIDATION, seed=3) == first
    assert other.fit("classifier", few, TRAIN, VALIDATION, seed=4) != first
    assert other.facts() == rows.facts()


def test_rows_without_any_cost_do_not_touch_the_regression(query_matrix, query_reports, rows):
    train = (query_matrix["split"] == "train") & ~query_matrix["is_heavy"]
    unknown = query_matrix[train].head(50).assign(cpu_time_s=np.nan, query_id=lambda f: "x" + f["query_id"])
    more = pd.concat([query_matrix, unknown], ignore_index=True)
    other = CollectedRows(more, row_settings(query_reports), threads=1)
    vocabulary = other.fit_vocabulary(VocabularyBounds(max_terms=60))
    # The vocabulary counts them; with the same one the regression is the same, and the classifier is not
    same = rows.fit_vocabulary(VocabularyBounds(max_terms=60)) == vocabulary
    equal = other.fit("regressor", SETTINGS, TRAIN, None, 3) == rows.fit("regressor", SETTINGS, TRAIN, None, 3)
    assert equal == same
    assert other.fit("classifier", SETTINGS, TRAIN, None, 3) != rows.fit("classifier", SETTINGS, TRAIN, None, 3)


def test_every_training_row_comes_again_as_one_of_a_new_template(query_matrix, query_reports, rows):
    """Two copies weigh what one row and its share weigh, if nothing is known of the template anyway."""
    settings = row_settings(query_reports)
    copying = RowSettings(settings.numbers, UNIT, 1.0, 0.25, 0.0)
    train = query_matrix[query_matrix["split"] == "train"].reset_index(drop=True)
    matrix = trees_matrix(train, settings.numbers, rows.fit_vocabulary(VocabularyBounds(max_terms=60)))
    for target in ("classifier", "regressor"):
        plain, label, weight = settings.training_data(train, matrix, target)
        found = copying.training_data(train, matrix, target)
        np.testing.assert_array_equal(found[0][: len(plain)], plain)
        np.testing.assert_array_equal(found[1], np.tile(label, 2))
        np.testing.assert_allclose(found[2], np.concatenate([weight, weight / 4]))
        seen = settings.numbers.index("template_seen")
        assert plain[:, seen].any() and not found[0][len(plain) :, seen].any()
        # What stops a training is as it came
        np.testing.assert_array_equal(copying.held_data(train, matrix, target)[0], plain)


def test_parts_of_the_templates_are_disjoint_and_whole(rows, query_matrix):
    booster = rows.fit("classifier", SETTINGS.model_copy(update={"rounds": 2}), TRAIN, None, 1)
    parts = [rows.score({"classifier": booster}, Selection("train", part=part, parts=3)) for part in range(3)]
    templates = [set(part["template"]) for part in parts]
    assert all(templates) and not (
        templates[0] & templates[1] | templates[0] & templates[2] | templates[1] & templates[2]
    )
    assert sum(map(len, parts)) == (query_matrix["split"] == "train").sum()
    others = rows.score({"classifier": booster}, Selection("train", part=1, parts=3, others=True))
    assert set(others["template"]) == templates[0] | templates[2]


def test_rows_scored_as_new_are_unseen(rows, query_matrix):
    booster = rows.fit("classifier", SETTINGS.model_copy(update={"rounds": 20}), TRAIN, None, 1)
    as_they_are, as_new = (rows.score({"classifier": booster}, TRAIN, new) for new in (False, True))
    train = query_matrix[query_matrix["split"] == "train"].sort_values("query_id")
    assert as_they_are["unseen"].tolist() == (train["template_seen"] == 0).tolist()
    assert as_new["unseen"].all() and not as_they_are["unseen"].all()
    assert (as_new["classifier"] != as_they_are["classifier"]).mean() > 0.1


def test_a_selection_is_a_split_between_two_dates(rows, query_matrix):
    days = rows.dates()
    assert days == sorted(query_matrix.loc[query_matrix["split"] == "train", "date"].unique())
    booster = rows.fit("classifier", SETTINGS.model_copy(update={"rounds": 2}), TRAIN, None, 1)
    scored = rows.score({"classifier": booster}, Selection("train", days[3], days[5]))
    expected = query_matrix[(query_matrix["split"] == "train") & query_matrix["date"].isin(days[3:6])]
    assert sorted(scored["date"]) == sorted(expected["date"])
    assert scored["is_heavy"].sum() == expected["is_heavy"].sum()
    assert scored["classifier"].between(-20, 20).all()


def test_the_facts_are_those_of_the_training_rows(rows, query_matrix):
    train = query_matrix[query_matrix["split"] == "train"]
    facts = rows.facts()
    assert (facts["rows"], facts["heavy"]) == (len(train), train["is_heavy"].sum())
    assert facts["origin"] == train["origin"].value_counts().sort_index().to_dict()
    assert facts["weight_sums"] == pytest.approx([train["weight"].sum(), (train["weight"] ** 2).sum()])
