"""Settings of the routing service, from a YAML or JSON file."""

from pathlib import Path
from typing import Any

from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters, find_problems
from augury.predictors.query_routing import RoutingSettings


class LearningSettings(Parameters):
    """The endpoint that takes completed queries; off unless it is asked for."""

    enabled: bool = False
    path: str = Field(default="/learn", pattern=r"^/\S*$")
    cpu_threshold_seconds: float | None = Field(
        default=None, gt=0, description="CPU time from which on a query was heavy; null: as the predictor was trained"
    )
    memory_threshold_gb: float | None = Field(default=None, gt=0, description="peak memory, likewise")
    resource_errors: tuple[str, ...] | None = Field(default=None, description="error names, likewise")


class LimitSettings(Parameters):
    """What a request may cost."""

    body_bytes: int = Field(default=5_000_000, ge=1, description="larger bodies are refused with 413, unread")
    query_chars: int = Field(
        default=1_000_000, ge=1, description="longer queries are refused with 413; the gateway's own limit is 1,000,000"
    )
    body_seconds: float = Field(default=5.0, gt=0, description="a body that takes longer to arrive is refused with 408")
    connections: int | None = Field(
        default=1_000, ge=1, description="open connections from which on requests get 503; null: no limit"
    )


class ServiceSettings(Parameters):
    """Everything about the service that can be set."""

    host: str = Field(default="127.0.0.1", description="address to listen on; the default is this machine only")
    port: int = Field(default=8181, ge=0, le=65_535, description="0: any free port")
    path: str = Field(default="/route", pattern=r"^/\S*$", description="path that the gateway posts to")
    routing: RoutingSettings = RoutingSettings()
    limits: LimitSettings = LimitSettings()
    learning: LearningSettings = LearningSettings()


def read_settings(path: Path | None, **options: Any) -> ServiceSettings:
    """Read the settings.

    Args:
        path: YAML or JSON file; None for the defaults.
        **options: Values that come before those of the file; None means not given.

    Returns:
        The settings.

    Raises:
        UserError: The file cannot be read, or a key or value is wrong; all of them are listed.
    """
    tree = {} if path is None else _read_tree(path)
    tree |= {name: value for name, value in options.items() if value is not None}
    problems = find_problems({"service": tree}, {"service": ServiceSettings})
    if problems:
        where = f"'{path}'" if path is not None else "the options"
        raise UserError(f"Settings of the service ({where}): " + "\n".join(problems))
    return ServiceSettings.model_validate(tree)


def _read_tree(path: Path) -> dict[str, Any]:
    import yaml  # reads JSON too

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The settings file '{path}' cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"The settings file '{path}' is neither YAML nor JSON: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"The settings file '{path}' must hold keys and values, for example 'port: 8181'.")
    return tree
