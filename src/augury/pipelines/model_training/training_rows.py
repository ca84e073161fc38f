"""The rows that trees are fitted on, in the memory of one process; the same rows on Spark: distributed_boosting."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.pipelines.model_training.forgetting import forget
from augury.predictors.query_cost_trees import (
    TEMPLATE_SEEN,
    bare_booster,
    booster_margin,
    open_booster,
    trees_matrix,
)
from augury.predictors.query_vocabulary import QueryVocabulary, VocabularyBounds

Target: TypeAlias = Literal["classifier", "regressor"]

OBJECTIVES: dict[Target, dict[str, Any]] = {
    "classifier": {"objective": "binary:logistic", "eval_metric": "logloss"},
    "regressor": {"objective": "reg:squarederror", "eval_metric": "rmse"},
}


FACTS = (
    "query_id",
    "date",
    "split",
    "is_heavy",
    "weight",
    "origin",
    "template",
    "cpu_time_s",
    "peak_memory_gb",
)
"""Columns of the feature matrix that training needs beside terms and features."""


class TreeSettings(Parameters):
    """XGBoost's parameters, with its own names where it has any."""

    rounds: int = Field(default=600, ge=1, description="boosting rounds at the most")
    early_stopping_rounds: int = Field(default=40, ge=1, description="rounds without improvement that end the training")
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    max_depth: int = Field(default=6, ge=1)
    min_child_weight: float = Field(default=1.0, ge=0)
    subsample: float = Field(default=0.8, gt=0, le=1, description="share of the rows per tree")
    colsample_bytree: float = Field(default=0.5, gt=0, le=1, description="share of the features per tree")
    reg_lambda: float = Field(default=1.0, ge=0)
    gamma: float = Field(default=0.0, ge=0, description="smallest loss reduction of a split")
    max_bin: int = Field(default=256, ge=2)

    def xgboost(self, target: Target, seed: int) -> dict[str, Any]:
        """Parameters for ``xgboost.train``, without threads."""
        own = self.model_dump(exclude={"rounds", "early_stopping_rounds"})
        return {**OBJECTIVES[target], **own, "tree_method": "hist", "seed": seed, "verbosity": 1}


class CostUnit(Parameters):
    """What the regression predicts: the logarithm of the cost in units of the thresholds that make a query heavy."""

    cpu_threshold_s: float = Field(gt=0)
    memory_threshold_gb: float = Field(gt=0)
    smallest: float = Field(gt=0, le=1, description="costs below this share of the threshold count as this")

    def log_cost(self, frame: pd.DataFrame) -> np.ndarray:
        """Log of the larger of both costs relative to their thresholds.

        A query that is heavy although its known costs are below the thresholds ran into a limit: its cost is at least
        the threshold.

        Args:
            frame: With ``cpu_time_s``, ``peak_memory_gb`` and ``is_heavy``.

        Returns:
            Shape (rows,); NaN where nothing is known.
        """
        cpu = pd.to_numeric(frame["cpu_time_s"]).to_numpy(dtype=np.float64) / self.cpu_threshold_s
        memory = pd.to_numeric(frame["peak_memory_gb"]).to_numpy(dtype=np.float64) / self.memory_threshold_gb
        ratio = np.fmax(np.fmax(cpu, memory), np.where(frame["is_heavy"].to_numpy(dtype=bool), 1.0, np.nan))
        return np.asarray(np.log(np.fmax(ratio, np.where(np.isnan(ratio), np.nan, self.smallest))))


@dataclass(frozen=True)
class Selection:
    """Rows of a split, from a first to a last date (both included), of all templates or of a part of them."""

    split: str
    first: str = ""
    last: str = "9999-12-31"
    part: int | None = None
    """Which part of the templates; None: all."""
    parts: int = 1
    others: bool = False
    """Take the templates of all other parts instead."""


def template_part(template: str, parts: int) -> int:
    """Which of equally many parts a template belongs to: whoever asks, whatever else there is."""
    return int(template[:8], 16) % parts


