"""ONNX export of a chooser's regressors: statistics in, targets of all codecs out; and its comparison with them."""

import functools

import numpy as np
import numpy.typing as npt

from augury.predictors.codec_costs import OUTCOMES
from augury.predictors.codec_regressors import CodecRegressors, NetworkRegressors, TreeRegressors
from augury.predictors.lightgbm_trees import append_trees
from augury.predictors.onnx_graph import Graph, open_graph

OPSET, ML_OPSET = 21, 5


def export_regressors(regressors: CodecRegressors, features: int) -> bytes:
    """Write the regressors as one graph.

    Input ``features``: float [rows, features], NaN where missing, in the order of the predictor's metadata. Output
    ``targets``: double [rows, 3 * codecs]: by codec the stored share, and the logarithms of both times in microseconds
    by byte.

    Args:
        regressors: Trees or a network.
        features: Columns of the matrix.

    Returns:
        The serialised model.

    Raises:
        TypeError: Regressors of another kind.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = Graph()
    if isinstance(regressors, TreeRegressors):
        _trees(graph, regressors)
    elif isinstance(regressors, NetworkRegressors):
        _network(graph, regressors)
    else:
        raise TypeError(f"regressors of the kind '{regressors.kind}' have no export")
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
    model: bytes, regressors: CodecRegressors, matrix: npt.NDArray[np.float64]
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
    true = regressors.targets(matrix).reshape(len(matrix), -1)
    return {"rows": len(matrix), "max_difference": float(np.abs(said - true).max()) if len(matrix) else 0.0}


def _trees(graph: Graph, trees: TreeRegressors) -> None:
    """Means over the sets of boosters, as NumPy takes them: a sum in their order, and one division."""
    columns = []
    for boosters in trees.boosters:
        for outcome in range(len(OUTCOMES)):
            sums = [append_trees(graph, "features", booster) for booster in boosters[outcome :: len(OUTCOMES)]]
            total = functools.reduce(lambda one, other: graph.node("Add", [one, other]), sums)
            many = graph.constant(np.array([[len(sums)]], dtype=np.float64))
            columns.append(graph.node("Div", [total, many]) if len(sums) > 1 else total)
    graph.node("Concat", columns, output="targets", axis=1)


def _network(graph: Graph, network: NetworkRegressors) -> None:
    from onnx import TensorProto

    tensors = network.tensors
    centred = graph.node("Sub", ["features", graph.constant(tensors["centre"])])
    scaled = graph.node("Div", [centred, graph.constant(tensors["scale"])])
    zero, low, high = (graph.constant(np.array(value, dtype=np.float32)) for value in (0.0, -8.0, 8.0))
    hidden = graph.node("Clip", [graph.node("Where", [graph.node("IsNaN", [scaled]), zero, scaled]), low, high])
    for layer in range(network.layers):
        weight, bias = (graph.constant(tensors[f"{name}_{layer}"]) for name in ("weight", "bias"))
        hidden = graph.node("Gemm", [hidden, weight, bias], transB=1)
        if layer + 1 < network.layers:
            hidden = graph.node("Relu", [hidden])
    scale, centre = (graph.constant(tensors[f"target_{name}"]) for name in ("scale", "centre"))
    values = graph.node("Add", [graph.node("Mul", [hidden, scale]), centre])
    graph.node("Cast", [values], output="targets", to=TensorProto.DOUBLE)
