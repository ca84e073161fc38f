"""The exported graphs of ``query_cost``: XGBoost's own sums, whatever goes in."""

import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost

from augury.predictors.onnx_graph import open_graph
from augury.predictors.probability_calibration import ProbabilityCalibration, ScoreBlend
from augury.predictors.query_cost import LARGEST_LOG_COST, Blends, QueryCostPredictor
from augury.predictors.query_cost_onnx import export_onnx
from augury.predictors.query_cost_trees import bare_booster, trees_matrix


@pytest.fixture(scope="module")
def predictor(trained_query_cost):
    return trained_query_cost.predictor


def thresholds_of(booster, features):
    """Split values by column, as float32."""
    engine = xgboost.Booster(model_file=bytearray(booster))
    splits = engine.trees_to_dataframe().dropna(subset="Split")
    found = {column: [0.0, 1.0] for column in range(features)}
    for name, value in zip(splits["Feature"], splits["Split"], strict=True):
        found[int(name.removeprefix("f"))].append(np.float32(value))
    return found


def probe(predictor, rows=3000):
    """Rows at, just below and just above the thresholds of all trees, with holes."""
    random = np.random.default_rng(0)
    numbers = list(predictor.specification.numbers)
    known = thresholds_of(predictor._trees[0], len(predictor.feature_names))
    matrix = np.empty((rows, len(numbers)), dtype=np.float32)
    for column in range(len(numbers)):
        values = np.array(known[column], dtype=np.float32)
        beside = np.concatenate(
            [values, np.nextafter(values, np.float32(-np.inf)), np.nextafter(values, np.float32(np.inf))]
        )
        matrix[:, column] = random.choice(np.append(beside, np.float32(np.nan)), rows)
    matrix[::3, numbers.index("template_seen")] = 0
    terms = [" ".join(random.permutation(predictor.vocabulary.terms)[: random.integers(0, 9)]) for _ in range(rows)]
    return pd.DataFrame(matrix, columns=numbers).assign(terms=terms)


def test_both_graphs_add_up_what_xgboost_adds_up(predictor):
    table = probe(predictor)
    expected = predictor.predict_matrix(table)
    assert expected["probability"].nunique() > 100
    # Both blends have a part in it
    assert predictor.blends.new is not None and predictor.blends.new != predictor.blends.known
    assert 0.1 < (table["template_seen"] == 0).mean() < 0.9
    numbers = table[list(predictor.specification.numbers)].to_numpy(dtype=np.float32)
    features = trees_matrix(table, predictor.specification.numbers, predictor.vocabulary)
    terms = table[["terms"]].to_numpy(dtype=object)
    for graph, feeds in zip(
        predictor.onnx, ({"features": features}, {"terms": terms, "numbers": numbers}), strict=True
    ):
        names = ["probability", "cpu_seconds", "margin", "log_cost"]
        found = dict(zip(names, (value[:, 0] for value in open_graph(graph).run(names, feeds)), strict=True))
        for name in ("margin", "log_cost"):
            np.testing.assert_array_equal(found[name], expected[name].astype(np.float32))
        np.testing.assert_allclose(found["probability"], expected["probability"], rtol=1e-13)
        np.testing.assert_allclose(found["cpu_seconds"], expected["cpu_seconds"], rtol=1e-13)


def test_a_row_alone_is_the_row_among_others(predictor):
    features = trees_matrix(probe(predictor, 50), predictor.specification.numbers, predictor.vocabulary)
    graph = open_graph(predictor.onnx[0])
    together = graph.run(["margin"], {"features": features})[0]
    alone = [graph.run(["margin"], {"features": features[[row]]})[0][0] for row in range(50)]
    np.testing.assert_array_equal(np.array(alone), together)


def test_the_graphs_need_standard_operators_only(predictor):
    for graph, opset in zip(predictor.onnx, (15, 20), strict=True):
        model = onnx.load_from_string(graph)
        assert {item.domain: item.version for item in model.opset_import} == {"": opset, "ai.onnx.ml": 3}
        assert {node.domain for node in model.graph.node} <= {"", "ai.onnx.ml"}


@pytest.mark.parametrize("terms", [[""], ["", ""], ["nothing known"], ["  "], ["\u00e9 \u8868"], ["\u00b7"]])
def test_texts_without_a_known_term_have_no_indicator(predictor, terms):
    numbers = np.zeros((len(terms), len(predictor.specification.numbers)), dtype=np.float32)
    feeds = {"terms": np.array([[text] for text in terms], dtype=object), "numbers": numbers}
    found = open_graph(predictor.onnx[1]).run(["margin"], feeds)[0]
    features = np.zeros((1, len(predictor.feature_names)), dtype=np.float32)
    expected = open_graph(predictor.onnx[0]).run(["margin"], {"features": features})[0][0, 0]
    assert (found == expected).all()


def test_a_term_that_is_said_twice_counts_once(predictor):
    term = predictor.vocabulary.terms[0]
    numbers = np.zeros((2, len(predictor.specification.numbers)), dtype=np.float32)
    feeds = {"terms": np.array([[term], [f"{term} x {term}"]], dtype=object), "numbers": numbers}
    found = open_graph(predictor.onnx[1]).run(["margin"], feeds)[0]
    assert found[0] == found[1]


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror"])
@pytest.mark.parametrize("base", [None, 0.5, 0.013, 0.97])
def test_every_base_score_is_the_first_summand(objective, base):
    random = np.random.default_rng(3)
    matrix = random.normal(0, 1, (2000, 4)).round(1).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.2] = np.nan
    label = (np.nan_to_num(matrix[:, 0]) > 1.2).astype(float)
    settings = {"objective": objective, "max_depth": 5, "eta": 0.1} | ({} if base is None else {"base_score": base})
    data = xgboost.DMatrix(matrix, label)
    booster = xgboost.train(settings, data, 40)
    expected = booster.predict(data, output_margin=True)
    trees = bare_booster(booster)
    plain = ProbabilityCalibration()
    blend = ScoreBlend(weight=0.0, intercept=0.0, slope=1.0, calibration=plain)
    graph = export_onnx(trees, trees, [blend], None, 1.0, LARGEST_LOG_COST, 4, (), with_text=False)
    found, probability = open_graph(graph).run(["margin", "probability"], {"features": matrix})
    np.testing.assert_array_equal(found[:, 0], expected)
    np.testing.assert_allclose(probability[:, 0], 1 / (1 + np.exp(-expected.astype(np.float64))), rtol=1e-12)


def test_a_comparison_finds_no_difference_and_says_where_it_looked(predictor, trained_query_cost):
    found = predictor.compare_onnx(trained_query_cost.matrix, rows_per_call=97)
    assert found["rows"] == len(trained_query_cost.matrix) and found["torture_rows"] > 20
    assert found["max_difference"] <= 1e-12
    assert found["flips"] == dict.fromkeys(predictor.operating_points, 0)
    assert found["numeric"]["flips"] == found["text"]["flips"] == found["flips"]


def test_a_comparison_notices_a_graph_of_another_model(predictor, trained_query_cost):
    other = QueryCostPredictor(
        predictor.metadata,
        predictor.specification,
        predictor._trees,
        predictor.vocabulary,
        Blends(known=predictor.blends.known.model_copy(update={"weight": 0.9})),
        predictor.snapshot,
        predictor.onnx,
    )
    found = other.compare_onnx(trained_query_cost.matrix)
    assert found["max_difference"] > 0.01 and sum(found["flips"].values()) > 0
