"""Baselines of ``query_cost``: they say what their definition says, from the past only."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from augury.pipelines.model_training.operating_points import expected_cost
from augury.pipelines.model_training.query_baselines import (
    BASELINES,
    QueryBaselines,
    cached_outcomes,
    known_outcomes,
    predict_baselines,
)

DAYS = [f"2026-01-0{day}" for day in range(1, 10)]
OUTCOMES = st.lists(
    st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.sampled_from(DAYS)), st.booleans()), max_size=30
)
ASKED = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(DAYS)), min_size=1, max_size=20)


@settings(max_examples=40)
@given(OUTCOMES, ASKED)
def test_the_cache_knows_what_became_known_on_earlier_days_and_nothing_else(outcomes, asked):
    keys = pd.DataFrame(outcomes, columns=["template", "available_date", "is_heavy"])
    keys["is_heavy"] = keys["is_heavy"].astype(bool)
    score, ever = cached_outcomes(pd.DataFrame(asked, columns=["template", "date"]), known_outcomes(keys))
    for (template, date), found, heavy in zip(asked, score, ever, strict=True):
        past = [item for item in outcomes if item[1] is not None and item[1] < date]
        of_all = np.mean([item[2] for item in past]) if past else 0.0
        own = [item[2] for item in past if item[0] == template]
        assert heavy == any(own)
        assert found == pytest.approx((sum(own) + of_all) / (len(own) + 1))


@pytest.fixture(scope="module")
def inputs(query_matrix, query_reports):
    random = np.random.default_rng(0)
    keys = pd.DataFrame(
        {
            "template": query_matrix["template"],
            "available_date": query_matrix["date"],
            "is_heavy": query_matrix["is_heavy"],
        }
    )
    # Texts whose words are the terms, in another order from row to row
    texts = [" ".join(random.permutation(terms.split())) for terms in query_matrix["terms"]]
    sampled = pd.DataFrame({"query_id": query_matrix["query_id"], "sql_text": texts}).sample(frac=1, random_state=0)
    return query_matrix, keys, sampled, query_reports.features


@pytest.fixture(scope="module")
def predictions(inputs):
    return predict_baselines(*inputs, QueryBaselines(), 3)


def test_every_row_that_is_not_for_training_is_predicted_once(predictions, query_matrix):
    expected = query_matrix.loc[query_matrix["split"] != "train", "query_id"].sort_values()
    assert predictions["query_id"].tolist() == expected.tolist()
    columns = [f"{kind}_{name}" for name in BASELINES for kind in ("baseline", "decision", "threshold")]
    assert list(predictions) == ["query_id", *columns]
    assert not predictions.drop(columns="threshold_fingerprint_cache").isna().any().any()


def test_decisions_are_scores_at_their_thresholds(predictions):
    for name in BASELINES:
        threshold = predictions[f"threshold_{name}"].iloc[0]
        if name in {"rule", "fingerprint_cache"}:
            continue  # these decide by more than their score
        decided = predictions[f"baseline_{name}"] >= threshold
        assert (decided == predictions[f"decision_{name}"].astype(bool)).all(), name
    assert predictions["decision_all_heavy"].all() and not predictions["decision_all_small"].any()


def test_the_rule_looks_at_length_and_joins(predictions, query_matrix):
    rows = query_matrix.set_index("query_id").loc[predictions["query_id"]]
    expected = (rows["query_length"] > 2000) | (rows["join_count"] > 3)
    assert (predictions["decision_rule"].to_numpy() == expected.to_numpy()).all()
    assert predictions["decision_rule"].nunique() == 2
    # Above 1 is what the rule calls heavy, at 1 or below what it does not
    heavy = predictions["decision_rule"] == 1
    assert predictions.loc[heavy, "baseline_rule"].min() > 1 >= predictions.loc[~heavy, "baseline_rule"].max()


def test_recipes_learn_from_training_rows_only(inputs, predictions):
    matrix, keys, sampled, report = inputs
    # Other labels and other texts in the last two splits
    later = matrix["split"].isin(("test", "drift"))
    changed = matrix.assign(is_heavy=matrix["is_heavy"] ^ later)
    found = predict_baselines(changed, keys, sampled, report, QueryBaselines(), 3)
    pd.testing.assert_frame_equal(found, predictions)


def test_the_text_knows_the_template_and_the_recipe_knows_more(predictions, query_matrix):
    rows = query_matrix.set_index("query_id").loc[predictions["query_id"]]
    heavy = rows["is_heavy"].to_numpy()
    scores = {name: roc_auc_score(heavy, predictions[f"baseline_{name}"]) for name in BASELINES}
    assert scores["all_heavy"] == scores["all_small"] == 0.5
    assert scores["text_only"] > 0.7 and scores["fingerprint_cache"] > 0.7 and scores["original_recipe"] > 0.7


def test_the_text_baseline_gets_the_cheapest_threshold_of_the_validation_rows(predictions, query_matrix):
    rows = query_matrix.set_index("query_id").loc[predictions["query_id"]].reset_index()
    validation = rows["split"] == "validation"
    score, heavy = predictions.loc[validation, "baseline_text_only"], rows.loc[validation, "is_heavy"]
    own = expected_cost(score, heavy, predictions["threshold_text_only"].iloc[0], 100)
    assert all(own <= expected_cost(score, heavy, threshold, 100) + 1e-12 for threshold in [*score, 2.0])


def test_the_same_seed_gives_the_same_predictions_whatever_the_row_order(inputs, predictions):
    matrix, keys, sampled, report = inputs
    shuffled = [frame.sample(frac=1, random_state=9) for frame in (matrix, keys, sampled)]
    pd.testing.assert_frame_equal(predict_baselines(*shuffled, report, QueryBaselines(), 3), predictions)
