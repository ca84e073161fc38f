"""The rows that trees are fitted on, in the memory of one process; the same rows on Spark: distributed_boosting."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.query_cost_trees import bare_booster, booster_margin, open_booster, trees_matrix
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
    """Rows of a split, from a first to a last date (both included)."""

    split: str
    first: str = ""
    last: str = "9999-12-31"


class TrainingRows(Protocol):
    """What training needs to know of its rows, wherever they are."""

    def dates(self) -> list[str]:
        """Distinct dates of the training split, in order."""

    def fit_vocabulary(self, bounds: VocabularyBounds) -> QueryVocabulary:
        """Choose the terms on the training split and use them from now on."""

    def fit(self, target: Target, settings: TreeSettings, train: Selection, stop: Selection | None, seed: int) -> bytes:
        """Fit trees on some rows, stop early on others; UBJSON with the trees up to the best round."""

    def score(self, boosters: list[bytes], rows: Selection) -> pd.DataFrame:
        """``date``, ``is_heavy``, ``weight`` and ``score_<n>`` per booster (float64) of some rows, by query id."""

    def facts(self) -> dict[str, Any]:
        """``fingerprint``, ``rows``, ``groups``, ``origin``, ``heavy`` and ``weight_sums`` of the training split."""


class CollectedRows:
    """Rows of the splits ``train`` and ``validation`` in memory."""

    def __init__(
        self, table: pd.DataFrame, numbers: tuple[str, ...], unit: CostUnit, positive_weight: float, threads: int
    ) -> None:
        """Keep the rows.

        Args:
            table: Rows of the feature matrix, in any order.
            numbers: Numeric features in order.
            unit: Target of the regression.
            positive_weight: Factor on the weight of heavy rows when the classifier is fitted.
            threads: Threads of XGBoost; the trees do not depend on it.
        """
        known = table[table["split"].isin(("train", "validation"))]
        self._table = known.sort_values("query_id", ignore_index=True)
        self._numbers = numbers
        self._unit = unit
        self._positive_weight = positive_weight
        self._threads = threads
        self._matrix = np.empty((0, 0), dtype=np.float32)

    def dates(self) -> list[str]:
        """See :class:`TrainingRows`."""
        return sorted(self._table.loc[self._table["split"] == "train", "date"].unique())

    def fit_vocabulary(self, bounds: VocabularyBounds) -> QueryVocabulary:
        """See :class:`TrainingRows`."""
        vocabulary = QueryVocabulary.fit(self._table.loc[self._table["split"] == "train", "terms"].tolist(), bounds)
        self._matrix = trees_matrix(self._table, self._numbers, vocabulary)
        return vocabulary

    def fit(self, target: Target, settings: TreeSettings, train: Selection, stop: Selection | None, seed: int) -> bytes:
        """See :class:`TrainingRows`."""
        import xgboost

        label, weight = self._target(target)
        rows = self._mask(train) & ~np.isnan(label)
        parameters = settings.xgboost(target, seed) | {"nthread": self._threads}
        # The trees of a DMatrix at a quarter of its memory
        data = xgboost.QuantileDMatrix(
            self._matrix[rows], label[rows], weight=weight[rows], nthread=self._threads, max_bin=settings.max_bin
        )
        evaluations, callbacks = [], []
        if stop is not None:
            held = self._mask(stop) & ~np.isnan(label)
            # Not a QuantileDMatrix, which is put together again from its bins for every tree
            held_data = xgboost.DMatrix(
                self._matrix[held], label[held], weight=weight[held], nthread=self._threads
            )  # fmt: skip
            evaluations = [(held_data, "stop")]
            callbacks = [xgboost.callback.EarlyStopping(rounds=settings.early_stopping_rounds, save_best=True)]
        booster = xgboost.train(
            parameters, data, settings.rounds, evals=evaluations, callbacks=callbacks, verbose_eval=False
        )
        return bare_booster(booster)

    def score(self, boosters: list[bytes], rows: Selection) -> pd.DataFrame:
        """See :class:`TrainingRows`."""
        mask = self._mask(rows)
        frame = self._table.loc[mask, ["date", "is_heavy", "weight"]].reset_index(drop=True)
        for number, booster in enumerate(boosters):
            engine = open_booster(booster, self._threads)
            frame[f"score_{number}"] = booster_margin(engine, self._matrix[mask]).astype(np.float64)
        return frame

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
            "weight_sums": [float(train["weight"].sum()), float((train["weight"] ** 2).sum())],
        }

    def _mask(self, rows: Selection) -> np.ndarray:
        table = self._table
        chosen = (table["split"] == rows.split) & (table["date"] >= rows.first) & (table["date"] <= rows.last)
        return chosen.to_numpy(dtype=bool)

    def _target(self, target: Target) -> tuple[np.ndarray, np.ndarray]:
        return label_and_weight(self._table, target, self._unit, self._positive_weight)


def label_and_weight(
    table: pd.DataFrame, target: Target, unit: CostUnit, positive_weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Label and weight of every row.

    Args:
        table: Rows of the feature matrix.
        target: Which model is fitted.
        unit: Target of the regression.
        positive_weight: Factor on the weight of heavy rows, for the classifier.

    Returns:
        Label (NaN where the row cannot be used) and weight, float64 of shape (rows,).
    """
    heavy = table["is_heavy"].to_numpy(dtype=bool)
    weight = table["weight"].to_numpy(dtype=np.float64)
    if target == "classifier":
        return heavy.astype(np.float64), weight * np.where(heavy, positive_weight, 1.0)
    return unit.log_cost(table), weight
