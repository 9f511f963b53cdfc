"""Rare orders of events that would lose or double a record, hang a worker or fill its memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from prismlib.errors import DecodeError, FatalError, RecordError, RetryableError
from prismlib.records import Decoded, Documents, Encoded, LedgerRow, Partition, RecordBatch, Row, WriteResult
from prismlib.runtime import assignment, transaction
from prismlib.runtime.route import Route
from prismlib.runtime.runner import Runner
from prismlib.runtime.settings import RunnerSettings
from prismlib.testing.memory import (
    MemoryBroker,
    MemoryLog,
    MemorySink,
    MemorySource,
    MemoryStore,
    MemoryTransactionalSink,
)

DEAD = "in.dead-letters"


class Payload:
    """Decodes to the payload itself; b"bad..." cannot be decoded."""

    def decode(self, batch: RecordBatch) -> Decoded:
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        for i, value in enumerate(batch.values):
            if value is not None and value.startswith(b"bad"):
                errors[i] = DecodeError("it is bad", code="bad")
                rows.append(None)
            else:
                rows.append(value)
        return Decoded(rows, errors)


class Framing:
    """Puts a mark before each body, so that a document and the dead letter of its record are different bytes."""

    def encode(self, bodies: Sequence[Any]) -> Encoded:
        return Encoded([None if body is None else b"=" + body for body in bodies])


class Log(MemoryLog):
    """Dead letters that can be away although the source's broker is not."""

    away = False
    tries = 0

    def write(self, documents: Any) -> Any:
        self.tries += 1
        if self.away:
            raise RetryableError("the dead letters are away")
        return super().write(documents)


class Elsewhere:
    """Another member, which reads nothing."""

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """Nothing is open."""

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """Nothing is open."""


def settings(**changes: Any) -> RunnerSettings:
    given = {"until_idle": None, "commit_interval": 0.05, "dead_letter_topic": DEAD, "drain_timeout": 0.3}
    return RunnerSettings("p", **{**given, **changes})


def make_broker(partitions: int = 1, **options: Any) -> MemoryBroker:
    broker = MemoryBroker(**options)
    broker.create_topic("in", partitions)
    broker.create_topic("out")
    broker.create_topic(DEAD)
    return broker


def publish(broker: MemoryBroker, count: int, text: str = "r%d") -> list[bytes]:
    values = [(text % i).encode() for i in range(count)]
    for value in values:
        broker.append("in", value, value)
    return values


ROUTES = {"in": Route("in", Payload())}


def test_a_rebalance_while_dead_letters_are_away_does_not_stop_reading_for_good() -> None:
    broker, store = make_broker(partitions=2), MemoryStore()
    letters = Log(broker, DEAD)
    letters.away = True
    broker.append("in", b"k", b"bad", partition=1)
    runner = Runner(settings(), MemorySource(broker, "p", ["in"]), ROUTES, MemorySink(store), letters)
    with running(runner):
        until(lambda: letters.tries > 1)
        other = MemorySource(broker, "p", ["in"], "2")
        other.open(Elsewhere())
        until(lambda: broker.members("p") == {"1": [Partition("in", 0)], "2": []})
        letters.away = False
        broker.append("in", b"k", b"good", partition=0)
        until(lambda: len(store.documents) == 1)


def test_one_document_that_is_never_taken_does_not_let_the_worker_read_without_end() -> None:
    broker, store = make_broker(), MemoryStore()
    store.busy = {"in~0-0-0"}
    publish(broker, 5000)
    sink = MemorySink(store, max_in_flight=3, max_documents=7)
    runner = Runner(settings(max_records=20), MemorySource(broker, "p", ["in"]), ROUTES, sink, MemoryLog(broker, DEAD))
    with running(runner):
        until(lambda: runner.counters.retried > 3)
        assert runner.counters.read < 5000
        store.busy = set()
        until(lambda: broker.committed("p") == {Partition("in", 0): 5000})
    assert len(store.documents) == 5000


