"""One pipeline pair of the incident: prepared before the broker forgets all offsets, looked at afterwards."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.http_server import HttpServer
from tests.integration.harness import (
    QUIET,
    Index,
    Project,
    Publisher,
    Worker,
    event_ids,
    exactly_once,
    prism,
    wait_until,
    workers,
)

SHORT_MS, LONG_MS = 2000, 86_400_000  # of retention
ACCEPT = re.compile(r"--accept-loss '([^']+)'")


class Scene:
    """A project on the shared servers, its producers, and its index."""

    def __init__(self, folder: Path, servers: str, url: str, name: str) -> None:
        folder.mkdir()
        self.project = Project(folder, servers, url, name)
        self.servers, self.name = servers, name
        self.publisher = Publisher(self.project)
        self.index = Index(url, name)
        self.told: list[str] = []  # titles of the alerts that came
        self.admin = AdminClient({"bootstrap.servers": servers, **QUIET})
        self.inputs = [self.project.input]
        self._events = 0
        self.remembered: list[list[int | None]] = []
        self.expiry_ms = 0  # the end of the offsets, as `prism status` tells it
        self.forgotten_ms = 0  # when it had come

    @property
    def acknowledged(self) -> set[str]:
        return self.publisher.acknowledged

    def alert(self, server: HttpServer) -> None:
        """Have alerts sent to a server, under the scene's name."""
        project = self.project.folder / "prism.toml"
        project.write_text(f'{project.read_text()}[alerts]\nto = ["json://localhost:{server.port}/{self.name}"]\n')

    def is_told(self, what: str) -> None:
        """Wait until an alert says so."""
        wait_until(lambda: any(what in title for title in self.told), 30, f"an alert that says {what!r}: {self.told}")

    def remember(self) -> None:
        """Keep what the broker remembers of the workers' groups now: the next offset by partition."""

        def remembers() -> bool:
            self.remembered = [committed(self.servers, group, topic) for group, topic in self._groups()]
            return all(any(offset is not None for offset in offsets) for offsets in self.remembered)

        wait_until(remembers, 30, "offsets that the broker can forget")

    def is_forgotten(self) -> bool:
        """Whether the broker remembers nothing any more."""
        if any(
            offset is not None for group, topic in self._groups() for offset in committed(self.servers, group, topic)
        ):
            return False
        self.forgotten_ms = self.forgotten_ms or time.time_ns() // 1_000_000
        return True

    def offset_expiry(self) -> dict[str, Any]:
        """What `prism status` says of it, of the first pipeline."""
        done = prism("status", "--json", self.pipelines()[0])
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)["pipelines"][0]["offset_expiry"]
        return found

    def ask_when_it_is_forgotten(self) -> None:
        """Keep what is told, to see it come true; a worker that was killed counts as a member until its session ends."""

        def is_told() -> bool:
            self.expiry_ms = self.offset_expiry()["at_ms"] or 0
            return self.expiry_ms > 0

        wait_until(is_told, 30, "the time until which offsets are kept")

    def _groups(self) -> list[tuple[str, str]]:
        return [*((f"{self.name}-1", topic) for topic in self.inputs), (f"{self.name}-2", self.project.output)]

    def new_producer(self) -> None:
        """For topics that have changed since; what was acknowledged stays known."""
        publisher = Publisher(self.project)
        publisher.acknowledged, publisher.places = self.publisher.acknowledged, self.publisher.places
        self.publisher = publisher

    def pipelines(self) -> tuple[Path, Path]:
        """The pipeline files of worker 1 and 2."""
        folder = self.project.folder / "pipelines"
        return folder / "one.toml", folder / "two.toml"

    def log(self, pipeline: Path) -> str:
        """What the workers of a pipeline have said."""
        return pipeline.with_suffix(".1.log").read_text()

    def publish_orders(self, start: int, count: int, partitions: int, prefix: str = "o") -> None:
        """To all partitions in turn."""
        for number in range(start, start + count):
            event_id, value = self.project.order(number, prefix)
            self.publisher.raw(value, event_id, partition=number % partitions)
        self.publisher.finish()

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
            self.remember()
            for worker in running:
                if kill:
                    worker.kill()
                else:
                    assert worker.stop() == 0, worker.tail()
        self.remember()

    def delivered(self) -> int:
        return event_ids(self.servers, self.project.output).total()

    def notes(self, pipeline: Path) -> list[dict[str, Any]]:
        """What the ledger of a pipeline says about who did what."""
        done = prism("offsets", "show", pipeline, "--json")
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout)["notes"])

    def refusal(self, pipeline: Path, *arguments: str, code: int = 3) -> str:
        """What a worker says that refuses to start, with an exit code and without a traceback."""
        worker = Worker(pipeline, "1", *arguments)
        before = len(worker.log.read_text()) if worker.log.exists() else 0
        with workers(worker):
            assert worker.process is not None
            ended = worker.process.wait(90)
        said = worker.log.read_text()[before:]
        assert ended == code, said
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

    def ranges(self, topic: str, events: Iterable[str]) -> set[str]:
        """From the first to behind the last offset of acknowledged records, by partition, as a refusal names it."""
        by_partition: dict[int, list[int]] = {}
        for event in events:
            partition, offset = self.publisher.places[event]
            by_partition.setdefault(partition, []).append(offset)
        return {f"{topic}[{p}]:{min(offsets)}-{max(offsets) + 1}" for p, offsets in by_partition.items()}

    def delete_all(self, *topics: str) -> None:
        """Let retention delete what the topics hold, and keep what comes later."""
        ends = {topic: self._watermarks(topic, 1) for topic in topics}
        for topic in topics:
            self.retain(topic, SHORT_MS)
        wait_until(
            lambda: all(self.log_starts(topic) == ends[topic] for topic in topics), 60, f"{topics} deleted by retention"
        )
        for topic in topics:
            self.retain(topic, LONG_MS)

    def log_starts(self, topic: str) -> list[int]:
        """The first offset that each partition still has."""
        return self._watermarks(topic, 0)

    def _watermarks(self, topic: str, which: int) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "incident-look", **QUIET})
        try:
            partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
            places = [TopicPartition(topic, p) for p in sorted(partitions)]
            return [consumer.get_watermark_offsets(place, timeout=20, cached=False)[which] for place in places]
        finally:
            consumer.close()


def committed(servers: str, group: str, topic: str) -> list[int | None]:
    """What the broker remembers of a group in each partition; None where it remembers nothing."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, **QUIET})
    try:
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions or [0]  # it may be deleted
        found = consumer.committed([TopicPartition(topic, p) for p in sorted(partitions)], timeout=20)
        return [place.offset if place.offset >= 0 else None for place in found]
    finally:
        consumer.close()


def await_forgotten(scenes: Iterable[Scene], timeout: float = 240) -> None:
    """Wait until the broker has forgotten all offsets."""
    for scene in scenes:
        wait_until(scene.is_forgotten, timeout, f"the broker forgets {scene.name}", pause=1)


def options_of(pipeline: Path, old: str, new: str) -> None:
    """Edit a pipeline file as an operator would."""
    text = pipeline.read_text()
    assert old in text
    pipeline.write_text(text.replace(old, new))
