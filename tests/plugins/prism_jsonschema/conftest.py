"""A registry in memory, and the stages as a pipeline would make them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from prism_jsonschema.decoder import JsonDecoder
from prism_jsonschema.documents import read_documents
from prism_jsonschema.encoder import JsonEncoder
from prism_jsonschema.plugin import prism_stages
from prism_jsonschema.validation import SchemaCheck
from prismlib.config.model import validate
from prismlib.contracts.registry import FormatName, Reference, RegisteredSchema
from prismlib.errors import RegistryUnavailableError, SchemaNotFoundError
from prismlib.plugin.hookspecs import BuildContext
from prismlib.records import Partition, RecordBatch


class MemoryRegistry:
    """Subjects in memory; ``down`` makes it stop answering."""

    def __init__(self) -> None:
        self.released: dict[int, RegisteredSchema] = {}
        self.down = False

    def release(
        self,
        subject: str,
        fmt: FormatName = "jsonschema",
        schema: object = {"type": "object"},  # never changed
        imports: Mapping[str, str] = {},  # never changed
    ) -> RegisteredSchema:
        """Release a schema, given as a value or as text; ``imports`` are names and the subjects whose version 1 they mean."""
        version = 1 + len(self.versions(subject))
        text = schema if isinstance(schema, str) else json.dumps(schema)
        references = tuple(Reference(name, other, 1) for name, other in imports.items())
        one = RegisteredSchema(len(self.released) + 1, subject, version, fmt, text, references)
        self.released[one.id] = one
        return one

    def _find(self, found: Iterable[RegisteredSchema]) -> RegisteredSchema:
        if self.down:
            raise RegistryUnavailableError("the registry is down")
        for one in found:
            return one
        raise SchemaNotFoundError("no such schema")

    def by_id(self, schema_id: int) -> RegisteredSchema:
        return self._find(one for one in self.released.values() if one.id == schema_id)

    def latest(self, subject: str) -> RegisteredSchema:
        return self._find(one for one in reversed(self.released.values()) if one.subject == subject)

    def version(self, subject: str, version: int) -> RegisteredSchema:
        return self._find(one for one in self.released.values() if (one.subject, one.version) == (subject, version))

    def versions(self, subject: str) -> Sequence[int]:
        return [one.version for one in self.released.values() if one.subject == subject]

    def subjects(self) -> Sequence[str]:
        return sorted({one.subject for one in self.released.values()})


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture(scope="session")
def batch_of() -> Callable[[Sequence[bytes | None]], RecordBatch]:
    def make(values: Sequence[bytes | None]) -> RecordBatch:
        rows = range(len(values))
        return RecordBatch(Partition("topic", 0), rows, [0] * len(rows), [None] * len(rows), values, [None] * len(rows))

    return make


@pytest.fixture(scope="session")
def new_decoder() -> Callable[..., JsonDecoder]:
    def make(registry: MemoryRegistry | None, reads: Iterable[str] = ("*",), **config: Any) -> JsonDecoder:
        spec = next(one for one in prism_stages() if one.kind == "decoder")
        settings = validate(spec.config_model, config, "decode")
        return spec.factory(settings, BuildContext("test", reads=frozenset(reads), registry=registry))

    return make


@pytest.fixture(scope="session")
def new_encoder() -> Callable[..., JsonEncoder]:
    def make(registry: MemoryRegistry | None, **config: Any) -> JsonEncoder:
        spec = next(one for one in prism_stages() if one.kind == "encoder")
        settings = validate(spec.config_model, config, "encode")
        return spec.factory(settings, BuildContext("test", registry=registry))

    return make


@pytest.fixture
def check_of() -> Callable[..., SchemaCheck]:
    """Compiles a schema, given as a value or as text."""

    def make(schema: object, references: Mapping[str, str] | None = None) -> SchemaCheck:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        return SchemaCheck("subject s version 1 (schema id 1)", read_documents(text, references or {}))

    return make