@pytest.mark.parametrize("rebalance", ["eager", "cooperative"])
def test_an_assignment_ends_the_workers_own_transaction_in_doubt_instead_of_waiting_for_it(
    rebalance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator is away for a commit and for the first aborts; the group rebalances before the next."""
    monkeypatch.setattr(assignment, "PATIENCE", 1.0)
    broker = make_broker(rebalance=rebalance)
    doubtful = threading.Event()

    class Sink(MemoryTransactionalSink):
        aborts = 0

        def commit(self, next_offsets: Mapping[Partition, int], member: Any, rows: Sequence[LedgerRow]) -> None:
            if not doubtful.is_set():
                self.flush(0)
                self._current().add_offsets(member, next_offsets)
                broker.lose("p", "1")
                doubtful.set()
                raise RetryableError("no answer")
            super().commit(next_offsets, member, rows)

        def abort(self) -> None:
            if doubtful.is_set():
                self.aborts += 1
                if self.aborts <= 2:
                    raise RetryableError("no answer")
            super().abort()

    values = publish(broker, 20)
    runner = Runner(settings(), MemorySource(broker, "p", ["in"], stable_timeout=0.05), ROUTES, Sink(broker, "out"))
    with running(runner):
        until(lambda: len(broker.records("out")) >= 20)
    assert Counter(r.value for r in broker.records("out")) == Counter(values)


def test_a_worker_that_cannot_go_back_yet_says_why_and_goes_on_later(caplog: pytest.LogCaptureFixture) -> None:
    """A broker that lost track of a transaction lets it hold the group's offsets until somebody ends it."""
    broker = make_broker()
    let_go: list[Callable[[], None]] = []

    class Sink(MemoryTransactionalSink):
        def commit(self, next_offsets: Mapping[Partition, int], member: Any, rows: Sequence[LedgerRow]) -> None:
            if not let_go:
                let_go.append(broker.hold_offsets("p", next_offsets))
                raise RetryableError("no answer")
            super().commit(next_offsets, member, rows)

    def said() -> list[Any]:
        return [r for r in caplog.records if r.msg == "cannot go back to the committed offsets yet"]

    values = publish(broker, 20)
    source = MemorySource(broker, "p", ["in"], stable_timeout=0.05)
    with running(Runner(settings(), source, ROUTES, Sink(broker, "out"))):
        until(lambda: bool(said()))
        assert not broker.records("out")
        let_go[0]()
        until(lambda: len(broker.records("out")) >= 20)
    assert "transaction" in vars(said()[0])["reason"]
    assert Counter(r.value for r in broker.records("out")) == Counter(values)


def test_a_dead_letter_that_the_broker_refuses_stops_the_worker_instead_of_going_round_for_ever() -> None:
    broker = make_broker()
    publish(broker, 5)
    sink = MemoryTransactionalSink(broker, "out", refuses=lambda body: "too odd" if body == b"r3" else None)
    runner = Runner(settings(), MemorySource(broker, "p", ["in"]), ROUTES, sink)
    with pytest.raises(FatalError, match=r"dead letter topic .* refuses a record: too odd"), running(runner) as thread:
        until(lambda: runner.counters.aborts > 20 or not thread.is_alive())


def test_a_broker_that_is_away_is_not_taken_for_a_topic_without_records() -> None:
    broker, store = make_broker(), MemoryStore()
    runner = Runner(
        settings(until_idle=0.3), MemorySource(broker, "p", ["in"]), ROUTES, MemorySink(store), MemoryLog(broker, DEAD)
    )
    with running(runner) as thread:
        until(lambda: bool(broker.members("p").get("1")))
        broker.reachable = False
        publish(broker, 3)
        thread.join(1.5)
        assert thread.is_alive()
        broker.reachable = True
        thread.join(20)
    assert len(store.documents) == 3


def test_the_refusal_of_a_record_is_not_held_against_its_successor_in_a_topic_that_was_created_again() -> None:
    broker = make_broker()
    broker.append("in", b"k", b"odd")
    created_again = threading.Event()

    class Sink(MemoryTransactionalSink):
        def flush(self, timeout: float) -> WriteResult:
            result = super().flush(timeout)
            if result.rejected and not created_again.is_set():
                broker.lose("p", "1")
                broker.delete_topic("in")
                broker.create_topic("in")
                broker.append("in", b"k", b"good")
                created_again.set()
            return result

    sink = Sink(broker, "out", refuses=lambda body: "too odd" if body == b"=odd" else None)
    source = MemorySource(broker, "p", ["in"])
    routes = {"in": Route("in", Payload(), encoder=Framing())}
    runner = Runner(settings(accept_recreated=frozenset({"in"})), source, routes, sink)
    with running(runner):
        until(lambda: broker.committed("p") == {Partition("in", 0): 1})
    assert [r.value for r in broker.records("out")] == [b"=good"]
    assert not broker.records(DEAD)


def test_servers_that_go_away_while_a_bad_record_is_looked_for_are_given_ever_longer_pauses() -> None:
    broker = make_broker()
    values = publish(broker, 5)

    class Sink(MemoryTransactionalSink):
        refused = away = False

        def flush(self, timeout: float) -> WriteResult:
            result = super().flush(timeout)
            if result.rejected and not self.refused:
                self.refused = self.away = True
            return result

        def begin(self) -> None:
            if self.away:
                raise RetryableError("away")
            super().begin()

    sink = Sink(broker, "out", refuses=lambda body: "too odd" if body == b"=r3" else None)
    route = Route("in", Payload(), encoder=Framing())
    runner = Runner(settings(), MemorySource(broker, "p", ["in"]), {"in": route}, sink)
    with running(runner):
        until(lambda: sink.refused)
        until(lambda: runner._delivery._backoff.attempts >= 3)  # type: ignore[union-attr]
        sink.away = False
        until(lambda: len(broker.records("out")) == 4)
    assert Counter(r.value for r in broker.records("out")) == Counter(b"=" + v for v in values if v != b"r3")


def test_large_documents_that_wait_for_a_slow_sink_stop_reading_by_their_bytes() -> None:
    broker, store = make_broker(), MemoryStore()
    publish(broker, 1000, "large document number %d")
    go_on = threading.Event()

    class Slow(MemorySink):
        def write(self, documents: Documents) -> WriteResult:
            go_on.wait(20)
            return super().write(documents)

    sink = Slow(store)
    sink.policy = replace(sink.policy, max_bytes=100)
    source = MemorySource(broker, "p", ["in"])
    runner = Runner(settings(max_records=10), source, ROUTES, sink, MemoryLog(broker, DEAD))
    with running(runner):
        try:
            until(lambda: runner._pauses._all is not None)
            assert runner.counters.read < 100
        finally:
            go_on.set()
        until(lambda: len(store.documents) == 1000)


def test_a_transaction_is_committed_when_its_documents_are_large_however_long_the_interval_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transaction, "MAX_OPEN_BYTES", 100)
    broker = make_broker()
    publish(broker, 40, "large document number %d")
    sink = MemoryTransactionalSink(broker, "out", "1")
    source = MemorySource(broker, "p", ["in"])
    runner = Runner(settings(max_records=1, commit_interval=3600.0), source, ROUTES, sink)
    with running(runner):
        until(lambda: runner.counters.commits >= 3)
        until(lambda: len(broker.records("out")) >= 15)
        assert 5 * runner.counters.commits >= len(broker.records("out")), "more than 100 bytes were in one transaction"
    assert len(broker.records("out")) == 40