@dataclass(frozen=True)
class RowSettings:
    """What rows become a model's training data, apart from which rows these are."""

    numbers: tuple[str, ...]
    unit: CostUnit
    positive_weight: float
    new_template_share: float
    """Weight of a second copy of every training row, which is as if its template had never been seen; 0: none."""
    new_table_share: float
    """Share of these copies in which some tables have never been seen either."""

    def labelled(self, table: pd.DataFrame, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """Label and weight of every row.

        Args:
            table: Rows of the feature matrix.
            target: Which model is fitted.

        Returns:
            Label (NaN where the row cannot be used) and weight, float64 of shape (rows,).
        """
        heavy = table["is_heavy"].to_numpy(dtype=bool)
        weight = table["weight"].to_numpy(dtype=np.float64)
        if target == "classifier":
            return heavy.astype(np.float64), weight * np.where(heavy, self.positive_weight, 1.0)
        return self.unit.log_cost(table), weight

    def columns(self, matrix: np.ndarray, target: Target) -> np.ndarray:
        """The columns that a model sees: the regression goes without terms, so that no text can mislead it."""
        return matrix if target == "classifier" else matrix[:, : len(self.numbers)]

    def as_new(self, table: pd.DataFrame, matrix: np.ndarray) -> np.ndarray:
        """The rows as if their templates, and some of their tables, had never been seen."""
        return forget(table, matrix, self.numbers, self.new_table_share)

    def training_data(
        self, table: pd.DataFrame, matrix: np.ndarray, target: Target
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a model is fitted to: the usable rows and, behind them, their copies of new templates.

        Args:
            table: Rows of the feature matrix.
            matrix: The trees' input of these rows.
            target: Which model is fitted.

        Returns:
            Matrix, label and weight.
        """
        label, weight = self.labelled(table, target)
        usable = ~np.isnan(label)
        matrix, label, weight = self.columns(matrix, target)[usable], label[usable], weight[usable]
        share = self.new_template_share
        if not share:
            return matrix, label, weight
        return (
            np.vstack([matrix, self.as_new(table[usable], matrix)]),
            np.tile(label, 2),
            np.concatenate([weight, share * weight]),
        )

    def held_data(
        self, table: pd.DataFrame, matrix: np.ndarray, target: Target
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What stops a training: the usable rows as they are; see :meth:`training_data`."""
        label, weight = self.labelled(table, target)
        usable = ~np.isnan(label)
        return self.columns(matrix, target)[usable], label[usable], weight[usable]


class TrainingRows(Protocol):
    """What training needs to know of its rows, wherever they are."""

    def dates(self) -> list[str]:
        """Distinct dates of the training split, in order."""

    def fit_vocabulary(self, bounds: VocabularyBounds) -> QueryVocabulary:
        """Choose the terms on the training split and use them from now on."""

    def fit(self, target: Target, settings: TreeSettings, train: Selection, stop: Selection | None, seed: int) -> bytes:
        """Fit trees on some rows, stop early on others; UBJSON with the trees up to the best round."""

    def score(self, trees: Mapping[Target, bytes], rows: Selection, as_new_templates: bool = False) -> pd.DataFrame:
        """``date``, ``template``, ``is_heavy``, ``weight``, ``unseen`` and the sum of each model's trees."""

    def facts(self) -> dict[str, Any]:
        """Facts about the training split.

        Returns:
            ``fingerprint``, ``rows``, ``groups`` (templates), ``origin``, ``heavy`` (rows), ``heavy_groups`` (templates
            with a heavy row) and ``weight_sums`` (of weights and of their squares).
        """


def scored(
    table: pd.DataFrame,
    matrix: np.ndarray,
    trees: Mapping[Target, Any],
    settings: RowSettings,
    as_new_templates: bool,
) -> pd.DataFrame:
    """Score some rows; see :meth:`TrainingRows.score`.

    Args:
        table: Facts of the rows.
        matrix: Their whole matrix.
        trees: Opened boosters.
        settings: Which columns each of them sees.
        as_new_templates: Whether to score them as if their templates had never been seen.

    Returns:
        The scores.
    """
    if as_new_templates:
        matrix = settings.as_new(table, matrix)
    frame = table[["date", "template", "is_heavy", "weight"]].reset_index(drop=True)
    known = TEMPLATE_SEEN in settings.numbers
    frame["unseen"] = matrix[:, settings.numbers.index(TEMPLATE_SEEN)] == 0.0 if known else False
    for target, engine in trees.items():
        columns = np.ascontiguousarray(settings.columns(matrix, target))
        frame[target] = booster_margin(engine, columns).astype(np.float64)
    return frame


class CollectedRows:
    """Rows of the splits ``train`` and ``validation`` in memory."""

    def __init__(self, table: pd.DataFrame, settings: RowSettings, threads: int) -> None:
        """Keep the rows.

        Args:
            table: Rows of the feature matrix, in any order.
            settings: What becomes of them.
            threads: Threads of XGBoost; the trees do not depend on it.
        """
        known = table[table["split"].isin(("train", "validation"))]
        self._table = known.sort_values("query_id", ignore_index=True)
        self._settings = settings
        self._threads = threads
        self._matrix = np.empty((0, 0), dtype=np.float32)

    def dates(self) -> list[str]:
        """See :class:`TrainingRows`."""
        return sorted(self._table.loc[self._table["split"] == "train", "date"].unique())

    def fit_vocabulary(self, bounds: VocabularyBounds) -> QueryVocabulary:
        """See :class:`TrainingRows`."""
        vocabulary = QueryVocabulary.fit(self._table.loc[self._table["split"] == "train", "terms"].tolist(), bounds)
        self._matrix = trees_matrix(self._table, self._settings.numbers, vocabulary)
        return vocabulary

    def fit(self, target: Target, settings: TreeSettings, train: Selection, stop: Selection | None, seed: int) -> bytes:
        """See :class:`TrainingRows`."""
        import xgboost

        rows = self._mask(train)
        matrix, label, weight = self._settings.training_data(self._table[rows], self._matrix[rows], target)
        # The trees of a DMatrix at a quarter of its memory
        data = xgboost.QuantileDMatrix(
            matrix, label, weight=weight, nthread=self._threads, max_bin=settings.max_bin
        )  # fmt: skip
        evaluations, callbacks = [], []
        if stop is not None:
            rows = self._mask(stop)
            matrix, label, weight = self._settings.held_data(self._table[rows], self._matrix[rows], target)
            # Not a QuantileDMatrix, which is put together again from its bins for every tree
            evaluations = [(xgboost.DMatrix(matrix, label, weight=weight, nthread=self._threads), "stop")]
            callbacks = [xgboost.callback.EarlyStopping(rounds=settings.early_stopping_rounds, save_best=True)]
        parameters = settings.xgboost(target, seed) | {"nthread": self._threads}
        booster = xgboost.train(
            parameters, data, settings.rounds, evals=evaluations, callbacks=callbacks, verbose_eval=False
        )
        return bare_booster(booster)

    def score(self, trees: Mapping[Target, bytes], rows: Selection, as_new_templates: bool = False) -> pd.DataFrame:
        """See :class:`TrainingRows`."""
        mask = self._mask(rows)
        engines = {target: open_booster(booster, self._threads) for target, booster in trees.items()}
        return scored(self._table[mask], self._matrix[mask], engines, self._settings, as_new_templates)

    def facts(self) -> dict[str, Any]:
        """See :class:`TrainingRows`."""
        from augury.pipelines.model_training.boosted_trees import fingerprint

        train = self._table[self._table["split"] == "train"]
        return {
            "fingerprint": fingerprint(train),
            "rows": len(train),
            "groups": int(train["template"].nunique()),
            "origin": {str(name): int(count) for name, count in train["origin"].value_counts().sort_index().items()},
            "heavy": int(train["is_heavy"].sum()),
            "heavy_groups": int(train.loc[train["is_heavy"], "template"].nunique()),
            "weight_sums": [float(train["weight"].sum()), float((train["weight"] ** 2).sum())],
        }

    def _mask(self, rows: Selection) -> np.ndarray:
        table = self._table
        chosen = (table["split"] == rows.split) & (table["date"] >= rows.first) & (table["date"] <= rows.last)
        mask = chosen.to_numpy(dtype=bool)
        if rows.part is not None:
            parts = {name: template_part(name, rows.parts) for name in table["template"].unique()}
            inside = table["template"].map(parts).to_numpy() == rows.part
            mask &= ~inside if rows.others else inside
        return mask
