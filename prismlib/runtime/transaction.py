"""Delivery through a transactional sink: documents, offsets and ledger rows in one transaction at a time.

A transaction is committed only at a barrier: every document since ``begin`` is settled, and the offsets cover exactly
those. (Committing the offsets of a part of an open transaction doubled 250 of 1,000 records when tried.) Anything else
aborts it and goes back to what the broker says is committed.

When the broker refuses single records of a transaction, the sink can often not tell which. Then the same records are
read again, one record a transaction, until the culprit is alone; it becomes a dead letter.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from prismlib.errors import FencedError, RetryableError, StageContractError
from prismlib.records import LedgerRow, Partition, WriteResult
from prismlib.runtime.claims import ClaimWatch
from prismlib.runtime.dead_letters import Letter, LetterBox, RejectionLimit
from prismlib.runtime.delivery import Counters
from prismlib.runtime.progress import Progress
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Prepared
from prismlib.stages import InGroup, Sink, Source, Transactional

log = logging.getLogger(__name__)

# One transaction holds no more, whatever the commit interval: until its end it is in the memory of a client or broker.
MAX_OPEN = 200_000  # documents
MAX_OPEN_BYTES = 64 << 20  # of their bodies


class TransactionalSink(Sink, Transactional):
    """Both at once, for the type checker."""


class _RefusedError(RetryableError):
    """The servers are there and refuse a record: the search for it goes on at once."""


class TransactionDelivery:
    """See :class:`prismlib.runtime.delivery.Delivery`."""

    def __init__(
        self,
        source: Source,
        sink: TransactionalSink,
        progress: Progress,
        letters: LetterBox,
        limit: RejectionLimit,
        counters: Counters,
        *,
        commit_interval: float,
        ledger_row: Callable[[Partition, int], LedgerRow],
        before_commit: Callable[[Collection[Partition]], None],
    ) -> None:
        """Two questions to the assignment.

        ``ledger_row(partition, next_offset)`` makes the row that is committed with the offset; ``before_commit`` raises
        when these partitions must not be committed.
        """
        if not isinstance(source, InGroup):
            raise StageContractError("a transactional sink needs a source that is a member of a group")
        self._group: InGroup = source
        self._source = source
        self._sink = sink
        self._progress = progress
        self._letters = letters
        self._limit = limit
        self._counters = counters
        self._interval = commit_interval
        self._ledger_row = ledger_row
        self._before_commit = before_commit
        self._open: list[Prepared] = []
        self._tally = Counters()  # of the open transaction: what is aborted was not delivered
        self._in_transaction = False
        self._written = 0
        self._written_bytes = 0
        self._due = 0.0
        self._backoff = Backoff()
        self._not_before = 0.0
        self._rewind = False
        self._careful_until: dict[Partition, int] = {}
        self._culprits: dict[tuple[Partition, int], Letter] = {}
        self._claims = ClaimWatch(sink)

    def accept(self, prepared: Prepared) -> None:
        """Write one batch into the open transaction; with suspects about, one record a transaction."""
        if self._rewind:
            return  # it will be read again
        batch = prepared.batch
        if batch.partition in self._careful_until:
            if len(batch):
                self._accept_carefully(prepared)
            return
        self._write(prepared)

    def _accept_carefully(self, prepared: Prepared) -> None:
        batch = prepared.batch
        partition = batch.partition
        for row in range(len(batch)):
            one = _only(prepared, row)
            self._write(one)
            if not self._rewind:
                self._commit()
            if self._rewind:
                return
            if batch.offsets[row] >= self._careful_until[partition]:
                del self._careful_until[partition]
                rest = _after(prepared, row)
                if len(rest.batch):
                    self._write(rest)
                return

    def _write(self, prepared: Prepared) -> None:
        batch = prepared.batch
        rejected = list(prepared.letters)
        try:
            if not self._in_transaction:
                self._begin()
            known = self._culprits.pop((batch.partition, batch.offsets[0]), None) if len(batch) == 1 else None
            self._open.append(prepared if known is None else replace(prepared, rows=()))  # its document is not sent
            self._progress.track(batch) if len(batch) else None
            if known is not None:
                rejected.append(known)
            elif len(prepared.documents):
                result = self._sink.write(prepared.documents)
                self._written += len(prepared.documents)
                self._written_bytes += prepared.documents.body_bytes
                if result.retry:
                    raise RetryableError(next(iter(result.retry.values())).reason)
                rejected += [
                    Letter(batch, prepared.rows[position], "write", error)
                    for position, error in sorted(result.rejected.items())
                ]
            self._limit.count(len(batch), rejected)
            if rejected:
                letters = self._letters.documents(rejected)
                refused = self._sink.write(letters)
                if refused.rejected:
                    raise self._letters.refused(_first(refused))
                if refused.retry:
                    raise RetryableError(_first(refused))
                self._written += len(letters)
                self._written_bytes += letters.body_bytes
        except RetryableError as error:
            self._go_back(error)
            return
        self._counters.read += len(batch)
        self._counters.gaps = self._progress.gaps
        self._tally.dead_letters += len(rejected)
        self._tally.dropped += len(prepared.dropped)
        self._tally.delivered += len(batch) - len(rejected) - len(prepared.dropped)
        if self._written >= MAX_OPEN or self._written_bytes >= MAX_OPEN_BYTES:
            self._commit()

    def has_room(self) -> bool:
        """While the servers are away, nothing more is read."""
        return time.monotonic() >= self._not_before

    def advance(self, timeout: float) -> None:
        """Commit when the interval has passed; or wait out a part of the backoff."""
        now = time.monotonic()
        if now < self._not_before:
            time.sleep(min(timeout, self._not_before - now))
        elif self._in_transaction and not self._rewind and now >= self._due:
            self._commit()  # what must be rewound is open only because it could not be aborted yet
        elif not self._in_transaction and not self._rewind and self._progress.committable():
            self._mirror()
        elif self.idle():
            self._claims.check()  # a transaction finds out by itself

    def _mirror(self) -> None:
        """Begin a transaction without documents: the broker does not know yet where partitions start that are quiet now."""
        try:
            self._begin()
        except RetryableError as error:
            self._go_back(error)

    def _begin(self) -> None:
        self._sink.begin()
        self._in_transaction = True
        self._due = time.monotonic() + self._interval

    def needs_rewind(self) -> bool:
        """The transaction was dropped, and its records were not read again yet."""
        return self._rewind

    def rewind(self) -> bool:
        """Abort, and set the tracks back to what the broker has committed."""
        if time.monotonic() < self._not_before:
            return False
        try:
            if self._in_transaction:
                self._sink.abort()
                self._in_transaction = False
            partitions = self._progress.assigned()
            committed = self._source.committed(partitions)
        except RetryableError as error:
            log.warning("cannot go back to the committed offsets yet", extra={"reason": str(error)})
            self._wait(error)
            return False
        for partition in partitions:
            self._progress.rewind(partition, committed[partition].next_offset)
        self._rewind = False
        return True

    def _commit(self) -> None:
        """The barrier."""
        try:
            result = self._sink.flush(30.0)
            if result.rejected or result.retry:
                self._find_culprits(result)
                raise _RefusedError(f"the broker refused a record of the transaction: {_first(result)}")
            self._progress.settle_all()
            next_offsets = self._progress.committable()
            self._before_commit(next_offsets)
            rows = [self._ledger_row(partition, offset) for partition, offset in next_offsets.items()]
            self._sink.commit(next_offsets, self._group.member(), rows)
        except RetryableError as error:
            self._go_back(error)
            return
        self._progress.mark_committed(next_offsets)
        self._in_transaction = False
        self._counters.delivered += self._tally.delivered
        self._counters.dead_letters += self._tally.dead_letters
        self._counters.dropped += self._tally.dropped
        self._counters.commits += 1
        self._clear()
        self._backoff.reset()

    def _find_culprits(self, result: WriteResult) -> None:
        documents = [(p, row) for p in self._open for row in p.rows]
        if len(documents) == 1 and len(result.rejected) == 1:
            prepared, row = documents[0]
            error = next(iter(result.rejected.values()))
            place = (prepared.batch.partition, prepared.batch.offsets[row])
            self._culprits[place] = Letter(prepared.batch, row, "write", error)
            self._careful_until.setdefault(*place)
            return
        if not documents:
            raise self._letters.refused(_first(result))
        for prepared in self._open:
            if len(prepared.batch):
                self._careful_until[prepared.batch.partition] = prepared.batch.offsets[-1]

    def _go_back(self, error: RetryableError) -> None:
        self._counters.aborts += 1
        self._rewind = True
        self._clear()
        self._wait(error)
        log.warning("transaction aborted, going back to the committed offsets", extra={"reason": str(error)})

    def _clear(self) -> None:
        """Nothing is in the transaction."""
        self._open.clear()
        self._written = self._written_bytes = 0
        self._tally = Counters()

    def _wait(self, error: RetryableError) -> None:
        pause = 0.0 if isinstance(error, _RefusedError) else self._backoff.next(error.retry_after)
        self._not_before = time.monotonic() + pause

    def drain(self, timeout: float) -> bool:
        """Commit the open transaction, once: when that does not work, the records are simply read again."""
        del timeout  # flush and commit have their own
        if self._in_transaction and not self._rewind:
            self._commit()
        if self._in_transaction and self._rewind:
            self._abort_quietly()
        return not self._rewind

    def forget(self, partitions: Sequence[Partition]) -> None:
        """Abort what is open: it may hold records of a partition that another member reads again."""
        if self._in_transaction:
            self._rewind = True
            self._clear()
            self._abort_quietly()
        for partition in partitions:
            self._careful_until.pop(partition, None)
            self._culprits = {place: letter for place, letter in self._culprits.items() if place[0] != partition}
            self._progress.forget(partition)

    def _abort_quietly(self) -> None:
        """Try to abort; while it does not work, ``rewind`` tries again."""
        try:
            self._sink.abort()
            self._in_transaction = False
        except FencedError:
            raise
        except RetryableError as error:
            self._wait(error)

    def idle(self) -> bool:
        """Nothing is open."""
        return not self._in_transaction and not self._rewind

    def close(self) -> None:
        """An open transaction ends with its producer."""
        self._open.clear()


def _first(result: WriteResult) -> str:
    return str(next(iter(result.rejected.values()), None) or next(iter(result.retry.values())).reason)


def _only(prepared: Prepared, row: int) -> Prepared:
    return _part(prepared, row, row + 1)


def _after(prepared: Prepared, row: int) -> Prepared:
    return _part(prepared, row + 1, len(prepared.batch))


def _part(prepared: Prepared, start: int, stop: int) -> Prepared:
    """Rows ``start`` to ``stop`` of a prepared batch, renumbered from 0."""
    d = prepared.documents
    chosen = [i for i, row in enumerate(prepared.rows) if start <= row < stop]
    columns = {
        name: [getattr(d, name)[i] for i in chosen] if getattr(d, name) else ()
        for name in ("sources", "offsets", "keys", "bodies", "ids", "versions", "headers")
    }
    batch = prepared.batch.slice(start, stop)
    return Prepared(
        batch,
        [prepared.rows[i] - start for i in chosen],
        type(d)(stream=d.stream, **columns),
        [
            Letter(batch, letter.row - start, letter.stage, letter.error)
            for letter in prepared.letters
            if start <= letter.row < stop
        ],
        [row - start for row in prepared.dropped if start <= row < stop],
    )
