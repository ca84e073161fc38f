"""The service speaks Trino Gateway's external-routing contract, and nothing that is sent to it brings it down."""

import json
import random
import re
from datetime import datetime

import pytest
from pydantic import ValidationError

from augury.errors import UserError
from augury.services.trino_gateway.settings import ServiceSettings, read_settings

JSON = {"Content-Type": "application/json"}


def gateway_body(query: str | None, **properties) -> dict:
    """What the gateway posts with `analyzeRequest: true`."""
    return {
        "trinoQueryProperties": {
            "body": query,
            "queryType": "Query",
            "resourceGroupQueryType": "SELECT",
            "tables": ["hive.sales.orders"],
            "defaultCatalog": "hive",
            "defaultSchema": "sales",
            "catalogs": ["hive"],
            "schemas": ["sales"],
            "catalogSchemas": ["hive.sales"],
            "isNewQuerySubmission": True,
            "isQueryParsingSuccessful": True,
            "errorMessage": None,
            **properties,
        },
        "trinoRequestUser": {"user": "ada", "userInfo": None},
        "contentType": "application/json",
        "remoteUser": None,
        "method": "POST",
        "requestURI": "/v1/statement",
        "queryString": None,
        "session": None,
        "remoteAddr": "10.0.0.1",
        "remoteHost": "10.0.0.1",
        "parameters": {},
    }


GOOD = gateway_body("select * from huge")
ANSWER = {"routingGroup": "large", "errors": []}

# --- the contract ---


@pytest.mark.parametrize(
    ("query", "group"), [("select * from huge", "large"), ("select 1 from t", "small"), ("show tables", "small")]
)
def test_a_query_gets_its_group(client, query, group):
    answer = client.post("/route", json=gateway_body(query))
    assert answer.status_code == 200
    assert answer.json() == {"routingGroup": group, "errors": []}
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"trinoQueryProperties": None, "trinoRequestUser": None, "method": "GET", "requestURI": "/ui/"},
        {key: value for key, value in GOOD.items() if key != "trinoQueryProperties"},
        gateway_body("", isNewQuerySubmission=False),
        gateway_body(None, isNewQuerySubmission=False),
        gateway_body(" \n\t", isNewQuerySubmission=False),
    ],
    ids=["empty", "no analysis", "no properties", "empty text", "null text", "blank text"],
)
def test_a_request_without_a_query_gets_the_default_group(client, predictor, body):
    answer = client.post("/route", json=body)
    assert (answer.status_code, answer.json()) == (200, {"routingGroup": "adhoc", "errors": []})
    assert not predictor.asked


def test_a_query_whose_text_the_gateway_could_not_read_goes_large(client):
    # The gateway leaves the text out where it is longer than maxBodySize or not UTF-8
    assert client.post("/route", json=gateway_body("", isNewQuerySubmission=True)).json()["routingGroup"] == "large"


def test_a_model_that_fails_is_no_error_for_the_gateway(client):
    # With propagateErrors the gateway would refuse the query, without it the client's own wish would count
    answer = client.post("/route", json=gateway_body("explode"))
    assert (answer.status_code, answer.json()) == (200, ANSWER)


def test_the_model_sees_what_the_gateway_says(client, predictor):
    client.post(
        "/route",
        json=GOOD,
        headers={
            "X-Trino-Source": "superset",
            "X-Trino-Client-Tags": "a,b",
            "X-Trino-Client-Info": "dash",
            "X-Trino-User": "other",
        },
    )
    (request,) = predictor.asked
    when = datetime.fromisoformat(request.pop("create_time"))
    assert when.tzinfo is None
    assert request == {
        "query": "select * from huge",
        "prepared_query": None,
        "user": "ada",
        "catalog": "hive",
        "schema": "sales",
        "source": "superset",
        "client_tags": "a,b",
        "client_info": "dash",
        "query_type": "SELECT",
    }


def test_what_the_body_does_not_say_is_taken_from_the_headers(client, predictor):
    body = {"trinoQueryProperties": {"body": "select 1 from t"}, "remoteUser": "proxy"}
    client.post("/route", json=body)
    client.post("/route", json=body, headers={"X-Trino-User": "bob", "X-Trino-Catalog": "c", "X-Trino-Schema": "s"})
    assert [(asked["user"], asked["catalog"], asked["schema"]) for asked in predictor.asked] == [
        ("proxy", None, None),
        ("bob", "c", "s"),
    ]


def test_fields_of_a_later_gateway_do_not_disturb(client):
    body = GOOD | {"trinoStatus": {"a": [1]}, "session": {"id": 7}, "parameters": None, "contentType": ["x"]}
    body["trinoQueryProperties"] = body["trinoQueryProperties"] | {"tables": {"now": "an object"}, "more": 1}
    assert client.post("/route", json=body).json() == ANSWER


