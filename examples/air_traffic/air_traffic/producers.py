"""Publishes the input files as three teams would: flights in Avro, weather in Protobuf, planes in JSON.

python -m air_traffic.producers --servers 127.0.0.1:9092

Every value begins with the registry header, whose id names the schema that it was written with.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc
from jsonschema import validators

from prismlib.contracts.directory import DirectoryRegistry
from prismlib.contracts.registry import Registry

from .records import flights, planes, weather

HERE = Path(__file__).resolve().parent.parent
INPUT = HERE / "input"
PARTITIONS = 3


def publish_flights(
    servers: str, registry: Registry, progress: Callable[[int], object] | None = None, *, limit: int | None = None
) -> int:
    """Write the flights to the topic ``flights``.

    Args:
        servers: of the brokers.
        registry: has the subject ``flights-value``.
        progress: called now and then, and at the end, with the number of records that were acknowledged so far.
        limit: how many; all by default.

    Returns:
        Records that the brokers acknowledged.

    Raises:
        KafkaException: a record was not acknowledged.
    """
    schema = registry.latest("flights-value")
    encode = avro_encoder(schema.id, schema.text)
    pairs = ((f"{row['carrier']}{row['flight']}".encode(), encode(row)) for row in islice(flights(INPUT), limit))
    return produce(servers, "flights", pairs, progress)


def publish_weather(
    servers: str, registry: Registry, progress: Callable[[int], object] | None = None, *, limit: int | None = None
) -> int:
    """Write the weather to the topic ``weather``; as :func:`publish_flights` for the subject ``weather-value``."""
    schema = registry.latest("weather-value")
    encode = protobuf_encoder(schema.id, schema.text)
    pairs = ((row["origin"].encode(), encode(row)) for row in islice(weather(INPUT), limit))
    return produce(servers, "weather", pairs, progress)


def publish_planes(
    servers: str, registry: Registry, progress: Callable[[int], object] | None = None, *, limit: int | None = None
) -> int:
    """Write the aircraft to the topic ``planes``; as :func:`publish_flights` for the subject ``planes-value``."""
    schema = registry.latest("planes-value")
    encode = json_encoder(schema.id, schema.text)
    pairs = ((row["tailnum"].encode(), encode(row)) for row in islice(planes(INPUT), limit))
    return produce(servers, "planes", pairs, progress)


def count_flights() -> int:
    """How many flights there are to publish."""
    return sum(1 for _ in flights(INPUT))


def count_weather() -> int:
    """How many hours of weather there are to publish."""
    return sum(1 for _ in weather(INPUT))


def count_planes() -> int:
    """How many aircraft there are to publish."""
    return sum(1 for _ in planes(INPUT))


def create_topics(servers: str, topics: Iterable[str]) -> None:
    """Create topics with three partitions each; one that exists stays as it is."""
    admin = AdminClient({"bootstrap.servers": servers})
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


def avro_encoder(schema_id: int, text: str) -> Callable[[dict[str, Any]], bytes]:
    """Writes a record as Avro behind the registry header."""
    schema = fastavro.parse_schema(json.loads(text))
    header = struct.pack(">bI", 0, schema_id)

    def encode(row: dict[str, Any]) -> bytes:
        buffer = BytesIO(header)
        buffer.seek(len(header))
        fastavro.schemaless_writer(buffer, schema, row, strict=True)
        return buffer.getvalue()

    return encode


def protobuf_encoder(schema_id: int, text: str) -> Callable[[dict[str, Any]], bytes]:
    """Writes a record as the first message of a ``.proto`` text behind the registry header."""
    with tempfile.TemporaryDirectory() as folder:
        source, compiled = Path(folder, "schema.proto"), Path(folder, "schema.binpb")
        source.write_text(text, encoding="utf-8")
        if protoc.main(["protoc", f"--proto_path={folder}", f"--descriptor_set_out={compiled}", str(source)]):
            raise ValueError("the Protobuf schema of the weather cannot be compiled; protoc says why above")
        files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(files.file[0])
    message = files.file[0].package + "." + files.file[0].message_type[0].name
    make = message_factory.GetMessageClass(pool.FindMessageTypeByName(message))
    # The last byte is the path to the message in its file: 0 stands for the first.
    header = struct.pack(">bIb", 0, schema_id, 0)

    def encode(row: dict[str, Any]) -> bytes:
        return header + bytes(make(**row).SerializeToString())

    return encode


def json_encoder(schema_id: int, text: str) -> Callable[[dict[str, Any]], bytes]:
    """Writes a record as JSON behind the registry header; raises ValidationError for one that does not fit its schema."""
    schema = json.loads(text)
    validator = validators.validator_for(schema)(schema)
    header = struct.pack(">bI", 0, schema_id)

    def encode(row: dict[str, Any]) -> bytes:
        validator.validate(row)
        return header + json.dumps(row, ensure_ascii=False).encode()

    return encode


def main() -> None:
    """Publish everything and say how much it was."""
    parser = argparse.ArgumentParser(
        description="Publish January 2013's flights and weather, and all planes, to Kafka."
    )
    parser.add_argument("--servers", default="127.0.0.1:9092", help="brokers (default: %(default)s)")
    parser.add_argument("--flights", type=int, help="only that many flights")
    parser.add_argument("--weather", type=int, help="only that many hours of weather")
    parser.add_argument("--planes", type=int, help="only that many planes")
    options = parser.parse_args()
    create_topics(options.servers, ("flights", "weather", "planes"))
    registry = DirectoryRegistry(HERE / "schemas")
    for topic, publish, limit in (
        ("flights", publish_flights, options.flights),
        ("weather", publish_weather, options.weather),
        ("planes", publish_planes, options.planes),
    ):
        print(f"{topic}: {publish(options.servers, registry, limit=limit):,} records acknowledged")


if __name__ == "__main__":
    main()
