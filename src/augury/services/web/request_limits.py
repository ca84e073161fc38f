"""What a request to any of the services may cost."""

from pydantic import Field

from augury.parameters import Parameters


class RequestLimits(Parameters):
    """What a request may cost."""

    body_bytes: int = Field(default=5_000_000, ge=1, description="larger bodies are refused with 413, unread")
    body_seconds: float = Field(default=5.0, gt=0, description="a body that takes longer to arrive is refused with 408")
    connections: int | None = Field(
        default=1_000, ge=1, description="open connections from which on requests get 503; null: no limit"
    )
