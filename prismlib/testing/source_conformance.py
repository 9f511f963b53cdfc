"""Conformance of sources. Needs pytest.

    class TestMySource(SourceConformance):
        @pytest.fixture
        def harness(self) -> SourceHarness:
            return MyHarness()

Nothing here measures time: ``patience`` only ends a wait that would otherwise never end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol, TypeVar

import pytest

from prismlib.errors import StageError
from prismlib.records import Partition, RecordBatch
from prismlib.stages.source import IdentifiesTopics, Pausable, Seekable, Source
from prismlib.testing.clauses import proves, require
from prismlib.testing.written import Written, arrived, numbered, odd_records, require_equal_columns

T = TypeVar("T")


__all__ = ["Recorder", "SourceConformance", "SourceHarness", "Written"]


class SourceHarness(Protocol):
    """What a plugin author supplies. One harness serves one test.

    Attributes:
        patience: seconds after which a source that has not delivered is taken to be stuck; generous.
    """

    patience: float

    def create_topic(self, partitions: int) -> str:
        """A new, empty topic under a name of its own."""
        ...

    def append(self, topic: str, partition: int, records: Sequence[Written]) -> Sequence[int]:
        """Write records, durably and visibly, and return their offsets."""
        ...

    def make_source(self, topic: str, group: str) -> Source:
        """A source that is not open yet; later ones of the same group are its successors.

        A test closes what it opened unless it fails first: a fixture that yields closes everything once more.
        """
        ...


@dataclass
class Recorder:
    """A listener that starts where it is told, or at the first record, and notes what happened."""

    source: Source
    start: Mapping[Partition, int] = field(default_factory=dict)
    commit_on_revoke: Mapping[Partition, int] = field(default_factory=dict)
    refuse_with: Exception | None = None
    assigned: list[Partition] = field(default_factory=list)
    revoked: list[list[Partition]] = field(default_factory=list)
    found_committed: dict[Partition, int | None] = field(default_factory=dict)

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Note the committed offsets and begin."""
        if self.refuse_with is not None:
            raise self.refuse_with
        self.assigned.extend(partitions)
        answers = self.source.committed(partitions)
        self.found_committed.update({one: answers[one].next_offset for one in partitions})
        horizons = self.source.horizons(partitions)
        return {one: self.start.get(one, horizons[one].start) for one in partitions}

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """Note it, and commit if told to."""
        self.revoked.append(sorted(partitions))
        mine = {one: offset for one, offset in self.commit_on_revoke.items() if one in partitions}
        if mine:
            self.source.commit(mine)

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """Nobody else is in these groups, so nothing may be lost."""
        raise AssertionError(f"on_lost was called for {', '.join(map(str, partitions))} in a group of one")


