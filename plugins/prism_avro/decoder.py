"""The decoder ``avro``: batches to rows, with code compiled once per writer schema."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Final

from prism_avro.decoding import FAULTS, Program, Run, compile_plan, compile_skip
from prism_avro.explaining import Walk
from prism_avro.numbers import UnreadableError
from prism_avro.projection import Projection, project
from prism_avro.resolution import UnresolvableError, resolve
from prism_avro.schema import Type
from prism_avro.source import Locator
from prism_avro.subjects import SubjectSchema, configured_schema, name_of, parse_registered
from prismlib.contracts.expectation import Expectation
from prismlib.contracts.framing import HEADER_LENGTH, WriterSchemas, framed_id, header
from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import ConfigError, ContractError, DecodeError, RecordError, SchemaDriftError, SchemaParseError
from prismlib.records import Decoded, Explanation, Partition, RecordBatch, Row
from prismlib.stages import FieldSet

if TYPE_CHECKING:
    from prism_avro.plugin import AvroConfig
    from prismlib.plugin.hookspecs import BuildContext

_ROOT_ONLY: Final = Projection(whole=False)


class _WriterCode:
    """What one writer schema was compiled to."""

    def __init__(self, registered: RegisteredSchema, root: Type, program: Program, start: bytes) -> None:
        self.registered = registered
        self.program = program
        self._root = root
        self._start = start
        self._sound: Program | None = None

    def fault(self, value: bytes) -> DecodeError | None:
        """Why ``value`` was not written with this schema, or None when it is sound."""
        if self._sound is None:
            self._sound = compile_skip(self._root, self._start, f"skip {name_of(self.registered)}")
        try:
            self._sound.run((value,), [])
        except FAULTS as error:
            return self._sound.explain(error)
        return None


class AvroDecoder:
    """Turns Avro values into rows shaped by the reader schema, cut down to what is read.

    Values: decimals are ``decimal.Decimal``, uuids ``str``; timestamps, dates and times stay integers in the unit of the
    schema. Every row is new, and shares no mutable value with another.

    A value whose schema id the registry does not know is a ``DecodeError``, and the id is asked for again after half a
    minute. Decoding stops (``Decoded.stop``) where the registry does not answer, where a writer schema does not write what is
    read, with the same meaning, or cannot be resolved to the reader, and where a sound value holds a branch or symbol that the
    reader does not know. With empty ``reads`` rows are payloads, and only ids and root types are checked.
    """

    def __init__(
        self, reader: SubjectSchema, reads: FieldSet, registry: Registry, *, framed: bool, consumer: str = ""
    ) -> None:
        """See :func:`build_decoder`; ``consumer`` is the pipeline, whose contract may have waivers."""
        self._reader = reader
        self._reads = reads
        self._projection = project(reads) if reads else _ROOT_ONLY
        self._registry = registry
        self._framed = framed
        expected = Expectation(registry, reader.registered, reads, consumer=consumer) if reads else None
        self._schemas = WriterSchemas(registry, "avro", expected=expected)
        self._known: dict[bytes, _WriterCode | SchemaDriftError] = {}
        if not framed:
            self._known[b""] = self._compile(reader.registered, reader.root, b"")

    def decode(self, batch: RecordBatch) -> Decoded:
        """Decode all values of ``batch``, whatever mix of writer schemas it is."""
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        values = iter(batch.values)
        for value in values:
            if value is None:
                rows.append(None)
                continue
            first: bytes | None = value
            while first is not None:
                try:
                    code = self._code(first)
                    first = code.program.run(chain((first,), values), rows)
                except SchemaDriftError as drift:
                    return Decoded(rows, errors, (len(rows), drift.with_traceback(None)))
                except DecodeError as error:
                    # its traceback would keep this frame, and with it the batch
                    errors[len(rows)] = error.with_traceback(None)
                    rows.append(None)
                    break
                except FAULTS as error:
                    errors[len(rows)] = code.program.explain(error)
                    rows.append(None)
                    break
                except UnreadableError as error:
                    culprit = batch.values[len(rows)]
                    fault = code.fault(culprit) if culprit is not None else None
                    if fault is None:
                        return Decoded(rows, errors, (len(rows), self._drift(code.registered, str(error))))
                    errors[len(rows)] = fault
                    rows.append(None)
                    break
        return Decoded(rows, errors)

    def schema_id(self, value: bytes) -> int | None:
        """The id in front of the payload, or None where there is none."""
        return framed_id(value) if self._framed else None

    @property
    def reader_id(self) -> int:
        """The registry id of the reader schema."""
        return self._reader.registered.id

    def explain(self, value: bytes) -> Explanation:
        """Fields by the writer schema of ``value``, up to the byte where reading it fails."""
        decoded = self.decode(RecordBatch(Partition("", 0), (0,), (-1,), (None,), (value,), (None,)))
        error = decoded.stop[1] if decoded.stop is not None else decoded.errors.get(0)
        try:
            root = self._writer(value)
        except (DecodeError, SchemaDriftError, ContractError, ConfigError):
            return Explanation((), error)
        walk = Walk(value, HEADER_LENGTH if self._framed else 0)
        fault = walk.run(root)
        return Explanation(walk.trail.fields, error or fault, None if fault is None else walk.at)

    def _writer(self, value: bytes) -> Type:
        if not self._framed:
            return self._reader.root
        return parse_registered(self._registry, self._schemas.named(value))

    def _code(self, value: bytes) -> _WriterCode:
        start = value[:HEADER_LENGTH] if self._framed else b""
        known = self._known.get(start)
        if known is None:
            known = self._known[start] = self._make(self._schemas.of(value))
        if isinstance(known, SchemaDriftError):
            raise known.with_traceback(None)  # or it would grow by each time it is raised
        return known

    def _make(self, registered: RegisteredSchema) -> _WriterCode | SchemaDriftError:
        """What is kept of a writer schema. Raises SchemaDriftError for what somebody may put in order while this route waits."""
        try:
            self._schemas.check(registered)
            root = parse_registered(self._registry, registered)
        except SchemaParseError as error:
            return self._drift(registered, str(error))
        except (ContractError, ConfigError) as error:
            reason = f"{name_of(registered)} cannot be read, what it needs of the registry cannot be had: {error}"
            raise SchemaDriftError(reason, cause="registry") from error
        try:
            return self._compile(registered, root, header(registered.id))
        except SchemaDriftError as drift:
            return drift

    def _compile(self, registered: RegisteredSchema, root: Type, start: bytes) -> _WriterCode:
        filename = f"{name_of(registered)} for {self._reader}"
        try:
            plan = resolve(root, self._reader.root, self._projection)
            program = compile_plan(plan, start, filename) if self._reads else Program(_payloads(start), Locator("", {}))
        except (UnresolvableError, SchemaParseError) as error:
            raise self._drift(registered, str(error)) from error
        except (RecursionError, MemoryError) as error:
            raise self._drift(registered, "it is too large to be compiled") from error
        return _WriterCode(registered, root, program, start)

    def _drift(self, registered: RegisteredSchema, reason: str) -> SchemaDriftError:
        return SchemaDriftError(
            f"{name_of(registered)} cannot be read as {self._reader}: {reason}; "
            "release a reader version or change the mapping so that both are readable, then resume"
        )


def _payloads(start: bytes) -> Run:
    """What runs where nothing is read."""
    length = len(start)

    def run(values: Iterable[bytes | None], rows: list[Row | None]) -> bytes | None:
        for value in values:
            if value is None:
                rows.append(None)
            elif value[:length] != start:
                return value
            else:
                rows.append(value[length:])
        return None

    return run


def build_decoder(config: AvroConfig, context: BuildContext) -> AvroDecoder:
    """Make the decoder of one route.

    Raises:
        ConfigError: there is no registry, no such schema, or it has not got a field that is read.
        SchemaParseError, RegistryUnavailableError: the reader schema cannot be had.
    """
    registry, reader = configured_schema(config, context)
    return AvroDecoder(reader, context.reads, registry, framed=config.wire == "confluent", consumer=context.pipeline)
