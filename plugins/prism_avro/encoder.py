"""The encoder ``avro``: bodies to bytes, with code compiled once for the subject's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prism_avro.encoding import FAULTS, compile_encoder
from prism_avro.subjects import SubjectSchema, configured_schema
from prismlib.contracts.framing import header
from prismlib.errors import ConfigError, RecordError
from prismlib.records import Encoded

if TYPE_CHECKING:
    from prism_avro.plugin import AvroConfig
    from prismlib.plugin.hookspecs import BuildContext


class AvroEncoder:
    """Turns dicts into Avro of one released schema.

    A value that would have to be changed to fit is an error, never written changed: a missing field without default, a
    field that the schema has not got, a boolean for a number, an integer that its type or a float cannot hold, a decimal
    with more digits. Taken besides the types that the decoder gives: aware datetimes for timestamps (rounded down to the
    unit), dates for dates, integers for floats and decimals, and ``uuid.UUID``.
    """

    def __init__(self, schema: SubjectSchema, *, framed: bool) -> None:
        start = header(schema.registered.id) if framed else b""
        try:
            self._program = compile_encoder(schema.root, start, f"encoder of {schema}")
        except (RecursionError, MemoryError) as error:
            raise ConfigError(f"{schema} is too large to be compiled; split it") from error

    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        """Encode all bodies; one of bytes does not fit."""
        values: list[bytes | None] = []
        errors: dict[int, RecordError] = {}
        rest = iter(bodies)
        while len(values) < len(bodies):
            try:
                self._program.run(rest, values)
            except FAULTS as error:
                errors[len(values)] = self._program.explain(error)
                values.append(None)
        return Encoded(values, errors)


def build_encoder(config: AvroConfig, context: BuildContext) -> AvroEncoder:
    """Make the encoder of one sink.

    Raises:
        ConfigError: there is no registry, or no such schema.
        SchemaParseError, RegistryUnavailableError: the schema cannot be had.
    """
    _, schema = configured_schema(config, context)
    return AvroEncoder(schema, framed=config.wire == "confluent")
