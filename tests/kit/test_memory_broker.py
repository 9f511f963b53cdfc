"""What the in-memory broker does on bad days, as Kafka does where a runner can tell."""

from threading import Thread

import pytest

from prismlib.errors import ConfigError, DataLossError, FatalError, FencedError, RetryableError, UnreachableError
from prismlib.records import Documents, LedgerRow, Partition
from prismlib.testing.memory import MemoryBroker, MemorySource, MemoryTransactionalSink

FIRST, SECOND = Partition("in", 0), Partition("in", 1)


class Listener:
    def __init__(self, source):
        self.source = source
        self.events = []
        source.open(self)

    def on_assigned(self, partitions):
        self.events.append(("assigned", *[one.index for one in partitions]))
        return {one: found.next_offset or 0 for one, found in self.source.committed(partitions).items()}

    def on_revoked(self, partitions):
        self.events.append(("revoked", *[one.index for one in partitions]))
        self.source.commit(dict.fromkeys(partitions, 1))

    def on_lost(self, partitions):
        self.events.append(("lost", *[one.index for one in partitions]))


@pytest.fixture
def broker():
    broker = MemoryBroker()
    broker.create_topic("in", 2)
    broker.create_topic("out")
    for index in range(2):
        for number in range(3):
            broker.append("in", b"%d" % number, b"value", partition=index)
    return broker


def joined(broker, name):
    source = MemorySource(broker, "group", ["in"], name)
    return source, Listener(source)


def values(broker, topic="out"):
    return [record.value for record in broker.records(topic)]


def one_document(body=b"x", topic="out"):
    return Documents(topic, [FIRST], [0], [b"key"], [body])


def test_a_cooperative_group_moves_only_what_it_must(broker):
    first, heard_first = joined(broker, "1")
    first.poll(10, 0)
    second, heard_second = joined(broker, "2")
    second.poll(10, 0)
    assert heard_second.events == [("assigned",)]  # nothing: the first member has not let go yet
    first.poll(10, 0)
    [batch] = second.poll(10, 0)
    assert heard_first.events == [("assigned", 0, 1), ("revoked", 1)]
    assert heard_second.events == [("assigned",), ("assigned", 1)]
    assert list(batch.offsets) == [1, 2]  # what the first one committed while it was revoked


def test_a_rebalance_during_a_rebalance_is_followed_too():
    broker = MemoryBroker()
    broker.create_topic("in", 3)
    for index in range(3):
        broker.append("in", None, b"value", partition=index)
    first, _ = joined(broker, "1")
    first.poll(10, 0)
    second, _ = joined(broker, "2")
    others = [second]

    class JoinsMeanwhile(Listener):
        def on_revoked(self, partitions):
            super().on_revoked(partitions)
            if len(others) == 1:
                others.append(joined(broker, "3")[0])

    first._listener.__class__ = JoinsMeanwhile
    for _ in range(2):
        for source in (first, *others):
            source.poll(10, 0)
    assert sorted(map(len, broker.members("group").values())) == [1, 1, 1]


def test_an_eager_group_revokes_everything():
    broker = MemoryBroker(rebalance="eager")
    broker.create_topic("in", 2)
    for index in range(2):
        broker.append("in", None, b"value", partition=index)
    first, heard_first = joined(broker, "1")
    first.poll(10, 0)
    second, heard_second = joined(broker, "2")
    second.poll(10, 0)
    first.poll(10, 0)
    second.poll(10, 0)
    assert heard_first.events == [("assigned", 0, 1), ("revoked", 0, 1), ("assigned", 0)]
    assert heard_second.events == [("assigned",), ("assigned", 1)]


def test_a_lost_member_cannot_commit_and_hears_of_it_in_its_next_poll(broker):
    first, heard_first = joined(broker, "1")
    first.poll(10, 0)
    second, _ = joined(broker, "2")
    broker.lose("group", "1")
    second.poll(10, 0)
    assert broker.members("group") == {"2": [FIRST, SECOND]}
    with pytest.raises(FencedError, match="lost"):
        first.commit({FIRST: 3})
    first.poll(10, 0)
    assert heard_first.events[-2:] == [("lost", 0, 1), ("assigned",)]  # it joined again, and is given nothing
    assert broker.committed("group") == {}


