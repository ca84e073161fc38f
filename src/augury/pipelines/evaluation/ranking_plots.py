"""Plots of a judged recommender. Inputs are those of, or come from, the ``ranking`` module."""

from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.bootstrap import ends
from augury.metrics.exposure import popularity_percentiles
from augury.metrics.metrics_mapping import INTERVALS
from augury.metrics.top_k import FULL, frame_metrics
from augury.pipelines.evaluation.ranking import MODEL, baseline_names
from augury.pipelines.evaluation.ranking_parameters import RankingEvaluation
from augury.reporting.plot_style import COLOURS, MUTED, PERCENT, legend_below, literal, new_figure, shortened, whiskers

MOST_SLICES = 20
MOST_RIVALS = 4
POPULARITY_BINS = 20
DASHES = ["dash", "dot", "dashdot", "longdash"]
SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x"]
LONGEST_RANK = 10**9


def plot_sizes(predictions: pd.DataFrame, metrics: dict[str, Any], evaluation: RankingEvaluation) -> Any:
    """Draw NDCG over the length of the list.

    Args:
        predictions: The frame that the docstring of ``ranking_predictions`` describes.
        metrics: What ``evaluate_ranking`` returned.
        evaluation: How the recommender is judged.

    Returns:
        A plotly figure: the model with its intervals, and the four best baselines; full ranking.
    """
    import plotly.graph_objects as go

    sizes = evaluation.sizes
    curves = {
        name: [float(value) for value in _ndcg(predictions, name, evaluation)] for name in baseline_names(predictions)
    }
    best = sorted(curves, key=lambda name: -curves[name][sizes.index(evaluation.k)])[:MOST_RIVALS]
    intervals = metrics.get(INTERVALS) or {}
    rows = [{"ndcg": metrics[f"ndcg_at_{size}"], **ends("ndcg", intervals.get(f"ndcg_at_{size}"))} for size in sizes]
    note = f"full ranking, {metrics['n_test_groups']:,} users; {100 * evaluation.confidence:g} % intervals"
    figure = new_figure(
        "NDCG by length of the list",
        note,
        height=400,
        legend=legend_below(400),
        xaxis={"title": {"text": "length of the list"}, "tickvals": sizes, "type": "log"},
        yaxis={"title": {"text": "NDCG"}, "rangemode": "tozero"},
    )
    for index, name in enumerate(best):
        figure.add_trace(
            go.Scatter(
                x=sizes,
                y=curves[name],
                mode="lines+markers",
                line={"color": COLOURS[index + 1], "dash": DASHES[index], "width": 1.5},
                marker={"size": 7, "symbol": SYMBOLS[index + 1]},
                name=literal(name),
                hovertemplate=f"{literal(name)}: %{{y:.4f}} at %{{x}}<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=sizes,
            y=[row["ndcg"] for row in rows],
            error_y=whiskers(rows, "ndcg"),
            mode="lines+markers",
            line={"color": COLOURS[0], "width": 2.5},
            marker={"size": 9, "symbol": SYMBOLS[0]},
            name=MODEL,
            hovertemplate="model: %{y:.4f} at %{x}<extra></extra>",
        )
    )
    return figure


