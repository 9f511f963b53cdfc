"""The subject that a stage names, and how its schemas are called in sentences."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from prism_jsonschema.compatibility.parsing import parse
from prism_jsonschema.compatibility.projection import project
from prismlib.contracts.expectation import choose_reader
from prismlib.contracts.format import SchemaText
from prismlib.contracts.registry import RegisteredSchema, Registry, resolve_references
from prismlib.errors import (
    ConfigError,
    ContractError,
    RegistryUnavailableError,
    SchemaNotFoundError,
    UnknownFieldError,
)

if TYPE_CHECKING:
    from prism_jsonschema.plugin import JsonConfig
    from prismlib.plugin.hookspecs import BuildContext

log = logging.getLogger(__name__)


def name_of(registered: RegisteredSchema) -> str:
    """A registered schema in a sentence."""
    return f"subject {registered.subject} version {registered.version} (schema id {registered.id})"


def configured_schema(
    config: JsonConfig, context: BuildContext, subject: str
) -> tuple[Registry, RegisteredSchema, frozenset[str]]:
    """The registry, the schema that a stage's ``subject`` and ``version`` name, and what of ``reads`` it declares.

    A property that no schema declares can be read all the same: an object may have more than its schema says. Nothing can be
    checked of it then. So where no version declares all that is read, one is taken that declares some of it.

    Raises:
        ConfigError: there is no registry, no such version, or it is of another format.
        RegistryUnavailableError: the registry does not answer.
    """
    registry = context.registry
    if registry is None:
        raise ConfigError('type = "json" with a subject needs a schema registry; set [registry] in prism.toml')

    def lenient(registered: RegisteredSchema) -> frozenset[str]:
        if registered.format != "jsonschema":
            raise ConfigError(
                f"subject {subject!r} is of the format {registered.format}, "
                f'and type = "json" needs jsonschema; correct `type` or `subject`'
            )
        return _declared(registry, registered, context.reads)

    def strict(registered: RegisteredSchema) -> frozenset[str]:
        declared = lenient(registered)
        if declared != context.reads:
            lacking = ", ".join(sorted(context.reads - declared))
            raise UnknownFieldError(f"{name_of(registered)} does not declare {lacking}")
        return declared

    def choose(fits: Callable[[RegisteredSchema], frozenset[str]]) -> tuple[RegisteredSchema, frozenset[str]]:
        return choose_reader(
            registry, subject, fits, version=config.version, baseline=context.baseline, reads=context.reads
        )

    try:
        try:
            registered, declared = choose(strict)
        except UnknownFieldError:
            registered, declared = choose(lenient)
    except SchemaNotFoundError as error:
        version = "a released version" if config.version is None else f"version {config.version}"
        raise ConfigError(
            f"subject {subject!r} has not got {version}; register one, or correct `subject` and `version`"
        ) from error
    return registry, registered, declared


def _declared(registry: Registry, registered: RegisteredSchema, reads: frozenset[str]) -> frozenset[str]:
    """What of ``reads`` a schema declares; all of it where that cannot be told now, for then the check will say why."""
    try:
        text = SchemaText(registered.text, resolve_references(registry, registered), name_of(registered))
        parsed = parse(text)
        while reads:
            try:
                project(parsed, reads)
            except UnknownFieldError as error:
                reads -= {error.path}
            else:
                break
    except RegistryUnavailableError:
        raise
    except ContractError as error:
        log.warning("what a route reads cannot be told from its schema", extra={"reason": str(error)})
    return reads
