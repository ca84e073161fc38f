"""From a training run to an HTTP prediction, with a real tracking server in between."""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kedro.pipeline import Pipeline

import augury
from augury.datasets.registered_model import RegisteredModelDataset
from augury.tracking import model
from augury.tracking.registry import ModelRegistry, RegistryAddress
from augury.tracking.settings import TrackingSettings

pytestmark = pytest.mark.slow

PATIENCE_S = 120
DOUBLING = Path(__file__).with_name("doubling_family.py")


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[str]:
    """Run an ``mlflow`` command that listens; yields its address, kills it with its children."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    folder.mkdir()
    variables = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("MLFLOW_")
    }
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    variables["MLFLOW_DISABLE_TELEMETRY"] = "true"
    variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight more processes, for judging language models
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "-p", str(port)],
            cwd=folder,
            env=variables | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
                break
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail((folder / "log").read_text())
            time.sleep(0.2)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def post(url: str, payload: Any) -> Any:
    """Post JSON, return JSON."""
    request = urllib.request.Request(url, json.dumps(payload).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@pytest.fixture
def travelling_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models carry a copy of the package that alone knows the family: no other can load them."""
    package = tmp_path / "package" / "augury"
    shutil.copytree(augury.__path__[0], package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(DOUBLING, package / "predictors" / "doubling.py")
    with (package / "predictors" / "contract.py").open("a") as contract:
        contract.write('\nREGISTRY["doubling"] = "augury.predictors.doubling:Doubling"\n')
    monkeypatch.setattr(model, "_PACKAGE", package)


@pytest.mark.usefixtures("travelling_package")
def test_a_tracked_model_is_served(
    project: Any,
    make_pipeline: Callable[..., Pipeline],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mlflow import MlflowClient

    caplog.set_level(logging.INFO, logger="augury")
    store = ("--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db")
    files = ("--artifacts-destination", str(tmp_path / "bucket"), "--workers", "1")
    with serving(tmp_path / "server", "server", *store, *files) as server:
        project.tracking = {"uri": server}
        project.parameters = {"pdf_memory": {}, "pdf_memory.factor": 2.0}
        project.run(make_pipeline("pdf_memory"))

        client = MlflowClient(tracking_uri=server)
        experiment = client.get_experiment_by_name("pdf_memory")
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.info.status == "FINISHED"
        assert "tracking.missing" not in run.data.tags
        assert {found.path for found in client.list_artifacts(run.info.run_id)} == {
            "metrics.json",
            "gates.json",
            "report.html",
            "plots",
            "plots.html",
        }
        page = f"{server}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"
        assert page in caplog.text

        champion = RegisteredModelDataset(predictor="pdf_memory")
        champion.registry = RegistryAddress.of(TrackingSettings(uri=server), tmp_path, None)
        assert champion.load() is None
        registry = ModelRegistry.open(champion.registry, "pdf_memory")
        assert registry.aliases() == {"challenger": "1"}
        registry.promote("1", None, {})
        assert champion.load().loaded().factor == 2.0
        assert list((tmp_path / "bucket").rglob("model.json"))  # it came through the server, from there

        uri = "models:/augury.pdf_memory@champion"
        command = ("models", "serve", "-m", uri, "--env-manager", "local")
        with serving(tmp_path / "scorer", *command, MLFLOW_TRACKING_URI=server) as scorer:
            columns = ["kind", "size", "pages", "encrypted"]
            rows = [["scan", 10, 3, False], ["text", 20, None, None]]
            answer = post(f"{scorer}/invocations", {"dataframe_split": {"columns": columns, "data": rows}})
            assert answer == {"predictions": [{"peak": 21.0}, {"peak": 40.0}]}

            rows[0][0] = "drawing"
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(
                    f"{scorer}/invocations",
                    {"dataframe_split": {"columns": columns, "data": rows}},
                )
            assert refused.value.code == 400
            assert "must be one of scan, text" in refused.value.read().decode()
