"""The offsets of a group, looked at and moved from outside, on a real broker."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from prism_kafka.group import KafkaGroup
from prismlib.errors import FatalError, RetryableError, UnreachableError
from prismlib.plugin.hookspecs import Retention
from prismlib.records import Partition
from prismlib.stages import Committed
from tests.plugins.prism_kafka.broker import PATIENCE, QUIET, Broker, fresh_name, opened, read

pytestmark = pytest.mark.real


def group_of(broker: Broker, name: str) -> KafkaGroup:
    made = KafkaGroup(broker.servers, broker.options, group=name)
    broker._opened.append(made)
    made.open()
    return made


def test_a_group_that_nobody_knows_has_no_members_and_no_offsets_and_can_be_given_some(broker: Broker) -> None:
    topic, name = broker.create_topic(partitions=2), fresh_name()
    group = group_of(broker, name)
    both = [Partition(topic, 0), Partition(topic, 1)]
    assert group.partitions([topic, "nowhere"]) == both
    assert group.members() == []
    assert group.committed(both) == dict.fromkeys(both, Committed(None))
    group.alter({both[1]: 7})
    assert group.committed(both) == {both[0]: Committed(None), both[1]: Committed(7)}
    group.alter({both[1]: 3})
    assert group.committed(both)[both[1]] == Committed(3)
    assert group.members() == []


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_are_described_and_while_there_is_one_nothing_is_moved(broker: Broker, protocol: str) -> None:
    topic, name = broker.create_topic(partitions=3), fresh_name()
    broker.number(topic, 5)
    source = broker.source(
        topic, name, worker="blue", **({"group.protocol": protocol} if protocol == "consumer" else {})
    )
    opened(source)
    read(source, 5)
    place = Partition(topic, 0)
    source.commit({place: 5})
    group = group_of(broker, name)
    (member,) = group.members()
    assert member.startswith("worker blue at ")
    assert member.endswith(" with 3 partitions")
    with pytest.raises(FatalError, match=f"offsets of group {name} while it has a member"):
        group.alter({place: 1, Partition(topic, 1): 0})
    assert group.committed([place, Partition(topic, 1)]) == {place: Committed(5), Partition(topic, 1): Committed(None)}
    source.close()
    assert group.members() == []
    group.alter({place: 1})
    assert group.committed([place]) == {place: Committed(1)}


def test_times_are_those_of_the_first_record_at_or_after_an_offset(broker: Broker) -> None:
    topic = broker.create_topic(partitions=3, retention_ms=-1)
    stamps = [1_700_000_000_000 + n for n in range(4)]
    for partition in (0, 1):
        broker.append(topic, partition, [(None, b"x" * 1000, None, stamp) for stamp in stamps])
    broker.delete_records(topic, 2)
    group = group_of(broker, fresh_name())
    a, b, empty = (Partition(topic, index) for index in range(3))
    assert group.timestamps({a: 0, b: 1, empty: 0}) == {a: stamps[2], b: stamps[1], empty: -1}
    assert group.timestamps({a: 3, b: 4}) == {a: stamps[3], b: -1}
    assert group.timestamps({}) == {}
    assert group.offsets_at([a, b, empty], stamps[3]) == {a: 3, b: 3, empty: 0}
    assert group.offsets_at([a], stamps[3] + 1) == {a: 4}


def test_transactions_on_the_topic_hold_no_time_up(broker: Broker) -> None:
    """The mark of a transaction takes an offset and has no time; a record of an open one has a time already."""
    topic = broker.create_topic(retention_ms=-1)
    producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": fresh_name(), **QUIET})
    producer.init_transactions(PATIENCE)
    for _ in range(2):
        producer.begin_transaction()
        producer.produce(topic, b"value", partition=0, timestamp=1_700_000_000_000)
        producer.flush(PATIENCE)
        group = group_of(broker, fresh_name())
        found = group.timestamps({Partition(topic, 0): 0})
        assert found == {Partition(topic, 0): 1_700_000_000_000}
        producer.commit_transaction(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while (
        group.horizons([Partition(topic, 0)])[Partition(topic, 0)].end < 4
    ):  # the broker writes its marks a moment later
        assert time.monotonic() < deadline
    assert group.timestamps({Partition(topic, 0): 1}) == {Partition(topic, 0): 1_700_000_000_000}
    assert group.timestamps({Partition(topic, 0): 3}) == {Partition(topic, 0): -1}


def test_a_member_of_somebody_else_is_named_too(broker: Broker) -> None:
    topic, name = broker.create_topic(), fresh_name()
    other = Consumer({"bootstrap.servers": broker.servers, "group.id": name, "client.id": "kcat", **QUIET})
    other.subscribe([topic])
    group = group_of(broker, name)
    try:
        for _ in range(100):
            other.poll(0.1)
            if other.assignment():
                break
        (member,) = group.members()
        assert member.startswith("kcat at ")
        assert member.endswith("with 1 partition")
    finally:
        other.close()


def test_a_broker_that_is_away_is_retryable(
    own_broker: Broker, own_kafka: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prism_kafka.cluster.ANSWER_SECONDS", 1.5)
    topic = own_broker.create_topic()
    group = group_of(own_broker, fresh_name())
    own_kafka.kill()  # type: ignore[attr-defined]  # the fixture of another plugin
    for ask in (
        group.members,
        lambda: group.partitions([topic]),
        lambda: group.horizons([Partition(topic, 0)]),
        lambda: group.timestamps({Partition(topic, 0): 0}),
        lambda: group.alter({Partition(topic, 0): 0}),
        lambda: group.retention([topic]),
        group.offsets_retention_ms,
    ):
        with pytest.raises(RetryableError):
            ask()
    with pytest.raises(UnreachableError):
        KafkaGroup(own_broker.servers, {}, group="g").open()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Retention(7 * 24 * 3_600_000)),
        ({"retention_ms": 86_400_000, "retention_bytes": 1 << 30}, Retention(86_400_000, by_size=True)),
        ({"retention_ms": -1, "retention_bytes": 1 << 30}, Retention(by_size=True)),
        ({"retention_ms": -1}, Retention()),
        ({"cleanup_policy": "compact", "retention_ms": 1000}, Retention()),
        ({"cleanup_policy": "compact,delete", "retention_ms": 1000}, Retention(1000)),
    ],
)
def test_when_records_of_a_topic_are_deleted(broker: Broker, settings: dict[str, Any], expected: Retention) -> None:
    topic = broker.create_topic(**settings)
    assert group_of(broker, fresh_name()).retention([topic, "nowhere"]) == {topic: expected}


def test_when_offsets_are_forgotten(broker: Broker) -> None:
    assert group_of(broker, fresh_name()).offsets_retention_ms() == 7 * 24 * 3_600_000
