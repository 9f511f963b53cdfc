"""The suites that every sink passes, on a real node behind a proxy that can be busy or away."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from prism_elasticsearch.connection import connect
from prism_elasticsearch.ledger import ElasticsearchLedgerStore
from prism_elasticsearch.sink import ElasticsearchSink
from prismlib.errors import ConfigError
from prismlib.records import LedgerNote, LedgerRow
from prismlib.testing.claim_conformance import ClaimConformance
from prismlib.testing.sink_conformance import SOURCE, LedgerConformance, SinkConformance
from tests.http_server import Reply
from tests.plugins.prism_elasticsearch.fault_proxy import FaultProxy
from tests.plugins.prism_elasticsearch.node import Node

pytestmark = pytest.mark.real


class Harness:
    patience = 10.0

    def __init__(self, node: Node, proxy: FaultProxy, bad: bytes, *, arrives: bool) -> None:
        self._node = node
        self._proxy = proxy
        self._bad = bad
        self._arrives = arrives

    def make_sink(self, worker: str) -> ElasticsearchSink:
        return self._node.sink(self._proxy.url, worker=worker)

    def good(self, number: int) -> bytes:
        return b'{"number":%d, "kind":"test"}' % number

    def bad(self) -> bytes | None:
        return self._bad

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        found = []
        for id_ in self._node.all():
            body = self._node.stored(id_)
            assert body is not None
            origin, _, rest = body.partition(b"},")
            assert origin.startswith(b'{"_origin":{"p":0,"o":')
            found.append((id_, b"{" + rest))
        return found

    @contextlib.contextmanager
    def busy(self, ids: Sequence[str]) -> Iterator[None]:
        self._proxy.busy = frozenset(ids)
        yield
        self._proxy.busy = frozenset()

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        self._proxy.drop = True
        if not self._arrives:
            self._proxy.reply = lambda _: Reply(200)
        yield
        self._proxy.drop = False
        self._proxy.reply = lambda _: None


@pytest.fixture
def proxy(node: Node) -> Iterator[FaultProxy]:
    with FaultProxy(node.url) as one:
        yield one


class TestElasticsearchSink(SinkConformance):
    """Bad documents are refused by the node, and an outage loses requests on their way."""

    @pytest.fixture
    def harness(self, node: Node, proxy: FaultProxy) -> Harness:
        return Harness(node, proxy, b'{"number":1,"measures":{"delay":"late"}}', arrives=False)


class TestElasticsearchSinkOtherwise(SinkConformance):
    """Bad documents never leave the sink, and an outage loses answers: the documents are there, and written again."""

    @pytest.fixture
    def harness(self, node: Node, proxy: FaultProxy) -> Harness:
        return Harness(node, proxy, b'{"number":', arrives=True)


class TestElasticsearchLedger(LedgerConformance, ClaimConformance):
    @pytest.fixture
    def harness(self, node: Node, proxy: FaultProxy) -> Harness:
        return Harness(node, proxy, b"", arrives=False)

    def test_many_notes_come_page_by_page(self, harness: Harness, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("prism_elasticsearch.ledger._PAGE", 3)
        notes = [LedgerNote("paused", 1_700_000_000_000, "1", f"{number}") for number in range(7)]
        sink = harness.make_sink("1")
        sink.open()
        sink.save_ledger([], notes[:6])
        assert sorted(note.what for note in sink.load_notes()) == list("012345")
        sink.save_ledger([], notes)
        assert sorted(note.what for note in sink.load_notes()) == list("0123456")
        sink.close()

    def test_notes_are_read_without_the_right_to_refresh(self, harness: Harness, proxy: FaultProxy) -> None:
        proxy.reply = lambda seen: Reply(403) if seen.path.endswith("/_refresh") else None
        note = LedgerNote("paused", 1_700_000_000_000, "1", "drift")
        sink = harness.make_sink("1")
        sink.open()
        sink.save_ledger([], [note])
        deadline = time.monotonic() + 10
        while sink.load_notes() != [note]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        sink.close()


class LedgerStoreHarness:
    """The command's ledger store in the place of a sink: the same clauses hold for it."""

    patience = 10.0

    def __init__(self, node: Node) -> None:
        self._node = node

    def make_sink(self, worker: str) -> ElasticsearchLedgerStore:
        config = self._node.config
        return ElasticsearchLedgerStore(
            connect(config, Path()), config.alias, pipeline="flights-index", index=config.ledger_index
        )


class TestElasticsearchLedgerStore(LedgerConformance):
    @pytest.fixture
    def harness(self, node: Node) -> LedgerStoreHarness:
        return LedgerStoreHarness(node)

    def test_sink_and_store_share_one_ledger(self, node: Node, harness: LedgerStoreHarness) -> None:
        sink, store = node.sink(), harness.make_sink("1")
        sink.open()
        store.open()
        row = LedgerRow(SOURCE, 2, ledger_epoch=1)
        store.save_ledger([row])
        sink.save_ledger([LedgerRow(SOURCE, 9)])  # of a worker that does not know yet
        assert sink.load_ledger([SOURCE]) == store.load_ledger([SOURCE]) == {SOURCE: row}
        sink.close()
        store.close()

    def test_a_missing_ledger_names_the_command_that_creates_it(self, node: Node, harness: LedgerStoreHarness) -> None:
        node.connection.json("DELETE", f"/{node.config.ledger_index}")
        with pytest.raises(ConfigError, match="create it with `prism setup"):
            harness.make_sink("1").open()
