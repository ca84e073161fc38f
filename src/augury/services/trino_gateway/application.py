"""The web application: Trino Gateway's external routing, health, metrics and, if wanted, completed queries."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from augury.predictors.query_routing import Decision, QueryRouter
from augury.services.trino_gateway.completed_queries import CompletedQuery, Heaviness
from augury.services.trino_gateway.instruments import Instruments
from augury.services.trino_gateway.messages import RoutingRequest
from augury.services.trino_gateway.settings import LimitSettings, ServiceSettings
from augury.services.web.request_body import read_bounded

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

LONG_QUERY_CHARS = 20_000
"""Longer queries are decided in a thread, so that the others and `/health` do not wait for them."""

MessageT = TypeVar("MessageT", bound=BaseModel)


class Refusal(Exception):
    """A request that cannot be answered; becomes a status and a JSON message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def create_application(
    router: QueryRouter, settings: ServiceSettings, facts: Mapping[str, str], heaviness: Heaviness
) -> "FastAPI":
    """Build the application.

    Args:
        router: Decides.
        settings: Paths and limits.
        facts: What the model is, for `/health` and `/metrics`.
        heaviness: What makes a completed query heavy.

    Returns:
        An ASGI application without state outside ``router``.
    """
    from fastapi import FastAPI, Request, Response
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    application = FastAPI(title="Augury query routing", openapi_url=None, docs_url=None, redoc_url=None)
    instruments = Instruments(facts, lambda: float(len(router.cache)))
    limits, routing = settings.limits, settings.routing

    async def route(request: Request) -> Response:
        body = await read_body(request, limits)
        start = time.perf_counter()
        asked = parse(RoutingRequest, body)
        text = asked.query_text()
        if len(text) > limits.query_chars:
            raise Refusal(413, f"The query has {len(text):,} characters; at most {limits.query_chars:,} are read.")
        if not text.strip() and asked.is_query():
            # The gateway read no text (too long for it, another encoding), but there is a query, and it can be any
            decision = Decision(routing.large_group, "fallback")
        else:
            known = asked.to_request(request.headers.get, datetime.now(UTC))
            if len(text) > LONG_QUERY_CHARS:
                decision = await run_in_threadpool(router.route, known)
            else:
                decision = router.route(known)
        instruments.decided(decision.group, decision.reason, time.perf_counter() - start)
        return JSONResponse({"routingGroup": decision.group, "errors": []})

    async def learn(request: Request) -> Response:
        completed = parse(CompletedQuery, await read_body(request, limits))
        if len(completed.query) > limits.query_chars:
            raise Refusal(413, f"The query has {len(completed.query):,} characters.")
        outcome = heaviness.judge(completed)
        if outcome is not None:
            heavy, exhausted = outcome
            await run_in_threadpool(router.learn, completed.to_request(), heavy, exhausted)
        name = "unknown" if outcome is None else "heavy" if outcome[0] else "light"
        instruments.learned(name)
        return JSONResponse({"outcome": name, "errors": []})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", **facts})

    async def metrics(_: Request) -> Response:
        content, media_type = instruments.exposition()
        return Response(content, media_type=media_type)

    def refuse(request: Request, error: Exception) -> Response:
        status, message = 500, "Internal error"
        if isinstance(error, Refusal):
            status, message = error.status, str(error)
        elif isinstance(error, HTTPException):  # no such path or method
            status, message = error.status_code, error.detail
        instruments.refused(status)
        return JSONResponse({"errors": [message]}, status_code=status, headers=getattr(error, "headers", None))

    for kind in (Refusal, HTTPException, Exception):
        application.add_exception_handler(kind, refuse)
    # Plain routes: the handlers read requests themselves, and resolving arguments would cost more than the answer
    application.add_route(settings.path, route, methods=["POST"])
    application.add_route("/health", health, methods=["GET"])
    application.add_route("/metrics", metrics, methods=["GET"])
    if settings.learning.enabled:
        application.add_route(settings.learning.path, learn, methods=["POST"])
    return application


async def read_body(request: "Request", limits: LimitSettings) -> bytes:
    """Read a JSON body, but no more of it than is allowed.

    Args:
        request: The request.
        limits: Bytes and seconds.

    Returns:
        The body.

    Raises:
        Refusal: It is no JSON by its own account, too large, too slow, or the client went away.
    """
    # The gateway passes on the client's headers beside its own, so there may be two types, and one of them is JSON
    types = [
        part.split(";")[0].strip().lower()
        for value in request.headers.getlist("content-type")
        for part in value.split(",")
    ]
    if types and not any(kind == "application/json" or kind.endswith("+json") for kind in types):
        raise Refusal(415, "The body must be application/json.")
    return await read_bounded(request, limits.body_bytes, limits.body_seconds, Refusal)


def parse(message: type[MessageT], body: bytes) -> MessageT:
    """Read a message from a body.

    Args:
        message: What it should be.
        body: JSON.

    Returns:
        The message.

    Raises:
        Refusal: The body is not JSON, or not this message.
    """
    try:
        return message.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(400, f"{where}: {first['msg']}" if where else first["msg"]) from None
