"""Plots of how a classifier of texts into codes was judged: by code, level and slice, and beside baselines."""

from typing import Any

import numpy as np

from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation
from augury.reporting.plot_style import (
    COLOURS,
    legend_below,
    literal,
    log_ticks,
    new_figure,
    shortened,
    whiskers,
)

MOST_CONFUSED = 14
MOST_SLICES = 24
SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x", "star"]
DASHES = ["solid", "dash", "dot", "dashdot"]


def plot_codes(report_codes: list[dict[str, Any]], evaluation: MultilabelEvaluation) -> Any:
    """Draw the F1 of every code over its training texts.

    Args:
        report_codes: What ``evaluate_codes`` returned.
        evaluation: How the model was judged.

    Returns:
        A plotly figure: a point per code that any judged text has or that was assigned, by level; hollow where too few
        judged texts have it to say much.
    """
    import plotly.graph_objects as go

    rows = [row for row in report_codes if row["f1"] is not None]
    counts = [max(row["n_train"], 1) for row in rows] or [1]
    low, high = min(counts), max(counts)
    height = 420
    figure = new_figure(
        "F1 of every code",
        f"{len(rows)} codes; hollow: fewer than {evaluation.min_support} judged texts",
        height=height,
        legend=legend_below(height),
        xaxis={
            "type": "log",
            "title": {"text": "training texts (log scale)"},
            "range": [np.log10(low) - 0.1, np.log10(high) + 0.1],
            "tickangle": 0,
            **log_ticks(low, max(high, low + 1)),
        },
        yaxis={"title": {"text": "F1"}, "range": [-0.04, 1.04]},
    )
    for index, level in enumerate(sorted({row["level"] for row in rows})):
        part = [row for row in rows if row["level"] == level]
        symbol = SYMBOLS[index % len(SYMBOLS)]
        figure.add_trace(
            go.Scatter(
                x=[max(row["n_train"], 1) for row in part],
                y=[row["f1"] for row in part],
                mode="markers",
                marker={
                    "size": 9,
                    "color": COLOURS[index % len(COLOURS)],
                    "symbol": [symbol if row["judged"] else f"{symbol}-open" for row in part],
                    "opacity": 0.8,
                },
                name=f"level {level}",
                text=[
                    f"{literal(row['code'])} {literal(row['label'])}<br>{row['n_train']:,} training and "
                    f"{row['support']:,} judged texts"
                    for row in part
                ],
                hovertemplate="%{text}<br>F1 %{y:.3f}<extra></extra>",
            )
        )
    return figure


def plot_confusions(report_confusions: list[dict[str, Any]]) -> Any:
    """Draw which code is assigned instead of which.

    Args:
        report_confusions: What ``confusion_pairs`` returned.

    Returns:
        A plotly figure: a heat map of the codes of the most frequent pairs.
    """
    import plotly.graph_objects as go

    missed: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for row in report_confusions:
        more = (row["code"] not in missed) + (row["instead"] not in wrong)
        if more and max(len(missed), len(wrong)) >= MOST_CONFUSED:
            continue
        missed.setdefault(row["code"], row["label"])
        wrong.setdefault(row["instead"], row["instead_label"])
    down, across = sorted(missed), sorted(wrong)
    texts = {(row["code"], row["instead"]): row for row in report_confusions}
    cells = [[texts.get((one, other)) for other in across] for one in down]
    figure = new_figure(
        "Which code instead of which",
        f"the codes of the most frequent of {len(report_confusions)} pairs of one level"
        if down
        else "no code was assigned instead of another",
        height=190 + 28 * max(len(down), 4),
        # Codes look like numbers, and are none
        xaxis={"type": "category", "title": {"text": "assigned instead"}, "tickangle": -45, "showgrid": False},
        yaxis={"type": "category", "title": {"text": "missed"}, "autorange": "reversed", "showgrid": False},
    )
    if not down:
        return figure
    figure.add_trace(
        go.Heatmap(
            x=[literal(code) for code in across],
            y=[literal(code) for code in down],
            z=[[None if cell is None else cell["texts"] for cell in line] for line in cells],
            text=[
                [
                    ""
                    if cell is None
                    else f"{literal(cell['code'])} {literal(cell['label'])}<br>instead: {literal(cell['instead'])} "
                    f"{literal(cell['instead_label'])}<br>{cell['texts']:.3g} texts, {cell['share']:.1%} of those with "
                    f"{literal(cell['code'])}"
                    for cell in line
                ]
                for line in cells
            ],
            zmin=0,
            zmax=max(row["texts"] for row in report_confusions),
            colorscale=[[0, "rgba(44,133,199,0.15)"], [1, COLOURS[0]]],
            colorbar={"title": {"text": "texts"}, "thickness": 12},
            xgap=1,
            ygap=1,
            hoverongaps=False,
            hovertemplate="%{text}<extra></extra>",
        )
    )
    return figure


