"""Plots of the tuner of gossip: surfaces, what the coverage costs, and the learning curve."""

from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.pipelines.evaluation.gossip_costs import GossipJudgement
from augury.predictors.gossip_outcomes import JUDGED, outcomes_on_grid
from augury.predictors.gossip_tuning import GossipTuner
from augury.reporting.plot_style import COLOURS, MUTED, PERCENT, legend_below, new_figure


def plot_surface(
    predictor: GossipTuner, features_holdout: Any, features_outcomes: Any, judgement: GossipJudgement
) -> Any:
    """Draw expected and true coverage of every action in some held-out states, and the chosen action.

    Args:
        predictor: The tuner.
        features_holdout: Held-out cases.
        features_outcomes: What came of every action.
        judgement: How many states.

    Returns:
        A plotly figure: a pair of heat maps per state, from the calmest to the worst.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    cases = engines.to_pandas(features_holdout)
    order = (cases["loss"] + cases["churn"]).sort_values(kind="stable").index
    shown = order[np.linspace(0, len(order) - 1, min(judgement.shown_states, len(order))).round().astype(int)]
    states = cases.loc[shown].reset_index(drop=True)
    grid = predictor.specification.grid
    truth = outcomes_on_grid(engines.to_pandas(features_outcomes), states["case"], grid, JUDGED)[..., 0]
    expected = 1 - predictor.outcomes(states).miss
    chosen = grid.pairs[predictor.choose(states).action]
    titles = [
        text
        for row in states.itertuples()
        for text in (f"{row.peers:.0f} peers, loss {row.loss:.2f}, churn {row.churn:.2f}: expected", "true")
    ]
    figure = new_figure("Coverage of every action", "the cross is the choice", height=120 + 240 * len(states))
    figure = make_subplots(
        len(states), 2, subplot_titles=titles, vertical_spacing=0.3 / max(len(states), 1), figure=figure
    )
    ttls = [str(ttl) for ttl in grid.ttls]
    for row in range(len(states)):
        for column, values in enumerate((expected[row], truth[row])):
            figure.add_trace(
                go.Heatmap(
                    z=values.reshape(len(grid.fanouts), len(grid.ttls)),
                    x=ttls,
                    y=list(grid.fanouts),
                    zmin=0.9,
                    zmax=1,
                    colorscale="Viridis",
                    showscale=row == 0 and column == 1,
                    hovertemplate="fanout %{y}, ttl %{x}: %{z:.4f}<extra></extra>",
                ),
                row=row + 1,
                col=column + 1,
            )
            figure.add_trace(
                go.Scatter(
                    x=[str(chosen[row, 1])],
                    y=[int(chosen[row, 0])],
                    mode="markers",
                    marker={"symbol": "x", "size": 11, "color": "white", "line": {"color": "black", "width": 1}},
                    showlegend=False,
                    hoverinfo="skip",
                ),
                row=row + 1,
                col=column + 1,
            )
    figure.update_annotations(font_size=11)
    figure.update_xaxes(title_text="ttl", row=len(states))
    figure.update_yaxes(title_text="fanout", col=1)
    return figure


def plot_coverage(predictions_holdout: pd.DataFrame, predictor: GossipTuner) -> Any:
    """Draw the coverage that the choices came to, beside its lower bound.

    Args:
        predictions_holdout: What ``predict_gossip_holdout`` returned.
        predictor: For the floor.

    Returns:
        A plotly figure over the loss.
    """
    import plotly.graph_objects as go

    figure = new_figure(
        "Coverage of the choices by loss",
        "a point per held-out state; the line is the floor",
        height=400,
        legend=legend_below(400),
        xaxis={"title": {"text": "loss"}},
        yaxis={"title": {"text": "coverage"}},
    )
    drawn = [
        ("best fixed pair", "coverage_baseline_best_fixed", MUTED, "diamond"),
        ("model", "coverage", COLOURS[0], "circle"),
    ]
    for name, column, colour, symbol in drawn:
        if column in predictions_holdout:
            figure.add_trace(
                go.Scatter(
                    x=predictions_holdout["loss"],
                    y=predictions_holdout[column],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "symbol": symbol, "size": 6},
                    hovertemplate="loss %{x:.2f}: %{y:.4f}<extra></extra>",
                )
            )
    figure.add_hline(y=predictor.specification.cost.floor, line={"color": MUTED, "width": 1, "dash": "dot"})
    return figure


def plot_learning(report_folds: dict[str, Any]) -> Any:
    """Draw regret and coverage over the number of logged rounds.

    Args:
        report_folds: What ``validate_gossip_tuner`` returned.

    Returns:
        A plotly figure; without anything in it where there were no folds.
    """
    import plotly.graph_objects as go

    rows = report_folds["tables"].get("Learning curve (folds)", [])
    figure = new_figure(
        "Learning curve",
        "networks that the fold did not see; mean and standard deviation of folds",
        height=400,
        legend=legend_below(400),
        xaxis={"title": {"text": "logged rounds"}, "type": "log", "tickvals": [row["rounds"] for row in rows]},
        yaxis={"title": {"text": "share"}, "tickformat": PERCENT},
    )
    names = {"regret": "regret", "saving_over_best_fixed": "saved over best fixed", "coverage_share": "states at floor"}
    for index, (name, label) in enumerate(names.items()):
        figure.add_trace(
            go.Scatter(
                x=[row["rounds"] for row in rows],
                y=[row[f"{name}_mean"] for row in rows],
                error_y={"array": [row[f"{name}_std"] or 0 for row in rows], "thickness": 1},
                mode="lines+markers",
                name=label,
                line={"color": COLOURS[index]},
                hovertemplate="%{x} rounds: %{y:.1%}<extra></extra>",
            )
        )
    return figure
