"""Sink: documents, the source's offsets and ledger rows in one transaction.

Documents arrive byte for byte; the key decides the partition, as with the Java client.
"""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from confluent_kafka import TopicPartition

from prism_kafka.cluster import Cluster, TopicLimits
from prism_kafka.config import Options
from prism_kafka.failures import FORBIDDEN, TOO_LARGE, UNKNOWN_TOPIC
from prism_kafka.ledger import LedgerTopic, row_key, row_value
from prism_kafka.settings import RECORD_OVERHEAD, transactional_settings
from prism_kafka.source import Member
from prism_kafka.transactions import Failure, TransactionalProducer
from prismlib.errors import (
    ConfigError,
    FatalError,
    RetryableError,
    StageContractError,
    UnreachableError,
    UnwritableError,
)
from prismlib.records import Documents, Headers, LedgerNote, LedgerRow, Partition, WriteResult
from prismlib.stages import WritePolicy

log = logging.getLogger(__name__)

_HEADER_OVERHEAD: Final = 16  # bytes of framing per header, rounded up


class KafkaSink:
    """A Sink that is Transactional, KeepsLedger and ClaimsWorker.

    Attributes:
        policy: its ``max_document_bytes`` is the topic's, known once it is open.
    """

    def __init__(
        self, servers: str, options: Options, *, topic: str, pipeline: str, worker: str, dead_letter_topic: str
    ) -> None:
        """Nothing is connected yet.

        Args:
            servers: ``host:port`` of one broker or more, joined by commas.
            options: for librdkafka, as :mod:`prism_kafka.config` let them pass.
            topic: where documents go.
            pipeline: name of the pipeline.
            worker: this worker's name in it; a later one of the same name fences this one.
            dead_letter_topic: documents of this stream are dead letters; "" when there are none.

        Raises:
            ConfigError: librdkafka does not know an option or refuses its value.
        """
        self.policy = WritePolicy(stream=topic, buffers=True)
        self._topic = topic
        self._pipeline = pipeline
        self._worker = worker
        self._servers = servers
        self._options = options
        self._dead_letter_topic = dead_letter_topic
        self._cluster = Cluster(servers, options, client=f"prism-{pipeline}-{worker}")
        self._ledger = LedgerTopic(self._cluster, options, pipeline=pipeline, worker=worker)
        self._cluster_id = ""
        self._limits: Mapping[str, TopicLimits] = {}
        self._transactions: TransactionalProducer | None = None
        self._unflushed: list[Documents] = []

    def open(self) -> None:
        """Look at the topics, claim the worker's name, fence predecessors."""
        self._cluster_id = self._cluster.connect()
        streams = [self._topic, self._ledger.topic]
        if self._dead_letter_topic:
            streams.append(self._dead_letter_topic)
        self._limits = self._cluster.limits(streams, pipeline=self._pipeline)
        if not self._limits[self._ledger.topic].compacted or self._limits[self._ledger.topic].deletes:
            raise ConfigError(
                f"the ledger topic {self._ledger.topic} must have cleanup.policy=compact, or the broker forgets the"
                " pipeline's progress; set it with the tools of your brokers"
            )
        limits = [limit.max_bytes for limit in self._limits.values()]
        settings = transactional_settings(
            self._servers, self._options, pipeline=self._pipeline, worker=self._worker, limits=limits
        )
        transactions = TransactionalProducer(settings, self._ledger.is_ours)
        try:
            self._ledger.claim()
        except RetryableError as error:
            raise UnreachableError(str(error)) from error
        transactions.open()
        self._transactions = transactions
        room = self._limits[self._topic].max_bytes - RECORD_OVERHEAD
        self.policy = replace(self.policy, max_document_bytes=room)

    # --- writing -------------------------------------------------------------------------------------------------------

    def write(self, documents: Documents) -> WriteResult:
        """Hand documents to the producer; those that their topic cannot take are rejected at once.

        Once the broker has refused a record, the transaction can only be aborted, and ``flush`` says so: until then
        documents are taken and dropped.
        """
        transactions = self._open_transactions()
        self._unflushed.append(documents)
        if transactions.failures:
            self._judge(transactions.failures)
            return WriteResult()
        limits = self._limits_of(documents.stream)
        rejected = _unwritable(documents, limits)
        keys, bodies, headers = documents.keys, documents.bodies, documents.headers
        if rejected:
            kept = [i for i in range(len(documents)) if i not in rejected]
            keys, bodies = [keys[i] for i in kept], [bodies[i] for i in kept]
            headers = [headers[i] for i in kept] if headers else ()
        try:
            transactions.produce(documents.stream, keys, bodies, headers)
        except RetryableError:
            # A record that the broker refused meanwhile has ended the transaction: flush must be able to say which.
            if not any(failure.bad_record for failure in transactions.failures):
                raise
        return WriteResult(rejected)

    def flush(self, timeout: float) -> WriteResult:
        """Wait for the brokers. Records that they refuse are named, as far as that can be told."""
        transactions = self._open_transactions()
        if not transactions.failures:
            transactions.flush(timeout)
        written, self._unflushed = self._unflushed, []
        if not transactions.failures:
            return WriteResult()
        self._judge(transactions.failures)
        return WriteResult(_positions(written, [f for f in transactions.failures if f.bad_record]))

    def _judge(self, failures: Sequence[Failure]) -> None:
        """Raise, unless all that went wrong is that the broker refuses documents."""
        for failure in failures:
            reason = failure.error.str()
            if failure.bad_record and failure.stream == self._topic:
                return
            if failure.bad_record:
                raise FatalError(f"the Kafka broker refuses a record for topic {failure.stream}: {reason}")
            if failure.error.code() in FORBIDDEN or failure.error.code() in UNKNOWN_TOPIC:
                raise FatalError(f"topic {failure.stream} on {self._servers} cannot be written: {reason}")
        cause = self._open_transactions().broken_by() or failures[0].error
        if cause.code() in FORBIDDEN or cause.code() in UNKNOWN_TOPIC:
            topics = ", ".join(sorted({self._topic, self._dead_letter_topic or self._topic}))
            raise FatalError(f"one of the topics {topics} on {self._servers} cannot be written: {cause.str()}")
        raise RetryableError(f"topic {failures[0].stream} on {self._servers} cannot be written: {cause.str()}")

    def _limits_of(self, stream: str) -> TopicLimits:
        if stream not in self._limits:
            raise StageContractError(f"the Kafka sink was given documents for {stream}, which it does not write to")
        return self._limits[stream]

    def _open_transactions(self) -> TransactionalProducer:
        if self._transactions is None:
            raise StageContractError("the Kafka sink was used before it was opened")
        return self._transactions

    # --- Transactional -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start a transaction."""
        self._unflushed.clear()
        self._open_transactions().begin()

    def commit(self, next_offsets: Mapping[Partition, int], member: object, ledger_rows: Sequence[LedgerRow]) -> None:
        """Add ledger rows and the group's offsets, and commit it all."""
        transactions = self._open_transactions()
        group = self._group_of(member) if next_offsets else None
        try:
            transactions.produce(self._ledger.topic, map(row_key, ledger_rows), map(row_value, ledger_rows))
            offsets = [TopicPartition(p.stream, p.index, offset) for p, offset in next_offsets.items()]
            transactions.commit(offsets, group)
        except RetryableError:
            # Not left to the caller alone: an open transaction on the ledger would hold up every reader of it.
            with contextlib.suppress(RetryableError):
                transactions.abort()
            raise
        self._unflushed.clear()

    def _group_of(self, member: object) -> object:
        if not isinstance(member, Member):
            raise StageContractError(f"the Kafka sink can commit offsets of a Kafka source only, not of {member!r}")
        if member.cluster_id != self._cluster_id:
            raise FatalError(
                f"source and sink are different Kafka clusters, {member.cluster_id} and {self._cluster_id}: one transaction"
                " cannot span both; mirror one of the topics first"
            )
        return member.metadata

    def abort(self) -> None:
        """Drop everything since ``begin``."""
        self._open_transactions().abort()
        self._unflushed.clear()

    # --- KeepsLedger ---------------------------------------------------------------------------------------------------

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Read the ledger topic."""
        return self._ledger.load(partitions)

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Write to the ledger topic at once, whether or not a transaction is open."""
        self._ledger.save(rows, notes)

    def load_notes(self) -> Sequence[LedgerNote]:
        """Read the ledger topic."""
        return self._ledger.load_notes()

    def check_claim(self) -> None:
        """Look at what came to the ledger topic since the last look."""
        if not self._ledger.is_ours():
            raise self._ledger.fenced()

    def close(self) -> None:
        """Abort what is open and let go."""
        if self._transactions is not None:
            self._transactions.close()


