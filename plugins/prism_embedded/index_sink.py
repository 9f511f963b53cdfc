"""Sink with an ``alias``: versioned documents, and the ledger beside them.

Ids and versions make every write safe to repeat, whoever does it; so a write looks at no lease, and ledger rows do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from prism_embedded import indices, ledger
from prism_embedded.bodies import prepare
from prism_embedded.claims import Claim
from prism_embedded.database import BUSY_SECONDS, SETUP, Database, announce
from prism_embedded.indices import Index
from prismlib.errors import ConfigError, FatalError, RetryableError, StageContractError, UnreachableError
from prismlib.records import Documents, LedgerNote, LedgerRow, Partition, WriteResult
from prismlib.stages import WritePolicy


class EmbeddedIndexSink:
    """A Sink that is KeepsLedger and ClaimsWorker; its documents are versioned. One write at a time: the file takes no more."""

    def __init__(
        self,
        path: Path,
        *,
        alias: str,
        pipeline: str,
        worker: str,
        origin_topic: bool = False,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file.
            alias: where documents go.
            pipeline: whose ledger rows these are.
            worker: this worker's name in it.
            origin_topic: documents name the topic they come from, for pipelines that read several.
            busy_seconds: how long to wait for the write lock.
        """
        self.policy = WritePolicy(stream=alias, versioned=True)
        self._path = path
        self._alias = alias
        self._pipeline = pipeline
        self._worker = worker
        self._origin_topic = origin_topic
        self._database = Database(path, busy_seconds=busy_seconds)
        self._opened: Index | None = None
        self._claim = Claim(pipeline, worker)

    # --- Sink ----------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Look where the alias points, and become the worker of this name: whoever was it before is fenced."""
        self._database.open()
        announce(self._path)
        try:
            with self._database.transaction() as connection:
                self._opened = indices.behind(connection, self._alias)
                if self._opened is None:
                    raise ConfigError(f"no alias {self._alias!r} in {self._path}; create it with {SETUP}")
                self._claim.make(connection)
        except RetryableError as error:
            raise UnreachableError(str(error)) from error

    def write(self, documents: Documents) -> WriteResult:
        """One transaction."""
        prepared = prepare(documents, with_topic=self._origin_topic)
        if prepared.rows:
            with self._database.transaction() as connection:
                indices.write(connection, self._index(connection), prepared.rows)
        return WriteResult(prepared.rejected)

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002  # write has waited already
        """Nothing to wait for."""
        return WriteResult()

    def close(self) -> None:
        """Let go."""
        self._database.close()

    # --- KeepsLedger ---------------------------------------------------------------------------------------------------

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Rows of the index behind the alias."""
        with self._database.snapshot() as connection:
            return ledger.load(connection, self._pipeline, self._index(connection).number, partitions)

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Store them for the index that was written."""
        with self._database.transaction() as connection:
            self._claim.require(connection)
            index = self._index(connection)
            ledger.require_no_other_owner(connection, self._pipeline, self._worker, rows)
            ledger.save(connection, self._pipeline, index.number, rows)
            ledger.save_notes(connection, self._pipeline, notes)

    def load_notes(self) -> Sequence[LedgerNote]:
        """Notes of this pipeline."""
        with self._database.snapshot() as connection:
            return ledger.load_notes(connection, self._pipeline)

    # --- ClaimsWorker --------------------------------------------------------------------------------------------------

    def check_claim(self) -> None:
        """Look at the file."""
        with self._database.snapshot() as connection:
            self._claim.require(connection)

    def _index(self, connection: sqlite3.Connection) -> Index:
        """The index that was opened.

        Raises:
            FatalError: the alias points elsewhere by now. What that index holds, its own ledger rows say; to go on with the
                progress made on the old one would skip records.
        """
        if self._opened is None:
            raise StageContractError("the embedded sink was used before it was opened")
        now = indices.behind(connection, self._alias)
        if now != self._opened:
            raise FatalError(
                f"the alias {self._alias!r} in {self._path} moved from {self._opened.name} to"
                f" {now.name if now else 'nothing'} while this worker was writing; start the worker again, so that it goes on"
                " from that index's own ledger rows"
            )
        return now
