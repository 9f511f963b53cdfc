"""Sink with a ``topic``: documents, dead letters, the source's offsets and ledger rows in one transaction.

An open transaction is a list in memory. The write lock is taken for the commit alone, so that workers do not wait for each
other while they decode.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prism_embedded import group, ledger, topics
from prism_embedded.claims import Claim
from prism_embedded.database import BUSY_SECONDS, SETUP, Database, announce
from prism_embedded.group import Member
from prismlib.errors import ConfigError, FatalError, RetryableError, StageContractError, UnreachableError
from prismlib.records import Documents, LedgerNote, LedgerRow, Partition, WriteResult
from prismlib.stages import WritePolicy


class EmbeddedTopicSink:
    """A Sink that is Transactional, KeepsLedger and ClaimsWorker."""

    def __init__(
        self,
        path: Path,
        *,
        topic: str,
        pipeline: str,
        worker: str,
        dead_letter_topic: str,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file.
            topic: where documents go.
            pipeline: name of the pipeline.
            worker: this worker's name in it; a later one of the same name fences this one.
            dead_letter_topic: documents of this stream are dead letters; "" when there are none.
            busy_seconds: how long to wait for the write lock.
        """
        self.policy = WritePolicy(stream=topic, max_document_bytes=topics.MAX_RECORD_BYTES)
        self._path = path
        self._streams = [topic, dead_letter_topic] if dead_letter_topic else [topic]
        self._pipeline = pipeline
        self._worker = worker
        self._database = Database(path, busy_seconds=busy_seconds)
        self._claim = Claim(pipeline, worker)
        self._open: list[Documents] = []
        self._turns = itertools.count()

    # --- Sink ----------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Look at the topics, and become the worker of this name: whoever was it before is fenced."""
        self._database.open()
        announce(self._path)
        try:
            with self._database.transaction() as connection:
                missing = [name for name in self._streams if name not in topics.find(connection, [name])]
                if missing:
                    raise ConfigError(f"no topic {', '.join(missing)} in {self._path}; create it with {SETUP}")
                self._claim.make(connection)
        except RetryableError as error:
            raise UnreachableError(str(error)) from error

    def write(self, documents: Documents) -> WriteResult:
        """Keep them until the commit."""
        if documents.stream not in self._streams:
            raise StageContractError(
                f"the embedded sink was given documents for {documents.stream}, which it does not write to"
            )
        self._open.append(documents)
        return WriteResult()

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002  # nothing is on its way: it is here, or committed
        """Nothing to wait for."""
        return WriteResult()

    def close(self) -> None:
        """Let go; what is not committed is dropped."""
        self._open.clear()
        self._database.close()

    # --- Transactional -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start with nothing."""
        with self._database.snapshot() as connection:
            self._claim.require(connection)
        self._open.clear()

    def commit(self, next_offsets: Mapping[Partition, int], member: object, ledger_rows: Sequence[LedgerRow]) -> None:
        """Write everything, unless the worker was replaced, or a lease of its source is lost."""
        reader = self._reader(member) if next_offsets else None
        with self._database.transaction() as connection:
            self._claim.require(connection)
            lost = group.lost(connection, reader, next_offsets) if reader else ()
            if lost:
                raise RetryableError(f"{', '.join(map(str, sorted(lost)))} went to another worker; nothing was written")
            for documents in self._open:
                append_documents(connection, self._path, documents, self._turns)
            if reader:
                offsets = ((reader.leases[p].number, offset) for p, offset in next_offsets.items())
                group.commit_offsets(connection, reader.group, offsets)
            ledger.save(connection, self._pipeline, ledger.STREAM, ledger_rows)
        self._open.clear()

    def _reader(self, member: object) -> Member:
        if not isinstance(member, Member):
            raise StageContractError(
                f"the embedded sink can commit offsets of an embedded source only, not of {type(member).__name__}"
            )
        if member.file != self._path:
            raise FatalError(
                f"source and sink are two files, {member.file} and {self._path}: one transaction cannot span both"
            )
        return member

    def abort(self) -> None:
        """Drop everything since ``begin``."""
        self._open.clear()

    # --- KeepsLedger ---------------------------------------------------------------------------------------------------

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Rows of this pipeline."""
        with self._database.snapshot() as connection:
            return ledger.load(connection, self._pipeline, ledger.STREAM, partitions)

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Store them at once, whether or not a transaction is open."""
        with self._database.transaction() as connection:
            self._claim.require(connection)
            ledger.require_no_other_owner(connection, self._pipeline, self._worker, rows)
            ledger.save(connection, self._pipeline, ledger.STREAM, rows)
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


def append_documents(connection: sqlite3.Connection, path: Path, documents: Documents, turns: Iterator[int]) -> None:
    """Append documents to the topic of their stream.

    Raises:
        FatalError: the topic was deleted meanwhile.
    """
    topic = topics.find(connection, [documents.stream]).get(documents.stream)
    if topic is None:
        raise FatalError(
            f"topic {documents.stream} was deleted in {path} while it was written to; create it with {SETUP}"
        )
    count = len(documents)
    columns = topics.Columns(
        documents.keys,
        documents.bodies,
        documents.headers or [None] * count,
        [time.time_ns() // 1_000_000] * count,
    )
    topics.append(connection, topic, columns, topics.partitions_for(documents.keys, len(topic.partitions), turns))
