"""What the Kafka sink does beyond the conformance suites."""

from __future__ import annotations

import json
import random

import pytest
from confluent_kafka import Producer

from prism_kafka.sink import KafkaSink
from prism_kafka.source import Member
from prismlib.errors import ConfigError, FatalError, FencedError, RetryableError, StageContractError
from prismlib.records import LedgerRow, Partition
from tests.plugins.prism_kafka.broker import PATIENCE, QUIET, Broker, documents, fresh_name, opened, read

pytestmark = pytest.mark.real


def ready(broker: Broker, **settings: object) -> tuple[str, KafkaSink]:
    """A topic, and an open sink that writes to it in the pipeline of the same name."""
    topic = fresh_name()
    broker.set_up_sink(topic, topic, **settings)
    sink = broker.sink(topic, topic)
    sink.open()
    return topic, sink


def commit(sink: KafkaSink) -> None:
    """Without offsets: the token is not looked at by the broker."""
    sink.commit({}, Member(None, sink._cluster_id), [])


# --- opening -----------------------------------------------------------------------------------------------------------


def test_a_missing_topic_names_the_command_that_creates_it(broker: Broker) -> None:
    topic = fresh_name()
    with pytest.raises(ConfigError, match=rf"no topic prism\.ledger\.{topic}, {topic} .*`prism setup`"):
        broker.sink(topic, topic).open()


def test_a_ledger_topic_that_forgets_is_refused(broker: Broker) -> None:
    topic = broker.create_topic()
    broker.create_topic(f"prism.ledger.{topic}")
    with pytest.raises(ConfigError, match=r"must have cleanup\.policy=compact"):
        broker.sink(topic, topic).open()


def test_settings_that_the_broker_refuses_are_a_sentence(broker: Broker) -> None:
    topic = fresh_name()
    broker.set_up_sink(topic, topic)
    sink = broker.sink(topic, topic, **{"transaction.timeout.ms": 3_600_000})
    with pytest.raises(ConfigError, match=f"transactions of prism-{topic}-1 cannot begin: "):
        sink.open()


# --- what cannot be written --------------------------------------------------------------------------------------------


def test_what_is_too_large_is_rejected_by_write_and_its_neighbours_are_delivered(broker: Broker) -> None:
    topic, sink = ready(broker, max_message_bytes=2000)
    assert sink.policy.max_document_bytes is not None
    assert sink.policy.max_document_bytes < 2000
    bodies = [b"a", b"x" * 3000, b"b", b"c", b"d"]
    keys = [b"1", b"2", b"k" * 1900, b"4", b"5"]
    headers = [None, None, None, [("h", b"v" * 1900)], [("h", b"v"), ("n", None)]]
    sink.begin()
    result = sink.write(documents(topic, bodies, keys, headers))
    assert {at: error.code for at, error in result.rejected.items()} == {
        1: "too-large",
        2: "too-large",
        3: "too-large",
    }
    assert not sink.flush(PATIENCE).rejected
    commit(sink)
    assert broker.read(topic) == [(b"1", b"a"), (b"5", b"d")]


def test_the_largest_document_that_passes_fits(broker: Broker) -> None:
    topic, sink = ready(broker, max_message_bytes=5000)
    assert sink.policy.max_document_bytes is not None
    noise = random.Random(1).randbytes(sink.policy.max_document_bytes - 8)
    sink.begin()
    assert not sink.write(documents(topic, [noise] * 20, [b"%08d" % i for i in range(20)])).rejected
    assert not sink.flush(PATIENCE).rejected
    commit(sink)
    assert [value for _, value in broker.read(topic)] == [noise] * 20


def test_a_compacted_topic_takes_no_record_without_a_key(broker: Broker) -> None:
    topic, sink = ready(broker, cleanup_policy="compact")
    sink.begin()
    result = sink.write(documents(topic, [b"a", b"b", None], [b"1", None, b"3"]))
    assert {at: error.code for at, error in result.rejected.items()} == {1: "no-key"}
    assert not sink.flush(PATIENCE).rejected
    commit(sink)
    assert broker.read(topic) == [(b"1", b"a"), (b"3", None)]


def test_records_that_the_broker_refuses_are_found_and_the_sink_goes_on(broker: Broker) -> None:
    topic, sink = ready(broker, max_message_bytes=5000)
    broker.alter_topic(topic, "max.message.bytes", "1000")
    noise = random.Random(1).randbytes(3000)
    sink.begin()
    sink.write(documents(topic, [b"small"], [b"0"]))
    assert not sink.flush(PATIENCE).rejected
    sink.write(documents(topic, [b"small"], [b"1"]))
    sink.write(documents(topic, [noise, b"small"], [b"2", b"3"]))
    refused = sink.flush(PATIENCE).rejected
    assert 1 in refused, "position 1 of the documents since the last flush is the one that is too large"
    assert refused[1].code == "too-large"
    assert sink.write(documents(topic, [b"dropped with the transaction"])).rejected == {}
    with pytest.raises(RetryableError):
        commit(sink)
    sink.abort()
    sink.begin()
    sink.write(documents(topic, [noise], [b"2"]))
    assert list(sink.flush(PATIENCE).rejected) == [0]
    sink.abort()
    sink.begin()
    sink.write(documents(topic, [b"small"], [b"3"]))
    assert not sink.flush(PATIENCE).rejected
    commit(sink)
    assert broker.read(topic) == [(b"3", b"small")]


