"""Schemas that hypothesis draws and changes, built as descriptors without protoc, and values written with them.

A drawn file has the messages ``M``, which records are of, and ``N``, which ``M`` may hold and which may hold ``M`` again,
and the enum ``E``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import strategies as st

from prism_protobuf.compatibility.loading import load
from prism_protobuf.compatibility.model import SCALARS, Schema

TYPES = {name: number for number, name in SCALARS.items()}
HELD = ("N", "E")
INTEGERS = {
    **dict.fromkeys(("int32", "sint32", "sfixed32"), (-(1 << 31), (1 << 31) - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(1 << 63), (1 << 63) - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, (1 << 32) - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, (1 << 64) - 1)),
}


@dataclass
class FieldSpec:
    """A field; ``key`` makes a map of it, ``label`` is one of implicit, optional, required, repeated."""

    name: str
    number: int
    type: str
    label: str = "implicit"
    oneof: str = ""
    key: str = ""
    default: str = ""


@dataclass
class FileSpec:
    syntax: str = "proto3"
    messages: dict[str, list[FieldSpec]] = field(default_factory=lambda: {"M": [], "N": []})
    values: dict[int, str] = field(default_factory=lambda: {0: "E0", 1: "E1"})
    reserved: dict[str, set[int]] = field(default_factory=lambda: {"M": set(), "N": set(), "E": set()})

    def copy(self) -> FileSpec:
        return copy.deepcopy(self)

    def set(self) -> descriptor_pb2.FileDescriptorSet:
        file = descriptor_pb2.FileDescriptorProto(name="s.proto", package="p", syntax=self.syntax)
        enum = file.enum_type.add(name="E")
        for number, name in self.values.items():
            enum.value.add(name=name, number=number)
        for number in sorted(self.reserved["E"] - self.values.keys()):
            enum.reserved_range.add(start=number, end=number)
        for name, fields in self.messages.items():
            self._message(file.message_type.add(name=name), fields)
        return descriptor_pb2.FileDescriptorSet(file=[file])

    def _message(self, message: Any, fields: list[FieldSpec]) -> None:
        used = {one.number for one in fields}
        for number in sorted(self.reserved[message.name] - used):
            message.reserved_range.add(start=number, end=number + 1)
        oneofs = list(dict.fromkeys(one.oneof for one in fields if one.oneof))
        for oneof in oneofs:
            message.oneof_decl.add(name=oneof)
        synthetic = []
        for one in fields:
            made = message.field.add(name=one.name, number=one.number)
            if one.key:
                entry = message.nested_type.add(name=f"{one.name.title().replace('_', '')}Entry")
                entry.options.map_entry = True
                self._type(entry.field.add(name="key", number=1, label=1), one.key)
                self._type(entry.field.add(name="value", number=2, label=1), one.type)
                made.label, made.type, made.type_name = 3, 11, f".p.{message.name}.{entry.name}"
                continue
            self._type(made, one.type)
            made.label = {"repeated": 3, "required": 2}.get("" if one.oneof else one.label, 1)
            if one.oneof:
                made.oneof_index = oneofs.index(one.oneof)
            elif one.label == "optional" and self.syntax == "proto3":
                synthetic.append(made)
            if one.default and self.syntax == "proto2" and one.label == "optional" and not one.oneof:
                made.default_value = one.default
        for made in synthetic:
            made.proto3_optional = True
            made.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{made.name}")

    def _type(self, made: Any, name: str) -> None:
        if name in ("M", "N"):
            made.type, made.type_name = 11, f".p.{name}"
        elif name == "E":
            made.type, made.type_name = 14, ".p.E"
        else:
            made.type = TYPES[name]

    def schema(self, where: str = "s") -> Schema:
        return load(self.set().SerializeToString(), where)

    def message(self) -> Any:
        """The class of ``M``. Raises TypeError for what is no schema."""
        pool = descriptor_pool.DescriptorPool()
        for file in self.set().file:
            pool.AddSerializedFile(file.SerializeToString())
        return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.M"))


scalars = st.sampled_from(sorted(TYPES))
types = st.one_of(scalars, st.sampled_from(HELD))
keys = st.sampled_from(["string", "int32", "bool"])


def labels(syntax: str) -> st.SearchStrategy[str]:
    proto2 = ["optional", "optional", "required", "repeated"]
    return st.sampled_from(proto2 if syntax == "proto2" else ["implicit", "implicit", "optional", "repeated"])


@st.composite
def fields(draw: st.DrawFn, syntax: str, name: str, number: int, *, inner: bool = False) -> FieldSpec:
    kind = draw(st.one_of(scalars, st.just("M")) if inner else types)
    label = draw(labels(syntax))
    if kind == "M" and label == "required":
        label = "optional"  # or no record would ever end
    shape = draw(st.sampled_from(["plain"] * 6 + ["map", "oneof"]))
    default = draw(st.sampled_from(["", "", "5"])) if kind in INTEGERS else ""
    return FieldSpec(
        name,
        number,
        kind,
        "optional" if shape == "oneof" else label,
        draw(st.sampled_from(["o", "q"])) if shape == "oneof" else "",
        draw(keys) if shape == "map" else "",
        default,
    )


@st.composite
def files(draw: st.DrawFn, syntaxes: tuple[str, ...] = ("proto2", "proto3")) -> FileSpec:
    syntax = draw(st.sampled_from(syntaxes))
    spec = FileSpec(syntax)
    for name, count in (("M", draw(st.integers(1, 5))), ("N", draw(st.integers(1, 3)))):
        spec.messages[name] = [
            draw(fields(syntax, f"{name.lower()}{number}", number, inner=name == "N")) for number in range(1, count + 1)
        ]
    spec.values = {number: f"E{number}" for number in range(draw(st.integers(1, 4)))}
    return spec


@st.composite
def changed(draw: st.DrawFn, spec: FileSpec) -> FileSpec:
    """One to three of the changes that people make."""
    new = spec.copy()
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(["M", "M", "N"]))
        every = new.messages[name]
        what = draw(
            st.sampled_from(
                [
                    "type",
                    "type",
                    "label",
                    "name",
                    "number",
                    "delete",
                    "add",
                    "oneof",
                    "map",
                    "enum",
                    "default",
                    "syntax",
                ]
            )
        )
        if what == "enum":
            _change_enum(draw, new)
            continue
        if what == "syntax":
            _change_syntax(new)
            continue
        free = max((one.number for one in every), default=0) + draw(st.integers(1, 3))
        if what == "add" or not every:
            every.append(draw(fields(new.syntax, f"x{free}", free, inner=name == "N")))
            continue
        one = draw(st.sampled_from(every))
        match what:
            case "type":
                one.type = draw(st.one_of(scalars, st.just("M")) if name == "N" else types)
                one.default = ""
                if one.type == "M" and one.label == "required":
                    one.label = "optional"
            case "label":
                one.oneof, one.label = "", draw(labels(new.syntax))
                if one.type == "M" and one.label == "required":
                    one.label = "optional"
            case "name":
                one.name = f"renamed{one.number}"
            case "number":
                one.number = free
            case "delete":
                every.remove(one)
                if draw(st.booleans()):
                    new.reserved[name].add(one.number)
            case "oneof":
                one.key, one.oneof = "", draw(st.sampled_from(["", "o", "q"]))
                one.label = one.label if one.label in ("implicit", "optional") else "optional"
            case "map":
                one.oneof, one.key = "", "" if one.key else draw(keys)
            case _:
                one.default = draw(st.sampled_from(["", "5", "6"])) if one.type in INTEGERS else ""
    return new


def _change_enum(draw: st.DrawFn, spec: FileSpec) -> None:
    number = max(spec.values)
    if draw(st.booleans()) or not number:
        spec.values[number + 1] = f"E{number + 1}"
    else:
        del spec.values[number]
        if draw(st.booleans()):
            spec.reserved["E"].add(number)


def _change_syntax(spec: FileSpec) -> None:
    spec.syntax = {"proto2": "proto3", "proto3": "proto2"}[spec.syntax]
    for one in (one for every in spec.messages.values() for one in every):
        if spec.syntax == "proto2" and one.label == "implicit":
            one.label = "optional"
        if spec.syntax == "proto3":
            one.default = ""
            one.label = "optional" if one.label == "required" else one.label


def is_schema(spec: FileSpec) -> bool:
    """Whether protobuf takes it."""
    try:
        spec.message()
    except TypeError:
        return False
    return True


@st.composite
def values(draw: st.DrawFn, spec: FileSpec, name: str = "M", depth: int = 0) -> dict[str, Any]:
    """What the constructor of a message takes."""
    body: dict[str, Any] = {}
    for one in spec.messages[name]:
        if one.type in ("M", "N") and depth > 2:
            continue
        if one.label != "required" and not draw(st.integers(0, 3)):
            continue
        each = _value(draw, spec, one.type, depth)
        if one.key:
            body[one.name] = {draw(_plain(one.key)): each for _ in range(draw(st.integers(0, 2)))}
        elif one.label == "repeated" and not one.oneof:
            body[one.name] = [each, *(_value(draw, spec, one.type, depth) for _ in range(draw(st.integers(0, 2))))]
        else:
            body[one.name] = each
    return body


def _value(draw: st.DrawFn, spec: FileSpec, kind: str, depth: int) -> Any:
    if kind in ("M", "N"):
        return draw(values(spec, kind, depth + 1))
    return draw(st.sampled_from(sorted(spec.values))) if kind == "E" else draw(_plain(kind))


def _plain(kind: str) -> st.SearchStrategy[Any]:
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return st.one_of(st.sampled_from([low, high, 0, 1]), st.integers(low, high))
    return {
        "bool": st.booleans(),
        "string": st.text(max_size=3),
        "bytes": st.binary(max_size=3),
        "float": st.floats(width=32, allow_nan=False),
        "double": st.floats(allow_nan=False),
    }[kind]


def write(spec: FileSpec, body: dict[str, Any]) -> Any:
    """The message; None where a required field is missing in it, so that nobody could write it."""
    message = spec.message()(**body)
    return message if message.IsInitialized() else None


def differing(writer: Any, reader: Any, path: str = "") -> str | None:
    """The path of the first field of both whose values are not the same; presence does not count."""
    reads = {one.number: one for one in reader.DESCRIPTOR.fields}
    for one in writer.DESCRIPTOR.fields:
        other = reads.get(one.number)
        if other is None:
            continue
        here = f"{path}.{one.name}"
        found = _differing(getattr(writer, one.name), getattr(reader, other.name), here)
        if found is not None:
            return found
    return None


def _differing(written: Any, read: Any, path: str) -> str | None:
    if hasattr(written, "DESCRIPTOR") and hasattr(read, "DESCRIPTOR"):
        return differing(written, read, path) if written.ListFields() or read.ListFields() else None
    if hasattr(written, "items") or hasattr(read, "items"):
        one, other = _table(written), _table(read)
        return None if one is None or other is None else _tables(one, other, path)
    if hasattr(written, "append") or hasattr(read, "append"):
        if not (hasattr(written, "append") and hasattr(read, "append")) or len(written) != len(read):
            return path
        return _first(_differing(one, other, path) for one, other in zip(written, read, strict=True))
    same = type(written) is type(read) and (written == read or (written != written and read != read))
    if isinstance(written, float) and isinstance(read, float) and same:
        same = math.copysign(1, written) == math.copysign(1, read) or written == 0
    return None if same else path


def _table(value: Any) -> dict[Any, Any] | None:
    """A map, or the list of messages that is the same on the wire; None where these have no key or no value any more."""
    if hasattr(value, "items"):
        return {key: value[key] for key in value}
    table = {}
    for one in value:
        names = {number: field.name for number, field in one.DESCRIPTOR.fields_by_number.items()}
        if not {1, 2} <= names.keys():
            return None
        table[getattr(one, names[1])] = getattr(one, names[2])
    return table


def _tables(written: dict[Any, Any], read: dict[Any, Any], path: str) -> str | None:
    if written.keys() != read.keys():
        return path
    return _first(_differing(one, read[key], path) for key, one in written.items())


def _first(found: Iterable[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)
