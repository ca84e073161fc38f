"""Tuning of the trees that find a rare, expensive class: forward-chaining folds by day, as in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import with_values
from augury.pipelines.model_training.boosted_classifier import (
    PREDICTOR,
    BoostedClassifierModel,
    fold_selections,
    log_loss,
    row_settings,
)
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.training_rows import FACTS, RowSettings, Selection
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.training_split import (
    both_outcomes,
    check_folds,
    describe_model,
    refuse_other_rows,
    training_split,
)
from augury.predictors.probability_calibration import fit_calibration
from augury.predictors.query_cost_trees import booster_margin, trees_matrix
from augury.predictors.query_vocabulary import QueryVocabulary

Metric = Literal["log_loss", "pr_auc"]


class BoostedClassifierTuning(SearchSettings):
    """How the classifier's trees are tuned."""

    metric: Metric = Field(default="log_loss", description="of calibrated probabilities, weighted as in training")
    folds: int | None = Field(default=None, ge=2, description="folds by day; null: as many as training has")
    most_rows: int | None = Field(
        default=100_000, ge=1, description="training rows above which only every n-th is searched on; null: all"
    )


@dataclass(frozen=True)
class _Fold:
    fitted: Any
    """``QuantileDMatrix``."""
    stopping: Any
    """``DMatrix`` of the rows that stop a fit."""
    past: np.ndarray
    """Matrix of these rows as they are, which calibrate."""
    past_label: np.ndarray
    past_weight: np.ndarray
    judged: np.ndarray
    label: np.ndarray
    weight: np.ndarray


class BoostedClassifierProblem:
    """Loss on the block of days after those that a fold learns from."""

    def __init__(
        self, table: pd.DataFrame, settings: RowSettings, model: BoostedClassifierModel, metric: Metric, seed: int
    ) -> None:
        """Prepare the folds: bins are made once and shared by all trials.

        Args:
            table: Training rows of the feature matrix.
            settings: What becomes of them.
            model: Parameters, with the number of folds.
            metric: Name of the metric.
            seed: Of the trees.

        Raises:
            UserError: A row is not of the training split; too few days.
        """
        import xgboost

        refuse_other_rows(PREDICTOR, table)
        self.predictor = PREDICTOR
        self.metric: str = metric
        self.rows = len(table)
        self.direction: Direction = "minimize" if metric == "log_loss" else "maximize"
        self._model = model
        self._seed = seed
        self.fingerprint: dict[str, str] = {
            "data": fingerprint(table),
            "model": describe_model(model),
            "xgboost": xgboost.__version__,
        }
        vocabulary = QueryVocabulary.fit(table["terms"].tolist(), model.vocabulary)
        matrix = trees_matrix(table, settings.numbers, vocabulary)
        self._folds = [
            self._prepare(table, matrix, settings, *selections)
            for selections in fold_selections(sorted(table["date"].unique()), model)
        ]
        self._folds = [fold for fold in self._folds if both_outcomes(fold.label) and both_outcomes(fold.past_label)]
        nothing = "no block of days after another has both heavy and light queries in its training rows"
        check_folds(PREDICTOR, len(self._folds), model.folds, nothing, "Bring a longer log")

    @property
    def fold_costs(self) -> list[float]:
        """Rows to fit."""
        return [float(fold.fitted.num_row()) for fold in self._folds]

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        import xgboost
        from sklearn.metrics import average_precision_score

        trees = with_values(self._model, parameters).classifier
        rows = self._folds[fold]
        booster = xgboost.train(
            trees.xgboost("classifier", self._seed) | {"nthread": 1},
            rows.fitted,
            trees.rounds,
            evals=[(rows.stopping, "stop")],
            callbacks=[xgboost.callback.EarlyStopping(rounds=trees.early_stopping_rounds, save_best=True)],
            verbose_eval=False,
        )
        past = booster_margin(booster, rows.past).astype(np.float64)
        calibration = fit_calibration(past, rows.past_label, rows.past_weight, "platt")
        probability = calibration.probability(booster_margin(booster, rows.judged).astype(np.float64))
        if self.metric == "log_loss":
            return log_loss(probability, rows.label, rows.weight)
        return float(average_precision_score(rows.label, probability, sample_weight=rows.weight))

    def _prepare(
        self,
        table: pd.DataFrame,
        matrix: np.ndarray,
        settings: RowSettings,
        train: Selection,
        stop: Selection,
        judged: Selection,
    ) -> _Fold:
        import xgboost

        dates = table["date"].to_numpy()

        def among(selection: Selection) -> np.ndarray:
            return np.asarray((dates >= selection.first) & (dates <= selection.last))

        inside, past, future = among(train), among(stop), among(judged)
        columns, label, weight = settings.training_data(table[inside], matrix[inside], "classifier")
        fitted = xgboost.QuantileDMatrix(
            columns, label, weight=weight, nthread=1, max_bin=self._model.classifier.max_bin
        )
        columns, label, weight = settings.held_data(table[past], matrix[past], "classifier")
        stopping = xgboost.DMatrix(columns, label, weight=weight, nthread=1)
        heavy, weights = table["is_heavy"].to_numpy(dtype=bool), table["weight"].to_numpy(dtype=np.float64)
        return _Fold(
            fitted, stopping, columns, heavy[past], weights[past], matrix[future], heavy[future], weights[future]
        )


def tune_query_cost(
    features_matrix: Any,
    report_features: dict[str, Any],
    report_data: dict[str, Any],
    model: BoostedClassifierModel,
    tuning: BoostedClassifierTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune the classifier of ``query_cost``.

    Args:
        features_matrix: One row per query; pandas or Spark.
        report_features: What feature engineering says of the matrix: ``features``.
        report_data: What labelling says: ``thresholds``.
        model: Parameters as they are: the first trial.
        tuning: How to search, and where.
        seed: Seed of trees and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`.

    Raises:
        UserError: The space does not fit the model, or the rows do not suffice.
    """
    if tuning.folds is not None:
        model = with_values(model, {"folds": tuning.folds})
    space = SearchSpace(PREDICTOR, model, tuning.space, tuning.fixed, "classifier.")
    space.refuse("classifier.max_bin", "rows are binned once for all trials")
    settings = row_settings(report_features, report_data, model)
    columns = [*FACTS, "terms", *settings.numbers]
    table = training_split(features_matrix, columns, ["date", "query_id"], tuning.most_rows)
    problem = BoostedClassifierProblem(table, settings, space.model, tuning.metric, seed)
    return outcome(problem, space, tuning, seed, search(problem, space, tuning, seed, studies))
