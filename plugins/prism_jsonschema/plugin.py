"""Entry point of the JSON plugin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from prism_jsonschema.decoder import JsonDecoder
from prism_jsonschema.encoder import JsonEncoder
from prismlib.config.model import Model
from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import ConfigError, SchemaNotFoundError
from prismlib.plugin.hookspecs import BuildContext, StageSpec, hookimpl


class JsonConfig(Model):
    """A route's ``decode`` or a sink's ``encode`` with ``type = "json"``.

    Attributes:
        subject: whose JSON Schema the values follow; may be left out only where ``wire`` is ``bare``.
        wire: ``confluent``: every value starts with the registry header. ``bare``: there is no header.
    """

    subject: Annotated[str, Field(min_length=1)] | None = None
    wire: Literal["confluent", "bare"] = "confluent"

    @model_validator(mode="after")
    def _framed_values_have_a_subject(self) -> JsonConfig:
        if self.subject is None and self.wire == "confluent":
            raise ValueError(
                "the key 'subject' is missing; name it, or set wire = \"bare\" for values without a header"
            )
        return self


def _decoder(config: JsonConfig, context: BuildContext) -> JsonDecoder:
    found = _released(config, context)
    framed_by = found[0] if found and config.wire == "confluent" else None
    return JsonDecoder(context.reads, framed_by)


def _encoder(config: JsonConfig, context: BuildContext) -> JsonEncoder:
    found = _released(config, context)
    return JsonEncoder(found[1].id if found and config.wire == "confluent" else None)


def _released(config: JsonConfig, context: BuildContext) -> tuple[Registry, RegisteredSchema] | None:
    """The registry and the latest schema of the subject; None where no subject is named."""
    if config.subject is None:
        return None
    if context.registry is None:
        raise ConfigError('type = "json" with a subject needs a schema registry; set [registry] in prism.toml')
    try:
        registered = context.registry.latest(config.subject)
    except SchemaNotFoundError as error:
        raise ConfigError(
            f"subject {config.subject!r} has not got a released version; register one, or correct `subject`"
        ) from error
    if registered.format != "jsonschema":
        raise ConfigError(
            f"subject {config.subject!r} is of the format {registered.format}, "
            f'and type = "json" needs jsonschema; correct `type` or `subject`'
        )
    return context.registry, registered


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """The decoder and the encoder ``json``."""
    return [
        StageSpec("decoder", "json", "JSON behind the registry header, or bare", JsonConfig, _decoder),
        StageSpec("encoder", "json", "JSON behind the registry header, or bare", JsonConfig, _encoder),
    ]
