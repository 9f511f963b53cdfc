"""Where schemas come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

FormatName: TypeAlias = Literal["avro", "protobuf", "jsonschema"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema that another one imports.

    Attributes:
        name: as the importing schema calls it: an Avro full name, a Protobuf import path, a ``$ref`` URI.
        subject: where it is registered.
        version: of that subject, from 1.
    """

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One released schema.

    Attributes:
        id: what the Confluent wire format carries, 0 to 2**31 - 1.
        subject: the subject it was found under; an id can belong to several.
        version: from 1 within the subject.
        format: which format plugin reads it.
        text: as it was registered.
        references: what it imports, directly.
    """

    id: int
    subject: str
    version: int
    format: FormatName
    text: str
    references: Sequence[Reference] = ()


class Registry(Protocol):
    """A schema registry. Released schemas never change, so answers about ids may be kept for ever.

    Every method raises SchemaNotFoundError when the registry answers that there is no such thing, and
    RegistryUnavailableError when it does not answer.
    """

    def by_id(self, schema_id: int) -> RegisteredSchema:
        """The schema that a record's header names."""
        ...

    def latest(self, subject: str) -> RegisteredSchema:
        """The newest released version."""
        ...

    def version(self, subject: str, version: int) -> RegisteredSchema:
        """One released version."""
        ...

    def versions(self, subject: str) -> Sequence[int]:
        """All released versions, ascending."""
        ...

    def subjects(self) -> Sequence[str]:
        """All subjects with a released version, sorted."""
        ...


@runtime_checkable
class WritableRegistry(Protocol):
    """Capability: new versions can be registered."""

    def register(
        self, subject: str, schema_format: FormatName, text: str, references: Sequence[Reference] = ()
    ) -> RegisteredSchema:
        """Register a schema as the newest version of a subject; one that is there already is returned as it is.

        Raises:
            SchemaParseError: the registry cannot parse it, or does not know what it imports.
            IncompatibleSchemaError: the registry's compatibility rule refuses it.
            RegistryUnavailableError: the registry does not answer, or does not allow it.
        """
        ...


def resolve_references(registry: Registry, schema: RegisteredSchema) -> dict[str, str]:
    """All schemas that ``schema`` imports, directly or not: name to text, imported ones before those that import them."""
    found: dict[str, str] = {}

    def visit(one: RegisteredSchema, path: tuple[str, ...]) -> None:
        for reference in one.references:
            if reference.name in found or reference.name in path:
                continue
            target = registry.version(reference.subject, reference.version)
            visit(target, (*path, reference.name))
            found[reference.name] = target.text

    visit(schema, ())
    return found
