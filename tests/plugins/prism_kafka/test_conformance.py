"""The suites that every source and sink passes, on a real broker."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from confluent_kafka import Producer

from prism_kafka.dead_letters import KafkaDeadLetters
from prism_kafka.reader import KafkaReader
from prism_kafka.sink import KafkaSink
from prism_kafka.source import KafkaSource
from prismlib.testing.claim_conformance import ClaimConformance
from prismlib.testing.reader_conformance import Ends, ReaderConformance, ReaderHarness
from prismlib.testing.sink_conformance import (
    SOURCE,
    LedgerConformance,
    SinkConformance,
    TransactionalConformance,
)
from prismlib.testing.source_conformance import SourceConformance, SourceHarness, Written
from tests.plugins.prism_kafka.broker import QUIET, Broker, fresh_name, opened

pytestmark = pytest.mark.real

MAX_RECORD = 10_000
"""``max.message.bytes`` of the topics that sinks write to."""


class KafkaSourceHarness:
    patience = 60.0  # longer than a session: of a member that leaves by the new protocol the group may hear late

    def __init__(self, broker: Broker, **options: Any) -> None:
        self._broker = broker
        self._options = options

    def create_topic(self, partitions: int) -> str:
        return self._broker.create_topic(partitions=partitions)

    def append(self, topic: str, partition: int, records: Sequence[Written]) -> Sequence[int]:
        return self._broker.append(topic, partition, [(r.key, r.value, r.headers, r.timestamp_ms) for r in records])

    def make_source(self, topic: str, group: str) -> KafkaSource:
        return self._broker.source(topic, group, **self._options)


class TestKafkaSource(SourceConformance):
    @pytest.fixture
    def harness(self, broker: Broker) -> SourceHarness:
        return KafkaSourceHarness(broker)


class TestKafkaSourceWithTheNewGroupProtocol(SourceConformance):
    @pytest.fixture
    def harness(self, broker: Broker) -> SourceHarness:
        return KafkaSourceHarness(broker, **{"group.protocol": "consumer"})


class TestKafkaSourceWithAnEagerAssignor(SourceConformance):
    @pytest.fixture
    def harness(self, broker: Broker) -> SourceHarness:
        return KafkaSourceHarness(broker, **{"partition.assignment.strategy": "range"})


@contextmanager
def suspended(server: Any) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


class TopicHarness:
    """An empty topic that takes small records only."""

    patience = 5.0

    def __init__(self, broker: Broker, server: Any) -> None:
        self._broker = broker
        self._server = server
        self._topic = fresh_name()

    def good(self, number: int) -> bytes:
        return b'{"number": %d}\n' % number

    def bad(self) -> bytes | None:
        return random.Random(1).randbytes(2 * MAX_RECORD)  # too large for the broker however well it is compressed

    def read_back(self) -> Sequence[tuple[str, bytes]]:
        return [((key or b"").decode(), value or b"") for key, value in self._broker.read(self._topic)]

    def busy(self, ids: Sequence[str]) -> AbstractContextManager[None] | None:
        return None

    def unreachable(self) -> AbstractContextManager[None]:
        return suspended(self._server)


class KafkaSinkHarness(TopicHarness):
    """One topic and pipeline a test. The group's member reads the topic that the suite's documents come from."""

    def __init__(self, broker: Broker, server: Any) -> None:
        super().__init__(broker, server)
        self._pipeline = fresh_name()
        broker.set_up_sink(self._topic, self._pipeline, max_message_bytes=MAX_RECORD)
        if SOURCE.stream not in broker.admin.list_topics(timeout=10).topics:
            broker.create_topic(SOURCE.stream)
        self._members: list[KafkaSource] = []

    def make_sink(self, worker: str) -> KafkaSink:
        return self._broker.sink(self._topic, self._pipeline, worker)

    def member(self, *, stale: bool = False) -> object:
        if stale:
            former = self._join(fresh_name())
            token = former.member()
            former.close()
            return token
        if not self._members:
            self._members.append(self._join(self._pipeline))
        self._members[0].poll(1, 0.0)
        return self._members[0].member()

    def _join(self, group: str) -> KafkaSource:
        source = self._broker.source(SOURCE.stream, group)
        listener = opened(source)
        while not listener.mine:
            source.poll(1, 0.1)
        return source

    def committed(self) -> int | None:
        return self._members[0].committed([SOURCE])[SOURCE].next_offset


class KafkaDeadLettersHarness(TopicHarness):
    def __init__(self, broker: Broker, server: Any) -> None:
        super().__init__(broker, server)
        broker.create_topic(self._topic, max_message_bytes=MAX_RECORD)

    def make_sink(self, worker: str) -> KafkaDeadLetters:
        return self._broker.dead_letters(self._topic)


@pytest.fixture
def harness(own_broker: Broker, own_kafka: Any) -> KafkaSinkHarness:
    return KafkaSinkHarness(own_broker, own_kafka)


class TestKafkaSink(SinkConformance):
    pass


class TestKafkaTransactions(TransactionalConformance):
    pass


class TestKafkaLedger(LedgerConformance, ClaimConformance):
    pass


class TestKafkaDeadLetters(SinkConformance):
    @pytest.fixture
    def harness(self, own_broker: Broker, own_kafka: Any) -> KafkaDeadLettersHarness:
        return KafkaDeadLettersHarness(own_broker, own_kafka)


class KafkaReaderHarness:
    def __init__(self, broker: Broker, server: Any) -> None:
        self._broker = broker
        self._server = server
        self.stable_seconds = 5.0  # an outage ends a reading after that long

    def create_stream(self, partitions: int) -> str:
        return self._broker.create_topic(partitions=partitions)

    def append(self, stream: str, partition: int, records: Sequence[Written]) -> Sequence[int]:
        return self._broker.append(stream, partition, [(r.key, r.value, r.headers, r.timestamp_ms) for r in records])

    def transaction(self, stream: str, partition: int, records: Sequence[Written]) -> Ends:
        producer = Producer({"bootstrap.servers": self._broker.servers, "transactional.id": fresh_name(), **QUIET})
        producer.init_transactions(20)
        producer.begin_transaction()
        for record in records:
            producer.produce(stream, record.value, record.key, partition)
        assert producer.flush(20) == 0
        return lambda committed: producer.commit_transaction(20) if committed else producer.abort_transaction(20)

    def make_reader(self) -> KafkaReader:
        return self._broker.reader(stable_seconds=self.stable_seconds)

    def unreachable(self) -> AbstractContextManager[None]:
        return suspended(self._server)


class TestKafkaReader(ReaderConformance):
    @pytest.fixture
    def harness(self, own_broker: Broker, own_kafka: Any) -> ReaderHarness:
        return KafkaReaderHarness(own_broker, own_kafka)


class LedgerStoreHarness:
    """The command's ledger store in the place of a sink: the same clauses hold for it."""

    patience = 5.0

    def __init__(self, broker: Broker) -> None:
        pipeline = fresh_name()
        broker.set_up_sink(pipeline, pipeline)
        self.make_sink = lambda _worker: broker.ledger_store(pipeline)


class TestKafkaLedgerStore(LedgerConformance):
    @pytest.fixture
    def harness(self, broker: Broker) -> LedgerStoreHarness:
        return LedgerStoreHarness(broker)
