"""Which partitions rest, and why: a topic that cannot be read now, or everything while a sink takes nothing.

A partition of a topic rests from the record on that cannot be read. The topic's other partitions go on until they meet such a
record themselves: so what was written before the change is read to its end, and a new mapping need not read it, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from prismlib.errors import FatalError
from prismlib.records import Partition
from prismlib.runtime.retries import Backoff
from prismlib.stages import Pausable, Source


@dataclass(slots=True)
class _Topic:
    backoff: Backoff
    probe_at: float = 0.0
    resting: set[Partition] = field(default_factory=set)  # not polled now
    waiting: set[Partition] = field(default_factory=set)  # met a record that cannot be read, and did not pass it yet


class Pauses:
    """Keeps the reasons apart, so that the end of one does not wake what another holds."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        """A source that cannot pause is simply not polled for topics, which its group must bear."""
        self._source: Pausable | None = source if isinstance(source, Pausable) else None
        self._clock = clock
        self._topics: dict[str, _Topic] = {}
        self._all: set[Partition] | None = None

    def pause(self, partition: Partition) -> tuple[float, bool]:
        """Rest one partition until its topic is probed again.

        Returns:
            In how many seconds that is, and whether this is the first partition to rest since the last probe.
        """
        topic = self._topics.setdefault(partition.stream, _Topic(Backoff(first=1.0, longest=60.0)))
        now, first = self._clock(), not topic.resting
        if first:
            topic.probe_at = now + topic.backoff.next()
        topic.resting.add(partition)
        topic.waiting.add(partition)
        if self._source is not None:
            self._source.pause([partition])
        return max(0.0, topic.probe_at - now), first

    def works(self, partition: Partition) -> bool:
        """A whole batch of the partition went through; True when its topic waits for nothing any more because of that."""
        if not self._topics:
            return False
        topic = self._topics.get(partition.stream)
        if topic is None or partition not in topic.waiting or partition in topic.resting:
            return False
        topic.waiting.discard(partition)
        if topic.waiting:
            return False
        del self._topics[partition.stream]
        return True

    def resting(self) -> list[str]:
        """Topics with a record that could not be read when it was last tried, sorted."""
        return sorted(self._topics)

    def require_none(self, pipeline: str) -> None:
        """Before a worker ends because nothing comes any more. Raises FatalError while a topic cannot be read."""
        if self._topics:
            raise FatalError(
                f"pipeline {pipeline} has nothing more to read, but it is not done: {', '.join(self.resting())} is paused, because"
                " it cannot be read now, and nothing of it was skipped; the log says why. Mend that, and start again"
            )

    def wake(self, topics: Collection[str]) -> None:
        """These topics have other routes now: try them at once, and begin with short pauses again."""
        for name in topics:
            topic = self._topics.get(name)
            if topic is not None:
                topic.backoff.reset()
                topic.probe_at = 0.0
        self.resume_due()

    def resume_due(self) -> None:
        """Try again topics whose time has come."""
        if not self._topics:
            return
        now = self._clock()
        for topic in self._topics.values():
            if topic.resting and topic.probe_at <= now:
                partitions, topic.resting = topic.resting, set()
                self._resume(partitions - (self._all or set()))

    def keep(self, assigned: Collection[Partition]) -> list[str]:
        """Forget partitions of other members; names the topics that rest no more because of that."""
        gone = []
        for name, topic in list(self._topics.items()):
            topic.resting.intersection_update(assigned)
            topic.waiting.intersection_update(assigned)
            if not topic.waiting:
                del self._topics[name]
                gone.append(name)
        return gone

    def pause_all(self, partitions: Sequence[Partition]) -> None:
        """Rest everything while the sink has no room; polling goes on."""
        new = set(partitions) - (self._all or set())
        self._all = (self._all or set()) | new
        if self._source is not None and new:
            self._source.pause(sorted(new))

    def resume_all(self) -> None:
        """The sink has room again."""
        if self._all is not None:
            resting = {p for topic in self._topics.values() for p in topic.resting}
            woken = self._all - resting
            self._all = None
            self._resume(woken)

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """New partitions are read, unless everything rests; one that came back is tried once more."""
        for partition in partitions:
            topic = self._topics.get(partition.stream)
            if topic is not None:
                topic.resting.discard(partition)
            if self._all is not None:
                self._all.add(partition)
                if self._source is not None:
                    self._source.pause([partition])

    def _resume(self, partitions: set[Partition]) -> None:
        if self._source is not None and partitions:
            self._source.resume(sorted(partitions))
