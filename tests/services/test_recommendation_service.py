"""The service answers for known users, new ones and histories, and nothing that is sent to it brings it down."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from augury.predictors.contract import DataFacts, Metadata
from augury.predictors.recommendation import INPUTS, OUTPUTS, Recommender
from augury.predictors.recommendation_answers import answer_history, answer_user
from augury.predictors.recommender_scorers import ItemScorer, Mixture
from augury.predictors.user_histories import Histories
from augury.services.recommendations.application import MOST_K, create_application
from augury.services.web.request_limits import RequestLimits


@pytest.fixture(scope="module")
def recommender():
    random = np.random.default_rng(0)
    users, items = 8, 12
    weights = random.normal(size=(items, items)).astype(np.float32)
    pairs = np.repeat(np.arange(users), 3), np.argsort(random.random((users, items)), axis=1)[:, :3].ravel()
    histories = Histories.from_pairs(*pairs, np.ones(24, dtype=np.float32), np.arange(24), (users, items))
    metadata = Metadata(
        predictor="recommendation",
        family="top_k_recommender",
        task="ranking: implicit top-k recommendation",
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=("user_id",),
        parameters={},
        data=DataFacts(fingerprint="f" * 64, rows=24, groups=users, origin={"simulated": 24}),
        versions={},
        seed=0,
        git_commit=None,
        created_at="2026-02-01T00:00:00+00:00",
    )
    return Recommender(
        metadata,
        Mixture([ItemScorer(weights)], [1.0]),
        histories,
        np.linspace(1, 0, items, dtype=np.float32),
        ["a/b?c", *(f"u{code}" for code in range(1, users))],
        [f"i{code}" for code in range(items)],
    )


@pytest.fixture(scope="module")
def client(recommender):
    return TestClient(create_application(recommender, RequestLimits(body_bytes=2000)), raise_server_exceptions=False)


@pytest.mark.parametrize("user", ["u3", "a%2Fb%3Fc", "nobody"])
def test_a_users_list(client, recommender, user):
    found = client.get(f"/v1/users/{user}/recommendations?k=4")
    assert found.status_code == 200
    name = user.replace("%2F", "/").replace("%3F", "?")
    assert found.json() == answer_user(recommender, name, 4)
    assert found.json()["known_user"] is (user != "nobody")


def test_seen_items_may_be_asked_for(client, recommender):
    found = client.get("/v1/users/u3/recommendations", params={"k": 12, "include_seen": "true"}).json()
    assert len(found["items"]) == 12
    assert len(client.get("/v1/users/u3/recommendations", params={"k": 12}).json()["items"]) == 9


def test_a_history_with_filters(client, recommender):
    question = {"history": ["i1", "i2"], "k": 3, "allow": ["i3", "i4", "i5", "i6"], "deny": ["i4"]}
    found = client.post("/v1/recommendations", json=question)
    assert found.json() == answer_history(recommender, ["i1", "i2"], 3, ["i3", "i4", "i5", "i6"], ["i4"])
    assert {entry["item_id"] for entry in found.json()["items"]} == {"i3", "i5", "i6"}


def test_a_user_with_filters_and_nobody_at_all(client, recommender):
    found = client.post("/v1/recommendations", json={"user_id": "u2", "deny": ["i0"]}).json()
    assert found == answer_user(recommender, "u2", deny=["i0"])
    assert client.post("/v1/recommendations", json={"k": 1}).json()["items"][0]["item_id"] == "i0"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"k": 0}', 400),
        (b'{"k": %d}' % (MOST_K + 1), 400),
        (b'{"history": "i1"}', 400),
        (b'{"historie": []}', 400),
        (b'{"user_id": "u1", "history": ["i1"]}', 400),
        (b'{"history": ["' + b"x" * 3000 + b'"]}', 413),
    ],
)
def test_mistakes_are_refused(client, body, status):
    found = client.post("/v1/recommendations", content=body, headers={"Content-Type": "application/json"})
    assert found.status_code == status
    assert len(found.json()["errors"]) == 1


@pytest.mark.parametrize(("query", "status"), [("k=0", 400), ("k=x", 400), ("n=3", 400), ("k=1", 200)])
def test_queries_are_checked(client, query, status):
    assert client.get(f"/v1/users/u1/recommendations?{query}").status_code == status


def test_other_paths_and_health(client):
    assert client.get("/v1/users").status_code == 404
    assert client.get("/v1/recommendations").status_code == 405
    found = client.get("/health").json()
    assert (found["status"], found["users"], found["items"]) == ("ok", 8, 12)
