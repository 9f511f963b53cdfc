"""One plugin per clause, and more where a clause can be broken in several ways: each a good one with one planted defect."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

from prismlib.errors import DecodeError, UnwritableError
from prismlib.records import (
    Decoded,
    Documents,
    Encoded,
    LedgerRow,
    Normalized,
    Partition,
    RecordBatch,
    Row,
    WriteResult,
)
from prismlib.testing.memory import MemoryLog, MemoryReader, MemorySink, MemorySource, MemoryStore
from prismlib.testing.memory import MemoryTransactionalSink as TransactionalSink
from prismlib.testing.memory.log import batch_of
from tests.kit.harnesses import (
    JsonDecoder,
    JsonDecoderHarness,
    MemoryLogHarness,
    MemoryReaderHarness,
    MemorySinkHarness,
    MemorySourceHarness,
    MemoryTransactionalHarness,
    OrderEncoder,
    OrderEncoderHarness,
    OrderNormalizer,
    OrderNormalizerHarness,
)


@dataclass(frozen=True)
class Broken:
    """A plugin that must be found out: by which clause's test, and with which words."""

    clause: str
    part: type
    says: str
    harness: Callable[[Any], Any]


# Sources


class MixesPartitions(MemorySource):
    def poll(self, max_records, timeout):
        batches = super().poll(max_records, timeout)
        if len(batches) < 2:
            return batches
        names = ("offsets", "timestamps_ms", "keys", "values", "headers")
        return [
            RecordBatch(
                batches[0].partition, *[[one for batch in batches for one in getattr(batch, name)] for name in names]
            )
        ]


class ForgetsTimestamps(MemorySource):
    def poll(self, max_records, timeout):
        return [replace(batch, timestamps_ms=[]) for batch in super().poll(max_records, timeout)]


class SkipsARecordPerPoll(MemorySource):
    def poll(self, max_records, timeout):
        return [batch.slice(0, max(1, len(batch) - 1)) for batch in super().poll(max_records, timeout)]


class RepeatsTheLastRecord(MemorySource):
    def poll(self, max_records, timeout):
        batches = super().poll(max_records, timeout)
        self.seek({batch.partition: batch.offsets[-1] for batch in batches if len(batch) > 1})
        return batches


class _Listening(MemorySource):
    """Stands between the source and the listener."""

    def open(self, listener):
        self.listener = listener
        super().open(self)

    def on_assigned(self, partitions):
        return self.listener.on_assigned(partitions)

    def on_revoked(self, partitions):
        self.listener.on_revoked(partitions)

    def on_lost(self, partitions):
        self.listener.on_lost(partitions)


class StartsAtWhatIsCommitted(_Listening):
    def on_assigned(self, partitions):
        starts = dict(super().on_assigned(partitions))
        known = {one: found.next_offset for one, found in self.committed(partitions).items()}
        return starts | {one: offset for one, offset in known.items() if offset is not None}


class CommitsWhenItPolls(MemorySource):
    def poll(self, max_records, timeout):
        batches = super().poll(max_records, timeout)
        self.commit({batch.partition: batch.next_offset for batch in batches})
        return batches


class CommitsWhenItCloses(_Listening):
    def on_revoked(self, partitions):
        super().on_revoked(partitions)
        self.commit({one: self._positions[one] for one in partitions})


class CommitsForItselfOnly(MemorySource):
    def commit(self, next_offsets):
        self.mine = {**getattr(self, "mine", {}), **next_offsets}

    def committed(self, partitions):
        found = super().committed(partitions)
        mine = getattr(self, "mine", {})
        return {one: replace(found[one], next_offset=mine.get(one)) for one in partitions}


class HangsWhenIdle(MemorySource):
    def poll(self, max_records, timeout):
        batches = super().poll(max_records, timeout)
        if not batches and self._positions:
            Event().wait(3)
        return batches


class ReturnsNoneWhenIdle(MemorySource):
    def poll(self, max_records, timeout):
        return super().poll(max_records, timeout) or None