def plot_baselines(report_baselines: list[dict[str, Any]], evaluation: MultilabelEvaluation) -> Any:
    """Draw micro and macro F1 of the model and the baselines.

    Args:
        report_baselines: What ``compare_baselines`` returned.
        evaluation: How the model was judged.

    Returns:
        A plotly figure: two points with their intervals per model.
    """
    import plotly.graph_objects as go

    height = 170 + 34 * max(len(report_baselines), 3)
    figure = new_figure(
        "F1 beside baselines",
        f"{100 * evaluation.confidence:g} % intervals; right is better",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "F1"}, "range": [-0.02, 1.02]},
        yaxis={
            "range": [len(report_baselines) - 0.5, -0.5],
            "tickvals": list(range(len(report_baselines))),
            "ticktext": [shortened(row["model"]) for row in report_baselines],
            "ticks": "",
        },
    )
    for index, (name, metric) in enumerate((("micro F1", "micro_f1"), ("macro F1", "macro_f1"))):
        defined = [(place, row) for place, row in enumerate(report_baselines) if row[metric] is not None]
        figure.add_trace(
            go.Scatter(
                x=[row[metric] for _, row in defined],
                y=[place + 0.24 * (index - 0.5) for place, _ in defined],
                mode="markers",
                marker={"size": 8, "color": COLOURS[index], "symbol": SYMBOLS[index]},
                error_x=whiskers([row for _, row in defined], metric),
                name=name,
                text=[_lead(row, metric) for _, row in defined],
                hovertemplate=f"%{{text}}<extra>{name}</extra>",
            )
        )
    return figure


def _lead(row: dict[str, Any], metric: str) -> str:
    text = f"{literal(row['model'])}: {row[metric]:.3f}"
    above = row.get(f"{metric}_above")
    return text if above is None else f"{text}<br>the model is {above:+.3f} from it"


def plot_levels(report_baselines: list[dict[str, Any]], evaluation: MultilabelEvaluation) -> Any:
    """Draw the F1 of every level of the tree of codes.

    Args:
        report_baselines: What ``compare_baselines`` returned.
        evaluation: How the model was judged.

    Returns:
        A plotly figure: a line with intervals for the model and every baseline.
    """
    import plotly.graph_objects as go

    metrics = [name for name in report_baselines[0] if name.startswith("f1_level_") and name.split("_")[-1].isdigit()]
    height = 400
    figure = new_figure(
        "F1 by level",
        f"micro, {100 * evaluation.confidence:g} % intervals; level 0: codes without a parent",
        height=height,
        legend=legend_below(height),
        xaxis={
            "title": {"text": "level"},
            "tickvals": list(range(len(metrics))),
            "range": [-0.4, len(metrics) - 0.6],
        },
        yaxis={"title": {"text": "F1"}, "range": [-0.02, 1.02]},
    )
    shift = 0.4 / max(len(report_baselines), 1)
    for index, row in enumerate(report_baselines):
        places = [(place, name) for place, name in enumerate(metrics) if row[name] is not None]
        ends = [{key: row[f"{name}{end}"] for key, end in _ENDS.items()} for _, name in places]
        figure.add_trace(
            go.Scatter(
                x=[place + shift * (index - (len(report_baselines) - 1) / 2) for place, _ in places],
                y=[row[name] for _, name in places],
                mode="lines+markers",
                line={
                    "color": COLOURS[index % len(COLOURS)],
                    "width": 2.5 if index == 0 else 1,
                    "dash": DASHES[index % len(DASHES)],
                },
                marker={"size": 8, "symbol": SYMBOLS[index % len(SYMBOLS)]},
                error_y=whiskers(ends, "f1"),
                name=literal(row["model"]),
                hovertemplate=f"%{{y:.3f}}<extra>{literal(row['model'])}</extra>",
            )
        )
    return figure


_ENDS = {"f1": "", "f1_lower": "_lower", "f1_upper": "_upper"}


def plot_slices(report_slices: list[dict[str, Any]], evaluation: MultilabelEvaluation) -> Any:
    """Draw where the model is worse than elsewhere: by length, number of codes, origin and main class.

    Args:
        report_slices: What ``evaluate_slices`` returned.
        evaluation: How the model was judged.

    Returns:
        A plotly figure: micro F1 and F1 by text with their intervals; the largest 24 slices are drawn.
    """
    import plotly.graph_objects as go

    largest = sorted(range(len(report_slices)), key=lambda place: -report_slices[place]["n"])[:MOST_SLICES]
    rows = [report_slices[place] for place in sorted(largest)]
    some = "" if len(rows) == len(report_slices) else f", the {len(rows)} largest of {len(report_slices)}"
    height = 170 + 30 * max(len(rows), 3)
    known = [row[name] for row in rows for name in ("micro_f1_lower", "sample_f1_lower", "micro_f1") if row[name]]
    lowest = min(known, default=0.0)
    figure = new_figure(
        "Where it is worse",
        f"{100 * evaluation.confidence:g} % intervals{some}",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "F1"}, "range": [max(-0.02, lowest - 0.05), 1.02]},
        yaxis={
            "range": [len(rows) - 0.4, -0.6],
            "tickvals": list(range(len(rows))),
            "ticktext": [shortened(f"{row['slice']} {row['value']}", 26) for row in rows],
            "ticks": "",
        },
    )
    for index, (name, metric) in enumerate((("micro F1", "micro_f1"), ("F1 by text", "sample_f1"))):
        defined = [(place, row) for place, row in enumerate(rows) if row[metric] is not None]
        figure.add_trace(
            go.Scatter(
                x=[row[metric] for _, row in defined],
                y=[place + 0.22 * (index - 0.5) for place, _ in defined],
                mode="markers",
                marker={"size": 8, "color": COLOURS[index], "symbol": SYMBOLS[index]},
                error_x=whiskers([row for _, row in defined], metric),
                name=name,
                text=[f"{literal(row['slice'])} {literal(row['value'])} ({row['n']:,} texts)" for _, row in defined],
                hovertemplate=f"%{{text}}<br>{name} %{{x:.3f}}<extra></extra>",
            )
        )
    return figure
