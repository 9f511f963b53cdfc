"""What the server does not do for those who should not, and with what should not be."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from prismlib.contracts.check import Proposal, Question, Version
from prismlib.contracts.format import SchemaText
from prismlib.contracts.subject import Subject
from prismlib.errors import ConfigError
from prismlib.serve.access import Access, check_host, writes
from prismlib.serve.registry.judge import Judges
from prismlib.serve.registry.routes import routes
from prismlib.serve.registry.store import Store
from prismlib.serve.registry.subjects import Subjects
from tests.serving import Served, record

TOKENS = """
[serve]
read_token = { env = "TEST_READ" }
write_token = { env = "TEST_WRITE" }
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "prism.toml").write_text(TOKENS)
    with Served(folder, env={"TEST_READ": "hush-read", "TEST_WRITE": "hush-write"}) as server:
        yield server
    assert "hush" not in "".join(server.lines)


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer hush",
        "Bearer hush-reads",
        "Basic",
        "Basic !",
        "Basic aHVzaA==",
        basic("x"),
        "Bearer \xe9",
    ],
)
@pytest.mark.parametrize("path", ["/subjects", "/", "/nowhere", "/prism/usage/x"])
def test_no_token_or_a_wrong_one_gets_nothing(guarded: Served, path: str, header: str) -> None:
    headers = {"authorization": header} if header else {}
    status, found = guarded.ask("GET", path, **headers)
    assert (status, found["error_code"]) == (401, 40101)


@pytest.mark.parametrize("header", ["Bearer hush-read", basic("hush-read")])
def test_the_read_token_reads_and_nothing_else(guarded: Served, header: str, subject: str) -> None:
    assert guarded.ask("GET", "/subjects", authorization=header)[0] == 200
    new = {"schema": json.dumps(record("a"))}
    for method, path, body in (
        ("POST", f"/subjects/{subject}/versions", new),
        ("PUT", "/config", {"compatibility": "NONE"}),
        ("DELETE", f"/subjects/{subject}", None),
        ("PUT", "/mode", {"mode": "IMPORT"}),
    ):
        status, found = guarded.ask(method, path, body, authorization=header)
        assert (status, found["error_code"]) == (403, 40301)
    assert guarded.ask("POST", f"/compatibility/subjects/{subject}/versions", new, authorization=header)[0] == 200


@pytest.mark.parametrize("header", ["Bearer hush-write", basic("hush-write")])
def test_the_write_token_does_both(guarded: Served, header: str, subject: str) -> None:
    new = {"schema": json.dumps(record("a"))}
    assert guarded.ask("POST", f"/subjects/{subject}/versions", new, authorization=header)[0] == 200
    assert guarded.ask("GET", f"/subjects/{subject}/versions", authorization=header) == (200, [1])


def test_every_route_that_changes_something_needs_the_write_token(tmp_path: Path) -> None:
    store = Store(tmp_path / "registry.db")
    routers = routes(store, Subjects(store, Judges(1.0)))
    free = {
        (method, route.path)
        for router in routers
        if writes not in [one.dependency for one in router.dependencies]
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
        if method != "GET"
    }
    assert sum(len(router.routes) for router in routers) > 30
    store.close()
    assert free == {
        ("POST", "/subjects/{subject}"),
        ("POST", "/compatibility/subjects/{subject}/versions"),
        ("POST", "/compatibility/subjects/{subject}/versions/{version}"),
        ("POST", "/prism/usage"),
    }


