"""The frame of replayed requests that `peer_selection` is judged on, what probes cost, and how costs move in time."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.metrics.bootstrap import bootstrap_intervals
from augury.pipelines.evaluation.peer_off_policy import modelled_outcomes
from augury.pipelines.evaluation.peer_parameters import PeerJudgement
from augury.predictors.peer_replay import new_selector
from augury.predictors.peer_requests import CASE, Requests, requests_of_table
from augury.predictors.peer_rules import RuleSettings, replay_rule
from augury.predictors.peer_selection import PeerSelector

EWMA = "ewma_greedy"
KNOWN = "measured"
MODELLED = "chosen ones measured, others modelled"

Floats = npt.NDArray[np.float64]


def replay_holdout(
    predictor: PeerSelector,
    features_holdout: pd.DataFrame,
    features_candidates: pd.DataFrame,
    predictions_baselines: pd.DataFrame,
    report_training: dict[str, Any],
    judgement: PeerJudgement,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let the selector live through the held-out requests, as the rules did.

    Args:
        predictor: As it is after training; it goes on learning here, from what it is told alone.
        features_holdout: The cases.
        features_candidates: Their candidates.
        predictions_baselines: Choices of the rules.
        report_training: For the sizes of the training.
        judgement: How the policy is judged.
        seed: Of the folds, where outcomes have to be modelled.

    Returns:
        The frame that ``policy_holdout`` describes. Where a log tells the outcome of the chosen candidates alone, those
        of the others are those of a cross-fitted model, and there is no oracle. And facts: sizes, microseconds by
        decision, share of requests that cost more with the random draws of ``epsilon``.
    """
    requests = requests_of_table(features_candidates)
    measured = requests.measured
    chosen, _ = predictor.duplicate().learn_requests(requests)
    latency = requests.latency
    if not measured:
        # A model that begins with nothing: the judged one would say what it is worth itself
        lasting = new_selector(predictor.settings.model_copy(update={"decay": 1.0}), seed)
        modelled = np.exp(modelled_outcomes(requests, lasting, judgement.folds, seed))
        latency = np.where(np.isnan(latency), modelled, latency)
    peers = features_candidates["peer"].to_numpy(dtype=object)
    frame = pd.DataFrame({"case": features_holdout[CASE], "group": features_holdout["group"]})
    frame = frame.assign(cost=latency[chosen], choice=peers[chosen])
    for column in predictions_baselines.columns:
        if column != CASE:
            name, rows = column.removeprefix("row_"), predictions_baselines[column].to_numpy()
            frame = frame.assign(**{f"cost_baseline_{name}": latency[rows], f"choice_baseline_{name}": peers[rows]})
    if measured:
        best = requests.best()
        frame = frame.assign(cost_oracle=latency[best], choice_oracle=peers[best])
    slices = [name for name in map(str, features_holdout.columns) if name.startswith("slice_")]
    frame = frame.join(features_holdout[slices])
    mean = np.add.reduceat(latency, requests.start[:-1]) / np.diff(requests.start)
    epsilon = predictor.settings.epsilon
    drawn = (1 - epsilon) * latency[chosen] + epsilon * mean
    facts = {
        "n_train": report_training["requests"],
        "n_train_groups": report_training["clients"],
        "outcomes": KNOWN if measured else MODELLED,
        "exploration_share": epsilon,
        "exploration_cost": float(drawn.sum() / latency[chosen].sum() - 1),
        **_decision_times(predictor, requests, judgement.timed_requests),
    }
    return frame, facts


def judge_probes(
    predictor: PeerSelector, features_candidates: pd.DataFrame, judgement: PeerJudgement, seed: int
) -> dict[str, Any]:
    """What it brings to measure some candidates before one is chosen, and what it costs.

    Args:
        predictor: As it is after training.
        features_candidates: Candidates of the held-out requests, with all their outcomes.
        judgement: Numbers of probes; round trips of a fetch.
        seed: Of the resampling.

    Returns:
        A part of the judgement: per number of probes the cost over the oracle's without and with the wait for the
        fastest probe, and the probes themselves; empty where outcomes are not known.
    """
    requests = requests_of_table(features_candidates)
    if not requests.measured:
        return {"metrics": {}, "tables": {}}
    best = requests.latency[requests.best()]
    groups = np.array(requests.clients, dtype=object)[requests.client]
    metrics: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    rows = []
    for count in judgement.probes:
        chosen, _ = predictor.duplicate().learn_requests(requests, count)
        cost = requests.latency[chosen]
        wait = cost * (1 + (1 / judgement.transfer if count > 1 else 0))
        found = {f"cost_over_oracle_probes_{count}": cost, f"cost_with_wait_probes_{count}": wait}
        metrics |= {name: float(values.sum() / best.sum()) for name, values in found.items()}
        intervals |= bootstrap_intervals(
            {"best": best, **found},
            {name: _ratio(name) for name in found},
            groups,
            replicates=judgement.bootstrap_replicates,
            confidence=judgement.confidence,
            seed=seed,
        )
        rows.append(
            {
                "probes": count,
                "cost / oracle's": metrics[f"cost_over_oracle_probes_{count}"],
                "with the wait for a probe": metrics[f"cost_with_wait_probes_{count}"],
                "further requests by fetch": count if count > 1 else 0,
            }
        )
    return {"metrics": metrics, "intervals": intervals, "tables": {"Probes before the choice": rows}}


