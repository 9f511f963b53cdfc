"""What is looked at before every commit: whether the topics are still those that were read, and whether gaps are gaps.

A consumer that reads on in a topic that was created again is not told so by Kafka (observed): its position simply counts in
the new topic. And offsets that no record had are no loss where a record was compacted away, or where a transaction
ended; they are one where retention was faster than the reader. The start of the log tells the one from the other.

All records of a commit were read before it is checked, so the check speaks for every one of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from prismlib.errors import DataLossError, FatalError, RetryableError
from prismlib.records import Partition
from prismlib.runtime.progress import Progress
from prismlib.stages import IdentifiesTopics, Source

GONE_SECONDS: Final = 10.0  # that a topic may be missing: a broker that has just started does not know all of them yet


class TopicWatch:
    """Asks at most two questions a commit: for topic ids always, for horizons only where there were gaps since the last."""

    def __init__(self, source: Source, progress: Progress) -> None:
        """Of a source that cannot tell topics apart, only gaps are looked at."""
        self._source = source
        self._identifies: IdentifiesTopics | None = source if isinstance(source, IdentifiesTopics) else None
        self._progress = progress
        self._missing_since: float | None = None

    def check(self, topic_ids: Mapping[Partition, str]) -> None:
        """Look at partitions that are about to be committed, each with the id that its topic had when it was assigned.

        Raises:
            DataLossError: a topic was created again, or records were deleted before they were read.
            RetryableError: nobody can tell now.
            FatalError: a topic is gone.
        """
        known = {p.stream: topic_id for p, topic_id in topic_ids.items() if topic_id}
        if self._identifies is not None and known:
            found = self._identifies.topic_ids(known)
            self._compare(known, {topic: found.get(topic, "") for topic in known})
        gaps = {p: gap for p in topic_ids if (gap := self._progress.gap(p)) is not None}
        if gaps:
            self._look_into(gaps)

    def _compare(self, known: Mapping[str, str], now: Mapping[str, str]) -> None:
        for topic, topic_id in sorted(known.items()):
            if now[topic] and now[topic] != topic_id:
                raise DataLossError(
                    f"{topic}: the topic was deleted and created again while it was read (it had the id {topic_id}, now"
                    f" {now[topic]}); nothing of the new one is committed"
                )
        missing = sorted(topic for topic in known if not now[topic])
        if not missing:
            self._missing_since = None
            return
        moment = time.monotonic()
        if self._missing_since is None:
            self._missing_since = moment
        what = f"topic {', '.join(missing)} was deleted while it was read"
        if moment - self._missing_since > GONE_SECONDS:
            raise FatalError(f"{what}; if that was intended, take its route out of the pipeline")
        raise RetryableError(f"it seems that {what}")

    def _look_into(self, gaps: Mapping[Partition, tuple[int, int]]) -> None:
        horizons = self._source.horizons(sorted(gaps))
        for partition, (first, end) in sorted(gaps.items()):
            start = horizons[partition].start
            if start > first:
                raise DataLossError(
                    f"{partition}: data is lost: after offset {first - 1} came {end}, and the log now starts at {start}, so that at"
                    f" most {min(start, end) - first} records were deleted before they were read; they are not committed"
                )
            self._progress.explain_gap(partition)