@pytest.mark.parametrize(
    "types",
    [
        ["application/json"],
        ["application/json; charset=utf-8", "text/plain; charset=utf-8"],
        ["text/plain, application/json"],
        [],
    ],
    ids=str,
)
def test_the_clients_own_content_type_beside_the_gateways_is_no_obstacle(client, types):
    headers = [("content-type", kind) for kind in types]
    assert client.post("/route", content=json.dumps(GOOD), headers=headers).json() == ANSWER


def test_paths_and_groups_are_settings(make_client):
    client = make_client(path="/gateway-rules", routing={"large_group": "etl-xl"})
    assert client.post("/gateway-rules", json=GOOD).json()["routingGroup"] == "etl-xl"
    assert client.post("/route", json=GOOD).status_code == 404


# --- health and metrics ---


def test_health_names_the_model(client):
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["model"] == "query_cost"
    assert answer.json()["snapshot"] == "2025-12-31"


def samples(client) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_count_decisions_by_group_and_reason(client):
    for query, times in (("select * from huge", 3), ("show tables", 2), ("explode", 1)):
        for _ in range(times):
            client.post("/route", json=gateway_body(query))
    client.post("/route", content=b"nonsense", headers=JSON)
    found = samples(client)
    assert found['augury_query_cost_decisions_total{group="large",reason="model"}'] == 3
    assert found['augury_query_cost_decisions_total{group="small",reason="zero_cost"}'] == 2
    assert found['augury_query_cost_decisions_total{group="large",reason="fallback"}'] == 1
    assert found['augury_query_cost_refused_total{status="400"}'] == 1
    assert found['augury_query_cost_seconds_bucket{le="+Inf"}'] == 6
    assert found["augury_query_cost_seconds_count"] == 6
    (model,) = [name for name in found if name.startswith("augury_query_cost_model_info")]
    assert 'snapshot="2025-12-31"' in model
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_metrics_of_two_services_in_one_process_are_apart(make_client):
    one, other = make_client(), make_client()
    one.post("/route", json=GOOD)
    assert samples(one)["augury_query_cost_seconds_count"] == 1
    assert samples(other)["augury_query_cost_seconds_count"] == 0


# --- completed queries ---

COMPLETED_EVENT = {
    "metadata": {"queryId": "1", "query": "select * from t where a = 1", "queryState": "FAILED", "preparedQuery": None},
    "context": {"user": "ada", "catalog": "hive", "schema": "sales", "principal": None},
    "statistics": {"cpuTime": 12.5, "peakUserMemoryBytes": 1000, "wallTime": 1.0},
    "failureInfo": {"errorCode": {"code": 131079, "name": "EXCEEDED_CPU_LIMIT", "type": "INSUFFICIENT_RESOURCES"}},
    "createTime": "2026-01-01T00:00:00Z",
}


def test_learning_is_off_unless_it_is_asked_for(client):
    assert client.post("/learn", json=COMPLETED_EVENT).status_code == 404


def test_a_completed_query_teaches_the_cache(make_client):
    client = make_client(learning={"enabled": True})
    body = gateway_body("SELECT * FROM t WHERE a = 2")
    assert client.post("/route", json=body).json()["routingGroup"] == "small"
    assert client.post("/learn", json=COMPLETED_EVENT).json() == {"outcome": "heavy", "errors": []}
    assert client.post("/route", json=body).json()["routingGroup"] == "large"
    found = samples(client)
    assert found['augury_query_cost_decisions_total{group="large",reason="cache"}'] == 1
    assert found['augury_query_cost_learned_total{outcome="heavy"}'] == 1
    assert found["augury_query_cost_cached_templates"] == 1


@pytest.mark.parametrize(
    ("completed", "outcome"),
    [
        ({"cpu_time_s": 300.0, "peak_memory_gb": 0.0}, "heavy"),
        ({"cpu_time_s": 299.9, "peak_memory_gb": 10.0}, "light"),
        ({"cpu_time_s": 0.0, "peak_memory_gb": 10.1}, "heavy"),
        ({"cpu_time_s": 1, "peak_memory_gb": 1, "query_state": "FINISHED"}, "light"),
        ({"cpu_time_s": 1, "peak_memory_gb": 1, "query_state": "FAILED"}, "unknown"),
        ({"cpu_time_s": 1, "peak_memory_gb": 1, "error_name": "USER_CANCELED"}, "unknown"),
        ({"cpu_time_s": 301, "error_name": "USER_CANCELED"}, "heavy"),
        ({"error_name": "EXCEEDED_CPU_LIMIT"}, "heavy"),
        ({"cpu_time_s": 1}, "unknown"),
        ({}, "unknown"),
    ],
    ids=str,
)
def test_outcomes_are_judged_as_in_training(make_client, completed, outcome):
    client = make_client(learning={"enabled": True})
    answer = client.post("/learn", json={"query": "select 1 from t", **completed})
    assert (answer.status_code, answer.json()["outcome"]) == (200, outcome)


