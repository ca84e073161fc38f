"""The report: complete, self-contained, and safe whatever the data holds."""

import base64
import hashlib
import json
import re
import subprocess
import sys
import typing
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from augury.pipelines.evaluation import gates, regression, regression_plots
from augury.pipelines.evaluation.gates import Gates, judge
from augury.pipelines.evaluation.regression import (
    RegressionEvaluation,
    compare_baselines,
    evaluate_regression,
    evaluate_slices,
)
from augury.pipelines.evaluation.regression_plots import plot_predicted_vs_actual
from augury.reporting import plot_style, report
from augury.reporting.layouts import layout_of
from augury.reporting.plot_style import plot_importances
from augury.reporting.report import render_report
from augury.reporting.report_layout import (
    NOTHING,
    flat,
    format_interval,
    format_value,
)

METADATA = {
    "predictor": "pdf_memory",
    "family": "gradient-boosted trees",
    "task": "regression with a safe upper bound",
    "features": ["pages", "pixels"],
    "parameters": {"trees": 300, "sampling": {"rows": 0.8}, "levels": [95, 99]},
    "data": {
        "fingerprint": "sha256:0123",
        "rows": 1400,
        "groups": 260,
        "origin": {"measured": 1050, "simulated": 350},
    },
    "versions": {"lightgbm": "4.6.0"},
    "seed": 42,
    "git_commit": None,
    "created_at": "2025-01-02T03:04:05+00:00",
}
VOID = {"meta", "br", "img", "link", "input", "hr"}
EVIL = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&{{ 7 * 7 }}"


