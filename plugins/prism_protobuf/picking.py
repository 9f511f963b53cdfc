"""From parsed messages to rows: Python source, compiled once per writer schema and set of fields.

A message is parsed by the class of its *writer*, and its row is shaped by the *reader*: fields are matched by number, so
that a renamed one is found, and no value depends on what the two types share on the wire.

| field of the reader | in the row |
| --- | --- |
| ``optional``, member of a oneof, message | None where it is not set, whatever default proto2 gives it |
| implicit (proto3) | the value; zero means zero or not set |
| repeated; map | list; dict with ``str`` keys (``"true"``, ``"7"``), as in Protobuf's JSON |
| enum | the symbol: the reader's, or else the writer's; the number where neither has one |
| integers, floats, ``bool``, ``string``, ``bytes`` | ``int``, ``float``, ``bool``, ``str``, ``bytes`` |
| messages of Protobuf's library | see :mod:`prism_protobuf.wellknown` |

Integers of all widths and encodings, bool and enum are read as one another, and so are ``float`` and ``double``, and
``string`` and ``bytes``. Everything else that changed its type cannot be read.
"""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.protobuf import descriptor_pb2

from prism_protobuf.schema import is_repeated, map_entry, message_class
from prism_protobuf.wellknown import TO_VALUE
from prismlib.errors import UnknownFieldError
from prismlib.stages import FieldSet

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Pick: TypeAlias = Callable[[Any], dict[str, Any]]
_Entry: TypeAlias = "tuple[FieldDescriptor, FieldDescriptor]"

_EVERYTHING: Final[FieldSet] = frozenset({"*"})
KINDS: Final = {
    1: "float", 2: "float", 3: "int", 4: "int", 5: "int", 6: "int", 7: "int", 8: "bool", 9: "str", 10: "message",
    11: "message", 12: "bytes", 13: "int", 14: "enum", 15: "int", 16: "int", 17: "int", 18: "int",
}  # fmt: skip
"""What a value of each ``FieldDescriptor.type`` is."""