def within(patience: float, call: Callable[[], T], what: str) -> T:
    """Make a call that may hang, in a thread of its own; AssertionError when it does."""
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            answers.put((None, error))

    Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=patience)
    except Empty:
        raise AssertionError(f"{what} did not return within {patience} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None only together with an error, or when T is None


class SourceConformance:
    """Every clause of :class:`prismlib.stages.Source`, and its capabilities IdentifiesTopics, Pausable and Seekable."""

    @proves("SRC-01")
    def test_src_01_a_batch_is_consecutive_records_of_one_partition(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(2)
        marks = {index: harness.append(topic, index, numbered(index, 6)) for index in range(2)}
        source, _ = _opened(harness, topic)
        for batch in _read(harness, source, 12):
            require_equal_columns(batch)
            for offset, key in zip(batch.offsets, batch.keys, strict=True):
                index = batch.partition.index
                require(
                    batch.partition.stream == topic
                    and offset in marks[index]
                    and key == b"%d-%d" % (index, list(marks[index]).index(offset)),
                    f"the record with key {key!r} is in a batch of {batch.partition} at offset {offset}",
                )
        source.close()

    @proves("SRC-02")
    def test_src_02_no_record_is_skipped_or_repeated(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(2)
        expected = {index: list(harness.append(topic, index, numbered(index, 9))) for index in range(2)}
        source, _ = _opened(harness, topic)
        batches = _read(harness, source, 18, max_records=4)
        expected[0] += harness.append(topic, 0, numbered(0, 5))
        batches += _read(harness, source, 5, max_records=2)
        batches += source.poll(10, 0.1)
        for index, offsets in expected.items():
            got = [one for batch in batches if batch.partition.index == index for one in batch.offsets]
            require(got == offsets, f"partition {index} was written at offsets {offsets} and read at {got}")
        source.close()

    @proves("SRC-03")
    def test_src_03_reading_begins_where_on_assigned_says(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(1)
        offsets = harness.append(topic, 0, numbered(0, 6))
        partition = Partition(topic, 0)
        first, _ = _opened(harness, topic)
        _read(harness, first, 6)
        first.commit({partition: offsets[5]})
        first.close()
        second, _ = _opened(harness, topic, start={partition: offsets[2]})
        got = [one for batch in _read(harness, second, 4) for one in batch.offsets]
        require(got == list(offsets[2:]), f"told to start at {offsets[2]} with {offsets[5]} committed, it read {got}")
        second.close()

    @proves("SRC-04")
    def test_src_04_commits_only_on_commit(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(1)
        harness.append(topic, 0, numbered(0, 6))
        first, _ = _opened(harness, topic)
        _read(harness, first, 6, max_records=2)
        first.poll(10, 0.1)
        first.close()
        second, listener = _opened(harness, topic)
        _read(harness, second, 6)
        committed = listener.found_committed[Partition(topic, 0)]
        require(committed is None, f"nobody called commit, and a successor finds {committed} committed")
        second.close()

    @proves("SRC-05")
    def test_src_05_a_successor_finds_what_was_committed(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(2)
        offsets = harness.append(topic, 0, numbered(0, 6))
        first, _ = _opened(harness, topic)
        _read(harness, first, 6)
        partition = Partition(topic, 0)
        first.commit({partition: offsets[2]})
        first.commit({partition: offsets[4]})
        seen = first.committed([partition])[partition].next_offset
        require(seen == offsets[4], f"after committing {offsets[4]} the source itself finds {seen}")
        first.close()
        second, listener = _opened(harness, topic)
        _read(harness, second, 6)
        require(
            listener.found_committed == {partition: offsets[4], Partition(topic, 1): None},
            f"committed was {offsets[4]} for partition 0 and nothing for 1; found {listener.found_committed}",
        )
        second.close()

    @proves("SRC-06")
    def test_src_06_an_idle_poll_returns_an_empty_list(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(1)
        offsets = harness.append(topic, 0, numbered(0, 1))
        source, _ = _opened(harness, topic)
        _read(harness, source, len(offsets))
        for timeout in (0.0, 0.1):
            answer = within(harness.patience, partial(source.poll, 10, timeout), f"poll(10, {timeout})")
            require(isinstance(answer, Sequence) and not answer, f"an idle poll returned {answer!r}, not an empty list")
        source.close()

    @proves("SRC-07")
    def test_src_07_a_poll_returns_at_most_max_records(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(3)
        for index in range(3):
            harness.append(topic, index, numbered(index, 10))
        source, _ = _opened(harness, topic)
        sizes: list[int] = []
        deadline = time.monotonic() + harness.patience
        while sum(sizes) < 30 and time.monotonic() < deadline:
            sizes.append(sum(len(batch) for batch in source.poll(7, 0.2)))
        require(max(sizes) <= 7, f"poll(7, ...) returned {max(sizes)} records at once")
        require(sum(sizes) == 30, f"30 records were written and {sum(sizes)} read")
        source.close()

    @proves("SRC-08")
    def test_src_08_a_refused_assignment_is_raised_and_delivers_nothing(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(1)
        harness.append(topic, 0, numbered(0, 3))
        refusal = _RefusedError("refused by the test")
        source = harness.make_source(topic, f"group-of-{topic}")
        source.open(Recorder(source, refuse_with=refusal))
        deadline = time.monotonic() + harness.patience
        raised: Exception | None = None
        batches: list[RecordBatch] = []
        while raised is None and not batches and time.monotonic() < deadline:
            try:
                batches.extend(source.poll(10, 0.2))
            except _RefusedError as error:
                raised = error
        require(raised is refusal, f"on_assigned raised {refusal!r}, and poll let through {raised!r}")
        # Going on to poll may fail, but must not hand out the partitions after all.
        for _ in range(3):
            try:
                batches.extend(source.poll(10, 0.1))
            except (_RefusedError, StageError):
                continue
        require(not batches, f"{sum(map(len, batches))} records of a refused partition were returned")
        source.close()

    @proves("SRC-09")
    def test_src_09_records_arrive_as_they_were_written(self, harness: SourceHarness) -> None:
        written = odd_records()
        topic = harness.create_topic(1)
        harness.append(topic, 0, written)
        source, _ = _opened(harness, topic)
        got = arrived(_read(harness, source, len(written)))
        for sent, came in zip(written, got, strict=True):
            require(sent == came, f"written was {sent}, read {came}")
        source.close()

    @proves("SRC-10")
    def test_src_10_close_revokes_once(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(2)
        offsets = harness.append(topic, 0, numbered(0, 3))
        partition = Partition(topic, 0)
        source, listener = _opened(harness, topic)
        _read(harness, source, 3)
        _assigned(harness, source, listener, 2)
        listener.commit_on_revoke = {partition: offsets[1]}
        source.close()
        require(
            sorted(one for call in listener.revoked for one in call) == [partition, Partition(topic, 1)],
            f"close called on_revoked with {listener.revoked}, and both partitions were assigned",
        )
        source.close()
        require(sum(map(len, listener.revoked)) == 2, "a second close called on_revoked again")
        successor, listener = _opened(harness, topic)
        _read(harness, successor, 3)
        found = listener.found_committed[partition]
        require(found == offsets[1], f"{offsets[1]} was committed inside on_revoked; a successor finds {found}")
        successor.close()

    @proves("SRC-11")
    def test_src_11_horizons_are_fresh(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(1)
        partition = Partition(topic, 0)
        offsets = list(harness.append(topic, 0, numbered(0, 2)))
        source, _ = _opened(harness, topic)
        _read(harness, source, 2)
        for _ in range(2):
            horizon = source.horizons([partition])[partition]
            require(
                horizon.start <= offsets[0] and horizon.end > offsets[-1],
                f"the partition holds offsets {offsets[0]} to {offsets[-1]}, and horizons says {horizon}",
            )
            offsets += harness.append(topic, 0, numbered(0, 2))
        source.close()

    @proves("SRC-12")
    def test_src_12_topics_are_identified(self, harness: SourceHarness) -> None:
        topics = [harness.create_topic(1) for _ in range(2)]
        ids: dict[str, str] = {}
        for topic in topics:
            source, _ = _opened(harness, topic)
            if not isinstance(source, IdentifiesTopics):
                source.close()
                pytest.skip("the source does not identify topics")
            missing = f"{topic}-that-never-was"
            answer = source.topic_ids([topic, missing])
            named = source.horizons([Partition(topic, 0)])[Partition(topic, 0)].topic_id
            source.close()
            expected = {topic: named, missing: ""}
            require(answer == expected and bool(named), f"horizons and the missing topic make {expected}, not {answer}")
            ids[topic] = named
        require(len(set(ids.values())) == len(ids), f"two topics have one id: {ids}")

    def test_a_paused_partition_rests_and_resumes_where_it_stopped(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(2)
        expected = {index: list(harness.append(topic, index, numbered(index, 4))) for index in range(2)}
        source, _ = _opened(harness, topic)
        if not isinstance(source, Pausable):
            source.close()
            pytest.skip("the source is not Pausable")
        _read(harness, source, 8)
        rests = Partition(topic, 0)
        source.pause([rests])
        expected = {index: list(harness.append(topic, index, numbered(index, 3))) for index in range(2)}
        busy = _read(harness, source, 3)
        busy += source.poll(10, 0.2)
        require(all(batch.partition != rests for batch in busy), f"{rests} was paused, and poll returned its records")
        source.resume([rests])
        got = [one for batch in _read(harness, source, 3) for one in batch.offsets]
        require(got == expected[0], f"resumed before {expected[0]}, it read {got}")
        source.close()

    def test_after_a_seek_reading_goes_on_there(self, harness: SourceHarness) -> None:
        topic = harness.create_topic(1)
        offsets = list(harness.append(topic, 0, numbered(0, 5)))
        source, _ = _opened(harness, topic)
        if not isinstance(source, Seekable):
            source.close()
            pytest.skip("the source is not Seekable")
        _read(harness, source, 5)
        source.seek({Partition(topic, 0): offsets[2]})
        got = [one for batch in _read(harness, source, 3) for one in batch.offsets]
        require(got == offsets[2:], f"sought {offsets[2]}, it read {got}")
        source.close()


class _RefusedError(Exception):
    """What the suite raises in ``on_assigned``."""


def _opened(
    harness: SourceHarness, topic: str, start: Mapping[Partition, int] | None = None
) -> tuple[Source, Recorder]:
    source = harness.make_source(topic, f"group-of-{topic}")
    listener = Recorder(source, start or {})
    source.open(listener)
    return source, listener


def _read(harness: SourceHarness, source: Source, count: int, max_records: int = 100) -> list[RecordBatch]:
    """Poll until ``count`` records came; fail when they do not."""
    batches: list[RecordBatch] = []
    deadline = time.monotonic() + harness.patience
    while sum(map(len, batches)) < count:
        batches.extend(source.poll(max_records, 0.2))
        got = sum(map(len, batches))
        require(time.monotonic() < deadline or got >= count, f"{got} of {count} records came in {harness.patience} s")
    return batches


def _assigned(harness: SourceHarness, source: Source, listener: Recorder, count: int) -> None:
    """Poll until ``count`` partitions are assigned; nothing more may come out of the topic meanwhile."""
    deadline = time.monotonic() + harness.patience
    while len(listener.assigned) < count:
        require(not source.poll(100, 0.1), "records came that were read before")
        require(time.monotonic() < deadline, f"{len(listener.assigned)} of {count} partitions were assigned")
