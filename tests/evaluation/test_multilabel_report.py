"""Plots and page of a judged classifier of texts: what is drawn is what was measured, and codes stay texts."""

import json

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.evaluation import multilabel_plots as plots
from augury.pipelines.evaluation import multilabel_table_plots as tables
from augury.pipelines.evaluation.gates import Gates, judge
from augury.pipelines.evaluation.multilabel import (
    compare_baselines,
    confusion_pairs,
    evaluate_codes,
    evaluate_multilabel,
    evaluate_slices,
)
from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation
from augury.pipelines.evaluation.multilabel_predictions import check_text_export, predict_texts_holdout
from augury.pipelines.evaluation.multilabel_report import multilabel_report
from augury.pipelines.evaluation.training_curves import plot_curves
from augury.reporting import report_layout
from augury.reporting.multilabel_layout import MULTILABEL

from .classified_texts import FEATURES_CODES, StagedClassifier, answers_to, baselines_of, labelled_texts, matrix

EVALUATION = MultilabelEvaluation(bootstrap_replicates=60, min_support=100)


class Judged:
    """Everything that the nodes before the plots leave."""

    def __init__(self) -> None:
        texts = labelled_texts(400)
        self.classifier = StagedClassifier(answers_to(texts, 1.5))
        self.predictions = predict_texts_holdout(self.classifier, texts, baselines_of(texts), EVALUATION)
        self.facts = check_text_export(self.classifier, texts, self.predictions, EVALUATION)
        judged = (self.predictions, FEATURES_CODES)
        self.metrics = evaluate_multilabel(*judged, self.facts, EVALUATION, 1)
        self.baselines = compare_baselines(*judged, EVALUATION, 1)
        self.codes = evaluate_codes(*judged, self.facts, EVALUATION)
        self.confusions = confusion_pairs(*judged, EVALUATION)
        self.slices = evaluate_slices(*judged, EVALUATION, 1)


@pytest.fixture(scope="module")
def judged() -> Judged:
    return Judged()


def drawn(figure) -> dict:
    return json.loads(figure.to_json())


def test_every_code_is_a_point_and_rare_ones_are_hollow(judged):
    figure = drawn(tables.plot_codes(judged.codes, EVALUATION))
    points = {
        text.split()[0]: (y, symbol)
        for trace in figure["data"]
        for text, y, symbol in zip(trace["text"], trace["y"], trace["marker"]["symbol"], strict=True)
    }
    assert {code: y for code, (y, _) in points.items()} == {row["code"]: row["f1"] for row in judged.codes}
    hollow = {code for code, (_, symbol) in points.items() if symbol.endswith("-open")}
    assert hollow == {row["code"] for row in judged.codes if row["support"] < 100}
    assert [trace["name"] for trace in figure["data"]] == ["level 0", "level 1", "level 2"]


def test_the_pairs_of_the_reliability_plot_are_all_pairs(judged):
    figure = drawn(plots.plot_reliability(judged.predictions, FEATURES_CODES, EVALUATION))
    bars = next(trace for trace in figure["data"] if trace["type"] == "bar")
    assert sum(bars["y"]) == 7 * len(judged.predictions)
    true = sum(int(text.split(" pairs, ")[1].split(" true")[0].replace(",", "")) for text in bars["text"])
    assert true == matrix(judged.predictions["codes"]).sum()


def test_every_point_of_the_reliability_plot_is_within_its_axes(judged):
    figure = drawn(plots.plot_reliability(judged.predictions, FEATURES_CODES, EVALUATION))
    (points,) = (trace for trace in figure["data"] if trace.get("mode") == "markers")
    for axis in ("x", "y"):
        low, high = figure["layout"][f"{axis}axis"]["range"]
        assert low <= min(points[axis]) <= max(points[axis]) <= high
    texts = [text.split("observed ")[1].rstrip("%") for text in points["text"]]
    shares = np.array(texts, dtype=float) / 100
    between = (shares > 0) & (shares < 1)
    expected = np.log(shares[between] / (1 - shares[between]))
    np.testing.assert_allclose(np.array(points["y"])[between], expected, atol=0.01)


def test_the_marker_of_the_curve_is_what_is_assigned(judged):
    figure = drawn(plots.plot_precision_recall(judged.predictions, FEATURES_CODES, EVALUATION))
    markers = {trace["name"]: trace for trace in figure["data"] if trace["mode"] == "markers"}
    lines = {trace["name"] for trace in figure["data"] if trace["mode"] == "lines"}
    assert set(markers) == {"model", "most_frequent", "tfidf_linear"}
    assert lines == {"model", "tfidf_linear"}
    found = [markers["model"]["x"][0], markers["model"]["y"][0]]
    assert found == pytest.approx([judged.metrics["micro_recall"], judged.metrics["micro_precision"]])


def test_codes_of_the_heat_map_are_no_numbers(judged):
    figure = drawn(tables.plot_confusions(judged.confusions))
    assert figure["layout"]["xaxis"]["type"] == figure["layout"]["yaxis"]["type"] == "category"
    (trace,) = figure["data"]
    cells = {
        (one, other): value
        for one, line in zip(trace["y"], trace["z"], strict=True)
        for other, value in zip(trace["x"], line, strict=True)
        if value is not None
    }
    assert cells == {(row["code"], row["instead"]): row["texts"] for row in judged.confusions}
    assert "000" in {*trace["x"], *trace["y"]}
    assert drawn(tables.plot_confusions([]))["data"] == []


