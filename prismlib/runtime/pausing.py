"""Which partitions rest, and why: a topic that cannot be read now, or everything while a sink takes nothing."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from prismlib.errors import FatalError
from prismlib.records import Partition
from prismlib.runtime.retries import Backoff
from prismlib.stages import Pausable, Source


class Pauses:
    """Keeps the reasons apart, so that the end of one does not wake what another holds."""

    def __init__(self, source: Source) -> None:
        """A source that cannot pause is simply not polled for topics, which its group must bear."""
        self._source: Pausable | None = source if isinstance(source, Pausable) else None
        self._topics: dict[str, tuple[float, set[Partition]]] = {}  # probe at this time; its partitions
        self._backoffs: dict[str, Backoff] = {}
        self._unread: set[str] = set()  # paused once, and no whole batch went through since
        self._all: set[Partition] | None = None

    def pause_topic(self, topic: str, partitions: Sequence[Partition]) -> float:
        """Rest one topic until it is probed again; returns in how many seconds that is."""
        wait = self._backoffs.setdefault(topic, Backoff(first=1.0, longest=60.0)).next()
        self._topics[topic] = (time.monotonic() + wait, set(partitions))
        self._unread.add(topic)
        if self._source is not None:
            self._source.pause(partitions)
        return wait

    def works(self, topic: str) -> None:
        """A whole batch of the topic went through: the next pause starts small again."""
        if self._unread and topic not in self._topics:
            self._backoffs.pop(topic, None)
            self._unread.discard(topic)

    def require_none(self, pipeline: str) -> None:
        """Before a worker ends because nothing comes any more. Raises FatalError while a topic cannot be read.

        A topic that was resumed, and of which no whole batch went through since, is not readable yet.
        """
        if self._unread:
            topics = ", ".join(sorted(self._unread))
            raise FatalError(
                f"pipeline {pipeline} has nothing more to read, but it is not done: {topics} is paused, because it cannot be"
                " read now, and nothing of it was skipped; the log says why. Mend that, and start again"
            )

    def wake(self, topics: Collection[str]) -> None:
        """These topics have other routes now: try them at once, and begin with short pauses again."""
        for topic in topics:
            self._backoffs.pop(topic, None)
            if topic in self._topics:
                self._topics[topic] = (0.0, self._topics[topic][1])
        self.resume_due()

    def resume_due(self) -> None:
        """Wake topics whose time has come."""
        if not self._topics:
            return
        now = time.monotonic()
        for topic in [t for t, (at, _) in self._topics.items() if at <= now]:
            _, partitions = self._topics.pop(topic)
            self._resume(partitions - (self._all or set()))

    def pause_all(self, partitions: Sequence[Partition]) -> None:
        """Rest everything while the sink has no room; polling goes on."""
        new = set(partitions) - (self._all or set())
        self._all = (self._all or set()) | new
        if self._source is not None and new:
            self._source.pause(sorted(new))

    def resume_all(self) -> None:
        """The sink has room again."""
        if self._all is not None:
            resting = {p for _, partitions in self._topics.values() for p in partitions}
            woken = self._all - resting
            self._all = None
            self._resume(woken)

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """New partitions rest with their topic, or with everything."""
        for partition in partitions:
            topic = self._topics.get(partition.stream)
            if topic is not None:
                topic[1].add(partition)
            if self._all is not None:
                self._all.add(partition)
            if self._source is not None and (topic is not None or self._all is not None):
                self._source.pause([partition])

    def _resume(self, partitions: set[Partition]) -> None:
        if self._source is not None and partitions:
            self._source.resume(sorted(partitions))
