"""Kedro-viz as a person sees it: the house's shape, and the results of a run beside the datasets that hold them."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from augury.pipeline_registry import STAGES
from augury.pipelines.assembly import PREDICTORS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
RAW = Path("data/01_raw/pdf_memory/jobs.parquet")
SIMULATED = "--params=pdf_memory.collection.source=synthetic,pdf_memory.collection.documents=60"
LAYERS = ["raw", "primary", "feature", "models", "model_output", "reporting"]
PLOTS = ["actual", "bounds", "residuals", "baselines", "importances", "slices"]
READ = [
    *("compression.best_params", "compression.blocks", "compression.dictionary_gains"),
    *("deduplication.best_params", "deduplication.pairs", "deduplication.sketches"),
    *("food_waste.best_params", "food_waste.purchases", "gossip_tuning.best_params", "gossip_tuning.evaluated"),
    *("gossip_tuning.rounds", "pdf_memory.best_params", "pdf_memory.jobs", "peer_selection.best_params"),
    *("peer_selection.fetches", "prefetch.accesses", "prefetch.best_params", "prefetch.training_checkpoints"),
    "provenance",
    *("query_cost.best_params", "query_cost.query_log"),
    *("recommendation.best_params", "recommendation.interactions", "recommendation.items"),
    *("recommendation.training_checkpoints", "taxonomy.best_params", "taxonomy.codes", "taxonomy.samples"),
    "taxonomy.training_checkpoints",
]
"""What `training` reads."""
PATIENCE_S = 120
STARTED = re.compile(r"Kedro Viz is running at\s+(http://127\.0\.0\.1:\d+/)")
ELSEWHERE = re.compile(r"^https?://(?!127\.0\.0\.1:)")
FONT_OF_KEDRO_VIZ = "fonts.googleapis.com"  # in kedro-viz's own index.html: no project can turn it off
FIRST_VISIT_HINTS_OFF = """
    localStorage.getItem("KedroViz") || localStorage.setItem("KedroViz", JSON.stringify({showFeatureHints: false}))
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = (shutil.which(name) for name in ("chromium", "google-chrome", "chromium-browser"))
    path = next(filter(None, found), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium on the PATH")
    return path


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: Any) -> dict[str, str]:
    """A person's environment, without the variables that turn telemetry off: the project itself must do that.

    Whatever goes beyond this machine is refused at once, kedro-viz's question about its newest version too.
    """
    private = re.compile(r"KEDRO_|MLFLOW_|PYTHONPATH$|DO_NOT_TRACK$|(https?|all)_proxy$", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not private.match(name)}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    home = tmp_path_factory.mktemp("home")
    return {**kept, **proxies, "NO_PROXY": "127.0.0.1", "XDG_CONFIG_HOME": str(home), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def project(chromium: str, surroundings: dict[str, str], tmp_path_factory: Any) -> Path:
    """A copy of the project in which `training` has run at test size."""
    folder = tmp_path_factory.mktemp("viz") / "project"
    shutil.copytree(REPOSITORY / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf/test/tracking.yml").write_text("tracking: {enabled: false}\n")
    (folder / RAW).parent.mkdir(parents=True)
    (folder / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry", RAW):
        if (REPOSITORY / name).exists():
            shutil.copy(REPOSITORY / name, folder / name)
    stages = ["training"] if (folder / RAW).exists() else ["collection", "training"]
    for stage in stages:
        chosen = [f"--pipeline={stage}", "--namespaces=pdf_memory", SIMULATED]
        command = [sys.executable, "-m", "kedro", "run", "--env=test", *chosen]
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(project: Path, surroundings: dict[str, str]) -> Iterator[str]:
    """Kedro-viz on the trained project; ended with its children whatever happens."""
    port = random.randrange(20_000, 30_000)  # not one that systems lend out; kedro-viz takes the next if it is in use
    command = [sys.executable, "-m", "kedro", "viz", "run", "--env=test", "--no-browser"]
    command += ["--host=127.0.0.1", f"--port={port}"]
    log = project / "viz.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=project, env=surroundings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield started(server, log)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def started(server: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until kedro-viz says where it is."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        said = log.read_text()
        if match := STARTED.search(said):
            return match.group(1)
        if "Traceback" in said or server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"kedro-viz did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-test")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, address: str) -> Iterator[SimpleNamespace]:
    """A first visit: the page, its errors and the hosts other than this machine that it asked for something."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    visit = SimpleNamespace(page=page, errors=[], hosts=set())

    def refuse(route: Any) -> None:
        visit.hosts.add(urlsplit(route.request.url).hostname)
        route.abort()

    def listen(message: Any) -> None:
        if message.type == "error" and not ELSEWHERE.match(message.location["url"]):
            visit.errors.append(message.text)

    page.route(ELSEWHERE, refuse)
    page.on("console", listen)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.add_init_script(FIRST_VISIT_HINTS_OFF)
    page.goto(address)
    expect(page.locator(".pipeline-node").first).to_be_visible()
    yield visit
    page.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[SimpleNamespace]:
    with visiting(browser, address) as visit:
        yield visit


@pytest.fixture
def page(visit: SimpleNamespace) -> Page:
    return visit.page


@pytest.fixture(scope="module")
def predictor(browser: Browser, address: str) -> Iterator[Page]:
    """A page on which the predictor is expanded, for tests that only look at one dataset after another."""
    with visiting(browser, address) as visit:
        expand(visit.page)
        yield visit.page
        assert visit.errors == []


def expand(page: Page) -> None:
    page.locator('.pipeline-node--modularPipeline[data-id="pdf_memory"]').click()
    expect(page.locator(".pipeline-node--task").first).to_be_visible()
    expect(page.locator(".MuiCollapse-entered")).to_be_attached()  # until then the rows of the list move


def open_dataset(page: Page, name: str) -> Locator:
    """Click a dataset in the list of the expanded predictor; its metadata panel."""
    page.get_by_test_id(f"node-list-tree-item--row--pdf_memory.{name}").click()
    panel = page.locator(".pipeline-metadata")
    expect(panel.get_by_role("heading", name=f"pdf_memory.{name}", exact=True)).to_be_visible()
    return panel


def reporting(project: Path, name: str) -> Any:
    return json.loads((project / f"data/test/08_reporting/pdf_memory/{name}.json").read_text())


def test_the_page_loads_without_errors_and_reports_to_nobody(visit):
    visit.page.wait_for_load_state("networkidle")
    assert visit.errors == []
    assert visit.hosts <= {FONT_OF_KEDRO_VIZ}
    assert "heap" not in visit.page.content()


def test_every_stage_can_be_selected(page):
    selector = page.get_by_test_id("kedro-pipeline-selector")
    selector.get_by_role("button").click()
    expect(selector.get_by_role("option")).to_have_text([*STAGES, "training", "__default__"])
    selector.get_by_role("option", name="data_engineering", exact=True).click()
    expect(page).to_have_url(re.compile("pid=data_engineering"))
    expand(page)
    assert page.locator(".pipeline-node--task").all_text_contents() == ["prepare_jobs"]


def test_a_predictor_is_one_node_that_opens(page):
    predictors = page.locator(".pipeline-node--modularPipeline").all_text_contents()
    assert sorted(predictors) == sorted(PREDICTORS)
    assert page.locator(".pipeline-node--task").count() == 0
    assert sorted(page.locator(".pipeline-node--data").all_text_contents()) == READ
    expand(page)
    expect(page.locator(".pipeline-node--modularPipeline")).to_have_count(len(PREDICTORS) - 1)
    tasks = page.locator(".pipeline-node--task").all_text_contents()
    assert {"prepare_jobs", "build_features", "train", "evaluate", "judge", "report"} <= set(tasks)


def test_layers_go_from_raw_to_reporting(page):
    expand(page)
    expect(page.locator(".pipeline-layer-name")).to_have_text(LAYERS)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_layers(address, stage):
    """Layers that depend on one another in a circle are not drawn: kedro-viz then lists none."""
    with urllib.request.urlopen(f"{address}api/pipelines/{stage}") as response:
        graph = json.load(response)
    drawn = {node.get("layer") for node in graph["nodes"]} - {None}
    assert drawn
    assert drawn <= set(graph["layers"])


def test_every_persisted_dataset_has_a_layer(address):
    with urllib.request.urlopen(f"{address}api/pipelines/training") as response:
        nodes = json.load(response)["nodes"]
    bare = [node["name"] for node in nodes if node["type"] == "data" and node["layer"] is None]
    assert bare == ["provenance"]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_drawn(predictor, project, name):
    panel = open_dataset(predictor, f"plot_{name}")
    figure = reporting(project, f"plots/{name}")
    expect(panel.locator(".gtitle")).to_contain_text(figure["layout"]["title"]["text"].partition("<br>")[0])
    visible = [trace for trace in figure["data"] if trace.get("visible", True) is True]
    expect(panel.locator(".js-plotly-plot .main-svg .trace")).to_have_count(len(visible))
    marks = panel.locator(".trace path.js-line, .trace path.point, .trace .point path")
    assert marks.evaluate_all("paths => paths.filter(path => path.getTotalLength() > 0).length") > 1


def test_a_plot_can_be_enlarged(predictor):
    open_dataset(predictor, "plot_actual").get_by_role("button", name="Expand preview").click()
    enlarged = predictor.locator(".pipeline-metadata-modal")
    expect(enlarged.locator(".js-plotly-plot .trace").first).to_be_visible()
    enlarged.get_by_role("button", name="Back").click()
    expect(enlarged).to_have_count(0)


def test_metrics_are_shown_as_json(predictor, project):
    panel = open_dataset(predictor, "report_metrics")
    metrics = reporting(project, "metrics")
    for key in ("mape_pct", "n_test"):
        expect(panel.locator(".variable-row", has_text=f'"{key}"').first).to_contain_text(str(metrics[key]))


def test_the_report_is_readable_and_keeps_to_itself(predictor, project):
    frame = "getComputedStyle(document.body).cssText"
    before = predictor.evaluate(frame)
    shown = open_dataset(predictor, "report").locator(".html-renderer")
    expect(shown.get_by_role("heading", name="Gates")).to_be_attached()
    text = shown.inner_text()
    assert [gate["metric"] for gate in reporting(project, "gates") if gate["metric"] not in text] == []
    assert shown.locator("em, strong, script, figure").count() == 0
    assert shown.locator(".tiles").evaluate("tiles => getComputedStyle(tiles).display") == "grid"
    assert predictor.evaluate(frame) == before
