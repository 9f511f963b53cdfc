"""Runs an application until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from prismlib.errors import ConfigError

log = logging.getLogger(__name__)

CONNECTIONS: Final = 500
"""More are answered with 503."""
STOP_SECONDS: Final = 10


def run(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being served then are served to the end.

    Args:
        app: the application.
        listener: from :func:`listen`.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # what anybody can write says nothing about who asks
            lifespan="on",
            ws="none",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    # uvicorn raises the signal again once it has stopped, for whoever handled it before: to be told to stop is no failure.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: the address is not this machine's, or is taken.
    """
    try:
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = info[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(CONNECTIONS)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"[serve] host and port: cannot listen on {host}:{port}: {reason}; choose another port"
        ) from error
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """The address that clients write, such as ``http://127.0.0.1:8081``."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
