"""The only code that computes offsets.

Every batch that enters the pipeline gets a ticket, in order of arrival. A record is settled when it is delivered or
durable in the dead letters. What may be committed of a partition is the next offset after its settled prefix: by order
of arrival, never by offset arithmetic, because compacted and transactional topics have gaps.

A partition that is revoked, lost or rewound gets a new track when it comes back; tickets of the old one are inert, so a
late answer cannot commit for somebody else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from prismlib.records import Partition, RecordBatch


class Ticket:
    """One batch under way.

    Attributes:
        batch: its records; kept so that a refused document can go to the dead letters as it was read.
    """

    __slots__ = ("_track", "batch", "flags", "pending")

    def __init__(self, batch: RecordBatch, track: _Track) -> None:
        self.batch = batch
        self.pending = len(batch)
        self.flags: bytearray | None = None  # one byte a row, made at the first partial settling
        self._track = track

    @property
    def live(self) -> bool:
        """False once its partition was revoked, lost or rewound: settling it means nothing any more."""
        return self._track.live


class _Track:
    __slots__ = (
        "before",
        "committed",
        "gap",
        "last_timestamp_ms",
        "live",
        "next_offset",
        "read",
        "start",
        "start_timestamp_ms",
        "tickets",
    )

    def __init__(self, start: int, committed: int | None, timestamp_ms: int) -> None:
        self.start = start
        self.next_offset = start  # after the settled prefix
        self.start_timestamp_ms = timestamp_ms
        self.before = committed  # what the group had committed then
        self.committed = committed
        self.read = start  # after the last record that has a ticket
        self.gap: tuple[int, int] | None = None  # the first one that nobody has explained
        self.last_timestamp_ms = timestamp_ms
        self.tickets: deque[Ticket] = deque()
        self.live = True

    def advance(self) -> None:
        tickets = self.tickets
        while tickets:
            head = tickets[0]
            batch = head.batch
            if head.pending == 0:
                self.next_offset = batch.next_offset
                self.last_timestamp_ms = batch.timestamps_ms[-1]
                tickets.popleft()
                continue
            if head.flags is not None:
                prefix = head.flags.find(0)
                if prefix > 0:
                    self.next_offset = batch.offsets[prefix - 1] + 1
                    self.last_timestamp_ms = batch.timestamps_ms[prefix - 1]
            return


class Progress:
    """What is read, settled and committed of each assigned partition. Used from the runner's thread only.

    Attributes:
        gaps: how many offsets were passed that no record had: of compacted records, and of transactions.
    """

    def __init__(self) -> None:
        self._tracks: dict[Partition, _Track] = {}
        self.gaps = 0

    def assign(self, partition: Partition, start: int, *, committed: int | None, timestamp_ms: int = -1) -> None:
        """Begin anew at ``start``.

        Args:
            partition: which.
            start: the first record to read.
            committed: what the group has committed now; where that is not ``start``, the start itself is to be committed.
            timestamp_ms: of the last record before ``start``, where that is known.
        """
        self.forget(partition)
        self._tracks[partition] = _Track(start, committed, timestamp_ms)

    def rewind(self, partition: Partition, committed: int | None) -> None:
        """Begin anew at what is committed now; where that is nothing of ours yet, where the partition was assigned."""
        track = self._tracks[partition]
        if committed is None or committed == track.before:
            self.assign(partition, track.start, committed=committed, timestamp_ms=track.start_timestamp_ms)
        else:
            self.assign(partition, committed, committed=committed)

    def forget(self, partition: Partition) -> None:
        """Revoked or lost: nothing of it is committable any more, and its tickets are inert."""
        track = self._tracks.pop(partition, None)
        if track is not None:
            track.live = False
            track.tickets.clear()

    def assigned(self) -> list[Partition]:
        """All partitions, in no particular order."""
        return list(self._tracks)

    def track(self, batch: RecordBatch) -> Ticket:
        """A ticket for a batch that was just read. Its partition must be assigned."""
        track = self._tracks[batch.partition]
        ticket = Ticket(batch, track)
        track.tickets.append(ticket)
        offsets = batch.offsets
        absent = batch.next_offset - track.read - len(offsets)
        if absent:
            self.gaps += absent
            if track.gap is None:
                track.gap = _first_gap(track.read, offsets)
        track.read = batch.next_offset
        return ticket

    def gap(self, partition: Partition) -> tuple[int, int] | None:
        """The first offsets that no record had and nobody has explained: where they begin and end."""
        return self._tracks[partition].gap

    def explain_gap(self, partition: Partition) -> None:
        """The records of all gaps so far were not deleted before they were read."""
        self._tracks[partition].gap = None

    def settle(self, ticket: Ticket, rows: Iterable[int] | None = None) -> None:
        """These rows (None: all) are delivered or durable in the dead letters. Settling a row twice is once."""
        if not ticket.live:
            return
        if rows is None:
            ticket.pending = 0
        else:
            flags = ticket.flags
            if flags is None:
                flags = ticket.flags = bytearray(len(ticket.batch))
            for row in rows:
                flags[row] = 1
            ticket.pending = min(ticket.pending, flags.count(0))
        track = ticket._track  # noqa: SLF001  # a ticket and its track are one thing in two classes
        if track.tickets and track.tickets[0] is ticket:
            track.advance()

    def settle_all(self) -> None:
        """Everything that was read is settled: the barrier of a transaction."""
        for track in self._tracks.values():
            for ticket in track.tickets:
                ticket.pending = 0
            track.advance()

    def unsettled(self, partitions: Iterable[Partition] | None = None) -> int:
        """How many read records are not settled yet."""
        chosen = self._tracks if partitions is None else partitions
        return sum(t.pending for p in chosen if p in self._tracks for t in self._tracks[p].tickets)

    def held(self) -> int:
        """How many records are kept until the settled prefix passes them, settled ones among them."""
        return sum(len(ticket.batch) for track in self._tracks.values() for ticket in track.tickets)

    def committable(self) -> dict[Partition, int]:
        """The next offsets that may be committed and are not yet."""
        return {p: t.next_offset for p, t in self._tracks.items() if t.next_offset != t.committed}

    def mark_committed(self, next_offsets: Mapping[Partition, int]) -> None:
        """These were committed; a partition that is gone meanwhile is passed over."""
        for partition, offset in next_offsets.items():
            track = self._tracks.get(partition)
            if track is not None:
                track.start = track.before = track.committed = offset
                track.start_timestamp_ms = track.last_timestamp_ms

    def position(self, partition: Partition) -> int:
        """The offset after the last record that was read."""
        return self._tracks[partition].read

    def last_timestamp_ms(self, partition: Partition) -> int:
        """Timestamp of the last record of the settled prefix, or -1."""
        return self._tracks[partition].last_timestamp_ms


def _first_gap(expected: int, offsets: Sequence[int]) -> tuple[int, int]:
    """Where the first gap begins and ends; ``offsets`` has one, counted from ``expected``."""
    row = bisect_left(range(len(offsets)), True, key=lambda i: offsets[i] - expected > i)
    return expected + row, offsets[row]
