"""A sink of one's own: a table of the service's SQLite database, which holds the newest state of each order."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from prismlib import Documents, RecordError, RetryableError, UnwritableError, WritePolicy, WriteResult

TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    body TEXT CHECK (CASE WHEN json_valid(body) THEN json_extract(body, '$.total') >= 0 ELSE body IS NULL END)
)
"""
UPSERT = """
INSERT INTO orders VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body WHERE version <= excluded.version
"""


class OrdersTable:
    """See :class:`prismlib.Sink`. A deleted order keeps its row with its version, so that older news do not revive it."""

    # Versioned: documents carry an id and a version, and writing one again changes nothing.
    policy = WritePolicy(stream="orders", versioned=True)

    def __init__(self, path: Path) -> None:
        """Make the table, so that the service can read it at once."""
        self._path = path
        # Writes come from a thread of the runner's, one at a time.
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute(TABLE)

    def open(self) -> None:
        """Nothing to do: the table is there."""

    def write(self, documents: Documents) -> WriteResult:
        """One transaction: what the result does not name is on the disk when this returns."""
        rejected: dict[int, RecordError] = {}
        rows = zip(documents.ids, documents.versions, documents.bodies, strict=True)
        try:
            with self._db:
                for position, (name, version, body) in enumerate(rows):
                    try:
                        self._db.execute(UPSERT, (name, version, body and body.decode()))
                    except (sqlite3.IntegrityError, UnicodeDecodeError):
                        # For good: the document goes to the dead letters, and its neighbours are written.
                        rejected[position] = UnwritableError("total must be 0 or more", field="total")
        except sqlite3.OperationalError as error:
            # For now, such as a locked file or a full disk: the runner waits and writes all of them again.
            raise RetryableError(f"{self._path}: {error}") from error
        return WriteResult(rejected)

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002  # nothing is buffered
        """Nothing to wait for."""
        return WriteResult()

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def get(self, name: str) -> str | None:
        """The newest state of an order as JSON, for the service. Any thread may ask."""
        with contextlib.closing(sqlite3.connect(self._path)) as db:
            row = db.execute("SELECT body FROM orders WHERE id = ?", (name,)).fetchone()
        return row[0] if row else None
