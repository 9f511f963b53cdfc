"""Servers that are slow, broken, hostile or away: an answer, or one sentence within the time limit."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import pytest

import prism_confluent_registry.connection
from prismlib.contracts.framing import WriterSchemas, header
from prismlib.errors import RegistryUnavailableError, SchemaDriftError
from tests.http_server import HttpServer, Reply, Wire, answers
from tests.plugins.prism_confluent_registry.client import connect

FINE = Reply(200, ["a"])
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited before asking again, and not really waited here."""
    found: list[float] = []
    monkeypatch.setattr(prism_confluent_registry.connection.time, "sleep", found.append)
    return found


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that refuses connections: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://localhost:{sock.getsockname()[1]}"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_fails_for_a_moment_is_asked_again(sleeps: list[float], status: int) -> None:
    with HttpServer(answers(Reply(status), Reply(status), FINE)) as server:
        assert connect(server.url).subjects() == ["a"]
        assert len(server.seen) == 3
    first, second = sleeps
    assert 0.05 <= first <= 0.1 <= second <= 0.2


@pytest.mark.parametrize("status", [400, 404, 405, 413, 422, 501])
def test_a_refusal_is_not_asked_again(sleeps: list[float], status: int) -> None:
    with HttpServer(lambda _: Reply(status)) as server:
        with pytest.raises(RegistryUnavailableError):
            connect(server.url).subjects()
        assert len(server.seen) == 1
    assert sleeps == []


def test_retry_after_is_honoured(sleeps: list[float]) -> None:
    later = Reply(429, headers={"retry-after": "1"})
    with HttpServer(answers(later, FINE)) as server:
        assert connect(server.url).subjects() == ["a"]
    assert sleeps == [1.0]


def test_retry_after_may_be_a_date(sleeps: list[float]) -> None:
    past = Reply(503, headers={"retry-after": formatdate(0)})
    soon = Reply(503, headers={"retry-after": formatdate(4e9)})
    odd = Reply(503, headers={"retry-after": "soon"})
    with HttpServer(answers(past, odd, soon)) as server:
        with pytest.raises(
            RegistryUnavailableError, match=r"no answer within 2 s: http://localhost:\d+ answers 503; check url"
        ):
            connect(server.url).subjects()
        assert len(server.seen) == 3
    assert len(sleeps) == 2, "a date beyond the time limit is not waited for"


def test_a_server_that_stays_away_is_said_to_be_away(nowhere: str) -> None:
    with pytest.raises(
        RegistryUnavailableError, match=f"within 0.2 s: {nowhere} cannot be reached: Connection refused"
    ):
        connect(nowhere, timeout="200ms").subjects()


def wires() -> Iterator[tuple[str, Wire]]:
    trickle = itertools.repeat(b"x")
    yield "silent", Wire([b""], pause=60)
    yield "a trickle in the status line", Wire(trickle, pause=0.02)
    yield "a trickle of headers", Wire(itertools.chain([HEAD], itertools.repeat(b"a: b\r\n")), pause=0.02)
    yield "a trickle in the body", Wire(itertools.chain([HEAD + b"\r\n["], itertools.repeat(b" ")), pause=0.02)
    yield "cut off in the status line", Wire([b"HTTP/1.1 2"])
    yield "cut off in the headers", Wire([HEAD])
    yield "cut off in the body", Wire([HEAD + b"content-length: 9\r\n\r\n[1"])
    yield "cut off in a chunk", Wire([HEAD + b"transfer-encoding: chunked\r\n\r\n9\r\n[1"])
    yield "closed", Wire([])
    yield "another protocol", Wire([b"SSH-2.0-OpenSSH_9.6\r\n"])
    yield "an endless header", Wire([HEAD + b"a: " + b"b" * 70_000])


@pytest.mark.parametrize("wire", [pytest.param(wire, id=name) for name, wire in wires()])
def test_what_is_no_whole_answer_in_time_is_unavailable(wire: Wire) -> None:
    with (
        HttpServer(lambda _: wire) as server,
        pytest.raises(
            RegistryUnavailableError,
            match=f"no answer within 0.5 s: {server.url} (does not|closed|cannot|answers nothing)",
        ),
    ):
        connect(server.url, timeout="500ms").subjects()


def test_after_a_cut_off_answer_the_next_is_whole() -> None:
    cut = Wire([HEAD + b"content-length: 9\r\n\r\n[1"])
    with HttpServer(answers(cut, FINE)) as server:
        assert connect(server.url).subjects() == ["a"]


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}])
def test_what_is_not_json_is_a_proxy(headers: dict[str, str]) -> None:
    with (
        HttpServer(lambda _: Reply(200, b"\x1f\x8b<html>", headers=headers)) as server,
        pytest.raises(RegistryUnavailableError, match="not JSON; is it a proxy and not the registry"),
    ):
        connect(server.url).subjects()


