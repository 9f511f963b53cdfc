"""Members of one group whose hearts beat only when the test says so, on a clock of the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prism_embedded import EmbeddedLog
from prism_embedded.heartbeat import BEATS_PER_SESSION
from prism_embedded.source import EmbeddedSource
from prism_embedded.topic_sink import EmbeddedTopicSink
from prismlib.records import Documents, LedgerRow, Partition, RecordBatch

SESSION = 5.0
BEAT = SESSION / BEATS_PER_SESSION


class Member:
    """A worker in small: it reads, keeps what it has read, and commits it with its documents or drops it.

    Attributes:
        told: what the listener was told, as (what, partitions).
    """

    def __init__(self, world: World, worker: str) -> None:
        self.world = world
        self.worker = worker
        self.source = EmbeddedSource(
            world.log.path,
            group="p",
            worker=worker,
            topics=["in"],
            session_timeout=SESSION,
            clock=lambda: world.now,
        )
        self.source._heartbeat._thread.start = lambda: None  # type: ignore[method-assign]
        self.sink = EmbeddedTopicSink(
            world.log.path, topic="out", pipeline="p", worker=worker, dead_letter_topic="", busy_seconds=0.05
        )
        self.open: list[RecordBatch] = []
        self.told: list[tuple[str, list[Partition]]] = []
        self.standby = 0
        self.before_deciding: Callable[[], Any] = lambda: None

    def start(self) -> Member:
        self.sink.open()
        self.source.open(self)
        return self

    # --- the listener ----

    def on_assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        if not partitions:
            self.standby += 1
            return {}
        self.told.append(("assigned", sorted(partitions)))
        self.before_deciding()
        committed = self.source.committed(partitions)
        rows = self.sink.load_ledger(partitions)
        starts = {p: committed[p].next_offset or 0 for p in partitions}
        self.sink.save_ledger([LedgerRow(p, starts[p]) for p in partitions if p not in rows])
        return starts

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        self.told.append(("revoked", sorted(partitions)))
        assert {self.world.owner(p) for p in partitions} == {self.source._membership.session}, "they are still ours"
        self.commit()

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        self.told.append(("lost", sorted(partitions)))
        assert self.source._membership.session not in {self.world.owner(p) for p in partitions}
        self.drop()

    # --- what a runner does ----

    @property
    def mine(self) -> list[Partition]:
        return sorted(self.source._positions)

    def poll(self, records: int = 100) -> int:
        batches = self.source.poll(records, 0.0)
        self.open += batches
        return sum(map(len, batches))

    def commit(self) -> int:
        """Write everything read since the last commit as documents, and commit; returns how many."""
        if not self.open:
            return 0
        self.sink.begin()
        next_offsets: dict[Partition, int] = {}
        for batch in self.open:
            n = len(batch)
            self.sink.write(Documents("out", [batch.partition] * n, batch.offsets, batch.keys, batch.values))
            next_offsets[batch.partition] = batch.next_offset
        rows = [LedgerRow(p, offset) for p, offset in next_offsets.items()]
        self.sink.commit(next_offsets, self.source.member(), rows)
        written = sum(map(len, self.open))
        self.open.clear()
        return written

    def drop(self) -> None:
        self.sink.abort()
        self.open.clear()

    def rewind(self) -> None:
        """Go back to what is committed, as after an abort."""
        self.drop()
        committed = self.source.committed(self.mine)
        self.source.seek({p: committed[p].next_offset or 0 for p in self.mine})

    def beat(self) -> list[int]:
        return list(self.source._heartbeat.beat())

    def die(self) -> None:
        """As with kill -9: nothing is told to anybody."""
        self.source._heartbeat._database.close()
        self.source._database.close()
        self.sink.close()

    def close(self) -> None:
        self.source.close()
        self.sink.close()


class World:
    """Topics ``in`` and ``out``, and the members that read and write them."""

    def __init__(self, log: EmbeddedLog, partitions: int = 3) -> None:
        self.log = log
        self.now = 1000.0
        self.members: list[Member] = []
        log.create_topic("in", partitions)
        log.create_topic("out", 1)

    def member(self, worker: str) -> Member:
        made = Member(self, worker)
        self.members.append(made)
        return made

    def publish(self, count: int, start: int = 0) -> None:
        self.log.append("in", [(b"%d" % n, b"value %d" % n) for n in range(start, start + count)])

    def pass_time(self, seconds: float, *beating: Member) -> None:
        """Let time pass, while these show that they live."""
        for _ in range(round(seconds / BEAT)):
            self.now += BEAT
            for member in beating:
                member.source._last_sign = self.now
                member.beat()

    def settle(self, *members: Member, records: int = 100) -> None:
        """Poll until nobody has anything to give back or to take."""
        for _ in range(4):
            for member in members:
                member.poll(records)

    def owner(self, partition: Partition) -> int | None:
        rows = self.log._database.query(
            "SELECT l.owner FROM leases l JOIN partitions p ON p.number = l.partition JOIN topics t ON t.number = p.topic"
            " WHERE t.name = ? AND p.position = ?",
            partition,
        )
        return rows[0][0] if rows else None

    def out(self) -> list[bytes | None]:
        return [value for batch in self.log.read("out") for value in batch.values]

    def close(self) -> None:
        for member in self.members:
            member.die()
