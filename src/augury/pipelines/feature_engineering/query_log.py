"""The feature matrix of a query log: each query with what was known at the beginning of its day."""

from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd

from augury import engines
from augury.predictors import query_history, sql_features
from augury.predictors.query_columns import (
    CATALOG,
    CLIENT_INFO,
    CLIENT_TAGS,
    CPU_TIME_S,
    CREATE_TIME,
    DATE,
    IS_HEAVY,
    ORIGIN,
    PEAK_MEMORY_GB,
    QUERY_ID,
    QUERY_TYPE,
    SCHEMA,
    SOURCE,
    SPLIT,
    SQL_TEXT,
    TRAIN,
    USER,
    WEIGHT,
)
from augury.predictors.query_features import (
    QueryFeatures,
    TextScanner,
    code_digest,
    feature_groups,
    feature_names,
    featurise,
    library_versions,
)
from augury.predictors.query_golden import check_golden, golden_vectors
from augury.predictors.query_history import SNAPSHOT, HistorySnapshot

KEPT: engines.Schema = {
    QUERY_ID: "string",
    SPLIT: "string",
    WEIGHT: "double",
    IS_HEAVY: "boolean",
    ORIGIN: "string",
    USER: "string",
    CPU_TIME_S: "double",
    PEAK_MEMORY_GB: "double",
}
"""Columns of the sampled log that the matrix keeps."""

COMPUTED: engines.Schema = {
    "template": "string",
    "seen_template": "boolean",
    "cold_user": "boolean",
    "masked": "boolean",
    "terms": "string",
}
"""Columns of the matrix beside the features."""

KNOWN_BEFORE = (SQL_TEXT, USER, SOURCE, CATALOG, SCHEMA, CLIENT_INFO, CLIENT_TAGS, QUERY_TYPE, CREATE_TIME)
"""What features are computed from."""

_MASK_SEED = 1000
"""Added to the seed: the rows were sampled by a draw from the same seed and column."""


def matrix_schema(features: QueryFeatures) -> engines.Schema:
    """Columns and types of the feature matrix.

    Args:
        features: Parameters.

    Returns:
        The schema.
    """
    return KEPT | COMPUTED | dict.fromkeys(feature_names(features), "float") | {DATE: "string"}  # type: ignore[operator]


def build_features(
    primary_sampled: Any, features_history: Any, features: QueryFeatures, seed: int
) -> tuple[Any, dict[str, Any]]:
    """Compute the features of the sampled log.

    Args:
        primary_sampled: The sampled log (pandas or Spark).
        features_history: The snapshots of its days.
        features: Parameters.
        seed: Decides which training rows are featurised as if all their keys were new.

    Returns:
        The matrix (same engine; see :func:`matrix_schema`), and an account of the features as JSON: their names in
        order, groups, descriptions, type, the versions and the code that computed them, and golden vectors.

    Raises:
        UserError: An executor computes other features than the driver.
    """
    golden = golden_vectors(features)
    schema = matrix_schema(features)
    scan = TextScanner()

    def compute(rows: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
        if rows.empty:
            return engines.conform(None, schema)
        check_golden(golden, features, "this process of feature engineering")
        masked = ((rows[SPLIT] == TRAIN) & (rows["mask_draw"] < features.mask_share)).to_numpy()
        snapshot = HistorySnapshot.from_frame(history)
        found = featurise(rows[list(KNOWN_BEFORE)], snapshot, features, masked, scan)
        return pd.concat([rows[[*KEPT, DATE]], found.assign(masked=masked)], axis=1)

    needed = list(dict.fromkeys([*KEPT, *KNOWN_BEFORE, DATE]))
    rows = engines.hash_uniform(
        nw.from_native(primary_sampled).select(needed).to_native(), QUERY_ID, seed + _MASK_SEED, "mask_draw"
    )
    days = nw.from_native(primary_sampled).select(DATE).unique(subset=[DATE])
    history = nw.from_native(features_history).select(*SNAPSHOT).join(days, on=DATE, how="semi").to_native()
    matrix = engines.map_cogroups(rows, history, [DATE], compute, schema, divided=(QUERY_ID, features.day_parts))
    return matrix, _account(features, golden)


def _account(features: QueryFeatures, golden: dict[str, Any]) -> dict[str, Any]:
    groups = feature_groups(features)
    history = (*groups["history"], *groups.get("history_extension", ()))
    descriptions = sql_features.DESCRIPTIONS | {name: query_history.description(name) for name in history}
    return {
        "features": list(feature_names(features)),
        "groups": {group: list(names) for group, names in groups.items()},
        "descriptions": {name: descriptions[name] for name in feature_names(features)},
        "dtype": "float32",
        "parameters": features.model_dump(mode="json"),
        "versions": library_versions(),
        "code_sha256": code_digest(),
        "golden": golden,
    }
