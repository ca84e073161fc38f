"""Plots of a replay."""

import itertools
import math
from typing import Any

from augury.pipelines.monitoring.replay import ReplayMonitoring
from augury.reporting.plot_style import (
    COLOURS,
    MUTED,
    PERCENT,
    legend_below,
    literal,
    new_figure,
    odds_axis,
    shortened,
    whiskers,
)

MOST_FEATURES = 20
STATES = {"drift": COLOURS[5], "watch": COLOURS[1], "stable": COLOURS[0], "restless": MUTED}
SYMBOLS = ["circle", "diamond", "square", "triangle-up"]


def plot_days(report_replay: dict[str, Any], monitoring: ReplayMonitoring) -> Any:
    """Draw how the champion did day by day.

    Args:
        report_replay: What ``judge_replay`` returned.
        monitoring: Names the operating point.

    Returns:
        A plotly figure in two panels: ROC-AUC and recall, normalised expected cost with 1 dashed; with intervals. A
        metric that is undefined on a day leaves a gap.
    """
    days = report_replay["days"]
    figure = new_figure(
        "Day by day",
        f"{100 * monitoring.confidence:g} % intervals; recall and cost at {literal(monitoring.operating_point)}; "
        "dashed: no better than no model",
        height=470,
        xaxis=_day_axis(),
        yaxis={"domain": [0.46, 1], "title": {"text": "share"}, "tickformat": PERCENT},
        yaxis2={"domain": [0, 0.36], "title": {"text": "cost"}, "rangemode": "tozero"},
    )
    _add_line(figure, days, "roc_auc", "ROC-AUC", "y", 0)
    _add_line(figure, days, "recall", "recall", "y", 1)
    _add_line(figure, days, "nec", "normalised cost", "y2", 2)
    _add_level(figure, days, 1.0, "y2")
    return figure


def plot_calibration(report_replay: dict[str, Any], monitoring: ReplayMonitoring) -> Any:
    """Draw what was expected of every day, and what came.

    Args:
        report_replay: What ``judge_replay`` returned.
        monitoring: Names the positive class.

    Returns:
        A plotly figure: mean probability beside the share of positives, with its interval, and the share that was
        called positive.
    """
    days = report_replay["days"]
    figure = new_figure(
        "Expected and observed",
        "where the lines part, the probabilities are off",
        height=400,
        xaxis=_day_axis() | {"anchor": "y"},
        yaxis={"title": {"text": "share of rows (log scale)"}, "type": "log", "dtick": "D2", "tickformat": "~%"},
    )
    positive = literal(monitoring.positive_class)
    _add_line(figure, days, "mean_probability", "mean probability", "y", 0, bars=False)
    _add_line(figure, days, "prevalence", f"{positive}, observed", "y", 5)
    _add_line(figure, days, "positive_share", f"called {positive}", "y", 1, bars=False)
    return figure


def _day_axis() -> dict[str, Any]:
    return {"anchor": "y2", "type": "date", "nticks": 5, "tickformat": "%d %b"}


def _add_line(
    figure: Any,
    days: list[dict[str, Any]],
    metric: str,
    name: str,
    axis: str,
    colour: int,
    *,
    bars: bool = True,
) -> None:
    import plotly.graph_objects as go

    # A log axis cannot show zero
    log = getattr(figure.layout, "yaxis" if axis == "y" else "yaxis2").type == "log"
    drawn = [row for row in days if row[metric] is not None and not (log and row[metric] <= 0)]
    values = {row["day"]: row[metric] for row in drawn}
    error = whiskers(drawn, metric) if bars else None
    if error is not None:
        places = {row["day"]: place for place, row in enumerate(drawn)}
        for end in ("array", "arrayminus"):
            lengths = error[end]
            error[end] = [lengths[places[row["day"]]] if row["day"] in places else 0.0 for row in days]
        if log:
            # An interval that reaches zero would leave the axis
            error["arrayminus"] = [
                min(length, 0.999 * values.get(row["day"], math.inf))
                for length, row in zip(error["arrayminus"], days, strict=True)
            ]
    figure.add_trace(
        go.Scatter(
            x=[row["day"] for row in days],
            y=[values.get(row["day"]) for row in days],
            yaxis=axis,
            mode="lines+markers",
            line={"color": COLOURS[colour], "width": 1.5},
            marker={"size": 7, "symbol": SYMBOLS[colour % len(SYMBOLS)]},
            error_y=error,
            name=name,
            text=[f"{row['n']:,} rows, {row['positives']:,} positive ({literal(row['split'])})" for row in days],
            hovertemplate=f"%{{x}}: %{{y:.4~g}}<br>%{{text}}<extra>{name}</extra>",
        )
    )


