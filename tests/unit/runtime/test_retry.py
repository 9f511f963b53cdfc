"""Retrying dead letters, case by case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from prismlib.errors import FatalError, FencedError, RegistryUnavailableError, RetryableError, SchemaDriftError
from prismlib.records import Decoded, LedgerRow, Partition, RecordBatch
from prismlib.runtime.letters import Selection
from prismlib.runtime.retry import Retry
from prismlib.runtime.route import Route
from prismlib.testing.memory import MemoryReader
from tests.unit.runtime.letters_world import DEAD, LettersWorld, Stage, Steps, numbers

BOTH = pytest.mark.parametrize("transactional", [True, False], ids=["transactional", "versioned"])


@BOTH
def test_records_go_through_today_s_route_as_they_were(*, transactional: bool) -> None:
    world = LettersWorld(transactional=transactional)
    world.letter((1, 4), epoch=2)
    report = world.retry().run()
    assert (report.counts["delivered"], report.total) == (1, 1)
    assert world.stage.seen == [(Partition("in", 1), 4, [("h", b"1")])], "without the headers of the letter"
    assert world.delivered() == Counter([b"=ok:4"])
    if not transactional:
        assert {one: version for one, (version, _) in world.store.documents.items()} == {"in~2-1-4": (2 << 44) + 5}


def test_a_business_key_stays_the_id_and_a_newer_version_stays() -> None:
    world = LettersWorld(transactional=False, extra="key_fixes_partition")
    world.store.put("newer", 10, b"newer")
    world.letter((0, 4), key=b"newer")
    world.letter((0, 5), key=b"fresh")
    assert world.retry().run().counts["delivered"] == 2
    assert world.store.documents == {"newer": (10, b"newer"), "fresh": (6, b"=ok:5")}


@BOTH
@pytest.mark.parametrize("stage", ["decode", "normalize", "encode", "write"])
def test_a_letter_that_fails_again_is_a_new_letter_and_the_old_one_is_marked(
    stage: str, *, transactional: bool
) -> None:
    world = LettersWorld(transactional=transactional)
    world.stage.bad = {"odd": stage}
    place, offset = world.letter((0, 4), "odd", reason="the first reason")
    world.letter((0, 5))
    report = world.retry().run()
    assert (report.counts["delivered"], report.counts["failed"]) == (1, 1)
    (letter,) = world.open_letters()
    assert [(one.attempt, one.stage) for one in letter.attempts] == [(1, "decode"), (2, stage)]
    assert letter.attempts[0].reason == "the first reason"
    assert str(letter.previous) == f"{place.index}-{offset}"
    assert letter.worker == "_retry"
    assert Counter(mark["prism.mark"] for mark in world.marks()) == {b"delivered": 1, b"failed": 1}
    assert numbers_of(world) == [5]


def numbers_of(world: LettersWorld) -> list[int]:
    return sorted(numbers(world.delivered()))


@BOTH
def test_a_window_with_a_refused_record_delivers_its_neighbours_in_order(*, transactional: bool) -> None:
    world = LettersWorld(transactional=transactional, partitions=1)
    world.stage.bad = {"odd": "write"}
    for n in range(40):
        world.letter((0, n), "odd" if n in {0, 17, 18, 39} else "ok", key=b"k")
    report = world.retry().run()
    assert (report.counts["delivered"], report.counts["failed"]) == (36, 4)
    expected = [n for n in range(40) if n not in {0, 17, 18, 39}]
    if transactional:
        assert [int(r.value[4:]) for r in world.broker.records("out") if r.value] == expected
    assert numbers_of(world) == expected
    assert sorted(letter.offset for letter in world.open_letters()) == [0, 17, 18, 39]


@BOTH
def test_what_the_mapping_filters_is_marked_as_dropped(*, transactional: bool) -> None:
    world = LettersWorld(transactional=transactional)
    world.stage.bad = {"noise": "drop"}
    world.letter((0, 4), "noise")
    report = world.retry().run()
    assert report.counts["dropped"] == 1
    assert world.delivered() == Counter()
    assert [mark["prism.mark"] for mark in world.marks()] == [b"dropped"]
    assert world.open_letters() == []


@BOTH
def test_letters_without_a_route_and_those_that_meet_drift_stay_as_they_are(*, transactional: bool) -> None:
    world = LettersWorld(transactional=transactional)
    world.stage.bad = {"new": "drift"}
    world.letter((0, 1), topic="gone")
    for n, fate in enumerate(["ok", "new", "ok", "new"]):
        world.letter((0, n), fate)
    report = world.retry().run()
    assert (report.counts["delivered"], report.counts["left"]) == (2, 2 + 1)
    assert {(cause.reason.topic, cause.reason.code) for cause in report.causes.values() if cause.result == "left"} == {
        ("gone", "no-route"), ("in", "schema-drift"),
    }  # fmt: skip
    assert numbers_of(world) == [0, 2]
    assert {(one.origin.stream, one.offset, one.last.attempt) for one in world.open_letters()} == {
        ("gone", 1, 1), ("in", 1, 1), ("in", 3, 1),
    }  # fmt: skip


@BOTH
def test_a_registry_that_is_away_ends_the_retry_and_no_letter_fails_for_it(
    monkeypatch: pytest.MonkeyPatch, *, transactional: bool
) -> None:
    world = LettersWorld(transactional=transactional)

    def decode(batch: RecordBatch) -> Decoded:
        drift = SchemaDriftError("schema id 7 cannot be looked up")
        drift.__cause__ = RegistryUnavailableError("no answer")
        return Decoded([], {}, (0, drift))

    monkeypatch.setattr(world.stage, "decode", decode)
    world.letter((0, 1))
    with pytest.raises(RetryableError, match="cannot be looked up"):
        world.retry(patience=0.0).run()
    assert world.marks() == []
    assert len(world.open_letters()) == 1


@BOTH
def test_a_dry_run_opens_no_sink(*, transactional: bool) -> None:
    world = LettersWorld(transactional=transactional)
    world.stage.bad = {"odd": "normalize"}
    world.letter((0, 1))
    world.letter((0, 2), "odd")
    called: list[str] = []
    report = world.retry(Steps(lambda _, what: called.append(what)), write=False).run()
    assert (report.counts["delivered"], report.counts["failed"], report.written) == (1, 1, False)
    assert set(called) == {
        f"{when}{what}" for what in ("open", "partitions", "read", "close") for when in ("", "after ")
    }
    assert len(world.broker.records(DEAD)) == 2


def test_a_second_retry_fences_the_first_which_says_so() -> None:
    world = LettersWorld(transactional=True)
    for n in range(10):
        world.letter((0, n))

    def at(_: int, what: str) -> None:
        if what == "commit":
            assert world.retry().run().counts["delivered"] == 10

    with pytest.raises(FencedError, match=r"another `prism dead-letters retry`.*has taken over.*0 of 10 letters"):
        world.retry(Steps(at)).run()
    assert numbers_of(world) == list(range(10))


def test_a_live_worker_is_not_fenced() -> None:
    world = LettersWorld(transactional=True)
    producer = world.broker.producer("out-1")
    producer.begin()
    world.broker.append("out", b"k", b"=live:1", producer=producer)
    world.letter((0, 1))
    world.retry().run()
    producer.end(committed=True)
    assert numbers_of(world) == [1, 1]


def test_letters_of_records_that_were_written_twice_are_settled_together() -> None:
    world = LettersWorld(transactional=True)
    for _ in range(3):
        world.letter((0, 4))
    report = world.retry().run()
    assert report.total == 1
    assert numbers_of(world) == [4]
    assert len(world.marks()) == 3
    assert world.open_letters() == []


def test_windows_keep_to_the_sink_s_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prismlib.runtime.retry.WINDOW_LETTERS", 4)
    world = LettersWorld(transactional=True, partitions=1)
    for n in range(10):
        world.letter((0, n))
    commits: list[str] = []
    done: list[int] = []
    world.retry(
        Steps(lambda _, what: commits.append(what) if what == "commit" else None),
        progress=lambda report: done.append(report.done),
    ).run()
    assert len(commits) == 3
    assert done == [0, 4, 8, 10]


def test_stopping_finishes_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prismlib.runtime.retry.WINDOW_LETTERS", 3)
    world = LettersWorld(transactional=True, partitions=1)
    for n in range(9):
        world.letter((0, n))
    work: Any = None
    work = world.retry(Steps(lambda _, what: work.stop() if what == "commit" else None))
    report = work.run()
    assert (report.stopped, report.done, report.total) == (True, 3, 9)
    assert numbers_of(world) == [0, 1, 2]
    assert world.retry().run().counts["delivered"] == 6


def test_a_letter_that_the_topic_no_longer_holds_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    world = LettersWorld(transactional=True, partitions=1)
    for n in range(3):
        world.letter((0, n))
    read = MemoryReader.read
    calls: list[int] = []

    def reading(self: MemoryReader, starts: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            world.broker.delete_before(DEAD, 0, 1)
        return read(self, starts)

    monkeypatch.setattr(MemoryReader, "read", reading)
    report = world.retry().run()
    assert (report.counts["delivered"], report.counts["left"]) == (2, 1)


def test_a_dead_letter_topic_that_refuses_is_fatal_and_nothing_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = LettersWorld(transactional=True)
    world.stage.bad = {"odd": "decode"}
    monkeypatch.setattr(world.stage, "refuses", lambda body: None if body.startswith(b"=") else "too large")
    world.letter((0, 1), "odd")
    with pytest.raises(FatalError, match=r"max\.message\.bytes"):
        world.retry().run()
    assert world.marks() == []


def test_filters_choose_what_is_retried() -> None:
    world = LettersWorld(transactional=True)
    world.letter((0, 1), "one")
    world.letter((0, 2), "two")
    world.retry(selection=Selection(reason="two")).run()
    assert numbers_of(world) == [2]


def test_a_commit_that_failed_and_was_done_all_the_same_is_counted_once() -> None:
    world = LettersWorld(transactional=True)
    world.stage.bad = {"odd": "normalize"}
    for n, fate in enumerate(["ok", "odd", "ok"]):
        world.letter((0, n), fate)
    world.letter((0, 9), topic="gone")
    failed: list[str] = []

    def at(_: int, what: str) -> None:
        if what == "after commit" and not failed:
            failed.append(what)
            raise RetryableError("no answer")

    report = world.retry(Steps(at)).run()
    assert report.counts == {"delivered": 2, "dropped": 0, "failed": 1, "left": 1}
    assert report.total == 4
    assert numbers_of(world) == [0, 2]
    assert len([letter for letter in world.open_letters() if letter.origin.stream == "in"]) == 1


def test_a_sink_that_wins_its_name_back_looks_at_what_was_done_meanwhile() -> None:
    world = LettersWorld(transactional=True)
    for n in range(6):
        world.letter((0, n))
    entered: list[str] = []

    def at(_: int, what: str) -> None:
        if what == "commit" and not entered:
            entered.append(what)
            assert world.retry(limit=4).run().counts["delivered"] == 4

    report = world.retry(Steps(at, reclaims=True)).run()
    assert numbers_of(world) == list(range(6))
    assert (report.done, report.total) == (6, 6)


@BOTH
def test_a_sink_that_stays_away_ends_the_retry_and_nothing_is_marked(*, transactional: bool) -> None:
    world = LettersWorld(transactional=transactional)
    world.letter((0, 1))

    def at(_: int, what: str) -> None:
        if what == "write":
            raise RetryableError("nobody answers")

    with pytest.raises(RetryableError, match="nobody answers"):
        world.retry(Steps(at), patience=0.2).run()
    assert world.marks() == []
    assert world.retry().run().counts["delivered"] == 1


class ReadsWith(Stage):
    """Rows are shaped by one schema."""

    def __init__(self, reader_id: int) -> None:
        super().__init__()
        self.reader_id = reader_id


class Ledger:
    """What ``prism dead-letters retry`` sees of the workers' ledger."""

    atomic = True

    def __init__(self, *rows: LedgerRow) -> None:
        self.rows, self.calls = rows, ["made"]

    def open(self) -> None:
        self.calls.append("open")

    def load_ledger(self, partitions: Sequence[Partition]) -> dict[Partition, LedgerRow]:
        return {row.partition: row for row in self.rows if row.partition in partitions}

    def close(self) -> None:
        self.calls.append("close")


@pytest.mark.parametrize(
    ("mapping", "schema_id", "read_with"),
    [("m", 1, 1), ("m", 2, 2), ("m", -1, 2), ("another", 1, 2), ("", 1, 2)],
    ids=["read before", "read already", "none was read", "the mapping has changed since", "nobody knows the mapping"],
)
def test_letters_are_read_with_the_schema_that_the_workers_read_last(
    mapping: str, schema_id: int, read_with: int
) -> None:
    world = LettersWorld(transactional=True)
    world.letter((0, 4))
    decoders = {reader_id: ReadsWith(reader_id) for reader_id in (1, 2)}

    def route(ids: Sequence[int]) -> Route:
        return Route("in", decoders[ids[0]], world.stage, world.stage, "m", route)

    world.routes = {"in": route([2])}
    row = LedgerRow(Partition("in", 0), 9, schema_id=schema_id, mapping=mapping)
    ledger: Any = Ledger(row)
    report = Retry(replace(world.stages(), ledger=ledger), Selection(), write=True).run()
    assert report.counts["delivered"] == 1
    assert {reader_id for reader_id, decoder in decoders.items() if decoder.seen} == {read_with}
    assert ledger.calls == ["made", "open", "close"]
