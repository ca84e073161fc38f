"""Plots of the held-out predictions of a classifier of texts into codes."""

from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.bootstrap import Floats, share_interval
from augury.metrics.calibration import log_odds
from augury.metrics.label_ranking import curve_points
from augury.metrics.ranking import Bools, Codes
from augury.pipelines.evaluation.multilabel import MODEL
from augury.pipelines.evaluation.multilabel_holdout import MultilabelHoldout, read_holdout
from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation
from augury.reporting.plot_style import COLOURS, MUTED, PERCENT, legend_below, literal, new_figure, odds_axis

CURVE_POINTS = 300
BINS = 14
SMALLEST_BIN = 20
OBSERVED = ("observed", "lower", "upper")
SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x", "star"]
DASHES = ["solid", "dash", "dot", "dashdot"]


def plot_reliability(predictions: pd.DataFrame, features_codes: pd.DataFrame, evaluation: MultilabelEvaluation) -> Any:
    """Draw the share of pairs that are true over the probability that was promised.

    Args:
        predictions: The predictions frame; see ``multilabel_holdout``.
        features_codes: The codes that the model knows.
        evaluation: How the model is judged.

    Returns:
        A plotly figure: a point with its interval per bin of the log-odds of all pairs of text and code, dashed where
        promise and outcome agree; below it the pairs per bin on a log axis.
    """
    import plotly.graph_objects as go

    holdout, note = _judged(predictions, features_codes, evaluation)
    probability = holdout.model.probability
    assert probability is not None
    flat, actual = probability.ravel(), holdout.rows.actual.ravel()
    groups = np.repeat(holdout.rows.groups, probability.shape[1])
    bins = _bins(flat)
    points = [_point(actual, flat, groups, bins == code, evaluation.confidence) for code in range(int(bins.max()) + 1)]
    odds = log_odds(flat)
    across = odds_axis("probability of a code", float(odds.min()), float(odds.max()))
    shares = np.array([point[name] for point in points for name in OBSERVED])
    seen = np.append(odds, log_odds(shares[(shares > 0) & (shares < 1)]))
    along = odds_axis("observed share", float(seen.min()), float(seen.max()))
    figure = new_figure(
        "Are the probabilities right?",
        f"{100 * evaluation.confidence:g} % intervals; dashed: perfect; pairs of {note}",
        height=460,
        xaxis=across | {"anchor": "y2"},
        yaxis={
            "domain": [0.34, 1],
            **{key: along[key] for key in ("title", "tickvals", "ticktext", "range")},
        },
        yaxis2={
            "domain": [0, 0.24],
            "title": {"text": "pairs"},
            "type": "log",
            "dtick": 1,
            "gridcolor": "rgba(0,0,0,0)",
        },
        showlegend=False,
    )
    ends = across["range"]
    dashed = {"color": MUTED, "dash": "dash", "width": 1.5}
    figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=dashed, hoverinfo="skip"))
    x = [float(log_odds(point["promised"])) for point in points]
    # A bin without a pair that is true, or with no other, has no log-odds: it is drawn at the edge
    y, lower, upper = (
        [float(np.clip(log_odds(point[name]), *along["range"])) for point in points] for name in OBSERVED
    )
    texts = [
        f"{point['n']:,.0f} pairs, {point['true']:,.0f} true<br>promised {point['promised']:.3%}, "
        f"observed {point['observed']:.3%}"
        for point in points
    ]
    bars = {"array": np.subtract(upper, y).tolist(), "arrayminus": np.subtract(y, lower).tolist()}
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="markers",
            cliponaxis=False,
            marker={"size": 9, "color": COLOURS[0]},
            error_y={"type": "data", "symmetric": False, **bars, "thickness": 1.2, "width": 3},
            text=texts,
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Bar(
            x=x,
            y=[point["n"] for point in points],
            yaxis="y2",
            width=0.5,
            marker_color=MUTED,
            text=texts,
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    return figure


def _bins(probability: Floats) -> Codes:
    """Bins of equal width in log-odds, neighbours merged until each holds some pairs."""
    odds = log_odds(probability)
    edges = np.linspace(odds.min(), odds.max(), BINS + 1)[1:-1]
    counts = np.bincount(np.searchsorted(edges, odds, side="right"), minlength=BINS)
    kept, waiting = [], 0
    for edge, count in zip(edges, counts[:-1], strict=True):
        waiting += int(count)
        if waiting >= SMALLEST_BIN:
            kept.append(float(edge))
            waiting = 0
    if kept and int((odds >= kept[-1]).sum()) < SMALLEST_BIN:
        kept.pop()
    return np.searchsorted(kept, odds, side="right").astype(np.int64)


def _point(actual: Bools, probability: Floats, groups: Codes, inside: Bools, confidence: float) -> dict[str, float]:
    observed = float(actual[inside].mean())
    lower, upper = share_interval(actual[inside], groups[inside], confidence) or [observed, observed]
    return {
        "n": float(inside.sum()),
        "true": float(actual[inside].sum()),
        "promised": float(probability[inside].mean()),
        "observed": observed,
        "lower": lower,
        "upper": upper,
    }


def plot_precision_recall(
    predictions: pd.DataFrame, features_codes: pd.DataFrame, evaluation: MultilabelEvaluation
) -> Any:
    """Draw precision over recall of all pairs of text and code.

    Args:
        predictions: The predictions frame; see ``multilabel_holdout``.
        features_codes: The codes that the model knows.
        evaluation: How the model is judged.

    Returns:
        A plotly figure: a curve for whoever has probabilities, and a marker for the assigned codes of the model and
        every baseline.
    """
    import plotly.graph_objects as go

    holdout, note = _judged(predictions, features_codes, evaluation)
    height = 440
    figure = new_figure(
        "Precision and recall",
        f"all pairs of {note}; markers: what is assigned",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "recall"}, "tickformat": PERCENT, "range": [-0.02, 1.02]},
        yaxis={"title": {"text": "precision"}, "tickformat": PERCENT, "range": [-0.02, 1.04]},
    )
    actual = holdout.rows.actual
    reachable = actual.sum() / max(actual.sum() + holdout.rows.outside.sum(), 1)
    for index, (name, answer) in enumerate(holdout.answers.items()):
        colour = COLOURS[index % len(COLOURS)]
        if answer.probability is not None:
            recall, precision = curve_points(actual, answer.probability, CURVE_POINTS)
            figure.add_trace(
                go.Scatter(
                    x=(recall * reachable).tolist(),
                    y=precision.tolist(),
                    mode="lines",
                    line={
                        "color": colour,
                        "width": 3 if name == MODEL else 1.5,
                        "dash": DASHES[index % len(DASHES)],
                    },
                    name=literal(name),
                    hovertemplate=f"%{{x:.1%}}, %{{y:.1%}}<extra>{literal(name)}</extra>",
                )
            )
        found, called = (actual & answer.predicted).sum(), answer.predicted.sum()
        if called and actual.any():
            figure.add_trace(
                go.Scatter(
                    x=[float(found / (actual.sum() + holdout.rows.outside.sum()))],
                    y=[float(found / called)],
                    mode="markers",
                    marker={
                        "size": 13 if name == MODEL else 10,
                        "color": colour,
                        "symbol": SYMBOLS[index % len(SYMBOLS)],
                        "line": {"color": "#ffffff", "width": 1},
                    },
                    showlegend=answer.probability is None,
                    name=literal(name),
                    hovertemplate=f"assigned: %{{x:.1%}}, %{{y:.1%}}<extra>{literal(name)}</extra>",
                )
            )
    return figure


def _judged(
    predictions: pd.DataFrame, features_codes: pd.DataFrame, evaluation: MultilabelEvaluation
) -> tuple[MultilabelHoldout, str]:
    holdout = read_holdout(predictions, features_codes, evaluation)
    return holdout, f"{len(holdout.rows):,} texts and {len(holdout.codes.names):,} codes"
