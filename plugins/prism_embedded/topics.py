"""The log's tables: topics and their partitions; append, read, trim.

Everything here works inside a transaction or snapshot of the caller. There is no Python object per record: rows go in through
``executemany`` and come out as columns.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import orjson

from prism_embedded.database import Database
from prismlib.errors import ConfigError
from prismlib.records import Headers, Partition, RecordBatch
from prismlib.stages import Horizon

DEFAULT_PARTITIONS: Final = 3
MAX_RECORD_BYTES: Final = 16 << 20
"""Key and value together."""
MAX_READ_BYTES: Final = 32 << 20
"""What one read holds in memory, about, however large the records are."""

READ_RECORDS: Final = 5_000
"""Records in one batch of whoever reads a whole topic."""

_OFFSET_BITS: Final = 44
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        number: its key in the file.
        name: what people call it.
        id: changes when the topic is deleted and created again.
        partitions: the number of each partition in the file, by index.
    """

    number: int
    name: str
    id: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Records to append; columns of equal length.

    Attributes:
        keys: record keys.
        values: None is a tombstone.
        headers: None where a record has none.
        timestamps_ms: milliseconds since the epoch.
    """

    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers | None]
    timestamps_ms: Sequence[int]


# --- topics -----------------------------------------------------------------------------------------------------------


def create(connection: sqlite3.Connection, name: str, partitions: int = DEFAULT_PARTITIONS) -> bool:
    """Create a topic unless it is there; says whether it did.

    Raises:
        ConfigError: the name is none, or the topic is there with another number of partitions.
    """
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise ConfigError(f"{name!r} is no topic name: 1 to 249 letters, digits, '.', '_' and '-' are allowed")
    if partitions < 1:
        raise ConfigError(f"topic {name} needs at least one partition")
    found = find(connection, [name]).get(name)
    if found is not None:
        if len(found.partitions) != partitions:
            raise ConfigError(
                f"topic {name} exists with {len(found.partitions)} partitions, not {partitions}, and cannot change; delete"
                " it first, or ask for as many as it has"
            )
        return False
    cursor = connection.execute("INSERT INTO topics (name, id) VALUES (?, ?)", (name, uuid.uuid4().hex))
    connection.executemany(
        "INSERT INTO partitions (topic, position) VALUES (?, ?)",
        [(cursor.lastrowid, position) for position in range(partitions)],
    )
    return True


def delete(connection: sqlite3.Connection, topic: Topic) -> None:
    """Delete a topic with its records, offsets and leases. Readers of it stop with an error."""
    for number in topic.partitions:
        connection.execute("DELETE FROM records WHERE id >= ? AND id < ?", _range(number))
        for statement in (
            "DELETE FROM offsets WHERE partition = ?",
            "DELETE FROM leases WHERE partition = ?",
            "DELETE FROM partitions WHERE number = ?",
        ):
            connection.execute(statement, (number,))
    connection.execute("DELETE FROM topics WHERE number = ?", (topic.number,))


def find(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, Topic]:
    """Those of these topics that exist, by name."""
    found: dict[str, Topic] = {}
    for name in names:
        rows = connection.execute(
            "SELECT t.number, t.id, p.number FROM topics t JOIN partitions p ON p.topic = t.number"
            " WHERE t.name = ? ORDER BY p.position",
            (name,),
        ).fetchall()
        if rows:
            found[name] = Topic(rows[0][0], name, rows[0][1], tuple(row[2] for row in rows))
    return found


def numbers(topics: Mapping[str, Topic]) -> dict[Partition, int]:
    """The number of every partition of these topics."""
    return {
        Partition(topic.name, index): number
        for topic in topics.values()
        for index, number in enumerate(topic.partitions)
    }


# --- writing ----------------------------------------------------------------------------------------------------------


def partitions_for(keys: Sequence[bytes | None], count: int, turns: Iterator[int]) -> list[int]:
    """The index of each record's partition: CRC-32 of its key, as librdkafka does it; keyless records take turns."""
    return [(next(turns) if key is None else crc32(key)) % count for key in keys]


def append(
    connection: sqlite3.Connection, topic: Topic, columns: Columns, places: Sequence[int]
) -> Mapping[int, tuple[int, int]]:
    """Append records, each to the partition of ``places``.

    Returns:
        The first and the next offset of each partition that was written, by index.
    """
    if not columns.values:
        return {}
    rows = connection.execute(
        "SELECT position, number << ?, log_end FROM partitions WHERE topic = ?", (_OFFSET_BITS, topic.number)
    ).fetchall()
    starts = {position: base | log_end for position, base, log_end in rows}
    ends = dict(starts)
    ids = []
    for place in places:
        id_ = ends[place]
        ids.append(id_)
        ends[place] = id_ + 1
    headers, extra = _stored_headers(columns.headers)
    connection.executemany(
        "INSERT INTO records (id, timestamp_ms, key, value, headers) VALUES (?, ?, ?, ?, ?)",
        sorted(zip(ids, columns.timestamps_ms, columns.keys, columns.values, headers, strict=True)),
    )
    largest = _longest(columns.keys) + _longest(columns.values) + extra  # no less than the largest is
    written = {}
    for place in set(places):
        number, first = starts[place] >> _OFFSET_BITS, starts[place] & _OFFSET_MASK
        written[place] = (first, ends[place] & _OFFSET_MASK)
        connection.execute(
            "UPDATE partitions SET log_end = ?, largest = max(largest, ?) WHERE number = ?",
            (written[place][1], largest, number),
        )
    return written


