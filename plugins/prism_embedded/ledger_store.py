"""The ledger for commands, which are no workers: no claim, no lease."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from prism_embedded import indices, ledger
from prism_embedded.database import SETUP, Database
from prismlib.errors import ConfigError, RetryableError, StageContractError, UnreachableError
from prismlib.records import LedgerNote, LedgerRow, Partition


class EmbeddedLedgerStore:
    """See :class:`prismlib.plugin.hookspecs.LedgerStore`."""

    def __init__(self, path: Path, *, pipeline: str, alias: str | None) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file.
            pipeline: whose rows these are.
            alias: of the index that they speak of; None for a pipeline that writes to a topic.
        """
        self._path = path
        self._pipeline = pipeline
        self._alias = alias
        self.atomic = alias is None
        self._database = Database(path)
        self._generation: int | None = None

    def open(self) -> None:
        """Look where the alias points. Raises ConfigError, UnreachableError."""
        self._database.open()
        try:
            with self._database.snapshot() as connection:
                self._generation = self._behind(connection)
        except RetryableError as error:
            raise UnreachableError(str(error)) from error

    def _behind(self, connection: sqlite3.Connection) -> int:
        if self._alias is None:
            return ledger.STREAM
        index = indices.behind(connection, self._alias)
        if index is None:
            raise ConfigError(f"no alias {self._alias!r} in {self._path}; create it with {SETUP}")
        return index.number

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Rows of the pipeline, for what was behind the alias."""
        with self._database.snapshot() as connection:
            return ledger.load(connection, self._pipeline, self._opened(), partitions)

    def load_notes(self) -> Sequence[LedgerNote]:
        """Notes of the pipeline."""
        with self._database.snapshot() as connection:
            return ledger.load_notes(connection, self._pipeline)

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Store both in one transaction."""
        with self._database.transaction() as connection:
            ledger.save(connection, self._pipeline, self._opened(), rows)
            ledger.save_notes(connection, self._pipeline, notes)

    def close(self) -> None:
        """Let go."""
        self._database.close()

    def _opened(self) -> int:
        if self._generation is None:
            raise StageContractError("the embedded ledger was used before it was opened")
        return self._generation
