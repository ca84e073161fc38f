"""Tuning of the classifier of a pair of LightGBM models: expanding-window folds, as in training."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import with_values
from augury.pipelines.model_training.boosted_pair import PREDICTOR, PairModel
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.time_series_folds import expanding_folds
from augury.pipelines.tuning.lightgbm_folds import BinnedFold, bin_fold, fit_and_predict
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
from augury.predictors import purchase_columns as pc
from augury.predictors.matrix_predictor import SPLIT

Metric = Literal["log_loss", "roc_auc"]

SMALLEST_PROBABILITY = 1e-7


class BoostedPairTuning(SearchSettings):
    """How the classifier of the pair is tuned."""

    metric: Metric = Field(default="log_loss", description="of the rows that a fold judges, before calibration")
    folds: int | None = Field(default=None, ge=1, description="folds by time; null: as many as training has")
    most_rows: int | None = Field(
        default=200_000, ge=1, description="training rows above which only every n-th is searched on; null: all"
    )


class BoostedPairProblem:
    """Loss on rows that are later than those that a fold learns from.

    As in training, the newest part of what a fold learns from stops the fit; the rows that it judges have no say in it.
    """

    def __init__(
        self, table: pd.DataFrame, features: tuple[str, ...], model: PairModel, metric: Metric, seed: int
    ) -> None:
        """Bin the folds.

        Args:
            table: Training rows of the feature matrix, in the order of time.
            features: The features.
            model: Parameters, with the folds and the classifier's bins.
            metric: Name of the metric.
            seed: Of the trees.

        Raises:
            UserError: A row is not of the training split; no fold has both outcomes.
        """
        import lightgbm

        refuse_other_rows(PREDICTOR, table)
        self.predictor = PREDICTOR
        self.metric: str = metric
        self.rows = len(table)
        self.direction: Direction = "minimize" if metric == "log_loss" else "maximize"
        self._model = model
        self._seed = seed
        columns = [pc.PURCHASE_ID, pc.PURCHASED_AT, pc.IS_WASTED, *features]
        self.fingerprint: dict[str, str] = {
            "data": fingerprint(table[columns]),
            "model": describe_model(model),
            "lightgbm": lightgbm.__version__,
        }
        matrix = table[list(features)].to_numpy(dtype=np.float32)
        target = table[pc.IS_WASTED].to_numpy(dtype=np.float64)
        times = table[pc.PURCHASED_AT].to_numpy()
        self._folds: list[BinnedFold] = []
        for train, judged in expanding_folds(times, model.folds, model.gap_days, model.min_train_share):
            fitted, stopping = train, None
            if model.classifier.early_stopping_rounds:
                first = times[train[min(int(len(train) * (1 - model.stopping_share)), len(train) - 1)]]
                stops = times[train] >= first
                fitted, stopping = train[~stops], train[stops]
            parts = (fitted, judged) if stopping is None else (fitted, stopping, judged)
            if all(both_outcomes(target[part]) for part in parts):
                params = model.classifier.booster_params("binary", seed)
                self._folds.append(bin_fold(matrix, target, fitted, stopping, judged, params))
        nothing = (
            f"none of the {model.folds} folds of the training rows has wasted and eaten purchases in all of its parts"
        )
        check_folds(PREDICTOR, len(self._folds), model.folds, nothing, "Bring more purchases")

    @property
    def fold_costs(self) -> list[float]:
        """Rows to fit."""
        return [float(fold.fitted.num_data()) for fold in self._folds]

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        settings = with_values(self._model, parameters).classifier
        rows = self._folds[fold]
        params = settings.booster_params("binary", self._seed)
        sums = fit_and_predict(rows, params, settings.rounds, settings.early_stopping_rounds)
        if self.metric == "log_loss":
            return log_loss(sums, rows.target)
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(rows.target, sums))


def tune_waste(
    features_matrix: Any,
    report_features: dict[str, Any],
    model: PairModel,
    tuning: BoostedPairTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune the classifier of ``food_waste``, without the households' effects.

    Args:
        features_matrix: One row per labelled purchase; pandas or Spark. Only rows of the split ``train`` are looked at.
        report_features: What feature engineering says of the matrix: ``features``.
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
    space.refuse("classifier.preset", "a preset is a whole set of parameters")
    features = tuple(report_features["features"])
    order = [pc.PURCHASED_AT, pc.PURCHASE_ID]
    table = training_split(features_matrix, [SPLIT, pc.IS_WASTED, *features], order, tuning.most_rows)
    problem = BoostedPairProblem(table, features, space.model, tuning.metric, seed)
    return outcome(problem, space, tuning, seed, search(problem, space, tuning, seed, studies))


def log_loss(sums: np.ndarray, target: np.ndarray) -> float:
    """Mean negative log likelihood of outcomes, given sums of leaves."""
    limit = -np.log(SMALLEST_PROBABILITY)
    margin = np.clip(np.where(target > 0, sums, -sums), -limit, limit)
    return float(np.mean(np.logaddexp(0.0, -margin)))
