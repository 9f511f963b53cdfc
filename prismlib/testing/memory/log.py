"""One partition of the in-memory broker: an append-only log with transactions, markers, gaps and a moving start."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from prismlib.records import Headers, Partition, RecordBatch


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One entry of a partition log.

    Attributes:
        offset: its place in the partition.
        timestamp_ms: as written.
        key: as written.
        value: as written; None is a tombstone.
        headers: as written, None when it has none.
        transaction: number of the transaction that wrote it, None outside any.
        control: it is a transaction's end marker, which takes an offset and is never read.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    transaction: int | None = None
    control: bool = False


class PartitionLog:
    """The records of one partition, as a ``read_committed`` reader sees them. Not locked: the broker's lock guards it."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._offsets: list[int] = []
        self._records: list[StoredRecord] = []
        self._open: dict[int, int] = {}
        self._aborted: set[int] = set()

    @property
    def last_stable_offset(self) -> int:
        """First offset of the oldest open transaction, or the end: readers see nothing from here on."""
        return min(self._open.values(), default=self.end)

    @property
    def start_timestamp_ms(self) -> int:
        """Timestamp of the first record still there, or -1."""
        return next((record.timestamp_ms for record in self._records if not record.control), -1)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        transaction: int | None = None,
    ) -> int:
        """Add a record and return its offset."""
        if transaction is not None:
            self._open.setdefault(transaction, self.end)
        return self._add(
            StoredRecord(self.end, timestamp_ms, key, value, tuple(headers) if headers else None, transaction)
        )

    def end_transaction(self, transaction: int, timestamp_ms: int, *, committed: bool) -> None:
        """Write the marker that makes the records of ``transaction`` visible, or hides them for good."""
        self._add(StoredRecord(self.end, timestamp_ms, None, None, None, transaction, control=True))
        del self._open[transaction]
        if not committed:
            self._aborted.add(transaction)

    def remove(self, offset: int) -> bool:
        """Take one record out, as compaction does; its offset stays unused. False when there is none."""
        place = bisect_left(self._offsets, offset)
        if place == len(self._offsets) or self._offsets[place] != offset:
            return False
        del self._offsets[place], self._records[place]
        return True

    def delete_before(self, offset: int) -> None:
        """Move the log start to ``offset`` (at most the end), as retention does."""
        self.start = max(self.start, min(offset, self.end))
        place = bisect_left(self._offsets, self.start)
        del self._offsets[:place], self._records[:place]

    def read(self, position: int, limit: int) -> tuple[list[StoredRecord], int]:
        """Visible records from ``position`` on, at most ``limit``, and where to go on: past what is never visible."""
        stable = self.last_stable_offset
        found: list[StoredRecord] = []
        for record in self._records[bisect_left(self._offsets, position) :]:
            if len(found) == limit:
                return found, found[-1].offset + 1
            if record.offset >= stable:
                break
            if not record.control and record.transaction not in self._aborted:
                found.append(record)
        return found, max(position, stable)

    def visible(self) -> list[StoredRecord]:
        """Everything that a ``read_committed`` reader can read now."""
        return self.read(self.start, len(self._records) + 1)[0]

    def _add(self, record: StoredRecord) -> int:
        self._offsets.append(record.offset)
        self._records.append(record)
        self.end = record.offset + 1
        return record.offset


def batch_of(partition: Partition, records: Sequence[StoredRecord]) -> RecordBatch:
    """Records of one partition in columns."""
    return RecordBatch(
        partition,
        [record.offset for record in records],
        [record.timestamp_ms for record in records],
        [record.key for record in records],
        [record.value for record in records],
        [record.headers for record in records],
    )
