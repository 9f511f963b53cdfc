"""Retrying dead letters: through today's routes, a window at a time, each letter settled by a mark.

    scan the topic -> windows in the order of origin -> prepare -> documents, new letters, marks -> next window

With a transactional sink the three are one transaction, without offsets: a letter is delivered and marked, or neither.
Opening the sink fences a retry that runs already, and the topic is scanned after that, so that whatever the other one has
committed is known here, and nothing is delivered twice. The same after a transaction that failed: a sink may win its name
back, and somebody else had it meanwhile.

With any other sink documents go first, under the id and version that their records always had, then new letters, then
marks. A crash in between leaves letters open that were delivered, and delivering them again changes nothing.

A dry run takes the same way up to the sink.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal, TypeAlias, TypeVar

from prismlib.errors import (
    FencedError,
    RecordError,
    RegistryUnavailableError,
    RetryableError,
    SchemaDriftError,
)
from prismlib.records import RecordBatch
from prismlib.runtime.assemble import RetryStages
from prismlib.runtime.drift import as_read_before
from prismlib.runtime.letter_index import MAX_REASONS, LetterIndex, Reason, look_for_marks, scan
from prismlib.runtime.letters import LetterId, Selection, StoredLetter, field_pattern
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Destination, Route, prepare
from prismlib.runtime.settlement import Failure, Part, RefusedError, Settlement
from prismlib.stages import Sink, Transactional

log = logging.getLogger(__name__)
T = TypeVar("T")

Result: TypeAlias = Literal["delivered", "dropped", "failed", "left"]
"""``dropped``: it was read, and the mapping filters it. ``left``: it stays open as it is, because nothing could be tried."""

WINDOW_LETTERS: Final = 1_000
WINDOW_BYTES: Final = 8 << 20
PATIENCE: Final = 60.0  # seconds that servers may be away before the retry gives up


@dataclass(slots=True)
class Cause:
    """Letters that had the same end for the same reason.

    Attributes:
        result: their end.
        reason: what they have in common; for delivered and dropped ones only the topic.
        sentence: what one of them says.
        example: one of them.
        count: how many.
    """

    result: Result
    reason: Reason
    sentence: str
    example: LetterId
    count: int = 0


@dataclass(slots=True)
class Report:
    """What became of the letters, or what would become of them.

    Attributes:
        written: it was done; False for a dry run.
        total: how many letters were to be retried.
        counts: how many had which end.
        causes: the same by topic and reason.
        unproven: of a dry run: delivered ones that only the sink itself can take or refuse, as it did refuse them before.
        stopped: somebody asked to stop before all were done.
    """

    written: bool
    total: int = 0
    counts: dict[Result, int] = field(default_factory=lambda: {"delivered": 0, "dropped": 0, "failed": 0, "left": 0})
    causes: dict[tuple[Result, Reason], Cause] = field(default_factory=dict)
    unproven: int = 0
    stopped: bool = False

    @property
    def done(self) -> int:
        """How many letters have an end."""
        return sum(self.counts.values())

    def forget_left(self) -> None:
        """Letters that were left are about to be tried again."""
        self.counts["left"] = 0
        self.causes = {key: cause for key, cause in self.causes.items() if cause.result != "left"}

    def add(self, result: Result, reason: Reason, sentence: str, example: LetterId) -> None:
        """Count one letter."""
        self.counts[result] += 1
        if (result, reason) not in self.causes and len(self.causes) >= MAX_REASONS:
            reason, sentence = reason._replace(code="others", field=""), "reasons that are not listed one by one"
        self.causes.setdefault((result, reason), Cause(result, reason, sentence, example)).count += 1


@dataclass(frozen=True, slots=True)
class _Left:
    letter: StoredLetter
    code: str
    sentence: str


class _StoppedError(Exception):
    """Somebody asked to stop."""


class _LostError(Exception):
    """A transaction failed, and it is not known what became of its parts."""

    def __init__(self, parts: Sequence[Part], error: RetryableError) -> None:
        super().__init__(str(error))
        self.parts = parts
        self.error = error


class Retry:
    """Retries dead letters once; make a new one for the next time."""

    def __init__(
        self,
        stages: RetryStages,
        selection: Selection,
        *,
        write: bool,
        limit: int | None = None,
        patience: float = PATIENCE,
        scanned: Callable[[int], None] = lambda _: None,
        progress: Callable[[Report], None] = lambda _: None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            stages: of :func:`prismlib.runtime.assemble.retry_stages`.
            selection: which letters.
            write: do it; False for a dry run, which opens the reader alone.
            limit: how many letters at most.
            patience: seconds that servers may be away.
            scanned: told how many records of the topic were looked at.
            progress: told after each window how far it is.
        """
        self.report = Report(written=write)
        self._stages = stages
        self._selection = selection
        self._limit = limit
        self._patience = patience
        self._scanned = scanned
        self._progress = progress
        self._stop = threading.Event()
        policy = stages.sink.policy
        self._destination = Destination(policy.stream, policy.versioned, stages.config.key_fixes_partition)
        self._letters = WINDOW_LETTERS  # fewer while a record is looked for that the servers refuse
        self._culprits: dict[LetterId, RecordError] = {}
        self._older: dict[LetterId, list[LetterId]] = {}
        self._routes = dict(stages.routes)
        self._settlement = Settlement(stages, self._patiently)
        self._lost: Sequence[Part] = ()
        self._lost_since: float | None = None
        self._backoff = Backoff(first=0.2, longest=5.0)

    def stop(self) -> None:
        """Finish the window and return. May be called from a signal handler or another thread."""
        self._stop.set()

    def run(self) -> Report:
        """Retry all that were asked for, or until it is stopped.

        Raises:
            ConfigError, UnreachableError: a destination is missing or does not answer.
            FencedError: another retry of the pipeline has taken over; what this one did is marked.
            RetryableError: servers stayed away; what was done is marked.
            FatalError: writing cannot go on.
        """
        stages, writing = self._stages, self.report.written
        sinks: list[Sink] = []
        if writing:
            sinks = [sink for sink in (stages.sink, stages.dead_letters) if sink is not None]
        try:
            stages.reader.open()
            if stages.ledger is not None:
                stages.ledger.open()
            for sink in sinks:
                sink.open()  # before the scan: from here on nobody else retries in transactions
            self._run()
        except FencedError as error:
            raise FencedError(
                f"another `prism dead-letters retry` of the pipeline {stages.config.name} has taken over and goes on; what"
                f" this one did until then, {self._done()}, is marked"
            ) from error
        finally:
            for sink in sinks:
                sink.close()
            if stages.ledger is not None:
                stages.ledger.close()
            stages.reader.close()
        return self.report

    def _done(self) -> str:
        return f"{self.report.done} of {self.report.total} letters"

    def _run(self) -> None:
        try:
            self._patiently(self._read_as_before)
            index = self._patiently(self._scan)  # what is written from here on is for the next retry
            while not self._all_of(index):
                self._patiently(self._settlement.begin)
                self._patiently(lambda: look_for_marks(self._stages.reader, index))
                self._take_stock(index)
        except _StoppedError:
            self.report.stopped = True

    def _read_as_before(self) -> None:
        ledger, reader = self._stages.ledger, self._stages.reader
        if ledger is not None:
            partitions = [partition for topic in self._routes for partition in reader.partitions(topic)]
            self._routes = as_read_before(self._routes, ledger.load_ledger(partitions).values())

    def _all_of(self, index: LetterIndex) -> bool:
        """Retry what is open; False when a transaction failed.

        Then this must become the only retry again, and look at what was done, by itself and by others. In that order:
        whoever had the sink meanwhile could otherwise settle letters between the look and the next transaction.
        """
        rows = index.in_order()
        rows = rows if self._limit is None else rows[: self._limit - self.report.done]
        self.report.total = self.report.done + len(rows)
        self._progress(self.report)
        at = 0
        try:
            while at < len(rows):
                self._go_on()
                window = self._window(index, rows, at)
                at += len(window)
                self._retry(index, window)
                self._letters = min(WINDOW_LETTERS, self._letters * 2)
                self._lost_since = None
                self._backoff.reset()
                self._progress(self.report)
        except RefusedError as refused:
            if len(window) == 1:
                self._culprits[index.id(window[0])] = refused.error
            self._letters = max(1, len(window) // 2)
            return False
        except _LostError as lost:
            self._lost_since = self._lost_since or time.monotonic()
            if time.monotonic() - self._lost_since > self._patience:
                raise lost.error from lost
            log.warning("a transaction failed, looking again at what is open", extra={"reason": str(lost)})
            if self._stop.wait(self._backoff.next(lost.error.retry_after)):
                raise _StoppedError from lost
            self._lost = lost.parts
            return False
        return True

    def _take_stock(self, index: LetterIndex) -> None:
        """Count letters of a transaction that failed and was done all the same; those that were left come again."""
        self.report.forget_left()
        for part in self._lost:
            rows = [index.find(letter.id) for letter in part.letters]
            self._count(part, [i for i, row in enumerate(rows) if row is not None and index.is_settled(row)])
        self._lost = ()

    def _window(self, index: LetterIndex, rows: Sequence[int], start: int) -> Sequence[int]:
        """The next letters that go together."""
        policy = self._stages.sink.policy
        most, size, stop = min(WINDOW_BYTES, policy.max_bytes), 0, start
        while stop < len(rows) and stop - start < min(self._letters, policy.max_documents):
            size += index.size(rows[stop])
            if size > most and stop > start:
                break
            stop += 1
        return rows[start:stop]

    def _scan(self) -> LetterIndex:
        def scanned(count: int) -> None:
            self._go_on()
            self._scanned(count)

        config = self._stages.config
        return scan(self._stages.reader, config.dead_letter_topic, config.name, self._selection, scanned)

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise _StoppedError

    def _retry(self, index: LetterIndex, rows: Sequence[int]) -> None:
        found = self._patiently(lambda: index.load(self._stages.reader, rows))
        for row in rows:
            if row not in found:
                gone = "the dead letter topic does not hold it any more"
                self.report.add("left", Reason(index.source(row).partition.stream, "", "gone", ""), gone, index.id(row))
        # Stable: rows of one source are in order already, and documents of a source go together.
        together = sorted((row for row in rows if row in found), key=index.source)
        self._older = {found[row].id: [index.id(older) for older in index.older(row)] for row in found}
        self._deliver([found[row] for row in together])

    # --- preparing -----------------------------------------------------------------------------------------------------

    def _deliver(self, letters: Sequence[StoredLetter]) -> None:
        """Prepare letters and write what became of them. Raises RefusedError, _LostError."""
        parts, left = self._patiently(lambda: self._prepare(letters))
        if self.report.written:
            try:
                self._settlement.write(parts)
            except RetryableError as error:
                if not isinstance(self._stages.sink, Transactional):
                    raise
                raise _LostError(parts, error) from error
        for part in parts:
            self._count(part, range(len(part.letters)))
        for one in left:
            self.report.add("left", Reason(one.letter.origin.stream, "", one.code, ""), one.sentence, one.letter.id)

    def _prepare(self, letters: Sequence[StoredLetter]) -> tuple[list[Part], list[_Left]]:
        parts: list[Part] = []
        left: list[_Left] = []
        for (origin, epoch), same in groupby(letters, key=lambda one: (one.origin, one.epoch)):
            group = list(same)
            route = self._routes.get(origin.stream)
            if route is None:
                sentence = f"the pipeline has no route for the topic {origin.stream} any more"
                left += [_Left(letter, "no-route", sentence) for letter in group]
                continue
            while group:
                part, drift = self._along(route, group, epoch)
                parts += [part] if part.letters else []
                group = group[len(part.letters) :]
                if drift is not None:
                    left.append(_Left(group.pop(0), "schema-drift", str(drift)))
        return parts, left

    def _along(self, route: Route, letters: list[StoredLetter], epoch: int) -> tuple[Part, SchemaDriftError | None]:
        """Letters of one source along their route, up to one that meets drift."""
        prepared = prepare(route, _batch(letters), self._destination, epoch)
        drift = prepared.stop
        if drift is not None and isinstance(drift.__cause__, RegistryUnavailableError):
            raise RetryableError(str(drift))
        failures = {one.row: Failure(one.stage, one.error) for one in prepared.letters}
        letters = letters[: len(prepared.batch)]
        culprit = self._culprits.get(letters[0].id) if len(letters) == 1 else None
        if culprit is not None:
            failures[0] = Failure("write", culprit)
        return Part(route, epoch, letters, prepared, failures, self._older, send=culprit is None), drift

    def _count(self, part: Part, rows: Iterable[int]) -> None:
        dropped = set(part.prepared.dropped)
        for row in rows:
            letter, failure = part.letters[row], part.failures.get(row)
            if failure is None:
                result: Result = "dropped" if row in dropped else "delivered"
                self.report.add(result, Reason(letter.origin.stream, "", "", ""), "", letter.id)
                self.report.unproven += not self.report.written and letter.last.stage == "write"
            else:
                error = failure.error
                reason = Reason(letter.origin.stream, failure.stage, error.code, field_pattern(error.field))
                self.report.add("failed", reason, error.reason, letter.id)

    def _patiently(self, step: Callable[[], T]) -> T:
        """Take a step, again while servers are away."""
        backoff = Backoff(first=0.2, longest=5.0)
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return step()
            except RetryableError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("cannot go on, trying again", extra={"reason": str(error)})
                if self._stop.wait(backoff.next(error.retry_after)):
                    raise _StoppedError from error


def _batch(letters: Sequence[StoredLetter]) -> RecordBatch:
    """The records of letters of one source as they were read there."""
    return RecordBatch(
        letters[0].origin,
        [letter.offset for letter in letters],
        [letter.timestamp_ms for letter in letters],
        [letter.key for letter in letters],
        [letter.value for letter in letters],
        [letter.record_headers for letter in letters],
    )