@pytest.mark.parametrize(
    ("duration", "outcome"),
    [(300.0, "heavy"), (299, "light"), ("300.00s", "heavy"), ("299000ms", "light"), ("5.0m", "heavy")],
)
def test_durations_of_events_are_seconds_or_have_a_unit(make_client, duration, outcome):
    client = make_client(learning={"enabled": True})
    event = {"metadata": {"query": "select 1"}, "statistics": {"cpuTime": duration, "peakUserMemoryBytes": 1}}
    assert client.post("/learn", json=event).json()["outcome"] == outcome


@pytest.mark.parametrize(
    "completed",
    [
        {},
        {"query": 1},
        {"query": "select 1", "cpu_time_s": "12"},
        {"query": "select 1", "cpu_time_s": -1},
        {"metadata": {}},
        {"metadata": 5},
        {"metadata": {"query": "select 1"}, "statistics": {"cpuTime": "soon"}},
        {"metadata": {"query": "select 1"}, "statistics": []},
        {"metadata": {"query": "select 1"}, "failureInfo": {"errorCode": {"name": 5}}},
        [],
        "select 1",
    ],
    ids=str,
)
def test_malformed_completed_queries_are_refused(make_client, completed):
    client = make_client(learning={"enabled": True})
    answer = client.post("/learn", json=completed)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]


# --- what is refused ---


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "Invalid JSON"),
        (b"select 1", 400, "Invalid JSON"),
        (b"[1, 2]", 400, "object"),
        (b'"text"', 400, "object"),
        (b"null", 400, "object"),
        (b'{"trinoQueryProperties": []}', 400, "trinoQueryProperties"),
        (b'{"trinoQueryProperties": {"body": 5}}', 400, "trinoQueryProperties.body: Input should be a valid string"),
        (b'{"trinoQueryProperties": {"body": ["select 1"]}}', 400, "trinoQueryProperties.body"),
        (b'{"trinoQueryProperties": {"isNewQuerySubmission": "yes"}}', 400, "isNewQuerySubmission"),
        (b'{"trinoRequestUser": {"user": {}}}', 400, "trinoRequestUser.user"),
        (b'{"trinoQueryProperties": {"body": "\\ud800"}}', 400, "hex escape"),
        (b'{"trinoQueryProperties": {"body": "\xff\xfe"}}', 400, "Invalid JSON"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "recursion"),
        (b'{"x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001, 400, "recursion"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_malformed_bodies_are_refused_with_a_message(client, content, status, message):
    answer = client.post("/route", content=content, headers=JSON)
    assert answer.status_code == status
    assert re.search(message, answer.json()["errors"][0])


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/octet-stream", "multipart/form-data; boundary=x", "", "json"]
)
def test_another_content_type_is_refused(client, kind):
    answer = client.post("/route", content=json.dumps(GOOD), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()) == (415, {"errors": ["The body must be application/json."]})


def test_limits_are_settings(make_client):
    client = make_client(limits={"body_bytes": 2000, "query_chars": 100})
    assert client.post("/route", json=gateway_body("x" * 100)).status_code == 200
    answer = client.post("/route", json=gateway_body("x" * 101))
    assert (answer.status_code, "at most 100" in answer.json()["errors"][0]) == (413, True)
    assert client.post("/route", content=b" " * 2001, headers=JSON).status_code == 413
    assert client.post("/route", json=gateway_body("select 1 from t")).status_code == 200


