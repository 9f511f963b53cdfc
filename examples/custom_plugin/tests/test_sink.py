"""The sink: the suite that every sink passes, and what is its own."""

from __future__ import annotations

import contextlib
import email.utils
import json
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from endpoint import Endpoint

import prismlib
from prismlib.testing import SinkConformance, SinkHarness, build_stage, documents

TOKEN = "t0ken-of-the-shop"


class Harness:
    """What the suite needs to know of this sink."""

    patience = 10.0

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def make_sink(self, worker: str) -> prismlib.Sink:  # all workers may write
        return make(self._endpoint)

    def good(self, number: int) -> bytes:
        return b'{"total":%d}' % number

    def bad(self) -> bytes | None:
        return b'{"total":-1}'

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        living = self._endpoint.living()
        return [(name, json.dumps(body, separators=(",", ":")).encode()) for name, body in living.items()]

    @contextlib.contextmanager
    def busy(self, ids: Sequence[str]) -> Iterator[None]:
        self._endpoint.busy = set(ids)
        yield
        self._endpoint.busy = set()

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        self._endpoint.down = True
        yield
        self._endpoint.down = False


class TestWebhook(SinkConformance):
    @pytest.fixture
    def harness(self, endpoint: Endpoint) -> SinkHarness:
        return Harness(endpoint)


class TestWebhookThatTakesLittle(SinkConformance):
    """Requests of two documents or more are refused whole, so that the sink has to halve them."""

    @pytest.fixture
    def harness(self, endpoint: Endpoint) -> SinkHarness:
        endpoint.too_many = 2
        return Harness(endpoint)


def make(endpoint: Endpoint, **settings: Any) -> prismlib.Sink:
    """By its name, as a pipeline file makes it."""
    sink: prismlib.Sink = build_stage("sink", "webhook", {"url": endpoint.url, "token": TOKEN, **settings})
    return sink


def two(sink: prismlib.Sink) -> prismlib.Documents:
    return documents(sink, [("a", b'{"total":1}'), ("b", b'{"total":2}')])


def test_the_token_is_sent_and_connections_are_kept(endpoint: Endpoint) -> None:
    sink = make(endpoint)
    sink.open()
    for _ in range(3):
        assert sink.write(two(sink)) == prismlib.WriteResult()
    sink.close()
    assert endpoint.tokens == [f"Bearer {TOKEN}"] * 4
    assert endpoint.living() == {"a": {"total": 1}, "b": {"total": 2}}


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_that_says_later_says_when(endpoint: Endpoint, status: int) -> None:
    sink = make(endpoint)
    soon = email.utils.formatdate(time.time() + 100, usegmt=True)
    for header, least, most in (("7", 7, 7), (soon, 90, 100), ("9" * 400, 300, 300), ("\xb2", None, None)):
        endpoint.answer = (status, {"retry-after": header}, b"")
        with pytest.raises(prismlib.RetryableError, match=f"answers {status}") as caught:
            sink.write(two(sink))
        after = caught.value.retry_after
        assert after is least is None or (after is not None and least <= after <= most)
    endpoint.answer = None
    assert sink.write(two(sink)) == prismlib.WriteResult()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_document_that_is_refused_alone_is_rejected(endpoint: Endpoint, status: int) -> None:
    sink = make(endpoint)
    endpoint.answer = (status, {}, b"")
    rejected = sink.write(two(sink)).rejected
    assert {position: error.code for position, error in rejected.items()} == {0: str(status), 1: str(status)}


def test_a_document_that_is_no_json_is_rejected_without_asking(endpoint: Endpoint) -> None:
    sink = make(endpoint)
    result = sink.write(documents(sink, [("a", b'{"total":'), ("b", b'{"total":1},{"id":"c"}')]))
    assert {position: error.code for position, error in result.rejected.items()} == {0: "not-json", 1: "not-json"}
    assert endpoint.requests == 0


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (404, b""),
        (301, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"results":[{"status":200}]}'),
        (200, b'{"results":[{"status":200},{"status":"200"}]}'),
        (200, b'{"results":[' + b" " * (8 << 20) + b'{"status":200},{"status":200}]}'),
    ],
)
def test_an_answer_that_no_other_document_would_change_is_fatal(endpoint: Endpoint, status: int, body: bytes) -> None:
    sink = make(endpoint)
    endpoint.answer = (status, {"location": "http://127.0.0.1:1/"}, body)
    with pytest.raises(prismlib.FatalError):
        sink.write(two(sink))
    with pytest.raises(prismlib.ConfigError, match="check url and token"):
        sink.open()


def test_no_answer_in_time_is_retryable(endpoint: Endpoint) -> None:
    sink = make(endpoint, timeout="200ms")
    endpoint.take = lambda _: time.sleep(1) or (200, {}, b"")  # type: ignore[method-assign,func-returns-value]
    with pytest.raises(prismlib.RetryableError, match="does not answer: ReadTimeoutError"):
        sink.write(two(sink))


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with Endpoint() as gone:
        sink = make(gone)
    with pytest.raises(prismlib.UnreachableError, match=r"the webhook at http://127\.0\.0\.1:\d+ does not answer"):
        sink.open()
    with pytest.raises(prismlib.RetryableError):
        sink.write(two(sink))


def test_no_secret_is_in_errors_reprs_or_tracebacks(endpoint: Endpoint) -> None:
    sink = make(endpoint)
    result = sink.write(documents(sink, [("a", b'{"total":-1}')]))
    texts = [str(result), repr(sink), repr(sink.policy)]
    for down in (False, True):
        endpoint.down = down
        endpoint.answer = (401, {}, TOKEN.encode())
        for call in (sink.open, lambda: sink.write(two(sink))):
            with pytest.raises(prismlib.PrismError) as caught:
                call()
            texts.append("".join(traceback.format_exception(caught.value)))
    for text in texts:
        assert "s3cret" not in text
        assert TOKEN not in text
    assert "nobody pays less than nothing, said ***" in result.rejected[0].reason


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "hooks.example.org"}, "'url': is no address; write it like https://"),
        ({"url": "https://me:pass@hooks.example.org"}, "'url': must not hold credentials; use token"),
        ({"token": "two\nlines"}, "'token': holds characters that no token has"),
        ({"timeout": 5}, "'timeout': must be a duration"),
        ({"max_document": 5}, "unknown key 'max_document'; did you mean 'max_documents'"),
    ],
)
def test_wrong_settings_are_one_sentence(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(prismlib.ConfigError, match=f"^sink webhook: {says}"):
        build_stage("sink", "webhook", {"url": "https://hooks.example.org", **settings})
