"""Entry point of the Avro plugin. No client library is needed; what generates code is imported when a stage is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from prismlib.config.model import Model
from prismlib.plugin.hookspecs import BuildContext, StageSpec, hookimpl

if TYPE_CHECKING:
    from prism_avro.decoder import AvroDecoder
    from prism_avro.encoder import AvroEncoder


class AvroConfig(Model):
    """A route's ``decode`` or a sink's ``encode`` with ``type = "avro"``.

    Attributes:
        subject: whose schema shapes the rows, or is written.
        version: which of its versions. By default a decoder takes the one that it read last, as long as its settings and mapping
            are the same, and else the newest that has all that the mapping reads; an encoder takes the latest. A newer version
            that writes what is read otherwise is drift.
        wire: ``confluent``: every value starts with the registry header, and is decoded with the schema that it names.
            ``bare``: there is no header, and all values are written with the subject's version.
    """

    subject: str = Field(min_length=1)
    version: Annotated[int, Field(ge=1)] | None = None
    wire: Literal["confluent", "bare"] = "confluent"


def _decoder(config: AvroConfig, context: BuildContext) -> AvroDecoder:
    from prism_avro.decoder import build_decoder  # noqa: PLC0415  # what generates code stays out until needed

    return build_decoder(config, context)


def _encoder(config: AvroConfig, context: BuildContext) -> AvroEncoder:
    from prism_avro.encoder import build_encoder  # noqa: PLC0415  # what generates code stays out until needed

    return build_encoder(config, context)


@hookimpl
def prism_stages() -> Iterable[StageSpec]:
    """The decoder and the encoder ``avro``."""
    return [
        StageSpec("decoder", "avro", "Avro behind the registry header, or bare", AvroConfig, _decoder),
        StageSpec("encoder", "avro", "Avro behind the registry header, or bare", AvroConfig, _encoder),
    ]
