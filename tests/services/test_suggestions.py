"""The service speaks Annif's REST interface, and nothing that is sent to it brings it down."""

import json
import random
import re
import threading
import time
from urllib.parse import urlencode

import pytest

from augury.errors import UserError
from augury.services.suggestions.application import create_application
from augury.services.suggestions.settings import SuggestionSettings, read_settings
from augury.services.taxonomy import model_facts

from ..evaluation.classified_texts import word_classifier

FACTS = {"model": "taxonomy", "version": "2026-01-01T00:00:00+00:00", "kind": "staged", "codes": "3"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SUGGEST = "/v1/projects/taxonomy/suggest"
BATCH = "/v1/projects/taxonomy/suggest-batch"
RESULTS = [
    {"uri": "urn:taxonomy:000", "label": "Computer science", "notation": "000", "score": 0.9},
    {"uri": "urn:taxonomy:004", "label": "Data processing", "notation": "004", "score": 0.5},
    {"uri": "urn:taxonomy:500", "label": "Science", "notation": "500", "score": 0.1},
]


class StagedSuggester:
    """The same codes for every text, and an error for one that says `explode`."""

    codes = ("000", "004", "500")

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], int, float, str | None]] = []
        self.busy = self.busiest = 0

    def suggest(self, texts, limit=10, threshold=0.0, backend=None):
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        self.asked.append((list(texts), limit, threshold, backend))
        if "explode" in texts:
            self.busy -= 1
            raise ArithmeticError("no answer")
        time.sleep(0.005)
        self.busy -= 1
        return [[{**one, "more": 1} for one in RESULTS if one["score"] >= threshold][:limit] for _ in texts]


@pytest.fixture
def suggester():
    return StagedSuggester()


@pytest.fixture
def make_client(suggester):
    from fastapi.testclient import TestClient

    clients = []

    def make(raising: bool = True, **settings):
        application = create_application(suggester, SuggestionSettings.model_validate(settings), FACTS)
        clients.append(TestClient(application, raise_server_exceptions=raising))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client):
    return make_client()


def is_problem(answer, status: int) -> bool:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    return (answer.status_code, body["status"], set(body)) == (status, status, {"type", "title", "status", "detail"})


# --- the contract ---


@pytest.mark.parametrize("encoding", ["form", "json"])
def test_a_text_gets_suggestions(client, suggester, encoding):
    asked = {"text": "Über Daten & mehr", "limit": 2, "threshold": 0.2, "language": "en", "metadata_title": "x"}
    answer = client.post(SUGGEST, **({"data": asked} if encoding == "form" else {"json": asked}))
    assert (answer.status_code, answer.json()) == (200, {"results": RESULTS[:2]})
    assert suggester.asked == [(["Über Daten & mehr"], 2, 0.2, None)]


def test_limit_and_threshold_have_annifs_defaults(client, suggester):
    assert client.post(SUGGEST, data={"text": "data", "limit": "", "language": ""}).json() == {"results": RESULTS}
    assert suggester.asked[0][1:3] == (10, 0.0)
    assert client.post(SUGGEST, data={"text": "data", "limit": 0}).json() == {"results": []}
    assert client.post(SUGGEST, data={"text": " \n"}).json() == {"results": []}
    assert len(suggester.asked) == 1


def test_a_batch_keeps_its_order_and_its_ids(client, suggester):
    documents = [
        {"text": "one", "document_id": "a", "metadata": {"title": "x"}},
        {"text": ""},
        {"text": "three", "document_id": None},
    ]
    answer = client.post(f"{BATCH}?limit=1&threshold=0.3&language=en", json={"documents": documents})
    assert answer.status_code == 200
    assert answer.json() == [
        {"results": RESULTS[:1], "document_id": "a"},
        {"results": [], "document_id": None},
        {"results": RESULTS[:1], "document_id": None},
    ]
    assert suggester.asked == [(["one", "", "three"], 1, 0.3, None)]
    assert client.post(BATCH, json={"documents": []}).json() == []


def test_a_batch_has_at_most_thirty_two_documents(client):
    assert client.post(BATCH, json={"documents": [{"text": "x"}] * 32}).status_code == 200
    answer = client.post(BATCH, json={"documents": [{"text": "x"}] * 33})
    assert is_problem(answer, 400)
    assert "at most 32" in answer.json()["detail"]


def test_the_project_and_its_vocabulary_are_described(client, make_client):
    (project,) = client.get("/v1/projects").json()["projects"]
    assert client.get("/v1/projects/taxonomy").json() == project
    assert project["project_id"] == "taxonomy"
    assert (project["name"], project["language"], project["is_trained"]) == ("Taxonomy", "en", True)
    assert project["backend"] == {"backend_id": "staged"}
    assert client.get("/v1/vocabs").json() == {"vocabs": [project["vocab"]]}
    assert project["vocab"] == {"vocab_id": "taxonomy", "languages": ["en"], "size": 3, "loaded": True}
    assert client.get("/v1/").json()["version"] == FACTS["version"]
    other = make_client(project="ddc-de", name="Dewey", language="de")
    assert other.get("/v1/projects/ddc-de").json()["name"] == "Dewey"
    assert other.post("/v1/projects/ddc-de/suggest", data={"text": "x", "language": "de"}).status_code == 200


