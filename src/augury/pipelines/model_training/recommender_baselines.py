"""The plain rules and models that ``recommendation`` has to beat, fitted on the same rows."""

from typing import Any, Literal

import pandas as pd
from pydantic import Field

from augury import engines
from augury.checkpointing import NoCheckpoints
from augury.metrics.top_k import judge_scorer
from augury.parameters import Parameters
from augury.pipelines.model_training.recommender_members import fit_member, refit_member
from augury.pipelines.model_training.recommender_models import (
    EaseSettings,
    IalsSettings,
    ItemKnnSettings,
    MemberSettings,
    PopularitySettings,
)
from augury.pipelines.model_training.recommender_validation import validation_of
from augury.predictors.recommender_scorers import Scorer
from augury.predictors.user_histories import Histories

TRAIN, VALIDATION, TEST = "train", "validation", "test"

BaselineName = Literal["popularity", "item_knn", "ease", "ials"]


class RecommenderBaselines(Parameters):
    """Which baselines there are, each tuned on validation; none of them knows what is recent."""

    names: tuple[BaselineName, ...] = ("popularity", "item_knn", "ease", "ials")
    item_knn: ItemKnnSettings = ItemKnnSettings(half_life=(None,))
    ease: EaseSettings = EaseSettings(half_life=(None,))
    ials: IalsSettings = IalsSettings(half_life=(None,))
    validation_users: int = Field(default=2_000, ge=1, description="users whose validation item decides")
    k: int = Field(default=10, ge=1, description="length of the lists")
    sampled_weight: float = Field(default=0.3, ge=0, description="see recommendation.model.sampled_weight")


class _Users:
    """A member as a scorer of users by their codes."""

    def __init__(self, scorer: Scorer, histories: Histories) -> None:
        self._scorer = scorer
        self._histories = histories

    def score_users(self, users: Any) -> Any:
        return self._scorer.scores(users, self._histories.take(users))


def rank_recommender_baselines(
    features_matrix: Any,
    features_negatives: Any,
    primary_items: Any,
    baselines: RecommenderBaselines,
    seed: int,
) -> pd.DataFrame:
    """Rank the test items by each baseline.

    Args:
        features_matrix: ``user``, ``item``, ``weight``, ``timestamp``, ``split``.
        features_negatives: ``user``, ``split``, ``item``, ``negatives``.
        primary_items: One row per item.
        baselines: Parameters.
        seed: Seed.

    Returns:
        ``baseline``, ``user``, ``item``, ``split``, ``full_rank``, ``full_ties``, ``sampled_rank``, ``sampled_ties``,
        ``sampled_negatives``, ``top``: a row per baseline and test pair, see
        :func:`~augury.metrics.top_k.judge_scorer`. All are fitted on training and validation, with what validation
        chose for fits on training alone.
    """
    matrix = engines.to_pandas(features_matrix)
    shape = (int(matrix["user"].max()) + 1, len(primary_items))
    learned, known = (
        _histories(matrix[matrix["split"].isin(splits)], shape) for splits in ([TRAIN], [TRAIN, VALIDATION])
    )
    of = features_negatives["split"]
    validation = validation_of(
        matrix[matrix["split"] == VALIDATION],
        features_negatives[of == VALIDATION],
        learned,
        baselines.validation_users,
        baselines.k,
        seed,
        baselines.sampled_weight,
    )
    test = matrix.loc[matrix["split"] == TEST, ["user", "item"]].reset_index(drop=True)
    parts = []
    for name in baselines.names:
        settings = _settings(name, baselines)
        chosen = fit_member(name, settings, learned, validation or None, seed, NoCheckpoints()).chosen
        scorer = refit_member(name, settings, chosen, known, seed, NoCheckpoints()).scorer
        judged = judge_scorer(_Users(scorer, known), test, known.table(), features_negatives[of == TEST], baselines.k)
        judged.insert(0, "baseline", name)
        judged.insert(3, "split", TEST)
        parts.append(judged)
    return pd.concat(parts, ignore_index=True)


def _settings(name: str, baselines: RecommenderBaselines) -> MemberSettings:
    found: MemberSettings = PopularitySettings() if name == "popularity" else getattr(baselines, name)
    return found


def _histories(rows: pd.DataFrame, shape: tuple[int, int]) -> Histories:
    return Histories.from_pairs(
        rows["user"].to_numpy(), rows["item"].to_numpy(), rows["weight"].to_numpy(), rows["timestamp"].to_numpy(), shape
    )
