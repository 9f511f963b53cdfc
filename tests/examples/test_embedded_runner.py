"""The service with a pipeline inside: on a real broker, and as short as it says."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
import tokenize
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import urllib3
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import prismlib
from prismlib.testing import SinkConformance, SinkHarness, documents
from tests.integration.harness import prism, read_topic

EXAMPLE = Path(__file__).parents[2] / "examples" / "embedded_runner"


def code_lines(text: str) -> int:
    """Lines that hold code: no blank line, no comment, no docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}:
            lines |= set(range(token.start[0], token.end[0] + 1)) if token.string else set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def test_lines_of_code_are_counted() -> None:
    text = '"""Doc.\n\nMore."""\n\n# comment\ndef f(\n    a,  # b\n):\n    """Doc."""\n    return """x\n    y"""\n'
    assert code_lines(text) == 5


def test_the_service_has_less_than_30_lines_of_code() -> None:
    assert code_lines((EXAMPLE / "service.py").read_text()) < 30


@pytest.mark.parametrize("file", ["service.py", "orders_table.py"])
def test_it_uses_the_public_api_only(file: str) -> None:
    used: set[str] = set()
    for node in ast.walk(ast.parse((EXAMPLE / file).read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0].startswith("prism"):
            assert node.module == "prismlib"
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            assert [a.name for a in node.names if a.name.startswith("prism")] in ([], ["prismlib"])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "prismlib":
            used.add(node.attr)
    assert used
    assert used <= set(prismlib.__all__)


# --- its sink ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def orders_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(EXAMPLE)
    import orders_table as module  # noqa: PLC0415  # a script's neighbour, on its path only

    yield module
    del sys.modules["orders_table"]


class Harness:
    patience = 10.0

    def __init__(self, module: ModuleType, path: Path) -> None:
        self._module = module
        self._path = path
        module.OrdersTable(path).close()

    def make_sink(self, worker: str) -> prismlib.Sink:
        sink: prismlib.Sink = self._module.OrdersTable(self._path)
        return sink

    def good(self, number: int) -> bytes:
        return b'{"total":%d}' % number

    def bad(self) -> bytes | None:
        return b'{"total":-1}'

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        with contextlib.closing(sqlite3.connect(self._path)) as db:
            return [(name, body.encode()) for name, body in db.execute("SELECT id, body FROM orders") if body]

    def busy(self, ids: Sequence[str]) -> AbstractContextManager[None] | None:
        return None

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        """Somebody else holds the file's lock, for longer than SQLite waits."""
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            yield


class TestOrdersTable(SinkConformance):
    @pytest.fixture
    def harness(self, orders_table: ModuleType, tmp_path: Path) -> SinkHarness:
        return Harness(orders_table, tmp_path / "orders.db")


def test_a_body_that_is_no_json_is_rejected(orders_table: ModuleType, tmp_path: Path) -> None:
    sink = orders_table.OrdersTable(tmp_path / "orders.db")
    result = sink.write(documents(sink, [("a", b"\xff"), ("b", b"{"), ("c", b'{"total":1}')]))
    assert sorted(result.rejected) == [0, 1]
    assert sink.get("c") == '{"total":1}'
    assert sink.get("a") is None
    sink.close()


# --- the whole ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def service(folder: Path, servers: str) -> Iterator[Callable[[str], tuple[int, str]]]:
    """The service in a process of its own, which SIGTERM ends."""
    env = {**os.environ, "PRISM_SOURCE_SERVERS": servers, "ORDERS_DB": str(folder / "orders.db"), "PORT": "0"}
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, EXAMPLE / "service.py"], stdout=subprocess.PIPE, stderr=log, env=env
        )
    watch = threading.Timer(120, process.kill)
    watch.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        assert url.startswith("http://127.0.0.1:"), (folder / "service.log").read_text()
        http = urllib3.PoolManager(retries=False, timeout=10)

        def get(path: str) -> tuple[int, str]:
            answer = http.request("GET", url + path)
            return answer.status, answer.data.decode()

        yield get
        process.terminate()
        assert process.wait(60) == 0, (folder / "service.log").read_text()
    finally:
        watch.cancel()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for(get: Callable[[str], tuple[int, str]], path: str, status: int) -> str:
    deadline = time.monotonic() + 60
    while (found := get(path))[0] != status:
        assert time.monotonic() < deadline, f"{path} still answers {found}"
        time.sleep(0.1)
    return found[1]


@pytest.mark.real
def test_the_service_answers_from_what_the_topic_holds(
    kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic("orders", 2, 1)])["orders"].result(30)
    monkeypatch.setenv("PRISM_SOURCE_SERVERS", kafka.bootstrap)
    done = prism("setup", EXAMPLE / "pipeline.toml", "--yes", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "orders-table.dead-letters" in done.stdout
    producer = Producer({"bootstrap.servers": kafka.bootstrap})

    def sell(name: str, customer: Any, total: float) -> None:
        producer.produce(
            "orders", json.dumps({"id": name, "customer": customer, "total": total}).encode(), name.encode()
        )
        assert producer.flush(30) == 0

    sell("o1", " Ada ", 12.504)
    sell("bad", 7, 1)
    sell("debt", "Bob", -3)
    with service(tmp_path, kafka.bootstrap) as get:
        assert json.loads(wait_for(get, "/orders/o1", 200)) == {"id": "o1", "customer": "Ada", "total": 12.5}
        assert get("/health") == (200, "running")
        assert get("/orders/o2")[0] == 404
        sell("o2", "Eve", 1)
        wait_for(get, "/orders/o2", 200)
        assert get("/orders/debt")[0] == 404
    sell("o3", "Eve", 2)
    with service(tmp_path, kafka.bootstrap) as get:
        wait_for(get, "/orders/o3", 200)
    letters = read_topic(kafka.bootstrap, "orders-table.dead-letters")
    assert sorted((key, headers["prism.stage"]) for key, _, headers in letters) == [
        (b"bad", b"normalize"),
        (b"debt", b"write"),
    ]
    assert "Traceback" not in (tmp_path / "service.log").read_text()


@pytest.mark.real
def test_health_tells_when_the_pipeline_has_failed(kafka: Any, tmp_path: Path) -> None:
    """Its topic for dead letters is not there, so that it cannot open; the service goes on and says so."""
    for name in ("service.py", "orders_table.py", "pipeline.toml"):
        text = (EXAMPLE / name).read_text().replace("orders-table", "failing")
        (tmp_path / name).write_text(text)
    code = tmp_path / "service.py"
    env = {**os.environ, "PRISM_SOURCE_SERVERS": kafka.bootstrap, "PORT": "0"}
    with (tmp_path / "service.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, code], stdout=subprocess.PIPE, stderr=log, env=env, cwd=tmp_path)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        http = urllib3.PoolManager(retries=False, timeout=10)
        deadline = time.monotonic() + 60
        while (answer := http.request("GET", f"{url}/health")).status != 503:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer.data == b"failed"
        process.terminate()
        assert process.wait(60) == 1
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    log_text = (tmp_path / "service.log").read_text()
    assert "pipeline failed, nothing of it runs any more" in log_text
    assert "create it with `prism setup` for pipeline failing" in log_text
