"""Rows as they would look had their template, and some of their tables, never been seen before.

Nearly all queries of a log are of templates that it has seen many times, and a model that learns from them alone leans
on what is known of the template. Such rows, beside the real ones, teach it what to do without.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from augury.predictors.query_cost_trees import TEMPLATE_SEEN
from augury.predictors.query_history import HISTORY_EXT

TEMPLATE_FEATURES = (
    *(name for name in HISTORY_EXT if name.startswith("template_")),
    "days_since_template",
    "user_tables_heavy_rate",
)
"""What a query of a new template does not have: ``template_seen`` is 0, the others are missing."""

TABLE_SUMS = ("tables_sum_median_input_bytes", "tables_max_median_input_rows")
TABLE_RATE = "tables_max_heavy_rate"
UNSEEN_SHARE = "tables_unseen_share"
TABLES = "table_count"

SMALLEST_REST = 1e-3
"""What may be left of the bytes and rows of all tables when the largest of them is not known."""


def forget(table: pd.DataFrame, matrix: np.ndarray, numbers: Sequence[str], table_share: float) -> np.ndarray:
    """Forget the template of every row, and of a share of the rows some tables.

    Which table a row's sums come from is not known any more, so what is left without some of them is drawn: little if
    the largest is among them, most of it otherwise.

    Args:
        table: The rows; what is drawn depends on their ``query_id`` alone.
        matrix: The trees' input, whose first columns are the numbers.
        numbers: Numeric features in order.
        table_share: Share of the rows that lose tables.

    Returns:
        A changed copy of the matrix.
    """
    changed = matrix.copy()
    place = {name: column for column, name in enumerate(numbers)}
    for name in TEMPLATE_FEATURES:
        if name in place:
            changed[:, place[name]] = 0.0 if name == TEMPLATE_SEEN else np.nan
    if not table_share or UNSEEN_SHARE not in place or TABLES not in place:
        return changed
    loses, how_many, which, how_much = _draws(table["query_id"].tolist())
    tables = np.nan_to_num(matrix[:, place[TABLES]].astype(np.float64))
    lost = np.where((loses < table_share) & (tables >= 1), np.minimum(1 + np.floor(how_many * tables), tables), 0.0)
    share = lost / np.maximum(tables, 1)
    some, every = lost > 0, (lost > 0) & (lost == tables)
    largest = which < share
    rest = np.where(largest, SMALLEST_REST**how_much, 1 - 0.3 * how_much)
    for name in TABLE_SUMS:
        column = changed[:, place[name]]
        column[some] = np.floor(column[some] * rest[some]).astype(np.float32)
        column[every] = np.nan
    rate = changed[:, place[TABLE_RATE]]
    rate[some & largest] *= how_much[some & largest].astype(np.float32)
    rate[every] = np.nan
    changed[some, place[UNSEEN_SHARE]] = share[some].astype(np.float32)
    return changed


def _draws(names: Sequence[str]) -> np.ndarray:
    """Four numbers in [0, 1) for every name, the same on every engine and in any order."""
    digests = b"".join(hashlib.md5(name.encode(), usedforsecurity=False).digest() for name in names)
    return np.frombuffer(digests, dtype="<u4").reshape(-1, 4).T / 2.0**32
