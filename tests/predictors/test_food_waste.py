"""The pair as it is served: the same as in training, whoever asks and however, in LightGBM and in ONNX."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import InputError, UserError
from augury.predictors import food_waste, load_predictor
from augury.predictors.binary_calibration import BinaryCalibration
from augury.predictors.food_waste import HOUSEHOLD_EFFECT, WastePredictor
from augury.predictors.lightgbm_trees import append_trees, open_booster, sums_of_leaves, tree_ensemble
from augury.predictors.onnx_graph import Graph, open_graph
from augury.predictors.probability_calibration import ProbabilityCalibration

ANSWERS = ["probability", "days_to_waste", "days_lower", "days_upper"]


@pytest.fixture(scope="module")
def predictor(trained_waste):
    return trained_waste.predictor


@pytest.fixture(scope="module")
def test_rows(waste_tables):
    return waste_tables.matrix[waste_tables.matrix["split"] == "test"].reset_index(drop=True)


@pytest.fixture(scope="module")
def asked(waste_tables, test_rows, predictor):
    names = [column.name for column in predictor.metadata.inputs]
    return waste_tables.purchases.set_index("purchase_id").loc[test_rows["purchase_id"], names]


def test_raw_purchases_get_the_answers_of_their_rows_of_the_matrix(predictor, test_rows, asked, monkeypatch):
    monkeypatch.setattr(food_waste, "ROWS_AT_ONCE", 3_000)  # several pieces
    expected = predictor.predict_matrix(test_rows)
    found = predictor.predict(asked)
    for name in ANSWERS:
        assert (found[name].to_numpy() == expected[name].to_numpy()).all(), name
    assert (found["is_wasted"] == (found["probability"] >= predictor.threshold)).all()


def test_times_may_be_texts_with_or_without_a_zone(predictor, asked):
    few = asked.head(20)
    expected = predictor.predict(few)
    there = few["purchased_at"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    for times in (few["purchased_at"].map(lambda time: time.isoformat()), there, there.map(lambda t: t.isoformat())):
        pd.testing.assert_frame_equal(predictor.predict(few.assign(purchased_at=times)), expected)
    with pytest.raises(InputError, match="must be a time in ISO 8601"):
        predictor.predict(few.assign(purchased_at="tomorrow"))


def test_the_training_effect_is_the_serving_effect(trained_waste, predictor, waste_tables):
    # What the classifier knew of households when it was trained, from the forward residuals of training rows alone
    train = waste_tables.matrix[waste_tables.matrix["split"] == "train"]
    columns = predictor.classifier_matrix(train)
    assert columns.shape[1] == len(predictor.specification.names) + len(HOUSEHOLD_EFFECT)
    raw = trained_waste.predictions.set_index("purchase_id")
    assert (columns[:, -2] > 0).mean() > 0.5
    own = predictor.history.set_index("purchase_id").loc[raw.index]
    assert own["residual"].notna().all()
    assert own["residual"].abs().max() < 1


def test_what_happens_later_changes_no_answer(trained_waste, predictor, test_rows):
    few = test_rows.sort_values("purchased_at").head(40)
    history = predictor.history.copy()
    later = history["known_at"] >= few["purchased_at"].min()
    history.loc[later, "residual"] = 0.99
    other = WastePredictor(
        predictor.metadata, predictor.specification, predictor._trees, predictor.calibration, history, predictor.onnx
    )
    first = few[few["purchased_at"] == few["purchased_at"].min()]
    pd.testing.assert_frame_equal(other.predict_matrix(first), predictor.predict_matrix(first))
    assert (other.predict_matrix(test_rows)["probability"] != predictor.predict_matrix(test_rows)["probability"]).any()


def test_a_new_household_has_no_effect_and_still_an_answer(predictor, asked):
    new = asked.head(5).assign(household_id="somebody new")
    columns = predictor.classifier_matrix(predictor.featurise_purchases(new))
    assert (columns[:, -3:] == 0).all()
    assert predictor.predict(new)["probability"].between(0, 1).all()


def test_days_are_in_order_and_in_proportion_to_the_shelf_life(predictor, test_rows):
    found = predictor.predict_matrix(test_rows)
    assert (found["days_lower"] >= 0).all()
    assert (found["days_lower"] <= found["days_to_waste"]).all()
    assert (found["days_to_waste"] <= found["days_upper"]).all()
    wasted = (test_rows["is_wasted"] == 1).to_numpy()
    actual = test_rows.loc[wasted, "days_to_waste"].to_numpy()
    inside = (actual >= found.loc[wasted, "days_lower"]) & (actual <= found.loc[wasted, "days_upper"])
    assert 0.7 <= inside.mean() <= 0.95
    usual = np.abs(actual - np.median(actual)).mean()
    assert np.abs(actual - found.loc[wasted, "days_to_waste"]).mean() < 0.85 * usual


def test_contributions_add_up_to_the_log_odds(predictor, test_rows):
    few = test_rows.head(50)
    shares = predictor.contributions(few)
    assert list(shares.columns) == [*predictor.specification.columns, "bias"]
    log_odds = shares.sum(axis=1).to_numpy()
    assert BinaryCalibration().of_log_odds(log_odds) == pytest.approx(predictor.predict_matrix(few)["raw"], abs=1e-9)


def test_onnx_decides_alike_even_on_rows_that_nobody_sends(predictor, test_rows):
    found = predictor.compare_onnx(test_rows, rows_per_call=100)
    assert found["rows"] == len(test_rows)
    assert found["strange_rows"] > 0
    assert found["max_difference"] <= 1e-12
    assert found["flips"] == {"half": 0, "confident": 0, "f1_optimal": 0}
    assert found["days_max_relative_difference"] <= 1e-12


@pytest.mark.parametrize(
    "calibration",
    [
        BinaryCalibration(),
        BinaryCalibration(method="sigmoid", slopes=(0.8, 0.8), intercept=-0.3),
        BinaryCalibration(
            method="spline", spline=ProbabilityCalibration(knots=(-1.0,), intercepts=(0.5, 0.0), slopes=(1.5, 1.0))
        ),
        BinaryCalibration(method="isotonic", knots=(0.1, 0.4, 0.7), values=(0.05, 0.5, 0.9)),
    ],
    ids=lambda calibration: calibration.method,
)
def test_onnx_knows_every_calibration(calibration, predictor, test_rows):
    other = WastePredictor(
        predictor.metadata, predictor.specification, predictor._trees, calibration, predictor.history
    )
    assert other.compare_onnx(test_rows)["max_difference"] <= 1e-12


def test_trees_in_onnx_are_those_of_lightgbm_at_every_threshold():
    import lightgbm
    import onnx
    from onnx import TensorProto, helper

    random = np.random.default_rng(0)
    matrix = random.normal(size=(600, 4)).astype(np.float32)
    matrix[:, 1] = np.round(matrix[:, 1])
    matrix[random.random(600) < 0.3, 2] = np.nan
    matrix[:, 3] = 1.0  # says nothing
    target = matrix[:, 0] + np.where(np.isnan(matrix[:, 2]), 1, matrix[:, 1])
    settings = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target), 20)
    graph = Graph()
    sums = append_trees(graph, "features", booster)
    ends = (
        helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 4]),
        helper.make_tensor_value_info(sums, TensorProto.DOUBLE, [None, 1]),
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, "trees", ends[:1], ends[1:], graph.initializers),
        opset_imports=[helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 5)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    # Values just below, at and just above each threshold, and missing ones where training had none
    thresholds = np.unique([tree["threshold"] for tree in booster.trees_to_dataframe().dropna().to_dict("records")])
    exact = thresholds.astype(np.float32)
    column = np.concatenate(
        [exact, np.nextafter(exact, np.float32(9)), np.nextafter(exact, np.float32(-9)), [np.nan, 0]]
    )
    asked = np.column_stack([random.permutation(column) for _ in range(4)]).astype(np.float32)
    found = open_graph(model.SerializeToString()).run([sums], {"features": asked})[0][:, 0]
    assert found == pytest.approx(sums_of_leaves(booster, asked), abs=1e-12)


def test_a_tree_of_a_single_leaf_is_exported_too():
    import lightgbm

    booster = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(np.zeros((30, 1)), np.arange(30.0)), 2)
    assert len(tree_ensemble(booster)["tree_roots"]) == booster.num_trees()


def test_a_saved_pair_answers_bit_for_bit(predictor, test_rows, tmp_path):
    predictor.save(tmp_path / "pair")
    again = load_predictor(tmp_path / "pair")
    pd.testing.assert_frame_equal(
        again.predict_matrix(test_rows), predictor.predict_matrix(test_rows), check_exact=True
    )
    pd.testing.assert_frame_equal(again.history, predictor.history)
    assert again.operating_points == predictor.operating_points
    files = {path.name for path in (tmp_path / "pair").iterdir()}
    assert files >= {
        "classifier.txt", "regressor.txt", "calibration.json", "feature_names.json", "history.parquet",
        "classifier.onnx", "regressor.onnx", "metadata.json",
    }  # fmt: skip


def test_truth_and_later_fates_are_not_in_the_bundle(predictor):
    assert not {"true_probability", "observable_probability", "true_median_days"} & set(predictor.history)


def test_trees_that_are_not_the_specifications_are_refused(predictor):
    swapped = (predictor._trees[1], predictor._trees[0])
    with pytest.raises(UserError, match="are not those of its"):
        WastePredictor(predictor.metadata, predictor.specification, swapped, predictor.calibration, predictor.history)
    with pytest.raises(UserError, match="are damaged"):
        open_booster("tree\nversion=v4\n", "food_waste")
