"""Champion against challenger: a recommender on the held-out pairs of the present data."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.metrics.top_k import FULL, SAMPLED, frame_metrics, judge_scorer, seen_items
from augury.pipelines.promotion.decision import Comparison, Incompatible, decide
from augury.pipelines.promotion.paired_comparison import CHALLENGER, CHAMPION, IMPROVEMENT, compare_losses
from augury.pipelines.promotion.rules import PromotionRules
from augury.predictors.predictor_version import PredictorVersion


class RankingPromotion(PromotionRules):
    """Rules for a recommender; the main metric is NDCG@k in the full ranking, larger is better."""

    k: int = Field(default=10, ge=1, description="Length of the lists.")
    split: str = Field(default="test", description="Which rows of the feature table both rank.")
    epsilon_hr: float = Field(
        default=0.01,
        ge=0,
        allow_inf_nan=False,
        description="By how much the lower bound of the improvement of HR@k may lie below 0.",
    )


def decide_ranking(
    champion: PredictorVersion | None,
    challenger: PredictorVersion | None,
    features_matrix: Any,
    features_negatives: Any,
    primary_users: pd.DataFrame,
    primary_items: pd.DataFrame,
    provenance: dict[str, Any],
    rules: RankingPromotion,
    seed: int,
) -> dict[str, Any]:
    """Compare both on the same held-out pairs, and decide.

    Args:
        champion: The version in force; None if there is none.
        challenger: The newest version; None if there is none.
        features_matrix: ``user``, ``item``, ``split``; any engine.
        features_negatives: ``user``, ``split``, ``item``, ``negatives``; for the sampled protocol, which is reported
            and decides nothing.
        primary_users: In the order of their codes: ``user_id``.
        primary_items: In the order of their codes: ``item_id``.
        provenance: For the time: ``created_at``.
        rules: Which pairs, and when the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The decision, see :func:`~augury.pipelines.promotion.decision.decide`.

    Raises:
        UserError: No row has the split.
    """
    matrix, negatives = engines.to_pandas(features_matrix), engines.to_pandas(features_negatives)
    if not (matrix["split"] == rules.split).any():
        raise UserError(
            f"Parameter 'promotion.split': no row of the feature table has the split '{rules.split}'; there are: "
            f"{', '.join(sorted(matrix['split'].unique())) or 'none'}."
        )
    compare = partial(
        compare_ranking,
        features_matrix=matrix,
        features_negatives=negatives,
        user_ids=primary_users["user_id"].to_numpy(dtype=object),
        item_ids=primary_items["item_id"].to_numpy(dtype=object),
        rules=rules,
        seed=seed,
    )
    return decide(champion, challenger, compare, rules, provenance["created_at"])


def compare_ranking(
    champion: Any,
    challenger: Any,
    features_matrix: pd.DataFrame,
    features_negatives: pd.DataFrame,
    user_ids: npt.NDArray[Any],
    item_ids: npt.NDArray[Any],
    rules: RankingPromotion,
    seed: int,
) -> Comparison:
    """Compare NDCG and HR of two recommenders, whatever codes they know users and items by.

    Each is asked as a service would ask it: a user that it does not know is shown what is popular, an item that it
    does not know comes last. Pairs that one of them has learned from are left out.

    Args:
        champion: The recommender in force.
        challenger: The new one.
        features_matrix: ``user``, ``item``, ``split``.
        features_negatives: ``user``, ``split``, ``item``, ``negatives``.
        user_ids: By present code.
        item_ids: By present code.
        rules: Which pairs, and when the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The comparison; its rows are pairs, its groups users.

    Raises:
        Incompatible: One of them is no recommender, knows none of the users or items, or no pair is left.
    """
    translated = {
        name: Translated(model, name, user_ids, item_ids)
        for name, model in ((CHAMPION, champion), (CHALLENGER, challenger))
    }
    held_out = features_matrix["split"] == rules.split
    pairs = features_matrix.loc[held_out, ["user", "item"]].sort_values(["user", "item"], ignore_index=True)
    learned = np.logical_or(*(model.has_learned(pairs) for model in translated.values()))
    pairs = pairs[~learned].reset_index(drop=True)
    if pairs.empty:
        raise Incompatible(f"one of them has learned from every pair of the split '{rules.split}'")
    known = features_matrix[~held_out]
    seen = seen_items(known["user"].to_numpy(), known["item"].to_numpy(), len(user_ids), len(item_ids))
    negatives = features_negatives[features_negatives["split"] == rules.split]
    judged = {name: judge_scorer(model, pairs, seen, negatives, rules.k) for name, model in translated.items()}
    found = {
        f"{prefix}{metric}_at_{rules.k}": _compare(judged, f"{metric}_at_{rules.k}", protocol, rules, seed)
        for prefix, protocol in (("", FULL), (f"{SAMPLED}_", SAMPLED))
        for metric in ("ndcg", "hr")
    }
    metrics = {name: values for name, values in found.items() if values}
    main, hit_rate = f"ndcg_at_{rules.k}", metrics[f"hr_at_{rules.k}"]
    worse: dict[str, str] = {}
    perhaps_worse: dict[str, str] = {}
    for where, end, words in ((worse, IMPROVEMENT, "difference"), (perhaps_worse, "lower", "lower bound")):
        value = hit_rate[end]
        if value is not None and value < -rules.epsilon_hr:
            where["hr"] = (
                f"but HR@{rules.k} {hit_rate[CHAMPION]:.6g} -> {hit_rate[CHALLENGER]:.6g}, {words} {value:.3g}, "
                f"below {-rules.epsilon_hr:g}"
            )
    return Comparison(
        rows=len(pairs),
        groups=pairs["user"].nunique(),
        metric=main,
        main=metrics[main],
        metrics=metrics,
        worse=worse,
        perhaps_worse=perhaps_worse,
    )


class Translated:
    """A recommender that is asked by the codes of the present data."""

    def __init__(self, predictor: Any, role: str, user_ids: npt.NDArray[Any], item_ids: npt.NDArray[Any]) -> None:
        """Find the present users and items among those that the recommender knows.

        Args:
            predictor: ``score_users``, ``popularity``, ``seen``, ``user_index``, ``item_ids``.
            role: ``champion`` or ``challenger``.
            user_ids: By present code.
            item_ids: By present code.

        Raises:
            Incompatible: It is no recommender, or knows none of the users or none of the items.
        """
        if not hasattr(predictor, "score_users"):
            raise Incompatible(f"the {role} is of family '{predictor.metadata.family}', which ranks no items")
        items = {name: code for code, name in enumerate(predictor.item_ids)}
        self._predictor = predictor
        self._users = np.array([predictor.user_index.get(name, -1) for name in user_ids], dtype=np.int32)
        self._items = np.array([items.get(name, -1) for name in item_ids], dtype=np.int64)
        for kind, codes in (("users", self._users), ("items", self._items)):
            if not (codes >= 0).any():
                raise Incompatible(f"the {role} knows none of the {len(codes):,} {kind} of the present data")
        self._seen = predictor.seen
        # As it serves: without any interaction a user is shown what is popular
        self._served = np.diff(self._seen.indptr) > 0

    def score_users(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """See :class:`~augury.metrics.top_k.Scorer`; unknown items share the last place."""
        codes = self._users[users]
        known = (codes >= 0) & self._served[np.maximum(codes, 0)]
        scores = np.tile(np.asarray(self._predictor.popularity, dtype=np.float32), (len(users), 1))
        if known.any():
            scores[known] = self._predictor.score_users(codes[known])
        found = scores[:, np.maximum(self._items, 0)]
        return np.where(self._items >= 0, found, np.nextafter(scores.min(axis=1), np.float32(-np.inf))[:, None])

    def has_learned(self, pairs: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether each pair of ``user`` and ``item`` is among what it was trained on."""
        users, items = self._users[pairs["user"].to_numpy()], self._items[pairs["item"].to_numpy()]
        known = np.flatnonzero((users >= 0) & (items >= 0))
        found = np.zeros(len(pairs), dtype=bool)
        width = self._seen.shape[1]
        rows = np.repeat(np.arange(self._seen.shape[0], dtype=np.int64), np.diff(self._seen.indptr))
        learned = rows * width + self._seen.indices
        found[known] = np.isin(users[known].astype(np.int64) * width + items[known], learned)
        return found


def _compare(
    judged: dict[str, pd.DataFrame], metric: str, protocol: str, rules: RankingPromotion, seed: int
) -> dict[str, float | None]:
    """A metric of both, per user and paired; empty where no user has it."""
    values = {name: frame_metrics(frame, [rules.k], protocol)[metric] for name, frame in judged.items()}
    if values[CHAMPION].empty:
        return {}
    losses = {name: 1 - found.to_numpy() for name, found in values.items()}
    compared = compare_losses(losses, values[CHAMPION].index.to_numpy(), rules, seed)
    return compared | {name: float(found.mean()) for name, found in values.items()}
