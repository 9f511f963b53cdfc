"""Avro schemas as types: names resolved, one object per named type, defaults still as JSON.

fastavro checks the text; what it leaves open (shapes, sizes, symbols, depth) is checked here, because code is generated
from the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from fastavro.schema import SchemaParseException, UnknownType, parse_schema

from prismlib.errors import SchemaParseError

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
MAX_JSON_DEPTH: Final = 128
MAX_DECIMAL_BYTES: Final = 1024
MAX_PRECISION: Final = 2400
"""Digits that fit into so many bytes; converting millions of digits would take minutes."""


@dataclass(slots=True, eq=False)
class Primitive:
    """A primitive type.

    Attributes:
        kind: one of ``PRIMITIVES``.
        logical: the logical type, "" where there is none or it does not apply.
        precision: digits of a ``decimal``.
        scale: digits after the point of a ``decimal``.
    """

    kind: str
    logical: str = ""
    precision: int = 0
    scale: int = 0


@dataclass(slots=True, eq=False)
class Fixed:
    """``size`` bytes; a ``decimal`` or ``uuid`` (16 bytes) where ``logical`` says so."""

    name: str
    aliases: frozenset[str]
    size: int
    logical: str = ""
    precision: int = 0
    scale: int = 0


@dataclass(slots=True, eq=False)
class Enum:
    """Symbols, and the one that stands for those a reader does not know."""

    name: str
    aliases: frozenset[str]
    symbols: tuple[str, ...]
    default: str | None


@dataclass(slots=True, eq=False)
class Array:
    """A list of one type."""

    items: Type


@dataclass(slots=True, eq=False)
class Map:
    """Strings to one type."""

    values: Type


@dataclass(slots=True, eq=False)
class Union:
    """One of several types, told apart by their index."""

    branches: tuple[Type, ...]


@dataclass(slots=True, eq=False)
class Field:
    """A field of a record; ``default`` is JSON, and means nothing unless ``has_default``."""

    name: str
    aliases: tuple[str, ...]
    type: Type
    has_default: bool
    default: Any


@dataclass(slots=True, eq=False)
class Record:
    """Fields in the order they are written; a record can contain itself."""

    name: str
    aliases: frozenset[str]
    fields: list[Field] = field(default_factory=list)


Type: TypeAlias = Primitive | Fixed | Enum | Array | Map | Union | Record


def short_name(full_name: str) -> str:
    """A full name without its namespace."""
    return full_name.rpartition(".")[2]


def parse(text: str, references: Mapping[str, str], where: str) -> Type:
    """Parse a schema.

    Args:
        text: the schema, JSON.
        references: the texts of what it imports, imported ones before those that import them.
        where: what to name in errors, such as ``"subject flights-value version 3"``.

    Raises:
        SchemaParseError: the text or a reference is no Avro schema.
    """
    named: dict[str, Any] = {}
    types: dict[str, Type] = {}
    for name, reference in references.items():
        _parse(reference, named, types, f"{name}, imported by {where}")
    return _parse(text, named, types, where)


def _parse(text: str, named: dict[str, Any], types: dict[str, Type], where: str) -> Type:
    try:
        return _convert(parse_schema(_load(text), named), types)
    except UnknownType as error:
        raise SchemaParseError(f"{where}: unknown type {error.name!r}; define it, or add it as a reference") from error
    except RecursionError as error:
        raise SchemaParseError(f"{where}: nested too deeply to be read") from error
    except KeyError as error:
        raise SchemaParseError(f"{where}: not an Avro schema: {error} is missing") from error
    # fastavro trusts the shape of the JSON, and lets go of these where it is another one
    except (SchemaParseException, ValueError, TypeError, AttributeError) as error:
        raise SchemaParseError(f"{where}: not an Avro schema: {error}") from error


def _load(text: str) -> Any:
    loaded = json.loads(text, parse_constant=_no_constant)
    level = [loaded]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return loaded
    raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} levels deep")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _convert(schema: Any, types: dict[str, Type]) -> Type:
    if isinstance(schema, str):
        return Primitive(schema) if schema in PRIMITIVES else types[schema]
    if isinstance(schema, list):
        return _union(schema, types)
    kind = schema["type"]
    if kind == "array":
        return Array(_convert(schema["items"], types))
    if kind == "map":
        return Map(_convert(schema["values"], types))
    if kind in PRIMITIVES:
        return Primitive(kind, *_logical(schema, kind))
    name = _text(schema["name"], "a name")
    aliases = _aliases(schema, name)
    if kind == "fixed":
        size = schema["size"]
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"the size of {name} must be a whole number, 0 or more")
        types[name] = Fixed(name, aliases, size, *_logical(schema, kind, size))
    elif kind == "enum":
        types[name] = _enum(schema, name, aliases)
    else:
        record = types[name] = Record(name, aliases)  # known before its fields, which may name it
        record.fields.extend(_field(one, types) for one in schema["fields"])
        names = [one.name for one in record.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"{name} has two fields of the same name")
    return types[name]


def _union(schema: list[Any], types: dict[str, Type]) -> Union:
    branches = tuple(_convert(one, types) for one in schema)
    if not branches:
        raise ValueError("a union must have a branch")
    seen: set[str] = set()
    for branch in branches:
        if isinstance(branch, Union):
            raise ValueError("a union must not contain a union directly")  # noqa: TRY004  # about the text, not a caller
        name = branch.name if isinstance(branch, Fixed | Enum | Record) else kind_of(branch)
        if name in seen:
            raise ValueError(f"a union must not contain {name} twice")
        seen.add(name)
    return Union(branches)


def _enum(schema: Any, name: str, aliases: frozenset[str]) -> Enum:
    symbols = tuple(_text(symbol, "a symbol") for symbol in schema["symbols"])
    default = schema.get("default")
    if default is not None and default not in symbols:
        raise ValueError(f"the default of {name} is not one of its symbols")
    if len(set(symbols)) != len(symbols):
        raise ValueError(f"{name} has the same symbol twice")
    return Enum(name, aliases, symbols, default)


def _field(schema: Any, types: dict[str, Type]) -> Field:
    aliases = tuple(_text(alias, "an alias") for alias in schema.get("aliases", ()))
    kind = _convert(schema["type"], types)
    return Field(_text(schema["name"], "a name"), aliases, kind, "default" in schema, schema.get("default"))


def _logical(schema: Any, kind: str, size: int = 0) -> tuple[str, int, int]:
    """Logical type, precision and scale; a logical type that does not fit its type is ignored, as Avro demands."""
    logical, precision, scale = schema.get("logicalType"), schema.get("precision"), schema.get("scale", 0)
    if logical == "decimal" and kind in {"bytes", "fixed"} and size <= MAX_DECIMAL_BYTES:
        if (
            isinstance(precision, int)
            and isinstance(scale, int)
            and 0 <= scale <= precision
            and 0 < precision <= MAX_PRECISION
        ):
            return "decimal", precision, scale
    elif logical == "uuid" and (kind == "string" or size == 16):
        return "uuid", 0, 0
    elif kind == "long" and logical in {"timestamp-millis", "timestamp-micros", "timestamp-nanos"}:
        return str(logical), 0, 0
    elif kind == "int" and logical == "date":
        return "date", 0, 0
    return "", 0, 0


def _aliases(schema: Any, name: str) -> frozenset[str]:
    aliases = schema.get("aliases", ())
    if not isinstance(aliases, list | tuple):
        raise TypeError(f"the aliases of {name} must be a list")
    namespace = name.rpartition(".")[0]
    texts = [_text(alias, "an alias") for alias in aliases]
    return frozenset(alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in texts)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{what} must be a string that is not empty")
    return value


def kind_of(schema: Type) -> str:
    """What Avro calls the kind of a type, for sentences."""
    return schema.kind if isinstance(schema, Primitive) else type(schema).__name__.lower()


def describe(schema: Type) -> str:
    """A type in a sentence: ``"long"``, ``"record shop.Order"``, ``"union of null and string"``."""
    if isinstance(schema, Union):
        return "union of " + " and ".join(describe(branch) for branch in schema.branches)
    if isinstance(schema, Fixed | Enum | Record):
        return f"{kind_of(schema)} {schema.name}"
    return kind_of(schema)
