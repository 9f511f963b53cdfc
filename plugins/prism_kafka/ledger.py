"""The ledger topic ``prism.ledger.PIPELINE``: compacted, one partition.

    key flights[3]       {"topic": "flights", "partition": 3, "next_offset": 1041, ...}     one row of the ledger
    key note/170...-9f0c {"kind": "reset", "who": "ada@host", "what": "...", ...}           something to remember for good
    key worker/1         {"claim": "9f0c..."}                                               who is worker 1 now

Rows are written inside the sink's transactions, or by :meth:`LedgerTopic.save` at a first assignment. A claim is written
by every worker before its first transaction: whoever wrote the last one is the worker, and everybody before it is fenced.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from prism_kafka.cluster import Cluster, make_client
from prism_kafka.config import Options
from prism_kafka.failures import TRANSIENT, BrokerLog, client_logger, kafka_error
from prism_kafka.offsets import HANGING
from prism_kafka.settings import producer_settings, reader_settings
from prismlib.errors import FatalError, FencedError, RetryableError, UnreachableError
from prismlib.records import LedgerNote, LedgerRow, Partition

STABLE_SECONDS: Final = 75.0
_READ_SECONDS: Final = 60.0
_WRITE_SECONDS: Final = 30.0
_NOTE: Final = b"note/"


def ledger_topic(pipeline: str) -> str:
    """Name of a pipeline's ledger topic."""
    return f"prism.ledger.{pipeline}"


def row_key(row: LedgerRow) -> bytes:
    """The record key of a row."""
    return str(row.partition).encode()


def row_value(row: LedgerRow) -> bytes:
    """The record value of a row."""
    return orjson.dumps(
        {
            "topic": row.partition.stream,
            "partition": row.partition.index,
            "next_offset": row.next_offset,
            "epoch": row.epoch,
            "topic_id": row.topic_id,
            "timestamp_ms": row.timestamp_ms,
            "ledger_epoch": row.ledger_epoch,
            "written_ms": row.written_ms,
            "schema_id": row.schema_id,
            "mapping": row.mapping,
        }
    )


def _note_value(note: LedgerNote) -> bytes:
    return orjson.dumps(
        {
            "kind": note.kind,
            "at_ms": note.at_ms,
            "who": note.who,
            "what": note.what,
            "topic": note.stream,
            "partition": None if note.partition is None else note.partition.index,
            "first": note.first,
            "end": note.end,
        }
    )


def newest(rows: Iterable[LedgerRow]) -> dict[Partition, LedgerRow]:
    """The row of each partition that a successor must believe: highest ledger epoch, then highest offset."""
    found: dict[Partition, LedgerRow] = {}
    for row in rows:
        known = found.get(row.partition)
        if known is None or _age(row) >= _age(known):
            found[row.partition] = row
    return found


def _age(row: LedgerRow) -> tuple[int, int]:
    return row.ledger_epoch, row.next_offset


