"""Which branch of a union a value belongs to, when more than one could hold it.

Rows do not name branches, so the value decides: the first branch in this order of preference that can hold it.
A dict goes to the first record whose fields are just its keys, then to one whose other fields have defaults, then to a map.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from typing import Any, Final

from prism_avro.schema import Array, Enum, Fixed, Map, Primitive, Record, Type, Union

_INT: Final = range(-(1 << 31), 1 << 31)
_LONG: Final = range(-(1 << 63), 1 << 63)


def chooser(schema: Union) -> Callable[[Any], int]:
    """A function from a value to the index of its branch; -1 when there is none."""

    def choose(value: Any) -> int:
        best, chosen = 99, -1
        for index, branch in enumerate(schema.branches):
            rank = _rank(branch, value)
            if rank is not None and rank < best:
                best, chosen = rank, index
        return chosen

    return choose


def _rank(schema: Type, value: Any) -> int | None:
    """How well ``schema`` holds ``value``: 0 is best, None not at all."""
    match schema:
        case Primitive():
            return _primitive(schema, value)
        case Fixed(logical="decimal") | Fixed(logical="uuid"):
            return _rank_logical(schema, value)
        case Fixed():
            return 0 if isinstance(value, bytes | bytearray) and len(value) == schema.size else None
        case Enum():
            return 0 if isinstance(value, str) and value in schema.symbols else None
        case Array():
            return 0 if isinstance(value, list | tuple) else None
        case Map():
            return 2 if isinstance(value, dict) else None
        case Record():
            return _record(schema, value)
        case Union():
            raise AssertionError("a union is no branch of a union")


def _primitive(schema: Primitive, value: Any) -> int | None:
    kind = schema.kind
    if isinstance(value, bool):
        return 0 if kind == "boolean" else None
    if isinstance(value, int):
        ranks = {"int": 0 if value in _INT else None, "long": 1 if value in _LONG else None, "double": 2, "float": 3}
        return ranks.get(kind, 4 if schema.logical == "decimal" else None)
    if isinstance(value, float):
        return {"double": 0, "float": 1}.get(kind)
    if isinstance(value, str):
        return 1 if kind == "string" else None
    if isinstance(value, bytes | bytearray):
        return 1 if kind == "bytes" and schema.logical != "decimal" else None
    if isinstance(value, dt.datetime):
        return 0 if schema.logical.startswith("timestamp") else None
    if isinstance(value, dt.date):
        return 0 if schema.logical == "date" else None
    return _rank_logical(schema, value)


def _rank_logical(schema: Primitive | Fixed, value: Any) -> int | None:
    if schema.logical == "decimal":
        return 0 if isinstance(value, decimal.Decimal) else None
    if schema.logical == "uuid" and isinstance(schema, Fixed):
        return 0 if isinstance(value, uuid.UUID) or (isinstance(value, str) and _is_uuid(value)) else None
    return None


def _is_uuid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def _record(schema: Record, value: Any) -> int | None:
    if not isinstance(value, dict):
        return None
    names = {field.name for field in schema.fields}
    if names == value.keys():
        return 0
    required = {field.name for field in schema.fields if not field.has_default}
    return 1 if required <= value.keys() <= names else None
