"""The ledger as both in-memory sinks keep it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from prismlib.records import LedgerRow, Partition


class LedgerTable:
    """Newest ledger row per partition. Thread-safe; shared by all workers of one pipeline, outlives each of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[Partition, LedgerRow] = {}

    def load(self, partitions: Sequence[Partition]) -> dict[Partition, LedgerRow]:
        """The rows of those partitions that have one."""
        with self._lock:
            return {partition: self._rows[partition] for partition in partitions if partition in self._rows}

    def save(self, rows: Iterable[LedgerRow]) -> None:
        """Store rows; one of an older ledger epoch, or of the same and an older offset, is passed over."""
        with self._lock:
            for row in rows:
                stored = self._rows.get(row.partition)
                if stored is None or _age(row) >= _age(stored):
                    self._rows[row.partition] = row

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
