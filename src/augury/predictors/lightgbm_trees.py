"""LightGBM's trees after training: opened from text, summed up, taken apart, and translated to ONNX."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from augury.errors import UserError
from augury.predictors.onnx_graph import Graph

BRANCH_LEQ, SUM, NO_TRANSFORM = 0, 1, 0
"""Codes of ONNX' operator TreeEnsemble."""

ZERO = 1e-35
"""LightGBM's largest magnitude of a zero, as a float32."""


def open_booster(text: str, what: str) -> Any:
    """Open a booster; executes no code from it.

    Args:
        text: LightGBM's own format.
        what: What to call it in an error message.

    Returns:
        A ``Booster``.

    Raises:
        UserError: The text is no booster.
    """
    import lightgbm

    try:
        return lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise UserError(f"The trees of {what} are damaged: {error}") from None


def sums_of_leaves(booster: Any, matrix: np.ndarray) -> np.ndarray:
    """Each row's sum of leaves, before any transformation; float64 of shape (rows,), whatever the other rows are."""
    return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)


def shares_of_features(booster: Any, matrix: np.ndarray) -> np.ndarray:
    """SHAP values: what each feature adds to each row's sum, the expected sum in the last column."""
    return np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=1), dtype=np.float64)


def gain_shares(booster: Any, names: Sequence[str]) -> dict[str, float]:
    """Share of the total gain by feature, largest first; features without a split are left out."""
    gain = booster.feature_importance("gain")
    total = float(gain.sum()) or 1.0
    found = {name: float(value) / total for name, value in zip(names, gain, strict=True) if value > 0}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def append_trees(graph: Graph, features: str, booster: Any) -> str:
    """Append nodes to an ONNX graph that sum the same leaves in double precision.

    Args:
        graph: Where to append.
        features: Name of a float matrix with NaN where a value is missing.
        booster: LightGBM's.

    Returns:
        Name of the sums (double [rows, 1]).
    """
    from onnx import TensorProto

    # Before its trees see a matrix, LightGBM takes what is this small for zero
    zero, smallest = (graph.constant(np.array([[value]], dtype=np.float32)) for value in (0.0, ZERO))
    vanishing = graph.node("LessOrEqual", [graph.node("Abs", [features]), smallest])
    doubles = graph.cast(graph.node("Where", [vanishing, zero, features]), TensorProto.DOUBLE)
    return graph.node("TreeEnsemble", [doubles], domain="ai.onnx.ml", **tree_ensemble(booster))


def tree_ensemble(booster: Any) -> dict[str, Any]:
    """Attributes of ONNX' operator TreeEnsemble (ai.onnx.ml 5) that sums the same leaves in double precision.

    Thresholds and leaves stay the doubles that they are. The older operators round them to float32, which sends a value
    that equals a threshold the other way.

    Args:
        booster: LightGBM's.

    Returns:
        The attributes, for an input in double precision with NaN where a value is missing.
    """
    from onnx import TensorProto, helper

    roots: list[int] = []
    nodes: list[tuple[int, float, int, int, int, int, int]] = []
    leaves: list[float] = []
    for tree in booster.dump_model()["tree_info"]:
        roots.append(len(nodes))
        offset = len(nodes)
        for branch in _branches(tree["tree_structure"]):
            places, flags = [], []
            for child in (branch["left_child"], branch["right_child"]):
                leaf = child.get("number") is None
                places.append(len(leaves) if leaf else offset + child["number"])
                flags.append(int(leaf))
                if leaf:
                    leaves.append(float(child["leaf_value"]))
            threshold = float(branch["threshold"])
            nodes.append((branch["split_feature"], threshold, places[0], places[1], *flags, _missing_goes_left(branch)))
    columns = list(zip(*nodes, strict=True)) if nodes else [()] * 7
    return {
        "n_targets": 1,
        "aggregate_function": SUM,
        "post_transform": NO_TRANSFORM,
        "tree_roots": roots,
        "nodes_featureids": list(columns[0]),
        "nodes_modes": helper.make_tensor("modes", TensorProto.UINT8, [len(nodes)], [BRANCH_LEQ] * len(nodes)),
        "nodes_splits": helper.make_tensor("splits", TensorProto.DOUBLE, [len(nodes)], columns[1]),
        "nodes_truenodeids": list(columns[2]),
        "nodes_falsenodeids": list(columns[3]),
        "nodes_trueleafs": list(columns[4]),
        "nodes_falseleafs": list(columns[5]),
        "nodes_missing_value_tracks_true": list(columns[6]),
        "leaf_targetids": [0] * len(leaves),
        "leaf_weights": helper.make_tensor("weights", TensorProto.DOUBLE, [len(leaves)], leaves),
    }


def _branches(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Number the inner nodes of a tree (key ``number``) and yield them in that order."""
    if "leaf_value" in root:
        # A tree of a single leaf has no branch to hang it on: one whose both ways lead to it
        root = {"split_feature": 0, "threshold": 0.0, "missing_type": "None", "left_child": root, "right_child": root}
    waiting, counter = [root], 1
    root["number"] = 0
    for branch in waiting:  # grows while it is walked through
        for child in (branch["left_child"], branch["right_child"]):
            if "leaf_value" not in child:
                child["number"] = counter
                counter += 1
                waiting.append(child)
        yield branch


def _missing_goes_left(branch: dict[str, Any]) -> int:
    # A feature without missing values in training has missing_type None: LightGBM then reads NaN as 0
    return int(branch["default_left"] if branch["missing_type"] == "NaN" else branch["threshold"] >= 0.0)
