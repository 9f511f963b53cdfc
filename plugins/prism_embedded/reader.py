"""Reads topics from a place to their end, without a group: for looking at dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prism_embedded import topics
from prism_embedded.database import Database
from prismlib.records import Partition, RecordBatch


class EmbeddedReader:
    """A StreamReader."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet; ``path`` is that of the file."""
        self._database = Database(path)

    def open(self) -> None:
        """Open the file."""
        self._database.open()

    def partitions(self, stream: str) -> Sequence[Partition]:
        """All partitions of a topic, ascending; none when there is no such topic."""
        with self._database.snapshot() as connection:
            return list(topics.numbers(topics.find(connection, [stream])))

    def read(self, starts: Mapping[Partition, int]) -> Iterator[Sequence[RecordBatch]]:
        """Everything from each partition's offset to its end at this moment; partitions that are gone have nothing."""
        with self._database.snapshot() as connection:
            found = topics.find(connection, {partition.stream for partition in starts})
            numbers = topics.numbers(found)
            ends = {partition: horizon.end for partition, horizon in topics.horizons(connection, found).items()}
        there = {p: start for p, start in starts.items() if p in numbers}
        return ([batch] for batch in topics.read_all(self._database, numbers, there, ends))

    def close(self) -> None:
        """Let go."""
        self._database.close()
