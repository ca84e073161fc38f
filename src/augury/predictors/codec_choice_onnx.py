"""ONNX export of a chooser's regressors: statistics in, targets of all codecs out; and its comparison with them."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from augury.predictors.codec_costs import OUTCOMES
from augury.predictors.codec_regressors import CodecRegressors, LandmarkRegressors, NetworkRegressors, TreeRegressors
from augury.predictors.lightgbm_trees import append_trees
from augury.predictors.onnx_graph import Graph, open_graph

OPSET, ML_OPSET = 21, 5


def export_regressors(regressors: Sequence[CodecRegressors], features: int) -> bytes:
    """Write the regressors as one graph.

    Input ``features``: float [rows, features], NaN where missing, in the order of the predictor's metadata. Output
    ``targets``: double [rows, regressors * 3 * codecs]: by regressors and codec the stored share, and the logarithms of
    both times in microseconds by byte.

    Args:
        regressors: Trees, networks, landmarks.
        features: Columns of the matrix.

    Returns:
        The serialised model.

    Raises:
        TypeError: Regressors of another kind.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = Graph()
    graph.node("Concat", [_targets(graph, each) for each in regressors], output="targets", axis=1)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "codec_choice",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, features])],
            [helper.make_tensor_value_info("targets", TensorProto.DOUBLE, [None, None])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=10,
        producer_name="augury",
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def compare_regressors(
    model: bytes, regressors: Sequence[CodecRegressors], matrix: npt.NDArray[np.float64]
) -> dict[str, float | int]:
    """Compare an export with the regressors.

    Args:
        model: What :func:`export_regressors` returned.
        regressors: Those that it was made of.
        matrix: Rows to compare on, shape ``(rows, features)``.

    Returns:
        ``rows``, and ``max_difference`` of a target.
    """
    said = open_graph(model).run(["targets"], {"features": matrix.astype(np.float32)})[0]
    true = np.concatenate([each.targets(matrix).reshape(len(matrix), -1) for each in regressors], axis=1)
    return {"rows": len(matrix), "max_difference": float(np.abs(said - true).max()) if len(matrix) else 0.0}


def _targets(graph: Graph, regressors: CodecRegressors) -> str:
    if isinstance(regressors, TreeRegressors):
        return _trees(graph, regressors)
    if isinstance(regressors, NetworkRegressors):
        return _network(graph, regressors)
    if isinstance(regressors, LandmarkRegressors):
        return _landmarks(graph, regressors)
    raise TypeError(f"regressors of the kind '{regressors.kind}' have no export")


def _trees(graph: Graph, trees: TreeRegressors) -> str:
    """Means over the sets of boosters, as NumPy takes them: a sum in their order, and one division."""
    columns = []
    for boosters in trees.boosters:
        for outcome in range(len(OUTCOMES)):
            sums = [append_trees(graph, "features", booster) for booster in boosters[outcome :: len(OUTCOMES)]]
            total = functools.reduce(lambda one, other: graph.node("Add", [one, other]), sums)
            many = graph.constant(np.array([[len(sums)]], dtype=np.float64))
            columns.append(graph.node("Div", [total, many]) if len(sums) > 1 else total)
    return graph.node("Concat", columns, axis=1)


def _scaled(graph: Graph, tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """As ``scaled_features`` does it."""
    centred = graph.node("Sub", ["features", graph.constant(tensors["centre"])])
    scaled = graph.node("Div", [centred, graph.constant(tensors["scale"])])
    zero, low, high = (graph.constant(np.array(value, dtype=np.float32)) for value in (0.0, -8.0, 8.0))
    return graph.node("Clip", [graph.node("Where", [graph.node("IsNaN", [scaled]), zero, scaled]), low, high])


def _network(graph: Graph, network: NetworkRegressors) -> str:
    from onnx import TensorProto

    tensors = network.tensors
    hidden = _scaled(graph, tensors)
    for layer in range(network.layers):
        weight, bias = (graph.constant(tensors[f"{name}_{layer}"]) for name in ("weight", "bias"))
        hidden = graph.node("Gemm", [hidden, weight, bias], transB=1)
        if layer + 1 < network.layers:
            hidden = graph.node("Relu", [hidden])
    scale, centre = (graph.constant(tensors[f"target_{name}"]) for name in ("scale", "centre"))
    values = graph.node("Add", [graph.node("Mul", [hidden, scale]), centre])
    return graph.cast(values, TensorProto.DOUBLE)


def _landmarks(graph: Graph, regressors: LandmarkRegressors) -> str:
    """As ``similarities`` has it, in the same steps."""
    from onnx import TensorProto

    tensors = regressors.tensors
    width, weights, mean = (graph.constant(tensors[name]) for name in ("width", "weights", "mean"))
    landmarks = tensors["landmarks"]
    rows = graph.node("Div", [graph.cast(_scaled(graph, tensors), TensorProto.DOUBLE), width])
    axes, minus_two, three, zero, one = (
        graph.constant(np.array(value)) for value in ([1], [[-2.0]], [[3.0]], [[0.0]], [[1.0]])
    )
    lengths = graph.node("ReduceSum", [graph.node("Mul", [rows, rows]), axes], keepdims=1)
    sums = graph.node("Add", [lengths, graph.constant((landmarks**2).sum(axis=1)[None])])
    products = graph.node("MatMul", [rows, graph.constant(np.ascontiguousarray(landmarks.T))])
    squares = graph.node("Max", [graph.node("Add", [sums, graph.node("Mul", [products, minus_two])]), zero])
    distances = graph.node("Sqrt", [graph.node("Mul", [squares, three])])
    near = graph.node("Exp", [graph.node("Neg", [distances])])
    kernel = graph.node("Mul", [graph.node("Add", [distances, one]), near])
    return graph.node("Add", [graph.node("MatMul", [kernel, weights]), mean])
