"""Recall and precision of an index on pairs whose Jaccard similarity is known exactly."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury import engines
from augury.metrics import pair_retrieval
from augury.metrics.bootstrap import Sums, bootstrap_intervals
from augury.parameters import Parameters
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.predictors import sketched_block_columns as sb
from augury.predictors.band_index import Banding
from augury.predictors.deduplication import NearDuplicateIndex
from augury.predictors.shingle_sketches import decode, estimates, thinned
from augury.predictors.similar_pairs import known_pairs, similar_pairs, without_identical
from augury.reporting.plot_style import COLOURS, MUTED, new_figure

STEP = 0.1


class RetrievalEvaluation(Parameters):
    """Which pairs the index has to find."""

    near_duplicate: float = Field(default=0.5, gt=0, lt=1, description="Jaccard similarity of near-duplicates.")
    high_similarity: float = Field(default=0.8, gt=0, lt=1, description="Jaccard similarity of close ones.")
    thresholds: tuple[float, ...] = Field(
        default=(0.3, 0.35, 0.4, 0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.6, 0.7, 0.8),
        min_length=1,
        description="Estimates at which recall and precision are drawn.",
    )


def judge_near_duplicates(
    predictor: NearDuplicateIndex,
    features_holdout: Any,
    features_pairs: Any,
    report_training: dict[str, Any],
    retrieval: RetrievalEvaluation,
    evaluation: PolicyEvaluation,
    seed: int,
) -> dict[str, Any]:
    """Look the held-out blocks up among each other, and compare with what is known exactly.

    Pairs of identical blocks are left out: the digest finds them, and they would flatter the sketches. Blocks that
    differ and yet have a similarity of 1, because they repeat the same shingles, count.

    Args:
        predictor: The index; its settings are used, its blocks are not.
        features_holdout: Blocks in the order of time.
        features_pairs: Pairs of them; complete from the least similarity among them on.
        report_training: For the mean and the spread over folds.
        retrieval: Which pairs have to be found.
        evaluation: How to resample.
        seed: Of the resampling.

    Returns:
        ``metrics`` (``recall``, ``recall_high``, ``precision``, those of the folds, ``estimate_rmse``), ``intervals``
        (lineages are drawn), ``support`` (pairs), and ``tables``: by bucket of similarity, and by threshold.
    """
    blocks, pairs = engines.to_pandas(features_holdout), engines.to_pandas(features_pairs)
    settings = predictor.settings
    cells = decode(blocks[sb.SKETCH].tolist(), predictor.collected.cells)
    cells = thinned(cells, settings.sketch.cells, settings.sketch.least_sampling)
    known = known_pairs(blocks, pairs)
    found, candidates = similar_pairs(cells, settings.banding, min(retrieval.thresholds))
    joined = pair_retrieval.with_truth(without_identical(found, blocks), known)
    taken = joined["similarity"].to_numpy() >= settings.threshold
    jaccard = joined["jaccard"].to_numpy()
    near, high = jaccard >= retrieval.near_duplicate, jaccard >= retrieval.high_similarity
    groups = blocks[sb.LINEAGE].to_numpy()[joined["row"].to_numpy()]
    counts = {
        "near": near, "high": high, "taken": taken, "near_taken": near & taken, "high_taken": high & taken,
    }  # fmt: skip
    contributions = {name: values.astype(np.float64) for name, values in counts.items()}
    statistics = {
        "recall": _ratio("near_taken", "near"),
        "recall_high": _ratio("high_taken", "high"),
        "precision": _ratio("near_taken", "taken"),
    }
    sums = {name: np.array([values.sum()]) for name, values in contributions.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: _or_none(statistic(sums)[0]) for name, statistic in statistics.items()}
    intervals = bootstrap_intervals(
        contributions,
        statistics,
        groups,
        replicates=evaluation.bootstrap_replicates,
        confidence=evaluation.confidence,
        seed=seed,
    )
    rows, references = known["row"].to_numpy(), known["reference"].to_numpy()
    error = estimates(cells, rows, references) - known["jaccard"].to_numpy()
    folds = report_training["folds"]
    metrics: dict[str, Any] = {
        **values,
        "estimate_rmse": float(np.sqrt(np.mean(error**2))) if len(error) else None,
        "candidates_per_block": candidates,
        **{
            f"fold_{name}_{what}": folds[name][what]
            for name in ("recall", "precision", "saving_over_zstd")
            for what in ("mean", "spread")
            if name in folds
        },
    }
    return {
        "metrics": metrics,
        "intervals": {name: interval for name, interval in intervals.items() if values[name] is not None},
        "support": {"recall": int(near.sum()), "recall_high": int(high.sum()), "precision": int(taken.sum())},
        "tables": {
            "By exact Jaccard similarity": _buckets(joined, taken, groups, evaluation, seed),
            "By threshold": _curve(joined, retrieval, settings.threshold),
        },
        "banding": settings.banding.model_dump(mode="json"),
    }


def plot_recall_precision(report_near_duplicates: dict[str, Any]) -> Any:
    """Draw recall and precision by threshold."""
    import plotly.graph_objects as go

    rows = report_near_duplicates["tables"]["By threshold"]
    figure = new_figure(
        "Recall and precision",
        "near-duplicates among held-out blocks, by the least estimate",
        xaxis={"title": {"text": "least estimated similarity"}},
        yaxis={"title": {"text": "share"}, "range": [0, 1.02]},
    )
    for place, name in enumerate(("recall", "recall_high", "precision")):
        figure.add_trace(
            go.Scatter(
                x=[row["threshold"] for row in rows],
                y=[row[name] for row in rows],
                mode="lines+markers",
                name={"recall_high": "recall of close ones"}.get(name, name),
                line={"color": COLOURS[place]},
            )
        )
    return figure


def plot_banding(report_near_duplicates: dict[str, Any]) -> Any:
    """Draw with which probability the bands find a pair, and how often they did."""
    import plotly.graph_objects as go

    banding = Banding.model_validate(report_near_duplicates["banding"])
    grid = np.linspace(0, 1, 101)
    rows = report_near_duplicates["tables"]["By exact Jaccard similarity"]
    figure = new_figure(
        f"{banding.bands} bands of {banding.rows}",
        "line: probability of a common key; points: pairs found at the chosen threshold",
        xaxis={"title": {"text": "Jaccard similarity"}, "range": [0, 1]},
        yaxis={"title": {"text": "share found"}, "range": [0, 1.02]},
    )
    figure.add_trace(
        go.Scatter(
            x=grid.tolist(), y=banding.probability(grid).tolist(), mode="lines", name="bands", line={"color": MUTED}
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[(row["from"] + row["to"]) / 2 for row in rows],
            y=[row["found"] for row in rows],
            mode="markers",
            cliponaxis=False,
            name="found",
            marker={"size": 9, "color": COLOURS[0]},
        )
    )
    return figure


def _buckets(
    joined: pd.DataFrame,
    taken: npt.NDArray[np.bool_],
    groups: npt.NDArray[Any],
    evaluation: PolicyEvaluation,
    seed: int,
) -> list[dict[str, Any]]:
    """How many pairs of each similarity are found, with intervals."""
    jaccard = joined["jaccard"].to_numpy()
    rows: list[dict[str, Any]] = []
    for start in np.round(np.arange(0, 1, STEP), 2).tolist():
        inside = (jaccard >= start) & ((jaccard < start + STEP) | (start + STEP >= 1)) & (jaccard > 0)
        if not inside.any():
            continue
        interval = bootstrap_intervals(
            {"found": taken[inside].astype(np.float64)},
            {"found": lambda sums: sums["found"] / sums["rows"]},
            groups[inside],
            replicates=evaluation.bootstrap_replicates,
            confidence=evaluation.confidence,
            seed=seed,
        ).get("found", [None, None])
        rows.append(
            {
                "from": start,
                "to": round(start + STEP, 2),
                "pairs": int(inside.sum()),
                "found": float(taken[inside].mean()),
                "found_lower": interval[0],
                "found_upper": interval[1],
            }
        )
    return rows


def _curve(joined: pd.DataFrame, retrieval: RetrievalEvaluation, chosen: float) -> list[dict[str, Any]]:
    return [
        {
            "threshold": threshold,
            "recall": _or_none(pair_retrieval.recall(joined, retrieval.near_duplicate, threshold)),
            "recall_high": _or_none(pair_retrieval.recall(joined, retrieval.high_similarity, threshold)),
            "precision": _or_none(pair_retrieval.precision(joined, retrieval.near_duplicate, threshold)),
            "chosen": threshold == chosen,
        }
        for threshold in sorted({*retrieval.thresholds, chosen})
    ]


def _ratio(part: str, whole: str) -> Any:
    def statistic(sums: Sums) -> npt.NDArray[np.float64]:
        return np.asarray(sums[part] / sums[whole])

    return statistic


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
