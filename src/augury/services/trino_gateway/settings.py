"""Settings of the routing service, from a YAML or JSON file."""

from pathlib import Path
from typing import Any

from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.query_routing import RoutingSettings
from augury.services.web.request_limits import RequestLimits
from augury.services.web.settings_file import read_settings_file


class LearningSettings(Parameters):
    """The endpoint that takes completed queries; off unless it is asked for."""

    enabled: bool = False
    path: str = Field(default="/learn", pattern=r"^/\S*$")
    cpu_threshold_seconds: float | None = Field(
        default=None, gt=0, description="CPU time from which on a query was heavy; null: as the predictor was trained"
    )
    memory_threshold_gb: float | None = Field(default=None, gt=0, description="peak memory, likewise")
    resource_errors: tuple[str, ...] | None = Field(default=None, description="error names, likewise")


class LimitSettings(RequestLimits):
    """What a request may cost."""

    query_chars: int = Field(
        default=1_000_000, ge=1, description="longer queries are refused with 413; the gateway's own limit is 1,000,000"
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
    return read_settings_file(ServiceSettings, path, options)
