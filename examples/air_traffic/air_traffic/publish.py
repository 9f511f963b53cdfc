"""Publishes to a Kafka broker as a careful producer does: every record is acknowledged, or the call fails.

python -m air_traffic.publish --servers 127.0.0.1:9092
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from prismlib.contracts.directory import DirectoryRegistry

from .producers import PRODUCERS

HERE = Path(__file__).resolve().parent.parent
PARTITIONS = 3


def create_topics(servers: str, topics: Iterable[str]) -> None:
    """Create topics with three partitions each; one that exists stays as it is."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 3})
    wanted = [NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1) for topic in topics]
    for created in admin.create_topics(wanted).values():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def produce(
    servers: str, topic: str, pairs: Iterable[tuple[bytes, bytes]], progress: Callable[[int], object] | None = None
) -> int:
    """Write keys and values, wait for all acknowledgements and count them; ``progress`` is told the count.

    Raises:
        KafkaException: one failed, or did not come within a minute.
    """
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 20, "log_level": 3})
    acknowledged = 0
    failures: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        nonlocal acknowledged
        if error is None:
            acknowledged += 1
            if progress is not None and acknowledged % 500 == 0:
                progress(acknowledged)
        else:
            failures.append(error)

    for key, value in pairs:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))  # noqa: SLF001  # librdkafka's own name for it
    if failures:
        raise KafkaException(failures[0])
    if progress is not None:
        progress(acknowledged)
    return acknowledged


def main() -> None:
    """Publish everything and say how much it was."""
    parser = argparse.ArgumentParser(
        description="Publish January 2013's flights and weather, and all planes, to Kafka."
    )
    parser.add_argument("--servers", default="127.0.0.1:9092", help="brokers (default: %(default)s)")
    for producer in PRODUCERS:
        parser.add_argument(f"--{producer.topic}", type=int, help=f"only that many {producer.topic}")
    options = parser.parse_args()
    create_topics(options.servers, [producer.topic for producer in PRODUCERS])
    registry = DirectoryRegistry(HERE / "schemas")
    for producer in PRODUCERS:
        pairs = producer.pairs(registry, limit=getattr(options, producer.topic))
        print(f"{producer.topic}: {produce(options.servers, producer.topic, pairs):,} records acknowledged")


if __name__ == "__main__":
    main()
