"""A broker that dies in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from prism_kafka.sink import KafkaSink
from prism_kafka.source import KafkaSource
from prismlib.errors import RetryableError
from prismlib.records import Documents, LedgerRow, Partition
from tests.plugins.prism_kafka.broker import Broker, Listener, fresh_name, opened, read

pytestmark = pytest.mark.real

PATIENCE = 120.0


class Forwarder:
    """The runner's transactional loop without anything between source and sink."""

    def __init__(self, source: KafkaSource, sink: KafkaSink, stream: str) -> None:
        self.source, self.sink, self.stream = source, sink, stream
        self.positions: dict[Partition, int] = {}
        self.forwarded = 0

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        committed = self.source.committed(partitions)
        rows = self.sink.load_ledger(partitions)
        starts = {p: committed[p].next_offset or 0 for p in partitions}
        assert starts == {p: rows[p].next_offset if p in rows else 0 for p in partitions}
        self.positions |= starts
        return starts

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            del self.positions[partition]

    on_lost = on_revoked

    def forward(self, count: int) -> None:
        self.source.open(self)
        deadline = time.monotonic() + PATIENCE
        while self.forwarded < count:
            assert time.monotonic() < deadline, f"{self.forwarded} of {count} records were forwarded"
            try:
                self._one_transaction()
            except RetryableError:
                self._go_back(deadline)

    def _one_transaction(self) -> None:
        batches = self.source.poll(200, 0.2)
        if not batches:
            return
        self.sink.begin()
        for batch in batches:
            origins = [batch.partition] * len(batch)
            self.sink.write(Documents(self.stream, origins, batch.offsets, batch.keys, batch.values))
        assert not self.sink.flush(5.0).rejected
        nexts = {batch.partition: batch.next_offset for batch in batches}
        self.sink.commit(nexts, self.source.member(), [LedgerRow(p, offset) for p, offset in nexts.items()])
        self.positions |= nexts
        self.forwarded = sum(self.positions.values())

    def _go_back(self, deadline: float) -> None:
        while True:
            try:
                self.sink.abort()
                committed = self.source.committed(list(self.positions))
            except RetryableError:
                if time.monotonic() > deadline:
                    raise
                continue
            self.positions = {p: committed[p].next_offset or 0 for p in self.positions}
            self.forwarded = sum(self.positions.values())  # more than before, if a commit was not known to have arrived
            self.source.seek(self.positions)
            return


def test_every_record_arrives_once_although_the_broker_is_killed_twice(own_kafka: Any, own_broker: Broker) -> None:
    topic, output = own_broker.create_topic(partitions=2), fresh_name()
    count = 12_000
    for index in range(2):
        own_broker.number(topic, count // 2, index)
    own_broker.set_up_sink(output, output)
    sink = own_broker.sink(output, output)
    sink.open()
    worker = Forwarder(own_broker.source(topic, output), sink, output)
    killed_at: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        for under_way in (2_000, 6_000):  # in the middle of the work, however fast it is
            while worker.forwarded < under_way:
                if ended.wait(0.001):
                    return
            own_kafka.kill()
            killed_at.append(worker.forwarded)
            own_kafka.start()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        worker.forward(count)
    finally:
        ended.set()
        killer.join()
    assert len(killed_at) == 2
    assert killed_at[-1] < count
    values = [int(value or b"") for _, value in own_broker.read(output)]
    assert sorted(values) == sorted([*range(count // 2), *range(count // 2)])


def test_reading_and_committing_go_on_after_an_outage(own_kafka: Any, own_broker: Broker) -> None:
    topic, group = own_broker.create_topic(), fresh_name()
    partition = Partition(topic, 0)
    own_broker.number(topic, 10)
    source = own_broker.source(topic, group, **{"session.timeout.ms": 20_000})
    opened(source)
    read(source, 10)
    own_kafka.kill()
    assert source.poll(10, 0.5) == []
    with pytest.raises(RetryableError):
        source.horizons([partition])
    own_kafka.start()
    own_broker.number(topic, 3)
    assert [offset for batch in read(source, 3) for offset in batch.offsets] == [10, 11, 12]
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            source.commit({partition: 13})
            break
        except RetryableError:
            assert time.monotonic() < deadline
            source.poll(10, 0.2)
    assert source.committed([partition])[partition].next_offset == 13


def test_a_commit_that_cannot_arrive_is_retryable(own_kafka: Any, own_broker: Broker) -> None:
    topic, group = own_broker.create_topic(), fresh_name()
    own_broker.number(topic, 3)
    source = own_broker.source(topic, group, **{"session.timeout.ms": 3000, "heartbeat.interval.ms": 500})
    opened(source)
    read(source, 3)
    own_kafka.kill()
    try:
        with pytest.raises(RetryableError, match=f"group {group}: the offsets cannot be committed"):
            source.commit({Partition(topic, 0): 3})
    finally:
        own_kafka.start()


def test_closing_does_not_need_the_broker(own_kafka: Any, own_broker: Broker) -> None:
    topic = fresh_name()
    own_broker.set_up_sink(topic, topic)
    sink = own_broker.sink(topic, topic)
    sink.open()
    sink.begin()
    source = own_broker.source(topic, topic)
    listener: Listener = opened(source)
    while not listener.mine:
        source.poll(1, 0.1)
    own_kafka.kill()
    try:
        source.close()
        sink.close()
    finally:
        own_kafka.start()
    assert listener.events[-1] == ("revoked", [Partition(topic, 0)])