def test_the_backend_is_a_setting(make_client, suggester):
    make_client(backend="int8").post(SUGGEST, data={"text": "x"})
    assert suggester.asked[0][3] == "int8"


def test_health_and_metrics(client):
    assert client.get("/health").json() == {"status": "ok", **FACTS}
    client.post(SUGGEST, data={"text": "x"})
    client.post(BATCH, json={"documents": [{"text": "x"}] * 5})
    client.post(SUGGEST, content=b"", headers=JSON)
    lines = client.get("/metrics").text.splitlines()
    assert 'augury_taxonomy_texts_total{operation="suggest"} 1.0' in lines
    assert 'augury_taxonomy_texts_total{operation="suggest-batch"} 5.0' in lines
    assert 'augury_taxonomy_refused_total{status="400"} 1.0' in lines
    assert "augury_taxonomy_seconds_count 2.0" in lines


def test_a_web_page_may_ask_where_it_is_allowed_to(make_client):
    origin = {"Origin": "https://catalogue.example.org"}
    allowed = make_client(allowed_origins=["https://catalogue.example.org"]).post(
        SUGGEST, data={"text": "x"}, headers=origin
    )
    assert allowed.headers["access-control-allow-origin"] == origin["Origin"]
    assert "access-control-allow-origin" not in make_client().post(SUGGEST, data={"text": "x"}, headers=origin).headers


def test_predictions_wait_for_their_turn(make_client, suggester):
    client = make_client(limits={"predictions": 1})
    threads = [threading.Thread(target=client.post, args=(SUGGEST,), kwargs={"data": {"text": "x"}}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(suggester.asked), suggester.busiest) == (4, 1)


def test_a_real_predictor_answers():
    from fastapi.testclient import TestClient

    predictor = word_classifier()
    with TestClient(create_application(predictor, SuggestionSettings(), model_facts(predictor))) as client:
        (first, second, *_) = client.post(SUGGEST, data={"text": "algebra"}).json()["results"]
        batch = client.post(f"{BATCH}?limit=1", json={"documents": [{"text": "algebra"}, {"text": "computer"}]}).json()
        assert client.get("/health").json()["kind"] == "tfidf_linear"
    # Parents are at least as probable as what lies below them
    assert {first["notation"], second["notation"]} <= {"500", "510", "512"}
    assert first["uri"] == f"urn:taxonomy:{first['notation']}"
    assert batch[0]["results"] == [first]
    assert batch[1]["results"][0]["notation"] == "000"


# --- what is refused ---


@pytest.mark.parametrize("path", ["", "/suggest", "/suggest-batch", "/learn"])
def test_an_unknown_project_is_named(client, path):
    answer = client.request("POST" if path else "GET", f"/v1/projects/yso-fi{path}", json={})
    assert is_problem(answer, 404)
    assert answer.json()["title"] == "Project not found"
    assert answer.json()["detail"] == "Project 'yso-fi' not found"


def test_learning_is_not_allowed(client):
    assert is_problem(client.post("/v1/projects/taxonomy/learn", json=[]), 403)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "text: Field required"),
        ({"text": 5}, "text: Input should be a valid string"),
        ({"text": "x", "limit": -1}, "limit: .*greater than or equal to 0"),
        ({"text": "x", "limit": "two"}, "limit: .*valid integer"),
        ({"text": "x", "limit": 1.5}, "limit"),
        ({"text": "x", "threshold": 1.5}, "threshold: .*less than or equal to 1"),
        ({"text": "x", "threshold": "NaN"}, "threshold"),
        ({"text": "x", "language": "fi"}, 'language "fi" not supported by vocabulary'),
    ],
    ids=str,
)
def test_mistakes_in_a_request_are_named(client, suggester, body, message):
    answers = [client.post(SUGGEST, json=body)]
    if body.get("text") != 5:  # every field of a form is a text
        answers.append(client.post(SUGGEST, data=body))
    for answer in answers:
        assert is_problem(answer, 400)
        assert re.search(message, answer.json()["detail"])
    assert not suggester.asked


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "threshold=2", "threshold=nan", "language=fi"])
def test_mistakes_in_the_query_of_a_batch_are_named(client, query):
    assert is_problem(client.post(f"{BATCH}?{query}", json={"documents": [{"text": "x"}]}), 400)


@pytest.mark.parametrize(
    ("kind", "path", "status"),
    [
        ("text/plain", SUGGEST, 415),
        ("multipart/form-data; boundary=x", SUGGEST, 415),
        ("application/x-www-form-urlencoded", BATCH, 415),
        ("", SUGGEST, 415),
        ("application/json; charset=utf-8", SUGGEST, 200),
        ("APPLICATION/JSON", SUGGEST, 200),
    ],
)
def test_other_media_types_are_refused(client, kind, path, status):
    answer = client.post(path, content=json.dumps({"text": "x"}), headers={"Content-Type": kind})
    assert answer.status_code == status
    assert status == 200 or is_problem(answer, status)


