"""Plots of the parts of a validation that say more than how well probabilities rank."""

from typing import Any

import numpy as np
import pandas as pd

from augury.pipelines.evaluation.binary_holdout import (
    ACTUAL_DAYS,
    PREDICTED_DAYS,
    main_name,
    main_rows,
    read_holdout,
    thresholds_of,
)
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.event_days import LOWER, UPPER
from augury.reporting.plot_style import (
    COLOURS,
    MUTED,
    PERCENT,
    drawn_rows,
    legend_below,
    literal,
    log_ticks,
    new_figure,
    plot_importances,
    shortened,
    whiskers,
)

MOST_FEATURES = 20
SYMBOLS = ["circle", "diamond", "square"]
STATE_COLOURS = {"drift": COLOURS[5], "watch": COLOURS[1], "stable": COLOURS[0], "excluded": MUTED}
SMALLEST_DAYS = 0.1


def plot_confusion(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> Any:
    """Draw the confusion matrix of every operating point.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure: two rows of cells per operating point, what is true downwards and what was said across, with
        counts and shares of the row; on the main rows.
    """
    import plotly.graph_objects as go

    points = thresholds_of(facts, evaluation)
    rows = read_holdout(predictions, evaluation).rows.where(main_rows(predictions, evaluation))
    positive, negative = literal(evaluation.positive_class), f"not {literal(evaluation.positive_class)}"
    labels: list[str] = []
    shares: list[list[float | None]] = []
    texts: list[list[str]] = []
    for point, threshold in points.items():
        said = rows.probability >= threshold
        for name, inside in ((positive, rows.actual), (negative, ~rows.actual)):
            counts = [int((said & inside).sum()), int((~said & inside).sum())]
            whole = sum(counts)
            labels.append(f"{literal(point)} ({threshold:.2g}):<br>{name}")
            shares.append([count / whole if whole else None for count in counts])
            texts.append([f"{count:,}<br>{count / whole:.1%}" if whole else "0" for count in counts])
    figure = new_figure(
        "Confusion matrices",
        f"{len(rows):,} rows ({literal(main_name(evaluation))}); shares of the true class; in brackets: threshold",
        height=120 + 52 * len(labels),
        xaxis={"side": "top", "showgrid": False, "ticks": "", "tickangle": 0},
        yaxis={"autorange": "reversed", "showgrid": False, "ticks": ""},
    )
    figure.add_trace(
        go.Heatmap(
            x=[f"called {positive}", f"called {negative}"],
            y=labels,
            z=shares,
            zmin=0,
            zmax=1,
            colorscale=[[0, "rgba(44,133,199,0.06)"], [1, "rgba(44,133,199,0.75)"]],
            showscale=False,
            text=texts,
            texttemplate="%{text}",
            hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
            xgap=3,
            ygap=3,
        )
    )
    return figure


def plot_days(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> Any:
    """Draw the predicted days until the event over the actual ones.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure with two log axes: a point for each of at most 1,500 main rows where the event happened, in
        another colour and shape where the actual days are outside of the predicted bounds; dashed: exact. Empty where
        no days are judged.
    """
    import plotly.graph_objects as go

    judged = evaluation.days is not None
    inside = main_rows(predictions, evaluation)
    inside &= predictions[ACTUAL_DAYS].notna().to_numpy() if judged else False
    rows = predictions[inside]
    chosen, drawn = drawn_rows(len(rows))
    figure = new_figure(
        "Days until the event",
        f"{drawn}; dashed: exact; below {SMALLEST_DAYS:g} days drawn there",
        height=440,
        xaxis={"type": "log", "title": {"text": "actual days"}},
        yaxis={"type": "log", "title": {"text": "predicted days"}},
    )
    if rows.empty:
        return figure
    rows = rows.iloc[chosen]
    actual, predicted, lower, upper = (
        rows[name].clip(lower=SMALLEST_DAYS).to_numpy(np.float64)
        for name in (ACTUAL_DAYS, PREDICTED_DAYS, LOWER, UPPER)
    )
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    ticks = log_ticks(low, high)
    figure.update_xaxes(ticks).update_yaxes(ticks)
    covered = (lower <= actual) & (actual <= upper)
    for name, part, colour, symbol in (
        ("within the bounds", covered, COLOURS[0], "circle"),
        ("outside", ~covered, COLOURS[5], "diamond"),
    ):
        figure.add_trace(
            go.Scatter(
                x=actual[part].round(3).tolist(),
                y=predicted[part].round(3).tolist(),
                mode="markers",
                marker={"size": 5, "opacity": 0.6, "color": colour, "symbol": symbol},
                name=name,
                text=[
                    f"{literal(row)}: {first:.3g} to {last:.3g}"
                    for row, first, last in zip(rows["row_id"][part], lower[part], upper[part], strict=True)
                ],
                hovertemplate="%{text}<br>actual %{x:.3g}, predicted %{y:.3g}<extra></extra>",
            )
        )
    line = {"color": MUTED, "dash": "dash", "width": 1.5}
    figure.add_trace(
        go.Scatter(x=[low, high], y=[low, high], mode="lines", line=line, hoverinfo="skip", showlegend=False)
    )
    return figure


def plot_fairness(report_fairness: dict[str, Any]) -> Any:
    """Draw how decisions differ between groups.

    Args:
        report_fairness: What ``judge_fairness`` returned.

    Returns:
        A plotly figure: the share called positive, recall and false positive rate of every group with their intervals.
    """
    import plotly.graph_objects as go

    rows = report_fairness["groups"]
    height = 170 + 40 * max(len(rows), 3)
    point = literal(report_fairness.get("operating_point", ""))
    figure = new_figure(
        "Decisions by group",
        f"at {point}; groups whose outcomes differ cannot have equal rates" if rows else "no groups were named",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "share"}, "tickformat": PERCENT, "rangemode": "tozero"},
        yaxis={
            "range": [len(rows) - 0.4, -0.6],
            "tickvals": list(range(len(rows))),
            "ticktext": [shortened(f"{row['column']} {row['group']}", 24) for row in rows],
            "ticks": "",
        },
    )
    metrics = [("called positive", "selection_rate"), ("recall", "recall"), ("false positives", "false_positive_rate")]
    for index, (name, metric) in enumerate(metrics):
        defined = [(place, row) for place, row in enumerate(rows) if row[metric] is not None]
        figure.add_trace(
            go.Scatter(
                x=[row[metric] for _, row in defined],
                y=[place + 0.22 * (index - 1) for place, _ in defined],
                mode="markers",
                marker={"size": 8, "color": COLOURS[index], "symbol": SYMBOLS[index]},
                error_x=whiskers([row for _, row in defined], metric),
                name=name,
                text=[
                    f"{literal(row['column'])} {literal(row['group'])}: {row['n']:,} rows, "
                    f"{row['prevalence']:.1%} positive"
                    for _, row in defined
                ],
                hovertemplate=f"%{{text}}<br>{name} %{{x:.1%}}<extra></extra>",
            )
        )
    return figure


