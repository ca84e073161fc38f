"""The rows that a search may see: those of the training split, and no others."""

import hashlib
import json
import logging
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.matrix_predictor import SPLIT, TRAIN, training_rows

_WITHOUT_EFFECT = {"use_tuned", "workers", "threads"}
"""Parameters of models that no score depends on."""

logger = logging.getLogger(__name__)


def training_split(matrix: Any, columns: list[str], order: list[str], most_rows: int | None) -> pd.DataFrame:
    """Collect the training rows of a feature matrix.

    Args:
        matrix: pandas or Spark, with the column ``split``.
        columns: The columns to collect.
        order: Columns that put the rows into an order of their own, time first.
        most_rows: Rows above which only every n-th is taken, so that the times they cover stay the same; None: all.

    Returns:
        The rows, sorted.
    """
    frame = nw.from_native(training_rows(matrix))
    names = list(dict.fromkeys([*order, SPLIT, *columns]))
    table = engines.to_pandas(frame.select(*names).to_native()).sort_values(order, ignore_index=True)
    if most_rows is not None and len(table) > most_rows:
        kept = np.linspace(0, len(table) - 1, most_rows).round().astype(np.int64)
        table = table.iloc[kept].reset_index(drop=True)
    return table


def refuse_other_rows(predictor: str, table: pd.DataFrame) -> None:
    """Refuse a table with rows of another split: a search that has seen the test rows cannot be judged on them.

    Args:
        predictor: For the message.
        table: With the column ``split``.

    Raises:
        UserError: Such a row is there, or there is none at all.
    """
    others = table[SPLIT] != TRAIN
    if others.any():
        raise UserError(
            f"{predictor}: {int(others.sum())} of {len(table)} rows given to tuning are not of the split '{TRAIN}', "
            f"for example one of '{table.loc[others, SPLIT].iloc[0]}'. Tuning must see training rows only."
        )
    if table.empty:
        raise UserError(f"{predictor}: there are no training rows to tune on. Check '{predictor}.split'.")


def both_outcomes(target: np.ndarray) -> bool:
    """Whether there are positives (above 0) and others."""
    return bool((target > 0).any() and (target <= 0).any())


def check_folds(predictor: str, found: int, asked: int, none_found: str, advice: str) -> None:
    """Say that folds were left out because a part of them has one class only; refuse to go on without any.

    Args:
        predictor: For the message.
        found: Folds with both classes in all parts.
        asked: Folds that were asked for.
        none_found: What to say where there is none.
        advice: What to do then, beside asking for another number of folds.

    Raises:
        UserError: There is none.
    """
    if found < asked:
        logger.info("%s: %d of %d folds have both classes in all parts.", predictor, found, asked)
    if not found:
        raise UserError(
            f"{predictor}: {none_found}; tuning needs at least one. {advice} or change {predictor}.tuning.folds."
        )


def describe_model(model: Parameters) -> str:
    """Digest of a model's parameters, as they are before tuning."""
    text = json.dumps(model.model_dump(mode="json", exclude=_WITHOUT_EFFECT), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
