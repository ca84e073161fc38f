"""Settings of the suggestion service, from a YAML or JSON file."""

from pathlib import Path
from typing import Any

from pydantic import Field

from augury.parameters import Parameters
from augury.services.web.settings_file import read_settings_file


class LimitSettings(Parameters):
    """What a request may cost."""

    body_bytes: int = Field(default=8_000_000, ge=1, description="larger bodies are refused with 413, unread")
    text_chars: int = Field(default=500_000, ge=1, description="longer texts are refused with 413")
    documents: int = Field(default=32, ge=1, description="documents of a batch; more are refused with 400, as by Annif")
    results: int = Field(default=1_000, ge=1, description="the largest number of suggestions of a text")
    body_seconds: float = Field(
        default=10.0, gt=0, description="a body that takes longer to arrive is refused with 408"
    )
    connections: int | None = Field(
        default=200, ge=1, description="open connections from which on requests get 503; null: no limit"
    )
    predictions: int = Field(
        default=1,
        ge=1,
        description="requests that are answered at once; the others wait: a prediction uses all threads",
    )


class SuggestionSettings(Parameters):
    """Everything about the service that can be set."""

    host: str = Field(default="127.0.0.1", description="address to listen on; the default is this machine only")
    port: int = Field(default=8182, ge=0, le=65_535, description="0: any free port")
    project: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_.-]+$", description="id of the project; null: the predictor's name"
    )
    name: str | None = Field(default=None, description="name of the project, for people; null: made from its id")
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}$", description="of the texts and of the labels")
    backend: str | None = Field(
        default=None,
        pattern=r"^(torch|onnx|int8)$",
        description="what computes: torch, onnx or int8 (fastest for single texts); null: the predictor's own",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(), description="web pages that may ask from a browser, such as https://catalogue.example.org"
    )
    limits: LimitSettings = LimitSettings()


def read_settings(path: Path | None, **options: Any) -> SuggestionSettings:
    """Read the settings.

    Args:
        path: YAML or JSON file; None for the defaults.
        **options: Values that come before those of the file; None means not given.

    Returns:
        The settings.

    Raises:
        UserError: The file cannot be read, or a key or value is wrong; all of them are listed.
    """
    return read_settings_file(SuggestionSettings, path, options)
