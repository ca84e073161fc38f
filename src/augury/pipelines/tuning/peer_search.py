"""Tuning of ``peer_selection``: each fold is a period of the training time, judged by what was learned before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.peer_selector import PeerModel
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.training_split import describe_model
from augury.predictors.peer_replay import new_selector
from augury.predictors.peer_requests import COLUMNS, PREDICTOR, Requests, requests_of_table
from augury.predictors.peer_selection import SelectorSettings

METRIC = "cost_over_oracle"
LOGGED_METRIC = "log_error_rms"


class PeerTuning(SearchSettings):
    """How the selector is tuned."""

    trials: int = Field(default=40, ge=1, description="the first one has the parameters as they are")
    delta: float | None = Field(default=0.02, ge=0, description="see SearchSettings")
    folds: int = Field(default=3, ge=1, description="periods of the later half of the training time")


class PeerProblem:
    """What the choices of a period cost, or, from a log, how far predictions of the chosen ones' latency are off."""

    direction: Direction = "minimize"

    def __init__(self, requests: Requests, model: PeerModel, folds: int, seed: int, data: str) -> None:
        """Keep the requests.

        Args:
            requests: Of the training period, in the order of time.
            model: Parameters as they are.
            folds: How many periods.
            seed: Of the selectors.
            data: Digest of the rows.
        """
        count = len(requests.client)
        ends = np.linspace(count // 2, count, folds + 1).astype(int)
        self.predictor, self.rows = PREDICTOR, len(requests.peer)
        self.metric = METRIC if requests.measured else LOGGED_METRIC
        self.fold_costs = [float(end) for end in ends[1:]]
        self.fingerprint: dict[str, str] = {
            "data": data,
            "periods": str(ends.tolist()),
            "model": describe_model(model),
            "numpy": np.__version__,
        }
        self._requests, self._model, self._ends, self._seed = requests, model, ends, seed

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        model = with_values(self._model, parameters)
        settings = SelectorSettings.model_validate(model.model_dump(exclude={"use_tuned"}))
        first, last = int(self._ends[fold]), int(self._ends[fold + 1])
        requests = self._requests.part(0, last)
        chosen, predicted = new_selector(settings, self._seed).learn_requests(requests)
        judged = slice(first, last)
        if requests.measured:
            best = requests.latency[requests.best()[judged]]
            return float(requests.latency[chosen[judged]].sum() / best.sum())
        rows = requests.logged[judged]
        return float(np.sqrt(((np.log(requests.latency[rows]) - predicted[rows]) ** 2).mean()))


def tune_peer_selection(
    features_train: pd.DataFrame, model: PeerModel, tuning: PeerTuning, seed: int, studies: Studies
) -> TuningOutcome:
    """Tune ``peer_selection``.

    Args:
        features_train: Candidates of the training period; held-out ones are not looked at.
        model: Parameters as they are: the first trial.
        tuning: How to search, and where.
        seed: Seed of selectors and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`.

    Raises:
        UserError: There are too few requests, or the space does not fit the model.
    """
    requests = requests_of_table(features_train)
    if len(requests.client) < 4 * tuning.folds:
        raise UserError(
            f"{PREDICTOR}: {len(requests.client)} requests of the training period are too few for {tuning.folds} "
            f"periods. Lower {PREDICTOR}.tuning.folds or bring more."
        )
    tuned = SearchSpace(PREDICTOR, model, tuning.space, tuning.fixed)
    problem = PeerProblem(requests, tuned.model, tuning.folds, seed, fingerprint(features_train[list(COLUMNS)]))
    return outcome(problem, tuned, tuning, seed, search(problem, tuned, tuning, seed, studies))
