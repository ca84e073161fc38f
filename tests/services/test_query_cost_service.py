"""`python -m augury serve query_cost` with a trained predictor in a process of its own, on loopback."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.errors import UserError
from augury.predictors.query_cost import QueryCostPredictor
from augury.predictors.query_routing import QueryRouter, RoutingSettings
from augury.services.query_cost import heaviness, model_facts
from augury.services.trino_gateway.settings import LearningSettings
from augury.services.web.server import listen

QUERIES = (
    "show tables",
    "select count(*) from lineitem",
    "select * from orders o join lineitem l on o.o_orderkey = l.l_orderkey join customer c on true",
    "insert into t select * from u",
    "select 1",
)


def start(model, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "augury", "serve", "query_cost", "--model", str(model), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def served(query_cost_model, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A running service: process, port, and a function that posts."""
    import httpx

    settings = tmp_path_factory.mktemp("settings") / "routing.yml"
    settings.write_text("limits: {body_seconds: 0.5, body_bytes: 100000}\nlearning: {enabled: true}\n")
    process = start(query_cost_model, "--port", "0", "--settings", str(settings))
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)/route", line)
    assert found, process.communicate()
    port = int(found[1])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        # The socket is open before the server accepts: the first request waits for it
        yield SimpleNamespace(process=process, port=port, client=client)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors


def body(query: str, catalog: str | None = "lake") -> dict:
    return {
        "trinoQueryProperties": {"body": query, "defaultCatalog": catalog, "defaultSchema": "tpch",
                                 "isNewQuerySubmission": True},
        "trinoRequestUser": {"user": "ada"},
    }  # fmt: skip


def exchange(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send raw bytes, and read until the other side closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        connection.settimeout(1)
        received = b""
        with contextlib.suppress(TimeoutError):
            while chunk := connection.recv(65536):
                received += chunk
        return received


def test_the_service_answers_as_the_router_does(served, query_cost_model):
    predictor = QueryCostPredictor.load(query_cost_model)
    router = QueryRouter(predictor, RoutingSettings(), predictor.heavy_templates())
    for query in QUERIES:
        answer = served.client.post("/route", json=body(query))
        expected = router.route({"query": query, "user": "ada", "catalog": "lake", "schema": "tpch"})
        assert answer.status_code == 200
        if expected.reason != "model":  # the model also sees the time of day
            assert answer.json() == {"routingGroup": expected.group, "errors": []}


def test_health_and_metrics_name_the_model(served, query_cost_model):
    predictor = QueryCostPredictor.load(query_cost_model)
    health = served.client.get("/health").json()
    assert health["status"] == "ok"
    assert health["model"] == "query_cost"
    assert health["snapshot"] == predictor.snapshot.as_of
    assert health["version"] == predictor.metadata.created_at
    assert 'operating_point="cost_optimal"' in served.client.get("/metrics").text


def test_it_listens_on_this_machine_only(served):
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [
        fields[1] for fields in sockets if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == served.port
    ]
    assert listening == [f"0100007F:{served.port:04X}"]


HEAD = b"POST /route HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((b"\x00\x01\x02 nonsense\r\n\r\n",), b"400"),
        ((HEAD + b"Content-Length: 100\r\n\r\n", b"{"), b"408"),
        ((HEAD + b"Content-Length: 99999999\r\n\r\n", b"{"), b"413"),
        ((HEAD + b"Content-Length: -1\r\n\r\n{}",), b"400"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",), b"400"),
    ],
    ids=["no HTTP", "body never comes", "too large", "negative length", "broken chunks"],
)
def test_broken_requests_are_refused_and_the_next_one_is_answered(served, parts, status):
    received = exchange(served.port, *parts, pause=0.7 if status == b"408" else 0.0)
    assert received.split(b" ", 2)[1:2] == [status], received[:200]
    assert served.client.post("/route", json=body("show tables")).json()["routingGroup"] == "small"


def test_clients_that_go_away_in_the_middle_do_no_harm(served):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as connection:
            connection.sendall(HEAD + b'Content-Length: 5000\r\n\r\n{"trino')
    assert served.client.post("/route", json=body("show tables")).status_code == 200
    assert served.process.poll() is None


def test_many_at_once_are_all_answered(served):
    import httpx

    found: list[int] = []

    def work() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client:
            for query in QUERIES * 4:
                found.append(client.post("/route", json=body(query)).status_code)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * (8 * 4 * len(QUERIES))


def test_a_completed_query_changes_the_next_answer(served):
    query = "select a_column_that_nobody_asked_for from lake.tpch.region"
    event = {
        "metadata": {"query": query, "queryState": "FAILED"},
        "context": {"catalog": "lake", "schema": "tpch"},
        "failureInfo": {"errorCode": {"name": "EXCEEDED_CPU_LIMIT"}},
    }
    assert served.client.post("/learn", json=event).json()["outcome"] == "heavy"
    assert served.client.post("/route", json=body(query)).json()["routingGroup"] == "large"


def test_a_port_in_use_is_one_message(served):
    with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{served.port}: Address already in use"):
        listen("127.0.0.1", served.port)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--settings", "bad.yml"), "no operating point 'cheapest'"),
        (("--settings", "none.yml"), "'none.yml' cannot be read"),
        (("--port", "70000"), "service.port"),
        (("--host", "no.such.host.invalid"), "cannot listen on no.such.host.invalid:8181"),
    ],
    ids=" ".join,
)
def test_mistakes_are_one_message(query_cost_model, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.yml").write_text("routing: {operating_point: cheapest}\n")
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(
            cli, ["serve", "query_cost", "--model", str(query_cost_model), *arguments], catch_exceptions=False
        )


def test_what_makes_a_completed_query_heavy_is_what_did_in_training(query_cost_model):
    predictor = QueryCostPredictor.load(query_cost_model)
    trained = heaviness(predictor, LearningSettings())
    assert trained.cpu_threshold_seconds == predictor.specification.cpu_threshold_s
    assert trained.memory_threshold_gb == predictor.specification.memory_threshold_gb
    assert "EXCEEDED_CPU_LIMIT" in trained.errors
    changed = heaviness(predictor, LearningSettings(cpu_threshold_seconds=7, resource_errors=("X",)))
    assert (changed.cpu_threshold_seconds, changed.errors) == (7, {"X"})
    assert changed.memory_threshold_gb == trained.memory_threshold_gb


def test_facts_are_texts_without_secrets(query_cost_model):
    predictor = QueryCostPredictor.load(query_cost_model)
    facts = model_facts(predictor, QueryRouter(predictor, RoutingSettings(operating_point="recall_98")))
    assert facts["operating_point"] == "recall_98"
    assert float(facts["threshold"]) == pytest.approx(predictor.operating_points["recall_98"], rel=1e-5)
    assert json.dumps(facts)
    assert str(query_cost_model) not in json.dumps(facts)
