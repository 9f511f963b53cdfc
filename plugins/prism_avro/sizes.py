"""How many bytes the values of a type take: always the same number, or at least."""

from __future__ import annotations

from typing import Final

from prism_avro.schema import Array, Enum, Fixed, Map, Primitive, Record, Type, Union

_CONSTANT: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}


def constant_size(schema: Type) -> int | None:
    """Bytes of every value of ``schema``, or None when values differ."""
    return _constant(schema, {})


def _constant(schema: Type, known: dict[int, int | None]) -> int | None:
    if isinstance(schema, Primitive):
        return _CONSTANT.get(schema.kind)
    if isinstance(schema, Fixed):
        return schema.size
    if not isinstance(schema, Record):
        return None
    if id(schema) not in known:
        known[id(schema)] = None  # what contains itself has no constant size
        sizes = [_constant(field.type, known) for field in schema.fields]
        whole = [size for size in sizes if size is not None]
        known[id(schema)] = sum(whole) if len(whole) == len(sizes) else None
    return known[id(schema)]


def least_size(schema: Type) -> int:
    """Bytes of the smallest value of ``schema``; 0 stands for a record that contains itself, too."""
    return _least(schema, {})


def _least(schema: Type, known: dict[int, int]) -> int:
    match schema:
        case Primitive():
            return _CONSTANT.get(schema.kind, 1)
        case Fixed():
            return schema.size
        case Union():
            return 1 + min(_least(branch, known) for branch in schema.branches)
        case Record():
            if id(schema) not in known:
                known[id(schema)] = 0
                known[id(schema)] = sum(_least(field.type, known) for field in schema.fields)
            return known[id(schema)]
        case Array() | Map() | Enum():
            return 1
