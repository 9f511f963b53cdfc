"""What the runner makes of the guard: refusals as people read them, acceptance, topics that change while they are read."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from prismlib.errors import DataLossError, FatalError, RetryableError
from prismlib.records import LedgerRow, Loss, Partition, RecordBatch
from prismlib.runtime import assignment
from prismlib.runtime.runner import Runner
from prismlib.stages import Committed
from prismlib.testing.memory import LedgerTable, MemoryLog, MemorySink, MemorySource, MemoryTransactionalSink
from tests.unit.runtime.test_runner import BOTH, DEAD, World, delivered, running, until

P0, P1 = Partition("in", 0), Partition("in", 1)


def ledger(world: World, kind: str) -> LedgerTable:
    return world.broker.ledger("out.ledger") if kind == "transactional" else world.store.ledger


def lose(world: World, kind: str, *, upto: Mapping[int, int]) -> list[bytes]:
    """Ten records of each partition are read, ten more are written, and all before these offsets are deleted."""
    for index in upto:
        for number in range(10):
            world.broker.append("in", None, b"old %d-%d" % (index, number), None, 1_700_000_000_000 + number, index)
    getattr(world, kind)().run()
    kept = []
    for index, start in upto.items():
        for number in range(10, 20):
            value = b"new %d-%d" % (index, number)
            world.broker.append("in", None, value, None, 1_700_000_000_000 + 3_600_000 * number, index)
            kept += [value] if number >= start else []
        world.broker.delete_before("in", index, start)
    return kept


@BOTH
def test_one_refusal_names_every_lost_range_and_the_command_that_accepts_them(kind: str) -> None:
    world = World(partitions=3)
    kept = lose(world, kind, upto={0: 13, 1: 11, 2: 0})
    with pytest.raises(DataLossError) as refusal:
        getattr(world, kind)(file="pipelines/my air.toml").run()
    assert str(refusal.value) == (
        "pipeline p does not start, and nothing was read:\n"
        "  in[0]: data is lost: the next record to read has offset 10, the log now starts at 13; at most 3 records, written"
        " between 2023-11-14T22:13:20Z and 2023-11-15T11:13:20Z, are gone\n"
        "  in[1]: data is lost: the next record to read has offset 10, the log now starts at 11; at most 1 record, written"
        " between 2023-11-14T22:13:20Z and 2023-11-15T09:13:20Z, is gone\n"
        "  in all at most 4 records are gone\n"
        "If that is known to whoever reads the results, start once like this to go on without them, at the first record that"
        " is still there; the ledger records who did so:\n"
        "  prism run 'pipelines/my air.toml' --accept-loss 'in[0]:10-13' --accept-loss 'in[1]:10-11'"
    )
    assert refusal.value.losses == [Loss(P0, 10, 13), Loss(P1, 10, 11)]
    assert refusal.value.command.startswith("prism run 'pipelines/my air.toml' --accept-loss")
    before = delivered(world, kind)
    getattr(world, kind)(accept_loss=frozenset(refusal.value.losses)).run()
    assert delivered(world, kind) - before == Counter(kept)
    getattr(world, kind)().run()  # accepted once is enough
    notes = sorted(ledger(world, kind).notes(), key=lambda note: str(note.partition))  # made in one moment
    assert [(n.kind, n.partition, n.first, n.end) for n in notes] == [
        ("accepted-loss", P0, 10, 13),
        ("accepted-loss", P1, 10, 11),
    ]
    assert all("@" in note.who and abs(note.at_ms - time.time() * 1000) < 60_000 for note in notes)
    assert notes[0].what == "went on without at most 3 records of in[0]"


@BOTH
def test_a_loss_that_grew_is_refused_again_with_the_new_range(kind: str) -> None:
    world = World(partitions=1)
    lose(world, kind, upto={0: 13})
    world.broker.delete_before("in", 0, 15)
    accepted = frozenset({Loss(P0, 10, 13)})
    with pytest.raises(DataLossError, match=r"accepted was in\[0\]:10-13: that is not what is lost now") as refusal:
        getattr(world, kind)(accept_loss=accepted).run()
    assert refusal.value.losses == [Loss(P0, 10, 15)]
    assert ledger(world, kind).notes() == []


@BOTH
def test_a_loss_that_grows_after_it_was_accepted_is_refused_from_there_on(kind: str) -> None:
    world = World(partitions=1)
    lose(world, kind, upto={0: 13})

    class Crash(Exception):  # noqa: N818  # it ends a worker, as a kill would
        """Between the ledger and the first record."""

    def poll(*_: Any) -> Any:
        raise Crash

    runner = getattr(world, kind)(accept_loss=frozenset({Loss(P0, 10, 13)}))
    runner._source._fetch = poll
    with pytest.raises(Crash):
        runner.run()
    world.broker.delete_before("in", 0, 15)
    with pytest.raises(DataLossError) as refusal:
        getattr(world, kind)(accept_loss=frozenset({Loss(P0, 10, 13)})).run()
    assert refusal.value.losses == [Loss(P0, 13, 15)]


@BOTH
def test_the_loss_of_a_partition_that_another_worker_has_is_in_the_same_refusal(kind: str) -> None:
    world = World(partitions=2)
    lose(world, kind, upto={0: 13, 1: 12})
    other = MemorySource(world.broker, "p", ["in"], "2")
    other.open(Elsewhere())
    with pytest.raises(DataLossError) as refusal:
        getattr(world, kind)().run()
    assert refusal.value.losses == [Loss(P0, 10, 13), Loss(P1, 10, 12)]


@BOTH
def test_the_ledger_row_that_another_worker_accepted_counts_after_a_rebalance(kind: str) -> None:
    world = World(partitions=2)
    kept = lose(world, kind, upto={0: 13, 1: 12})
    before = delivered(world, kind)
    accepts = getattr(world, kind)("1", until_idle=None, accept_loss=frozenset({Loss(P0, 10, 13), Loss(P1, 10, 12)}))
    with running(accepts):
        until(lambda: accepts.counters.read == len(kept))
        second = getattr(world, kind)("2", until_idle=None)
        with running(second):
            until(lambda: all(len(owned) == 1 for owned in world.broker.members("p").values()))
            world.broker.append("in", None, b"later", partition=0)
            world.broker.append("in", None, b"later", partition=1)
            until(lambda: accepts.counters.read + second.counters.read == len(kept) + 2)
    assert delivered(world, kind) - before == Counter([*kept, b"later", b"later"])


@BOTH
def test_a_refused_topic_says_both_what_was_created_again_and_what_of_it_is_gone(kind: str) -> None:
    world = World(partitions=1)
    first = world.publish(10)
    getattr(world, kind)().run()
    old = world.broker.topic_id("in")
    world.broker.delete_topic("in")
    new = world.broker.create_topic("in", 1)
    world.publish(5, "new %d")
    world.broker.delete_before("in", 0, 2)
    with pytest.raises(DataLossError) as refusal:
        getattr(world, kind)().run()
    text = str(refusal.value)
    assert f"(it had the id {old}, now {new}); of the old in[0] all before 10 was read" in text
    assert text.endswith("  prism run PIPELINE.toml --accept-recreated in --accept-loss 'in[0]:0-2'")
    accepted = {"accept_recreated": frozenset({"in"}), "accept_loss": frozenset(refusal.value.losses)}
    getattr(world, kind)(**accepted).run()
    assert delivered(world, kind) == Counter([*first, b"new 2", b"new 3", b"new 4"])
    assert {n.kind for n in ledger(world, kind).notes()} == {"accepted-recreated", "accepted-loss"}


@BOTH
def test_offsets_of_the_old_topic_that_the_broker_kept_skip_nothing_in_the_new_one(kind: str) -> None:
    """A worker accepts the new topic and is killed before its first commit."""
    world = World(partitions=1)
    first = world.publish(3)
    getattr(world, kind)().run()
    world.broker.delete_topic("in")
    world.broker.create_topic("in", 1)
    world.broker.set_committed("p", {P0: 3})
    second = world.publish(6, "new %d")
    runner = getattr(world, kind)(accept_recreated=frozenset({"in"}))
    runner._source._fetch = _crash
    with pytest.raises(ZeroDivisionError):
        runner.run()
    getattr(world, kind)().run()
    assert delivered(world, kind) == Counter([*first, *second])


def test_an_aborted_transaction_goes_back_to_the_beginning_of_the_new_topic() -> None:
    world = World(partitions=1)
    first = world.publish(3)
    world.transactional().run()
    world.broker.delete_topic("in")
    world.broker.create_topic("in", 1)
    world.broker.set_committed("p", {P0: 3})
    second = world.publish(6, "new %d")
    failed = threading.Event()

    class Sink(MemoryTransactionalSink):
        def commit(self, next_offsets: Mapping[Partition, int], member: Any, rows: Sequence[LedgerRow]) -> None:
            if not failed.is_set():
                failed.set()
                raise RetryableError("no answer")
            super().commit(next_offsets, member, rows)

    settings = world.settings(accept_recreated=frozenset({"in"}))
    source = MemorySource(world.broker, "p", ["in"])
    Runner(settings, source, world.routes(), Sink(world.broker, "out")).run()
    assert failed.is_set()
    assert world.out() == Counter([*first, *second])


@BOTH
def test_consent_to_one_new_topic_is_none_to_the_next(kind: str) -> None:
    world = World(partitions=1)
    world.publish(3)
    getattr(world, kind)().run()
    world.broker.delete_topic("in")
    world.broker.create_topic("in", 1)
    world.publish(1, "second %d")
    runner = getattr(world, kind)(until_idle=None, accept_recreated=frozenset({"in"}))
    with pytest.raises(DataLossError, match="created again"), running(runner):
        until(lambda: runner.counters.read == 1)
        with world.broker.changed:
            world.broker.lose("p", "1")
            world.broker.delete_topic("in")
            world.broker.create_topic("in", 1)
        until(lambda: runner.state == "failed")
        raise runner.error  # type: ignore[misc]


# --- first assignments -------------------------------------------------------------------------------------------------


@BOTH
def test_at_the_first_assignment_every_partition_of_the_topic_gets_a_row(kind: str) -> None:
    """Else the partitions of a worker that comes a moment later look as if they had been added since."""
    world = World(partitions=3)
    world.publish(30)
    world.broker.delete_before("in", 2, 1)  # a topic that is older than its retention
    other = MemorySource(world.broker, "p", ["in"], "2")
    other.open(Elsewhere())
    getattr(world, kind)(start="latest").run()
    assert set(ledger(world, kind).rows()) == {P0, P1, Partition("in", 2)}
    other.close()
    for index in range(3):
        world.broker.append("in", None, b"later", partition=index)
    getattr(world, kind)(start="latest").run()
    assert delivered(world, kind) == Counter({b"later": 3})


@BOTH
def test_an_added_partition_is_read_from_its_beginning_or_refused(kind: str) -> None:
    world = World(partitions=1)
    getattr(world, kind)(start="latest").run()
    world.broker.add_partitions("in", 3)
    for index in (1, 2):
        for number in range(4):
            world.broker.append("in", None, b"%d-%d" % (index, number), partition=index)
    world.broker.delete_before("in", 2, 3)
    with pytest.raises(DataLossError, match="written before") as refusal:
        getattr(world, kind)(start="latest").run()
    assert refusal.value.losses == [Loss(Partition("in", 2), 0, 3)]
    getattr(world, kind)(start="latest", accept_loss=frozenset(refusal.value.losses)).run()
    assert delivered(world, kind) == Counter([*(b"1-%d" % n for n in range(4)), b"2-3"])


@BOTH
@pytest.mark.parametrize("index", [0, 1])
def test_a_lost_ledger_row_skips_nothing(kind: str, index: int) -> None:
    world = World(partitions=2)
    values = world.publish(20)
    getattr(world, kind)().run()
    values += world.publish(20, "later %d")
    ledger(world, kind).forget(Partition("in", index))
    getattr(world, kind)(start="latest").run()
    assert delivered(world, kind) == Counter(values)
    assert Partition("in", index) in ledger(world, kind).rows(), "an adopted offset gets a row again"


@BOTH
@pytest.mark.parametrize("index", [0, 1])
def test_a_lost_ledger_row_and_lost_offsets_read_the_partition_from_its_beginning(kind: str, index: int) -> None:
    world = World(partitions=2)
    world.publish(20)
    getattr(world, kind)().run()
    values = world.publish(20, "later %d")
    ledger(world, kind).forget(Partition("in", index))
    world.broker.expire_offsets("p")
    getattr(world, kind)(start="latest").run()
    assert set(delivered(world, kind)) >= set(values)


@BOTH
def test_what_was_restored_is_committed_again_although_nothing_new_came(kind: str) -> None:
    world = World()
    world.publish(20)
    getattr(world, kind)().run()
    committed = world.broker.committed("p")
    world.broker.expire_offsets("p")
    getattr(world, kind)().run()
    assert world.broker.committed("p") == committed
    assert all(row.timestamp_ms > 0 for row in ledger(world, kind).rows().values()), "times are kept for a refusal"


@BOTH
def test_a_log_that_was_cut_is_refused_with_a_way_on(kind: str) -> None:
    world = World(partitions=1)
    world.publish(5)
    getattr(world, kind)().run()
    world.broker.set_committed("p", {P0: 900})
    with pytest.raises(
        DataLossError, match=r"offset 900 lies beyond the end of the log, 5.*`prism offsets reset`"
    ) as refusal:
        getattr(world, kind)().run()
    assert not refusal.value.command


def test_what_another_process_commits_while_it_is_decided_is_not_beyond_the_end() -> None:
    """A predecessor that was slow commits after the horizon was asked for, what came after it."""
    world = World(partitions=1)
    values = world.publish(5)
    world.writing().run()

    class Source(MemorySource):
        def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
            if not late:
                late.extend(world.publish(5, "late %d"))
                world.store.ledger.save([LedgerRow(P0, 10, topic_id=world.broker.topic_id("in"), ledger_epoch=1)])
            return super().committed(partitions)

    late: list[bytes] = []
    source = Source(world.broker, "p", ["in"])
    Runner(world.settings(), source, world.routes(), MemorySink(world.store), MemoryLog(world.broker, DEAD)).run()
    assert len(late) == 5
    assert set(world.indexed()) >= set(values)


# --- while running -----------------------------------------------------------------------------------------------------


class ReadsOn(MemorySource):
    """Does what Kafka does: in a topic that was created again it reads on at its old position."""

    def _follow_group(self) -> None:
        if not self._positions:
            super()._follow_group()


@BOTH
def test_nothing_is_committed_in_a_topic_that_was_created_again_while_it_was_read(kind: str) -> None:
    world = World(partitions=1)
    first = world.publish(10)
    runner = getattr(world, kind)(until_idle=None)
    runner._source.__class__ = ReadsOn
    with pytest.raises(DataLossError) as stopped, running(runner):
        until(lambda: world.broker.committed("p") == {P0: 10})
        with world.broker.changed:
            world.broker.delete_topic("in")
            world.broker.create_topic("in", 1)
            world.publish(30, "new %d")
        until(lambda: runner.state == "failed")
        raise runner.error  # type: ignore[misc]
    text = str(stopped.value)
    assert text.startswith("in: the topic was deleted and created again while it was read")
    assert text.endswith("prism run PIPELINE.toml --accept-recreated in")
    assert ledger(world, kind).rows()[P0].next_offset == 10
    assert world.broker.committed("p") == {}
    second = [b"new %d" % number for number in range(30)]
    getattr(world, kind)(accept_recreated=frozenset({"in"})).run()
    assert set(delivered(world, kind)) == {*first, *second}


@BOTH
def test_a_topic_that_is_missing_for_a_moment_only_delays_the_commit(kind: str) -> None:
    world = World(partitions=1)
    values = world.publish(10)
    asked = 0

    class Source(MemorySource):
        def topic_ids(self, streams: Collection[str]) -> Mapping[str, str]:
            nonlocal asked
            asked += 1
            return dict.fromkeys(streams, "") if asked < 4 else super().topic_ids(streams)

    runner = getattr(world, kind)()
    runner._source.__class__ = Source
    runner.run()
    assert asked >= 4
    assert delivered(world, kind) == Counter(values)
    assert world.broker.committed("p") == {P0: 10}


@BOTH
def test_a_topic_that_stays_missing_stops_the_worker(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prismlib.runtime.watching.GONE_SECONDS", 0.3)
    world = World(partitions=1)
    world.publish(10)
    runner = getattr(world, kind)(until_idle=None)
    runner._source.topic_ids = lambda streams: dict.fromkeys(streams, "")
    with pytest.raises(FatalError, match="topic in was deleted while it was read; if that was intended"):
        runner.run()
    assert world.broker.committed("p") == {}


@BOTH
def test_gaps_are_counted_and_explained_by_the_start_of_the_log(kind: str) -> None:
    world = World(partitions=1)
    values = world.publish(20)
    for offset in (0, 7, 8):
        world.broker.remove("in", 0, offset)
    runner = getattr(world, kind)(max_records=3)
    runner.run()
    assert runner.counters.gaps == 3
    assert delivered(world, kind) == Counter(v for i, v in enumerate(values) if i not in (0, 7, 8))


class JumpsOver(MemorySource):
    """Says nothing when records were deleted before it came to them, as with ``auto.offset.reset``."""

    def _read(self, partition: Partition, limit: int) -> RecordBatch | None:
        self._positions[partition] = max(self._positions[partition], self._broker.log(partition).start)
        return super()._read(partition, limit)


@BOTH
def test_records_that_were_deleted_ahead_of_the_reader_are_no_gap(kind: str) -> None:
    world = World(partitions=1)
    world.publish(10)
    runner = getattr(world, kind)(until_idle=None)
    runner._source.__class__ = JumpsOver
    with pytest.raises(DataLossError) as stopped, running(runner):
        until(lambda: world.broker.committed("p") == {P0: 10})
        with world.broker.changed:
            world.publish(10, "new %d")
            world.broker.delete_before("in", 0, 16)
        until(lambda: runner.state == "failed")
        raise runner.error  # type: ignore[misc]
    text = str(stopped.value)
    assert "after offset 9 came 16, and the log now starts at 16, so that at most 6 records were deleted" in text
    assert text.endswith("prism run PIPELINE.toml --accept-loss 'in[0]:10-16'")
    assert stopped.value.losses == [Loss(P0, 10, 16)]
    assert world.broker.committed("p") == {P0: 10}


@BOTH
def test_data_that_is_gone_while_running_stops_with_the_range_that_a_start_would_name(kind: str) -> None:
    world = World(partitions=1)
    world.publish(10)
    runner = getattr(world, kind)(until_idle=None)
    with pytest.raises(DataLossError) as stopped, running(runner):
        until(lambda: world.broker.committed("p") == {P0: 10})
        with world.broker.changed:
            world.publish(10, "new %d")
            world.broker.delete_before("in", 0, 16)
        until(lambda: runner.state == "failed")
        raise runner.error  # type: ignore[misc]
    assert "nothing was skipped\npipeline p stopped, and does not start again as it is:\n  in[0]: " in str(
        stopped.value
    )
    assert stopped.value.losses == [Loss(P0, 10, 16)]


# --- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["transactional", "writing"])
def test_a_stop_is_noticed_while_it_is_decided_where_to_start(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.publish(3)
    runner = getattr(world, kind)(until_idle=None)

    def away(_: Any) -> Any:
        raise RetryableError("away")

    runner._source.horizons = away
    assert assignment.PATIENCE > 60
    began = time.monotonic()
    with caplog.at_level(logging.WARNING), running(runner):
        until(lambda: any(r.getMessage() == "cannot decide where to start yet" for r in caplog.records))
    assert time.monotonic() - began < 60
    assert runner.error is None
    assert world.broker.members("p") == {}


@BOTH
def test_until_idle_does_not_end_well_while_a_topic_is_paused(kind: str) -> None:
    world = World(partitions=1)
    world.decoder.drifting = True
    world.publish(5)
    world.publish(1, "drift %d")
    runner = getattr(world, kind)()
    with pytest.raises(FatalError, match="nothing more to read, but it is not done: in is paused") as stopped:
        runner.run()
    assert stopped.value.exit_code == 3
    assert world.broker.committed("p") == {P0: 5}


@BOTH
def test_until_idle_ends_well_after_a_pause_is_over(kind: str) -> None:
    world = World(partitions=1)
    world.decoder.drifting = True
    values = [*world.publish(5), *world.publish(1, "drift %d")]
    runner = getattr(world, kind)(until_idle=3.0)
    thread = threading.Thread(target=runner.run)
    thread.start()
    until(lambda: runner.counters.pauses >= 1)
    world.decoder.drifting = False
    thread.join(20)
    assert runner.state == "stopped"
    assert delivered(world, kind) == Counter(values)


@BOTH
def test_until_idle_ends_a_standby_without_partitions(kind: str) -> None:
    world = World(partitions=1)
    other = MemorySource(world.broker, "p", ["in"], "0")
    other.open(Elsewhere())
    other.poll(1, 0)
    getattr(world, kind)().run()
    assert world.broker.members("p") == {"0": [P0]}


def test_until_idle_does_not_end_before_the_group_has_answered() -> None:
    world = World(partitions=1)
    values = world.publish(3)
    began = time.monotonic()

    class SlowToJoin(MemorySource):
        def _follow_group(self) -> None:
            if time.monotonic() - began > 1.0:
                super()._follow_group()

    source = SlowToJoin(world.broker, "p", ["in"])
    Runner(world.settings(), source, world.routes(), MemorySink(world.store), MemoryLog(world.broker, DEAD)).run()
    assert world.indexed() == Counter(values)


class Elsewhere:
    """Another member, which reads nothing."""

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """Nothing is open."""

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """Nothing is open."""


def _crash(*_: Any) -> Any:
    return 1 / 0
