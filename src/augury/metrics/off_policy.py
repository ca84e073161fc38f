"""What a policy would have cost, estimated from the log of another: IPS, SNIPS, direct method, two doubly robust ones.

A log holds, of every decision, the actions there were, the probability with which each was taken (its propensity),
which one was taken, and its outcome. Of a policy that would have acted otherwise, the log says nothing directly:

- **IPS** [1]_ weighs the outcomes of the actions that the policy would have taken too by the inverse of their
  propensities; unbiased, and noisy. Weights above ``clip`` are cut to it, which trades variance for bias.
- **SNIPS** [2]_ divides by the sum of the weights instead of the number of decisions.
- The **direct method** takes a model's predictions of all outcomes; as biased as the model. The model must not have
  seen the decision that it judges: :func:`cross_fitted`.
- **Doubly robust** [3]_ takes the model's predictions and corrects them by the weighted errors on what was taken: right
  on average if the propensities are right or the model is. How far it is off by chance depends on what the model leaves
  of the outcomes of the judged policy's actions alone (:func:`sampling_error`), so models are blended to leave
  little of those (:func:`combined_models`), after the "more robust doubly robust" estimator [4]_.
- **Marginal doubly robust** corrects by the errors on all rows of the same action, not only where the policy would have
  taken it (:func:`marginal_weights`) [5]_. With the same log it varies less; what it asks in return is that the outcome
  of an action does not depend on the other actions that stood beside it.

Intervals are bootstrap intervals over groups of decisions, such as those of one client.

.. [1] D. G. Horvitz and D. J. Thompson, JASA 47 (1952).
.. [2] A. Swaminathan and T. Joachims, "The self-normalized estimator for counterfactual learning", NeurIPS 2015.
.. [3] M. Dudik, J. Langford, L. Li, "Doubly robust policy evaluation and learning", ICML 2011.
.. [4] M. Farajtabar, Y. Chow, M. Ghavamzadeh, "More robust doubly robust off-policy evaluation", ICML 2018.
.. [5] Y. Saito and T. Joachims, "Off-policy evaluation for large action spaces via embeddings", ICML 2022: importance
   weights averaged over what the outcome does not depend on; here of the errors of an outcome model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.bootstrap import Floats, Sums, bootstrap_intervals

Integers = npt.NDArray[np.int64]

ESTIMATORS = ("ips", "snips", "direct", "doubly_robust", "marginal_doubly_robust")
SUM_TOLERANCE = 0.02
"""By how much the propensities of a decision may miss 1: logs keep them rounded."""
BLEND_STRENGTH = 10.0
"""How many equally weighted decisions the first of some blended models is worth."""


@dataclass(frozen=True)
class Log:
    """Decisions with all of their actions, one row per action; the actions of a decision are neighbours.

    Attributes:
        start: Row of the first action of each decision, shape ``(n + 1,)``.
        taken: Row of the action that was taken, shape ``(n,)``.
        outcome: What came of it, shape ``(n,)``.
        propensity: Of each action, shape ``(rows,)``.
        group: Label of each decision, shape ``(n,)``.
    """

    start: Integers
    taken: Integers
    outcome: Floats
    propensity: Floats
    group: npt.NDArray[Any]

    @property
    def decision(self) -> Integers:
        """Decision of each action, shape ``(rows,)``."""
        return np.repeat(np.arange(len(self.taken)), np.diff(self.start))


def check_propensities(log: Log, dataset: str = "log", tolerance: float = SUM_TOLERANCE) -> None:
    """Refuse propensities that cannot be probabilities of a policy that tries everything.

    Args:
        log: The log.
        dataset: Name for the message.
        tolerance: By how much the sum of a decision may miss 1.

    Raises:
        UserError: One is missing, not above 0 or above 1, or those of a decision do not add up to 1.
    """
    wrong = ~((log.propensity > 0) & (log.propensity <= 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{dataset}: column 'propensity' must be above 0 and at most 1: {int(wrong.sum()):,} of "
            f"{len(wrong):,} rows break this, for example {log.propensity[row]:g} in row {row}. What "
            "a policy never tries, its log cannot judge."
        )
    sums = np.add.reduceat(log.propensity, log.start[:-1]) if len(log.taken) else np.zeros(0)
    wrong = np.abs(sums - 1) > tolerance
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{dataset}: column 'propensity' must add up to 1 over the candidates of a request: {int(wrong.sum()):,} "
            f"of {len(sums):,} requests break this, for example one with {sums[row]:g} in row {int(log.start[row])}."
        )


def estimate(
    log: Log,
    target: Floats,
    predicted: Floats,
    *,
    alike: Integers | None = None,
    clip: float | None = None,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Estimate the mean outcome of a policy.

    Args:
        log: The log.
        target: Probability with which the policy would take each action, shape ``(rows,)``.
        predicted: Outcome of each action by a model that has not seen the decision, shape ``(rows,)``.
        alike: Label of each action, shape ``(rows,)``: see :func:`marginal_weights`. None: no two rows are the same
            action, and "marginal doubly robust" is "doubly robust".
        clip: Largest weight; None: weights are not cut.
        replicates: Resamples of groups; 0: no intervals.
        confidence: Coverage of the intervals.
        seed: Of the resampling.

    Returns:
        ``values``: estimator -> mean outcome; ``intervals``; ``effective_sample_size`` ((sum of weights)² / sum of
        squares) and ``marginal_sample_size``, the same of the marginal weights; ``n``; ``largest_weight`` before
        cutting; ``clipped`` (share of decisions); ``mean_weight``, which is 1 up to chance if the propensities are
        right.

    Raises:
        UserError: The propensities cannot be such, or the policy's probabilities do not add up to 1.
    """
    check_propensities(log)
    check_target(log, target)
    raw = target[log.taken] / log.propensity[log.taken]
    largest = np.inf if clip is None else clip
    weight = np.minimum(raw, largest)
    own = np.arange(len(target)) if alike is None else alike
    marginal = np.minimum(marginal_weights(target, log.propensity, own)[log.taken], largest)
    direct = np.add.reduceat(target * predicted, log.start[:-1])
    left = log.outcome - predicted[log.taken]
    per_decision = {
        "weight": weight,
        "weighted": weight * log.outcome,
        "direct": direct,
        "robust": direct + weight * left,
        "marginal": direct + marginal * left,
    }
    statistics: dict[str, Callable[[Sums], Floats]] = {
        "ips": lambda sums: np.asarray(sums["weighted"] / sums["rows"]),
        "snips": lambda sums: np.asarray(sums["weighted"] / sums["weight"]),
        "direct": lambda sums: np.asarray(sums["direct"] / sums["rows"]),
        "doubly_robust": lambda sums: np.asarray(sums["robust"] / sums["rows"]),
        "marginal_doubly_robust": lambda sums: np.asarray(sums["marginal"] / sums["rows"]),
    }
    sums = {name: np.array([values.sum()]) for name, values in per_decision.items()}
    sums["rows"] = np.array([float(len(weight))])
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: float(statistic(sums)[0]) for name, statistic in statistics.items()}
    return {
        "values": values,
        "intervals": bootstrap_intervals(
            per_decision, statistics, log.group, replicates=replicates, confidence=confidence, seed=seed
        ),
        "effective_sample_size": _effective_size(weight),
        "marginal_sample_size": _effective_size(marginal),
        "n": len(weight),
        "largest_weight": float(raw.max()),
        "mean_weight": float(raw.mean()),
        "clipped": float((raw > largest).mean()),
    }


