"""What rules ask of fields, oneofs and enums: what shares an encoding, what holds what, and who is the newer one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

from prism_protobuf.compatibility import model
from prism_protobuf.compatibility.model import Field, Ranges
from prism_protobuf.compatibility.pairs import Enums, Messages, Problem, UnreadField, UnwrittenField

T = TypeVar("T")
Side: TypeAlias = Literal["reader", "writer"]

TEXT: Final = "text"

_ENCODINGS: Final = {
    **dict.fromkeys((model.INT32, model.INT64, model.UINT32, model.UINT64, model.BOOL, model.ENUM), "integer"),
    **dict.fromkeys((model.SINT32, model.SINT64), "zigzag integer"),
    **dict.fromkeys((model.FIXED32, model.SFIXED32), "four bytes"),
    **dict.fromkeys((model.FIXED64, model.SFIXED64), "eight bytes"),
    **dict.fromkeys((model.STRING, model.BYTES), TEXT),
    model.FLOAT: "float",
    model.DOUBLE: "double",
}

_SIGNED_32: Final = (-(1 << 31), (1 << 31) - 1)
_SIGNED_64: Final = (-(1 << 63), (1 << 63) - 1)
_UNSIGNED_32: Final = (0, (1 << 32) - 1)
_UNSIGNED_64: Final = (0, (1 << 64) - 1)
_INTEGERS: Final = {
    **dict.fromkeys((model.INT32, model.SINT32, model.SFIXED32), _SIGNED_32),
    **dict.fromkeys((model.INT64, model.SINT64, model.SFIXED64), _SIGNED_64),
    **dict.fromkeys((model.UINT32, model.FIXED32), _UNSIGNED_32),
    **dict.fromkeys((model.UINT64, model.FIXED64), _UNSIGNED_64),
}
_SHOWN: Final = 40


def kind(field: Field) -> str:
    """``a map``, ``a message``, ``a group`` or ``a scalar``."""
    if field.message is None:
        return "a scalar"
    if field.entry is not None:
        return "a map"
    return "a group" if field.type == model.GROUP else "a message"


def encoding(field: Field) -> str:
    """The same for all types of one encoding; "" for messages."""
    return _ENCODINGS.get(field.type, "")


def integers(field: Field) -> tuple[int, int] | None:
    """The least and the greatest number that an integer holds; None for what is none."""
    return _INTEGERS.get(field.type)


def oneofs(pair: Messages) -> Iterator[tuple[str, list[str], list[str]]]:
    """Of each oneof of the reader the fields that the writer has outside of oneofs, and those that it has in one."""
    for oneof in pair.reader.oneofs:
        written = [
            pair.writer.fields[number]
            for number, one in pair.reader.fields.items()
            if one.oneof == oneof and number in pair.writer.fields
        ]
        yield oneof, [one.name for one in written if not one.oneof], [one.name for one in written if one.oneof]


def unknown_values(pair: Enums) -> list[Problem]:
    """A problem for each number of the writer's enum that the reader's has not got."""
    return [
        Problem(
            f"{names[0]} ({number}) of enum {pair.writer.full_name} can be written, and is unknown to the reader",
            names[0],
        )
        for number, names in pair.writer.values.items()
        if number not in pair.reader.values
    ]


def sides(reader: T, writer: T) -> Iterator[tuple[T, T, Side]]:
    """The older one, the newer one, and which side the newer one is, for both ways it can be."""
    yield writer, reader, "reader"
    yield reader, writer, "writer"


def lonely(pair: UnreadField | UnwrittenField) -> tuple[Field, Ranges, Side, Side]:
    """A field of one side: it, what the other side reserves, the newer side if it was deleted, and that if it was added."""
    if isinstance(pair, UnreadField):
        return pair.writer, pair.messages.reader.reserved, "reader", "writer"
    return pair.reader, pair.messages.writer.reserved, "writer", "reader"


def covered(number: int, ranges: Ranges) -> bool:
    """Whether a number is in one of the ranges."""
    return _around(number, ranges) is not None


def uncovered(older: Ranges, newer: Ranges, used: Container[int]) -> int | None:
    """The first number of some ranges that is in none of others, nor used."""
    for first, last in older:
        number = first
        while number <= last:
            around = _around(number, newer)
            if around is None and number not in used:
                return number
            number = number + 1 if around is None else around[1] + 1
    return None


def _around(number: int, ranges: Ranges) -> tuple[int, int] | None:
    at = bisect_right(ranges, number, key=lambda one: one[0]) - 1
    return ranges[at] if at >= 0 and number <= ranges[at][1] else None


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first few of many."""
    rest = len(names) - 8
    return ", ".join(map(repr, names[:8])) + (f" and {rest} more" if rest > 0 else "")


def shown(default: object) -> str:
    """A default in a sentence."""
    text = repr(default)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
