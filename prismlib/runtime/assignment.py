"""What happens when partitions come and go: the guard decides where to start, and nothing is committed for others."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from prismlib.errors import ConfigError, FatalError, RetryableError
from prismlib.records import LedgerRow, Partition
from prismlib.runtime.delivery import Delivery
from prismlib.runtime.guard import Reason, Verdict, decide
from prismlib.runtime.progress import Progress
from prismlib.runtime.retries import Backoff
from prismlib.runtime.route import Prepared, Route
from prismlib.runtime.settings import RunnerSettings
from prismlib.stages import FindsTimes, Horizon, KeepsLedger, Sink, Source, Transactional

log = logging.getLogger(__name__)

PATIENCE = 120.0  # seconds that servers may be away, or a dead worker's transaction in doubt, while it is decided


class Assignment:
    """The runner's listener, and the memory of each partition's epoch and topic id."""

    def __init__(self, settings: RunnerSettings, source: Source, sink: Sink, progress: Progress) -> None:
        """The delivery is set once it exists: it needs :meth:`ledger_row` itself."""
        self._settings = settings
        self._source = source
        self._ledger: KeepsLedger | None = sink if isinstance(sink, KeepsLedger) else None
        self._atomic = isinstance(sink, Transactional)
        self._progress = progress
        self.delivery: Delivery | None = None
        self.failed = False
        self._verdicts: dict[Partition, Verdict] = {}
        self._horizons: dict[Partition, Horizon] = {}
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
            written_ms=int(time.time() * 1000),
            schema_id=schema_id,
            mapping=mapping,
        )

    # --- AssignmentListener --------------------------------------------------------------------------------------------

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Decide for each partition; waits out servers that are away for a while, and refuses otherwise."""
        backoff = Backoff(first=0.2, longest=5.0)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self.delivery is not None and self.delivery.needs_rewind():
                    # A transaction that could not be aborted yet may hold the very offsets that are asked for now.
                    self.delivery.drain(self._settings.drain_timeout)
                verdicts = self._decide(partitions)
                self._remember(verdicts)
                break
            except RetryableError as error:
                if time.monotonic() > deadline:
                    raise FatalError(
                        f"the servers stayed away for {PATIENCE:.0f} s while it was decided where to start: {error}; nothing "
                        f"was read; start the worker again when they are back"
                    ) from error
                log.warning("cannot decide where to start yet", extra={"reason": str(error)})
                time.sleep(backoff.next(error.retry_after))
        self._fresh += list(partitions)
        return {partition: verdict.offset for partition, verdict in verdicts.items()}

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """They are still ours: finish and commit, then forget them. After a failure nothing is committed any more."""
        assert self.delivery is not None  # noqa: S101  # set before the source is opened
        if not self.failed and not self.delivery.drain(self._settings.drain_timeout):
            log.warning("gave partitions back with records open; their next owner reads those again")
        self._forget(partitions)

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """They have another owner already."""
        log.warning("partitions lost to another member", extra={"partitions": [str(p) for p in partitions]})
        self._forget(partitions)

    # --- deciding ------------------------------------------------------------------------------------------------------

    def _forget(self, partitions: Sequence[Partition]) -> None:
        assert self.delivery is not None  # noqa: S101  # set before the source is opened
        self.delivery.forget(partitions)
        for partition in partitions:
            self._progress.forget(partition)
            self._verdicts.pop(partition, None)
            self._horizons.pop(partition, None)
            self._read.pop(partition, None)

    def _decide(self, partitions: Sequence[Partition]) -> dict[Partition, Verdict]:
        committed = self._source.committed(partitions)
        horizons = self._source.horizons(partitions)
        self._horizons |= horizons
        firsts = {p.stream: Partition(p.stream, 0) for p in partitions}
        rows: Mapping[Partition, LedgerRow] = {}
        if self._ledger is not None:
            rows = self._ledger.load_ledger(sorted({*partitions, *firsts.values()}))
        self._read |= {p: (rows[p].schema_id, rows[p].mapping) for p in partitions if p in rows}
        verdicts = {}
        for partition in partitions:
            verdict = decide(
                partition,
                ledger=rows.get(partition),
                topic_row=rows.get(firsts[partition.stream]),
                committed=committed[partition].next_offset,
                horizon=horizons[partition],
                start=lambda p=partition, h=horizons[partition]: self._start(p, h),  # type: ignore[misc]
                atomic=self._atomic,
                accept_recreated=partition.stream in self._settings.accept_recreated,
                key_fixes_partition=self._settings.key_fixes_partition,
            )
            verdicts[partition] = verdict
            level = logging.INFO if verdict.reason in (Reason.RESUME, Reason.FRESH) else logging.WARNING
            facts = {"partition": str(partition), "offset": verdict.offset, "because": verdict.reason.value}
            log.log(level, "start", extra=facts)
        return verdicts

    def _start(self, partition: Partition, horizon: Horizon) -> int:
        start = self._settings.start
        if start == "earliest":
            return horizon.start
        if start == "latest":
            return horizon.end
        if not isinstance(self._source, FindsTimes):
            raise ConfigError(f"pipeline {self._settings.pipeline}: start is a time, and its source cannot find times")
        return self._source.offsets_at([partition], start)[partition]

    def _remember(self, verdicts: Mapping[Partition, Verdict]) -> None:
        """Assign, and write a ledger row for every partition from its first assignment: else a lost row looks new."""
        self._verdicts |= verdicts
        for partition, verdict in verdicts.items():
            self._progress.assign(partition, verdict.offset, committed=self._ledger is not None)
        if self._ledger is not None:
            changed = [p for p, v in verdicts.items() if v.reason is not Reason.RESUME]
            if changed:
                self._ledger.save_ledger([self.ledger_row(p, verdicts[p].offset) for p in changed])
