"""Tells the registry what a pipeline really reads, so that a finding of the gate can say when a field was last read.

It is told from a thread of its own, every few minutes: no record waits for it, and a registry that is away costs the report
alone. Of a batch one schema id is looked at, which is enough to know that a version is still being read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Protocol, TypeAlias

from prismlib.contracts.registry import Registry, ReportsUsage
from prismlib.contracts.usage import Usage
from prismlib.errors import ContractError, SchemaNotFoundError
from prismlib.runtime.resolve import ResolvedPipeline
from prismlib.runtime.route import Route

log = logging.getLogger(__name__)

FIRST = 10.0
"""Seconds until the first report: most pipelines have seen every version by then."""
INTERVAL = 300.0
"""Seconds between reports."""
LAST = 5.0
"""Seconds that the end of a worker waits for the last one."""


Reads: TypeAlias = Mapping[str, tuple[str, frozenset[str]]]
"""Subject and fields that are read, by topic."""


def reads_of(resolved: ResolvedPipeline, routes: Mapping[str, Route]) -> Reads:
    """What the routes read of subjects; those that pass bodies through, or name no subject, read no fields."""
    reads: dict[str, tuple[str, frozenset[str]]] = {}
    for route in resolved.routes:
        subject = getattr(route.decode.settings, "subject", None) if route.decode else None
        normalizer = routes[route.topic].normalizer
        if normalizer is not None and isinstance(subject, str):
            reads[route.topic] = subject, normalizer.reads
    return reads


class UsageRegistry(Registry, ReportsUsage, Protocol):
    """Both at once, for the type checker."""


class UsageReports:
    """What one worker has read since its last report.

    Attributes:
        reads: subject and fields that are read, by topic; the runner's thread replaces it together with its routes.
    """

    def __init__(self, registry: UsageRegistry, pipeline: str, reads: Reads) -> None:
        """Nothing is told yet.

        Args:
            registry: who is told.
            pipeline: the consumer's name.
            reads: subject and fields that are read, by topic.
        """
        self._registry = registry
        self._pipeline = pipeline
        self.reads = reads
        self._seen: dict[tuple[str, frozenset[str], int], int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def saw(self, topic: str, schema_id: int | None) -> None:
        """A batch of a topic had a record with this schema id. From the runner's thread; does not wait."""
        if schema_id is not None and topic in self.reads:
            self._seen[*self.reads[topic], schema_id] = time.time_ns() // 1_000_000

    def start(self) -> None:
        """Begin to tell."""
        self._thread = threading.Thread(target=self._run, name="prism-usage", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; what was not told yet is told now, if the registry answers soon. May be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LAST)
            self._thread = None

    def _run(self) -> None:
        wait = FIRST
        while not self._stop.wait(wait):
            wait = INTERVAL
            if not self._tell():
                return
        self._tell()

    def _tell(self) -> bool:
        """False when the registry does not want to know."""
        seen, self._seen = self._seen, {}
        for (subject, fields, schema_id), at_ms in seen.items():
            try:
                version = self._version(subject, schema_id)
                if version is None:
                    continue
                if not self._registry.report_usage(
                    Usage(self._pipeline, subject, version, tuple(sorted(fields)), at_ms)
                ):
                    return False
            except ContractError as error:
                log.warning("the registry was not told what is read", extra={"subject": subject, "reason": str(error)})
        return True

    def _version(self, subject: str, schema_id: int) -> int | None:
        """The newest version of the subject that has this id; None when it is a schema of another subject."""
        try:
            found = self._registry.by_id(schema_id)
            if found.subject == subject:
                return found.version
            versions = self._registry.versions(subject)
        except SchemaNotFoundError:
            return None
        return next((v for v in reversed(versions) if self._registry.version(subject, v).id == schema_id), None)
