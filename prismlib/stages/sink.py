"""Sink: where documents go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from prismlib.records import Documents, LedgerNote, LedgerRow, Partition, WriteResult


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """How the runner may call a sink.

    Attributes:
        max_in_flight: how many ``write`` calls may run at once, each in a thread of its own. With 1, the runner settles
            one write before it sends the next, so that documents of one key keep their order.
        max_documents: documents per write.
        max_bytes: bytes of bodies per write; one larger document is written alone.
        max_document_bytes: a larger document is rejected before the sink sees it; None for no limit.
        versioned: the sink wants ``ids`` and ``versions``, and lets the higher version win.
        buffers: ``write`` only hands over, and ``flush`` says what became of it.
        stream: name of the destination, for documents of the pipeline itself.
    """

    stream: str
    max_in_flight: int = 1
    max_documents: int = 2_000
    max_bytes: int = 5 << 20
    max_document_bytes: int | None = None
    versioned: bool = False
    buffers: bool = False


class Sink(Protocol):
    """Writes documents and says of each what became of it. It never retries: the runner does, and keeps polling.

    - ``SNK-01`` a document that the result names nowhere is durable once ``write`` (or ``flush``, if it buffers) returns
    - ``SNK-02`` a bad document is in ``rejected``, and its neighbours are delivered
    - ``SNK-03`` what the server cannot take now is in ``retry``, never in ``rejected``
    - ``SNK-04`` positions in the result are positions in that call's documents
    - ``SNK-05`` writing the same documents again changes nothing (versioned) or adds them again (otherwise), never fails
    - ``SNK-06`` of two versions of one id the higher stays, whatever the order (versioned)
    - ``SNK-07`` a body of None deletes, and a stale delete does nothing (versioned)
    - ``SNK-08`` documents are not changed, and bodies arrive byte for byte but for what the sink's documentation says
    - ``SNK-09`` an unreachable server raises RetryableError and leaves the sink usable
    - ``SNK-10`` ``close`` may be called twice
    - ``TXN-01`` nothing of a transaction is visible to readers before ``commit`` returns
    - ``TXN-02`` nothing of an aborted transaction is ever visible
    - ``TXN-03`` offsets and ledger rows are stored with the documents, or not at all
    - ``TXN-04`` a successor with the same worker name fences its predecessor: FencedError
    - ``TXN-05`` ``commit`` without offsets, member and rows commits the documents alone, and touches no group
    - ``LED-01`` a saved row is loaded again by a successor, the newest per partition
    - ``LED-02`` a row of an older ledger epoch or offset does not replace a newer one
    - ``LED-03`` every saved note is loaded again by a successor, whole, oldest first
    - ``LED-04`` a note that is saved again, as after an error, is there once
    - ``LED-05`` a note is stored though the row that came with it is passed over
    - ``CLM-01`` ``check_claim`` raises FencedError once a successor with the same worker name is open, and not before
    - ``CLM-02`` a ledger row of a worker whose successor is open is not stored: FencedError
    """

    policy: WritePolicy

    def open(self) -> None:
        """Connect and make sure that the destination exists.

        Raises:
            ConfigError: the destination is missing or not usable; says which command creates it.
            UnreachableError: no server answers.
        """
        ...

    def write(self, documents: Documents) -> WriteResult:
        """Write them; blocks until their fate is known, or, if it ``buffers``, until they are handed over.

        Raises:
            RetryableError: nothing is known about any of them; the runner writes them all again later.
            FatalError: the destination is gone or refuses everything.
        """
        ...

    def flush(self, timeout: float) -> WriteResult:
        """Wait for everything handed over since the last flush; positions count through all those writes in order.

        Raises:
            RetryableError: not all of it is durable after ``timeout`` seconds.
            FatalError: as for ``write``.
        """
        ...

    def close(self) -> None:
        """Let go, even of a sink whose ``open`` failed; what is not flushed may be lost. Never raises for a dead server."""
        ...


@runtime_checkable
class Transactional(Protocol):
    """Capability: documents, the source's offsets and ledger rows become visible together or not at all."""

    def begin(self) -> None:
        """Start a transaction. Raises FencedError, RetryableError."""
        ...

    def commit(self, next_offsets: Mapping[Partition, int], member: object, ledger_rows: Sequence[LedgerRow]) -> None:
        """Commit everything since ``begin``.

        Args:
            next_offsets: the source's next offsets; empty where documents do not come from the group's reading, as dead
                letters that are retried.
            member: the source's token, asked for this commit; None when there are no offsets.
            ledger_rows: rows to store.

        Raises:
            RetryableError: it is aborted, or must be: call ``abort`` and begin again from the committed offsets.
            FencedError: a successor took over.
        """
        ...

    def abort(self) -> None:
        """Drop everything since ``begin``. Raises FencedError, or RetryableError: call it again."""
        ...


@runtime_checkable
class KeepsLedger(Protocol):
    """Capability: the sink keeps ledger rows, and notes about them, beside its data."""

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """The newest row of each partition that has one. Raises RetryableError."""
        ...

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Store rows and notes durably, outside any transaction. A stale row is passed over, a note never.

        Raises:
            RetryableError: some of it may be stored; saving it all again does no harm.
            FencedError: a successor took over.
        """
        ...

    def load_notes(self) -> Sequence[LedgerNote]:
        """Every note of the pipeline, oldest first. Raises RetryableError."""
        ...


@runtime_checkable
class ClaimsWorker(Protocol):
    """Capability: of several processes with one worker name, the one that opened its sink last is the worker.

    ``open`` claims the name. The others write no more: one that sleeps for long, or has nothing to write, finds out by
    ``check_claim``, which the runner calls every few seconds and before it writes after a long pause.
    """

    def check_claim(self) -> None:
        """Ask whether the name is still this process's; cheap, and made for being asked often.

        Raises:
            FencedError: a later process has claimed it.
            RetryableError: no answer.
        """
        ...
