"""The web application: lists for users and for histories, and health."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from augury.predictors.recommendation import DEFAULT_K, Recommender
from augury.predictors.recommendation_answers import answer_history, answer_user
from augury.services.web.json_messages import Refusal, parse, read_json
from augury.services.web.request_limits import RequestLimits

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_K = 1_000
MOST_ITEMS = 100_000


class Question(BaseModel):
    """What somebody whom training did not know has turned to, and what may be recommended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    history: tuple[str, ...] = Field(default=(), max_length=MOST_ITEMS, description="the oldest first")
    user_id: str | None = Field(default=None, description="a user that training may know, instead of a history")
    k: int = Field(default=DEFAULT_K, ge=1, le=MOST_K)
    allow: tuple[str, ...] | None = Field(default=None, max_length=MOST_ITEMS)
    deny: tuple[str, ...] = Field(default=(), max_length=MOST_ITEMS)
    include_seen: bool = False


class Lengths(BaseModel):
    """The query of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: int = Field(default=DEFAULT_K, ge=1, le=MOST_K)
    include_seen: bool = False


def create_application(recommender: Recommender, limits: RequestLimits) -> "FastAPI":
    """Build the application.

    Args:
        recommender: Answers.
        limits: What a request may cost.

    Returns:
        An ASGI application without state outside ``recommender``: ``GET /v1/users/{id}/recommendations?k=``,
        ``POST /v1/recommendations`` (a :class:`Question`), ``GET /health``. Answers are those of
        :mod:`~augury.predictors.recommendation_answers`; mistakes are ``{"errors": [...]}`` with a status.
    """
    from fastapi import FastAPI, Request, Response
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse
    from pydantic import ValidationError
    from starlette.exceptions import HTTPException

    application = FastAPI(title="Augury recommendations", openapi_url=None, docs_url=None, redoc_url=None)
    metadata = recommender.metadata
    facts = {
        "model": metadata.predictor,
        "version": metadata.created_at,
        "data": metadata.data.fingerprint[:12],
        "users": len(recommender.user_ids),
        "items": len(recommender.item_ids),
    }

    async def of_user(request: Request) -> Response:
        try:
            asked = Lengths.model_validate(dict(request.query_params))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Refusal(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        user_id = request.path_params["user_id"]
        found = await run_in_threadpool(answer_user, recommender, user_id, asked.k, include_seen=asked.include_seen)
        return JSONResponse(found)

    async def of_question(request: Request) -> Response:
        asked = parse(Question, await read_json(request, limits.body_bytes, limits.body_seconds))
        if asked.user_id is not None:
            if asked.history:
                raise Refusal(400, "Give a user_id or a history, not both.")
            found = await run_in_threadpool(
                answer_user, recommender, asked.user_id, asked.k, asked.allow, asked.deny, asked.include_seen
            )
        else:
            found = await run_in_threadpool(
                answer_history, recommender, asked.history, asked.k, asked.allow, asked.deny
            )
        return JSONResponse(found)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", **facts})

    def refuse(_: Request, error: Exception) -> Response:
        status, message = 500, "Internal error"
        if isinstance(error, Refusal):
            status, message = error.status, str(error)
        elif isinstance(error, HTTPException):  # no such path or method
            status, message = error.status_code, error.detail
        return JSONResponse({"errors": [message]}, status_code=status, headers=getattr(error, "headers", None))

    for kind in (Refusal, HTTPException, Exception):
        application.add_exception_handler(kind, refuse)
    # `path`: ids may have slashes
    application.add_route("/v1/users/{user_id:path}/recommendations", of_user, methods=["GET"])
    application.add_route("/v1/recommendations", of_question, methods=["POST"])
    application.add_route("/health", health, methods=["GET"])
    return application
