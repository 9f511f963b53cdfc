"""The decoder ``json``: values to dicts, or through as they are, once they fit their writer's schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from prism_jsonschema.effort import ONE_IN, Budget, Validate
from prism_jsonschema.reading import explain_payload
from prism_jsonschema.subjects import name_of
from prismlib.contracts.framing import HEADER_LENGTH, WriterSchemas, framed_id
from prismlib.contracts.registry import RegisteredSchema, Registry
from prismlib.errors import ConfigError, ContractError, DecodeError, RecordError, SchemaDriftError, SchemaParseError
from prismlib.records import Decoded, Explanation, RecordBatch, Row
from prismlib.stages import FieldSet

if TYPE_CHECKING:
    from prism_jsonschema.validation import SchemaCheck
    from prismlib.contracts.expectation import Expectation

Compile = Callable[[RegisteredSchema], "SchemaCheck"]


class _UnfitError(Exception):
    """A value does not fit its schema; why is found out by whoever catches this."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """How values with one header are read.

    Attributes:
        start: that header; empty where there are none.
        check: whether values fit the writer's schema; None where that is not asked.
    """

    start: bytes
    check: SchemaCheck | None


class JsonDecoder:
    """Turns JSON objects into dicts.

    A value is validated against the schema that its header names, or against the subject's latest version where there is
    no header. A value that does not fit is a ``DecodeError`` that names the field and what the schema wants, and nothing of
    the value. Validated is what is decoded: of a key that stands twice the last value, and of a number what 64 bits hold.

    With empty ``reads`` a row is the payload, byte for byte, parsed only to validate it; otherwise it is the whole object,
    whatever part of it is read, since parsing less of it would cost more. Numbers become what 64 bits hold: an integer
    beyond them, or a fraction of more than 17 digits, becomes the nearest float; send such numbers as strings.

    A value whose schema id the registry does not know is a ``DecodeError``; decoding stops (``Decoded.stop``) where the
    registry does not answer, where an id belongs to another format, where its schema does not write what is read as the route
    reads it, and where values cannot be checked with its schema.
    """

    def __init__(
        self,
        reads: FieldSet,
        registry: Registry | None = None,
        compile_check: Compile | None = None,
        own: SchemaCheck | None = None,
        validate: Validate = "always",
        expected: Expectation | None = None,
    ) -> None:
        """Make a decoder.

        Args:
            reads: the fields that are read; empty to pass payloads through.
            registry: knows the ids in front of payloads; None where there are none.
            compile_check: makes the check of a writer's schema; None where values with headers are not validated.
            own: checks values without headers; None where they are not validated.
            validate: how much is validated.
            expected: what writers' schemas are held against; None where nothing is read of them.
        """
        self._parse = bool(reads)
        self._schemas = WriterSchemas(registry, "jsonschema", expected=expected) if registry else None
        self._reader_id = -1 if expected is None else expected.reader.id
        self._compile = compile_check
        self._every = validate == "always"
        self._bare = _Writer(b"", own)
        self._known: dict[bytes, _Writer | SchemaDriftError] = {}

    def decode(self, batch: RecordBatch) -> Decoded:
        """Decode all values of ``batch``."""
        rows: list[Row | None] = []
        errors: dict[int, RecordError] = {}
        budget = Budget()
        values = iter(batch.values)
        for value in values:
            if value is None:
                rows.append(None)
                continue
            first: bytes | None = value
            writer = self._bare
            while first is not None:
                try:
                    writer = self._writer(first)
                    first = self._run(writer, chain((first,), values), rows, batch.offsets)
                except SchemaDriftError as drift:
                    return Decoded(rows, errors, (len(rows), drift.with_traceback(None)))
                except _UnfitError:
                    payload = (batch.values[len(rows)] or b"")[len(writer.start) :]
                    errors[len(rows)] = _unfit(writer, payload, budget)
                    rows.append(None)
                    break
                except DecodeError as error:
                    # its traceback would keep this frame, and with it the batch
                    errors[len(rows)] = error.with_traceback(None)
                    rows.append(None)
                    break
                except orjson.JSONDecodeError as error:
                    errors[len(rows)] = _no_json(error)
                    rows.append(None)
                    break
        return Decoded(rows, errors)

    def schema_id(self, value: bytes) -> int | None:
        """The id in front of the payload, or None where there is none."""
        return framed_id(value) if self._schemas else None

    @property
    def reader_id(self) -> int:
        """The registry id of the schema that is read, or -1 where nothing is read of one."""
        return self._reader_id

    def explain(self, value: bytes) -> Explanation:
        """Every field of a value up to the byte at which it stops being JSON, and whether it fits its schema.

        A value that lacks its header, or whose header names nothing usable, is read all the same.
        """
        error: RecordError | SchemaDriftError | None = None
        writer, at = _Writer(b"", None), None
        try:
            writer = self._writer(value)
        except (DecodeError, SchemaDriftError) as refused:
            error = refused.with_traceback(None)
            framed = framed_id(value) is not None
            writer, at = _Writer(value[:HEADER_LENGTH] if framed else b"", None), int(framed)
        payload = value[len(writer.start) :]
        fields, broken = explain_payload(payload)
        if error is not None:
            return Explanation(fields, error, at)
        try:
            row = orjson.loads(payload)
        except orjson.JSONDecodeError as invalid:
            return Explanation(
                fields, _no_json(invalid), len(writer.start) + (len(payload) if broken is None else broken)
            )
        if self._parse and row.__class__ is not dict:
            error = _no_object()
        elif writer.check is not None and not (len(payload) <= writer.check.longest and writer.check.fits(row)):
            error = _unfit(writer, payload, Budget())
        return Explanation(fields, error)

    def _writer(self, value: bytes) -> _Writer:
        """How ``value`` is read, by its header.

        Raises:
            DecodeError: it has no header, or nobody knows the id.
            SchemaDriftError: values of that id cannot be read now.
        """
        if self._schemas is None:
            return self._bare
        start = value[:HEADER_LENGTH]
        known = self._known.get(start)
        if known is None:
            registered = self._schemas.of(value)
            try:
                self._schemas.check(registered)
                known = _Writer(start, None if self._compile is None else self._compile(registered))
            except SchemaParseError as error:
                known = _drift(registered, str(error))
            except (ContractError, ConfigError) as error:
                # Not kept: somebody may put it in order while this route waits.
                reason = f"{name_of(registered)} cannot be read, what it needs of the registry cannot be had: {error}"
                raise SchemaDriftError(reason, cause="registry") from error
            self._known[start] = known
        if isinstance(known, SchemaDriftError):
            raise known.with_traceback(None)  # or it would grow by each time it is raised
        return known

    def _run(
        self, writer: _Writer, values: Iterable[bytes | None], rows: list[Row | None], offsets: Sequence[int]
    ) -> bytes | None:
        """Decode values up to the first with another header, which is returned."""
        start, check, parse, loads, append = writer.start, writer.check, self._parse, orjson.loads, rows.append
        length = len(start)
        fits, longest = (check.fits, check.longest) if check is not None else (bool, 0)
        every = check is not None and self._every
        some = check is not None and not self._every
        for value in values:
            if value is None:
                append(None)
                continue
            if value[:length] != start:
                return value
            payload = value[length:]
            checked = every or (some and not offsets[len(rows)] % ONE_IN)
            if not (checked or parse):
                append(payload)
                continue
            row = loads(payload)
            if parse and row.__class__ is not dict:
                raise _no_object()
            if checked and (len(payload) > longest or not fits(row)):
                raise _UnfitError
            append(row if parse else payload)
        return None


def _unfit(writer: _Writer, payload: bytes, budget: Budget) -> DecodeError:
    """The error for a value that its writer's schema rejects."""
    if writer.check is None:
        raise AssertionError("what is not checked cannot be unfit")
    return writer.check.fault(orjson.loads(payload), len(payload), budget, DecodeError)


def _no_json(error: orjson.JSONDecodeError) -> DecodeError:
    # orjson's message can quote nothing of the value but where it stands
    return DecodeError(f"the payload is no JSON: {error.msg} at character {error.pos}", code="invalid-json")


def _no_object() -> DecodeError:
    return DecodeError("the payload is JSON, but no object; only objects become rows", code="no-object")


def _drift(registered: RegisteredSchema, reason: str) -> SchemaDriftError:
    return SchemaDriftError(
        f"values cannot be checked with {name_of(registered)}: {reason}; "
        'release a version that can be used, or set validate = "never" in the route\'s `decode`, then resume'
    )