def _unwritable(documents: Documents, limits: TopicLimits) -> dict[int, UnwritableError]:
    """Documents that their topic cannot take, by position. The usual case costs two passes without bytecode."""
    keys, bodies, headers = documents.keys, documents.bodies, documents.headers
    rejected: dict[int, UnwritableError] = {}
    if limits.compacted and None in keys:
        for i, key in enumerate(keys):
            if key is None:
                rejected[i] = UnwritableError(
                    f"topic {documents.stream} is compacted and takes no record without a key", code="no-key"
                )
    room = limits.max_bytes - RECORD_OVERHEAD
    largest = max(map(len, filter(None, bodies)), default=0) + max(map(len, filter(None, keys)), default=0)
    if largest + max(map(_header_bytes, filter(None, headers)), default=0) <= room:
        return rejected
    for i, (key, body) in enumerate(zip(keys, bodies, strict=True)):
        size = len(key or b"") + len(body or b"") + (_header_bytes(headers[i] or ()) if headers else 0)
        if size > room:
            rejected[i] = UnwritableError(
                f"{size} bytes are more than topic {documents.stream} takes: its max.message.bytes is {limits.max_bytes}",
                code="too-large",
            )
    return rejected


def _header_bytes(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value or b"") + _HEADER_OVERHEAD for name, value in headers)


def _positions(written: Iterable[Documents], failures: Sequence[Failure]) -> dict[int, UnwritableError]:
    """Where the refused records stand in all those writes: found by their content, each place named once."""
    wanted: dict[tuple[str, bytes | None, bytes | None], list[Failure]] = defaultdict(list)
    for failure in failures:
        wanted[failure.stream, failure.key, failure.value].append(failure)
    found: dict[int, UnwritableError] = {}
    start = 0
    for documents in written:
        for i, record in enumerate(zip(documents.keys, documents.bodies, strict=True), start):
            refused = wanted.get((documents.stream, *record))
            if refused:
                error = refused.pop(0).error
                code = "too-large" if error.code() in TOO_LARGE else "refused"
                found[i] = UnwritableError(f"the Kafka broker refuses the record: {error.str()}", code=code)
        start += len(documents)
    return found
