"""Where schemas come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from prismlib.contracts.consumers import Consumer
    from prismlib.contracts.subject import Compatibility
    from prismlib.contracts.usage import Usage

FormatName: TypeAlias = Literal["avro", "protobuf", "jsonschema"]

SCHEMA_TYPES: Final[dict[FormatName, str]] = {"avro": "AVRO", "protobuf": "PROTOBUF", "jsonschema": "JSON"}
"""What Confluent's REST interface calls our formats."""
FORMATS: Final[dict[str, FormatName]] = {name: fmt for fmt, name in SCHEMA_TYPES.items()}
"""The reverse."""

MAX_NUMBER: Final = 2**31 - 1
"""The highest id and version: registries keep both in four bytes with a sign."""


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


class KnowsVersions(Protocol):
    """The part of a :class:`Registry` that finds what a schema imports."""

    def version(self, subject: str, version: int) -> RegisteredSchema:
        """One released version."""
        ...


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


@runtime_checkable
class KeepsLevels(Protocol):
    """Capability of a registry: it knows what a subject promises."""

    def compatibility(self, subject: str) -> Compatibility:
        """The level that counts for a subject, there or not: its own, or else the one of all. Raises ContractError."""
        ...

    def set_compatibility(self, subject: str, level: Compatibility) -> None:
        """Give a subject, there or not, a level of its own. Raises ContractError."""
        ...


@runtime_checkable
class KeepsContracts(Protocol):
    """Capability of a registry: consumers' contracts are subjects of it (:mod:`prismlib.contracts.published`)."""

    def consumers(self, subject: str) -> Sequence[Consumer]:
        """The contracts on a subject, sorted by name; none where there are none.

        Raises:
            ContractError: one cannot be read, for then who would break is not known.
        """
        ...

    def publish_contract(self, consumer: Consumer, schema_format: FormatName) -> RegisteredSchema:
        """Register a contract; one that is there already is returned as it is. Raises as ``register``, and ConfigError."""
        ...


@dataclass(frozen=True, slots=True)
class Details:
    """What a registry knows of a version besides the schema; None for what it does not tell.

    Attributes:
        registered_ms: when, in ms since the epoch.
        metadata: as it was registered.
        guid: of the schema, for messages that are framed by it.
    """

    registered_ms: int | None = None
    metadata: Mapping[str, Any] | None = None
    guid: str | None = None


@runtime_checkable
class KnowsDetails(Protocol):
    """Capability of a registry: it knows more of a version than its schema."""

    def details(self, subject: str, version: int) -> Details:
        """What it knows. Raises as ``version``."""
        ...


@runtime_checkable
class ReportsUsage(Protocol):
    """Capability of a registry: workers tell it what they read. Only our own has that; of others nothing is asked twice."""

    def report_usage(self, usage: Usage) -> bool:
        """Tell what a consumer read; False where the registry does not want to know. Raises RegistryUnavailableError."""
        ...

    def usage(self, subject: str) -> Sequence[Usage]:
        """What was told of a subject, the newest first; none where the registry keeps none. Raises RegistryUnavailableError."""
        ...


@runtime_checkable
class TakesImports(Protocol):
    """Capability of a registry: versions of another one can be put in as they are there."""

    def importing(self, subject: str) -> AbstractContextManager[None]:
        """While the block runs, versions of the subject are taken as they are, and nothing else is. Raises ContractError."""
        ...

    def put(self, schema: RegisteredSchema, details: Details) -> None:
        """Take a version with its id; one that is there already stays.

        Raises:
            IncompatibleSchemaError: the id or the version is taken by another schema; names it.
            SchemaParseError, RegistryUnavailableError: as of ``register``.
        """
        ...


def resolve_references(registry: KnowsVersions, schema: RegisteredSchema) -> dict[str, str]:
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
