"""Plots of a judged regression. Inputs are those of, or come from, the ``regression`` module."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.bootstrap import Floats
from augury.pipelines.evaluation.holdout import OTHER, require_columns, slice_labels
from augury.pipelines.evaluation.regression import RegressionEvaluation, read_holdout
from augury.reporting.plot_style import (
    COLOURS,
    MUTED,
    PERCENT,
    drawn_rows,
    literal,
    log_ticks,
    new_figure,
    plot_importances,
    shortened,
    whiskers,
)

__all__ = [
    "plot_baselines",
    "plot_bounds",
    "plot_importances",
    "plot_predicted_vs_actual",
    "plot_residuals",
    "plot_slices",
]

MOST_COLOURS = 6
MOST_SLICES = 16
# Ticks of a ratio's histogram, by how far it reaches (as log2).
FACTORS = {
    0.4: [0.8, 0.9, 1.0, 1.1, 1.25],
    1.5: [0.4, 0.6, 1.0, 1.6, 2.5],
    3.0: [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0],
}
MARKERS = ["circle", "diamond", "square", "triangle-up"]


def plot_predicted_vs_actual(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> Any:
    """Draw each held-out row's prediction over its actual value.

    Args:
        predictions: The predictions frame; see the ``regression`` module.
        evaluation: Names the unit and the slice columns; the first of those gives the colours.

    Returns:
        A plotly figure; log-log where all values are positive. At most 1,500 rows are drawn.
    """
    import plotly.graph_objects as go

    holdout = read_holdout(predictions)
    require_columns(predictions, evaluation.slices[:1])
    chosen, drawn = drawn_rows(len(predictions))
    actual, predicted = holdout.actual[chosen], holdout.predicted[chosen]
    low, high = (float(end) for end in (min(actual.min(), predicted.min()), max(actual.max(), predicted.max())))
    kind = "log" if min(holdout.actual.min(), holdout.predicted.min()) > 0 else "linear"
    figure = new_figure(
        "Predicted against actual",
        f"{drawn}; dashed: exact",
        height=440,
        xaxis={"type": kind, "title": {"text": f"actual ({literal(evaluation.unit)})"}},
        yaxis={"type": kind, "title": {"text": f"predicted ({literal(evaluation.unit)})"}},
    )
    if kind == "log":
        ticks = log_ticks(low, high)
        figure.update_xaxes(ticks).update_yaxes(ticks)
    for name, inside in _colour_groups(predictions, evaluation, chosen):
        figure.add_trace(
            go.Scatter(
                x=actual[inside],
                y=predicted[inside],
                mode="markers",
                marker={"size": 6, "opacity": 0.65},
                name=literal(name),
                showlegend=bool(name),
                text=[literal(row) for row in predictions["row_id"].iloc[chosen[inside]]],
                hovertemplate=("%{text}<br>actual %{x:,.4~g}<br>predicted %{y:,.4~g}<extra></extra>"),
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[low, high],
            y=[low, high],
            mode="lines",
            line={"color": MUTED, "dash": "dash", "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    return figure


def _colour_groups(
    predictions: pd.DataFrame, evaluation: RegressionEvaluation, chosen: np.ndarray[Any, Any]
) -> list[tuple[str, np.ndarray[Any, Any]]]:
    if not evaluation.slices:
        return [("", np.ones(len(chosen), dtype=bool))]
    column = evaluation.slices[0]
    labels = slice_labels(predictions[column], evaluation.min_slice_rows)
    kept = [label for label in labels.value_counts().index if label != OTHER][:MOST_COLOURS]
    drawn = labels.where(labels.isin(kept), OTHER).iloc[chosen].to_numpy()
    return [
        (f"{column} {label}", drawn == label)
        for label in [*sorted(kept, key=_natural), OTHER]
        if (drawn == label).any()
    ]


def _natural(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return math.inf, label


def plot_bounds(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> Any:
    """Draw what safety costs: allocation ratio over under-prediction rate.

    Args:
        predictions: The predictions frame; see the ``regression`` module.
        evaluation: How the regression is judged.

    Returns:
        A plotly figure: one point per bound; a curve through what multiplying the point prediction
        by a constant would reach; a vertical line at each bound's target risk. A bound below the
        curve buys its safety cheaper than a constant margin does.
    """
    import plotly.graph_objects as go

    holdout = read_holdout(predictions)
    used = float(holdout.actual.sum()) or math.nan
    points = {
        level: (float(np.mean(bound < holdout.actual)), float(bound.sum()) / used)
        for level, bound in holdout.bounds.items()
    }
    risks = {level: 1 - float(level) / 100 for level in points}
    right = 1.6 * max([0.06, *risks.values(), *(rate for rate, _ in points.values())])
    figure = new_figure(
        "What safety costs",
        "below the curve: cheaper than a constant margin",
        height=400,
        xaxis={
            "title": {"text": "rows above their bound"},
            "tickformat": PERCENT,
            "range": [-0.03 * right, right],
        },
        yaxis={"title": {"text": "allocated / used"}},
    )
    rates, ratios = _scaling_curve(holdout.actual, holdout.predicted, right)
    figure.add_trace(
        go.Scatter(
            x=rates,
            y=ratios,
            mode="lines",
            line={"color": MUTED, "width": 2, "shape": "hv"},
            name="prediction times a constant",
            hovertemplate="%{x:.1%} above, ratio %{y:.2f}<extra></extra>",
        )
    )
    for index, (level, (rate, ratio)) in enumerate(points.items()):
        colour = COLOURS[index % len(COLOURS)]
        figure.add_vline(x=risks[level], line={"color": colour, "dash": "dot", "width": 1.5})
        figure.add_trace(
            go.Scatter(
                x=[rate],
                y=[ratio],
                mode="markers",
                marker={"size": 13, "color": colour, "symbol": MARKERS[index % len(MARKERS)]},
                name=f"bound {level} % (dotted: target)",
                hovertemplate=(
                    f"%{{x:.2%}} above (target {risks[level]:.2%}), ratio %{{y:.2f}}<extra>bound {level} %</extra>"
                ),
            )
        )
    return figure


def _scaling_curve(actual: Floats, predicted: Floats, largest_rate: float) -> tuple[list[float], list[float]]:
    """Under-prediction rate and allocation ratio of ``constant * predicted``: 200 points."""
    if (predicted <= 0).any() or not actual.sum() > 0:
        return [], []
    needed = np.sort(actual / predicted)[::-1]
    last = min(len(needed), int(largest_rate * len(needed)) + 2)
    above = np.unique(np.linspace(0, last - 1, 200).astype(int))
    # With the constant needed[k], the rows that need more are at most k.
    rates = [float(np.mean(needed > needed[count])) for count in above]
    ratios = needed[above] * predicted.sum() / actual.sum()
    return rates, [float(ratio) for ratio in ratios]


def plot_baselines(baselines: list[dict[str, Any]], evaluation: RegressionEvaluation) -> Any:
    """Draw the mean absolute error of the model and the baselines.

    Args:
        baselines: What ``compare_baselines`` returned; bounds are left out.
        evaluation: Names the unit.

    Returns:
        A plotly figure: a point with its interval per model, the best first, on a log axis.
    """
    import plotly.graph_objects as go

    rows = [row for row in baselines if row["kind"] != "bound" and row["mae"] > 0]
    rows.sort(key=lambda row: (row["mae"], row["model"]))
    figure = new_figure(
        "MAE beside baselines",
        f"{100 * evaluation.confidence:g} % intervals, log axis; left is better",
        height=130 + 34 * max(len(rows), 3),
        xaxis={"type": "log", "title": {"text": f"MAE ({literal(evaluation.unit)})"}},
        yaxis={"autorange": "reversed", "ticks": ""},
        showlegend=False,
    )
    for kind, colour in (("model", COLOURS[0]), ("baseline", MUTED)):
        of_kind = [row for row in rows if row["kind"] == kind]
        values = [row["mae"] for row in of_kind]
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[shortened(row["model"]) for row in of_kind],
                mode="markers+text",
                text=[f"{value:,.0f}" if value > 100 else f"{value:.3g}" for value in values],
                textposition="top center",
                cliponaxis=False,
                marker={"size": 12, "color": colour},
                error_x=whiskers(of_kind, "mae"),
                customdata=[literal(row["model"]) for row in of_kind],
                hovertemplate="%{customdata}: %{x:,.4~g}<extra></extra>",
            )
        )
    if rows:
        lowest, highest = rows[0]["mae"], rows[-1]["mae"]
        # Room for the numbers beside the outermost points.
        reach = [math.log10(lowest / 1.6), math.log10(highest * 1.6)]
        figure.update_xaxes(log_ticks(lowest, highest), range=reach)
    figure.update_yaxes(categoryorder="array", categoryarray=[shortened(row["model"]) for row in rows])
    return figure


def plot_slices(slices: list[dict[str, Any]], evaluation: RegressionEvaluation) -> Any:
    """Draw where the model is worse than elsewhere.

    Args:
        slices: What ``evaluate_slices`` returned.
        evaluation: How the regression is judged.

    Returns:
        A plotly figure: per slice the under-prediction rate of every bound with its interval and
        the target risks as dotted lines; without bounds the MAPE. The largest 16 slices are drawn.
    """
    import plotly.graph_objects as go

    rows = sorted(slices, key=lambda row: -row["n"])[:MOST_SLICES]
    rows.sort(key=lambda row: evaluation.slices.index(row["slice"]))
    names = [shortened(f"{row['slice']} {row['value']}", 24) for row in rows]
    levels = [
        key.removeprefix("under_rate_")
        for key in (rows[0] if rows else {})
        if key.startswith("under_rate_") and not key.endswith(("_lower", "_upper"))
    ]
    some = "" if len(rows) == len(slices) else f", the {len(rows)} largest of {len(slices)}"
    figure = new_figure(
        "Under-prediction rate by slice" if levels else "Relative error by slice",
        (f"{100 * evaluation.confidence:g} % intervals; dotted: target{some}" if levels else some),
        height=150 + (34 if len(levels) > 1 else 26) * max(len(rows), 3),
        xaxis=(
            {
                "title": {"text": "above bound"},
                "tickformat": PERCENT,
                "rangemode": "tozero",
            }
            if levels
            else {"title": {"text": "MAPE (%)"}, "rangemode": "tozero"}
        ),
        yaxis={
            "range": [len(rows) - 0.4, -0.6],
            "tickvals": list(range(len(rows))),
            "ticktext": names,
            "ticks": "",
        },
    )
    labels = [f"{literal(row['slice'])} {literal(row['value'])} (n = {row['n']:,})" for row in rows]
    for index, level in enumerate(levels):
        colour = COLOURS[index % len(COLOURS)]
        name = f"under_rate_{level}"
        figure.add_vline(x=1 - float(level) / 100, line={"color": colour, "dash": "dot", "width": 1.5})
        figure.add_trace(
            go.Scatter(
                x=[row[name] for row in rows],
                y=[place + 0.22 * (index - (len(levels) - 1) / 2) for place in range(len(rows))],
                mode="markers",
                marker={"size": 8, "color": colour, "symbol": MARKERS[index % len(MARKERS)]},
                error_x=whiskers(rows, name),
                name=f"bound {level} %",
                text=labels,
                hovertemplate="%{text}: %{x:.1%}<extra></extra>",
            )
        )
    if not levels:
        figure.add_trace(
            go.Bar(
                x=[row["mape_pct"] for row in rows],
                y=list(range(len(rows))),
                orientation="h",
                text=labels,
                textposition="none",
                hovertemplate="%{text}: %{x:.1f} %<extra></extra>",
            )
        )
    return figure


def plot_residuals(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> Any:
    """Draw how far predictions are off, as a factor.

    Args:
        predictions: The predictions frame; see the ``regression`` module.
        evaluation: How the regression is judged.

    Returns:
        A plotly figure: histogram of log2(predicted / actual) over the rows where both are
        positive; the outermost bars hold what lies beyond a factor of eight.
    """
    import plotly.graph_objects as go

    holdout = read_holdout(predictions)
    positive = (holdout.actual > 0) & (holdout.predicted > 0)
    logs = np.log2(holdout.predicted[positive] / holdout.actual[positive])
    reach = float(np.clip(np.abs(logs).max(initial=0.1) * 1.02, 0.1, 3.0))
    counts, edges = np.histogram(np.clip(logs, -reach, reach), bins=41, range=(-reach, reach))
    left_out = int((~positive).sum())
    some = f"; {left_out:,} rows without a positive ratio left out" if left_out else ""
    ticks = next(ticks for most, ticks in FACTORS.items() if reach <= most)
    figure = new_figure(
        "How far predictions are off",
        f"predicted / actual; {100 * float(np.mean(np.abs(logs) <= math.log2(1.2))):.0f} % within a factor of 1.2{some}"
        if len(logs)
        else "no row with a positive ratio",
        height=340,
        xaxis={
            "title": {"text": "predicted / actual (log scale)"},
            "tickvals": [math.log2(factor) for factor in ticks],
            "ticktext": [f"{factor:g}x" for factor in ticks],
            "range": [-reach, reach],
        },
        yaxis={"title": {"text": "rows"}},
        showlegend=False,
    )
    middles = (edges[:-1] + edges[1:]) / 2
    figure.add_trace(
        go.Bar(
            x=middles.tolist(),
            y=counts.tolist(),
            width=float(edges[1] - edges[0]) * 0.94,
            marker_color=COLOURS[0],
            text=[f"{2**low:.2f}x to {2**high:.2f}x" for low, high in itertools.pairwise(edges)],
            textposition="none",
            hovertemplate="%{text}: %{y:,} rows<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": MUTED, "dash": "dash", "width": 1.5})
    return figure
