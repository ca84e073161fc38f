"""The surface's trees as one ONNX graph, and how it is compared with LightGBM's own sums."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augury.predictors.gossip_surface import DELAY, FEATURES, LARGEST_LOG, MESSAGES, Surface
from augury.predictors.onnx_graph import Graph, open_graph

OPSET, ML_OPSET = 18, 5
INPUT = "features"


def export_surface(surface: Surface) -> bytes:
    """Write the trees as a graph.

    The expectation of theory and the choice are arithmetic that stays outside: the graph answers what boosted trees
    answer.

    Args:
        surface: The trees.

    Returns:
        A model with the input ``features`` (float [rows, features]) and the outputs ``miss`` (double [rows, members]),
        ``messages`` and ``delay`` (double [rows, 1]): logarithms of factors.
    """
    import onnx
    from onnx import TensorProto, helper

    from augury.predictors.lightgbm_trees import append_trees, open_booster

    graph = Graph()
    members = [append_trees(graph, INPUT, open_booster(surface.trees[name], name)) for name in surface.miss_names]
    graph.node("Concat", members, "miss", axis=1)
    for name in (MESSAGES, DELAY):
        graph.node("Identity", [append_trees(graph, INPUT, open_booster(surface.trees[name], name))], name)
    widths = {"miss": len(members), MESSAGES: 1, DELAY: 1}
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "gossip_surface",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, len(FEATURES)])],
            [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, width]) for name, width in widths.items()],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=10,
        producer_name="augury",
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def compare_surface(surface: Surface, model: bytes, matrix: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Run both on the same rows.

    Args:
        surface: The trees.
        model: What :func:`export_surface` returned.
        matrix: Features, shape (rows, features).

    Returns:
        ``rows`` and ``max_difference`` of the logarithms.
    """
    names = ["miss", MESSAGES, DELAY]
    found = open_graph(model).run(names, {INPUT: matrix.astype(np.float32)})
    own = [
        np.column_stack([surface.factors(name, matrix) for name in surface.miss_names]),
        *(surface.factors(name, matrix)[:, None] for name in (MESSAGES, DELAY)),
    ]
    gaps = [float(np.abs(np.clip(a, -LARGEST_LOG, LARGEST_LOG) - b).max()) for a, b in zip(found, own, strict=True)]
    return {"rows": len(matrix), "max_difference": max(gaps)}