class Page(HTMLParser):
    """The page as a browser reads it: elements, texts, scripts; tags must be balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif not (self.open and self.open[-1] == "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def render(**change: Any) -> str:
    parts: dict[str, Any] = {
        "title": "Memory",
        "metrics": {"mae": 1.0, "n_train": 5, "unit": "MB", "intervals": {}},
        "gates": [],
        "baselines": [],
        "slices": [],
        "plots": {},
        "metadata": METADATA,
        "notes": [],
    }
    return render_report(**{**parts, **change})


@pytest.fixture(scope="module")
def page(predictions: pd.DataFrame, evaluation: RegressionEvaluation) -> str:
    metrics = evaluate_regression(predictions, evaluation, {"n_train": 1000}, 42)
    limits = Gates.model_validate({"mape_pct": {"max": 50}, "under_rate_95": {"max": 0.01, "on": "upper"}})
    plots = {
        "Predicted against actual": plot_predicted_vs_actual(predictions, evaluation),
        "Feature importance": plot_importances({"pages": 1.0}),
    }
    return render(
        metrics=metrics,
        gates=judge(metrics, limits),
        baselines=compare_baselines(predictions, evaluation, 42),
        slices=evaluate_slices(predictions, evaluation, 42),
        plots=plots,
        notes=["Read me."],
    )


def test_the_page_says_what_was_judged_on_what(page: str) -> None:
    text = Page(page).text
    for expected in (
        "1 of 2 gates failed: under_rate_95",
        "✗ under_rate_95 FAIL",
        "<= 0.01 on upper bound",
        "✓ mape_pct pass",
        "1,050 measured (75.0 %)",
        "350 simulated (25.0 %)",
        "25.0 % of the training rows are simulated",
        "sha256:0123",
        "Training rows 1,000",
        "Training groups 260",
        "Held-out rows 400",
        "Git commit unknown",
        "Seed 42",
        "2025-01-02T03:04:05+00:00",
        "Mean absolute error (MB)",
        "Upper bound, 99.5 %",
        "bound 99.5 %",
        "engine = (other)",
        "Feature importance",
        "all 400 rows",
        "sampling.rows 0.8",
        "levels 95, 99",
        "lightgbm 4.6.0",
        "pages, pixels",
        "Read me.",
    ):
        assert expected in text, expected


def test_numbers_are_aligned_and_carry_their_interval(page: str) -> None:
    found = Page(page)
    assert all(box["class"] == "number" for box in found.all("td") if "class" in box)
    assert re.search(r'<td class="number">[\d.]+<small>[\d.]+ to [\d.]+</small></td>', page)
    assert "None" not in found.text
    assert "nan" not in found.text.split()


def test_the_page_is_self_contained_and_its_policy_names_its_scripts(page: str) -> None:
    found = Page(page)
    assert not found.open
    assert not [tag for tag in ("link", "img", "iframe", "object", "base") if found.all(tag)]
    assert not [box for _, box in found.elements if {"src", "href"} & set(box)]
    assert "url(" not in page.partition("</style>")[0]
    code = [text for kind, text in found.scripts if kind is None]
    assert len(code) == 2
    (policy,) = [box["content"] for box in found.all("meta") if box.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy
    for text in code:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_plots_are_embedded_as_data(page: str) -> None:
    found = Page(page)
    trees = [json.loads(text) for kind, text in found.scripts if kind == "application/json"]
    assert len(trees) == len(found.all("figure")) == 2
    assert all("title" not in tree["layout"] for tree in trees)
    assert trees[0]["data"][0]["type"] == "scatter"


def test_a_plot_with_nothing_in_it_gets_no_place() -> None:
    empty = plot_style.new_figure("Learning curve", "there is no curve")
    found = Page(render(plots={"Curves": empty, "Importances": plot_importances({"x": 1.0})}))
    assert len(found.all("figure")) == 1
    assert "Importances" in found.text
    assert "Curves" not in found.text
    assert not Page(render(plots={"Curves": empty})).scripts


def test_the_page_is_made_for_phones_and_the_dark(page: str) -> None:
    (viewport,) = [box for box in Page(page).all("meta") if box.get("name") == "viewport"]
    assert viewport["content"] == "width=device-width, initial-scale=1"
    assert "prefers-color-scheme: dark" in page
    assert page.count('<div class="scroll"') == page.count("<table>")


def test_rendering_is_deterministic() -> None:
    plots = {"a": plot_importances({"x": 1.0})}
    assert render(plots=plots) == render(plots=plots)


def test_data_cannot_inject_markup_anywhere() -> None:
    figure = plot_importances({"x": 1.0})
    figure.update_layout(title={"text": EVIL, "subtitle": {"text": EVIL}})
    figure.data[0].customdata = [EVIL]
    gate = {"metric": EVIL, "value": 1.0, "lower": None, "upper": None, "rule": EVIL}
    metadata = {
        **METADATA,
        "predictor": EVIL,
        "parameters": {EVIL: EVIL},
        "versions": {EVIL: EVIL},
        "features": [EVIL],
        "git_commit": EVIL,
        "data": {"fingerprint": EVIL, "rows": EVIL, "origin": {EVIL: 3}},
    }
    text = render(
        title=EVIL,
        metrics={"mae": 1.0, "unit": EVIL, "intervals": {}, "seed": EVIL},
        gates=[{**gate, "passed": False}],
        baselines=[{"model": EVIL, "mae": 1.0}],
        slices=[{"slice": EVIL, "value": EVIL, "n": 3}],
        plots={EVIL: figure},
        metadata=metadata,
        notes=[EVIL],
    )
    found = Page(text)
    assert not found.open
    assert not found.all("img")
    assert not [box for _, box in found.elements for name in box if name.startswith("on")]
    assert [kind for kind, _ in found.scripts] == ["application/json", None, None]
    assert json.loads(found.scripts[0][1])["data"][0]["customdata"] == [EVIL]
    assert found.text.count("{{ 7 * 7 }}") >= 15
    assert "49" not in found.text


def test_other_tasks_are_shown_under_their_own_names() -> None:
    text = Page(
        render(
            metrics={"roc_auc": 0.91, "n_train": 5, "intervals": {"roc_auc": [0.9, 0.93]}},
            baselines=[{"model": "m", "roc_auc": 0.9, "roc_auc_lower": 0.8, "roc_auc_upper": 0.95}],
            metadata={**METADATA, "task": "clustering"},
        )
    ).text
    assert "roc auc 0.910 0.900 to 0.930" in text
    assert "m 0.900 0.800 to 0.950" in text
    assert "roc_auc_lower" not in text


def test_bare_inputs_make_a_page() -> None:
    found = Page(render(metrics={"mae": None, "intervals": {}}, metadata={}))
    assert "Not judged: no gates were set" in found.text
    assert "Data fingerprint unknown" in found.text
    assert not found.scripts
    assert NOTHING in Page(render(metrics={"mae": None, "intervals": {}})).text


def test_a_long_table_of_metrics_is_divided() -> None:
    metrics = {"intervals": {}} | {f"m{number:02}": float(number) for number in range(33)}
    found = Page(render(metrics=metrics, metadata={**METADATA, "task": "clustering"}))
    rows = re.findall(r"m\d\d", found.text)
    assert rows == [f"m{number:02}" for number in range(33)]
    assert all(f"Metrics, {part} of 3 value" in found.text for part in (1, 2, 3))


def test_the_verdict_of_met_gates() -> None:
    row = {"metric": "mae", "value": 1.0, "lower": None, "upper": None, "rule": "<= 2"}
    assert "The gate is met" in Page(render(gates=[{**row, "passed": True}])).text
    assert "All 2 gates are met" in Page(render(gates=[{**row, "passed": True}] * 2)).text


def test_an_inconclusive_gate_is_neither_met_nor_failed() -> None:
    row = {"metric": "mae", "value": 1.0, "lower": 0.5, "upper": 3.0, "rule": "<= 2 on upper bound", "passed": False}
    unsure = {**row, "verdict": "inconclusive", "reason": "its upper bound is not"}
    page = render(gates=[unsure])
    assert '<div class="verdict open"' in page
    assert "1 of 1 gates inconclusive, too few rows: mae" in Page(page).text
    assert "? mae INCONCLUSIVE" in Page(page).text.replace("\u00a0", " ")
    assert "its upper bound is not" in Page(page).text
    both = render(gates=[unsure, {**row, "metric": "rmse", "verdict": "fail", "reason": ""}])
    assert '<div class="verdict failed"' in both
    assert "1 of 2 gates failed: rmse; 1 of 2 gates inconclusive, too few rows: mae" in Page(both).text


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1234567, "number", "1,234,567"),
        (1234.5, "number", "1,234"),
        (55.23, "number", "55.2"),
        (1.299, "number", "1.30"),
        (0.00123, "number", "0.00123"),
        (1.5e-7, "number", "1.50e-07"),
        (-3.14159, "number", "-3.14"),
        (0.0, "number", "0"),
        (0.99612, "score", "0.9961"),
        (-75.4, "score", "-75.4"),
        (-1e-9, "score", "0.0000"),
        (0.0391, "share", "3.9 %"),
        (0.00042, "share", "0.04 %"),
        (0.0, "share", "0.0 %"),
        (-1e-9, "share", "0.00 %"),
        ("text", "number", "text"),
        (float("nan"), "number", NOTHING),
        (None, "share", NOTHING),
        (True, "number", "True"),
    ],
)
def test_values_have_sensible_digits(value: Any, kind: Any, expected: str) -> None:
    assert format_value(value, kind) == expected


def test_interval_ends_have_the_digits_of_their_value() -> None:
    assert format_interval([9.87, 100.4], "number", 55.23) == "9.9 to 100.4"
    assert format_interval([0.0005, 0.02], "share", 0.004) == "0.05 to 2.00 %"
    assert format_interval((None, None), "number", 1.0) == ""
    assert format_interval([0.0, 0.037], "number", 0.0) == "0 to 0.0370"
    assert format_interval([-0.00001, 0.0004], "share", 0.0) == "0.00 to 0.04 %"
    assert format_interval([-0.003, 0.001], "number", 2.5) == "0.00 to 0.00"


def test_layouts_are_chosen_by_the_first_word_of_the_task() -> None:
    assert layout_of("Regression, with bounds") is layout_of("regression")
    assert layout_of("clustering").metrics == layout_of("").metrics == []


def test_nested_parameters_become_dotted_names() -> None:
    assert flat({"a": {"b": {"c": 1}}, "d": [], "e": None}) == {
        "a.b.c": "1",
        "d": "(none)",
        "e": "(none)",
    }


@pytest.mark.parametrize("module", [gates, plot_style, regression, regression_plots, report])
def test_annotations_resolve_at_run_time(module: Any) -> None:
    own = [
        item for item in vars(module).values() if callable(item) and getattr(item, "__module__", "") == module.__name__
    ]
    assert own
    for item in own:
        typing.get_type_hints(item)


def test_importing_the_modules_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from augury.pipelines.evaluation import gates, regression, regression_plots\n"
        "from augury.reporting import report\n"
        "heavy = {'sklearn', 'scipy', 'plotly', 'jinja2', 'kedro', 'mlflow'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
