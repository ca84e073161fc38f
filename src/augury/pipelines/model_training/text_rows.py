"""The training and the validation texts as arrays, in one order whatever that of the table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from augury.errors import UserError

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"


class TextRows(NamedTuple):
    """Some texts with all that a model learns from or is judged by."""

    sample_id: list[str]
    text: list[str]
    tokens: list[np.ndarray]
    """Tokens of each text, int32, without special ones."""
    targets: np.ndarray
    """bool of shape (texts, labels)."""
    weights: np.ndarray
    """Confidence, float64 of shape (texts,)."""
    groups: np.ndarray
    """Near duplicates share a number; int64 of shape (texts,)."""

    def take(self, places: np.ndarray) -> "TextRows":
        """Some of the texts, in the order of the places."""
        chosen = places.tolist()
        return TextRows(
            [self.sample_id[place] for place in chosen],
            [self.text[place] for place in chosen],
            [self.tokens[place] for place in chosen],
            self.targets[places],
            self.weights[places],
            self.groups[places],
        )


def text_rows(features_texts: pd.DataFrame, split: str, labels: int) -> TextRows:
    """Collect the texts of a split.

    Args:
        features_texts: ``sample_id``, ``text``, ``split``, ``group``, ``confidence``, ``targets``, ``token_ids``.
        split: ``train``, ``validation`` or ``test``.
        labels: How many codes there are.

    Returns:
        The texts in the order of their ids.

    Raises:
        UserError: A target is none of the codes.
    """
    table = features_texts[features_texts["split"] == split].sort_values("sample_id", kind="stable")
    return TextRows(
        table["sample_id"].astype(str).tolist(),
        table["text"].tolist(),
        [np.asarray(ids, dtype=np.int32) for ids in table["token_ids"]],
        target_matrix(table["targets"].tolist(), labels),
        table["confidence"].to_numpy(dtype=np.float64),
        table["group"].to_numpy(dtype=np.int64),
    )


def target_matrix(targets: Sequence[Sequence[int] | np.ndarray], labels: int) -> np.ndarray:
    """Lists of places as a table of truth values.

    Args:
        targets: Places of each text's labels.
        labels: How many there are.

    Returns:
        bool of shape (texts, labels).

    Raises:
        UserError: A place does not exist.

    Examples:
        >>> target_matrix([[0, 2], []], 3).astype(int)
        array([[1, 0, 1],
               [0, 0, 0]])
    """
    found = np.zeros((len(targets), labels), dtype=bool)
    rows = np.repeat(np.arange(len(targets)), [len(places) for places in targets])
    places = np.concatenate([np.asarray(part, dtype=np.int64) for part in targets]) if len(rows) else rows
    outside = (places < 0) | (places >= labels)
    if outside.any():
        raise UserError(
            f"taxonomy.features_texts: {int(outside.sum())} targets are none of the {labels} codes (for example "
            f"{int(places[outside][0])}). Run the feature engineering again."
        )
    found[rows, places] = True
    return found
