"""Defaults, as the JSON that a schema has them in: whether they fit their types, and whether two of them are the same value."""

from __future__ import annotations

from typing import Any, Final

from prism_avro.schema import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union, describe
from prismlib.errors import ContractError

_INTEGERS: Final = {"int": 31, "long": 63}
_MAX_STEPS: Final = 1_000_000
"""Fields and branches that are looked at in the defaults of one schema, or of two: one default can need those of many others."""


class Defaults:
    """Judges defaults; what it found out about a field or a piece of JSON is kept, and raises ContractError when it is too much.

    Lenient as Avro Java is when it parses, any text passes for an enum, a fixed or bytes. Strict is what a reader needs that
    has to use the default.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._known: dict[tuple[int, int], bool] = {}
        self._own: dict[int, bool] = {}
        self._left = _MAX_STEPS

    def fits_field(self, field: Field) -> bool:
        """Whether a field's own default is a value of its type. A default that contains itself is none."""
        known = self._own.get(id(field))
        if known is None:
            self._own[id(field)] = False
            known = self._own[id(field)] = self.fits(field.type, field.default)
        return known

    def fits(self, schema: Type, value: Any) -> bool:
        """Whether JSON is a value of a type; of a union, of any of its branches."""
        if isinstance(schema, Union):
            self._left = _spent(self._left, len(schema.branches))
        match schema:
            case Primitive():
                return self._primitive(schema.kind, value)
            case Union() if value is None:  # of all defaults, most are this one
                return any(map(_is_null, schema.branches))
            case Fixed() if self._strict:
                return isinstance(value, str) and len(value) == schema.size and _is_latin(value)
            case Enum() if self._strict:
                return isinstance(value, str) and value in schema.symbols
            case Fixed() | Enum():
                return isinstance(value, str)
            case Union() if not isinstance(value, dict | list):
                return any(self.fits(branch, value) for branch in schema.branches)
        # the same JSON can be tried as many types, again and again, where unions are nested
        key = (id(schema), id(value))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._container(schema, value)
        return known

    def _container(self, schema: Type, value: Any) -> bool:
        match schema:
            case Union():
                return any(self.fits(branch, value) for branch in schema.branches)
            case Array():
                return isinstance(value, list) and all(self.fits(schema.items, item) for item in value)
            case Map():
                return isinstance(value, dict) and all(self.fits(schema.values, item) for item in value.values())
            case Record():
                self._left = _spent(self._left, len(schema.fields))
                return isinstance(value, dict) and all(
                    self.fits(one.type, value[one.name])
                    if one.name in value
                    else one.has_default and self.fits_field(one)
                    for one in schema.fields
                )
        raise AssertionError(f"{describe(schema)} is no container")

    def _primitive(self, kind: str, value: Any) -> bool:
        if value is None:
            return kind == "null"
        if isinstance(value, bool):
            return kind == "boolean"
        if isinstance(value, str):
            return kind == "string" or (kind == "bytes" and (not self._strict or _is_latin(value)))
        if kind in _INTEGERS:
            return isinstance(value, int) and -1 << _INTEGERS[kind] <= value < 1 << _INTEGERS[kind]
        return kind in {"float", "double"} and isinstance(value, int | float)


def _is_null(schema: Type) -> bool:
    return isinstance(schema, Primitive) and schema.kind == "null"


def _is_latin(text: str) -> bool:
    """Whether a text stands for bytes: one character each."""
    return text.isascii() or max(text) <= "\xff"


def _spent(left: int, steps: int) -> int:
    if steps > left:
        raise ContractError("the defaults are too large to be looked at; write fewer records of many fields into them")
    return left - steps


def _same_json(one: Any, other: Any) -> bool:
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        return False  # True is 1 in Python, deep inside as well
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


class Comparison:
    """Judges and compares the defaults of a reader and a writer.

    Records that leave out a field have its own default there. What was found out is kept; ContractError when it is too much.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int, int], bool] = {}
        self._judge = Defaults(strict=False)
        self._strict = Defaults(strict=True)
        self._left = _MAX_STEPS

    def usable(self, field: Field) -> bool:
        """Whether a reader can use a field's default."""
        return self._strict.fits_field(field)

    def same(self, reader: Field, writer: Field) -> bool:
        """Whether two fields, both with a default, have the same as far as the reader's type sees it."""
        return self._same(reader.type, reader.default, writer.type, writer.default)

    def _same(self, reader: Type, one: Any, writer: Type, other: Any) -> bool:
        if not isinstance(one, dict | list) or not isinstance(other, dict | list):
            return _same_json(one, other)
        # the same default can stand in at more places than there is time for
        key = (id(reader), id(one), id(writer), id(other))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._same_inside(reader, one, writer, other)
        return known

    def _same_inside(self, reader: Type, one: Any, writer: Type, other: Any) -> bool:
        reader, writer = self._branch(reader, one), self._branch(writer, other)
        match reader, writer:
            case Record(), Record() if isinstance(one, dict) and isinstance(other, dict):
                self._left = _spent(self._left, len(reader.fields) + len(writer.fields))
                written = {field.name: field for field in writer.fields}
                return all(
                    self._same_member(field, one, written[field.name], other)
                    for field in reader.fields
                    if field.name in written
                )
            case Array(), Array() if isinstance(one, list) and isinstance(other, list):
                return len(one) == len(other) and all(
                    self._same(reader.items, item, writer.items, its) for item, its in zip(one, other, strict=True)
                )
            case Map(), Map() if isinstance(one, dict) and isinstance(other, dict):
                return one.keys() == other.keys() and all(
                    self._same(reader.values, item, writer.values, other[key]) for key, item in one.items()
                )
        return False

    def _same_member(self, reader: Field, one: dict[str, Any], writer: Field, other: dict[str, Any]) -> bool:
        return self._same(
            reader.type, one.get(reader.name, reader.default), writer.type, other.get(writer.name, writer.default)
        )

    def _branch(self, schema: Type, value: Any) -> Type:
        """The type in a union that a default is of."""
        if isinstance(schema, Union):
            return next((branch for branch in schema.branches if self._judge.fits(branch, value)), schema)
        return schema
