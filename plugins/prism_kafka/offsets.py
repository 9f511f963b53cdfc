"""What a group has committed, asked so that a transaction in doubt is never taken for 'nothing'; what partitions hold."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from prism_kafka.cluster import Cluster
from prism_kafka.failures import FORBIDDEN, kafka_error
from prismlib.errors import FatalError, RetryableError, UnreachableError
from prismlib.records import Partition
from prismlib.stages import Committed, Horizon

PATIENCE: Final = 30.0
"""Seconds; a broker looks for transactions that timed out every ten."""

HANGING: Final = (
    "if it stays so for minutes, the broker has lost track of one: look for it with `kafka-transactions.sh`"
)
"""The next step when a transaction that no client can end holds something up; see docs/explanation/delivery.md."""


def committed(
    consumer: Consumer, group: str, partitions: Sequence[Partition], patience: float = PATIENCE
) -> Mapping[Partition, Committed]:
    """Ask the group's coordinator, and wait for transactions that hold the offsets.

    A consumer that reads committed data names no offset while one does, and times out. The same question to the admin
    client can end the whole process, by an assertion or a crash, when the coordinator is away meanwhile (librdkafka 2.16.0).

    Raises:
        RetryableError: no answer, or a transaction still holds one of them.
        FatalError: this client may not ask.
    """
    if not partitions:
        return {}
    try:
        found = consumer.committed([TopicPartition(p.stream, p.index) for p in partitions], timeout=patience)
    except KafkaException as error:
        reason = kafka_error(error)
        if reason.code() in FORBIDDEN:
            raise FatalError(
                f"the Kafka broker does not tell the offsets of group {group}: {reason.str()}; grant this client the right"
                " to do so"
            ) from error
        raise RetryableError(
            f"the offsets of group {group} cannot be read now ({reason.str()}): the broker is away, or a transaction of a"
            f" worker that was killed still holds them; {HANGING}"
        ) from error
    offsets: dict[Partition, Committed] = {}
    for place in found:
        if place.error is not None:
            raise RetryableError(
                f"the offset of group {group} in {place.topic}[{place.partition}]: {place.error.str()}"
            )
        offsets[Partition(place.topic, place.partition)] = Committed(place.offset if place.offset >= 0 else None)
    return offsets


def horizons(cluster: Cluster, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
    """Ask the leaders of the partitions, and for the ids of the topics. Raises RetryableError, FatalError."""
    with retryable():
        topics = cluster.topics({p.stream for p in partitions})
        missing = sorted(name for name, topic in topics.items() if topic is None)
        if missing:
            raise FatalError(f"no topic {', '.join(missing)} on {cluster.servers}: it was deleted")
        starts, ends = cluster.starts(partitions), cluster.ends(partitions)
        oldest = cluster.first_since(partitions, 0)
    found = {name: topic for name, topic in topics.items() if topic is not None}
    return {
        p: Horizon(starts[p], ends[p], found[p.stream].id, oldest[p][1], found[p.stream].partitions) for p in partitions
    }


def topic_ids(cluster: Cluster, streams: Collection[str]) -> Mapping[str, str]:
    """The id of each topic, "" where there is none. Raises RetryableError, FatalError."""
    with retryable():
        topics = cluster.topics(streams)
    return {name: "" if topic is None else topic.id for name, topic in topics.items()}


def offsets_at(cluster: Cluster, partitions: Sequence[Partition], timestamp_ms: int) -> Mapping[Partition, int]:
    """The first offset at or after a time, the end where there is none. Raises RetryableError, FatalError."""
    with retryable():
        found, ends = cluster.first_since(partitions, timestamp_ms), cluster.ends(partitions)
    return {p: found[p][0] if found[p][0] >= 0 else ends[p] for p in partitions}


@contextmanager
def retryable() -> Generator[None]:
    """While records flow, a broker that is away is waited for."""
    try:
        yield
    except UnreachableError as error:
        raise RetryableError(str(error)) from error
