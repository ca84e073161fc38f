"""The report of a binary predictor: what stands where, and that it is complete and safe."""

from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from augury.pipelines.evaluation.binary import compare_baselines, evaluate_binary, evaluate_slices
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.binary_plots import plot_cost, plot_roc
from augury.pipelines.evaluation.binary_report import binary_report
from augury.pipelines.evaluation.gates import Gates, judge
from augury.predictors.contract import ColumnSpec, DataFacts, Metadata
from augury.reporting.plot_style import plot_importances

EVIL = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>"


class Page(HTMLParser):
    """Headings, texts and elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "h2":
            self.headings.append(data)
        if inside not in ("script", "style"):
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def predictor() -> Any:
    metadata = Metadata(
        predictor="query_cost",
        family="heavy_query",
        task="binary classification with unequal costs",
        inputs=(ColumnSpec(name="query", dtype="string"),),
        outputs=(ColumnSpec(name="probability", dtype="number"),),
        features=("joins",),
        parameters={"trees": 10},
        data=DataFacts(fingerprint="0", rows=20_000, groups=300, origin={"executed": 5_000, "replayed": 15_000}),
        versions={},
        seed=7,
        git_commit=None,
        created_at="2026-01-01T00:00:00+00:00",
    )
    return SimpleNamespace(metadata=metadata)


@pytest.fixture(scope="module")
def parts(
    binary_predictions: pd.DataFrame, binary_facts: dict[str, Any], binary_evaluation: BinaryEvaluation
) -> dict[str, Any]:
    judged = (binary_predictions, binary_facts, binary_evaluation)
    metrics = evaluate_binary(*judged, seed=7)
    gates = Gates.model_validate({"roc_auc": {"min": 0.5}, "seen_recall_recall_98": {"min": 1.0}})
    return {
        "metrics": metrics,
        "gates": judge(metrics, gates),
        "baselines": compare_baselines(*judged, seed=7),
        "slices": evaluate_slices(*judged, seed=7),
        "evaluation": binary_evaluation,
        "plot_importances": plot_importances({"joins": 1.0}),
        "plot_roc": plot_roc(*judged),
        "plot_cost": plot_cost(*judged),
        "plot_of_my_own": plot_importances({"mine": 1.0}),
        "report_zero_cost": {"rows": 5, "categories": {"SHOW": {"n": 5, "safe": True}}},
        "report_data": {"filters": {"blank": 3}},
    }


@pytest.fixture(scope="module")
def page(predictor: Any, parts: dict[str, Any]) -> Page:
    return Page(binary_report(predictor, **parts))


def test_sections_come_in_the_order_of_a_reader(page: Page) -> None:
    assert page.headings == [
        "Gates",
        "What was measured",
        "Metrics",
        "Beside the baselines",
        "By subset",
        "Beside the baselines: drift",
        "Beside the baselines: seen",
        "Beside the baselines: unseen",
        "Beside the baselines: executed",
        "Plots",
        "By slice",
        "What was kept and what was left out",
        "What needs no model",
        "The model",
    ]


def test_the_page_says_what_was_judged_on_what(page: Page, parts: dict[str, Any]) -> None:
    metrics = parts["metrics"]
    for expected in (
        "1 of 2 gates failed: seen_recall_recall_98",
        f"ROC-AUC {metrics['roc_auc']:.4f}",
        f"recall, cost_optimal {100 * metrics['recall_cost_optimal']:.1f} %",
        "Operating point recall_98",
        f"unseen {metrics['unseen_n']:,} {metrics['unseen_positives']:,}",
        f"ROC-AUC less that of tfidf {metrics['roc_auc_above_tfidf']:.4f}",
        "drift, recall_98",
        "week = 2025-03-17",
        "5,000 executed (25.0 %)",
        "groups (date x user)",
        "A missed heavy row costs 100 false alarms",
        "Of my own",
        "SHOW 5 yes",
        "blank 3",
    ):
        assert expected in page.text, expected
    assert page.text.index("What a threshold costs") < page.text.index("ROC curves") < page.text.index("Of my own")
    assert "None" not in page.words
    assert "nan" not in page.words


def test_subsets_and_reports_may_be_missing(
    predictor: Any, binary_predictions: pd.DataFrame, binary_facts: dict[str, Any]
) -> None:
    evaluation = BinaryEvaluation(group_columns=["user"], bootstrap_replicates=10)
    metrics = evaluate_binary(binary_predictions, binary_facts, evaluation, seed=1)
    page = Page(binary_report(predictor, metrics, [], [], [], evaluation))
    assert page.headings == ["What was measured", "Metrics", "The model"]


def test_data_cannot_inject_markup(predictor: Any, parts: dict[str, Any]) -> None:
    evil = dict(parts)
    evil["baselines"] = [{**row, "model": EVIL} for row in parts["baselines"]]
    evil["slices"] = [{**row, "value": EVIL} for row in parts["slices"]]
    evil["report_data"] = {EVIL: EVIL, "list": [{EVIL: EVIL}], "tree": {EVIL: {EVIL: [EVIL]}}}
    evil[f"report_{EVIL}"] = {"a": 1}
    page = Page(binary_report(predictor, **evil))
    assert "img" not in page.tags
    assert page.tags.count("script") == Page(binary_report(predictor, **parts)).tags.count("script")
