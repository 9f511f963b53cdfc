"""The encoder ``json``: bodies to bytes, once they fit the subject's schema."""

from __future__ import annotations

import datetime as dt
import decimal
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from prism_jsonschema.effort import ONE_IN, Budget, Validate
from prism_jsonschema.faults import describe_fault, has_non_finite
from prismlib.contracts.framing import header
from prismlib.errors import InvalidValueError, RecordError
from prismlib.records import Encoded

if TYPE_CHECKING:
    from prism_jsonschema.validation import SchemaCheck

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class _UnfitError(Exception):
    """A body may not fit the schema; whoever catches this looks again at what would be written."""


class JsonEncoder:
    """Turns dicts into JSON, and frames bodies of bytes, which are JSON already, as they are.

    Decimals become numbers with all their digits; aware datetimes text in UTC with ``Z``; dates, times and uuids text.
    What JSON has no place for is an error: NaN and infinities, keys that are not strings, integers of more than 64 bits,
    datetimes without time zone, bytes, and any other type.

    What would be written is validated, bodies of bytes too. A body that does not fit is an ``InvalidValueError`` that names
    the field and what the schema wants, and nothing of the value.
    """

    def __init__(self, schema_id: int | None, check: SchemaCheck | None = None, validate: Validate = "always") -> None:
        """Make an encoder.

        Args:
            schema_id: whose header is written; None for no header.
            check: whether bodies fit the schema; None where that is not asked.
            validate: how much is validated.
        """
        self._start = b"" if schema_id is None else header(schema_id)
        self._check = check
        self._every = validate == "always"

    def encode(self, bodies: Sequence[dict[str, Any] | bytes | None]) -> Encoded:
        """Encode all bodies."""
        values: list[bytes | None] = []
        errors: dict[int, RecordError] = {}
        budget = Budget()
        rest = iter(bodies)
        while len(values) < len(bodies):
            try:
                self._run(rest, values)
            except (TypeError, InvalidValueError) as error:
                errors[len(values)] = describe_fault(bodies[len(values)], error)
                values.append(None)
            except (ValueError, _UnfitError):
                answer = self._look_again(bodies[len(values)], budget)
                if isinstance(answer, InvalidValueError):
                    errors[len(values)] = answer
                values.append(answer if isinstance(answer, bytes) else None)
        return Encoded(values, errors)

    def _run(self, bodies: Iterator[dict[str, Any] | bytes | None], values: list[bytes | None]) -> None:
        """Encode bodies up to the first that cannot be encoded, which raises."""
        start, check, append, dumps, loads = self._start, self._check, values.append, orjson.dumps, orjson.loads
        fits, longest, as_written = (check.fits, check.longest, check.untyped_text) if check else (bool, 0, False)
        every = check is not None and self._every
        some = check is not None and not self._every
        for body in bodies:
            if isinstance(body, dict):
                json = dumps(body, _default, _OPTIONS)
                # orjson writes NaN and infinities as null; no more nulls than Nones spares most bodies the search
                if b"null" in json and json.count(b"null") != _nones(body) and has_non_finite(body.values()):
                    raise InvalidValueError("the body holds NaN or an infinity, which JSON cannot hold")
            elif body is None:
                append(None)
                continue
            elif isinstance(body, bytes):
                json = body
            else:
                raise InvalidValueError(f"the body must be a dict or bytes, not {type(body).__name__}")
            if every or (some and not zlib.crc32(json) % ONE_IN):
                # To parse what was written takes longer than to check it, and is seldom needed.
                value = loads(json) if as_written or json is body else body
                if len(json) > longest or not fits(value):
                    raise _UnfitError
            append(start + json)

    def _look_again(self, body: Any, budget: Budget) -> bytes | InvalidValueError:
        """The value of a body that fits when it is written, such as one with dates, or why it does not."""
        json = body if isinstance(body, bytes) else orjson.dumps(body, _default, _OPTIONS)
        try:
            value = orjson.loads(json)
        except orjson.JSONDecodeError as error:
            return InvalidValueError(f"the body is bytes that are no JSON: {error.msg} at character {error.pos}")
        check = self._check
        if check is None or (len(json) <= check.longest and check.fits(value)):
            return self._start + json
        return check.fault(value, len(json), budget, InvalidValueError)


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
