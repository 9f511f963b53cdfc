"""What differs between two versions, as a table for people. Messages meet as for the rules, so paths are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from prism_protobuf.compatibility.model import EnumType, Field, Message, Schema
from prism_protobuf.compatibility.pairs import Enums, Messages, Place
from prism_protobuf.compatibility.walker import pairs
from prismlib.contracts.format import Change

T = TypeVar("T")


def changes(old: Schema, new: Schema) -> Iterator[Change]:
    """In the order of the newer one, removed things where they stood.

    Raises:
        ContractError: they are too large to be compared.
    """
    if old.syntax != new.syntax:
        yield Change("changed", "/", f'syntax "{old.syntax}"', f'syntax "{new.syntax}"')
    if old.package != new.package:
        yield Change("changed", "/", f"package {old.package}".rstrip(), f"package {new.package}".rstrip())
    before, after = old.named(), new.named()
    for name, is_new in _merged(before, after):
        path = "/" + name.replace(".", "/")
        if is_new and name not in before:
            yield Change("added", path, "", f"message {after[name].simple_name}")
        elif not is_new:
            yield Change("removed", path, f"message {before[name].simple_name}", "")
    for pair in pairs(new, old):
        if isinstance(pair, Messages):
            yield from _fields(pair.writer, pair.reader, pair.place)
        elif isinstance(pair, Enums):
            yield from _values(pair.writer, pair.reader, pair.place)


def _fields(old: Message, new: Message, place: Place) -> Iterator[Change]:
    for number, is_new in _merged(old.fields, new.fields):
        before, after = old.fields.get(number), new.fields.get(number)
        if not is_new and before is not None:
            yield Change("removed", place.field_step(before.name).path, _shown(before), "")
        elif after is not None:
            here = place.field_step(after.name)
            if before is None:
                yield Change("added", here.path, "", _shown(after))
            else:
                yield from _field(before, after, here)
    if old.reserved != new.reserved:
        yield Change("changed", place.path, _reserved(old), _reserved(new))


def _field(old: Field, new: Field, place: Place) -> Iterator[Change]:
    if old.oneof != new.oneof:
        yield Change("moved", place.path, _home(old), _home(new))
    if old.name != new.name:
        yield Change("renamed", place.path, old.name, new.name)
    before, after = _kind(old), _kind(new)
    if before != after:
        yield Change("changed", place.path, before, after)
    # a default that changed with the type is said already
    if old.default != new.default and type(old.default) is type(new.default):
        yield Change("changed", place.path, f"default {old.default!r}", f"default {new.default!r}")


def _values(old: EnumType, new: EnumType, place: Place) -> Iterator[Change]:
    for number, is_new in _merged(old.values, new.values):
        before, after = old.values.get(number, []), new.values.get(number, [])
        if not is_new:
            yield Change("removed", place.step(before[0]).path, f"{before[0]} = {number}", "")
        elif not before:
            yield Change("added", place.step(after[0]).path, "", f"{after[0]} = {number}")
        elif before != after:
            yield Change("renamed", place.step(after[0]).path, ", ".join(before), ", ".join(after))
    if old.closed != new.closed:
        words = {True: "a closed enum", False: "an open enum"}
        yield Change("changed", place.path, words[old.closed], words[new.closed])
    if old.reserved != new.reserved:
        yield Change("changed", place.path, _reserved(old), _reserved(new))


def _merged(old: Mapping[T, object], new: Mapping[T, object]) -> Iterator[tuple[T, bool]]:
    """Keys of the newer one, and whether they are; those that are gone behind what they stood behind."""
    gone: dict[T | None, list[T]] = {}
    last: T | None = None
    for key in old:
        if key in new:
            last = key
        else:
            gone.setdefault(last, []).append(key)
    yield from ((key, False) for key in gone.get(None, ()))
    for key in new:
        yield key, True
        yield from ((one, False) for one in gone.get(key, ()))


def _shown(one: Field) -> str:
    return f"{one} in oneof {one.oneof}" if one.oneof else str(one)


def _kind(one: Field) -> str:
    """Label and type; presence where the label does not say it."""
    label = "" if one.entry is not None else "required" if one.required else one.label
    if not label and not one.oneof and one.message is None:
        label = "optional" if one.presence else ""
    return f"{label} {one.type_name}".lstrip()


def _home(one: Field) -> str:
    return f"oneof {one.oneof}" if one.oneof else "no oneof"


def _reserved(one: Message | EnumType) -> str:
    ranges = (str(first) if first == last else f"{first} to {last}" for first, last in one.reserved)
    listed = ", ".join(ranges)
    return f"reserved {listed}" if listed else ""
