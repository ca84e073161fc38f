"""Tuning of gradient-boosted trees for a positive quantity: grouped folds, as in training."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_trees import (
    BoundedRegressionModel,
    PhysicsTrees,
    fingerprint,
    fit_physics_trees,
    grouped_folds,
    training_layout,
)
from augury.pipelines.model_training.prior import fit_prior
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.training_split import describe_model
from augury.predictors.bounded_regression import feature_matrix, mask_ignored, point_prediction, prior_values
from augury.predictors.feature_specification import FeatureSpecification

Metric = Literal["mape_pct", "mean_absolute_log_error"]


class BoostedTreesTuning(SearchSettings):
    """How the recipe in force of a bounded regression is tuned."""

    delta: float | None = Field(
        default=0.1, ge=0, description="see SearchSettings; in percent where that is the metric"
    )
    metric: Metric = Field(default="mape_pct", description="of the point prediction")
    folds: int | None = Field(default=None, ge=2, description="folds by group; null: as many as training has")


class BoostedTreesProblem:
    """Error of the point model on grouped folds."""

    direction: Direction = "minimize"

    def __init__(
        self,
        table: pd.DataFrame,
        specification: FeatureSpecification,
        model: BoundedRegressionModel,
        metric: Metric,
        folds: int,
        seed: int,
    ) -> None:
        """Prepare the folds.

        Args:
            table: Training rows.
            specification: What the columns are.
            model: Parameters; the recipe in force must be one of LightGBM's.
            metric: Name of the metric.
            folds: Number of folds.
            seed: Of folds and trees.

        Raises:
            UserError: Fewer groups than folds, or another kind of recipe.
        """
        self.predictor = specification.predictor
        self.metric: str = metric
        self.rows = len(table)
        self._model = model
        self._seed = seed
        if not isinstance(model.chosen, PhysicsTrees):
            raise UserError(
                f"{self.predictor}: only recipes of the kind 'physics_trees' are tuned, and "
                f"'{self.predictor}.model.recipe' is '{model.recipe}'."
            )
        table = table.sort_values(specification.row_id, ignore_index=True)
        groups = table[specification.group].to_numpy()
        if len(set(groups)) < folds:
            raise UserError(
                f"{self.predictor}: {len(set(groups))} training groups ({specification.group}) are too few for {folds} "
                f"folds; bring more data or lower {self.predictor}.tuning.folds."
            )
        layout = training_layout(table, specification, model)
        codes = pd.Categorical(table[specification.category], categories=list(layout.categories)).codes.astype(np.intp)
        masked = mask_ignored(table, layout, codes)
        target = table[specification.target].to_numpy(dtype=np.float64)
        self.fingerprint: dict[str, str] = {"data": fingerprint(table), "model": describe_model(model)}
        self._folds = []
        for inner, outer in grouped_folds(groups, folds, seed):
            rows = masked.iloc[inner]
            prior = fit_prior(
                rows, codes[inner], target[inner], layout.prior.terms, len(layout.categories), layout.floor
            )
            matrix = feature_matrix(rows, layout, codes[inner])
            log_ratio = np.log(target[inner] / prior_values(rows, prior, codes[inner]))
            fitted = layout.model_copy(update={"prior": prior})
            self._folds.append((matrix, log_ratio, fitted, masked.iloc[outer], codes[outer], target[outer]))

    @property
    def fold_costs(self) -> list[float]:
        """Rows to fit."""
        return [float(len(fold[1])) for fold in self._folds]

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        matrix, log_ratio, layout, rows, codes, target = self._folds[fold]
        recipe = with_values(self._model, parameters).chosen
        assert isinstance(recipe, PhysicsTrees)
        trees = fit_physics_trees(matrix, log_ratio, recipe, self._seed)
        predicted = point_prediction(layout, trees, rows, codes)
        if self.metric == "mape_pct":
            return float(100 * np.mean(np.abs(predicted - target) / target))
        return float(np.mean(np.abs(np.log(predicted / target))))


def tune_bounded_regression(
    features_train: Any,
    features: dict[str, Any],
    model: BoundedRegressionModel,
    tuning: BoostedTreesTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune the recipe in force.

    Args:
        features_train: Training rows, any engine; collected here.
        features: A :class:`~augury.predictors.feature_specification.FeatureSpecification` as JSON.
        model: Parameters as they are: the first trial.
        tuning: How to search, and where.
        seed: Seed of folds, trees and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`.

    Raises:
        UserError: The space does not fit the model, or the rows do not suffice.
    """
    specification = FeatureSpecification.model_validate(features)
    recipe = f"recipes.{model.recipe}."
    space = SearchSpace(specification.predictor, model, tuning.space, tuning.fixed, recipe)
    folds = tuning.folds or model.folds
    table = engines.to_pandas(features_train)
    problem = BoostedTreesProblem(table, specification, space.model, tuning.metric, folds, seed)
    return outcome(problem, space, tuning, seed, search(problem, space, tuning, seed, studies))
