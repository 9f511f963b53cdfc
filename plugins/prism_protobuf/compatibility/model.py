"""A Protobuf schema as the rules see it: messages, fields and enums, with the features of every syntax spelled out.

proto2, proto3 and the editions say the same few things in different words. Here a field has presence or has not, whatever
the word, and an enum is open or closed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Syntax: TypeAlias = Literal["proto2", "proto3", "2023", "2024"]
Label: TypeAlias = Literal["", "optional", "required", "repeated"]
Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""First and last number of each range, in order; they do not overlap."""

DOUBLE, FLOAT, INT64, UINT64, INT32, FIXED64, FIXED32, BOOL, STRING, GROUP, MESSAGE, BYTES = range(1, 13)
UINT32, ENUM, SFIXED32, SFIXED64, SINT32, SINT64 = range(13, 19)

SCALARS: Final = {
    DOUBLE: "double", FLOAT: "float", INT64: "int64", UINT64: "uint64", INT32: "int32", FIXED64: "fixed64",
    FIXED32: "fixed32", BOOL: "bool", STRING: "string", BYTES: "bytes", UINT32: "uint32", SFIXED32: "sfixed32",
    SFIXED64: "sfixed64", SINT32: "sint32", SINT64: "sint64",
}  # fmt: skip
"""Name in a .proto of each scalar type, by its number in descriptors."""


@dataclass(slots=True, eq=False)
class EnumType:
    """An enum.

    Attributes:
        name: within its package, such as ``Order.Status``.
        full_name: with the package.
        main: whether it is defined in the schema itself, and not in what it imports.
        values: the names of each number, in the order of the file; more than one name where aliases are allowed.
        closed: whether a number that it has not got is kept out of the field.
        reserved: numbers that it says nobody may use again.
    """

    name: str
    full_name: str
    main: bool
    values: dict[int, list[str]]
    closed: bool
    reserved: Ranges

    @property
    def first(self) -> int:
        """The number that a field without a value has, unless it has another default."""
        return next(iter(self.values))


@dataclass(slots=True, eq=False)
class Field:
    """A field of a message, or the key or value of a map.

    Attributes:
        name: as in the file.
        number: on the wire.
        type: of the value, a number of descriptors: ``INT32`` and so on; ``GROUP`` for a message with delimiters.
        label: as it is written; "" where there is none, as in a oneof, in proto3 and in editions.
        repeated: whether it is a list or a map.
        presence: whether a reader can tell a value that was not written from zero.
        required: whether a message without it is refused.
        packed: whether a writer puts the numbers of a list into one value.
        oneof: the name of the oneof that it is in, or "".
        default: what a reader gets where nothing was written; None for messages and lists.
        checked: whether text is refused that is no UTF-8.
        message: what the value is, for messages; a map's is the message of its entries.
        enum: what the value is, for enums.
    """

    name: str
    number: int
    type: int
    label: Label
    repeated: bool
    presence: bool
    required: bool
    packed: bool
    oneof: str
    default: object
    checked: bool
    message: Message | None = None
    enum: EnumType | None = None
    _shape: tuple[object, ...] | None = None

    @property
    def shape(self) -> tuple[object, ...]:
        """All that a rule looks at but for what is inside messages and enums."""
        if self._shape is None:
            held: object = None
            if self.message is not None:
                entry = self.entry
                named = self.message.name if self.message.main else self.message.full_name
                held = named if entry is None else (entry[0].shape, entry[1].shape)
            self._shape = (
                self.name,
                self.type,
                self.label,
                self.repeated,
                self.presence,
                self.required,
                self.oneof,
                self.default,
                self.checked,
                held,
            )
        return self._shape

    @property
    def entry(self) -> tuple[Field, Field] | None:
        """Key and value of a map; None where the field is no map."""
        message = self.message
        if message is None or not message.is_entry:
            return None
        return message.fields[1], message.fields[2]

    @property
    def type_name(self) -> str:
        """Of the value, as a .proto names it; what the file itself defines without the package."""
        entry = self.entry
        if entry is not None:
            return f"map<{entry[0].type_name}, {entry[1].type_name}>"
        if self.message is not None:
            name = self.message.name if self.message.main else self.message.full_name
            return name if self.type == MESSAGE else f"group {name}"
        if self.enum is not None:
            return self.enum.name if self.enum.main else self.enum.full_name
        return SCALARS[self.type]

    def __str__(self) -> str:
        """The declaration, such as ``repeated int32 delays = 4``."""
        label = self.label if self.entry is None else ""
        if not label and self.required:
            label = "required"
        return f"{label} {self.type_name} {self.name} = {self.number}".lstrip()


