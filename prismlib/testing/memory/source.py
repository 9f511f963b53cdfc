"""A source that reads the in-memory broker, as a member of a group."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

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
from prismlib.stages.source import AssignmentListener, Committed, Horizon
from prismlib.testing.memory.broker import MemoryBroker
from prismlib.testing.memory.group import MemberToken, Session, SessionState
from prismlib.testing.memory.log import batch_of


class MemorySource:
    """Reads topics of a :class:`MemoryBroker`; InGroup, Pausable, Seekable and IdentifiesTopics.

    A member that stops without ``close`` keeps its partitions until ``broker.lose(group, member_name)``, or until
    another source joins with the same name, which fences it.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        group: str,
        topics: Sequence[str],
        member_name: str = "1",
        *,
        stable_timeout: float = 5.0,
    ) -> None:
        """Prepare a member; ``open`` joins.

        Args:
            broker: where the topics are.
            group: whose offsets are committed.
            topics: what to read.
            member_name: unique in the group.
            stable_timeout: seconds that ``committed`` waits for transactions in doubt.
        """
        self._broker = broker
        self._topics = tuple(topics)
        self._group = group
        self._name = member_name
        self._stable_timeout = stable_timeout
        self._listener: AssignmentListener | None = None
        self._session: Session | None = None
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._turn = 0
        self._told = 0  # the generation in which the listener heard that this member was given nothing

    def open(self, listener: AssignmentListener) -> None:
        """Join the group. Raises ConfigError for a missing topic, UnreachableError while the broker is down."""
        if not self._broker.reachable:
            raise UnreachableError("the in-memory broker is unreachable: set its `reachable` to True")
        for topic in self._topics:
            if not self._broker.has_topic(topic):
                raise ConfigError(f"topic {topic!r} does not exist: create it with `create_topic`")
        self._listener = listener
        self._join()

    def poll(self, max_records: int, timeout: float) -> Sequence[RecordBatch]:
        """See Source. The group changes only in here."""
        deadline = time.monotonic() + timeout
        while True:
            self._broker.require_reachable()
            with self._broker.changed:
                seen = self._broker.version
            self._follow_group()
            batches = self._fetch(max_records)
            rest = deadline - time.monotonic()
            if batches or rest <= 0:
                return batches
            self._broker.wait_for_change(seen, rest)

    def commit(self, next_offsets: Mapping[Partition, int]) -> None:
        """See Source. FencedError for a partition that this member does not own."""
        self._broker.require_reachable()
        with self._broker.changed:
            group = self._broker.group(self._group)
            group.require_owned(self._live_session(), next_offsets)
            group.committed.update(next_offsets)
            self._broker.touch()

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """See Source. RetryableError when a transaction holds an offset for longer than ``stable_timeout``."""
        self._broker.require_reachable()
        with self._broker.changed:
            group = self._broker.group(self._group)
            if not self._broker.changed.wait_for(
                lambda: not any(group.held.get(one) for one in partitions), self._stable_timeout
            ):
                raise RetryableError(f"a transaction of group {self._group!r} still holds its offsets: ask again later")
            return {one: Committed(group.committed.get(one)) for one in partitions}

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """See Source. ``end`` counts records of open transactions and markers, as offsets do."""
        self._broker.require_reachable()
        return {one: self._broker.horizon(one) for one in partitions}

    def topic_ids(self, streams: Collection[str]) -> Mapping[str, str]:
        """See IdentifiesTopics."""
        self._broker.require_reachable()
        return {stream: self._broker.topic_id(stream) for stream in streams}

    def close(self) -> None:
        """See Source: ``on_revoked`` for what is still assigned, or ``on_lost`` when it was lost without notice.

        While the broker is unreachable it cannot leave: the group waits for ``broker.lose`` or a successor's name.
        """
        session, self._session = self._session, None
        if session is None:
            return
        assigned = sorted(self._positions)
        try:
            if assigned and self._listener is not None:
                if session.state is SessionState.LIVE:
                    self._session = session
                    self._listener.on_revoked(assigned)
                else:
                    self._listener.on_lost(assigned)
        finally:
            self._session = None
            self._drop(assigned)
            if session.state is SessionState.LIVE and self._broker.reachable:
                self._broker.leave(session, SessionState.LEFT)

    def member(self) -> object:
        """Group metadata for a :class:`MemoryTransactionalSink`; stale as soon as the assignment changes."""
        with self._broker.changed:
            session = self._live_session()
            return MemberToken(session, session.assignment)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """See Pausable. A rebalance that takes a partition ends its pause."""
        self._paused.update(one for one in partitions if one in self._positions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """See Pausable."""
        self._paused.difference_update(partitions)

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """See Seekable. Partitions that are not assigned are passed over."""
        self._positions.update({one: offset for one, offset in positions.items() if one in self._positions})

    def _live_session(self) -> Session:
        if self._session is None:
            raise FatalError(f"the source of group {self._group!r} is not open")
        return self._session

    def _join(self) -> None:
        self._session = Session(self._group, self._name, self._topics)
        self._broker.join(self._session)

    def _follow_group(self) -> None:
        session, listener = self._live_session(), self._listener
        if listener is None:
            return
        if session.state is not SessionState.LIVE:
            self._after_loss(session, listener)
            session = self._live_session()
        with self._broker.changed:
            revoked = self._broker.group(self._group).to_revoke(session)
        if revoked:
            try:
                listener.on_revoked(revoked)
            finally:
                self._drop(revoked)
                with self._broker.changed:
                    self._broker.group(self._group).release(session, revoked)
                    self._broker.touch()
        with self._broker.changed:
            claimed = self._broker.group(self._group).claim(session)
        if claimed:
            self._start(session, listener, claimed)
        elif not self._positions and self._told != session.generation:
            self._told = session.generation
            listener.on_assigned([])

    def _after_loss(self, session: Session, listener: AssignmentListener) -> None:
        lost = sorted(self._positions)
        self._drop(lost)
        if lost:
            listener.on_lost(lost)
        if session.state is SessionState.REPLACED:
            raise FencedError(
                f"another member {self._name!r} has joined group {self._group!r}: stop this one or rename it"
            )
        self._join()

    def _start(self, session: Session, listener: AssignmentListener, claimed: list[Partition]) -> None:
        try:
            positions = listener.on_assigned(claimed)
            missing = [str(one) for one in claimed if one not in positions]
            if missing:
                raise StageContractError(f"on_assigned returned no start position for {', '.join(missing)}")
        except BaseException:
            with self._broker.changed:
                self._broker.group(self._group).refuse(session, claimed)
                self._broker.touch()
            raise
        self._positions.update({one: positions[one] for one in claimed})

    def _drop(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)
        self._paused.difference_update(partitions)

    def _fetch(self, max_records: int) -> list[RecordBatch]:
        batches: list[RecordBatch] = []
        ready = [one for one in sorted(self._positions) if one not in self._paused]
        # The first in line changes from poll to poll, so that a busy partition cannot starve the others.
        self._turn += 1
        start = self._turn % len(ready) if ready else 0
        with self._broker.changed:
            for partition in ready[start:] + ready[:start]:
                if max_records <= 0:
                    break
                batch = self._read(partition, max_records)
                if batch is not None:
                    batches.append(batch)
                    max_records -= len(batch)
        return batches

    def _read(self, partition: Partition, limit: int) -> RecordBatch | None:
        log, position = self._broker.log(partition), self._positions[partition]
        if not log.start <= position <= log.end:
            raise DataLossError(
                f"group {self._group!r} is to read {partition} from offset {position}, but it holds {log.start} to "
                f"{log.end}; nothing was skipped"
            )
        records, self._positions[partition] = log.read(position, limit)
        if not records:
            return None
        return batch_of(partition, records)
