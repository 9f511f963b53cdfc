"""Source: one member of a consumer group."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from prism_embedded import group, topics
from prism_embedded.database import SETUP, Database, announce
from prism_embedded.group import Lease, Member, Membership
from prism_embedded.heartbeat import Heartbeat
from prismlib.errors import (
    ConfigError,
    DataLossError,
    FatalError,
    FencedError,
    RetryableError,
    StageContractError,
    UnreachableError,
)
from prismlib.records import Partition, RecordBatch
from prismlib.stages import AssignmentListener, Committed, Horizon

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.01  # between two looks for something new while a poll waits


class EmbeddedSource:
    """A Source that is InGroup, Pausable, Seekable, FindsTimes and IdentifiesTopics."""

    def __init__(
        self,
        path: Path,
        *,
        group: str,
        worker: str,
        topics: Sequence[str],
        session_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file.
            group: the consumer group, which is the pipeline's name.
            worker: this worker's name in the pipeline.
            topics: what to read.
            session_timeout: seconds without a heartbeat after which the group goes on without this worker.
            clock: seconds, for the heartbeat.
        """
        self._path = path
        self._group = group
        self._topics = list(topics)
        self._clock = clock
        self._database = Database(path)
        self._membership = Membership(self._database, group, worker, topics)
        self._heartbeat = Heartbeat(
            Database(path), self._membership, session_timeout, lambda: self._last_sign, clock=clock
        )
        self._last_sign = clock()
        self._listener: AssignmentListener | None = None
        self._held: dict[Partition, Lease] = {}
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._turn = 0
        self._seen: int | None = None  # change of the file up to which the group was looked at
        self._told_of_nothing = False  # the listener knows that this member was given nothing
        self._owing = False  # something was not given back, because the file was locked
        self._exhausted: int | None = None  # and at which no record was left to read
        self._fatal: FatalError | None = None
        self._closed = False

    def open(self, listener: AssignmentListener) -> None:
        """Check that the topics exist, and join the group."""
        self._database.open()
        announce(self._path)
        try:
            with self._database.snapshot() as connection:
                missing = sorted(set(self._topics) - topics.find(connection, self._topics).keys())
            if missing:
                raise ConfigError(
                    f"no topic {', '.join(missing)} in {self._path}; create what pipeline {self._group} needs with {SETUP}"
                )
            self._membership.join()
        except RetryableError as error:
            raise UnreachableError(str(error)) from error
        self._listener = listener
        self._last_sign = self._clock()
        self._heartbeat.start()

    # --- reading -------------------------------------------------------------------------------------------------------

    def poll(self, max_records: int, timeout: float) -> Sequence[RecordBatch]:
        """Follow the group, then read; looks at the file again only when somebody has changed it."""
        deadline = time.monotonic() + timeout
        while True:
            if (fatal := self._fatal or self._heartbeat.failure) is not None:
                raise fatal
            self._last_sign = self._clock()
            change = self._database.changes()
            if change != self._seen or self._owing:
                self._owing = False
                self._follow_group()
                self._seen = change
            if change != self._exhausted:
                batches = self._read(max_records)
                if batches:
                    return batches
                self._exhausted = change
            rest = deadline - time.monotonic()
            if rest <= 0:
                return []
            time.sleep(min(rest, _LOOK_SECONDS))

    def _read(self, max_records: int) -> list[RecordBatch]:
        batches: list[RecordBatch] = []
        ready = [p for p in self._positions if p not in self._paused]
        # The first in line changes from poll to poll, so that a busy partition cannot starve the others.
        self._turn += 1
        start = self._turn % len(ready) if ready else 0
        room = topics.MAX_READ_BYTES
        with self._database.snapshot() as connection:
            for partition in ready[start:] + ready[:start]:
                if max_records <= 0 or room <= 0:
                    break
                number, position = self._held[partition].number, self._positions[partition]
                row = connection.execute(
                    "SELECT log_start, log_end FROM partitions WHERE number = ?", (number,)
                ).fetchone()
                if row is None:
                    raise self._end(FatalError(self._deleted([partition])))
                log_start, log_end = row
                if position < log_start:
                    raise self._end(_gone(partition, position, log_start))
                if position >= log_end:
                    continue
                batch = topics.read(connection, partition, number, position, log_end, max_records, room)
                if batch is not None:
                    batches.append(batch)
                    max_records -= len(batch)
                    room -= topics.size(batch) if max_records else 0
        # Not before all of it was read: an error on the way must leave no record behind that nobody has seen.
        self._positions.update({batch.partition: batch.next_offset for batch in batches})
        return batches

    def _end(self, error: FatalError) -> FatalError:
        """Raised now, and again by every later poll: going on would skip records."""
        self._fatal = error
        return error

    def _deleted(self, partitions: Sequence[Partition]) -> str:
        names = ", ".join(sorted({partition.stream for partition in partitions}))
        return f"topic {names} was deleted in {self._path} while pipeline {self._group} read it"

    # --- the group -----------------------------------------------------------------------------------------------------

    def _follow_group(self) -> None:
        """Lose, give back, take: what the group has decided since the last look."""
        view = self._membership.view()
        if not view.live:
            self._told_of_nothing = False
            self._forget_all_lost()
            self._membership.rejoin()
            view = self._membership.view()
        gone = [p for p, lease in self._held.items() if view.owned.get(p) != lease]
        if gone:
            # The session is live, so nobody else has them: their topic is.
            self._drop(gone)
            self._listener_or_fail().on_lost(gone)
            raise self._end(FatalError(self._deleted(gone)))
        # Owned and not held: given back in vain, or refused by the listener, while the file was locked.
        stray = [lease for p, lease in view.owned.items() if p not in self._held]
        self._revoke([p for p in view.unwanted if p in self._held])
        if stray:
            self._membership.give_back(stray)
        if view.offered or stray:
            self._take()
        if self._held:
            self._told_of_nothing = False
        elif not self._told_of_nothing:
            self._told_of_nothing = True
            self._listener_or_fail().on_assigned([])

    def _forget_all_lost(self) -> None:
        lost = sorted(self._held)
        self._drop(lost)
        if lost:
            self._listener_or_fail().on_lost(lost)

    def _revoke(self, partitions: Sequence[Partition]) -> None:
        if not partitions:
            return
        leases = [self._held[p] for p in partitions]
        try:
            self._listener_or_fail().on_revoked(partitions)
        finally:
            self._drop(partitions)
            self._try_to_give_back(leases)

    def _try_to_give_back(self, leases: Iterable[Lease]) -> None:
        try:
            self._membership.give_back(leases)
        except RetryableError as error:
            self._owing = True
            log.warning("partitions cannot be given back now", extra={"reason": str(error)})

    def _take(self) -> None:
        taken = {p: lease for p, lease in self._membership.take().items() if p not in self._held}
        if not taken:
            return
        partitions = sorted(taken)
        self._held |= taken  # so that the listener may commit
        try:
            positions = self._listener_or_fail().on_assigned(partitions)
            starts = {p: positions[p] for p in partitions}
        except BaseException as error:
            self._drop(partitions)
            self._try_to_give_back(taken.values())
            if isinstance(error, Exception) and not self._is_live():
                raise RetryableError(
                    f"worker {self._membership.worker!r} of group {self._group} lost its partitions while it was decided"
                    " where to start; it joins again"
                ) from error
            raise
        self._positions |= starts
        self._exhausted = None

    def _is_live(self) -> bool:
        with self._database.snapshot() as connection:
            return self._membership.is_live(connection)

    def _drop(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self._held.pop(partition, None)
            self._positions.pop(partition, None)
            self._paused.discard(partition)

    def _listener_or_fail(self) -> AssignmentListener:
        if self._listener is None:
            raise StageContractError("the embedded source was polled before it was opened")
        return self._listener

    # --- offsets -------------------------------------------------------------------------------------------------------

    def commit(self, next_offsets: Mapping[Partition, int]) -> None:
        """Store them, unless a lease is lost: it is looked at in the same transaction."""
        if not next_offsets:
            return
        self._last_sign = self._clock()
        member = self.member()
        with self._database.transaction() as connection:
            lost = group.lost(connection, member, next_offsets)
            if lost:
                raise FencedError(
                    f"offsets of {', '.join(map(str, sorted(lost)))} cannot be committed: the group {self._group} goes on"
                    " without this worker"
                )
            group.commit_offsets(
                connection, self._group, ((member.leases[p].number, offset) for p, offset in next_offsets.items())
            )

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """What the group has committed. Nothing can hold it back: a transaction is there at once, or never."""
        with self._looking_at(partitions) as (connection, numbers):
            offsets = group.committed(connection, self._group)
            if not self._positions.keys() >= set(partitions) and not self._membership.is_live(connection):
                # Else a worker that slept while it was decided where to start would try for minutes to save ledger rows.
                raise FencedError(f"the group {self._group} goes on without this worker")
        return {p: Committed(offsets.get(numbers[p])) for p in partitions}

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """What the partitions hold now."""
        self._last_sign = self._clock()
        with self._database.snapshot() as connection:
            found = topics.horizons(connection, topics.find(connection, {p.stream for p in partitions}))
        self._require(found, partitions)
        return {p: found[p] for p in partitions}

    def topic_ids(self, streams: Collection[str]) -> Mapping[str, str]:
        """The ids that the topics have now."""
        self._last_sign = self._clock()
        with self._database.snapshot() as connection:
            found = topics.find(connection, streams)
        return {name: found[name].id if name in found else "" for name in streams}

    def offsets_at(self, partitions: Sequence[Partition], timestamp_ms: int) -> Mapping[Partition, int]:
        """Look for the first record written at or after the time."""
        with self._looking_at(partitions) as (connection, numbers):
            return {p: topics.first_since(connection, numbers[p], timestamp_ms) for p in partitions}

    @contextlib.contextmanager
    def _looking_at(
        self, partitions: Sequence[Partition]
    ) -> Generator[tuple[sqlite3.Connection, dict[Partition, int]]]:
        self._last_sign = self._clock()
        with self._database.snapshot() as connection:
            numbers = topics.numbers(topics.find(connection, {p.stream for p in partitions}))
            self._require(numbers, partitions)
            yield connection, numbers

    def _require(self, found: Mapping[Partition, object], partitions: Sequence[Partition]) -> None:
        missing = [p for p in partitions if p not in found]
        if missing:
            raise FatalError(self._deleted(missing))

    # --- capabilities --------------------------------------------------------------------------------------------------

    def member(self) -> Member:
        """For the embedded sink: session, and the leases that it holds now."""
        if self._membership.session is None:
            raise RetryableError(
                f"this worker is no member of group {self._group} now; it joins again with the next poll"
            )
        return Member(self._path, self._group, self._membership.session, dict(self._held))

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Read nothing of these; a rebalance that takes one ends its pause."""
        self._paused.update(p for p in partitions if p in self._positions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Read these again."""
        self._paused.difference_update(partitions)
        self._exhausted = None

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Go to these offsets. Partitions not assigned are passed over."""
        self._positions.update({p: offset for p, offset in positions.items() if p in self._positions})
        self._exhausted = None

    def close(self) -> None:
        """Give everything back, and leave the group. What a locked file keeps from that, the session time-out does."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._held and self._listener is not None:
                self._part(self._listener)
        finally:
            self._heartbeat.stop()  # not sooner: what is open is drained in on_revoked
            try:
                if self._membership.session is not None:
                    self._membership.leave()
            except (RetryableError, FatalError) as error:
                log.warning("left the group without telling it", extra={"reason": str(error)})
            self._database.close()

    def _part(self, listener: AssignmentListener) -> None:
        try:
            live = self._is_live()
        except (RetryableError, FatalError):
            live = True  # not known; what is committed is checked again
        partitions = sorted(self._held)
        try:
            if live:
                listener.on_revoked(partitions)
            else:
                listener.on_lost(partitions)
        finally:
            self._drop(partitions)


def _gone(partition: Partition, position: int, log_start: int) -> DataLossError:
    return DataLossError(
        f"{partition}: data is lost: the next record to read has offset {position}, the log now starts at {log_start};"
        " nothing was skipped"
    )
