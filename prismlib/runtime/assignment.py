"""What happens when partitions come and go: the guard decides where to start, and nothing is committed for others."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from prismlib.errors import ConfigError, DataLossError, FatalError, RetryableError
from prismlib.records import LedgerNote, LedgerRow, Partition
from prismlib.runtime.delivery import Delivery
from prismlib.runtime.guard import Reason, Refusal, Verdict, decide
from prismlib.runtime.offsets import operator
from prismlib.runtime.progress import Progress
from prismlib.runtime.refusals import refuse
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Prepared, Route
from prismlib.runtime.settings import RunnerSettings
from prismlib.runtime.watching import TopicWatch
from prismlib.stages import FindsTimes, Horizon, KeepsLedger, Sink, Source, Transactional

log = logging.getLogger(__name__)

PATIENCE = 120.0  # seconds that servers may be away, or a dead worker's transaction in doubt, while it is decided
_QUIET = (Reason.RESUME, Reason.FRESH)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of some partitions, and the ledger rows of all partitions of their topics."""

    horizons: Mapping[Partition, Horizon]
    committed: Mapping[Partition, int | None]
    rows: Mapping[Partition, LedgerRow]

    def everything(self) -> list[Partition]:
        """All partitions of the topics."""
        counts: dict[str, int] = defaultdict(int)
        for partition, horizon in self.horizons.items():
            counts[partition.stream] = max(counts[partition.stream], horizon.partitions, partition.index + 1)
        return [Partition(topic, index) for topic, count in sorted(counts.items()) for index in range(count)]


