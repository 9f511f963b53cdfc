"""The subject that a stage names, and how its schemas are called in sentences."""

from __future__ import annotations

from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import ConfigError, SchemaNotFoundError


def name_of(registered: RegisteredSchema) -> str:
    """A registered schema in a sentence."""
    return f"subject {registered.subject} version {registered.version} (schema id {registered.id})"


def latest_of(registry: Registry | None, subject: str) -> tuple[Registry, RegisteredSchema]:
    """The registry, and the latest schema of a subject.

    Raises:
        ConfigError: there is no registry, no released version, or it is of another format.
        RegistryUnavailableError: the registry does not answer.
    """
    if registry is None:
        raise ConfigError('type = "json" with a subject needs a schema registry; set [registry] in prism.toml')
    try:
        registered = registry.latest(subject)
    except SchemaNotFoundError as error:
        raise ConfigError(
            f"subject {subject!r} has not got a released version; register one, or correct `subject`"
        ) from error
    if registered.format != "jsonschema":
        raise ConfigError(
            f"subject {subject!r} is of the format {registered.format}, "
            f'and type = "json" needs jsonschema; correct `type` or `subject`'
        )
    return registry, registered
