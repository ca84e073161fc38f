"""What ``tracking.yml`` may say, and what it means for a project folder."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from augury.errors import UserError

SQLITE = "sqlite:///"
_PLACEHOLDERS = {"predictor", "env"}
_LONGEST_LINE = 300


class TrackingSettings(BaseModel):
    """The ``tracking:`` block of ``tracking.yml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Whether runs are tracked at all.")
    uri: str = Field(
        default="sqlite:///mlflow.db",
        description="An MLflow server (http, https), a database, or an SQLite file; the path of an "
        "SQLite file is relative to the project.",
    )
    experiment: str = Field(
        default="{predictor}",
        description="Name of the MLflow experiment; {predictor} and {env} are filled in.",
    )
    artifact_location: str | None = Field(
        default=None,
        description="Root of the artifacts of experiments that the run creates: a URI, or a path "
        "relative to the project. Null: 'mlartifacts' beside an SQLite file, otherwise what the "
        "server says.",
    )
    log_model: bool = Field(default=True, description="Whether the predictor is logged as a servable model.")
    register_model: bool = Field(
        default=True,
        description="Whether each logged model becomes a version of the predictor's registered model.",
    )
    registered_model: str = Field(
        default="augury.{predictor}",
        description="Name of the registered model; {predictor} and {env} are filled in.",
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of every run.")

    @field_validator("uri")
    @classmethod
    def _uri_is_no_folder(cls, uri: str) -> str:
        scheme, separator, _ = uri.partition(":")
        if not separator or scheme == "file" or "/" in scheme:
            raise ValueError(
                f"'{uri}' is a folder, and MLflow no longer keeps runs in a folder; name a "
                f"database or a server, such as '{SQLITE}mlflow.db' or 'http://127.0.0.1:5000'"
            )
        return uri

    @field_validator("experiment")
    @classmethod
    def _experiment_can_be_filled_in(cls, experiment: str) -> str:
        _placeholders(experiment)
        if not experiment.strip():
            raise ValueError("an experiment needs a name, such as '{predictor}'")
        return experiment

    @field_validator("registered_model")
    @classmethod
    def _predictors_have_models_of_their_own(cls, registered_model: str) -> str:
        if "predictor" not in _placeholders(registered_model):
            raise ValueError(
                f"'{registered_model}' lacks {{predictor}}: versions of different predictors would be those of one "
                "model; an example is 'augury.{predictor}'"
            )
        if "/" in registered_model or ":" in registered_model:
            raise ValueError(f"'{registered_model}': the name of a registered model has no '/' and no ':'")
        return registered_model


def _placeholders(pattern: str) -> set[str]:
    """The placeholders of a name; refuses unknown ones."""
    fields = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
    if unknown := sorted(fields - _PLACEHOLDERS):
        raise ValueError(
            f"'{pattern}' has the placeholder {{{unknown[0]}}}; there are {{predictor}} and "
            "{env}, as in '{predictor}-{env}'"
        )
    return fields


class _TrackingFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tracking: TrackingSettings


@dataclass(frozen=True)
class Store:
    """Where the runs of one project go: the settings with their paths resolved."""

    uri: str
    """Tracking URI as MLflow wants it; SQLite paths are absolute."""
    database: Path | None
    """The SQLite file; None for a server."""
    artifacts: str | None
    """Root URI of the artifacts of new experiments; None leaves it to the server."""
    settings_file: str
    """Where a person overrides the settings, for messages."""

    @property
    def shown_uri(self) -> str:
        """The URI without credentials."""
        return redact(self.uri)


def read_settings(raw: Mapping[str, Any]) -> TrackingSettings:
    """Validate the merged content of ``tracking*.yml``.

    Args:
        raw: What the config loader returns for the key ``tracking``.

    Returns:
        The settings.

    Raises:
        UserError: A key is unknown, or a value breaks its rule.
    """
    try:
        return _TrackingFile.model_validate(dict(raw)).tracking
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise UserError(f"tracking.yml: {problems}") from error


def locate_store(settings: TrackingSettings, project: Path, env: str | None) -> Store:
    """Resolve the paths of the settings against the project.

    Args:
        settings: The settings.
        project: Folder of the project.
        env: Kedro environment of the run; None means the default one.

    Returns:
        Where runs and artifacts go. Nothing is created yet.

    Examples:
        >>> store = locate_store(TrackingSettings(), Path("/srv/augury"), None)
        >>> store.uri, store.artifacts
        ('sqlite:////srv/augury/mlflow.db', 'file:///srv/augury/mlartifacts')
    """
    uri, database = settings.uri, None
    if uri.startswith(SQLITE):
        path, question_mark, query = uri.removeprefix(SQLITE).partition("?")
        database = project / path
        uri = f"{SQLITE}{database}{question_mark}{query}"
    artifacts = settings.artifact_location
    if artifacts is None:
        artifacts = None if database is None else (database.parent / "mlartifacts").as_uri()
    elif not urlsplit(artifacts).scheme:
        artifacts = (project / artifacts).as_uri()
    return Store(uri, database, artifacts, f"conf/{env or 'local'}/tracking.yml")


def redact(text: str) -> str:
    """Hide the credentials of every URL in a text.

    Args:
        text: Any text, such as a tracking URI or an error message.

    Returns:
        The text with user names and passwords replaced by stars.

    Examples:
        >>> redact("http://ann:secret@mlflow.example:5000 refused; postgresql://x/y?password=z")
        'http://***@mlflow.example:5000 refused; postgresql://x/y?password=***'
    """
    text = re.sub(r"(?<=://)[^/\s'\"]*@", "***@", text)
    return re.sub(r"(?i)([?&](?:password|token|sslpassword)=)[^&\s'\"]+", r"\1***", text)


def one_line(error: BaseException) -> str:
    """The text of an error as one line without credentials, for messages and log lines.

    Args:
        error: Any error.

    Returns:
        At most 300 characters; the error's class name where it has no text.
    """
    text = redact(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 3] + "..."
