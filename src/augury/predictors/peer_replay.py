"""The whole comparison on any table or cube: the selector, with and without probes, beside the plain rules.

This is the plain Python entry: nothing of it needs a pipeline.

Examples:
    >>> import numpy as np
    >>> from augury.predictors.peer_requests import requests_of_cube
    >>> random = np.random.default_rng(0)
    >>> place = random.normal(size=(40, 2))
    >>> distance = np.linalg.norm(place[:, None] - place, axis=2) + 0.2
    >>> cube = distance * np.exp(random.normal(0, 0.1, size=(30, 40, 40)))  # rounds x clients x peers, in any unit
    >>> found = compare_policies(requests_of_cube(cube), probes=(1, 2), rules=("random", "ewma_greedy"))
    >>> list(found.index)
    ['model', 'model, 2 probes', 'random', 'ewma_greedy']
    >>> bool(found.loc["model", "cost_over_oracle"] < found.loc["ewma_greedy", "cost_over_oracle"])
    True
"""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.predictors.contract import DataFacts, Metadata
from augury.predictors.peer_rankings import INPUTS, OUTPUTS
from augury.predictors.peer_requests import PREDICTOR, Requests
from augury.predictors.peer_rules import RULES, RuleSettings, replay_rule
from augury.predictors.peer_selection import TASK, PeerSelector, SelectorSettings

TRANSFER = 10.0
"""Round trips that a fetch takes: a probe adds one, of the fastest probed peer, before it."""


def new_selector(settings: SelectorSettings | None = None, seed: int = 0) -> PeerSelector:
    """A selector that knows nobody yet, to be taught by ``update`` or ``learn_requests``.

    Args:
        settings: Settings; None: the defaults.
        seed: Of its first factors and draws.
    """
    metadata = Metadata(
        predictor=PREDICTOR,
        family=PeerSelector.family,
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=("client", "peer", "latency_ms", "ok", "in_flight"),
        parameters={},
        data=DataFacts(fingerprint="", rows=0, groups=0, origin={}),
        versions={},
        seed=seed,
        git_commit=None,
        created_at="",
    )
    return PeerSelector(metadata, settings or SelectorSettings())


def compare_policies(
    requests: Requests,
    settings: SelectorSettings | None = None,
    probes: Sequence[int] = (1, 2, 3),
    rules: Sequence[str] = RULES,
    rule_settings: RuleSettings | None = None,
    seed: int = 0,
    transfer: float = TRANSFER,
) -> pd.DataFrame:
    """Let every policy live through the same requests from the first to the last, each knowing nothing at first.

    Args:
        requests: With the outcome of every candidate.
        settings: Of the selector; None: the defaults.
        probes: Numbers of probes of the selector.
        rules: Plain rules, see :data:`~augury.predictors.peer_rules.RULES`.
        rule_settings: Their settings.
        seed: Seed.
        transfer: Round trips that a fetch takes, for the cost of probes.

    Returns:
        By policy: ``cost_over_oracle`` (sum of the chosen latencies over that of the best), ``with_probe_wait`` (the
        same with the wait for the fastest probe before a fetch of `transfer` round trips), ``p95_over_best`` (of a
        request's ratio), ``requests``, ``cpu_us`` (by request).

    Raises:
        UserError: An outcome is missing.
    """
    if not requests.measured:
        raise UserError("Policies can be compared on requests of which the outcome of every candidate is known only.")
    rows = {}
    for count in probes:
        # The compiled loops are made on their first call, which is no part of a decision
        new_selector(settings, seed).learn_requests(requests.part(0, min(20, len(requests.client))), count)
        started = time.thread_time()
        chosen, _ = new_selector(settings, seed).learn_requests(requests, count)
        name = "model" if count == 1 else f"model, {count} probes"
        rows[name] = _row(requests, chosen, count, transfer, time.thread_time() - started)
    for rule in rules:
        replay_rule(rule, requests.part(0, min(20, len(requests.client))), rule_settings or RuleSettings(), seed)
        started = time.thread_time()
        chosen = replay_rule(rule, requests, rule_settings or RuleSettings(), seed)
        rows[rule] = _row(requests, chosen, 1, transfer, time.thread_time() - started)
    return pd.DataFrame.from_dict(rows, orient="index")


def _row(
    requests: Requests, chosen: npt.NDArray[np.int64], probes: int, transfer: float, seconds: float
) -> dict[str, float]:
    cost, best = requests.latency[chosen], requests.latency[requests.best()]
    ratio = float(cost.sum() / best.sum())
    return {
        "cost_over_oracle": ratio,
        "with_probe_wait": ratio * (1 + (1 / transfer if probes > 1 else 0)),
        "p95_over_best": float(np.quantile(cost / best, 0.95)),
        "requests": float(len(cost)),
        "cpu_us": 1e6 * seconds / len(cost),
    }
