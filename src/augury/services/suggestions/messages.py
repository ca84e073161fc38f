"""What is asked and answered, in the words of Annif's REST interface v1 (``annif/openapi/annif.yaml`` of Annif 1.x)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MEDIA_JSON = "application/json"
MEDIA_FORM = "application/x-www-form-urlencoded"
MEDIA_PROBLEM = "application/problem+json"
MOST_FIELDS = 100
"""Fields of a form that are looked at."""


class Refusal(Exception):
    """A request that cannot be answered; becomes a status and a problem (RFC 9457)."""

    def __init__(self, status: int, detail: str, title: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title


class _Message(BaseModel):
    """Fields that Annif knows and this service does not need (``metadata``) are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SuggestRequest(_Message):
    """Body of ``suggest``."""

    text: str
    limit: int = Field(default=10, ge=0)
    threshold: float = Field(default=0.0, ge=0, le=1)
    language: str | None = None


class Document(_Message):
    """One text of a batch."""

    text: str
    document_id: str | None = None


class BatchRequest(_Message):
    """Body of ``suggest-batch``."""

    documents: list[Document]


class BatchOptions(_Message):
    """Query of ``suggest-batch``."""

    limit: int = Field(default=10, ge=0)
    threshold: float = Field(default=0.0, ge=0, le=1)
    language: str | None = None


def parse_suggest(body: bytes, media: str) -> SuggestRequest:
    """Read the body of ``suggest``.

    Args:
        body: A form, as Annif's clients send it, or JSON.
        media: Its media type.

    Returns:
        The request.

    Raises:
        Refusal: The body is neither, or not this message.
    """
    try:
        if media == MEDIA_JSON or media.endswith("+json"):
            return SuggestRequest.model_validate_json(body, strict=True)
        return SuggestRequest.model_validate(_form(body))
    except ValidationError as error:
        raise _refused(error) from None


def parse_batch(body: bytes, most: int) -> BatchRequest:
    """Read the body of ``suggest-batch``.

    Args:
        body: JSON.
        most: The largest number of documents.

    Returns:
        The request.

    Raises:
        Refusal: The body is not JSON, or not this message, or there are too many documents.
    """
    try:
        asked = BatchRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise _refused(error) from None
    if len(asked.documents) > most:
        raise Refusal(400, f"documents: {len(asked.documents):,} are too many, at most {most} are answered at once")
    return asked


def parse_options(query: Mapping[str, str]) -> BatchOptions:
    """Read the query of ``suggest-batch``.

    Raises:
        Refusal: A value breaks its rule.
    """
    try:
        return BatchOptions.model_validate(_given(query))
    except ValidationError as error:
        raise _refused(error) from None


def _form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError as error:  # of ASCII, of UTF-8, of the number of fields
        raise Refusal(400, f"The form cannot be read: {error}") from None
    return _given(dict(fields))


def _given(fields: Mapping[str, str]) -> dict[str, str]:
    """A field that was left empty counts as not given, but for the text."""
    return {name: value for name, value in fields.items() if value != "" or name == "text"}


def _refused(error: ValidationError) -> Refusal:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Refusal(400, f"{where}: {first['msg']}" if where else first["msg"])


def problem(status: int, detail: str, title: str) -> dict[str, Any]:
    """The body of an error (RFC 9457), as Annif writes it."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}
