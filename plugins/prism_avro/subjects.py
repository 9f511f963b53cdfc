"""Schemas of the registry, parsed together with what they import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prism_avro.parsing import parse
from prism_avro.projection import check_reads
from prism_avro.schema import Record, Type, describe
from prismlib.contracts.expectation import choose_reader
from prismlib.contracts.registry import RegisteredSchema, Registry, resolve_references
from prismlib.errors import ConfigError, SchemaNotFoundError

if TYPE_CHECKING:
    from prism_avro.plugin import AvroConfig
    from prismlib.plugin.hookspecs import BuildContext


@dataclass(frozen=True, slots=True)
class SubjectSchema:
    """A released version of a subject whose root is a record."""

    registered: RegisteredSchema
    root: Record

    def __str__(self) -> str:
        return name_of(self.registered)


def name_of(registered: RegisteredSchema) -> str:
    """A registered schema in a sentence."""
    return f"subject {registered.subject} version {registered.version} (schema id {registered.id})"


def parse_registered(registry: Registry, registered: RegisteredSchema) -> Type:
    """Parse a schema and what it imports.

    Raises:
        SchemaParseError: one of them is no Avro schema.
        SchemaNotFoundError, RegistryUnavailableError: what it imports cannot be had.
    """
    return parse(registered.text, resolve_references(registry, registered), name_of(registered))


def configured_schema(config: AvroConfig, context: BuildContext) -> tuple[Registry, SubjectSchema]:
    """The registry, and the schema that a stage's ``subject`` and ``version`` name; a decoder's has all that is read.

    Raises:
        ConfigError: there is no registry, no such version, or it is no Avro record.
        UnknownFieldError: it has not got a field that is read.
        SchemaParseError: its text is no Avro schema.
        RegistryUnavailableError: the registry does not answer.
    """
    registry = context.registry
    if registry is None:
        raise ConfigError('type = "avro" needs a schema registry; set [registry] in prism.toml')

    def fits(registered: RegisteredSchema) -> Record:
        if registered.format != "avro":
            raise ConfigError(
                f'{name_of(registered)} is a {registered.format} schema; use type = "{registered.format}"'
            )
        root = parse_registered(registry, registered)
        if not isinstance(root, Record):
            raise ConfigError(f"{name_of(registered)} is of type {describe(root)}; rows can be made of records only")
        check_reads(root, context.reads, name_of(registered))
        return root

    try:
        registered, root = choose_reader(
            registry,
            config.subject,
            fits,
            version=config.version,
            baseline=context.baseline,
            reads=context.reads,
        )
    except SchemaNotFoundError as error:
        version = "a released version" if config.version is None else f"version {config.version}"
        raise ConfigError(
            f"subject {config.subject!r} has not got {version}, or imports what the registry has not got: {error}; "
            "register it, or correct `subject` and `version`"
        ) from error
    return registry, SubjectSchema(registered, root)