def test_a_large_heat_map_shows_the_most_frequent_pairs():
    rows = [
        {"code": f"{n}", "label": "", "instead": f"x{n}", "instead_label": "", "texts": 50 - n, "share": 0.1}
        for n in range(40)
    ]
    (trace,) = drawn(tables.plot_confusions(rows))["data"]
    assert set(trace["y"]) == {str(number) for number in range(tables.MOST_CONFUSED)}


def test_baselines_and_levels_are_drawn_with_their_intervals(judged):
    figure = drawn(tables.plot_baselines(judged.baselines, EVALUATION))
    for trace, metric in zip(figure["data"], ("micro_f1", "macro_f1"), strict=True):
        assert trace["x"] == [row[metric] for row in judged.baselines]
        upper = [row[f"{metric}_upper"] - row[metric] for row in judged.baselines]
        assert trace["error_x"]["array"] == pytest.approx(upper)
    levels = drawn(tables.plot_levels(judged.baselines, EVALUATION))["data"]
    assert levels[0]["y"] == [judged.metrics[f"f1_level_{level}"] for level in range(3)]
    assert [trace["name"] for trace in levels] == ["model", "most_frequent", "tfidf_linear"]
    assert len(drawn(tables.plot_slices(judged.slices, EVALUATION))["data"][0]["x"]) == len(judged.slices)


# --- learning curves ---


def curve(name: str, values, per_epoch: int = 1) -> pd.DataFrame:
    steps = np.arange(1, len(values) + 1)
    return pd.DataFrame({"step": steps, "epoch": steps / per_epoch, "name": name, "value": values, "seconds": 1.0})


def test_losses_and_scores_have_a_panel_each():
    loss = np.exp(-np.arange(1000) / 300)
    curves = pd.concat(
        [curve("loss", loss, 100), curve("validation_f1", np.linspace(0.1, 0.8, 10)), curve("learning_rate", loss, 100)]
    )
    figure = drawn(plot_curves(curves))
    losses, scores = figure["data"]
    assert (losses["name"], losses["yaxis"], scores["name"], scores["yaxis"]) == ("loss", "y", "validation f1", "y2")
    assert scores["y"] == pytest.approx(np.linspace(0.1, 0.8, 10))
    assert len(losses["y"]) == 300
    assert np.mean(losses["y"]) == pytest.approx(loss.mean(), rel=0.01)
    assert figure["layout"]["title"]["subtitle"]["text"] == "10 epochs"


def test_a_model_without_epochs_has_no_curve_and_one_kind_has_the_whole_plot():
    nothing = plot_curves(pd.DataFrame(columns=["step", "epoch", "name", "value", "seconds"]))
    assert "fitted in one go" in drawn(nothing)["layout"]["title"]["subtitle"]["text"]
    (trace,) = drawn(plot_curves(curve("neumf/validation_ndcg", [0.1, np.nan])))["data"]
    assert (trace["yaxis"], trace["y"]) == ("y", [0.1, None])


# --- the page ---


def test_the_page_shows_the_oracle_the_weakest_codes_and_the_gates(judged):
    gates = judge(judged.metrics, Gates.model_validate({"micro_f1": {"min": 0.99}}))
    page = multilabel_report(
        judged.classifier,
        judged.metrics,
        gates,
        judged.baselines,
        judged.slices,
        judged.codes,
        judged.confusions,
        EVALUATION,
        plot_baselines=tables.plot_baselines(judged.baselines, EVALUATION),
        report_data={"duplicates": 17},
    )
    text = page.split("<body", 1)[1]
    best, own = judged.metrics["oracle_micro_f1"], judged.metrics["micro_f1_of_oracle"]
    assert f"has a micro F1 of {best:.4f}" in text
    assert f"This model reaches {100 * own:.1f} % of it (" in text
    assert "1 of 1 gates failed: micro_f1" in text
    weakest = text.split("Weakest codes", 1)[1].split("Confused codes", 1)[0]
    rows = sorted((row for row in judged.codes if row["support"] >= 100), key=lambda row: row["f1"])
    places = [weakest.index(f">{row['label']}<") for row in rows]
    assert places == sorted(places)
    assert ">000<" in text
    assert "What was kept and what was left out" in text
    assert "Model and baselines" in text


def test_every_metric_has_a_label(judged):
    names = [name for name in judged.metrics if name not in ("intervals", "support")]
    found = {item.name for item in report_layout.shown(names, MULTILABEL.metrics, "text")}
    facts = {"n_train", "n_train_groups", "n_test", "n_test_groups", "seed", "unit", "confidence"}
    assert set(names) - found == facts
    for rows, labels in ((judged.baselines, MULTILABEL.baselines), (judged.slices, MULTILABEL.slices)):
        shown = {item.name for item in report_layout.shown(rows[0], labels, "text")}
        assert {"micro_f1", "sample_f1"} <= shown
