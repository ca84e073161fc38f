"""Apply a trained classifier to the held-out texts, and check its ONNX exports there."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.multilabel import LabelTree, f1_of
from augury.pipelines.evaluation.multilabel_holdout import CODES, ORACLE_CODES, PROBABILITY, chosen, membership
from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation
from augury.predictors import Metadata

HELD_OUT = "test"
COLUMNS = ("sample_id", "text", "codes", "group", "split", "origin")
THRESHOLDS = "thresholds"
INT8 = "int8"
LOSS = "int8_micro_f1_loss"


class TextPredictor(Protocol):
    """What is asked of a predictor of codes."""

    metadata: Metadata

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that it knows."""

    @property
    def parents(self) -> npt.NDArray[Any]:
        """Place of each code's parent, -1 for none."""

    @property
    def levels(self) -> npt.NDArray[Any]:
        """Depth of each code."""

    @property
    def thresholds(self) -> npt.NDArray[Any]:
        """Probability from which on each code is assigned."""

    def probabilities(self, texts: Sequence[str], backend: Any = None) -> npt.NDArray[Any]:
        """Probability of each code, shape ``(texts, codes)``; ``backend`` names an export."""

    def decide(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Which codes are assigned."""

    def compare_onnx(self, texts: Sequence[str]) -> Mapping[str, Any]:
        """How far the exports differ from the predictor."""


def predict_texts_holdout(
    predictor: TextPredictor,
    primary_texts: pd.DataFrame,
    predictions_baselines: pd.DataFrame,
    evaluation: MultilabelEvaluation,
) -> pd.DataFrame:
    """Predict the held-out texts.

    Args:
        predictor: The trained predictor.
        primary_texts: All texts; those whose ``split`` is ``test`` are predicted.
        predictions_baselines: ``sample_id``, and ``<name>_probability`` and ``<name>_codes`` of every baseline.
        evaluation: Names further columns.

    Returns:
        The frame that the docstring of ``multilabel_holdout`` describes, in the order of the ids.

    Raises:
        UserError: A column that a parameter names does not exist, there is no held-out text, or one has no baselines.
    """
    held_out = _held_out(primary_texts, evaluation)
    texts = held_out["text"].astype(str)
    probabilities = np.asarray(predictor.probabilities(texts.tolist()), dtype=np.float32)
    names = predictor.codes
    tree = LabelTree(np.asarray(predictor.parents, dtype=np.int64), np.asarray(predictor.levels, dtype=np.int64))
    codes = held_out["codes"].tolist()
    oracle = held_out[ORACLE_CODES].tolist() if ORACLE_CODES in held_out else [[] for _ in codes]
    named = (evaluation.group_column, *evaluation.main)
    further = {name: held_out[name] for name in named if name not in COLUMNS}
    predictions = pd.DataFrame(
        {
            "sample_id": held_out["sample_id"].astype(str),
            "group": held_out["group"],
            "split": held_out["split"],
            "origin": held_out["origin"],
            "text_length": texts.str.count(r"\S+").astype(np.int64),
            "codes": [[str(code) for code in row] for row in codes],
            "unmodelled": membership(codes, names)[1],
            ORACLE_CODES: _with_ancestors(oracle, names, tree),
            "probabilities": list(probabilities),
            "predicted": _listed(predictor.decide(probabilities), names),
            **further,
        }
    )
    return predictions.merge(
        _baselines(predictions_baselines, predictions["sample_id"]), on="sample_id", how="left", validate="one_to_one"
    )


def _held_out(primary_texts: pd.DataFrame, evaluation: MultilabelEvaluation) -> pd.DataFrame:
    for name in (*COLUMNS, evaluation.group_column, *evaluation.main):
        if name not in primary_texts.columns:
            raise UserError(
                f"Parameters of 'evaluation': the texts have no column '{name}'; there are: "
                f"{', '.join(map(str, primary_texts.columns))}."
            )
    held_out = primary_texts[primary_texts["split"] == HELD_OUT].sort_values("sample_id", ignore_index=True)
    if held_out.empty:
        raise UserError(f"Dataset 'primary_texts' has no text whose split is '{HELD_OUT}'; at least one is needed.")
    return held_out


def _listed(members: npt.NDArray[np.bool_], names: tuple[str, ...]) -> list[list[str]]:
    rows, places = np.nonzero(members)
    found = np.array(names, dtype=object)[places]
    return [list(part) for part in np.split(found, np.searchsorted(rows, np.arange(1, len(members))))]


def _with_ancestors(lists: list[Any], names: tuple[str, ...], tree: LabelTree) -> list[list[str]]:
    """The oracle is compared with closed sets, so it gets its ancestors, too."""
    known, _ = membership(lists, names)
    closed = _listed(tree.closed(known), names)
    return [sorted({*map(str, row if row is not None else ()), *more}) for row, more in zip(lists, closed, strict=True)]


def _baselines(baselines: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    columns = [name for name in map(str, baselines.columns) if name.endswith((CODES, PROBABILITY))]
    missing = ~rows.isin(baselines["sample_id"].astype(str))
    if columns and missing.any():
        raise UserError(
            f"Dataset 'predictions_baselines': {int(missing.sum())} of {len(rows)} held-out texts are missing, for "
            f"example sample_id {rows[missing].iloc[0]!r}; run model_training again."
        )
    return baselines[["sample_id", *columns]].astype({"sample_id": str})


def check_text_export(
    predictor: TextPredictor,
    primary_texts: pd.DataFrame,
    predictions: pd.DataFrame,
    evaluation: MultilabelEvaluation,
) -> dict[str, Any]:
    """Compare the ONNX exports with the predictor on held-out texts.

    Args:
        predictor: The trained predictor.
        primary_texts: All texts.
        predictions: What :func:`predict_texts_holdout` returned.
        evaluation: How many of the judged texts are compared.

    Returns:
        Facts for the metrics: ``n_train``, ``n_train_groups``, what the predictor says of its exports as
        ``onnx_<name>``, ``onnx_int8_micro_f1_loss`` (micro F1 of the predictor less that of its 8-bit export, on the
        compared texts; None without an export), and ``thresholds``, code -> threshold.

    Raises:
        ValueError: Probabilities of the export differ by more than ``evaluation.export_tolerance``.
    """
    held_out = _held_out(primary_texts, evaluation)
    held_out = held_out[chosen(held_out, evaluation)]
    most = evaluation.export_texts or len(held_out)
    places = np.unique(np.linspace(0, len(held_out) - 1, min(most, len(held_out))).astype(np.int64))
    compared = held_out.iloc[places]
    texts = compared["text"].astype(str).tolist()
    found = dict(predictor.compare_onnx(texts))
    if not found.get("available", True):
        found = {"available": False, "max_difference": None, LOSS: None}
    else:
        predicted = predictions.set_index("sample_id")["predicted"].loc[compared["sample_id"].astype(str)]
        small = predictor.decide(predictor.probabilities(texts, INT8))
        found[LOSS] = _lost(compared["codes"].tolist(), predicted.tolist(), small, predictor.codes)
    difference = found.get("max_difference")
    if difference is not None and not difference <= evaluation.export_tolerance:
        raise ValueError(f"The ONNX export differs from the model by up to {difference:.2g} on the held-out texts.")
    facts = {f"onnx_{name}": _plain(value) for name, value in found.items() if value is None or np.isscalar(value)}
    return {
        "n_train": predictor.metadata.data.rows,
        "n_train_groups": predictor.metadata.data.groups,
        **facts,
        THRESHOLDS: dict(zip(predictor.codes, map(float, predictor.thresholds), strict=True)),
    }


def _lost(codes: list[Any], predicted: list[Any], small: npt.NDArray[np.bool_], names: tuple[str, ...]) -> float | None:
    actual, outside = membership(codes, names)
    true = actual.sum() + outside.sum()
    f1 = [float(f1_of((actual & given).sum(), given.sum(), true)) for given in (membership(predicted, names)[0], small)]
    return f1[0] - f1[1] if true else None


def _plain(value: Any) -> Any:
    """A fact of a metrics mapping is a number or text."""
    plain = value.item() if isinstance(value, np.generic) else value
    return int(plain) if isinstance(plain, bool) else plain
