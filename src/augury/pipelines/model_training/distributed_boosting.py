"""The rows that trees are fitted on where they are too many for one process: XGBoost on Spark, in barrier mode.

What comes out is the same: boosters in UBJSON, scores of the rows, facts about them. Only scores and counts are
collected, never the matrix. Sums over workers are added up in another order than in one process, so that the trees are
not the same to the last bit.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from augury.errors import UserError
from augury.pipelines.model_training.training_rows import (
    FACTS,
    RowSettings,
    Selection,
    Target,
    TreeSettings,
    scored,
)
from augury.predictors.query_cost_trees import bare_booster, open_booster, trees_matrix
from augury.predictors.query_vocabulary import QueryVocabulary, VocabularyBounds, choose_terms

_TRAINING_COLUMNS = "features array<float>, label double, weight double, held boolean"


class DistributedRows:
    """Rows of the splits ``train`` and ``validation`` on Spark; see ``TrainingRows``."""

    def __init__(self, frame: Any, settings: RowSettings, workers: int) -> None:
        """Keep the frame.

        Args:
            frame: Spark frame of the feature matrix.
            settings: What becomes of its rows.
            workers: Spark tasks that train together; all of them must run at once.
        """
        self._frame = frame.select(*FACTS, "terms", *settings.numbers)
        self._settings = settings
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

    def score(self, trees: Mapping[Target, bytes], rows: Selection, as_new_templates: bool = False) -> pd.DataFrame:
        """See ``TrainingRows``."""
        settings, vocabulary = self._settings, self._vocabulary

        def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            opened = {target: open_booster(booster) for target, booster in trees.items()}
            for batch in batches:
                if len(batch):
                    matrix = trees_matrix(batch, settings.numbers, vocabulary)
                    found = scored(batch, matrix, opened, settings, as_new_templates)
                    yield found.assign(query_id=batch["query_id"].to_numpy())

        columns = "date string, template string, is_heavy boolean, weight double, unseen boolean"
        sums = [f"{target} double" for target in trees]
        schema = ", ".join([columns, *sums, "query_id string"])
        frame: pd.DataFrame = self._select(rows).mapInPandas(score, schema).toPandas()
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
            functions.countDistinct(functions.when(functions.col("is_heavy"), functions.col("template"))).alias(
                "heavies"
            ),
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
            "heavy_groups": int(totals["heavies"]),
            "weight_sums": [float(totals["weights"]), float(totals["squares"])],
        }

    def _select(self, rows: Selection) -> Any:
        from pyspark.sql import functions

        date = functions.col("date")
        chosen = (functions.col("split") == rows.split) & (date >= rows.first) & (date <= rows.last)
        if rows.part is not None:
            number = functions.conv(functions.substring("template", 1, 8), 16, 10).cast("long")
            inside = number % rows.parts == rows.part
            chosen = chosen & (~inside if rows.others else inside)
        return self._frame.filter(chosen)

    def _training_frame(self, target: Target, rows: Selection, held: bool) -> Any:
        settings, vocabulary = self._settings, self._vocabulary

        def build(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            for batch in batches:
                matrix = trees_matrix(batch, settings.numbers, vocabulary)
                data = settings.held_data if held else settings.training_data
                features, label, weight = data(batch, matrix, target)
                yield pd.DataFrame({"features": list(features), "label": label, "weight": weight, "held": held})

        return self._select(rows).mapInPandas(build, _TRAINING_COLUMNS)
