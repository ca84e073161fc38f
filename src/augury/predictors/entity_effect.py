"""How much a repeated entity (a household, a customer, a machine) deviates from what a model expects of its cases.

A model without memory predicts every case of an entity; the residuals of those that are resolved tell what the model
does not know of the entity. One Newton step of a logistic model with a random intercept, from an intercept of zero,
turns them into a shrunk estimate on the scale of log odds: ``sum(y - p) / (sum p (1 - p) + prior)``. The estimate of a
row uses only what was known strictly before it, so that training and serving see the same.

Sums are of whole numbers, hence exact: neither the order of the rows nor what else is in the table changes a bit of the
result.
"""

import numpy as np
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.past_events import Moments, PastEvents

SCALE = 2.0**32
"""Steps per unit of the sums: exact to 2e-10, and room for two thousand million rows."""

EFFECT = "effect"
INFORMATION = "information"
Z_SCORE = "z_score"
COLUMNS = (EFFECT, INFORMATION, Z_SCORE)


class EntityEffect(Parameters):
    """Shrinkage of the effect."""

    prior_information: float = Field(
        default=1.0,
        gt=0,
        description="inverse variance of the entities' intercepts, in log odds; the larger, the more evidence it takes",
    )


def residuals(actual: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a resolved case says about its entity.

    Args:
        actual: 0 or 1, or NaN where it is unknown; shape (rows,).
        probability: What the model had said, by a model that did not learn from the row; NaN where it said nothing.

    Returns:
        Residual ``y - p`` and information ``p (1 - p)``; NaN where either is unknown.
    """
    known = np.where(np.isnan(actual), np.nan, probability)
    return actual - known, known * (1 - known)


def entity_effects(
    asked: pd.DataFrame,
    evidence: pd.DataFrame,
    effect: EntityEffect,
    *,
    entity: str,
    asked_at: str,
    known_at: str,
    residual: str = "residual",
    information: str = "information",
) -> pd.DataFrame:
    """Estimate the effect of each row's entity from what was known strictly before the row.

    Args:
        asked: Rows that want an estimate: `entity` and `asked_at`.
        evidence: Cases: `entity`, `known_at` (when the outcome came to be known), `residual` and `information`. Rows
            with a missing value in one of them are no evidence.
        effect: Parameters.
        entity: Column of the entity in both tables.
        asked_at: Column of the time in `asked`.
        known_at: Column of the time in `evidence`.
        residual: Column of ``y - p``.
        information: Column of ``p (1 - p)``.

    Returns:
        `effect` (log odds; 0 without evidence), `information` (sum of ``p (1 - p)``) and `z_score` (sum of the
        residuals in units of their standard deviation), float64, with the index of `asked`.
    """
    evidence = evidence[[entity, known_at, residual, information]].dropna()
    codes, entities = pd.factorize(evidence[entity])
    steps = {name: np.rint(evidence[name].to_numpy(dtype=np.float64) * SCALE) for name in (residual, information)}
    events = PastEvents(
        Moments(microseconds(asked[asked_at])),
        codes.astype(np.int64),
        microseconds(evidence[known_at]),
        **{name: values.astype(np.int64) for name, values in steps.items()},
    )
    # An entity that nothing is known of has the number -1, before all others
    past = events.before(entities.get_indexer(pd.Index(asked[entity])))
    total, weight = past.total(residual) / SCALE, past.total(information) / SCALE
    with np.errstate(invalid="ignore", divide="ignore"):
        z_score = np.where(weight > 0, total / np.sqrt(weight), 0.0)
    columns = {EFFECT: total / (weight + effect.prior_information), INFORMATION: weight, Z_SCORE: z_score}
    return pd.DataFrame(columns, index=asked.index)


def microseconds(times: pd.Series) -> np.ndarray:
    """Naive times as whole numbers."""
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)