def plot_baselines(baselines: list[dict[str, Any]], evaluation: RankingEvaluation) -> Any:
    """Draw NDCG of the model and the baselines, under both protocols side by side.

    Args:
        baselines: What ``compare_baselines`` returned.
        evaluation: How the recommender is judged.

    Returns:
        A plotly figure: left the full ranking, which orders the models; right the sampled protocol, which may order
        them differently. A point with its interval per model.
    """
    import plotly.graph_objects as go

    k = evaluation.k
    rows = sorted(baselines, key=lambda row: -(row[f"ndcg_at_{k}"] or 0))
    names = [shortened(row["model"]) for row in rows]
    figure = new_figure(
        f"NDCG@{k} beside baselines",
        f"{100 * evaluation.confidence:g} % intervals; right is better; ordered by the full ranking",
        height=150 + 34 * max(len(rows), 3),
        xaxis={"domain": [0, 0.47], "title": {"text": "full ranking"}, "nticks": 4, "rangemode": "tozero"},
        xaxis2={
            "domain": [0.53, 1],
            "title": {"text": "sampled"},
            "nticks": 4,
            "rangemode": "tozero",
            "anchor": "y",
        },
        yaxis={"range": [len(rows) - 0.5, -0.5], "tickvals": list(range(len(rows))), "ticktext": names, "ticks": ""},
        showlegend=False,
    )
    for axis, name, words in (("x", f"ndcg_at_{k}", "full ranking"), ("x2", f"sampled_ndcg_at_{k}", "sampled")):
        drawn = [(place, row) for place, row in enumerate(rows) if row[name] is not None]
        figure.add_trace(
            go.Scatter(
                x=[row[name] for _, row in drawn],
                y=[place for place, _ in drawn],
                xaxis=axis,
                mode="markers",
                marker={
                    "size": 10,
                    "color": [COLOURS[0] if row["kind"] == "model" else MUTED for _, row in drawn],
                    "symbol": [SYMBOLS[0] if row["kind"] == "model" else SYMBOLS[1] for _, row in drawn],
                },
                error_x=whiskers([row for _, row in drawn], name) | {"color": MUTED},
                name=words,
                text=[literal(row["model"]) for _, row in drawn],
                hovertemplate=f"%{{text}}, {words}: %{{x:.4f}}<extra></extra>",
            )
        )
    return figure


def plot_popularity(predictions: pd.DataFrame, primary_items: pd.DataFrame, evaluation: RankingEvaluation) -> Any:
    """Draw how popular the recommended items are, beside those that users turned to.

    Args:
        predictions: The frame that the docstring of ``ranking_predictions`` describes.
        primary_items: In the order of their codes: ``interactions`` (of training).
        evaluation: The length of the lists.

    Returns:
        A plotly figure: shares of list entries and of held-out items in twenty ranges of popularity.
    """
    import plotly.graph_objects as go

    percentiles = popularity_percentiles(primary_items["interactions"].to_numpy())
    lists = predictions.drop_duplicates("user")["top"]
    recommended = np.concatenate([items[: evaluation.k] for items in lists]).astype(np.int64)
    edges = np.linspace(0, 1, POPULARITY_BINS + 1)
    figure = new_figure(
        "Popularity of what is recommended",
        f"lists of {evaluation.k}; percentile of training interactions, 100 % is the most popular item",
        height=380,
        legend=legend_below(380),
        xaxis={"title": {"text": "popularity percentile"}, "tickformat": PERCENT, "range": [-0.02, 1.02]},
        yaxis={"title": {"text": "share"}, "tickformat": PERCENT, "rangemode": "tozero"},
        barmode="overlay",
    )
    for index, (name, items) in enumerate([("recommended", recommended), ("held out", predictions["item"].to_numpy())]):
        counts, _ = np.histogram(percentiles[items], bins=edges)
        figure.add_trace(
            go.Bar(
                x=((edges[:-1] + edges[1:]) / 2).tolist(),
                y=(counts / max(len(items), 1)).tolist(),
                width=0.94 / POPULARITY_BINS,
                marker_color=COLOURS[index],
                opacity=0.65,
                name=name,
                hovertemplate=f"%{{y:.1%}} of the {name} items<extra>{name}</extra>",
            )
        )
    return figure


