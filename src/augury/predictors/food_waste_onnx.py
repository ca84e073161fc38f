"""ONNX export of ``food_waste``: trees with their calibration, and trees of the days, in double precision throughout.

Standard operators only (opset 15, ai.onnx.ml 5). What must be computed before, the features and the household's effect,
is input.
"""

from typing import Any

import numpy as np

from augury.predictors.binary_calibration import BinaryCalibration
from augury.predictors.lightgbm_trees import append_trees
from augury.predictors.onnx_graph import Graph

OPSET = 15
ML_OPSET = 5


def export_classifier(booster: Any, columns: int, calibration: BinaryCalibration) -> bytes:
    """Write the calibrated classifier as one graph.

    Args:
        booster: LightGBM's classifier.
        columns: Number of its inputs.
        calibration: From its probabilities to those that are served.

    Returns:
        The serialised model: ``features`` (float [rows, columns], NaN where missing) in; ``probability`` and ``raw``
        (before calibration; double [rows, 1]) out.
    """
    graph = Graph()
    log_odds = append_trees(graph, "features", booster)
    raw = _sigmoid(graph, log_odds, "raw")
    if calibration.method == "none":
        graph.node("Identity", [raw], output="probability")
    elif calibration.method == "isotonic":
        knots, values = np.array(calibration.knots), np.array(calibration.values)
        # Constant before the first knot and behind the last one
        slopes = np.concatenate([[0.0], np.diff(values) / np.diff(knots), [0.0]])
        heights = np.concatenate([values[:1], values]) - slopes * np.concatenate([knots[:1], knots])
        _pieces(graph, raw, knots, heights, slopes, "probability")
    elif calibration.spline is not None:
        knots, heights, slopes = (
            np.array(numbers)
            for numbers in (calibration.spline.knots, calibration.spline.intercepts, calibration.spline.slopes)
        )
        _sigmoid(graph, _pieces(graph, log_odds, knots, heights, slopes), "probability")
    else:
        # The same operations in the same order as BinaryCalibration
        low, high, intercept = (_number(graph, value) for value in (*calibration.slopes, calibration.intercept))
        losses = _softplus(graph, graph.node("Neg", [log_odds])), _softplus(graph, log_odds)
        first = graph.node("Sub", [intercept, graph.node("Mul", [low, losses[0]])])
        _sigmoid(graph, graph.node("Add", [first, graph.node("Mul", [high, losses[1]])]), "probability")
    return _model(graph, "food_waste_classifier", columns, [], ["probability", "raw"])


def export_regressor(booster: Any, columns: int) -> bytes:
    """Write the regression as one graph.

    Args:
        booster: LightGBM's regression of days over a scale.
        columns: Number of its inputs.

    Returns:
        The serialised model: ``features`` (float [rows, columns]) and ``scale`` (double [rows, 1]: shelf life in days,
        or what stands for it) in; ``days`` (double [rows, 1]) out.
    """
    graph = Graph()
    ratio = graph.node("Max", [append_trees(graph, "features", booster), _number(graph, 0.0)])
    graph.node("Mul", [ratio, "scale"], output="days")
    return _model(graph, "food_waste_regressor", columns, ["scale"], ["days"])


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.array([[value]]))


def _sigmoid(graph: Graph, log_odds: str, output: str) -> str:
    one = _number(graph, 1.0)
    odds = graph.node("Exp", [graph.node("Neg", [log_odds])])
    return graph.node("Div", [one, graph.node("Add", [one, odds])], output=output)


def _softplus(graph: Graph, value: str) -> str:
    # Not the operator Softplus, which overflows in some runtimes
    small = graph.node("Exp", [graph.node("Neg", [graph.node("Abs", [value])])])
    rest = graph.node("Log", [graph.node("Add", [_number(graph, 1.0), small])])
    return graph.node("Add", [graph.node("Max", [value, _number(graph, 0.0)]), rest])


def _pieces(
    graph: Graph, value: str, knots: np.ndarray, intercepts: np.ndarray, slopes: np.ndarray, output: str | None = None
) -> str:
    """A line in each piece between knots, the first one before the first knot."""
    from onnx import TensorProto

    # A knot that is never reached, so that there is one
    edges = np.append(knots, np.finfo(np.float64).max)[None, :]
    reached = graph.cast(graph.node("GreaterOrEqual", [value, graph.constant(edges)]), TensorProto.INT64)
    piece = graph.node("ReduceSum", [reached, graph.constant(np.array([1]))], keepdims=0)
    intercept, slope = (
        graph.node("Gather", [graph.constant(column[:, None]), piece], axis=0) for column in (intercepts, slopes)
    )
    return graph.node("Add", [intercept, graph.node("Mul", [slope, value])], output=output)


def _model(graph: Graph, name: str, columns: int, numbers: list[str], outputs: list[str]) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, columns])]
    inputs += [helper.make_tensor_value_info(number, TensorProto.DOUBLE, [None, 1]) for number in numbers]
    found = [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, 1]) for output in outputs]
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, found, graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=9,
        producer_name="augury",
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
