"""What travels along the route: column batches, never one Python object per record.

    RecordBatch  --decode-->  Decoded (rows)  --normalize-->  Normalized (events)  --encode-->  Documents  --write-->

Every column of one value has the same length, and row ``i`` of a stage's result belongs to row ``i`` of what that same
call was given. Nothing mutates what it was given.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from prismlib.errors import RecordError, SchemaDriftError

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
"""Name and value of each header, in order; a name may occur twice."""
Row: TypeAlias = dict[str, Any] | bytes
"""One decoded record: a dict shaped by the reader schema, or the payload itself when nothing of it is read."""


class Partition(NamedTuple):
    """One partition of one stream (a Kafka topic)."""

    stream: str
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody needs here

    def __str__(self) -> str:
        return f"{self.stream}[{self.index}]"


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records of one partition, in offset order. Offsets may have gaps (compaction, transactions).

    Attributes:
        partition: where all of them come from.
        offsets: ascending.
        timestamps_ms: record timestamps, milliseconds since the epoch; -1 where the record has none.
        keys: record keys.
        values: record values; None is a tombstone.
        headers: record headers, None where a record has none.
    """

    partition: Partition
    offsets: Sequence[int]
    timestamps_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers | None]

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def next_offset(self) -> int:
        """What to commit once the whole batch is settled."""
        return self.offsets[-1] + 1

    def slice(self, start: int, stop: int) -> RecordBatch:
        """Rows ``start`` up to, not including, ``stop``."""
        part = slice(start, stop)
        return RecordBatch(
            self.partition,
            self.offsets[part],
            self.timestamps_ms[part],
            self.keys[part],
            self.values[part],
            self.headers[part],
        )


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder made of one batch.

    Attributes:
        rows: one per record of the batch, or, with ``stop``, one per record before it. None for a tombstone and for a
            row that is in ``errors``.
        errors: the records that cannot be decoded, by row.
        stop: the first row that meets schema drift, and why; that row and all after it stay unread.
    """

    rows: Sequence[Row | None]
    errors: Mapping[int, RecordError] = field(default_factory=dict)
    stop: tuple[int, SchemaDriftError] | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """How far one value can be decoded, for people.

    Attributes:
        fields: dotted path and value of every field that was read before the fault, in the order of the payload; all of
            them when nothing is wrong.
        error: what is wrong, or None; its ``field`` is the path at fault where it is known.
        at: the byte of the value (its registry header included) at which reading failed, or None where that is not known.
    """

    fields: Sequence[tuple[str, Any]]
    error: RecordError | SchemaDriftError | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Normalized:
    """What a normalizer made of the rows of one batch.

    Attributes:
        bodies: one standard event (a dict, or JSON bytes that pass through) per row; None for a tombstone, for a row
            that the mapping filters out, and for a row that is in ``errors``.
        ids: the business id of each event, or None when the pipeline's events have none.
        errors: the rows that cannot be normalized.
    """

    bodies: Sequence[dict[str, Any] | bytes | None]
    ids: Sequence[str | None] | None = None
    errors: Mapping[int, RecordError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder made of bodies.

    Attributes:
        values: one per body; None for a body that is None or in ``errors``.
        errors: the bodies that do not fit the schema, by position.
    """

    values: Sequence[bytes | None]
    errors: Mapping[int, RecordError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Documents:
    """Documents on their way into one stream of a sink; columns may join rows of several partitions.

    Attributes:
        stream: the destination: a topic, or an alias.
        sources: the partition that each document comes from.
        offsets: its offset there.
        keys: record key for the destination.
        bodies: encoded documents; None deletes what the key or id names.
        ids: document ids; empty unless the sink's policy asks for ``versioned`` documents.
        versions: ``epoch << 44 | next offset``, the same rule as ``ids``.
        headers: record headers for the destination; empty when no document has any.
    """

    stream: str
    sources: Sequence[Partition]
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    bodies: Sequence[bytes | None]
    ids: Sequence[str] = ()
    versions: Sequence[int] = ()
    headers: Sequence[Headers | None] = ()

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def body_bytes(self) -> int:
        """Bytes of all bodies together."""
        return sum(map(len, filter(None, self.bodies)))


@dataclass(frozen=True, slots=True)
class Retry:
    """The sink could not take this document now.

    Attributes:
        reason: for the log, such as ``"429 es_rejected_execution_exception"``.
        retry_after: seconds the server asked to wait, or None.
    """

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of the documents of one call to :meth:`Sink.write`.

    A document that is in neither mapping is delivered, or, for a sink whose policy says ``buffers``, on its way until
    the next ``flush``.

    Attributes:
        rejected: refused for good, by position in the call's documents.
        retry: not taken this time, by position.
    """

    rejected: Mapping[int, RecordError] = field(default_factory=dict)
    retry: Mapping[int, Retry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What Prism itself remembers of one source partition.

    Attributes:
        partition: the source partition.
        next_offset: the first record that is not settled yet.
        epoch: number of this topic's incarnation, from 0; raised when a re-created topic is accepted.
        topic_id: the broker's id of the topic, "" where the source has none.
        timestamp_ms: timestamp of the last settled record, -1 when there was none yet.
        ledger_epoch: raised by each reset, so that a reset backwards is not refused as stale.
        written_ms: when the row was written, milliseconds since the epoch.
        schema_id: registry id of the schema that was last read there, -1 where records have none or none was read.
        mapping: fingerprint of the route that read it, "" where nobody knows; tells whether a mapping has changed since.
    """

    partition: Partition
    next_offset: int
    epoch: int = 0
    topic_id: str = ""
    timestamp_ms: int = -1
    ledger_epoch: int = 0
    written_ms: int = 0
    schema_id: int = -1
    mapping: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of one partition that were deleted before they were read.

    Attributes:
        partition: where.
        first: the first offset that is gone.
        end: the offset after the last one: where the log starts now.
        from_ms: timestamp of the last record that was settled before, -1 where nobody knows.
        to_ms: timestamp of the first record that is still there, -1 where there is none.
    """

    partition: Partition
    first: int
    end: int
    from_ms: int = field(default=-1, compare=False)
    to_ms: int = field(default=-1, compare=False)

    @property
    def records(self) -> int:
        """At most how many records are gone: offsets have gaps."""
        return self.end - self.first

    def __str__(self) -> str:
        """As ``--accept-loss`` takes it: ``flights[3]:1041-2208``."""
        return f"{self.partition}:{self.first}-{self.end}"

    @classmethod
    def parse(cls, text: str) -> Loss:
        """What ``str`` made. Raises ValueError."""
        found = re.fullmatch(r"(.+)\[([0-9]{1,9})\]:([0-9]{1,18})-([0-9]{1,18})", text)
        if found is None:
            raise ValueError(
                f"{text!r} is no range of records; write TOPIC[PARTITION]:FIRST-END, as the refusal shows it"
            )
        stream, index, first, end = found.groups()
        if int(first) >= int(end):
            raise ValueError(
                f"{text!r} is an empty range: END is the offset after the last record, so it is above FIRST"
            )
        return cls(Partition(stream, int(index)), int(first), int(end))


NoteKind: TypeAlias = Literal["accepted-loss", "accepted-recreated", "reset", "restored", "paused", "resumed"]


@dataclass(frozen=True, slots=True)
class LedgerNote:
    """Something about a pipeline's progress that somebody will ask for later; kept in its ledger for good.

    Attributes:
        kind: what happened.
        at_ms: when, milliseconds since the epoch.
        who: user and host, or the worker.
        what: one sentence.
        partition: of which partition; None for a whole topic or pipeline.
        stream: the topic, always that of ``partition`` where there is one; "" for the whole pipeline.
        first: first offset that it is about, -1 where it is about none.
        end: the offset after the last one, -1 likewise.
    """

    kind: NoteKind
    at_ms: int
    who: str
    what: str
    partition: Partition | None = None
    stream: str = ""
    first: int = -1
    end: int = -1

    def __post_init__(self) -> None:
        if self.partition is not None:
            object.__setattr__(self, "stream", self.partition.stream)

    @property
    def id(self) -> str:
        """The same for an equal note, so that a ledger can save it twice and keep it once; sorts by time."""
        index = None if self.partition is None else self.partition.index
        content = json.dumps([self.kind, self.who, self.what, index, self.stream, self.first, self.end])
        return f"{self.at_ms:013d}-{hashlib.sha256(content.encode()).hexdigest()[:20]}"