def test_documents_for_a_topic_that_was_not_announced_are_refused(broker: Broker) -> None:
    _, sink = ready(broker)
    sink.begin()
    with pytest.raises(StageContractError, match="documents for elsewhere"):
        sink.write(documents("elsewhere", [b"a"]))


# --- transactions ------------------------------------------------------------------------------------------------------


def test_dead_letters_are_part_of_the_transaction(broker: Broker) -> None:
    topic, letters = fresh_name(), broker.create_topic(max_message_bytes=2_000_000)
    broker.set_up_sink(topic, topic)
    sink = broker.sink(topic, topic, dead_letters=letters)
    sink.open()
    large = b"x" * 1_100_000
    for end in (sink.abort, lambda: commit(sink)):
        sink.begin()
        sink.write(documents(topic, [b"a"]))
        assert not sink.write(documents(letters, [large], [None], [[("prism.reason", b"r")]])).rejected
        assert not sink.flush(PATIENCE).rejected
        end()
    assert broker.read(topic) == [(b"k", b"a")]
    assert broker.read(letters) == [(None, large)]


def test_offsets_of_another_cluster_are_refused(broker: Broker) -> None:
    topic, sink = ready(broker)
    sink.begin()
    sink.write(documents(topic, [b"a"]))
    with pytest.raises(FatalError, match="source and sink are different Kafka clusters, elsewhere and "):
        sink.commit({Partition("in", 0): 1}, Member(None, "elsewhere"), [])
    with pytest.raises(StageContractError, match="of a Kafka source only"):
        sink.commit({Partition("in", 0): 1}, "token", [])


def test_a_transaction_that_was_open_for_too_long_is_done_again(broker: Broker) -> None:
    """The client calls both fenced; nobody has taken this worker's place."""
    topic, source_topic = fresh_name(), broker.create_topic()
    broker.set_up_sink(topic, topic)
    broker.number(source_topic, 1)
    source = broker.source(source_topic, topic)
    opened(source)
    read(source, 1)
    sink = broker.sink(topic, topic, **{"transaction.timeout.ms": 1000})
    sink.open()
    partition = Partition(source_topic, 0)
    row = LedgerRow(partition, 1)
    sink.begin()
    sink.write(documents(topic, [b"too late"]))
    sink.flush(PATIENCE)
    # Readers of committed records are held up until the broker has ended it.
    waiting = broker.source(topic, fresh_name())
    opened(waiting)
    with Producer({"bootstrap.servers": broker.servers, **QUIET}) as other:
        other.produce(topic, b"after it", b"k", partition=0)
        assert other.flush(PATIENCE) == 0
    assert list(read(waiting, 1)[0].values) == [b"after it"]
    with pytest.raises(RetryableError):
        sink.commit({partition: 1}, source.member(), [row])
    sink.abort()
    assert source.committed([partition])[partition].next_offset is None
    assert sink.load_ledger([partition]) == {}
    sink.begin()
    sink.write(documents(topic, [b"in time"]))
    sink.commit({partition: 1}, source.member(), [row])
    assert broker.read(topic) == [(b"k", b"after it"), (b"k", b"in time")]
    assert source.committed([partition])[partition].next_offset == 1


def test_a_refused_commit_leaves_the_ledger_readable_at_once(broker: Broker) -> None:
    topic, sink = ready(broker)
    source = broker.source(broker.create_topic(), topic)
    partition = Partition(source._topics[0], 0)
    listener = opened(source)
    while not listener.mine:
        source.poll(1, 0.1)
    stale = source.member()
    source.close()
    sink.begin()
    sink.write(documents(topic, [b"a"]))
    with pytest.raises(RetryableError):
        sink.commit({partition: 1}, stale, [LedgerRow(partition, 1)])
    assert sink.load_ledger([partition]) == {}
    sink.abort()
    assert broker.read(topic) == []


def test_headers_and_tombstones_arrive_as_they_were_written(broker: Broker) -> None:
    topic, sink = ready(broker)
    headers = [[("a", b"1"), ("a", None)], None, [("b", b"")]]
    sink.begin()
    sink.write(documents(topic, [b"", None, b"x"], [b"", b"t", None], headers))
    commit(sink)
    source = broker.source(topic, fresh_name())
    opened(source)
    batches = read(source, 3)
    assert [v for b in batches for v in b.values] == [b"", None, b"x"]
    assert [k for b in batches for k in b.keys] == [b"", b"t", None]
    assert [h and list(h) for b in batches for h in b.headers] == headers


