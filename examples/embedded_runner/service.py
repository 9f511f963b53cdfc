"""A small web service with a pipeline inside: it answers from a table that the pipeline keeps up to date.

GET /orders/o1      the order as JSON, or 404
GET /health         200 while the pipeline runs, 503 when it has failed
"""

import os
import signal
import threading
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

from orders_table import OrdersTable

import prismlib


def order(row: dict[str, Any]) -> dict[str, Any]:
    """The normalizer. An exception makes a dead letter of this record alone."""
    return {"id": row["id"], "customer": row["customer"].strip(), "total": round(row["total"], 2)}


table = OrdersTable(Path(os.environ.get("ORDERS_DB", "orders.db")))
runner = prismlib.build_runner(
    prismlib.load_pipeline(Path(__file__).with_name("pipeline.toml")),
    sink=table,
    normalizers={"orders": prismlib.PythonNormalizer(order, reads=["id", "customer", "total"])},
)


def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A WSGI application."""
    path = environ["PATH_INFO"]
    if path.startswith("/orders/"):
        body = table.get(path.removeprefix("/orders/"))
        status = "200 OK" if body else "404 Not Found"
    else:
        status, body = "200 OK" if runner.state == "running" else "503 Service Unavailable", runner.state
    start_response(status, [])
    return [(body or "").encode()]


with make_server("127.0.0.1", int(os.environ.get("PORT", "8080")), answer) as server, runner.in_background():
    # The server ends, then the block, which commits what is open.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
