"""What the codecs' predicted outcomes are worth in themselves: shares of bytes, incompressible blocks, and regret by link."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.bootstrap import bootstrap_intervals
from augury.metrics.metrics_mapping import json_number
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.predictors.block_statistics import SIZE
from augury.predictors.codec_accuracy import incompressible, incompressible_auc, share_r2
from augury.predictors.codec_costs import outcome_array
from augury.predictors.compression import CodecChooser, complete

DICTIONARY_SIZES = (4096, 16384)


def evaluate_outcomes(
    predictor: CodecChooser, features_holdout: pd.DataFrame, report_training: dict[str, Any]
) -> dict[str, Any]:
    """Judge the regressors on held-out blocks.

    Args:
        predictor: The trained chooser.
        features_holdout: Held-out cases; every block counts once.
        report_training: For the figures of cross-validation.

    Returns:
        A part of the metrics: ``share_r2`` (mean over codecs), ``share_r2_least``, ``incompressible_auc``,
        ``incompressible_share``; those of the folds as ``folds_<name>`` with ``folds_<name>_spread``; and tables.
    """
    blocks = features_holdout.drop_duplicates("block")
    actual = outcome_array(blocks, predictor.codecs)
    rows = complete(blocks, predictor.specification.layout)
    predicted, inline = predictor.outcomes(rows), predictor.outcomes(rows, inline=True)
    found = share_r2(predicted, actual, predictor.codecs)
    metrics: dict[str, float | None] = {
        "share_r2": found["share"],
        "share_r2_least": found["share_least"],
        "share_r2_inline": share_r2(inline, actual, predictor.codecs)["share"],
        "incompressible_auc": incompressible_auc(predicted, actual),
        "incompressible_share": json_number(float(incompressible(actual)[1].mean())),
    }
    for name in ("r2_share", "r2_share_least", "incompressible_auc"):
        metrics[f"folds_{name}"] = report_training["mean"].get(name)
        metrics[f"folds_{name}_spread"] = report_training["spread"].get(name)
    errors = np.abs(np.log(predicted[:, 1:] / np.maximum(actual[:, 1:], 1e-3)))
    table = [
        {
            "codec": codec,
            "share_r2": found[codec],
            "share": float(actual[:, place + 1, 0].sum() / actual[:, 0, 0].sum()),
            **{
                f"{name}_median_log_error": float(np.median(errors[:, place, outcome]))
                for outcome, name in enumerate(("bytes", "compress", "decompress"))
            },
        }
        for place, codec in enumerate(predictor.codecs[1:])
    ]
    return {
        "metrics": metrics,
        "support": {"share_r2": len(blocks), "incompressible_auc": len(blocks)},
        "tables": {"Predicted outcomes by codec": table, "Cross-validation by lineage": report_training["links"]},
    }


def evaluate_links(predictions_holdout: pd.DataFrame, evaluation: PolicyEvaluation, seed: int) -> dict[str, Any]:
    """Regret by bandwidth, with and without the time of the decision, as a share of the table's.

    Args:
        predictions_holdout: What ``replay_codecs`` returned.
        evaluation: Replicates and confidence.
        seed: Of the resampling.

    Returns:
        A part of the metrics: ``regret_over_table_<link>``, ``leisure_over_table_<link>`` (1: as the table's, 0: as
        the oracle's), ``worst_link_over_table`` (the largest share of the table's *cost* on any link); with intervals.
    """
    metrics: dict[str, float | None] = {}
    intervals: dict[str, list[float]] = {}
    table = []
    worst = 0.0
    for link, rows in predictions_holdout.groupby("slice_link_mbps", sort=False):
        sums = {
            "model": rows["cost"].to_numpy(),
            "leisure": rows["cost_at_leisure"].to_numpy(),
            "table": rows["cost_baseline_table"].to_numpy(),
            "oracle": rows["cost_oracle"].to_numpy(),
        }
        statistics: dict[str, Callable[[Any], Any]] = {
            f"regret_over_table_{link}": lambda each: _share(each, "model"),
            f"leisure_over_table_{link}": lambda each: _share(each, "leisure"),
        }
        total = {name: np.array([values.sum()]) for name, values in sums.items()}
        metrics |= {name: json_number(float(statistic(total)[0])) for name, statistic in statistics.items()}
        intervals |= bootstrap_intervals(
            sums, statistics, rows["group"].to_numpy(), replicates=evaluation.bootstrap_replicates,
            confidence=evaluation.confidence, seed=seed,
        )  # fmt: skip
        worst = max(worst, float(total["model"][0] / total["table"][0]))
        table.append(
            {
                "link_mbps": link,
                **{f"regret_{name}": float(total[name][0] / total["oracle"][0] - 1) for name in ("table", "model", "leisure")},
                "looked": float(rows["looked"].mean()),
            }
        )
    return {
        "metrics": metrics | {"worst_link_over_table": worst},
        "intervals": intervals,
        "tables": {"Regret by bandwidth": table},
    }


def evaluate_dictionaries(
    dictionary_gains: pd.DataFrame, evaluation: PolicyEvaluation, seed: int
) -> dict[str, Any]:
    """What dictionaries gain on small blocks of lineages that they were not trained on.

    Args:
        dictionary_gains: One row per block: ``lineage``, ``size``, ``plain_bytes``, ``single_bytes``,
            ``clustered_bytes``.
        evaluation: Replicates and confidence.
        seed: Of the resampling.

    Returns:
        A part of the metrics: ``dictionary_gain_<size>``: by how much the ratio of all blocks up to that size rises
        over plain zstd, with one dictionary for each kind of blocks; ``..._single_<size>`` with one for all.
    """
    metrics: dict[str, float | None] = {}
    intervals: dict[str, list[float]] = {}
    table = []
    for size in DICTIONARY_SIZES:
        rows = dictionary_gains[dictionary_gains["size"] <= size]
        sums = {name: rows[f"{name}_bytes"].to_numpy(np.float64) for name in ("plain", "single", "clustered")}
        statistics: dict[str, Callable[[Any], Any]] = {
            f"dictionary_gain_{size}": lambda each: each["plain"] / each["clustered"] - 1,
            f"dictionary_gain_single_{size}": lambda each: each["plain"] / each["single"] - 1,
        }
        total = {name: np.array([values.sum()]) for name, values in sums.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            metrics |= {name: json_number(float(statistic(total)[0])) for name, statistic in statistics.items()}
        if len(rows):
            intervals |= bootstrap_intervals(
                sums, statistics, rows["lineage"].to_numpy(), replicates=evaluation.bootstrap_replicates,
                confidence=evaluation.confidence, seed=seed,
            )  # fmt: skip
            ratio = {f"{name}_ratio": float(rows["size"].sum() / values.sum()) for name, values in sums.items()}
            table.append({"size_at_most": size, "blocks": len(rows), **ratio})
    return {"metrics": metrics, "intervals": intervals, "tables": {"Dictionaries for small blocks": table}}


def _share(sums: Any, name: str) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (sums[name] - sums["oracle"]) / (sums["table"] - sums["oracle"])
