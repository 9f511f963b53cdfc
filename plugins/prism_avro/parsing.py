"""Schema texts to types, by the rules of the specification and, where it leaves room, of Avro Java 1.12.

What Java takes is taken, since registries are full of it: names used before they are defined, a known name in
``{"type": ...}``, a definition repeated word for word. What Java and fastavro leave open
(sizes, symbols, shapes, depth) is checked, because code is generated from the result.

What does no harm to a decoder is let through: a default that nobody needs may be of another type, and a name may have any
letters. :mod:`prism_avro.compatibility.soundness` looks at these, for schemas that are yet to be released.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prism_avro.names import DEFINITIONS, At, definitions, full_name, keys_of, shown
from prism_avro.schema import (
    MAX_DECIMAL_BYTES,
    MAX_PRECISION,
    PRIMITIVES,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    kind_of,
)
from prismlib.errors import SchemaParseError

MAX_JSON_DEPTH: Final = 128
MAX_LENGTH: Final = 10_000_000
"""Characters of one text."""

LOGICAL_TYPES: Final = {
    "big-decimal": "bytes",
    "date": "int",
    "duration": "fixed",
    "local-timestamp-micros": "long",
    "local-timestamp-millis": "long",
    "local-timestamp-nanos": "long",
    "time-micros": "long",
    "time-millis": "int",
    "timestamp-micros": "long",
    "timestamp-millis": "long",
    "timestamp-nanos": "long",
    "uuid": "string",
}
"""The type that each belongs to; ``decimal``, and sizes of ``fixed``, are looked at apart."""

_ORDERS: Final = {"ascending", "descending", "ignore"}
_PLAIN: Final[dict[str, Type]] = {kind: Primitive(kind) for kind in PRIMITIVES}


class _FaultError(Exception):
    """What is wrong, and where."""

    def __init__(self, reason: str, at: At) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at


def parse(text: str, references: Mapping[str, str], where: str) -> Type:
    """Parse a schema.

    Args:
        text: the schema, JSON.
        references: the texts of what it imports, directly or not, by name; in any order.
        where: what to name in errors, such as ``"subject flights-value version 3"``.

    Raises:
        SchemaParseError: the text or a reference is no Avro schema; names line, column and path where there is one.
    """
    texts = [_Text(reference, f"{name}, imported by {where}") for name, reference in references.items()]
    texts.append(_Text(text, where))
    parser = _Parser(texts)
    return [parser.root(one) for one in texts][-1]


class _Text:
    """One text: what it is called, and its JSON."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.json = self._load()

    def _load(self) -> Any:
        if len(self.text) > MAX_LENGTH:
            raise SchemaParseError(f"{self.where}: longer than {MAX_LENGTH:,} characters; split it into references")
        try:
            loaded = json.loads(self.text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise SchemaParseError(f"{self.where}: {place}: not an Avro schema: no JSON: {error.msg}") from error
        except ValueError as error:  # a number of thousands of digits, or NaN
            raise SchemaParseError(f"{self.where}: not an Avro schema: no JSON: {error}") from error
        except RecursionError as error:
            raise SchemaParseError(f"{self.where}: nested more than {MAX_JSON_DEPTH} levels deep") from error
        if self.text.count("{") + self.text.count("[") > MAX_JSON_DEPTH and _too_deep(loaded):
            raise SchemaParseError(f"{self.where}: nested more than {MAX_JSON_DEPTH} levels deep")
        return loaded

    def error(self, fault: _FaultError) -> SchemaParseError:
        from prism_avro.compatibility.lines import position  # noqa: PLC0415  # only a mistake pays for it

        keys = keys_of(fault.at)
        line, column = position(self.text, keys)
        path = "".join(f"/{step}" for step in _named(self.json, keys))
        place = f"line {line}, column {column}" + (f", {path}" if path else "")
        return SchemaParseError(f"{self.where}: {place}: not an Avro schema: {fault.reason}")


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _too_deep(loaded: Any) -> bool:
    level = [loaded]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _named(value: Any, keys: list[str | int]) -> Iterator[str]:
    """Keys for people: a field by its name instead of its index."""
    for key in keys:
        value = value[key]
        name = value.get("name") if isinstance(value, dict) and isinstance(key, int) else None
        yield shown(name) if isinstance(name, str) and name else shown(str(key))


class _Parser:
    """The named types of several texts, by full name."""

    def __init__(self, texts: list[_Text]) -> None:
        self._texts = texts
        self._types: dict[str, Type] = {}
        self._sources: dict[str, Any] = {}
        self._elsewhere: dict[str, tuple[_Text, Any, str, At]] | None = None

    def root(self, text: _Text) -> Type:
        try:
            return self._type(text.json, "", None)
        except _FaultError as fault:
            raise text.error(fault) from fault
        except RecursionError as error:
            raise SchemaParseError(f"{text.where}: nested too deeply to be read") from error

    def _type(self, schema: Any, space: str, at: At) -> Type:
        if isinstance(schema, str):
            return _PLAIN.get(schema) or self._find(schema, space, at)
        if isinstance(schema, dict):
            kind = schema.get("type")
            if not isinstance(kind, str):
                if "type" not in schema:
                    raise _FaultError("'type' is missing", at)
                raise _FaultError(
                    "'type' of a schema must be a name; write the inner schema in place of the outer", (at, "type")
                )
            if kind in PRIMITIVES:
                if "logicalType" not in schema:
                    return _PLAIN[kind]
                return Primitive(kind, *_logical(schema, kind))
            if kind in DEFINITIONS:
                return self._definition(schema, kind, space, at)
            if kind == "array":
                return Array(self._type(_member(schema, "items", at), space, (at, "items")), _annotation(schema))
            if kind == "map":
                return Map(self._type(_member(schema, "values", at), space, (at, "values")), _annotation(schema))
            return self._find(kind, space, (at, "type"))
        if isinstance(schema, list):
            return self._union(schema, space, at)
        raise _FaultError("a schema must be a name, an object or a list", at)

    def _find(self, name: str, space: str, at: At) -> Type:
        """The type of that name, which may be defined further down or in another text."""
        names = [f"{space}.{name}", name] if space and "." not in name else [name]
        for full in names:
            if full in self._types:
                return self._types[full]
        if self._elsewhere is None:
            self._elsewhere = {
                full: (text, one, inside, there)
                for text in self._texts
                for full, one, inside, there in definitions(text.json)
            }
        for full in names:
            if full in self._elsewhere:
                text, schema, inside, there = self._elsewhere[full]
                try:
                    return self._type(schema, inside, there)
                except _FaultError as fault:  # named after the text that it is in, not the one that wants it
                    raise text.error(fault) from fault
        raise _FaultError(f"unknown type {shown(names[0])!r}; define it, or add it as a reference", at)

    def _definition(self, schema: dict[str, Any], kind: str, space: str, at: At) -> Type:
        _name(schema, at)
        space, name = full_name(schema, space)
        if name in self._types:
            if schema is not self._sources[name] and schema != self._sources[name]:
                raise _FaultError(f"{shown(name)} is defined a second time, and differently", at)
            return self._types[name]
        self._sources[name] = schema
        aliases = _aliases(schema, space, at)
        doc = _text_or_empty(schema.get("doc"))
        if kind == "fixed":
            size = _member(schema, "size", at)
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise _FaultError(f"the size of {shown(name)} must be a whole number, 0 or more", (at, "size"))
            self._types[name] = Fixed(name, aliases, size, *_logical(schema, kind, size), doc)
        elif kind == "enum":
            self._types[name] = _enum(schema, name, aliases, doc, at)
        else:
            # known before its fields, which may name it
            record = self._types[name] = Record(name, aliases, _annotation(schema), doc)
            self._fields(record, _member(schema, "fields", at), space, (at, "fields"))
        return self._types[name]

    def _fields(self, record: Record, fields: Any, space: str, at: At) -> None:
        if not isinstance(fields, list):
            raise _FaultError("'fields' must be a list", at)
        names = set()
        for index, one in enumerate(fields):
            here = (at, index)
            if not isinstance(one, dict):
                raise _FaultError("a field must be an object", here)
            name = _name(one, here)
            if name in names:
                raise _FaultError(f"{shown(record.name)} has two fields of the name {shown(name)!r}", here)
            names.add(name)
            kind = self._type(_member(one, "type", here), space, (here, "type"))
            record.fields.append(_field(one, name, kind, here))

    def _union(self, schema: list[Any], space: str, at: At) -> Union:
        if not schema:
            raise _FaultError("a union must have a branch", at)
        branches = []
        seen = set()
        for index, one in enumerate(schema):
            branch = self._type(one, space, (at, index))
            if isinstance(branch, Union):
                raise _FaultError("a union must not contain a union directly", (at, index))
            name = branch.name if isinstance(branch, Fixed | Enum | Record) else kind_of(branch)
            if name in seen:
                raise _FaultError(f"a union must not contain {shown(name)} twice", (at, index))
            seen.add(name)
            branches.append(branch)
        return Union(tuple(branches))


def _field(schema: dict[str, Any], name: str, kind: Type, at: At) -> Field:
    if "order" in schema:
        order = schema["order"]
        if not isinstance(order, str) or order.lower() not in _ORDERS:
            raise _FaultError(f"the order of {shown(name)!r} must be ascending, descending or ignore", (at, "order"))
    default = schema.get("default")
    if isinstance(default, str) and isinstance(kind, Primitive) and kind.kind in {"float", "double"}:
        default = _number(default)
    aliases = tuple(_texts(schema["aliases"], "aliases", (at, "aliases"))) if "aliases" in schema else ()
    doc = _text_or_empty(schema["doc"]) if "doc" in schema else ""
    return Field(name, aliases, kind, default, doc, has_default="default" in schema)


def _number(text: str) -> float | str:
    """Java takes a number as text for a float or double."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if abs(number) < 1 << 1023 and "_" not in text else text


def _enum(schema: dict[str, Any], name: str, aliases: frozenset[str], doc: str, at: At) -> Enum:
    symbols = tuple(_texts(_member(schema, "symbols", at), "symbols", (at, "symbols")))
    if len(set(symbols)) != len(symbols):
        raise _FaultError(f"{shown(name)} has the same symbol twice", (at, "symbols"))
    default = schema.get("default")
    if default is not None and default not in symbols:
        raise _FaultError(f"the default of {shown(name)} is not one of its symbols", (at, "default"))
    return Enum(name, aliases, symbols, default, _annotation(schema), doc)


def _aliases(schema: dict[str, Any], space: str, at: At) -> frozenset[str]:
    aliases = schema.get("aliases")
    if aliases is None:
        return frozenset()
    texts = _texts(aliases, "aliases", (at, "aliases"))
    return frozenset(alias if "." in alias or not space else f"{space}.{alias}" for alias in texts)


def _logical(schema: dict[str, Any], kind: str, size: int = 0) -> tuple[str, int, int, str]:
    """Logical type, precision, scale and annotation; what does not fit its type is ignored, as Avro demands."""
    logical = schema.get("logicalType")
    if not isinstance(logical, str):
        return "", 0, 0, ""
    if logical == "decimal":
        return _decimal(schema, kind, size)
    if logical not in LOGICAL_TYPES:
        return "", 0, 0, logical
    if logical == "uuid" and kind == "fixed":
        return ("uuid" if size == 16 else ""), 0, 0, ""
    fits = kind == LOGICAL_TYPES[logical] and (kind != "fixed" or size == 12)
    return (logical if fits else ""), 0, 0, ""


def _decimal(schema: dict[str, Any], kind: str, size: int) -> tuple[str, int, int, str]:
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if kind not in {"bytes", "fixed"} or type(precision) is not int or type(scale) is not int:
        return "", 0, 0, ""
    if not 0 <= scale <= precision or precision < 1 or (kind == "fixed" and precision > _digits(size)):
        return "", 0, 0, ""
    if precision > MAX_PRECISION or size > MAX_DECIMAL_BYTES:
        return "", 0, 0, f"decimal({precision}, {scale})"
    return "decimal", precision, scale, ""


def _digits(size: int) -> int:
    """Decimal digits that so many bytes of two's complement can hold; log10(2) is 0.30102999566398120."""
    return max(0, (8 * size - 1) * 30102999566398120 // 10**17)


def _annotation(schema: dict[str, Any]) -> str:
    """A logical type of a type that none of Avro's belongs to."""
    logical = schema.get("logicalType")
    return logical if isinstance(logical, str) and logical not in LOGICAL_TYPES and logical != "decimal" else ""


def _member(schema: dict[str, Any], key: str, at: At) -> Any:
    if key not in schema:
        raise _FaultError(f"{key!r} is missing", at)
    return schema[key]


def _texts(value: Any, what: str, at: At) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise _FaultError(f"{what!r} must be a list of strings that are not empty", at)
    return value


def _text_or_empty(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name(schema: dict[str, Any], at: At) -> str:
    name = _member(schema, "name", at)
    if not isinstance(name, str) or not name:
        raise _FaultError("'name' must be a string that is not empty", (at, "name"))
    return name
