"""Plots of what only `peer_selection` is judged by."""

from typing import Any

from augury.reporting.plot_style import COLOURS, MUTED, legend_below, new_figure

_HEIGHT = 360


def plot_periods(periods: dict[str, Any]) -> Any:
    """Draw the cost over the oracle's in one period after another.

    Args:
        periods: What ``judge_periods`` returned.

    Returns:
        A plotly figure, empty where outcomes are not known.
    """
    rows: list[dict[str, Any]] = next(iter(periods["tables"].values()), [])
    lines = {name: [row[name] for row in rows] for name in (rows[0] if rows else {}) if name.endswith("oracle's")}
    names = {"cost / oracle's": "model"}
    return _lines(
        "Cost over the oracle's, from knowing nothing",
        "each period is judged by what was learned before",
        [row["period"] for row in rows],
        {names.get(name, name.partition(" ")[0]): values for name, values in lines.items()},
        ("period", "cost / oracle's"),
    )


def plot_calibration(calibration: dict[str, Any]) -> Any:
    """Draw measured over predicted latencies.

    Args:
        calibration: What ``judge_calibration`` returned.

    Returns:
        A plotly figure.
    """
    rows: list[dict[str, Any]] = next(iter(calibration["tables"].values()), [])
    predicted = [row["predicted ms"] for row in rows]
    figure = _lines(
        "Predicted and measured latency",
        "geometric means of bins of candidates; on the dotted line both are the same",
        predicted,
        {"measured": [row["measured ms"] for row in rows], "the same": predicted},
        ("predicted, ms", "measured, ms"),
    )
    figure.update_xaxes(type="log", dtick="D2")
    figure.update_yaxes(type="log", dtick="D2")
    return figure


def _lines(title: str, below: str, x: list[float], lines: dict[str, list[float]], axes: tuple[str, str]) -> Any:
    import plotly.graph_objects as go

    figure = new_figure(
        title,
        below if lines and x else "the outcomes of the other candidates are not known",
        height=_HEIGHT,
        legend=legend_below(_HEIGHT),
        xaxis={"title": {"text": axes[0]}},
        yaxis={"title": {"text": axes[1]}},
    )
    for index, (name, values) in enumerate(lines.items()):
        plain = name == "the same"
        figure.add_trace(
            go.Scatter(
                x=x,
                y=values,
                name=name,
                mode="lines" if plain else "lines+markers",
                line={"color": MUTED if plain else COLOURS[index % len(COLOURS)], "dash": "dot" if plain else "solid"},
            )
        )
    return figure
