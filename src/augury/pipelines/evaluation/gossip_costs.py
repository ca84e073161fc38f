"""What the tuner's choices and those of plain rules come to in held-out states, by seeds that nobody chose by."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.parameters import Parameters
from augury.predictors.gossip_outcomes import (
    JUDGED,
    action_name,
    floor_oracle_actions,
    oracle_actions,
    outcomes_on_grid,
    reachable,
)
from augury.predictors.gossip_states import complete_states
from augury.predictors.gossip_surface import on_grid
from augury.predictors.gossip_surface_onnx import compare_surface
from augury.predictors.gossip_tuning import GossipTuner

ORACLE, FLOOR_ORACLE = "oracle", "floor_oracle"
EXPORT_STATES = 20
TIMED_STATES = 20


class GossipJudgement(Parameters):
    """What is judged beside the cost."""

    most_loss: float = Field(default=0.3, ge=0, lt=1, description="the floor has to hold in states up to this loss")
    calm: float = Field(default=0.1, ge=0, description="loss and churn up to which a state counts as calm")
    shown_states: int = Field(default=3, ge=1, description="states whose surface is drawn")


def predict_gossip_holdout(
    predictor: GossipTuner, features_holdout: Any, features_outcomes: Any, predictions_baselines: pd.DataFrame
) -> pd.DataFrame:
    """Replay the tuner and the rules.

    Args:
        predictor: The tuner.
        features_holdout: Held-out cases.
        features_outcomes: What came of every action.
        predictions_baselines: ``policy``, ``case``, ``fanout``, ``ttl``.

    Returns:
        The frame that ``policy_holdout`` describes; beside each cost the ``coverage_<name>`` and
        ``messages_<name>`` that came of the choice, also of the oracle that has to hold the floor;
        ``expected`` and ``lower``, what the tuner thought of its coverage;
        ``reachable``, whether any action holds the floor; ``loss``, ``churn``, ``peers``.
    """
    cases, outcomes = engines.to_pandas(features_holdout).reset_index(drop=True), engines.to_pandas(features_outcomes)
    own = predictor.specification
    grid, pairs = own.grid, own.grid.pairs
    known = outcomes_on_grid(outcomes, cases["case"], grid, JUDGED)
    costs = own.cost.of(known[..., 0], known[..., 1], known[..., 2])
    choice = predictor.choose(cases)
    chosen = {
        "": choice.action,
        f"_{ORACLE}": oracle_actions(outcomes, cases["case"], grid, own.cost),
        f"_{FLOOR_ORACLE}": floor_oracle_actions(outcomes, cases["case"], grid, own.cost),
    }
    for name, rows in predictions_baselines.groupby("policy", sort=False):
        ordered = rows.set_index("case").loc[cases["case"]]
        chosen[f"_baseline_{name}"] = grid.place(ordered["fanout"].to_numpy(), ordered["ttl"].to_numpy())
    columns: dict[str, Any] = {"case": cases["case"], "group": cases["group"]}
    line = np.arange(len(cases))
    for suffix, action in chosen.items():
        columns[f"cost{suffix}"] = costs[line, action]
        if suffix != f"_{ORACLE}":  # of 77 pairs many are equally good: to choose the very same one is no merit
            columns[f"choice{suffix}"] = [action_name(*pair) for pair in pairs[action]]
        columns[f"coverage{suffix}"] = known[line, action, 0]
        columns[f"messages{suffix}"] = known[line, action, 1]
    columns |= {
        "expected": choice.coverage,
        "lower": choice.coverage_lower,
        "reachable": reachable(outcomes, cases["case"], grid, own.cost.floor),
        **{name: cases[name] for name in ("loss", "churn", "peers")},
        "slice_loss": _bands(cases["loss"], (0.1, 0.2, 0.3)),
        "slice_churn": _bands(cases["churn"], (0.1, 0.2)),
        "slice_peers": _bands(cases["peers"], (10, 30, 100, 500)),
        "slice_message_class": cases["message_class"].astype(str),
    }
    return pd.DataFrame(columns)


def gossip_facts(predictor: GossipTuner, features_holdout: Any) -> dict[str, Any]:
    """Time of a decision, and whether the exported surface says the same.

    Args:
        predictor: The tuner.
        features_holdout: Held-out cases.

    Returns:
        ``n_train``, ``decision_ms_p50`` (processor time of one state), ``onnx``.
    """
    cases = engines.to_pandas(features_holdout)
    took = []
    for row in range(min(len(cases), TIMED_STATES)):
        start = time.process_time()
        predictor.choose(cases.iloc[[row]])
        took.append(1_000 * (time.process_time() - start))
    theory = on_grid(
        complete_states(cases.head(EXPORT_STATES)), predictor.specification.grid, predictor.specification.copy_ms
    )
    facts: dict[str, Any] = {
        "n_train": predictor.metadata.data.rows,
        "n_train_groups": predictor.metadata.data.groups,
        "decision_ms_p50": float(np.median(took)),
    }
    if predictor.onnx is not None:
        facts["onnx"] = compare_surface(predictor.surface, predictor.onnx, theory.matrix)
    return facts


def _bands(values: pd.Series, edges: tuple[float, ...]) -> list[str]:
    names = [f"up to {edges[0]:g}"]
    names += [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    names.append(f"above {edges[-1]:g}")
    return [names[place] for place in np.searchsorted(edges, values.to_numpy(dtype=np.float64), side="left")]
