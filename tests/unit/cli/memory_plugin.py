"""A plugin on the in-memory broker; the tests install it as somebody's distribution would be."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

from prismlib.config.model import Model
from prismlib.errors import ConfigError, DecodeError, InvalidValueError, RecordError
from prismlib.plugin.hookspecs import BuildContext, Check, SetupStep, StageSpec, StoreSpec, hookimpl
from prismlib.records import Decoded, Encoded, Normalized, RecordBatch
from prismlib.testing.memory import (
    MemoryBroker,
    MemoryLog,
    MemoryReader,
    MemorySink,
    MemorySource,
    MemoryStore,
    MemoryTransactionalSink,
)

BROKER = MemoryBroker()
STORE = MemoryStore()
CONTEXTS: list[tuple[str, BuildContext]] = []
CHECKS: list[Check] = []


class Nothing(Model):
    pass


class Tape(Model):
    servers: str
    batch: int = 10


class TapeSink(Model):
    servers: str
    topic: str


class Subject(Model):
    subject: str | None = None


class Plain:
    """Decoder: the bytes themselves, or JSON where fields are read."""

    def __init__(self, reads: frozenset[str]) -> None:
        self._reads = reads

    def decode(self, batch: RecordBatch) -> Decoded:
        rows: list[Any] = []
        errors: dict[int, RecordError] = {}
        for i, value in enumerate(batch.values):
            try:
                rows.append(value if not self._reads or value is None else json.loads(value))
            except ValueError:
                rows.append(None)
                errors[i] = DecodeError("it is no JSON", code="no-json")
        return Decoded(rows, errors)


class Upper:
    reads = frozenset({"word"})

    def normalize(self, batch: RecordBatch, rows: Sequence[Any]) -> Normalized:
        errors: dict[int, RecordError] = {
            i: InvalidValueError(f"a word must be text, not {type(row['word']).__name__}", field="word")
            for i, row in enumerate(rows)
            if row is not None and not isinstance(row["word"], str)
        }
        return Normalized(
            [None if row is None or i in errors else {"word": row["word"].upper()} for i, row in enumerate(rows)],
            None,
            errors,
        )


class Json:
    def encode(self, bodies: Sequence[Any]) -> Encoded:
        return Encoded([json.dumps(body).encode() for body in bodies])


class Loner:
    open = poll = commit = committed = horizons = close = print


class Administration:
    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def plan(self) -> list[SetupStep]:
        return [self._step(topic) for topic in self._topics]

    def _step(self, topic: str) -> SetupStep:
        if topic.startswith("odd"):
            return SetupStep(f"topic {topic}", exists=True, apply=lambda: None, problem="has 0 partitions; delete it")
        return SetupStep(f"topic {topic}", BROKER.has_topic(topic), lambda: str(BROKER.create_topic(topic)) and None)

    def preflight(self) -> list[Check]:
        return list(CHECKS)

    def close(self) -> None:
        pass


def remembering(kind: str, make: Callable[[Any, BuildContext], Any]) -> Callable[[Any, BuildContext], Any]:
    def factory(config: Any, context: BuildContext) -> Any:
        CONTEXTS.append((kind, context))
        return make(config, context)

    return factory


def source(config: Tape, context: BuildContext) -> MemorySource:
    if config.servers == "none":
        raise ConfigError("servers: there are no servers")
    if config.servers == "bug":
        raise ZeroDivisionError("a bug")
    if config.servers == "signal":
        # For the tests of signals, which run this in a process of its own.
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    if config.servers in {"memory", "signal", "kill"} and not BROKER.has_topic("words"):
        BROKER.create_topic("words")
    if config.servers == "kill" and context.worker == "2":
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
    return MemorySource(BROKER, context.pipeline, context.topics, context.worker)


def plain(config: Subject, context: BuildContext) -> Plain:
    if config.subject == "secret":
        raise ConfigError("subject: may not be read")
    return Plain(context.reads)


def administration(config: Any, context: BuildContext) -> Administration:
    return Administration([config.topic] if context.role == "sink" else context.topics)


@hookimpl
def prism_stages() -> list[StageSpec]:
    return [
        StageSpec("source", "tape", "in memory", Tape, remembering("source", source)),
        StageSpec("source", "loner", "in no group", Nothing, lambda config, context: Loner()),
        StageSpec("decoder", "plain", "bytes or JSON", Subject, remembering("decoder", plain)),
        StageSpec("normalizer", "upper", "in capitals", Nothing, lambda config, context: Upper()),
        StageSpec("normalizer", "broken", "no method", Nothing, lambda config, context: object()),
        StageSpec("encoder", "compact", "JSON", Nothing, remembering("encoder", lambda config, context: Json())),
        StageSpec(
            "sink",
            "tape",
            "in memory",
            TapeSink,
            lambda config, context: MemoryTransactionalSink(BROKER, config.topic, context.worker),
        ),
        StageSpec("sink", "shelf", "in memory", Nothing, lambda config, context: MemorySink(STORE)),
        StageSpec("sink", "hole", "no method", Nothing, lambda config, context: object()),
    ]


@hookimpl
def prism_stores() -> list[StoreSpec]:
    return [
        StoreSpec("dead_letters", "tape", lambda config, context: MemoryLog(BROKER, context.dead_letter_topic)),
        StoreSpec("administration", "tape", administration),
        StoreSpec("reader", "tape", lambda config, context: MemoryReader(BROKER)),
    ]
