"""A model test of progress tracking: random interleavings against an obvious oracle, and planted bugs it must catch."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from prismlib.records import Partition, RecordBatch
from prismlib.runtime import progress as module
from prismlib.runtime.progress import Progress, Ticket, _Track

P = [Partition("t", 0), Partition("t", 1)]
SEEDS = 400


def batch_of(partition: Partition, offsets: list[int]) -> RecordBatch:
    n = len(offsets)
    return RecordBatch(partition, offsets, [o * 10 for o in offsets], [None] * n, [b"x"] * n, [None] * n)


class Oracle:
    """Every record on its own: the committable offset is after the longest prefix in which each record is settled."""

    def __init__(self) -> None:
        self.read: dict[Partition, list[tuple[int, list[bool]]]] = {}
        self.start: dict[Partition, int] = {}

    def next_offset(self, partition: Partition) -> int:
        result = self.start[partition]
        for offset, done in self.read[partition]:
            if not done[0]:
                break
            result = offset + 1
        return result

    def unsettled(self, partition: Partition) -> int:
        return sum(not done[0] for _, done in self.read[partition])


def run_model(make: Callable[[], Progress], seed: int, steps: int = 120) -> None:
    rng = random.Random(seed)
    real, oracle = make(), Oracle()
    log_end = dict.fromkeys(P, 0)
    committed: dict[Partition, int] = {}
    open_tickets: list[tuple[Ticket, list[list[bool]]]] = []

    def assign(partition: Partition) -> None:
        start = committed.get(partition, 0)
        real.assign(partition, start, committed=start)
        oracle.start[partition] = start
        oracle.read[partition] = []
        log_end[partition] = start

    for partition in P:
        assign(partition)
    for _ in range(steps):
        action = rng.random()
        partition = rng.choice(P)
        assigned = partition in oracle.read
        if action < 0.35 and assigned:
            offset, offsets = log_end[partition], []
            for _ in range(rng.randint(1, 5)):
                offset += rng.choice([0, 0, 0, 1, 4])  # gaps: markers, compacted records
                offsets.append(offset)
                offset += 1
            log_end[partition] = offset
            marks = [[False] for _ in offsets]
            oracle.read[partition] += list(zip(offsets, marks, strict=True))
            open_tickets.append((real.track(batch_of(partition, offsets)), marks))
        elif action < 0.8 and open_tickets:
            ticket, marks = rng.choice(open_tickets)
            if rng.random() < 0.4:
                real.settle(ticket)
                rows = list(range(len(marks)))
            else:
                rows = sorted(rng.sample(range(len(marks)), rng.randint(1, len(marks))))
                real.settle(ticket, rows)
            for row in rows:
                marks[row][0] = True
        elif action < 0.9:
            offered = real.committable()
            expected = {p: oracle.next_offset(p) for p in oracle.read}
            expected = {p: o for p, o in expected.items() if o != committed.get(p, 0)}
            assert offered == expected
            if rng.random() < 0.8:
                real.mark_committed(offered)
                committed |= offered
        elif action < 0.95 and assigned:
            real.forget(partition)  # late settling of its tickets must stay without effect
            del oracle.read[partition]
        elif not assigned:
            assign(partition)
        assert sorted(real.assigned()) == sorted(oracle.read)
        for p in oracle.read:
            assert real.unsettled([p]) == oracle.unsettled(p)


@pytest.mark.parametrize("block", range(4))
def test_progress_agrees_with_the_oracle(block: int) -> None:
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        run_model(Progress, seed)


# --- planted bugs: each is a mistake that somebody could make in this file ---------------------------------------------


class CommitsHighestSettled(Progress):
    def settle(self, ticket, rows=None):
        super().settle(ticket, rows)
        if ticket.live and ticket.pending == 0:
            ticket._track.next_offset = max(ticket._track.next_offset, ticket.batch.next_offset)


class CommitsLastOffsetInsteadOfNext(Progress):
    def committable(self):
        return {p: max(0, o - 1) for p, o in super().committable().items()}


class CountsOffsetsInsteadOfArrivals(Progress):
    def settle(self, ticket, rows=None):
        super().settle(ticket, rows)
        track = ticket._track
        if ticket.live and ticket.flags is not None and ticket.pending and track.tickets[0] is ticket:
            prefix = ticket.flags.find(0)
            if prefix > 0:
                track.next_offset = ticket.batch.offsets[0] + prefix


class LateAnswersCount(Progress):
    def settle(self, ticket, rows=None):
        track = self._tracks.get(ticket.batch.partition)
        if not ticket.live and track is not None and rows is None:
            track.next_offset = max(track.next_offset, ticket.batch.next_offset)
        super().settle(ticket, rows)


class ForgetsNothing(Progress):
    def forget(self, partition):
        track = self._tracks.get(partition)
        if track is not None:
            track.tickets.clear()


class SettlesTwiceAsTwo(Progress):
    def settle(self, ticket, rows=None):
        if ticket.live and rows is not None:
            rows = list(rows)
            left = ticket.pending - len(rows)
            super().settle(ticket, rows)
            ticket.pending = max(0, min(ticket.pending, left))
            ticket._track.advance()
        else:
            super().settle(ticket, rows)


class AnyOrderOfTickets(Progress):
    def settle(self, ticket, rows=None):
        super().settle(ticket, rows)
        if ticket.live and ticket.pending == 0 and ticket in ticket._track.tickets:
            ticket._track.tickets.remove(ticket)
            ticket._track.next_offset = ticket.batch.next_offset


class StopsAtTheFirstTicket(Progress):
    def settle(self, ticket, rows=None):
        advance = _Track.advance

        def once(track):
            if track.tickets and track.tickets[0].pending == 0:
                track.next_offset = track.tickets.popleft().batch.next_offset

        module._Track.advance = once
        try:
            super().settle(ticket, rows)
        finally:
            module._Track.advance = advance


BUGS = [
    CommitsHighestSettled,
    CommitsLastOffsetInsteadOfNext,
    CountsOffsetsInsteadOfArrivals,
    LateAnswersCount,
    ForgetsNothing,
    SettlesTwiceAsTwo,
    AnyOrderOfTickets,
    StopsAtTheFirstTicket,
]


@pytest.mark.parametrize("bug", BUGS)
def test_the_model_catches_a_planted_bug(bug: type[Progress]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        for seed in range(SEEDS):
            run_model(bug, seed)


def test_lost_partitions_drop_offsets_that_were_ready_to_commit() -> None:
    progress = Progress()
    progress.assign(P[0], 0, committed=0)
    progress.settle(progress.track(batch_of(P[0], [0, 1, 2])))
    assert progress.committable() == {P[0]: 3}
    progress.forget(P[0])
    assert progress.committable() == {}


def test_a_start_that_is_not_committed_yet_is_committable() -> None:
    progress = Progress()
    progress.assign(P[0], 7, committed=None)
    assert progress.committable() == {P[0]: 7}
