"""The decoder ``json``: values to dicts, or through as they are."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import orjson

from prismlib.contracts.framing import HEADER_LENGTH, WriterSchemas, framed_id
from prismlib.contracts.registry import Registry
from prismlib.errors import DecodeError, RecordError, SchemaDriftError
from prismlib.records import Decoded, RecordBatch, Row
from prismlib.stages import FieldSet


class JsonDecoder:
    """Turns JSON objects into dicts.

    With empty ``reads`` a row is the payload, byte for byte and not looked at; otherwise it is the whole object, whatever
    part of it is read, since parsing less of it would cost more. Numbers become what 64 bits hold: an integer beyond
    them, or a fraction of more than 17 digits, becomes the nearest float; send such numbers as strings.

    A value whose schema id the registry does not know is a ``DecodeError``; decoding stops (``Decoded.stop``) where the
    registry does not answer and where an id belongs to another format.
    """

    def __init__(self, reads: FieldSet, registry: Registry | None) -> None:
        """Make a decoder.

        Args:
            reads: the fields that are read; empty to pass payloads through.
            registry: knows the ids in front of payloads; None where there are none.
        """
        self._parse = bool(reads)
        self._schemas = WriterSchemas(registry, "jsonschema") if registry else None
        self._known: set[bytes] = set() if registry else {b""}

    def decode(self, batch: RecordBatch) -> Decoded:
        """Decode all values of ``batch``."""
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
                    start = self._start(first)
                    first = self._run(chain((first,), values), start, rows)
                except SchemaDriftError as drift:
                    return Decoded(rows, errors, (len(rows), drift.with_traceback(None)))
                except DecodeError as error:
                    # its traceback would keep this frame, and with it the batch
                    errors[len(rows)] = error.with_traceback(None)
                    rows.append(None)
                    break
                except orjson.JSONDecodeError as error:
                    # orjson's message can quote nothing of the value but where it stands
                    errors[len(rows)] = DecodeError(
                        f"the payload is no JSON: {error.msg} at character {error.pos}", code="invalid-json"
                    )
                    rows.append(None)
                    break
        return Decoded(rows, errors)

    def schema_id(self, value: bytes) -> int | None:
        """The id in front of the payload, or None where there is none."""
        return framed_id(value) if self._schemas else None

    def _start(self, value: bytes) -> bytes:
        """The header of ``value``, once its id is known; empty where there are no headers."""
        if self._schemas is None:
            return b""
        start = value[:HEADER_LENGTH]
        if start not in self._known:
            self._schemas.of(value)
            self._known.add(start)
        return start

    def _run(self, values: Iterable[bytes | None], start: bytes, rows: list[Row | None]) -> bytes | None:
        """Decode values up to the first with another header, which is returned."""
        length, loads, append = len(start), orjson.loads, rows.append
        for value in values:
            if value is None:
                append(None)
                continue
            if value[:length] != start:
                return value
            payload = value[length:]
            if self._parse:
                row = loads(payload)
                if row.__class__ is not dict:
                    raise DecodeError("the payload is JSON, but no object; only objects become rows", code="no-object")
                append(row)
            else:
                append(payload)
        return None
