"""What every request passes before a part sees it: host, token, size; and one line in the access log."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prismlib.http import is_loopback
from prismlib.serve.access import FORBIDDEN, UNAUTHORIZED, Access
from prismlib.serve.answers import json_response
from prismlib.serve.problems import Problem

log = logging.getLogger("prismlib.serve.access")

MAX_BODY: Final = 5 << 20
"""Bytes; a schema has at most one megabyte in Kafka's default configuration."""
BODY_SECONDS: Final = 30.0
"""In which a whole body must have come."""


class Guard:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, access: Access, media_type: str) -> None:
        """Guard an application.

        Args:
            app: what is guarded.
            access: who may do what.
            media_type: of errors.
        """
        self._app = app
        self._access = access
        self._media_type = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            problem = await self._serve(scope, receive, sending)
        except Exception:
            log.exception("request failed", extra=_line(scope))
            problem = None if status else Problem(500, "Internal server error; the server's log says more.")
        if problem is not None:
            response = json_response(
                {"error_code": problem.code, "message": problem.message}, problem.status, self._media_type
            )
            if problem.status == 401:
                response.headers["www-authenticate"] = 'Basic realm="prism"'
            if problem.status in {408, 413}:
                response.headers["connection"] = "close"
            await response(scope, receive, sending)
        milliseconds = round((time.perf_counter() - begin) * 1000, 1)
        log.info("request", extra={**_line(scope), "status": status, "ms": milliseconds})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> Problem | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        # A page of the web whose name was made to lead here must not use what is open to this machine only.
        if self._access.open and not is_loopback(_host(headers.get(b"host", ""))):
            return Problem(
                FORBIDDEN, "Without tokens this server answers to names of this machine only, like localhost."
            )
        may_write = self._access.may_write(headers.get(b"authorization"))
        if may_write is None:
            return Problem(UNAUTHORIZED, "A token is needed: as bearer token, or as the password of any user.")
        length = headers.get(b"content-length", "0")
        if not length.isdigit() or int(length[:20]) > MAX_BODY:
            return _too_large()
        try:
            body = await asyncio.wait_for(_read(receive), BODY_SECONDS)
        except TimeoutError:
            return Problem(408, f"The body did not come within {BODY_SECONDS:.0f} s.")
        if body is None:
            return _too_large()

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            message = {"type": "http.request", "body": body, "more_body": False}
            body = None
            return message

        # Routed as it came, because a subject may hold an encoded slash; and "/subjects/" is "/subjects".
        path = scope["raw_path"].decode("latin-1").rstrip("/") or "/"
        state = {**scope.get("state", {}), "may_write": may_write}
        await self._app({**scope, "path": path, "state": state}, replay, send)
        return None


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large, or nobody is there any more."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> Problem:
    return Problem(413, f"The body is larger than {MAX_BODY >> 20} MiB.")


def _host(header: str) -> str:
    """Without the port, and without the brackets of an IPv6 address."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def _line(scope: Scope) -> dict[str, Any]:
    """Of the access log: no headers, and no query, which could hold a secret by mistake."""
    client = scope.get("client")
    path = scope["raw_path"].decode("latin-1")
    return {"method": scope["method"], "path": path[:300], "client": client[0] if client else ""}
