"""The version and message of a subject that a stage is configured with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prism_protobuf.picking import check_reads
from prism_protobuf.schema import SubjectMessage, name_of, parse_registered
from prismlib.contracts.expectation import choose_reader
from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import ConfigError, SchemaNotFoundError

if TYPE_CHECKING:
    from prism_protobuf.plugin import ProtobufConfig
    from prismlib.plugin.hookspecs import BuildContext


def configured_message(config: ProtobufConfig, context: BuildContext) -> tuple[Registry, SubjectMessage]:
    """The registry, and the message that a stage's ``subject``, ``version`` and ``message`` name; a decoder's has all that is read.

    Raises:
        ConfigError: there is no registry, no such version or no such message.
        UnknownFieldError: it has not got a field that is read.
        SchemaParseError: its text is no Protobuf schema.
        RegistryUnavailableError: the registry does not answer.
    """
    registry = context.registry
    if registry is None:
        raise ConfigError('type = "protobuf" needs a schema registry; set [registry] in prism.toml')

    def fits(registered: RegisteredSchema) -> SubjectMessage:
        if registered.format != "protobuf":
            raise ConfigError(
                f'{name_of(registered)} is a {registered.format} schema; use type = "{registered.format}"'
            )
        schema = parse_registered(registry, registered)
        message = SubjectMessage(registered, schema, *schema.find(config.message))
        check_reads(message.descriptor, context.reads, str(message))
        return message

    try:
        _, message = choose_reader(
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
    return registry, message
