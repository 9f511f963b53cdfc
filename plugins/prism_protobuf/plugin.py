"""Entry point of the Protobuf plugin; protobuf and protoc are imported only when a stage is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from prismlib.config.model import Model
from prismlib.errors import ConfigError
from prismlib.plugin.hookspecs import BuildContext, StageSpec, hookimpl

if TYPE_CHECKING:
    from prism_protobuf.decoder import ProtobufDecoder
    from prism_protobuf.encoder import ProtobufEncoder


class ProtobufConfig(Model):
    """A route's ``decode`` or a sink's ``encode`` with ``type = "protobuf"``.

    Attributes:
        subject: whose schema shapes the rows, or is written.
        message: full name of the message, such as ``airtraffic.Weather``; may be left out where the file has exactly one
            message at its top level.
        version: which of the subject's versions. By default a decoder takes the one that it read last, as long as its settings and
            mapping are the same, and else the newest that has all that the mapping reads; an encoder takes the latest. A newer
            version that writes what is read otherwise is drift.
        wire: ``confluent``: every value starts with the registry header and message indexes, and is decoded with the
            schema that it names. ``bare``: there is no header, and all values are written with the subject's version.
    """

    subject: str = Field(min_length=1)
    message: Annotated[str, Field(min_length=1)] | None = None
    version: Annotated[int, Field(ge=1)] | None = None
    wire: Literal["confluent", "bare"] = "confluent"


def _decoder(config: ProtobufConfig, context: BuildContext) -> ProtobufDecoder:
    try:
        from prism_protobuf.decoder import build_decoder  # noqa: PLC0415  # the client library stays out until needed
    except ImportError as error:
        raise _not_installed(error) from error
    return build_decoder(config, context)


def _encoder(config: ProtobufConfig, context: BuildContext) -> ProtobufEncoder:
    try:
        from prism_protobuf.encoder import build_encoder  # noqa: PLC0415  # the client library stays out until needed
    except ImportError as error:
        raise _not_installed(error) from error
    return build_encoder(config, context)


def _not_installed(error: ImportError) -> ConfigError:
    return ConfigError(f'type = "protobuf" needs {error.name}: install prism-pipeline[protobuf]')


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """The decoder and the encoder ``protobuf``."""
    summary = "Protobuf behind the registry header, or bare"
    return [
        StageSpec("decoder", "protobuf", summary, ProtobufConfig, _decoder),
        StageSpec("encoder", "protobuf", summary, ProtobufConfig, _encoder),
    ]