class IgnoresMaxRecords(MemorySource):
    def poll(self, max_records, timeout):
        return super().poll(1_000, timeout)


class SwallowsARefusal(_Listening):
    def on_assigned(self, partitions):
        with suppress(Exception):
            return super().on_assigned(partitions)
        return dict.fromkeys(partitions, 0)


class KeepsWhatWasRefused(_Listening):
    def on_assigned(self, partitions):
        try:
            return super().on_assigned(partitions)
        except Exception:
            self._positions.update(dict.fromkeys(partitions, 0))
            raise


class DropsHeaders(MemorySource):
    def poll(self, max_records, timeout):
        return [replace(one, headers=[None] * len(one)) for one in super().poll(max_records, timeout)]


class MakesEmptyValuesTombstones(MemorySource):
    def poll(self, max_records, timeout):
        return [replace(one, values=[v or None for v in one.values]) for one in super().poll(max_records, timeout)]


class LeavesWithoutAWord(_Listening):
    def on_revoked(self, partitions):
        pass


class RevokesAtEveryClose(_Listening):
    def close(self):
        assigned = sorted(self._positions) or getattr(self, "closed", [])
        super().close()
        if getattr(self, "closed", None):
            self.listener.commit_on_revoke = {}
            self.listener.on_revoked(assigned)
        self.closed = assigned


class RemembersHorizons(MemorySource):
    def horizons(self, partitions):
        self.cache = {**super().horizons(partitions), **getattr(self, "cache", {})}
        return {one: self.cache[one] for one in partitions}


class IdentifiesTopicsByTheirNames(MemorySource):
    def topic_ids(self, streams):
        return {stream: f"id of {stream}" if self._broker.has_topic(stream) else "" for stream in streams}


class LeavesOutMissingTopics(MemorySource):
    def topic_ids(self, streams):
        return {stream: found for stream, found in super().topic_ids(streams).items() if found}


# Decoders


class LeavesOutErrors(JsonDecoder):
    def decode(self, batch: RecordBatch) -> Decoded:
        decoded = super().decode(batch)
        return replace(decoded, rows=[row for index, row in enumerate(decoded.rows) if index not in decoded.errors])


class StopsAtTheFirstError(JsonDecoder):
    def decode(self, batch: RecordBatch) -> Decoded:
        decoded = super().decode(batch)
        if not decoded.errors:
            return decoded
        first = min(decoded.errors)
        return replace(decoded, rows=[row if i <= first else None for i, row in enumerate(decoded.rows)])


class MakesTombstonesErrors(JsonDecoder):
    def decode(self, batch: RecordBatch) -> Decoded:
        decoded = super().decode(batch)
        missing = {index: DecodeError("no value") for index, value in enumerate(batch.values) if value is None}
        return replace(decoded, errors={**decoded.errors, **missing})


class RaisesOnOddText(JsonDecoder):
    def one(self, value: bytes) -> dict[str, Any]:
        value.decode()
        return super().one(value)


class HangsOnZeros(JsonDecoder):
    def one(self, value: bytes) -> dict[str, Any]:
        if b"\x00" in value:
            Event().wait(3)
        return super().one(value)


class GrowsWithoutBound(JsonDecoder):
    def one(self, value: bytes) -> dict[str, Any]:
        if value == b"\xff" * 11:
            return {"items": bytearray(100 << 20)}
        return super().one(value)


class ConsumesTheBatch(JsonDecoder):
    def decode(self, batch: RecordBatch) -> Decoded:
        decoded = super().decode(batch)
        batch.values.clear()
        return decoded


class IgnoresWhatFollows(JsonDecoder):
    def one(self, value: bytes) -> dict[str, Any]:
        return super().one(value.rstrip(b"\x00"))


class TurnsTrueIntoOne(JsonDecoder):
    def one(self, value: bytes) -> dict[str, Any]:
        return {name: int(one) if one is True else one for name, one in super().one(value).items()}


class KeepsWhatItStoppedAt(JsonDecoder):
    def __init__(self) -> None:
        self.stops = []

    def decode(self, batch: RecordBatch) -> Decoded:
        decoded = super().decode(batch)
        if decoded.stop is not None:
            self.stops.append((batch, decoded))
        return decoded


