"""The decoder ``protobuf``: batches to rows, with code compiled once per writer schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError as ProtobufDecodeError

from prism_protobuf.explaining import Walk
from prism_protobuf.indexes import header, read_path
from prism_protobuf.picking import Pick, UnpickableError, compile_pick
from prism_protobuf.schema import (
    ProtoSchema,
    SubjectMessage,
    message_class,
    name_of,
    parse_registered,
)
from prism_protobuf.subjects import configured_message
from prismlib.contracts.expectation import Expectation, version_of
from prismlib.contracts.format import SchemaFormat
from prismlib.contracts.framing import HEADER_LENGTH, WriterSchemas, framed_id
from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import (
    ConfigError,
    ContractError,
    DecodeError,
    RecordError,
    SchemaDriftError,
    SchemaParseError,
)
from prismlib.records import Decoded, Explanation, Partition, RecordBatch, Row
from prismlib.stages import FieldSet

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from prism_protobuf.plugin import ProtobufConfig
    from prismlib.plugin.hookspecs import BuildContext

_NO_VALUE: Final = b"\x01"
"""What no value with a registry header starts with."""
_FAULTS: Final = (ProtobufDecodeError, UnicodeDecodeError, RecursionError)
"""What parsing a hostile payload and picking from it raise."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How values of one writer schema are read.

    Attributes:
        writer: the schema, for its other messages.
        header: what values of the configured message start with; "" where values have no header.
        message: full name of the configured message, or "" where the writer has no such message.
        parse: from payload to message.
        pick: from message to row; None makes the payload itself the row.
    """

    writer: ProtoSchema
    header: bytes
    message: str
    parse: Callable[[bytes], Any]
    pick: Pick | None

    def run(self, values: Iterable[bytes | None], rows: list[Row | None]) -> bytes | None:
        """Append rows until the values end, or one begins with another header: that one is returned."""
        start, parse, pick, append = self.header, self.parse, self.pick, rows.append
        length = len(start)
        for value in values:
            if value is None:
                append(None)
            elif value.startswith(start):
                payload = value[length:]
                append(payload if pick is None else pick(parse(payload)))
            else:
                return value
        return None


class ProtobufDecoder:
    """Turns Protobuf values into rows shaped by the reader, cut down to what is read (:mod:`prism_protobuf.picking`).

    A value that names another message of its schema, or a schema id that the registry does not know, is a
    ``DecodeError``; such an id is asked for again after half a minute. Decoding stops (``Decoded.stop``) where the
    registry does not answer, and where a writer schema has no longer what is read, or has it with another type or meaning.

    Fields that the schema does not know are legal in Protobuf and are passed over. So bytes after the end of a record
    are an error only where they are not themselves well-formed fields, and noise is sometimes a row without values.
    With empty ``reads`` rows are payloads, of which only the header was checked.
    """

    def __init__(
        self,
        reader: SubjectMessage,
        reads: FieldSet,
        registry: Registry,
        *,
        framed: bool,
        consumer: str = "",
    ) -> None:
        """See :func:`build_decoder`; ``consumer`` is the pipeline, whose contract may have waivers.

        Raises:
            ConfigError: the reader's own values cannot be read.
        """
        self._reader = reader
        self._reads = reads
        self._registry = registry
        self._framed = framed
        expected = None
        if reads:
            expected = Expectation(registry, reader.registered, reads, consumer=consumer, project=self._project)
        self._schemas = WriterSchemas(registry, "protobuf", expected=expected)
        own = self._compile(reader.registered, reader.schema, reader.registered.version)
        if isinstance(own, SchemaDriftError):
            raise ConfigError(str(own)) from own
        self._own = own
        self._plans: dict[bytes, _Plan | SchemaDriftError] = {own.header[:HEADER_LENGTH]: own} if framed else {}

    def decode(self, batch: RecordBatch) -> Decoded:
        """Decode all values of ``batch``, whatever mix of writer schemas it is."""
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        values = iter(batch.values)
        for value in values:
            first: bytes | None = value
            try:
                while first is not None:
                    plan = self._plan(first)
                    if first.startswith(plan.header):
                        first = plan.run(chain((first,), values), rows)
                    else:
                        rows.append(self._unusual(plan, first))
                        break
                else:
                    if value is None:
                        rows.append(None)
            except SchemaDriftError as drift:
                return Decoded(rows, errors, (len(rows), drift.with_traceback(None)))
            except DecodeError as error:
                # its traceback would keep this frame, and with it the batch
                errors[len(rows)] = error.with_traceback(None)
                rows.append(None)
            except _FAULTS as error:
                errors[len(rows)] = _malformed(error)
                rows.append(None)
        return Decoded(rows, errors)

    def schema_id(self, value: bytes) -> int | None:
        """The id in front of the payload, or None where there is none."""
        return framed_id(value) if self._framed else None

    @property
    def reader_id(self) -> int:
        """The registry id of the reader schema."""
        return self._reader.registered.id

    def explain(self, value: bytes) -> Explanation:
        """Fields by the writer's descriptor, up to the byte where the wire format ends to make sense."""
        decoded = self.decode(RecordBatch(Partition("", 0), (0,), (-1,), (None,), (value,), (None,)))
        error = decoded.stop[1] if decoded.stop is not None else decoded.errors.get(0)
        try:
            message, start = self._named(value)
        except (DecodeError, SchemaDriftError, ContractError, ConfigError):
            return Explanation((), error)
        walk = Walk(value, start)
        fault = walk.run(message)
        at = walk.at if fault is not None and error is not None else None
        if at is not None and isinstance(error, DecodeError) and error.code == "malformed":
            error = fault  # says the same, and where
        return Explanation(walk.trail.fields, error, at)

    def _named(self, value: bytes) -> tuple[Descriptor, int]:
        """The message that a value's header names, and where its payload begins. Raises DecodeError, SchemaDriftError."""
        if not self._framed:
            return self._reader.descriptor, 0
        registered = self._schemas.named(value)
        path, start = read_path(value)
        message = parse_registered(self._registry, registered).message_at(path)
        if message is None:
            raise DecodeError("the header names no message", code="message-index")
        return message, start

    def _plan(self, value: bytes) -> _Plan:
        if not self._framed:
            return self._own
        known = self._plans.get(value[:HEADER_LENGTH])
        if known is None:
            known = self._make(value)
            self._plans[value[:HEADER_LENGTH]] = known
        if isinstance(known, SchemaDriftError):
            raise known.with_traceback(None)  # or it would grow by each time it is raised
        return known

    def _unusual(self, plan: _Plan, value: bytes) -> Row:
        """The row of a value whose header is not the plan's: another message, or the same written differently."""
        path, at = read_path(value)
        named = plan.writer.message_at(path)
        if named is None or named.full_name != plan.message:
            what = f"message {named.full_name}" if named is not None else f"no message (indexes {path[:8]})"
            raise DecodeError(
                f"the header names {what} of {plan.writer.name}, and this route reads {self._reader.descriptor.full_name}",
                code="message-index",
            )
        payload = value[at:]
        return payload if plan.pick is None else plan.pick(plan.parse(payload))

    def _make(self, value: bytes) -> _Plan | SchemaDriftError:
        registered = self._schemas.of(value)
        try:
            schema = parse_registered(self._registry, registered)
            version = version_of(self._registry, self._reader.registered.subject, registered)
            if version is not None or self._has_message(schema):
                self._schemas.check(registered)
        except SchemaParseError as error:
            return self._drift(registered, str(error))
        except (ContractError, ConfigError) as error:
            raise SchemaDriftError(f"{name_of(registered)} cannot be read now: {error}", cause="registry") from error
        return self._compile(registered, schema, version)

    def _has_message(self, schema: ProtoSchema) -> bool:
        wanted = self._reader.descriptor.full_name
        return any(one.full_name == wanted for one, _ in schema.messages())

    def _project(self, fmt: SchemaFormat[Any], parsed: Any) -> str:  # noqa: ARG002  # the contract is of this format
        """The contract of the message that the route reads, which is not the first of its file for certain."""
        from prism_protobuf.compatibility.contract import contract  # noqa: PLC0415  # most workers never need one

        return contract(parsed, self._reads, message=self._reader.descriptor.full_name)

    def _compile(
        self, registered: RegisteredSchema, schema: ProtoSchema, version: int | None
    ) -> _Plan | SchemaDriftError:
        wanted = self._reader.descriptor.full_name
        found = next(((one, path) for one, path in schema.messages() if one.full_name == wanted), None)
        if found is None:
            if version is not None:
                return self._drift(registered, f"it has no message {wanted} any more")
            return _Plan(schema, _NO_VALUE, "", bytes, None)
        writer, path = found
        start = header(registered.id, path) if self._framed else b""
        if not self._reads:
            return _Plan(schema, start, wanted, bytes, None)
        older = version is not None and version < self._reader.registered.version
        filename = f"{name_of(registered)} for {self._reader}"
        try:
            pick = compile_pick(writer, self._reader.descriptor, self._reads, filename, older=older)
        except UnpickableError as error:
            return self._drift(registered, str(error))
        except (RecursionError, MemoryError) as error:
            return self._drift(registered, f"it is too large to be compiled ({type(error).__name__})")
        return _Plan(schema, start, wanted, message_class(writer).FromString, pick)

    def _drift(self, registered: RegisteredSchema, reason: str) -> SchemaDriftError:
        return SchemaDriftError(
            f"{name_of(registered)} cannot be read as {self._reader}: {reason}; "
            "release a version or change the mapping so that both are readable, then resume"
        )


def _malformed(error: Exception) -> DecodeError:
    if isinstance(error, UnicodeDecodeError):
        return DecodeError("a string of the record is not valid UTF-8", code="malformed")
    if isinstance(error, RecursionError):
        return DecodeError("the record is nested too deeply", code="malformed")
    return DecodeError(f"not a Protobuf record: {error}", code="malformed")


def build_decoder(config: ProtobufConfig, context: BuildContext) -> ProtobufDecoder:
    """Make the decoder of one route.

    Raises:
        ConfigError: there is no registry, no such schema or message, or it has not got a field that is read.
        SchemaParseError, RegistryUnavailableError: the reader's schema cannot be had.
    """
    registry, reader = configured_message(config, context)
    return ProtobufDecoder(
        reader, context.reads, registry, framed=config.wire == "confluent", consumer=context.pipeline
    )
