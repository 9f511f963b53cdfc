"""A pipeline on the memory broker with real decoders, whose producers change their schemas."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prismlib.config.model import validate
from prismlib.config.pipeline import pipeline_from
from prismlib.contracts.registry import FormatName, RegisteredSchema
from prismlib.errors import RegistryUnavailableError, SchemaNotFoundError
from prismlib.plugin.hookspecs import BuildContext
from prismlib.plugin.manager import load_plugins
from prismlib.runtime.assemble import assemble
from prismlib.runtime.given import GivenStages
from prismlib.runtime.notices import Notice
from prismlib.runtime.reload import NewRoutes, Reloader
from prismlib.runtime.runner import Runner
from prismlib.testing.memory import (
    MemoryBroker,
    MemoryLog,
    MemorySink,
    MemorySource,
    MemoryStore,
    MemoryTransactionalSink,
)

DEAD = "p.dead-letters"
PLUGINS = load_plugins()


class Schemas:
    """A registry in memory; of ``hidden`` ids it knows nothing, and ``down`` it does not answer."""

    def __init__(self) -> None:
        self.released: list[RegisteredSchema] = []
        self.hidden: set[int] = set()
        self.down = False

    def release(self, fmt: FormatName, schema: Any, subject: str = "orders-value") -> RegisteredSchema:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        one = RegisteredSchema(100 + len(self.released), subject, len(self.versions(subject)) + 1, fmt, text)
        self.released.append(one)
        return one

    def _find(self, found: Iterable[RegisteredSchema]) -> RegisteredSchema:
        if self.down:
            raise RegistryUnavailableError("the registry is down")
        for one in found:
            return one
        raise SchemaNotFoundError("no such schema")

    def by_id(self, schema_id: int) -> RegisteredSchema:
        return self._find(one for one in self.released if one.id == schema_id and schema_id not in self.hidden)

    def latest(self, subject: str) -> RegisteredSchema:
        return self._find(one for one in reversed(self.released) if one.subject == subject)

    def version(self, subject: str, version: int) -> RegisteredSchema:
        return self._find(one for one in self.released if (one.subject, one.version) == (subject, version))

    def versions(self, subject: str) -> Sequence[int]:
        return [one.version for one in self.released if one.subject == subject]

    def subjects(self) -> Sequence[str]:
        return sorted({one.subject for one in self.released})


class Hand(Reloader):
    """Hands over the routes that a test gives it."""

    def __init__(self) -> None:
        self.new: NewRoutes | None = None

    def start(self, tell: Any) -> None:
        pass

    def take(self) -> NewRoutes | None:
        new, self.new = self.new, None
        return new

    def close(self) -> None:
        pass


class World:
    """Topics of JSON, Avro or Protobuf, a mapping file for each, and workers that read them."""

    def __init__(self, folder: Path, fmt: str, *topics: str, partitions: int = 1) -> None:
        self.folder = folder
        self.fmt = fmt
        self.topics = topics or ("orders",)
        self.schemas = Schemas()
        self.broker = MemoryBroker()
        for topic in self.topics:
            self.broker.create_topic(topic, partitions)
        self.broker.create_topic("out", 1)
        self.broker.create_topic(DEAD)
        self.store = MemoryStore()
        self.told: list[Notice] = []
        self.hand = Hand()
        self.decode: dict[str, Any] = {}
        self.map('[event]\nid = "id"\ndelay = "delay"\n')

    def map(self, text: str, topic: str = "orders") -> None:
        """Write the mapping file of a topic."""
        (self.folder / f"{topic}.toml").write_text(text)

    def _config(self, on_drift: str) -> Any:
        route = [
            {
                "topic": topic,
                "decode": {"type": self.fmt, "subject": f"{topic}-value", **self.decode},
                "normalize": f"{topic}.toml",
            }
            for topic in self.topics
        ]
        tables = {"name": "p", "owner": "o", "contact": "c", "start": "earliest", "on_drift": on_drift, "route": route}
        tables["sink"] = {"commit_interval": "20ms"}
        return pipeline_from(tables, self.folder / "p.toml")

    def runner(
        self,
        kind: str = "transactional",
        name: str = "1",
        on_drift: str = "pause",
        until_idle: float | None = None,
        sink: Any = None,
    ) -> Runner:
        """A worker, built of the files as they are now."""
        source = MemorySource(self.broker, "p", list(self.topics), name, stable_timeout=0.2)
        letters = None
        if kind == "transactional":
            sink = sink or MemoryTransactionalSink(self.broker, "out", name)
        else:
            sink, letters = (
                sink or MemorySink(self.store, max_in_flight=2, max_documents=5),
                MemoryLog(self.broker, DEAD),
            )
        made = assemble(
            self._config(on_drift),
            PLUGINS,
            worker=name,
            registry=self.schemas,
            until_idle=until_idle,
            given=GivenStages(source=source, sink=sink, dead_letters=letters),
        )
        settings = made.settings
        return Runner(settings, source, made.routes, sink, letters, tell=self.told.append, reloader=self.hand)

    def swap(self, on_drift: Any = "pause") -> None:
        """Hand routes of the files as they are now to the worker that runs."""
        source, sink = (
            MemorySource(self.broker, "p", list(self.topics)),
            MemoryTransactionalSink(self.broker, "out", "x"),
        )
        given = GivenStages(source=source, sink=sink)
        made = assemble(self._config(on_drift), PLUGINS, worker="1", registry=self.schemas, given=given)
        self.hand.new = NewRoutes(made.routes, on_drift=on_drift)

    def encoded(self, version: int, *rows: dict[str, Any], topic: str = "orders") -> list[bytes]:
        """Values as a producer with that version of the schema writes them."""
        spec = PLUGINS.stage("encoder", self.fmt)
        settings = validate(spec.config_model, {**self.decode, "subject": f"{topic}-value", "version": version}, "test")
        down, self.schemas.down = self.schemas.down, False
        encoded = spec.factory(settings, BuildContext("p", topics=(topic,), registry=self.schemas)).encode(rows)
        self.schemas.down = down
        assert not encoded.errors
        return list(encoded.values)

    def write(self, version: int, *rows: dict[str, Any], topic: str = "orders", partition: int | None = None) -> None:
        """Publish rows."""
        for row, value in zip(rows, self.encoded(version, *rows, topic=topic), strict=True):
            self.broker.append(topic, str(row.get("id")).encode(), value, partition=partition)

    def events(self, kind: str = "transactional") -> list[dict[str, Any]]:
        """Everything that was delivered."""
        if kind == "transactional":
            return [json.loads(r.value) for r in self.broker.records("out")]
        return [json.loads(body) for _, body in self.store.documents.values()]

    def ids(self, kind: str = "transactional") -> Counter[str]:
        """The ids of it."""
        return Counter(str(event["id"]) for event in self.events(kind))

    def dead(self) -> list[dict[str, bytes]]:
        """Headers of the dead letters."""
        return [dict(r.headers) for r in self.broker.records(DEAD)]

    def kinds(self) -> list[tuple[str, str]]:
        """What was told."""
        return [(one.kind, one.subject) for one in self.told]


@contextmanager
def running(runner: Runner) -> Iterator[Runner]:
    with runner.in_background():
        yield runner


def until(question: Callable[[], object], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