class Assignment:
    """The runner's listener, and the memory of each partition's epoch and topic id."""

    def __init__(
        self, settings: RunnerSettings, source: Source, sink: Sink, progress: Progress, stop: threading.Event
    ) -> None:
        """The delivery is set once it exists: it needs :meth:`ledger_row` itself. ``stop`` ends every wait in here."""
        self._settings = settings
        self._source = source
        self._ledger: KeepsLedger | None = sink if isinstance(sink, KeepsLedger) else None
        self._atomic = isinstance(sink, Transactional)
        self._progress = progress
        self._stop = stop
        self._watch = TopicWatch(source, progress)
        self.delivery: Delivery | None = None
        self.failed = False
        self.joined = False
        self._verdicts: dict[Partition, Verdict] = {}
        self._horizons: dict[Partition, Horizon] = {}
        self._consents: dict[str, str] = {}  # topic: the id of its new incarnation that was accepted
        self._fresh: list[Partition] = []
        self._read: dict[Partition, tuple[int, str]] = {}

    def epoch(self, partition: Partition) -> int:
        """The incarnation of the partition's topic, for ids and versions."""
        return self._verdicts[partition].epoch

    def take_fresh(self) -> list[Partition]:
        """Partitions assigned since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def note_read(self, route: Route, prepared: Prepared) -> int | None:
        """Remember which schema a route reads; the last record of a batch tells. None where that one tells nothing."""
        batch, letters = prepared.batch, prepared.letters
        value = batch.values[-1] if len(batch) else None
        if value is None or (letters and letters[-1].row == len(batch) - 1):
            return None
        schema_id = route.schema_id(value)
        if schema_id is not None:
            self._read[batch.partition] = schema_id, route.fingerprint
        return schema_id

    def last_read(self, partitions: Sequence[Partition]) -> dict[Partition, tuple[int, str]]:
        """Schema id and route of the last record that was read of each partition, as far as anybody knows."""
        return {partition: self._read[partition] for partition in partitions if partition in self._read}

    def ledger_row(self, partition: Partition, next_offset: int) -> LedgerRow:
        """What to remember of a partition with the commit of ``next_offset``."""
        verdict = self._verdicts[partition]
        schema_id, mapping = self._read.get(partition, (-1, ""))
        return LedgerRow(
            partition=partition,
            next_offset=next_offset,
            epoch=verdict.epoch,
            topic_id=self._horizons[partition].topic_id,
            timestamp_ms=self._progress.last_timestamp_ms(partition),
            ledger_epoch=verdict.ledger_epoch,
            written_ms=_now_ms(),
            schema_id=schema_id,
            mapping=mapping,
        )

    def before_commit(self, partitions: Collection[Partition]) -> None:
        """Every delivery calls it before it commits offsets of these partitions; see :class:`TopicWatch`.

        Raises:
            DataLossError: a topic was created again, or records were deleted before they were read.
            RetryableError: nobody can tell now.
            FatalError: a topic is gone.
        """
        self._watch.check({p: self._horizons[p].topic_id for p in partitions})

    # --- AssignmentListener --------------------------------------------------------------------------------------------

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Decide for each partition; waits out servers that are away for a while, and refuses otherwise."""
        self.joined = True
        if not partitions:
            return {}
        backoff = Backoff(first=0.2, longest=5.0)
        deadline = time.monotonic() + PATIENCE
        at_ms = _now_ms()
        while True:
            if self._stop.is_set():
                raise RetryableError("it was stopped while it was decided where to start; nothing was read")
            try:
                if self.delivery is not None and self.delivery.needs_rewind():
                    # A transaction that could not be aborted yet may hold the very offsets that are asked for now.
                    self.delivery.drain(self._settings.drain_timeout)
                verdicts, facts = self._decide(partitions)
                self._remember(verdicts, facts, at_ms)
                break
            except RetryableError as error:
                if time.monotonic() > deadline:
                    raise FatalError(
                        f"the servers stayed away for {PATIENCE:.0f} s while it was decided where to start: {error}; nothing "
                        f"was read; start the worker again when they are back"
                    ) from error
                log.warning("cannot decide where to start yet", extra={"reason": str(error)})
                self._stop.wait(backoff.next(error.retry_after))
        self._fresh += list(partitions)
        return {partition: verdict.offset for partition, verdict in verdicts.items()}

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """They are still ours: finish and commit, then forget them. After a failure nothing is committed any more."""
        assert self.delivery is not None  # noqa: S101  # set before the source is opened
        try:
            if not self.failed and not self.delivery.drain(self._settings.drain_timeout):
                log.warning("gave partitions back with records open; their next owner reads those again")
        finally:
            self._forget(partitions)

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """They have another owner already."""
        self.joined = False
        log.warning("partitions lost to another member", extra={"partitions": [str(p) for p in partitions]})
        self._forget(partitions)

    # --- deciding ------------------------------------------------------------------------------------------------------

    def explain(self, error: BaseException) -> None:
        """Raise a DataLossError again, with what a start would refuse now: what exactly is lost, and how to go on.

        Returns where that is in it already, or nobody can tell now. For a worker that failed.
        """
        partitions = self._progress.assigned()
        if not isinstance(error, DataLossError) or error.losses or error.command or not partitions:
            return
        try:
            found, _ = self._ask(partitions)
        except Exception as trouble:  # noqa: BLE001  # the first error must not hide behind one about its details
            log.warning("cannot say exactly what is lost", extra={"reason": str(trouble)})
            return
        if isinstance(found, list):
            raise refuse(self._settings, found, while_running=error) from error

    def _forget(self, partitions: Sequence[Partition]) -> None:
        assert self.delivery is not None  # noqa: S101  # set before the source is opened
        self.delivery.forget(partitions)
        for partition in partitions:
            self._progress.forget(partition)
            self._verdicts.pop(partition, None)
            self._horizons.pop(partition, None)
            self._read.pop(partition, None)

    def _look(self, partitions: Sequence[Partition], known: Collection[Partition] = ()) -> _Facts:
        """Ask everybody. ``known`` are all partitions of the topics; without it the source is asked for them first."""
        facts = _Facts({} if known else self._source.horizons(partitions), {}, {})
        committed = {p: found.next_offset for p, found in self._source.committed(partitions).items()}
        rows: Mapping[Partition, LedgerRow] = {}
        if self._ledger is not None:
            rows = self._ledger.load_ledger(sorted({*known, *facts.everything()}))
        # Last, if only once: then no offset that somebody else commits meanwhile is beyond the end.
        return _Facts(facts.horizons or self._source.horizons(partitions), committed, rows)

    def _ask(self, partitions: Sequence[Partition]) -> tuple[dict[Partition, Verdict] | list[Refusal], _Facts]:
        """A verdict for each of them; or, when one is refused, all refusals that concern their topics."""
        facts = self._look(partitions)
        found = {p: self._judge(p, facts) for p in partitions}
        if any(isinstance(one, Refusal) for one in found.values()):
            # Once more and in another order, since there was more than a moment between the answers; and for the partitions
            # of all workers, so that one refusal names all that is lost.
            everything = facts.everything()
            facts = self._look(everything, everything)
            found = {p: self._judge(p, facts) for p in everything}
            if any(isinstance(found[p], Refusal) for p in partitions):
                return [one for one in found.values() if isinstance(one, Refusal)], facts
        return {p: one for p in partitions if isinstance(one := found[p], Verdict)}, facts

    def _decide(self, partitions: Sequence[Partition]) -> tuple[dict[Partition, Verdict], _Facts]:
        found, facts = self._ask(partitions)
        if isinstance(found, list):
            raise refuse(self._settings, found)
        for partition, verdict in found.items():
            level = logging.INFO if verdict.reason in _QUIET else logging.WARNING
            lost = {} if verdict.accepted is None else {"lost": str(verdict.accepted)}
            start = {"partition": str(partition), "offset": verdict.offset, "because": verdict.reason.value}
            log.log(level, "start", extra=start | lost)
        return found, facts

    def _judge(self, partition: Partition, facts: _Facts) -> Verdict | Refusal:
        horizon = facts.horizons[partition]
        topic = partition.stream
        consent = topic in self._settings.accept_recreated
        found = decide(
            partition,
            ledger=facts.rows.get(partition),
            siblings=[row for p, row in facts.rows.items() if p.stream == topic and p != partition],
            committed=facts.committed[partition],
            horizon=horizon,
            start=lambda: self._start(partition, horizon),
            atomic=self._atomic,
            accepted=self._settings.accept_loss,
            # Given for one incarnation, not for whatever comes after it.
            accept_recreated=consent and self._consents.get(topic, horizon.topic_id) == horizon.topic_id,
            key_fixes_partition=self._settings.key_fixes_partition,
        )
        if self._ledger is None and isinstance(found, Verdict) and found.reason is Reason.ADOPTED:
            return replace(found, reason=Reason.RESUME)
        return found

    def _start(self, partition: Partition, horizon: Horizon) -> int:
        start = self._settings.start
        if start == "earliest":
            return horizon.start
        if start == "latest":
            return horizon.end
        if not isinstance(self._source, FindsTimes):
            raise ConfigError(f"pipeline {self._settings.pipeline}: start is a time, and its source cannot find times")
        return self._source.offsets_at([partition], start)[partition]

    def _remember(self, verdicts: Mapping[Partition, Verdict], facts: _Facts, at_ms: int) -> None:
        """Assign, and write a ledger row for every partition from its first assignment: else a lost row looks new."""
        self._verdicts |= verdicts
        self._read |= {p: (facts.rows[p].schema_id, facts.rows[p].mapping) for p in verdicts if p in facts.rows}
        committed = dict(facts.committed)
        # What is committed of an old topic means nothing in the new one. It goes first: with the ledger's row of the new
        # topic beside it, it would look like a group that somebody moved.
        stale = {p: v.offset for p, v in verdicts.items() if v.epoch > _epoch(facts, p) and committed[p] is not None}
        if stale:
            self._source.commit(stale)
            committed |= stale
        for partition, verdict in verdicts.items():
            self._horizons[partition] = facts.horizons[partition]
            self._progress.assign(
                partition, verdict.offset, committed=committed[partition], timestamp_ms=verdict.timestamp_ms
            )
        if self._ledger is not None:
            changed = [p for p, v in verdicts.items() if v.reason is not Reason.RESUME]
            rows = [self.ledger_row(p, verdicts[p].offset) for p in changed]
            rows += self._rows_for_others(verdicts, facts)
            if rows:
                notes = [note for p in changed for note in _notes(p, verdicts[p], facts, at_ms)]
                self._ledger.save_ledger(rows, notes)
        self._consents |= {
            p.stream: facts.horizons[p].topic_id for p, v in verdicts.items() if v.epoch > _epoch(facts, p)
        }

    def _rows_for_others(self, verdicts: Mapping[Partition, Verdict], facts: _Facts) -> list[LedgerRow]:
        """At the first assignment of a topic, rows for the partitions that other workers get, or nobody yet.

        Else those would look as if they had been added to a topic that the pipeline knows. Their ledger epoch is below that
        of any row that their owner writes, so that this row yields whichever is written first.
        """
        known = {p.stream for p in facts.rows}
        topics = {p.stream for p, v in verdicts.items() if v.reason is Reason.FRESH} - known
        others = [p for p in facts.everything() if p.stream in topics and p not in verdicts]
        if not others:
            return []
        committed = self._source.committed(others)
        others = [p for p in others if committed[p].next_offset is None]
        horizons = self._source.horizons(others)
        return [
            LedgerRow(p, self._start(p, horizons[p]), topic_id=horizons[p].topic_id, written_ms=_now_ms())
            for p in others
        ]


def _epoch(facts: _Facts, partition: Partition) -> int:
    """Of the topic that was read before; of one that nobody read, a number that none is above."""
    rows = [facts.rows[partition]] if partition in facts.rows else list(facts.rows.values())
    return max((row.epoch for row in rows if row.partition.stream == partition.stream), default=1 << 20)


def _notes(partition: Partition, verdict: Verdict, facts: _Facts, at_ms: int) -> list[LedgerNote]:
    """What an operator accepted, for whoever asks later."""
    notes = []
    if verdict.epoch > _epoch(facts, partition):
        old = facts.rows.get(partition)
        what = (
            f"read {partition} from its beginning, in a topic that has the id {facts.horizons[partition].topic_id} now"
        )
        first = old.next_offset if old else -1
        notes.append(LedgerNote("accepted-recreated", at_ms, operator(), what, partition, first=first))
    loss = verdict.accepted
    if loss is not None:
        what = f"went on without at most {loss.records} records of {partition}"
        notes.append(LedgerNote("accepted-loss", at_ms, operator(), what, partition, first=loss.first, end=loss.end))
    return notes


def _now_ms() -> int:
    return int(time.time() * 1000)