def _add_level(figure: Any, days: list[dict[str, Any]], level: float, axis: str) -> None:
    import plotly.graph_objects as go

    ends = [days[0]["day"], days[-1]["day"]]
    line = {"color": MUTED, "dash": "dash", "width": 1.5}
    figure.add_trace(
        go.Scatter(x=ends, y=[level, level], yaxis=axis, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    )


def plot_drift(report_drift: dict[str, Any]) -> Any:
    """Draw which features have moved furthest.

    Args:
        report_drift: What ``measure_drift`` returned.

    Returns:
        A plotly figure: PSI of the 20 features that moved most, coloured by state, with the two limits as lines; the
        restless ones come last.
    """
    import plotly.graph_objects as go

    rows = report_drift["features"][:MOST_FEATURES]
    counts, limits = report_drift["counts"], report_drift["limits"]
    largest = max([limits["psi_drift"], *(row["psi"] for row in rows)])
    kind = "log" if largest > 20 * limits["psi_drift"] else "linear"
    height = 160 + 24 * max(len(rows), 4)
    figure = new_figure(
        "Which features have moved",
        f"{len(rows)} of {len(report_drift['features'])} features; {counts['drift']} moved, {counts['watch']} worth a "
        "look; lines: limits",
        height=height,
        xaxis={"title": {"text": "population stability index"}, "type": kind, "nticks": 5, "tickangle": 0},
        yaxis={
            "range": [len(rows) - 0.4, -0.6],
            "tickvals": list(range(len(rows))),
            "ticktext": [shortened(row["feature"]) for row in rows],
            "ticks": "",
        },
        barmode="overlay",
        legend=legend_below(height),
    )
    for state, colour in STATES.items():
        places = [place for place, row in enumerate(rows) if row["state"] == state]
        if not places:
            continue
        figure.add_trace(
            go.Bar(
                x=[rows[place]["psi"] for place in places],
                y=places,
                orientation="h",
                marker_color=colour,
                name=state,
                text=[literal(rows[place]["feature"]) + _hover(rows[place]) for place in places],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            )
        )
    for name, dash in (("psi_watch", "dot"), ("psi_drift", "dash")):
        figure.add_vline(x=limits[name], line={"color": MUTED, "dash": dash, "width": 1.5})
    return figure


def _hover(row: dict[str, Any]) -> str:
    ks = "none" if row["ks"] is None else f"{row['ks']:.3f}"
    return f": PSI {row['psi']:.3f}, KS {ks}<br>missing {row['missing_reference']:.1%}, now {row['missing_replay']:.1%}"


def plot_score(report_drift: dict[str, Any]) -> Any:
    """Draw how the probabilities are distributed now and were before.

    Args:
        report_drift: What ``measure_drift`` returned.

    Returns:
        A plotly figure: shares of rows by log-odds.
    """
    import plotly.graph_objects as go

    score = report_drift["score"]
    histogram = score["histogram"]
    edges = histogram["edges"]
    figure = new_figure(
        "Has the score moved?",
        f"PSI {score['psi']:.3f}; compared with {literal(score['compared_with'])}",
        height=380,
        xaxis=odds_axis("probability", edges[0], edges[-1]),
        yaxis={"title": {"text": "share of rows"}, "tickformat": ".1%"},
    )
    texts = [f"{_probability(low):.4f} to {_probability(high):.4f}" for low, high in itertools.pairwise(edges)]
    for name, key, colour in (("before", "reference", MUTED), ("replayed", "replay", COLOURS[0])):
        figure.add_trace(
            go.Scatter(
                x=[(low + high) / 2 for low, high in itertools.pairwise(edges)],
                y=histogram[key],
                mode="lines",
                line={"color": colour, "width": 2, "shape": "hvh"},
                name=name,
                text=texts,
                hovertemplate=f"%{{text}}: %{{y:.2%}}<extra>{name}</extra>",
            )
        )
    return figure


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))