def plot_top_importances(report_training: dict[str, Any]) -> Any:
    """Draw the 20 largest of the importances that training recorded."""
    return plot_importances(report_training["importances"], MOST_FEATURES)


def plot_shift(report_shift: dict[str, Any]) -> Any:
    """Draw which features moved most between the training and the held-out rows.

    Args:
        report_shift: What ``measure_shift`` returned.

    Returns:
        A plotly figure: the population stability index of the 20 features with the largest one, excluded ones last,
        above them that of the probability; dotted: the limits.
    """
    import plotly.graph_objects as go

    score = report_shift["score"]
    rows = ([score] if score else []) + report_shift["features"][:MOST_FEATURES]
    limits = [limit for name, limit in (report_shift.get("limits") or {}).items() if name.startswith("psi")]
    height = 140 + 22 * max(len(rows), 4)
    figure = new_figure(
        "Held-out beside training rows",
        "population stability index, the largest first; dotted: worth a look, moved",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "stability index"}, "rangemode": "tozero", "nticks": 5},
        yaxis={"autorange": "reversed", "showgrid": False, "ticks": ""},
    )
    for state, colour in STATE_COLOURS.items():
        inside = [row for row in rows if row["state"] == state]
        if inside:
            figure.add_trace(
                go.Bar(
                    x=[row["psi"] for row in inside],
                    y=[shortened(row["feature"], 24) for row in inside],
                    orientation="h",
                    marker_color=colour,
                    name=state,
                    hovertemplate=f"%{{y}}: %{{x:.3f}}<extra>{state}</extra>",
                )
            )
    figure.update_yaxes(categoryorder="array", categoryarray=[shortened(row["feature"], 24) for row in rows])
    for limit in limits:
        figure.add_vline(x=limit, line={"color": MUTED, "dash": "dot", "width": 1.5})
    return figure


def plot_folds(report_folds: dict[str, Any]) -> Any:
    """Draw the ROC-AUC and the log loss of every fold of the cross-validation.

    Args:
        report_folds: What ``judge_folds`` returned.

    Returns:
        A plotly figure: two panels over the folds in the order of time, dashed: the mean.
    """
    import plotly.graph_objects as go

    folds = report_folds["folds"]
    figure = new_figure(
        "Cross-validation",
        f"{len(folds)} folds in the order of time; dashed: mean",
        height=400,
        xaxis={"anchor": "y2", "title": {"text": "fold"}, "dtick": 1},
        yaxis={"domain": [0.56, 1], "title": {"text": "ROC-AUC"}},
        yaxis2={"domain": [0, 0.44], "title": {"text": "log loss"}},
        showlegend=False,
    )
    for index, (metric, axis) in enumerate((("roc_auc", "y"), ("log_loss", "y2"))):
        known = [(place + 1, fold[metric]) for place, fold in enumerate(folds) if fold.get(metric) is not None]
        if not known:
            continue
        numbers, values = zip(*known, strict=True)
        figure.add_trace(
            go.Scatter(
                x=numbers,
                y=values,
                yaxis=axis,
                mode="lines+markers",
                line={"color": COLOURS[index], "width": 1.5},
                marker={"size": 8, "symbol": SYMBOLS[index]},
                hovertemplate="fold %{x}: %{y:.4f}<extra></extra>",
            )
        )
        mean = float(np.mean(values))
        line = {"color": MUTED, "dash": "dash", "width": 1.5}
        figure.add_trace(
            go.Scatter(x=[1, len(folds)], y=[mean, mean], yaxis=axis, mode="lines", line=line, hoverinfo="skip")
        )
    return figure
