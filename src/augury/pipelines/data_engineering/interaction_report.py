"""Figures of prepared interactions: size, sparsity, skew of popularity, splits, and what is cold in them."""

from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.metrics_mapping import json_number
from augury.predictors.interaction_values import SPLITS, TRAIN

MOST_POPULAR_SHARE = 0.1


def describe_interactions(primary: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame) -> dict[str, Any]:
    """Describe prepared interactions.

    Args:
        primary: Pairs; see :func:`augury.pipelines.data_engineering.interactions.prepare_interactions`.
        users: The users.
        items: The items.

    Returns:
        Numbers of users, items and pairs; the share of possible pairs that are not there; how unevenly training pairs
        are spread over items and users; and per split its pairs, users, items, times, and its pairs whose user or item
        has no training pair.
    """
    cold_user = users["interactions"].to_numpy() == 0
    cold_item = items["interactions"].to_numpy() == 0
    return {
        "pairs": len(primary),
        "users": len(users),
        "items": len(items),
        "items_with_text": int(items["text"].notna().sum()),
        "categories": int(items["category"].nunique()),
        "sparsity": 1.0 - len(primary) / (len(users) * len(items)),
        "times": _times(primary),
        "popularity": {
            "gini": gini(items["interactions"].to_numpy()),
            "share_of_most_popular": _share_of_most(items["interactions"].to_numpy()),
            "most_popular_are": MOST_POPULAR_SHARE,
        },
        "activity": {"gini": gini(users["interactions"].to_numpy()), **_quantiles(users["interactions"])},
        "weights": _quantiles(primary.loc[primary["split"] == TRAIN, "weight"]),
        "splits": {name: _side(primary[primary["split"] == name], cold_user, cold_item) for name in SPLITS},
    }


def gini(counts: np.ndarray) -> float | None:
    """Gini coefficient: 0 if all counts are equal, near 1 if one has everything.

    Args:
        counts: Non-negative, shape ``(n,)``.

    Returns:
        The coefficient; None if all counts are 0.
    """
    ascending = np.sort(counts).astype(np.float64)
    total, n = ascending.sum(), len(ascending)
    if not total:
        return None
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * total))


def _share_of_most(counts: np.ndarray) -> float | None:
    """Share of the training pairs that the most popular tenth of the items has."""
    most = max(1, round(MOST_POPULAR_SHARE * len(counts)))
    return json_number(np.sort(counts)[::-1][:most].sum() / counts.sum()) if counts.sum() else None


def _quantiles(values: pd.Series) -> dict[str, float]:
    found = np.quantile(values.to_numpy(dtype=np.float64), [0.0, 0.5, 1.0])
    return {name: round(float(value), 6) for name, value in zip(("least", "median", "most"), found, strict=True)}


def _side(rows: pd.DataFrame, cold_user: np.ndarray, cold_item: np.ndarray) -> dict[str, Any]:
    user, item = rows["user"].to_numpy(), rows["item"].to_numpy()
    return {
        "pairs": len(rows),
        "users": len(np.unique(user)),
        "items": len(np.unique(item)),
        "cold_users": len(np.unique(user[cold_user[user]])),
        "cold_items": len(np.unique(item[cold_item[item]])),
        "pairs_of_cold_users": int(cold_user[user].sum()),
        "pairs_of_cold_items": int(cold_item[item].sum()),
        "times": _times(rows),
    }


def _times(rows: pd.DataFrame) -> dict[str, str | None]:
    times = rows["timestamp"].to_numpy()
    if not times.any():
        return {"first": None, "last": None}
    return {name: str(np.datetime64(int(time), "s")) for name, time in (("first", times.min()), ("last", times.max()))}