def trim(connection: sqlite3.Connection, number: int, before: int) -> None:
    """Delete the records of one partition below an offset, as a broker's retention does."""
    connection.execute(
        "UPDATE partitions SET log_start = max(log_start, min(?, log_end)) WHERE number = ?", (before, number)
    )
    connection.execute(
        "DELETE FROM records WHERE id >= ?1 << ?2 AND id < (SELECT number << ?2 | log_start FROM partitions WHERE number = ?1)",
        (number, _OFFSET_BITS),
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def horizons(connection: sqlite3.Connection, topics: Mapping[str, Topic]) -> dict[Partition, Horizon]:
    """What every partition of these topics holds."""
    found: dict[Partition, Horizon] = {}
    for topic in topics.values():
        for index, number in enumerate(topic.partitions):
            start, end = connection.execute(
                "SELECT log_start, log_end FROM partitions WHERE number = ?", (number,)
            ).fetchone()
            first = connection.execute(
                "SELECT timestamp_ms FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1", _range(number)
            ).fetchone()
            found[Partition(topic.name, index)] = Horizon(
                start, end, topic.id, first[0] if first else -1, len(topic.partitions)
            )
    return found


def timestamp_from(connection: sqlite3.Connection, number: int, offset: int) -> int:
    """When the first record of a partition at or after an offset was written; -1 where there is none."""
    start, end = _range(number)
    row = connection.execute(
        "SELECT timestamp_ms FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1", (start | offset, end)
    ).fetchone()
    return -1 if row is None else int(row[0])


def first_since(connection: sqlite3.Connection, number: int, timestamp_ms: int) -> int:
    """The first offset of a partition whose record was written at or after a time; its end where there is none.

    Looks at every record before it: nobody asks often enough for an index to be worth its writing.
    """
    row = connection.execute(
        "SELECT id FROM records WHERE id >= ? AND id < ? AND timestamp_ms >= ? ORDER BY id LIMIT 1",
        (*_range(number), timestamp_ms),
    ).fetchone()
    if row is not None:
        return int(row[0]) & _OFFSET_MASK
    (end,) = connection.execute("SELECT log_end FROM partitions WHERE number = ?", (number,)).fetchone()
    return int(end)


def read(
    connection: sqlite3.Connection,
    partition: Partition,
    number: int,
    start: int,
    stop: int,
    limit: int,
    room: int = MAX_READ_BYTES,
) -> RecordBatch | None:
    """Records of one partition, with one statement.

    Args:
        connection: of a snapshot.
        partition: for the batch.
        number: of the partition.
        start: first offset.
        stop: offset to stop before.
        limit: records at most.
        room: bytes after which to stop; one record comes whatever its size.

    Returns:
        The batch, or None when there is nothing.
    """
    found = connection.execute("SELECT largest FROM partitions WHERE number = ?", (number,)).fetchone()
    if found is None:
        return None
    step = max(1, room // max(1, found[0]))  # so many rows fit, whatever they are
    base = number << _OFFSET_BITS
    cursor = connection.execute(
        "SELECT id, timestamp_ms, key, value, headers FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        (base | start, base | stop, limit),
    )
    rows: list[tuple[int, int, bytes | None, bytes | None, bytes | None]] = []
    taken = 0
    while True:
        some = cursor.fetchmany(step)
        rows += some
        if len(some) < step or len(rows) == limit:
            break
        taken += sum(len(key or b"") + len(value or b"") + len(stored or b"") for _, _, key, value, stored in some)
        if taken >= room:
            break
    cursor.close()
    if not rows:
        return None
    ids, timestamps, keys, values, headers = zip(*rows, strict=True)
    return RecordBatch(
        partition,
        [id_ - base for id_ in ids],
        timestamps,
        keys,
        values,
        headers if headers.count(None) == len(headers) else [stored and _headers(stored) for stored in headers],
    )


def read_all(
    database: Database, numbers: Mapping[Partition, int], starts: Mapping[Partition, int], ends: Mapping[Partition, int]
) -> Iterator[RecordBatch]:
    """Batches of several partitions, one after the other, each from its start up to its end.

    Every batch is a snapshot of its own: one over all would keep the write-ahead log from being brought in.
    """
    for partition, start in starts.items():
        position = start
        while position < ends[partition]:
            with database.snapshot() as connection:
                batch = read(connection, partition, numbers[partition], position, ends[partition], READ_RECORDS)
            if batch is None:
                break
            yield batch
            position = batch.next_offset


def size(batch: RecordBatch) -> int:
    """Bytes of keys and values."""
    return sum(map(len, filter(None, batch.keys))) + sum(map(len, filter(None, batch.values)))


# --- how it is stored -------------------------------------------------------------------------------------------------

_OFFSET_MASK: Final = (1 << _OFFSET_BITS) - 1


def _range(number: int) -> tuple[int, int]:
    """Ids of a partition's records: from, and up to but not including."""
    return number << _OFFSET_BITS, (number + 1) << _OFFSET_BITS


def _longest(column: Sequence[bytes | None]) -> int:
    return max(map(len, filter(None, column)), default=0)


def _stored_headers(headers: Sequence[Headers | None]) -> tuple[Sequence[bytes | None], int]:
    """Headers as JSON, each byte of a value one character; and the size of the largest. Most records have none."""
    if not any(headers):
        return [None] * len(headers), 0
    stored = [
        orjson.dumps([(name, None if value is None else value.decode("latin-1")) for name, value in some])
        if some
        else None
        for some in headers
    ]
    return stored, _longest(stored)


def _headers(stored: bytes) -> Headers:
    return [(name, None if value is None else value.encode("latin-1")) for name, value in orjson.loads(stored)]
