"""How brokers and librdkafka behave where this plugin builds on it: plain clients, and what the plugin makes of it.

A failure after an upgrade of either says which assumption is gone. Expiry of offsets takes minutes, and is waited for
once, in ``tests/incident``; a group that never committed stands for it here, because brokers answer it alike.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from prism_kafka.failures import DATA_GONE, NOT_MEMBER, TRANSIENT, kafka_error
from prismlib.errors import DataLossError, FencedError
from prismlib.records import Partition
from tests.plugins.prism_kafka.broker import (
    PATIENCE,
    QUIET,
    Broker,
    Listener,
    documents,
    fresh_name,
    offsets,
    opened,
    read,
)

pytestmark = pytest.mark.real

SILENCE = 1.5  # seconds of nothing that count as silence
QUICK = {"topic.metadata.refresh.interval.ms": 300, "session.timeout.ms": 6000, "heartbeat.interval.ms": 300}


@contextlib.contextmanager
def consuming(broker: Broker, group: str, *topics: str, **options: Any) -> Iterator[Consumer]:
    """A plain consumer with the settings that the plugin insists on; subscribed, where there are topics."""
    settings = {
        "bootstrap.servers": broker.servers,
        "group.id": group,
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        **QUIET,
        **options,
    }
    consumer = Consumer(settings)
    try:
        if topics:
            consumer.subscribe(list(topics))
        yield consumer
    finally:
        consumer.close()


@contextlib.contextmanager
def transacting(broker: Broker, name: str, **options: Any) -> Iterator[Producer]:
    """A plain transactional producer that has fenced its predecessors."""
    producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": name, **QUIET, **options})
    producer.init_transactions(PATIENCE)
    try:
        yield producer
    finally:
        producer.purge()


def poll_for(consumer: Consumer, seconds: float) -> tuple[list[int], list[int]]:
    """Offsets of the records, and codes of the errors, that come within some seconds."""
    records: list[int] = []
    errors: list[int] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is None:
            continue
        error = message.error()
        if error is None:
            records.append(message.offset() or 0)
        else:
            errors.append(error.code())
    return records, errors


def poll_until(consumer: Consumer, done: Callable[[list[int], list[int]], bool]) -> tuple[list[int], list[int]]:
    """The same, until enough has come."""
    records: list[int] = []
    errors: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while not done(records, errors):
        assert time.monotonic() < deadline, f"records {records}, errors {errors}"
        more = poll_for(consumer, 0.1)
        records += more[0]
        errors += more[1]
    return records, errors


def commit_as_nobody(broker: Broker, group: str, topic: str, offset: int) -> None:
    """Set the offset of a group without members."""
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, offset)])
    (future,) = broker.admin.alter_consumer_group_offsets([wanted]).values()
    (place,) = future.result(20).topic_partitions
    assert place.error is None, place.error


def committed(broker: Broker, group: str, topic: str) -> int:
    with consuming(broker, group) as probe:
        (place,) = probe.committed([TopicPartition(topic, 0)], timeout=PATIENCE)
        return place.offset


# --- 1. offsets --------------------------------------------------------------------------------------------------------


def test_without_a_committed_offset_policy_error_says_so_once_per_partition_and_is_silent_then(broker: Broker) -> None:
    topic = broker.create_topic(partitions=2)
    for index in range(2):
        broker.number(topic, 5, index)
    with consuming(broker, fresh_name(), topic) as consumer:
        records, errors = poll_until(consumer, lambda _, found: len(found) >= 2)
        more = poll_for(consumer, SILENCE)
    assert KafkaError._AUTO_OFFSET_RESET == -140
    assert (records, errors) == ([], [-140, -140])
    assert more == ([], [])
    assert -140 in DATA_GONE


def test_a_committed_offset_below_the_log_start_is_the_same_error_after_which_only_assign_helps(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 20)
    commit_as_nobody(broker, group, topic, 4)
    broker.delete_records(topic, 10)
    with consuming(broker, group, topic) as consumer:
        records, errors = poll_until(consumer, lambda _, found: bool(found))
        assert (records, errors) == ([], [-140])
        assert poll_for(consumer, SILENCE) == ([], [])
        with pytest.raises(KafkaException) as raised:
            consumer.seek(TopicPartition(topic, 0, 10))
        assert kafka_error(raised.value).code() == KafkaError._STATE
        consumer.assign([TopicPartition(topic, 0, 10)])
        records, errors = poll_until(consumer, lambda found, _: len(found) >= 10)
    assert (records, errors) == (list(range(10, 20)), [])


def test_records_that_go_while_they_are_read_are_the_same_error_and_the_source_keeps_saying_so(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 10)
    partition = Partition(topic, 0)
    source = broker.source(topic, group)
    opened(source)
    read(source, 10)
    source.pause([partition])
    broker.number(topic, 10)
    broker.delete_records(topic, 15)
    source.resume([partition])
    for _ in range(2):
        with pytest.raises(DataLossError, match=rf"{topic}\[0\].*nothing was skipped"):
            read(source, 1)
    source.close()
    assert committed(broker, group, topic) == -1001


def test_deleting_a_topic_deletes_the_offsets_of_its_groups_which_then_looks_like_expiry(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 5)
    commit_as_nobody(broker, group, topic, 5)
    assert committed(broker, group, topic) == 5
    before = broker.source(topic, group).horizons([Partition(topic, 0)])[Partition(topic, 0)]
    broker.delete_topic(topic)
    broker.create_topic(topic)
    deadline = time.monotonic() + PATIENCE
    while committed(broker, group, topic) != -1001:
        assert time.monotonic() < deadline
    after = broker.source(topic, group).horizons([Partition(topic, 0)])[Partition(topic, 0)]
    assert after.topic_id != before.topic_id, "what tells the two apart"


def test_a_topic_that_is_created_again_under_a_live_consumer_is_read_on_at_the_old_position(broker: Broker) -> None:
    """No error at all: 20 records are skipped. So topic ids are compared before anything is committed."""
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 20)
    commit_as_nobody(broker, group, topic, 0)
    source = broker.source(topic, fresh_name())
    old_id = source.horizons([Partition(topic, 0)])[Partition(topic, 0)].topic_id
    with consuming(broker, group, topic, **QUICK) as consumer:
        assert poll_until(consumer, lambda found, _: len(found) >= 20)[1] == []
        broker.admin.delete_topics([topic])[topic].result(20)
        while True:
            with contextlib.suppress(AssertionError, KafkaException):
                broker.create_topic(topic)
                break
        broker.number(topic, 30)
        records, _ = poll_until(consumer, lambda found, _: bool(found))
        records += poll_for(consumer, SILENCE)[0]
        assert 20 in records
        assert not set(range(20)) & set(records), "the new topic was read from its beginning"
        consumer.commit(offsets=[TopicPartition(topic, 0, 30)], asynchronous=False)
    assert committed(broker, group, topic) == 30, "and the commit is accepted"
    assert source.horizons([Partition(topic, 0)])[Partition(topic, 0)].topic_id not in ("", old_id)


def test_a_topic_that_is_deleted_is_an_error_to_a_subscriber_and_silence_to_the_new_protocol(broker: Broker) -> None:
    heard: dict[str, list[int]] = {}
    for protocol in ("classic", "consumer"):
        topic, group = broker.create_topic(), fresh_name()
        broker.number(topic, 3)
        commit_as_nobody(broker, group, topic, 0)
        options = {"group.protocol": protocol, "topic.metadata.refresh.interval.ms": 300}
        with consuming(broker, group, topic, **options) as consumer:
            poll_until(consumer, lambda found, _: len(found) >= 3)
            broker.delete_topic(topic)
            heard[protocol] = poll_for(consumer, 3.0)[1]
        # What tells it in both cases: its id is gone.
        assert broker.source(topic, group)._cluster.topics([topic]) == {topic: None}
    assert KafkaError.UNKNOWN_TOPIC_OR_PART in heard["classic"]
    assert KafkaError.UNKNOWN_TOPIC_OR_PART not in heard["consumer"]


def test_a_partition_that_is_added_is_an_error_by_itself_and_the_source_asks_where_to_start(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    commit_as_nobody(broker, group, topic, 0)
    ours = broker.source(topic, fresh_name(), **QUICK)
    listener = opened(ours)
    read(ours, 3)
    with consuming(broker, group, topic, **QUICK) as consumer:
        poll_until(consumer, lambda found, _: len(found) >= 3)
        broker.admin.create_partitions([NewPartitions(topic, 2)])[topic].result(20)
        deadline = time.monotonic() + PATIENCE
        while len(broker.admin.list_topics(topic, timeout=10).topics[topic].partitions) < 2:
            assert time.monotonic() < deadline
        broker.number(topic, 4, 1)  # before anybody has noticed the partition
        assert poll_until(consumer, lambda _, found: bool(found)) == ([], [-140])
    assert offsets(read(ours, 4), 1) == [0, 1, 2, 3]
    assert ("assigned", [Partition(topic, 1)]) in listener.events


def test_offsets_cannot_be_altered_while_a_member_is_live_and_only_the_partition_says_so(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    commit_as_nobody(broker, group, topic, 1)
    with consuming(broker, group, topic) as consumer:
        poll_until(consumer, lambda found, _: len(found) >= 2)
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 3)])
        (future,) = broker.admin.alter_consumer_group_offsets([wanted]).values()
        (place,) = future.result(20).topic_partitions  # does not raise
        assert place.error is not None
        assert place.error.code() == KafkaError.UNKNOWN_MEMBER_ID
        with pytest.raises(KafkaException) as raised:
            broker.admin.delete_consumer_groups([group])[group].result(20)
        assert kafka_error(raised.value).code() == KafkaError.NON_EMPTY_GROUP
    assert committed(broker, group, topic) == 1


def test_any_offset_is_accepted_for_a_group_that_nobody_knows_and_a_negative_one_by_nobody(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    commit_as_nobody(broker, group, topic, 10**9)
    assert committed(broker, group, topic) == 10**9
    with consuming(broker, group) as probe:
        (place,) = probe.offsets_for_times([TopicPartition(topic, 0, 1_900_000_000_000)], timeout=PATIENCE)
    assert place.offset == -1, "after the last record there is no offset, and not the end"
    with pytest.raises(ValueError, match="offset"):
        broker.admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, place.offset)])]
        )
    source = broker.source(topic, fresh_name())
    assert source.offsets_at([Partition(topic, 0)], 1_900_000_000_000) == {Partition(topic, 0): 0}


def test_an_open_transaction_makes_the_offset_look_missing_to_a_reader_of_uncommitted_data_only(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 5)
    commit_as_nobody(broker, group, topic, 0)
    place = TopicPartition(topic, 0)
    with consuming(broker, group, topic) as member, transacting(broker, fresh_name()) as producer:
        poll_until(member, lambda found, _: len(found) >= 5)
        producer.begin_transaction()
        metadata = member.consumer_group_metadata()
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, 5)], metadata, PATIENCE)
        with consuming(broker, group, **{"isolation.level": "read_uncommitted"}) as probe:
            (found,) = probe.committed([place], timeout=PATIENCE)
            assert (found.offset, found.error) in {(-1001, None), (0, None)}
            unfounded = found.offset
        with consuming(broker, group) as probe, pytest.raises(KafkaException) as raised:
            probe.committed([place], timeout=1.0)
        assert kafka_error(raised.value).code() == KafkaError._TIMED_OUT
        producer.commit_transaction(PATIENCE)
    assert committed(broker, group, topic) == 5 != unfounded


def test_raising_inside_on_assign_does_not_drop_the_assignment(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 9)
    commit_as_nobody(broker, group, topic, 0)

    def refuse(_consumer: Consumer, _partitions: Sequence[TopicPartition]) -> None:
        raise DataLossError("refused")

    with consuming(broker, group) as consumer:
        consumer.subscribe([topic], on_assign=refuse)
        with pytest.raises(DataLossError, match="refused"):
            poll_for(consumer, PATIENCE)
        records, _ = poll_until(consumer, lambda found, _: 8 in found)
    # Whoever goes on polling reads what was refused, but for a record that the raising call had in hand.
    assert records in (list(range(9)), list(range(1, 9)))

    source = broker.source(topic, group)
    listener = Listener(source)
    listener.refuse_with = [DataLossError("refused")]
    source.open(listener)
    with pytest.raises(DataLossError, match="refused"):
        read(source, 1)
    assert source._consumer.assignment() == [], "the source gives back what was refused"


def test_documents_and_dead_letters_are_stamped_when_they_are_written_and_not_with_the_time_of_their_event(
    broker: Broker,
) -> None:
    """A topic with time retention deletes old timestamps at once, and one of the future keeps its segment for ever."""
    topic, letters = fresh_name(), broker.create_topic()
    broker.set_up_sink(topic, topic)
    began = int(time.time() * 1000) - 5_000
    sink = broker.sink(topic, topic, dead_letters=letters)
    sink.open()
    sink.begin()
    sink.write(documents(topic, [b"a"]))
    sink.write(documents(letters, [b"b"], headers=[[("prism.timestamp", b"1000")]]))
    sink.flush(PATIENCE)
    sink.commit({}, None, [])
    for written in (topic, letters):
        reader = broker.source(written, fresh_name())
        opened(reader)
        (batch,) = read(reader, 1)
        assert began < batch.timestamps_ms[0] < began + 60_000


# --- 2. groups, brokers, transactions ----------------------------------------------------------------------------------


def test_a_member_that_polls_too_late_is_told_so_and_its_commit_fails(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    commit_as_nobody(broker, group, topic, 0)
    late = {"max.poll.interval.ms": 1000, "session.timeout.ms": 1000, "heartbeat.interval.ms": 200}
    with consuming(broker, group, topic, **late) as consumer:
        poll_until(consumer, lambda found, _: len(found) >= 3)
        time.sleep(1.8)
        with pytest.raises(KafkaException) as raised:
            consumer.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
        assert kafka_error(raised.value).code() in NOT_MEMBER | {KafkaError._STATE, KafkaError._NO_OFFSET}
        assert KafkaError._MAX_POLL_EXCEEDED in poll_until(consumer, lambda _, found: bool(found))[1]
    assert committed(broker, group, topic) == 0


def test_a_zombie_producer_is_fenced_by_an_exception_and_its_error_callback_hears_nothing(broker: Broker) -> None:
    topic, name = broker.create_topic(), fresh_name()
    heard: list[KafkaError] = []
    with transacting(broker, name, error_cb=heard.append) as zombie, transacting(broker, name) as successor:
        zombie.begin_transaction()
        zombie.produce(topic, b"zombie")
        with pytest.raises(KafkaException) as raised:
            zombie.flush(PATIENCE)
            zombie.commit_transaction(PATIENCE)
        error = kafka_error(raised.value)
        assert error.code() in {KafkaError._FENCED, KafkaError._FATAL}
        assert error.fatal()
        successor.begin_transaction()
        successor.produce(topic, b"successor")
        successor.commit_transaction(PATIENCE)
    assert not [each for each in heard if each.code() in {KafkaError._FENCED, KafkaError._FATAL}]
    assert broker.read(topic) == [(None, b"successor")]


def test_group_metadata_of_a_member_that_is_gone_fails_the_transaction_which_must_be_aborted(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 1)
    commit_as_nobody(broker, group, topic, 0)
    with consuming(broker, group, topic) as member:
        poll_until(member, lambda found, _: bool(found))
        stale = member.consumer_group_metadata()
    with transacting(broker, fresh_name()) as producer:
        producer.begin_transaction()
        with pytest.raises(KafkaException) as raised:
            producer.send_offsets_to_transaction([TopicPartition(topic, 0, 1)], stale, PATIENCE)
        error = kafka_error(raised.value)
        assert error.code() in NOT_MEMBER
        assert error.txn_requires_abort()
        assert not error.fatal()
        producer.abort_transaction(PATIENCE)
    assert committed(broker, group, topic) == 0


def test_what_a_crash_leaves_open_holds_readers_back_until_the_same_name_starts_again(broker: Broker) -> None:
    topic, name, group = broker.create_topic(), fresh_name(), fresh_name()
    commit_as_nobody(broker, group, topic, 0)
    with transacting(broker, name, **{"transaction.timeout.ms": 60_000}) as crashed:
        crashed.begin_transaction()
        crashed.produce(topic, b"never committed")
        crashed.flush(PATIENCE)
        broker.append(topic, 0, [(None, b"behind it", None, 0)])
        with consuming(broker, group, topic) as reader:
            assert poll_for(reader, 4.0) == ([], [])
            began = time.monotonic()
            with transacting(broker, name):
                assert poll_until(reader, lambda found, _: bool(found)) == ([1], [])
            assert time.monotonic() - began < 30.0, "half of what the transaction had left"


def test_a_static_member_with_the_name_of_another_takes_its_place_and_the_older_one_is_fenced(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    static = {"group.instance.id": "host", "session.timeout.ms": 30_000, "heartbeat.interval.ms": 300}
    first, second = (broker.source(topic, group, "1", **static) for _ in range(2))
    opened(first)
    read(first, 3)
    began = time.monotonic()
    opened(second)
    read(second, 3)
    assert time.monotonic() - began < 20.0, "it did not wait for the session of the first"
    with pytest.raises(FencedError, match=r"group\.instance\.id|another member"):
        read(first, 1)
    with pytest.raises(FencedError):
        first.commit({Partition(topic, 0): 3})


def test_the_new_group_protocol_refuses_settings_of_the_old_and_assign_in_the_callback(broker: Broker) -> None:
    topic, group = broker.create_topic(), fresh_name()
    broker.number(topic, 3)
    commit_as_nobody(broker, group, topic, 0)
    for setting, value in (("session.timeout.ms", 6000), ("partition.assignment.strategy", "range")):
        with (
            pytest.raises(KafkaException) as raised,
            consuming(broker, group, **{"group.protocol": "consumer", setting: value}),
        ):
            pass
        assert kafka_error(raised.value).code() == KafkaError._INVALID_ARG
    refused: list[int] = []

    def assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            consumer.assign(partitions)
        except KafkaException as error:
            refused.append(kafka_error(error).code())
            consumer.incremental_assign(partitions)

    with consuming(broker, group, **{"group.protocol": "consumer"}) as consumer:
        consumer.subscribe([topic], on_assign=assign)
        assert poll_until(consumer, lambda found, _: len(found) >= 3)[0] == [0, 1, 2]
    assert refused == [KafkaError._STATE]


def test_a_default_producer_refuses_a_record_that_the_broker_takes(broker: Broker) -> None:
    """So the plugin's producers take their limit from the topics, and a dead letter has more room than its source."""
    topic = broker.create_topic()
    producer = Producer({"bootstrap.servers": broker.servers, **QUIET})
    with pytest.raises(KafkaException) as raised:
        producer.produce(topic, b"x" * 1_000_000)
    assert kafka_error(raised.value).code() == KafkaError.MSG_SIZE_TOO_LARGE
    letters = broker.dead_letters(topic)
    letters.open()
    assert letters.policy.max_document_bytes is not None
    largest = b"x" * (letters.policy.max_document_bytes - 1)
    assert len(largest) > 1_000_000
    assert not letters.write(documents(topic, [largest])).rejected
    assert not letters.flush(PATIENCE).rejected


