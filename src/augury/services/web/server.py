"""Runs an application with uvicorn."""

import gc
import socket
from typing import TYPE_CHECKING

from augury.errors import UserError

if TYPE_CHECKING:
    from fastapi import FastAPI

KEEP_ALIVE_SECONDS = 75
"""Longer than the gateway's HTTP client keeps an idle connection (60 s), so that it never writes into a closed one."""

BACKLOG = 2048
"""Connections that wait to be accepted."""


def listen(host: str, port: int) -> socket.socket:
    """Take the address before anything else is done: a port that is in use is one message.

    Args:
        host: Name or address.
        port: 0 is any free one.

    Returns:
        A socket that takes connections.

    Raises:
        UserError: The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)  # whoever reads the address may connect, and is served as soon as the server runs
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"The service cannot listen on {host}:{port}: {reason}.") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """The base URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(application: "FastAPI", listener: socket.socket, connections: int | None) -> None:
    """Serve until a signal ends it.

    Args:
        application: What answers.
        listener: From :func:`listen`.
        connections: Open connections from which on requests get 503; None: no limit.
    """
    import uvicorn

    # The model and the libraries stay: a collector that walks through them again and again would stop all requests
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,  # at hundreds of requests a second /metrics says more
        server_header=False,
        limit_concurrency=connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        lifespan="off",
    )
    uvicorn.Server(config).run(sockets=[listener])
