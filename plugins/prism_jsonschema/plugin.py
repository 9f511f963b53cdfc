"""Entry point of the JSON plugin; the validation libraries are imported only when a stage validates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from prism_jsonschema.decoder import JsonDecoder
from prism_jsonschema.effort import Validate
from prism_jsonschema.encoder import JsonEncoder
from prism_jsonschema.subjects import configured_schema, name_of
from prismlib.config.model import Model
from prismlib.contracts.expectation import Expectation
from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import ConfigError, SchemaNotFoundError, SchemaParseError
from prismlib.plugin.hookspecs import BuildContext, StageSpec, hookimpl

if TYPE_CHECKING:
    from prism_jsonschema.validation import SchemaCheck


class JsonConfig(Model):
    """A route's ``decode`` or a sink's ``encode`` with ``type = "json"``.

    Values are validated against their JSON Schema, of draft 4, 6, 7, 2019-09 or 2020-12 by its ``$schema``, and of draft-07
    where it has none, as in Confluent's registry. ``$ref`` finds what the registry lists as references of the schema, and
    what is in it; nothing is fetched. ``format``, ``contentEncoding`` and ``contentMediaType`` reject nothing, in any
    draft. Numbers are compared as 64-bit integers and floats, which is what a value is parsed to. A schema is refused that could
    make a worker hang: of more than a million characters with what it imports, with references that go in circles or
    multiply, or with too many patterns; where a pattern looks around or refers back, values may have 64 KiB.

    Attributes:
        subject: whose JSON Schema the values follow; may be left out only where ``wire`` is ``bare``, and then nothing is
            validated.
        wire: ``confluent``: every value starts with the registry header, and is validated against the schema that it names.
            ``bare``: there is no header, and all values are validated against the subject's version.
            An encoder validates against the subject's version, and writes its id into the header.
        version: which of the subject's versions. By default a decoder takes the one that it read last, as long as its settings and
            mapping are the same, and else the newest that declares all that the mapping reads; an encoder takes the latest. A
            newer version that writes what is read otherwise is drift.
        validation: ``always``: every value. ``sample``: about one in a hundred: of a decoder, records whose offset is a
            multiple of 101; of an encoder, bodies whose JSON has a CRC-32 that is a multiple of 101; so the same record is
            treated alike whenever it is read again. ``never``: none. A value that does not fit goes to the dead letters. A
            decoder whose bodies pass through unparsed must parse them to validate them: ``never`` spares that where
            somebody trusted, such as another pipeline, has validated what is read.
    """

    subject: Annotated[str, Field(min_length=1)] | None = None
    version: Annotated[int, Field(ge=1)] | None = None
    wire: Literal["confluent", "bare"] = "confluent"
    validation: Validate = Field("always", alias="validate")

    @model_validator(mode="after")
    def _there_is_a_subject_where_it_is_needed(self) -> JsonConfig:
        if self.subject is None and self.wire == "confluent":
            raise ValueError(
                "the key 'subject' is missing; name it, or set wire = \"bare\" for values without a header"
            )
        if self.subject is None and self.version is not None:
            raise ValueError(f"version = {self.version} is a version of nothing; name the subject")
        if self.subject is None and "validation" in self.model_fields_set and self.validation != "never":
            raise ValueError(f'validate = "{self.validation}" needs a schema; name the subject whose schema it is')
        return self


def _decoder(config: JsonConfig, context: BuildContext) -> JsonDecoder:
    if config.subject is None:
        return JsonDecoder(context.reads)
    registry, registered, declared = configured_schema(config, context, config.subject)
    compiler = None if config.validation == "never" else _compiler(registry)
    if config.wire == "confluent":
        expected = Expectation(registry, registered, declared, consumer=context.pipeline) if declared else None
        return JsonDecoder(context.reads, registry, compiler, validate=config.validation, expected=expected)
    own = None if compiler is None else _configured(compiler, registered)
    return JsonDecoder(context.reads, own=own, validate=config.validation)


def _encoder(config: JsonConfig, context: BuildContext) -> JsonEncoder:
    if config.subject is None:
        return JsonEncoder(None)
    registry, registered, _ = configured_schema(config, context, config.subject)
    check = None if config.validation == "never" else _configured(_compiler(registry), registered)
    return JsonEncoder(registered.id if config.wire == "confluent" else None, check, config.validation)


def _compiler(registry: Registry) -> Callable[[RegisteredSchema], SchemaCheck]:
    """What compiles schemas of the registry. Raises ConfigError where the libraries are not installed."""
    try:
        from prism_jsonschema.validation import compile_check  # noqa: PLC0415  # the libraries stay out until needed
    except ImportError as error:
        raise ConfigError(
            f'type = "json" needs {error.name} to validate: install prism-pipeline[jsonschema], or set validate = "never"'
        ) from error
    return partial(compile_check, registry)


def _configured(compiler: Callable[[RegisteredSchema], SchemaCheck], registered: RegisteredSchema) -> SchemaCheck:
    """The check of the subject's own schema.

    Raises:
        ConfigError: it cannot be used, or the registry has not got what it imports.
        RegistryUnavailableError: the registry does not answer.
    """
    try:
        return compiler(registered)
    except (SchemaParseError, SchemaNotFoundError) as error:
        raise ConfigError(
            f"{name_of(registered)} cannot be used to validate: {error}; "
            'release a version that can, or set validate = "never"'
        ) from error


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """The decoder and the encoder ``json``."""
    summary = "JSON behind the registry header, or bare, validated by its JSON Schema"
    return [
        StageSpec("decoder", "json", summary, JsonConfig, _decoder),
        StageSpec("encoder", "json", summary, JsonConfig, _encoder),
    ]