class UnpickableError(Exception):
    """The reader's field at ``path`` cannot be filled from what the writer writes."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


def _text(value: str | bytes) -> str:
    """Protobuf gives bytes for a string that is not UTF-8, where the schema does not forbid that."""
    return value if isinstance(value, str) else value.decode()


class _Symbols(dict[int, str]):
    def __missing__(self, number: int) -> int:
        return number


@dataclass(frozen=True, slots=True)
class _Job:
    """One function to write: rows of ``reader`` from messages of ``writer``, cut down to ``reads``."""

    name: str
    writer: Descriptor
    reader: Descriptor
    reads: FieldSet
    path: str


def compile_pick(writer: Descriptor, reader: Descriptor, reads: FieldSet, filename: str, *, older: bool) -> Pick:
    """Compile the function that makes rows of messages.

    Args:
        writer: what the messages are.
        reader: what the rows look like.
        reads: the fields of ``reader`` that rows have; never empty.
        filename: what tracebacks name.
        older: the writer is an earlier version than the reader. A field that it has not got was added since, and is None
            (or an empty list or dict). Otherwise somebody removed it, and filling it in would hide the loss.

    Raises:
        UnknownFieldError: ``reads`` names what the reader has not got.
        UnpickableError: a field that is read was removed, or changed its type.
    """
    return _Compiler(older=older).compile(writer, reader, reads, filename)


@dataclass
class _Compiler:
    older: bool
    names: dict[str, Any] = field(default_factory=dict)
    jobs: list[_Job] = field(default_factory=list)
    known: dict[tuple[str, str, FieldSet], str] = field(default_factory=dict)
    proto3: dict[str, bool] = field(default_factory=dict)

    def compile(self, writer: Descriptor, reader: Descriptor, reads: FieldSet, filename: str) -> Pick:
        first = self._function(writer, reader, reads, "")
        source = []
        while self.jobs:  # a list and no recursion: schemas may be deeper than Python's stack, and recursive
            source.append(self._write(self.jobs.pop()))
        # Names in the source are identifiers from protoc, behind a dot or quoted.
        exec(compile("\n".join(source), f"<{filename}>", "exec"), self.names)  # noqa: S102
        pick: Pick = self.names[first]
        return pick

    def _function(self, writer: Descriptor, reader: Descriptor, reads: FieldSet, path: str) -> str:
        key = (writer.full_name, reader.full_name, reads)
        if key not in self.known:
            self.known[key] = f"f{len(self.known)}"
            self.jobs.append(_Job(self.known[key], writer, reader, reads, path))
        return self.known[key]

    def _name(self, prefix: str, value: Any) -> str:
        name = f"{prefix}{len(self.names)}"
        self.names[name] = value
        return name

    def _is_text(self, writes: FieldDescriptor) -> bool:
        """Whether parsing refuses strings that are none: always in proto3, never in proto2, and by choice in editions."""
        owner = writes.containing_type
        if owner is None:  # so typed for extensions, which no row has
            return False
        file = owner.file
        if file.name not in self.proto3:
            proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            self.proto3[file.name] = proto.syntax == "proto3"
        return self.proto3[file.name]

    def _text(self) -> str:
        self.names["text"] = _text
        return "text"

    def _write(self, job: _Job) -> str:
        below = _below(job.reader, job.reads)
        writes = {one.number: one for one in job.writer.fields}
        has = self._name("h", message_class(job.writer).HasField)
        items = [
            f"        {one.name!r}: {self._field(has, writes.get(one.number), one, reads, job.path)},"
            for one, reads in below
        ]
        return "\n".join([f"def {job.name}(m):", "    return {", *items, "    }"])

    def _field(
        self, has: str, writes: FieldDescriptor | None, reads: FieldDescriptor, fields: FieldSet, at: str
    ) -> str:
        path = f"{at}.{reads.name}" if at else reads.name
        if writes is None:
            if not self.older:
                raise UnpickableError(path, f"the writer has no field {reads.number} any more")
            return "{}" if map_entry(reads) else "[]" if is_repeated(reads) else "None"
        writes_entry, reads_entry = map_entry(writes), map_entry(reads)
        if is_repeated(writes) != is_repeated(reads) or (writes_entry is None) != (reads_entry is None):
            raise UnpickableError(path, f"it is {_describe(reads)}, and the writer writes {_describe(writes)}")
        value = f"getattr(m, {writes.name!r})" if keyword.iskeyword(writes.name) else f"m.{writes.name}"
        if writes_entry is not None and reads_entry is not None:
            return self._map(value, writes_entry, reads_entry, fields, path)
        if is_repeated(reads):
            each = self._convert("x", writes, reads, fields, path)
            return f"{value}[:]" if each == "x" else f"[{each} for x in {value}]"
        converted = self._convert(value, writes, reads, fields, path)
        if reads.has_presence and writes.has_presence:
            return f"{converted} if {has}(m, {writes.name!r}) else None"
        return converted

    def _map(self, value: str, writes: _Entry, reads: _Entry, fields: FieldSet, path: str) -> str:
        (writes_key, writes_value), (reads_key, reads_value) = writes, reads
        kind = KINDS[writes_key.type]
        if kind != KINDS[reads_key.type]:
            raise UnpickableError(path, f"its keys are {_describe(reads_key)}, the writer's {_describe(writes_key)}")
        text = "k" if self._is_text(writes_key) else f"{self._text()}(k)"
        key = {"str": text, "int": "str(k)", "bool": "'true' if k else 'false'"}[kind]
        each = self._convert("c[k]", writes_value, reads_value, fields, path)
        return f"{{{key}: {each} for c in ({value},) for k in c}}"  # items() of protobuf's maps takes twice as long

    def _convert(self, x: str, writes: FieldDescriptor, reads: FieldDescriptor, fields: FieldSet, path: str) -> str:
        """An expression that turns one value ``x`` of the writer's field into one of the reader's."""
        if reads.message_type is not None and writes.message_type is not None:
            return self._convert_message(x, writes.message_type, reads.message_type, fields, path)
        match KINDS[writes.type], KINDS[reads.type]:
            case "str", "str":
                return x if self._is_text(writes) else f"{self._text()}({x})"
            case ("float", "float") | ("bytes", "bytes") | ("bool", "bool") | ("int" | "enum", "int"):
                return x
            case "bool", "int":
                return f"int({x})"
            case (("int" | "enum"), "bool"):
                return f"bool({x})"
            case (("int" | "bool" | "enum"), "enum"):
                symbols = _Symbols()
                for enum in (reads.enum_type, writes.enum_type):
                    for number, symbol in _symbols(enum):
                        symbols.setdefault(number, symbol)
                return f"{self._name('e', symbols)}[{x}]"
            case "bytes", "str":
                return f"{x}.decode()"
            case "str", "bytes":
                return f"{x}.encode()" if self._is_text(writes) else f"{self._text()}({x}).encode()"
        raise UnpickableError(path, f"it is {_describe(reads)}, and the writer writes {_describe(writes)}")

    def _convert_message(self, x: str, writer: Descriptor, reader: Descriptor, fields: FieldSet, path: str) -> str:
        if reader.full_name in TO_VALUE or writer.full_name in TO_VALUE:
            if writer.full_name != reader.full_name:
                raise UnpickableError(path, f"it is a {reader.full_name}, and the writer writes a {writer.full_name}")
            return f"{self._name('v', TO_VALUE[reader.full_name])}({x})"
        return f"{self._function(writer, reader, fields, path)}({x})"


def check_reads(reader: Descriptor, reads: FieldSet, where: str) -> None:
    """See that every path names something in the reader.

    Raises:
        UnknownFieldError: one does not; names the nearest field.
    """
    for path in sorted(reads - _EVERYTHING):
        here: Descriptor | None = reader
        for name in path.split("."):
            known = [] if here is None else [one.name for one in here.fields]
            if here is None or name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise UnknownFieldError(f"reads {path!r}, and {where} has no field {name!r} there{hint}", path=path)
            here = _goes_on(here.fields_by_name[name])


def _goes_on(one: FieldDescriptor) -> Descriptor | None:
    """The message in which a path goes on after a field, through lists and maps."""
    entry = map_entry(one)
    inner = one.message_type if entry is None else entry[1].message_type
    return None if inner is None or inner.full_name in TO_VALUE else inner


def _below(reader: Descriptor, reads: FieldSet) -> Iterable[tuple[FieldDescriptor, FieldSet]]:
    """The fields of ``reader`` that are read, in its order, each with what is read below it."""
    if "*" in reads:
        return [(one, _EVERYTHING) for one in reader.fields]
    heads: dict[str, set[str]] = {}
    for path in reads:
        head, _, rest = path.partition(".")
        heads.setdefault(head, set()).add(rest or "*")
    return [
        (one, _EVERYTHING if "*" in heads[one.name] else frozenset(heads[one.name]))
        for one in reader.fields
        if one.name in heads
    ]


def _symbols(enum: EnumDescriptor | None) -> list[tuple[int, str]]:
    return [] if enum is None else [(value.number, value.name) for value in enum.values]


def _describe(one: FieldDescriptor) -> str:
    if map_entry(one):
        return "a map"
    kind = KINDS[one.type]
    name = one.message_type.full_name if one.message_type is not None else kind
    return f"a list of {name}" if is_repeated(one) else f"of type {name}"
