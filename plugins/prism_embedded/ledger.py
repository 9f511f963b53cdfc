"""Ledger rows beside the data, written in the transaction of the caller.

The generation is that of the index which a row speaks of, because progress is a statement about what one index holds; it is
``STREAM`` where a pipeline writes to a topic.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from prismlib.errors import RetryableError
from prismlib.records import LedgerNote, LedgerRow, Partition

STREAM: Final = 0

_SAVE: Final = """
    INSERT INTO ledger (pipeline, generation, topic, partition, next_offset, epoch, topic_id, timestamp_ms, ledger_epoch,
                        written_ms, schema_id, mapping)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        next_offset = excluded.next_offset, epoch = excluded.epoch, topic_id = excluded.topic_id,
        timestamp_ms = excluded.timestamp_ms, ledger_epoch = excluded.ledger_epoch, written_ms = excluded.written_ms,
        schema_id = excluded.schema_id, mapping = excluded.mapping
    WHERE (excluded.ledger_epoch, excluded.next_offset) >= (ledger.ledger_epoch, ledger.next_offset)
"""


def load(
    connection: sqlite3.Connection, pipeline: str, generation: int, partitions: Sequence[Partition]
) -> dict[Partition, LedgerRow]:
    """The row of each partition that has one."""
    rows = {}
    for partition in partitions:
        found = connection.execute(
            "SELECT next_offset, epoch, topic_id, timestamp_ms, ledger_epoch, written_ms, schema_id, mapping"
            " FROM ledger WHERE pipeline = ? AND generation = ? AND topic = ? AND partition = ?",
            (pipeline, generation, partition.stream, partition.index),
        ).fetchone()
        if found is not None:
            rows[partition] = LedgerRow(partition, *found)
    return rows


def save(connection: sqlite3.Connection, pipeline: str, generation: int, rows: Sequence[LedgerRow]) -> None:
    """Store rows; one that is older than what is stored is passed over."""
    connection.executemany(
        _SAVE,
        [
            (
                pipeline,
                generation,
                row.partition.stream,
                row.partition.index,
                row.next_offset,
                row.epoch,
                row.topic_id,
                row.timestamp_ms,
                row.ledger_epoch,
                row.written_ms,
                row.schema_id,
                row.mapping,
            )
            for row in rows
        ],
    )


def load_notes(connection: sqlite3.Connection, pipeline: str) -> list[LedgerNote]:
    """Every note of the pipeline, oldest first."""
    found = connection.execute(
        "SELECT kind, at_ms, who, what, topic, partition, first_offset, end_offset FROM notes"
        " WHERE pipeline = ? ORDER BY id",
        (pipeline,),
    )
    return [
        LedgerNote(kind, at_ms, who, what, None if index is None else Partition(topic, index), topic, first, end)
        for kind, at_ms, who, what, topic, index, first, end in found
    ]


def save_notes(connection: sqlite3.Connection, pipeline: str, notes: Sequence[LedgerNote]) -> None:
    """Store notes; one that is there already stays as it is."""
    connection.executemany(
        "INSERT INTO notes (pipeline, id, kind, at_ms, who, what, topic, partition, first_offset, end_offset)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (
                pipeline,
                note.id,
                note.kind,
                note.at_ms,
                note.who,
                note.what,
                note.stream,
                None if note.partition is None else note.partition.index,
                note.first,
                note.end,
            )
            for note in notes
        ],
    )


def require_no_other_owner(
    connection: sqlite3.Connection, pipeline: str, worker: str, rows: Sequence[LedgerRow]
) -> None:
    """Refuse rows of partitions that the pipeline's group has given to another worker.

    Partitions of a source that is not embedded have no lease here, and pass.

    Raises:
        RetryableError: a lease is lost; the source says so in its next poll.
    """
    for row in rows:
        owner = connection.execute(
            "SELECT m.worker FROM topics t"
            " JOIN partitions p ON p.topic = t.number AND p.position = ?"
            " JOIN leases l ON l.partition = p.number AND l.group_name = ?"
            " JOIN members m ON m.number = l.owner WHERE t.name = ?",
            (row.partition.index, pipeline, row.partition.stream),
        ).fetchone()
        if owner is not None and owner[0] != worker:
            raise RetryableError(
                f"the ledger row of {row.partition} is not written: the partition belongs to worker {owner[0]!r} now"
            )
