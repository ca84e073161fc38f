"""Champion against challenger: a binary predictor on the held-out rows of the present feature table."""

from functools import partial
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import BaseModel

from augury import engines
from augury.errors import UserError
from augury.metrics.binary import combined_groups
from augury.metrics.calibration import log_losses
from augury.parameters import near_matches
from augury.pipelines.promotion.decision import Comparison, Incompatible, decide
from augury.pipelines.promotion.paired_comparison import CHALLENGER, CHAMPION, compare_losses, compare_rankings
from augury.pipelines.promotion.rules import BinaryPromotion
from augury.predictors.predictor_version import PredictorVersion


def decide_binary(
    champion: PredictorVersion | None,
    challenger: PredictorVersion | None,
    features_matrix: Any,
    report_features: dict[str, Any],
    provenance: dict[str, Any],
    rules: BinaryPromotion,
    seed: int,
) -> dict[str, Any]:
    """Compare both on the same rows, and decide.

    Args:
        champion: The version in force; None if there is none.
        challenger: The newest version; None if there is none.
        features_matrix: The feature table, any engine.
        report_features: How it was computed: ``parameters``.
        provenance: For the time: ``created_at``.
        rules: Which rows, and when the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The decision, see :func:`~augury.pipelines.promotion.decision.decide`.

    Raises:
        UserError: A parameter names a column that does not exist, or selects no row.
    """
    rows = held_out(features_matrix, rules)
    compare = partial(compare_binary, rows=rows, report_features=report_features, rules=rules, seed=seed)
    return decide(champion, challenger, compare, rules, provenance["created_at"])


def held_out(features_matrix: Any, rules: BinaryPromotion) -> pd.DataFrame:
    """Take the rows that both predict, in the order of their ids; those without an outcome are left out.

    Raises:
        UserError: A parameter names a column that does not exist, or selects no row.
    """
    table = nw.from_native(features_matrix)
    present = table.collect_schema().names()
    for name in (rules.row_id, rules.target, *rules.group_columns, *rules.rows):
        if name not in present:
            raise UserError(
                f"Parameters of 'promotion': the feature table has no column '{name}'. {near_matches(name, present)}"
            )
    for name, value in rules.rows.items():
        table = table.filter(nw.col(name).is_in(value if isinstance(value, list) else [value]))
    rows = engines.to_pandas(table.to_native())
    rows = rows[rows[rules.target].notna()].sort_values(rules.row_id, ignore_index=True)
    if rows.empty:
        raise UserError(f"Parameter 'promotion.rows': no row of the feature table with an outcome has {rules.rows}.")
    return rows


def compare_binary(
    champion: Any,
    challenger: Any,
    rows: pd.DataFrame,
    report_features: dict[str, Any],
    rules: BinaryPromotion,
    seed: int,
) -> Comparison:
    """Compare log loss and ROC-AUC of two :class:`~augury.predictors.matrix_predictor.MatrixPredictor`.

    Args:
        champion: The predictor in force.
        challenger: The new one.
        rows: What :func:`held_out` returned.
        report_features: How the features of the rows were computed.
        rules: When the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The comparison.

    Raises:
        Incompatible: One of them was trained with other features.
    """
    predictors = {CHAMPION: champion, CHALLENGER: challenger}
    scores = {name: _probability(model, name, rows, report_features, rules) for name, model in predictors.items()}
    actual = rows[rules.target].to_numpy(dtype=bool)
    groups = combined_groups(rows, rules.group_columns)
    loss = compare_losses({name: log_losses(actual, score) for name, score in scores.items()}, groups, rules, seed)
    area = compare_rankings(actual, scores, groups, rules, seed)
    worse: dict[str, str] = {}
    perhaps_worse: dict[str, str] = {}
    for found, end in ((worse, "improvement"), (perhaps_worse, "lower")):
        value = area[end]
        if value is not None and value < -rules.epsilon_roc_auc:
            found["roc_auc"] = (
                f"but ROC-AUC {area['champion']:.6g} -> {area['challenger']:.6g}, "
                f"{'difference' if end == 'improvement' else 'lower bound of the difference'} {value:.3g}, "
                f"below {-rules.epsilon_roc_auc:g}"
            )
    return Comparison(
        rows=len(rows),
        groups=len(np.unique(groups)),
        metric="log_loss",
        main=loss,
        metrics={"log_loss": loss, "roc_auc": area},
        worse=worse,
        perhaps_worse=perhaps_worse,
    )


def _probability(
    predictor: Any, role: str, rows: pd.DataFrame, report_features: dict[str, Any], rules: BinaryPromotion
) -> np.ndarray:
    if not hasattr(predictor, "predict_matrix"):
        raise Incompatible(f"the {role} is of family '{predictor.metadata.family}', which scores no feature table")
    trained = getattr(predictor, "features", None)
    if isinstance(trained, BaseModel):
        own, present = trained.model_dump(mode="json"), report_features.get("parameters", {})
        different = [
            name
            for name in sorted({*own, *present} - set(rules.execution_parameters))
            if own.get(name) != present.get(name)
        ]
        if different:
            shown = ", ".join(f"{name} ({own.get(name)} there, {present.get(name)} here)" for name in different)
            raise Incompatible(f"the {role} was trained with other parameters of the features: {shown}")
    try:
        scored = predictor.predict_matrix(rows)
    except (KeyError, UserError) as error:
        text = error.args[0] if error.args else error
        raise Incompatible(f"the {role} asks for features that the table does not have: {text}") from error
    return np.asarray(scored["probability"], dtype=np.float64)