def test_two_workers_of_one_name_that_start_at_once_leave_one_whichever_way_their_steps_fall(broker: Broker) -> None:
    """The first claims first and fences last: the broker takes it for the worker, the ledger the second; that one wins."""
    topic, source_topic = fresh_name(), broker.create_topic()
    broker.set_up_sink(topic, topic)
    broker.number(source_topic, 1)
    source = broker.source(source_topic, topic)
    opened(source)
    read(source, 1)
    partition = Partition(source_topic, 0)
    first, second = broker.sink(topic, topic), broker.sink(topic, topic)
    claim = first._ledger.claim

    def claim_and_be_overtaken() -> None:
        claim()
        second.open()

    first._ledger.claim = claim_and_be_overtaken  # type: ignore[method-assign]
    first.open()
    with pytest.raises(FencedError, match="another process has become worker '1'"):
        first.check_claim()
    second.check_claim()
    second.begin()
    with pytest.raises(RetryableError):  # the broker counts on the first still
        second.write(documents(topic, [b"second"]))
        second.commit({partition: 1}, source.member(), [])
    second.abort()
    first.begin()
    with pytest.raises(FencedError, match="another process"):
        first.write(documents(topic, [b"first"]))
        first.commit({partition: 1}, source.member(), [])
    second.begin()
    second.write(documents(topic, [b"second"]))
    second.commit({partition: 1}, source.member(), [LedgerRow(partition, 1)])
    assert broker.read(topic) == [(b"k", b"second")]


# --- the ledger --------------------------------------------------------------------------------------------------------


def test_the_ledger_is_saved_and_loaded_while_a_transaction_is_open(broker: Broker) -> None:
    topic, sink = ready(broker)
    row = LedgerRow(Partition("in", 3), 41, 2, "id", 1_700_000_000_000, 1, 1_700_000_000_001, 4711, "ab12")
    sink.begin()
    sink.write(documents(topic, [b"a"]))
    sink.save_ledger([row])
    assert sink.load_ledger([row.partition, Partition("in", 4)]) == {row.partition: row}
    sink.abort()
    assert sink.load_ledger([row.partition]) == {row.partition: row}


def test_rows_of_a_transaction_say_what_was_last_read(broker: Broker) -> None:
    _, sink = ready(broker)
    row = LedgerRow(Partition("in", 3), 41, schema_id=4711, mapping="ab12")
    sink.begin()
    sink.commit({}, None, [row])
    assert sink.load_ledger([row.partition]) == {row.partition: row}


def test_rows_of_an_older_version_are_read(broker: Broker) -> None:
    topic, sink = ready(broker)
    old = {"topic": "in", "partition": 3, "next_offset": 41, "epoch": 2, "topic_id": "id", "timestamp_ms": 5}
    value = json.dumps(old | {"ledger_epoch": 1, "written_ms": 6}).encode()
    with Producer({"bootstrap.servers": broker.servers, **QUIET}) as producer:
        producer.produce(f"prism.ledger.{topic}", value, b"in[3]")
        assert producer.flush(PATIENCE) == 0
    partition = Partition("in", 3)
    assert sink.load_ledger([partition]) == {partition: LedgerRow(partition, 41, 2, "id", 5, 1, 6)}


def test_a_command_writes_to_the_ledger_of_a_worker_and_fences_nobody(broker: Broker) -> None:
    topic, sink = ready(broker)
    partition = Partition("in", 0)
    sink.save_ledger([LedgerRow(partition, 9)])
    store = broker.ledger_store(topic)
    store.open()
    store.save_ledger([LedgerRow(partition, 2, ledger_epoch=1)])
    sink.begin()
    sink.commit({}, None, [LedgerRow(partition, 12)])  # of a worker that does not know yet
    assert sink.load_ledger([partition]) == store.load_ledger([partition])
    assert store.load_ledger([partition])[partition].next_offset == 2
    with pytest.raises(ConfigError, match=r"no topic prism\.ledger\.nowhere .*`prism setup`"):
        broker.ledger_store("nowhere").open()


def test_a_worker_that_was_replaced_cannot_save_to_the_ledger(broker: Broker) -> None:
    topic, sink = ready(broker)
    other, successor = broker.sink(topic, topic, worker="2"), broker.sink(topic, topic)
    other.open()
    sink.save_ledger([LedgerRow(Partition("in", 0), 1)])
    successor.open()
    with pytest.raises(FencedError, match="another process has become worker '1' of pipeline"):
        sink.save_ledger([LedgerRow(Partition("in", 0), 2)])
    with pytest.raises(FencedError):
        sink.begin()
        sink.write(documents(topic, [b"a"]))
        commit(sink)
    successor.save_ledger([LedgerRow(Partition("in", 0), 3)])
    other.save_ledger([LedgerRow(Partition("in", 1), 4)])
    rows = successor.load_ledger([Partition("in", 0), Partition("in", 1)])
    assert [row.next_offset for row in rows.values()] == [3, 4]


def test_a_ledger_that_somebody_else_wrote_to_is_refused(broker: Broker) -> None:
    topic, sink = ready(broker)
    with Producer({"bootstrap.servers": broker.servers, **QUIET}) as stranger:
        stranger.produce(f"prism.ledger.{topic}", b"not a row", b"key")
        assert stranger.flush(PATIENCE) == 0
    with pytest.raises(FatalError, match="no row of a ledger, key b'key'"):
        sink.load_ledger([Partition("in", 0)])
