"""What the log of one policy tells of another: estimates for `peer_selection`, beside the truth where that is known."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.off_policy import (
    ESTIMATORS,
    Log,
    check_propensities,
    combined_models,
    cross_fitted,
    estimate,
    estimated_propensities,
    folds_of,
    marginal_weights,
    sampling_error,
)
from augury.pipelines.evaluation.peer_parameters import PeerJudgement
from augury.predictors.peer_requests import Requests, first_smallest, requests_of_table
from augury.predictors.peer_selection import PeerSelector

DATASET = "peer_selection.features_candidates"
LOG_FACTS = ("n", "effective_sample_size", "marginal_sample_size", "mean_weight", "largest_weight", "clipped")
LEAST = 20
"""Decisions that a log must have to be judged by."""

Floats = npt.NDArray[np.float64]


def judge_off_policy(
    predictor: PeerSelector, features_candidates: pd.DataFrame, judgement: PeerJudgement, seed: int
) -> dict[str, Any]:
    """Estimate the mean log latency of the trained selector's choices from the held-out log.

    The selector is judged as it is after training, without learning on the way. Where every outcome is known, the truth
    is too; then further logs are drawn, each with one outcome by request, and the estimates' errors are averaged.

    Args:
        predictor: The policy to judge.
        features_candidates: Candidates of the held-out requests; ``chosen`` and ``propensity`` make them a log.
        judgement: Clipping, folds, draws, resamples.
        seed: Of folds, draws and resampling.

    Returns:
        A part of the judgement: metrics ``ope_<estimator>`` (log ms), ``ope_effective_share``, and where the truth is
        known ``ope_truth`` and ``ope_error_<estimator>`` (mean absolute error over the drawn logs); tables; and a
        warning where the propensities are estimates.

    Raises:
        UserError: Propensities are given that cannot be such.
    """
    requests = requests_of_table(features_candidates)
    decided = requests.logged >= 0
    decided[decided] = np.isfinite(requests.latency[requests.logged[decided]])
    metrics: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    warnings: list[str] = []
    if decided.sum() >= LEAST:
        log_requests = requests.take(np.flatnonzero(decided))
        found = judge_log(log_requests, predictor, judgement, seed)
        warnings = found["warnings"]
        for name in ESTIMATORS:
            metrics[f"ope_{name}"] = found["values"][name]
            if name in found["intervals"]:
                intervals[f"ope_{name}"] = found["intervals"][name]
        metrics["ope_effective_share"] = found["effective_sample_size"] / found["n"]
        metrics["ope_marginal_effective_share"] = found["marginal_sample_size"] / found["n"]
        metrics["ope_mean_weight"] = found["mean_weight"]
        truth = _truth(log_requests, predictor) if requests.measured else None
        metrics |= {} if truth is None else {"ope_truth": truth}
        tables["Off-policy estimates of the mean log latency"] = [
            {
                "estimator": name,
                "estimate": found["values"][name],
                "lower": found["intervals"].get(name, [None, None])[0],
                "upper": found["intervals"].get(name, [None, None])[1],
                **({} if truth is None else {"truth": truth, "error": found["values"][name] - truth}),
            }
            for name in ESTIMATORS
        ]
        tables["The log"] = [{name: found[name] for name in LOG_FACTS}]
    if requests.measured and len(requests.client) >= LEAST:
        errors = errors_of_estimates(requests, predictor, judgement, seed)
        metrics |= {f"ope_error_{name}": float(errors[name].abs().mean()) for name in ESTIMATORS}
        tables["Errors over drawn logs, with the truth known"] = [
            {
                "estimator": name,
                "requests": len(requests.client),
                "logs": len(errors),
                "mean absolute error": float(errors[name].abs().mean()),
                "root mean square": float(np.sqrt((errors[name] ** 2).mean())),
                "mean error": float(errors[name].mean()),
            }
            for name in ESTIMATORS
        ]
    if warnings:
        tables["Warnings"] = [{"warning": text} for text in warnings]
    return {"metrics": metrics, "intervals": intervals, "tables": tables, "warnings": warnings}


def judge_log(requests: Requests, predictor: PeerSelector, judgement: PeerJudgement, seed: int) -> dict[str, Any]:
    """Estimate what a selector would have got, from requests that all have a chosen candidate with an outcome.

    The outcome model blends what the judged selector predicts with what a copy of it predicts that went on to learn
    from the logged outcomes of other requests, such that the least is left of the judged choices.

    Returns:
        See :func:`augury.metrics.off_policy.estimate`; ``warnings``; and ``predicted``, the outcome model's log latency
        of every candidate, shape ``(rows,)``.

    Raises:
        UserError: Some propensities are missing and some are not, or they cannot be such.
    """
    warnings = []
    learned = modelled_outcomes(requests, predictor, judgement.folds, seed)
    log = log_of(requests)
    missing = np.isnan(log.propensity)
    if missing.all():
        log = Log(log.start, log.taken, log.outcome, estimated_propensities(log, learned), log.group)
        warnings.append(
            "The log has no propensities. They were estimated by how often the candidate with the smallest, the second "
            "smallest ... modelled latency was chosen; what follows is no more trustworthy than that. Log propensities."
        )
    elif missing.any():
        raise UserError(
            f"{DATASET}: column 'propensity' is missing in {int(missing.sum()):,} of {len(missing):,} rows; a log has "
            "it in all rows or in none."
        )
    check_propensities(log, DATASET)
    target = target_of(requests, predictor)
    models = np.column_stack([learned, predictor.rank_requests(requests)[1]])
    predicted = combined_models(log, target, models, folds_of(len(log.taken), judgement.folds, seed))
    found = estimate(
        log,
        target,
        predicted,
        alike=same_fetches(requests),
        clip=judgement.clip,
        replicates=judgement.bootstrap_replicates,
        confidence=judgement.confidence,
        seed=seed,
    )
    return found | {"warnings": warnings, "predicted": predicted}


def errors_of_estimates(
    requests: Requests, predictor: PeerSelector, judgement: PeerJudgement, seed: int
) -> pd.DataFrame:
    """Draw logs from requests with all outcomes, and compare what they tell with the truth.

    Args:
        requests: All measured. Where they have propensities, logs are drawn by them, else uniformly.
        predictor: The policy to judge.
        judgement: How many logs; clipping and folds.
        seed: Of draws and folds.

    Returns:
        One row per log, a column per estimator: estimate - truth, in log latency; and ``expected_<estimator>`` of the
        two doubly robust ones: the root mean square of the error over all logs that could be drawn, if the outcome
        model were the same and no weight were cut.
    """
    truth = _truth(requests, predictor)
    target, outcome = target_of(requests, predictor), np.log(requests.latency)
    propensity = drawing_propensities(requests)
    weights = {
        "doubly_robust": None,
        "marginal_doubly_robust": marginal_weights(target, propensity, same_fetches(requests)),
    }
    rows = []
    for number in range(judgement.draws):
        drawn = drawn_log(requests, seed + number)
        found = judge_log(drawn, predictor, judgement.model_copy(update={"bootstrap_replicates": 0}), seed + number)
        left = outcome - found["predicted"]
        expected = {
            f"expected_{name}": sampling_error(requests.start, target, propensity, left, weight)
            for name, weight in weights.items()
        }
        rows.append({name: found["values"][name] - truth for name in ESTIMATORS} | expected)
    return pd.DataFrame(rows)


def drawn_log(requests: Requests, seed: int) -> Requests:
    """A log with one outcome by request, drawn by :func:`drawing_propensities`."""
    propensity = drawing_propensities(requests)
    # The largest of log(p) + Gumbel noise is a draw by p
    noise = np.random.default_rng(seed).gumbel(size=len(propensity))
    logged = first_smallest(-(np.log(propensity) + noise), requests.start)
    latency = np.full(len(propensity), np.nan)
    latency[logged] = requests.latency[logged]
    return requests._replace(latency=latency, logged=logged, propensity=propensity)


def drawing_propensities(requests: Requests) -> Floats:
    """Those of the requests, and where there are none uniform ones; shape ``(rows,)``."""
    size = np.diff(requests.start)[requests.request]
    return np.where(np.isnan(requests.propensity), 1 / size, requests.propensity)


def modelled_outcomes(requests: Requests, first: PeerSelector, folds: int, seed: int) -> Floats:
    """Log latency of every candidate by selectors that learned from the logged outcomes of other folds' requests.

    Args:
        requests: With a logged choice each.
        first: What a selector knows before; it stays as it is, and must not have learned from these requests.
        folds: How many.
        seed: Of the folds.

    Returns:
        Shape ``(rows,)``.
    """
    log = log_of(requests)

    def fit_predict(learned: npt.NDArray[np.bool_]) -> Floats:
        model = first.duplicate()
        part = requests.take(np.flatnonzero(learned))
        only_logged = np.full(len(part.latency), np.nan)
        only_logged[part.logged] = part.latency[part.logged]
        model.learn_requests(part._replace(latency=only_logged))
        return model.rank_requests(requests)[1]

    return cross_fitted(log, folds_of(len(log.taken), folds, seed), fit_predict)


def log_of(requests: Requests) -> Log:
    """Requests with a logged choice each as a log of log latencies."""
    return Log(
        start=requests.start,
        taken=requests.logged,
        outcome=np.log(requests.latency[requests.logged]),
        propensity=requests.propensity,
        group=np.array(requests.clients, dtype=object)[requests.client],
    )


def same_fetches(requests: Requests) -> npt.NDArray[np.int64]:
    """Label of each candidate, from 0: the same client, peer and load are the same fetch, whoever else was on offer.

    A peer that answers does not know which others might have been asked, and a selector that does not learn on the way
    scores it by these three alone.
    """
    fetches = pd.MultiIndex.from_arrays([requests.client[requests.request], requests.peer, requests.load])
    return np.asarray(pd.factorize(fetches)[0], dtype=np.int64)


def target_of(requests: Requests, predictor: PeerSelector) -> Floats:
    """Probability of each candidate under the selector as it is, random draws included; shape ``(rows,)``."""
    scores, _ = predictor.rank_requests(requests)
    size = np.diff(requests.start)[requests.request]
    target = np.full(len(scores), 1.0) * predictor.settings.epsilon / size
    target[first_smallest(scores, requests.start)] += 1 - predictor.settings.epsilon
    return np.asarray(target, dtype=np.float64)


def _truth(requests: Requests, predictor: PeerSelector) -> float:
    """Mean log latency of the selector's choices, all outcomes being known."""
    weighted = target_of(requests, predictor) * np.log(requests.latency)
    return float(weighted.sum() / len(requests.client))
