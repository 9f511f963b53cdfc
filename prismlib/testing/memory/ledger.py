"""The ledger as both in-memory sinks keep it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from prismlib.records import LedgerNote, LedgerRow, Partition


class LedgerTable:
    """Newest ledger row per partition, and notes. Thread-safe; shared by all workers of a pipeline, outlives each of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[Partition, LedgerRow] = {}
        self._notes: dict[str, LedgerNote] = {}

    def load(self, partitions: Sequence[Partition]) -> dict[Partition, LedgerRow]:
        """The rows of those partitions that have one."""
        with self._lock:
            return {partition: self._rows[partition] for partition in partitions if partition in self._rows}

    def save(self, rows: Iterable[LedgerRow], notes: Iterable[LedgerNote] = ()) -> None:
        """Store them; a row of an older ledger epoch, or of the same and an older offset, is passed over."""
        with self._lock:
            for row in rows:
                stored = self._rows.get(row.partition)
                if stored is None or _age(row) >= _age(stored):
                    self._rows[row.partition] = row
            self._notes |= {note.id: note for note in notes}

    def notes(self) -> list[LedgerNote]:
        """All notes, oldest first."""
        with self._lock:
            return [self._notes[one] for one in sorted(self._notes)]

    def rows(self) -> dict[Partition, LedgerRow]:
        """All rows."""
        with self._lock:
            return dict(self._rows)

    def forget(self, partition: Partition) -> None:
        """Lose one row, to test what happens then."""
        with self._lock:
            self._rows.pop(partition, None)


def _age(row: LedgerRow) -> tuple[int, int]:
    return row.ledger_epoch, row.next_offset
