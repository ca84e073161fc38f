"""The rows that trees are fitted on where they are too many for one process: XGBoost on Spark, in barrier mode.

What comes out is the same: boosters in UBJSON, scores of the rows, facts about them. Only scores and counts are
collected, never the matrix. Sums over workers are added up in another order than in one process, so that the trees are
not the same to the last bit.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.pipelines.model_training.training_rows import (
    FACTS,
    CostUnit,
    Selection,
    Target,
    TreeSettings,
    label_and_weight,
)
from augury.predictors.query_cost_trees import bare_booster, booster_margin, open_booster, trees_matrix
from augury.predictors.query_vocabulary import QueryVocabulary, VocabularyBounds, choose_terms

_TRAINING_COLUMNS = "features array<float>, label double, weight double, held boolean"


class DistributedRows:
    """Rows of the splits ``train`` and ``validation`` on Spark; see ``TrainingRows``."""

    def __init__(
        self, frame: Any, numbers: tuple[str, ...], unit: CostUnit, positive_weight: float, workers: int
    ) -> None:
        """Keep the frame.

        Args:
            frame: Spark frame of the feature matrix.
            numbers: Numeric features in order.
            unit: Target of the regression.
            positive_weight: Factor on the weight of heavy rows when the classifier is fitted.
            workers: Spark tasks that train together; all of them must run at once.
        """
        self._frame = frame.select(*FACTS, "terms", *numbers)
        self._numbers = numbers
        self._unit = unit
        self._positive_weight = positive_weight
        self._workers = workers
        self._vocabulary = QueryVocabulary(())

    def dates(self) -> list[str]:
        """See ``TrainingRows``."""
        found = self._select(Selection("train")).select("date").distinct().toPandas()
        return sorted(found["date"].astype(str))

    def fit_vocabulary(self, bounds: VocabularyBounds) -> QueryVocabulary:
        """See ``TrainingRows``."""
        from pyspark.sql import functions

        train = self._select(Selection("train"))
        rows = train.select(
            functions.xxhash64("query_id").alias("row"),
            functions.explode(functions.array_distinct(functions.split("terms", " "))).alias("term"),
        )
        # Which rows have a term, as one number: terms with the same rows have the same one
        counts = (
            rows.filter(functions.col("term") != "")
            .groupBy("term")
            .agg(functions.count("row").alias("rows"), functions.bit_xor("row").alias("where"))
            .toPandas()
        )
        terms = choose_terms(
            dict(zip(counts["term"], counts["rows"].astype(int), strict=True)),
            train.count(),
            bounds,
            dict(zip(counts["term"], counts["where"].astype(int), strict=True)),
        )
        self._vocabulary = QueryVocabulary(terms)
        return self._vocabulary

    def fit(self, target: Target, settings: TreeSettings, train: Selection, stop: Selection | None, seed: int) -> bytes:
        """See ``TrainingRows``."""
        from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

        frame = self._training_frame(target, train, held=False)
        if stop is not None:
            frame = frame.unionByName(self._training_frame(target, stop, held=True))
        parameters = settings.xgboost(target, seed)
        early: dict[str, Any] = {}
        if stop is not None:
            callback = {"early_stopping_rounds": settings.early_stopping_rounds, "validation_indicator_col": "held"}
            early = callback
        estimator_class = SparkXGBClassifier if target == "classifier" else SparkXGBRegressor
        for name in ("objective",) if target == "classifier" else ():
            parameters.pop(name)  # binary:logistic, as the estimator finds from the labels
        estimator = estimator_class(
            features_col="features",
            label_col="label",
            weight_col="weight",
            num_workers=self._workers,
            n_estimators=settings.rounds,
            # Early stopping must see training and held rows on every worker
            force_repartition=True,
            verbose=False,
            random_state=parameters.pop("seed"),
            **parameters,
            **early,
        )
        booster = estimator.fit(frame).get_booster()
        if stop is not None:
            booster = booster[: booster.best_iteration + 1]
        return bare_booster(booster)

    def score(self, boosters: list[bytes], rows: Selection) -> pd.DataFrame:
        """See ``TrainingRows``."""
        numbers, vocabulary = self._numbers, self._vocabulary
        names = [f"score_{number}" for number in range(len(boosters))]

        def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            engines = [open_booster(booster) for booster in boosters]
            for batch in batches:
                if not len(batch):
                    continue
                matrix = trees_matrix(batch, numbers, vocabulary)
                scores = {
                    name: booster_margin(engine, matrix).astype(np.float64)
                    for name, engine in zip(names, engines, strict=True)
                }
                yield batch[["query_id", "date", "is_heavy", "weight"]].assign(**scores)

        schema = "query_id string, date string, is_heavy boolean, weight double"
        scored = self._select(rows).mapInPandas(score, ", ".join([schema, *(f"{name} double" for name in names)]))
        frame: pd.DataFrame = scored.toPandas()
        return frame.sort_values("query_id", ignore_index=True).drop(columns="query_id")

    def facts(self) -> dict[str, Any]:
        """See ``TrainingRows``; the fingerprint is another one than that of the same rows in one process."""
        from pyspark.sql import functions

        train = self._select(Selection("train"))
        weight = functions.col("weight")
        totals = train.agg(
            functions.count("query_id").alias("rows"),
            functions.countDistinct("template").alias("groups"),
            functions.sum(functions.col("is_heavy").cast("long")).alias("heavy"),
            functions.sum(weight).alias("weights"),
            functions.sum(weight * weight).alias("squares"),
            functions.bit_xor(functions.xxhash64(*sorted(train.columns))).alias("content"),
        ).first()
        origins = {row["origin"]: row["count"] for row in train.groupBy("origin").count().collect()}
        if not totals["rows"]:
            raise UserError("query_cost.features_matrix: there are no training rows.")
        return {
            "fingerprint": hashlib.sha256(f"{totals['rows']}:{totals['content']}".encode()).hexdigest(),
            "rows": int(totals["rows"]),
            "groups": int(totals["groups"]),
            "origin": {str(name): int(origins[name]) for name in sorted(origins)},
            "heavy": int(totals["heavy"]),
            "weight_sums": [float(totals["weights"]), float(totals["squares"])],
        }

    def _select(self, rows: Selection) -> Any:
        from pyspark.sql import functions

        date = functions.col("date")
        return self._frame.filter(
            (functions.col("split") == rows.split) & (date >= rows.first) & (date <= rows.last)
        )  # fmt: skip

    def _training_frame(self, target: Target, rows: Selection, held: bool) -> Any:
        numbers, vocabulary = self._numbers, self._vocabulary
        unit, positive_weight = self._unit, self._positive_weight

        def build(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            for batch in batches:
                label, weight = label_and_weight(batch, target, unit, positive_weight)
                usable = ~np.isnan(label)
                matrix = trees_matrix(batch[usable], numbers, vocabulary)
                yield pd.DataFrame(
                    {"features": list(matrix), "label": label[usable], "weight": weight[usable], "held": held}
                )

        return self._select(rows).mapInPandas(build, _TRAINING_COLUMNS)
