"""Source: where records come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from prismlib.records import Partition, RecordBatch

StartPosition: TypeAlias = Mapping[Partition, int]
"""Where to begin reading, for every partition just assigned."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What the group's committed offset of one partition is.

    Attributes:
        next_offset: the committed next offset, or None when the broker has none.
    """

    next_offset: int | None


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a partition holds now, asked of the broker, never cached.

    Attributes:
        start: first offset still there.
        end: offset that the next record will get.
        topic_id: id that changes when the topic is deleted and created again; "" where there is none.
        start_timestamp_ms: timestamp of the first record still there, or -1.
        partitions: how many the topic has; 0 where the source does not say.
    """

    start: int
    end: int
    topic_id: str
    start_timestamp_ms: int = -1
    partitions: int = 0


class AssignmentListener(Protocol):
    """What the runner does when partitions come and go. Called by the source inside ``poll`` (and ``close``) only."""

    def on_assigned(self, partitions: Sequence[Partition]) -> StartPosition:
        """Decide where to start; may commit already. Raising refuses the assignment: the source gives it back, and ``poll`` raises it on.

        A member that joined and is given nothing hears so by a call with no partitions: a standby, which ends when it is
        told to end after being idle. It is never taken for one by a source that does not make that call.
        """
        ...

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """The partitions are still ours during this call: finish, commit, forget. May block up to the session's limit."""
        ...

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """Another member has them already: drop everything, commit nothing."""
        ...


class Source(Protocol):
    """Reads record batches of the partitions it is assigned.

    The runner calls ``open`` once, then ``poll`` and ``commit`` from one thread, then ``close``.

    - ``SRC-01`` a batch holds records of one partition, offsets ascending, columns of equal length
    - ``SRC-02`` per partition, batches continue where the last one ended; no record is skipped or repeated
    - ``SRC-03`` reading begins at the position that ``on_assigned`` returned, whatever is committed
    - ``SRC-04`` nothing is committed but by ``commit``
    - ``SRC-05`` what was committed is returned by ``committed`` to a successor
    - ``SRC-06`` ``poll`` returns within its timeout when there is nothing, with an empty list
    - ``SRC-07`` ``poll`` returns at most ``max_records`` records
    - ``SRC-08`` when ``on_assigned`` raises, ``poll`` raises that error and returns no record of the partitions
    - ``SRC-09`` tombstones, missing keys, empty values, headers and timestamps arrive as they were written
    - ``SRC-10`` ``close`` calls ``on_revoked`` for what is still assigned, and may be called twice
    - ``SRC-11`` ``horizons`` answers with what the partition holds now, not when it was opened
    - ``SRC-12`` ``topic_ids`` answers with the ids that ``horizons`` names, and "" for a topic that does not exist
    """

    def open(self, listener: AssignmentListener) -> None:
        """Join. Returns at once; assignment arrives in ``poll``.

        Raises:
            ConfigError: a setting is refused or a topic does not exist.
            UnreachableError: no server answers.
        """
        ...

    def poll(self, max_records: int, timeout: float) -> Sequence[RecordBatch]:
        """Wait up to ``timeout`` seconds for records; more than one batch when several partitions had some.

        Raises:
            RetryableError: the servers cannot be reached for now; polling again goes on where it stopped.
            FatalError: reading cannot go on. ``DataLossError`` when the next record is gone.
        """
        ...

    def commit(self, next_offsets: Mapping[Partition, int]) -> None:
        """Store the next offset of each partition with the group, durably, before returning.

        Raises:
            RetryableError: not stored, and may be stored later.
            FencedError: another member owns a partition now.
        """
        ...

    def committed(self, partitions: Sequence[Partition]) -> Mapping[Partition, Committed]:
        """The group's committed offsets, after waiting for transactions that still hold them. Raises like ``commit``."""
        ...

    def horizons(self, partitions: Sequence[Partition]) -> Mapping[Partition, Horizon]:
        """Start, end and topic id of each partition, fresh from the server. Raises like ``commit``."""
        ...

    def close(self) -> None:
        """Leave the group: calls ``on_revoked`` first, when anything is assigned. Never raises for a dead server."""
        ...


@runtime_checkable
class InGroup(Protocol):
    """Capability: the source is a member of a group whose offsets a transactional sink can commit."""

    def member(self) -> object:
        """An opaque token that the sink of the same plugin understands; ask anew for every commit."""
        ...


@runtime_checkable
class Pausable(Protocol):
    """Capability: single partitions can rest while polling goes on."""

    def pause(self, partitions: Sequence[Partition]) -> None:
        """``poll`` returns nothing of these until ``resume``. Partitions not assigned are passed over."""
        ...

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Go on exactly after the last record that was returned, or where ``seek`` put it."""
        ...


@runtime_checkable
class Seekable(Protocol):
    """Capability: reading can go back."""

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """The next record that ``poll`` returns of each partition is the first at or after its offset."""
        ...


@runtime_checkable
class FindsTimes(Protocol):
    """Capability: offsets can be found by time, for pipelines that start at one."""

    def offsets_at(self, partitions: Sequence[Partition], timestamp_ms: int) -> Mapping[Partition, int]:
        """The first offset written at or after the time, in ms since the epoch; the end where there is none.

        Raises like ``commit``.
        """
        ...


@runtime_checkable
class IdentifiesTopics(Protocol):
    """Capability: a topic that was deleted and created again can be told from the one that was read."""

    def topic_ids(self, streams: Collection[str]) -> Mapping[str, str]:
        """The id of each topic now, asked of the server in one request; "" where there is no such topic.

        Called before every commit. Raises like ``commit``.
        """
        ...
