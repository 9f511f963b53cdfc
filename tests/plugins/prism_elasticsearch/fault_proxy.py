"""An HTTP server on loopback that stands in front of Elasticsearch, or in its place, and misbehaves when told to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import urllib3


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


class FaultProxy:
    """Forwards to ``target``.

    Attributes:
        reply: a request's answer instead of the server's, or None to forward it.
        busy: ids whose documents the server "cannot take now": not forwarded, 429 in the bulk answer.
        drop: forward, and then close the connection without an answer.
        seen: all requests.
    """

    def __init__(self, target: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.reply: Callable[[Seen], Reply | None] = lambda _: None
        self.busy: frozenset[str] = frozenset()
        self.drop = False
        self.seen: list[Seen] = []
        self._pool = urllib3.PoolManager(retries=False)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                reply = proxy.answer(
                    Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                )
                if proxy.drop:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815 - the names are http.server's

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                """A client that goes away, as one that distrusts a certificate does, is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def answer(self, request: Seen) -> Reply:
        self.seen.append(request)
        reply = self.reply(request)
        if reply is not None:
            return reply
        body, withheld = request.body, []
        if self.busy and "_bulk" in request.path:
            body, withheld = self._withhold(request.body)
        kept = {k: v for k, v in request.headers.items() if k in {"content-type", "accept", "content-encoding"}}
        status, data = 200, b'{"items":[]}'
        if not withheld or body:
            answer = self._pool.request(request.method, self.target + request.path, body=body or None, headers=kept)
            status, data = answer.status, answer.data
        if any(withheld):
            items = iter(json.loads(data)["items"])
            busy = {"index": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "busy"}}}
            data = json.dumps({"errors": True, "items": [busy if held else next(items) for held in withheld]}).encode()
        return Reply(status, data)

    def _withhold(self, body: bytes) -> tuple[bytes, list[bool]]:
        """The request without the busy documents, and for each document whether it was one."""
        kept, withheld = [], []
        lines = iter(body.splitlines())
        for action in lines:
            ((operation, about),) = json.loads(action).items()
            document = [action] if operation == "delete" else [action, next(lines)]
            withheld.append(about["_id"] in self.busy)
            kept += [] if withheld[-1] else document
        return b"".join(line + b"\n" for line in kept), withheld

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._pool.clear()


def answers(*replies: Reply) -> Callable[[Seen], Reply | None]:
    """Give these answers one after the other, and the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def items(*results: Mapping[str, Any], operation: str = "index") -> Reply:
    """A bulk answer with these items."""
    return Reply(200, json.dumps({"errors": True, "items": [{operation: result} for result in results]}).encode())
