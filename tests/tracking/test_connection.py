"""A store that cannot be used is one line, at once, before any node runs."""

import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kedro.pipeline import Pipeline

from augury.errors import UserError
from augury.tracking import connection

MakePipeline = Callable[..., Pipeline]


class Listener:
    """A port where something listens that is no tracking server."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.calls = 0
        self.kept: list[socket.socket] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                call, _ = self.server.accept()
            except OSError:
                return
            self.calls += 1
            if self.answer is None:
                self.kept.append(call)  # never answers
            else:
                call.recv(4096)
                call.sendall(self.answer)
                call.close()


@pytest.fixture
def listen() -> Iterator[Callable[[bytes | None], Listener]]:
    """A function that starts a listener; all are closed at the end."""
    listeners: list[Listener] = []

    def start(answer: bytes | None) -> Listener:
        listeners.append(Listener(answer))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.server.close()
        for call in listener.kept:
            call.close()


def refused_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def message(project: Any, make_pipeline: MakePipeline) -> Callable[[dict[str, Any]], str]:
    """A function that runs with some settings, and returns the one line that it fails with."""

    def attempt(tracking: dict[str, Any]) -> str:
        trained: list[float] = []
        project.tracking = tracking
        project.parameters = {"pdf_memory": {}, "pdf_memory.factor": 2.0}
        with pytest.raises(UserError) as caught:
            project.run(make_pipeline("pdf_memory", train=trained.append))
        assert trained == []
        text = str(caught.value)
        assert "\n" not in text
        return text

    return attempt


def test_no_server(message: Callable[[dict[str, Any]], str]) -> None:
    port = refused_port()
    text = message({"uri": f"http://ann:s3cret@127.0.0.1:{port}"})
    assert re.fullmatch(
        rf"MLflow at http://\*\*\*@127\.0\.0\.1:{port} cannot be used: .*Connection refused\. "
        r"Start it or correct tracking\.uri, or switch tracking off with "
        r"'tracking: \{enabled: false\}' in conf/test/tracking\.yml\.",
        text,
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["overloaded", "forbidden", "something else"],
)
def test_a_server_that_refuses_is_asked_once(
    message: Callable[[dict[str, Any]], str], listen: Any, answer: bytes
) -> None:
    listener = listen(answer)
    assert "cannot be used" in message({"uri": f"http://127.0.0.1:{listener.port}"})
    assert listener.calls == 1


def test_a_server_that_never_answers(
    message: Callable[[dict[str, Any]], str], listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_PATIENCE_S", 1)
    listener = listen(None)
    assert "no answer within 1 s" in message({"uri": f"http://127.0.0.1:{listener.port}"})
    assert listener.calls == 1


@pytest.mark.parametrize("driver", ["postgresql", "mysql+pymysql"])
def test_no_database_server(message: Callable[[dict[str, Any]], str], driver: str) -> None:
    text = message({"uri": f"{driver}://ann:s3cret@127.0.0.1:{refused_port()}/mlflow"})
    assert "Connection refused" in text
    assert "s3cret" not in text


def test_a_file_that_is_no_database(message: Callable[[dict[str, Any]], str], project: Any) -> None:
    (project.folder / "notes.txt").write_text("not a database, but long enough" * 40)
    assert "file is not a database" in message({"uri": "sqlite:///notes.txt"})


def test_a_store_of_another_mlflow(message: Callable[[dict[str, Any]], str], project: Any) -> None:
    import sqlite3

    with sqlite3.connect(project.folder / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
    assert "schema" in message({})


def test_a_deleted_experiment(message: Callable[[dict[str, Any]], str], project: Any) -> None:
    project.client.delete_experiment(project.client.create_experiment("pdf_memory"))
    text = message({})
    assert "'pdf_memory' was deleted" in text
    assert "mlflow experiments restore --experiment-id 1" in text


def test_a_run_at_the_same_time_may_create_the_experiment(
    project: Any, make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create = MlflowClient.create_experiment

    def create_twice(self: Any, *arguments: Any, **options: Any) -> Any:
        create(self, *arguments, **options)
        return create(self, *arguments, **options)

    monkeypatch.setattr(MlflowClient, "create_experiment", create_twice)
    project.parameters = {"pdf_memory": {}, "pdf_memory.factor": 2.0}
    project.run(make_pipeline("pdf_memory"))
    assert project.only_run("pdf_memory").info.status == "FINISHED"


def test_mlflow_is_missing(message: Callable[[dict[str, Any]], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    text = message({})
    assert text.startswith("tracking.enabled is true, but MLflow cannot be imported")
    assert "pip install mlflow" in text
    assert "tracking: {enabled: false}" in text


def test_the_environment_is_left_as_it_was(project: Any, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from augury.tracking.settings import TrackingSettings, locate_store

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    shutil.copy(empty_store, project.folder / "other.db")
    store = locate_store(TrackingSettings(uri="sqlite:///other.db"), project.folder, None)
    _, experiments = connection.connect(store, ["pdf_memory"])
    assert experiments == {"pdf_memory": "1"}
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "4"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
