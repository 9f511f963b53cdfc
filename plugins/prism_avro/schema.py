"""Avro schemas as types: names resolved, one object per named type, defaults still as JSON.

:mod:`prism_avro.parsing` makes them of a text. ``annotation`` is a logical type that nothing here acts on: one that Avro does
not know, or a decimal beyond our limits, as in ``"decimal(5000, 2)"``. It is kept because changing it changes what values mean.

Plain classes, since ``prism-check-schema`` waits for this module: as dataclasses they took eight times as long to import.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
PROMOTIONS: Final = frozenset(
    {
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "float"),
        ("long", "double"),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    }
)
"""What may be read as something else: the writer's kind and the reader's."""
MAX_DECIMAL_BYTES: Final = 1024
MAX_PRECISION: Final = 2400
"""Digits that fit into so many bytes; converting millions of digits would take minutes."""


class Primitive:
    """A primitive type.

    Attributes:
        kind: one of ``PRIMITIVES``.
        logical: the logical type, "" where there is none or it does not apply.
        precision: digits of a ``decimal``.
        scale: digits after the point of a ``decimal``.
        annotation: see above.
    """

    __slots__ = ("annotation", "kind", "logical", "precision", "scale")

    def __init__(self, kind: str, logical: str = "", precision: int = 0, scale: int = 0, annotation: str = "") -> None:
        self.kind = kind
        self.logical = logical
        self.precision = precision
        self.scale = scale
        self.annotation = annotation


class Fixed:
    """``size`` bytes; a ``decimal``, ``uuid`` (16 bytes) or ``duration`` (12 bytes) where ``logical`` says so."""

    __slots__ = ("aliases", "annotation", "doc", "logical", "name", "precision", "scale", "size")

    def __init__(
        self,
        name: str,
        aliases: frozenset[str],
        size: int,
        logical: str = "",
        precision: int = 0,
        scale: int = 0,
        annotation: str = "",
        doc: str = "",
    ) -> None:
        self.name = name
        self.aliases = aliases
        self.size = size
        self.logical = logical
        self.precision = precision
        self.scale = scale
        self.annotation = annotation
        self.doc = doc


class Enum:
    """Symbols, and the one that stands for those a reader does not know."""

    __slots__ = ("aliases", "annotation", "default", "doc", "name", "symbols")

    def __init__(
        self,
        name: str,
        aliases: frozenset[str],
        symbols: tuple[str, ...],
        default: str | None,
        annotation: str = "",
        doc: str = "",
    ) -> None:
        self.name = name
        self.aliases = aliases
        self.symbols = symbols
        self.default = default
        self.annotation = annotation
        self.doc = doc


class Array:
    """A list of one type."""

    __slots__ = ("annotation", "items")

    def __init__(self, items: Type, annotation: str = "") -> None:
        self.items = items
        self.annotation = annotation


class Map:
    """Strings to one type."""

    __slots__ = ("annotation", "values")

    def __init__(self, values: Type, annotation: str = "") -> None:
        self.values = values
        self.annotation = annotation


class Union:
    """One of several types, told apart by their index."""

    __slots__ = ("branches",)

    def __init__(self, branches: tuple[Type, ...]) -> None:
        self.branches = branches


class Field:
    """A field of a record; ``default`` is JSON, and means nothing unless ``has_default``."""

    __slots__ = ("aliases", "default", "doc", "has_default", "name", "type")

    def __init__(
        self, name: str, aliases: tuple[str, ...], kind: Type, default: Any, doc: str = "", *, has_default: bool
    ) -> None:
        self.name = name
        self.aliases = aliases
        self.type = kind
        self.has_default = has_default
        self.default = default
        self.doc = doc


class Record:
    """Fields in the order they are written; a record can contain itself."""

    __slots__ = ("aliases", "annotation", "doc", "fields", "name")

    def __init__(self, name: str, aliases: frozenset[str], annotation: str = "", doc: str = "") -> None:
        self.name = name
        self.aliases = aliases
        self.fields: list[Field] = []
        self.annotation = annotation
        self.doc = doc


Type: TypeAlias = Primitive | Fixed | Enum | Array | Map | Union | Record


def short_name(full_name: str) -> str:
    """A full name without its namespace."""
    return full_name.rpartition(".")[2]


def kind_of(schema: Type) -> str:
    """What Avro calls the kind of a type, for sentences."""
    return schema.kind if isinstance(schema, Primitive) else type(schema).__name__.lower()


_BRANCHES: Final = 8
"""Of a long union, so many are named."""


def describe(schema: Type) -> str:
    """A type in a sentence: ``"long"``, ``"record shop.Order"``, ``"union of null and string"``."""
    if isinstance(schema, Union):
        shown = [describe(branch) for branch in schema.branches[:_BRANCHES]]
        more = len(schema.branches) - len(shown)
        return "union of " + " and ".join([*shown, f"{more} more"] if more else shown)
    if isinstance(schema, Fixed | Enum | Record):
        return f"{kind_of(schema)} {schema.name}"
    return kind_of(schema)
