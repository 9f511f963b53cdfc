"""Who is worker 1 of a pipeline now: whoever opened its sink last. Inside a transaction or snapshot of the caller."""

from __future__ import annotations

import sqlite3
import uuid

from prismlib.errors import FencedError


class Claim:
    """One process's claim to a worker's name."""

    def __init__(self, pipeline: str, worker: str) -> None:
        """Nothing is written yet."""
        self._pipeline = pipeline
        self._worker = worker
        self._claim = uuid.uuid4().hex

    def make(self, connection: sqlite3.Connection) -> None:
        """Become the worker: whoever was it before is fenced."""
        connection.execute(
            "INSERT INTO workers (pipeline, worker, claim) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET claim = excluded.claim",
            (self._pipeline, self._worker, self._claim),
        )

    def require(self, connection: sqlite3.Connection) -> None:
        """Raise FencedError when a later process has become the worker."""
        row = connection.execute(
            "SELECT claim FROM workers WHERE pipeline = ? AND worker = ?", (self._pipeline, self._worker)
        ).fetchone()
        if row is None or row[0] != self._claim:
            raise FencedError(
                f"another process has become worker {self._worker!r} of pipeline {self._pipeline}; this one writes nothing"
                " more. Give each worker a name of its own with --worker"
            )
