"""What the Kafka source does beyond the conformance suite."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from unittest.mock import Mock

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from prism_kafka.source import KafkaSource
from prismlib.errors import ConfigError, DataLossError, FatalError, FencedError, RetryableError, UnreachableError
from prismlib.records import Partition
from tests.plugins.prism_kafka.broker import PATIENCE, QUIET, Broker, Listener, fresh_name, offsets, opened, read

pytestmark = pytest.mark.real

PROTOCOLS: dict[str, dict[str, str]] = {
    "cooperative": {},
    "eager": {"partition.assignment.strategy": "range"},
    "KIP-848": {"group.protocol": "consumer"},
}


def poll_until(done: Callable[[], bool], *sources: KafkaSource) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        for source in sources:
            source.poll(1000, 0.05)
        assert time.monotonic() < deadline


# --- opening -----------------------------------------------------------------------------------------------------------


def test_a_missing_topic_is_named_before_anything_is_read(broker: Broker) -> None:
    topic, missing = broker.create_topic(), fresh_name()
    source = broker.source([topic, missing], fresh_name())
    with pytest.raises(ConfigError, match=f"no topic {missing} on .*`prism setup`"):
        source.open(Listener(source))


def test_a_broker_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism_kafka.cluster.Cluster.connect.__defaults__", (1.0,))
    source = KafkaSource("127.0.0.1:9", {}, group="g", worker="1", topics=["t"])
    with pytest.raises(UnreachableError, match=r"no Kafka broker at 127\.0\.0\.1:9 answered"):
        source.open(Listener(source))
    source.close()


# --- rebalancing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["cooperative-sticky", "range"])
def test_two_workers_share_the_partitions_and_one_takes_over_where_the_other_committed(
    broker: Broker, strategy: str
) -> None:
    topic, group = broker.create_topic(partitions=2), fresh_name()
    for index in range(2):
        broker.number(topic, 10, index)
    options = {"partition.assignment.strategy": strategy, "session.timeout.ms": 6000}
    first, second = (broker.source(topic, group, worker, **options) for worker in ("1", "2"))
    one = opened(first)
    read(first, 20)
    both = {Partition(topic, 0), Partition(topic, 1)}
    first.commit(dict.fromkeys(both, 10))
    two = opened(second)
    poll_until(lambda: len(one.mine) == 1 and len(two.mine) == 1, first, second)
    assert one.mine | two.mine == both
    for index in range(2):
        broker.number(topic, 5, index)
    (theirs,) = two.mine
    assert offsets(read(second, 5), theirs.index) == [10, 11, 12, 13, 14]
    two.on_revoke = lambda partitions: second.commit(dict.fromkeys(partitions, 13))
    (mine,) = one.mine
    assert offsets(read(first, 5), mine.index) == [10, 11, 12, 13, 14]
    second.close()
    # An eager assignor takes everything away and gives it back, as committed; the poll that assigns may be the one that reads.
    got = read(first, 7 if strategy == "range" else 2)
    assert one.mine == both
    assert offsets(got, theirs.index) == [13, 14]


def test_offsets_of_a_partition_that_another_member_owns_are_not_committed(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    source = broker.source(topic, group)
    opened(source)
    read(source, 3)
    stranger = Partition(topic, 7)
    with pytest.raises(FencedError, match=rf"{topic}\[7\].*another member owns them"):
        source.commit({Partition(topic, 0): 3, stranger: 1})
    assert source.committed([Partition(topic, 0)])[Partition(topic, 0)].next_offset is None


def test_a_worker_that_polls_too_late_loses_its_partitions_and_cannot_commit(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    source = broker.source(topic, group, **{"max.poll.interval.ms": 1500, "session.timeout.ms": 1500})
    listener = opened(source)
    read(source, 3)
    time.sleep(2.5)
    with pytest.raises((FencedError, RetryableError)):
        source.commit({Partition(topic, 0): 3})
    again = read(source, 3)  # the poll that assigns may be the one that reads
    partitions = [Partition(topic, 0)]
    assert listener.events[:3] == [("assigned", partitions), ("lost", partitions), ("assigned", partitions)]
    assert offsets(again) == [0, 1, 2]


def test_a_partition_that_was_lost_while_it_was_paused_is_read_when_it_comes_back(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    options = {"max.poll.interval.ms": 1500, "session.timeout.ms": 1500, "heartbeat.interval.ms": 200}
    source = broker.source(topic, group, **options)
    listener = opened(source)
    read(source, 3)
    source.pause([Partition(topic, 0)])
    time.sleep(2.5)
    assert offsets(read(source, 3)) == [0, 1, 2]
    assert [event for event, _ in listener.events][:3] == ["assigned", "lost", "assigned"]


@pytest.mark.parametrize("strategy", ["cooperative-sticky", "range"])
def test_a_partition_that_was_revoked_while_it_was_paused_is_read_when_it_comes_back(
    broker: Broker, strategy: str
) -> None:
    topic, group = broker.create_topic(partitions=2), fresh_name()
    for index in range(2):
        broker.number(topic, 3, index)
    options = {"partition.assignment.strategy": strategy, "session.timeout.ms": 6000}
    first, second = (broker.source(topic, group, worker, **options) for worker in ("1", "2"))
    one = opened(first)
    read(first, 6)
    first.pause(sorted(one.mine))
    two = opened(second)
    poll_until(lambda: len(two.mine) == 1 and len(one.mine) == 1, first, second)
    (back,) = two.mine
    second.close()
    assert offsets(read(first, 3), back.index) == [0, 1, 2]


@pytest.mark.parametrize("strategy", ["cooperative-sticky", "range"])
def test_an_assignment_that_is_refused_for_now_is_offered_again(broker: Broker, strategy: str) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    source = broker.source(topic, group, **{"partition.assignment.strategy": strategy})
    listener = Listener(source)
    listener.refuse_with = [RetryableError("second"), RetryableError("first")]
    source.open(listener)
    refusals = []
    deadline = time.monotonic() + PATIENCE
    while len(refusals) < 2:
        try:
            assert source.poll(10, 0.2) == []
        except RetryableError as error:
            refusals.append(str(error))
        assert time.monotonic() < deadline
    assert refusals == ["first", "second"]
    assert offsets(read(source, 3)) == [0, 1, 2]
    source.commit({Partition(topic, 0): 3})
    source.close()
    assert listener.events == [("assigned", [Partition(topic, 0)]), ("revoked", [Partition(topic, 0)])]


def test_a_listener_that_fails_on_revoke_is_heard_by_close(broker: Broker) -> None:
    topic = broker.create_topic()
    source = broker.source(topic, fresh_name())
    listener = opened(source)
    poll_until(lambda: bool(listener.mine), source)

    def fail(_: object) -> None:
        raise FencedError("too late")

    listener.on_revoke = fail
    with pytest.raises(FencedError, match="too late"):
        source.close()


# --- positions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "assigned"),
    [("eager", "unassign"), ("cooperative", "incremental_assign"), ("KIP-848", "incremental_assign")],
)
def test_partitions_that_come_while_it_leaves_are_not_taken(protocol: str, assigned: str, broker: Broker) -> None:
    """Whoever decides where to start would ask for offsets, which a client that closes does not tell: 30 s for nothing."""
    source = broker.source(broker.create_topic(), fresh_name(), **PROTOCOLS[protocol])
    listener = Listener(source)
    source.open(listener)
    source.close()
    consumer = Mock()
    source._on_assign(consumer, [TopicPartition("late", 0)])
    assert listener.events == []
    assert [call[0] for call in consumer.method_calls] == [assigned]
    assert consumer.method_calls[0].args in ((), ([],))


def test_a_seek_holds_whether_the_partition_is_paused_before_or_after(broker: Broker) -> None:
    topic = broker.create_topic()
    broker.number(topic, 2000)
    source = broker.source(topic, fresh_name())
    opened(source)
    partition = Partition(topic, 0)
    read(source, 500, max_records=100)
    source.seek({partition: 40})
    source.pause([partition])
    assert source.poll(10, 0.3) == []
    source.resume([partition])
    assert offsets(read(source, 30, max_records=10))[:30] == list(range(40, 70))
    source.pause([partition])
    source.seek({partition: 7, Partition(topic, 9): 1})
    assert source.poll(10, 0.3) == []
    source.resume([partition, Partition(topic, 9)])
    assert offsets(read(source, 30, max_records=10))[:30] == list(range(7, 37))


def test_a_seek_right_after_the_assignment_works(broker: Broker) -> None:
    topic = broker.create_topic()
    broker.number(topic, 10)
    source = broker.source(topic, fresh_name())
    listener = opened(source)
    got = []
    while not listener.mine:
        got += source.poll(1, 0.2)
    source.seek({Partition(topic, 0): 4})
    assert offsets(read(source, 6)) == [4, 5, 6, 7, 8, 9]


def test_committed_waits_for_a_transaction_that_holds_the_offset(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    partition = Partition(topic, 0)
    source = broker.source(topic, group)
    listener = opened(source)
    poll_until(lambda: bool(listener.mine), source)
    conf = {"bootstrap.servers": broker.servers, "transactional.id": group, "transaction.timeout.ms": 1500, **QUIET}
    hung = Producer(conf)
    hung.init_transactions(PATIENCE)
    hung.begin_transaction()
    hung.send_offsets_to_transaction(
        [TopicPartition(topic, 0, 5)], source._consumer.consumer_group_metadata(), PATIENCE
    )
    assert source.committed([partition])[partition].next_offset is None  # answered once the broker aborted it
    source.commit({partition: 3})
    assert source.committed([partition])[partition].next_offset == 3


def test_offsets_are_found_by_time_and_the_end_where_nothing_is_that_late(broker: Broker) -> None:
    topic = broker.create_topic(retention_ms=-1)  # or records this old go as soon as the broker looks
    partition = Partition(topic, 0)
    broker.append(topic, 0, [(None, b"%d" % i, None, 1_700_000_000_000 + i * 1000) for i in range(5)])
    source = broker.source(topic, fresh_name())
    assert source.offsets_at([partition], 1_700_000_002_500) == {partition: 3}
    assert source.offsets_at([partition], 1_800_000_000_000) == {partition: 5}
    horizon = source.horizons([partition])[partition]
    assert (horizon.start, horizon.end, horizon.start_timestamp_ms) == (0, 5, 1_700_000_000_000)


# --- loss --------------------------------------------------------------------------------------------------------------


def test_asking_about_no_partitions_is_answered_without_a_broker(broker: Broker) -> None:
    source = broker.source(broker.create_topic(), fresh_name())
    assert (source.committed([]), source.horizons([]), source.offsets_at([], 0)) == ({}, {}, {})
    source.commit({})
    source.seek({})


def test_data_that_is_gone_is_raised_again_and_again(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 20)
    broker.delete_records(topic, 10)
    partition = Partition(topic, 0)
    source = broker.source(topic, group)
    assert source.horizons([partition])[partition].start == 10
    source.open(Listener(source, {partition: 4}))
    for _ in range(3):
        with pytest.raises(DataLossError, match=rf"{topic}\[0\].*nothing was skipped"):
            read(source, 1)
    source.close()


def test_a_topic_that_is_created_again_has_another_id(broker: Broker) -> None:
    topic = broker.create_topic()
    partition = Partition(topic, 0)
    source = broker.source(topic, fresh_name())
    before = source.horizons([partition])[partition].topic_id
    assert before == source.horizons([partition])[partition].topic_id != ""
    broker.delete_topic(topic)
    with pytest.raises(FatalError, match=f"no topic {topic} "):
        source.horizons([partition])
    broker.create_topic(topic)
    assert source.horizons([partition])[partition].topic_id not in ("", before)


def test_topics_are_identified_in_one_request(broker: Broker) -> None:
    topics = [broker.create_topic() for _ in range(2)]
    source = broker.source(topics, fresh_name())
    ids = source.topic_ids(topics)
    named = source.horizons([Partition(topic, 0) for topic in topics])
    assert ids == {topic: named[Partition(topic, 0)].topic_id for topic in topics}
    broker.delete_topic(topics[0])
    assert source.topic_ids(topics) == {topics[0]: "", topics[1]: ids[topics[1]]}
    broker.create_topic(topics[0])
    assert source.topic_ids(topics)[topics[0]] not in {"", *ids.values()}
    assert source.topic_ids([]) == {}


def test_a_horizon_says_how_many_partitions_the_topic_has(broker: Broker) -> None:
    topic = broker.create_topic(partitions=3)
    source = broker.source(topic, fresh_name())
    assert source.horizons([Partition(topic, 1)])[Partition(topic, 1)].partitions == 3


@pytest.mark.parametrize("protocol", ["cooperative", "eager"])  # by the new protocol, the client says nothing
def test_a_member_that_is_given_nothing_hears_so(broker: Broker, protocol: str) -> None:
    options = PROTOCOLS[protocol]
    topic, group = broker.create_topic(), fresh_name()
    members = {name: broker.source(topic, group, worker=name, **options) for name in ("1", "2")}
    told = {name: opened(source) for name, source in members.items()}
    deadline = time.monotonic() + PATIENCE
    while not (all(one.events for one in told.values()) and any(one.mine for one in told.values())):
        assert time.monotonic() < deadline, {name: one.events for name, one in told.items()}
        for source in members.values():
            source.poll(10, 0.1)
    (standby,) = (one for one in told.values() if not one.mine)
    assert ("assigned", []) in standby.events


@pytest.mark.parametrize("options", PROTOCOLS.values(), ids=PROTOCOLS)
def test_a_listener_may_commit_while_it_decides(broker: Broker, options: dict[str, str]) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 10)
    partition = Partition(topic, 0)
    source = broker.source(topic, group, **options)

    class Commits(Listener):
        def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
            if partitions:
                self.source.commit({partition: 4})
            return super().on_assigned(partitions)

    source.open(Commits(source))
    assert offsets(read(source, 6)) == [4, 5, 6, 7, 8, 9]
    assert source.committed([partition])[partition].next_offset == 4


def test_a_topic_that_is_deleted_stops_reading(broker: Broker) -> None:
    topic, kept = broker.create_topic(), broker.create_topic()
    broker.number(topic, 3)
    source = broker.source([topic, kept], fresh_name(), **{"topic.metadata.refresh.interval.ms": 500})
    opened(source)
    read(source, 3)
    broker.delete_topic(topic)
    deadline = time.monotonic() + PATIENCE
    with pytest.raises(FatalError, match=f"topic {topic} was deleted"):
        while time.monotonic() < deadline:
            source.poll(10, 0.2)


def test_records_of_aborted_transactions_are_not_read(broker: Broker) -> None:
    topic = broker.create_topic()
    producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": fresh_name(), **QUIET})
    producer.init_transactions(PATIENCE)
    for value, commit in ((b"aborted", False), (b"committed", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(PATIENCE)
        producer.commit_transaction(PATIENCE) if commit else producer.abort_transaction(PATIENCE)
    source = broker.source(topic, fresh_name())
    opened(source)
    (batch,) = read(source, 1)
    assert list(batch.values) == [b"committed"]
    assert batch.next_offset == batch.offsets[0] + 1


def test_nothing_is_committed_for_a_group_that_was_only_asked_about(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    source = broker.source(topic, group)
    source.committed([Partition(topic, 0)])
    probe = Consumer({"bootstrap.servers": broker.servers, "group.id": group, **QUIET})
    assert [p.offset for p in probe.committed([TopicPartition(topic, 0)], timeout=PATIENCE)] == [-1001]
    probe.close()
