"""Bad records on real servers: each in the dead letters with its reason, its neighbours delivered."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from confluent_kafka import Producer

from tests.integration.harness import (
    QUIET,
    SUBJECT,
    Index,
    Project,
    Publisher,
    Worker,
    create_topic,
    event_ids,
    exactly_once,
    read_topic,
    setup,
    wait_until,
    workers,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_each_bad_record_is_a_dead_letter_with_its_reason_and_the_neighbours_are_delivered(project: Project) -> None:
    limit = 3 << 20
    project.create_topics(partitions=1, max_message_bytes=str(limit))
    one, two = Worker(project.worker_1()), Worker(project.worker_2())
    setup(one.pipeline, two.pipeline)
    publisher = Publisher(project)
    good = [project.order(n) for n in range(60)]
    whole = good[0][1]
    noise = os.urandom(1 << 20)
    bad = {
        b"poison": b"this is no Avro at all",
        b"truncated": whole[:-3],
        b"unknown-schema": whole[:1] + b"\x00\x00\x00\x01" + whole[5:],
        b"empty": b"",
        b"noise": noise,
        b"framed-noise": project.framing + noise,
        b"trailing": whole + b"\x00",
    }
    positions = dict(zip((5, 11, 12, 13, 30, 31, 50), bad.items(), strict=True))
    producer = Producer({"bootstrap.servers": project.servers, "message.max.bytes": limit, **QUIET})
    for n, (event_id, value) in enumerate(good):
        if n in positions:
            key, broken = positions[n]
            producer.produce(project.input, broken, key, headers=[("trace", b"t")])
        producer.produce(project.input, value, event_id)
        publisher.acknowledged.add(event_id)
    assert producer.flush(30) == 0
    index = Index(project.url, project.name)
    with workers(one, two):
        wait_until(lambda: index.count() == 60, 60, "the 60 good records in the index", [one, two])
        assert [one.stop(), two.stop()] == [0, 0]
    exactly_once(event_ids(project.servers, project.output), publisher.acknowledged)
    exactly_once(index.event_ids(), publisher.acknowledged)
    letters = read_topic(project.servers, f"{project.name}-1.dead-letters")
    assert Counter(key for key, _, _ in letters) == Counter(bad.keys())
    for key, value, headers in letters:
        assert key is not None
        assert value == bad[key], "a dead letter is the record as it was"
        assert headers["trace"] == b"t"
        assert headers["prism.stage"] == b"decode"
        assert headers["prism.topic"] == project.input.encode()
        assert headers["prism.pipeline"] == f"{project.name}-1".encode()
        assert headers["prism.attempt"] == b"1"
        assert headers["prism.reason"]
    codes = {key: headers["prism.code"] for key, _, headers in letters}
    assert codes[b"unknown-schema"] == b"unknown-schema-id"
    assert codes[b"trailing"] == b"trailing-bytes"
    ids = {key: headers.get("prism.schema-id") for key, _, headers in letters}
    assert ids[b"truncated"] == str(project.registry.latest("orders-value").id).encode()


@pytest.mark.parametrize("validate", ["always", "never"])
def test_a_document_that_the_schema_or_the_index_refuses_is_a_dead_letter(project: Project, validate: str) -> None:
    project.create_topics(partitions=1)
    one, two = Worker(project.worker_1()), Worker(project.worker_2(validate=validate))
    setup(one.pipeline, two.pipeline)
    publisher = Publisher(project)
    header = b"\x00" + project.registry.latest("events-value").id.to_bytes(4, "big")
    producer = Producer({"bootstrap.servers": project.servers, **QUIET})
    refused = {
        b"no-time": b'{"id": "x1", "kind": "order", "time": "yesterday"}',
        b"deep": b'{"id": "x2", "attributes": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
        b"two-objects": b'{"id": "x3"}\n{"delete": {"_id": "o0000000"}}',
        b"not-an-object": b'["x4"]',
        b"cut": b'{"id": "x5"',
    }
    for key, body in refused.items():
        producer.produce(project.output, header + body, key)
    assert producer.flush(30) == 0
    index = Index(project.url, project.name)
    with workers(one, two):
        publisher.publish(0, 50)
        wait_until(lambda: index.count() >= 50, 60, "the 50 good records in the index", [one, two])
        dead = f"{project.name}-2.dead-letters"
        wait_until(lambda: len(read_topic(project.servers, dead)) >= len(refused), 30, "the dead letters", [one, two])
        assert [one.stop(), two.stop()] == [0, 0]
    exactly_once(index.event_ids(), publisher.acknowledged)
    letters = {key: (value, headers) for key, value, headers in read_topic(project.servers, dead)}
    assert letters.keys() == refused.keys()
    for key, (value, headers) in letters.items():
        assert key is not None
        assert value == header + refused[key]
        # The schema says that a time is text, and only the index which text.
        early = validate == "always" and key != b"no-time"
        assert headers["prism.stage"] == (b"decode" if early else b"write")
        assert headers["prism.reason"]


def test_most_records_bad_stops_the_worker_with_one_sentence(project: Project) -> None:
    project.create_topics(partitions=1)
    one = Worker(project.worker_1())
    setup(one.pipeline)
    producer = Producer({"bootstrap.servers": project.servers, **QUIET})
    for n in range(1500):
        producer.produce(project.input, b"broken %d" % n)
    assert producer.flush(30) == 0
    with workers(one):
        assert one.process is not None
        assert one.process.wait(60) == 3
    assert "stop_above" in one.tail()
    assert "Traceback" not in one.tail()


PROTO = """
syntax = "proto3";
package shop;
message Other { int32 a = 1; }
message Reading { string id = 1; int64 at = 2; }
"""

READINGS = """
name = "{name}-readings"
owner = "shop"
contact = "shop@example.org"
start = "earliest"
[source]
type = "kafka"
servers = "{servers}"
[[route]]
topic = "{name}-readings-in"
decode = {{ type = "protobuf", subject = "readings-value", message = "shop.Reading" }}
normalize = "mappings/readings.toml"
[sink]
type = "kafka"
topic = "{name}-readings-out"
encode = {{ type = "json", subject = "events-value" }}
"""


def test_a_protobuf_record_with_another_message_index_is_a_dead_letter(project: Project) -> None:
    home = project.folder / "schemas" / "readings-value"
    home.mkdir()
    (home / "subject.toml").write_text(SUBJECT.format(format="protobuf"))
    (home / "v1.proto").write_text(PROTO)
    mapping = '[event]\nid = "id"\nkind = { const = "reading" }\ntime = { from = "at", parse = "epoch_ms" }\n'
    (project.folder / "mappings" / "readings.toml").write_text(mapping)
    pipeline = project.folder / "pipelines" / "readings.toml"
    pipeline.write_text(READINGS.format(name=project.name, servers=project.servers))
    create_topic(project.servers, f"{project.name}-readings-in", 1)
    setup(pipeline)
    header = b"\x00" + project.registry.latest("readings-value").id.to_bytes(4, "big")
    second_message, first_message = b"\x02\x02", b"\x00"
    body = b"\x0a\x02r1" + b"\x10\x80\xa0\xab\xfe\xf9\x62"  # id = "r1", at = a time of 2023
    producer = Producer({"bootstrap.servers": project.servers, **QUIET})
    producer.produce(f"{project.name}-readings-in", header + second_message + body, b"good")
    producer.produce(f"{project.name}-readings-in", header + first_message + body, b"wrong")
    producer.produce(f"{project.name}-readings-in", header + second_message + body.replace(b"r1", b"r2"), b"good")
    assert producer.flush(30) == 0
    worker = Worker(pipeline, "1", "--until-idle", "2")
    with workers(worker):
        assert worker.process is not None
        assert worker.process.wait(60) == 0
    assert event_ids(project.servers, f"{project.name}-readings-out") == Counter(["r1", "r2"])
    ((key, value, headers),) = read_topic(project.servers, f"{project.name}-readings.dead-letters")
    assert (key, value) == (b"wrong", header + first_message + body)
    assert headers["prism.code"] == b"message-index"
    assert headers["prism.reason"]