class DecodesPastDrift(JsonDecoder):
    def decode(self, batch: RecordBatch) -> Decoded:
        decoded = super().decode(batch)
        if decoded.stop is None:
            return decoded
        rest = super().decode(batch.slice(decoded.stop[0] + 1, len(batch)))
        return replace(decoded, rows=[*decoded.rows, None, *rest.rows])


class TakesDriftForAnError(JsonDecoder):
    def decode(self, batch: RecordBatch) -> Decoded:
        values = [b"?" if value == b"D" else value for value in batch.values]
        return super().decode(replace(batch, values=values))


class RemembersWhatItSaw(JsonDecoder):
    def __init__(self) -> None:
        self.seen = 0

    def one(self, value: bytes) -> dict[str, Any]:
        self.seen += 1
        return {**super().one(value), "seen": self.seen}


# Normalizers


class LeavesOutMissingRows(OrderNormalizer):
    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:
        answer = super().normalize(batch, rows)
        return replace(answer, bodies=[body for body in answer.bodies if body is not None])


class ForgetsAnId(OrderNormalizer):
    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:
        answer = super().normalize(batch, rows)
        return replace(answer, ids=answer.ids[1:])


class GivesUpAtABadRow(OrderNormalizer):
    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:
        answer = super().normalize(batch, rows)
        return replace(answer, bodies=[None] * len(rows)) if answer.errors else answer


class MakesMissingRowsErrors(OrderNormalizer):
    def normalize(self, batch: RecordBatch, rows: Sequence[Row | None]) -> Normalized:
        answer = super().normalize(batch, [{} if row is None else row for row in rows])
        return replace(answer, ids=None)


class SharesAList(OrderNormalizer):
    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], list[str]] = {}

    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        body = super().one(row)
        return {**body, "tags": self._known.setdefault(tuple(body["tags"]), body["tags"])}


class ChangesTheRow(OrderNormalizer):
    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        body = super().one(row)
        row.pop("secret", None)
        return body


class ReadsMoreThanItSays(OrderNormalizer):
    reads = frozenset({"id", "tags"})


