"""An enum or fixed has another namespace in the reader, inside a union that changed as well.

What:
    The reader has a union with an enum or fixed of the writer's short name and another namespace, without an alias for the writer's
    full name; and the writer has no union there, or one with other branches, another order or other insides.

Why:
    Where two unions are the same but for namespaces, libraries go by the position of the branch. Otherwise Avro Java looks for the full
    name, and decoding fails for each record that holds such a value. Records are safe: they are found by their fields.

Example:
    Written ``["null", "ops.Status"]``, read ``["null", "flights.Status", "string"]``.

Instead:
    Keep the namespace, or give the reader's type the old full name as an alias.

Confluent:
    Calls it compatible, as it does every change of a namespace, although Avro Java then cannot decode a record; here it fails.
"""

from __future__ import annotations

from prism_avro.compatibility.pairs import Met
from prism_avro.compatibility.wording import subject
from prism_avro.schema import Array, Enum, Fixed, Map, Record, Type, Union, describe, kind_of, short_name
from prismlib.contracts.rules import Rule

RULE = Rule(
    "AVR019",
    "namespace-changed-in-union",
    "Keep the namespace, or give the reader's type the old full name as an alias.",
)


def check(pair: Met) -> str | None:
    """Found by the short name, in unions that differ."""
    match pair.reader, pair.writer:
        case (Enum() | Fixed()) as reader, (Enum() | Fixed()) as writer if isinstance(pair.around[0], Union):
            if reader.name == writer.name or writer.name in reader.aliases:
                return None
            if short_name(reader.name) != short_name(writer.name) or _equivalent(*pair.around, set()):
                return None
            return (
                f"{subject(pair.place)} is written as {describe(writer)} and read as {describe(reader)}, "
                "in unions that differ"
            )
    return None


def _equivalent(reader: Type, writer: Type, seen: set[tuple[int, int]]) -> bool:
    """Whether two types are the same but for namespaces, aliases and all that is not on the wire."""
    if kind_of(reader) != kind_of(writer):
        return False
    match reader, writer:
        case Union(), Union():
            return len(reader.branches) == len(writer.branches) and all(
                _equivalent(one, other, seen) for one, other in zip(reader.branches, writer.branches, strict=True)
            )
        case Array(), Array():
            return _equivalent(reader.items, writer.items, seen)
        case Map(), Map():
            return _equivalent(reader.values, writer.values, seen)
        case ((Record() | Enum() | Fixed()), (Record() | Enum() | Fixed())):
            return short_name(reader.name) == short_name(writer.name) and _same_inside(reader, writer, seen)
    return True


def _same_inside(reader: Type, writer: Type, seen: set[tuple[int, int]]) -> bool:
    match reader, writer:
        case Fixed(), Fixed():
            return reader.size == writer.size
        case Enum(), Enum():
            return reader.symbols == writer.symbols
        case Record(), Record():
            key = (id(reader), id(writer))
            if key in seen:
                return True
            seen.add(key)
            return len(reader.fields) == len(writer.fields) and all(
                one.name == other.name and _equivalent(one.type, other.type, seen)
                for one, other in zip(reader.fields, writer.fields, strict=True)
            )
    return False