def judge_periods(
    predictor: PeerSelector,
    features_train: pd.DataFrame,
    features_candidates: pd.DataFrame,
    judgement: PeerJudgement,
    seed: int,
) -> dict[str, Any]:
    """How a selector that begins with nothing does in one period after another, beside the exponential mean.

    Each period is judged by what was learned in those before it and in its own past: folds that are blocked in time.

    Args:
        predictor: For its settings.
        features_train: Candidates of the training period.
        features_candidates: Those of the held-out requests.
        judgement: How many periods.
        seed: Of the rule's ties.

    Returns:
        A part of the judgement: mean and standard deviation over the periods after the first, and a table of all.
    """
    requests = requests_of_table(pd.concat([features_train, features_candidates], ignore_index=True))
    if not requests.measured:
        return {"metrics": {}, "tables": {}}
    chosen, _ = new_selector(predictor.settings, predictor.metadata.seed).learn_requests(requests)
    rule = replay_rule(EWMA, requests, RuleSettings(), seed)
    cost, plain, best = (requests.latency[rows] for rows in (chosen, rule, requests.best()))
    rows = []
    for number, block in enumerate(np.array_split(np.arange(len(cost)), min(judgement.blocks, len(cost))), 1):
        rows.append(
            {
                "period": number,
                "requests": len(block),
                "cost / oracle's": float(cost[block].sum() / best[block].sum()),
                f"{EWMA} / oracle's": float(plain[block].sum() / best[block].sum()),
                "saving": float(1 - cost[block].sum() / plain[block].sum()),
            }
        )
    later = rows[1:] or rows
    metrics: dict[str, Any] = {}
    for name, column in (("cost_over_oracle", "cost / oracle's"), (f"saving_over_{EWMA}", "saving")):
        values = np.array([row[column] for row in later], dtype=np.float64)
        metrics |= {f"periods_{name}_mean": float(values.mean()), f"periods_{name}_sd": float(values.std())}
    return {"metrics": metrics, "tables": {"Periods, from knowing nothing": rows}}


def judge_calibration(
    predictor: PeerSelector, features_candidates: pd.DataFrame, judgement: PeerJudgement
) -> dict[str, Any]:
    """Whether latencies are what was predicted before they were known.

    Args:
        predictor: As it is after training.
        features_candidates: Candidates of the held-out requests.
        judgement: How many bins.

    Returns:
        A part of the judgement: the mean error (log) and the root mean squared one, of what was chosen and of all known
        outcomes, the slope of outcomes on predictions (1 is right); bins of predictions.
    """
    requests = requests_of_table(features_candidates)
    chosen, predicted = predictor.duplicate().learn_requests(requests)
    known = np.isfinite(requests.latency)
    actual = np.log(np.where(known, requests.latency, 1.0))
    metrics: dict[str, Any] = {}
    asked = chosen if requests.measured else requests.logged
    for name, rows in (("chosen", asked), ("candidates", np.flatnonzero(known))):
        error = actual[rows] - predicted[rows]
        metrics |= {f"log_error_mean_{name}": float(error.mean())}
        metrics |= {f"log_error_rms_{name}": float(np.sqrt((error**2).mean()))}
    rows = np.flatnonzero(known)
    spread = float(predicted[rows].var())
    covariance = float(((predicted[rows] - predicted[rows].mean()) * (actual[rows] - actual[rows].mean())).mean())
    metrics["calibration_slope"] = covariance / spread if spread > 0 else None
    order = rows[np.argsort(predicted[rows], kind="stable")]
    bins = [
        {
            "bin": number,
            "candidates": len(part),
            "predicted ms": float(np.exp(predicted[part].mean())),
            "measured ms": float(np.exp(actual[part].mean())),
        }
        for number, part in enumerate(np.array_split(order, min(judgement.bins, len(order))), 1)
    ]
    return {"metrics": metrics, "tables": {"Predicted and measured latency, geometric means": bins}}


def _ratio(name: str) -> Any:
    return lambda sums: np.asarray(sums[name] / sums["best"])


def _decision_times(predictor: PeerSelector, requests: Requests, most: int) -> dict[str, float]:
    """CPU microseconds of decisions that are asked for one by one."""
    peers = np.array(requests.peers, dtype=object)[requests.peer]
    random = np.random.default_rng(0)
    seconds = []
    for number in range(min(most, len(requests.client))):
        candidates = peers[requests.start[number] : requests.start[number + 1]].tolist()
        client = requests.clients[requests.client[number]]
        started = time.perf_counter()
        predictor.select(client, candidates, random=random)
        seconds.append(time.perf_counter() - started)
    return {f"decision_us_p{share}": 1e6 * float(np.percentile(seconds, share)) for share in (50, 99)}
