"""Training the pair: forward only, blind to the test rows, repeatable, and at home with odd data."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.metrics.calibration import calibration_metrics
from augury.pipelines.model_training import boosted_pair
from augury.pipelines.model_training.boosted_pair import PairModel, calibrate_forward, f1_optimal, train_waste
from augury.pipelines.model_training.forward_boosting import (
    BoostingTask,
    ForwardPredictions,
    fit_booster,
    fit_side_by_side,
    rounds_for_all,
)
from augury.pipelines.model_training.household_evidence import KnownAfter, known_after, with_evidence
from augury.pipelines.model_training.lightgbm_settings import LightGBMSettings
from augury.pipelines.model_training.time_series_folds import expanding_folds
from augury.predictors.binary_calibration import fit_binary_calibration


def learned(trained: SimpleNamespace) -> tuple:
    """All that training decided."""
    predictor = trained.predictor
    return (predictor._trees, predictor.calibration, predictor.specification, predictor.onnx)


# --- forward only ---


def test_every_forward_prediction_is_of_a_later_row(trained_waste, waste_tables):
    predictions = trained_waste.predictions
    bought = waste_tables.matrix.set_index("purchase_id").loc[predictions["purchase_id"], "purchased_at"]
    late_by = bought.to_numpy() - predictions["trained_until"].to_numpy()
    assert (late_by > pd.Timedelta(days=PairModel().gap_days)).all()
    assert predictions["fold"].nunique() == 4
    assert set(predictions["purchase_id"]) <= set(
        waste_tables.matrix.loc[waste_tables.matrix["split"] == "train", "purchase_id"]
    )


def test_the_calibration_is_fitted_to_forward_predictions_and_to_nothing_else(train_food_waste, monkeypatch):
    seen = []

    def spy(probability, actual, method, weight=None, groups=None):
        seen.append((probability, actual))
        return fit_binary_calibration(probability, actual, method, weight, groups)

    monkeypatch.setattr(boosted_pair, "fit_binary_calibration", spy)
    trained = train_food_waste()
    predictions = trained.predictions
    newest = predictions[predictions["fold"] >= trained.account["calibration"]["first_fold"]]
    probability, actual = seen[0]  # the one that is served; those after it leave households out
    assert np.sort(probability) == pytest.approx(np.sort(newest["raw"].to_numpy()), abs=1e-12)
    assert actual.sum() == newest["is_wasted"].sum()
    forward = set(np.round(predictions["raw"], 12))
    assert all(set(np.round(probability, 12)) <= forward for probability, _ in seen)


def test_rows_that_their_model_has_learned_from_do_not_calibrate():
    times = pd.date_range("2026-01-01", periods=60).to_numpy().astype("datetime64[us]")
    target = (np.arange(60) % 2).astype(float)
    task = BoostingTask("it", np.zeros((60, 1), np.float32), target, times, LightGBMSettings(), "binary", 0, ())
    sums, fold = np.linspace(-1, 1, 60), np.ones(60, dtype=np.int64)
    in_sample = ForwardPredictions(sums, fold, np.full(60, times[-1]), (1,), (60,))
    with pytest.raises(RuntimeError, match="has learned from"):
        calibrate_forward(task, in_sample, np.arange(60), PairModel())
    honest = ForwardPredictions(sums, fold, np.full(60, times[0] - np.timedelta64(1, "us")), (1,), (60,))
    assert calibrate_forward(task, honest, np.arange(60), PairModel())[2].all()


def test_forward_calibration_holds_on_fresh_rows_where_that_of_training_rows_does_not():
    random = np.random.default_rng(0)
    rows, fresh = 10_000, 10_000
    matrix = random.normal(size=(rows + fresh, 12)).astype(np.float32)
    logit = 1.2 * matrix[:, 0] + 0.8 * matrix[:, 1] * matrix[:, 2] - 0.8
    actual = (random.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(float)
    times = pd.date_range("2025-01-01", periods=rows, freq="h").to_numpy().astype("datetime64[us]")
    # Leaves of a few rows: early stopping keeps it from the worst, but on its own rows it is far too sure
    settings = LightGBMSettings(rounds=200, learning_rate=0.1, num_leaves=31, min_data_in_leaf=5, lambda_l2=0)
    folds = expanding_folds(times, 5)
    task = BoostingTask("it", matrix[:rows], actual[:rows], times, settings, "binary", 0, folds)
    forward, _ = fit_side_by_side({"it": task}, {}, 0.15, 2)
    rounds = rounds_for_all(forward["it"], settings, rows)
    _, boosters = fit_side_by_side({}, {"it": (task, rounds)}, 0.15, 1)
    honest, _, _ = calibrate_forward(task, forward["it"], np.arange(rows), PairModel(calibration="beta"))
    own = boosters["it"].predict(matrix[:rows])
    trusting = fit_binary_calibration(own, actual[:rows] > 0, "beta")
    raw = boosters["it"].predict(matrix[rows:])

    def slope(probability):
        return calibration_metrics(actual[rows:] > 0, probability, 15)["calibration_slope"]

    assert 0.9 <= slope(honest.probability(raw)) <= 1.1
    assert slope(trusting.probability(raw)) < 0.8


def test_the_pair_is_calibrated_on_later_rows(simulate_waste, train_food_waste):
    tables = simulate_waste(120, 60, 11, filter_oracle=False)
    trained = train_food_waste(tables, workers=2)
    test = tables.matrix[tables.matrix["split"] == "test"]
    found = trained.predictor.predict_matrix(test)["probability"].to_numpy()
    metrics = calibration_metrics(test["is_wasted"].to_numpy() > 0, found, 10)
    assert 0.85 <= metrics["calibration_slope"] <= 1.15
    assert trained.account["cross_validation"]["mean"]["roc_auc"] > 0.75


# --- blind to the test rows ---


def test_the_labels_of_test_rows_have_no_part_in_the_model(trained_waste, train_food_waste, waste_tables):
    matrix, purchases = waste_tables.matrix.copy(), waste_tables.purchases.copy()
    test = matrix["split"] == "test"
    names = waste_tables.features["features"]
    matrix.loc[test, "is_wasted"] = 1 - matrix.loc[test, "is_wasted"]
    matrix.loc[test, "days_to_waste"] = 1e6
    matrix.loc[test, names] = matrix.loc[test, names].sample(frac=1, random_state=1).to_numpy()
    late = purchases["purchase_id"].isin(matrix.loc[test, "purchase_id"])
    purchases.loc[late, "is_wasted"] = 1 - purchases.loc[late, "is_wasted"]
    other = SimpleNamespace(**vars(waste_tables) | {"matrix": matrix, "purchases": purchases})
    changed = train_food_waste(other)
    assert learned(changed) == learned(trained_waste)
    pd.testing.assert_frame_equal(changed.predictions, trained_waste.predictions)
    labels = waste_tables.matrix.copy()
    train = labels["split"] == "train"
    labels.loc[train, "is_wasted"] = labels.loc[train, "is_wasted"].sample(frac=1, random_state=1).to_numpy()
    shuffled = train_food_waste(SimpleNamespace(**vars(waste_tables) | {"matrix": labels}))
    assert learned(shuffled) != learned(trained_waste)
    assert abs(shuffled.account["cross_validation"]["mean"]["roc_auc"] - 0.5) < 0.07


# --- repeatable ---


def test_order_of_rows_and_columns_and_number_of_workers_change_no_bit(trained_waste, train_food_waste, waste_tables):
    tables = vars(waste_tables) | {
        "matrix": waste_tables.matrix.sample(frac=1, random_state=5)[sorted(waste_tables.matrix)],
        "purchases": waste_tables.purchases.sample(frac=1, random_state=6),
    }
    again = train_food_waste(SimpleNamespace(**tables), workers=3)
    assert learned(again) == learned(trained_waste)
    pd.testing.assert_frame_equal(again.predictor.history, trained_waste.predictor.history)
    assert again.account == trained_waste.account
    assert learned(train_food_waste(seed=4)) != learned(trained_waste)


# --- parameters ---


def test_the_earlier_parameters_can_be_trained(train_food_waste):
    earlier = {"preset": "earlier", "rounds": 15}
    trained = train_food_waste(classifier=earlier, calibration="isotonic", entity_effect=False)
    assert "[is_unbalance: 1]" in trained.predictor._trees[0]
    assert trained.account["calibration"]["method"] == "beta"  # too few rows for isotonic
    assert trained.account["rounds"]["classifier"] == 15
    assert trained.predictor.specification.effect is None


def test_tuned_parameters_are_taken_when_asked_for(waste_tables, trained_waste):
    model = PairModel(
        classifier=LightGBMSettings(rounds=5), regressor=LightGBMSettings(rounds=5), workers=1, use_tuned=True, folds=2
    )
    tables = (waste_tables.matrix, waste_tables.purchases, waste_tables.features, waste_tables.data)
    provenance = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
    with pytest.raises(UserError, match="use_tuned"):
        train_waste(*tables, {}, model, 3, provenance)
    best = {"parameters": {"classifier.num_leaves": 3}}
    predictor, _, _ = train_waste(*tables, best, model, 3, provenance)
    assert "[num_leaves: 3]" in predictor._trees[0]


def test_the_history_keeps_as_much_as_asked(train_food_waste, waste_tables):
    trained = train_food_waste(history_days=100)
    kept = trained.predictor.history["purchased_at"]
    assert kept.min() >= waste_tables.purchases["purchased_at"].max() - pd.Timedelta(days=100)
    assert len(kept) == (waste_tables.purchases["purchased_at"] >= kept.min()).sum()


def test_the_effect_of_households_helps_where_the_features_know_no_history(simulate_waste, train_food_waste):
    tables = simulate_waste(60, 60, 5, filter_oracle=False, spread_propensity=3.0)
    groups = tables.features["groups"]
    item = [name for group in ("item", "price", "season") for name in groups[group]]
    tables.features = tables.features | {"features": [name for name in tables.features["features"] if name in item]}
    losses = {
        effect: train_food_waste(tables, entity_effect=effect).account["cross_validation"]["mean"]["log_loss"]
        for effect in (True, False)
    }
    assert losses[True] < losses[False] - 0.002


# --- odd data ---


def small(waste_tables, rows) -> SimpleNamespace:
    chosen = waste_tables.purchases.sort_values("purchased_at").head(rows)["purchase_id"]
    return SimpleNamespace(
        **vars(waste_tables)
        | {
            name: frame[frame["purchase_id"].isin(chosen)].reset_index(drop=True)
            for name, frame in (("matrix", waste_tables.matrix), ("purchases", waste_tables.purchases))
        }
    )


def test_three_hundred_rows_are_enough_to_train(train_food_waste, waste_tables):
    trained = train_food_waste(small(waste_tables, 300))
    found = trained.predictor.predict_matrix(waste_tables.matrix)
    assert found["probability"].between(0, 1).all()


def test_twenty_rows_of_a_single_household_and_day(train_food_waste, waste_tables):
    tables = small(waste_tables, 20)
    for frame in (tables.matrix, tables.purchases):
        frame["household_id"], frame["purchased_at"] = "h", pd.Timestamp("2026-01-01").as_unit("us")
        frame["resolved_at"] = frame["purchased_at"] + pd.Timedelta(days=3)
    tables.matrix["is_wasted"] = np.arange(len(tables.matrix)) % 2
    tables.matrix["split"] = "train"
    trained = train_food_waste(tables)
    assert not len(trained.predictions)  # nothing lies before anything
    assert trained.predictor.calibration.method == "none"
    assert trained.predictor.operating_points["f1_optimal"] == 0.5


def test_rare_positives(train_food_waste, waste_tables):
    tables = small(waste_tables, 3000)
    positive = tables.matrix["is_wasted"] == 1
    rare = positive & (np.random.default_rng(0).random(len(positive)) < 0.07)
    tables.matrix["is_wasted"] = rare.astype(float)
    tables.matrix.loc[~rare, "days_to_waste"] = np.nan
    assert 0.01 < rare.mean() < 0.025
    trained = train_food_waste(tables)
    found = trained.predictor.predict_matrix(tables.matrix)["probability"]
    assert found.mean() == pytest.approx(rare.mean(), abs=0.015)


def test_without_shelf_lives_days_and_dates(train_food_waste, waste_tables):
    tables = small(waste_tables, 3000)
    for frame in (tables.matrix, tables.purchases):
        frame["shelf_life_days"] = np.nan
        frame["resolved_at"] = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]")
    with_days = train_food_waste(tables)
    assert with_days.account["household_effect"]["evidence"] > 0
    found = with_days.predictor.predict_matrix(tables.matrix)
    assert (found["days_lower"] <= found["days_to_waste"]).all()
    assert (found["days_to_waste"] <= found["days_upper"]).all()
    tables.matrix["days_to_waste"] = np.nan
    without = train_food_waste(tables)
    assert without.predictor.predict_matrix(tables.matrix)["days_to_waste"].isna().all()
    assert without.predictor.onnx[1] is None


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_single_class_is_refused(label, train_food_waste, waste_tables):
    matrix = waste_tables.matrix.assign(is_wasted=label)
    with pytest.raises(UserError, match="needs both kinds"):
        train_food_waste(SimpleNamespace(**vars(waste_tables) | {"matrix": matrix}))


# --- parts ---


def test_the_threshold_has_the_largest_f1():
    from sklearn.metrics import f1_score

    random = np.random.default_rng(0)
    probability = np.round(random.beta(1, 3, 400), 2)
    actual = (random.random(400) < probability).astype(float)
    found = f1_optimal(probability, actual)
    best = max(f1_score(actual, probability >= limit) for limit in np.unique(probability))
    assert f1_score(actual, probability >= found) == pytest.approx(best)


def evidence_rows(**columns):
    table = pd.DataFrame(
        {
            "purchase_id": list("abcd"),
            "purchased_at": pd.Timestamp("2026-01-01"),
            "resolved_at": pd.to_datetime(["2026-01-05", None, "2026-01-03", None]),
            "is_wasted": [1.0, 0.0, 0.0, np.nan],
            "shelf_life_days": [10.0, 100.0, np.nan, 10.0],
        }
    )
    return table.assign(**columns)


def test_fates_without_a_date_are_known_when_all_had_their_time():
    rows = evidence_rows()
    said = pd.Series({"a": 0.5, "b": 0.25, "d": 0.5})
    found = with_evidence(rows, said, KnownAfter(days=60, shelf_lives=1.6))
    assert found["known_at"].dt.strftime("%m-%d").tolist() == ["01-05", "06-10", "01-03", "03-02"]
    assert found["residual"].tolist()[:2] == [0.5, -0.25]
    assert found["residual"].isna().tolist() == [False, False, True, True]  # nothing was said; nobody knows


def test_dates_of_the_wasted_alone_do_not_count():
    rows = evidence_rows(resolved_at=pd.to_datetime(["2026-01-05", None, None, None]))
    known = known_after(rows, KnownAfter())
    assert not known.dated
    found = with_evidence(rows, pd.Series({"a": 0.5}), known)
    assert found["known_at"].iloc[0] == pd.Timestamp("2026-03-02")
    assert known_after(evidence_rows(), KnownAfter()).dated


def test_rows_that_follow_each_other_are_fitted_like_copies_of_them():
    random = np.random.default_rng(3)
    matrix, target = random.normal(size=(400, 4)).astype(np.float32), random.integers(0, 2, 400).astype(float)
    settings = LightGBMSettings(rounds=5, min_data_in_leaf=5)

    def fitted(rows: np.ndarray, train: np.ndarray, stop: np.ndarray) -> str:
        times = np.arange(len(rows)).astype("datetime64[us]")
        task = BoostingTask("classifier", matrix[rows], target[rows], times, settings, "binary", 1, [])
        return fit_booster(task, train, stop, settings.rounds).model_to_string()

    order = random.permutation(400)
    places = np.argsort(order)
    windows = np.arange(50, 300), np.arange(300, 400)
    assert fitted(np.arange(400), *windows) == fitted(order, *(places[window] for window in windows))


def test_a_fit_that_stops_early_warns_of_nothing(recwarn):
    random = np.random.default_rng(3)
    matrix, target = random.normal(size=(200, 3)).astype(np.float32), random.integers(0, 2, 200).astype(float)
    settings = LightGBMSettings(rounds=5, min_data_in_leaf=5)
    task = BoostingTask("x", matrix, target, np.arange(200).astype("datetime64[us]"), settings, "binary", 1, [])
    fit_booster(task, np.arange(150), np.arange(150, 200), settings.rounds)
    assert [str(found.message) for found in recwarn] == []
