"""The held-out predictions of a classifier of texts into codes, and their checked columns.

The predictions frame has one row per held-out text: ``sample_id``, ``group``, ``split``, ``origin``, ``text_length``
(in words), ``codes`` (its codes with their ancestors), ``unmodelled`` (how many of them the model does not know),
``oracle_codes`` (what somebody would assign who knows how the text was made; an empty list where nobody does),
``probabilities`` (in the order of the model's codes), ``predicted`` (codes); and of each baseline ``<name>_codes`` and,
where it has some, ``<name>_probability``.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.bootstrap import Floats
from augury.metrics.multilabel import LabelAnswer, LabelRows, LabelTree, Oracle
from augury.metrics.ranking import Bools
from augury.parameters import near_matches
from augury.pipelines.evaluation.holdout import require_columns
from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation

CODES = "_codes"
PROBABILITY = "_probability"
ORACLE_CODES = "oracle_codes"
COLUMNS = ("sample_id", "group", "split", "origin", "text_length", "codes", ORACLE_CODES, "probabilities", "predicted")


@dataclass(frozen=True)
class Codes:
    """The codes that a model knows: the axis of all matrices."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    tree: LabelTree
    texts: npt.NDArray[np.int64]
    """Training texts of each."""

    def shown(self, place: int) -> str:
        """A code with its label."""
        name, label = self.names[place], self.labels[place]
        return name if label == name else f"{name} {label}"


@dataclass(frozen=True)
class MultilabelHoldout:
    """The judged texts."""

    frame: pd.DataFrame
    codes: Codes
    rows: LabelRows
    model: LabelAnswer
    baselines: Mapping[str, LabelAnswer]
    oracle: Oracle

    @property
    def answers(self) -> dict[str, LabelAnswer]:
        """The model, then the baselines."""
        return {"model": self.model, **self.baselines}


def read_codes(features_codes: pd.DataFrame) -> Codes:
    """Take the codes that a model knows.

    Args:
        features_codes: ``code``, ``label``, ``parent`` (None for none), ``level`` and ``texts``, in the order of the
            model's outputs.

    Returns:
        The codes.

    Raises:
        UserError: A column is missing.
    """
    present = list(map(str, features_codes.columns))
    for name in ("code", "label", "parent", "level", "texts"):
        if name not in present:
            raise UserError(f"Dataset 'features_codes': column '{name}' is missing. {near_matches(name, present)}")
    names = features_codes["code"].astype(str)
    parents = pd.Index(names).get_indexer(pd.Index(features_codes["parent"])).astype(np.int64)
    levels = features_codes["level"].to_numpy(dtype=np.int64)
    return Codes(
        tuple(names),
        tuple(features_codes["label"].fillna(names).astype(str)),
        LabelTree(parents, levels),
        features_codes["texts"].to_numpy(dtype=np.int64),
    )


def membership(lists: Sequence[Any], names: Sequence[str]) -> tuple[Bools, npt.NDArray[np.int64]]:
    """Turn lists of codes into a matrix.

    Args:
        lists: Codes of each row; None counts as none.
        names: The codes that have a column.

    Returns:
        Which codes each row has, shape ``(rows, names)``, and how many others, shape ``(rows,)``.
    """
    filled = [() if codes is None else codes for codes in lists]
    lengths = np.fromiter(map(len, filled), dtype=np.int64, count=len(filled))
    rows = np.repeat(np.arange(len(filled)), lengths)
    places = pd.Index(names).get_indexer(pd.Index(list(itertools.chain.from_iterable(filled)), dtype=object))
    inside = places >= 0
    matrix = np.zeros((len(filled), len(names)), dtype=bool)
    matrix[rows[inside], places[inside]] = True
    return matrix, np.bincount(rows[~inside], minlength=len(filled)).astype(np.int64)


