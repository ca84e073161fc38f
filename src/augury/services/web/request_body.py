"""The body of a request, read no further than is allowed."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_bounded(
    request: "Request", most_bytes: int, most_seconds: float, refusal: Callable[[int, str], Exception]
) -> bytes:
    """Read a body, but no more of it than is allowed.

    Args:
        request: The request.
        most_bytes: A larger body is refused, unread where it says so itself.
        most_seconds: A body that takes longer to arrive is refused.
        refusal: Makes the error of a status and a reason.

    Returns:
        The body.

    Raises:
        Exception: What `refusal` made: it is too large (413), too slow (408), or the client went away (400).
    """
    from starlette.requests import ClientDisconnect

    too_large = refusal(413, f"The body must have at most {most_bytes:,} bytes.")
    declared = request.headers.get("content-length", "0")
    if len(declared) > 18 or (declared.isdigit() and int(declared) > most_bytes):
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(most_seconds):
            async for part in request.stream():
                size += len(part)
                if size > most_bytes:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise refusal(408, f"The body did not arrive within {most_seconds:g} seconds.") from None
    except ClientDisconnect:
        raise refusal(400, "The client went away.") from None
    return b"".join(parts)
