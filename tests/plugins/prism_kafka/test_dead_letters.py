"""Dead letters for pipelines whose sink is elsewhere."""

from __future__ import annotations

import random

import pytest

from prismlib.errors import ConfigError
from tests.plugins.prism_kafka.broker import PATIENCE, Broker, documents, fresh_name, opened, read

pytestmark = pytest.mark.real


def test_letters_are_durable_after_flush_with_key_value_and_headers(broker: Broker) -> None:
    topic = broker.create_topic(max_message_bytes=2_000_000)
    sink = broker.dead_letters(topic)
    sink.open()
    large = random.Random(1).randbytes(1_500_000)
    headers = [[("prism.reason", b"r"), ("prism.reason", None)], None]
    for _ in range(2):
        assert sink.write(documents(topic, [large, None], [None, b"k"], headers)).rejected == {}
        assert sink.flush(PATIENCE).rejected == {}
    source = broker.source(topic, fresh_name())
    opened(source)
    batches = read(source, 4)
    assert [v for b in batches for v in b.values] == [large, None] * 2
    assert [k for b in batches for k in b.keys] == [None, b"k"] * 2
    assert [h and list(h) for b in batches for h in b.headers] == headers * 2


def test_a_letter_that_the_topic_refuses_is_named_and_its_neighbours_are_kept(broker: Broker) -> None:
    topic = broker.create_topic(max_message_bytes=5000)
    sink = broker.dead_letters(topic)
    sink.open()
    sink.write(documents(topic, [b"a", b"x" * 2_000_000]))
    sink.write(documents(topic, [b"b"]))
    refused = sink.flush(PATIENCE).rejected
    assert list(refused) == [1]
    assert broker.read(topic) == [(b"k", b"a"), (b"k", b"b")]
    sink.write(documents(topic, [b"c"]))
    assert sink.flush(PATIENCE).rejected == {}


def test_a_missing_topic_names_the_command_that_creates_it(broker: Broker) -> None:
    topic = fresh_name()
    with pytest.raises(ConfigError, match=rf"no topic {topic} .*`prism setup`"):
        broker.dead_letters(topic).open()
