"""ONNX export of ``query_cost``: XGBoost's trees, the blends of both scores and their calibrations in one graph.

Two graphs, standard operators only. ``features`` takes the trees' matrix as it is (opset 15), ``terms`` and ``numbers``
take the space-joined terms of a query and its numeric features (opset 20, for ``StringSplit``).

The sums agree with XGBoost's to the last bit on one thread: a threshold of XGBoost is a float32 that compares as "less
than", a leaf is a float32, and the base score is a tree of its own in front, because XGBoost begins its sum with it.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from augury.predictors.onnx_graph import Graph
from augury.predictors.probability_calibration import ProbabilityCalibration, ScoreBlend

OPSET = 15
TEXT_OPSET = 20
ML_OPSET = 3

PADDING = " \u00b7"
"""Put behind every row's terms, so that even a batch of empty rows has a token; no vocabulary holds it."""

_NODE_FIELDS = "treeids nodeids featureids modes values truenodeids falsenodeids missing_value_tracks_true".split()


def export_onnx(
    classifier: bytes,
    regressor: bytes,
    blends: Sequence[ScoreBlend],
    unseen_at: int | None,
    cpu_threshold_s: float,
    largest_log_cost: float,
    numbers: int,
    terms: Sequence[str],
    *,
    with_text: bool,
) -> bytes:
    """Write the model as one ONNX graph.

    Args:
        classifier: XGBoost's classifier in UBJSON; it takes the whole matrix.
        regressor: XGBoost's regression of the log cost in UBJSON; it takes the numbers only.
        blends: From both sums to a probability: of queries in general and, if there is a second one, of those whose
            template was never seen.
        unseen_at: Which number is 0 for a template that was never seen; None if no number tells it.
        cpu_threshold_s: CPU seconds at a log cost of 0.
        largest_log_cost: Where the log cost is cut off before it becomes seconds.
        numbers: Number of numeric features.
        terms: The vocabulary.
        with_text: Whether the graph takes ``terms`` (string [rows, 1]) and ``numbers`` (float [rows, numbers]), or
            ``features`` (float [rows, numbers + terms]).

    Returns:
        The serialised model with the outputs ``probability`` and ``cpu_seconds`` (double [rows, 1]), and ``margin`` and
        ``log_cost`` (float [rows, 1]), the sums of both sets of trees.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = Graph()
    if with_text:
        inputs = [
            helper.make_tensor_value_info("terms", TensorProto.STRING, [None, 1]),
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, numbers]),
        ]
        alone, matrix = "numbers", graph.node("Concat", ["numbers", _indicators(graph, terms)], axis=1)
    else:
        inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, numbers + len(terms)])]
        matrix = "features"
        bounds = [graph.constant(np.array([value])) for value in (0, numbers, 1)]
        alone = graph.node("Slice", [matrix, *bounds])
    margin, log_cost = (
        graph.cast(
            graph.node("TreeEnsembleRegressor", [columns], name, domain="ai.onnx.ml", **_ensemble(booster)),
            TensorProto.DOUBLE,
        )
        for name, columns, booster in (("margin", matrix, classifier), ("log_cost", alone, regressor))
    )
    logits = [_calibrate(graph, _blend(graph, margin, log_cost, blend), blend.calibration) for blend in blends]
    logit = logits[0]
    if len(logits) > 1 and unseen_at is not None:
        column = graph.node("Gather", [alone, graph.constant(np.array([unseen_at]))], axis=1)
        unseen = graph.node("Equal", [column, graph.constant(np.array([[0.0]], dtype=np.float32))])
        logit = graph.node("Where", [unseen, logits[1], logits[0]])
    _sigmoid(graph, logit)
    bounded = graph.node("Min", [log_cost, graph.constant(np.array([[largest_log_cost]]))])
    seconds = graph.constant(np.array([[cpu_threshold_s]]))
    graph.node("Mul", [graph.node("Exp", [bounded]), seconds], output="cpu_seconds")
    outputs = {
        "probability": TensorProto.DOUBLE,
        "cpu_seconds": TensorProto.DOUBLE,
        "margin": TensorProto.FLOAT,
        "log_cost": TensorProto.FLOAT,
    }
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "query_cost",
            inputs,
            [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in outputs.items()],
            graph.initializers,
        ),
        opset_imports=[
            helper.make_opsetid("", TEXT_OPSET if with_text else OPSET),
            helper.make_opsetid("ai.onnx.ml", ML_OPSET),
        ],
        ir_version=9 if with_text else 8,
        producer_name="augury",
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _indicators(graph: Graph, terms: Sequence[str]) -> str:
    """Which terms of the vocabulary each row contains, as float [rows, terms]."""
    padded = graph.node("StringConcat", ["terms", graph.constant(np.array([PADDING], dtype=object))])
    tokens = graph.nodes_of("StringSplit", [padded], [None, None], delimiter=" ")[0]
    flat = graph.node("Squeeze", [tokens, graph.constant(np.array([1]))])
    counts = graph.node(
        "TfIdfVectorizer", [flat],
        mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0,
        ngram_counts=[0], ngram_indexes=list(range(len(terms))), pool_strings=list(terms),
    )  # fmt: skip
    # A row's terms are distinct; should they not be, a term still counts once
    return graph.node("Min", [counts, graph.constant(np.array([[1.0]], dtype=np.float32))])


def _blend(graph: Graph, margin: str, log_cost: str, blend: ScoreBlend) -> str:
    # The same operations in the same order as ScoreBlend.score
    weight, rest, intercept, slope = (
        graph.constant(np.array([[value]]))
        for value in (blend.weight, 1.0 - blend.weight, blend.intercept, blend.slope)
    )
    scaled = graph.node("Add", [graph.node("Mul", [log_cost, slope]), intercept])
    return graph.node("Add", [graph.node("Mul", [margin, rest]), graph.node("Mul", [scaled, weight])])


def _calibrate(graph: Graph, score: str, calibration: ProbabilityCalibration) -> str:
    from onnx import TensorProto

    if calibration.knots:
        reached = graph.node("GreaterOrEqual", [score, graph.constant(np.asarray([calibration.knots]))])
        places = graph.constant(np.array([1]))
        piece = graph.node("ReduceSum", [graph.cast(reached, TensorProto.INT64), places], keepdims=0)
    else:
        zero = graph.node("Mul", [score, graph.constant(np.array([[0.0]]))])
        piece = graph.node("Reshape", [graph.cast(zero, TensorProto.INT64), graph.constant(np.array([-1]))])
    intercept, slope = (
        graph.node("Gather", [graph.constant(np.asarray(values)[:, None]), piece], axis=0)
        for values in (calibration.intercepts, calibration.slopes)
    )
    return graph.node("Add", [intercept, graph.node("Mul", [slope, score])])


def _sigmoid(graph: Graph, logit: str) -> None:
    one = graph.constant(np.array([[1.0]]))
    odds = graph.node("Exp", [graph.node("Neg", [logit])])
    graph.node("Div", [one, graph.node("Add", [one, odds])], output="probability")


def _ensemble(booster: bytes) -> dict[str, Any]:
    """Translate XGBoost's trees into the attributes of a TreeEnsembleRegressor."""
    import xgboost

    content = json.loads(xgboost.Booster(model_file=bytearray(booster)).save_raw("json"))
    trees = content["learner"]["gradient_booster"]["model"]["trees"]
    nodes: dict[str, list[Any]] = {name: [] for name in _NODE_FIELDS}
    targets: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}

    def add(tree: int, node: int, leaf: float | None, split: tuple[int, float, int, int, int]) -> None:
        feature, threshold, left, right, missing_left = split
        nodes["treeids"].append(tree)
        nodes["nodeids"].append(node)
        nodes["featureids"].append(feature)
        nodes["modes"].append("BRANCH_LT" if leaf is None else "LEAF")
        nodes["values"].append(float(np.float32(threshold)))
        nodes["truenodeids"].append(left)
        nodes["falsenodeids"].append(right)
        nodes["missing_value_tracks_true"].append(missing_left)
        if leaf is not None:
            targets["treeids"].append(tree)
            targets["nodeids"].append(node)
            targets["ids"].append(0)
            targets["weights"].append(float(np.float32(leaf)))

    add(0, 0, base_margin(content), (0, 0.0, 0, 0, 0))
    for number, tree in enumerate(trees, start=1):
        fields = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")
        for node, (left, right, feature, value, missing_left) in enumerate(
            zip(*(tree[name] for name in fields), strict=True)
        ):
            if left == -1:
                add(number, node, value, (0, 0.0, 0, 0, 0))
            else:
                add(number, node, None, (feature, value, left, right, int(missing_left)))
    return {
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in targets.items()},
    }


def base_margin(content: dict[str, Any]) -> float:
    """What XGBoost adds the trees to: the prediction of a booster whose trees are taken away.

    Computing it from the base score would be off by a bit now and then, for want of the same logarithm.

    Args:
        content: A booster's JSON.

    Returns:
        A float32 number.
    """
    import xgboost

    learner = content["learner"]
    model = learner["gradient_booster"]["model"]
    nothing = model | {
        "trees": [],
        "tree_info": [],
        "iteration_indptr": [0],
        "gbtree_model_param": model["gbtree_model_param"] | {"num_trees": "0"},
    }
    bare = content | {
        "learner": learner
        | {
            "gradient_booster": learner["gradient_booster"] | {"model": nothing},
            # Or a booster without trees takes its base score for not estimated yet
            "learner_model_param": learner["learner_model_param"] | {"boost_from_average": "0"},
        }
    }
    booster = xgboost.Booster(model_file=bytearray(json.dumps(bare), "utf-8"))
    row = np.zeros((1, int(learner["learner_model_param"]["num_feature"])), dtype=np.float32)
    return float(booster.inplace_predict(row, predict_type="margin")[0])
