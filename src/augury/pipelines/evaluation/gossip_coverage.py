"""Whether the floor of the coverage holds, what caution costs, and what telemetry adds."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury import engines
from augury.pipelines.evaluation.gossip_costs import GossipJudgement
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.predictors.gossip_tuning import GossipTuner

FEWEST_CORRECTING = 10
Floats = npt.NDArray[np.float64]


def judge_coverage(
    predictions_holdout: pd.DataFrame,
    predictor: GossipTuner,
    judgement: GossipJudgement,
    evaluation: PolicyEvaluation,
    seed: int,
) -> dict[str, Any]:
    """Count the states in which the floor holds.

    Args:
        predictions_holdout: What ``predict_gossip_holdout`` returned.
        predictor: For the floor.
        judgement: Which states count.
        evaluation: Resamples and their confidence.
        seed: Of the resampling of networks.

    Returns:
        ``metrics``: ``coverage_share`` of the states with little enough loss, all of them; ``coverage_share_reachable``
        of those in which any action holds the floor; ``regret_floor_oracle`` (cost over the oracle that has to hold the
        floor, too); ``reachable_share``; ``coverage_share_<rule>``;
        ``coverage_mean``; ``bound_holds`` (states whose coverage is not below its lower bound);
        ``messages_saved_calm`` (share of the default's copies in calm states); ``intervals`` and ``tables``.
    """
    floor = predictor.specification.cost.floor
    frame = predictions_holdout.sort_values("case", ignore_index=True)
    judged = frame[frame["loss"] <= judgement.most_loss]
    suffixes = {
        "": "model",
        **{name: name.removeprefix("coverage_").removeprefix("baseline_") for name in _rules(frame)},
    }
    metrics: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    for name, part in (("coverage_share", judged), ("coverage_share_reachable", judged[judged["reachable"]])):
        held: Floats = np.asarray(part["coverage"] >= floor, dtype=np.float64)
        metrics[name] = float(held.mean()) if len(held) else None
        if len(held) and evaluation.bootstrap_replicates:
            intervals[name] = _interval(held, part["group"].to_numpy(), evaluation, seed)
    metrics["reachable_share"] = float(judged["reachable"].mean()) if len(judged) else None
    for column, name in suffixes.items():
        if column:
            metrics[f"coverage_share_{name}"] = float((judged[column] >= floor).mean()) if len(judged) else None
    metrics["regret_floor_oracle"] = float(frame["cost"].sum() / frame["cost_floor_oracle"].sum() - 1)
    metrics["coverage_mean"] = float(frame["coverage"].mean())
    metrics["bound_holds"] = float((frame["coverage"] >= frame["lower"]).mean())
    calm = frame[(frame["loss"] <= judgement.calm) & (frame["churn"] <= judgement.calm)]
    saved = 1 - calm["messages"].sum() / calm["messages_baseline_default"].sum() if len(calm) else None
    metrics["messages_saved_calm"] = None if saved is None else float(saved)
    return {
        "metrics": metrics,
        "intervals": intervals,
        "tables": {"States with coverage at the floor, by loss": _by_loss(frame, suffixes, floor)},
    }


def judge_corrections(
    predictor: GossipTuner,
    features_later: Any,
    features_holdout: Any,
    features_outcomes: Any,
    judgement: GossipJudgement,
) -> dict[str, Any]:
    """Let the tuner learn from the held-out networks' own rounds, and judge it on their evaluated states.

    Args:
        predictor: The tuner.
        features_later: Logged rounds of held-out networks, which training did not see.
        features_holdout: Held-out cases.
        features_outcomes: What came of every action.
        judgement: Which states count.

    Returns:
        ``metrics``: ``corrected_cost_ratio`` (cost / cost without corrections) and ``corrected_coverage_share``; empty
        where there are hardly any rounds.
    """
    rounds, cases, outcomes = (
        engines.to_pandas(frame) for frame in (features_later, features_holdout, features_outcomes)
    )
    if len(rounds) < FEWEST_CORRECTING:
        return {"metrics": {}, "tables": {}}
    corrected = predictor.corrected(rounds)
    floor, asked = predictor.specification.cost.floor, (cases["loss"] <= judgement.most_loss).to_numpy()
    rows: list[dict[str, Any]] = []
    for name, tuner in (("as trained", predictor), ("corrected by telemetry", corrected)):
        played = tuner.replay(cases, features_outcomes=outcomes)
        held = (played["coverage"] >= floor).to_numpy()[asked]
        rows.append(
            {
                "policy": name,
                "cost": float(played["cost"].mean()),
                "coverage_share": float(held.mean()) if len(held) else None,
                "messages_per_node": float(played["messages_per_node"].mean()),
            }
        )
    return {
        "metrics": {
            "corrected_cost_ratio": rows[1]["cost"] / rows[0]["cost"] if rows[0]["cost"] else None,
            "corrected_coverage_share": rows[1]["coverage_share"],
        },
        "tables": {"With the held-out networks' own rounds": rows},
    }


def _rules(frame: pd.DataFrame) -> list[str]:
    return [name for name in map(str, frame) if name.startswith("coverage_baseline_")] + [
        "coverage_oracle",
        "coverage_floor_oracle",
    ]


def _by_loss(frame: pd.DataFrame, suffixes: dict[str, str], floor: float) -> list[dict[str, Any]]:
    rows = []
    for level, part in frame.groupby("slice_loss"):
        row: dict[str, Any] = {"loss": str(level), "states": len(part), "reachable": float(part["reachable"].mean())}
        for column, name in suffixes.items():
            row[name] = float((part[column or "coverage"] >= floor).mean())
        rows.append(row)
    return sorted(
        rows, key=lambda row: (row["loss"].startswith("above"), not row["loss"].startswith("up"), row["loss"])
    )


def _interval(values: Floats, groups: npt.NDArray[Any], evaluation: PolicyEvaluation, seed: int) -> list[float]:
    """Percentile interval of a mean, groups drawn with repetition."""
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    sums, counts = np.bincount(codes, weights=values), np.bincount(codes)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (evaluation.bootstrap_replicates, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tail = (1 - evaluation.confidence) / 2
    return [float(value) for value in np.quantile(means, [tail, 1 - tail])]
