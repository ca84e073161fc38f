"""ONNX export of a bounded regression: one graph from raw columns to the point prediction and its bounds."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from augury.predictors.bounded_regression import Specification, level_name, one_hot_name
from augury.predictors.monomials import Monomial
from augury.predictors.onnx_graph import Graph

OPSET = 15
ML_OPSET = 3


def export_onnx(specification: Specification, trees: str | bytes) -> bytes:
    """Write the whole predictor as one ONNX graph.

    Inputs: ``<category>`` string [rows, 1] and ``numbers`` double [rows, numbers] (NaN where missing) in the order of
    ``specification.numbers``. Outputs: ``predicted`` and ``upper_<level>``, double [rows, 1]. Only standard operators
    (opset 15, ai.onnx.ml 3), so that onnxruntime on the JVM runs it as well. Input rules (required columns, ranges) are
    the caller's.

    Args:
        specification: The predictor's specification.
        trees: LightGBM's text format, or an ONNX tree ensemble with input ``features``.

    Returns:
        The serialised model.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = Graph()
    codes = graph.node(
        "LabelEncoder", [specification.category], domain="ai.onnx.ml",
        keys_strings=list(specification.categories), values_int64s=list(range(len(specification.categories))),
        default_int64=0,
    )  # fmt: skip
    numbers = _mask(graph, specification, codes)
    columns = {
        name: graph.node("Gather", [numbers, graph.constant(np.array([index]))], axis=1)
        for index, name in enumerate(specification.numbers)
    }
    wanted = set(specification.features)
    if specification.target == "log_ratio":
        wanted |= set(specification.prior.terms)
    for monomial in specification.derived:
        if monomial.name not in wanted:
            continue
        columns[monomial.name] = _monomial(graph, monomial, columns)
    for index, value in enumerate(specification.categories):
        equal = graph.node("Equal", [codes, graph.constant(np.array([index]))])
        columns[one_hot_name(specification.category, value)] = graph.cast(equal, TensorProto.DOUBLE)
    matrix = graph.node("Concat", [columns[name] for name in specification.features], axis=1)
    if specification.missing is not None:
        filler = graph.constant(np.array([[specification.missing]]))
        matrix = graph.node("Where", [graph.node("IsNaN", [matrix]), filler, matrix])
    matrix = graph.cast(matrix, TensorProto.FLOAT)
    raw = graph.cast(_trees(graph, trees, matrix, specification), TensorProto.DOUBLE)
    if specification.target == "log_ratio":
        raw = graph.node("Mul", [_prior(graph, specification, columns, codes), graph.node("Exp", [raw])])
    point = graph.node("Max", [raw, graph.constant(np.array([[specification.floor]]))], output="predicted")
    _bounds(graph, specification, point, codes)
    outputs = ["predicted", *(level_name(risk) for risk in specification.margins.risks)]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bounded_regression",
            [
                helper.make_tensor_value_info(specification.category, TensorProto.STRING, [None, 1]),
                helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, [None, len(specification.numbers)]),
            ],
            [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in outputs],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=8,
        producer_name="augury",
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _mask(graph: Graph, specification: Specification, codes: str) -> str:
    """Blank numbers that mean nothing for the row's category."""
    ignored = np.array([[name in names for name in specification.numbers] for names in specification.ignored])
    flat = graph.node("Reshape", [codes, graph.constant(np.array([-1]))])
    rows = graph.node("Gather", [graph.constant(ignored), flat], axis=0)
    return graph.node("Where", [rows, graph.constant(np.array([[np.nan]])), "numbers"])


def _monomial(graph: Graph, monomial: Monomial, columns: dict[str, str]) -> str:
    # Same operations in the same order as Monomial.expression
    value = columns[monomial.numerator[0]]
    for name in monomial.numerator[1:]:
        value = graph.node("Mul", [value, columns[name]])
    value = graph.node("Mul", [value, graph.constant(np.array([[monomial.factor]]))])
    one = graph.constant(np.array([[1.0]])) if monomial.denominator else ""
    for name in monomial.denominator:
        small = graph.node("Less", [columns[name], one])
        value = graph.node("Div", [value, graph.node("Where", [small, one, columns[name]])])
    return value


