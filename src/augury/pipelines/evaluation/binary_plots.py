"""Plots of a judged binary predictor. Inputs are those of, or come from, the ``binary`` module."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.metrics.binary import RANKING_METRICS, ROC_AUC_ABOVE, BinaryRows, Contender
from augury.metrics.bootstrap import Floats, share_interval
from augury.metrics.calibration import log_odds
from augury.metrics.decisions import COST, expected_costs, indifferent_threshold, rates
from augury.metrics.ranking import Bools, Ranking, threshold_counts
from augury.pipelines.evaluation.binary import MODEL, sliced_rows
from augury.pipelines.evaluation.binary_holdout import (
    BinaryHoldout,
    main_name,
    main_rows,
    read_holdout,
    subset_masks,
    thresholds_of,
)
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
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

CURVE_POINTS = 400
MOST_SLICES = 16
MOST_SUBSETS = 6
SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x", "star"]
DASHES = ["solid", "dash", "dot", "dashdot"]
ODDS_BINS = 14
SMALLEST_BIN = 10
LOWEST_THRESHOLD = 1e-4


def plot_roc(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> Any:
    """Draw recall over the false positive rate.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure: a curve for the model and every baseline with a score, a marker for the operating points and
        every baseline with decisions alone; on the main rows.
    """

    def curve(found: Floats, alarms: Floats) -> tuple[Floats, Floats]:
        x, y = alarms / max(alarms[-1], 1), found / max(found[-1], 1)
        return np.append(0.0, x), np.append(0.0, y)

    figure = _curves(
        "Ranking: ROC curves",
        predictions,
        facts,
        evaluation,
        curve,
        ("fpr", "recall"),
        xaxis={"title": {"text": "false positive rate"}, "tickformat": PERCENT, "range": [-0.02, 1.02]},
        yaxis={"title": {"text": "recall"}, "tickformat": PERCENT, "range": [-0.02, 1.02]},
    )
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": MUTED, "dash": "dot", "width": 1})
    return figure


def plot_precision_recall(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> Any:
    """Draw precision over recall.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure like that of :func:`plot_roc`.
    """

    def curve(found: Floats, alarms: Floats) -> tuple[Floats, Floats]:
        return found / max(found[-1], 1), found / (found + alarms)

    return _curves(
        "Precision and recall",
        predictions,
        facts,
        evaluation,
        curve,
        ("recall", "precision"),
        xaxis={"title": {"text": "recall"}, "tickformat": PERCENT, "range": [-0.02, 1.02]},
        yaxis={"title": {"text": "precision"}, "tickformat": PERCENT, "range": [-0.02, 1.04]},
    )


def plot_routing(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> Any:
    """Draw how many rows have to be called positive for which recall.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure like that of :func:`plot_roc`, with the share of all rows on a log axis.
    """

    def curve(found: Floats, alarms: Floats) -> tuple[Floats, Floats]:
        return (found + alarms) / (found[-1] + alarms[-1]), found / max(found[-1], 1)

    lowest = 1 / max(int(main_rows(predictions, evaluation).sum()), 10)
    return _curves(
        "Recall by share called positive",
        predictions,
        facts,
        evaluation,
        curve,
        ("positive_share", "recall"),
        xaxis={
            "title": {"text": f"share called {literal(evaluation.positive_class)} (log scale)"},
            "type": "log",
            "tickvals": [0.0001, 0.001, 0.01, 0.1, 1],
            "ticktext": ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"],
            "tickangle": 0,
            "range": [math.log10(max(lowest, 1e-4)), 0.05],
        },
        yaxis={"title": {"text": "recall"}, "tickformat": PERCENT, "range": [-0.02, 1.04]},
    )


def _curves(
    title: str,
    predictions: pd.DataFrame,
    facts: Mapping[str, Any],
    evaluation: BinaryEvaluation,
    curve: Callable[[Floats, Floats], tuple[Floats, Floats]],
    of_decisions: tuple[str, str],
    **axes: Any,
) -> Any:
    import plotly.graph_objects as go

    holdout, note = _main(predictions, evaluation)
    figure = new_figure(title, note, height=440, **axes)
    actual = holdout.rows.actual
    contenders = {MODEL: Contender(holdout.rows.probability, None)} | dict(holdout.baselines)
    for index, (name, contender) in enumerate(contenders.items()):
        colour = MUTED if index >= len(COLOURS) else COLOURS[index]
        if contender.score is not None and np.ptp(contender.score) > 0:
            _, found, alarms = threshold_counts(actual, contender.score)
            x, y = _thinned(*curve(found, alarms))
            figure.add_trace(
                go.Scatter(
                    x=x.tolist(),
                    y=y.tolist(),
                    mode="lines",
                    line={
                        "color": colour,
                        "width": 3 if name == MODEL else 1.5,
                        "dash": DASHES[0] if name == MODEL else DASHES[index % len(DASHES)],
                    },
                    name=literal(name),
                    hovertemplate=f"%{{x:.2%}}, %{{y:.1%}}<extra>{literal(name)}</extra>",
                )
            )
        elif contender.decided is not None:
            _add_point(figure, name, actual, contender.decided, of_decisions, colour, SYMBOLS[index % len(SYMBOLS)])
    for index, (point, threshold) in enumerate(thresholds_of(facts, evaluation).items()):
        decided = holdout.rows.probability >= threshold
        _add_point(figure, point, actual, decided, of_decisions, COLOURS[0], SYMBOLS[index % len(SYMBOLS)], size=13)
    return figure


def _add_point(
    figure: Any,
    name: str,
    actual: Bools,
    decided: Bools,
    metrics: tuple[str, str],
    colour: str,
    symbol: str,
    size: int = 9,
) -> None:
    import plotly.graph_objects as go

    found = _rates(actual, decided, 1.0)
    x, y = (found[metric] for metric in metrics)
    if not (math.isfinite(x) and math.isfinite(y)):
        return
    figure.add_trace(
        go.Scatter(
            x=[x],
            y=[y],
            mode="markers",
            marker={"size": size, "color": colour, "symbol": symbol, "line": {"color": "#ffffff", "width": 1}},
            name=literal(name),
            hovertemplate=f"%{{x:.2%}}, %{{y:.1%}}<extra>{literal(name)}</extra>",
        )
    )


def plot_reliability(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> Any:
    """Draw the share of positives over the probability that was promised.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure: a point with its interval per bin of the log-odds, neighbours merged until each holds ten
        rows, dashed where promise and outcome agree; below it the rows per bin on a log axis. On the main rows.
    """
    import plotly.graph_objects as go

    holdout, note = _main(predictions, evaluation)
    rows = holdout.rows
    bins = _odds_bins(rows.probability)
    points = [_reliability_point(rows, bins == code, evaluation.confidence) for code in np.unique(bins)]
    odds = log_odds(rows.probability)
    across = odds_axis(f"probability of {literal(evaluation.positive_class)}", odds.min(), odds.max())
    figure = new_figure(
        "Are the probabilities right?",
        f"{100 * evaluation.confidence:g} % intervals; dashed: perfect; {note}",
        height=460,
        xaxis=across | {"anchor": "y2"},
        yaxis={
            "domain": [0.34, 1],
            "title": {"text": "observed share"},
            **{key: across[key] for key in ("tickvals", "ticktext", "range")},
        },
        yaxis2={
            "domain": [0, 0.24],
            "title": {"text": "rows"},
            "type": "log",
            "dtick": 1,
            "gridcolor": "rgba(0,0,0,0)",
        },
        showlegend=False,
    )
    ends = across["range"]
    figure.add_trace(
        go.Scatter(x=ends, y=ends, mode="lines", line={"color": MUTED, "dash": "dash", "width": 1.5}, hoverinfo="skip")
    )
    # A bin without positives has no log-odds: it is drawn at the lower edge
    x, y, lower, upper = (
        [float(np.clip(log_odds(point[name]), *ends)) for point in points]
        for name in ("promised", "observed", "lower", "upper")
    )
    texts = [
        f"{point['n']:,} rows, {point['positives']:,} {literal(evaluation.positive_class)}<br>"
        f"promised {point['promised']:.3%}, observed {point['observed']:.3%}"
        for point in points
    ]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="markers",
            marker={"size": 9, "color": COLOURS[0]},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": np.subtract(upper, y).tolist(),
                "arrayminus": np.subtract(y, lower).tolist(),
                "thickness": 1.2,
                "width": 3,
            },
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


def _reliability_point(rows: BinaryRows, inside: Bools, confidence: float) -> dict[str, Any]:
    actual = rows.actual[inside]
    interval = share_interval(actual, rows.groups[inside], confidence) or [float(actual.mean())] * 2
    return {
        "n": int(inside.sum()),
        "positives": int(actual.sum()),
        "promised": float(rows.probability[inside].mean()),
        "observed": float(actual.mean()),
        "lower": interval[0],
        "upper": interval[1],
    }


def _odds_bins(probability: Floats) -> Floats:
    odds = log_odds(probability)
    edges = np.linspace(odds.min(), odds.max(), ODDS_BINS + 1)[1:-1]
    kept: list[float] = []
    counts = np.bincount(np.searchsorted(edges, odds, side="right"), minlength=ODDS_BINS)
    waiting = 0
    for edge, count in zip(edges, counts[:-1], strict=True):
        waiting += int(count)
        if waiting >= SMALLEST_BIN:
            kept.append(float(edge))
            waiting = 0
    # The last bin takes its neighbour in where it is too small itself
    if kept and int((odds >= kept[-1]).sum()) < SMALLEST_BIN:
        kept.pop()
    return np.searchsorted(kept, odds, side="right").astype(np.float64)


def plot_cost(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> Any:
    """Draw the normalised expected cost over the threshold.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: Names the subsets and the cost ratio.

    Returns:
        A plotly figure: a curve for the main rows and each of the first subsets that has both classes, the operating
        points on every curve, the threshold that calibrated probabilities deserve as a dotted line. Above 1, no model
        would be cheaper.
    """
    import plotly.graph_objects as go

    cost_ratio = evaluation.cost_ratio
    if cost_ratio is None:
        raise UserError("Parameter 'evaluation.cost_ratio' is null: there is no cost to draw.")
    holdout = read_holdout(predictions, evaluation)
    points = thresholds_of(facts, evaluation)
    main, highest = main_name(evaluation), 1.2
    grid = np.geomspace(LOWEST_THRESHOLD, 1, 301)
    figure = new_figure(
        "Cost by threshold",
        f"a miss costs {cost_ratio:g} false alarms; 1: the cheaper of all and none; dotted: threshold for "
        "true probabilities",
        height=430,
        xaxis={
            "type": "log",
            "title": {"text": "threshold (log scale)"},
            "tickvals": [1e-4, 1e-3, 0.01, 0.1, 1],
            "ticktext": ["0.0001", "0.001", "0.01", "0.1", "1"],
            "tickangle": 0,
        },
        yaxis={"title": {"text": "cost / cost without a model"}, "rangemode": "tozero"},
    )
    drawn = 0
    for name, inside in subset_masks(predictions, evaluation).items():
        rows = holdout.rows.where(inside)
        if drawn == MOST_SUBSETS or not rows.actual.any() or rows.actual.all():
            continue
        colour = COLOURS[drawn % len(COLOURS)]
        costs = expected_costs(rows.actual, rows.probability, grid, cost_ratio)
        figure.add_trace(
            go.Scatter(
                x=grid.tolist(),
                y=costs.tolist(),
                mode="lines",
                line={"color": colour, "width": 3 if name == main else 1.5, "dash": DASHES[drawn % len(DASHES)]},
                name=literal(name),
                hovertemplate=f"threshold %{{x:.4g}}: %{{y:.2f}}<extra>{literal(name)}</extra>",
            )
        )
        at_points = expected_costs(rows.actual, rows.probability, np.array(list(points.values())), cost_ratio)
        figure.add_trace(
            go.Scatter(
                x=[min(max(threshold, LOWEST_THRESHOLD), 1.0) for threshold in points.values()],
                y=at_points.tolist(),
                mode="markers",
                marker={
                    "size": 11,
                    "color": colour,
                    "symbol": [SYMBOLS[index % len(SYMBOLS)] for index in range(len(points))],
                    "line": {"color": "#ffffff", "width": 1},
                },
                text=[f"{literal(name)}, {literal(point)}" for point in points],
                showlegend=False,
                hovertemplate="%{text}<br>threshold %{x:.4g}: %{y:.2f}<extra></extra>",
            )
        )
        highest = max(highest, *(1.15 * cost for cost in at_points))
        drawn += 1
    figure.add_hline(y=1, line={"color": MUTED, "dash": "dash", "width": 1.5})
    figure.add_vline(x=indifferent_threshold(cost_ratio), line={"color": MUTED, "dash": "dot", "width": 1.5})
    figure.update_yaxes(range=[0, min(highest, 3.0)])
    return figure


def plot_scores(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> Any:
    """Draw how the probabilities of both classes are distributed.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure: two histograms of the log-odds on the main rows, counts on a log axis, thresholds dotted.
    """
    import plotly.graph_objects as go

    holdout, note = _main(predictions, evaluation)
    rows = holdout.rows
    odds = log_odds(rows.probability)
    low, high = float(odds.min()) - 0.1, float(odds.max()) + 0.1
    edges = np.linspace(low, high, 41)
    figure = new_figure(
        "Probabilities by class",
        f"dotted: thresholds; {note}",
        height=380,
        xaxis=odds_axis("probability", odds.min(), odds.max()),
        yaxis={"type": "log", "title": {"text": "rows (log scale)"}, "dtick": 1},
        barmode="overlay",
    )
    middles = (edges[:-1] + edges[1:]) / 2
    texts = [f"{_probability(left):.4f} to {_probability(right):.4f}" for left, right in itertools.pairwise(edges)]
    classes = [(f"not {evaluation.positive_class}", ~rows.actual, COLOURS[0])]
    classes.append((evaluation.positive_class, rows.actual, COLOURS[5]))
    for name, inside, colour in classes:
        counts, _ = np.histogram(odds[inside], bins=edges)
        figure.add_trace(
            go.Bar(
                x=middles.tolist(),
                y=[int(count) or None for count in counts],
                width=float(edges[1] - edges[0]) * 0.96,
                marker_color=colour,
                opacity=0.65,
                name=literal(name),
                text=texts,
                textposition="none",
                hovertemplate=f"%{{text}}: %{{y:,}} rows<extra>{literal(name)}</extra>",
            )
        )
    for threshold in thresholds_of(facts, evaluation).values():
        figure.add_vline(x=float(log_odds(threshold)), line={"color": MUTED, "dash": "dot", "width": 1.5})
    return figure


def plot_periods(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> Any:
    """Draw the metrics of every day.

    Args:
        predictions: The predictions frame; see ``binary_holdout``.
        facts: With ``threshold``, operating point -> threshold.
        evaluation: Names the column of days and which rows are drawn.

    Returns:
        A plotly figure: ROC-AUC and recall above, below them normalised expected cost or, where no decision is judged
        by a cost, mean probability beside share of positives; a day without positives, or with positives alone, leaves
        a gap. Without a column of days it is empty.
    """
    import plotly.graph_objects as go

    point, threshold = next(iter(thresholds_of(facts, evaluation).items()))
    found = _by_period(predictions, threshold, evaluation)
    costs = evaluation.cost_ratio is not None
    unit = "day" if evaluation.period_column is None else literal(evaluation.period_column).replace("date", "day")
    what = "recall and cost" if costs else "recall"
    figure = new_figure(
        f"{unit.capitalize()} by {unit}",
        f"{what} at {literal(point)}; {len(found)} {unit}s, the number of positives differs",
        height=460,
        xaxis={"anchor": "y2", "type": "date", "nticks": 5, "tickformat": "%d %b"},
        yaxis={"domain": [0.46, 1], "title": {"text": "share"}, "tickformat": PERCENT},
        yaxis2={"domain": [0, 0.36], "title": {"text": "cost"}, "rangemode": "tozero"}
        if costs
        else {"domain": [0, 0.36], "title": {"text": literal(evaluation.positive_class)}, "tickformat": PERCENT},
    )
    texts = [f"{row['n']:,} rows, {row['positives']:,} {literal(evaluation.positive_class)}" for row in found]
    panels = [("ROC-AUC", "roc_auc", "y"), ("recall", "recall", "y")]
    panels += (
        [("normalised cost", COST, "y2")]
        if costs
        else [("share of positives", "prevalence", "y2"), ("mean probability", "mean_probability", "y2")]
    )
    for index, (name, metric, axis) in enumerate(panels):
        number = "%{y:.2f}" if metric == COST else "%{y:.1%}"
        figure.add_trace(
            go.Scatter(
                x=[row["period"] for row in found],
                y=[row[metric] if math.isfinite(row[metric]) else None for row in found],
                yaxis=axis,
                mode="lines+markers",
                line={"color": COLOURS[index], "width": 1.5},
                marker={"size": 7, "symbol": SYMBOLS[index]},
                name=name,
                text=texts,
                hovertemplate=f"%{{x}}: {number}<br>%{{text}}<extra>{name}</extra>",
            )
        )
    if found and costs:
        ends = [found[0]["period"], found[-1]["period"]]
        line = {"color": MUTED, "dash": "dash", "width": 1.5}
        figure.add_trace(
            go.Scatter(x=ends, y=[1, 1], yaxis="y2", mode="lines", line=line, showlegend=False, hoverinfo="skip")
        )
    return figure


def _by_period(predictions: pd.DataFrame, threshold: float, evaluation: BinaryEvaluation) -> list[dict[str, Any]]:
    if evaluation.period_column is None:
        return []
    inside = sliced_rows(predictions, evaluation)
    rows = read_holdout(predictions, evaluation).rows.where(inside)
    periods = predictions.loc[inside, evaluation.period_column].astype(str).to_numpy()
    found: list[dict[str, Any]] = []
    for period in np.unique(periods):
        part = rows.where(periods == period)
        size = {"period": period, "n": len(part), "positives": int(part.actual.sum())}
        size |= {"prevalence": float(part.actual.mean()), "mean_probability": float(part.probability.mean())}
        of_decisions = _rates(part.actual, part.probability >= threshold, evaluation.cost_ratio)
        found.append(size | Ranking(part.actual, part.probability).metrics() | of_decisions)
    return found


def plot_baselines(baselines: list[dict[str, Any]], evaluation: BinaryEvaluation) -> Any:
    """Draw the ROC-AUC of the model and the baselines on the main rows and the subsets.

    Args:
        baselines: What ``compare_baselines`` returned.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure: a point with its interval per model and subset, models as in the table, those without a score
        left out.
    """
    import plotly.graph_objects as go

    rows = [row for row in baselines if row["kind"] != "operating_point" and row["roc_auc"] is not None]
    names = list(dict.fromkeys(row["model"] for row in rows))
    subsets = list(dict.fromkeys(row["subset"] for row in rows))[:MOST_SUBSETS]
    height = 170 + 11 * len(subsets) * max(len(names), 3)
    figure = new_figure(
        "ROC-AUC beside baselines",
        f"{100 * evaluation.confidence:g} % intervals; right is better",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "ROC-AUC"}, "range": [min([0.45, *(row["roc_auc"] - 0.02 for row in rows)]), 1.01]},
        yaxis={
            "range": [len(names) - 0.5, -0.5],
            "tickvals": list(range(len(names))),
            "ticktext": [shortened(name) for name in names],
            "ticks": "",
        },
    )
    for index, subset in enumerate(subsets):
        inside = [row for row in rows if row["subset"] == subset]
        shift = 0.7 * ((index + 0.5) / len(subsets) - 0.5)
        figure.add_trace(
            go.Scatter(
                x=[row["roc_auc"] for row in inside],
                y=[names.index(row["model"]) + shift for row in inside],
                mode="markers",
                marker={"size": 8, "color": COLOURS[index % len(COLOURS)], "symbol": SYMBOLS[index % len(SYMBOLS)]},
                error_x=whiskers(inside, "roc_auc"),
                name=literal(subset),
                text=[_hover(row) for row in inside],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return figure


def _hover(row: Mapping[str, Any]) -> str:
    text = f"{literal(row['model'])}, {literal(row['subset'])}: {row['roc_auc']:.3f}"
    above = row.get(ROC_AUC_ABOVE)
    return text if above is None else f"{text}<br>the model is {above:+.3f} from it"


def plot_slices(slices: list[dict[str, Any]], evaluation: BinaryEvaluation) -> Any:
    """Draw where the model is worse than elsewhere.

    Args:
        slices: What ``evaluate_slices`` returned.
        evaluation: How the predictor is judged.

    Returns:
        A plotly figure: ROC-AUC and recall per slice with their intervals; the largest 16 slices are drawn.
    """
    import plotly.graph_objects as go

    largest = sorted(range(len(slices)), key=lambda place: -slices[place]["n"])[:MOST_SLICES]
    rows = [slices[place] for place in sorted(largest)]
    some = "" if len(rows) == len(slices) else f", the {len(rows)} largest of {len(slices)}"
    height = 170 + 32 * max(len(rows), 3)
    figure = new_figure(
        "Where it is worse",
        f"{100 * evaluation.confidence:g} % intervals; recall at {literal(evaluation.operating_point)}{some}",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "share"}, "tickformat": PERCENT},
        yaxis={
            "range": [len(rows) - 0.4, -0.6],
            "tickvals": list(range(len(rows))),
            "ticktext": [shortened(f"{row['slice']} {row['value']}", 24) for row in rows],
            "ticks": "",
        },
    )
    for index, (name, metric) in enumerate([("ROC-AUC", RANKING_METRICS[0]), ("recall", "recall")]):
        defined = [(place, row) for place, row in enumerate(rows) if row[metric] is not None]
        figure.add_trace(
            go.Scatter(
                x=[row[metric] for _, row in defined],
                y=[place + 0.22 * (index - 0.5) for place, _ in defined],
                mode="markers",
                marker={"size": 8, "color": COLOURS[index], "symbol": SYMBOLS[index]},
                error_x=whiskers([row for _, row in defined], metric),
                name=name,
                text=[
                    f"{literal(row['slice'])} {literal(row['value'])} ({row['n']:,} rows, {row['positives']:,} "
                    f"{literal(evaluation.positive_class)})"
                    for _, row in defined
                ],
                hovertemplate=f"%{{text}}<br>{name} %{{x:.1%}}<extra></extra>",
            )
        )
    return figure


def _main(predictions: pd.DataFrame, evaluation: BinaryEvaluation) -> tuple[BinaryHoldout, str]:
    holdout = read_holdout(predictions, evaluation).where(main_rows(predictions, evaluation))
    positives = int(holdout.rows.actual.sum())
    note = f"{len(holdout.rows):,} rows ({literal(main_name(evaluation))}), {positives:,} "
    return holdout, note + literal(evaluation.positive_class)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most some hundred points of a curve, evenly along its way."""
    if len(x) <= CURVE_POINTS:
        return x, y
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], CURVE_POINTS)))
    return x[kept], y[kept]


def _rates(actual: Bools, decided: Bools, cost_ratio: float | None) -> dict[str, float]:
    positives = int(actual.sum())
    found = rates((actual & decided).sum(), (~actual & decided).sum(), positives, len(actual) - positives, cost_ratio)
    return {name: float(value) for name, value in found.items()}


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))
