"""Plots of a search: its course, which parameters matter, and where the good values are."""

import math
from typing import Any

import numpy as np
import pandas as pd

from augury.pipelines.tuning.outcome import PARAMETER
from augury.reporting.plot_style import COLOURS, MUTED, literal, log_ticks, new_figure, plot_importances, shortened

PANEL_HEIGHT = 200


def plot_history(tuning_trials: pd.DataFrame, report_tuning: dict[str, Any]) -> Any:
    """Draw the value of every trial, and the best so far.

    Args:
        tuning_trials: Table of trials.
        report_tuning: Account of the search.

    Returns:
        A plotly figure.
    """
    import plotly.graph_objects as go

    metric = report_tuning["metric"]
    complete = tuning_trials["state"] == "complete"
    figure = new_figure(
        "Course of the search",
        f"{metric}; trials that were raced away are shown where their folds let expect them",
        xaxis={"title": {"text": "trial"}},
        yaxis={"title": {"text": metric}, "range": _range(tuning_trials, report_tuning)},
    )
    for name, rows, colour, symbol in (
        ("raced away", tuning_trials[~complete], MUTED, "x-thin-open"),
        ("all folds", tuning_trials[complete], COLOURS[0], "circle"),
    ):
        figure.add_trace(
            go.Scatter(
                x=rows["trial"],
                y=rows["value"],
                mode="markers",
                name=name,
                marker={"color": colour, "symbol": symbol, "size": 7},
                customdata=rows["folds_judged"],
                hovertemplate="trial %{x}: %{y:.5g} (%{customdata} folds)<extra></extra>",
            )
        )
    best = tuning_trials.loc[complete, ["trial", "value"]]
    so_far = best["value"].cummin() if report_tuning["direction"] == "minimize" else best["value"].cummax()
    last = int(tuning_trials["trial"].max())
    figure.add_trace(
        go.Scatter(
            x=[*best["trial"], last],
            y=[*so_far, so_far.iloc[-1]],
            mode="lines",
            name="best so far",
            line={"color": COLOURS[1], "shape": "hv", "width": 2},
            hovertemplate="best so far: %{y:.5g}<extra></extra>",
        )
    )
    return figure


def plot_parameter_importance(report_tuning: dict[str, Any]) -> Any:
    """Draw the share of every parameter in the variance of the values.

    Args:
        report_tuning: Account of the search.

    Returns:
        A plotly figure.
    """
    found = report_tuning["importances"]
    shown = found or dict.fromkeys(report_tuning["space"], 0.0)
    figure = plot_importances({path.rpartition(".")[2]: share for path, share in shown.items()})
    note = f"share in the variance of {report_tuning['metric']} over the space (fANOVA)"
    return figure.update_layout(
        title={"text": "Parameter importance", "subtitle": {"text": note if found else "too few trials to tell"}}
    )


def plot_slices(tuning_trials: pd.DataFrame, report_tuning: dict[str, Any]) -> Any:
    """Draw the value of every trial over each of its parameters.

    Args:
        tuning_trials: Table of trials.
        report_tuning: Account of the search.

    Returns:
        A plotly figure with a panel for each parameter.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    paths = list(report_tuning["space"])
    rows = math.ceil(len(paths) / 2)
    height = 90 + PANEL_HEIGHT * rows
    columns = min(2, len(paths))
    grid = make_subplots(rows, columns, shared_yaxes=True, vertical_spacing=0.34 / rows, horizontal_spacing=0.06)
    style = new_figure("Where the good values are", "lines: default and best", height=height)
    grid.update_layout(
        template=style.layout.template, height=height, title=style.layout.title.to_plotly_json(), showlegend=False
    )
    low, high = _range(tuning_trials, report_tuning)
    complete = tuning_trials["state"] == "complete"
    colours = np.where(complete, COLOURS[0], MUTED).tolist()
    for position, path in enumerate(paths):
        row, column = position // columns + 1, position % columns + 1
        dimension = report_tuning["space"][path]
        values = tuning_trials[f"{PARAMETER}{path}"]
        texts = values.map(literal) if dimension["type"] == "categorical" else values
        grid.add_trace(
            go.Scatter(
                x=texts,
                y=tuning_trials["value"],
                mode="markers",
                marker={"color": colours, "size": 5, "opacity": 0.8},
                customdata=tuning_trials["trial"],
                hovertemplate="%{x}: %{y:.5g} (trial %{customdata})<extra></extra>",
            ),
            row,
            column,
        )
        for name, colour in (("default", MUTED), ("best", COLOURS[1])):
            value = report_tuning[name]["parameters"][path]
            place = literal(value) if dimension["type"] == "categorical" else value
            if dimension.get("log") and value <= 0:  # a default below its logarithmic range
                continue
            grid.add_trace(
                go.Scatter(
                    x=[place, place],
                    y=[low, high],
                    mode="lines",
                    line={"color": colour, "dash": "dot", "width": 1.5},
                    hoverinfo="skip",
                ),
                row,
                column,
            )
        title = {"text": shortened(path.rpartition(".")[2], 24), "standoff": 4}
        grid.update_xaxes(title=title, row=row, col=column, **_axis(dimension))
    grid.update_yaxes(range=[low, high], nticks=5)
    return grid


def _axis(dimension: dict[str, Any]) -> dict[str, Any]:
    if dimension["type"] == "categorical":
        return {"type": "category", "tickangle": 0, "tickfont": {"size": 10}}
    if dimension["log"]:
        return {"type": "log", "tickangle": 0, **log_ticks(dimension["low"], dimension["high"])}
    return {"type": "linear", "tickangle": 0, "nticks": 4}


def _range(tuning_trials: pd.DataFrame, report_tuning: dict[str, Any]) -> list[float]:
    """Ends of the axis of values: the best trials and the default; the bad ones would press these together."""
    values = tuning_trials["value"].to_numpy()
    good, bad = (0.0, 0.75) if report_tuning["direction"] == "minimize" else (1.0, 0.25)
    ends = [np.quantile(values, good), np.quantile(values, bad), report_tuning["default"]["score"]]
    low, high = float(min(ends)), float(max(ends))
    margin = 0.08 * (high - low) or 0.01 * abs(high) or 1.0
    return [low - margin, high + margin]