def plot_slices(slices: list[dict[str, Any]], evaluation: RankingEvaluation) -> Any:
    """Draw where the model is worse than elsewhere.

    Args:
        slices: What ``evaluate_slices`` returned.
        evaluation: How the recommender is judged.

    Returns:
        A plotly figure: NDCG in the full ranking per slice with its interval; the largest 20 slices are drawn.
    """
    import plotly.graph_objects as go

    largest = sorted(range(len(slices)), key=lambda place: -slices[place]["n"])[:MOST_SLICES]
    rows = [slices[place] for place in sorted(largest)]
    some = "" if len(rows) == len(slices) else f", the {len(rows)} largest of {len(slices)}"
    name = f"ndcg_at_{evaluation.k}"
    drawn = [(place, row) for place, row in enumerate(rows) if row[name] is not None]
    figure = new_figure(
        f"NDCG@{evaluation.k} by slice",
        f"full ranking; {100 * evaluation.confidence:g} % intervals{some}",
        height=130 + 28 * max(len(rows), 3),
        xaxis={"title": {"text": f"NDCG@{evaluation.k}"}, "rangemode": "tozero"},
        yaxis={
            "range": [len(rows) - 0.4, -0.6],
            "tickvals": list(range(len(rows))),
            "ticktext": [shortened(f"{row['slice']} {row['value']}", 26) for row in rows],
            "ticklen": 7,  # room for a marker at zero
            "tickcolor": "rgba(0,0,0,0)",
        },
        showlegend=False,
    )
    columns = list(dict.fromkeys(row["slice"] for row in rows))
    for index, column in enumerate(columns):
        inside = [(place, row) for place, row in drawn if row["slice"] == column]
        figure.add_trace(
            go.Scatter(
                x=[row[name] for _, row in inside],
                y=[place for place, _ in inside],
                mode="markers",
                cliponaxis=False,
                marker={"size": 9, "color": COLOURS[index % len(COLOURS)], "symbol": SYMBOLS[index % len(SYMBOLS)]},
                error_x=whiskers([row for _, row in inside], name),
                name=literal(column),
                text=[f"{literal(row['slice'])} {literal(row['value'])} ({row['n']:,} pairs)" for _, row in inside],
                hovertemplate="%{text}: %{x:.4f}<extra></extra>",
            )
        )
    return figure


def plot_ranks(predictions: pd.DataFrame, evaluation: RankingEvaluation) -> Any:
    """Draw at which places held-out items stand.

    Args:
        predictions: The frame that the docstring of ``ranking_predictions`` describes.
        evaluation: How the recommender is judged.

    Returns:
        A plotly figure: shares of held-out items by rank, in ranges that double; the model's as bars, those of the
        best baseline as a line.
    """
    import plotly.graph_objects as go

    ranks = predictions[f"{FULL}_rank"].to_numpy() + 1
    starts = 2 ** np.arange(int(np.log2(ranks.max())) + 1)
    places = list(range(len(starts)))
    labels = ["1", *(f"{start:,} to {2 * start - 1:,}" for start in starts[1:])]
    every = 1 + (len(places) - 1) // 6  # a phone has room for six
    figure = new_figure(
        "Ranks of the held-out items",
        f"full ranking, 1 is the first place; {len(ranks):,} held-out items, {(ranks <= evaluation.k).mean():.1%} "
        f"among the first {evaluation.k}",
        height=380,
        legend=legend_below(380),
        xaxis={
            "title": {"text": "rank, up to"},
            "tickvals": places[::every],
            "ticktext": [f"{2 * start - 1:,}" for start in starts[::every]],
            "tickangle": 0,
        },
        yaxis={"title": {"text": "share of held-out items"}, "tickformat": PERCENT, "rangemode": "tozero"},
    )
    figure.add_trace(
        go.Bar(
            x=places,
            y=_shares(ranks, starts),
            marker_color=COLOURS[0],
            name=MODEL,
            text=labels,
            textposition="none",
            hovertemplate="rank %{text}: %{y:.1%}<extra>model</extra>",
        )
    )
    names = baseline_names(predictions)
    if names:
        best = max(names, key=lambda name: _ndcg(predictions, name, evaluation)[evaluation.sizes.index(evaluation.k)])
        figure.add_trace(
            go.Scatter(
                x=places,
                y=_shares(predictions[f"{best}_{FULL}_rank"].to_numpy() + 1, starts),
                mode="lines+markers",
                line={"color": COLOURS[1], "width": 2},
                name=f"{literal(best)} (best baseline)",
                text=labels,
                hovertemplate=f"rank %{{text}}: %{{y:.1%}}<extra>{literal(best)}</extra>",
            )
        )
    return figure


def _shares(ranks: Any, starts: Any) -> list[float]:
    edges = np.append(starts, LONGEST_RANK)
    return [float(share) for share in np.histogram(ranks, bins=edges)[0] / len(ranks)]


def _ndcg(predictions: pd.DataFrame, baseline: str, evaluation: RankingEvaluation) -> list[float]:
    means = frame_metrics(predictions, evaluation.sizes, FULL, f"{baseline}_").mean()
    return [float(means[f"ndcg_at_{size}"]) for size in evaluation.sizes]
