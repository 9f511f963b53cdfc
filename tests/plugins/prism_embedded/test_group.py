"""Members of one group: who gets what, who is dead, and that nobody commits what is not theirs."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism_embedded import EmbeddedLog
from prism_embedded.group import assign
from prism_embedded.heartbeat import LONGEST_SILENCE, Watch
from prism_embedded.index_sink import EmbeddedIndexSink
from prism_embedded.indices import create
from prism_embedded.source import EmbeddedSource
from prismlib.errors import ConfigError, DataLossError, FatalError, FencedError, RetryableError, UnreachableError
from prismlib.records import LedgerRow, Partition
from prismlib.testing.source_conformance import Recorder
from tests.plugins.prism_embedded.members import BEAT, SESSION, Member, World

IN = [Partition("in", index) for index in range(3)]


# --- assign -----------------------------------------------------------------------------------------------------------


@st.composite
def groups(draw: st.DrawFn) -> tuple[dict[int, str], dict[int, set[str]], dict[int, int | None]]:
    partitions = draw(st.dictionaries(st.integers(1, 30), st.sampled_from("abc"), max_size=12))
    members = draw(st.dictionaries(st.integers(1, 9), st.sets(st.sampled_from("abc")), max_size=5))
    before = {n: draw(st.none() | st.integers(1, 9)) for n in partitions if draw(st.booleans())}
    return partitions, members, before


@given(groups())
def test_every_partition_that_somebody_reads_has_one_owner_who_reads_it(group) -> None:
    partitions, members, before = group
    found = assign(partitions, members, before)
    assert found.keys() == {n for n, topic in partitions.items() if any(topic in topics for topics in members.values())}
    assert all(partitions[number] in members[session] for number, session in found.items())


@given(st.lists(st.none() | st.integers(0, 7), max_size=20), st.integers(1, 6))
def test_it_is_even_and_then_nothing_moves(before: list[int | None], size: int) -> None:
    partitions = dict.fromkeys(range(len(before)), "t")
    members = {session: {"t"} for session in range(size)}
    found = assign(partitions, members, dict(enumerate(before)))
    loads = [list(found.values()).count(session) for session in members]
    assert max(loads) - min(loads) <= 1
    assert assign(partitions, members, found) == found


@given(st.integers(0, 20), st.integers(1, 6))
def test_only_what_must_move_moves(count: int, size: int) -> None:
    partitions = dict.fromkeys(range(count), "t")
    few, many = {n: {"t"} for n in range(size)}, {n: {"t"} for n in range(size + 1)}
    before = assign(partitions, few, {})
    after = assign(partitions, many, before)
    moved = {n: session for n, session in after.items() if session != before[n]}
    assert set(moved.values()) <= {size}, "a new member takes its share, and nobody else gets anything"
    back = assign(partitions, few, after)
    assert {n for n in partitions if back[n] != after[n]} == moved.keys(), "and leaves only what it had"


# --- two members ------------------------------------------------------------------------------------------------------


def test_one_member_has_everything_and_a_second_one_gets_its_share_while_the_first_reads_on(world: World) -> None:
    world.publish(30)
    one = world.member("1").start()
    assert one.poll() == 30
    assert one.mine == IN
    two = world.member("2").start()
    two.poll()
    assert two.mine == [], "nothing is taken from a living member: it gives it back"
    one.poll()
    assert [what for what, _ in one.told] == ["assigned", "revoked"]
    assert len(one.told[1][1]) == 1, "the others stay, and are read on"
    two.poll()
    assert len(one.mine) == 2
    assert sorted(one.mine + two.mine) == IN
    assert sorted(world.out()) == sorted(b"value %d" % n for n in range(30)), "what was open is committed in on_revoked"
    assert two.poll() == 0, "and nobody reads it again"


def test_a_member_that_leaves_hands_over_at_once(world: World) -> None:
    one, two = world.member("1").start(), world.member("2").start()
    world.settle(one, two)
    world.publish(30)
    two.poll()
    two.close()
    assert two.told[-1][0] == "revoked"
    one.poll(1)
    assert one.mine == IN
    one.poll()
    one.commit()
    assert sorted(world.out()) == sorted(b"value %d" % n for n in range(30))


def test_a_dead_members_partitions_go_to_others_after_the_session_time_out(world: World) -> None:
    one, two = world.member("1").start(), world.member("2").start()
    world.settle(one, two)
    two.die()
    world.pass_time(SESSION, one)
    assert len(one.mine) < 3, "it may be slow"
    world.pass_time(2 * BEAT, one)
    one.poll()
    assert one.mine == IN


def test_a_restarted_member_has_its_partitions_at_once(world: World) -> None:
    one, two = world.member("1").start(), world.member("2").start()
    world.settle(one, two)
    before = two.mine
    two.die()
    again = world.member("2").start()
    again.poll()
    assert again.mine == before
    assert one.told[-1] == ("assigned", one.mine) or one.told[-1][0] == "revoked"
    one.poll()
    assert len(one.mine) == 3 - len(before), "the others do not notice"


# --- the living dead --------------------------------------------------------------------------------------------------


def zombie(world: World) -> tuple[Member, Member, list[Partition]]:
    """Worker 2, which was taken for dead and wakes with records open; worker 1 has its partitions."""
    one, two = world.member("1").start(), world.member("2").start()
    world.settle(one, two)
    mine = two.mine
    world.publish(60)
    two.poll()
    assert two.open
    world.pass_time(SESSION + 2 * BEAT, one)
    one.poll()
    assert one.mine == IN
    return one, two, mine


def test_a_zombies_transaction_is_refused_whole(world: World) -> None:
    one, two, _ = zombie(world)
    with pytest.raises(RetryableError, match="went to another worker; nothing was written"):
        two.commit()
    assert world.out() == []
    assert world.log.committed("p") == {}
    one.poll()
    one.commit()
    assert sorted(world.out()) == sorted(b"value %d" % n for n in range(60))


def test_a_zombies_offsets_are_refused(world: World) -> None:
    _, two, mine = zombie(world)
    with pytest.raises(FencedError, match="goes on without this worker"):
        two.source.commit({mine[0]: 5})
    assert world.log.committed("p") == {}


def test_a_zombies_ledger_rows_are_refused(world: World) -> None:
    _, two, mine = zombie(world)
    before = two.sink.load_ledger(mine)
    with pytest.raises(RetryableError, match="belongs to worker '1' now"):
        two.sink.save_ledger([LedgerRow(mine[0], 99)])
    assert two.sink.load_ledger(mine) == before


def test_a_zombies_ledger_rows_for_an_index_are_refused(world: World) -> None:
    _, _, mine = zombie(world)
    with world.log._database.transaction() as connection:
        create(connection, "things")
    sinks = {
        worker: EmbeddedIndexSink(world.log.path, alias="things", pipeline="p", worker=worker) for worker in ("1", "2")
    }
    for sink in sinks.values():
        sink.open()
    with pytest.raises(RetryableError, match="belongs to worker '1' now"):
        sinks["2"].save_ledger([LedgerRow(mine[0], 99)])
    assert sinks["1"].load_ledger(mine) == {}
    sinks["1"].save_ledger([LedgerRow(mine[0], 7)])
    elsewhere = Partition("not.embedded", 0)
    sinks["2"].save_ledger([LedgerRow(elsewhere, 7)])
    assert sinks["1"].load_ledger([mine[0], elsewhere]).keys() == {mine[0], elsewhere}
    for sink in sinks.values():
        sink.close()


def test_a_zombie_is_told_that_it_lost_and_comes_back_as_a_new_member(world: World) -> None:
    one, two, mine = zombie(world)
    two.poll()
    assert two.told[-1] == ("lost", mine) or ("lost", mine) in two.told
    assert ("revoked", mine) not in two.told
    assert two.open == []
    world.settle(one, two)
    assert sorted(one.mine + two.mine) == IN
    one.commit()
    two.commit()
    assert sorted(world.out()) == sorted(b"value %d" % n for n in range(60))


def test_a_zombie_that_is_stopped_is_told_that_it_lost(world: World) -> None:
    _, two, mine = zombie(world)
    two.close()
    assert two.told[-1] == ("lost", mine)


def test_a_token_from_an_earlier_time_of_the_same_partitions_is_refused(world: World) -> None:
    """Given away and got back: who kept a token must not commit what its predecessor in between has committed."""
    one = world.member("1").start()
    one.poll()
    token = one.source.member()
    two = world.member("2").start()
    world.settle(one, two)
    moved = two.mine
    two.close()
    one.poll()
    assert one.mine == IN
    one.sink.begin()
    with pytest.raises(RetryableError, match="went to another worker"):
        one.sink.commit(dict.fromkeys(moved, 0), token, [])
    kept = [p for p in IN if p not in moved]
    one.sink.begin()
    one.sink.commit(dict.fromkeys(kept, 0), token, [])


def test_two_processes_of_one_name_the_later_one_stops_the_earlier(world: World) -> None:
    first = world.member("1").start()
    world.publish(10)
    first.poll()
    second = world.member("1").start()
    second.poll()
    assert second.mine == IN
    with pytest.raises(FencedError, match="another process has become worker '1'"):
        first.commit()
    with pytest.raises(FencedError, match="another process runs as worker '1' of pipeline p; this one stops"):
        first.poll()
    assert first.told[-1] == ("lost", IN)
    first.close()
    second.commit()
    assert len(world.out()) == 10
    assert world.owner(IN[0]) == second.source._membership.session, "it took nothing away with it"


@pytest.mark.parametrize("raises", [True, False])
def test_losing_everything_while_it_is_decided_where_to_start_is_no_end(world: World, *, raises: bool) -> None:
    one = world.member("1").start()
    one.poll()
    two = world.member("2")

    def sleep_for_long() -> None:
        two.before_deciding = lambda: None
        world.pass_time(SESSION + 2 * BEAT, one)
        one.poll()
        if raises:
            raise FatalError("what a zombie makes of the world")

    two.before_deciding = sleep_for_long
    two.start()
    two.poll()
    one.poll()
    with pytest.raises(RetryableError, match="lost its partitions while it was decided where to start"):
        two.poll()
    world.settle(one, two)
    assert sorted(one.mine + two.mine) == IN
    assert len(two.mine) == 1


def test_a_refusal_to_start_gives_the_partitions_to_others(world: World) -> None:
    def refuse() -> None:
        raise DataLossError("records are gone")

    one = world.member("1")
    one.before_deciding = refuse
    one.start()
    with pytest.raises(DataLossError, match="records are gone"):
        one.poll()
    assert world.owner(IN[0]) is None
    one.close()
    two = world.member("2").start()
    two.poll()
    assert two.mine == IN


def test_a_topic_that_is_deleted_while_it_is_read_stops_the_reader(world: World) -> None:
    world.publish(10)
    one = world.member("1").start()
    one.poll()
    world.log.delete_topic("in")
    world.log.create_topic("in", 3)
    with pytest.raises(FatalError, match="topic in was deleted"):
        one.poll()
    with pytest.raises(FatalError, match="topic in was deleted"):
        one.poll()
    assert one.told[-1] == ("lost", IN)
    with pytest.raises(RetryableError, match="went to another worker"):
        one.sink.commit({IN[0]: 5}, one.source.member(), [])


# --- heartbeats -------------------------------------------------------------------------------------------------------


def test_only_time_in_which_the_observer_could_write_counts_against_the_others() -> None:
    watch = Watch(5.0, 1.0)
    assert watch.dead([(1, 0)], 0.0) == []
    assert watch.dead([(1, 0)], 60.0) == [], "the file was locked for a minute: nobody could beat"
    assert watch.dead([(1, 0)], 61.0) == []
    assert watch.dead([(1, 1)], 62.0) == [], "and here it does"
    for now in range(63, 67):
        assert watch.dead([(1, 1)], float(now)) == []
    assert watch.dead([(1, 1)], 67.0) == [1]


def test_a_worker_that_hangs_is_taken_for_dead_like_one_that_was_killed(world: World) -> None:
    one, two = world.member("1").start(), world.member("2").start()
    world.settle(one, two)
    for _ in range(round(LONGEST_SILENCE / BEAT)):
        world.now += BEAT
        one.source._last_sign = world.now
        one.beat()
        two.beat()
    one.poll()
    assert len(one.mine) < 3, "a long write is no hanging"
    for _ in range(10):
        world.now += BEAT
        one.source._last_sign = world.now
        one.beat()
        two.beat()
    one.poll()
    assert one.mine == IN
    assert two.poll() == 0
    assert two.told[-1][0] == "lost" or ("lost", two.told[0][1]) in two.told


def test_an_idle_worker_finds_out_that_its_file_is_gone(log: EmbeddedLog) -> None:
    log.create_topic("in", 1)
    source = EmbeddedSource(log.path, group="p", worker="1", topics=["in"], session_timeout=1.0)
    source.open(Recorder(source))
    source.poll(1, 0.0)
    log.path.unlink()
    with pytest.raises(FatalError, match="was deleted or replaced while it was in use"):
        for _ in range(100):
            source.poll(1, 0.1)
    source.close()


def test_the_thread_beats_while_the_runner_is_busy_elsewhere(log: EmbeddedLog) -> None:
    """Two real members; the second one does nothing for longer than a session, and loses nothing."""
    log.create_topic("in", 2)
    sources = [
        EmbeddedSource(log.path, group="p", worker=name, topics=["in"], session_timeout=1.0) for name in ("1", "2")
    ]
    listeners = [Recorder(source) for source in sources]
    for source, listener in zip(sources, listeners, strict=True):
        source.open(listener)
        source.poll(1, 0.0)
    sources[0].poll(1, 0.0)
    sources[1].poll(1, 0.0)
    assert len(sources[1]._positions) == 1
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        sources[0].poll(1, 0.1)
    assert len(sources[0]._positions) == 1
    sources[1].commit({next(iter(sources[1]._positions)): 0})
    for source in sources:
        source.close()


# --- the rest of the source -------------------------------------------------------------------------------------------


def test_records_that_are_gone_are_data_loss_and_stay_it(world: World) -> None:
    world.publish(30)
    one = world.member("1").start()
    one.poll(1)
    for partition in IN:
        world.log.trim("in", partition.index, 5)
    for _ in range(2):
        with pytest.raises(
            DataLossError,
            match=r"in\[\d\]: data is lost: the next record to read has offset \d, the log now starts at 5",
        ):
            one.poll()


def test_a_seek_to_records_that_are_gone_is_data_loss(world: World) -> None:
    world.publish(30)
    one = world.member("1").start()
    one.poll()
    world.log.trim("in", 0, 5)
    assert one.poll() == 0
    one.source.seek({IN[0]: 4, Partition("other", 0): 4})
    with pytest.raises(DataLossError):
        one.poll()


def test_offsets_are_found_by_time(log: EmbeddedLog) -> None:
    log.create_topic("in", 2)
    log.append("in", [(None, b"v", None, 1000 + 10 * n) for n in range(10)], partition=0)
    source = EmbeddedSource(log.path, group="p", worker="1", topics=["in"], session_timeout=SESSION)
    source.open(Recorder(source))
    source.poll(1, 0.0)
    partitions = [Partition("in", 0), Partition("in", 1)]
    assert source.offsets_at(partitions, 0) == {partitions[0]: 0, partitions[1]: 0}
    assert source.offsets_at(partitions, 1031) == {partitions[0]: 4, partitions[1]: 0}
    assert source.offsets_at(partitions, 5000) == {partitions[0]: 10, partitions[1]: 0}
    horizon = source.horizons(partitions)[partitions[0]]
    assert (horizon.start, horizon.end, horizon.start_timestamp_ms) == (0, 10, 1000)
    with pytest.raises(FatalError, match="topic gone was deleted"):
        source.horizons([Partition("gone", 0)])
    source.close()


def test_offsets_of_strangers_are_refused(world: World) -> None:
    one = world.member("1").start()
    one.poll()
    with pytest.raises(FencedError):
        one.source.commit({IN[0]: 1, Partition("out", 0): 1})
    assert world.log.committed("p") == {}


def test_a_missing_topic_or_a_locked_file_at_the_start_is_one_sentence(world: World) -> None:
    source = EmbeddedSource(world.log.path, group="p", worker="1", topics=["in", "none"], session_timeout=SESSION)
    with pytest.raises(ConfigError, match=r"no topic none in .*; create what pipeline p needs with `prism setup"):
        source.open(Recorder(source))
    source.close()
    one = world.member("1")
    one.source._database._busy_seconds = 0.05
    other = sqlite3.connect(world.log.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnreachableError, match="is locked"):
        one.source.open(one)
    other.close()


def test_a_locked_file_keeps_nobody_from_reading_and_a_rebalance_waits_for_it(world: World) -> None:
    one = world.member("1").start()
    one.poll()
    one.source._database.query("PRAGMA busy_timeout = 50")
    two = world.member("2").start()
    world.publish(30)
    other = sqlite3.connect(world.log.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    two.source._database.query("PRAGMA busy_timeout = 50")
    assert one.poll() > 0, "what it cannot give back now it gives back later"
    other.close()
    world.settle(one, two)
    assert sorted(one.mine + two.mine) == IN
    assert len(two.mine) == 1


def test_a_group_that_nobody_has_left_keeps_its_offsets(log: EmbeddedLog, tmp_path: Path) -> None:
    world = World(log)
    world.publish(10)
    one = world.member("1").start()
    one.poll()
    one.commit()
    before = log.committed("p")
    assert sum(before.values()) == 10
    one.close()
    assert log.committed("p") == before
    two = world.member("2").start()
    assert two.poll() == 0
    world.close()


def test_a_member_that_is_given_nothing_hears_so_once_a_time(world: World) -> None:
    members = [world.member(str(n)).start() for n in range(4)]
    world.settle(*members)
    standby = [member for member in members if not member.mine]
    assert [len(member.mine) for member in members if member.mine] == [1, 1, 1]
    (idle,) = standby
    heard = idle.standby
    assert heard >= 1
    idle.poll()
    assert idle.standby == heard
    busy = next(member for member in members if member.mine)
    busy.close()
    world.settle(*(member for member in members if member is not busy))
    assert len(idle.mine) == 1
