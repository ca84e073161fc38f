"""ONNX of the members of a recommender that score a pair of a user and an item by itself."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augury.predictors.onnx_graph import Graph, open_graph
from augury.predictors.recommender_scorers import FactorScorer, NeuralScorer, Scorer
from augury.predictors.user_histories import Histories

OPSET = 17
PAIRS_AT_ONCE = 65_536


class PairGraph:
    """Graphs from ``user`` and ``item`` (int64, shape ``(pairs,)``) to ``score`` (float32, shape ``(pairs,)``)."""

    @staticmethod
    def exports(kind: str) -> bool:
        """Whether members of a kind have a graph."""
        return kind in FactorScorer.kinds + NeuralScorer.kinds

    @staticmethod
    def of(member: Scorer) -> bytes | None:
        """Export a member.

        Args:
            member: Any.

        Returns:
            The serialised graph; None where a pair's score needs the whole history.
        """
        if not PairGraph.exports(member.kind):
            return None
        graph, tensors = Graph(), member.tensors()
        if isinstance(member, FactorScorer):
            product = _product(graph, tensors["users"], tensors["items"])
            graph.node("ReduceSum", [product, _axis(graph)], "score", keepdims=0)
            return _serialised(graph)
        parts = []
        if "gmf_users" in tensors:
            product = _product(graph, tensors["gmf_users"], tensors["gmf_items"])
            parts.append(graph.node("MatMul", [product, graph.constant(tensors["gmf_output"])]))
        if "mlp_users" in tensors:
            hidden = _first_layer(graph, tensors)
            depth = sum(name.startswith("bias_") for name in tensors)
            for layer in range(1, depth):
                weights = graph.constant(np.ascontiguousarray(tensors[f"layer_{layer}"].T))
                hidden = graph.node("MatMul", [hidden, weights])
                hidden = graph.node("Add", [hidden, graph.constant(tensors[f"bias_{layer}"])])
                hidden = graph.node("Relu", [hidden])
            parts.append(graph.node("MatMul", [hidden, graph.constant(tensors["mlp_output"])]))
        total = parts[0] if len(parts) == 1 else graph.node("Add", parts)
        graph.node("Add", [total, graph.constant(tensors["bias"])], "score")
        return _serialised(graph)


def compare_graph(
    graph: bytes,
    member: Scorer,
    histories: Histories,
    users: npt.NDArray[Any],
    items: npt.NDArray[Any],
) -> float:
    """Compare a graph with its member.

    Args:
        graph: What :meth:`PairGraph.of` returned.
        member: The member.
        histories: Of all users.
        users: Codes, shape ``(pairs,)``.
        items: Codes, shape ``(pairs,)``.

    Returns:
        The largest difference between two scores, as a share of the largest score.
    """
    session = open_graph(graph)
    found = np.empty(len(users), dtype=np.float32)
    for start in range(0, len(users), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        feeds = {"user": users[part].astype(np.int64), "item": items[part].astype(np.int64)}
        found[part] = session.run(["score"], feeds)[0]
    distinct, place = np.unique(users, return_inverse=True)
    expected = np.empty(len(users), dtype=np.float32)
    for start in range(0, len(distinct), 512):
        block = distinct[start : start + 512].astype(np.int32)
        scores = member.scores(block, histories.take(block))
        rows = np.flatnonzero((place >= start) & (place < start + len(block)))
        expected[rows] = scores[place[rows] - start, items[rows]]
    largest = max(float(np.abs(expected).max(initial=0)), 1e-12)
    return float(np.abs(found - expected).max(initial=0)) / largest


def _axis(graph: Graph) -> str:
    return graph.constant(np.array([-1], dtype=np.int64))


def _product(graph: Graph, users: npt.NDArray[Any], items: npt.NDArray[Any]) -> str:
    own = graph.node("Gather", [graph.constant(users), "user"], axis=0)
    other = graph.node("Gather", [graph.constant(items), "item"], axis=0)
    return graph.node("Mul", [own, other])


def _first_layer(graph: Graph, tensors: dict[str, npt.NDArray[Any]]) -> str:
    """Both sides of the first layer are products of a table with constants, which are computed here and now."""
    user_side = tensors["mlp_users"] @ tensors["layer_0_user"].T
    item_side = tensors["mlp_items"] @ tensors["layer_0_item"].T + tensors["bias_0"]
    own = graph.node("Gather", [graph.constant(user_side), "user"], axis=0)
    other = graph.node("Gather", [graph.constant(item_side), "item"], axis=0)
    return graph.node("Relu", [graph.node("Add", [own, other])])


def _serialised(graph: Graph) -> bytes:
    from onnx import TensorProto, checker, helper

    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["pairs"]) for name in ("user", "item")]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["pairs"])
    body = helper.make_graph(graph.nodes, "recommender", inputs, [output], graph.initializers)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="augury")
    model.ir_version = 8
    checker.check_model(model)
    return bytes(model.SerializeToString())
