"""The settings of every librdkafka client that this plugin makes, in one place.

Defaults are measured: ``fetch.queue.backoff.ms`` of librdkafka (1000) cut catching up from 200,000 to 67,000 records a
second; larger fetches than 1 MiB cost hundreds of megabytes of memory. ``queued.min.messages`` of librdkafka (100,000) took
a worker to 158 MB instead of 147, at the same speed.
"""

from __future__ import annotations

from typing import Any, Final

from prism_kafka.config import Options, option_text

RECORD_OVERHEAD: Final = 256
"""Bytes of batch and record framing around key, value and headers, rounded up."""

DEAD_LETTER_ROOM: Final = 64 << 10
"""Bytes that a dead letter may be larger than its source record: the headers that say what happened."""

_BATCH_BYTES: Final = 1_000_000

_CONSUMER_ONLY: Final = frozenset(
    {
        "check.crcs",
        "client.rack",
        "coordinator.query.interval.ms",
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "group.instance.id",
        "group.protocol",
        "group.protocol.type",
        "group.remote.assignor",
        "heartbeat.interval.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "partition.assignment.strategy",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
    }
)
_PRODUCER_ONLY: Final = frozenset(
    {
        "acks",
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "delivery.timeout.ms",
        "enable.idempotence",
        "linger.ms",
        "message.copy.max.bytes",
        "message.send.max.retries",
        "message.timeout.ms",
        "partitioner",
        "queue.buffering.backpressure.threshold",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "request.required.acks",
        "request.timeout.ms",
        "retries",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
    }
)


def consumer_settings(servers: str, options: Options, *, group: str, worker: str) -> dict[str, Any]:
    """For the consumer of one worker: nothing is committed, reset or read uncommitted on its own."""
    given = _given(options, without=_PRODUCER_ONLY)
    settings: dict[str, Any] = {
        "client.id": f"prism-{group}-{worker}",
        "fetch.queue.backoff.ms": 10,
        "queued.min.messages": 20_000,
    }
    if given.get("group.protocol", "classic").lower() != "consumer":
        settings["partition.assignment.strategy"] = "cooperative-sticky"
    session = given.get("session.timeout.ms", "")
    if session.isdigit():
        # A session no longer than the pause between heartbeats, 3 s by default, ends again and again.
        settings["heartbeat.interval.ms"] = max(1, min(3000, int(session) // 3))
    settings |= given
    if "group.instance.id" in given:
        settings["group.instance.id"] = f"{given['group.instance.id']}-{worker}"  # each member needs one of its own
    return settings | {
        "bootstrap.servers": servers,
        "group.id": group,
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
    }


def rebalances_incrementally(settings: dict[str, Any]) -> bool:
    """Whether partitions come and go one by one, so that ``assign`` would be refused."""
    if str(settings.get("group.protocol", "classic")).lower() == "consumer":
        return True
    return "cooperative" in str(settings["partition.assignment.strategy"])


def reader_settings(servers: str, options: Options, *, group: str) -> dict[str, Any]:
    """For reading one topic from its start to its end, outside any group."""
    wanted = _CONSUMER_ONLY - {"check.crcs", "client.rack"}
    return _given(options, without=_PRODUCER_ONLY | wanted) | {
        "bootstrap.servers": servers,
        "client.id": f"prism-{group}-reader",
        "group.id": f"{group}.reader",
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
        "auto.offset.reset": "earliest",
        "enable.partition.eof": "true",
        "fetch.wait.max.ms": "50",
    }


def producer_settings(servers: str, options: Options, *, client: str, limits: list[int]) -> dict[str, Any]:
    """For an idempotent producer.

    Args:
        servers: as in the pipeline file.
        options: likewise.
        client: the client id.
        limits: ``max.message.bytes`` of the topics that it writes to: the largest bounds a record, the smallest a batch.
    """
    defaults: dict[str, Any] = {
        "client.id": client,
        "linger.ms": 20,
        "batch.num.messages": 20_000,
        "compression.type": "lz4",
        "queue.buffering.max.messages": 300_000,
        "queue.buffering.max.kbytes": 256 << 10,
        "partitioner": "murmur2_random",  # as the Java client, so that a key has the same partition whoever writes it
        "batch.size": min([_BATCH_BYTES, *(limit - RECORD_OVERHEAD for limit in limits)]),
    }
    return (
        defaults
        | _given(options, without=_CONSUMER_ONLY)
        | {
            "bootstrap.servers": servers,
            "enable.idempotence": "true",
            "delivery.report.only.error": True,
            "message.max.bytes": max([_BATCH_BYTES, *limits]),
        }
    )


def transactional_settings(
    servers: str, options: Options, *, pipeline: str, worker: str, limits: list[int]
) -> dict[str, Any]:
    """For the producer of one worker's transactions."""
    name = f"prism-{pipeline}-{worker}"
    return (
        {"transaction.timeout.ms": 60_000}
        | producer_settings(servers, options, client=name, limits=limits)
        | {"transactional.id": name}
    )


def admin_settings(servers: str, options: Options, *, client: str) -> dict[str, Any]:
    """For looking at and creating topics."""
    return _given(options, without=_CONSUMER_ONLY | _PRODUCER_ONLY) | {
        "bootstrap.servers": servers,
        "client.id": client,
    }


def _given(options: Options, *, without: frozenset[str]) -> dict[str, str]:
    """The user's options for one kind of client, which would only warn about those of the other kind."""
    return {name: option_text(value) for name, value in options.items() if name not in without}
