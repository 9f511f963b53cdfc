"""The offsets of a pipeline's group, for commands: looked at, and moved while nobody reads.

Workers that were killed stay in the file until somebody finds them silent. Here nobody else may be left to do so, hence this
watches their heartbeats itself, and removes those without one when it moves offsets: should one of them wake up, nothing that it
writes is accepted.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from prism_embedded import group, topics
from prism_embedded.database import Database
from prism_embedded.group import Session
from prismlib.errors import FatalError
from prismlib.plugin.hookspecs import Retention
from prismlib.records import Partition
from prismlib.stages import Committed, Horizon

_LOOK_SECONDS: Final = 0.1

_Beats: TypeAlias = Mapping[Session, tuple[str, int]]
"""Worker and count of beats of each member."""


class EmbeddedGroupOffsets:
    """See :class:`prismlib.plugin.hookspecs.GroupOffsets`."""

    def __init__(
        self,
        path: Path,
        *,
        group: str,
        session_timeout: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is opened yet.

        Args:
            path: of the file.
            group: the consumer group, which is the pipeline's name.
            session_timeout: seconds without a heartbeat after which a member is dead.
            clock: seconds.
            sleep: waits.
        """
        self._path = path
        self._group = group
        self._session_timeout = session_timeout
        self._clock = clock
        self._sleep = sleep
        self._database = Database(path)
        self._dead: dict[Session, int] = {}  # and their last beat

    def open(self) -> None:
        """Open the file."""
        self._database.open()

    def partitions(self, streams: Sequence[str]) -> Sequence[Partition]:
        """Of the topics that exist."""
        with self._database.snapshot() as connection:
            return sorted(topics.numbers(topics.find(connection, streams)))

    def members(self) -> Sequence[str]:
        """Those whose heart beats. Returns as soon as each has been seen to; else after a session's time."""
        first = self._beats()
        live: set[Session] = set()
        now = first
        deadline = self._clock() + self._session_timeout
        while (silent := now.keys() - live) and self._clock() < deadline:
            self._sleep(_LOOK_SECONDS)
            now = self._beats()
            live |= {session for session, beat in now.items() if first.get(session) != beat}
        self._dead = {session: now[session][1] for session in silent & now.keys()}
        return [f"worker {worker}" for session, (worker, _) in sorted(now.items()) if session in live]

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """What the group has committed."""
        with self._database.snapshot() as connection:
            numbers = self._numbers(connection, partitions)
            offsets = group.committed(connection, self._group)
        return {p: Committed(offsets.get(number)) for p, number in numbers.items()}

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """What the partitions hold now."""
        with self._database.snapshot() as connection:
            self._numbers(connection, partitions)
            found = topics.horizons(connection, topics.find(connection, {p.stream for p in partitions}))
        return {p: found[p] for p in partitions}

    def offsets_at(self, partitions: Sequence[Partition], timestamp_ms: int) -> Mapping[Partition, int]:
        """Look for the first record written at or after the time."""
        with self._database.snapshot() as connection:
            numbers = self._numbers(connection, partitions)
            return {p: topics.first_since(connection, number, timestamp_ms) for p, number in numbers.items()}

    def timestamps(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """Look at one record of each partition."""
        with self._database.snapshot() as connection:
            numbers = self._numbers(connection, list(offsets))
            return {p: topics.timestamp_from(connection, numbers[p], offset) for p, offset in offsets.items()}

    def retention(self, streams: Sequence[str]) -> Mapping[str, Retention]:
        """Nothing is ever deleted by itself."""
        with self._database.snapshot() as connection:
            return {name: Retention() for name in topics.find(connection, streams)}

    def offsets_retention_ms(self) -> int | None:
        """For good."""
        return None

    def alter(self, next_offsets: Mapping[Partition, int]) -> None:
        """Store them, unless a member lives: it is looked at in the same transaction."""
        if any(self._dead.get(session) != beat for session, (_, beat) in self._beats().items()):
            self.members()
        with self._database.transaction() as connection:
            live = [w for s, (w, beat) in self._beats_in(connection).items() if self._dead.get(s) != beat]
            if live:
                raise FatalError(
                    f"the offsets of group {self._group} are not moved while it has a member, worker {', '.join(live)}; stop all"
                    " workers of the pipeline and try again"
                )
            numbers = self._numbers(connection, list(next_offsets))
            group.remove(connection, self._group, self._dead)
            group.commit_offsets(connection, self._group, ((numbers[p], at) for p, at in next_offsets.items()))

    def close(self) -> None:
        """Let go."""
        self._database.close()

    def _beats(self) -> _Beats:
        with self._database.snapshot() as connection:
            return self._beats_in(connection)

    def _beats_in(self, connection: sqlite3.Connection) -> _Beats:
        query = "SELECT number, worker, beat FROM members WHERE group_name = ?"
        return {number: (worker, beat) for number, worker, beat in connection.execute(query, (self._group,))}

    def _numbers(self, connection: sqlite3.Connection, partitions: Sequence[Partition]) -> dict[Partition, int]:
        numbers = topics.numbers(topics.find(connection, {p.stream for p in partitions}))
        missing = sorted({p.stream for p in partitions if p not in numbers})
        if missing:
            raise FatalError(f"topic {', '.join(missing)} was deleted in {self._path}")
        return {p: numbers[p] for p in partitions}
