"""Conformance of readers of streams, which commands look at dead letters with. Needs pytest.

    class TestMyReader(ReaderConformance):
        @pytest.fixture
        def harness(self) -> ReaderHarness:
            return MyHarness()

Nothing here measures time: ``patience`` only ends a wait that would otherwise never end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from threading import Timer
from typing import Protocol

import pytest

from prismlib.errors import RetryableError
from prismlib.plugin.hookspecs import StreamReader
from prismlib.records import Partition, RecordBatch
from prismlib.testing.clauses import proves, require
from prismlib.testing.written import Written, arrived, numbered, odd_records, require_equal_columns

__all__ = ["Ends", "ReaderConformance", "ReaderHarness", "Written"]

Ends = Callable[[bool], None]
"""Ends a transaction: True commits it, False aborts it."""


class ReaderHarness(Protocol):
    """What a plugin author supplies. One harness serves one test."""

    def create_stream(self, partitions: int) -> str:
        """A new, empty stream under a name of its own."""
        ...

    def append(self, stream: str, partition: int, records: Sequence[Written]) -> Sequence[int]:
        """Write records, durably and visibly, and return their offsets."""
        ...

    def transaction(self, stream: str, partition: int, records: Sequence[Written]) -> Ends | None:
        """Write records in a transaction that stays open, and return what ends it; None where there are none."""
        ...

    def make_reader(self) -> StreamReader:
        """A reader that is not open yet.

        A test closes what it opened unless it fails first: a fixture that yields closes everything once more.
        """
        ...

    def unreachable(self) -> AbstractContextManager[None] | None:
        """Inside it the servers do not answer, or None where there are none."""
        ...


class ReaderConformance:
    """The clauses ``RDR`` of :class:`prismlib.plugin.hookspecs.StreamReader`."""

    @proves("RDR-01")
    def test_rdr_01_partitions_are_all_of_a_stream(self, harness: ReaderHarness) -> None:
        stream = harness.create_stream(3)
        reader = _opened(harness)
        found = list(reader.partitions(stream))
        require(found == [Partition(stream, index) for index in range(3)], f"of 3 partitions it names {found}")
        found = list(reader.partitions(f"no-{stream}"))
        require(not found, f"of a stream that does not exist it names {found}")
        reader.close()

    @proves("RDR-02")
    def test_rdr_02_a_batch_is_records_of_one_partition(self, harness: ReaderHarness) -> None:
        _, offsets = _filled(harness)
        reader = _opened(harness)
        for batch in _read(reader, dict.fromkeys(offsets, 0)):
            require_equal_columns(batch)
            for offset, key in zip(batch.offsets, batch.keys, strict=True):
                index = batch.partition.index
                known = offsets.get(batch.partition, [])
                require(
                    offset in known and key == b"%d-%d" % (index, known.index(offset)),
                    f"the record with key {key!r} is in a batch of {batch.partition} at offset {offset}",
                )
        reader.close()

    @proves("RDR-03")
    def test_rdr_03_reading_begins_at_the_starts(self, harness: ReaderHarness) -> None:
        stream, offsets = _filled(harness)
        first, second = Partition(stream, 0), Partition(stream, 1)
        reader = _opened(harness)
        cases: list[tuple[dict[Partition, int], dict[Partition, list[int]]]] = [
            ({first: 0, second: 0}, offsets),
            ({first: offsets[first][2]}, {first: offsets[first][2:]}),
            ({first: offsets[first][-1], second: offsets[second][-1] + 1}, {first: offsets[first][-1:]}),
            ({}, {}),
        ]
        for starts, expected in cases:
            got = _offsets(_read(reader, starts))
            require(got == expected, f"from {_named(starts)} on there are {_named(expected)}, it read {_named(got)}")
        reader.close()

    @proves("RDR-04")
    def test_rdr_04_reading_ends_at_the_end_of_its_call(self, harness: ReaderHarness) -> None:
        stream, offsets = _filled(harness)
        reader = _opened(harness)
        reading = reader.read(dict.fromkeys(offsets, 0))
        for index in range(2):
            harness.append(stream, index, numbered(index, 3))
        got = _offsets([batch for batches in reading for batch in batches])
        require(got == offsets, f"when read was called there were {_named(offsets)}, it read {_named(got)}")
        reader.close()

    @proves("RDR-05")
    def test_rdr_05_transactions_are_waited_for(self, harness: ReaderHarness) -> None:
        stream = harness.create_stream(1)
        before, after = [Written(b"before", b"b")], [Written(b"after", b"a")]
        harness.append(stream, 0, before)
        reader = _opened(harness)
        expected = before
        for committed in (False, True):
            records = [Written(b"committed %s" % (b"no", b"yes")[committed], b"t")]
            end = harness.transaction(stream, 0, records)
            if end is None:
                reader.close()
                pytest.skip("there are no transactions")
            harness.append(stream, 0, after)
            expected = [*expected, *(records if committed else []), *after]
            timer = Timer(0.3, end, [committed])
            timer.start()
            got = arrived(_read(reader, {Partition(stream, 0): 0}))
            timer.join()
            values, wanted = [one.value for one in got], [one.value for one in expected]
            require(values == wanted, f"after a transaction, committed: {committed}, it read {values}, not {wanted}")
        for committed in (False, True):
            records = [Written(b"last", b"t")]
            end = harness.transaction(stream, 0, records)
            if end is not None:
                end(committed)
            expected = [*expected, *(records if committed else [])]
            values = [one.value for one in arrived(_read(reader, {Partition(stream, 0): 0}))]
            wanted = [one.value for one in expected]
            require(values == wanted, f"with a transaction at the end, committed: {committed}, it read {values}")
        reader.close()

    @proves("RDR-06")
    def test_rdr_06_records_arrive_as_they_were_written(self, harness: ReaderHarness) -> None:
        stream = harness.create_stream(1)
        written = odd_records()
        harness.append(stream, 0, written)
        reader = _opened(harness)
        got = arrived(_read(reader, {Partition(stream, 0): 0}))
        require(len(got) == len(written), f"{len(written)} records were written, and {len(got)} read")
        for sent, came in zip(written, got, strict=True):
            require(sent == came, f"written was {sent}, read {came}")
        reader.close()

    @proves("RDR-07")
    def test_rdr_07_reading_may_be_given_up(self, harness: ReaderHarness) -> None:
        _, offsets = _filled(harness)
        reader = _opened(harness)
        starts = dict.fromkeys(offsets, 0)
        for _ in range(2):
            first = list(islice(reader.read(starts), 1))
            require(first, "records are there, and it read none")
            got = _offsets(_read(reader, starts))
            require(got == offsets, f"after a reading was given up, {_named(got)} were read of {_named(offsets)}")
        reader.close()

    @proves("RDR-08")
    def test_rdr_08_servers_that_do_not_answer_are_retryable(self, harness: ReaderHarness) -> None:
        outage = harness.unreachable()
        if outage is None:
            pytest.skip("there is no server to lose")
        stream, offsets = _filled(harness)
        reader = _opened(harness)
        questions: list[Callable[[], object]] = [
            lambda: reader.partitions(stream),
            lambda: _read(reader, dict.fromkeys(offsets, 0)),
        ]
        with outage:
            for ask in questions:
                try:
                    answer = ask()
                except RetryableError:
                    pass
                else:
                    raise AssertionError(f"the servers do not answer, and the reader says {answer}")
        got = _offsets(_read(reader, dict.fromkeys(offsets, 0)))
        require(got == offsets, f"after the outage {_named(got)} were read of {_named(offsets)}")
        reader.close()

    @proves("RDR-09")
    def test_rdr_09_close_may_be_called_twice(self, harness: ReaderHarness) -> None:
        _, offsets = _filled(harness)
        reader = _opened(harness)
        got = _offsets(_read(reader, dict.fromkeys(offsets, 0)))
        require(got == offsets, f"{_named(got)} were read of {_named(offsets)}")
        reader.close()
        reader.close()


def _opened(harness: ReaderHarness) -> StreamReader:
    reader = harness.make_reader()
    reader.open()
    return reader


def _filled(harness: ReaderHarness) -> tuple[str, dict[Partition, list[int]]]:
    """A stream of two partitions, and where its records are."""
    stream = harness.create_stream(2)
    return stream, {
        Partition(stream, index): list(harness.append(stream, index, numbered(index, 4 + index))) for index in range(2)
    }


def _read(reader: StreamReader, starts: Mapping[Partition, int]) -> list[RecordBatch]:
    return [batch for batches in reader.read(starts) for batch in batches]


def _offsets(batches: Sequence[RecordBatch]) -> dict[Partition, list[int]]:
    found: dict[Partition, list[int]] = {}
    for batch in batches:
        found.setdefault(batch.partition, []).extend(batch.offsets)
    return dict(sorted(found.items()))


def _named(places: Mapping[Partition, object]) -> str:
    return ", ".join(f"{partition.index}: {where}" for partition, where in sorted(places.items())) or "nothing"