class NumbersItsEvents(OrderNormalizer):
    def __init__(self) -> None:
        self.count = 0

    def one(self, row: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        return {**super().one(row), "number": self.count}


# Encoders


class LeavesOutMissingBodies(OrderEncoder):
    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        answer = super().encode(bodies)
        return replace(answer, values=[value for value in answer.values if value is not None])


class EncodesWhatDoesNotFit(OrderEncoder):
    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        return Encoded([None if body is None else self.one(body) for body in bodies])


class EncodesNone(OrderEncoder):
    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        answer = super().encode(bodies)
        return replace(
            answer, values=[b"Jnull" if b is None else v for b, v in zip(bodies, answer.values, strict=True)]
        )


class DropsOddLetters(OrderEncoder):
    def one(self, body: dict[str, Any] | bytes) -> bytes:
        return super().one(body).replace(rb"\u00e4", b"a")


class WritesOneForTrue(OrderEncoder):
    def one(self, body: dict[str, Any] | bytes) -> bytes:
        return super().one(body).replace(b"true", b"1")


class ChangesTheBody(OrderEncoder):
    def one(self, body: dict[str, Any] | bytes) -> bytes:
        value = super().one(body)
        body.clear()
        return value


# Sinks


def _without(documents: Documents, keep: Callable[[int], bool]) -> Documents:
    def pick(column: Sequence[Any]) -> list[Any]:
        return [one for index, one in enumerate(column) if keep(index)]

    return Documents(
        documents.stream,
        *[pick(getattr(documents, name)) for name in ("sources", "offsets", "keys", "bodies", "ids", "versions")],
    )


class LosesTheLastDocument(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        return super().write(_without(documents, lambda index: index + 1 < len(documents)))


class DropsTheNeighboursOfABadOne(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        if not any(self._refuses(body) for body in documents.bodies if body is not None):
            return super().write(documents)
        return WriteResult(rejected=super().write(replace(documents, ids=["x"] * len(documents))).rejected)


class RejectsWhenBusy(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        answer = super().write(documents)
        return WriteResult({**answer.rejected, **{place: UnwritableError("busy") for place in answer.retry}})


class CountsPositionsSinceItWasOpened(MemorySink):
    written = 0

    def write(self, documents: Documents) -> WriteResult:
        answer = super().write(documents)
        shifted = {place + self.written: error for place, error in answer.rejected.items()}
        self.written += len(documents)
        return WriteResult(shifted, answer.retry)


class CountsPositionsInEachBufferedWrite(MemoryLog):
    def _append(self, documents, first, producer=None):
        return super()._append(documents, 0, producer)


class NamesWhatItRejectsTwice(MemoryLog):
    def write(self, documents: Documents) -> WriteResult:
        super().write(documents)
        bad = [place for place, body in enumerate(documents.bodies) if self._refuses(body)]
        return WriteResult(dict.fromkeys(bad, UnwritableError("known at once")))


class RejectsWhatIsThere(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        there = self.store.documents
        answer = super().write(documents)
        conflicts = {place: UnwritableError("409") for place, one in enumerate(documents.ids) if one in there}
        return WriteResult({**answer.rejected, **conflicts}, answer.retry)


class _Lawless(MemoryStore):
    """A server without versions."""

    def put(self, document_id, version, body):
        with self._lock:
            self._entries[document_id] = (version, body)


class LetsTheLastWriteWin(MemorySink):
    def __init__(self, store, **settings):
        super().__init__(store, **settings)
        store.put = lambda *document: _Lawless.put(store, *document)


class DeletesWhateverTheVersion(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        versions = [
            1 << 60 if body is None else version
            for version, body in zip(documents.versions, documents.bodies, strict=True)
        ]
        return super().write(replace(documents, versions=versions))


class WritesNoneAsAnEmptyBody(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        return super().write(replace(documents, bodies=[body or b"" for body in documents.bodies]))


class EncodesAgain(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        bodies = [json.dumps(json.loads(body), separators=(",", ":")).encode() for body in documents.bodies]
        return super().write(replace(documents, bodies=bodies))


class KeepsTheBodies(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        answer = super().write(documents)
        documents.bodies.clear()
        return answer


class SwallowsAnOutage(MemorySink):
    def write(self, documents: Documents) -> WriteResult:
        return super().write(documents) if self.store.reachable else WriteResult()


class StaysDownAfterAnOutage(MemorySink):
    down = False

    def write(self, documents: Documents) -> WriteResult:
        self.down = self.down or not self.store.reachable
        if self.down:
            self.store.reachable = False
        return super().write(documents)


class ClosesOnce(MemorySink):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("already closed")
        self.closed = True


class WritesOutsideTheTransaction(TransactionalSink):
    def _append(self, documents, first, producer=None):
        return MemoryLog._append(self, documents, first, None) if producer else self._outside(documents, first)

    def _outside(self, documents, first):
        for key, body in zip(documents.keys, documents.bodies, strict=True):
            self._broker.append(documents.stream, key, body)
        return {}


class CommitsWhenToldToAbort(TransactionalSink):
    def abort(self) -> None:
        self._buffer = []
        self._current().end(committed=True)


class KeepsTheBufferOfAnAborted(TransactionalSink):
    def abort(self) -> None:
        self._current().end(committed=False)


class SavesTheLedgerFirst(TransactionalSink):
    def commit(self, next_offsets: Mapping[Any, int], member: object, ledger_rows: Sequence[LedgerRow]) -> None:
        self.save_ledger(ledger_rows)
        super().commit(next_offsets, member, ())


class CommitsOffsetsAside(TransactionalSink):
    def commit(self, next_offsets: Mapping[Any, int], member: Any, ledger_rows: Sequence[LedgerRow]) -> None:
        self._broker.group(member.session.group).committed.update(next_offsets)
        super().commit(next_offsets, member, ledger_rows)


class ForgetsTheOffsets(TransactionalSink):
    def commit(self, next_offsets: Mapping[Any, int], member: object, ledger_rows: Sequence[LedgerRow]) -> None:
        super().commit({}, member, ledger_rows)


class FencesNobody(TransactionalSink):
    def open(self) -> None:
        self._worker = f"{self._worker}-{id(self)}"
        super().open()


class WantsAMember(TransactionalSink):
    def commit(self, next_offsets: Mapping[Any, int], member: Any, ledger_rows: Sequence[LedgerRow]) -> None:
        self._broker.group(member.session.group)
        super().commit(next_offsets, member, ledger_rows)


class ResetsTheGroup(TransactionalSink):
    def commit(self, next_offsets: Mapping[Any, int], member: Any, ledger_rows: Sequence[LedgerRow]) -> None:
        if not next_offsets:
            self._broker.group("group").committed.clear()
        super().commit(next_offsets, member, ledger_rows)


class KeepsTheLedgerInTheProcess(MemorySink):
    def __init__(self, store, **settings):
        super().__init__(store, **settings)
        self.rows: dict[Any, LedgerRow] = {}

    def load_ledger(self, partitions):
        return {one: self.rows[one] for one in partitions if one in self.rows}

    def save_ledger(self, rows, notes=()):
        self.rows.update({row.partition: row for row in rows})


class OverwritesTheLedger(MemorySink):
    def save_ledger(self, rows, notes=()):
        for row in rows:
            self.store.ledger.forget(row.partition)
        super().save_ledger(rows, notes)


class NeverResetsTheLedger(MemorySink):
    def save_ledger(self, rows, notes=()):
        super().save_ledger([replace(row, ledger_epoch=0) for row in rows], notes)


class ForgetsWhatWasLastRead(MemorySink):
    def save_ledger(self, rows, notes=()):
        super().save_ledger([replace(row, schema_id=-1, mapping="") for row in rows], notes)


class KeepsOneNote(MemorySink):
    def load_notes(self):
        return super().load_notes()[-1:]


class LoadsTheNewestNoteFirst(MemorySink):
    def load_notes(self):
        return super().load_notes()[::-1]


class LosesTheRangeOfANote(MemorySink):
    def save_ledger(self, rows, notes=()):
        super().save_ledger(rows, [replace(note, first=-1, end=-1) for note in notes])


class LosesRowsThatComeWithNotes(MemorySink):
    def save_ledger(self, rows, notes=()):
        super().save_ledger(() if notes else rows, notes)


class NumbersItsNotes(MemorySink):
    saved = 0

    def save_ledger(self, rows, notes=()):
        self.saved += 1
        super().save_ledger(rows, [replace(note, at_ms=note.at_ms + self.saved) for note in notes])

    def load_notes(self):
        return [replace(note, at_ms=note.at_ms - number) for number, note in enumerate(super().load_notes(), 1)]


class DropsNotesOfStaleRows(MemorySink):
    def save_ledger(self, rows, notes=()):
        super().save_ledger(rows)
        known = self.store.ledger.rows()
        if all(known[row.partition] == row for row in rows):
            super().save_ledger((), notes)


class NeverLooksForASuccessor(TransactionalSink):
    def check_claim(self):
        pass


class FencesByTheGroupAlone(TransactionalSink):
    def save_ledger(self, rows, notes=()):
        self.ledger.save(rows, notes)


# Readers


class NamesMissingStreams(MemoryReader):
    def partitions(self, stream):
        return super().partitions(stream) or [Partition(stream, 0)]


class NamesOnePartition(MemoryReader):
    def partitions(self, stream):
        return super().partitions(stream)[:1]


class JoinsPartitions(MemoryReader):
    def read(self, starts):
        batches = [batch for read in super().read(starts) for batch in read]
        names = ("offsets", "timestamps_ms", "keys", "values", "headers")
        columns = [[one for batch in batches for one in getattr(batch, name)] for name in names]
        return iter([[RecordBatch(batches[0].partition, *columns)]])


class StartsAtTheBeginning(MemoryReader):
    def read(self, starts):
        return super().read(dict.fromkeys(starts, 0))


class ReadsTheLastRecordTwice(MemoryReader):
    def read(self, starts):
        for read in super().read(starts):
            yield read
            yield [read[-1].slice(len(read[-1]) - 1, len(read[-1]))]


class LooksForTheEndLater(MemoryReader):
    def read(self, starts):
        yield from super().read(starts)


class ReadsUncommitted(MemoryReader):
    def _batch(self, partition, position, end):
        records = [one for one in self._broker.log(partition)._records if position <= one.offset < end]
        return batch_of(partition, [one for one in records if not one.control]), end


class StopsAtATransaction(MemoryReader):
    def read(self, starts):
        ends = {one: self._broker.log(one).last_stable_offset for one in starts}
        return self._read(starts, ends)


class ForgetsHeaders(MemoryReader):
    def read(self, starts):
        return ([replace(one, headers=[None] * len(one)) for one in read] for read in super().read(starts))


class ReadsOnce(MemoryReader):
    reading = None

    def read(self, starts):
        self.reading = self.reading or super().read(starts)
        return self.reading


class FindsNothingInAnOutage(MemoryReader):
    def read(self, starts):
        return super().read(starts) if self._broker.reachable else iter(())


class StaysAway(MemoryReader):
    away = False

    def read(self, starts):
        self.away = self.away or not self._broker.reachable
        return super().read({} if self.away and self._broker.reachable else starts)


class ClosesTheReaderOnce(MemoryReader):
    closed = False

    def close(self):
        if self.closed:
            raise ValueError("already closed")
        self.closed = True


def _impatient(part: type[MemorySource]) -> MemorySourceHarness:
    return MemorySourceHarness(part, patience=0.5)


def _impatient_decoder(part: type[JsonDecoder]) -> JsonDecoderHarness:
    return JsonDecoderHarness(part, patience=0.5)


def _buffered_log(part: type[MemoryLog]) -> MemoryLogHarness:
    return MemoryLogHarness(part, buffers=True)


BROKEN = [
    Broken("SRC-01", MixesPartitions, "do not ascend", MemorySourceHarness),
    Broken("SRC-01", ForgetsTimestamps, "lengths", MemorySourceHarness),
    Broken("SRC-02", SkipsARecordPerPoll, "records came in", _impatient),
    Broken("SRC-02", RepeatsTheLastRecord, "and read at", MemorySourceHarness),
    Broken("SRC-03", StartsAtWhatIsCommitted, "records came in", _impatient),
    Broken("SRC-04", CommitsWhenItPolls, "nobody called commit", MemorySourceHarness),
    Broken("SRC-04", CommitsWhenItCloses, "nobody called commit", MemorySourceHarness),
    Broken("SRC-05", CommitsForItselfOnly, "nothing for 1", MemorySourceHarness),
    Broken("SRC-06", HangsWhenIdle, "did not return", _impatient),
    Broken("SRC-06", ReturnsNoneWhenIdle, "returned None", MemorySourceHarness),
    Broken("SRC-07", IgnoresMaxRecords, "30 records at once", MemorySourceHarness),
    Broken("SRC-08", SwallowsARefusal, "let through None", MemorySourceHarness),
    Broken("SRC-08", KeepsWhatWasRefused, "of a refused partition", MemorySourceHarness),
    Broken("SRC-09", DropsHeaders, "written was", MemorySourceHarness),
    Broken("SRC-09", MakesEmptyValuesTombstones, "written was", MemorySourceHarness),
    Broken("SRC-10", LeavesWithoutAWord, "called on_revoked with", MemorySourceHarness),
    Broken("SRC-10", RevokesAtEveryClose, "second close", MemorySourceHarness),
    Broken("SRC-11", RemembersHorizons, "horizons says", MemorySourceHarness),
    Broken("SRC-12", IdentifiesTopicsByTheirNames, "horizons and the missing topic make", MemorySourceHarness),
    Broken("SRC-12", LeavesOutMissingTopics, "horizons and the missing topic make", MemorySourceHarness),
    Broken("DEC-01", LeavesOutErrors, "rows", JsonDecoderHarness),
    Broken("DEC-02", StopsAtTheFirstError, "expected the rows", JsonDecoderHarness),
    Broken("DEC-02", TurnsTrueIntoOne, "'paid': 1", JsonDecoderHarness),
    Broken("DEC-03", MakesTombstonesErrors, "tombstones were reported", JsonDecoderHarness),
    Broken("DEC-04", RaisesOnOddText, "UnicodeDecodeError", JsonDecoderHarness),
    Broken("DEC-04", HangsOnZeros, "did not return", _impatient_decoder),
    Broken("DEC-04", GrowsWithoutBound, "bytes of memory", JsonDecoderHarness),
    Broken("DEC-04", KeepsWhatItStoppedAt, "bytes are left", JsonDecoderHarness),
    Broken("DEC-05", ConsumesTheBatch, "the batch was", JsonDecoderHarness),
    Broken("DEC-06", IgnoresWhatFollows, "was ignored", JsonDecoderHarness),
    Broken("DEC-07", DecodesPastDrift, "expected the rows before it", JsonDecoderHarness),
    Broken("DEC-07", TakesDriftForAnError, "stop is None", JsonDecoderHarness),
    Broken("DEC-08", RemembersWhatItSaw, "a later one", JsonDecoderHarness),
    Broken("NRM-01", LeavesOutMissingRows, "bodies", OrderNormalizerHarness),
    Broken("NRM-01", ForgetsAnId, "ids", OrderNormalizerHarness),
    Broken("NRM-02", GivesUpAtABadRow, "expected", OrderNormalizerHarness),
    Broken("NRM-03", MakesMissingRowsErrors, "were reported", OrderNormalizerHarness),
    Broken("NRM-04", SharesAList, "hold the very same", OrderNormalizerHarness),
    Broken("NRM-04", ChangesTheRow, "the rows were", OrderNormalizerHarness),
    Broken("NRM-05", ReadsMoreThanItSays, "with only", OrderNormalizerHarness),
    Broken("NRM-06", NumbersItsEvents, "a later one", OrderNormalizerHarness),
    Broken("ENC-01", LeavesOutMissingBodies, "values", OrderEncoderHarness),
    Broken("ENC-02", EncodesWhatDoesNotFit, "does not fit", OrderEncoderHarness),
    Broken("ENC-03", EncodesNone, "the values were", OrderEncoderHarness),
    Broken("ENC-04", DropsOddLetters, "read back", OrderEncoderHarness),
    Broken("ENC-04", WritesOneForTrue, "'paid': 1", OrderEncoderHarness),
    Broken("ENC-05", ChangesTheBody, "the bodies were", OrderEncoderHarness),
    Broken("SNK-01", LosesTheLastDocument, "a reader finds", MemorySinkHarness),
    Broken("SNK-02", DropsTheNeighboursOfABadOne, "expected the two good documents", MemorySinkHarness),
    Broken("SNK-03", RejectsWhenBusy, "was rejected", MemorySinkHarness),
    Broken("SNK-04", CountsPositionsSinceItWasOpened, "position 2 is bad", MemorySinkHarness),
    Broken("SNK-04", CountsPositionsInEachBufferedWrite, "1 and 5 are bad", _buffered_log),
    Broken("SNK-04", NamesWhatItRejectsTwice, "named by write, and by flush again", _buffered_log),
    Broken("SNK-05", RejectsWhatIsThere, "writing the same documents", MemorySinkHarness),
    Broken("SNK-06", LetsTheLastWriteWin, "a reader finds", MemorySinkHarness),
    Broken("SNK-07", DeletesWhateverTheVersion, "expected `kept` and `back`", MemorySinkHarness),
    Broken("SNK-07", WritesNoneAsAnEmptyBody, "expected `kept` and `back`", MemorySinkHarness),
    Broken("SNK-08", EncodesAgain, "sent was", MemorySinkHarness),
    Broken("SNK-08", KeepsTheBodies, "the documents were", MemorySinkHarness),
    Broken("SNK-09", SwallowsAnOutage, "does not answer", MemorySinkHarness),
    Broken("SNK-09", StaysDownAfterAnOutage, "RetryableError", MemorySinkHarness),
    Broken("SNK-10", ClosesOnce, "already closed", MemorySinkHarness),
    Broken("TXN-01", WritesOutsideTheTransaction, "before commit a reader finds", MemoryTransactionalHarness),
    Broken("TXN-02", CommitsWhenToldToAbort, "were aborted", MemoryTransactionalHarness),
    Broken("TXN-02", KeepsTheBufferOfAnAborted, "were aborted", MemoryTransactionalHarness),
    Broken("TXN-03", SavesTheLedgerFirst, "a refused commit changed", MemoryTransactionalHarness),
    Broken("TXN-03", CommitsOffsetsAside, "a refused commit changed", MemoryTransactionalHarness),
    Broken("TXN-03", ForgetsTheOffsets, "expected (['0'], 7, 7)", MemoryTransactionalHarness),
    Broken("TXN-04", FencesNobody, "successor is open committed", MemoryTransactionalHarness),
    Broken("TXN-05", WantsAMember, "AttributeError", MemoryTransactionalHarness),
    Broken("TXN-05", ResetsTheGroup, "expected (['0'], 3, 3)", MemoryTransactionalHarness),
    Broken("LED-01", KeepsTheLedgerInTheProcess, "a successor loads", MemorySinkHarness),
    Broken("LED-01", ForgetsWhatWasLastRead, "a successor loads", MemorySinkHarness),
    Broken("LED-02", OverwritesTheLedger, "an older offset", MemorySinkHarness),
    Broken("LED-02", NeverResetsTheLedger, "a reset backwards", MemorySinkHarness),
    Broken("LED-03", KeepsOneNote, "a successor loads", MemorySinkHarness),
    Broken("LED-03", LoadsTheNewestNoteFirst, "a successor loads", MemorySinkHarness),
    Broken("LED-03", LosesTheRangeOfANote, "a successor loads", MemorySinkHarness),
    Broken("LED-03", LosesRowsThatComeWithNotes, "beside the notes", MemorySinkHarness),
    Broken("LED-04", NumbersItsNotes, "saved twice", MemorySinkHarness),
    Broken("LED-05", DropsNotesOfStaleRows, "came with a stale row", MemorySinkHarness),
    Broken("CLM-01", NeverLooksForASuccessor, "still its own", MemoryTransactionalHarness),
    Broken("CLM-02", FencesByTheGroupAlone, "stored a ledger row", MemoryTransactionalHarness),
    Broken("RDR-01", NamesMissingStreams, "does not exist", MemoryReaderHarness),
    Broken("RDR-01", NamesOnePartition, "of 3 partitions", MemoryReaderHarness),
    Broken("RDR-02", JoinsPartitions, "do not ascend", MemoryReaderHarness),
    Broken("RDR-03", StartsAtTheBeginning, "on there are", MemoryReaderHarness),
    Broken("RDR-03", ReadsTheLastRecordTwice, "on there are", MemoryReaderHarness),
    Broken("RDR-04", LooksForTheEndLater, "when read was called", MemoryReaderHarness),
    Broken("RDR-05", ReadsUncommitted, "committed: False", MemoryReaderHarness),
    Broken("RDR-05", StopsAtATransaction, "committed: False", MemoryReaderHarness),
    Broken("RDR-06", ForgetsHeaders, "written was", MemoryReaderHarness),
    Broken("RDR-07", ReadsOnce, "was given up", MemoryReaderHarness),
    Broken("RDR-08", FindsNothingInAnOutage, "do not answer", MemoryReaderHarness),
    Broken("RDR-08", StaysAway, "after the outage", MemoryReaderHarness),
    Broken("RDR-09", ClosesTheReaderOnce, "already closed", MemoryReaderHarness),
]
