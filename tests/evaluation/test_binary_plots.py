"""Plots of a binary predictor: what they draw, that they survive JSON, and that data cannot inject markup."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.io
import pytest
from sklearn.metrics import roc_auc_score

from augury.pipelines.evaluation import binary_plots
from augury.pipelines.evaluation.binary import compare_baselines, evaluate_slices
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.binary_plots import (
    CURVE_POINTS,
    plot_baselines,
    plot_cost,
    plot_periods,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
    plot_routing,
    plot_scores,
    plot_slices,
)


def all_figures(predictions: pd.DataFrame, facts: dict[str, Any], evaluation: BinaryEvaluation) -> dict[str, Any]:
    return {
        "roc": plot_roc(predictions, facts, evaluation),
        "precision_recall": plot_precision_recall(predictions, facts, evaluation),
        "routing": plot_routing(predictions, facts, evaluation),
        "reliability": plot_reliability(predictions, evaluation),
        "cost": plot_cost(predictions, facts, evaluation),
        "scores": plot_scores(predictions, facts, evaluation),
        "periods": plot_periods(predictions, facts, evaluation),
        "baselines": plot_baselines(compare_baselines(predictions, facts, evaluation, 0), evaluation),
        "slices": plot_slices(evaluate_slices(predictions, facts, evaluation, 0), evaluation),
    }


@pytest.fixture(scope="module")
def figures(
    binary_predictions: pd.DataFrame, binary_facts: dict[str, Any], binary_evaluation: BinaryEvaluation
) -> dict[str, Any]:
    return all_figures(binary_predictions, binary_facts, binary_evaluation)


@pytest.fixture(scope="module")
def main(binary_predictions: pd.DataFrame) -> pd.DataFrame:
    return binary_predictions[binary_predictions["split"] == "test"]


def trace(figure: Any, name: str) -> Any:
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


def test_every_figure_survives_json_and_leaves_the_width_to_the_page(figures: dict[str, Any]) -> None:
    for name, figure in figures.items():
        tree = json.loads(figure.to_json())
        assert json.loads(plotly.io.from_json(json.dumps(tree)).to_json()) == tree, name
        assert figure.layout.width is None
        assert 0 < len(figure.layout.title.text) <= 40
        assert "NaN" not in figure.to_json()
        assert "Infinity" not in figure.to_json()


def test_the_area_below_the_drawn_curve_is_the_roc_auc(figures: dict[str, Any], main: pd.DataFrame) -> None:
    curve = trace(figures["roc"], "model")
    assert len(curve.x) <= CURVE_POINTS
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(
        roc_auc_score(main["actual"], main["probability"]), abs=0.003
    )
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert trace(figures["roc"], "tfidf").mode == "lines"


def test_operating_points_and_rules_are_markers_where_their_decisions_are(
    figures: dict[str, Any], main: pd.DataFrame
) -> None:
    actual = main["actual"] == 1
    for name, decided in (
        ("cost_optimal", main["probability"] >= 1 / 101),
        ("recall_98", main["probability"] >= 0.02),
        ("length_or_joins", main["decision_length_or_joins"]),
        ("all_heavy", np.ones(len(main), dtype=bool)),
    ):
        point = trace(figures["routing"], name)
        assert point.mode == "markers"
        assert point.x[0] == pytest.approx(np.mean(decided))
        assert point.y[0] == pytest.approx((decided & actual).sum() / actual.sum())


def test_the_cost_of_the_operating_points_is_marked_on_every_subset(
    figures: dict[str, Any], main: pd.DataFrame
) -> None:
    figure = figures["cost"]
    lines = [trace.name for trace in figure.data if trace.mode == "lines"]
    assert lines == ["test", "drift", "seen", "unseen", "executed"]
    marked = next(trace for trace in figure.data if trace.mode == "markers")
    actual = main["actual"] == 1
    for x, y, threshold in zip(marked.x, marked.y, (1 / 101, 0.02), strict=True):
        decided = main["probability"] >= threshold
        cost = 100 * (actual & ~decided).sum() + (~actual & decided).sum()
        assert x == pytest.approx(threshold)
        assert y == pytest.approx(cost / min(100 * actual.sum(), (~actual).sum()))


def test_reliability_counts_every_row_once(figures: dict[str, Any], main: pd.DataFrame) -> None:
    figure = figures["reliability"]
    (bars,) = [trace for trace in figure.data if trace.type == "bar"]
    assert sum(bars.y) == len(main)
    assert min(bars.y) >= 10
    (points,) = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"]
    # The probabilities of these rows are true: most intervals hold the diagonal
    held = [
        y - low <= x <= y + high
        for x, y, low, high in zip(points.x, points.y, points.error_y.arrayminus, points.error_y.array, strict=True)
    ]
    assert np.mean(held) > 0.7


def test_both_histograms_hold_all_rows(figures: dict[str, Any], main: pd.DataFrame) -> None:
    counts = {bars.name: sum(count or 0 for count in bars.y) for bars in figures["scores"].data}
    positives = int(main["actual"].sum())
    assert counts == {"not heavy": len(main) - positives, "heavy": positives}


def test_every_day_of_the_chosen_rows_is_drawn(figures: dict[str, Any], binary_predictions: pd.DataFrame) -> None:
    recall = trace(figures["periods"], "recall")
    chosen = binary_predictions[binary_predictions["split"] != "validation"]
    assert list(recall.x) == sorted(chosen["date"].unique())
    first = chosen[chosen["date"] == recall.x[0]]
    decided = first["probability"] >= 1 / 101
    assert recall.y[0] == pytest.approx((decided & (first["actual"] == 1)).sum() / first["actual"].sum())


def test_baselines_without_a_score_are_left_out(figures: dict[str, Any]) -> None:
    figure = figures["baselines"]
    assert list(figure.layout.yaxis.ticktext) == ["model", "all_heavy", "tfidf"]
    assert [trace.name for trace in figure.data] == ["test", "drift", "seen", "unseen", "executed"]


def test_rows_that_allow_nothing_make_figures_too() -> None:
    columns = {"row_id": [1, 2], "group": [1, 2], "split": "test", "date": "2025-01-01"}
    facts = {"n_train": 1, "threshold": {"cost_optimal": 0.5}}
    evaluation = BinaryEvaluation(bootstrap_replicates=10, slices=["split"])
    for actual, probability in (([0, 0], [0.0, 0.0]), ([1, 1], [1.0, 1.0]), ([0, 1], [0.3, 0.3])):
        frame = pd.DataFrame({**columns, "actual": actual, "probability": probability})
        for figure in all_figures(frame, facts, evaluation).values():
            assert "NaN" not in figure.to_json()
            assert "Infinity" not in figure.to_json()


def test_a_frame_without_days_has_an_empty_plot_over_time(
    binary_predictions: pd.DataFrame, binary_facts: dict[str, Any], binary_evaluation: BinaryEvaluation
) -> None:
    evaluation = binary_evaluation.model_copy(update={"period_column": None, "group_columns": ["user"]})
    figure = plot_periods(binary_predictions.drop(columns="date"), binary_facts, evaluation)
    assert all(len(trace.x) == 0 for trace in figure.data)


def test_merged_bins_hold_enough_rows_each() -> None:
    probability = np.concatenate([np.full(3, 1e-6), np.linspace(0.01, 0.02, 50), np.full(4, 0.999)])
    sizes = np.unique(binary_plots._odds_bins(probability), return_counts=True)[1]
    assert sizes.sum() == len(probability)
    assert sizes.min() >= 10


def test_data_is_escaped_in_every_text(binary_facts: dict[str, Any]) -> None:
    evil = "<a href='https://example.org'>x</a>"
    rows = 60
    frame = pd.DataFrame(
        {
            "row_id": [evil] * rows,
            "actual": [0, 1] * (rows // 2),
            "probability": np.linspace(0.01, 0.9, rows),
            "split": evil,
            "user": [evil, "b"] * (rows // 2),
            "date": "2025-01-01",
            f"baseline_{evil}": np.linspace(1, 2, rows),
            f"decision_{evil} too": True,
        }
    )
    evaluation = BinaryEvaluation(
        main={"split": evil},
        positive_class=evil,
        group_columns=["user"],
        slices=["user"],
        min_slice_rows=1,
        operating_point=evil,
        bootstrap_replicates=10,
    )
    facts = binary_facts | {"threshold": {evil: 0.5}}
    for name, figure in all_figures(frame, facts, evaluation).items():
        assert "<a" not in json.dumps(json.loads(figure.to_json())), name


def test_scores_that_do_not_differ_have_no_curve(binary_facts: dict[str, Any]) -> None:
    frame = pd.DataFrame(
        {"row_id": range(20), "group": range(20), "split": "test", "date": "2025-01-01", "actual": [0, 1] * 10}
    ).assign(probability=0.5)
    figure = plot_roc(frame, binary_facts, BinaryEvaluation())
    assert {trace.mode for trace in figure.data} == {"markers"}
    assert all(math.isfinite(trace.x[0]) for trace in figure.data)
