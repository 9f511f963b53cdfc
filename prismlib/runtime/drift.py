"""What happens to a route that cannot read on: who is told what, and when it goes on.

    schema drift        on_drift decides: pause, dead_letter or stop
    registry away       pause, whatever on_drift says: of the record nothing is known yet
    unknown schema ids  at most ten records a minute are broken records, for the dead letters; more are drift

Nothing of this runs for a record, or a batch, that is read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from prismlib.contracts.drift import Place, difference_command, report
from prismlib.contracts.framing import UNKNOWN_ID
from prismlib.errors import ConfigError, ContractError, DriftCause, RetryableError, SchemaDriftError
from prismlib.records import LedgerNote, LedgerRow, NoteKind, Partition, RecordBatch
from prismlib.runtime.delivery import Counters
from prismlib.runtime.notices import Notice, Tell
from prismlib.runtime.pausing import Pauses
from prismlib.runtime.route import Prepared, Route
from prismlib.runtime.settings import RunnerSettings
from prismlib.stages import HasReader, KeepsLedger, Sink

log = logging.getLogger(__name__)

MOST_UNKNOWN: Final = 10
"""Records of a topic with an unknown schema id that are taken for broken ones ..."""
WITHIN: Final = 60.0
"""... in so many seconds."""


def as_read_before(routes: Mapping[str, Route], rows: Iterable[LedgerRow]) -> dict[str, Route]:
    """The routes, each reading on with the schema that the ledger says it read last.

    In a newer one a field may mean something else.

    Raises:
        RetryableError: the registry cannot say which that is.
    """
    read = [(row.partition.stream, row.schema_id, row.mapping) for row in rows]
    based = dict(routes)
    for topic, route in routes.items():
        ids = _ids_read(route, [(schema_id, mapping) for stream, schema_id, mapping in read if stream == topic])
        if _must_be_rebased(route, ids):
            based[topic] = _rebased(route, ids)
    return based


def _ids_read(route: Route, read: Iterable[tuple[int, str]]) -> tuple[int, ...]:
    """Of schema ids and mappings as ledger rows have them: the ids that were read with the route's own mapping."""
    return tuple(sorted({i for i, mapping in read if i >= 0 and mapping and mapping == route.fingerprint}))


def _must_be_rebased(route: Route, ids: tuple[int, ...]) -> bool:
    """Whether a route was built for another schema than those that it has read before, and can be built for one of them."""
    decoder = route.decoder
    return bool(ids) and isinstance(decoder, HasReader) and decoder.reader_id not in ids and route.rebase is not None


def _rebased(route: Route, ids: tuple[int, ...]) -> Route:
    if route.rebase is None:
        return route
    try:
        return route.rebase(ids)
    except (ContractError, ConfigError) as error:
        raise RetryableError(f"the schema that topic {route.topic} was read with cannot be had: {error}") from error


class UnknownIds:
    """Tells a few broken records from ids that a registry should know."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` counts seconds."""
        self._clock = clock
        self._let_go: dict[str, dict[tuple[Partition, int], float]] = {}

    def let_go(self, topic: str, records: Iterable[tuple[Partition, int]]) -> int:
        """Whether these records may go to the dead letters: 0, or else how many it would be in a minute.

        One that is read again, after an aborted transaction, counts once.
        """
        now = self._clock()
        known = {one: at for one, at in self._let_go.get(topic, {}).items() if now - at < WITHIN}
        together = dict.fromkeys(records, now) | known
        if len(together) > MOST_UNKNOWN:
            self._let_go[topic] = known
            return len(together)
        self._let_go[topic] = together
        return 0


@dataclass(frozen=True, slots=True)
class _Story:
    """Why a topic rests: the same cause again is no news."""

    cause: DriftCause
    schema_id: int


