"""Servers, the project, and workers that somebody always starts again."""

from __future__ import annotations

import json
import random
import re
import signal
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prism_devservers import Elasticsearch, Kafka
from prismlib.contracts.directory import DirectoryRegistry
from tests.integration.harness import EVENT, FAST_GROUP, MAPPING, ORDER, SUBJECT, WORKER_2, Worker, create_topic, setup
from tests.integration.proxy import Proxy
from tests.soak.plan import WORKERS
from tests.soak.producers import Stream

PARTITIONS = 6  # more than a group has members, so that all have work
ONE = """
name = "soak-1"
owner = "soak"
contact = "soak@example.org"
start = "earliest"
[source]
type = "kafka"
servers = "{servers}"
[source.options]
{options}
{routes}
[sink]
type = "kafka"
topic = "events"
encode = {{ type = "json", subject = "events-value" }}
commit_interval = "500ms"
"""
ROUTE = """
[[route]]
topic = "{name}"
decode = {{ type = "avro", subject = "{name}-value" }}
normalize = "mappings/{name}.toml"
"""
STREAMS = {"orders": "o", "refunds": "r"}
RESTART_SECONDS = 1.0
TEND_SECONDS = 0.2
_ERROR = re.compile(r"^error: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker that ended although nobody asked it to."""

    worker: str
    code: int
    sentence: str


class Post:
    """A worker's place: whoever is there is started again when it ends by itself, as a supervisor would."""

    def __init__(self, name: str, pipeline: Path, ended: Callable[[Ended], None]) -> None:
        self.name = name
        self._pipeline, self._ended = pipeline, ended
        self._lock = threading.RLock()
        self._wanted = False
        self._again_at = 0.0
        self.worker = Worker(pipeline, name)

    def start(self) -> None:
        with self._lock:
            self._wanted = True
            self.worker.start()

    def kill(self) -> None:
        """kill -9; it stays away until :meth:`start`."""
        with self._lock:
            self._wanted = False
            end(self.worker)

    def stop(self) -> int:
        """SIGTERM; it stays away until :meth:`start`."""
        with self._lock:
            self._wanted = False
            return self.worker.stop(120)

    def signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self.worker.running():
                assert self.worker.process is not None
                self.worker.process.send_signal(number)

    def replace(self) -> Worker:
        """Start a successor of the same name beside the one that is there, which is returned."""
        with self._lock:
            predecessor, self.worker = self.worker, Worker(self._pipeline, self.name)
            self.worker.start()
            return predecessor

    def tend(self) -> None:
        with self._lock:
            if not self._wanted or self.worker.running():
                return
            now = time.monotonic()
            if not self._again_at:
                assert self.worker.process is not None
                self._ended(Ended(self.name, self.worker.process.returncode, last_error(self.worker)))
                self._again_at = now + RESTART_SECONDS
            elif now >= self._again_at:
                self._again_at = 0.0
                self.worker.start()


def end(worker: Worker) -> None:
    """kill -9, also one that has ended or is stopped."""
    if worker.process is not None:
        worker.process.kill()
        worker.process.wait()


def last_error(worker: Worker) -> str:
    """The sentence that a worker ended with."""
    found = _ERROR.findall(worker.tail(20))
    return str(found[-1]) if found else "it said nothing"


class World:
    """Everything that a soak runs on, in one folder that is kept when something goes wrong.

    Attributes:
        posts: by name.
        ended: workers that ended by themselves.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kafka = Kafka(folder=folder / "kafka", heap="384m")
        self.elasticsearch = Elasticsearch(folder=folder / "elasticsearch")
        self.ended: list[Ended] = []
        self.posts: dict[str, Post] = {}
        self.streams: dict[str, Stream] = {}
        self._tending = threading.Thread(target=self._tend, name="tend")
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _build(self) -> None:
        self.elasticsearch.spawn()
        self.kafka.start()
        self.elasticsearch.start()
        self.proxy = Proxy(self.elasticsearch.url).__enter__()
        self.project = self.folder / "project"
        self._write_project()
        for name in STREAMS:
            create_topic(self.kafka.bootstrap, name, PARTITIONS)
        create_topic(self.kafka.bootstrap, "events", PARTITIONS)
        setup(self.pipelines["one-a"], self.pipelines["two-b"])
        self.posts = {name: Post(name, self.pipelines[name], self.ended.append) for name in WORKERS}
        for post in self.posts.values():
            post.start()
        self._tending.start()

    def _write_project(self) -> None:
        for name in ("mappings", "pipelines"):
            (self.project / name).mkdir(parents=True)
        (self.project / "prism.toml").write_text('[registry]\nurl = "schemas"\n')
        self.add_schema("events-value", "jsonschema", "v1.json", EVENT)
        for name in STREAMS:
            self.add_schema(f"{name}-value", "avro", "v1.avsc", ORDER | {"name": name.capitalize()})
            (self.project / "mappings" / f"{name}.toml").write_text(MAPPING)
        self.events_framing = self._framing("events-value", 1)
        self.streams = {
            name: Stream(name, prefix, self._framing(f"{name}-value", 1)) for name, prefix in STREAMS.items()
        }
        self._evolutions = {name: ["at"] for name in STREAMS}
        servers = self.kafka.bootstrap
        routes = "".join(ROUTE.format(name=name) for name in STREAMS)
        texts = {"one": ONE.format(servers=servers, options=FAST_GROUP, routes=routes)}
        # One half of worker 2 meets the faults of a proxy, the other a server that does not listen.
        for name, url in (("two-proxy", self.proxy.url), ("two-direct", self.elasticsearch.url)):
            texts[name] = WORKER_2.format(
                name="soak-2",
                servers=servers,
                topic="events",
                url=url,
                alias="soak",
                options=FAST_GROUP,
                interval="500ms",
                extra="",
                sink="",
                validate="always",
            )
        for name, text in texts.items():
            (self.project / "pipelines" / f"{name}.toml").write_text(text)
        files = {"one-a": "one", "one-b": "one", "two-a": "two-proxy", "two-b": "two-direct"}
        self.pipelines = {worker: self.project / "pipelines" / f"{file}.toml" for worker, file in files.items()}

    def add_schema(self, subject: str, fmt: str, file: str, schema: object) -> None:
        home = self.project / "schemas" / subject
        home.mkdir(parents=True, exist_ok=True)
        write(home / "subject.toml", SUBJECT.format(format=fmt))
        write(home / file, json.dumps(schema))

    def _framing(self, subject: str, version: int) -> bytes:
        return struct.pack(">bI", 0, DirectoryRegistry(self.project / "schemas").version(subject, version).id)

    def break_schema(self, name: str) -> None:
        """A producer gives the field that the mapping takes the time from another name, and writes it from now on."""
        names = self._evolutions[name]
        version = 2 * len(names)
        names.append(f"at_{version}")
        self.add_schema(f"{name}-value", "avro", f"v{version}.avsc", renamed(name, names[-1:]))
        self.streams[name].framing = self._framing(f"{name}-value", version)

    def mend_schema(self, name: str) -> None:
        """A version that reads all names comes out, and a mapping that reads the new one."""
        names = self._evolutions[name]
        self.add_schema(f"{name}-value", "avro", f"v{2 * len(names) - 1}.avsc", renamed(name, names[::-1]))
        write(self.project / "mappings" / f"{name}.toml", MAPPING.replace('"at"', f'"{names[-1]}"'))

    def pauses(self, name: str) -> int:
        """How often workers said that a route pauses."""
        said = re.compile(rf"route paused, nothing is skipped.* topic={name}\b")
        logs = self.project.glob("pipelines/one.*.log")
        return sum(len(said.findall(log.read_text(errors="replace"))) for log in logs)

    def stop_workers(self) -> dict[str, int]:
        """SIGTERM to all; the exit code of each."""
        self._end_tending()
        return {name: post.stop() for name, post in self.posts.items()}

    def close(self) -> None:
        self._end_tending()
        for post in self.posts.values():
            post.kill()
        if hasattr(self, "proxy"):
            self.proxy.__exit__()
        self.kafka.close()
        self.elasticsearch.close()

    def _end_tending(self) -> None:
        self._stop.set()
        if self._tending.is_alive():
            self._tending.join()

    def _tend(self) -> None:
        while not self._stop.wait(TEND_SECONDS):
            for post in self.posts.values():
                post.tend()


def write(path: Path, text: str) -> None:
    """All of it or nothing: workers read these files while they are written."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text)
    unfinished.replace(path)


def renamed(name: str, names: Sequence[str]) -> dict[str, Any]:
    """The schema of a stream whose time has the first of these names; the others are read as well."""
    at = {"name": names[0], "aliases": list(names[1:])}
    fields = [field | at if field["name"] == "at" else field for field in ORDER["fields"]]
    return ORDER | {"name": name.capitalize(), "fields": fields}


def new_rng(seed: int) -> random.Random:
    return random.Random(seed)  # it must be repeatable
