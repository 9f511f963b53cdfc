"""The offsets of a pipeline's consumer group, for commands: looked at, and moved while nobody reads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from prism_kafka.cluster import Cluster, make_client
from prism_kafka.config import Options
from prism_kafka.failures import TRANSIENT, BrokerLog, client_logger, kafka_error
from prism_kafka.offsets import committed, horizons, offsets_at, retryable
from prism_kafka.settings import consumer_settings
from prismlib.errors import FatalError, RetryableError, StageContractError
from prismlib.plugin.hookspecs import Retention
from prismlib.records import Partition
from prismlib.stages import Committed, Horizon

_READ_SECONDS: Final = 30.0
_NO_TIME: Final = -1


class KafkaGroup:
    """See :class:`prismlib.plugin.hookspecs.GroupOffsets`. It never subscribes, so that the group never hears of it."""

    def __init__(self, servers: str, options: Options, *, group: str) -> None:
        """Nothing is connected yet.

        Args:
            servers: ``host:port`` of one broker or more, joined by commas.
            options: for librdkafka, as :mod:`prism_kafka.config` let them pass.
            group: the consumer group, which is the pipeline's name.

        Raises:
            ConfigError: librdkafka does not know an option or refuses its value.
        """
        self._servers = servers
        self._group = group
        self._settings = consumer_settings(servers, options, group=group, worker="_offsets")
        self._reader = (
            self._settings
            | {
                "auto.offset.reset": "earliest",
                "enable.partition.eof": "true",
                "isolation.level": "read_uncommitted",  # a time is wanted, whoever wrote it, without waiting for transactions
                "fetch.message.max.bytes": 1,  # a broker sends one batch all the same
                "queued.min.messages": 1,
            }
        )
        self._cluster = Cluster(servers, options, client=str(self._settings["client.id"]))
        self._consumer: Consumer | None = None

    def open(self) -> None:
        """Wait for a broker. Raises ConfigError, UnreachableError."""
        self._cluster.connect()
        self._consumer = make_client(Consumer, self._settings, error_cb=BrokerLog(), logger=client_logger())

    def partitions(self, streams: Sequence[str]) -> Sequence[Partition]:
        """Ask the brokers."""
        with retryable():
            topics = self._cluster.topics(streams)
        return [
            Partition(name, i)
            for name, topic in sorted(topics.items())
            for i in range(topic.partitions if topic else 0)
        ]

    def members(self) -> Sequence[str]:
        """As the group's coordinator describes them."""
        with retryable():
            return [self._described(member) for member in self._cluster.members(self._group)]

    def _described(self, member: Any) -> str:
        count = len(member.assignment.topic_partitions) if member.assignment else 0
        worker = member.client_id.removeprefix(f"prism-{self._group}-")
        name = f"worker {worker}" if worker != member.client_id else member.client_id
        return f"{name} at {member.host.lstrip('/')} with {count} partition{'' if count == 1 else 's'}"

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """Ask the group's coordinator, and wait for transactions that hold the offsets."""
        if self._consumer is None:
            raise StageContractError("the offsets of a Kafka group were asked for before it was opened")
        return committed(self._consumer, self._group, partitions)

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """Ask the leaders of the partitions."""
        return horizons(self._cluster, partitions)

    def offsets_at(self, partitions: Sequence[Partition], timestamp_ms: int) -> Mapping[Partition, int]:
        """Ask the leaders of the partitions."""
        return offsets_at(self._cluster, partitions, timestamp_ms)

    def timestamps(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """Read one record of each partition."""
        with retryable():
            starts, ends = self._cluster.starts(list(offsets)), self._cluster.ends(list(offsets))
        wanted = {p: max(offset, starts[p]) for p, offset in offsets.items() if offset < ends[p]}
        return dict.fromkeys(offsets, _NO_TIME) | self._read_first(wanted)

    def _read_first(self, places: Mapping[Partition, int]) -> dict[Partition, int]:
        found: dict[Partition, int] = {}
        if not places:
            return found
        reader = make_client(Consumer, self._reader, error_cb=BrokerLog(), logger=client_logger())
        deadline = time.monotonic() + _READ_SECONDS
        try:
            reader.assign([TopicPartition(p.stream, p.index, offset) for p, offset in places.items()])
            while found.keys() != places.keys():
                if time.monotonic() > deadline:
                    left = ", ".join(map(str, sorted(places.keys() - found.keys())))
                    raise RetryableError(f"no record of {left} came from {self._servers} in {_READ_SECONDS:.0f} s")
                message = reader.poll(0.5)
                if message is None:
                    continue
                error = message.error()
                partition = Partition(message.topic() or "", message.partition() or 0)
                if error is None:
                    found.setdefault(partition, message.timestamp()[1])
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # a code of the client itself
                    found.setdefault(partition, _NO_TIME)  # nothing but the marks of transactions up to the end
                elif error.code() in TRANSIENT:
                    continue
                else:
                    raise FatalError(f"{partition} on {self._servers} cannot be read: {error.str()}")
                reader.pause([TopicPartition(partition.stream, partition.index)])
        except KafkaException as error:
            raise RetryableError(f"topics on {self._servers} cannot be read: {kafka_error(error).str()}") from error
        finally:
            reader.close()
        return found

    def retention(self, streams: Sequence[str]) -> Mapping[str, Retention]:
        """Ask for the settings of the topics that exist."""
        with retryable():
            there = [name for name, topic in self._cluster.topics(streams).items() if topic is not None]
            return {name: _retention(settings) for name, settings in self._cluster.topic_configs(there).items()}

    def offsets_retention_ms(self) -> int | None:
        """Ask for the settings of one broker; all of a cluster should have the same."""
        with retryable():
            return int(self._cluster.broker_config()["offsets.retention.minutes"]) * 60_000

    def alter(self, next_offsets: Mapping[Partition, int]) -> None:
        """Ask the group's coordinator, which refuses while there are members."""
        with retryable():
            self._cluster.alter_offsets(self._group, next_offsets)

    def close(self) -> None:
        """Let go of the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()


def _retention(settings: Mapping[str, str]) -> Retention:
    """A topic that is compacted alone drops only what a newer record of the same key has replaced."""
    if "delete" not in settings["cleanup.policy"].split(","):
        return Retention()
    age, size = int(settings["retention.ms"]), int(settings["retention.bytes"])
    return Retention(age if age >= 0 else None, by_size=size >= 0)
