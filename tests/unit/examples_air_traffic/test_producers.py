"""What the example's producers write, read back by the decoders of its pipeline."""

import json
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from jsonschema import ValidationError

from prism_devservers import Kafka
from prismlib.config.model import validate
from prismlib.config.pipeline import load_pipeline
from prismlib.contracts.directory import DirectoryRegistry
from prismlib.plugin.hookspecs import BuildContext
from prismlib.plugin.manager import load_plugins
from prismlib.records import Partition, RecordBatch

ROOT = Path(__file__).resolve().parents[3] / "examples" / "air_traffic"
TOPICS = ("flights", "weather", "planes")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def decode(topic: str, values: Sequence[bytes]) -> Sequence[Any]:
    """Everything in the values, by the decoder of the topic's route."""
    pipeline = load_pipeline(ROOT / "pipelines" / "air-traffic.toml")
    table = next(route.decode for route in pipeline.routes if route.topic == topic)
    spec = load_plugins().stage("decoder", table.type)
    registry = DirectoryRegistry(ROOT / "schemas")
    context = BuildContext("p", topics=(topic,), reads=frozenset({"*"}), base=ROOT, registry=registry)
    decoder = spec.factory(validate(spec.config_model, table.settings, topic), context)
    n = len(values)
    answer = decoder.decode(RecordBatch(Partition(topic, 0), range(n), [-1] * n, [None] * n, values, [None] * n))
    assert not answer.errors
    assert answer.stop is None
    rows: Sequence[Any] = answer.rows
    return rows


def test_flights_are_written_with_the_schema_of_the_folder() -> None:
    from air_traffic import producers, records  # noqa: PLC0415  # on the path by the fixture

    schema = DirectoryRegistry(ROOT / "schemas").latest("flights-value")
    rows = list(islice(records.flights(ROOT / "input"), 0, None, 100))
    encode = producers.avro_encoder(schema.id, schema.text)
    assert decode("flights", [encode(row) for row in rows]) == rows


def test_weather_is_written_with_the_schema_of_the_folder() -> None:
    from air_traffic import producers, records  # noqa: PLC0415  # on the path by the fixture

    schema = DirectoryRegistry(ROOT / "schemas").latest("weather-value")
    rows = list(islice(records.weather(ROOT / "input"), 0, None, 10))
    encode = producers.protobuf_encoder(schema.id, schema.text)
    measures = dict.fromkeys(records.WEATHER_MEASURES)
    assert any("wind_gust" not in row for row in rows)
    assert decode("weather", [encode(row) for row in rows]) == [{**measures, **row} for row in rows]


def test_planes_are_written_with_the_schema_of_the_folder() -> None:
    from air_traffic import producers, records  # noqa: PLC0415  # on the path by the fixture

    schema = DirectoryRegistry(ROOT / "schemas").latest("planes-value")
    rows = list(records.planes(ROOT / "input"))
    encode = producers.json_encoder(schema.id, schema.text)
    assert decode("planes", [encode(row) for row in rows]) == rows
    assert sum(row["year"] is None for row in rows) == 70
    with pytest.raises(ValidationError):
        encode({**rows[0], "seats": "two"})


def test_a_proto_text_that_is_none_is_refused() -> None:
    from air_traffic import producers  # noqa: PLC0415  # on the path by the fixture

    with pytest.raises(ValueError, match="cannot be compiled"):
        producers.protobuf_encoder(1, "message {")


@pytest.mark.parametrize("topic", TOPICS)
def test_example_messages_fit_their_schema(topic: str) -> None:
    from air_traffic.producers import PRODUCERS  # noqa: PLC0415  # on the path by the fixture

    (producer,) = (one for one in PRODUCERS if one.topic == topic)
    schema = DirectoryRegistry(ROOT / "schemas").latest(producer.subject)
    encode = producer.encoder(schema.id, schema.text)
    files = sorted((ROOT / "schemas" / f"{topic}-value" / "examples" / "v1").glob("*.json"))
    assert len(files) == 2
    messages = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    for message, row in zip(messages, decode(topic, [encode(message) for message in messages]), strict=True):
        # Protobuf has no null: what is not set is None in a row.
        assert row == message or {name: value for name, value in row.items() if value is not None} == message


def test_there_are_as_many_records_as_the_input_says() -> None:
    from air_traffic.producers import PRODUCERS  # noqa: PLC0415  # on the path by the fixture

    assert {one.topic: one.count() for one in PRODUCERS} == {"flights": 27_004, "weather": 2_226, "planes": 3_322}


@pytest.mark.real
def test_all_that_is_published_is_acknowledged_and_in_the_topic(kafka: Kafka) -> None:
    from air_traffic import publish  # noqa: PLC0415  # on the path by the fixture
    from air_traffic.producers import PRODUCERS  # noqa: PLC0415  # as above

    registry = DirectoryRegistry(ROOT / "schemas")
    for _ in range(2):  # topics that exist are no error
        publish.create_topics(kafka.bootstrap, TOPICS)
    before = in_topics(kafka, publish.PARTITIONS)
    told: list[int] = []
    limits = {"flights": 1_200, "weather": 50, "planes": 70}
    for one in PRODUCERS:
        pairs = one.pairs(registry, limit=limits[one.topic])
        assert publish.produce(kafka.bootstrap, one.topic, pairs, told.append) == limits[one.topic]
    assert told == [500, 1_000, 1_200, 50, 70]
    after = in_topics(kafka, publish.PARTITIONS)
    assert [after[topic] - before[topic] for topic in TOPICS] == [1_200, 50, 70]


NOT_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
}
"""What a broker or client says of a topic that was created a moment ago."""


def in_topics(kafka: Kafka, partitions: int) -> dict[str, int]:
    """End offsets of the topics, summed over their partitions."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "count"})
    try:
        return {
            topic: sum(end_of(consumer, TopicPartition(topic, index)) for index in range(partitions))
            for topic in TOPICS
        }
    finally:
        consumer.close()


def end_of(consumer: Consumer, partition: TopicPartition) -> int:
    deadline = time.monotonic() + 30
    while True:
        try:
            return int(consumer.get_watermark_offsets(partition, timeout=30)[1])
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET or time.monotonic() > deadline:
                raise
            consumer.poll(0.1)
