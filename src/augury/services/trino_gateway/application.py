"""The web application: Trino Gateway's external routing, health, metrics and, if wanted, completed queries."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from augury.predictors.query_routing import Decision, QueryRouter
from augury.services.trino_gateway.completed_queries import CompletedQuery, Heaviness
from augury.services.trino_gateway.instruments import Instruments
from augury.services.trino_gateway.messages import RoutingRequest
from augury.services.trino_gateway.settings import ServiceSettings
from augury.services.web.json_messages import Refusal, parse, read_json

if TYPE_CHECKING:
    from fastapi import FastAPI

LONG_QUERY_CHARS = 20_000
"""Longer queries are decided in a thread, so that the others and `/health` do not wait for them."""


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
        body = await read_json(request, limits.body_bytes, limits.body_seconds)
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
        completed = parse(CompletedQuery, await read_json(request, limits.body_bytes, limits.body_seconds))
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
