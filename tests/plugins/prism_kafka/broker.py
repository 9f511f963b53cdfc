"""A real broker for tests: topics of their own, records written and read back by plain clients."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from prism_kafka.administration import KafkaAdministration
from prism_kafka.dead_letters import KafkaDeadLetters
from prism_kafka.ledger import KafkaLedgerStore
from prism_kafka.reader import KafkaReader
from prism_kafka.sink import KafkaSink
from prism_kafka.source import KafkaSource
from prismlib.records import Documents, Headers, Partition, RecordBatch
from prismlib.stages import Source

QUIET: dict[str, Any] = {"log_level": 0, "error_cb": lambda _: None}
PATIENCE = 30.0


def fresh_name() -> str:
    return f"t{uuid.uuid4().hex[:10]}"


class Broker:
    """Closes every source and sink that it made."""

    def __init__(self, servers: str, options: Mapping[str, Any] | None = None) -> None:
        self.servers = servers
        self.options = dict(options or {})
        self.admin = AdminClient({"bootstrap.servers": servers, **QUIET})
        self._opened: list[Any] = []

    def create_topic(self, name: str | None = None, partitions: int = 1, **settings: object) -> str:
        name = name or fresh_name()
        config = {key.replace("_", "."): str(value) for key, value in settings.items()}
        self.admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(20)
        deadline = time.monotonic() + PATIENCE
        while name not in self.admin.list_topics(timeout=10).topics:
            assert time.monotonic() < deadline
        return name

    def delete_topic(self, name: str) -> None:
        self.admin.delete_topics([name])[name].result(20)
        deadline = time.monotonic() + PATIENCE
        while name in self.admin.list_topics(timeout=10).topics:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def alter_topic(self, name: str, setting: str, value: str) -> None:
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
        self.admin.incremental_alter_configs([resource])[resource].result(20)

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        place = TopicPartition(topic, partition, before)
        self.admin.delete_records([place])[place].result(20)

    def append(
        self,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes | None, bytes | None, Headers | None, int]],
    ) -> list[int]:
        """Write (key, value, headers, timestamp) and return the offsets."""
        offsets: list[int] = []
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Any) -> None:
            failed.append(error) if error else offsets.append(message.offset())

        producer = Producer({"bootstrap.servers": self.servers, "acks": "all", "linger.ms": 0, **QUIET})
        for key, value, headers, timestamp in records:
            producer.produce(
                topic,
                value,
                key,
                partition,
                on_delivery=delivered,
                timestamp=timestamp,
                headers=None if headers is None else list(headers),
            )
        assert producer.flush(PATIENCE) == 0
        assert not failed
        return offsets

    def number(self, topic: str, count: int, partition: int = 0) -> list[int]:
        """Write the values 0, 1, 2 ..."""
        return self.append(topic, partition, [(b"%d" % i, b"%d" % i, None, 0) for i in range(count)])

    def read(self, topic: str, isolation: str = "read_committed") -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of everything that a reader finds now in partition 0."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": fresh_name(),
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                **QUIET,
            }
        )
        found: list[tuple[bytes | None, bytes | None]] = []
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                message = consumer.poll(1.0)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    found.append((message.key(), message.value()))
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    return found
        finally:
            consumer.close()
        raise AssertionError(f"{topic} could not be read to its end")

    def source(self, topics: str | Sequence[str], group: str, worker: str = "1", **options: Any) -> KafkaSource:
        names = [topics] if isinstance(topics, str) else topics
        source = KafkaSource(self.servers, self.options | options, group=group, worker=worker, topics=names)
        self._opened.append(source)
        return source

    def set_up_sink(self, topic: str, pipeline: str, **settings: object) -> None:
        self.create_topic(topic, **settings)
        self.create_topic(f"prism.ledger.{pipeline}", cleanup_policy="compact")

    def sink(self, topic: str, pipeline: str, worker: str = "1", dead_letters: str = "", **options: Any) -> KafkaSink:
        sink = KafkaSink(
            self.servers,
            self.options | options,
            topic=topic,
            pipeline=pipeline,
            worker=worker,
            dead_letter_topic=dead_letters,
        )
        self._opened.append(sink)
        return sink

    def ledger_store(self, pipeline: str) -> KafkaLedgerStore:
        store = KafkaLedgerStore(self.servers, self.options, pipeline=pipeline)
        self._opened.append(store)
        return store

    def dead_letters(self, topic: str) -> KafkaDeadLetters:
        sink = KafkaDeadLetters(self.servers, self.options, topic=topic, pipeline=fresh_name(), worker="1")
        self._opened.append(sink)
        return sink

    def reader(self, **arguments: Any) -> KafkaReader:
        reader = KafkaReader(self.servers, self.options, client=fresh_name(), **arguments)
        self._opened.append(reader)
        return reader

    def administration(self, **arguments: Any) -> KafkaAdministration:
        return KafkaAdministration(self.servers, self.options, **arguments)

    def close(self) -> None:
        for one in reversed(self._opened):
            one.close()


class Listener:
    """Starts where it is told, or at the beginning, and notes what happened."""

    def __init__(self, source: Source, start: Mapping[Partition, int] | None = None) -> None:
        self.source = source
        self.start = dict(start or {})
        self.mine: set[Partition] = set()
        self.events: list[tuple[str, list[Partition]]] = []
        self.refuse_with: list[Exception] = []
        self.on_revoke: Callable[[Sequence[Partition]], None] = lambda _: None

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        if self.refuse_with:
            raise self.refuse_with.pop()
        self.events.append(("assigned", sorted(partitions)))
        self.mine.update(partitions)
        committed = self.source.committed(partitions)
        return {p: self.start.get(p, committed[p].next_offset or 0) for p in partitions}

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        self.events.append(("revoked", sorted(partitions)))
        self.on_revoke(partitions)
        self.mine.difference_update(partitions)

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        self.events.append(("lost", sorted(partitions)))
        self.mine.difference_update(partitions)


def opened(source: KafkaSource, start: Mapping[Partition, int] | None = None) -> Listener:
    listener = Listener(source, start)
    source.open(listener)
    return listener


def read(source: Source, count: int, max_records: int = 1000) -> list[RecordBatch]:
    """Poll until that many records came."""
    batches: list[RecordBatch] = []
    deadline = time.monotonic() + PATIENCE
    while sum(map(len, batches)) < count:
        batches += source.poll(max_records, 0.2)
        assert time.monotonic() < deadline, f"{sum(map(len, batches))} of {count} records came"
    return batches


def offsets(batches: Sequence[RecordBatch], partition: int = 0) -> list[int]:
    return [offset for batch in batches if batch.partition.index == partition for offset in batch.offsets]


def documents(
    stream: str,
    bodies: Sequence[bytes | None],
    keys: Sequence[bytes | None] | None = None,
    headers: Sequence[Headers | None] = (),
) -> Documents:
    origin = [Partition("in", 0)] * len(bodies)
    return Documents(stream, origin, range(len(bodies)), keys or [b"k"] * len(bodies), bodies, headers=headers)
