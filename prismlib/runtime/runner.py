"""The runner: poll, decode, normalize, encode, write, settle, commit.

It alone owns offsets, retries and backoff, and it goes on polling whatever happens to the servers behind a sink, so that
the group never takes it for dead.

    while not stopped:
        batches = source.poll()
        for batch in batches:  delivery.accept(prepare(route, batch))
        delivery.advance()     results, retries, dead letters, commits
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self, TypeAlias, cast

from prismlib.errors import PrismError, RetryableError, SchemaDriftError, StageContractError
from prismlib.records import Partition, RecordBatch
from prismlib.runtime.assignment import Assignment
from prismlib.runtime.dead_letters import LetterBox, LettersLog, RejectionLimit
from prismlib.runtime.delivery import Counters, Delivery
from prismlib.runtime.drift import Drifts
from prismlib.runtime.notices import Tell, careful, notice_of_end
from prismlib.runtime.pausing import Pauses
from prismlib.runtime.progress import Progress
from prismlib.runtime.reload import Reloader
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Destination, Route, drift_letter, prepare
from prismlib.runtime.settings import RunnerSettings
from prismlib.runtime.transaction import TransactionalSink, TransactionDelivery
from prismlib.runtime.usage import UsageReports
from prismlib.runtime.writes import WritesDelivery
from prismlib.stages import Seekable, Sink, Source, Transactional

log = logging.getLogger(__name__)

IDLE_WAIT = 0.2  # seconds that a poll waits for records when nothing is open
BUSY_WAIT = 0.02  # and when results are awaited
PATIENCE = 1.0  # seconds to wait for room without polling, before partitions are paused and polled


RunnerState: TypeAlias = Literal["built", "running", "stopping", "stopped", "failed"]
"""``built``: not started. ``stopping``: it was asked to stop, and finishes what is open. ``failed``: see ``error``."""


class Runner:
    """One worker of one pipeline, as :func:`prismlib.build_runner` makes it. It runs once.

    Attributes:
        counters: what it has done since it started.
        error: why it failed; None while it has not.
    """

    def __init__(
        self,
        settings: RunnerSettings,
        source: Source,
        routes: Mapping[str, Route],
        sink: Sink,
        dead_letters: Sink | None = None,
        usage: UsageReports | None = None,
        tell: Tell | None = None,
        reloader: Reloader | None = None,
    ) -> None:
        """Put the stages together; nothing is opened yet.

        Args:
            settings: what this worker is told.
            source: where records come from. It must be able to seek.
            routes: a route per topic.
            sink: where documents go.
            dead_letters: where dead letters go; None when the sink is transactional and takes them itself.
            usage: tells the registry what is read; None where it does not want to know.
            tell: takes what somebody must be told of; None where nobody is.
            reloader: brings new routes when files change; None where the routes stay as they are.

        Raises:
            StageContractError: the stages do not fit together.
        """
        if not isinstance(source, Seekable):
            raise StageContractError("the source cannot seek, so records could not be read again after a failure")
        self.counters = Counters()
        self.error: BaseException | None = None
        self._started = threading.Lock()  # held for good from the first run on
        self._ended = False
        self._settings = settings
        self._source = source
        self._seek = source.seek
        self._routes = dict(routes)
        self._sink = sink
        self._dead_letters = dead_letters
        self._usage = usage
        self._tell = careful(tell)
        self._reloader = reloader
        self._progress = Progress()
        self._stop = threading.Event()
        self._assignment = Assignment(settings, source, sink, self._progress, self._stop)
        self._pauses = Pauses(source)
        self._drifts = Drifts(settings, self._pauses, sink, self.counters, self._tell)
        self._delivery: Delivery | None = None
        self._last_record = 0.0
        self._letters_log = LettersLog(settings.dead_letter_topic)

    def stop(self) -> None:
        """Ask it to finish what is open, commit and return. May be called from a signal handler or another thread."""
        self._stop.set()

    def reload(self) -> None:
        """Read the pipeline file and its mappings again, whether or not they look changed.

        It returns at once; the new routes are in use a moment later, or an error is logged and the old ones stay. May be
        called from a signal handler or another thread.

        Raises:
            PrismError: this runner was not built to watch its files.
        """
        if self._reloader is None:
            raise PrismError(
                f"this runner of {self._settings.pipeline} does not watch its files; build it with watch=True"
            )
        self._reloader.ask()

    @property
    def state(self) -> RunnerState:
        """What it is doing, for health checks; may be asked from any thread."""
        if self.error is not None:
            return "failed"
        if self._ended:
            return "stopped"
        if not self._started.locked():
            return "built"
        return "stopping" if self._stop.is_set() else "running"

    def run(self) -> None:
        """Work until it is stopped or idle for as long as the settings say.

        Raises:
            PrismError: it cannot go on, or has run already; whatever is not committed is read again by the next runner.
                What a stage raises against its contract comes through as it is.
        """
        self._start()
        self._work()

    @contextlib.contextmanager
    def in_background(self) -> Iterator[Self]:
        """Run in a thread of its own while the block lasts; then stop, and wait until what is open is committed.

            with runner.in_background():
                serve()

        A runner that fails logs its error at once, with the traceback, and its ``state`` is ``failed`` from then on; the
        block goes on.

        Raises:
            PrismError: as ``run``, at the end of the block and whatever ended that.
        """
        self._start()
        thread = threading.Thread(target=self._work_aloud, name=f"prism-{self._settings.pipeline}", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stop()
            thread.join()
            if self.error is not None:
                raise self.error

    def _start(self) -> None:
        if not self._started.acquire(blocking=False):
            raise PrismError(f"this runner of {self._settings.pipeline} has run already; build another one")

    def _work(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.error = error
            if isinstance(error, Exception):  # not an interruption: whoever interrupts knows
                self._tell(notice_of_end(error, self._routes))
            raise
        finally:
            self._ended = True

    def _work_aloud(self) -> None:
        facts = {"pipeline": self._settings.pipeline, "worker": self._settings.worker}
        try:
            self._work()
        except BaseException:  # it is kept, and raised where the block ends
            log.critical("pipeline failed, nothing of it runs any more", exc_info=True, extra=facts)

    def _run(self) -> None:
        try:
            self._open()
            self._loop()
        except BaseException as error:
            self._assignment.failed = True
            self._assignment.explain(error)
            raise
        finally:
            self._close()

    def _open(self) -> None:
        self._sink.open()
        if self._dead_letters is not None:
            self._dead_letters.open()
        policy = self._sink.policy
        self._destination = Destination(policy.stream, policy.versioned, self._settings.key_fixes_partition)
        settings = self._settings
        box = LetterBox(
            settings.dead_letter_topic, settings.pipeline, settings.worker, self._schema_id, self._assignment.epoch
        )
        limit = RejectionLimit(settings.stop_above_share, settings.stop_above_of_last)
        if isinstance(self._sink, Transactional):
            self._delivery = TransactionDelivery(
                self._source,
                cast("TransactionalSink", self._sink),
                self._progress,
                box,
                limit,
                self.counters,
                commit_interval=settings.commit_interval,
                ledger_row=self._assignment.ledger_row,
                before_commit=self._assignment.before_commit,
            )
        elif self._dead_letters is not None:
            self._delivery = WritesDelivery(
                self._source,
                self._sink,
                self._dead_letters,
                self._progress,
                box,
                limit,
                self.counters,
                commit_interval=settings.commit_interval,
                ledger_row=self._assignment.ledger_row,
                before_commit=self._assignment.before_commit,
            )
        else:
            raise StageContractError("a sink without transactions needs somewhere to put dead letters")
        self._assignment.delivery = self._delivery
        self._source.open(self._assignment)
        if self._usage is not None:
            self._usage.start()
        if self._reloader is not None:
            self._reloader.start(self._tell)
        self._last_record = time.monotonic()

    def _close(self) -> None:
        """Leave the group first, which drains and commits unless something failed; then let go of everything."""
        try:
            if self._delivery is not None:
                self._source.close()
        finally:
            if self._delivery is not None:
                self._delivery.close()
            self._sink.close()
            if self._dead_letters is not None:
                self._dead_letters.close()
            if self._usage is not None:
                self._usage.close()
            if self._reloader is not None:
                self._reloader.close()

    def _schema_id(self, topic: str, value: bytes) -> int | None:
        return self._routes[topic].schema_id(value)

    # --- the loop ------------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        delivery = self._delivery
        assert delivery is not None  # noqa: S101  # _open made it
        polling = Backoff(first=0.2, longest=5.0)
        while not self._stop.is_set():
            self._reload()
            self._make_room(delivery)
            try:
                wait = IDLE_WAIT if delivery.idle() else BUSY_WAIT
                batches = self._source.poll(self._settings.max_records, wait)
                polling.reset()
            except RetryableError as error:
                log.warning("the source cannot be read now", extra={"reason": str(error)})
                self._stop.wait(polling.next(error.retry_after))
                batches = []
                self._last_record = time.monotonic()  # there may be records, they cannot be seen
            fresh = self._assignment.take_fresh()
            if fresh:
                self._pauses.assigned(fresh)
                self._drifts.remember(self._routes, self._assignment.last_read(fresh))
                self._last_record = time.monotonic()  # joining may have taken longer than being idle may last
            if not delivery.needs_rewind():
                self._accept(delivery, batches)
            delivery.advance(0.0 if batches else BUSY_WAIT)
            if delivery.needs_rewind():
                self._rewind(delivery)
            self._drifts.probe(self._progress.assigned)
            self._letters_log.count(self.counters.dead_letters)
            if self._idle_for_long(delivery, batches):
                break
        self._letters_log.count(self.counters.dead_letters, last=True)

    def _reload(self) -> None:
        """Take over new routes, between two batches: what went along the old ones is documents already."""
        new = None if self._reloader is None else self._reloader.take()
        if new is None:
            return
        self._settings = replace(self._settings, on_drift=new.on_drift)
        if self._usage is not None:
            self._usage.reads = new.reads
        self.counters.reloads += 1
        log.info("new routes in use", extra={"changed": ", ".join(new.changed) or "nothing"})
        self._use(new.routes)

    def _use(self, routes: Mapping[str, Route]) -> None:
        """Put other routes in the place of those of the same topics, which are tried at once if they rest."""
        self._routes = {**self._routes, **self._drifts.take_over(self._routes, routes)}
        self._pauses.wake(routes)

    def _make_room(self, delivery: Delivery) -> None:
        """Wait for room; when that takes long, pause everything and go on polling, or the group takes us for dead."""
        deadline = time.monotonic() + PATIENCE
        while not delivery.has_room() and not self._stop.is_set():
            delivery.advance(0.1)
            if time.monotonic() > deadline:
                self._pauses.pause_all(self._progress.assigned())
                return
        self._pauses.resume_all()

    def _accept(self, delivery: Delivery, batches: Sequence[RecordBatch]) -> None:
        stopped: set[Partition] = set()
        for batch in batches:
            if batch.partition in stopped or not len(batch):
                continue
            self._last_record = time.monotonic()
            if not self._accept_one(delivery, batch):
                stopped.add(batch.partition)

    def _accept_one(self, delivery: Delivery, batch: RecordBatch) -> bool:
        """False when the rest of the batch cannot be read now, and its partition rests."""
        partition, topic = batch.partition, batch.partition.stream
        while True:
            epoch = self._assignment.epoch(partition)
            try:
                route = self._drifts.based(self._routes, topic)
                prepared = prepare(route, batch, self._destination, epoch)
            except RetryableError as error:
                self._pause(batch, 0, SchemaDriftError(str(error), cause="registry"))
                return False
            if prepared.letters and self._settings.on_drift != "dead_letter":
                unknown = self._drifts.unknown_ids(route, prepared)
                if unknown is not None:
                    row, stop = unknown
                    prepared = replace(prepare(route, batch.slice(0, row), self._destination, epoch), stop=stop)
            delivery.accept(prepared)
            schema_id = self._assignment.note_read(route, prepared)
            if self._usage is not None:
                self._usage.saw(topic, schema_id)
            drift, row = prepared.stop, len(prepared.batch)
            if drift is None:
                self._drifts.works(partition)
                return True
            if drift.cause == "registry" or self._settings.on_drift == "pause":
                self._pause(batch, row, drift)
                return False
            if self._settings.on_drift == "stop":
                self._drifts.refuse(route, batch, row, drift)
                raise drift
            delivery.accept(drift_letter(batch.slice(row, row + 1), drift, self._destination))
            batch = batch.slice(row + 1, len(batch))
            if not len(batch):
                self._drifts.works(partition)
                return True

    def _pause(self, batch: RecordBatch, row: int, drift: SchemaDriftError) -> None:
        """Pause one partition, and go back to the record that cannot be read; nothing is skipped."""
        self._seek({batch.partition: batch.offsets[row]})
        self._drifts.pause(self._routes[batch.partition.stream], batch, row, drift)

    def _rewind(self, delivery: Delivery) -> None:
        """Read again what an aborted transaction held."""
        if delivery.rewind():
            self._last_record = time.monotonic()  # there are records again
            self._seek({p: self._progress.position(p) for p in self._progress.assigned()})
            self._last_record = time.monotonic()  # what was dropped is there to be read, however long the backoff was

    def _idle_for_long(self, delivery: Delivery, batches: Sequence[RecordBatch]) -> bool:
        """A standby without partitions ends likewise, but not before the group has answered it."""
        limit, now = self._settings.until_idle, time.monotonic()
        self._last_record = self._last_record if self._assignment.joined else now
        if limit is None or batches or not delivery.idle() or now - self._last_record < limit:
            return False
        self._pauses.require_none(self._settings.pipeline)
        return True