class Drifts:
    """Pauses routes of one worker, tells about it, and knows which schema each had read before. Used from its thread only."""

    def __init__(
        self,
        settings: RunnerSettings,
        pauses: Pauses,
        sink: Sink,
        counters: Counters,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing rests yet."""
        self._worker = settings.worker
        self._pauses = pauses
        self._ledger: KeepsLedger | None = sink if isinstance(sink, KeepsLedger) else None
        self._counters = counters
        self._tell = tell
        self._unknown = UnknownIds(clock)
        self._stories: dict[str, _Story] = {}
        self._based: set[str] = set()
        self._unbased: dict[
            str, tuple[int, ...]
        ] = {}  # read with other schemas than the route was built for: with these

    # --- which schema was read before ------------------------------------------------------------------------------------

    def remember(self, routes: Mapping[str, Route], read: Mapping[Partition, tuple[int, str]]) -> None:
        """Partitions were assigned of which the ledger knows the schema and the mapping that were read last."""
        found: dict[str, list[tuple[int, str]]] = {}
        for partition, one in read.items():
            if partition.stream not in self._based:
                found.setdefault(partition.stream, []).append(one)
        for topic, schemas in found.items():
            ids = _ids_read(routes[topic], schemas)
            if ids:
                self._based.add(topic)
                if _must_be_rebased(routes[topic], ids):
                    self._unbased[topic] = ids

    def based(self, routes: dict[str, Route], topic: str) -> Route:
        """A topic's route, put among ``routes`` anew where it must read on with the schema that it had read before.

        A newer one may be what broke it.

        Raises:
            RetryableError: the registry cannot say which that is.
        """
        ids = self._unbased.get(topic) if self._unbased else None
        if ids is not None:
            routes[topic] = _rebased(routes[topic], ids)
            del self._unbased[topic]
        return routes[topic]

    def take_over(self, old: Mapping[str, Route], new: Mapping[str, Route]) -> dict[str, Route]:
        """New routes for old ones. One of the same settings and mapping keeps its decoder, which knows what it has read."""
        taken = {}
        for topic, route in new.items():
            same = topic in old and bool(route.fingerprint) and route.fingerprint == old[topic].fingerprint
            taken[topic] = replace(route, decoder=old[topic].decoder) if same else route
            if not same:
                self._unbased.pop(topic, None)
                self._based.add(topic)
        return taken

    # --- drift -------------------------------------------------------------------------------------------------------------

    def unknown_ids(self, route: Route, prepared: Prepared) -> tuple[int, SchemaDriftError] | None:
        """The first row of a batch whose unknown schema id is no broken record's, and why; None when none is."""
        letters = [one for one in prepared.letters if one.error.code == UNKNOWN_ID]
        if not letters:
            return None
        batch, story = prepared.batch, self._stories.get(route.topic)
        first = letters[0].row
        if story is not None and story.cause == "unknown-id":
            many = "more"
        else:
            records = ((batch.partition, batch.offsets[one.row]) for one in letters)
            count = self._unknown.let_go(route.topic, records)
            if not count:
                return None
            many = str(count)
        ids = dict.fromkeys(route.schema_id(batch.values[one.row] or b"") for one in letters)
        some = ", ".join(str(one) for one in list(ids)[:5])
        return first, SchemaDriftError(
            f"{many} records of topic {route.topic} within a minute have schema ids that the registry does not know, such as"
            f" {some}: register these schemas, or correct [registry] url if it is not the producer's; if the records are broken,"
            ' set on_drift = "dead_letter"',
            cause="unknown-id",
        )

    def pause(self, route: Route, batch: RecordBatch, row: int, drift: SchemaDriftError) -> None:
        """Rest a partition at a row of a batch. The first one of a topic is told, the others and later probes hardly."""
        partition, offset, topic = batch.partition, batch.offsets[row], route.topic
        seconds, first = self._pauses.pause(partition)
        facts = {"topic": topic, "partition": str(partition), "offset": offset, "reason": str(drift)}
        story = _Story(drift.cause, -1 if drift.drift is None else drift.drift.writer.id)
        if self._stories.get(topic) == story:
            if first:
                where = {"topic": topic, "partition": str(partition), "offset": offset}  # why stands above
                log.warning("route still paused", extra={**where, "probe_in_seconds": round(seconds, 1)})
            return
        if topic not in self._stories:
            self._counters.pauses += 1
        self._stories[topic] = story
        text = _report(route, batch, row, drift)
        log.error("route paused, nothing is skipped", extra={**facts, **({"report": text} if text else {})})
        self._note("paused", partition, offset, str(drift))
        written = _time(batch.timestamps_ms[row])
        self._tell(
            Notice(
                "paused",
                topic,
                f"topic {topic} is paused: "
                + (f"a schema does not write what is read as it is read\n\n{text}" if text else str(drift)),
                f"its records wait from {partition} offset {offset} on{f', written {written}' if written else ''}: nothing is"
                " skipped, but what the topic's retention deletes before it goes on is lost",
                "prism check PIPELINE.toml" if drift.drift is None else difference_command(drift.drift),
            )
        )

    def refuse(self, route: Route, batch: RecordBatch, row: int, drift: SchemaDriftError) -> None:
        """Say all there is about a drift that stops the pipeline."""
        text = _report(route, batch, row, drift)
        facts = {"topic": route.topic, "partition": str(batch.partition), "offset": batch.offsets[row]}
        log.error("drift stops the pipeline, as on_drift says", extra={**facts, **({"report": text} if text else {})})

    def works(self, partition: Partition) -> None:
        """A whole batch went through."""
        if self._pauses.works(partition):
            self._end(partition.stream, "goes on, and nothing of it was skipped", partition)

    def probe(self, assigned: Callable[[], Iterable[Partition]]) -> None:
        """Try paused topics again when their time has come; nothing while none is paused."""
        if self._stories:
            for topic in self._pauses.keep(set(assigned())):
                self._end(
                    topic, f"is read by another worker than {self._worker} now, which tells what becomes of it", None
                )
            self._pauses.resume_due()

    def _end(self, topic: str, what: str, partition: Partition | None) -> None:
        if self._stories.pop(topic, None) is None:
            return
        log.warning("route resumed", extra={"topic": topic, "because": f"topic {topic} {what}"})
        if partition is not None:
            self._note("resumed", partition, -1, f"topic {topic} {what}")
        self._tell(Notice("resumed", topic, f"topic {topic} {what}", "nothing", "prism offsets show PIPELINE.toml"))

    def _note(self, kind: NoteKind, partition: Partition, offset: int, what: str) -> None:
        """For whoever asks later; a ledger that cannot be written now keeps no route from pausing."""
        if self._ledger is None:
            return
        note = LedgerNote(kind, time.time_ns() // 1_000_000, f"worker {self._worker}", what, partition, first=offset)
        try:
            self._ledger.save_ledger((), [note])
        except RetryableError as error:
            log.warning(
                "the ledger has no note of it", extra={"kind": kind, "topic": note.stream, "reason": str(error)}
            )


def _report(route: Route, batch: RecordBatch, row: int, drift: SchemaDriftError) -> str:
    if drift.drift is None:
        return ""
    uses: dict[str, list[str]] = {}
    for use in getattr(route.normalizer, "uses", ()):
        uses.setdefault(use.field, []).append(use.where)
    partition, written = batch.partition, _time(batch.timestamps_ms[row])
    return report(drift.drift, Place(route.topic, partition.index, batch.offsets[row], written, uses))


def _time(timestamp_ms: int) -> str:
    if timestamp_ms < 0:
        return ""
    try:
        at = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # producers may write any number
        return ""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
