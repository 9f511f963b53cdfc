"""Sinks in memory: transactional into a topic, append-only into a topic, and a versioned document store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TypeAlias

from prismlib.errors import ConfigError, FatalError, RecordError, RetryableError, UnreachableError, UnwritableError
from prismlib.records import Documents, LedgerNote, LedgerRow, Partition, Retry, WriteResult
from prismlib.stages.sink import WritePolicy
from prismlib.testing.memory.broker import MemoryBroker, Producer
from prismlib.testing.memory.group import MemberToken
from prismlib.testing.memory.ledger import LedgerTable

Refuses: TypeAlias = Callable[[bytes], str | None]
"""Says why a body can never be written, or None."""


class _TopicSink:
    """What both sinks of topics share: where a document goes, and buffering until ``flush``."""

    def __init__(self, broker: MemoryBroker, topic: str, refuses: Refuses | None, *, buffers: bool) -> None:
        self.policy = WritePolicy(stream=topic, buffers=buffers)
        self._broker = broker
        self._refuses = refuses
        self._buffer: list[Documents] = []

    def open(self) -> None:
        """See Sink."""
        if not self._broker.reachable:
            raise UnreachableError("the in-memory broker is unreachable: set its `reachable` to True")
        if not self._broker.has_topic(self.policy.stream):
            raise ConfigError(f"topic {self.policy.stream!r} does not exist: create it with `create_topic`")

    def write(self, documents: Documents) -> WriteResult:
        """See Sink. Documents of any stream are taken, so that dead letters go along."""
        self._before_write()
        if self.policy.buffers:
            self._buffer.append(documents)
            return WriteResult()
        return WriteResult(rejected=self._append(documents, 0))

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002 - memory never makes anybody wait
        """See Sink."""
        if not self.policy.buffers:
            return WriteResult()
        self._before_write()
        waiting, self._buffer = self._buffer, []
        rejected: dict[int, RecordError] = {}
        first = 0
        for documents in waiting:
            rejected.update(self._append(documents, first))
            first += len(documents)
        return WriteResult(rejected=rejected)

    def _before_write(self) -> None:
        self._broker.require_reachable()

    def _append(self, documents: Documents, first: int, producer: Producer | None = None) -> dict[int, RecordError]:
        rejected: dict[int, RecordError] = {}
        for index, body in enumerate(documents.bodies):
            why = self._refuses(body) if self._refuses is not None and body is not None else None
            if why is not None:
                rejected[first + index] = UnwritableError(why)
                continue
            headers = documents.headers[index] if documents.headers else None
            self._broker.append(documents.stream, documents.keys[index], body, headers, producer=producer)
        return rejected


class MemoryLog(_TopicSink):
    """Appends to a topic, outside any transaction: for dead letters, or as the simplest sink there is."""

    def __init__(
        self, broker: MemoryBroker, topic: str, *, buffers: bool = False, refuses: Refuses | None = None
    ) -> None:
        super().__init__(broker, topic, refuses, buffers=buffers)

    def close(self) -> None:
        """See Sink."""
        self._buffer = []


class MemoryTransactionalSink(_TopicSink):
    """Writes to a topic in transactions; Transactional, KeepsLedger and ClaimsWorker.

    ``open`` fences the predecessor of the same worker name and aborts what that one left open. The ledger belongs to
    the topic and is shared by all workers.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        topic: str,
        worker: str = "1",
        *,
        buffers: bool = True,
        refuses: Refuses | None = None,
    ) -> None:
        super().__init__(broker, topic, refuses, buffers=buffers)
        self._worker = worker
        self._producer: Producer | None = None

    @property
    def ledger(self) -> LedgerTable:
        """Where the rows are, for tests to look at and to damage."""
        return self._broker.ledger(f"{self.policy.stream}.ledger")

    def open(self) -> None:
        """See Sink."""
        super().open()
        self._producer = self._broker.producer(f"{self.policy.stream}-{self._worker}")

    def begin(self) -> None:
        """See Transactional. FatalError when a transaction is open already."""
        producer = self._current()
        if producer.in_transaction:
            raise FatalError("a transaction is open already: commit or abort it first")
        producer.begin()

    def commit(self, next_offsets: Mapping[Partition, int], member: object, ledger_rows: Sequence[LedgerRow]) -> None:
        """See Transactional. What is buffered is flushed first; RetryableError when not all of it is delivered."""
        producer = self._current()
        if next_offsets and not isinstance(member, MemberToken):
            raise FatalError("the member token is not one of MemorySource: both ends must use the same broker")
        if not producer.in_transaction:
            raise FatalError("no transaction is open: call `begin` first")
        if self.flush(0).rejected:
            raise RetryableError("documents of this transaction were rejected: abort it")
        if isinstance(member, MemberToken):
            producer.add_offsets(member, next_offsets)
        producer.end(committed=True, ledger=self.ledger, rows=ledger_rows)

    def abort(self) -> None:
        """See Transactional."""
        self._buffer = []
        self._current().end(committed=False)

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """See KeepsLedger."""
        self._broker.require_reachable()
        return self.ledger.load(partitions)

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """See KeepsLedger."""
        self._current()
        self.ledger.save(rows, notes)

    def load_notes(self) -> Sequence[LedgerNote]:
        """See KeepsLedger."""
        self._broker.require_reachable()
        return self.ledger.notes()

    def check_claim(self) -> None:
        """See ClaimsWorker."""
        self._current()

    def close(self) -> None:
        """See Sink. An open transaction is aborted when the broker answers, and left to the broker otherwise."""
        producer, self._producer = self._producer, None
        self._buffer = []
        if producer is not None and producer.in_transaction and self._broker.reachable:
            producer.end(committed=False)

    def _before_write(self) -> None:
        self._current()

    def _append(self, documents: Documents, first: int, producer: Producer | None = None) -> dict[int, RecordError]:
        return super()._append(documents, first, producer or self._current())

    def _current(self) -> Producer:
        self._broker.require_reachable()
        if self._producer is None:
            raise FatalError(f"the sink of topic {self.policy.stream!r} is not open")
        self._producer.require_current()
        return self._producer


