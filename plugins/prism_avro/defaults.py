"""Defaults: the JSON of a schema as the value that a decoder would give."""

from __future__ import annotations

import math
import uuid
from decimal import Decimal
from typing import Any

from prism_avro.numbers import decimal_of
from prism_avro.projection import WHOLE, Projection
from prism_avro.schema import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union, describe
from prismlib.errors import SchemaParseError

_INTEGERS = {"int": 31, "long": 63}


def default_of(field: Field, projection: Projection = WHOLE) -> Any:
    """The default of a field that has one, cut down to what is read.

    Raises:
        SchemaParseError: it is not a value of the field's type.
    """
    try:
        return _value(field.type, field.default, projection)
    except _UnfitError as error:
        raise SchemaParseError(
            f"the default of the field {field.name!r} is not a value of {describe(error.args[0])}; correct the schema"
        ) from error


class _UnfitError(Exception):
    """JSON that is no value of the type in ``args[0]``."""


def _value(schema: Type, json: Any, projection: Projection) -> Any:
    match schema:
        case Union():
            # the specification wants the first branch; newer versions, and most schemas out there, any
            for branch in schema.branches:
                try:
                    return _value(branch, json, projection)
                except _UnfitError:
                    continue
        case Record() if isinstance(json, dict):
            return _record(schema, json, projection)
        case Array() if isinstance(json, list):
            return [_value(schema.items, item, projection) for item in json]
        case Map() if isinstance(json, dict):
            return {key: _value(schema.values, item, projection) for key, item in json.items()}
        case Enum() if isinstance(json, str) and json in schema.symbols:
            return json
        case Fixed() if isinstance(json, str):
            raw = _bytes(schema, json)
            if len(raw) == schema.size:
                return _logical(schema, raw)
        case Primitive():
            return _primitive(schema, json)
        case _:
            pass
    raise _UnfitError(schema)


def _record(schema: Record, json: dict[str, Any], projection: Projection) -> dict[str, Any]:
    row = {}
    for field in schema.fields:
        below = projection.of(field.name)
        if below is None:
            continue
        if field.name in json:
            row[field.name] = _value(field.type, json[field.name], below)
        elif field.has_default:
            row[field.name] = _value(field.type, field.default, below)
        else:
            raise _UnfitError(schema)
    return row


def _primitive(schema: Primitive, json: Any) -> Any:
    kind = schema.kind
    if kind == "null" and json is None:
        return None
    if kind == "boolean" and isinstance(json, bool):
        return json
    if kind == "string" and isinstance(json, str):
        return json
    if kind == "bytes" and isinstance(json, str):
        return _logical(schema, _bytes(schema, json))
    if isinstance(json, int | float) and not isinstance(json, bool):
        if kind in _INTEGERS and isinstance(json, int) and -1 << _INTEGERS[kind] <= json < 1 << _INTEGERS[kind]:
            return json
        if kind in {"float", "double"} and abs(json) < 2**1023 and math.isfinite(json):
            return float(json)
    raise _UnfitError(schema)


def _bytes(schema: Type, json: str) -> bytes:
    try:
        return json.encode("latin-1")
    except UnicodeEncodeError as error:
        raise _UnfitError(schema) from error


def _logical(schema: Primitive | Fixed, raw: bytes) -> Any:
    if schema.logical == "decimal":
        return decimal_of(raw, Decimal(-schema.scale))
    if schema.logical == "uuid":
        return str(uuid.UUID(bytes=raw))
    return raw
