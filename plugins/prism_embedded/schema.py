"""The tables of the one file. A change of them raises ``VERSION``, and adds to ``MIGRATIONS`` how an older file gets there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

APPLICATION_ID: Final = 0x5052534D  # "PRSM": a file of anybody else is left alone
VERSION: Final = 2
PAGE_SIZE: Final = 8192  # about a tenth less CPU per record than with 4096

_NOTES: Final = """
    CREATE TABLE notes (
        pipeline TEXT NOT NULL,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        who TEXT NOT NULL,
        what TEXT NOT NULL,
        topic TEXT NOT NULL,
        partition INTEGER,
        first_offset INTEGER NOT NULL,
        end_offset INTEGER NOT NULL,
        PRIMARY KEY (pipeline, id)
    ) WITHOUT ROWID
    """

MIGRATIONS: Final[Mapping[int, Sequence[str]]] = {
    1: (
        "ALTER TABLE ledger ADD COLUMN schema_id INTEGER NOT NULL DEFAULT -1",
        "ALTER TABLE ledger ADD COLUMN mapping TEXT NOT NULL DEFAULT ''",
        _NOTES,
    ),
}
"""What makes a file of that version one of the next."""

STATEMENTS: Final = (
    # --- the log -------------------------------------------------------------------------------------------------------
    # Numbers are never given twice (AUTOINCREMENT), so what belongs to a deleted topic cannot turn up in its successor.
    """
    CREATE TABLE topics (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        id TEXT NOT NULL
    )
    """,
    # `largest` is the size of the largest record ever written there: a reader can bound its memory with it.
    """
    CREATE TABLE partitions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        topic INTEGER NOT NULL,
        position INTEGER NOT NULL,
        log_start INTEGER NOT NULL DEFAULT 0,
        log_end INTEGER NOT NULL DEFAULT 0,
        largest INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, position)
    )
    """,
    # `id` is the partition's number << 44 | offset: one integer key, in the order in which a partition is read.
    """
    CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        timestamp_ms INTEGER NOT NULL,
        key BLOB,
        value BLOB,
        headers BLOB
    )
    """,
    # --- consumer groups -----------------------------------------------------------------------------------------------
    """
    CREATE TABLE offsets (
        group_name TEXT NOT NULL,
        partition INTEGER NOT NULL,
        next_offset INTEGER NOT NULL,
        PRIMARY KEY (group_name, partition)
    ) WITHOUT ROWID
    """,
    # A member's number is its session: one that was taken for dead comes back under another.
    """
    CREATE TABLE members (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        group_name TEXT NOT NULL,
        worker TEXT NOT NULL,
        topics TEXT NOT NULL,
        beat INTEGER NOT NULL DEFAULT 0,
        UNIQUE (group_name, worker)
    )
    """,
    # `owner` has the partition; `target` shall have it, as soon as the owner has given it back.
    """
    CREATE TABLE leases (
        group_name TEXT NOT NULL,
        partition INTEGER NOT NULL,
        owner INTEGER,
        target INTEGER,
        generation INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (group_name, partition)
    ) WITHOUT ROWID
    """,
    # --- sinks ---------------------------------------------------------------------------------------------------------
    """
    CREATE TABLE workers (
        pipeline TEXT NOT NULL,
        worker TEXT NOT NULL,
        claim TEXT NOT NULL,
        PRIMARY KEY (pipeline, worker)
    ) WITHOUT ROWID
    """,
    # `generation` is that of the index which the row speaks of; 0 where a pipeline writes to a topic.
    """
    CREATE TABLE ledger (
        pipeline TEXT NOT NULL,
        generation INTEGER NOT NULL,
        topic TEXT NOT NULL,
        partition INTEGER NOT NULL,
        next_offset INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        topic_id TEXT NOT NULL,
        timestamp_ms INTEGER NOT NULL,
        ledger_epoch INTEGER NOT NULL,
        written_ms INTEGER NOT NULL,
        schema_id INTEGER NOT NULL DEFAULT -1,
        mapping TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (pipeline, generation, topic, partition)
    ) WITHOUT ROWID
    """,
    _NOTES,
    # --- the document store --------------------------------------------------------------------------------------------
    """
    CREATE TABLE indices (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE
    )
    """,
    """
    CREATE TABLE aliases (
        name TEXT PRIMARY KEY,
        generation INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    # A body of NULL is a tombstone: it keeps its version, so that an older document cannot come back.
    """
    CREATE TABLE documents (
        generation INTEGER NOT NULL,
        id TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT,
        UNIQUE (generation, id)
    )
    """,
)
