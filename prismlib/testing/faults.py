"""Fault injection: a source and a sink that fail on a seeded plan, for model tests of whatever drives them.

    plan = FaultPlan(seed=7, raise_before=0.1, raise_after=0.1, retry=0.05)
    sink = faulty_sink(MemoryTransactionalSink(broker, "out"), plan)

The same seed gives the same faults for the same calls in the same order. ``plan.stop()`` heals everything, so that a test
can let the pipeline finish and then compare.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from prismlib.errors import RetryableError, UnwritableError
from prismlib.records import Documents, LedgerNote, LedgerRow, Partition, RecordBatch, Retry, WriteResult
from prismlib.stages.sink import KeepsLedger, Sink, Transactional, WritePolicy
from prismlib.stages.source import (
    AssignmentListener,
    Committed,
    Horizon,
    IdentifiesTopics,
    InGroup,
    Pausable,
    Seekable,
    Source,
)

T = TypeVar("T")


@dataclass
class FaultPlan:
    """How often what goes wrong. Thread-safe; may be shared by a source and sinks.

    Attributes:
        seed: of everything that is random here.
        raise_before: share of calls that raise RetryableError and do nothing.
        raise_after: share of calls that raise RetryableError although they did everything.
        retry: share of documents that are not taken this time.
        retry_after: seconds that such documents ask to wait.
        delay: share of calls that wait first.
        delay_seconds: longest such wait.
        rejects: says of a body why it is refused for good, or None; the same body must get the same answer.
        lose_at: at these polls, counted from 1, ``lose`` is called first.
        lose: expires the member, such as ``lambda: broker.lose("group", "1")``.
        happened: what was injected, in order, for failure messages.
    """

    seed: int
    raise_before: float = 0.0
    raise_after: float = 0.0
    retry: float = 0.0
    retry_after: float | None = None
    delay: float = 0.0
    delay_seconds: float = 0.002
    rejects: Callable[[bytes], str | None] | None = None
    lose_at: frozenset[int] = frozenset()
    lose: Callable[[], None] | None = None
    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a test wants to repeat it, not to hide it
        self._lock = Lock()
        self._stopped = False

    def stop(self) -> None:
        """No more faults from here on, but for ``rejects``, which is a property of the documents."""
        with self._lock:
            self._stopped = True

    def strikes(self, share: float, what: str) -> bool:
        """Throw the dice; note ``what`` when it happens."""
        with self._lock:
            hit = not self._stopped and share > 0 and self._random.random() < share
            if hit:
                self.happened.append(what)
            return hit

    def around(self, what: str, call: Callable[[], T]) -> T:
        """Make one call, perhaps late, perhaps not at all, perhaps losing its answer."""
        if self.strikes(self.delay, f"delay {what}"):
            with self._lock:
                seconds = self._random.random() * self.delay_seconds
            time.sleep(seconds)
        if self.strikes(self.raise_before, f"raise before {what}"):
            raise RetryableError(f"injected before {what}: nothing was done")
        answer = call()
        if self.strikes(self.raise_after, f"raise after {what}"):
            raise RetryableError(f"injected after {what}: it was done, and the answer was lost")
        return answer

    def before_poll(self, number: int) -> None:
        """Lose the member when it is time."""
        if number in self.lose_at and self.lose is not None and not self._stopped:
            self.happened.append(f"lose before poll {number}")
            self.lose()


class FaultySource:
    """A source in front of another one that is InGroup, Pausable, Seekable and IdentifiesTopics.

    ``poll`` is only ever struck before: a poll that reads and then raises would break SRC-02, which no source may do.
    """

    def __init__(self, source: Source, plan: FaultPlan) -> None:
        self.source = source
        self.plan = plan
        self.polls = 0

    def open(self, listener: AssignmentListener) -> None:
        """Pass on."""
        self.source.open(listener)

    def poll(self, max_records: int, timeout: float) -> Sequence[RecordBatch]:
        """Pass on, or lose the member first, or raise."""
        self.polls += 1
        self.plan.before_poll(self.polls)
        if self.plan.strikes(self.plan.raise_before, "raise before poll"):
            raise RetryableError("injected before poll: nothing was read")
        return self.source.poll(max_records, timeout)

    def commit(self, next_offsets: Mapping[Partition, int]) -> None:
        """Pass on, with faults."""
        self.plan.around("source commit", lambda: self.source.commit(next_offsets))

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """Pass on, with faults."""
        return self.plan.around("committed", lambda: self.source.committed(partitions))

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """Pass on, with faults."""
        return self.plan.around("horizons", lambda: self.source.horizons(partitions))

    def topic_ids(self, streams: Collection[str]) -> Mapping[str, str]:
        """Pass on, with faults. Raises TypeError when the wrapped source does not identify topics."""
        if not isinstance(self.source, IdentifiesTopics):
            raise TypeError(f"{type(self.source).__name__} does not identify topics")
        source = self.source
        return self.plan.around("topic ids", lambda: source.topic_ids(streams))

    def close(self) -> None:
        """Pass on."""
        self.source.close()

    def member(self) -> object:
        """Pass on. Raises TypeError when the wrapped source is not InGroup."""
        if not isinstance(self.source, InGroup):
            raise TypeError("the wrapped source is not InGroup")
        return self.source.member()

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Pass on. Raises TypeError when the wrapped source is not Pausable."""
        self._pausable().pause(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Pass on. Raises TypeError when the wrapped source is not Pausable."""
        self._pausable().resume(partitions)

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Pass on. Raises TypeError when the wrapped source is not Seekable."""
        if not isinstance(self.source, Seekable):
            raise TypeError("the wrapped source is not Seekable")
        self.source.seek(positions)

    def _pausable(self) -> Pausable:
        if not isinstance(self.source, Pausable):
            raise TypeError("the wrapped source is not Pausable")
        return self.source


class FaultySink:
    """A sink in front of another one. Made by :func:`faulty_sink`, which keeps the capabilities of the wrapped sink.

    ``raise_after`` makes a write whose answer was lost. Where the wrapped sink buffers, neither it nor ``retry`` is
    injected into ``write``: what was handed over cannot be taken back.
    """

    def __init__(self, sink: Sink, plan: FaultPlan) -> None:
        self.sink = sink
        self.plan = plan
        self.policy: WritePolicy = sink.policy
        self._buffered: list[tuple[Mapping[int, UnwritableError], int, Sequence[int]]] = []

    def open(self) -> None:
        """Pass on."""
        self.sink.open()

    def write(self, documents: Documents) -> WriteResult:
        """Pass on those documents that are neither refused nor put off, with faults, and answer for all."""
        rejected: dict[int, UnwritableError] = {}
        retry: dict[int, Retry] = {}
        kept: list[int] = []
        for index, body in enumerate(documents.bodies):
            why = self.plan.rejects(body) if self.plan.rejects is not None and body is not None else None
            if why is not None:
                rejected[index] = UnwritableError(why)
            elif not self.policy.buffers and self.plan.strikes(self.plan.retry, "retry document"):
                retry[index] = Retry("injected", self.plan.retry_after)
            else:
                kept.append(index)
        if self.policy.buffers:
            # Raising after the hand-over would leave both sides with different ideas of what the next flush counts.
            if self.plan.strikes(self.plan.raise_before, "raise before write"):
                raise RetryableError("injected before write: nothing was done")
            self.sink.write(_pick(documents, kept))
            self._buffered.append((rejected, len(documents), kept))
            return WriteResult()
        answer = self.plan.around("write", lambda: self.sink.write(_pick(documents, kept)))
        return WriteResult(
            rejected={**rejected, **{kept[place]: error for place, error in answer.rejected.items()}},
            retry={**retry, **{kept[place]: later for place, later in answer.retry.items()}},
        )

    def flush(self, timeout: float) -> WriteResult:
        """Pass on, with faults before it only: the answer to a flush cannot be asked for twice."""
        if self.plan.strikes(self.plan.raise_before, "raise before flush"):
            raise RetryableError("injected before flush: nothing was done")
        answer = self.sink.flush(timeout)
        places: list[int] = []
        rejected: dict[int, UnwritableError] = {}
        first = 0
        for refused, count, kept in self._buffered:
            rejected.update({first + index: error for index, error in refused.items()})
            places.extend(first + index for index in kept)
            first += count
        self._buffered = []
        return WriteResult(
            rejected={**rejected, **{places[place]: error for place, error in answer.rejected.items()}},
            retry={places[place]: later for place, later in answer.retry.items()},
        )

    def close(self) -> None:
        """Pass on."""
        self.sink.close()

    def forget_buffered(self) -> None:
        """What was handed over is gone with its transaction."""
        self._buffered = []


class _FaultyLedger(FaultySink):
    """A FaultySink in front of a sink that KeepsLedger."""

    def load_ledger(self, partitions: Sequence[Partition]) -> Mapping[Partition, LedgerRow]:
        """Pass on, with faults."""
        return self.plan.around("load ledger", lambda: _ledger(self.sink).load_ledger(partitions))

    def save_ledger(self, rows: Sequence[LedgerRow], notes: Sequence[LedgerNote] = ()) -> None:
        """Pass on, with faults."""
        self.plan.around("save ledger", lambda: _ledger(self.sink).save_ledger(rows, notes))

    def load_notes(self) -> Sequence[LedgerNote]:
        """Pass on, with faults."""
        return self.plan.around("load notes", lambda: _ledger(self.sink).load_notes())


class _FaultyTransactional(_FaultyLedger):
    """A FaultySink in front of a sink that is Transactional and KeepsLedger.

    ``commit`` is struck before only: a commit that happened and raises RetryableError would break its contract.
    """

    def begin(self) -> None:
        """Pass on, with faults before it."""
        if self.plan.strikes(self.plan.raise_before, "raise before begin"):
            raise RetryableError("injected before begin: nothing was done")
        _transactional(self.sink).begin()

    def commit(self, next_offsets: Mapping[Partition, int], member: object, ledger_rows: Sequence[LedgerRow]) -> None:
        """Pass on, with faults before it."""
        if self.plan.strikes(self.plan.raise_before, "raise before commit"):
            raise RetryableError("injected before commit: abort the transaction")
        _transactional(self.sink).commit(next_offsets, member, ledger_rows)
        self.forget_buffered()

    def abort(self) -> None:
        """Pass on, with faults."""
        self.plan.around("abort", _transactional(self.sink).abort)
        self.forget_buffered()


def faulty_sink(sink: Sink, plan: FaultPlan) -> FaultySink:
    """Wrap ``sink`` so that it fails on ``plan`` and keeps its capabilities: Transactional, KeepsLedger, or neither."""
    if isinstance(sink, Transactional):
        return _FaultyTransactional(sink, plan)
    if isinstance(sink, KeepsLedger):
        return _FaultyLedger(sink, plan)
    return FaultySink(sink, plan)


def _transactional(sink: object) -> Transactional:
    if not isinstance(sink, Transactional):
        raise TypeError("the wrapped sink is not Transactional")
    return sink


def _ledger(sink: object) -> KeepsLedger:
    if not isinstance(sink, KeepsLedger):
        raise TypeError("the wrapped sink does not keep a ledger")
    return sink


def _pick(documents: Documents, kept: Sequence[int]) -> Documents:
    if len(kept) == len(documents):
        return documents
    return Documents(
        documents.stream,
        [documents.sources[index] for index in kept],
        [documents.offsets[index] for index in kept],
        [documents.keys[index] for index in kept],
        [documents.bodies[index] for index in kept],
        [documents.ids[index] for index in kept] if documents.ids else (),
        [documents.versions[index] for index in kept] if documents.versions else (),
        [documents.headers[index] for index in kept] if documents.headers else (),
    )