@dataclass(slots=True, eq=False)
class Message:
    """A message.

    Attributes:
        name: within its package, such as ``Order.Line``.
        full_name: with the package.
        main: whether it is defined in the schema itself, and not in what it imports.
        fields: by number, in the order of the file. No extensions.
        oneofs: names, those that stand for proto3's ``optional`` left out.
        reserved: numbers that nobody may use again.
        nested: messages within it. No entries of maps.
        enums: enums within it.
        is_entry: whether protoc made it for the entries of a map.
        is_group: whether it is written as ``group`` in a field.
    """

    name: str
    full_name: str
    main: bool
    reserved: Ranges
    is_entry: bool
    is_group: bool = False
    fields: dict[int, Field] = field(default_factory=dict)
    oneofs: tuple[str, ...] = ()
    nested: list[Message] = field(default_factory=list)
    enums: list[EnumType] = field(default_factory=list)
    _by_name: dict[str, Field] | None = None

    @property
    def simple_name(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def is_namespace(self) -> bool:
        """Whether it is there only because something is nested in it."""
        return not self.fields and bool(self.nested or self.enums)

    def held(self) -> list[Message]:
        """The messages that its fields hold, in lists and maps, too."""
        values = (one if one.entry is None else one.entry[1] for one in self.fields.values())
        return [one.message for one in values if one.message is not None]

    def field_named(self, name: str) -> Field | None:
        """The field of that name."""
        if self._by_name is None:
            self._by_name = {one.name: one for one in self.fields.values()}
        return self._by_name.get(name)


@dataclass(slots=True, eq=False)
class Schema:
    """A file, with what it imports behind its fields.

    Attributes:
        where: what to call it in errors.
        package: "" for none.
        syntax: of the file itself.
        messages: at its top level, in the order of the file.
        enums: at its top level.
    """

    where: str
    package: str
    syntax: Syntax
    messages: list[Message]
    enums: list[EnumType]

    def named(self) -> dict[str, Message]:
        """All messages of the file by their name within the package, the outer before the inner."""
        found: dict[str, Message] = {}
        waiting = deque(self.messages)
        while waiting:
            message = waiting.popleft()
            found[message.name] = message
            waiting.extendleft(reversed(message.nested))
        return found

    def seeds(self) -> list[Message]:
        """Messages from which all others of the file are reached: those that none outside holds, then what is left in circles."""
        every = self.named()
        held = {
            id(inner)
            for one in every.values()
            for inner in one.held()
            if inner is not one and not one.full_name.startswith(f"{inner.full_name}.")
        }
        chosen: list[Message] = []
        reached: set[int] = set()
        for one in [*(one for one in every.values() if id(one) not in held), *every.values()]:
            if id(one) not in reached:
                chosen.append(one)
                _reach(one, reached)
        return chosen

    def roots(self) -> list[Message]:
        """Messages that records can be: the seeds at the top level, save those that only hold the names of others."""
        return [one for one in self.seeds() if "." not in one.name and not one.is_namespace]


def _reach(message: Message, reached: set[int]) -> None:
    waiting = [message]
    while waiting:
        one = waiting.pop()
        if id(one) not in reached:
            reached.add(id(one))
            waiting += one.held()