def test_a_broker_that_is_away_is_a_flood_of_passing_errors_and_watermarks_that_are_kept_lie(
    own_kafka: Any, own_broker: Broker
) -> None:
    """So horizons are asked of the brokers, never taken from what a client remembers, and no such error means 'gone'."""
    topic, group = own_broker.create_topic(), fresh_name()
    place = TopicPartition(topic, 0)
    own_broker.number(topic, 5)
    commit_as_nobody(own_broker, group, topic, 0)
    heard: list[KafkaError] = []
    options = {"error_cb": heard.append, "session.timeout.ms": 6000, "reconnect.backoff.max.ms": 300}
    with consuming(own_broker, group, topic, **options) as consumer:
        poll_until(consumer, lambda found, _: len(found) >= 5)
        own_kafka.kill()
        errors = poll_for(consumer, 2.0)[1]
        assert heard, "the callback hears of it"
        assert {each.code() for each in heard} <= TRANSIENT
        assert set(errors) <= TRANSIENT
        with pytest.raises(KafkaException) as raised:
            consumer.commit(offsets=[TopicPartition(topic, 0, 5)], asynchronous=False)
        assert kafka_error(raised.value).code() in TRANSIENT
        with pytest.raises(KafkaException) as raised:
            consumer.get_watermark_offsets(place, timeout=2.0)
        assert kafka_error(raised.value).code() in TRANSIENT | {KafkaError._UNKNOWN_PARTITION}
        assert consumer.get_watermark_offsets(place, cached=True)[1] == 5
        own_kafka.start()
        own_broker.number(topic, 3)
        records, errors = poll_until(consumer, lambda found, _: 7 in found)  # it goes on by itself
        assert records[-3:] == [5, 6, 7]
        assert set(errors) <= TRANSIENT
