"""What recommenders learn from and are judged by: the weighed matrix of interactions, and fixed negatives."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.interaction_values import SPLITS, TRAIN

CELLS_AT_ONCE = 4_000_000
"""Cells of rows by items that an exact draw looks at in one piece."""

_CROWDED = 4
"""With fewer unseen items than this many times the negatives, drawing again and again takes longer than a sort."""


class InteractionFeatures(Parameters):
    """The negatives of the sampled protocol, and how the matrix is weighed."""

    negatives: int = Field(
        default=99, ge=1, description="items that a held-out item is ranked among, in the sampled protocol"
    )
    weighting: Literal["none", "tf_idf", "bm25"] = Field(
        default="none", description="weights that discount popular items, and with bm25 also active users"
    )
    bm25_k1: float = Field(default=100.0, gt=0, allow_inf_nan=False, description="how late a weight saturates")
    bm25_b: float = Field(default=0.8, ge=0, le=1, description="how much a user's total weight discounts each one")


def build_interaction_features(
    primary_interactions: pd.DataFrame, primary_items: pd.DataFrame, features: InteractionFeatures, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Weigh the interactions, and draw the negatives of validation and test.

    Args:
        primary_interactions: Pairs: ``user``, ``item``, ``timestamp``, ``weight``, ``split``.
        primary_items: One row per item.
        features: Parameters.
        seed: Of the negatives.

    Returns:
        The matrix (:func:`build_matrix`), the negatives (:func:`sample_negatives`), and an account of both as JSON.

    Raises:
        UserError: Validation or test has no pair.
    """
    matrix = build_matrix(primary_interactions, primary_items, features)
    negatives = sample_negatives(primary_interactions, primary_items, features, seed)
    drawn = negatives["negatives"].map(len).to_numpy()
    weight = matrix.loc[matrix["split"] == TRAIN, "weight"]
    report = {
        "rows": {name: int((matrix["split"] == name).sum()) for name in SPLITS},
        "users": int(matrix["user"].nunique()),
        "items": len(primary_items),
        "weighting": features.weighting,
        "weights": {
            name: float(value)
            for name, value in zip(("least", "median", "most"), np.quantile(weight, [0.0, 0.5, 1.0]), strict=True)
        },
        "negatives": {
            "asked": features.negatives,
            "rows": len(negatives),
            "rows_with_fewer": int((drawn < features.negatives).sum()),
            "fewest": int(drawn.min()),
        },
        "parameters": features.model_dump(mode="json"),
        "seed": seed,
    }
    return matrix, negatives, report


def build_matrix(
    primary_interactions: pd.DataFrame, primary_items: pd.DataFrame, features: InteractionFeatures
) -> pd.DataFrame:
    """The interactions with the weights that models learn from.

    With ``tf_idf`` a weight becomes ``sqrt(weight) * idf`` and with ``bm25`` ``weight * (k1 + 1) / (weight + k1 *
    length) * idf``, users being the documents and items the terms: ``idf = 1 + log((1 + users) / (1 + users of the
    item))``, ``length = 1 - b + b * total weight of the user / mean total weight``. Both are the formulas of
    ``implicit.nearest_neighbours``, but for the smoothing of the idf, which keeps all weights above 0. All statistics
    are those of training rows.

    Args:
        primary_interactions: Pairs.
        primary_items: One row per item.
        features: Parameters.

    Returns:
        ``user``, ``item`` (int32), ``weight`` (float32 > 0), ``timestamp`` (int64), ``split``; rows as they came.
    """
    table = primary_interactions[["user", "item", "weight", "timestamp", "split"]].reset_index(drop=True)
    if features.weighting == "none":
        return table
    user, item = table["user"].to_numpy(), table["item"].to_numpy()
    weight = table["weight"].to_numpy(dtype=np.float64)
    training = (table["split"] == TRAIN).to_numpy()
    users = len(np.unique(user[training]))
    of_item = np.bincount(item[training], minlength=len(primary_items))
    idf = 1.0 + np.log((1.0 + users) / (1.0 + of_item))
    if features.weighting == "tf_idf":
        weight = np.sqrt(weight) * idf[item]
    else:
        total = np.bincount(user[training], weight[training], minlength=int(user.max()) + 1)
        # Of a user without training rows nothing is known: as long as the mean
        relative = np.where(total > 0, total / total[total > 0].mean(), 1.0)
        length = 1.0 - features.bm25_b + features.bm25_b * relative
        weight = weight * (features.bm25_k1 + 1.0) / (weight + features.bm25_k1 * length[user]) * idf[item]
    return table.assign(weight=weight.astype(np.float32))


# --- negatives ---


