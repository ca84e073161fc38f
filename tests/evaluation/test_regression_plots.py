"""Plots: what they draw, that they survive JSON, and that data cannot inject markup."""

import json
from typing import Any

import numpy as np
import pandas as pd
import plotly.io
import pytest

from augury.pipelines.evaluation.regression import (
    RegressionEvaluation,
    compare_baselines,
    evaluate_slices,
)
from augury.pipelines.evaluation.regression_plots import (
    plot_baselines,
    plot_bounds,
    plot_predicted_vs_actual,
    plot_residuals,
    plot_slices,
)
from augury.reporting.plot_style import (
    MOST_POINTS,
    drawn_rows,
    log_ticks,
    plot_importances,
    shortened,
)


def all_figures(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> dict[str, Any]:
    return {
        "scatter": plot_predicted_vs_actual(predictions, evaluation),
        "bounds": plot_bounds(predictions, evaluation),
        "baselines": plot_baselines(compare_baselines(predictions, evaluation, 0), evaluation),
        "slices": plot_slices(evaluate_slices(predictions, evaluation, 0), evaluation),
        "residuals": plot_residuals(predictions, evaluation),
        "importances": plot_importances({"a": 3.0, "b": 1.0}),
    }


def points(figure: Any, mode: str = "markers") -> int:
    return sum(len(trace.x) for trace in figure.data if trace.mode == mode)


def test_every_figure_survives_json_and_leaves_the_width_to_the_page(
    predictions: pd.DataFrame, evaluation: RegressionEvaluation
) -> None:
    for name, figure in all_figures(predictions, evaluation).items():
        tree = json.loads(figure.to_json())
        assert json.loads(plotly.io.from_json(json.dumps(tree)).to_json()) == tree, name
        assert figure.layout.width is None
        assert 0 < len(figure.layout.title.text) <= 40


def test_plain_frames_have_every_figure_too() -> None:
    frame = pd.DataFrame({"row_id": [1, 2], "group": [1, 2], "actual": [0.0, 5.0], "predicted": [-1.0, 5.0]})
    figures = all_figures(frame, RegressionEvaluation(bootstrap_replicates=10))
    assert figures["scatter"].layout.xaxis.type == "linear"
    assert "1 rows without a positive ratio left out" in (figures["residuals"].layout.title.subtitle.text)


def test_large_frames_are_sampled_once_and_for_all(predictions: pd.DataFrame) -> None:
    large = pd.concat([predictions] * 10, ignore_index=True)
    evaluation = RegressionEvaluation(slices=["engine"])
    figure = plot_predicted_vs_actual(large, evaluation)
    assert points(figure) == MOST_POINTS
    assert "a fixed sample of 1,500 of 4,000 rows" in figure.layout.title.subtitle.text
    assert figure.to_json() == plot_predicted_vs_actual(large, evaluation).to_json()
    whole = plot_predicted_vs_actual(predictions, evaluation)
    assert points(whole) == 400
    assert "all 400 rows" in whole.layout.title.subtitle.text


def test_the_sample_has_no_row_twice() -> None:
    chosen, _ = drawn_rows(10_000)
    assert len(np.unique(chosen)) == MOST_POINTS
    assert chosen.max() < 10_000


def test_colours_follow_the_first_slice_column(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> None:
    figure = plot_predicted_vs_actual(predictions, evaluation)
    assert [trace.name for trace in figure.data if trace.mode == "markers"] == [
        "resolution 72",
        "resolution 150",
        "resolution 300",
    ]
    for trace in figure.data[:3]:
        ids = predictions.set_index("row_id").loc[list(trace.text)]
        assert np.allclose(ids["actual"], trace.x)
        assert (ids["resolution"].astype(str) == trace.name.split()[1]).all()


def test_bounds_are_drawn_beside_what_a_constant_margin_reaches(
    predictions: pd.DataFrame, evaluation: RegressionEvaluation
) -> None:
    figure = plot_bounds(predictions, evaluation)
    curve, *bounds = figure.data
    actual, predicted = predictions["actual"], predictions["predicted"]
    for rate, ratio in list(zip(curve.x, curve.y, strict=True))[::20]:
        # A hair above the constant that fits the row exactly: no rounding decides.
        constant = ratio * actual.sum() / predicted.sum() * (1 + 1e-9)
        assert (constant * predicted < actual).mean() == pytest.approx(rate)
    for trace, name in zip(bounds, ["upper_95", "upper_99.5"], strict=True):
        assert trace.x[0] == (predictions[name] < actual).mean()
        assert trace.y[0] == pytest.approx(predictions[name].sum() / actual.sum())
    assert [round(line.x0, 6) for line in figure.layout.shapes] == [0.05, 0.005]
    # These bounds are the prediction times a constant: they lie on the curve.
    for trace in bounds:
        above = [ratio for rate, ratio in zip(curve.x, curve.y, strict=True) if rate > trace.x[0]]
        assert trace.y[0] > max(above)


def test_baselines_are_ordered_and_bounds_left_out(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> None:
    rows = compare_baselines(predictions, evaluation, 0)
    figure = plot_baselines(rows, evaluation)
    assert list(figure.layout.yaxis.categoryarray) == ["model", "worse", "constant"]
    model = figure.data[0]
    assert model.x[0] == rows[0]["mae"]
    assert model.x[0] + model.error_x.array[0] == pytest.approx(rows[0]["mae_upper"])
    assert model.x[0] - model.error_x.arrayminus[0] == pytest.approx(rows[0]["mae_lower"])


def test_slices_show_every_level_or_else_the_relative_error(
    predictions: pd.DataFrame, evaluation: RegressionEvaluation
) -> None:
    rows = evaluate_slices(predictions, evaluation, 0)
    figure = plot_slices(rows, evaluation)
    assert [trace.name for trace in figure.data] == ["bound 95 %", "bound 99.5 %"]
    assert [len(trace.x) for trace in figure.data] == [len(rows)] * 2
    plain = predictions.drop(columns=["upper_95", "upper_99.5"])
    (bars,) = plot_slices(evaluate_slices(plain, evaluation, 0), evaluation).data
    assert list(bars.x) == [row["mape_pct"] for row in evaluate_slices(plain, evaluation, 0)]


def test_histogram_counts_every_row_with_a_ratio(predictions: pd.DataFrame) -> None:
    far = predictions.copy()
    far.loc[:9, "predicted"] *= 1000
    figure = plot_residuals(far, RegressionEvaluation())
    assert sum(figure.data[0].y) == len(predictions)
    assert figure.data[0].y[-1] >= 10


def test_importances_are_shares_and_the_largest_come_first() -> None:
    figure = plot_importances({f"f{number}": float(number) for number in range(20)})
    bars = figure.data[0]
    assert list(bars.y)[:2] == ["f19", "f18"]
    assert len(bars.y) == 15
    assert bars.x[0] == pytest.approx(19 / 190)
    assert len(plot_importances({}).data[0].y) == 0


def test_data_is_escaped_in_every_text(evaluation: RegressionEvaluation) -> None:
    evil = "<a href='https://example.org'>x</a>"
    rows = 40
    frame = pd.DataFrame(
        {
            "row_id": [evil] * rows,
            "group": range(rows),
            "actual": np.linspace(1, 2, rows),
            "predicted": np.linspace(1, 2.1, rows),
            "upper_95": np.linspace(1.1, 2.5, rows),
            f"baseline_{evil}": 1.5,
            "resolution": evil,
            "engine": evil,
        }
    )
    figures = all_figures(frame, evaluation)
    figures["importances"] = plot_importances({evil: 1.0})
    for name, figure in figures.items():
        assert "<a" not in json.dumps(json.loads(figure.to_json())["data"]), name
        assert "<a" not in json.dumps(figure.layout.yaxis.to_plotly_json()), name


def test_labels_are_cut_in_the_middle_before_they_are_escaped() -> None:
    assert shortened("short") == "short"
    assert shortened("a" * 30 + "<b>" + "c" * 30, 11) == "aaaaa…ccccc"
    assert shortened("<b>") == "&lt;b&gt;"


def test_log_ticks_cover_the_range() -> None:
    assert log_ticks(3, 40)["ticktext"] == ["1", "2", "5", "10", "20", "50", "100", "200", "500"]
    assert log_ticks(1, 5000)["ticktext"] == ["1", "10", "100", "1,000", "10,000"]
