"""A predictor whose answers are known in advance, and the service around it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from augury.predictors.query_classifier import QueryClassifier
from augury.predictors.query_routing import QueryRouter
from augury.services.trino_gateway.application import create_application
from augury.services.trino_gateway.completed_queries import Heaviness
from augury.services.trino_gateway.settings import ServiceSettings

FACTS = {"model": "query_cost", "version": "2026-01-01T00:00:00+00:00", "snapshot": "2025-12-31"}


class StagedPredictor:
    """Heavy where the text says `huge`, light elsewhere, and an error where it says `explode`."""

    def __init__(self) -> None:
        self.classifier = QueryClassifier(["SHOW", "SESSION"])
        self.operating_points = {"cost_optimal": 0.01, "recall_98": 0.00005}
        self.asked: list[Mapping[str, Any]] = []

    def predict_one(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        if "explode" in request["query"]:
            raise ArithmeticError("no answer")
        probability = 0.9 if "huge" in request["query"] else 0.0001
        return {"probability": probability, "is_heavy": probability >= 0.01, "cpu_seconds": 12.0, "category": "model"}


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def predictor() -> StagedPredictor:
    return StagedPredictor()


@pytest.fixture
def make_client(predictor: StagedPredictor) -> Iterator[Callable[..., Any]]:
    """A function: changed settings -> client of a service with them. An exception inside is raised here."""
    from fastapi.testclient import TestClient

    clients = []

    def make(**settings: Any) -> TestClient:
        chosen = ServiceSettings.model_validate(settings)
        router = QueryRouter(predictor, chosen.routing)
        heaviness = Heaviness(cpu_threshold_seconds=300, memory_threshold_gb=10, errors={"EXCEEDED_CPU_LIMIT"})
        clients.append(TestClient(create_application(router, chosen, FACTS, heaviness)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., Any]) -> Any:
    return make_client()
