"""Faults are injected where the contracts allow them, and the same seed injects the same."""

import pytest

from prismlib.errors import RetryableError
from prismlib.records import Documents, Partition
from prismlib.stages.sink import KeepsLedger, Transactional
from prismlib.testing.faults import FaultPlan, FaultySource, faulty_sink
from prismlib.testing.memory import MemoryBroker, MemoryLog, MemorySink, MemorySource, MemoryTransactionalSink

FIRST = Partition("in", 0)


def documents(*bodies):
    names = [f"{number}" for number in range(len(bodies))]
    return Documents(
        "out", [FIRST] * len(bodies), range(len(bodies)), [None] * len(bodies), bodies, names, [1] * len(bodies)
    )


def attempts(seed):
    plan = FaultPlan(seed, raise_before=0.3, raise_after=0.3, retry=0.3)
    sink = faulty_sink(MemorySink(), plan)
    answers = []
    for _ in range(30):
        try:
            answers.append(sorted(sink.write(documents(b"a", b"b", b"c")).retry))
        except RetryableError as error:
            answers.append(str(error))
    return answers, plan.happened


def test_the_same_seed_gives_the_same_faults():
    assert attempts(3) == attempts(3)
    assert attempts(3) != attempts(4)


def test_a_fault_before_does_nothing_and_one_after_did_it():
    for settings, stored in (({"raise_before": 1.0}, 0), ({"raise_after": 1.0}, 1)):
        inner = MemorySink()
        plan = FaultPlan(1, **settings)
        sink = faulty_sink(inner, plan)
        with pytest.raises(RetryableError, match="injected"):
            sink.write(documents(b"a"))
        assert len(inner.store.documents) == stored
        plan.stop()
        assert sink.write(documents(b"a")).retry == {}
        assert len(inner.store.documents) == 1


def test_rejected_and_delayed_documents_are_named_by_their_place_in_the_call():
    inner = MemorySink(refuses=lambda body: "inner" if body == b"inner" else None)
    plan = FaultPlan(1, rejects=lambda body: "outer" if body == b"outer" else None)
    answer = faulty_sink(inner, plan).write(documents(b"outer", b"a", b"inner", b"b"))
    assert {place: error.reason for place, error in answer.rejected.items()} == {0: "outer", 2: "inner"}
    assert {body for _, body in inner.store.documents.values()} == {b"a", b"b"}


def test_positions_of_a_buffering_sink_count_through_all_writes():
    broker = MemoryBroker()
    broker.create_topic("out")
    inner = MemoryLog(broker, "out", buffers=True, refuses=lambda body: "inner" if body == b"inner" else None)
    sink = faulty_sink(inner, FaultPlan(1, rejects=lambda body: "outer" if body == b"outer" else None))
    sink.write(documents(b"a", b"outer"))
    sink.write(documents(b"b", b"outer", b"inner"))
    answer = sink.flush(1)
    assert {place: error.reason for place, error in answer.rejected.items()} == {1: "outer", 3: "outer", 4: "inner"}
    assert [record.value for record in broker.records("out")] == [b"a", b"b"]
    assert sink.flush(1).rejected == {}


def test_capabilities_are_those_of_the_wrapped_sink():
    broker = MemoryBroker()
    broker.create_topic("out")
    capabilities = [
        (isinstance(sink, Transactional), isinstance(sink, KeepsLedger))
        for sink in (
            faulty_sink(inner, FaultPlan(1))
            for inner in (MemoryTransactionalSink(broker, "out"), MemorySink(), MemoryLog(broker, "out"))
        )
    ]
    assert capabilities == [(True, True), (False, True), (False, False)]


def test_a_member_is_lost_before_the_poll_that_the_plan_names():
    class Listener:
        lost = ()

        def on_assigned(self, partitions):
            return dict.fromkeys(partitions, 0)

        def on_lost(self, partitions):
            self.lost = partitions

    broker = MemoryBroker()
    broker.create_topic("in")
    plan = FaultPlan(1, lose_at=frozenset({3}), lose=lambda: broker.lose("group", "1"))
    source, listener = FaultySource(MemorySource(broker, "group", ["in"]), plan), Listener()
    source.open(listener)
    source.poll(1, 0)
    source.poll(1, 0)
    assert listener.lost == ()
    source.poll(1, 0)
    assert listener.lost == [FIRST]
    assert broker.members("group") == {"1": [FIRST]}


def test_a_poll_is_never_struck_after_it_has_read():
    broker = MemoryBroker()
    broker.create_topic("in")
    for _ in range(20):
        broker.append("in", None, b"value")

    class Listener:
        def on_assigned(self, partitions):
            return dict.fromkeys(partitions, 0)

    plan = FaultPlan(5, raise_before=0.5, raise_after=1.0)
    source = FaultySource(MemorySource(broker, "group", ["in"]), plan)
    source.open(Listener())
    offsets = []
    while len(offsets) < 20:
        try:
            offsets += [one for batch in source.poll(2, 0) for one in batch.offsets]
        except RetryableError:
            continue
    assert offsets == list(range(20))
    assert "raise before poll" in plan.happened
