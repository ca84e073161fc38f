"""Let a recommender rank the held-out items, beside the baselines, and check its ONNX export there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.metrics.top_k import FULL, SAMPLED, judge_scorer, seen_items
from augury.pipelines.evaluation.ranking_parameters import RankingEvaluation

TEST = "test"
SECONDS_PER_DAY = 86_400
UNKNOWN = "unknown"
JUDGED = (f"{FULL}_rank", f"{FULL}_ties", f"{SAMPLED}_rank", f"{SAMPLED}_ties", "top")


def predict_ranking_holdout(
    predictor: Any,
    features_matrix: Any,
    features_negatives: Any,
    primary_users: pd.DataFrame,
    primary_items: pd.DataFrame,
    predictions_baselines: pd.DataFrame,
    evaluation: RankingEvaluation,
) -> pd.DataFrame:
    """Rank every held-out item of the test split among all that its user has not seen, and among sampled ones.

    Args:
        predictor: A recommender: ``score_users``, ``popularity``, ``user_index``, ``item_ids``.
        features_matrix: ``user``, ``item``, ``split``, ``timestamp`` (seconds; 0 or absent: unknown); any engine.
        features_negatives: ``user``, ``split``, ``item`` (the held-out one), ``negatives``.
        primary_users: In the order of their codes: ``user_id``, ``interactions`` (of training).
        primary_items: In the order of their codes: ``item_id``, ``interactions`` (of training), ``first_seen`` (s).
        predictions_baselines: ``baseline``, ``user``, ``item``, ``full_rank``, ``sampled_rank``, ``top``; with
            ``full_ties`` and ``sampled_ties`` ties count in full detail.
        evaluation: How long lists are, and where slices begin.

    Returns:
        One row per held-out pair (one per user where only the last interaction is held out): ``user``, ``item``, what
        :func:`~augury.metrics.top_k.judge_scorer` says of the model, and for every baseline ``<baseline>_full_rank``,
        ``<baseline>_sampled_rank``, ``<baseline>_top`` and their ties; the slice columns ``activity`` (training
        interactions of the user), ``popularity`` (the third of all training interactions that the item belongs to),
        ``item_age``, ``cold_user`` and ``cold_item`` (nothing of theirs is in training).

    Raises:
        UserError: There are no held-out pairs, the predictor was trained on other users or items, or a baseline lacks
            pairs.
    """
    matrix, negatives = engines.to_pandas(features_matrix), engines.to_pandas(features_negatives)
    _same_ids(predictor, primary_users, primary_items)
    held_out = matrix["split"] == TEST
    pairs = matrix[held_out].sort_values(["user", "item"], ignore_index=True)
    if pairs.empty:
        raise UserError(
            "recommendation.features_matrix: no row has the split 'test', so there is nothing to judge. Are the users' "
            "histories long enough for the split?"
        )
    known = matrix[~held_out]
    seen = seen_items(known["user"].to_numpy(), known["item"].to_numpy(), len(primary_users), len(primary_items))
    negatives = features_negatives[features_negatives["split"] == TEST]
    judged = judge_scorer(
        Served(predictor, np.diff(seen.indptr)), pairs[["user", "item"]], seen, negatives, max(evaluation.sizes)
    )
    users, items = (judged[name].to_numpy() for name in ("user", "item"))
    of_user = primary_users["interactions"].to_numpy()
    of_item = primary_items["interactions"].to_numpy()
    judged["activity"] = activity_labels(of_user[users], evaluation.activity_edges)
    judged["popularity"] = popularity_labels(of_item)[items]
    judged["item_age"] = age_labels(_ages(pairs, primary_items), evaluation.item_age_days)
    judged["cold_user"] = of_user[users] == 0
    judged["cold_item"] = of_item[items] == 0
    return _with_baselines(judged, predictions_baselines)


def check_ranking_export(
    predictor: Any, features_matrix: Any, evaluation: RankingEvaluation, seed: int
) -> dict[str, Any]:
    """Compare the ONNX graph of the scorer with the predictor on held-out pairs.

    Args:
        predictor: The recommender: ``compare_onnx``, which compares the members that score a pair by itself.
        features_matrix: ``user``, ``item``, ``split``.
        evaluation: How many pairs, and how close.
        seed: Seed of the choice of pairs.

    Returns:
        Facts for the metrics: rows and groups trained on, rows compared, the largest difference as a share of the
        largest score, over all members and by member.

    Raises:
        ValueError: The export differs by more than ``export_tolerance``.
    """
    matrix = engines.to_pandas(features_matrix)
    pairs = matrix.loc[matrix["split"] == TEST, ["user", "item"]]
    chosen = pairs.sample(min(evaluation.export_pairs, len(pairs)), random_state=seed).sort_values(["user", "item"])
    found = predictor.compare_onnx(chosen["user"].to_numpy(), chosen["item"].to_numpy())
    difference = found["max_difference"]
    if not difference <= evaluation.export_tolerance:
        raise ValueError(
            f"The ONNX export differs from the model by up to {difference:.2g} of the largest score on held-out pairs."
        )
    data = predictor.metadata.data
    onnx = {"rows": found["rows"], "max_difference": difference}
    onnx |= {f"max_difference_{kind}": value for kind, value in found["members"].items()}
    return {"n_train": data.rows, "n_train_groups": data.groups, "onnx": onnx}


class Served:
    """The scores that users are served with: those without any interaction are shown what is popular."""

    def __init__(self, predictor: Any, interactions: npt.NDArray[Any]) -> None:
        """Keep the recommender.

        Args:
            predictor: ``score_users``, ``popularity``.
            interactions: What is known of each user, shape ``(users,)``.
        """
        self._predictor = predictor
        self._interactions = interactions

    def score_users(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """See :class:`~augury.metrics.top_k.Scorer`."""
        scores = np.asarray(self._predictor.score_users(users), dtype=np.float32)
        new = self._interactions[users] == 0
        return np.where(new[:, None], self._predictor.popularity, scores) if new.any() else scores


def activity_labels(interactions: npt.NDArray[Any], edges: Sequence[int]) -> npt.NDArray[Any]:
    """Say how active users are, in ranges.

    Args:
        interactions: Whole numbers, shape ``(n,)``.
        edges: Where a new range begins, ascending.

    Returns:
        Texts, shape ``(n,)``.

    Examples:
        >>> activity_labels(np.array([0, 3, 9, 50]), [1, 10]).tolist()
        ['0', '1 to 9', '1 to 9', '10 or more']
    """
    starts = [0, *edges]
    ranges = [
        str(low) if low == high else f"{low} to {high}"
        for low, high in zip(starts, (edge - 1 for edge in edges), strict=False)
    ]
    return np.array([*ranges, f"{starts[-1]} or more"], dtype=object)[
        np.searchsorted(edges, interactions, side="right")
    ]


def age_labels(days: npt.NDArray[np.float64], edges: Sequence[float]) -> npt.NDArray[Any]:
    """Say how old items are, in ranges; NaN is ``unknown``.

    Examples:
        >>> age_labels(np.array([3.0, 30.0, np.nan]), [30, 180]).tolist()
        ['0 to 30 days', '30 to 180 days', 'unknown']
    """
    starts = [0.0, *edges]
    ranges = [f"{low:g} to {high:g} days" for low, high in zip(starts, edges, strict=False)]
    labels = np.array([*ranges, f"{starts[-1]:g} days or more"], dtype=object)
    found = labels[np.searchsorted(edges, np.nan_to_num(days), side="right")]
    found[np.isnan(days)] = UNKNOWN
    return found


def popularity_labels(interactions: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Say to which third of all interactions each item belongs, the most popular items first.

    Args:
        interactions: Training interactions of each item, shape ``(items,)``.

    Returns:
        ``head``, ``middle`` or ``tail``; ``cold`` without any interaction. Shape ``(items,)``.

    Examples:
        >>> popularity_labels(np.array([1, 6, 0, 3, 1, 1])).tolist()
        ['tail', 'head', 'cold', 'middle', 'tail', 'tail']
    """
    order = np.argsort(-interactions, kind="stable")
    before = np.cumsum(interactions[order]) - interactions[order]
    third = np.minimum(3 * before // max(int(interactions.sum()), 1), 2)
    found = np.empty(len(interactions), dtype=object)
    found[order] = np.array(["head", "middle", "tail"], dtype=object)[third]
    found[interactions == 0] = "cold"
    return found


def _ages(pairs: pd.DataFrame, primary_items: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Days between an item's first interaction and the held-out one; NaN where a time is unknown."""
    if "timestamp" not in pairs or "first_seen" not in primary_items:
        return np.full(len(pairs), np.nan)
    then = pairs["timestamp"].to_numpy(dtype=np.float64, na_value=np.nan)
    first = primary_items["first_seen"].to_numpy(dtype=np.float64, na_value=np.nan)[pairs["item"].to_numpy()]
    return np.where((then > 0) & (first > 0), np.maximum(then - first, 0) / SECONDS_PER_DAY, np.nan)


def _same_ids(predictor: Any, primary_users: pd.DataFrame, primary_items: pd.DataFrame) -> None:
    trained = {"users": list(predictor.user_index), "items": list(predictor.item_ids)}
    present = {"users": primary_users["user_id"].tolist(), "items": primary_items["item_id"].tolist()}
    for kind, ids in trained.items():
        if ids != present[kind]:
            raise UserError(
                f"recommendation.predictor was trained on {len(ids):,} {kind}, but the present data have "
                f"{len(present[kind]):,}, or the same in another order. Train it on the present data: "
                "kedro run --pipelines=training --namespaces=recommendation"
            )


def _with_baselines(judged: pd.DataFrame, predictions_baselines: pd.DataFrame) -> pd.DataFrame:
    pairs = pd.MultiIndex.from_frame(judged[["user", "item"]])
    parts = [judged]
    for name, rows in predictions_baselines.groupby("baseline", sort=False):
        place = pd.MultiIndex.from_frame(rows[["user", "item"]]).get_indexer(pairs)
        if (place < 0).any():
            user, item = pairs[place < 0][0]
            raise UserError(
                f"recommendation.predictions_baselines: the baseline '{name}' must rank every held-out pair; it lacks "
                f"{int((place < 0).sum()):,} of {len(pairs):,}, for example user {user}, item {item}."
            )
        chosen = rows.iloc[place][[column for column in JUDGED if column in rows]]
        parts.append(chosen.set_axis(judged.index).add_prefix(f"{name}_"))
    return pd.concat(parts, axis=1)
