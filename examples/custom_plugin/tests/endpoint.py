"""An HTTP endpoint on loopback that keeps its word: the highest version of each document stays."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class Endpoint:
    """Start it with ``with Endpoint() as endpoint``.

    Attributes:
        documents: version and body by id; None where it was deleted.
        busy: ids that it cannot take now.
        down: it closes connections without an answer.
        answer: status, headers and body for every request in place of its own.
        too_many: documents from which on it refuses a request with 413.
        requests: how many came in.
        tokens: what they were authorized with.
    """

    def __init__(self) -> None:
        self.documents: dict[str, tuple[int, Any]] = {}
        self.busy: set[str] = set()
        self.down = False
        self.answer: tuple[int, Mapping[str, str], bytes] | None = None
        self.too_many = 1_000
        self.requests = 0
        self.tokens: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hooks/orders-s3cret"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def living(self) -> dict[str, Any]:
        """Bodies by id."""
        return {name: body for name, (_, body) in sorted(self.documents.items()) if body is not None}

    def take(self, request: dict[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        documents = request["documents"]
        if self.answer is not None:
            return self.answer
        if len(documents) >= self.too_many:
            return 413, {}, b""
        results = [self._result(**document) for document in documents]
        return 200, {"content-type": "application/json"}, json.dumps({"results": results}).encode()

    def _result(self, id: str, version: int, body: Any) -> dict[str, Any]:  # noqa: A002  # the request's names
        if id in self.busy:
            return {"status": 429, "reason": "too many requests", "retry_after": 0.01}
        if isinstance(body, dict) and body.get("total", 0) < 0:
            return {"status": 422, "reason": f"nobody pays less than nothing, said {self.url}"}
        if id not in self.documents or version >= self.documents[id][0]:
            self.documents[id] = (version, body)
        return {"status": 200}


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            endpoint.requests += 1
            endpoint.tokens.append(self.headers["authorization"])
            if endpoint.down:
                self.close_connection = True
                return
            status, headers, body = endpoint.take(request)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client has waited long enough
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Quiet."""

    return Handler
