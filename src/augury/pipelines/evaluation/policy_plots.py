"""Plots of a judged policy. Inputs are those of, or come from, ``policies`` and ``policy_choices``."""

from typing import Any

from augury.pipelines.evaluation.policy_holdout import MODEL
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.reporting.plot_style import COLOURS, MUTED, PERCENT, literal, new_figure, shortened, whiskers

MOST_SLICES = 24
SYMBOLS = {"model": "circle", "baseline": "diamond", "oracle": "square"}
SLICE_SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x"]


def plot_costs(baselines: list[dict[str, Any]], evaluation: PolicyEvaluation) -> Any:
    """Draw what the model, the baselines and the oracle cost.

    Args:
        baselines: What ``compare_baselines`` returned.
        evaluation: How the policy is judged.

    Returns:
        A plotly figure: a point with its interval for each, the cheapest first.
    """
    import plotly.graph_objects as go

    rows = sorted(baselines, key=lambda row: row["cost"])
    figure = new_figure(
        "Cost beside plain rules",
        f"mean by case, {100 * evaluation.confidence:g} % intervals; left is better",
        height=150 + 34 * max(len(rows), 3),
        xaxis={"title": {"text": literal(evaluation.unit)}, "nticks": 5},
        yaxis=_names([row["model"] for row in rows]),
        showlegend=False,
    )
    figure.add_trace(
        go.Scatter(
            x=[row["cost"] for row in rows],
            y=list(range(len(rows))),
            mode="markers",
            marker={
                "size": 10,
                "color": [COLOURS[0] if row["kind"] == MODEL else MUTED for row in rows],
                "symbol": [SYMBOLS[row["kind"]] for row in rows],
            },
            error_x=whiskers(rows, "cost") | {"color": MUTED},
            text=[literal(row["model"]) for row in rows],
            hovertemplate="%{text}: %{x:.4g}<extra></extra>",
        )
    )
    return figure


def plot_slices(slices: list[dict[str, Any]], evaluation: PolicyEvaluation) -> Any:
    """Draw what the model saves in each slice.

    Args:
        slices: What ``evaluate_slices`` returned.
        evaluation: How the policy is judged.

    Returns:
        A plotly figure: the share of the best baseline's cost that is saved, a point with its interval per slice; a
        line where nothing is saved.
    """
    import plotly.graph_objects as go

    name = "saving_over_best_baseline"
    rows = [row for row in slices if row[name] is not None][:MOST_SLICES]
    figure = new_figure(
        "Saving by slice",
        f"of the cost of each slice's best baseline; {100 * evaluation.confidence:g} % intervals; right is better",
        height=150 + 26 * max(len(rows), 3),
        xaxis={"title": {"text": "saved"}, "tickformat": PERCENT, "nticks": 5},
        yaxis=_names([f"{row['slice']} {row['value']}" for row in rows]),
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": MUTED, "width": 1, "dash": "dot"})
    columns = list(dict.fromkeys(row["slice"] for row in rows))
    for index, column in enumerate(columns):
        drawn = [(place, row) for place, row in enumerate(rows) if row["slice"] == column]
        figure.add_trace(
            go.Scatter(
                x=[row[name] for _, row in drawn],
                y=[place for place, _ in drawn],
                mode="markers",
                marker={
                    "size": 9,
                    "color": COLOURS[index % len(COLOURS)],
                    "symbol": SLICE_SYMBOLS[index % len(SLICE_SYMBOLS)],
                },
                error_x=whiskers([row for _, row in drawn], name),
                name=literal(column),
                text=[
                    f"{literal(row['slice'])} {literal(row['value'])} ({row['n']:,} cases), "
                    f"best baseline {literal(row['best_baseline'])}"
                    for _, row in drawn
                ],
                hovertemplate="%{text}: %{x:.1%}<extra></extra>",
            )
        )
    return figure


def plot_choices(report_choices: dict[str, Any]) -> Any:
    """Draw which choice is made where which one would be best.

    Args:
        report_choices: What ``judge_choices`` returned.

    Returns:
        A plotly figure: the confusion matrix in shares of the rows; how often each choice is made where nobody knows
        the best ones; without anything in it where choices have no names.
    """
    import plotly.graph_objects as go

    tables = report_choices["tables"]
    if "confusion" not in tables:
        return _plot_shares(tables.get("choices", []))
    rows = tables["confusion"]
    best = list(dict.fromkeys(row["best"] for row in rows))
    chosen = list(dict.fromkeys(row["chosen"] for row in rows))
    cells = {(row["best"], row["chosen"]): row for row in rows}
    figure = new_figure(
        "Choices",
        "shares of the cases in which a choice would be best; a wrong choice may cost next to nothing",
        height=180 + 30 * max(len(best), 3),
        xaxis={
            "title": {"text": "chosen"},
            "tickvals": list(range(len(chosen))),
            "ticktext": [shortened(name, 12) for name in chosen],
            "showgrid": False,
        },
        yaxis=_names(best) | {"title": {"text": "best"}, "showgrid": False},
    )
    figure.add_trace(
        go.Heatmap(
            z=[[cells[of, name]["share"] for name in chosen] for of in best],
            text=[[f"{cells[of, name]['cases']:,}" for name in chosen] for of in best],
            customdata=[[f"{literal(of)} as {literal(name)}" for name in chosen] for of in best],
            texttemplate="%{text}" if len(chosen) <= 8 else None,
            hovertemplate="%{customdata}: %{text} cases, %{z:.1%}<extra></extra>",
            colorscale=[[0, "rgba(44,133,199,0.05)"], [1, COLOURS[0]]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    return figure


def _plot_shares(rows: list[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    if not rows:
        nothing = {"visible": False}
        return new_figure(
            "Choices", "the choices of this policy have no names", height=150, xaxis=nothing, yaxis=nothing
        )
    figure = new_figure(
        "Choices",
        "how often each choice is made",
        height=150 + 26 * max(len(rows), 3),
        xaxis={"title": {"text": "share of cases"}, "tickformat": PERCENT, "nticks": 4, "rangemode": "tozero"},
        yaxis=_names([row["choice"] for row in rows]),
    )
    figure.add_trace(
        go.Bar(
            x=[row["share"] for row in rows],
            y=list(range(len(rows))),
            orientation="h",
            marker_color=COLOURS[0],
            text=[literal(row["choice"]) for row in rows],
            textposition="none",
            hovertemplate="%{text}: %{x:.1%}<extra></extra>",
        )
    )
    return figure


def _names(names: list[str]) -> dict[str, Any]:
    """An axis of names, from the top."""
    return {
        "range": [len(names) - 0.5, -0.5],
        "tickvals": list(range(len(names))),
        "ticktext": [shortened(name, 26) for name in names],
        "ticks": "",
    }
