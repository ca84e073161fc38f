"""Print a predictor's figures of the last run as Markdown, for docs/results.md.

python benchmarks/results_page.py <predictor> [data/08_reporting]
"""

import argparse
import json
from pathlib import Path
from typing import Any

SHOWN = (
    "mae rmse r2 mape_pct median_ape_pct under_rate_95 allocation_ratio_95 wastage_95 "
    "under_rate_99 allocation_ratio_99 wastage_99 worst_shortfall_99 onnx_max_relative_difference"
).split()


MULTILABEL = (
    "micro_f1 macro_f1 sample_f1 micro_precision micro_recall specific_f1 f1_level_0 f1_level_1 f1_level_2 "
    "precision_at_1 ndcg_at_5 average_precision_micro average_precision_macro ece micro_f1_of_oracle oracle_micro_f1 "
    "onnx_int8_micro_f1_loss"
).split()
RANKING = (
    "hr_at_10 ndcg_at_10 recall_at_10 mrr coverage_at_10 popularity_bias_at_10 sampled_hr_at_10 sampled_ndcg_at_10"
).split()


def cell(value: Any) -> str:
    """A number with sensible digits."""
    if value is None:
        return ""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table, text left and numbers right; columns in which no row has a value are left out."""
    full = [place for place in range(len(head)) if any(row[place] not in (None, "") for row in rows)]
    head, rows = [head[place] for place in full], [[row[place] for place in full] for row in rows]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows])


def gate_rows(gates: list[dict[str, Any]]) -> str:
    """The gates as a table."""
    rows = [[row["metric"], row["value"], row["rule"], "met" if row["passed"] else "missed"] for row in gates]
    return table(["gate", "value", "rule", ""], rows)


def print_binary(metrics: dict[str, Any], gates: list[dict[str, Any]], baselines: list[dict[str, Any]]) -> None:
    """Print the figures of a binary predictor: every subset with intervals, then the baselines beside it."""
    intervals = metrics["intervals"]

    def shown(name: str) -> str:
        if metrics.get(name) is None:
            return ""
        ends = intervals.get(name)
        return f"{metrics[name]:.4f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")

    print(f"{metrics['n_train']:,} training rows, seed {metrics['seed']}.\n")
    subsets = list(dict.fromkeys(row["subset"] for row in baselines))
    prefixes = {subset: "" if place == 0 else f"{subset}_" for place, subset in enumerate(subsets)}
    points = [name.removeprefix("threshold_") for name in metrics if name.startswith("threshold_")]
    scores = ["roc_auc", "pr_auc", "ece", "brier"]
    rows = [
        [name, metrics.get(f"{prefix}n") or metrics.get("n_test"), metrics[f"{prefix}positives"]]
        + [shown(prefix + score) for score in scores]
        for name, prefix in prefixes.items()
    ]
    print(table(["rows", "n", "positive", *scores], rows), "\n")
    decisions = ["recall", "precision", "f1", "nec", "positive_share", "weighted_recall"]
    for point in points:
        print(f"At `{point}` (threshold {metrics[f'threshold_{point}']:.4f}):\n")
        rows = [
            [name, *(shown(f"{prefix}{decision}_{point}") for decision in decisions)]
            for name, prefix in prefixes.items()
        ]
        print(table(["rows", *decisions], rows), "\n")
    print(gate_rows(gates), "\n")
    further = {
        name: shown(name)
        for name in ("log_loss_skill_of_oracle", "ece_l2_debiased", "calibration_slope", "days_mae", "days_coverage")
        if name in metrics
    }
    if further:
        print(table(["metric", "value"], [list(item) for item in further.items()]), "\n")
    columns = [
        "subset",
        "model",
        "roc_auc",
        "pr_auc",
        "log_loss",
        "brier",
        "nec",
        "recall",
        "precision",
        "positive_share",
    ]
    print(table(columns, [[row.get(name) for name in columns] for row in baselines]))


def print_listed(
    metrics: dict[str, Any], gates: list[dict[str, Any]], baselines: list[dict[str, Any]], names: list[str]
) -> None:
    """Print chosen metrics with intervals, the gates, and the baselines beside the model."""
    print(f"{metrics['n_train']:,} training rows, {metrics['n_test']:,} held-out ones, seed {metrics['seed']}.\n")
    rows = [[name, metrics[name], *metrics["intervals"].get(name, ("", ""))] for name in names if name in metrics]
    print(table(["metric", "value", "lower", "upper"], rows), "\n")
    print(gate_rows(gates), "\n")
    columns = ["model", *(name for name in names if any(row.get(name) is not None for row in baselines))]
    print(table(columns, [[row.get(name) for name in columns] for row in baselines]))


def with_interval(row: dict[str, Any], name: str) -> str:
    """A figure of a row with its interval."""
    if row.get(name) is None:
        return ""
    low, high = row.get(f"{name}_lower"), row.get(f"{name}_upper")
    return cell(row[name]) + (f" [{cell(low)}, {cell(high)}]" if low is not None else "")


def print_policy(
    metrics: dict[str, Any], gates: list[dict[str, Any]], baselines: list[dict[str, Any]], slices: list[dict[str, Any]]
) -> None:
    """Print what a policy's choices cost: every figure that has an interval, gates, baselines, slices."""
    print(
        f"{metrics['n_test']:,} held-out cases in {metrics['n_test_groups']:,} groups, seed {metrics['seed']}; the "
        f"cost is {metrics['unit']}. Intervals: {metrics['confidence']:.0%}, bootstrap over groups.\n"
    )
    ends = {f"{name}_{side}": value for name, pair in metrics["intervals"].items()
            for side, value in zip(("lower", "upper"), pair, strict=True)}  # fmt: skip
    rows = [[name, with_interval(metrics | ends, name)] for name in metrics["intervals"]]
    print(table(["metric", "value"], rows), "\n")
    print(gate_rows(gates), "\n")
    columns = ["cost", "saving", "cost_over_oracle", "accuracy"]
    rows = [[row["model"], *(with_interval(row, name) for name in columns)] for row in baselines]
    print(table(["model", *columns], rows), "\n")
    columns = ["cost", "saving_over_best_baseline", "regret"]
    rows = [
        [f"{row['slice']} = {row['value']}", row["n"], *(with_interval(row, name) for name in columns)]
        for row in slices
    ]
    if rows:
        print(table(["slice", "n", *columns], rows))


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("predictor")
    parser.add_argument("reporting", nargs="?", type=Path, default=Path("data/08_reporting"))
    arguments = parser.parse_args()
    folder = arguments.reporting / arguments.predictor

    def read(name: str) -> Any:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    metrics = read("metrics")
    if "roc_auc" in metrics:
        print_binary(metrics, read("gates"), read("baselines"))
        return
    if "cost_best_baseline" in metrics:
        print_policy(metrics, read("gates"), read("baselines"), read("slices"))
        return
    for headline, names in (("micro_f1", MULTILABEL), ("hr_at_10", RANKING)):
        if headline in metrics:
            print_listed(metrics, read("gates"), read("baselines"), names)
            return
    print(
        f"{metrics['n_train']:,} training rows ({metrics['n_train_groups']} groups), "
        f"{metrics['n_test']:,} held-out rows ({metrics['n_test_groups']} groups), "
        f"seed {metrics['seed']}. Intervals: 95 %, bootstrap over groups.\n"
    )
    intervals = metrics["intervals"]
    rows = [[name, metrics[name], *intervals.get(name, ("", ""))] for name in SHOWN if name in metrics]
    print(table(["metric", "value", "lower", "upper"], rows), "\n")
    print(gate_rows(read("gates")), "\n")
    columns = "model mae mae_lower mae_upper r2 mape_pct under_rate allocation_ratio mae_ratio".split()
    print(table(columns, [[row[name] for name in columns] for row in read("baselines")]), "\n")
    slices = read("slices")
    columns = [name for name in slices[0] if name not in ("mae_lower", "mae_upper")]
    print(table(columns, [[row.get(name) for name in columns] for row in slices]))


if __name__ == "__main__":
    main()
