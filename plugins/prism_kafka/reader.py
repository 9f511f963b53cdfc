"""Reads topics from a place to what is their end now, outside any group: for commands that look at dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from prism_kafka.cluster import Cluster, make_client
from prism_kafka.columns import batches
from prism_kafka.config import Options
from prism_kafka.failures import TRANSIENT, BrokerLog, client_logger, kafka_error
from prism_kafka.ledger import STABLE_SECONDS
from prism_kafka.settings import reader_settings
from prismlib.errors import FatalError, RetryableError, StageContractError, UnreachableError
from prismlib.records import Partition, RecordBatch

_BATCH: Final = 2_000
_BOUNDS: Final = {  # what the client may hold ready; its own defaults take up to 64 MiB, and wait for a second when full
    "fetch.queue.backoff.ms": 10,
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 16 << 10,
}


class KafkaReader:
    """See :class:`prismlib.plugin.hookspecs.StreamReader`.

    The consumer is assigned its partitions by hand and commits nothing, so that no group ever hears of it.
    """

    def __init__(self, servers: str, options: Options, *, client: str, stable_seconds: float = STABLE_SECONDS) -> None:
        """Nothing is connected yet.

        Args:
            servers: ``host:port`` of one broker or more, joined by commas.
            options: for librdkafka, as :mod:`prism_kafka.config` let them pass.
            client: the client id.
            stable_seconds: how long nothing may come of a partition that has more, as while a transaction is open on it.

        Raises:
            ConfigError: librdkafka does not know an option or refuses its value.
        """
        self._servers = servers
        self._stable_seconds = stable_seconds
        self._cluster = Cluster(servers, options, client=client)
        self._settings = (
            reader_settings(servers, options, group=client) | _BOUNDS | {"isolation.level": "read_committed"}
        )
        self._consumer: Consumer | None = None

    def open(self) -> None:
        """Wait for a broker. Raises ConfigError, UnreachableError."""
        self._cluster.connect()
        self._consumer = make_client(Consumer, self._settings, error_cb=BrokerLog(), logger=client_logger())

    def partitions(self, stream: str) -> Sequence[Partition]:
        """Ask the brokers. Raises RetryableError, FatalError."""
        try:
            topic = self._cluster.topics([stream])[stream]
        except UnreachableError as error:
            raise RetryableError(str(error)) from error
        return [Partition(stream, index) for index in range(topic.partitions if topic else 0)]

    def read(self, starts: Mapping[Partition, int]) -> Iterator[Sequence[RecordBatch]]:
        """Look where the ends are, and read up to there. Raises RetryableError, FatalError; so does the iterator."""
        consumer = self._opened()
        try:
            ends = self._cluster.ends(list(starts))
            firsts = self._cluster.starts(list(starts))
        except UnreachableError as error:
            raise RetryableError(str(error)) from error
        positions = {partition: max(start, firsts[partition]) for partition, start in starts.items()}
        return self._read(consumer, {p: at for p, at in positions.items() if at < ends[p]}, ends)

    def close(self) -> None:
        """Let go of the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _read(
        self, consumer: Consumer, positions: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Iterator[Sequence[RecordBatch]]:
        left = set(positions)
        deadline = time.monotonic() + self._stable_seconds
        try:
            consumer.assign([TopicPartition(p.stream, p.index, at) for p, at in positions.items()])
            while left:
                first = consumer.poll(0.2)  # consume() alone would wait out its time
                messages = [] if first is None else [first, *consumer.consume(_BATCH, 0)]
                records, reached = _sorted_out(messages, self._servers)
                found = [batch for batch in batches(records) if batch.partition in left]
                for batch in found:  # the end of a transaction takes an offset behind its records
                    reached[batch.partition] = max(batch.next_offset, reached.get(batch.partition, 0))
                if reached:
                    deadline = time.monotonic() + self._stable_seconds
                elif time.monotonic() > deadline:
                    raise RetryableError(self._stuck(left))
                left -= {partition for partition, at in reached.items() if at >= ends.get(partition, 0)}
                inside = [_before(batch, ends[batch.partition]) for batch in found]
                if any(inside):
                    yield [batch for batch in inside if len(batch)]
                    deadline = time.monotonic() + self._stable_seconds  # what the caller did meanwhile does not count
        except KafkaException as error:
            _raise(kafka_error(error), self._servers)
        finally:
            if self._consumer is consumer:
                consumer.unassign()

    def _stuck(self, left: set[Partition]) -> str:
        return (
            f"{', '.join(map(str, sorted(left)))} on {self._servers} could not be read to the end within"
            f" {self._stable_seconds:.0f} s: the brokers are away, or a worker was killed inside a transaction, which ends"
            " with its transaction.timeout.ms; try again then"
        )

    def _opened(self) -> Consumer:
        if self._consumer is None:
            raise StageContractError("the Kafka reader was used before it was opened")
        return self._consumer


def _sorted_out(messages: Sequence[Message], servers: str) -> tuple[list[Message], dict[Partition, int]]:
    """The records among messages, and how far the ends of partitions lie that were reached."""
    records: list[Message] = []
    reached: dict[Partition, int] = {}
    for message in messages:
        error = message.error()
        if error is None:
            records.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # a code of the client itself
            reached[Partition(message.topic() or "", message.partition() or 0)] = message.offset() or 0
        elif error.code() not in TRANSIENT:
            _raise(error, servers)
    return records, reached


def _before(batch: RecordBatch, end: int) -> RecordBatch:
    """The records of a batch that were there when reading began."""
    if batch.next_offset <= end:
        return batch
    return batch.slice(0, sum(offset < end for offset in batch.offsets))


def _raise(error: KafkaError, servers: str) -> NoReturn:
    kind = RetryableError if error.code() in TRANSIENT else FatalError
    raise kind(f"the Kafka broker at {servers} cannot be read: {error.str()}")