def read_holdout(
    predictions: pd.DataFrame, features_codes: pd.DataFrame, evaluation: MultilabelEvaluation
) -> MultilabelHoldout:
    """Check a predictions frame and take the judged rows.

    Args:
        predictions: The frame that the module's docstring describes.
        features_codes: See :func:`read_codes`.
        evaluation: Says which rows are judged.

    Returns:
        The rows as arrays.

    Raises:
        UserError: A column is missing, no row is chosen, a rival is no baseline, or probabilities are not of
            these codes.
    """
    require_columns(predictions, [*COLUMNS, evaluation.group_column, *evaluation.main])
    frame = predictions[chosen(predictions, evaluation)].reset_index(drop=True)
    codes = read_codes(features_codes)
    actual, outside = membership(frame["codes"].tolist(), codes.names)
    groups, _ = pd.factorize(frame[evaluation.group_column], sort=True)
    ends = (name for name in map(str, predictions.columns) if name.endswith(CODES) and name != ORACLE_CODES)
    baselines = [name.removesuffix(CODES) for name in ends]
    for rival in evaluation.rivals or ():
        if rival not in baselines:
            raise UserError(
                f"Parameter 'evaluation.rivals': there is no baseline '{rival}'. {near_matches(rival, baselines)}"
            )
    return MultilabelHoldout(
        frame,
        codes,
        LabelRows(actual, groups.astype(np.int64), outside, codes.tree),
        _answer(frame, "predicted", "probabilities", codes),
        {name: _answer(frame, f"{name}{CODES}", f"{name}{PROBABILITY}", codes) for name in baselines},
        _oracle(frame),
    )


def chosen(predictions: pd.DataFrame, evaluation: MultilabelEvaluation) -> Bools:
    """Mark the judged rows.

    Raises:
        UserError: There are none.
    """
    inside = np.ones(len(predictions), dtype=bool)
    for column, wanted in evaluation.main.items():
        inside &= predictions[column].isin(wanted if isinstance(wanted, list) else [wanted]).to_numpy(dtype=bool)
    if not inside.any():
        there = [f"{name}: {', '.join(sorted(map(str, predictions[name].unique()))[:8])}" for name in evaluation.main]
        raise UserError(
            f"Parameter 'evaluation.main': no held-out text has {evaluation.main}; there are {'; '.join(there)}."
        )
    return inside


def _answer(frame: pd.DataFrame, decided: str, probability: str, codes: Codes) -> LabelAnswer:
    predicted, _ = membership(frame[decided].tolist(), codes.names)
    if probability not in frame.columns:
        return LabelAnswer(predicted)
    return LabelAnswer(predicted, _matrix(frame, probability, len(codes.names)))


def _matrix(frame: pd.DataFrame, column: str, width: int) -> Floats:
    lengths = frame[column].map(len).to_numpy()
    if (lengths != width).any():
        at = int(np.flatnonzero(lengths != width)[0])
        raise UserError(
            f"Predictions: column '{column}' must hold {width} probabilities, one for each code of 'features_codes'; "
            f"{int((lengths != width).sum())} of {len(frame)} rows break this, for example sample_id "
            f"{frame['sample_id'].iloc[at]!r}: {lengths[at]}. Run model_training and evaluation again."
        )
    values = np.array(frame[column].tolist(), dtype=np.float64).reshape(len(frame), width)
    wrong = ~((values >= 0) & (values <= 1)).all(axis=1)
    if wrong.any():
        example = frame["sample_id"].iloc[int(np.flatnonzero(wrong)[0])]
        raise UserError(
            f"Predictions: column '{column}' must lie between 0 and 1; {int(wrong.sum())} of {len(frame)} rows break "
            f"this, for example sample_id {example!r}."
        )
    return values


def _oracle(frame: pd.DataFrame) -> Oracle:
    """The oracle's codes may be ones that the model does not know: they are compared by name."""
    lists = [() if codes is None else codes for codes in frame[ORACLE_CODES]]
    names = sorted(set(itertools.chain.from_iterable(lists)))
    said, _ = membership(lists, names)
    actual, _ = membership(frame["codes"].tolist(), names)
    return Oracle(
        (said & actual).sum(axis=1).astype(np.float64),
        said.sum(axis=1).astype(np.float64),
        np.fromiter(map(len, lists), dtype=np.int64, count=len(lists)) > 0,
    )
