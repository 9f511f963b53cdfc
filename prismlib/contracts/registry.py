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
    """Where released schemas are found, by id and by subject and version.

    Released schemas never change, so answers about ids, and about a subject and version, may be kept for ever. Every method
    raises SchemaNotFoundError when the registry answers that there is no such thing, and RegistryUnavailableError when it
    does not answer. Decoders of several threads may ask at once. An id can belong to several subjects; a registry that
    cannot tell which answers with the subject "" and the version 0.

    Clauses:

    - ``REG-01`` ``by_id`` returns the schema that was released, with its format and references
    - ``REG-02`` ``latest`` is the newest version, released a moment ago or not
    - ``REG-03`` ``version`` returns the same schema for ever, whatever is released after it
    - ``REG-04`` ``versions`` ascend and ``subjects`` are sorted, and both have what was released a moment ago
    - ``REG-05`` an unknown id, subject or version raises SchemaNotFoundError, until it is released
    - ``REG-06`` a registry that is away raises RegistryUnavailableError for what it was not asked before, and answers again
      once it is back
    - ``REG-07`` several threads that ask at once get the same answers as one
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
    """Capability of a registry: new versions can be registered.

    Clauses:

    - ``REW-01`` ``register`` returns the newest version of the subject, and everybody finds it by subject and id
    - ``REW-02`` a schema that the subject has already is returned as it is, and adds no version
    - ``REW-03`` what is no schema, or imports what nobody knows, raises SchemaParseError and adds nothing
    - ``REW-04`` what the subject's compatibility level forbids raises IncompatibleSchemaError and adds nothing
    """

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
