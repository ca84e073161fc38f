"""Training of ``query_cost``: forward in time, reproducible, calibrated, and better than a guess."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from augury.errors import UserError
from augury.pipelines.model_training.boosted_classifier import (
    BoostedClassifierModel,
    calibration_error,
    fit_blend,
    fold_selections,
    log_loss,
    train_query_cost,
)
from augury.predictors.query_cost import EXAMPLE, QueryCostPredictor

PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {"augury": "0.1.0"}}


@pytest.fixture(scope="module")
def train(query_matrix, query_reports, query_model):
    """A function: changed parameters -> predictor and account."""

    def run(matrix=None, seed=3, **changes):
        reports = query_reports
        return train_query_cost(
            query_matrix if matrix is None else matrix,
            reports.history,
            reports.features,
            reports.zero_cost,
            reports.data,
            {},
            query_model(**changes),
            seed,
            PROVENANCE,
        )

    return run


@pytest.fixture(scope="module")
def trained(train):
    return train()


def held_out(matrix, split="test"):
    rows = matrix[matrix["split"] == split]
    return rows, rows["is_heavy"].to_numpy()


def test_the_model_tells_heavy_rows_that_it_never_saw(trained, query_matrix):
    predictor, account = trained
    rows, heavy = held_out(query_matrix)
    probability = predictor.predict_matrix(rows)["probability"].to_numpy()
    assert roc_auc_score(heavy, probability) > 0.9
    # Calibrated on natural validation rows although training rows were thinned out
    assert probability.sum() == pytest.approx(heavy.sum(), rel=0.4)
    assert account["validation"]["calibration_error"] < 0.05
    assert calibration_error(probability, heavy, np.ones(len(heavy))) < 0.06


def test_the_operating_points_are_those_of_the_validation_rows(trained, query_matrix):
    predictor, account = trained
    rows, heavy = held_out(query_matrix, "validation")
    probability = predictor.predict_matrix(rows)["probability"].to_numpy()
    point = account["operating_points"]["recall_98"]
    routed = probability >= predictor.operating_points["recall_98"]
    assert point["missed"] == (heavy & ~routed).sum()
    assert point["routed_share"] == pytest.approx(routed.mean())
    cost = account["operating_points"]["cost_optimal"]
    assert cost["normalised_expected_cost"] <= cost["bayes_normalised_expected_cost"]
    assert predictor.operating_points == {name: item["threshold"] for name, item in account["operating_points"].items()}


def test_it_carries_examples_that_nobody_sent(trained):
    predictor, _ = trained
    answers = predictor.predict(pd.DataFrame(predictor.example))
    assert len(answers) == len(predictor.example) >= 2
    assert [query["query"] for query in predictor.example] == [query["query"] for query in EXAMPLE]


def test_the_same_seed_gives_the_same_predictor_whatever_the_row_order(train, trained, query_matrix):
    again, account = train(query_matrix.sample(frac=1, random_state=5))
    first, first_account = trained
    assert again.specification == first.specification
    assert again.blends == first.blends and again.vocabulary == first.vocabulary
    assert again.onnx == first.onnx
    assert account == first_account
    assert again.metadata.data == first.metadata.data


def test_another_seed_gives_another_predictor(train, trained):
    other, _ = train(seed=4, folds=0)
    assert other.onnx != trained[0].onnx and other.metadata.seed == 4


def test_rows_after_the_validation_split_change_nothing(train, trained, query_matrix):
    later = query_matrix["split"].isin(("test", "drift"))
    changed = query_matrix.assign(is_heavy=query_matrix["is_heavy"] ^ later, cpu_time_s=1e9)
    changed["cpu_time_s"] = query_matrix["cpu_time_s"].where(~later, 1e9)
    again, account = train(changed)
    assert again.onnx == trained[0].onnx and account == trained[1]


def test_weights_make_up_for_thinned_out_rows(train, query_matrix):
    """Of the rows that the training rows stand for, not of those that were kept, the sum must be right."""
    rows, heavy = held_out(query_matrix, "train")
    expected = (rows["weight"] * heavy).sum()
    sums = {}
    for name, matrix in (("weighted", query_matrix), ("not", query_matrix.assign(weight=1.0))):
        predictor, _ = train(matrix, folds=0, calibration="none", blend_weights=(0.0,))
        sums[name] = (rows["weight"] * predictor.predict_matrix(rows)["probability"]).sum()
    assert sums["weighted"] == pytest.approx(expected, rel=0.1)
    assert sums["not"] > 1.1 * expected


def test_folds_go_forward_in_time_and_do_not_overlap():
    dates = pd.date_range("2026-01-01", periods=23).strftime("%Y-%m-%d").tolist()
    selections = fold_selections(dates, BoostedClassifierModel(folds=5))
    assert len(selections) == 5
    judged_days = []
    for train, stop, judged in selections:
        assert train.first == dates[0]
        # Nothing between the days to fit on, to stop on, and to judge
        places = [dates.index(day) for day in (train.last, stop.first, stop.last, judged.first, judged.last)]
        assert places[1] == places[0] + 1 and places[3] == places[2] + 1
        judged_days += dates[places[3] : places[4] + 1]
    assert judged_days == dates[4:]
    assert fold_selections(dates, BoostedClassifierModel(folds=0)) == []
    # As many as the days allow, each with a day to fit on and a day to stop on
    assert [len(fold_selections(dates[:days], BoostedClassifierModel(folds=5))) for days in (1, 5, 6, 9, 12)] == [
        0, 0, 2, 3, 5
    ]  # fmt: skip


def test_cross_validation_is_in_the_account(trained):
    account = json.loads(json.dumps(trained[1], allow_nan=False))
    folds = account["cross_validation"]["folds"]
    assert len(folds) == 3
    assert account["cross_validation"]["mean"]["roc_auc"] == pytest.approx(np.mean([fold["roc_auc"] for fold in folds]))
    assert account["cross_validation"]["mean"]["roc_auc"] > 0.85
    assert [fold["judged"][0] for fold in folds] == sorted(fold["judged"][0] for fold in folds)


def test_metadata_tell_what_the_model_was_trained_on(trained, query_matrix):
    metadata = trained[0].metadata
    train = query_matrix[query_matrix["split"] == "train"]
    assert metadata.predictor == "query_cost" and metadata.family == QueryCostPredictor.family
    assert metadata.data.rows == len(train) and metadata.data.groups == train["template"].nunique()
    assert metadata.features[-1].startswith("term:")
    assert len(metadata.features) == len(trained[0].feature_names)


# --- new templates ---


def test_new_templates_have_a_blend_and_a_calibration_of_their_own(trained, query_matrix):
    predictor, account = trained
    assert predictor.blends.new is not None and predictor.blends.new != predictor.blends.known
    assert account["new_templates"]["templates"] == account["templates"]
    rows, _ = held_out(query_matrix)
    found = predictor.predict_matrix(rows)
    unseen = (rows["template_seen"] == 0).to_numpy()
    for blend, mask in ((predictor.blends.new, unseen), (predictor.blends.known, ~unseen)):
        expected = blend.probability(found["margin"].to_numpy()[mask], found["log_cost"].to_numpy()[mask])
        assert mask.any()
        np.testing.assert_array_equal(found["probability"].to_numpy()[mask], expected)


@pytest.mark.parametrize("changes", [{"template_parts": 0}, {"fewest_heavy_templates": 50}])
def test_without_enough_heavy_templates_all_are_calibrated_alike(changes, train, query_matrix):
    predictor, account = train(folds=0, **changes)
    assert predictor.blends.new is None and account["new_templates"] is None
    heavy = query_matrix["is_heavy"] & (query_matrix["split"] == "train")
    assert account["heavy_templates"] == query_matrix.loc[heavy, "template"].nunique() < 50


def test_rows_of_new_templates_make_the_trees_look_elsewhere(train, query_matrix):
    """Half of the templates show their size in ``template_p50_cpu``; without it, the input data must tell."""
    rows, heavy = held_out(query_matrix)
    new = rows.assign(template_seen=np.float32(0), template_p50_cpu=np.float32("nan"))
    areas = {}
    for share in (0.0, 0.5):
        predictor, _ = train(folds=0, new_template_share=share, template_parts=0, blend_weights=(1.0,))
        areas[share] = roc_auc_score(heavy, predictor.predict_matrix(new)["probability"])
    assert areas[0.5] > areas[0.0]


# --- blend ---


def simulated_scores(noise_of_margin, noise_of_log_cost, rows=4000, seed=0):
    random = np.random.default_rng(seed)
    log_cost = random.normal(-3, 1.5, rows)
    heavy = log_cost + random.normal(0, 0.3, rows) > 0
    return pd.DataFrame(
        {
            "date": random.choice(["2026-01-01", "2026-01-02", "2026-01-03"], rows),
            "is_heavy": heavy,
            "weight": 1.0,
            "classifier": 2 * log_cost + random.normal(0, noise_of_margin, rows),
            "regressor": log_cost + random.normal(0, noise_of_log_cost, rows),
        }
    )


def blended(scores, model):
    return fit_blend(scores, (scores["date"] == "2026-01-02").to_numpy(), model)


def test_a_good_regression_gets_weight_and_a_bad_one_none():
    model = BoostedClassifierModel(blend_weights=(0.0, 0.5, 1.0))
    assert blended(simulated_scores(3.0, 0.1), model)[0].weight == 1.0
    assert blended(simulated_scores(1.0, 0.5), model)[0].weight == 0.5
    bad, account = blended(simulated_scores(0.1, 20.0), model)
    assert bad.weight == 0.0
    assert account["log_losses"]["0"] < account["log_losses"]["1"]


def test_a_gain_that_is_too_small_leaves_the_regression_out():
    scores = simulated_scores(1.0, 0.5)
    assert blended(scores, BoostedClassifierModel(smallest_gain=0.9))[0].weight == 0.0


def test_a_single_validation_day_is_enough_for_a_blend():
    scores = simulated_scores(3.0, 0.1).assign(date="2026-01-01")
    assert blended(scores, BoostedClassifierModel())[0].weight == 0.75


def test_log_loss_and_calibration_error_are_what_they_say():
    probability, heavy = np.array([0.9, 0.2, 0.2]), np.array([True, False, True])
    weight = np.array([1.0, 2.0, 1.0])
    assert log_loss(probability, heavy, weight) == pytest.approx(-np.log([0.9, 0.8, 0.8, 0.2]).mean())
    random = np.random.default_rng(0)
    truth = random.random(20_000)
    outcome = random.random(20_000) < truth
    assert calibration_error(truth, outcome, np.ones(20_000)) < 0.02
    assert calibration_error(truth / 2, outcome, np.ones(20_000)) == pytest.approx(0.25, abs=0.02)
    heavier = calibration_error(truth, outcome, np.full(20_000, 7.0))
    assert heavier == pytest.approx(calibration_error(truth, outcome, np.ones(20_000)))


# --- what is refused ---


def test_a_short_log_is_trained_on_without_cross_validation(train, query_matrix):
    days = sorted(query_matrix.loc[query_matrix["split"] == "train", "date"].unique())
    few = query_matrix[~query_matrix["date"].isin(days[5:]) | (query_matrix["split"] != "train")]
    assert train(few)[1]["cross_validation"]["folds"] == []


@pytest.mark.parametrize(("split", "what"), [("train", "training"), ("validation", "validation")])
def test_a_split_without_heavy_rows_is_a_user_error(split, what, train, query_matrix):
    light = query_matrix[(query_matrix["split"] != split) | ~query_matrix["is_heavy"]]
    with pytest.raises(UserError, match=rf"query_cost\.features_matrix: 0 of \d+ {what} rows are heavy"):
        train(light)


@pytest.mark.parametrize(
    "changes",
    [
        {"folds": 1},
        {"blend_weights": (1.5,)},
        {"blend_weights": ()},
        {"calibration": "isotonic"},
        {"cost_ratio": 0},
        {"template_parts": 1},
    ],
)
def test_impossible_parameters_are_refused(changes):
    with pytest.raises(ValidationError):
        BoostedClassifierModel(**changes)
