"""A registry in memory, and the stages as a pipeline would make them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from prism_avro.decoder import AvroDecoder
from prism_avro.encoder import AvroEncoder
from prism_avro.plugin import prism_stages
from prismlib.config.model import validate
from prismlib.contracts.registry import FormatName, Reference, RegisteredSchema
from prismlib.errors import RegistryUnavailableError, SchemaNotFoundError
from prismlib.plugin.hookspecs import BuildContext
from prismlib.records import Partition, RecordBatch


class MemoryRegistry:
    """Subjects in memory; ``asked`` holds each id that was looked up, and ``down`` makes it stop answering."""

    def __init__(self) -> None:
        self.released: list[RegisteredSchema] = []
        self.asked: list[int] = []
        self.down = False

    def release(
        self, subject: str, schema: Any, fmt: FormatName = "avro", references: Sequence[Reference] = ()
    ) -> RegisteredSchema:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        version = len(self.versions(subject)) + 1
        one = RegisteredSchema(len(self.released) + 1, subject, version, fmt, text, references)
        self.released.append(one)
        return one

    def _find(self, found: Iterable[RegisteredSchema]) -> RegisteredSchema:
        if self.down:
            raise RegistryUnavailableError("the registry is down")
        for one in found:
            return one
        raise SchemaNotFoundError("no such schema")

    def by_id(self, schema_id: int) -> RegisteredSchema:
        self.asked.append(schema_id)
        return self._find(one for one in self.released if one.id == schema_id)

    def latest(self, subject: str) -> RegisteredSchema:
        return self._find(one for one in reversed(self.released) if one.subject == subject)

    def version(self, subject: str, version: int) -> RegisteredSchema:
        return self._find(one for one in self.released if (one.subject, one.version) == (subject, version))

    def versions(self, subject: str) -> Sequence[int]:
        return [one.version for one in self.released if one.subject == subject]

    def subjects(self) -> Sequence[str]:
        return sorted({one.subject for one in self.released})


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture(scope="session")
def new_registry() -> type[MemoryRegistry]:
    return MemoryRegistry


@pytest.fixture(scope="session")
def batch_of() -> Callable[[Sequence[bytes | None]], RecordBatch]:
    def make(values: Sequence[bytes | None]) -> RecordBatch:
        rows = range(len(values))
        return RecordBatch(Partition("topic", 0), rows, [0] * len(rows), [None] * len(rows), values, [None] * len(rows))

    return make


@pytest.fixture(scope="session")
def new_decoder() -> Callable[..., AvroDecoder]:
    def make(registry: MemoryRegistry, subject: str, reads: Iterable[str] = ("*",), **config: Any) -> AvroDecoder:
        spec = next(one for one in prism_stages() if one.kind == "decoder")
        settings = validate(spec.config_model, {"subject": subject, **config}, "decode")
        return spec.factory(settings, BuildContext("test", reads=frozenset(reads), registry=registry))

    return make


@pytest.fixture(scope="session")
def new_encoder() -> Callable[..., AvroEncoder]:
    def make(registry: MemoryRegistry, subject: str, **config: Any) -> AvroEncoder:
        spec = next(one for one in prism_stages() if one.kind == "encoder")
        settings = validate(spec.config_model, {"subject": subject, **config}, "encode")
        return spec.factory(settings, BuildContext("test", registry=registry))

    return make