def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(make_client):
    client = make_client(limits={"body_bytes": 5000})
    chunks = (b" " * 1000 for _ in range(1000))
    assert client.post("/route", content=chunks, headers=JSON).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/route", 405),
        ("POST", "/health", 405),
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
    ],
)
def test_other_paths_and_methods_are_refused_as_json(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["errors"]


def test_queries_of_any_text_are_answered(client):
    for query in (
        "\x00",
        "select '\x00' from t",
        "выбрать",
        "選択 * から",
        "{{ ref('x') }}",
        "'" * 5000,
        "(" * 20_000,
        "select * from t where a in (" + ",".join(map(str, range(100_000))) + ")",
        "\u202e\ufeff",
        "😀",
    ):
        answer = client.post("/route", json=gateway_body(query))
        assert (answer.status_code, answer.json()["errors"]) == (200, [])


# --- a fuzzed set ---

WRONG_VALUES = (0, -1, 1.5, True, [], ["x"], {}, {"a": {"b": []}}, "", "x" * 10_000, None, 10**400)


def bad_bodies(seed: int) -> list[bytes]:
    """Bodies that are cut off, mutated, binary, wrongly typed, nested, oversized, or in another encoding."""
    draw = random.Random(seed)
    good = json.dumps(GOOD).encode()
    bodies = [good[:length] for length in range(len(good))]
    for _ in range(400):
        mutated = bytearray(good)
        for _ in range(draw.randint(1, 20)):
            at = draw.randrange(len(mutated))
            kind = draw.random()
            if kind < 0.4:
                mutated[at] = draw.randrange(256)
            elif kind < 0.7:
                mutated[at:at] = draw.randbytes(draw.randint(1, 8))
            else:
                del mutated[at : at + draw.randint(1, 8)]
        bodies.append(bytes(mutated))
    bodies += [draw.randbytes(draw.randint(1, 3000)) for _ in range(200)]
    for where in ("trinoQueryProperties", "trinoRequestUser"):
        bodies += [json.dumps(GOOD | {where: value}).encode() for value in WRONG_VALUES]
        for field in GOOD[where]:
            bodies += [json.dumps(GOOD | {where: GOOD[where] | {field: value}}).encode() for value in WRONG_VALUES]
    bodies += [json.dumps(value).encode() for value in WRONG_VALUES]
    for depth in (100, 1000, 50_000):
        bodies += [b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth, b'{"trinoQueryProperties":' * depth]
    bodies += [good.decode().encode(encoding) for encoding in ("utf-16", "utf-32", "utf-16-le", "utf-8-sig")]
    bodies += [
        good + good,
        good + b"\x00",
        b"\x00" + good,
        good.replace(b"huge", b"\x00"),
        good.replace(b"huge", b"\xc3("),
    ]
    bodies += [
        b"NaN",
        b"Infinity",
        b'{"a": NaN}',
        b"1e999",
        b"9" * 10_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a" "b"}',
    ]
    bodies += [b'{"trinoQueryProperties": {"body": "' + b"x" * size + b'"}}' for size in (1_000_001, 6_000_000)]
    return bodies


def test_a_thousand_bad_bodies_are_refused_and_the_next_good_one_is_answered(client):
    bodies = bad_bodies(1)
    refused = 0
    for body in bodies:
        answer = client.post("/route", content=body, headers=JSON)
        assert answer.status_code == 200 or 400 <= answer.status_code < 500, body[:200]
        message = answer.json()["errors"]
        assert bool(message) == (answer.status_code != 200)
        refused += answer.status_code != 200
        if answer.status_code == 200:  # a mutation can leave valid JSON of the right types
            json.loads(body)
    assert refused >= 1000
    assert client.post("/route", json=GOOD).json() == ANSWER


# --- settings ---


def test_settings_are_read_from_yaml_and_json_and_options_come_first(tmp_path):
    (tmp_path / "a.yml").write_text("port: 9000\nrouting: {large_group: xl, cache: {enabled: false}}\n")
    (tmp_path / "a.json").write_text('{"port": 9000, "routing": {"large_group": "xl", "cache": {"enabled": false}}}')
    for name in ("a.yml", "a.json"):
        settings = read_settings(tmp_path / name, host=None, port=9001)
        assert (settings.port, settings.host, settings.routing.large_group) == (9001, "127.0.0.1", "xl")
        assert not settings.routing.cache.enabled
    (tmp_path / "empty.yml").write_text("# nothing\n")
    assert read_settings(tmp_path / "empty.yml") == read_settings(None) == ServiceSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prt: 1", r"'service.prt' is unknown \(value 1\). Did you mean 'port'"),
        ("port: 99999", "'service.port'"),
        ("port: http", "'service.port'"),
        ("path: route", "'service.path'"),
        ("limits: {body_bytes: 0}", "'service.limits.body_bytes'"),
        ("routing: {writes: small}", "'service.routing.writes'"),
        ("routing: {cache: {entries: -1}}", "'service.routing.cache.entries'"),
        ("- a\n- b", "keys and values"),
        ("a: [", "neither YAML nor JSON"),
        ("\x00", "neither YAML nor JSON"),
    ],
)
def test_mistakes_in_the_settings_are_named(tmp_path, text, message):
    (tmp_path / "s.yml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_settings(tmp_path / "s.yml")


def test_a_settings_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.yml.* cannot be read"):
        read_settings(tmp_path / "none.yml")


def test_settings_cannot_change_while_the_service_runs():
    with pytest.raises(ValidationError):
        ServiceSettings().port = 1