def _effective_size(weight: Floats) -> float:
    """How many equally weighted decisions say as much (Kish); 0 where all weights are."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def marginal_weights(target: Floats, propensity: Floats, alike: Integers) -> Floats:
    """Weight of each action, averaged over all rows of the same action.

    Whether a policy takes an action depends on what else there is; what comes of it often does not. Then the weight of
    an outcome may be its mean over all decisions that offered the action, by how likely the log had taken it there: of
    weights that are mostly 0 and sometimes large, one in between. The mean is right, and the variance smaller. An
    action that is offered once keeps its weight.

    Args:
        target: Probability with which the judged policy takes each action, shape ``(rows,)``.
        propensity: Probability with which the logged policy did, shape ``(rows,)``.
        alike: Label from 0 of each row, shape ``(rows,)``: rows with the same label have the same distribution of
            outcomes, whatever other actions their decisions offer.

    Returns:
        Shape ``(rows,)``.

    Examples:
        An action is offered twice and logged at random one time in two; the policy takes it the first time only:

        >>> marginal_weights(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0, 0]))
        array([1., 1.])
    """
    shares = np.bincount(alike, weights=target) / np.bincount(alike, weights=propensity)
    return np.asarray(shares[alike], dtype=np.float64)


def check_target(log: Log, target: Floats) -> None:
    """Refuse what is no policy.

    Raises:
        UserError: A probability is no number from 0 to 1, or those of a decision do not add up to 1.
    """
    sums = np.add.reduceat(target, log.start[:-1])
    if not ((target >= 0) & (target <= 1)).all() or (np.abs(sums - 1) > 1e-6).any():
        raise UserError("The probabilities of the policy to be judged must be from 0 to 1 and add up to 1 by decision.")


def folds_of(decisions: int, folds: int, seed: int) -> Integers:
    """A random fold for each decision, of nearly equal sizes.

    Args:
        decisions: How many.
        folds: At least 2.
        seed: Seed.
    """
    found = np.arange(decisions) % folds
    np.random.default_rng(seed).shuffle(found)
    return found.astype(np.int64)


def cross_fitted(log: Log, folds: Integers, fit_predict: Callable[[npt.NDArray[np.bool_]], Floats]) -> Floats:
    """Predictions of all outcomes, each by a model that has not seen the decision.

    Args:
        log: The log.
        folds: Fold of each decision, shape ``(n,)``.
        fit_predict: Takes which decisions may be learned from, shape ``(n,)``; returns the predicted outcome of every
            action of the log, shape ``(rows,)``. It is called once per fold.

    Returns:
        Shape ``(rows,)``.
    """
    found = np.empty(len(log.propensity))
    of_row = folds[log.decision]
    for fold in np.unique(folds):
        inside = of_row == fold
        found[inside] = fit_predict(folds != fold)[inside]
    return found


def combined_models(log: Log, target: Floats, models: Floats, folds: Integers) -> Floats:
    """Blend predictions such that doubly robust estimates of a policy vary least: by least squares on its own actions.

    Over logs, the squared error of a decision counts by its squared weight times the chance that its action had not
    been taken. The regression (an intercept and a coefficient per model) begins as the first model, and a decision's
    coefficients come from the other folds.

    Args:
        log: The log.
        target: Probability with which the policy would take each action, shape ``(rows,)``.
        models: Outcome of each action by each model, shape ``(rows, models)``; none has seen the decision.
        folds: Fold of each decision, shape ``(n,)``.

    Returns:
        Shape ``(rows,)``.
    """
    taken = log.taken
    weight = (target[taken] / log.propensity[taken]) ** 2 * (1 - log.propensity[taken])
    found = models[:, 0].copy()
    of_row = folds[log.decision]
    for fold in np.unique(folds):
        counts = np.where(folds != fold, weight, 0.0)
        total = counts.sum()
        if total <= 0:
            continue
        counts /= total
        centre = counts @ models[taken]
        centred = models[taken] - centre
        products = centred.T @ (counts[:, None] * centred)
        # As many decisions as weigh the same, and a trace of a ridge for models that are constant
        ridge = BLEND_STRENGTH * (counts**2).sum() * products[0, 0] + 1e-9
        left = log.outcome - models[taken, 0]
        slopes = np.linalg.solve(products + ridge * np.eye(len(centre)), centred.T @ (counts * left))
        inside = of_row == fold
        found[inside] += counts @ left / (1 + BLEND_STRENGTH * (counts**2).sum()) + (models[inside] - centre) @ slopes
    return found


def sampling_error(
    start: Integers, target: Floats, propensity: Floats, left: Floats, weight: Floats | None = None
) -> float:
    """Root mean square error of a doubly robust estimate over logs of the same decisions, all outcomes being known.

    It is what the draw of the logged actions alone brings: with ``left`` the errors of the best model there could be,
    no estimate with these weights does better; with ``left`` the outcomes themselves, it is that of IPS.

    Args:
        start: Row of the first action of each decision, shape ``(n + 1,)``.
        target: Probability with which the judged policy takes each action, shape ``(rows,)``.
        propensity: Probability with which the logged policy did.
        left: Outcome less the model's prediction of it.
        weight: Of each action if it is logged, such as :func:`marginal_weights`; None: ``target / propensity``.

    Examples:
        One decision, two actions that were as likely; the judged policy takes the first, whose outcome the model misses
        by 1: the estimate is off by 1 one way or the other.

        >>> sampling_error(np.array([0, 2]), np.array([1.0, 0]), np.array([0.5, 0.5]), np.array([1.0, 7.0]))
        1.0
    """
    weight = target / propensity if weight is None else weight
    squares = np.add.reduceat(propensity * (weight * left) ** 2, start[:-1])
    means = np.add.reduceat(propensity * weight * left, start[:-1])
    # With weights that are not those of the rows, the expected corrections are not quite what the model misses
    shift = means.sum() - (target * left).sum()
    return float(np.sqrt((squares - means**2).sum() + shift**2) / (len(start) - 1))


def estimated_propensities(log: Log, score: Floats, smoothing: float = 1.0) -> Floats:
    """Propensities of a log that has none: how often the best, the second best ... candidate by a score was taken.

    An estimate of this kind is right only if the logged policy chose by nothing that the score does not know; what is
    concluded from it should say so.

    Args:
        log: The log; its propensities are not read.
        score: Of each action, lower is better, by a model that has not seen the decision; shape ``(rows,)``.
        smoothing: Decisions that are added to every place.

    Returns:
        Shape ``(rows,)``; above 0, and adding up to 1 by decision.
    """
    order = np.lexsort((score, log.decision))
    place = np.empty(len(score), dtype=np.int64)
    place[order] = np.arange(len(score)) - log.start[log.decision]
    size = np.diff(log.start)[log.decision]
    cells = pd.MultiIndex.from_arrays([size, place])
    cell, labels = pd.factorize(cells)
    taken = np.bincount(cell[log.taken], minlength=len(labels)) + smoothing
    rate = taken[cell].astype(np.float64)
    return np.asarray(rate / np.repeat(np.add.reduceat(rate, log.start[:-1]), np.diff(log.start)), dtype=np.float64)
