"""One small honest schema registry to prove the suite on, and its harness."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prismlib.contracts.registry import RegisteredSchema
from prismlib.errors import IncompatibleSchemaError, RegistryUnavailableError, SchemaNotFoundError, SchemaParseError
from prismlib.testing.registry_conformance import Release


@dataclass
class Schemas:
    """What is released, seen by all registries of one harness."""

    versions: dict[str, list[RegisteredSchema]] = field(default_factory=dict)
    backward: set[str] = field(default_factory=set)
    reachable: bool = True

    def add(self, subject, text, references=()):
        every = [one for versions in self.versions.values() for one in versions]
        ids = {one.text: one.id for one in every}
        schema_id = ids.get(text, len(ids) + 1)
        released = self.versions.setdefault(subject, [])
        released.append(RegisteredSchema(schema_id, subject, len(released) + 1, "avro", text, tuple(references)))
        return released[-1]


class PlainRegistry:
    def __init__(self, schemas: Schemas) -> None:
        self.schemas = schemas

    def by_id(self, schema_id):
        for subject in self.subjects():
            for one in self.released(subject):
                if one.id == schema_id:
                    return one
        raise SchemaNotFoundError(f"no id {schema_id}")

    def latest(self, subject):
        return self.released(subject)[-1]

    def version(self, subject, version):
        for one in self.released(subject):
            if one.version == version:
                return one
        raise SchemaNotFoundError(f"no version {version}")

    def versions(self, subject):
        return [one.version for one in self.released(subject)]

    def subjects(self):
        return sorted(self.everything())

    def register(self, subject, schema_format, text, references=()):
        released = self.everything().get(subject, [])
        for one in released:
            if one.text == text:
                return one
        self.check(text, references)
        if released and subject in self.schemas.backward:
            self.check_level(text)
        return self.schemas.add(subject, text, references)

    def check(self, text, references):
        try:
            json.loads(text)["fields"]
        except (ValueError, KeyError) as error:
            raise SchemaParseError("no schema") from error
        if any(one.subject not in self.schemas.versions for one in references):
            raise SchemaParseError("unknown import")

    def check_level(self, text):
        if any("default" not in one for one in json.loads(text)["fields"]):
            raise IncompatibleSchemaError("no default")

    def released(self, subject):
        found = self.everything().get(subject)
        if not found:
            raise SchemaNotFoundError(f"no subject {subject}")
        return found

    def everything(self):
        if not self.schemas.reachable:
            raise RegistryUnavailableError("away")
        return self.schemas.versions


class PlainRegistryHarness:
    def __init__(self, make: type[PlainRegistry] = PlainRegistry) -> None:
        self._make = make
        self._schemas = Schemas()

    def make_registry(self) -> PlainRegistry:
        return self._make(self._schemas)

    def subject(self, name: str) -> str:
        return name

    def release(self, release: Release) -> None:
        self._schemas.add(release.subject, release.text, release.references)

    @contextmanager
    def away(self) -> Iterator[None]:
        self._schemas.reachable = False
        yield
        self._schemas.reachable = True

    def keep_backward(self, subject: str) -> bool:
        self._schemas.backward.add(subject)
        return True