class LedgerTopic:
    """Reads and writes one pipeline's ledger for one worker, or for a command, which claims no name."""

    def __init__(self, cluster: Cluster, options: Options, *, pipeline: str, worker: str | None) -> None:
        """Nothing is connected yet; ``worker`` is None for a command."""
        self.topic = ledger_topic(pipeline)
        self._cluster = cluster
        self._reader = reader_settings(cluster.servers, options, group=f"prism.ledger.{pipeline}")
        # Not idempotent: the first record of such a producer waits 0.5 s, and a row written twice is the same row.
        client = f"prism-{pipeline}-{worker or '_ledger'}-ledger"
        self._writer = producer_settings(cluster.servers, options, client=client, limits=[]) | {
            "enable.idempotence": "false",
            "acks": "all",
            "max.in.flight.requests.per.connection": 1,
            "linger.ms": 0,
        }
        self._worker = None if worker is None else f"worker/{worker}".encode()
        self._pipeline, self._name = pipeline, worker
        self._claim = uuid.uuid4().hex
        self._looked = 0  # up to which offset claims were looked for
        self._last_claim = b""

    def claim(self) -> None:
        """Become the worker of this name, and fence whoever was it before. Raises RetryableError."""
        if self._worker is not None:
            self._write([(self._worker, orjson.dumps({"claim": self._claim}))])

    def is_ours(self) -> bool:
        """Whether nobody has become this worker since. Raises RetryableError."""
        end = self._end()
        if end < self._looked:
            self._looked = 0  # another topic of that name
        if end > self._looked:
            # Claims are written outside transactions, and one that was left open must not keep this answer waiting.
            fresh = self._read_to(end, "read_uncommitted", self._looked)
            self._last_claim = next((v for k, v in reversed(fresh) if k == self._worker), self._last_claim)
            self._looked = end
        return self._is_mine(self._last_claim)

    def fenced(self) -> FencedError:
        """What to raise when it is not ours."""
        return FencedError(
            f"another process has become worker {self._name!r} of pipeline {self._pipeline}; this one writes nothing more."
            " Give each worker a name of its own with --worker"
        )

    def _is_mine(self, claim: bytes) -> bool:
        return bool(claim) and orjson.loads(claim)["claim"] == self._claim

    def load(self, partitions: Sequence[Partition]) -> dict[Partition, LedgerRow]:
        """The newest row of each partition that has one. Raises RetryableError."""
        rows = newest(self._rows(self._read()))
        return {p: rows[p] for p in partitions if p in rows}

    def load_notes(self) -> list[LedgerNote]:
        """Every note, oldest first. Raises RetryableError."""
        # By key, because a note that was saved twice may not be compacted yet.
        notes = {key: value for key, value in self._read() if key.startswith(_NOTE)}
        return [_note(self.topic, key, notes[key]) for key in sorted(notes)]

    def save(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Write notes and rows outside any transaction, but for stale rows. Raises RetryableError, FencedError."""
        records = self._read()
        if self._worker is not None:
            claim = next((value for key, value in reversed(records) if key == self._worker), b"")
            if not self._is_mine(claim):
                raise self.fenced()
        known = newest(self._rows(records))
        fresh = [row for row in rows if row.partition not in known or _age(row) >= _age(known[row.partition])]
        # Notes first: what was noted and then not done is found out and done again; what was done and not noted is not.
        wanted = [(_NOTE + note.id.encode(), _note_value(note)) for note in notes]
        wanted += [(row_key(row), row_value(row)) for row in fresh]
        if wanted:
            self._write(wanted)

    def _rows(self, records: Iterable[tuple[bytes, bytes]]) -> Iterator[LedgerRow]:
        for key, value in records:
            if key.startswith((b"worker/", _NOTE)) or not value:
                continue
            yield _row(self.topic, key, value)

    def _write(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        failed: list[KafkaError] = []
        producer = make_client(
            Producer,
            self._writer,
            on_delivery=lambda error, _: failed.append(error),
            error_cb=BrokerLog(),
            logger=client_logger(),
        )
        for key, value in records:
            producer.produce(self.topic, value, key)
        try:
            left = producer.flush(_WRITE_SECONDS)
        except KafkaException as error:
            raise RetryableError(f"the ledger {self.topic} cannot be written: {kafka_error(error).str()}") from error
        if left:
            producer.purge()
            producer.poll(0)
            raise RetryableError(f"the ledger {self.topic} could not be written in {_WRITE_SECONDS:.0f} s")
        if failed:
            kind = RetryableError if failed[0].code() in TRANSIENT else FatalError
            raise kind(f"the ledger {self.topic} cannot be written: {failed[0].str()}")

    def _end(self) -> int:
        place = Partition(self.topic, 0)
        try:
            return self._cluster.ends([place])[place]
        except UnreachableError as error:
            raise RetryableError(str(error)) from error

    def _read(self) -> list[tuple[bytes, bytes]]:
        """Every committed record up to the end at this moment; waits for transactions open there."""
        place = Partition(self.topic, 0)
        end = self._end()
        try:
            if self._cluster.starts([place])[place] == end:
                return []
            self._wait_for_transactions(place, end)
        except UnreachableError as error:
            raise RetryableError(str(error)) from error
        return self._read_to(end, "read_committed")

    def _wait_for_transactions(self, place: Partition, end: int) -> None:
        deadline = time.monotonic() + STABLE_SECONDS
        while self._cluster.ends([place], stable=True)[place] < end:
            if time.monotonic() > deadline:
                raise RetryableError(
                    f"a transaction has been open on the ledger {self.topic} for {STABLE_SECONDS:.0f} s: most likely a"
                    f" worker was killed inside it; it ends with its transaction.timeout.ms; {HANGING}"
                )
            time.sleep(0.1)

    def _read_to(self, end: int, isolation: str, start: int = 0) -> list[tuple[bytes, bytes]]:
        settings = self._reader | {"isolation.level": isolation}
        reader = make_client(Consumer, settings, error_cb=BrokerLog(), logger=client_logger())
        deadline = time.monotonic() + _READ_SECONDS
        records: list[tuple[bytes, bytes]] = []
        try:
            reader.assign([TopicPartition(self.topic, 0, start)])
            while time.monotonic() < deadline:
                first = reader.poll(0.2)  # consume() alone would wait out its time
                if first is None:
                    continue
                for message in [first, *reader.consume(10_000, 0)]:
                    error = message.error()
                    if error is None:
                        records.append((message.key() or b"", message.value() or b""))
                    elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # a code of the client itself
                        _pass_transient(self.topic, error)
                    elif (message.offset() or 0) >= end:
                        return records
        except KafkaException as error:
            _pass_transient(self.topic, kafka_error(error))
        finally:
            reader.close()
        raise RetryableError(f"the ledger {self.topic} could not be read in {_READ_SECONDS:.0f} s")


class KafkaLedgerStore:
    """See :class:`prismlib.plugin.hookspecs.LedgerStore`."""

    atomic = True

    def __init__(self, servers: str, options: Options, *, pipeline: str) -> None:
        """Nothing is connected yet. Raises ConfigError when librdkafka refuses an option."""
        self._pipeline = pipeline
        self._cluster = Cluster(servers, options, client=f"prism-{pipeline}-_ledger")
        self._topic = LedgerTopic(self._cluster, options, pipeline=pipeline, worker=None)

    def open(self) -> None:
        """Look whether the ledger topic is there. Raises ConfigError, UnreachableError."""
        self._cluster.connect()
        self._cluster.limits([self._topic.topic], pipeline=self._pipeline)

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Read the ledger topic."""
        return self._topic.load(partitions)

    def load_notes(self) -> Sequence[LedgerNote]:
        """Read the ledger topic."""
        return self._topic.load_notes()

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Write to the ledger topic."""
        self._topic.save(rows, notes)

    def close(self) -> None:
        """Nothing is held between calls."""


def _pass_transient(topic: str, error: KafkaError) -> None:
    if error.code() not in TRANSIENT:
        raise FatalError(f"the ledger {topic} cannot be read: {error.str()}")


def _row(topic: str, key: bytes, value: bytes) -> LedgerRow:
    try:
        found: Mapping[str, Any] = orjson.loads(value)
        return LedgerRow(
            partition=Partition(str(found["topic"]), int(found["partition"])),
            next_offset=int(found["next_offset"]),
            epoch=int(found["epoch"]),
            topic_id=str(found["topic_id"]),
            timestamp_ms=int(found["timestamp_ms"]),
            ledger_epoch=int(found["ledger_epoch"]),
            written_ms=int(found["written_ms"]),
            schema_id=int(found.get("schema_id", -1)),
            mapping=str(found.get("mapping", "")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _foreign(topic, key) from error


def _note(topic: str, key: bytes, value: bytes) -> LedgerNote:
    try:
        found: Mapping[str, Any] = orjson.loads(value)
        stream, index = str(found["topic"]), found["partition"]
        return LedgerNote(
            kind=found["kind"],
            at_ms=int(found["at_ms"]),
            who=str(found["who"]),
            what=str(found["what"]),
            partition=None if index is None else Partition(stream, int(index)),
            stream=stream,
            first=int(found["first"]),
            end=int(found["end"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _foreign(topic, key) from error


def _foreign(topic: str, key: bytes) -> FatalError:
    return FatalError(
        f"the ledger {topic} holds a record that is no row of a ledger, key {key!r}; nothing but Prism may write there"
    )
