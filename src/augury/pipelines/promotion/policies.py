"""Champion against challenger: a policy on the held-out cases of the present data."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.metrics.bootstrap import Floats
from augury.parameters import near_matches
from augury.pipelines.promotion.decision import Comparison, Incompatible, decide
from augury.pipelines.promotion.paired_comparison import CHALLENGER, CHAMPION, compare_losses
from augury.pipelines.promotion.rules import PromotionRules
from augury.predictors.policy import COST, replayed
from augury.predictors.predictor_version import PredictorVersion

RELATIVE_COST = "relative_cost"


class PolicyPromotion(PromotionRules):
    """Rules for a policy; the main metric is the cost as a share of the champion's, smaller is better."""

    group_column: str = Field(default="group", description="Cases that agree in this column are drawn together.")
    slices: list[str] = Field(
        default_factory=list, description="Columns in none of whose values the challenger may cost more."
    )
    epsilon_slice: float = Field(
        default=0.02,
        ge=0,
        allow_inf_nan=False,
        description="By which share of the champion's cost it may all the same, in a single slice.",
    )


def decide_policies(
    champion: PredictorVersion | None,
    challenger: PredictorVersion | None,
    features_holdout: Any,
    provenance: dict[str, Any],
    rules: PolicyPromotion,
    seed: int,
    **tables: Any,
) -> dict[str, Any]:
    """Replay both on the same cases, and decide.

    Args:
        champion: The version in force; None if there is none.
        challenger: The newest version; None if there is none.
        features_holdout: The held-out cases as ``replay`` takes them, any engine.
        provenance: For the time: ``created_at``.
        rules: When the challenger takes the champion's place.
        seed: Seed of the resampling.
        **tables: Further tables that ``replay`` takes, any engine.

    Returns:
        The decision, see :func:`~augury.pipelines.promotion.decision.decide`.

    Raises:
        UserError: There are no cases, or a parameter names a column that does not exist.
    """
    cases = engines.to_pandas(features_holdout)
    if cases.empty:
        raise UserError("Dataset 'features_holdout' has no rows; at least one held-out case is needed.")
    for name in (rules.group_column, *rules.slices):
        if name not in cases:
            raise UserError(
                f"Parameters of 'promotion': the held-out cases have no column '{name}'. "
                f"{near_matches(name, list(map(str, cases.columns)))}"
            )
    frames = {name: engines.to_pandas(table) for name, table in tables.items()}
    compare = partial(compare_policies, cases=cases, tables=frames, rules=rules, seed=seed)
    return decide(champion, challenger, compare, rules, provenance["created_at"])


def compare_policies(
    champion: Any,
    challenger: Any,
    cases: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    rules: PolicyPromotion,
    seed: int,
) -> Comparison:
    """Compare what two :class:`~augury.predictors.policy.PolicyPredictor` cost.

    Args:
        champion: The policy in force.
        challenger: The new one.
        cases: The held-out cases.
        tables: Further tables of the replay.
        rules: When the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The comparison; its rows are cases.

    Raises:
        Incompatible: One of them is no policy, or cannot be replayed on these cases; or the champion costs nothing.
    """
    costs = {
        name: _costs(model, name, cases, tables) for name, model in ((CHAMPION, champion), (CHALLENGER, challenger))
    }
    scale = float(costs[CHAMPION].mean())
    if scale <= 0:
        raise Incompatible("the champion costs nothing on the held-out cases, so nothing can be saved")
    shares = {name: values / scale for name, values in costs.items()}
    groups = cases[rules.group_column].to_numpy()
    main = compare_losses(shares, groups, rules, seed)
    metrics = {RELATIVE_COST: main, COST: compare_losses(costs, groups, rules, seed)}
    worse: dict[str, str] = {}
    for column in rules.slices:
        for value in sorted(cases[column].unique(), key=str):
            inside = (cases[column] == value).to_numpy()
            before = float(costs[CHAMPION][inside].sum())
            lost = float(costs[CHALLENGER][inside].sum()) - before
            if lost > rules.epsilon_slice * before:
                share = f", {lost / before:.3g} of it" if before else ""
                worse[f"{column} {value}"] = (
                    f"but it costs {lost:.6g} more than the champion where {column} is {value}{share}, "
                    f"above {rules.epsilon_slice:g}"
                )
    return Comparison(
        rows=len(cases),
        groups=len(np.unique(groups.astype(str))),
        metric=RELATIVE_COST,
        main=main,
        metrics=metrics,
        worse=worse,
        perhaps_worse={},
    )


def _costs(policy: Any, role: str, cases: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> Floats:
    if not hasattr(policy, "replay"):
        raise Incompatible(f"the {role} is of family '{policy.metadata.family}', which makes no choices")
    try:
        found = replayed(policy, cases, **tables)
    except (KeyError, TypeError, UserError) as error:
        raise Incompatible(f"the {role} cannot be replayed on the held-out cases: {error}") from error
    return found[COST].to_numpy(dtype=np.float64)
