"""One sober look for the plots of all tasks: readable on a phone, on light and dark pages."""

import html
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from augury.light_imports import hidden

# Okabe and Ito's palette without its black and yellow and with a lighter blue: told apart by
# colour-blind readers, and visible on white as well as on black.
COLOURS = ["#2C85C7", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C"]
MUTED = "#8C8C8C"
GRID = "rgba(128,128,128,0.25)"
INK = "#3d434b"
PERCENT = "~%"
"""Format of ticks: as many decimals as it takes to tell them apart, so that no two say the same."""
SAMPLE_SEED = 20_240_229
MOST_POINTS = 1_500
# Ticks of an axis of log-odds: a phone has room for six
COARSE_TICKS = [1e-6, 1e-4, 0.01, 0.5, 0.99, 0.9999]
FINE_TICKS = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]


def new_figure(title: str, note: str, height: int = 380, **axes: Any) -> Any:
    """Start a figure in the common look.

    Args:
        title: Short title: plotly does not wrap it, and a phone shows about 40 characters.
        note: What the reader has to know about the data, on a smaller line below; plain text.
        height: Height in pixels. The width is left to the page.
        **axes: ``xaxis`` and ``yaxis`` as plotly layout keys.

    Returns:
        An empty ``plotly.graph_objects.Figure``.
    """
    # plotly would load IPython to see whether it runs in a notebook; in one, it is loaded already
    with hidden("IPython"):
        import plotly.graph_objects as go
        import plotly.offline  # noqa: F401

    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": MUTED,
        "automargin": True,
        "title": {"standoff": 8},
    }
    template = go.layout.Template(
        layout={
            "font": {
                "family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
                "size": 13,
            },
            "font_color": INK,
            "colorway": COLOURS,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 56, "r": 14, "t": 64, "b": 48},
            "xaxis": axis,
            "yaxis": axis,
            "title": {
                "x": 0.02,
                "xref": "container",
                "font": {"size": 15},
                "subtitle.font.size": 11,
            },
            "legend": {"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top", "font.size": 12},
            "hoverlabel": {"font": {"size": 12}},
            "bargap": 0.05,
        }
    )
    figure = go.Figure(layout={"template": template, "height": height, **axes})
    figure.update_layout(title={"text": title, "subtitle": {"text": note}})
    return figure


def literal(text: object) -> str:
    """Escape data for a plot: plotly reads a part of HTML in labels and hover texts."""
    return html.escape(str(text), quote=False)


def drawn_rows(rows: int) -> tuple[npt.NDArray[np.int64], str]:
    """Choose which rows a scatter plot draws; the same number of rows gives the same choice.

    Args:
        rows: Number of rows.

    Returns:
        The positions to draw in ascending order, and a note that says how many they are.
    """
    if rows <= MOST_POINTS:
        return np.arange(rows), f"all {rows:,} rows"
    chosen = np.random.default_rng(SAMPLE_SEED).choice(rows, size=MOST_POINTS, replace=False)
    return np.sort(chosen), f"a fixed sample of {MOST_POINTS:,} of {rows:,} rows"


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Label a log axis with whole numbers of the 1-2-5 series, or its decades where it is long.

    Args:
        low: The smallest value, > 0.
        high: The largest value.

    Returns:
        ``tickvals`` and ``ticktext`` for a plotly axis.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 30 else (1,)
    values = [step * 10.0**decade for decade in decades for step in steps]
    return {"tickvals": values, "ticktext": [f"{value:,g}" for value in values]}


def legend_below(height: int) -> dict[str, Any]:
    """A legend as many pixels below the axis whatever the figure's height.

    Args:
        height: Height of the figure in pixels.

    Returns:
        What a plotly layout's ``legend`` needs beyond the common look.
    """
    return {"y": -64 / (height - 112)}


def odds_axis(title: str, low: float, high: float) -> dict[str, Any]:
    """An axis of log-odds that is labelled with probabilities.

    Args:
        title: Title of the axis.
        low: The smallest log-odds.
        high: The largest log-odds.

    Returns:
        A plotly axis.
    """
    low, high = low - 0.4, high + 0.4
    candidates = COARSE_TICKS if high - low > 11 else FINE_TICKS
    places = {tick: math.log(tick / (1 - tick)) for tick in candidates}
    ticks = [tick for tick, place in places.items() if low <= place <= high]
    return {
        "title": {"text": title},
        "tickvals": [places[tick] for tick in ticks],
        "ticktext": ["1e-6" if tick == 1e-6 else f"{tick:g}" for tick in ticks],
        "tickangle": 0,
        "range": [low, high],
    }


def plot_importances(importances: dict[str, float], most: int = 15) -> Any:
    """Draw the most important features of any model.

    Args:
        importances: Feature -> importance, in whatever measure the model family has.
        most: How many are drawn.

    Returns:
        A plotly figure: horizontal bars, the largest ones, as shares of the sum.
    """
    import plotly.graph_objects as go

    total = sum(abs(value) for value in importances.values()) or 1.0
    top = sorted(importances.items(), key=lambda item: (-abs(item[1]), item[0]))[:most]
    figure = new_figure(
        "Feature importance",
        f"the {len(top)} largest of {len(importances)} features",
        height=120 + 24 * max(len(top), 4),
        xaxis={
            "title": {"text": "share of the total"},
            "tickformat": PERCENT,
            "nticks": 3,
            "tickangle": 0,
        },
        yaxis={"autorange": "reversed", "showgrid": False, "ticks": ""},
    )
    figure.add_trace(
        go.Bar(
            x=[abs(value) / total for _, value in top],
            y=[shortened(name) for name, _ in top],
            orientation="h",
            marker_color=COLOURS[0],
            customdata=[literal(name) for name, _ in top],
            hovertemplate="%{customdata}: %{x:.1%}<extra></extra>",
        )
    )
    return figure


def whiskers(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Error bars of a metric, from the ends of its intervals.

    Args:
        rows: Rows of a table with ``<name>``, ``<name>_lower`` and ``<name>_upper``; an end that is None draws no bar.
        name: The metric.

    Returns:
        A plotly error bar.
    """

    def length(row: dict[str, Any], end: str) -> float:
        other = row[f"{name}_{end}"]
        return 0.0 if other is None else abs(other - row[name])

    return {
        "type": "data",
        "symmetric": False,
        "array": [length(row, "upper") for row in rows],
        "arrayminus": [length(row, "lower") for row in rows],
        "thickness": 1.5,
        "width": 4,
    }


def shortened(text: str, length: int = 20) -> str:
    """Shorten a label in the middle, where names differ least, and escape it."""
    if len(text) > length:
        kept = length - 1
        text = f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"
    return literal(text)
