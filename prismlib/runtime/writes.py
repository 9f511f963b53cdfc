"""Delivery through a sink without transactions: several writes in flight, each settled row by row.

    accepted batches -> one write of many batches -> in flight, in a thread -> settled | dead letter | tried again later

A write that fails as a whole, and the documents that the sink could not take now, wait out their backoff here, while the
runner goes on polling. Offsets are committed up to the settled prefix; the ledger first, the broker's mirror after it.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from prismlib.errors import FencedError, RetryableError, StageContractError
from prismlib.records import Documents, LedgerRow, Partition, WriteResult
from prismlib.runtime.claims import ClaimWatch
from prismlib.runtime.dead_letters import Letter, LetterBox, RejectionLimit
from prismlib.runtime.delivery import Counters
from prismlib.runtime.progress import Progress, Ticket
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Prepared
from prismlib.stages import KeepsLedger, Sink, Source

log = logging.getLogger(__name__)

MAX_AHEAD = 20  # full writes per slot that may be read beyond a document that is tried again and again


@dataclass(slots=True)
class _Segment:
    """Consecutive documents of one write that belong to one ticket."""

    ticket: Ticket
    rows: Sequence[int]
    whole: bool  # these rows are all of the ticket's batch


@dataclass(slots=True)
class _Write:
    documents: Documents
    segments: list[_Segment]
    backoff: Backoff = field(default_factory=Backoff)
    not_before: float = 0.0

    def place(self, position: int) -> tuple[Ticket, int]:
        """Ticket and row of a document."""
        for segment in self.segments:
            if position < len(segment.rows):
                return segment.ticket, segment.rows[position]
            position -= len(segment.rows)
        raise StageContractError(f"the sink answered for document {position}, which the write did not have")

    @property
    def live(self) -> bool:
        return any(segment.ticket.live for segment in self.segments)


class WritesDelivery:
    """See :class:`prismlib.runtime.delivery.Delivery`."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        dead_letters: Sink,
        progress: Progress,
        letters: LetterBox,
        limit: RejectionLimit,
        counters: Counters,
        *,
        commit_interval: float,
        ledger_row: Callable[[Partition, int], LedgerRow],
        before_commit: Callable[[Collection[Partition]], None],
    ) -> None:
        """``dead_letters`` is durable once its ``flush`` returns; the last two as in TransactionDelivery."""
        self._source = source
        self._sink = sink
        self._ledger: KeepsLedger | None = sink if isinstance(sink, KeepsLedger) else None
        self._dead_letters = dead_letters
        self._progress = progress
        self._letters = letters
        self._limit = limit
        self._counters = counters
        self._interval = commit_interval
        self._ledger_row = ledger_row
        self._before_commit = before_commit
        self._policy = sink.policy
        self._pool = ThreadPoolExecutor(self._policy.max_in_flight, thread_name_prefix="prism-write")
        self._waiting: list[tuple[Ticket, Prepared]] = []  # accepted, not in a write yet
        self._waiting_documents = 0
        self._waiting_bytes = 0
        self._in_flight: dict[Future[WriteResult], _Write] = {}
        self._later: list[_Write] = []  # in backoff
        self._refused: list[tuple[Ticket, Letter]] = []  # not durable in the dead letters yet
        self._letters_backoff = Backoff()
        self._letters_not_before = 0.0
        self._commit_due = 0.0
        self._claims = ClaimWatch(sink)

    # --- taking over ---------------------------------------------------------------------------------------------------

    def accept(self, prepared: Prepared) -> None:
        """Queue the documents and the dead letters of one batch."""
        if not len(prepared.batch):
            return
        ticket = self._progress.track(prepared.batch)
        self._counters.read += len(prepared.batch)
        self._counters.gaps = self._progress.gaps
        self._limit.count(len(prepared.batch), prepared.letters)
        self._refused += [(ticket, letter) for letter in prepared.letters]
        if prepared.dropped:
            self._counters.dropped += len(prepared.dropped)
            self._progress.settle(ticket, prepared.dropped)
        if len(prepared.documents):
            self._waiting.append((ticket, prepared))
            self._waiting_documents += len(prepared.documents)
            self._waiting_bytes += prepared.documents.body_bytes
        self._send()

    def has_room(self) -> bool:
        """One full write may wait behind those in flight; what is kept behind one stuck document has its limit too."""
        policy = self._policy
        return (
            not self._waits_full_write()
            and not self._letters_backoff.attempts
            and self._progress.held() < MAX_AHEAD * policy.max_in_flight * policy.max_documents
        )

    def _waits_full_write(self) -> bool:
        policy = self._policy
        return self._waiting_documents >= policy.max_documents or self._waiting_bytes >= policy.max_bytes

    def _free_slots(self) -> int:
        return self._policy.max_in_flight - len(self._in_flight) - len(self._later)

    def _send(self) -> None:
        """Send what waits, while there are slots: full writes first come, a smaller one when nothing is in flight."""
        while self._waiting and self._free_slots() > 0:
            if self._in_flight and not self._waits_full_write():
                return
            self._start(self._next_write())

    def _start(self, write: _Write) -> None:
        self._claims.check()
        self._in_flight[self._pool.submit(self._sink.write, write.documents)] = write

    def _next_write(self) -> _Write:
        """Join waiting batches of documents up to the policy's limits."""
        taken: list[tuple[Ticket, Prepared, int]] = []
        documents = size = 0
        policy = self._policy
        while self._waiting and documents < policy.max_documents and size < policy.max_bytes:
            ticket, prepared = self._waiting.pop(0)
            bodies = prepared.documents.bodies
            fits = 0
            room = min(len(bodies), policy.max_documents - documents)
            for body in itertools.islice(bodies, room):
                length = len(body) if body is not None else 0
                if size + length > policy.max_bytes and (fits or documents):
                    break
                size += length
                fits += 1
            if fits:
                taken.append((ticket, prepared, fits))
                documents += fits
            if fits < len(bodies):
                self._waiting.insert(0, (ticket, _tail(prepared, fits)))
                break
        self._waiting_documents -= documents
        self._waiting_bytes -= size
        return _join(taken)

    # --- results -------------------------------------------------------------------------------------------------------

    def advance(self, timeout: float) -> None:
        """Collect finished writes, send what is due, make dead letters durable, commit when it is time."""
        self._claims.check()
        deadline = time.monotonic() + timeout
        if self._in_flight:
            done, _ = wait(self._in_flight, timeout=timeout, return_when=FIRST_COMPLETED)
            for future in done:
                self._finish(self._in_flight.pop(future), future)
        now = time.monotonic()
        due = [write for write in self._later if write.not_before <= now]
        if due:
            self._later = [write for write in self._later if write.not_before > now]
            for write in due:
                if write.live:
                    self._start(write)
        self._send()
        if self._refused and now >= self._letters_not_before:
            self._flush_letters()
        if now >= self._commit_due:
            self._commit()
        if not self._in_flight and (self._later or self._refused):
            time.sleep(max(0.0, min(0.05, deadline - time.monotonic())))

    def _finish(self, write: _Write, future: Future[WriteResult]) -> None:
        try:
            result = future.result()
        except RetryableError as error:
            self._counters.retried += len(write.documents)
            pause = write.backoff.next(error.retry_after)
            log.warning("write failed, trying again", extra={"reason": str(error), "seconds": round(pause, 1)})
            write.not_before = time.monotonic() + pause
            self._later.append(write)
            return
        again = sorted(result.retry)
        unsettled = set(again)
        if result.rejected:
            unsettled |= result.rejected.keys()
            refused: list[Letter] = []
            for position, refusal in sorted(result.rejected.items()):
                ticket, row = write.place(position)
                refused.append(Letter(ticket.batch, row, "write", refusal))
                if ticket.live:
                    self._refused.append((ticket, refused[-1]))
            self._limit.count(0, refused)
        self._settle(write, unsettled)
        if again:
            self._counters.retried += len(again)
            retry = _choose(write, again)
            retry.backoff.attempts = write.backoff.attempts
            seconds = retry.backoff.next(max((r.retry_after or 0.0 for r in result.retry.values()), default=None))
            retry.not_before = time.monotonic() + seconds
            self._later.append(retry)

    def _settle(self, write: _Write, except_positions: set[int]) -> None:
        start = 0
        for segment in write.segments:
            count = len(segment.rows)
            if not except_positions:
                rows: Sequence[int] | None = None if segment.whole else segment.rows
            else:
                rows = [row for i, row in enumerate(segment.rows, start) if i not in except_positions]
            start += count
            if segment.ticket.live:
                self._counters.delivered += count if rows is None else len(rows)
                self._progress.settle(segment.ticket, rows)

    def _flush_letters(self) -> None:
        self._refused = [(ticket, letter) for ticket, letter in self._refused if ticket.live]
        batch = self._refused
        if not batch:
            return
        try:
            result = self._dead_letters.write(self._letters.documents([letter for _, letter in batch]))
            flushed = self._dead_letters.flush(10.0)
            for retry in (*result.retry.values(), *flushed.retry.values()):
                raise RetryableError(retry.reason, retry_after=retry.retry_after)
        except RetryableError as error:
            pause = self._letters_backoff.next(error.retry_after)
            self._letters_not_before = time.monotonic() + pause
            log.warning("dead letters cannot be written, trying again", extra={"reason": str(error)})
            return
        for problem in (*result.rejected.values(), *flushed.rejected.values()):
            raise self._letters.refused(problem.reason)
        self._letters_backoff.reset()
        self._refused = []
        self._counters.dead_letters += len(batch)
        for ticket, letter in batch:
            self._progress.settle(ticket, (letter.row,))

    # --- committing ----------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        self._commit_due = time.monotonic() + self._interval
        next_offsets = self._progress.committable()
        if not next_offsets:
            return
        try:
            self._before_commit(next_offsets)
        except RetryableError as error:
            log.warning("the topics cannot be looked at, committing later", extra={"reason": str(error)})
            return
        try:
            if self._ledger is not None:
                self._ledger.save_ledger([self._ledger_row(p, offset) for p, offset in next_offsets.items()])
        except RetryableError as error:
            log.warning("the ledger cannot be written, trying again", extra={"reason": str(error)})
            return
        try:
            self._source.commit(next_offsets)
        except (RetryableError, FencedError) as error:
            # Fenced: the partitions have another owner, and the source says so in the next poll.
            log.warning("offsets cannot be committed now", extra={"reason": str(error)})
            return
        self._progress.mark_committed(next_offsets)
        self._counters.commits += 1

    def needs_rewind(self) -> bool:
        """Never: what was accepted is written until it is settled."""
        return False

    def rewind(self) -> bool:
        """Nothing to read again."""
        return False

    def drain(self, timeout: float) -> bool:
        """Wait until all is settled, or the time is up; commit what is."""
        deadline = time.monotonic() + timeout
        while self._open() and time.monotonic() < deadline:
            self.advance(0.1)
        self._commit()
        return not self._open() and not self._progress.committable()

    def _open(self) -> bool:
        return bool(self._waiting or self._in_flight or self._later or self._refused)

    def forget(self, partitions: Sequence[Partition]) -> None:
        """Their tickets become inert; writes under way may still arrive, which versions make harmless."""
        for partition in partitions:
            self._progress.forget(partition)
        self._waiting = [(ticket, prepared) for ticket, prepared in self._waiting if ticket.live]
        self._waiting_documents = sum(len(prepared.documents) for _, prepared in self._waiting)
        self._waiting_bytes = sum(prepared.documents.body_bytes for _, prepared in self._waiting)
        self._later = [write for write in self._later if write.live]
        self._refused = [(ticket, letter) for ticket, letter in self._refused if ticket.live]
        if not self._refused:
            self._letters_backoff.reset()  # else nothing is read any more, for letters that nobody writes

    def idle(self) -> bool:
        """Everything accepted is settled and committed."""
        return not self._open() and not self._progress.committable()

    def close(self) -> None:
        """Wait for the threads; a write under way has its own time limit."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _columns(documents: Documents, chosen: Sequence[int] | slice) -> Documents:
    def pick(column: Sequence[object]) -> Sequence[object]:
        if not column:
            return ()
        return column[chosen] if isinstance(chosen, slice) else [column[i] for i in chosen]

    names = ("sources", "offsets", "keys", "bodies", "ids", "versions", "headers")
    return Documents(stream=documents.stream, **{n: pick(getattr(documents, n)) for n in names})  # type: ignore[arg-type]


def _tail(prepared: Prepared, start: int) -> Prepared:
    """The documents of ``prepared`` from ``start`` on; everything else of it was dealt with already."""
    return Prepared(prepared.batch, prepared.rows[start:], _columns(prepared.documents, slice(start, None)))


def _join(taken: Sequence[tuple[Ticket, Prepared, int]]) -> _Write:
    parts = [p.documents if n == len(p.documents) else _columns(p.documents, slice(0, n)) for _, p, n in taken]
    segments = [_Segment(ticket, p.rows[:n], whole=n == len(ticket.batch)) for ticket, p, n in taken]
    if len(parts) == 1:
        return _Write(parts[0], segments)
    joined = {
        name: list(itertools.chain.from_iterable(getattr(part, name) for part in parts))
        for name in ("sources", "offsets", "keys", "bodies", "ids", "versions")
    }
    return _Write(Documents(stream=parts[0].stream, **joined), segments)


def _choose(write: _Write, positions: Sequence[int]) -> _Write:
    """A write of some of the documents of another."""
    segments = [_Segment(ticket, [row], whole=False) for ticket, row in map(write.place, positions)]
    return _Write(_columns(write.documents, positions), segments)
