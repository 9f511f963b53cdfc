"""The log for programs: producers, tests, a tutorial.

from prism_embedded import EmbeddedLog

with EmbeddedLog(".prism") as log:
    log.create_topic("flights", partitions=3)
    log.append("flights", [(b"UA1545", b"..."), (b"AA1141", b"...", [("trace", b"7")], 1_357_034_400_000)])
    for batch in log.read("flights"):
        print(batch.partition, batch.offsets, batch.values)
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from prism_embedded import topics
from prism_embedded.database import Database, file_in
from prism_embedded.topics import DEFAULT_PARTITIONS, MAX_RECORD_BYTES, Columns, Topic
from prismlib.errors import ConfigError
from prismlib.records import Headers, Partition, RecordBatch

Record: TypeAlias = (
    tuple[bytes | None, bytes | None]
    | tuple[bytes | None, bytes | None, Headers | None]
    | tuple[bytes | None, bytes | None, Headers | None, int | None]
)
"""(key, value), (key, value, headers) or (key, value, headers, timestamp in ms since the epoch). A value of None is a
tombstone; a timestamp that is missing is now."""

CHUNK: Final = 5_000
"""Records in one transaction of :meth:`EmbeddedLog.append`."""


class EmbeddedLog:
    """Topics in one file. Every method is one transaction, but for ``append`` and ``read``, which make one a chunk.

    Methods raise ConfigError for a topic that does not exist, RetryableError while another process holds the write lock for
    long or the disk is full, and FatalError for a file that is damaged or gone.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, and create it and its folder where they are missing.

        Args:
            path: the folder of ``[storage] path``, or the file itself, which ends with ``.db``.

        Raises:
            ConfigError: it cannot be used; says why.
            UnreachableError: it is locked.
        """
        self.path = file_in(Path(path))
        self._database = Database(self.path)
        self._database.open(create=True)
        self._turns = itertools.count(random.randrange(1 << 16))  # noqa: S311  # spreads what single calls write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._database.close()

    # --- topics --------------------------------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int = DEFAULT_PARTITIONS) -> bool:
        """Create a topic unless it is there; says whether it did. ConfigError when it has other partitions."""
        with self._database.transaction() as connection:
            return topics.create(connection, name, partitions)

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records and offsets. One created under its name later is another one."""
        with self._database.transaction() as connection:
            topics.delete(connection, self._topic(connection, name))

    def topics(self) -> list[str]:
        """Names of all topics, sorted."""
        return [name for (name,) in self._database.query("SELECT name FROM topics ORDER BY name")]

    # --- writing -------------------------------------------------------------------------------------------------------

    def append(self, topic: str, records: Iterable[Record], *, partition: int | None = None) -> int:
        """Append records: each is durable with its chunk, and in the order of the call within a partition.

        Args:
            topic: which must exist.
            records: any number of them; see :data:`Record`.
            partition: for all of them; by default the key decides, and records without one are spread.

        Returns:
            How many were appended.

        Raises:
            ValueError: a record is larger than 16 MiB, or there is no such partition; chunks before it are written.
        """
        written = 0
        rest = iter(records)
        while chunk := list(itertools.islice(rest, CHUNK)):
            columns = _columns(chunk)
            with self._database.transaction() as connection:
                found = self._topic(connection, topic)
                topics.append(connection, found, columns, self._places(found, columns, partition))
            written += len(chunk)
        return written

    def _places(self, topic: Topic, columns: Columns, partition: int | None) -> Sequence[int]:
        if partition is None:
            return topics.partitions_for(columns.keys, len(topic.partitions), self._turns)
        if not 0 <= partition < len(topic.partitions):
            raise ValueError(f"topic {topic.name} has no partition {partition}, only 0 to {len(topic.partitions) - 1}")
        return [partition] * len(columns.keys)

    def trim(self, topic: str, partition: int, before: int) -> None:
        """Delete the records of one partition below the offset ``before``, as a broker's retention does.

        A pipeline that has not read them refuses to go on with DataLossError.
        """
        with self._database.transaction() as connection:
            found = self._topic(connection, topic)
            self._places(found, Columns((), (), (), ()), partition)
            topics.trim(connection, found.partitions[partition], before)

    # --- reading -------------------------------------------------------------------------------------------------------

    def ends(self, topic: str) -> dict[Partition, int]:
        """The offset that the next record of each partition will get."""
        return {partition: horizon.end for partition, horizon in self._horizons(topic).items()}

    def count(self, topic: str) -> int:
        """How many records the topic holds now."""
        return sum(horizon.end - horizon.start for horizon in self._horizons(topic).values())

    def committed(self, group: str) -> dict[Partition, int]:
        """The next offsets that a group has committed."""
        rows = self._database.query(
            "SELECT t.name, p.position, o.next_offset FROM offsets o JOIN partitions p ON p.number = o.partition"
            " JOIN topics t ON t.number = p.topic WHERE o.group_name = ? ORDER BY t.name, p.position",
            (group,),
        )
        return {Partition(name, position): offset for name, position, offset in rows}

    def read(self, topic: str, starts: Mapping[Partition, int] | None = None) -> Iterator[RecordBatch]:
        """Batches of all partitions, one after the other, up to their ends at the time of the call.

        Args:
            topic: which must exist.
            starts: the first offset of each partition; by default, and where it is trimmed, the first that is still there.
        """
        with self._database.snapshot() as connection:
            found = {topic: self._topic(connection, topic)}
            numbers = topics.numbers(found)
            ends = {p: horizon.end for p, horizon in topics.horizons(connection, found).items()}
        return topics.read_all(self._database, numbers, {p: (starts or {}).get(p, 0) for p in numbers}, ends)

    def _horizons(self, topic: str) -> Mapping[Partition, Any]:
        with self._database.snapshot() as connection:
            return topics.horizons(connection, {topic: self._topic(connection, topic)})

    def _topic(self, connection: Any, name: str) -> Topic:
        found = topics.find(connection, [name]).get(name)
        if found is None:
            raise ConfigError(f"no topic {name} in {self.path}; create it with create_topic, or `prism setup`")
        return found


def _columns(chunk: Sequence[Record]) -> Columns:
    """The same records as columns, where all are of one length at C speed."""
    lengths = set(map(len, chunk))
    if len(lengths) > 1:
        chunk = [(*record, None, None)[:4] for record in chunk]
    columns: list[Any] = list(zip(*chunk, strict=True))
    keys, values, *rest = columns
    headers = rest[0] if rest else [None] * len(chunk)
    now = time.time_ns() // 1_000_000
    stamps = [now if stamp is None else stamp for stamp in rest[1]] if len(rest) > 1 else [now] * len(chunk)
    largest = max(len(key or b"") + len(value or b"") for key, value in zip(keys, values, strict=True))
    if largest > MAX_RECORD_BYTES:
        raise ValueError(
            f"a record has {largest} bytes, and {MAX_RECORD_BYTES} are allowed; store such a thing elsewhere"
        )
    return Columns(keys, values, headers, stamps)
