"""Training of ``peer_selection``: a selector lives through the training period, request after request."""

import logging
import time
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury.curve_table import curve_table
from augury.errors import UserError
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.predictors import DataFacts, Metadata
from augury.predictors.peer_rankings import INPUTS, OUTPUTS, SEPARATOR
from augury.predictors.peer_requests import (
    CASE,
    COLUMNS,
    PREDICTOR,
    Requests,
    requests_of_table,
)
from augury.predictors.peer_rules import Rule, RuleSettings, replay_rule
from augury.predictors.peer_selection import TASK, PeerSelector, SelectorSettings

CURVE_POINTS = 50
EXAMPLES = 3

logger = logging.getLogger(__name__)


class PeerModel(SelectorSettings):
    """How the selector is trained."""

    use_tuned: bool = Field(default=False, description="apply what tuning found")


class PeerBaselines(Parameters):
    """The plain rules beside it."""

    rules: tuple[Rule, ...] = Field(
        default=("random", "last_rtt", "ewma_greedy", "epsilon_greedy", "beta_thompson", "lin_ucb", "lin_thompson"),
        min_length=1,
    )
    settings: RuleSettings = RuleSettings()


def train_peer_selector(
    features_train: pd.DataFrame,
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    model: PeerModel,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[PeerSelector, pd.DataFrame, dict[str, Any]]:
    """Train ``peer_selection``.

    Where every candidate was measured, the selector chooses by itself and learns from its own choices alone, as it will
    in service; from a log it learns from what was chosen then.

    Args:
        features_train: Candidates of the training period, requests in the order of time.
        report_data: What data engineering says; ``origin`` maps origins to rows.
        best_params: What tuning found; empty if there was none.
        model: Settings.
        seed: Seed.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The selector; curves over the period (``step``, ``epoch``, ``name``, ``value``, ``seconds``): the mean squared
        error of the predicted log latency, and where it is known the cost over the best candidates'; and an account.

    Raises:
        UserError: There is no training row.
    """
    started = time.perf_counter()
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    if features_train.empty:
        raise UserError(f"{PREDICTOR}.features_train: there is no request to learn from. Check {PREDICTOR}.split.")
    requests = requests_of_table(features_train)
    metadata = Metadata(
        predictor=PREDICTOR,
        family=PeerSelector.family,
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=("client", "peer", "latency_ms", "ok", "in_flight"),
        parameters=model.model_dump(mode="json"),
        data=DataFacts(
            fingerprint=fingerprint(features_train[list(COLUMNS)]),
            rows=len(features_train),
            groups=len(requests.clients),
            origin={str(name): len(features_train) for name in report_data["origin"]},
        ),
        seed=seed,
        **provenance,
    )
    settings = SelectorSettings.model_validate(model.model_dump(exclude={"use_tuned"}))
    selector = PeerSelector(metadata, settings, example=_example(features_train))
    before = time.thread_time()
    chosen, predicted = selector.learn_requests(requests)
    seconds = time.thread_time() - before
    curves = _curves(requests, chosen, predicted)
    account = {
        "requests": len(requests.client),
        "rows": len(features_train),
        "clients": len(requests.clients),
        "peers": len(requests.peers),
        "learned_from": "own choices" if requests.measured else "logged choices",
        "blend": dict(
            zip(("pair", "mirror", "peer_shock", "client_shock", "load"), selector.tables.blend.tolist(), strict=True)
        ),
        "loop_us_by_request": 1e6 * seconds / len(requests.client),
        "parameters": model.model_dump(mode="json"),
        "seconds": time.perf_counter() - started,
    }
    logger.info("Learned from %d requests of %d clients.", len(requests.client), len(requests.clients))
    return selector, curves, account


def replay_peer_baselines(
    features_train: pd.DataFrame, features_candidates: pd.DataFrame, baselines: PeerBaselines, seed: int
) -> pd.DataFrame:
    """Let the plain rules live through training and holdout.

    Args:
        features_train: Candidates of the training period.
        features_candidates: Those of the held-out requests.
        baselines: Which rules.
        seed: Seed.

    Returns:
        One row per held-out request: ``case`` and per rule ``row_<rule>``: the place of its choice in
        ``features_candidates``.
    """
    requests = requests_of_table(pd.concat([features_train, features_candidates], ignore_index=True))
    cases = features_candidates[CASE].drop_duplicates()
    columns: dict[str, Any] = {CASE: cases.to_numpy()}
    for rule in baselines.rules:
        chosen = replay_rule(rule, requests, baselines.settings, seed)
        columns[f"row_{rule}"] = chosen[len(requests.client) - len(cases) :] - len(features_train)
    return pd.DataFrame(columns)


def _curves(requests: Requests, chosen: Any, predicted: Any) -> pd.DataFrame:
    rows = chosen if requests.measured else requests.logged
    errors = (np.log(requests.latency[rows]) - predicted[rows]) ** 2
    parts = {"squared_error_loss": (errors, np.ones(len(rows)))}
    if requests.measured:
        parts["cost_over_oracle"] = (requests.latency[chosen], requests.latency[requests.best()])
    blocks = np.array_split(np.arange(len(rows)), min(CURVE_POINTS, len(rows)))
    found = [
        (int(block[-1]) + 1, (block[-1] + 1) / len(rows), name, float(above[block].sum() / below[block].sum()), 0.0)
        for name, (above, below) in parts.items()
        for block in blocks
    ]
    return curve_table(found)


def _example(features_train: pd.DataFrame) -> list[dict[str, Any]]:
    shown = features_train[features_train[CASE].isin(features_train[CASE].drop_duplicates().head(EXAMPLES))]
    return [
        {"client": part["client"].iloc[0], "candidates": SEPARATOR.join(part["peer"]), "in_flight": None}
        for _, part in shown.groupby(CASE, sort=False)
    ]
