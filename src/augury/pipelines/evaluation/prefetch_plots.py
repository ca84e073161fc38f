"""Plots of a judged prefetcher."""

from typing import Any

from augury.reporting.plot_style import COLOURS, MUTED, literal, new_figure

ALL = "(all)"
TABLE = "How often the next access was foreseen"


def plot_hits(hits: dict[str, Any]) -> Any:
    """Draw how often the next access was among the first 1 and 10 that each model named.

    Args:
        hits: What ``replay_holdout`` returned of that.

    Returns:
        A plotly figure: two points per model, the best first.
    """
    import plotly.graph_objects as go

    rows = sorted((row for row in hits["tables"][TABLE] if row["trace"] == ALL), key=lambda row: -row["hit@1"])
    figure = new_figure(
        "How often the next access was foreseen",
        "of all accesses; unknown blocks are misses; right is better",
        height=170 + 30 * len(rows),
        xaxis={"title": {"text": "share of the accesses"}, "nticks": 5, "rangemode": "tozero"},
        yaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": [literal(row["model"]) for row in rows],
            "autorange": "reversed",
        },
    )
    for size, colour in ((1, COLOURS[0]), (10, MUTED)):
        figure.add_trace(
            go.Scatter(
                x=[row[f"hit@{size}"] for row in rows],
                y=list(range(len(rows))),
                mode="markers",
                cliponaxis=False,
                name=f"hit@{size}",
                marker={"size": 10, "color": colour, "symbol": "circle" if size == 1 else "diamond"},
                text=[literal(row["model"]) for row in rows],
                hovertemplate="%{text}: %{x:.3f}<extra></extra>",
            )
        )
    return figure