def test_limits_are_settings(make_client, suggester):
    client = make_client(limits={"body_bytes": 3000, "text_chars": 100, "documents": 2, "results": 1})
    assert client.post(SUGGEST, data={"text": "x" * 100}).json() == {"results": RESULTS[:1]}
    assert is_problem(client.post(SUGGEST, data={"text": "x" * 101}), 413)
    assert is_problem(client.post(SUGGEST, content=b" " * 3001, headers=JSON), 413)
    assert is_problem(client.post(SUGGEST, content=(b" " * 500 for _ in range(100)), headers=JSON), 413)
    assert is_problem(client.post(BATCH, json={"documents": [{"text": "x"}] * 3}), 400)
    assert len(suggester.asked) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", SUGGEST, 405), ("POST", "/health", 405), ("GET", "/", 404), ("GET", "/docs", 404), ("GET", "/v2/x", 404)],
)
def test_other_paths_and_methods_are_problems_too(client, method, path, status):
    assert is_problem(client.request(method, path), status)


def test_a_model_that_fails_is_an_internal_error_and_the_next_text_is_answered(make_client):
    client = make_client(raising=False)
    answer = client.post(SUGGEST, data={"text": "explode"})
    assert is_problem(answer, 500)
    assert "no answer" not in answer.text
    assert client.post(SUGGEST, data={"text": "x"}).status_code == 200


# --- a fuzzed set ---

WRONG_VALUES = (0, -1, 1.5, True, [], ["x"], {}, {"a": 1}, "", "x" * 5000, None, 10**400, "NaN")


def bad_bodies(seed: int) -> list[tuple[str, bytes, dict[str, str]]]:
    """Forms and JSON that are cut off, mutated, binary, wrongly typed, nested, or in another encoding."""
    draw = random.Random(seed)
    whole = {"text": "a text", "limit": 3, "threshold": 0.1, "language": "en"}
    batch = {"documents": [{"text": "a text", "document_id": "a", "metadata": {"b": "c"}}]}
    goods = [
        (SUGGEST, json.dumps(whole).encode(), JSON),
        (BATCH, json.dumps(batch).encode(), JSON),
        (SUGGEST, urlencode(whole).encode(), FORM),
    ]
    bodies = []
    for path, good, kind in goods:
        bodies += [(path, good[:length], kind) for length in range(0, len(good), 3)]
        for _ in range(60):
            mutated = bytearray(good)
            for _ in range(draw.randint(1, 6)):
                mutated[draw.randrange(len(mutated))] = draw.randrange(256)
            bodies.append((path, bytes(mutated), kind))
        bodies += [(path, draw.randbytes(draw.randint(1, 500)), kind) for _ in range(20)]
        bodies += [(path, opening * 50_000, kind) for opening in (b"[", b'{"a":', b'{"documents":', b"text=&")]
        bodies += [(path, good.decode().encode(encoding), kind) for encoding in ("utf-16", "utf-8-sig")]
    for field in whole:
        bodies += [(SUGGEST, json.dumps(whole | {field: value}).encode(), JSON) for value in WRONG_VALUES]
    for value in WRONG_VALUES:
        bodies += [
            (BATCH, json.dumps(content).encode(), JSON)
            for content in (value, {"documents": value}, {"documents": [value]}, {"documents": [{"text": value}]})
        ]
    bodies += [(SUGGEST, b"text=%ff%fe", FORM), (SUGGEST, b'{"text": "\\ud800"}', JSON), (SUGGEST, b"text=%00", FORM)]
    return bodies


def test_bad_bodies_are_refused_and_the_next_good_one_is_answered(client):
    refused = 0
    for path, body, kind in bad_bodies(1):
        answer = client.post(path, content=body, headers=kind)
        assert answer.status_code == 200 or is_problem(answer, answer.status_code), body[:200]
        assert answer.status_code in (200, 400, 413), body[:200]
        refused += answer.status_code != 200
    assert refused > 300
    assert client.post(SUGGEST, data={"text": "x"}).json() == {"results": RESULTS}


# --- settings ---


def test_settings_are_read_from_a_file_and_options_come_first(tmp_path):
    (tmp_path / "a.yml").write_text("port: 9000\nlanguage: de\nlimits: {documents: 8}\n")
    settings = read_settings(tmp_path / "a.yml", host=None, port=9001)
    assert (settings.port, settings.host, settings.language, settings.limits.documents) == (9001, "127.0.0.1", "de", 8)
    assert settings.limits.connections == 200
    assert read_settings(None) == SuggestionSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prt: 1", r"'service.prt' is unknown \(value 1\). Did you mean 'port'"),
        ("backend: gpu", "'service.backend'"),
        ("language: english", "'service.language'"),
        ("project: a/b", "'service.project'"),
        ("limits: {documents: 0}", "'service.limits.documents'"),
        ("- a", "keys and values"),
        ("a: [", "neither YAML nor JSON"),
    ],
)
def test_mistakes_in_the_settings_are_named(tmp_path, text, message):
    (tmp_path / "s.yml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_settings(tmp_path / "s.yml")
