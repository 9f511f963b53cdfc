"""A reader of the in-memory broker, outside any group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prismlib.errors import RetryableError, UnreachableError
from prismlib.records import Partition, RecordBatch
from prismlib.testing.memory.broker import MemoryBroker
from prismlib.testing.memory.log import batch_of


class MemoryReader:
    """See :class:`prismlib.plugin.hookspecs.StreamReader`."""

    BATCH: Final = 500

    def __init__(self, broker: MemoryBroker, *, stable_timeout: float = 5.0) -> None:
        """Prepare.

        Args:
            broker: where the streams are.
            stable_timeout: seconds to wait for an open transaction.
        """
        self._broker = broker
        self._stable_timeout = stable_timeout

    def open(self) -> None:
        """See StreamReader."""
        if not self._broker.reachable:
            raise UnreachableError("the in-memory broker is unreachable: set its `reachable` to True")

    def partitions(self, stream: str) -> Sequence[Partition]:
        """See StreamReader."""
        self._broker.require_reachable()
        with self._broker.changed:
            return self._broker.partitions(stream) if self._broker.has_topic(stream) else []

    def read(self, starts: Mapping[Partition, int]) -> Iterator[Sequence[RecordBatch]]:
        """See StreamReader."""
        self._broker.require_reachable()
        ends = {partition: self._broker.horizon(partition).end for partition in starts}
        return self._read(starts, ends)

    def close(self) -> None:
        """See StreamReader."""

    def _read(self, starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> Iterator[Sequence[RecordBatch]]:
        for partition, start in starts.items():
            position = start
            while position < ends[partition]:
                batch, position = self._batch(partition, position, ends[partition])
                if batch is not None:
                    yield [batch]

    def _batch(self, partition: Partition, position: int, end: int) -> tuple[RecordBatch | None, int]:
        broker = self._broker
        broker.require_reachable()
        with broker.changed:
            log = broker.log(partition)
            if not broker.changed.wait_for(lambda: log.last_stable_offset >= end, self._stable_timeout):
                raise RetryableError(f"a transaction stays open on {partition}: commit or abort it")
            records, position = log.read(position, self.BATCH)
        records = [record for record in records if record.offset < end]
        return (batch_of(partition, records) if records else None), position
