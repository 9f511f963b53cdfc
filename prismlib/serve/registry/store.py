"""Schemas, versions, levels, modes and usage in one SQLite file.

What is committed survives a kill at any moment. Several threads share one connection; several servers may share the file,
since everything that is decided from what was read is read again inside the transaction that writes.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from prismlib.contracts.registry import Reference
from prismlib.contracts.usage import Usage
from prismlib.errors import ConfigError
from prismlib.serve.registry.schemas import NewSchema, Stored

APPLICATION: Final = 0x5052534D  # "PRSM", so that another program's file is not taken for ours
SCHEMA_VERSION: Final = 1
BUSY_SECONDS: Final = 10.0

_TABLES: Final = """
CREATE TABLE schemas (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, even after a permanent deletion
    guid TEXT NOT NULL UNIQUE,
    format TEXT NOT NULL,
    text TEXT NOT NULL,
    "references" TEXT NOT NULL,            -- JSON: [[name, subject, version], ...]
    metadata TEXT NOT NULL,                -- JSON, or "" where none was given
    content BLOB NOT NULL,                 -- SHA-256 of format, canonical text and references
    fingerprint BLOB NOT NULL UNIQUE,      -- the same with metadata
    form BLOB                              -- SHA-256 of the serialized form and references, where the format has one
);
CREATE INDEX schemas_by_form ON schemas (form);
CREATE TABLE versions (
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    id INTEGER NOT NULL REFERENCES schemas (id),
    registered_ms INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, version)
) WITHOUT ROWID;
CREATE INDEX versions_by_id ON versions (id);
CREATE TABLE imports (
    id INTEGER NOT NULL REFERENCES schemas (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (subject, version, id)
) WITHOUT ROWID;
CREATE TABLE levels (subject TEXT PRIMARY KEY, level TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE modes (subject TEXT PRIMARY KEY, mode TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE usage (
    subject TEXT NOT NULL,
    consumer TEXT NOT NULL,
    version INTEGER NOT NULL,
    fields TEXT NOT NULL,                  -- JSON: ["path", ...]
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (subject, consumer, version)
) WITHOUT ROWID;
"""


_COLUMNS: Final = (
    's.id, s.guid, s.format, s.text, s."references", s.metadata, v.subject, v.version, v.registered_ms, v.deleted'
)
_SCHEMAS: Final = "SELECT s.id, s.guid, s.format, s.text, s.\"references\", s.metadata, '', 0, 0, 0 FROM schemas s"  # found by id alone
_VERSIONS: Final = f"SELECT {_COLUMNS} FROM versions v JOIN schemas s ON s.id = v.id"  # noqa: S608  # constants


class Store:
    """The file. May be used by several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            ConfigError: it cannot be opened, is another program's, or was written by a later version.
        """
        self._path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA foreign_keys = ON")
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path}: cannot be opened as the registry's file: {error}") from error

    def _prepare(self) -> None:
        if self._db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise ConfigError(f"{self._path}: the file system does not allow WAL; keep [storage] path on a local disk")
        self._db.execute("PRAGMA synchronous = FULL")  # a registration that was answered must survive a power cut
        with self.writing():  # two servers that start at once
            application = self._db.execute("PRAGMA application_id").fetchone()[0]
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if application == 0 and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _TABLES.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif application != APPLICATION:
                raise ConfigError(f"{self._path}: is another program's file; set [storage] path to another folder")
            elif version != SCHEMA_VERSION:
                raise ConfigError(
                    f"{self._path}: was written by another version of Prism (its tables are number {version}, these are "
                    f"{SCHEMA_VERSION}); run the version that wrote it"
                )

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it, or nothing when the block raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Several questions about one state."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    # --- schemas -------------------------------------------------------------------------------------------------------

    def by_id(self, schema_id: int) -> Stored | None:
        return self._schema("s.id = ?", schema_id)

    def by_guid(self, guid: str) -> Stored | None:
        return self._schema("s.guid = ?", guid)

    def same(self, schema: NewSchema) -> Stored | None:
        """The schema that says the same, metadata included."""
        return self._schema(
            "s.fingerprint = ? OR (s.form = ? AND s.metadata = ?)",
            schema.fingerprint,
            schema.form,
            schema.metadata_text,
        )

    def max_id(self) -> int:
        return int(self._value("SELECT coalesce(max(id), 0) FROM schemas"))

    def uses(self, schema_id: int, *, deleted: bool = False) -> list[tuple[str, int]]:
        """Subjects and versions of an id, sorted."""
        return self._all(
            "SELECT subject, version FROM versions WHERE id = ? AND deleted <= ? ORDER BY subject, version",
            schema_id,
            deleted,
        )

    def add_schema(self, schema: NewSchema, schema_id: int | None = None, guid: str | None = None) -> int:
        """Keep a schema that is not there yet; returns its id."""
        guid = guid or str(uuid.UUID(bytes=schema.fingerprint[:16]))
        references = json.dumps([[r.name, r.subject, r.version] for r in schema.references])
        with self._lock:
            cursor = self._db.execute(
                'INSERT INTO schemas (id, guid, format, text, "references", metadata, content, fingerprint, form) '
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    schema_id,
                    guid,
                    schema.format,
                    schema.text,
                    references,
                    schema.metadata_text,
                    schema.content,
                    schema.fingerprint,
                    schema.form,
                ),
            )
            number = cursor.lastrowid
            if number is None:
                raise AssertionError("an insert has a row id")
            self._db.executemany(
                "INSERT OR IGNORE INTO imports (id, subject, version) VALUES (?, ?, ?)",
                [(number, r.subject, r.version) for r in schema.references],
            )
            return number

    # --- versions ------------------------------------------------------------------------------------------------------

    def subjects(self, prefix: str = "", *, deleted: bool = False) -> list[str]:
        """Subjects with a version, sorted; softly deleted ones among them where they are wanted."""
        return [
            row[0]
            for row in self._all(
                # Compared by value: a LIKE would treat % and _ in names as wildcards.
                "SELECT DISTINCT subject FROM versions WHERE substr(subject, 1, ?) = ? AND deleted <= ? ORDER BY subject",
                len(prefix),
                prefix,
                deleted,
            )
        ]

    def versions(self, subject: str, *, deleted: bool = False) -> list[Stored]:
        """All versions, oldest first."""
        return self._stored(f"{_VERSIONS} WHERE v.subject = ? AND v.deleted <= ? ORDER BY v.version", subject, deleted)

    def version(self, subject: str, version: int, *, deleted: bool = False) -> Stored | None:
        found = self._stored(
            f"{_VERSIONS} WHERE v.subject = ? AND v.version = ? AND v.deleted <= ?", subject, version, deleted
        )
        return found[0] if found else None

    def latest(self, subject: str, *, deleted: bool = False) -> Stored | None:
        found = self._stored(
            f"{_VERSIONS} WHERE v.subject = ? AND v.deleted <= ? ORDER BY v.version DESC LIMIT 1", subject, deleted
        )
        return found[0] if found else None

    def with_content(self, subject: str, schema: NewSchema, *, deleted: bool = False) -> Stored | None:
        """The newest version that says the same; metadata count where the new schema has any."""
        values: tuple[object, ...]
        if schema.metadata is None:
            same, values = "s.content = ? OR s.form = ?", (schema.content, schema.form)
        else:
            same = "s.fingerprint = ? OR (s.form = ? AND s.metadata = ?)"
            values = (schema.fingerprint, schema.form, schema.metadata_text)
        found = self._stored(
            f"{_VERSIONS} WHERE v.subject = ? AND v.deleted <= ? AND ({same}) ORDER BY v.version DESC LIMIT 1",
            subject,
            deleted,
            *values,
        )
        return found[0] if found else None

    def last_number(self, subject: str) -> int:
        """The highest version that a subject has, softly deleted or not; 0 where it has none."""
        return int(self._value("SELECT coalesce(max(version), 0) FROM versions WHERE subject = ?", subject))

    def add_version(self, subject: str, version: int, schema_id: int, now_ms: int) -> None:
        self._run("INSERT INTO versions VALUES (?, ?, ?, ?, 0)", subject, version, schema_id, now_ms)

    def delete_softly(self, subject: str, version: int) -> None:
        self._run("UPDATE versions SET deleted = 1 WHERE subject = ? AND version = ?", subject, version)

    def delete_permanently(self, subject: str, version: int) -> None:
        self._run("DELETE FROM versions WHERE subject = ? AND version = ?", subject, version)
        self._run("DELETE FROM schemas WHERE id NOT IN (SELECT id FROM versions)")

    def referenced_by(self, subject: str, version: int, *, deleted: bool = False) -> list[int]:
        """Ids of the schemas that import a version."""
        return [
            row[0]
            for row in self._all(
                "SELECT DISTINCT i.id FROM imports i JOIN versions v ON v.id = i.id "
                "WHERE i.subject = ? AND i.version = ? AND v.deleted <= ? ORDER BY i.id",
                subject,
                version,
                deleted,
            )
        ]

    # --- levels and modes: of a subject, or of all ("") ------------------------------------------------------------------

    def level(self, subject: str) -> str | None:
        return self._text("SELECT level FROM levels WHERE subject = ?", subject)

    def set_level(self, subject: str, level: str | None) -> None:
        self._run("DELETE FROM levels WHERE subject = ?", subject)
        if level is not None:
            self._run("INSERT INTO levels VALUES (?, ?)", subject, level)

    def mode(self, subject: str) -> str | None:
        return self._text("SELECT mode FROM modes WHERE subject = ?", subject)

    def set_mode(self, subject: str, mode: str | None) -> None:
        self._run("DELETE FROM modes WHERE subject = ?", subject)
        if mode is not None:
            self._run("INSERT INTO modes VALUES (?, ?)", subject, mode)

    # --- usage ---------------------------------------------------------------------------------------------------------

    def add_usage(self, usage: Usage, rows: int) -> None:
        """Keep the newest of each consumer, subject and version, and of a subject no more than so many rows."""
        self._run(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET fields = excluded.fields, at_ms = excluded.at_ms WHERE excluded.at_ms >= at_ms",
            usage.subject,
            usage.consumer,
            usage.version,
            json.dumps(usage.fields),
            usage.at_ms,
        )
        self._run(
            "DELETE FROM usage WHERE subject = ? AND (subject, consumer, version) NOT IN "
            "(SELECT subject, consumer, version FROM usage WHERE subject = ? ORDER BY at_ms DESC LIMIT ?)",
            usage.subject,
            usage.subject,
            rows,
        )

    def usage(self, subject: str) -> list[Usage]:
        """The newest first."""
        return [
            Usage(consumer, subject, version, tuple(json.loads(fields)), at_ms)
            for consumer, version, fields, at_ms in self._all(
                "SELECT consumer, version, fields, at_ms FROM usage WHERE subject = ? ORDER BY at_ms DESC, consumer",
                subject,
            )
        ]

    # --- SQL -----------------------------------------------------------------------------------------------------------

    def _run(self, statement: str, *values: object) -> None:
        with self._lock:
            self._db.execute(statement, values)

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _value(self, query: str, *values: object) -> Any:
        rows = self._all(query, *values)
        return rows[0][0] if rows else None

    def _text(self, query: str, *values: object) -> str | None:
        found = self._value(query, *values)
        return None if found is None else str(found)

    def _schema(self, condition: str, *values: object) -> Stored | None:
        found = self._stored(f"{_SCHEMAS} WHERE {condition} ORDER BY s.id LIMIT 1", *values)
        return found[0] if found else None

    def _stored(self, query: str, *values: object) -> list[Stored]:
        return [_stored(row) for row in self._all(query, *values)]


def _stored(row: Sequence[Any]) -> Stored:
    schema_id, guid, fmt, text, references, metadata, subject, version, registered_ms, deleted = row
    return Stored(
        subject,
        version,
        schema_id,
        guid,
        fmt,
        text,
        tuple(Reference(*one) for one in json.loads(references)),
        json.loads(metadata) if metadata else None,
        registered_ms,
        bool(deleted),
    )
