"""An HTTP server on loopback that stands in front of Elasticsearch, or in its place, and misbehaves when told to."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import urllib3

from tests.http_server import Answer, HttpServer, Reply, Seen, Wire


class FaultProxy(HttpServer):
    """Forwards to ``target``.

    Attributes:
        reply: a request's answer instead of the server's, or None to forward it.
        busy: ids whose documents the server "cannot take now": not forwarded, 429 in the bulk answer.
        drop: forward, and then close the connection without an answer.
        seen: all requests.
    """

    def __init__(self, target: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(lambda _: None, tls)
        self.target = target
        self.busy: frozenset[str] = frozenset()
        self.drop = False
        self._pool = urllib3.PoolManager(retries=False)

    def answer(self, request: Seen) -> Answer:
        reply = super().answer(request)
        if reply is None:
            reply = self._forward(request)
        return Wire([]) if self.drop else reply

    def _forward(self, request: Seen) -> Reply:
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._pool.clear()


def items(*results: Mapping[str, Any], operation: str = "index") -> Reply:
    """A bulk answer with these items."""
    return Reply(200, json.dumps({"errors": True, "items": [{operation: result} for result in results]}).encode())
