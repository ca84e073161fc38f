"""One MLflow run per predictor, whatever the runner and however the pipeline ends."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import AbstractDataset, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import ParallelRunner, ThreadRunner

from augury.tracking import provenance
from augury.tracking.run import TrackedRun

RUN_ID = "2026-01-01T00.00.00.000Z"
MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def two(project: Any, make_pipeline: MakePipeline) -> Pipeline:
    """A pipeline of two predictors, with their parameters in the project."""
    project.parameters = {
        "pdf_memory": {"seed": 42, "model": {"rounds": 5, "levels": [0.9, 0.95]}},
        "query_cost": {"seed": 7},
        "pdf_memory.factor": 2.0,
        "query_cost.factor": 3.0,
    }
    return make_pipeline("pdf_memory") + make_pipeline("query_cost")


def fail(*_: Any) -> Any:
    """A node that breaks."""
    raise ValueError("column 'pages' is missing, see postgresql://ann:secret@db/jobs")


def test_each_predictor_has_a_run_of_its_own(project: Any, two: Pipeline) -> None:
    project.run(two)
    first, second = project.only_run("pdf_memory"), project.only_run("query_cost")
    assert (first.info.status, second.info.status) == ("FINISHED", "FINISHED")
    assert first.data.params == {
        "seed": "42",
        "model.rounds": "5",
        "model.levels": "[0.9, 0.95]",
    }
    assert second.data.params == {"seed": "7"}
    assert first.data.metrics == {
        "mae": 1.5,
        "mae.lower": 1.25,
        "mae.upper": 1.75,
        "rows": 12.0,
        "factor": 2.0,
    }
    assert second.data.metrics["factor"] == 3.0


def test_a_run_says_where_it_came_from(project: Any, two: Pipeline) -> None:
    project.tracking = {"tags": {"team": "storage"}}
    project.run(two)
    run = project.only_run("pdf_memory")
    expected = {
        "augury.predictor": "pdf_memory",
        "augury.version": "0.1.0",
        "kedro.run_id": RUN_ID,
        "kedro.env": "test",
        "kedro.pipelines": "training",
        "team": "storage",
    }
    assert expected.items() <= run.data.tags.items()
    assert run.info.run_name == RUN_ID


def test_curves_become_histories_of_metrics(project: Any) -> None:
    steps = np.arange(1, 1001)
    loss = pd.DataFrame(
        {"step": steps, "epoch": steps / 500, "name": "loss", "value": 1 / steps, "seconds": steps / 10}
    )
    score = pd.DataFrame(
        {
            "step": [500, 1000],
            "epoch": [1.0, 2.0],
            "name": "validation f1",
            "value": [0.5, np.nan],
            "seconds": [50, 100],
        }
    )
    curves = pd.concat([loss, score]).sample(frac=1, random_state=0)
    node = Node(lambda: curves, inputs=None, outputs="curves", name="train", tags="tracked")
    project.run(Pipeline([node], namespace="taxonomy"))
    run_id = project.only_run("taxonomy").info.run_id
    history = sorted(project.client.get_metric_history(run_id, "training/loss"), key=lambda point: point.step)
    assert (history[0].step, history[-1].step, len(history)) == (1, 1000, 200)
    assert [point.value for point in history] == [pytest.approx(1 / point.step) for point in history]
    assert history[-1].timestamp - history[0].timestamp == pytest.approx(99_900, abs=2)
    (only,) = project.client.get_metric_history(run_id, "training/validation f1")
    assert (only.step, only.value) == (500, 0.5)


def test_reports_are_artifacts_beside_the_store(
    project: Any, two: Pipeline, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("cwd")
    monkeypatch.chdir(elsewhere)
    project.run(two)
    run_id = project.only_run("pdf_memory").info.run_id
    assert project.artifacts(run_id) == {"metrics.json", "gates.json", "report.html", "plots", "plots.html"}
    assert project.artifacts(run_id, "plots") == {"plots/residuals.json"}
    folder = project.folder / "mlartifacts" / "pdf_memory" / run_id / "artifacts"
    assert (folder / "report.html").read_text() == "<h1>pdf_memory</h1>"
    assert json.loads((folder / "gates.json").read_text())[0]["rule"] == "<= 2"
    assert list(elsewhere.iterdir()) == []


def test_nothing_is_loaded_for_the_tracking_alone(project: Any, two: Pipeline) -> None:
    loads: list[str] = []

    class Counted(AbstractDataset):
        def _load(self) -> Any:
            loads.append("load")
            return self.data

        def _save(self, data: Any) -> None:
            self.data = data

        def _describe(self) -> dict[str, Any]:
            return {}

    names = ["predictor", "report_metrics", "report_gates", "plot_residuals", "report"]
    project.run(two, data={f"pdf_memory.{name}": Counted() for name in names})
    assert loads == ["load"]  # the evaluation's own, of the predictor


def test_an_evaluation_alone_has_its_own_run(project: Any, two: Pipeline, doubling: Any) -> None:
    project.run(two.filter(node_namespaces=["pdf_memory"]))
    model = MemoryDataset(doubling.Doubling(doubling.make_metadata("pdf_memory"), 9.0))
    project.run(two.only_nodes("pdf_memory.evaluate"), data={"pdf_memory.predictor": model}, run_id="second")
    evaluation, training = project.runs("pdf_memory")
    assert evaluation.info.run_name == "second"
    assert evaluation.data.metrics["factor"] == 9.0
    assert evaluation.outputs.model_outputs == []
    assert len(training.outputs.model_outputs) == 1


def test_interleaved_predictors_keep_apart_under_threads(
    project: Any, two: Pipeline, make_pipeline: MakePipeline, doubling: Any
) -> None:
    meeting = threading.Barrier(2, timeout=60)

    def train(factor: float) -> Any:
        meeting.wait()  # neither ends before both have begun
        return doubling.Doubling(doubling.make_metadata(f"with_{factor:g}"), factor)

    def evaluate(model: Any) -> tuple[Any, ...]:
        meeting.wait()
        return {"factor": model.factor}, [], {"data": []}, model.metadata.predictor

    names = ["pdf_memory", "query_cost"]
    project.run(
        sum((make_pipeline(n, train=train, evaluate=evaluate) for n in names), Pipeline([])),
        ThreadRunner(max_workers=2),
    )
    for name, factor in zip(names, (2.0, 3.0), strict=True):
        run = project.only_run(name)
        assert run.info.status == "FINISHED"
        assert run.data.params["seed"] == {2.0: "42", 3.0: "7"}[factor]
        assert run.data.metrics == {"factor": factor}
        (output,) = run.outputs.model_outputs
        model = project.client.get_logged_model(output.model_id)
        assert model.source_run_id == run.info.run_id
        assert model.tags["augury.predictor"] == f"with_{factor:g}"
        assert model.status.value == "READY"


@pytest.mark.filterwarnings("ignore:One or more dataset names")
def test_a_failure_ends_every_run_as_it_deserves(project: Any, two: Pipeline, make_pipeline: MakePipeline) -> None:
    project.parameters |= {f"{name}.factor": 1.0 for name in ("a_done", "b_failed", "c_cut_off")}
    pipeline = (
        make_pipeline("a_done").only_nodes("a_done.train")
        + make_pipeline("b_failed", evaluate=fail)
        + make_pipeline("c_cut_off")
        + Pipeline(
            [Node(len, "page", "size", name="later", tags="tracked")],
            namespace="d_never_began",
            inputs={"page": "c_cut_off.report"},
        )
    )
    with pytest.raises(ValueError, match="pages"):
        project.run(pipeline)
    assert project.only_run("a_done").info.status == "FINISHED"
    failed = project.only_run("b_failed")
    assert failed.info.status == "FAILED"
    assert failed.data.tags["error"] == ("ValueError: column 'pages' is missing, see postgresql://***@db/jobs")
    assert project.only_run("c_cut_off").info.status == "KILLED"
    assert "error" not in project.only_run("c_cut_off").data.tags
    assert project.runs("d_never_began") == []


@pytest.mark.parametrize("broken", ["_save", "_load"])
def test_a_dataset_that_breaks_fails_the_run(project: Any, two: Pipeline, broken: str) -> None:
    class Broken(AbstractDataset):
        def _load(self) -> Any:
            raise OSError("disk on fire")

        def _save(self, data: Any) -> None:
            if broken == "_save":
                raise OSError("disk on fire")

        def _describe(self) -> dict[str, Any]:
            return {}

    with pytest.raises(Exception, match="disk on fire"):
        project.run(two, data={"pdf_memory.predictor": Broken()})
    run = project.only_run("pdf_memory")
    assert run.info.status == "FAILED"
    assert "disk on fire" in run.data.tags["error"]


def test_failure_under_threads(project: Any, two: Pipeline, make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline("pdf_memory", train=fail) + make_pipeline("query_cost").only_nodes("query_cost.train")
    with pytest.raises(ValueError, match="pages"):
        project.run(pipeline, ThreadRunner(max_workers=2))
    assert project.only_run("pdf_memory").info.status == "FAILED"
    assert project.only_run("query_cost").info.status == "FINISHED"


def test_the_next_run_closes_what_an_interrupted_one_left(project: Any, two: Pipeline) -> None:
    project.run(Pipeline([]))  # hands the context over
    project.hook.before_pipeline_run({"run_id": "first"}, two)
    project.hook.before_node_run(two.nodes[0])
    assert project.only_run("pdf_memory").info.status == "RUNNING"
    project.run(two, run_id="second")
    assert [run.info.status for run in project.runs("pdf_memory")] == ["FINISHED", "KILLED"]


@pytest.mark.parametrize("tracking", [None, {"enabled": False}])
def test_without_settings_nothing_is_tracked(project: Any, two: Pipeline, tracking: Any) -> None:
    project.tracking = tracking
    project.run(two)
    assert project.runs("pdf_memory") == []


def test_a_pipeline_without_tracked_nodes_needs_no_store(project: Any, two: Pipeline) -> None:
    project.tracking = {"uri": "http://127.0.0.1:9"}  # nothing listens there
    untagged = Pipeline([Node(lambda: 1, None, "table", name="clean")], namespace="pdf_memory")
    project.run(untagged)
    assert project.runs("pdf_memory") == []


def test_parallel_processes_are_not_tracked_and_say_so(
    project: Any, two: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    hook, params = project.hook, {"run_id": RUN_ID, "runner": str(ParallelRunner())}
    project.run(Pipeline([]))
    hook.before_pipeline_run(params, two)
    hook.before_node_run(two.nodes[0])
    hook.after_pipeline_run()
    assert project.runs("pdf_memory") == []
    assert "ParallelRunner" in caplog.text


def test_many_and_long_parameters(project: Any, two: Pipeline) -> None:
    project.parameters["pdf_memory"] = {
        "long": "x" * 9000,
        "many": {f"key_{i}": i for i in range(250)},
        "odd (%)": True,
    }
    project.run(two)
    params = project.only_run("pdf_memory").data.params
    assert len(params) == 252
    assert params["many.key_249"] == "249"
    assert params["long"] == "x" * 6000
    assert params["odd ___"] == "True"


def test_experiment_names_are_filled_in(project: Any, two: Pipeline) -> None:
    project.tracking = {"experiment": "augury-{env}"}
    project.run(two)
    assert {run.data.tags["augury.predictor"] for run in project.runs("augury-test")} == {
        "pdf_memory",
        "query_cost",
    }


def test_what_cannot_be_recorded_costs_a_warning_not_the_run(
    project: Any,
    two: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mlflow import MlflowClient

    log_text = MlflowClient.log_text

    def refuse(self: MlflowClient, run_id: str, text: str, path: str) -> None:
        if path.startswith("plots"):
            raise OSError("no space left on http://ann:secret@store/")
        log_text(self, run_id, text, path)

    monkeypatch.setattr(MlflowClient, "log_text", refuse)
    project.run(two)
    run = project.only_run("pdf_memory")
    assert run.info.status == "FINISHED"
    assert run.data.tags["tracking.missing"] == "plot_residuals, plots"
    assert run.data.metrics["mae"] == 1.5
    assert "no space left on http://***@store/" in caplog.text
    assert "secret" not in caplog.text


def test_a_store_that_refuses_runs_does_not_stop_the_pipeline(
    project: Any,
    two: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(self: TrackedRun, *_: Any, **__: Any) -> None:
        raise OSError("server went away")

    monkeypatch.setattr(TrackedRun, "__init__", refuse)
    project.run(two)
    refusals = [record for record in caplog.records if "server went away" in record.getMessage()]
    assert len(refusals) == 2  # once per predictor, not per node


def test_the_last_line_says_where_to_look(project: Any, two: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="augury")
    project.run(two)
    run_id = project.only_run("pdf_memory").info.run_id
    lines = [record.getMessage() for record in caplog.records if run_id in record.getMessage()]
    assert lines == [f"MLflow run: experiment pdf_memory, run {run_id}; `make mlflow` opens it"]


def test_without_git_there_is_no_commit(
    project: Any, two: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert provenance.git_commit(tmp_path) is None
    project.run(two)
    assert "mlflow.source.git.commit" not in project.only_run("pdf_memory").data.tags


def test_the_model_can_be_left_out(project: Any, two: Pipeline) -> None:
    project.tracking = {"log_model": False}
    project.run(two)
    run = project.only_run("pdf_memory")
    assert run.outputs.model_outputs == []
    assert "tracking.missing" not in run.data.tags


def test_the_models_page_shows_the_metrics(project: Any, two: Pipeline) -> None:
    project.run(two)
    (output,) = project.only_run("pdf_memory").outputs.model_outputs
    model = project.client.get_logged_model(output.model_id)
    assert {metric.key: metric.value for metric in model.metrics}["mae"] == 1.5
    assert model.params["model.rounds"] == "5"
