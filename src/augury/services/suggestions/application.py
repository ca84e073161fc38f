"""The web application: Annif's ``/v1`` for one project, health and metrics."""

import http
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from augury.services.suggestions.instruments import Instruments
from augury.services.suggestions.messages import (
    MEDIA_FORM,
    MEDIA_JSON,
    MEDIA_PROBLEM,
    BatchOptions,
    Refusal,
    SuggestRequest,
    parse_batch,
    parse_options,
    parse_suggest,
    problem,
)
from augury.services.suggestions.settings import SuggestionSettings
from augury.services.web.request_body import read_bounded

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

FIELDS = ("uri", "label", "notation", "score")
Suggestions = list[list[dict[str, Any]]]


class Suggester(Protocol):
    """What is asked of a predictor."""

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that it knows."""

    def suggest(
        self, texts: Sequence[str], limit: int = 10, threshold: float = 0.0, backend: Any = None
    ) -> Suggestions:
        """For each text ``notation``, ``label``, ``score`` and ``uri`` of the most probable codes."""


def create_application(predictor: Suggester, settings: SuggestionSettings, facts: Mapping[str, str]) -> "FastAPI":
    """Build the application.

    Args:
        predictor: Suggests.
        settings: Names and limits.
        facts: What the model is, for `/health` and `/metrics`: ``model``, ``version`` (when it was trained) and others.

    Returns:
        An ASGI application.
    """
    from fastapi import FastAPI, Request, Response
    from fastapi.concurrency import run_in_threadpool
    from fastapi.middleware.cors import CORSMiddleware
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    application = FastAPI(title="Augury suggestions", openapi_url=None, docs_url=None, redoc_url=None)
    instruments = Instruments(facts)
    limits = settings.limits
    identifier = settings.project or facts["model"]
    project = project_of(predictor, settings, facts)
    turn = threading.BoundedSemaphore(limits.predictions)

    def ask(texts: list[str], options: SuggestRequest | BatchOptions) -> list[dict[str, Any]]:
        limit = min(options.limit, limits.results)
        if not limit or not any(text.strip() for text in texts):
            return [{"results": []} for _ in texts]
        with turn:
            found = predictor.suggest(texts, limit, options.threshold, settings.backend)
        return [
            {"results": [{name: one.get(name) for name in FIELDS} for one in row] if text.strip() else []}
            for text, row in zip(texts, found, strict=True)
        ]

    async def answer(texts: list[str], options: SuggestRequest | BatchOptions, operation: str) -> list[dict[str, Any]]:
        language = options.language or settings.language
        if language != settings.language:
            raise Refusal(400, f'language "{language}" not supported by vocabulary')
        longest = max(map(len, texts), default=0)
        if longest > limits.text_chars:
            raise Refusal(413, f"The text has {longest:,} characters; at most {limits.text_chars:,} are read.")
        start = time.perf_counter()
        found = await run_in_threadpool(ask, texts, options)
        instruments.suggested(operation, len(texts), time.perf_counter() - start)
        return found

    async def suggest(request: Request) -> Response:
        _require_project(request, identifier)
        body, media = await read_body(request, settings, (MEDIA_FORM, MEDIA_JSON))
        asked = parse_suggest(body, media)
        (found,) = await answer([asked.text], asked, "suggest")
        return JSONResponse(found)

    async def suggest_batch(request: Request) -> Response:
        _require_project(request, identifier)
        options = parse_options(dict(request.query_params))
        body, _ = await read_body(request, settings, (MEDIA_JSON,))
        documents = parse_batch(body, limits.documents).documents
        found = await answer([document.text for document in documents], options, "suggest-batch")
        return JSONResponse(
            [{**one, "document_id": document.document_id} for one, document in zip(found, documents, strict=True)]
        )

    async def learn(request: Request) -> Response:
        _require_project(request, identifier)
        raise Refusal(403, "This project learns by training alone, not from single documents.", "Learning not allowed")

    async def show_project(request: Request) -> Response:
        _require_project(request, identifier)
        return JSONResponse(project)

    async def show_projects(_: Request) -> Response:
        return JSONResponse({"projects": [project]})

    async def show_vocabs(_: Request) -> Response:
        return JSONResponse({"vocabs": [project["vocab"]]})

    async def show_info(_: Request) -> Response:
        return JSONResponse({"title": "Augury suggestions, after the Annif REST API", "version": facts["version"]})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", **facts})

    async def metrics(_: Request) -> Response:
        content, media_type = instruments.exposition()
        return Response(content, media_type=media_type)

    def refuse(_: Request, error: Exception) -> Response:
        status, detail, title = 500, "Internal error", None
        if isinstance(error, Refusal):
            status, detail, title = error.status, str(error), error.title
        elif isinstance(error, HTTPException):  # no such path or method
            status, detail = error.status_code, error.detail
        instruments.refused(status)
        content = problem(status, detail, title or http.HTTPStatus(status).phrase)
        headers = getattr(error, "headers", None)
        return JSONResponse(content, status_code=status, media_type=MEDIA_PROBLEM, headers=headers)

    for kind in (Refusal, HTTPException, Exception):
        application.add_exception_handler(kind, refuse)
    if settings.allowed_origins:
        application.add_middleware(
            CORSMiddleware, allow_origins=settings.allowed_origins, allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    # Plain routes: the handlers read requests themselves, and no more of them than is allowed
    routes = {
        ("/v1/", "GET"): show_info,
        ("/v1/vocabs", "GET"): show_vocabs,
        ("/v1/projects", "GET"): show_projects,
        ("/v1/projects/{project_id}", "GET"): show_project,
        ("/v1/projects/{project_id}/suggest", "POST"): suggest,
        ("/v1/projects/{project_id}/suggest-batch", "POST"): suggest_batch,
        ("/v1/projects/{project_id}/learn", "POST"): learn,
        ("/health", "GET"): health,
        ("/metrics", "GET"): metrics,
    }
    for (path, method), handler in routes.items():
        application.add_route(path, handler, methods=[method])
    return application


def project_of(predictor: Suggester, settings: SuggestionSettings, facts: Mapping[str, str]) -> dict[str, Any]:
    """Describe the one project as Annif describes its own.

    Args:
        predictor: Knows the codes.
        settings: Names.
        facts: ``model`` and ``version``.

    Returns:
        Annif's ``Project``.
    """
    identifier = settings.project or facts["model"]
    return {
        "project_id": identifier,
        "name": settings.name or identifier.replace("_", " ").capitalize(),
        "language": settings.language,
        "backend": {"backend_id": facts.get("kind", "augury")},
        "vocab": {
            "vocab_id": identifier,
            "languages": [settings.language],
            "size": len(predictor.codes),
            "loaded": True,
        },
        "vocab_language": settings.language,
        "is_trained": True,
        "modification_time": facts["version"],
    }


def _require_project(request: "Request", identifier: str) -> None:
    asked = request.path_params["project_id"]
    if asked != identifier:
        raise Refusal(404, f"Project '{asked}' not found", "Project not found")


async def read_body(request: "Request", settings: SuggestionSettings, accepted: tuple[str, ...]) -> tuple[bytes, str]:
    """Read a body, but no more of it than is allowed.

    Args:
        request: The request.
        settings: Bytes and seconds.
        accepted: Media types.

    Returns:
        The body and its media type; without one, the first of the accepted ones.

    Raises:
        Refusal: It is of another type, too large, too slow, or the client went away.
    """
    limits = settings.limits
    media = request.headers.get("content-type", accepted[0]).split(";")[0].strip().lower()
    if media not in accepted and not (media.endswith("+json") and MEDIA_JSON in accepted):
        raise Refusal(415, f"The body must be {' or '.join(accepted)}.")
    return await read_bounded(request, limits.body_bytes, limits.body_seconds, Refusal), media