def test_a_member_of_the_same_name_fences_the_older_one(broker):
    first, heard_first = joined(broker, "1")
    first.poll(10, 0)
    second, _ = joined(broker, "1")
    second.poll(10, 0)
    with pytest.raises(FencedError, match="another member '1'"):
        first.poll(10, 0)
    assert heard_first.events[-1] == ("lost", 0, 1)
    first.close()
    assert broker.members("group") == {"1": [FIRST, SECOND]}


def test_a_closing_member_leaves_its_partitions_to_the_others(broker):
    first, _ = joined(broker, "1")
    first.poll(10, 0)
    second, heard_second = joined(broker, "2")
    first.close()
    second.poll(10, 0)
    assert heard_second.events == [("assigned", 0, 1)]
    assert broker.committed("group") == {FIRST: 1, SECOND: 1}


def test_expired_offsets_are_gone_without_an_error(broker):
    source, _ = joined(broker, "1")
    source.poll(10, 0)
    source.commit({FIRST: 3, SECOND: 3})
    broker.expire_offsets("group", [FIRST])
    assert {one: found.next_offset for one, found in source.committed([FIRST, SECOND]).items()} == {
        FIRST: None,
        SECOND: 3,
    }


def test_reading_below_the_log_start_is_data_loss(broker):
    broker.delete_before("in", 0, 2)
    source, _ = joined(broker, "1")
    with pytest.raises(DataLossError, match=r"in\[0\] from offset 0, but it holds 2 to 3"):
        source.poll(10, 0)
    assert source.horizons([FIRST])[FIRST].start == 2


def test_a_topic_created_again_has_another_id_and_no_committed_offsets(broker):
    source, _ = joined(broker, "1")
    source.poll(10, 0)
    source.commit({FIRST: 3})
    old = source.horizons([FIRST])[FIRST].topic_id
    broker.delete_topic("in")
    with pytest.raises(FatalError, match="does not exist"):
        source.poll(10, 0)
    broker.create_topic("in", 2)
    assert source.horizons([FIRST])[FIRST].topic_id != old
    assert broker.committed("group") == {}


def test_added_partitions_are_assigned(broker):
    source, heard = joined(broker, "1")
    source.poll(10, 0)
    broker.add_partitions("in", 3)
    source.poll(10, 0)
    assert heard.events == [("assigned", 0, 1), ("assigned", 2)]


def test_offsets_of_a_group_with_members_cannot_be_altered(broker):
    joined(broker, "1")
    with pytest.raises(FatalError, match="has members"):
        broker.set_committed("group", {FIRST: 0})
    broker.set_committed("other", {FIRST: 2})
    assert broker.committed("other") == {FIRST: 2}


def test_an_unreachable_broker_raises_and_comes_back(broker):
    source, _ = joined(broker, "1")
    broker.reachable = False
    for call in (lambda: source.poll(1, 0), lambda: source.commit({}), lambda: source.horizons([FIRST])):
        with pytest.raises(RetryableError, match="unreachable"):
            call()
    with pytest.raises(UnreachableError, match="unreachable"):
        joined(broker, "2")
    broker.reachable = True
    assert sum(map(len, source.poll(10, 0))) == 6


def test_a_missing_topic_is_a_configuration_error(broker):
    with pytest.raises(ConfigError, match="'none' does not exist"):
        MemorySource(broker, "group", ["none"]).open(Listener.__new__(Listener))


def test_readers_stop_at_an_open_transaction_and_skip_aborted_ones(broker):
    sink = MemoryTransactionalSink(broker, "out")
    sink.open()
    sink.begin()
    sink.write(one_document(b"aborted"))
    sink.flush(1)
    sink.abort()
    sink.begin()
    sink.write(one_document(b"open"))
    sink.flush(1)
    broker.append("out", None, b"behind it")
    assert values(broker) == []
    broker.expire_transaction("out-1")
    assert values(broker) == [b"behind it"]
    # An aborted record and its marker, another of each, and the plain record: transactions leave gaps.
    assert broker.horizon(Partition("out", 0)).end == 5
    with pytest.raises(FencedError, match="taken over"):
        sink.begin()