@pytest.mark.parametrize("head", [HEAD + b"\r\n", HEAD + b"content-length: 99999999999\r\n\r\n"])
def test_an_endless_answer_is_not_read_to_its_end(head: bytes) -> None:
    sent = itertools.count()
    pieces = itertools.chain([head], (b" " * (1 << 20) for _ in sent))
    with (
        HttpServer(lambda _: Wire(pieces)) as server,
        pytest.raises(RegistryUnavailableError, match="answers GET /subjects with more than 8 MiB"),
    ):
        connect(server.url, timeout="60s").subjects()
    assert next(sent) < 64, "what is in the buffers of two sockets may have been sent besides"


def test_deep_nesting_is_no_answer() -> None:
    with (
        HttpServer(lambda _: Reply(200, b"[" * 100_000)) as server,
        pytest.raises(RegistryUnavailableError, match="not JSON"),
    ):
        connect(server.url).subjects()


def test_a_redirect_is_not_followed_and_no_credentials_leave() -> None:
    with HttpServer(lambda _: FINE) as other, HttpServer(lambda _: FINE) as server:
        server.reply = lambda _: Reply(307, headers={"location": other.url + "/subjects"})
        with pytest.raises(RegistryUnavailableError, match=r"redirects \(status 307\).*set url to where it really is"):
            connect(server.url, token="hush").subjects()
        assert len(server.seen) == 1
        assert other.seen == []


def test_several_addresses_are_tried_in_turn_and_the_one_that_answers_is_kept(
    nowhere: str, sleeps: list[float]
) -> None:
    with HttpServer(lambda _: Reply(503)) as failing, HttpServer(lambda _: FINE) as fine:
        registry = connect(f"{nowhere}, {failing.url},{fine.url}/")
        assert registry.subjects() == ["a"]
        assert (len(failing.seen), len(fine.seen)) == (1, 1)
        assert registry.subjects() == ["a"]
        assert (len(failing.seen), len(fine.seen)) == (1, 2), "the one that answered is asked first"
        fine.reply = lambda _: Reply(502)
        failing.reply = lambda _: FINE
        assert registry.subjects() == ["a"]
        assert len(fine.seen) == 3
    assert sleeps == [], "the next address is asked at once"


def test_an_address_that_swallows_everything_leaves_time_for_the_others() -> None:
    with HttpServer(lambda _: Wire([b""], pause=60)) as silent, HttpServer(lambda _: FINE) as fine:
        assert connect(f"{silent.url},{fine.url}", timeout="1s").subjects() == ["a"]


def test_all_addresses_are_named_when_none_answers(nowhere: str) -> None:
    with HttpServer(lambda _: Reply(503)) as failing:
        with pytest.raises(RegistryUnavailableError) as caught:
            connect(f"{nowhere},{failing.url}", timeout="300ms").subjects()
        assert f"{nowhere} cannot be reached: Connection refused; {failing.url} answers 503" in str(caught.value)
        assert len(failing.seen) > 1, "there was time for a second round"


@pytest.mark.parametrize(
    ("keys", "status", "said"),
    [
        ({}, 401, "asks for credentials (status 401); set token, or user and password, in [registry]"),
        ({}, 403, "asks for credentials (status 403); set token"),
        ({"token": "hush-token"}, 401, "does not accept the credentials (status 401); check token in [registry]"),
        ({"token": "hush-token"}, 403, "denies access (status 403); the rights of token do not cover this"),
        ({"user": "u", "password": "hush-pw"}, 401, "(status 401); check user and password in [registry]"),
    ],
)
def test_refused_credentials_are_named_and_never_shown(
    caplog: pytest.LogCaptureFixture, keys: dict[str, Any], status: int, said: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with HttpServer(lambda _: Reply(status, {"error_code": status, "message": "no"})) as server:
        registry = connect(server.url, **keys)
        with pytest.raises(RegistryUnavailableError) as caught:
            registry.subjects()
        assert len(server.seen) == 1
    assert said in str(caught.value)
    assert "hush" not in f"{caught.value!r} {registry!r} {caplog.text}"


def test_a_server_that_repeats_our_credentials_does_not_show_them() -> None:
    with HttpServer(lambda _: FINE) as server:
        server.reply = lambda seen: Reply(400, {"error_code": 400, "message": f"got {seen.headers['authorization']}"})
        for keys in ({"token": "hush-token"}, {"user": "u", "password": "hush-pw"}):
            with pytest.raises(RegistryUnavailableError, match=r"got (Bearer|Basic) \*\*\*$"):
                connect(server.url, **keys).subjects()


def test_threads_share_one_registry_whose_server_flaps() -> None:
    flap = itertools.cycle([Reply(503), FINE, Wire([]), FINE, FINE])
    lock = threading.Lock()

    def reply(_: object) -> Reply | Wire:
        with lock:
            return next(flap)

    with HttpServer(reply) as server, ThreadPoolExecutor(8) as threads:
        registry = connect(server.url, timeout="30s")
        assert list(threads.map(lambda _: registry.subjects(), range(80))) == [["a"]] * 80


def test_a_registry_that_is_away_is_drift_for_a_decoder(nowhere: str) -> None:
    """Drift pauses the route and probes again; nothing is skipped."""
    with pytest.raises(SchemaDriftError, match="schema id 7 cannot be looked up: the schema registry gave no answer"):
        WriterSchemas(connect(nowhere, timeout="100ms"), "avro").of(header(7))
