"""Reading without a group, where the brokers and the client have their own ideas of an end."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer

from prismlib.errors import RetryableError
from prismlib.records import Partition
from tests.plugins.prism_kafka.broker import QUIET, Broker, fresh_name

pytestmark = pytest.mark.real


def transaction(broker: Broker, topic: str, count: int) -> Producer:
    """An open transaction that has written records."""
    producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": fresh_name(), **QUIET})
    producer.init_transactions(20)
    producer.begin_transaction()
    for _ in range(count):
        producer.produce(topic, b"t", partition=0)
    assert producer.flush(20) == 0
    return producer


@pytest.mark.parametrize("committed", [True, False])
def test_the_end_is_seen_when_it_comes_together_with_the_last_records(broker: Broker, *, committed: bool) -> None:
    topic = broker.create_topic()
    broker.number(topic, 2_500)
    producer = transaction(broker, topic, 100)
    producer.commit_transaction(20) if committed else producer.abort_transaction(20)
    reader = broker.reader(stable_seconds=3.0)
    reader.open()
    count = 0
    for batches in reader.read({Partition(topic, 0): 0}):
        count += sum(map(len, batches))
        time.sleep(0.5)  # the client fetches the rest meanwhile, and notices the end
    assert count == (2_600 if committed else 2_500)


def test_a_transaction_that_stays_open_is_told_with_the_next_step(broker: Broker) -> None:
    topic = broker.create_topic()
    producer = transaction(broker, topic, 1)
    reader = broker.reader(stable_seconds=1.0)
    reader.open()
    with pytest.raises(RetryableError, match=r"could not be read to the end.*transaction\.timeout\.ms"):
        list(reader.read({Partition(topic, 0): 0}))
    producer.abort_transaction(20)
    assert list(reader.read({Partition(topic, 0): 0})) == []


def test_no_group_hears_of_a_reader(broker: Broker) -> None:
    topic = broker.create_topic()
    broker.number(topic, 10)
    groups = {group.group_id for group in broker.admin.list_consumer_groups().result(20).valid}
    reader = broker.reader()
    reader.open()
    assert sum(len(batch) for batches in reader.read({Partition(topic, 0): 0}) for batch in batches) == 10
    reader.close()
    assert {group.group_id for group in broker.admin.list_consumer_groups().result(20).valid} <= groups


def test_records_that_are_gone_are_passed_over(broker: Broker) -> None:
    topic = broker.create_topic()
    broker.number(topic, 10)
    broker.delete_records(topic, 4)
    reader = broker.reader()
    reader.open()
    found = [
        offset for batches in reader.read({Partition(topic, 0): 0}) for batch in batches for offset in batch.offsets
    ]
    assert found == list(range(4, 10))
