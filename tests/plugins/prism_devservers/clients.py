"""What the tests of real servers do with Kafka."""

from __future__ import annotations

import time
import uuid
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

QUIET: dict[str, Any] = {"log_level": 0, "error_cb": lambda _: None}


def make_topic(bootstrap: str, topic: str, partitions: int = 1, replicas: int = 1, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})  # named: its futures fail once it is collected
    admin.create_topics([NewTopic(topic, partitions, replicas, config=config)])[topic].result(20)


def produce(bootstrap: str, topic: str, count: int, **config: Any) -> None:
    """Produce ``count`` records, each of which must be acknowledged."""
    refused: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": bootstrap, **QUIET, **config})
    for number in range(count):
        producer.produce(topic, b"%d" % number, on_delivery=lambda error, _: error and refused.append(error))
    assert producer.flush(30) == 0
    assert not refused


def consume(bootstrap: str, topic: str, count: int, group: str | None = None, **config: Any) -> list[Message]:
    """Consume and commit ``count`` records, or what comes within 30 seconds."""
    settings = {"group.id": group or uuid.uuid4().hex, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings, **QUIET, **config})
    consumer.subscribe([topic])
    got: list[Message] = []
    end = time.monotonic() + 30
    while len(got) < count and time.monotonic() < end:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            got.append(message)
    if got:
        consumer.commit(asynchronous=False)
    consumer.close()
    return got