class MemoryStore:
    """The server behind :class:`MemorySink`: documents by id, outliving every sink. Thread-safe.

    Attributes:
        reachable: set it to False, and every sink raises until it is True again.
        busy: ids that the server cannot take now; they come back as Retry.
        ledger: the ledger rows and notes beside the documents.
    """

    def __init__(self) -> None:
        self.reachable = True
        self.busy: set[str] = set()
        self.ledger = LedgerTable()
        self._lock = Lock()
        self._entries: dict[str, tuple[int, bytes | None]] = {}

    def put(self, document_id: str, version: int, body: bytes | None) -> None:
        """Store or, with None, delete, unless a higher version is there: then nothing changes."""
        with self._lock:
            stored = self._entries.get(document_id)
            if stored is None or version >= stored[0]:
                self._entries[document_id] = (version, body)

    @property
    def documents(self) -> dict[str, tuple[int, bytes]]:
        """Living documents: id to version and body."""
        with self._lock:
            return {one: (version, body) for one, (version, body) in self._entries.items() if body is not None}

    @property
    def tombstones(self) -> dict[str, int]:
        """Deleted documents: id to the version of the delete."""
        with self._lock:
            return {one: version for one, (version, body) in self._entries.items() if body is None}


class MemorySink:
    """A versioned document store; KeepsLedger. Several writes may run at once, document by document."""

    def __init__(
        self,
        store: MemoryStore | None = None,
        stream: str = "documents",
        *,
        max_in_flight: int = 1,
        max_documents: int = 2_000,
        refuses: Refuses | None = None,
    ) -> None:
        self.store = store if store is not None else MemoryStore()
        self.policy = WritePolicy(
            stream=stream, max_in_flight=max_in_flight, max_documents=max_documents, versioned=True
        )
        self._refuses = refuses

    def open(self) -> None:
        """See Sink."""
        if not self.store.reachable:
            raise UnreachableError("the in-memory store is unreachable: set its `reachable` to True")

    def write(self, documents: Documents) -> WriteResult:
        """See Sink."""
        self._require_reachable()
        rejected: dict[int, RecordError] = {}
        retry: dict[int, Retry] = {}
        for index, (document_id, version, body) in enumerate(
            zip(documents.ids, documents.versions, documents.bodies, strict=True)
        ):
            why = self._refuses(body) if self._refuses is not None and body is not None else None
            if why is not None:
                rejected[index] = UnwritableError(why)
            elif document_id in self.store.busy:
                retry[index] = Retry("the in-memory store is busy")
            else:
                self.store.put(document_id, version, body)
        return WriteResult(rejected=rejected, retry=retry)

    def flush(self, timeout: float) -> WriteResult:  # noqa: ARG002 - every write is durable when it returns
        """See Sink."""
        self._require_reachable()
        return WriteResult()

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """See KeepsLedger."""
        self._require_reachable()
        return self.store.ledger.load(partitions)

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """See KeepsLedger."""
        self._require_reachable()
        self.store.ledger.save(rows, notes)

    def load_notes(self) -> Sequence[LedgerNote]:
        """See KeepsLedger."""
        self._require_reachable()
        return self.store.ledger.notes()

    def close(self) -> None:
        """See Sink."""

    def _require_reachable(self) -> None:
        if not self.store.reachable:
            raise RetryableError("the in-memory store is unreachable: set its `reachable` to True")
