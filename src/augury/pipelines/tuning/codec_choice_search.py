"""Tuning of the regressors behind a choice of codecs: folds by lineage, judged by what the choices cost."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_trees import fingerprint, grouped_folds
from augury.pipelines.model_training.codec_choice import CompressionModel, blocks_of, fit_regressors
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.training_split import describe_model
from augury.predictors.codec_accuracy import share_r2
from augury.predictors.codec_costs import Contexts, costs_of, table_choice
from augury.predictors.codec_gates import agreed_costs, gated_choice
from augury.predictors.codec_regressors import CodecLayout, outcomes_of

Metric = Literal["regret", "share_error"]


class CompressionTuning(SearchSettings):
    """How the regressors in force are tuned."""

    delta: float | None = Field(default=0.001, ge=0, description="see SearchSettings")
    metric: Metric = Field(
        default="regret",
        description="regret: avoidable cost over the oracle's, mean over bandwidths; share_error: 1 - R2 of the shares",
    )
    folds: int | None = Field(default=3, ge=2, description="folds by lineage; null: as many as training has")
    margin: float = Field(default=0.05, ge=0, lt=1, description="share of the table's cost that a choice must promise")


class CodecProblem:
    """Regret, or error of the shares, on folds by lineage."""

    direction: Direction = "minimize"
    predictor = "compression"

    def __init__(
        self,
        table: pd.DataFrame,
        layout: CodecLayout,
        model: CompressionModel,
        contexts: Contexts,
        tuning: CompressionTuning,
        seed: int,
    ) -> None:
        """Prepare the folds.

        Args:
            table: Training blocks.
            layout: Columns and codecs.
            model: Parameters.
            contexts: The bandwidths.
            tuning: Metric, folds and margin.
            seed: Of folds and fits.

        Raises:
            UserError: There are fewer lineages than folds.
        """
        table = table.sort_values("block", ignore_index=True)
        folds = tuning.folds or model.folds
        self.metric: str = tuning.metric
        self.rows = len(table)
        self.fingerprint: dict[str, str] = {"data": fingerprint(table), "model": describe_model(model)}
        self._layout, self._model, self._contexts, self._margin, self._seed = (
            layout,
            model,
            contexts,
            tuning.margin,
            seed,
        )
        self._blocks = blocks_of(table, layout, model)
        if len(np.unique(self._blocks.groups.astype(str))) < folds:
            raise UserError(
                f"compression: too few training lineages for {folds} folds; lower compression.tuning.folds."
            )
        self._folds = grouped_folds(self._blocks.groups.astype(str), folds, seed)

    @property
    def fold_costs(self) -> list[float]:
        """Rows to fit."""
        return [float(len(inner)) for inner, _ in self._folds]

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        model = with_values(self._model, parameters)
        inner, outer = (self._blocks.part(rows) for rows in self._folds[fold])
        regressors, _, _ = fit_regressors(inner, self._layout, model, self._seed)
        factors = np.ones((len(self._layout.predicted), 2))
        opinions = np.stack([outcomes_of(each.targets(outer.matrix), outer.sizes, factors) for each in regressors])
        if self.metric == "share_error":
            return 1.0 - (share_r2(opinions.mean(axis=0), outer.outcomes, self._layout.codecs)["share"] or 0.0)
        totals, rows, regrets = inner.outcomes.sum(axis=0), np.arange(len(outer.sizes)), []
        price, reads = self._contexts.cpu_price, self._contexts.reads
        for link in self._contexts.link_mbps:
            true = costs_of(outer.outcomes, link, price, reads)
            fallback = np.repeat(table_choice(totals, link, price, reads), len(rows))
            chosen = gated_choice(agreed_costs(opinions, fallback, link, price, reads), fallback, self._margin)
            regrets.append(true[rows, chosen].sum() / true.min(axis=1).sum() - 1)
        return float(np.mean(regrets))


def tune_codec_choice(
    features_train: pd.DataFrame,
    report_features: dict[str, Any],
    contexts: Contexts,
    model: CompressionModel,
    tuning: CompressionTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune the regressors in force.

    Args:
        features_train: Training blocks.
        report_features: A :class:`~augury.predictors.codec_regressors.CodecLayout` as JSON.
        contexts: The bandwidths.
        model: Parameters as they are: the first trial.
        tuning: How to search, and where.
        seed: Seed of folds, fits and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`.

    Raises:
        UserError: The space does not fit the model, or the rows do not suffice.
    """
    other_kind = "neural." if model.kind == "trees" else "trees."
    used = {path: dimension for path, dimension in tuning.space.items() if not path.startswith(other_kind)}
    space = SearchSpace("compression", model, used, tuning.fixed, f"{model.kind}.")
    layout = CodecLayout.model_validate(report_features)
    problem = CodecProblem(features_train, layout, space.model, contexts, tuning, seed)
    return outcome(problem, space, tuning, seed, search(problem, space, tuning, seed, studies))
