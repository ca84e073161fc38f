"""The learning curve of a model that is trained step by step, whatever its task."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.reporting.plot_style import COLOURS, legend_below, literal, new_figure

LEFT_OUT = ("learning_rate", "samples_per_second", "seconds")
"""What says how the training went rather than how well."""
MOST_POINTS = 300
MOST_CURVES = 6
DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]


def plot_curves(curves: pd.DataFrame) -> Any:
    """Draw losses and scores over the epochs.

    Args:
        curves: ``epoch``, ``name`` and ``value``: what a training noted. Names with ``loss`` in them are losses, which
            go down, the others scores, which go up.

    Returns:
        A plotly figure: losses above, scores below; empty where the model is fitted in one go. A long curve is drawn as
        means over neighbouring steps.
    """
    import plotly.graph_objects as go

    shown = curves[~curves["name"].str.contains("|".join(LEFT_OUT))]
    names = list(dict.fromkeys(shown["name"]))
    losses = [name for name in names if "loss" in name][:MOST_CURVES]
    scores = [name for name in names if "loss" not in name][:MOST_CURVES]
    epochs = float(shown["epoch"].max()) if len(shown) else 0.0
    unit = "epoch" if epochs == 1 else "epochs"
    both = bool(losses and scores)
    height = 460 if both else 360 if names else 160
    figure = new_figure(
        "Learning curve",
        f"{epochs:.3g} {unit}" if names else "the model is fitted in one go: there is no curve",
        height=height,
        legend=legend_below(height),
        xaxis={"title": {"text": "epoch"}, "anchor": "y2" if both else "y"},
        yaxis={"domain": [0.52, 1] if both else [0, 1], "title": {"text": "loss" if losses else "score"}},
        **({"yaxis2": {"domain": [0, 0.42], "title": {"text": "score"}}} if both else {}),
    )
    if not names:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    for group, axis in ((losses, "y"), (scores, "y2" if both else "y")):
        for index, name in enumerate(group):
            part = shown[shown["name"] == name].sort_values("epoch", kind="stable")
            x, y = _thinned(part["epoch"].to_numpy(np.float64), part["value"].to_numpy(np.float64))
            figure.add_trace(
                go.Scatter(
                    x=x.tolist(),
                    y=[float(value) if np.isfinite(value) else None for value in y],
                    yaxis=axis,
                    mode="lines+markers" if len(x) <= 40 else "lines",
                    line={
                        "color": COLOURS[(names.index(name)) % len(COLOURS)],
                        "width": 2,
                        "dash": DASHES[index % len(DASHES)],
                    },
                    marker={"size": 6},
                    name=literal(name.replace("_", " ")),
                    hovertemplate=f"epoch %{{x:.3g}}: %{{y:.4g}}<extra>{literal(name)}</extra>",
                )
            )
    return figure


def _thinned(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if len(x) <= MOST_POINTS:
        return x, y
    starts = np.unique(np.linspace(0, len(x), MOST_POINTS, endpoint=False).astype(np.int64))
    sizes = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes
