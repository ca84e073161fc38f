"""Champion against challenger: a regression on the held-out rows of the present feature table."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.metrics.bootstrap import Floats
from augury.pipelines.promotion.decision import Comparison, Incompatible, decide
from augury.pipelines.promotion.paired_comparison import CHALLENGER, CHAMPION, compare_losses
from augury.pipelines.promotion.rules import RegressionPromotion
from augury.predictors.feature_specification import FeatureSpecification
from augury.predictors.predictor_version import PredictorVersion

PREDICTED = "predicted"


def decide_regression(
    champion: PredictorVersion | None,
    challenger: PredictorVersion | None,
    features_holdout: Any,
    report_features: dict[str, Any],
    provenance: dict[str, Any],
    rules: RegressionPromotion,
    seed: int,
) -> dict[str, Any]:
    """Compare both on the same rows, and decide.

    Args:
        champion: The version in force; None if there is none.
        challenger: The newest version; None if there is none.
        features_holdout: Held-out rows, any engine.
        report_features: A :class:`~augury.predictors.feature_specification.FeatureSpecification` as JSON.
        provenance: For the time: ``created_at``.
        rules: When the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The decision, see :func:`~augury.pipelines.promotion.decision.decide`.

    Raises:
        UserError: There are no rows, or ``log_error`` meets a value that is not positive.
    """
    specification = FeatureSpecification.model_validate(report_features)
    rows = engines.to_pandas(features_holdout).sort_values(specification.row_id, ignore_index=True)
    if rows.empty:
        raise UserError("Dataset 'features_holdout' has no rows; at least one is needed.")
    compare = partial(compare_regression, rows=rows, specification=specification, rules=rules, seed=seed)
    return decide(champion, challenger, compare, rules, provenance["created_at"])


def compare_regression(
    champion: Any,
    challenger: Any,
    rows: pd.DataFrame,
    specification: FeatureSpecification,
    rules: RegressionPromotion,
    seed: int,
) -> Comparison:
    """Compare the errors of two regressions, each asked as a service would ask it: with the raw input columns.

    Args:
        champion: The predictor in force.
        challenger: The new one.
        rows: Held-out rows.
        specification: Names target and groups.
        rules: Says which error counts.
        seed: Seed of the resampling.

    Returns:
        The comparison.

    Raises:
        Incompatible: One of them asks for other columns.
        UserError: ``log_error`` meets a value that is not positive.
    """
    actual = rows[specification.target].to_numpy(dtype=np.float64)
    losses = {
        name: _errors(actual, _predicted(predictor, name, rows), rules)
        for name, predictor in ((CHAMPION, champion), (CHALLENGER, challenger))
    }
    groups = rows[specification.group]
    compared = compare_losses(losses, groups, rules, seed)
    return Comparison(
        rows=len(rows),
        groups=groups.nunique(),
        metric=rules.loss,
        main=compared,
        metrics={rules.loss: compared},
        worse={},
        perhaps_worse={},
    )


def _predicted(predictor: Any, role: str, rows: pd.DataFrame) -> Floats:
    try:
        answered = predictor.predict(rows)
    except UserError as error:
        raise Incompatible(f"the {role} cannot predict the held-out rows: {error}") from error
    if PREDICTED not in answered:
        raise Incompatible(f"the {role}, of family '{predictor.metadata.family}', has no output '{PREDICTED}'")
    return answered[PREDICTED].to_numpy(dtype=np.float64)


def _errors(actual: Floats, predicted: Floats, rules: RegressionPromotion) -> Floats:
    if rules.loss == "absolute_error":
        return np.abs(predicted - actual)
    if min(actual.min(), predicted.min()) <= 0:
        raise UserError(
            "Parameter 'promotion.loss': 'log_error' needs positive values, and there are others among the held-out "
            "rows; use 'absolute_error'."
        )
    return np.abs(np.log(predicted / actual))