def _prior(graph: Graph, specification: Specification, columns: dict[str, str], codes: str) -> str:
    prior = specification.prior
    zero = graph.constant(np.array([[0.0]]))
    flat = graph.node("Reshape", [codes, graph.constant(np.array([-1]))])

    def per_category(values: Any) -> str:
        return graph.node("Gather", [graph.constant(np.asarray(values, dtype=np.float64)[:, None]), flat], axis=0)

    total = per_category(prior.base)
    for position, name in enumerate(prior.terms):
        missing = graph.node("IsNaN", [columns[name]])
        term = graph.node("Where", [missing, zero, columns[name]])
        weight = per_category([row[position] for row in prior.coefficients])
        total = graph.node("Add", [total, graph.node("Mul", [term, weight])])
    return total


def _bounds(graph: Graph, specification: Specification, point: str, codes: str) -> None:
    from onnx import TensorProto

    margins = specification.margins
    edges = np.asarray(margins.edges, dtype=np.float64)
    flat = graph.node("Reshape", [codes, graph.constant(np.array([-1]))])
    own_edges = graph.node("Gather", [graph.constant(edges), flat], axis=0)
    reached = graph.cast(graph.node("GreaterOrEqual", [point, own_edges]), TensorProto.INT64)
    band = graph.node("ReduceSum", [reached, graph.constant(np.array([1]))], keepdims=1)
    cell = graph.node("Add", [graph.node("Mul", [codes, graph.constant(np.array([edges.shape[1] + 1]))]), band])
    flat_cell = graph.node("Reshape", [cell, graph.constant(np.array([-1]))])
    for risk, log_margins in zip(margins.risks, margins.log_margins, strict=True):
        factors = graph.constant(np.exp(np.asarray(log_margins)).reshape(-1, 1))
        graph.node(
            "Mul",
            [point, graph.node("Gather", [factors, flat_cell], axis=0)],
            output=level_name(risk),
        )


def _trees(graph: Graph, trees: str | bytes, matrix: str, specification: Specification) -> str:
    if isinstance(trees, bytes):
        import onnx

        ensemble = next(
            node for node in onnx.load_from_string(trees).graph.node if node.op_type == "TreeEnsembleRegressor"
        )
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in ensemble.attribute}
    else:
        attributes = _lightgbm_ensemble(trees)
    return graph.node("TreeEnsembleRegressor", [matrix], domain="ai.onnx.ml", **attributes)


def _lightgbm_ensemble(text: str) -> dict[str, Any]:
    """Translate LightGBM's trees.

    onnxmltools rounds each threshold to the nearest float32, which may lie above the original and send a value that
    equals it the other way. Rounding *down* keeps every decision: for a float32 x, x <= t exactly when x <= floor32(t).
    """
    import lightgbm

    dump = lightgbm.Booster(model_str=text).dump_model()
    names = (
        "treeids nodeids featureids modes values truenodeids falsenodeids missing_value_tracks_true hitrates".split()
    )
    nodes: dict[str, list[Any]] = {name: [] for name in names}
    targets: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for tree, structure in enumerate(dump["tree_info"]):
        for node_id, node, children in _walk(structure["tree_structure"]):
            leaf = "leaf_value" in node
            nodes["treeids"].append(tree)
            nodes["nodeids"].append(node_id)
            nodes["featureids"].append(0 if leaf else node["split_feature"])
            nodes["modes"].append("LEAF" if leaf else "BRANCH_LEQ")
            nodes["values"].append(0.0 if leaf else _floor32(node["threshold"]))
            nodes["truenodeids"].append(children[0])
            nodes["falsenodeids"].append(children[1])
            nodes["missing_value_tracks_true"].append(0 if leaf else _missing_goes_left(node))
            nodes["hitrates"].append(1.0)
            if leaf:
                targets["treeids"].append(tree)
                targets["nodeids"].append(node_id)
                targets["ids"].append(0)
                targets["weights"].append(float(node["leaf_value"]))
    return {
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in targets.items()},
    }


def _walk(root: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any], tuple[int, int]]]:
    """Number the nodes of a tree; yield (number, node, numbers of the children or (0, 0))."""
    pending, counter = [(0, root)], 1
    while pending:
        number, node = pending.pop()
        if "leaf_value" in node:
            yield number, node, (0, 0)
            continue
        left, right = counter, counter + 1
        counter += 2
        pending += [(left, node["left_child"]), (right, node["right_child"])]
        yield number, node, (left, right)


def _missing_goes_left(node: dict[str, Any]) -> int:
    # A feature without missing values in training has missing_type None: LightGBM then reads NaN as 0
    return int(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0)


def _floor32(threshold: float) -> float:
    # LightGBM writes "every value, but not a missing one" as a threshold beyond float32
    limit = float(np.finfo(np.float32).max)
    rounded = np.float32(min(max(threshold, -limit), limit))
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)
