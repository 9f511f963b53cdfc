"""What the sink makes of answers, with a server in the test that gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prism_elasticsearch.config import ElasticsearchConfig
from prism_elasticsearch.connection import connect
from prism_elasticsearch.sink import ElasticsearchSink
from prismlib.errors import FatalError, RetryableError
from prismlib.records import Documents, Retry
from prismlib.runtime.identity import origin_ids, versions
from tests.http_server import Reply, Seen, answers
from tests.plugins.prism_elasticsearch.fault_proxy import FaultProxy, items
from tests.plugins.prism_elasticsearch.node import SOURCE, documents

DELIVERED = Reply(200, b'{"errors":false,"items":[]}')
BODY = b'{"a":1}'


@pytest.fixture
def server() -> Iterator[FaultProxy]:
    with FaultProxy() as proxy:
        proxy.reply = answers(DELIVERED)
        yield proxy


@pytest.fixture
def sink(server: FaultProxy) -> Iterator[ElasticsearchSink]:
    made = ElasticsearchSink(
        connect(ElasticsearchConfig(url=server.url, alias="events"), Path()), "events", pipeline="p"
    )
    yield made
    made.close()


def failed(status: int, kind: str, reason: str = "a reason", **more: Any) -> dict[str, Any]:
    return {"status": status, "error": {"type": kind, "reason": reason, "index": "events-000001", **more}}


def conflict(current: int, provided: int) -> dict[str, Any]:
    reason = f"[x]: version conflict, current version [{current}] is higher than the one provided [{provided}]"
    return failed(409, "version_conflict_engine_exception", reason)


def replying(bulk: Reply, mget: bytes) -> Callable[[Seen], Reply]:
    return lambda seen: Reply(200, mget) if "_mget" in seen.path else bulk


def test_a_write_is_one_request_to_the_alias_that_must_exist(server: FaultProxy, sink: ElasticsearchSink) -> None:
    result = sink.write(documents([BODY, None]))
    assert not result.rejected
    assert not result.retry
    (seen,) = server.seen
    assert seen.path == "/events/_bulk?require_alias=true&filter_path=errors,items.*.status,items.*.error"
    assert seen.headers["content-type"] == "application/x-ndjson"
    assert "authorization" not in seen.headers


def test_nothing_is_sent_when_nothing_can_be(server: FaultProxy, sink: ElasticsearchSink) -> None:
    assert list(sink.write(documents([b"[]"])).rejected) == [0]
    assert not sink.write(documents([])).rejected
    assert not server.seen


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "es_rejected_execution_exception"),
        (503, "unavailable_shards_exception"),
        (500, "some_exception"),
        (403, "cluster_block_exception"),
        (400, "index_closed_exception"),
        (409, "another_kind_of_conflict"),
    ],
)
def test_what_may_pass_later_is_a_retry(server: FaultProxy, sink: ElasticsearchSink, status: int, kind: str) -> None:
    server.reply = answers(items({"status": 201}, failed(status, kind), {"status": 200}))
    result = sink.write(documents([BODY] * 3))
    assert result.retry == {1: Retry(f"{status} {kind}")}
    assert not result.rejected


def test_what_the_server_refuses_for_good_is_rejected_without_the_values(
    server: FaultProxy, sink: ElasticsearchSink
) -> None:
    reason = (
        "[1:20] failed to parse field [measures.delay] of type [double] in document with id 'UA1'. Preview of field's "
        "value: 'SECRET-VALUE'"
    )
    server.reply = answers(items({"status": 201}, failed(400, "document_parsing_exception", reason)))
    result = sink.write(documents([b"[]", BODY, BODY]))
    assert sorted(result.rejected) == [0, 2]
    refused = result.rejected[2]
    assert (refused.code, refused.field) == ("document_parsing_exception", "measures.delay")
    assert str(refused) == (
        "Elasticsearch refuses the document: 400 document_parsing_exception: [1:20] failed to parse field [measures.delay] "
        "of type [double]"
    )


@pytest.mark.parametrize(
    "quoting",
    [
        'Unexpected character\n at [Source: (byte[])"{SECRET-VALUE}"; line: 1, column: 2]',
        'For input string: "SECRET-VALUE"',
        "expected ']' (for root starting at [Source: (byte[])\"{SECRET-VALUE\"",
    ],
)
def test_quotes_of_the_record_are_left_out(server: FaultProxy, sink: ElasticsearchSink, quoting: str) -> None:
    server.reply = answers(items(failed(400, "document_parsing_exception", f"failed: {quoting}")))
    said = str(sink.write(documents([BODY])).rejected[0])
    assert "failed" in said
    assert "SECRET" not in said


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (failed(404, "index_not_found_exception"), "prism setup"),
        (
            failed(400, "illegal_argument_exception", "no write index is defined for alias [events]. ..."),
            "is_write_index",
        ),
        (failed(403, "security_exception"), "privilege"),
    ],
)
def test_a_destination_that_takes_nothing_is_fatal(
    server: FaultProxy, sink: ElasticsearchSink, error: dict[str, Any], names: str
) -> None:
    server.reply = answers(items(error))
    with pytest.raises(FatalError, match=names) as caught:
        sink.write(documents([BODY]))
    assert "'events'" in str(caught.value)


def test_a_missing_document_is_deleted_already(server: FaultProxy, sink: ElasticsearchSink) -> None:
    server.reply = answers(items({"status": 404}, operation="delete"))
    result = sink.write(documents([None]))
    assert not result.retry
    assert not result.rejected


def test_an_older_version_is_delivered(server: FaultProxy, sink: ElasticsearchSink) -> None:
    server.reply = answers(items(conflict(9, 1)))
    result = sink.write(documents([BODY]))
    assert not result.retry
    assert not result.rejected
    assert len(server.seen) == 1


def test_a_stale_delete_is_delivered(server: FaultProxy, sink: ElasticsearchSink) -> None:
    server.reply = answers(items(conflict(2, 1), operation="delete"))
    assert not sink.write(documents([None])).retry
    assert len(server.seen) == 1


@pytest.mark.parametrize(("found", "waits"), [(b"true", False), (b"false", True)])
def test_a_key_with_the_very_next_version_waits_only_while_its_document_is_gone(
    server: FaultProxy,
    sink: ElasticsearchSink,
    found: bytes,
    waits: bool,  # noqa: FBT001
) -> None:
    server.reply = replying(items(conflict(2, 1)), b'{"docs":[{"found":%b}]}' % found)
    result = sink.write(documents([BODY]))
    assert (0 in result.retry) == waits
    assert not result.rejected


def test_a_key_whose_tombstone_this_sink_has_sent_does_not_wait(server: FaultProxy, sink: ElasticsearchSink) -> None:
    sink.write(documents([None], ["key"], [2]))
    server.reply = replying(items(conflict(2, 1)), b'{"docs":[{"found":false}]}')
    assert not sink.write(documents([BODY], ["key"], [1])).retry
    assert 0 in sink.write(documents([BODY], ["another"], [1])).retry


def test_a_record_that_was_written_and_deleted_by_hand_is_not_called_delivered(
    server: FaultProxy, sink: ElasticsearchSink
) -> None:
    (version,) = versions(1, [0])
    given = documents([BODY], origin_ids(SOURCE, 1, [0]), [version])
    server.reply = replying(items(conflict(version + 5, version)), b'{"docs":[{"found":false}]}')
    assert sink.write(given).rejected[0].code == "deleted-elsewhere"
    server.reply = replying(items(conflict(version + 5, version)), b'{"docs":[{"found":true}]}')
    assert not sink.write(given).rejected


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(server: FaultProxy, sink: ElasticsearchSink, status: int) -> None:
    server.reply = answers(Reply(status, b"busy", {"retry-after": "7"}), DELIVERED)
    with pytest.raises(RetryableError, match=str(status)) as caught:
        sink.write(documents([BODY]))
    assert caught.value.retry_after == 7
    assert not sink.write(documents([BODY])).retry


def test_a_date_says_when_to_come_back_too(server: FaultProxy, sink: ElasticsearchSink) -> None:
    server.reply = answers(Reply(503, b"", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    with pytest.raises(RetryableError) as caught:
        sink.write(documents([BODY]))
    assert caught.value.retry_after == 0


@pytest.mark.parametrize("header", ["soon", "\xb2"])
def test_a_retry_after_that_is_no_time_is_passed_over(server: FaultProxy, sink: ElasticsearchSink, header: str) -> None:
    server.reply = answers(Reply(503, b"", {"retry-after": header}))
    with pytest.raises(RetryableError) as caught:
        sink.write(documents([BODY]))
    assert caught.value.retry_after is None


def test_a_proxy_that_answers_something_else_is_asked_again(server: FaultProxy, sink: ElasticsearchSink) -> None:
    server.reply = answers(Reply(200, b"<html>hello</html>"))
    with pytest.raises(RetryableError, match="not JSON"):
        sink.write(documents([BODY]))
    server.reply = answers(items({"status": 201}, failed(429, "x")))
    with pytest.raises(RetryableError, match="one item for each of 1"):
        sink.write(documents([BODY]))


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(404, b"not here"), "check url"),
        (Reply(301, b"", {"location": "/elsewhere"}), "redirects"),
        (Reply(401, b""), "set api_key"),
        (Reply(403, b""), "set api_key"),
    ],
)
def test_what_does_not_pass_by_itself_is_fatal(
    server: FaultProxy, sink: ElasticsearchSink, reply: Reply, says: str
) -> None:
    server.reply = answers(reply)
    with pytest.raises(FatalError, match=says):
        sink.write(documents([BODY]))


def refusing(status: int, marks: bytes) -> Callable[[Seen], Reply]:
    """Refuse a whole request when one of its documents holds ``marks``."""
    return lambda seen: Reply(status, b'{"error":{"type":"parse","reason":"bad"}}') if marks in seen.body else DELIVERED


@pytest.mark.parametrize(("status", "code"), [(413, "too-large"), (400, "bad-request")])
def test_a_request_that_is_refused_whole_is_halved_down_to_the_culprit(
    server: FaultProxy, sink: ElasticsearchSink, status: int, code: str
) -> None:
    server.reply = refusing(status, b"culprit")
    bodies = [BODY] * 16
    bodies[3] = bodies[11] = b'{"a":"culprit"}'
    result = sink.write(documents(bodies))
    assert sorted(result.rejected) == [3, 11]
    assert {error.code for error in result.rejected.values()} == {code}
    sent = [seen.body.count(b'"index"') for seen in server.seen if b"culprit" not in seen.body]
    assert sum(sent) == 14


def test_a_server_that_refuses_every_request_is_fatal_and_fills_no_dead_letters(
    server: FaultProxy, sink: ElasticsearchSink
) -> None:
    server.reply = refusing(400, b"index")
    with pytest.raises(FatalError, match="refuses every bulk request to 'events'"):
        sink.write(documents([BODY] * 3))


def test_an_answer_that_is_lost_is_retryable_and_the_next_write_works(
    server: FaultProxy, sink: ElasticsearchSink
) -> None:
    server.drop = True
    with pytest.raises(RetryableError, match="does not answer"):
        sink.write(documents([BODY]))
    server.drop = False
    assert not sink.write(documents([BODY])).retry


def test_many_threads_write_at_once(server: FaultProxy, sink: ElasticsearchSink) -> None:

    def reply(seen: Seen) -> Reply:
        bad = [b"bad" in line for line in seen.body.split(b"\n")[1::2]]
        return items(*(failed(400, "x") if one else {"status": 201} for one in bad))

    server.reply = reply
    given: list[Documents] = [documents([b'{"a":"bad"}' if i == n else BODY for i in range(8)]) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(sink.write, given))
    assert [list(result.rejected) for result in results] == [[n] for n in range(8)]