def test_without_tokens_only_this_machine_is_served(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prismlib.cli.main", "serve", "--port", "0"]
    for host in ("0.0.0.0", "::", "example.org"):
        done = subprocess.run([*command, "--host", host], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "no token is set" in line
    assert not (tmp_path / ".prism").exists()
    for host in ("127.0.0.1", "localhost", "::1", "127.3.2.1"):
        check_host(host, Access())
    check_host("0.0.0.0", Access(read="a"))


@pytest.mark.parametrize("host", ["registry.example.org", "127.0.0.1.example.org", "10.0.0.1", ""])
def test_without_tokens_it_answers_to_no_name_from_elsewhere(server: Served, host: str) -> None:
    status, found = server.ask("GET", "/subjects", host=host)
    assert (status, found["error_code"]) == (403, 40301)
    assert server.ask("GET", "/subjects", host="localhost:1234")[0] == 200
    assert server.ask("GET", "/subjects", host="[::1]:1234")[0] == 200


def test_a_page_of_the_web_cannot_post_without_asking(server: Served, subject: str) -> None:
    """A browser sends these types to other sites without asking them first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = json.dumps({"schema": json.dumps(record("a"))}).encode()
        assert server.ask("POST", f"/subjects/{subject}/versions", body, **{"content-type": kind})[0] == 422
    assert server.ask("GET", f"/subjects/{subject}/versions")[0] == 404


@pytest.mark.parametrize(("read", "write"), [("", None), (None, "a b"), ("é", None), ("same", "same")])
def test_tokens_that_are_none(read: str | None, write: str | None) -> None:
    with pytest.raises(ConfigError):
        Access(read, write)


def test_tokens_do_not_show() -> None:
    assert "hush" not in repr(Access("hush-r", "hush-w"))


def test_a_huge_body_is_refused_before_it_is_read(server: Served, subject: str) -> None:
    status, found = server.ask("POST", f"/subjects/{subject}/versions", b"x" * ((5 << 20) + 1))
    assert (status, found["error_code"]) == (413, 413)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(30)
        connection.sendall(
            b"POST /subjects/s/versions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(30)
        connection.sendall(
            b"POST /subjects/s/versions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        answer = b""
        try:
            for _ in range(100):
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        except OSError:
            pass
        try:
            answer = connection.recv(100)
        except OSError:  # it hung up while we were still sending
            answer = b"HTTP/1.1 413"
        assert answer.startswith(b"HTTP/1.1 413")
    assert server.ask("GET", "/subjects")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 1_000_000,
        b'{"schema":' * 100_000,
        b'{"schema": 1}',
        b'{"schema": "1", "version": ' + b"9" * 100_000 + b"}",
        b'{"schema": "\\"int\\"", "references": "x"}',
        b'{"schema": "\\"int\\"", "references": [{"name": "a", "subject": "b", "version": 1e400}]}',
        b'{"schema": "\\"int\\"", "metadata": {"properties": {"a": {"b": 1}}}}',
        b'{"schema": "\\"int\\"", "id": -99}',
        json.dumps({"schema": '"int"', "references": [{"name": "a", "subject": "b", "version": 1}] * 5000}).encode(),
    ],
)
@pytest.mark.parametrize(
    "path", ["/subjects/{}/versions", "/subjects/{}", "/compatibility/subjects/{}/versions", "/prism/usage"]
)
def test_hostile_json_gets_an_answer(server: Served, subject: str, path: str, body: bytes) -> None:
    status, found = server.ask("POST", path.format(subject), body)
    assert status in {400, 422}
    assert len(found["message"]) < 1000
    assert "Traceback" not in found["message"]


def test_a_comparison_that_takes_too_long_is_cut_off_and_the_next_is_answered() -> None:
    wide = json.dumps(record(*(f"f{n}?" for n in range(20_000))))
    versions = [Version(n, SchemaText(wide, {}, f"v{n}")) for n in range(1, 60)]
    subject = Subject("s", "avro", "FULL_TRANSITIVE", owner="", contact="")
    question = Question(subject, versions, Proposal(SchemaText(wide, {}, "new"), ""))
    small = Question(subject, (), Proposal(SchemaText('"int"', {}, "new"), ""))
    judges = Judges(0.5)
    try:
        now = datetime.now(UTC)
        assert judges.ask(small, now).kind == "compatible"
        verdict = judges.ask(question, now)
        assert (verdict.kind, verdict.messages) == ("undecided", ["it took longer than 0.5 s"])
        assert judges.ask(small, now).kind == "compatible"
    finally:
        judges.close()
