"""One pipeline pair of the incident: prepared before the broker forgets all offsets, looked at afterwards."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.integration.harness import (
    FAST_GROUP,
    QUIET,
    Index,
    Project,
    Publisher,
    Worker,
    event_ids,
    exactly_once,
    wait_until,
    workers,
)

ACCEPT = re.compile(r"--accept-loss '([^']+)'")


class Scene:
    """A project on the shared servers, its producers, and its index."""

    def __init__(self, folder: Path, servers: str, url: str, name: str) -> None:
        folder.mkdir()
        self.project = Project(folder, servers, url, name)
        self.servers, self.name = servers, name
        self.publisher = Publisher(self.project)
        self.index = Index(url, name)
        self.admin = AdminClient({"bootstrap.servers": servers, **QUIET})
        self._events = 0

    @property
    def acknowledged(self) -> set[str]:
        return self.publisher.acknowledged

    def publish_events(self, count: int, partitions: int) -> list[str]:
        """Standard events straight into the topic that worker 2 reads."""
        header = b"\x00" + self.project.registry.latest("events-value").id.to_bytes(4, "big")
        made = []
        for _ in range(count):
            event_id = f"e{self._events:07d}"
            event = {"id": event_id, "kind": "order", "time": "2025-03-01T06:00:00Z"}
            self.publisher.raw(
                header + json.dumps(event).encode(),
                event_id,
                event_id.encode(),
                topic=self.project.output,
                partition=self._events % partitions,
            )
            made.append(event_id)
            self._events += 1
        self.publisher.finish()
        return made

    def run_until(
        self, *pipelines: Path, indexed: int | None = None, delivered: int | None = None, kill: bool = True
    ) -> None:
        """Run workers until so many documents or records are there; then kill -9, or SIGTERM."""
        running = [Worker(pipeline) for pipeline in pipelines]
        with workers(*running):
            if indexed is not None:
                wait_until(lambda: self.index.count() >= indexed, 90, f"{indexed} in the index", running)
            if delivered is not None:
                wait_until(lambda: self.delivered() >= delivered, 90, f"{delivered} in the topic", running)
            for worker in running:
                if kill:
                    worker.kill()
                else:
                    assert worker.stop() == 0, worker.tail()

    def delivered(self) -> int:
        return event_ids(self.servers, self.project.output).total()

    def refusal(self, pipeline: Path, *arguments: str) -> str:
        """What a worker says that refuses to start, with exit code 3 and without a traceback."""
        worker = Worker(pipeline, "1", *arguments)
        before = len(worker.log.read_text()) if worker.log.exists() else 0
        with workers(worker):
            assert worker.process is not None
            code = worker.process.wait(90)
        said = worker.log.read_text()[before:]
        assert code == 3, said
        assert "Traceback" not in said
        return said

    def in_topic_once(self) -> None:
        exactly_once(event_ids(self.servers, self.project.output), self.acknowledged)

    def in_index_once(self) -> None:
        exactly_once(self.index.event_ids(), self.acknowledged)

    def retain(self, topic: str, milliseconds: int) -> None:
        resource = ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry("retention.ms", str(milliseconds), incremental_operation=AlterConfigOpType.SET)
            ],
        )
        self.admin.incremental_alter_configs([resource])[resource].result(20)

    def log_starts(self, topic: str, partitions: int) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "incident-look", **QUIET})
        try:
            return [
                consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20, cached=False)[0]
                for p in range(partitions)
            ]
        finally:
            consumer.close()

    def lost_ranges(self, topic: str, lost: Sequence[str]) -> set[str]:
        """As the refusal must name them: the offsets of acknowledged records that nobody read and that are gone."""
        by_partition: dict[int, list[int]] = {}
        for event in lost:
            partition, offset = self.publisher.places[event]
            by_partition.setdefault(partition, []).append(offset)
        return {f"{topic}[{p}]:{min(offsets)}-{max(offsets) + 1}" for p, offsets in by_partition.items()}


def committed(servers: str, group: str, topic: str, partitions: int) -> list[int | None]:
    """What the broker remembers of a group; None where it remembers nothing."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, **QUIET})
    try:
        found = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], timeout=20)
        return [place.offset if place.offset >= 0 else None for place in found]
    finally:
        consumer.close()


def await_forgotten(servers: str, groups: Sequence[tuple[str, str, int]], timeout: float = 240) -> None:
    """Wait until the broker has forgotten all offsets of (group, topic, partitions)."""
    deadline = time.monotonic() + timeout
    for group, topic, partitions in groups:
        while any(offset is not None for offset in committed(servers, group, topic, partitions)):
            assert time.monotonic() < deadline, f"the broker still remembers group {group}"
            time.sleep(1)


def options_of(pipeline: Path, old: str, new: str) -> None:
    """Edit a pipeline file as an operator would."""
    text = pipeline.read_text()
    assert old in text
    pipeline.write_text(text.replace(old, new))


__all__ = ["ACCEPT", "FAST_GROUP", "Scene", "await_forgotten", "committed", "options_of"]