def sample_negatives(
    primary_interactions: pd.DataFrame, primary_items: pd.DataFrame, features: InteractionFeatures, seed: int
) -> pd.DataFrame:
    """Draw, for every held-out pair, items that its user has in no split: uniformly, without repetition.

    They are fixed, so that all models are ranked among the same ones. What is drawn depends on the pairs and the seed,
    not on the order of the rows. A user with fewer such items gets all of them.

    Args:
        primary_interactions: Pairs: ``user``, ``item``, ``split``.
        primary_items: One row per item; all of them may be drawn.
        features: How many.
        seed: Of the draw.

    Returns:
        ``user``, ``split`` (validation or test), ``item`` (int32), ``negatives`` (int32 arrays, in the order in which
        they were drawn), sorted by split (validation first), user and item.

    Raises:
        UserError: There is no held-out pair.
    """
    items = len(primary_items)
    user = primary_interactions["user"].to_numpy(dtype=np.int64)
    item = primary_interactions["item"].to_numpy(dtype=np.int64)
    split = pd.Categorical(primary_interactions["split"], categories=list(SPLITS)).codes
    seen = np.sort(user * items + item)
    held = np.flatnonzero(split > 0)
    if not len(held):
        raise UserError("recommendation.primary_interactions: no pair is held out for validation or test.")
    held = held[np.lexsort([item[held], user[held], split[held]])]
    row_user = user[held]
    unseen = items - np.bincount(user, minlength=int(user.max()) + 1)[row_user]
    random = np.random.default_rng([seed, 1])
    crowded = unseen < _CROWDED * features.negatives
    drawn = np.full((len(held), features.negatives), -1, dtype=np.int32)
    drawn[~crowded] = _draw_sparse(row_user[~crowded], seen, items, features.negatives, random)
    for rows in _pieces(np.flatnonzero(crowded), items):
        drawn[rows] = _draw_exactly(row_user[rows], seen, items, features.negatives, random)
    counts = np.minimum(unseen, features.negatives)
    table = pd.DataFrame(
        {
            "user": row_user.astype(np.int32),
            "split": np.array(SPLITS, dtype=object)[split[held]],
            "item": item[held].astype(np.int32),
        }
    )
    negatives = np.empty(len(held), dtype=object)
    negatives[:] = [row[:count] for row, count in zip(drawn, counts.tolist(), strict=True)]
    return table.assign(negatives=negatives)


def _draw_sparse(
    users: np.ndarray, seen: np.ndarray, items: int, count: int, random: np.random.Generator
) -> np.ndarray:
    """Draw all at once, then again in place of what the user has or what was drawn before; shape ``(rows, count)``."""
    rows = len(users)
    drawn = random.integers(0, items, (rows, count), dtype=np.int32)
    bad = np.ones((rows, count), dtype=bool)
    check = np.arange(rows)
    while len(check):
        part = drawn[check]
        bad = _is_member(users[check, None] * items + part, seen) | _is_repeated(part)
        redo = bad.any(axis=1)
        check, bad = check[redo], bad[redo]
        again, place = np.nonzero(bad)
        drawn[check[again], place] = random.integers(0, items, len(again), dtype=np.int32)
    return drawn


def _is_member(codes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(seen, codes), len(seen) - 1)
    return np.asarray(seen[place] == codes)


def _is_repeated(drawn: np.ndarray) -> np.ndarray:
    """Whether the same item stands further left in the row."""
    order = np.argsort(drawn, axis=1, kind="stable")
    ascending = np.take_along_axis(drawn, order, axis=1)
    again = np.zeros(drawn.shape, dtype=bool)
    again[:, 1:] = ascending[:, 1:] == ascending[:, :-1]
    repeated = np.empty_like(again)
    np.put_along_axis(repeated, order, again, axis=1)
    return repeated


def _draw_exactly(
    users: np.ndarray, seen: np.ndarray, items: int, count: int, random: np.random.Generator
) -> np.ndarray:
    """The items of a random order that the user does not have, and -1 where there are no more."""
    keys = random.random((len(users), items))
    keys[_is_member(users[:, None] * items + np.arange(items), seen)] = 2.0
    order = np.argsort(keys, axis=1)[:, :count]
    chosen = np.where(np.take_along_axis(keys, order, axis=1) < 2.0, order, -1)
    drawn = np.full((len(users), count), -1, dtype=np.int32)
    drawn[:, : chosen.shape[1]] = chosen
    return drawn


def _pieces(rows: np.ndarray, items: int) -> list[np.ndarray]:
    step = max(1, CELLS_AT_ONCE // max(items, 1))
    return [rows[start : start + step] for start in range(0, len(rows), step)]