def test_a_successor_aborts_what_its_crashed_predecessor_left_open(broker):
    crashed = MemoryTransactionalSink(broker, "out")
    crashed.open()
    crashed.begin()
    crashed.write(one_document(b"half"))
    crashed.flush(1)
    broker.append("out", None, b"waits")
    assert values(broker) == []
    MemoryTransactionalSink(broker, "out", "2").open()
    assert values(broker) == []  # another worker's name fences nobody
    MemoryTransactionalSink(broker, "out").open()
    assert values(broker) == [b"waits"]


def test_a_token_from_before_a_rebalance_is_refused_and_nothing_is_stored(broker):
    source, _ = joined(broker, "1")
    source.poll(10, 0)
    token = source.member()
    other, _ = joined(broker, "2")
    source.poll(10, 0)
    other.poll(10, 0)
    before = broker.committed("group")
    sink = MemoryTransactionalSink(broker, "out")
    sink.open()
    for member, offsets in ((token, {FIRST: 3}), (source.member(), {SECOND: 3})):
        sink.begin()
        sink.write(one_document())
        sink.flush(1)
        with pytest.raises(RetryableError, match="abort the transaction"):
            sink.commit(offsets, member, [LedgerRow(FIRST, 3)])
        sink.abort()
    assert (values(broker), broker.committed("group"), sink.ledger.rows()) == ([], before, {})


def test_committed_waits_for_a_transaction_in_doubt(broker):
    source = MemorySource(broker, "group", ["in"], stable_timeout=0.01)
    let_go = broker.hold_offsets("group", [FIRST])
    assert source.committed([SECOND])[SECOND].next_offset is None
    with pytest.raises(RetryableError, match="still holds"):
        source.committed([FIRST])
    let_go()
    assert source.committed([FIRST])[FIRST].next_offset is None


def test_records_taken_out_leave_gaps(broker):
    broker.remove("in", 0, 1)
    with pytest.raises(FatalError, match="no record at offset 1"):
        broker.remove("in", 0, 1)
    source, _ = joined(broker, "1")
    assert {batch.partition: list(batch.offsets) for batch in source.poll(10, 0)} == {
        FIRST: [0, 2],
        SECOND: [0, 1, 2],
    }


def test_a_poll_that_waits_is_woken_by_a_record(broker):
    source, _ = joined(broker, "1")
    source.poll(10, 0)
    writer = Thread(target=lambda: broker.append("in", None, b"late", partition=0))
    writer.start()
    [batch] = source.poll(10, 60)
    writer.join()
    assert batch.values == [b"late"]


def test_many_writers_and_members_lose_nothing():
    broker = MemoryBroker()
    broker.create_topic("in", 4)
    read = []

    def write(start):
        for number in range(start, 400, 4):
            broker.append("in", b"%d" % number, b"%d" % number)

    class Committing:
        def __init__(self, name):
            self.source = MemorySource(broker, "group", ["in"], name)
            self.position = {}
            self.source.open(self)

        def on_assigned(self, partitions):
            return {one: found.next_offset or 0 for one, found in self.source.committed(partitions).items()}

        def on_revoked(self, partitions):
            self.source.commit({one: self.position.pop(one) for one in partitions if one in self.position})

        def on_lost(self, partitions):
            raise AssertionError(partitions)

        def run(self):
            while len(read) < 400:
                for batch in self.source.poll(7, 0.01):
                    self.position[batch.partition] = batch.next_offset
                    read.extend(batch.values)
            self.source.close()

    threads = [Thread(target=write, args=(start,)) for start in range(4)]
    threads += [Thread(target=Committing(name).run) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(int, read)) == list(range(400))
    assert broker.members("group") == {}
