"""Tuning of `prefetch`: misses of blocks in time of the training part, each judged after all that came before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.online_mixture import PREDICTOR, TRAIN, judge, training_blocks
from augury.pipelines.model_training.prefetch_models import PrefetchModel
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.training_split import describe_model
from augury.predictors.prefetch_replay import Trace


class PrefetchTuning(SearchSettings):
    """How the mixture and its gate are tuned."""

    trials: int = Field(default=20, ge=1, description="the first one has the parameters as they are")
    delta: float | None = Field(default=0.002, ge=0, description="see SearchSettings")
    cache_shares: list[float] = Field(
        default=[0.01, 0.05], min_length=1, description="cache sizes whose misses are added up"
    )


class PrefetchProblem:
    """The share of misses that is saved in a block in time, after a replay of all that came before it."""

    direction: Direction = "maximize"
    metric = "saving"
    predictor = PREDICTOR

    def __init__(self, table: pd.DataFrame, model: PrefetchModel, cache_shares: list[float]) -> None:
        """Cut the training part.

        Args:
            table: Accesses of the training part: ``trace``, ``place``, ``session``, ``block``, ``span``, ``fold``.
            model: Parameters as they are.
            cache_shares: Cache sizes whose misses are added up.

        Raises:
            UserError: There are fewer than two blocks in time.
        """
        self._model = model
        self._shares = cache_shares
        self._traces = training_blocks(table)
        self._folds = min(len(bounds) for _, bounds in self._traces) - 2
        if self._folds < 1:
            raise UserError("prefetch: tuning needs at least two blocks in time; raise 'prefetch.split.folds'.")
        self.rows = len(table)
        self.fingerprint: dict[str, str] = {
            "data": fingerprint(table),
            "caches": str(cache_shares),
            "model": describe_model(model),
            "numpy": np.__version__,
        }

    @property
    def fold_costs(self) -> list[float]:
        """Accesses to replay."""
        return [float(sum(bounds[fold + 2] for _, bounds in self._traces)) for fold in range(self._folds)]

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        model = with_values(self._model, parameters)
        parts = []
        for trace, bounds in self._traces:
            stop = int(bounds[fold + 2])
            until = Trace(trace.name, *(values[:stop] for values in trace[1:]))
            # One block to warm up, which is not judged, and the one that is
            parts.append((until, np.array([0, bounds[fold + 1], stop])))
        return float(judge(model, parts, self._shares).saving[-1])


def tune_prefetch(
    features_accesses: pd.DataFrame,
    model: PrefetchModel,
    tuning: PrefetchTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune the mixture and its gate.

    Args:
        features_accesses: All accesses; those of the part ``train`` alone are looked at.
        model: Parameters as they are: the first trial.
        tuning: How to search, and where.
        seed: Of the sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`.

    Raises:
        UserError: The space does not fit the model, or there are too few blocks in time.
    """
    table = features_accesses[features_accesses["part"] == TRAIN]
    space = SearchSpace(PREDICTOR, model, tuning.space, tuning.fixed)
    problem = PrefetchProblem(table, space.model, tuning.cache_shares)
    return outcome(problem, space, tuning, seed, search(problem, space, tuning, seed, studies))
