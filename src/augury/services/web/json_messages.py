"""JSON messages in the bodies of requests, and what becomes of those that are none."""

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from augury.services.web.request_body import read_bounded

if TYPE_CHECKING:
    from starlette.requests import Request

MessageT = TypeVar("MessageT", bound=BaseModel)


class Refusal(Exception):
    """A request that cannot be answered; becomes a status and a JSON message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_json(request: "Request", most_bytes: int, most_seconds: float) -> bytes:
    """Read a JSON body, but no more of it than is allowed.

    Args:
        request: The request.
        most_bytes: Of a body.
        most_seconds: That it may take to arrive.

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
    return await read_bounded(request, most_bytes, most_seconds, Refusal)


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
