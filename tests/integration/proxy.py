"""An HTTP proxy in front of Elasticsearch that misbehaves on request. It runs in the test's own process, on loopback."""

from __future__ import annotations

import json
import random
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias

import urllib3

Answer: TypeAlias = tuple[int, dict[str, str], bytes]
Fault: TypeAlias = Callable[[str, str, bytes, dict[str, str]], Answer | None]
"""``fault(method, path, body, headers)``: an answer of its own, or None to forward the request."""

KEPT = ("content-type", "accept", "authorization", "content-encoding")


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that was killed does not wait for its answer
            super().handle_error(request, client_address)


class Proxy:
    """Forwards to ``target`` unless ``fault`` answers; counts what it refused."""

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        self.fault: Fault | None = None
        self.item_fault: Callable[[str], dict[str, Any] | None] | None = None
        self.loses: Callable[[str], bool] | None = (
            None  # whether the answer to a path is lost after the server has worked
        )
        self.refused_items = 0
        self.refused_requests = 0
        http = urllib3.PoolManager(retries=False, maxsize=16)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                answer = proxy.fault(self.command, self.path, body, headers) if proxy.fault else None
                if answer is not None:
                    proxy.refused_requests += 1
                else:
                    kept = {k: v for k, v in headers.items() if k in KEPT}
                    answer = proxy.forward(http, target, self.command, self.path, body, kept)
                    if proxy.loses is not None and proxy.loses(self.path):
                        answer = 502, {}, b"lost"
                status, extra, data = answer
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815  # names that http.server looks for

            def log_message(self, *_: object) -> None:
                return

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self.url = f"{self.scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def forward(
        self, http: urllib3.PoolManager, target: str, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> Answer:
        refused: dict[int, dict[str, Any]] = {}
        count = 0
        if self.item_fault is not None and "_bulk" in path and method == "POST":
            body, refused, count = self._without_refused(body)
            if not body:
                items = [{"index": refused[i]} for i in range(count)]
                return 200, {"content-type": "application/json"}, json.dumps({"errors": True, "items": items}).encode()
        try:
            answer = http.request(method, target + path, body=body or None, headers=headers, timeout=60)
        except urllib3.exceptions.HTTPError:
            return 503, {}, b'{"error":"the server behind the proxy is away"}'
        data = answer.data
        if refused and answer.status == 200:
            parsed = json.loads(data)
            got = iter(parsed["items"])
            items = [{"index": refused[i]} if i in refused else next(got) for i in range(count)]
            data = json.dumps({"errors": True, "items": items}).encode()
        kept = {
            k: v for k, v in answer.headers.items() if k.lower() in ("content-type", "x-elastic-product", "retry-after")
        }
        return answer.status, kept, data

    def _without_refused(self, body: bytes) -> tuple[bytes, dict[int, dict[str, Any]], int]:
        assert self.item_fault is not None
        refused: dict[int, dict[str, Any]] = {}
        kept: list[bytes] = []
        lines = body.split(b"\n")
        position = count = 0
        while position < len(lines) and lines[position]:
            action = json.loads(lines[position])
            width = 1 if "delete" in action else 2
            (what,) = action.values()
            answer = self.item_fault(what["_id"])
            if answer is None:
                kept += lines[position : position + width]
            else:
                refused[count] = answer
                self.refused_items += 1
            position += width
            count += 1
        return (b"\n".join(kept) + b"\n" if kept else b""), refused, count

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def one_in(hundred: int, rng: random.Random) -> Callable[[str], dict[str, Any] | None]:
    """Refuses ``hundred`` in 100 bulk items with 429, at random."""

    def fault(_: str) -> dict[str, Any] | None:
        if rng.random() * 100 >= hundred:
            return None
        return {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "rejected by the test"}}

    return fault