@contextmanager
def running(runner: Runner) -> Iterator[threading.Thread]:
    """Run in a thread; stop and re-raise what went wrong."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            runner.run()
        except BaseException as error:  # noqa: BLE001  # raised by the test's own thread
            problems.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        if problems:
            raise problems[0]
        runner.stop()
        thread.join(30)
        assert not thread.is_alive()
    if problems:
        raise problems[0]


def until(question: Callable[[], bool], timeout: float = 10) -> None:
    waiting = threading.Event()
    for _ in range(int(timeout / 0.005)):
        if question():
            return
        waiting.wait(0.005)
    raise AssertionError("it did not happen")


def test_a_backoff_longer_than_the_worker_may_be_idle_is_no_end_and_what_is_aborted_is_not_counted() -> None:
    broker = make_broker()
    refusals = 5  # the last waits are longer than 0.3 s

    class Sink(MemoryTransactionalSink):
        tries = 0

        def commit(self, next_offsets: Mapping[Partition, int], member: Any, rows: Sequence[LedgerRow]) -> None:
            self.tries += 1
            if self.tries <= refusals:
                raise RetryableError("not now")
            super().commit(next_offsets, member, rows)

    values = publish(broker, 10)
    broker.append("in", b"k", b"bad one")
    runner = Runner(settings(until_idle=0.3), MemorySource(broker, "p", ["in"]), ROUTES, Sink(broker, "out"))
    runner.run()
    assert Counter(r.value for r in broker.records("out")) == Counter(values)
    counters = runner.counters
    assert (counters.aborts, counters.delivered, counters.dead_letters) == (refusals, 10, 1)
    assert counters.read == 11 * (refusals + 1)
