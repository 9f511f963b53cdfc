"""The suites that every sink passes, on a real node behind a proxy that can be busy or away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from prism_elasticsearch.sink import ElasticsearchSink
from prismlib.testing.sink_conformance import LedgerConformance, SinkConformance
from tests.plugins.prism_elasticsearch.fault_proxy import FaultProxy, Reply
from tests.plugins.prism_elasticsearch.node import Node

pytestmark = pytest.mark.real


class Harness:
    patience = 10.0

    def __init__(self, node: Node, proxy: FaultProxy) -> None:
        self._node = node
        self._proxy = proxy

    def make_sink(self, worker: str) -> ElasticsearchSink:
        return self._node.sink(self._proxy.url)

    def good(self, number: int) -> bytes:
        return b'{"number":%d, "kind":"test"}' % number

    def bad(self) -> bytes | None:
        return b'{"number":'

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
        self._proxy.reply = lambda _: Reply(200)
        yield
        self._proxy.drop = False
        self._proxy.reply = lambda _: None


@pytest.fixture
def harness(node: Node) -> Iterator[Harness]:
    with FaultProxy(node.url) as proxy:
        yield Harness(node, proxy)


class TestElasticsearchSink(SinkConformance):
    pass


class TestElasticsearchLedger(LedgerConformance):
    pass
