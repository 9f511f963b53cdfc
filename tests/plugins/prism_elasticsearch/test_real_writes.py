"""What the real node does with what the sink sends."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from prismlib.errors import ConfigError, DataLossError, FatalError, RetryableError
from prismlib.records import LedgerRow
from prismlib.runtime.identity import origin_ids
from tests.http_server import Reply, Seen
from tests.plugins.prism_elasticsearch.fault_proxy import FaultProxy
from tests.plugins.prism_elasticsearch.node import SOURCE, Node, documents

pytestmark = pytest.mark.real

VERSIONS = itertools.count(100, 100)

NEXT_LINE = b'\n{"delete":{"_id":"victim"}}\n{"index":{"_id":"intruder"}}\n{}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1}{"b":2}',
        b"{} {}",
        b"{nope}",
        b'{"a":1,"a":2}',
        b'{"_origin":{"p":9}}',
        b'{"_id":"x"}',
        b'{"a":1,}',
        b'{"a":"\x01"}',
        b'{"a":' + b"[" * 1_100 + b"]" * 1_100 + b"}",
        b'{"measures":{"delay":"late"}}',
        b'{"a":1}' + NEXT_LINE,
        b'{"a":1,' + NEXT_LINE + b"}",
        b'{"a":1 /* not JSON */}',
        b"[1]",
        b'{"a":1',
    ],
)
def test_a_bad_body_is_rejected_and_nothing_of_it_reaches_its_neighbours(shared_node: Node, body: bytes) -> None:
    node = shared_node
    sink = node.sink()
    sink.open()
    sink.write(documents([None] * 3, ["before", "bad", "after"], [next(VERSIONS)] * 3))
    version = next(VERSIONS)
    sink.write(documents([b'{"a":1}'], ["victim"], [1]))
    result = sink.write(documents([b'{"a":0}', body, b'{"a":2}'], ["before", "bad", "after"], [version] * 3))
    assert list(result.rejected) == [1]
    assert not result.retry
    assert {"after", "before", "victim"} <= set(node.all())
    assert not {"bad", "intruder"} & set(node.all())
    sink.close()


def test_a_pretty_printed_body_arrives_on_one_line(node: Node) -> None:
    sink = node.sink()
    assert not sink.write(documents([b'\n{\r\n  "a": {\n    "b": 1\n  }\n}\n', b"{}"])).rejected
    assert node.stored("a") == b'{"_origin":{"p":3,"o":0},"a": {     "b": 1   } }'
    assert node.stored("b") == b'{"_origin":{"p":3,"o":1}}'
    sink.close()


@pytest.mark.parametrize("id_", ['a"b\\c', "é\u2028😀", "tab\tand\nnewline", "x" * 512])
def test_any_id_is_taken_literally(shared_node: Node, id_: str) -> None:
    sink = shared_node.sink()
    result = sink.write(documents([b'{"a":1}', b'{"a":2}'], [id_, "x" * 513], [1, 2]))
    assert list(result.rejected) == [1]
    assert id_ in shared_node.all()
    sink.close()


def test_a_record_that_somebody_deleted_is_not_absorbed_as_stale(node: Node) -> None:
    sink = node.sink()
    (id_,) = origin_ids(SOURCE, 0, [0])
    given = documents([b'{"a":1}'], [id_], [1])
    for _ in range(2):
        assert not sink.write(given).rejected
    node.connection.json("DELETE", f"/{node.alias}/_doc/{id_}")
    assert sink.write(given).rejected[0].code == "deleted-elsewhere"
    sink.close()


def test_a_key_that_somebody_deleted_waits_and_a_later_version_goes_through(node: Node) -> None:
    sink = node.sink()
    sink.write(documents([b'{"a":1}'], ["key"], [1]))
    node.connection.json("DELETE", f"/{node.alias}/_doc/key")
    assert list(sink.write(documents([b'{"a":1}'], ["key"], [1])).retry) == [0]
    assert not sink.write(documents([b'{"a":2}'], ["key"], [5])).retry
    assert not sink.write(documents([b'{"a":1}'], ["key"], [1])).retry
    assert node.all()["key"]["a"] == 2
    sink.close()


def test_an_index_that_is_blocked_or_closed_makes_documents_wait(node: Node) -> None:
    sink = node.sink()
    index = f"/{node.alias}-000001"
    node.connection.json("PUT", f"{index}/_settings", {"index.blocks.write": True})
    assert list(sink.write(documents([b"{}"])).retry) == [0]
    node.connection.json("PUT", f"{index}/_settings", {"index.blocks.write": False})
    node.connection.json("POST", f"{index}/_close")
    assert list(sink.write(documents([b"{}"])).retry) == [0]
    node.connection.json("POST", f"{index}/_open")
    assert not sink.write(documents([b"{}"])).retry
    sink.close()


@pytest.mark.parametrize("body", [b"{}", None])
def test_without_its_alias_the_sink_does_not_open_and_writes_create_nothing(node: Node, body: bytes | None) -> None:
    sink = node.sink()
    sink.open()
    node.connection.json("DELETE", f"/{node.alias}-000001")
    with pytest.raises(FatalError, match="prism setup"):
        sink.write(documents([body]))
    assert node.connection.json("GET", f"/{node.alias}") is None
    with pytest.raises(
        ConfigError, match=rf"alias '{node.alias}' does not exist on http.*`prism setup PIPELINE.toml --yes`"
    ):
        sink.open()
    sink.close()


def test_an_alias_without_one_write_index_is_refused(node: Node) -> None:
    node.connection.json("PUT", f"/{node.alias}-000002", {"aliases": {node.alias: {}}})
    change = {"index": f"{node.alias}-000001", "alias": node.alias, "is_write_index": False}
    node.connection.json("POST", "/_aliases", {"actions": [{"add": change}]})
    sink = node.sink()
    with pytest.raises(ConfigError, match="no write index"):
        sink.open()
    with pytest.raises(FatalError, match="no write index"):
        sink.write(documents([b"{}"]))
    sink.close()


def test_a_missing_ledger_is_refused(node: Node) -> None:
    sink = node.sink()
    sink.open()
    node.connection.json("DELETE", f"/{node.config.ledger_index}")
    with pytest.raises(FatalError, match=r"ledger index .* does not exist"):
        sink.save_ledger([LedgerRow(SOURCE, 1)])
    with pytest.raises(FatalError, match=r"ledger index .* does not exist"):
        sink.load_ledger([SOURCE])
    with pytest.raises(ConfigError, match=r"ledger index .* does not exist"):
        sink.open()
    assert node.connection.json("GET", f"/{node.config.ledger_index}") is None
    sink.close()


def test_each_generation_has_rows_of_its_own(node: Node) -> None:
    sink = node.sink()
    sink.open()
    sink.save_ledger([LedgerRow(SOURCE, 7)])
    new = f"{node.alias}-000002"
    node.connection.json("PUT", f"/{new}")
    swap = [
        {"remove": {"index": f"{node.alias}-000001", "alias": node.alias}},
        {"add": {"index": new, "alias": node.alias, "is_write_index": True}},
    ]
    node.connection.json("POST", "/_aliases", {"actions": swap})
    with pytest.raises(FatalError, match=rf"moved from {node.alias}-000001 .* to {new}"):
        sink.save_ledger([LedgerRow(SOURCE, 9)])
    sink.close()
    successor = node.sink()
    successor.open()
    assert not successor.load_ledger([SOURCE])
    successor.save_ledger([LedgerRow(SOURCE, 3)])
    assert successor.load_ledger([SOURCE])[SOURCE].next_offset == 3
    successor.close()


def test_rows_of_an_index_that_was_made_again_are_not_believed(node: Node) -> None:
    sink = node.sink()
    sink.open()
    sink.save_ledger([LedgerRow(SOURCE, 7)])
    sink.close()
    node.connection.json("DELETE", f"/{node.alias}-000001")
    node.set_up()
    successor = node.sink()
    with pytest.raises(DataLossError, match=r"flights\[3\].*deleted and created again"):
        successor.load_ledger([SOURCE])
    successor.close()


def test_a_ledger_that_is_busy_is_retryable(node: Node) -> None:
    with FaultProxy(node.url) as proxy:
        sink = node.sink(proxy.url)
        sink.open()
        proxy.busy = frozenset({f"flights-index/flights/3/{node.alias}-000001"})
        with pytest.raises(RetryableError, match="429"):
            sink.save_ledger([LedgerRow(SOURCE, 7)])
        proxy.busy = frozenset()
        sink.save_ledger([LedgerRow(SOURCE, 7)])
        assert sink.load_ledger([SOURCE])[SOURCE].next_offset == 7
        sink.close()


def test_nothing_is_lost_or_doubled_on_a_bad_day(node: Node) -> None:
    """429 for a while, one item in a hundred refused, and answers lost after the documents were stored."""
    chance = random.Random(7)
    count, size = 1_000, 100
    pending = {number: b'{"n":%d}' % number for number in range(count)}
    tries = 0
    with FaultProxy(node.url) as proxy:

        def trouble(seen: Seen) -> Reply | None:
            if "_bulk" in seen.path and chance.random() < 0.2:
                return Reply(429, b"{}", {"retry-after": "1"})
            return None

        sink = node.sink(proxy.url)
        sink.open()
        proxy.reply = trouble
        while pending:
            tries += 1
            numbers = list(pending)[:size]
            proxy.busy = frozenset(f"d{number}" for number in numbers if chance.random() < 0.01)
            proxy.drop = chance.random() < 0.2
            given = documents([pending[n] for n in numbers], [f"d{n}" for n in numbers], [n + 1 for n in numbers])
            try:
                result = sink.write(given)
            except RetryableError:
                continue
            assert not result.rejected
            for position, number in enumerate(numbers):
                if position not in result.retry:
                    del pending[number]
        sink.close()
    assert tries > count // size
    assert {id_: source["n"] for id_, source in node.all().items()} == {f"d{n}": n for n in range(count)}


def test_an_event_without_time_and_airport_is_taken_and_counts_into_no_day(node: Node) -> None:
    examples = (
        Path(__file__).parents[3] / "examples" / "air_traffic" / "schemas" / "air-traffic-value" / "examples" / "v2"
    )
    sink = node.sink()
    result = sink.write(documents([(examples / name).read_bytes() for name in ("aircraft.json", "weather.json")]))
    assert not result.rejected
    assert not result.retry
    assert {event["kind"]: event["time"] for event in node.all().values()} == {
        "aircraft": None,
        "weather": "2013-01-01T06:00:00Z",
    }
    days = {"days": {"date_histogram": {"field": "time", "calendar_interval": "day"}}}
    missing = {"missing": {"missing": {"field": "time"}}}
    found = node.connection.json("POST", f"/{node.alias}/_search", {"size": 0, "aggs": {**days, **missing}})[
        "aggregations"
    ]
    assert [bucket["doc_count"] for bucket in found["days"]["buckets"]] == [1]
    assert found["missing"]["doc_count"] == 1
    sink.close()


def test_a_claim_that_somebody_deleted_is_told_apart_from_a_successor(node: Node) -> None:
    sink = node.sink()
    sink.open()
    node.connection.json("POST", f"/{node.config.ledger_index}/_refresh")
    (claim,) = node.connection.json("POST", f"/{node.config.ledger_index}/_search?q=worker:1")["hits"]["hits"]
    assert claim["_id"] == "flights-index/worker/1"
    node.connection.json("DELETE", f"/{node.config.ledger_index}/_doc/flights-index%2Fworker%2F1")
    with pytest.raises(FatalError, match=r"does not say any more who is worker '1' of pipeline flights-index .*404"):
        sink.check_claim()
    sink.open()
    sink.check_claim()
    sink.close()


def test_a_ledger_from_before_there_were_claims_names_the_command_that_mends_it(node: Node) -> None:
    ledger = node.config.ledger_index
    node.connection.json("DELETE", f"/{ledger}")
    node.connection.json("DELETE", f"/_index_template/{ledger}")
    node.connection.json(
        "PUT", f"/{ledger}", {"mappings": {"dynamic": "strict", "properties": {"pipeline": {"type": "keyword"}}}}
    )
    sink = node.sink()
    with pytest.raises(
        ConfigError, match=rf"ledger index '{ledger}' is from an earlier version.*`prism setup PIPELINE.toml --yes`"
    ):
        sink.open()
    sink.close()
