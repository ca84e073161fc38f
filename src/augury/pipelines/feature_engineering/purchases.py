"""The feature matrix of purchases: each labelled one with what its household knew when it was bought."""

from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd

from augury import engines
from augury.predictors import purchase_columns as pc
from augury.predictors.query_features import library_versions
from augury.predictors.waste_features import (
    WasteFeatures,
    code_digest,
    feature_descriptions,
    feature_names,
    featurise,
    require_columns,
)
from augury.predictors.waste_norms import MONTH, SUMS, CategoryNorm, monthly_norms, monthly_sums


def matrix_schema(features: WasteFeatures) -> engines.Schema:
    """Columns and types of the feature matrix.

    Args:
        features: Parameters.

    Returns:
        The schema.
    """
    return {**pc.MATRIX, **dict.fromkeys(feature_names(features), "float")}


def learn_norms(primary_purchases: Any, features: WasteFeatures) -> tuple[CategoryNorm, ...]:
    """What was usual in the categories at the beginning of each month.

    Args:
        primary_purchases: The labelled table (pandas or Spark).
        features: Parameters.

    Returns:
        The norms; none where no category has a feature.
    """
    if not features.categories:
        return ()

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        return monthly_sums(rows, features.categories)

    needed = (pc.CATEGORY, pc.PURCHASED_AT, pc.HOUSEHOLD_SIZE, pc.QUANTITY, pc.SHELF_LIFE_DAYS)
    rows = nw.from_native(primary_purchases).select(*needed).to_native()
    keys = [pc.CATEGORY, MONTH]
    sums = nw.from_native(engines.map_batches(rows, compute, SUMS)).group_by(keys)
    totals = sums.agg(*(nw.col(name).sum() for name in SUMS if name not in keys))
    return monthly_norms(engines.to_pandas(totals.to_native()))


def build_features(primary_purchases: Any, features: WasteFeatures) -> tuple[Any, dict[str, Any]]:
    """Compute the features of the labelled purchases; the others are history only.

    Args:
        primary_purchases: The labelled table (pandas or Spark).
        features: Parameters.

    Returns:
        The matrix (same engine; see :func:`matrix_schema`), and an account of the features as JSON: their names in
        order, groups, descriptions, type, parameters (with what is usual in the categories, which was learnt here), and
        the versions and the code that computed them.

    Raises:
        UserError: An extra column is not there.
    """
    if not features.norms:
        features = features.model_copy(update={"norms": learn_norms(primary_purchases, features)})
    schema = matrix_schema(features)
    require_columns(nw.from_native(primary_purchases).collect_schema().names(), features)

    def compute(rows: pd.DataFrame, _: pd.DataFrame) -> pd.DataFrame:
        judged = rows[pc.SPLIT].isin([pc.TRAIN, pc.TEST]).to_numpy()
        found = featurise(rows, features)
        return pd.concat([rows.loc[judged, list(pc.MATRIX)], found[judged]], axis=1)

    needed = dict.fromkeys([*pc.KNOWN_AT_PURCHASE, *features.extra_columns, pc.OUTCOME, *pc.MATRIX])
    rows = nw.from_native(primary_purchases).select(*needed).to_native()
    nothing = engines.like(rows, pd.DataFrame({pc.HOUSEHOLD_ID: []}), {pc.HOUSEHOLD_ID: "string"})
    matrix = engines.map_cobuckets(rows, nothing, [pc.HOUSEHOLD_ID], compute, schema)
    groups = feature_descriptions(features)
    account = {
        "features": list(feature_names(features)),
        "groups": {group: list(names) for group, names in groups.items()},
        "descriptions": {name: text for names in groups.values() for name, text in names.items()},
        "dtype": "float32",
        "parameters": features.model_dump(mode="json"),
        "versions": library_versions(),
        "code_sha256": code_digest(),
    }
    return matrix, account
