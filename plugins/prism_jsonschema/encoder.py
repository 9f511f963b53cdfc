"""The encoder ``json``: bodies to bytes."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from prism_jsonschema.faults import describe_fault, has_non_finite
from prismlib.contracts.framing import header
from prismlib.errors import InvalidValueError, RecordError
from prismlib.records import Encoded

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class JsonEncoder:
    """Turns dicts into JSON, and frames bodies of bytes, which are JSON already, as they are.

    Decimals become numbers with all their digits; aware datetimes text in UTC with ``Z``; dates, times and uuids text.
    What JSON has no place for is an error: NaN and infinities, keys that are not strings, integers of more than 64 bits,
    datetimes without time zone, bytes, and any other type.
    """

    def __init__(self, schema_id: int | None) -> None:
        """Make an encoder that writes the header of ``schema_id``, or none."""
        self._start = b"" if schema_id is None else header(schema_id)

    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        """Encode all bodies."""
        values: list[bytes | None] = []
        errors: dict[int, RecordError] = {}
        rest = iter(bodies)
        while len(values) < len(bodies):
            try:
                self._run(rest, values)
            except (TypeError, InvalidValueError) as error:
                errors[len(values)] = describe_fault(bodies[len(values)], error)
                values.append(None)
        return Encoded(values, errors)

    def _run(self, bodies: Iterator[dict[str, Any] | bytes | None], values: list[bytes | None]) -> None:
        """Encode bodies up to the first that cannot be encoded, which raises."""
        start, append, dumps = self._start, values.append, orjson.dumps
        for body in bodies:
            if isinstance(body, dict):
                json = dumps(body, _default, _OPTIONS)
                # orjson writes NaN and infinities as null; no more nulls than Nones spares most bodies the search
                if b"null" in json and json.count(b"null") != _nones(body) and has_non_finite(body.values()):
                    raise InvalidValueError("the body holds NaN or an infinity, which JSON cannot hold")
                append(start + json)
            elif body is None:
                append(None)
            elif isinstance(body, bytes):
                append(start + body)
            else:
                raise InvalidValueError(f"the body must be a dict or bytes, not {type(body).__name__}")


def _nones(body: dict[str, Any]) -> int:
    """How many Nones there are in a body and the objects in it, not counting what lies deeper."""
    found = 0
    for value in body.values():
        if value is None:
            found += 1
        elif value.__class__ is dict:
            found += list(value.values()).count(None)
    return found


def _default(value: Any) -> Any:
    """What orjson cannot write by itself."""
    if isinstance(value, decimal.Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"
    elif isinstance(value, dt.date | dt.time):
        return value.isoformat()
    raise TypeError
